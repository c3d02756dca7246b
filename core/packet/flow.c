#include "packet/flow.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/hash.h"
#include "packet/packet.h"
#include "packet/wire.h"

static bool has_ports(const struct flow_key *key)
{
    return key->ip_frag == FLOW_FRAG_NONE &&
           (key->ip_proto == WIRE_PROTO_TCP || key->ip_proto == WIRE_PROTO_UDP ||
            key->ip_proto == WIRE_PROTO_SCTP);
}

uint64_t flow_symmetric_hash(const struct flow_key *key)
{
    struct {
        struct ip lo, hi;
        uint16_t lo_port, hi_port;
        uint32_t proto;
    } k = {key->ip_src, key->ip_dst, 0, 0, key->ip_proto};
    int order = memcmp(&k.lo, &k.hi, sizeof k.lo);

    if (has_ports(key)) {
        k.lo_port = key->tp_src;
        k.hi_port = key->tp_dst;
    }
    if (order > 0 || (!order && k.lo_port > k.hi_port)) {
        struct ip ip = k.lo;
        uint16_t port = k.lo_port;
        k.lo = k.hi;
        k.hi = ip;
        k.lo_port = k.hi_port;
        k.hi_port = port;
    }
    /* The wire's byte order, so that hosts of either endianness agree. */
    k.lo_port = __builtin_bswap16(k.lo_port);
    k.hi_port = __builtin_bswap16(k.hi_port);
    k.proto = __builtin_bswap32(k.proto);
    return hash_stable(&k, sizeof k, 0);
}

static void diff_vlan(struct flow_out *out, const struct flow_key *from, const struct flow_key *to)
{
    int pushed = to->n_vlans - from->n_vlans;

    out->vlan_tci = to->vlan_tci;
    if (pushed > 0)
        out->set |= FLOW_PUSH_VLAN;
    else if (pushed < 0)
        out->set |= FLOW_POP_VLAN;
    else if (from->vlan_tci != to->vlan_tci)
        out->set |= FLOW_POP_VLAN | FLOW_PUSH_VLAN;
}

void flow_out_diff(struct flow_out *out, const struct flow_key *from, const struct flow_key *to)
{
    *out = (struct flow_out){
        .eth_src = to->eth_src,
        .eth_dst = to->eth_dst,
        .ip_tos = to->ip_tos,
        .ip_src = to->ip_src,
        .ip_dst = to->ip_dst,
        .tp_src = to->tp_src,
        .tp_dst = to->tp_dst,
    };
    if (!mac_equal(&from->eth_src, &to->eth_src))
        out->set |= FLOW_SET_ETH_SRC;
    if (!mac_equal(&from->eth_dst, &to->eth_dst))
        out->set |= FLOW_SET_ETH_DST;
    diff_vlan(out, from, to);
    if (!ip_equal(&from->ip_src, &to->ip_src))
        out->set |= FLOW_SET_IP_SRC;
    if (!ip_equal(&from->ip_dst, &to->ip_dst))
        out->set |= FLOW_SET_IP_DST;
    if (from->ip_tos != to->ip_tos)
        out->set |= FLOW_SET_TOS;
    if (from->tp_src != to->tp_src)
        out->set |= FLOW_SET_TP_SRC;
    if (from->tp_dst != to->tp_dst)
        out->set |= FLOW_SET_TP_DST;
    if (from->ip_ttl > to->ip_ttl) {
        out->set |= FLOW_DEC_TTL;
        out->ttl_dec = (uint8_t)(from->ip_ttl - to->ip_ttl);
    }
}

/* Text that grows to the end of a buffer and stops there. */
struct text {
    char *p;
    size_t left;
    bool any;
};

static void __attribute__((format(printf, 2, 3))) say(struct text *t, const char *fmt, ...)
{
    va_list ap;

    if (t->any && t->left > 1) {
        *t->p++ = ',';
        *t->p = '\0';
        t->left--;
    }
    t->any = true;
    va_start(ap, fmt);
    int n = vsnprintf(t->p, t->left, fmt, ap);
    va_end(ap);
    size_t used = n < 0 ? 0 : (size_t)n < t->left ? (size_t)n : t->left ? t->left - 1 : 0;
    t->p += used;
    t->left -= used;
}

static unsigned prefix_bits(const struct ip *mask)
{
    unsigned n = 0;

    while (n < 128 && mask->b[n / 8] & 0x80 >> n % 8)
        n++;
    return n;
}

static void say_ip(struct text *t, const char *name, const struct ip *ip, const struct ip *mask)
{
    char buf[IP_STRLEN];
    unsigned bits = prefix_bits(mask), full = 128;

    if (ip_is_none(mask))
        return;
    if (ip_is4(ip) && bits >= 96) {
        bits -= 96;
        full = 32;
    }
    if (bits == full)
        say(t, "%s=%s", name, ip_format(ip, buf));
    else
        say(t, "%s=%s/%u", name, ip_format(ip, buf), bits);
}

static void say_mac(struct text *t, const char *name, const struct mac *m, const struct mac *mask)
{
    char buf[MAC_STRLEN];

    if (!mac_is_zero(mask))
        say(t, "%s=%s", name, mac_format(m, buf));
}

