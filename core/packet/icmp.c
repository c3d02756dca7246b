/* ICMP and ICMPv6 messages that routers send: errors (RFC 792, 1812, 4443) and echo replies. */
#include "packet/checksum.h"
#include "packet/packet.h"
#include "packet/parse.h"
#include "packet/wire.h"

enum {
    ERROR_MAX4 = 576,  /* RFC 1812 section 4.3.2.3 */
    ERROR_MAX6 = 1280, /* RFC 4443 section 2.4 (c) */
    ERROR_TTL = 64,
    ERROR_TOS = 0xc0, /* internetwork control, RFC 1812 section 4.3.2.5 */
};

/* Both families lay an error out alike; ICMPv6 has a 32-bit MTU where ICMP has 16 bits of it. */
static void put_error(uint8_t *p, uint8_t type, uint8_t code, uint32_t mtu, const uint8_t *quote,
                      size_t n)
{
    p[0] = type;
    p[1] = code;
    put16(p + 2, 0);
    put32(p + 4, mtu);
    memcpy(p + WIRE_ICMP_SIZE, quote, n);
}

size_t packet_icmp_error(uint8_t *buf, size_t size, const struct mac *src_mac, const struct ip *src,
                         const struct mac *dst_mac, uint8_t type, uint8_t code, uint32_t mtu,
                         const uint8_t *orig, size_t orig_size)
{
    struct flow_key key;
    struct packet_layers l;

    packet_parse(orig, orig_size, &key, &l);
    if (!l.l4 || (key.eth_type != ETH_TYPE_IP && key.eth_type != ETH_TYPE_IP6))
        return 0;
    bool ip6 = key.eth_type == ETH_TYPE_IP6;
    size_t header = ip6 ? WIRE_IP6_SIZE : WIRE_IP4_SIZE;
    size_t quote =
        MIN(l.l4_end - l.l3, (size_t)(ip6 ? ERROR_MAX6 : ERROR_MAX4) - header - WIRE_ICMP_SIZE);
    size_t total = WIRE_ETH_SIZE + header + WIRE_ICMP_SIZE + quote;
    if (total > size)
        return 0;
    uint8_t *p = packet_put_eth(buf, src_mac, dst_mac, key.eth_type);
    p = ip6 ? packet_put_ip6(p, src, &key.ip_src, WIRE_PROTO_ICMP6, ERROR_TTL, ERROR_TOS,
                             WIRE_ICMP_SIZE + quote)
            : packet_put_ip4(p, src, &key.ip_src, WIRE_PROTO_ICMP, ERROR_TTL, ERROR_TOS,
                             WIRE_ICMP_SIZE + quote);
    put_error(p, type, code, ip6 ? mtu : mtu & 0xffff, orig + l.l3, quote);
    packet_finish_checksums(buf, total);
    return total;
}

size_t packet_echo_reply(uint8_t *buf, size_t size, const uint8_t *request, size_t request_size)
{
    struct flow_key key;
    struct packet_layers l;
    uint8_t mac[6], addr[16];

    packet_parse(request, request_size, &key, &l);
    bool ip6 = key.eth_type == ETH_TYPE_IP6;
    bool icmp = ip6 ? key.ip_proto == WIRE_PROTO_ICMP6
                    : key.eth_type == ETH_TYPE_IP && key.ip_proto == WIRE_PROTO_ICMP;
    if (key.malformed || !icmp || key.ip_frag || key.tp_src != (ip6 ? 128 : 8) || l.l4_end > size)
        return 0;
    memcpy(buf, request, l.l4_end);
    memcpy(mac, buf, 6);
    memcpy(buf, buf + 6, 6);
    memcpy(buf + 6, mac, 6);
    uint8_t *ip = buf + l.l3, *src = ip + (ip6 ? 8 : 12);
    size_t n = ip6 ? 16 : 4;
    memcpy(addr, src, n);
    memcpy(src, src + n, n);
    memcpy(src + n, addr, n);
    ip[ip6 ? 7 : 8] = ERROR_TTL;
    buf[l.l4] = ip6 ? 129 : 0;
    packet_finish_checksums(buf, l.l4_end);
    return l.l4_end;
}
