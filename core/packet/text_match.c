#include "packet/text.h"

#include <netinet/in.h>
#include <stdio.h>

#include "packet/packet.h"
#include "packet/text_words.h"
#include "packet/wire.h"

void packet_spec_of(const uint8_t *packet, size_t size, struct packet_spec *out)
{
    struct packet_layers l;
    struct flow_key *g = &out->given;

    memset(out, 0, sizeof *out);
    packet_parse(packet, size, &out->key, &l);
    memset(g, 0xff, sizeof *g);
    g->in_port = g->tun_id = 0;
    g->tun_src = ip_none;
}

/* Puts a second tag behind the first twelve (or sixteen) bytes. */
static size_t insert_inner_tag(const struct packet_spec *s, uint8_t *buf, size_t n, size_t size)
{
    size_t at = s->key.vlan_tci ? 16 : 12;

    if (!n || n + 4 > size)
        return 0;
    memmove(buf + at + 4, buf + at, n - at);
    buf[at] = ETH_TYPE_VLAN >> 8;
    buf[at + 1] = ETH_TYPE_VLAN & 0xff;
    buf[at + 2] = (uint8_t)((s->inner_vlan & FLOW_VLAN_VID) >> 8);
    buf[at + 3] = (uint8_t)s->inner_vlan;
    return n + 4;
}

static size_t insert_outer_tag(const struct packet_spec *s, uint8_t *buf, size_t n, size_t size)
{
    if (!n || n + 4 > size)
        return 0;
    memmove(buf + 16, buf + 12, n - 12);
    buf[12] = ETH_TYPE_VLAN >> 8;
    buf[13] = ETH_TYPE_VLAN & 0xff;
    buf[14] = (uint8_t)((s->key.vlan_tci & ~FLOW_VLAN_PRESENT) >> 8);
    buf[15] = (uint8_t)s->key.vlan_tci;
    return n + 4;
}

static size_t build_neighbour(const struct packet_spec *s, uint8_t *buf, size_t size)
{
    const struct flow_key *k = &s->key;
    const struct mac *sha = s->sha_given ? &s->sha : &k->eth_src;
    bool dst_given = !mac_is_zero(&s->given.eth_dst);

    if (k->eth_type == ETH_TYPE_ARP) {
        struct mac tha = k->ip_proto == 2 ? k->eth_dst : (struct mac){{0}};
        const struct mac *dst = dst_given || k->ip_proto == 2 ? &k->eth_dst : &mac_broadcast;
        return packet_arp(buf, size, k->ip_proto, &k->eth_src, dst, sha, &k->ip_src, &tha,
                          &k->ip_dst);
    }
    if (k->tp_src == 136)
        return packet_nd_advert(buf, size, sha, &k->ip_src, &k->eth_dst, &k->ip_dst, &s->nd_target,
                                false, !ip_is_multicast(&k->ip_dst)); /* RFC 4861 section 4.4 */
    return packet_nd_solicit(buf, size, &k->eth_src, &k->ip_src, dst_given ? &k->eth_dst : NULL,
                             NULL, &s->nd_target);
}

/* An error with the packet it is about, as a router would quote it. */
static size_t build_error(const struct packet_spec *s, const struct flow_key *key, uint8_t *buf,
                          size_t size)
{
    static const uint8_t payload[18];
    uint8_t quoted[512];
    size_t n = packet_from_key(quoted, sizeof quoted, &s->quoted, payload, sizeof payload);

    return n > WIRE_ETH_SIZE
               ? packet_from_key(buf, size, key, quoted + WIRE_ETH_SIZE, n - WIRE_ETH_SIZE)
               : 0;
}

size_t packet_spec_build(const struct packet_spec *s, uint8_t *buf, size_t size)
{
    static const uint8_t payload[60000];
    struct flow_key key = s->key;
    bool neighbour = key.eth_type == ETH_TYPE_ARP || !ip_is_none(&s->nd_target);
    size_t n;

    key.vlan_tci = 0; /* tags go in at the end, both kinds alike */
    if (s->app.kind)
        n = packet_app_build(s, buf, size);
    else if (neighbour)
        n = build_neighbour(s, buf, size);
    else if (s->quotes)
        n = build_error(s, &key, buf, size);
    else
        n = packet_from_key(buf, size, &key, payload, s->payload_given ? s->payload : 18);
    if (s->inner_vlan) {
        struct packet_spec untagged = *s;
        untagged.key.vlan_tci = 0;
        n = insert_inner_tag(&untagged, buf, n, size);
    }
    return s->key.vlan_tci ? insert_outer_tag(s, buf, n, size) : n;
}

static bool differ(char *why, size_t size, const char *field, const char *is, const char *want)
{
    snprintf(why, size, "%s is %s, not %s", field, is, want);
    return false;
}

static bool match_number(char *why, size_t size, const char *field, unsigned is, unsigned want,
                         unsigned given)
{
    char a[12], b[12];

    if (!((is ^ want) & given))
        return true;
    snprintf(a, sizeof a, "%u", is);
    snprintf(b, sizeof b, "%u", want);
    return differ(why, size, field, a, b);
}

