/* Neighbour discovery messages (RFC 4861): validation, reading, building; and ARP's hardware
 * addresses (RFC 826). */
#include <errno.h>

#include "packet/packet.h"
#include "packet/parse.h"
#include "packet/wire.h"

enum { ND_RS = 133, ND_RA, ND_NS, ND_NA, ND_REDIRECT };
enum { OPT_SOURCE_LLADDR = 1, OPT_TARGET_LLADDR = 2 };

/* Bytes before the options. */
static size_t fixed_size(unsigned type)
{
    static const uint8_t sizes[] = {8, 16, 24, 24, 40};

    return sizes[type - ND_RS];
}

/* The option of 'type', or null; *sound says whether all options have a length that fits. */
static const uint8_t *find_option(const uint8_t *p, size_t size, uint8_t type, bool *sound)
{
    const uint8_t *found = NULL;

    *sound = true;
    while (size) {
        size_t n = size < 2 ? 0 : p[1] * 8u;
        if (!n || n > size) {
            *sound = false;
            break;
        }
        if (p[0] == type && !found)
            found = p;
        p += n;
        size -= n;
    }
    return found;
}

static bool target_usable(const uint8_t *p)
{
    struct ip target;

    memcpy(target.b, p, 16);
    return !ip_is_multicast(&target) && !ip_is4(&target) && !ip_is_none(&target);
}

static bool solicitation_usable(const uint8_t *p, const struct flow_key *key, bool has_lladdr)
{
    static const struct ip group = {.b = {0xff, 2, [11] = 1, [12] = 0xff}};

    if (!target_usable(p + 8))
        return false;
    if (!ip_is_none(&key->ip_src))
        return true;
    return !has_lladdr && ip_prefix_equal(&key->ip_dst, &group, 104);
}

bool packet_nd_valid(const uint8_t *p, size_t size, const struct flow_key *key)
{
    unsigned type = p[0];
    bool sound;

    /* Fragmented discovery can't be inspected on the way, so nobody may send it (RFC 6980). */
    if (key->ip_ttl != 255 || p[1] || key->ip_frag != FLOW_FRAG_NONE || size < fixed_size(type))
        return false;
    const uint8_t *lladdr =
        find_option(p + fixed_size(type), size - fixed_size(type), OPT_SOURCE_LLADDR, &sound);
    if (!sound)
        return false;
    switch (type) {
    case ND_RS:
        return !(ip_is_none(&key->ip_src) && lladdr);
    case ND_NS:
        return solicitation_usable(p, key, lladdr);
    case ND_NA:
        return target_usable(p + 8) && !ip_is_none(&key->ip_src) &&
               !(p[4] & 0x40 && ip_is_multicast(&key->ip_dst));
    case ND_REDIRECT:
        if (ip_is_multicast(&(struct ip){.b = {p[24]}}))
            return false;
        /* fallthrough */
    default:
        return ip_is_link_local(&key->ip_src);
    }
}

int packet_nd_parse(const uint8_t *p, size_t size, struct packet_nd *nd)
{
    struct flow_key key;
    struct packet_layers l;
    bool sound;

    packet_parse(p, size, &key, &l);
    if (key.malformed || key.eth_type != ETH_TYPE_IP6 || key.ip_proto != WIRE_PROTO_ICMP6 ||
        key.ip_frag != FLOW_FRAG_NONE || (key.tp_src != ND_NS && key.tp_src != ND_NA))
        return -EINVAL;
    const uint8_t *m = p + l.l4;
    const uint8_t *opt =
        find_option(m + 24, l.l4_end - l.l4 - 24,
                    key.tp_src == ND_NS ? OPT_SOURCE_LLADDR : OPT_TARGET_LLADDR, &sound);
    *nd = (struct packet_nd){.flags = key.tp_src == ND_NA ? get32(m + 4) & 0xe0000000u : 0};
    memcpy(nd->target.b, m + 8, 16);
    if (opt)
        memcpy(nd->lladdr.b, opt + 2, 6);
    return 0;
}

int packet_arp_macs(const uint8_t *p, size_t size, struct mac *sha, struct mac *tha)
{
    struct flow_key key;
    struct packet_layers l;

    packet_parse(p, size, &key, &l);
    if (key.malformed || key.eth_type != ETH_TYPE_ARP)
        return -EINVAL;
    memcpy(sha->b, p + l.l3 + 8, 6);
    memcpy(tha->b, p + l.l3 + 18, 6);
    return 0;
}

size_t packet_arp(uint8_t *buf, size_t size, uint16_t op, const struct mac *eth_src,
                  const struct mac *eth_dst, const struct mac *sha, const struct ip *spa,
                  const struct mac *tha, const struct ip *tpa)
{
    if (size < WIRE_ETH_SIZE + WIRE_ARP_SIZE)
        return 0;
    uint8_t *p = packet_put_eth(buf, eth_src, eth_dst, ETH_TYPE_ARP);
    put16(p, 1);
    put16(p + 2, ETH_TYPE_IP);
    p[4] = 6;
    p[5] = 4;
    put16(p + 6, op);
    memcpy(p + 8, sha->b, 6);
    memcpy(p + 14, &spa->w[3], 4);
    memcpy(p + 18, tha->b, 6);
    memcpy(p + 24, &tpa->w[3], 4);
    return WIRE_ETH_SIZE + WIRE_ARP_SIZE;
}

/* Solicitation or advertisement with one link-layer address option ('lladdr' null: none). */
static size_t nd_message(uint8_t *buf, size_t size, uint8_t type, const struct mac *src_mac,
                         const struct ip *src, const struct mac *dst_mac, const struct ip *dst,
                         uint32_t flags, const struct ip *target, const struct mac *lladdr)
{
    size_t body = lladdr ? 32 : 24, total = WIRE_ETH_SIZE + WIRE_IP6_SIZE + body;

    if (size < total)
        return 0;
    uint8_t *p = packet_put_eth(buf, src_mac, dst_mac, ETH_TYPE_IP6);
    p = packet_put_ip6(p, src, dst, WIRE_PROTO_ICMP6, 255, 0, body);
    memset(p, 0, body);
    p[0] = type;
    put32(p + 4, flags);
    memcpy(p + 8, target->b, 16);
    if (lladdr) {
        p[24] = type == ND_NS ? OPT_SOURCE_LLADDR : OPT_TARGET_LLADDR;
        p[25] = 1;
        memcpy(p + 26, lladdr->b, 6);
    }
    packet_finish_checksums(buf, total);
    return total;
}

size_t packet_nd_solicit(uint8_t *buf, size_t size, const struct mac *src_mac, const struct ip *src,
                         const struct mac *dst_mac, const struct ip *dst, const struct ip *target)
{
    struct ip group = ip_solicited_node(target);
    const struct ip *to = dst ? dst : &group;
    struct mac to_mac = dst_mac ? *dst_mac : mac_of_multicast_ip(to);

    return nd_message(buf, size, ND_NS, src_mac, src, &to_mac, to, 0, target,
                      ip_is_none(src) ? NULL : src_mac);
}

size_t packet_nd_advert(uint8_t *buf, size_t size, const struct mac *src_mac, const struct ip *src,
                        const struct mac *dst_mac, const struct ip *dst, const struct ip *target,
                        bool router, bool solicited)
{
    uint32_t flags = (router ? 1u << 31 : 0) | (solicited ? 1u << 30 : 0) | 1u << 29;

    return nd_message(buf, size, ND_NA, src_mac, src, dst_mac, dst, flags, target, src_mac);
}
