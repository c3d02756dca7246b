#include "sim/cond.h"

#include "packet/wire.h"
#include "sim/mask.h"

enum answer { NO, YES, NEVER /* whether inverted or not */, ENDED };

static bool has_ref(const topo_ref *sorted, uint32_t n, topo_ref ref)
{
    uint32_t lo = 0, hi = n;

    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (sorted[mid] == ref)
            return true;
        if (sorted[mid] < ref)
            lo = mid + 1;
        else
            hi = mid;
    }
    return false;
}

static bool in_group(struct run *r, topo_ref port, topo_ref group)
{
    const struct topo_port *p = port ? topo_port(r->topo, port) : NULL;

    if (!p || p->obj.missing || p->obj.kind != TOPO_PORT)
        return false;
    add_tag(r, tag_object(port));
    return has_ref(p->groups.v, p->groups.n, group);
}

static bool came_through(const struct run *r, topo_ref ref)
{
    const struct at *at = &r->at;

    if (!ref)
        return false;
    if (ref == at->in_port || ref == at->left_by || ref == at->out_port)
        return true;
    for (const struct hop *h = at->hops; h; h = h->before)
        if (h->device == ref || h->in_port == ref || h->left_by == ref)
            return true;
    return false;
}

static enum answer is_member(struct run *r, topo_ref group, const struct ip *ip)
{
    bool ended;
    const struct topo_obj *o = find_object(r, group, TOPO_IP_GROUP, &ended);

    if (ended)
        return ENDED;
    add_tag(r, tag_group_ip(group, ip));
    return o && topo_ip_set_has(((const struct topo_ip_group *)o)->members, ip) ? YES : NO;
}

static bool mac_under(const struct mac *a, const struct mac *b, const struct mac *mask)
{
    return !((mac_u64(a) ^ mac_u64(b)) & mac_u64(mask));
}

/* "::/0" is any IPv6 address, not any address, nor that of a frame that has none. */
static bool of_family(struct run *r, const struct cidr *net)
{
    return likely(!ip_is_none(&net->addr)) || H(r, eth_type) == ETH_TYPE_IP6;
}

static bool is_ip(struct run *r)
{
    uint16_t type = H(r, eth_type);

    return type == ETH_TYPE_IP || type == ETH_TYPE_IP6;
}

/* Does the packet have a transport header of this protocol? */
static bool has_transport(struct run *r, uint8_t proto)
{
    return is_ip(r) && H(r, ip_proto) == proto && H(r, ip_frag) != FLOW_FRAG_LATER;
}

/* Protocols whose ports (or type and code) the key has. */
static bool has_ports(struct run *r)
{
    uint16_t type = H(r, eth_type);

    if ((type != ETH_TYPE_IP && type != ETH_TYPE_IP6) || H(r, ip_frag) == FLOW_FRAG_LATER)
        return false;
    switch (H(r, ip_proto)) {
    case WIRE_PROTO_TCP:
    case WIRE_PROTO_UDP:
    case WIRE_PROTO_SCTP:
        return true;
    case WIRE_PROTO_ICMP:
        return type == ETH_TYPE_IP;
    case WIRE_PROTO_ICMP6:
        return type == ETH_TYPE_IP6;
    default:
        return false;
    }
}

/* A value other than zero is there; a zero may as well stand for none. */
static enum answer in_range(struct run *r, uint16_t value, const uint16_t range[2])
{
    if (!value && !has_ports(r))
        return NEVER;
    return value >= range[0] && value <= range[1] ? YES : NO;
}

static bool is_icmp(struct run *r)
{
    return has_transport(r, H(r, eth_type) == ETH_TYPE_IP6 ? WIRE_PROTO_ICMP6 : WIRE_PROTO_ICMP);
}

static enum answer icmp_id_is(struct run *r, uint16_t id)
{
    if (!is_icmp(r) || (SEE(r, tp_src), !packet_is_echo(&r->at.raw)))
        return NEVER;
    return H(r, icmp_id) == id ? YES : NO;
}

bool cond_quoted(struct run *r, struct ip *src, struct ip *dst)
{
    struct packet_quote q;
    size_t size;

    if (!is_icmp(r) || (SEE(r, tp_src), !packet_is_icmp_error(&r->at.raw)))
        return false;
    userspace_only(r);
    const uint8_t *p = materialize(r, r->at.base, &r->at.raw, &size);
    if (!packet_quote(p, size, &q))
        return false;
    *src = q.key.ip_src;
    *dst = q.key.ip_dst;
    return true;
}