static bool match_mac(char *why, size_t size, const char *field, const struct mac *is,
                      const struct mac *want, bool given)
{
    char a[MAC_STRLEN], b[MAC_STRLEN];

    if (!given || mac_equal(is, want))
        return true;
    return differ(why, size, field, mac_format(is, a), mac_format(want, b));
}

static bool match_ip(char *why, size_t size, const char *field, const struct ip *is,
                     const struct ip *want, bool given)
{
    char a[IP_STRLEN], b[IP_STRLEN];

    if (!given || ip_equal(is, want))
        return true;
    return differ(why, size, field, ip_format(is, a), ip_format(want, b));
}

static bool match_neighbour(const struct packet_spec *s, const uint8_t *p, size_t size, char *why,
                            size_t why_size)
{
    struct packet_nd nd;
    struct mac sha, tha;

    if (s->key.eth_type == ETH_TYPE_ARP)
        return !s->sha_given || (!packet_arp_macs(p, size, &sha, &tha) &&
                                 match_mac(why, why_size, "is-at", &sha, &s->sha, true));
    if (ip_is_none(&s->nd_target))
        return true;
    if (packet_nd_parse(p, size, &nd))
        return differ(why, why_size, "packet", "no ND message", "one");
    return match_ip(why, why_size, "nd target", &nd.target, &s->nd_target, true) &&
           match_mac(why, why_size, "is-at", &nd.lladdr, &s->sha, s->sha_given);
}

/* With two tags the words are about what is behind both. */
static bool look_behind_tag(const struct packet_spec *s, const uint8_t *packet, size_t size,
                            struct flow_key *k, char *why, size_t why_size)
{
    struct flow_key inner;
    struct packet_layers l;

    packet_parse_behind(packet, size, 1, &inner, &l);
    if (!match_number(why, why_size, "inner-vlan", inner.vlan_tci, s->inner_vlan,
                      FLOW_VLAN_PRESENT | FLOW_VLAN_VID))
        return false;
    inner.vlan_tci = k->vlan_tci;
    *k = inner;
    return true;
}

static bool match_quoted(const struct packet_spec *s, const uint8_t *packet, size_t size, char *why,
                         size_t why_size)
{
    const struct flow_key *want = &s->quoted, *g = &s->quoted_given;
    struct packet_quote q;

    if (!packet_quote(packet, size, &q))
        return differ(why, why_size, "packet", "no error that quotes one", "one");
#define NUMBER(field, name) match_number(why, why_size, name, q.key.field, want->field, g->field)
    return NUMBER(ip_proto, "quoted protocol") &&
           match_ip(why, why_size, "quoted source", &q.key.ip_src, &want->ip_src,
                    !ip_is_none(&g->ip_src)) &&
           match_ip(why, why_size, "quoted destination", &q.key.ip_dst, &want->ip_dst,
                    !ip_is_none(&g->ip_dst)) &&
           NUMBER(tp_src, "quoted source port or ICMP type") &&
           NUMBER(tp_dst, "quoted destination port or ICMP code") && NUMBER(ip_ttl, "quoted ttl") &&
           NUMBER(icmp_id, "quoted id");
#undef NUMBER
}

bool packet_spec_match(const struct packet_spec *s, const uint8_t *packet, size_t size, char *why,
                       size_t why_size)
{
    struct flow_key k;
    struct packet_layers l;
    const struct flow_key *want = &s->key, *g = &s->given;
    bool ips = !ip_is_none(&g->ip_src);

    why[0] = '\0';
    packet_parse(packet, size, &k, &l);
    if (s->inner_vlan && !look_behind_tag(s, packet, size, &k, why, why_size))
        return false;
#define NUMBER(field, name) match_number(why, why_size, name, k.field, want->field, g->field)
    return NUMBER(vlan_tci, "vlan") && NUMBER(eth_type, "ethertype") &&
           match_mac(why, why_size, "from", &k.eth_src, &want->eth_src,
                     !mac_is_zero(&g->eth_src)) &&
           match_mac(why, why_size, "to", &k.eth_dst, &want->eth_dst, !mac_is_zero(&g->eth_dst)) &&
           NUMBER(ip_proto, "protocol") &&
           match_ip(why, why_size, "source", &k.ip_src, &want->ip_src, ips) &&
           match_ip(why, why_size, "destination", &k.ip_dst, &want->ip_dst,
                    !ip_is_none(&g->ip_dst)) &&
           NUMBER(tp_src, "source port or ICMP type") &&
           NUMBER(tp_dst, "destination port or ICMP code") && NUMBER(ip_ttl, "ttl") &&
           NUMBER(ip_tos, "tos") && NUMBER(ip_frag, "frag") && NUMBER(tcp_flags, "flags") &&
           NUMBER(icmp_id, "id") && match_neighbour(s, packet, size, why, why_size) &&
           (!s->quotes || match_quoted(s, packet, size, why, why_size)) &&
           (!s->app.kind || packet_app_match(s, packet, size, why, why_size));
#undef NUMBER
}
