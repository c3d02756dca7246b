/* Why a condition doesn't hold, in words. */
#include "sim/cond.h"
#include "sim/mask.h"

struct words {
    const char *is, *wants;
};

static const char *number(struct run *r, unsigned v)
{
    return print(r, "%u", v);
}

static const char *range_text(struct run *r, const uint16_t v[2])
{
    return v[0] == v[1] ? number(r, v[0]) : print(r, "%u-%u", v[0], v[1]);
}

static const char *cidr_text(struct run *r, const struct cidr *c)
{
    return cidr_format(c, arena_alloc(r->arena, CIDR_STRLEN));
}

static const char *port_text(struct run *r, topo_ref port)
{
    return port ? name_of(r, port) : "none";
}

static const char *ports_text(struct run *r, const topo_ref *ports, uint32_t n)
{
    return n == 1 ? name_of(r, ports[0]) : print(r, "one of %u ports", n);
}

static const char *masked_mac(struct run *r, const struct mac *mac, const struct mac *mask)
{
    return mac_equal(mask, &mac_broadcast)
               ? mac_text(r, mac)
               : print(r, "%s under %s", mac_text(r, mac), mac_text(r, mask));
}

static const char *frags_text(uint8_t frags)
{
    static const char *const names[8] = {
        [1 << FLOW_FRAG_NONE] = "unfragmented",
        [1 << FLOW_FRAG_NONE | 1 << FLOW_FRAG_FIRST] = "header",
        [1 << FLOW_FRAG_LATER] = "nonheader",
        [7] = "any",
    };

    return names[frags & 7] ? names[frags & 7] : "other";
}

static const char *frag_text(uint8_t frag)
{
    return frag == FLOW_FRAG_NONE    ? "unfragmented"
           : frag == FLOW_FRAG_FIRST ? "a first fragment"
                                     : "a later fragment";
}

static const char *ports_of_packet(struct run *r, uint16_t port)
{
    return PEEK(r, ip_frag)[0] == FLOW_FRAG_LATER ? "of a later fragment" : number(r, port);
}

static const char *quoted_text(struct run *r, bool dst)
{
    struct ip ip[2];

    return cond_quoted(r, &ip[0], &ip[1]) ? ip_text(r, &ip[dst]) : "of no ICMP error";
}

/* Of what is in the packet. */
static struct words header_words(struct run *r, const struct topo_cond *c, enum cond_field f)
{
    const struct flow_key *h = &r->at.raw;

    switch (f) {
    case COND_ETH_TYPE:
        return (struct words){print(r, "0x%04x", h->eth_type), print(r, "0x%04x", c->eth_type)};
    case COND_NO_VLAN:
        return (struct words){print(r, "tag %u", h->vlan_tci & FLOW_VLAN_VID), "untagged"};
    case COND_VLAN:
        return (struct words){h->vlan_tci ? number(r, h->vlan_tci & c->vlan_mask) : "none",
                              number(r, c->vlan)};
    case COND_PROTO:
        return (struct words){number(r, h->ip_proto), number(r, c->proto)};
    case COND_FRAG:
        return (struct words){frag_text(h->ip_frag), frags_text(c->frags)};
    case COND_TOS:
        return (struct words){number(r, h->ip_tos), number(r, c->tos)};
    case COND_SRC:
        return (struct words){ip_text(r, &h->ip_src), cidr_text(r, &c->src)};
    case COND_DST:
        return (struct words){ip_text(r, &h->ip_dst), cidr_text(r, &c->dst)};
    case COND_ETH_SRC:
        return (struct words){mac_text(r, &h->eth_src),
                              masked_mac(r, &c->eth_src, &c->eth_src_mask)};
    case COND_ETH_DST:
        return (struct words){mac_text(r, &h->eth_dst),
                              masked_mac(r, &c->eth_dst, &c->eth_dst_mask)};
    case COND_TP_SRC:
        return (struct words){ports_of_packet(r, h->tp_src), range_text(r, c->tp_src)};
    case COND_TP_DST:
        return (struct words){ports_of_packet(r, h->tp_dst), range_text(r, c->tp_dst)};
    case COND_TCP_FLAGS:
        return (struct words){print(r, "0x%03x", h->tcp_flags),
                              print(r, "0x%03x of 0x%03x", c->tcp_flags, c->tcp_flags_mask)};
    case COND_ICMP_ID:
        return (struct words){number(r, h->icmp_id), number(r, c->icmp_id)};
    default:
        return (struct words){0};
    }
}

/* Of where the packet is and came from. */
static struct words way_words(struct run *r, const struct topo_cond *c, enum cond_field f)
{
    const struct at *at = &r->at;

    switch (f) {
    case COND_IN_PORTS:
        return (struct words){port_text(r, at->in_port), ports_text(r, c->in_ports, c->n_in_ports)};
    case COND_OUT_PORTS:
        return (struct words){port_text(r, at->out_port),
                              ports_text(r, c->out_ports, c->n_out_ports)};
    case COND_PORT_GROUP:
        return (struct words){port_text(r, at->entry), name_of(r, c->port_group)};
    case COND_IN_PORT_GROUP:
        return (struct words){port_text(r, at->in_port), name_of(r, c->in_port_group)};
    case COND_OUT_PORT_GROUP:
        return (struct words){port_text(r, at->out_port), name_of(r, c->out_port_group)};
    case COND_TRAVERSED:
        return (struct words){"the way", print(r, "through %s", name_of(r, c->traversed))};
    case COND_DST_REWRITTEN:
        return (struct words){"the destination", "translated here"};
    case COND_SRC_GROUP:
        return (struct words){ip_text(r, &at->raw.ip_src), name_of(r, c->src_group)};
    case COND_DST_GROUP:
        return (struct words){ip_text(r, &at->raw.ip_dst), name_of(r, c->dst_group)};
    case COND_ICMP_DATA_SRC:
        return (struct words){quoted_text(r, false), cidr_text(r, &c->icmp_data_src)};
    case COND_ICMP_DATA_DST:
        return (struct words){quoted_text(r, true), cidr_text(r, &c->icmp_data_dst)};
    case COND_FORWARD:
        return (struct words){"a return packet", "opening"};
    case COND_RETURN:
        return (struct words){"an opening packet", "returning"};
    default:
        return header_words(r, c, f);
    }
}

/* Names something that has members. */
static bool is_set(enum cond_field f)
{
    return 1u << f & (COND_BIT(PORT_GROUP) | COND_BIT(IN_PORT_GROUP) | COND_BIT(OUT_PORT_GROUP) |
                      COND_BIT(SRC_GROUP) | COND_BIT(DST_GROUP));
}

const char *cond_text(struct run *r, const struct topo_cond *c, unsigned outcome)
{
    if (outcome == COND_ALL_HOLD)
        return "all of its conditions hold, and it is inverted";
    if (outcome >= COND_N_FIELDS)
        return "holds";
    enum cond_field f = (enum cond_field)outcome;
    struct words w = way_words(r, c, f);
    bool inverted = f != COND_FRAG && c->inv >> f & 1;
    return print(r, "%s %s is not %s%s%s", cond_field_name(f), w.is, is_set(f) ? "in " : "",
                 inverted ? "!" : "", w.wants);
}
