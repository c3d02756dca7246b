/* Flow keys and masks in the kernel's attributes.
 *
 * The kernel always matches whether a frame has a tag, and one tag or two; a flow that doesn't look
 * at tags becomes three there, for frames with none, one and two of 802.1Q.  Others (802.1ad) go up
 * and are treated by the agent.  An attribute of the mask that is all zero is as good
 * as absent; what the kernel can't match it refuses with EINVAL, here -ENOTSUP.  A nest of which
 * all is zero counts as zero: so the mask of the port, which never is, goes into the innermost.
 *
 * IPv6: of a later fragment the kernel says protocol 44 only. */
#include <netinet/in.h>

#include "base/mem.h"
#include "datapath/ovs_internal.h"
#include "packet/packet.h"

#define TYPE_RARP 0x8035
#define TYPE_MPLS 0x8847
#define TYPE_NSH  0x894f

static bool is_tag(uint16_t eth_type)
{
    return eth_type == ETH_TYPE_VLAN || eth_type == ETH_TYPE_QINQ;
}

unsigned ovs_key_variants(const struct flow_key *key, const struct flow_key *mask)
{
    uint16_t looks = mask->vlan_tci, want = key->vlan_tci & mask->vlan_tci;
    bool exact = mask->eth_type == 0xffff, second = exact && is_tag(key->eth_type);
    bool tagged = !(looks & FLOW_VLAN_PRESENT) || want & FLOW_VLAN_PRESENT;
    unsigned variants = 0;

    if (!want && !second)
        variants |= 1u << OVS_UNTAGGED; /* a frame without a tag has 0 there */
    if (tagged && !second)
        variants |= 1u << OVS_TAGGED;
    if (tagged && (second || !exact))
        variants |= 1u << OVS_TAGGED_TWICE;
    return variants;
}

static void put_ip4(struct ovs_buf *b, const struct flow_key *k, int ttl)
{
    struct ovs_key_ipv4 a = {.ipv4_src = ip_to4(&k->ip_src),
                             .ipv4_dst = ip_to4(&k->ip_dst),
                             .ipv4_proto = k->ip_proto,
                             .ipv4_tos = k->ip_tos,
                             .ipv4_ttl = (uint8_t)(ttl < 0 ? 0 : ttl),
                             .ipv4_frag = k->ip_frag};

    ovs_put(b, OVS_KEY_ATTR_IPV4, &a, sizeof a);
}

static void put_ip6(struct ovs_buf *b, const struct flow_key *k, int ttl)
{
    struct ovs_key_ipv6 a = {.ipv6_proto = k->ip_proto,
                             .ipv6_tclass = k->ip_tos,
                             .ipv6_hlimit = (uint8_t)(ttl < 0 ? 0 : ttl),
                             .ipv6_frag = k->ip_frag};

    memcpy(a.ipv6_src, k->ip_src.b, 16);
    memcpy(a.ipv6_dst, k->ip_dst.b, 16);
    ovs_put(b, OVS_KEY_ATTR_IPV6, &a, sizeof a);
}

static void put_arp(struct ovs_buf *b, const struct flow_key *k)
{
    struct ovs_key_arp a = {
        .arp_sip = ip_to4(&k->ip_src), .arp_tip = ip_to4(&k->ip_dst), .arp_op = htons(k->ip_proto)};

    ovs_put(b, OVS_KEY_ATTR_ARP, &a, sizeof a);
}

/* 'key' says which attributes its packets have, 'k' (it, or its mask) what is in them. */
static void put_l4(struct ovs_buf *b, const struct flow_key *key, const struct flow_key *k)
{
    uint16_t ports[2] = {htons(k->tp_src), htons(k->tp_dst)};
    uint8_t type_code[2] = {(uint8_t)k->tp_src, (uint8_t)k->tp_dst};
    bool ip6 = key->eth_type == ETH_TYPE_IP6;

    if (key->ip_frag == FLOW_FRAG_LATER)
        return;
    switch (key->ip_proto) {
    case IPPROTO_TCP:
        ovs_put(b, OVS_KEY_ATTR_TCP, ports, sizeof ports);
        ovs_put_u16(b, OVS_KEY_ATTR_TCP_FLAGS, htons(k->tcp_flags & 0xfff));
        break;
    case IPPROTO_UDP:
        ovs_put(b, OVS_KEY_ATTR_UDP, ports, sizeof ports);
        break;
    case IPPROTO_SCTP:
        ovs_put(b, OVS_KEY_ATTR_SCTP, ports, sizeof ports);
        break;
    case IPPROTO_ICMP:
        if (!ip6)
            ovs_put(b, OVS_KEY_ATTR_ICMP, type_code, sizeof type_code);
        break;
    case IPPROTO_ICMPV6:
        if (!ip6)
            break;
        ovs_put(b, OVS_KEY_ATTR_ICMPV6, type_code, sizeof type_code);
        if (key->tp_src == 135 || key->tp_src == 136) /* expected, not looked at */
            ovs_put(b, OVS_KEY_ATTR_ND, NULL, sizeof(struct ovs_key_nd));
        break;
    }
}