static enum answer quotes(struct run *r, const struct cidr *net, bool dst)
{
    struct ip ip[2];

    if (!cond_quoted(r, &ip[0], &ip[1]))
        return NEVER;
    return cidr_contains(net, &ip[dst]) ? YES : NO;
}

static enum answer ask(struct run *r, const struct topo_cond *c, enum cond_field f)
{
    switch (f) {
    case COND_IN_PORTS:
        return has_ref(c->in_ports, c->n_in_ports, r->at.in_port) ? YES : NO;
    case COND_OUT_PORTS:
        return has_ref(c->out_ports, c->n_out_ports, r->at.out_port) ? YES : NO;
    case COND_PORT_GROUP:
        return in_group(r, r->at.entry, c->port_group) ? YES : NO;
    case COND_IN_PORT_GROUP:
        return in_group(r, r->at.in_port, c->in_port_group) ? YES : NO;
    case COND_OUT_PORT_GROUP:
        return in_group(r, r->at.out_port, c->out_port_group) ? YES : NO;
    case COND_TRAVERSED:
        return came_through(r, c->traversed) ? YES : NO;
    case COND_DST_REWRITTEN:
        return r->at.dst_rewritten ? YES : NO;
    case COND_ETH_TYPE:
        return H(r, eth_type) == c->eth_type ? YES : NO;
    case COND_NO_VLAN:
        return H(r, vlan_tci) ? NO : YES;
    case COND_VLAN:
        return H(r, vlan_tci) && (H(r, vlan_tci) & c->vlan_mask) == c->vlan ? YES : NO;
    case COND_PROTO:
        return H(r, ip_proto) == c->proto ? YES : NO;
    case COND_FRAG:
        return c->frags >> H(r, ip_frag) & 1 ? YES : NO;
    case COND_TOS:
        return H(r, ip_tos) == c->tos ? YES : NO;
    case COND_SRC:
        return src_within(r, &c->src.addr, cidr_len128(&c->src)) && of_family(r, &c->src) ? YES
                                                                                          : NO;
    case COND_DST:
        return dst_within(r, &c->dst.addr, cidr_len128(&c->dst)) && of_family(r, &c->dst) ? YES
                                                                                          : NO;
    case COND_ETH_SRC:
        return mac_under(HP(r, eth_src), &c->eth_src, &c->eth_src_mask) ? YES : NO;
    case COND_ETH_DST:
        return mac_under(HP(r, eth_dst), &c->eth_dst, &c->eth_dst_mask) ? YES : NO;
    case COND_SRC_GROUP:
        return is_member(r, c->src_group, HP(r, ip_src));
    case COND_DST_GROUP:
        return is_member(r, c->dst_group, HP(r, ip_dst));
    case COND_TP_SRC:
        return in_range(r, H(r, tp_src), c->tp_src);
    case COND_TP_DST:
        return in_range(r, H(r, tp_dst), c->tp_dst);
    case COND_TCP_FLAGS:
        if (!has_transport(r, WIRE_PROTO_TCP))
            return NEVER;
        return tcp_flags_are(r, c->tcp_flags & c->tcp_flags_mask, c->tcp_flags_mask) ? YES : NO;
    case COND_ICMP_ID:
        return icmp_id_is(r, c->icmp_id);
    case COND_ICMP_DATA_SRC:
        return quotes(r, &c->icmp_data_src, false);
    case COND_ICMP_DATA_DST:
        return quotes(r, &c->icmp_data_dst, true);
    case COND_FORWARD:
        return conn_is_return(r) ? NO : YES;
    case COND_RETURN:
        return conn_is_return(r) ? YES : NO;
    case COND_N_FIELDS:
        break;
    }
    return NO;
}

unsigned cond_test(struct run *r, const struct topo_cond *c)
{
    uint32_t left = c->has;
    bool all = true;

    while (left) {
        enum cond_field f = (enum cond_field)__builtin_ctz(left);
        enum answer a = ask(r, c, f);
        left &= left - 1;
        if (unlikely(a == ENDED))
            return COND_ENDED;
        if (a != NEVER && (a == YES) != (f != COND_FRAG && c->inv >> f & 1))
            continue;
        if (!c->inverted || f == COND_FRAG)
            return f;
        all = false;
        left &= COND_BIT(FRAG);
    }
    if (!c->inverted)
        return COND_HOLDS;
    return all ? COND_ALL_HOLD : COND_HOLDS;
}
