/* The kernel's flow attributes in our words: keys as flow keys, actions as text. */
#include <arpa/inet.h>
#include <netlink/attr.h>

#include "base/mem.h"
#include "datapath/ovs_internal.h"
#include "datapath/ovs_view.h"
#include "packet/packet.h"

#define NESTING 4 /* clones in clones: deeper ones are "..." */

static bool holds(const struct nlattr *a, size_t size)
{
    return nla_len(a) >= (int)size;
}

static void read_tunnel(const struct nlattr *nest, struct flow_key *k)
{
    struct nlattr *a;
    int left;
    uint64_t id;
    uint32_t addr;

    nla_for_each_nested(a, nest, left)
    {
        if (nla_type(a) == OVS_TUNNEL_KEY_ATTR_ID && holds(a, 8)) {
            memcpy(&id, nla_data(a), sizeof id);
            k->tun_id = (uint32_t)__builtin_bswap64(id);
        } else if (nla_type(a) == OVS_TUNNEL_KEY_ATTR_IPV4_SRC && holds(a, 4)) {
            memcpy(&addr, nla_data(a), sizeof addr);
            k->tun_src = ip_from4(addr);
        } else if (nla_type(a) == OVS_TUNNEL_KEY_ATTR_IPV6_SRC && holds(a, 16)) {
            memcpy(k->tun_src.b, nla_data(a), 16);
        }
    }
}

static void read_ip4(const struct nlattr *a, struct flow_key *k)
{
    struct ovs_key_ipv4 v;

    memcpy(&v, nla_data(a), sizeof v);
    k->ip_src = ip_from4(v.ipv4_src);
    k->ip_dst = ip_from4(v.ipv4_dst);
    k->ip_proto = v.ipv4_proto;
    k->ip_tos = v.ipv4_tos;
    k->ip_ttl = v.ipv4_ttl;
    k->ip_frag = v.ipv4_frag;
}

static void read_ip6(const struct nlattr *a, struct flow_key *k)
{
    struct ovs_key_ipv6 v;

    memcpy(&v, nla_data(a), sizeof v);
    memcpy(k->ip_src.b, v.ipv6_src, 16);
    memcpy(k->ip_dst.b, v.ipv6_dst, 16);
    k->ip_proto = v.ipv6_proto;
    k->ip_tos = v.ipv6_tclass;
    k->ip_ttl = v.ipv6_hlimit;
    k->ip_frag = v.ipv6_frag;
}

static void read_arp(const struct nlattr *a, struct flow_key *k)
{
    struct ovs_key_arp v;

    memcpy(&v, nla_data(a), sizeof v);
    k->ip_src = ip_from4(v.arp_sip);
    k->ip_dst = ip_from4(v.arp_tip);
    k->ip_proto = (uint8_t)htons(v.arp_op);
}

static void read_ethernet(const struct nlattr *a, struct flow_key *k)
{
    struct ovs_key_ethernet v;

    memcpy(&v, nla_data(a), sizeof v);
    memcpy(k->eth_src.b, v.eth_src, 6);
    memcpy(k->eth_dst.b, v.eth_dst, 6);
}

