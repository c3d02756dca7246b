/* Outputs in the kernel's actions.
 *
 * Each output is a copy of the packet as it came in: those without changes first, then each in a
 * clone of its own, the last one on the packet itself.
 *
 * TTL is not matched.  The kernel's "dec_ttl" takes one hop off or, when that would be the last,
 * does something else instead: here, it sends the packet up.  What it then looks like lacks the
 * hops taken off before, so the note says how many.  That works when all outputs take off as many
 * hops; a flow whose outputs differ needs packets of a TTL that is known. */
#include <netinet/in.h>

#include "base/mem.h"
#include "datapath/ovs_internal.h"
#include "packet/packet.h"

#define MAX_HOPS   16 /* actions for each; more are for the agent */
#define TUNNEL_TTL 64

#define SETS_IP (FLOW_SET_IP_SRC | FLOW_SET_IP_DST | FLOW_SET_TOS | FLOW_DEC_TTL)
#define SETS_TP (FLOW_SET_TP_SRC | FLOW_SET_TP_DST)

static bool is_exact_ip(const struct dp_flow *f)
{
    return f->mask.eth_type == 0xffff &&
           (f->key.eth_type == ETH_TYPE_IP || f->key.eth_type == ETH_TYPE_IP6);
}

static bool addr_fits(const struct flow_out *out, unsigned bit, const struct ip *ip, bool ip6)
{
    return !(out->set & bit) || ip_is4(ip) != ip6;
}

static bool ports_can_change(const struct dp_flow *f)
{
    uint8_t p = f->key.ip_proto;

    return f->mask.ip_proto == 0xff && (p == IPPROTO_TCP || p == IPPROTO_UDP || p == IPPROTO_SCTP);
}

/* Of DCCP and UDP-Lite the kernel leaves the checksum, which covers the addresses, as it is. */
static bool addrs_can_change(const struct dp_flow *f)
{
    uint8_t p = f->key.ip_proto;

    return f->mask.ip_proto == 0xff && p != IPPROTO_DCCP && p != IPPROTO_UDPLITE;
}

static bool supported(const struct dp_flow *f, const struct flow_out *out)
{
    bool ip6 = f->key.eth_type == ETH_TYPE_IP6;

    if (out->set & (FLOW_SET_IP_SRC | FLOW_SET_IP_DST) && !addrs_can_change(f))
        return false;
    if (out->set & (SETS_IP | SETS_TP) && !is_exact_ip(f))
        return false;
    if (out->set & SETS_TP && !ports_can_change(f))
        return false;
    return addr_fits(out, FLOW_SET_IP_SRC, &out->ip_src, ip6) &&
           addr_fits(out, FLOW_SET_IP_DST, &out->ip_dst, ip6);
}

/* "set, masked": the header, then which bits of it. */
static void put_set(struct ovs_buf *b, int type, const void *value, const void *mask, size_t size)
{
    uint32_t nest = ovs_nest(b, OVS_ACTION_ATTR_SET_MASKED);
    uint8_t *p = ovs_put(b, type, NULL, 2 * size);

    memcpy(p, value, size);
    memcpy(p + size, mask, size);
    ovs_nest_end(b, nest);
}

static void set_eth(struct ovs_buf *b, const struct flow_out *out)
{
    struct ovs_key_ethernet v = {0}, m = {0};

    if (out->set & FLOW_SET_ETH_SRC) {
        memcpy(v.eth_src, out->eth_src.b, 6);
        memset(m.eth_src, 0xff, 6);
    }
    if (out->set & FLOW_SET_ETH_DST) {
        memcpy(v.eth_dst, out->eth_dst.b, 6);
        memset(m.eth_dst, 0xff, 6);
    }
    put_set(b, OVS_KEY_ATTR_ETHERNET, &v, &m, sizeof v);
}

static void set_ip4(struct ovs_buf *b, const struct flow_out *out, int ttl)
{
    struct ovs_key_ipv4 v = {0}, m = {0};

    if (out->set & FLOW_SET_IP_SRC) {
        v.ipv4_src = ip_to4(&out->ip_src);
        m.ipv4_src = ~0u;
    }
    if (out->set & FLOW_SET_IP_DST) {
        v.ipv4_dst = ip_to4(&out->ip_dst);
        m.ipv4_dst = ~0u;
    }
    if (out->set & FLOW_SET_TOS) {
        v.ipv4_tos = out->ip_tos;
        m.ipv4_tos = 0xff;
    }
    if (out->set & FLOW_DEC_TTL && ttl >= 0) {
        v.ipv4_ttl = (uint8_t)(ttl - out->ttl_dec);
        m.ipv4_ttl = 0xff;
    }
    put_set(b, OVS_KEY_ATTR_IPV4, &v, &m, sizeof v);
}