static void say_link(struct text *t, const struct flow_key *k, const struct flow_key *m)
{
    if (m->in_port)
        say(t, "in=%u", k->in_port);
    if (m->tun_id)
        say(t, "tun_id=%u", k->tun_id);
    say_ip(t, "tun_src", &k->tun_src, &m->tun_src);
    say_mac(t, "eth_src", &k->eth_src, &m->eth_src);
    say_mac(t, "eth_dst", &k->eth_dst, &m->eth_dst);
    if (m->vlan_tci && k->vlan_tci)
        say(t, "vlan=%u", k->vlan_tci & FLOW_VLAN_VID);
    else if (m->vlan_tci)
        say(t, "vlan=none");
    if (!m->eth_type)
        return;
    if (k->eth_type == ETH_TYPE_IP)
        say(t, "ip");
    else if (k->eth_type == ETH_TYPE_IP6)
        say(t, "ip6");
    else if (k->eth_type == ETH_TYPE_ARP)
        say(t, "arp");
    else
        say(t, "eth_type=0x%04x", k->eth_type);
}

static void say_proto(struct text *t, const struct flow_key *k)
{
    if (k->eth_type == ETH_TYPE_ARP) {
        say(t, "op=%u", k->ip_proto);
        return;
    }
    switch (k->ip_proto) {
    case WIRE_PROTO_ICMP:
        say(t, "icmp");
        break;
    case WIRE_PROTO_TCP:
        say(t, "tcp");
        break;
    case WIRE_PROTO_UDP:
        say(t, "udp");
        break;
    case WIRE_PROTO_ICMP6:
        say(t, "icmp6");
        break;
    case WIRE_PROTO_SCTP:
        say(t, "sctp");
        break;
    default:
        say(t, "proto=%u", k->ip_proto);
    }
}

static void say_network(struct text *t, const struct flow_key *k, const struct flow_key *m)
{
    static const char *const frags[] = {"none", "first", "later"};
    bool icmp = k->ip_proto == WIRE_PROTO_ICMP || k->ip_proto == WIRE_PROTO_ICMP6;

    say_ip(t, "src", &k->ip_src, &m->ip_src);
    say_ip(t, "dst", &k->ip_dst, &m->ip_dst);
    if (m->ip_proto)
        say_proto(t, k);
    if (m->ip_tos)
        say(t, "tos=0x%02x", k->ip_tos);
    if (m->ip_ttl)
        say(t, "ttl=%u", k->ip_ttl);
    if (m->ip_frag)
        say(t, "frag=%s", k->ip_frag < 3 ? frags[k->ip_frag] : "?");
    if (m->tp_src)
        say(t, "%s=%u", icmp ? "type" : "sport", k->tp_src);
    if (m->tp_dst)
        say(t, "%s=%u", icmp ? "code" : "dport", k->tp_dst);
    if (m->tcp_flags)
        say(t, "flags=0x%03x", k->tcp_flags);
    if (m->icmp_id)
        say(t, "id=%u", k->icmp_id);
    if (m->malformed)
        say(t, "malformed=%s", packet_bad_name(k->malformed));
}

char *flow_key_format(const struct flow_key *key, const struct flow_key *mask, char *buf,
                      size_t size)
{
    struct text t = {buf, size, false};

    if (size)
        *buf = '\0';
    say_link(&t, key, mask);
    say_network(&t, key, mask);
    if (!t.any)
        say(&t, "any");
    return buf;
}

char *flow_out_format(const struct flow_out *out, char *buf, size_t size)
{
    struct text t = {buf, size, false};
    const struct ip all = {.b = {[0 ... 15] = 0xff}};
    const struct mac all_mac = mac_broadcast, no_mac = {{0}};

    if (size)
        *buf = '\0';
    if (out->set & FLOW_POP_VLAN)
        say(&t, "pop_vlan");
    if (out->set & FLOW_PUSH_VLAN)
        say(&t, "push_vlan=%u", out->vlan_tci & FLOW_VLAN_VID);
    say_mac(&t, "eth_src", &out->eth_src, out->set & FLOW_SET_ETH_SRC ? &all_mac : &no_mac);
    say_mac(&t, "eth_dst", &out->eth_dst, out->set & FLOW_SET_ETH_DST ? &all_mac : &no_mac);
    say_ip(&t, "src", &out->ip_src, out->set & FLOW_SET_IP_SRC ? &all : &ip_none);
    say_ip(&t, "dst", &out->ip_dst, out->set & FLOW_SET_IP_DST ? &all : &ip_none);
    if (out->set & FLOW_SET_TOS)
        say(&t, "tos=0x%02x", out->ip_tos);
    if (out->set & FLOW_DEC_TTL)
        say(&t, "dec_ttl=%u", out->ttl_dec);
    if (out->set & FLOW_SET_TP_SRC)
        say(&t, "sport=%u", out->tp_src);
    if (out->set & FLOW_SET_TP_DST)
        say(&t, "dport=%u", out->tp_dst);
    if (out->kind == FLOW_OUT_PORT) {
        say(&t, "output=%u", out->port);
    } else {
        say(&t, "tunnel=%s:%u", out->tun_type == FLOW_TUNNEL_GRE ? "gre" : "vxlan", out->tun_id);
        say_ip(&t, "local", &out->tun_local, &all);
        say_ip(&t, "remote", &out->tun_remote, &all);
    }
    return buf;
}
