/* Flow keys, masks and outputs: the agent's form to the kernel side's and back. */
#include <netinet/in.h>

#include "base/mem.h"
#include "datapath/ebpf_internal.h"
#include "packet/packet.h"

_Static_assert((int)FP_SET_ETH_SRC == FLOW_SET_ETH_SRC && (int)FP_SET_ETH_DST == FLOW_SET_ETH_DST &&
                   (int)FP_SET_IP_SRC == FLOW_SET_IP_SRC && (int)FP_SET_IP_DST == FLOW_SET_IP_DST &&
                   (int)FP_SET_TOS == FLOW_SET_TOS && (int)FP_SET_TP_SRC == FLOW_SET_TP_SRC &&
                   (int)FP_SET_TP_DST == FLOW_SET_TP_DST && (int)FP_DEC_TTL == FLOW_DEC_TTL &&
                   (int)FP_POP_VLAN == FLOW_POP_VLAN && (int)FP_PUSH_VLAN == FLOW_PUSH_VLAN &&
                   (int)FP_OUT_PORT == FLOW_OUT_PORT && (int)FP_OUT_TUNNEL == FLOW_OUT_TUNNEL &&
                   (int)FP_FRAG_LATER == FLOW_FRAG_LATER,
               "the kernel side has flow.h's numbers");
_Static_assert(sizeof(struct flow_key) == FP_MASK_NAME, "a mask's name is its flow_key");
_Static_assert(sizeof(struct fp_key_head) == 32 && sizeof(struct fp_narrow) == 40 &&
                   sizeof(union fp_key) == 64 && sizeof(struct fp_out) == 64 &&
                   sizeof(struct fp_flow) == 96,
               "layouts of ebpf_abi.h");

static bool is_ip6(const struct flow_key *key, const struct flow_key *mask)
{
    return mask->eth_type == 0xffff && key->eth_type == ETH_TYPE_IP6;
}

static bool has_mapped(const struct flow_key *key, const struct flow_key *mask)
{
    return mask->eth_type == 0xffff &&
           (key->eth_type == ETH_TYPE_IP || key->eth_type == ETH_TYPE_ARP);
}

static void head_from(const struct flow_key *f, struct fp_key_head *h)
{
    h->in_port = f->in_port;
    h->eth_type = htons(f->eth_type);
    h->vlan_tci = f->vlan_tci;
    memcpy(h->macs, f->eth_dst.b, 6);
    memcpy(h->macs + 6, f->eth_src.b, 6);
    h->tcp_flags = f->tcp_flags;
    h->tos = f->ip_tos;
    h->proto = f->ip_proto;
    h->frag = f->ip_frag;
    h->tp_src = htons(f->tp_src);
    h->tp_dst = htons(f->tp_dst);
}

/* 'key' is what packets of its kind have, as far as the mask looks: else the flow never matches. */
static bool addr_possible(const struct ip *key, const struct ip *mask, bool mapped)
{
    struct ip is = mapped ? ip_from4(ip_to4(key)) : ip_none;

    return !((key->q[0] ^ is.q[0]) & mask->q[0]) && !((key->q[1] ^ is.q[1]) & mask->q[1]);
}

int ebpf_key_from(const struct flow_key *key, const struct flow_key *mask, union fp_key *k,
                  union fp_key *m, bool *wide)
{
    bool looks = !ip_is_none(&mask->ip_src) || !ip_is_none(&mask->ip_dst);
    bool mapped = has_mapped(key, mask);

    memset(k, 0, sizeof *k);
    memset(m, 0, sizeof *m);
    if (key->tun_id & mask->tun_id || key->tun_src.q[0] & mask->tun_src.q[0] ||
        key->tun_src.q[1] & mask->tun_src.q[1])
        return -ENOTSUP; /* out of a tunnel, the key alone decides */
    head_from(mask, &m->h);
    head_from(key, &k->h);
    *wide = looks && is_ip6(key, mask);
    if (*wide) {
        memcpy(m->w.src, mask->ip_src.b, 16);
        memcpy(m->w.dst, mask->ip_dst.b, 16);
        memcpy(k->w.src, key->ip_src.b, 16);
        memcpy(k->w.dst, key->ip_dst.b, 16);
    } else if (looks) {
        if (mask->eth_type != 0xffff || !addr_possible(&key->ip_src, &mask->ip_src, mapped) ||
            !addr_possible(&key->ip_dst, &mask->ip_dst, mapped))
            return -ENOTSUP;
        m->n.src = mask->ip_src.w[3];
        m->n.dst = mask->ip_dst.w[3];
        k->n.src = key->ip_src.w[3];
        k->n.dst = key->ip_dst.w[3];
    }
    for (int i = 0; i < FP_WIDE_WORDS; i++)
        k->q[i] &= m->q[i];
    return 0;
}

void ebpf_key_to(const union fp_key *k, bool wide, const struct flow_key *mask,
                 struct flow_key *key)
{
    *key = (struct flow_key){
        .in_port = k->h.in_port,
        .eth_type = htons(k->h.eth_type),
        .vlan_tci = k->h.vlan_tci,
        .tcp_flags = k->h.tcp_flags,
        .ip_tos = k->h.tos,
        .ip_proto = k->h.proto,
        .ip_frag = k->h.frag,
        .tp_src = htons(k->h.tp_src),
        .tp_dst = htons(k->h.tp_dst),
    };
    memcpy(key->eth_dst.b, k->h.macs, 6);
    memcpy(key->eth_src.b, k->h.macs + 6, 6);
    if (wide) {
        memcpy(key->ip_src.b, k->w.src, 16);
        memcpy(key->ip_dst.b, k->w.dst, 16);
    } else if (has_mapped(key, mask)) {
        key->ip_src = ip_from4(k->n.src);
        key->ip_dst = ip_from4(k->n.dst);
    }
    flow_key_and(key, key, mask);
}