static void set_ip6(struct ovs_buf *b, const struct flow_out *out, int ttl)
{
    struct ovs_key_ipv6 v = {0}, m = {0};

    if (out->set & FLOW_SET_IP_SRC) {
        memcpy(v.ipv6_src, out->ip_src.b, 16);
        memset(m.ipv6_src, 0xff, 16);
    }
    if (out->set & FLOW_SET_IP_DST) {
        memcpy(v.ipv6_dst, out->ip_dst.b, 16);
        memset(m.ipv6_dst, 0xff, 16);
    }
    if (out->set & FLOW_SET_TOS) {
        v.ipv6_tclass = out->ip_tos;
        m.ipv6_tclass = 0xff;
    }
    if (out->set & FLOW_DEC_TTL && ttl >= 0) {
        v.ipv6_hlimit = (uint8_t)(ttl - out->ttl_dec);
        m.ipv6_hlimit = 0xff;
    }
    put_set(b, OVS_KEY_ATTR_IPV6, &v, &m, sizeof v);
}

static void set_ports(struct ovs_buf *b, const struct flow_out *out, uint8_t proto)
{
    uint16_t v[2] = {0}, m[2] = {0};

    if (out->set & FLOW_SET_TP_SRC) {
        v[0] = htons(out->tp_src);
        m[0] = 0xffff;
    }
    if (out->set & FLOW_SET_TP_DST) {
        v[1] = htons(out->tp_dst);
        m[1] = 0xffff;
    }
    put_set(b,
            proto == IPPROTO_TCP   ? OVS_KEY_ATTR_TCP
            : proto == IPPROTO_UDP ? OVS_KEY_ATTR_UDP
                                   : OVS_KEY_ATTR_SCTP,
            v, m, sizeof v);
}

static void put_sets(struct ovs_buf *b, const struct dp_flow *f, const struct flow_out *out,
                     int ttl)
{
    unsigned sets_ip = out->set & (unsigned)(ttl < 0 ? SETS_IP & ~FLOW_DEC_TTL : SETS_IP);

    if (out->set & FLOW_POP_VLAN)
        ovs_put(b, OVS_ACTION_ATTR_POP_VLAN, NULL, 0);
    if (out->set & (FLOW_SET_ETH_SRC | FLOW_SET_ETH_DST))
        set_eth(b, out);
    if (sets_ip && f->key.eth_type == ETH_TYPE_IP)
        set_ip4(b, out, ttl);
    else if (sets_ip)
        set_ip6(b, out, ttl);
    if (out->set & SETS_TP && f->key.ip_frag != FLOW_FRAG_LATER)
        set_ports(b, out, f->key.ip_proto);
    if (out->set & FLOW_PUSH_VLAN) {
        struct ovs_action_push_vlan v = {.vlan_tpid = htons(ETH_TYPE_VLAN),
                                         .vlan_tci = htons(out->vlan_tci | FLOW_VLAN_PRESENT)};

        ovs_put(b, OVS_ACTION_ATTR_PUSH_VLAN, &v, sizeof v);
    }
}

int ovs_output_put(struct ovs_buf *b, const struct flow_out *out)
{
    if (out->kind == FLOW_OUT_PORT) {
        ovs_put_u32(b, OVS_ACTION_ATTR_OUTPUT, MIN(out->port, OVS_MAX_PORT));
        return 0;
    }
    bool ip6 = !ip_is4(&out->tun_remote);

    if (out->tun_type > FLOW_TUNNEL_GRE || (ip6 && out->tun_type == FLOW_TUNNEL_GRE))
        return -ENOTSUP;
    uint64_t id = __builtin_bswap64(out->tun_id & 0xffffff);
    uint32_t set = ovs_nest(b, OVS_ACTION_ATTR_SET), tunnel = ovs_nest(b, OVS_KEY_ATTR_TUNNEL);

    ovs_put(b, OVS_TUNNEL_KEY_ATTR_ID, &id, sizeof id);
    ovs_put(b, ip6 ? OVS_TUNNEL_KEY_ATTR_IPV6_SRC : OVS_TUNNEL_KEY_ATTR_IPV4_SRC,
            out->tun_local.b + (ip6 ? 0 : 12), ip6 ? 16 : 4);
    ovs_put(b, ip6 ? OVS_TUNNEL_KEY_ATTR_IPV6_DST : OVS_TUNNEL_KEY_ATTR_IPV4_DST,
            out->tun_remote.b + (ip6 ? 0 : 12), ip6 ? 16 : 4);
    ovs_put_u8(b, OVS_TUNNEL_KEY_ATTR_TOS, out->tun_tos);
    ovs_put_u8(b, OVS_TUNNEL_KEY_ATTR_TTL, TUNNEL_TTL);
    ovs_put(b, OVS_TUNNEL_KEY_ATTR_DONT_FRAGMENT, NULL, 0);
    ovs_nest_end(b, tunnel);
    ovs_nest_end(b, set);
    ovs_put_u32(b, OVS_ACTION_ATTR_OUTPUT, OVS_TUNNEL_PORT + out->tun_type);
    return 0;
}