/* What is behind the tags. */
static void put_inner(struct ovs_buf *b, const struct flow_key *key, const struct flow_key *k,
                      int ttl)
{
    if (k != key || k->eth_type) /* none means 802.3, in a key */
        ovs_put_u16(b, OVS_KEY_ATTR_ETHERTYPE, htons(k->eth_type));
    switch (key->eth_type) {
    case ETH_TYPE_IP:
        put_ip4(b, k, ttl);
        put_l4(b, key, k);
        break;
    case ETH_TYPE_IP6:
        put_ip6(b, k, ttl);
        put_l4(b, key, k);
        break;
    case ETH_TYPE_ARP:
        put_arp(b, k);
        break;
    case TYPE_RARP:
        ovs_put(b, OVS_KEY_ATTR_ARP, NULL, sizeof(struct ovs_key_arp));
        break;
    case TYPE_MPLS:
    case TYPE_MPLS + 1:
        ovs_put(b, OVS_KEY_ATTR_MPLS, NULL, sizeof(struct ovs_key_mpls));
        break;
    }
}

static uint32_t begin_tag(struct ovs_buf *b, bool is_mask, uint16_t tpid, uint16_t tci)
{
    ovs_put_u16(b, OVS_KEY_ATTR_ETHERTYPE, is_mask ? 0xffff : htons(tpid));
    ovs_put_u16(b, OVS_KEY_ATTR_VLAN, htons(tci | FLOW_VLAN_PRESENT));
    return ovs_nest(b, OVS_KEY_ATTR_ENCAP);
}

static void put_side(struct ovs_buf *b, bool is_mask, const struct flow_key *key,
                     const struct flow_key *k, enum ovs_variant variant, int ttl)
{
    uint32_t nest = ovs_nest(b, is_mask ? OVS_FLOW_ATTR_MASK : OVS_FLOW_ATTR_KEY), tag[2] = {0, 0};
    struct ovs_key_ethernet eth;

    memcpy(eth.eth_src, k->eth_src.b, 6);
    memcpy(eth.eth_dst, k->eth_dst.b, 6);
    ovs_put(b, OVS_KEY_ATTR_ETHERNET, &eth, sizeof eth);
    if (variant != OVS_UNTAGGED)
        tag[0] = begin_tag(b, is_mask, ETH_TYPE_VLAN, k->vlan_tci);
    if (variant == OVS_TAGGED_TWICE) { /* of the second, only the presence counts */
        tag[1] = begin_tag(b, is_mask, key->eth_type ? key->eth_type : ETH_TYPE_VLAN, 0);
        ovs_put_u32(b, OVS_KEY_ATTR_IN_PORT, k->in_port);
        ovs_nest_end(b, tag[1]);
    } else {
        ovs_put_u32(b, OVS_KEY_ATTR_IN_PORT, k->in_port);
        put_inner(b, key, k, ttl);
    }
    if (tag[0])
        ovs_nest_end(b, tag[0]);
    ovs_nest_end(b, nest);
}

static bool looks_at(const struct flow_key *mask)
{
    return mask->ip_proto || mask->ip_tos || mask->ip_frag || mask->tp_src || mask->tp_dst ||
           mask->tcp_flags || !ip_is_none(&mask->ip_src) || !ip_is_none(&mask->ip_dst);
}

static bool looks_at_ports(const struct flow_key *mask)
{
    return mask->tp_src || mask->tp_dst || mask->tcp_flags;
}