static bool ports_can_change(const struct flow_key *key, const struct flow_key *mask)
{
    if (mask->ip_proto != 0xff)
        return false;
    switch (key->ip_proto) {
    case IPPROTO_TCP:
    case IPPROTO_UDP:
    case IPPROTO_UDPLITE:
    case IPPROTO_DCCP:
        return true;
    default:
        return false;
    }
}

static bool addrs_can_change(const struct flow_out *out, const struct flow_key *key,
                             const struct flow_key *mask)
{
    bool ip6 = is_ip6(key, mask);

    if (!ip6 && !(has_mapped(key, mask) && key->eth_type == ETH_TYPE_IP))
        return false;
    return (!(out->set & FLOW_SET_IP_SRC) || ip_is4(&out->ip_src) != ip6) &&
           (!(out->set & FLOW_SET_IP_DST) || ip_is4(&out->ip_dst) != ip6);
}

static bool supported(const struct flow_out *out, const struct flow_key *key,
                      const struct flow_key *mask)
{
    unsigned ip_sets = out->set & FP_SET_IP, tp_sets = out->set & FP_SET_TP;
    bool ip =
        mask->eth_type == 0xffff && (key->eth_type == ETH_TYPE_IP || key->eth_type == ETH_TYPE_IP6);

    if (out->set & FLOW_POP_VLAN && ip_sets | tp_sets && !ip)
        return false; /* what is below the tag is seen only when it is gone */
    if (tp_sets && !ports_can_change(key, mask))
        return false;
    return !(out->set & (FLOW_SET_IP_SRC | FLOW_SET_IP_DST)) || addrs_can_change(out, key, mask);
}

static void put_addr(uint8_t to[16], const struct ip *ip)
{
    memset(to, 0, 16);
    if (ip_is4(ip))
        memcpy(to, ip->b + 12, 4);
    else
        memcpy(to, ip->b, 16);
}

int ebpf_out_from(struct ebpf_dp *d, const struct flow_out *out, const struct flow_key *key,
                  const struct flow_key *mask, struct fp_out *o)
{
    if (!supported(out, key, mask))
        return -ENOTSUP;
    *o = (struct fp_out){
        .set = out->set,
        .kind = out->kind,
        .ttl_dec = out->set & FLOW_DEC_TTL ? out->ttl_dec : 0,
        .to = out->port < FP_MAX_PORTS ? out->port : 0,
        .vlan_tci = out->vlan_tci & (uint16_t)~FLOW_VLAN_PRESENT,
        .tos = out->ip_tos,
        .tun_tos = out->tun_tos,
        .tp_src = htons(out->tp_src),
        .tp_dst = htons(out->tp_dst),
    };
    memcpy(o->macs, out->eth_dst.b, 6);
    memcpy(o->macs + 6, out->eth_src.b, 6);
    put_addr(o->src, &out->ip_src);
    put_addr(o->dst, &out->ip_dst);
    if (out->kind != FLOW_OUT_TUNNEL)
        return 0;
    if (out->tun_type != FLOW_TUNNEL_VXLAN)
        return -ENOTSUP;
    o->tun_id = out->tun_id & 0xffffff;
    return ebpf_tunnel_index(d, &out->tun_local, &out->tun_remote, &o->to);
}

static struct ip get_addr(const uint8_t from[16], bool ip6)
{
    struct ip ip;
    uint32_t v4;

    memcpy(&v4, from, 4);
    if (!ip6)
        return ip_from4(v4);
    memcpy(ip.b, from, 16);
    return ip;
}

void ebpf_out_to(struct ebpf_dp *d, const struct fp_out *o, bool ip6, struct flow_out *out)
{
    memset(out, 0, sizeof *out);
    out->set = o->set;
    out->kind = o->kind;
    out->ttl_dec = o->ttl_dec;
    out->vlan_tci = o->set & FLOW_PUSH_VLAN ? o->vlan_tci | FLOW_VLAN_PRESENT : 0;
    out->ip_tos = o->tos;
    out->tp_src = htons(o->tp_src);
    out->tp_dst = htons(o->tp_dst);
    memcpy(out->eth_dst.b, o->macs, 6);
    memcpy(out->eth_src.b, o->macs + 6, 6);
    if (o->set & FLOW_SET_IP_SRC)
        out->ip_src = get_addr(o->src, ip6);
    if (o->set & FLOW_SET_IP_DST)
        out->ip_dst = get_addr(o->dst, ip6);
    if (o->kind == FLOW_OUT_PORT) {
        out->port = o->to;
        return;
    }
    const struct fp_tunnel *t = &d->tunnels[o->to % FP_MAX_TUNNELS];

    out->tun_id = o->tun_id;
    out->tun_tos = o->tun_tos;
    memcpy(out->tun_local.b, t->local, 16);
    memcpy(out->tun_remote.b, t->remote, 16);
}

void ebpf_outs_sort(struct fp_out *outs, unsigned n)
{
    unsigned n_ports = 0;

    for (unsigned i = 0; i < n; i++) {
        if (outs[i].kind != FP_OUT_PORT)
            continue;
        struct fp_out o = outs[i];

        memmove(&outs[n_ports + 1], &outs[n_ports], (i - n_ports) * sizeof o);
        outs[n_ports++] = o;
    }
}