/* Up, to whoever reads the port's upcalls. */
static void put_up(struct ovs_buf *b, const struct ovs_dp *d, uint32_t in_port, uint32_t hops)
{
    uint32_t up = ovs_nest(b, OVS_ACTION_ATTR_USERSPACE);

    ovs_put_u32(b, OVS_USERSPACE_ATTR_PID, d->pid_base + in_port);
    ovs_put_u32(b, OVS_USERSPACE_ATTR_USERDATA, hops);
    ovs_nest_end(b, up);
}

static int put_dec_ttl(struct ovs_buf *b, const struct ovs_dp *d, const struct dp_flow *f,
                       unsigned hops)
{
    if (hops > MAX_HOPS || !is_exact_ip(f) || f->mask.in_port != ~0u)
        return -ENOTSUP;
    for (unsigned i = 0; i < hops; i++) {
        uint32_t dec = ovs_nest(b, OVS_ACTION_ATTR_DEC_TTL);
        uint32_t otherwise = ovs_nest(b, OVS_DEC_TTL_ATTR_ACTION);

        put_up(b, d, f->key.in_port, i);
        ovs_nest_end(b, otherwise);
        ovs_nest_end(b, dec);
    }
    return 0;
}

static unsigned hops_of(const struct flow_out *out)
{
    return out->set & FLOW_DEC_TTL ? out->ttl_dec : 0;
}

bool ovs_actions_need_ttl(const struct dp_flow *f)
{
    for (unsigned i = 1; i < f->n_outs; i++)
        if (hops_of(&f->outs[i]) != hops_of(&f->outs[0]))
            return true;
    return false;
}

static bool changes(const struct flow_out *out, int ttl)
{
    return out->set & (ttl < 0 ? ~FLOW_DEC_TTL : ~0);
}

static int put_changed(struct ovs_buf *b, const struct dp_flow *f, const struct flow_out *out,
                       int ttl, bool last)
{
    uint32_t clone = last ? 0 : ovs_nest(b, OVS_ACTION_ATTR_CLONE);

    put_sets(b, f, out, ttl);
    int rc = ovs_output_put(b, out);

    if (!last)
        ovs_nest_end(b, clone);
    return rc;
}

static int put_outputs(struct ovs_buf *b, const struct dp_flow *f, int ttl)
{
    unsigned left = f->n_outs;
    int rc = 0;

    /* A tunnel's header is set on the packet too, and mustn't reach the next output. */
    for (unsigned i = 0; i < f->n_outs && !rc; i++)
        if (!changes(&f->outs[i], ttl) && f->outs[i].kind == FLOW_OUT_PORT) {
            rc = ovs_output_put(b, &f->outs[i]);
            left--;
        }
    for (unsigned i = 0; i < f->n_outs && !rc; i++)
        if (changes(&f->outs[i], ttl) || f->outs[i].kind != FLOW_OUT_PORT)
            rc = put_changed(b, f, &f->outs[i], ttl, --left == 0);
    return rc;
}

int ovs_actions_put(struct ovs_buf *b, const struct ovs_dp *d, const struct dp_flow *f, int ttl)
{
    unsigned hops = dp_ttl_needed(f->outs, f->n_outs);
    uint32_t nest = ovs_nest(b, OVS_FLOW_ATTR_ACTIONS);
    int rc = 0;

    if (f->n_outs > OVS_MAX_OUTS)
        return -ENOTSUP;
    for (unsigned i = 0; i < f->n_outs; i++)
        if (!supported(f, &f->outs[i]))
            return -ENOTSUP;
    ovs_note_put_flow(b, d, f);
    if (hops && ttl < 0) {
        rc = put_dec_ttl(b, d, f, hops);
    } else if (hops && (unsigned)ttl <= hops) {
        put_up(b, d, f->key.in_port, 0);
        ovs_nest_end(b, nest);
        return 0;
    }
    if (!rc)
        rc = put_outputs(b, f, ttl);
    ovs_nest_end(b, nest);
    return rc;
}