static void read_key(const struct nlattr *nest, struct flow_key *k, unsigned depth)
{
    bool tagged = nla_find(nla_data(nest), nla_len(nest), OVS_KEY_ATTR_VLAN);
    struct nlattr *a;
    uint16_t two[2];
    int left;

    nla_for_each_nested(a, nest, left)
    {
        switch (nla_type(a)) {
        case OVS_KEY_ATTR_IN_PORT:
            k->in_port = holds(a, 4) ? nla_get_u32(a) : 0;
            break;
        case OVS_KEY_ATTR_TUNNEL:
            read_tunnel(a, k);
            break;
        case OVS_KEY_ATTR_ETHERNET:
            if (holds(a, sizeof(struct ovs_key_ethernet)))
                read_ethernet(a, k);
            break;
        case OVS_KEY_ATTR_ETHERTYPE: /* of the frame: behind one tag, or the second tag's */
            if (holds(a, 2) && !(tagged && !depth))
                k->eth_type = htons(nla_get_u16(a));
            break;
        case OVS_KEY_ATTR_VLAN:
            if (holds(a, 2) && !depth)
                k->vlan_tci = htons(nla_get_u16(a));
            break;
        case OVS_KEY_ATTR_ENCAP:
            if (!depth)
                read_key(a, k, depth + 1);
            break;
        case OVS_KEY_ATTR_IPV4:
            if (holds(a, sizeof(struct ovs_key_ipv4)))
                read_ip4(a, k);
            break;
        case OVS_KEY_ATTR_IPV6:
            if (holds(a, sizeof(struct ovs_key_ipv6)))
                read_ip6(a, k);
            break;
        case OVS_KEY_ATTR_ARP:
            if (holds(a, sizeof(struct ovs_key_arp)))
                read_arp(a, k);
            break;
        case OVS_KEY_ATTR_TCP:
        case OVS_KEY_ATTR_UDP:
        case OVS_KEY_ATTR_SCTP:
            if (holds(a, sizeof two)) {
                memcpy(two, nla_data(a), sizeof two);
                k->tp_src = htons(two[0]);
                k->tp_dst = htons(two[1]);
            }
            break;
        case OVS_KEY_ATTR_ICMP:
        case OVS_KEY_ATTR_ICMPV6:
            if (holds(a, 2)) {
                k->tp_src = ((uint8_t *)nla_data(a))[0];
                k->tp_dst = ((uint8_t *)nla_data(a))[1];
            }
            break;
        case OVS_KEY_ATTR_TCP_FLAGS:
            k->tcp_flags = holds(a, 2) ? htons(nla_get_u16(a)) : 0;
            break;
        }
    }
}

void ovs_view_key(const struct nlattr *nest, struct flow_key *key)
{
    memset(key, 0, sizeof *key);
    read_key(nest, key, 0);
}

/* A mask of an IPv4 address stands for one of the mapped address, whose prefix is always there. */
static void map_mask(struct ip *mask)
{
    if (!ip_is4(mask))
        return;
    if (!mask->w[3])
        *mask = ip_none;
    else
        mask->w[0] = mask->w[1] = mask->w[2] = ~0u;
}

void ovs_view_mask(const struct nlattr *nest, struct flow_key *mask)
{
    ovs_view_key(nest, mask);
    map_mask(&mask->ip_src);
    map_mask(&mask->ip_dst);
    map_mask(&mask->tun_src);
}

/* Actions. */

static void actions(const struct nlattr *nest, struct strbuf *sb, unsigned depth);

#define SET_MAX 64 /* bytes of the largest header that can be set */

/* A header's value or mask, taken out of a set action, as a nest that holds it alone. */
static void read_half(const struct nlattr *a, const uint8_t *from, int size, bool is_mask,
                      struct flow_key *k)
{
    struct {
        struct nlattr nest, head;
        uint8_t data[SET_MAX];
    } n = {.nest.nla_len = (uint16_t)(2 * NLA_HDRLEN + size),
           .head.nla_len = (uint16_t)(NLA_HDRLEN + size),
           .head.nla_type = (uint16_t)nla_type(a)};

    if (from)
        memcpy(n.data, from, (size_t)size);
    else
        memset(n.data, 0xff, (size_t)size);
    if (is_mask)
        ovs_view_mask(&n.nest, k);
    else
        ovs_view_key(&n.nest, k);
}

static void set_text(const struct nlattr *nest, bool masked, struct strbuf *sb)
{
    const struct nlattr *a = nla_data(nest);
    struct flow_key value = {0}, mask;
    char text[512];

    if (!nla_ok(a, nla_len(nest)))
        return;
    int size = nla_len(a) / (masked ? 2 : 1);

    if (nla_type(a) == OVS_KEY_ATTR_TUNNEL) {
        read_tunnel(a, &value);
        sb_printf(sb, "tunnel=%u", value.tun_id);
    } else if (size <= SET_MAX) {
        read_half(a, nla_data(a), size, false, &value);
        read_half(a, masked ? (uint8_t *)nla_data(a) + size : NULL, size, true, &mask);
        sb_printf(sb, "set(%s)", flow_key_format(&value, &mask, text, sizeof text));
    }
}

