#include "packet/packet.h"
#include "packet/parse.h"
#include "packet/wire.h"

uint8_t *packet_put_eth(uint8_t *p, const struct mac *src, const struct mac *dst, uint16_t type)
{
    memcpy(p, dst->b, 6);
    memcpy(p + 6, src->b, 6);
    put16(p + 12, type);
    return p + WIRE_ETH_SIZE;
}

uint8_t *packet_put_ip4(uint8_t *p, const struct ip *src, const struct ip *dst, uint8_t proto,
                        uint8_t ttl, uint8_t tos, size_t payload_size)
{
    memset(p, 0, WIRE_IP4_SIZE);
    p[0] = 0x45;
    p[1] = tos;
    put16(p + 2, (uint16_t)(WIRE_IP4_SIZE + payload_size));
    put16(p + 6, 0x4000); /* whole and never to be fragmented: needs no identification, RFC 6864 */
    p[8] = ttl;
    p[9] = proto;
    memcpy(p + 12, &src->w[3], 4);
    memcpy(p + 16, &dst->w[3], 4);
    return p + WIRE_IP4_SIZE;
}

uint8_t *packet_put_ip6(uint8_t *p, const struct ip *src, const struct ip *dst, uint8_t proto,
                        uint8_t ttl, uint8_t tos, size_t payload_size)
{
    put32(p, 6u << 28 | (uint32_t)tos << 20);
    put16(p + 4, (uint16_t)payload_size);
    p[6] = proto;
    p[7] = ttl;
    memcpy(p + 8, src->b, 16);
    memcpy(p + 24, dst->b, 16);
    return p + WIRE_IP6_SIZE;
}

static size_t transport_header_size(const struct flow_key *key)
{
    if (key->ip_frag == FLOW_FRAG_LATER)
        return 0;
    switch (key->ip_proto) {
    case WIRE_PROTO_TCP:
        return WIRE_TCP_SIZE;
    case WIRE_PROTO_UDP:
    case WIRE_PROTO_ICMP:
    case WIRE_PROTO_ICMP6:
        return WIRE_UDP_SIZE;
    case WIRE_PROTO_SCTP:
        return WIRE_SCTP_SIZE;
    default:
        return 0;
    }
}

static void put_transport(uint8_t *p, const struct flow_key *key, size_t payload_size)
{
    size_t header = transport_header_size(key);

    if (!header)
        return;
    memset(p, 0, header);
    switch (key->ip_proto) {
    case WIRE_PROTO_ICMP:
    case WIRE_PROTO_ICMP6:
        p[0] = (uint8_t)key->tp_src;
        p[1] = (uint8_t)key->tp_dst;
        put16(p + 4, key->icmp_id);
        return;
    case WIRE_PROTO_TCP:
        p[12] = 5 << 4 | (key->tcp_flags >> 8 & 15);
        p[13] = (uint8_t)key->tcp_flags;
        put16(p + 14, 0xffff);
        break;
    case WIRE_PROTO_UDP:
        put16(p + 4, (uint16_t)(WIRE_UDP_SIZE + payload_size));
        break;
    }
    put16(p, key->tp_src);
    put16(p + 2, key->tp_dst);
}

/* IP header (and IPv6 fragment header) for 'n' bytes behind it. */
static uint8_t *put_ip(uint8_t *p, const struct flow_key *key, size_t n)
{
    /* A later fragment starts where an Ethernet's worth of the first one ended. */
    unsigned offset = key->ip_frag == FLOW_FRAG_LATER ? 1480 : 0;
    bool more = key->ip_frag == FLOW_FRAG_FIRST;

    if (key->eth_type == ETH_TYPE_IP) {
        uint8_t *ip = p;
        p = packet_put_ip4(p, &key->ip_src, &key->ip_dst, key->ip_proto, key->ip_ttl, key->ip_tos,
                           n);
        if (key->ip_frag) {
            put16(ip + 4, 1);
            put16(ip + 6, (uint16_t)(offset / 8 | (more ? 0x2000 : 0)));
        }
        return p;
    }
    p = packet_put_ip6(p, &key->ip_src, &key->ip_dst,
                       key->ip_frag ? WIRE_PROTO_FRAGMENT : key->ip_proto, key->ip_ttl, key->ip_tos,
                       n + (key->ip_frag ? 8 : 0));
    if (!key->ip_frag)
        return p;
    p[0] = key->ip_proto;
    p[1] = 0;
    put16(p + 2, (uint16_t)(offset | more));
    put32(p + 4, 1);
    return p + 8;
}

static size_t arp_from_key(uint8_t *buf, uint8_t *p, const struct flow_key *key)
{
    uint8_t arp[WIRE_ETH_SIZE + WIRE_ARP_SIZE];

    packet_arp(arp, sizeof arp, key->ip_proto, &key->eth_src, &key->eth_dst, &key->eth_src,
               &key->ip_src, &(struct mac){{0}}, &key->ip_dst);
    memcpy(p, arp + WIRE_ETH_SIZE, WIRE_ARP_SIZE);
    return (size_t)(p - buf) + WIRE_ARP_SIZE;
}

static size_t frame_size(const struct flow_key *key, size_t payload_size)
{
    size_t n = WIRE_ETH_SIZE + (key->vlan_tci ? WIRE_VLAN_SIZE : 0);

    switch (key->eth_type) {
    case ETH_TYPE_ARP:
        return n + WIRE_ARP_SIZE;
    case ETH_TYPE_IP:
        return n + WIRE_IP4_SIZE + transport_header_size(key) + payload_size;
    case ETH_TYPE_IP6:
        return n + WIRE_IP6_SIZE + (key->ip_frag ? 8 : 0) + transport_header_size(key) +
               payload_size;
    default:
        return n + payload_size;
    }
}

size_t packet_from_key(uint8_t *buf, size_t size, const struct flow_key *key, const void *payload,
                       size_t payload_size)
{
    size_t behind_ip = transport_header_size(key) + payload_size;
    uint8_t *p = buf;

    if (behind_ip > 65000 || frame_size(key, payload_size) > size)
        return 0;
    p = packet_put_eth(p, &key->eth_src, &key->eth_dst, key->eth_type);
    if (key->vlan_tci) {
        put16(p - 2, ETH_TYPE_VLAN);
        put16(p, key->vlan_tci & (uint16_t)~FLOW_VLAN_PRESENT);
        put16(p + 2, key->eth_type);
        p += WIRE_VLAN_SIZE;
    }
    if (key->eth_type == ETH_TYPE_ARP)
        return arp_from_key(buf, p, key);
    if (key->eth_type == ETH_TYPE_IP || key->eth_type == ETH_TYPE_IP6) {
        p = put_ip(p, key, behind_ip);
        put_transport(p, key, payload_size);
        p += transport_header_size(key);
    }
    if (payload_size)
        memcpy(p, payload, payload_size);
    size_t total = (size_t)(p - buf) + payload_size;
    packet_finish_checksums(buf, total);
    return total;
}