static bool has_ports(uint8_t proto)
{
    return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP ||
           proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

static int check(const struct flow_key *key, const struct flow_key *mask)
{
    bool exact_type = mask->eth_type == 0xffff;

    if (key->tun_id & mask->tun_id || key->tun_src.q[0] & mask->tun_src.q[0] ||
        key->tun_src.q[1] & mask->tun_src.q[1])
        return -ENOTSUP; /* out of a tunnel, the key alone decides */
    if ((mask->eth_type && !exact_type) || (exact_type && key->eth_type == TYPE_NSH))
        return -ENOTSUP;
    if (!exact_type)
        return looks_at(mask) ? -ENOTSUP : 0;
    if (key->eth_type == ETH_TYPE_IP6 && mask->ip_proto && key->ip_frag & mask->ip_frag & 2)
        return -ENOTSUP; /* the protocol of a later fragment isn't seen */
    if (key->eth_type != ETH_TYPE_IP && key->eth_type != ETH_TYPE_IP6)
        return 0;
    if (looks_at_ports(mask) && mask->ip_proto != 0xff)
        return -ENOTSUP; /* where the ports are depends on the protocol */
    if (!has_ports(key->ip_proto) && (key->tp_src & mask->tp_src || key->tp_dst & mask->tp_dst))
        return -ENOTSUP; /* never matches */
    return 0;
}

int ovs_key_put(struct ovs_buf *b, const struct flow_key *key, const struct flow_key *mask,
                enum ovs_variant variant, int ttl)
{
    struct flow_key k = *key, m = *mask;
    int rc = check(key, mask);

    if (rc)
        return rc;
    if (m.eth_type != 0xffff)
        k.eth_type = 0; /* not looked at, so not behind it either */
    if (m.ip_proto != 0xff && k.eth_type != ETH_TYPE_ARP)
        k.ip_proto &= m.ip_proto;
    put_side(b, false, &k, &k, variant, ttl);
    put_side(b, true, &k, &m, variant, ttl < 0 ? -1 : 0xff);
    return 0;
}

/* Tunnels. */

static void put_tunnel(struct ovs_buf *b, bool is_mask, enum ovs_endpoint endpoint, uint32_t tun_id)
{
    uint64_t id = is_mask ? ~0ull : __builtin_bswap64(tun_id);
    bool ip6 = endpoint == OVS_VXLAN6;
    uint32_t nest = ovs_nest(b, OVS_KEY_ATTR_TUNNEL);
    uint8_t addr[16] = {[15] = 1}; /* must be there, isn't looked at */

    ovs_put(b, OVS_TUNNEL_KEY_ATTR_ID, &id, sizeof id);
    if (!is_mask) {
        ovs_put(b, ip6 ? OVS_TUNNEL_KEY_ATTR_IPV6_SRC : OVS_TUNNEL_KEY_ATTR_IPV4_SRC,
                ip6 ? addr : addr + 12, ip6 ? 16 : 4);
        ovs_put(b, ip6 ? OVS_TUNNEL_KEY_ATTR_IPV6_DST : OVS_TUNNEL_KEY_ATTR_IPV4_DST,
                ip6 ? addr : addr + 12, ip6 ? 16 : 4);
        ovs_put_u8(b, OVS_TUNNEL_KEY_ATTR_TTL, 64);
    } else if (ip6) { /* so that the kernel knows the family of the mask */
        ovs_put(b, OVS_TUNNEL_KEY_ATTR_IPV6_SRC, NULL, 16);
    }
    ovs_nest_end(b, nest);
}

void ovs_key_put_tunnel(struct ovs_buf *b, enum ovs_endpoint endpoint, uint32_t tun_id,
                        unsigned tags)
{
    static const uint16_t outer[OVS_N_TAGGINGS] = {0,      0x8100, 0x88a8, 0x8100,
                                                   0x8100, 0x88a8, 0x88a8};
    static const uint16_t inner[OVS_N_TAGGINGS] = {0, 0, 0, 0x8100, 0x88a8, 0x8100, 0x88a8};
    enum flow_tunnel type = endpoint == OVS_GRE4 ? FLOW_TUNNEL_GRE : FLOW_TUNNEL_VXLAN;

    for (unsigned is_mask = 0; is_mask < 2; is_mask++) {
        uint32_t nest = ovs_nest(b, is_mask ? OVS_FLOW_ATTR_MASK : OVS_FLOW_ATTR_KEY), tag[2] = {0};

        put_tunnel(b, is_mask, endpoint, tun_id);
        ovs_put(b, OVS_KEY_ATTR_ETHERNET, NULL, sizeof(struct ovs_key_ethernet));
        if (outer[tags])
            tag[0] = begin_tag(b, is_mask, outer[tags], 0);
        if (inner[tags])
            tag[1] = begin_tag(b, is_mask, inner[tags], 0);
        ovs_put_u32(b, OVS_KEY_ATTR_IN_PORT, is_mask ? ~0u : OVS_TUNNEL_PORT + type);
        for (unsigned i = 2; i-- > 0;)
            if (tag[i])
                ovs_nest_end(b, tag[i]);
        ovs_nest_end(b, nest);
    }
}