static void nested(const char *name, const struct nlattr *nest, int type, struct strbuf *sb,
                   unsigned depth)
{
    const struct nlattr *inner = type ? nla_find(nla_data(nest), nla_len(nest), type) : nest;

    sb_printf(sb, "%s(", name);
    if (inner)
        actions(inner, sb, depth + 1);
    sb_add(sb, ")");
}

static void action(const struct nlattr *a, struct strbuf *sb, unsigned depth)
{
    struct ovs_action_push_vlan v;

    switch (nla_type(a)) {
    case OVS_ACTION_ATTR_OUTPUT:
        sb_printf(sb, "output=%u", holds(a, 4) ? nla_get_u32(a) : 0);
        break;
    case OVS_ACTION_ATTR_USERSPACE:
        sb_add(sb, "up");
        break;
    case OVS_ACTION_ATTR_SET:
    case OVS_ACTION_ATTR_SET_MASKED:
        set_text(a, nla_type(a) == OVS_ACTION_ATTR_SET_MASKED, sb);
        break;
    case OVS_ACTION_ATTR_PUSH_VLAN:
        if (!holds(a, sizeof v))
            break;
        memcpy(&v, nla_data(a), sizeof v);
        sb_printf(sb, "push_vlan=%u", htons(v.vlan_tci) & FLOW_VLAN_VID);
        break;
    case OVS_ACTION_ATTR_POP_VLAN:
        sb_add(sb, "pop_vlan");
        break;
    case OVS_ACTION_ATTR_CLONE:
        nested("clone", a, 0, sb, depth);
        break;
    case OVS_ACTION_ATTR_SAMPLE:
        nested("sample", a, OVS_SAMPLE_ATTR_ACTIONS, sb, depth);
        break;
    case OVS_ACTION_ATTR_DEC_TTL:
        nested("dec_ttl_or", a, OVS_DEC_TTL_ATTR_ACTION, sb, depth);
        break;
    case OVS_ACTION_ATTR_RECIRC:
        sb_printf(sb, "again=%u", holds(a, 4) ? nla_get_u32(a) : 0);
        break;
    case OVS_ACTION_ATTR_CT:
        sb_add(sb, "conntrack");
        break;
    case OVS_ACTION_ATTR_METER:
        sb_printf(sb, "meter=%u", holds(a, 4) ? nla_get_u32(a) : 0);
        break;
    default:
        sb_printf(sb, "action_%d", nla_type(a));
    }
}

/* The note of a flow of ours isn't shown. */
static bool is_note(const struct nlattr *a)
{
    const struct nlattr *p = nla_type(a) == OVS_ACTION_ATTR_SAMPLE
                                 ? nla_find(nla_data(a), nla_len(a), OVS_SAMPLE_ATTR_PROBABILITY)
                                 : NULL;

    return p && holds(p, 4) && !nla_get_u32(p);
}

static void actions(const struct nlattr *nest, struct strbuf *sb, unsigned depth)
{
    struct nlattr *a;
    bool first = true;
    int left;

    if (depth > NESTING) {
        sb_add(sb, "...");
        return;
    }
    nla_for_each_nested(a, nest, left)
    {
        if (is_note(a))
            continue;
        sb_add(sb, first ? "" : ",");
        action(a, sb, depth);
        first = false;
    }
    if (first && !depth)
        sb_add(sb, "drop");
}

void ovs_view_actions(const struct nlattr *nest, struct strbuf *sb)
{
    if (nest)
        actions(nest, sb, 0);
    else
        sb_add(sb, "drop");
}
