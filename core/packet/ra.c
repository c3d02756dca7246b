#include "packet/ra.h"

#include <errno.h>

#include "packet/packet.h"
#include "packet/parse.h"
#include "packet/wire.h"

enum { ND_RS = 133, ND_RA = 134 };
enum { OPT_LLADDR = 1, OPT_PREFIX = 3, OPT_MTU = 5, OPT_RDNSS = 25 };
enum { RS_SIZE = 8, RA_SIZE = 16 };
enum { RA_MANAGED = 0x80, RA_OTHER = 0x40, PIO_ON_LINK = 0x80, PIO_AUTONOMOUS = 0x40 };

static uint8_t *put_lladdr(uint8_t *p, const struct mac *mac)
{
    p[0] = OPT_LLADDR;
    p[1] = 1;
    memcpy(p + 2, mac->b, 6);
    return p + 8;
}

static uint8_t *put_prefix(uint8_t *p, const struct ra_prefix *x)
{
    struct ip net = cidr_network(&x->net);

    p[0] = OPT_PREFIX;
    p[1] = 4;
    p[2] = x->net.len;
    p[3] = (uint8_t)((x->on_link ? PIO_ON_LINK : 0) | (x->autonomous ? PIO_AUTONOMOUS : 0));
    put32(p + 4, x->valid);
    put32(p + 8, x->preferred);
    memcpy(p + 16, net.b, 16);
    return p + 32;
}

static uint8_t *put_options(uint8_t *p, const struct packet_ra *ra)
{
    if (!mac_is_zero(&ra->lladdr))
        p = put_lladdr(p, &ra->lladdr);
    if (ra->mtu) {
        p[0] = OPT_MTU;
        p[1] = 1;
        put32(p + 4, ra->mtu);
        p += 8;
    }
    for (unsigned i = 0; i < ra->n_prefixes; i++)
        p = put_prefix(p, &ra->prefixes[i]);
    if (!ra->n_dns)
        return p;
    p[0] = OPT_RDNSS;
    p[1] = (uint8_t)(1 + 2 * ra->n_dns);
    put32(p + 4, ra->dns_lifetime);
    for (unsigned i = 0; i < ra->n_dns; i++)
        memcpy(p + 8 + 16 * i, ra->dns[i].b, 16);
    return p + 8 + 16 * ra->n_dns;
}

/* Ethernet and IPv6 around the 'n' bytes of message at 'm'. */
static size_t wrap(uint8_t *buf, size_t size, const struct mac *src_mac, const struct ip *src,
                   const struct mac *dst_mac, const struct ip *dst, const uint8_t *m, size_t n)
{
    size_t total = WIRE_ETH_SIZE + WIRE_IP6_SIZE + n;

    if (size < total)
        return 0;
    uint8_t *p = packet_put_eth(buf, src_mac, dst_mac, ETH_TYPE_IP6);
    p = packet_put_ip6(p, src, dst, WIRE_PROTO_ICMP6, 255, 0, n);
    memcpy(p, m, n);
    packet_finish_checksums(buf, total);
    return total;
}

size_t packet_ra_build(uint8_t *buf, size_t size, const struct mac *src_mac, const struct ip *src,
                       const struct mac *dst_mac, const struct ip *dst, const struct packet_ra *ra)
{
    uint8_t m[RA_SIZE + 8 + 8 + 32 * RA_PREFIXES + 8 + 16 * RA_DNS] = {ND_RA};

    m[4] = ra->hop_limit;
    m[5] = (uint8_t)((ra->managed ? RA_MANAGED : 0) | (ra->other ? RA_OTHER : 0));
    put16(m + 6, ra->lifetime);
    size_t n = (size_t)(put_options(m + RA_SIZE, ra) - m);
    return wrap(buf, size, src_mac, src, dst_mac, dst, m, n);
}

size_t packet_rs_build(uint8_t *buf, size_t size, const struct mac *src_mac, const struct ip *src)
{
    static const struct ip all_routers = {.b = {0xff, 2, [15] = 2}};
    struct mac group = mac_of_multicast_ip(&all_routers);
    uint8_t m[RS_SIZE + 8] = {ND_RS};
    size_t n = RS_SIZE;

    if (!ip_is_none(src))
        n = (size_t)(put_lladdr(m + RS_SIZE, src_mac) - m);
    return wrap(buf, size, src_mac, src, &group, &all_routers, m, n);
}

/* The message of 'type' in the frame, which the parser has found to be sound; null: isn't one. */
static const uint8_t *message(const uint8_t *p, size_t size, unsigned type, struct packet_layers *l)
{
    struct flow_key key;

    packet_parse(p, size, &key, l);
    if (key.malformed || key.eth_type != ETH_TYPE_IP6 || key.ip_proto != WIRE_PROTO_ICMP6 ||
        key.ip_frag != FLOW_FRAG_NONE || key.tp_src != type)
        return NULL;
    return p + l->l4;
}

static void take_option(const uint8_t *o, struct packet_ra *ra)
{
    unsigned n = o[1] * 8u;

    if (o[0] == OPT_LLADDR) {
        memcpy(ra->lladdr.b, o + 2, 6);
    } else if (o[0] == OPT_MTU) {
        ra->mtu = get32(o + 4);
    } else if (o[0] == OPT_PREFIX && n == 32 && o[2] <= 128 && ra->n_prefixes < RA_PREFIXES) {
        struct ra_prefix *x = &ra->prefixes[ra->n_prefixes++];
        x->net.len = o[2];
        memcpy(x->net.addr.b, o + 16, 16);
        x->on_link = o[3] & PIO_ON_LINK;
        x->autonomous = o[3] & PIO_AUTONOMOUS;
        x->valid = get32(o + 4);
        x->preferred = get32(o + 8);
    } else if (o[0] == OPT_RDNSS && n >= 24) {
        ra->dns_lifetime = get32(o + 4);
        for (unsigned at = 8; at + 16 <= n && ra->n_dns < RA_DNS; at += 16)
            memcpy(ra->dns[ra->n_dns++].b, o + at, 16);
    }
}

int packet_ra_parse(const uint8_t *p, size_t size, struct packet_ra *out)
{
    struct packet_layers l;
    const uint8_t *m = message(p, size, ND_RA, &l);

    if (!m)
        return -EINVAL;
    *out = (struct packet_ra){.hop_limit = m[4],
                              .managed = m[5] & RA_MANAGED,
                              .other = m[5] & RA_OTHER,
                              .lifetime = get16(m + 6)};
    for (const uint8_t *o = m + RA_SIZE, *end = p + l.l4_end; o < end; o += o[1] * 8u)
        take_option(o, out);
    return 0;
}

int packet_rs_parse(const uint8_t *p, size_t size, struct mac *lladdr)
{
    struct packet_layers l;
    const uint8_t *m = message(p, size, ND_RS, &l);

    if (!m)
        return -EINVAL;
    *lladdr = (struct mac){{0}};
    for (const uint8_t *o = m + RS_SIZE, *end = p + l.l4_end; o < end; o += o[1] * 8u) {
        if (o[0] == OPT_LLADDR) {
            memcpy(lladdr->b, o + 2, 6);
            break;
        }
    }
    return 0;
}
