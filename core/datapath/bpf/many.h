/* Copies of one packet to many outputs.
 *
 * Each output is told in terms of the packet as it came in, but the copies are made one after the
 * other from the same packet: what earlier outputs changed and the next one doesn't set is put back
 * from the key.  VLAN tags are put back right after each copy.  Tunnels come last (the process
 * sorts them so): they leave through the VXLAN device, which wants metadata on the packet. */
#ifndef MN_BPF_MANY_H
#define MN_BPF_MANY_H

#include "output.h"

struct many {
    struct pkt pkt;
    struct fp_out out; /* the current one, with what must be put back */
    __u32 changed;     /* by outputs so far */
    __u32 group;       /* of 'mn_members', or 0: 'slot' */
    __u32 slot;
    __u16 vlan_tci; /* as it came in */
    __be16 vlan_proto;
    __u32 had_vlan;
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct many);
} mn_scratch SEC(".maps");

static __always_inline struct many *many(void)
{
    __u32 zero = 0;

    return bpf_map_lookup_elem(&mn_scratch, &zero);
}

static __always_inline const struct fp_out *many_out(const struct many *m, __u32 i)
{
    if (m->group) {
        struct fp_member k = {.group = m->group, .index = i};

        return bpf_map_lookup_elem(&mn_members, &k);
    }
    __u32 n = m->slot;
    struct fp_slot *slot = bpf_map_lookup_elem(&mn_slots, &n);

    if (!slot)
        return 0;
    asm volatile("" : "+r"(slot)); /* the null check stays before the addition */
    return &slot->outs[i & (FP_MAX_OUTS - 1)];
}

static __always_inline void put_back(struct many *m)
{
    __u32 lost = m->changed & ~m->out.set;
    union fp_key *k = &m->pkt.key;

    if (lost & FP_SET_ETH_DST)
        __builtin_memcpy(m->out.macs, k->h.macs, 6);
    if (lost & FP_SET_ETH_SRC)
        __builtin_memcpy(m->out.macs + 6, k->h.macs + 6, 6);
    if (lost & FP_SET_IP_SRC) {
        if (m->pkt.family == 4)
            m->out.src4 = k->n.src;
        else
            __builtin_memcpy(m->out.src, k->w.src, 16);
    }
    if (lost & FP_SET_IP_DST) {
        if (m->pkt.family == 4)
            m->out.dst4 = k->n.dst;
        else
            __builtin_memcpy(m->out.dst, k->w.dst, 16);
    }
    if (lost & FP_SET_TOS)
        m->out.tos = k->h.tos;
    if (lost & FP_SET_TP_SRC)
        m->out.tp_src = k->h.tp_src;
    if (lost & FP_SET_TP_DST)
        m->out.tp_dst = k->h.tp_dst;
    if (!(m->out.set & FP_DEC_TTL))
        m->out.ttl_dec = 0;
    m->changed |= m->out.set & ~(FP_POP_VLAN | FP_PUSH_VLAN);
    m->out.set |= lost;
}

static __always_inline void put_back_vlan(struct __sk_buff *skb, const struct many *m)
{
    if (m->out.set & FP_PUSH_VLAN)
        bpf_skb_vlan_pop(skb);
    if (m->out.set & FP_POP_VLAN && m->had_vlan)
        bpf_skb_vlan_push(skb, m->vlan_proto, m->vlan_tci);
}

static __always_inline void copy_to_tunnel(struct __sk_buff *skb, const struct many *m)
{
    __u32 index = m->out.to, ifindex;
    struct fp_tunnel *t = bpf_map_lookup_elem(&mn_tunnels, &index);

    if (t && t->in_use && !tunnel_by_device(skb, &m->out, t, &ifindex))
        bpf_clone_redirect(skb, ifindex, 0);
    else
        count(FP_NO_TUNNEL);
}

static __always_inline void copy_to_port(struct __sk_buff *skb, const struct many *m)
{
    struct fp_port *port = live_port(m->out.to);

    if (!port)
        return;
    count_tx(skb, m->out.to);
    bpf_clone_redirect(skb, port->ifindex, 0);
}

/* A function the verifier looks at once, not once per turn of the loop. */
__noinline int copy_out(struct __sk_buff *skb, __u32 i)
{
    struct many *m = many();
    const struct fp_out *o = m ? many_out(m, i) : 0;

    if (!o)
        return -1;
    m->out = *o;
    put_back(m);
    if (rewrite(skb, &m->pkt, &m->out)) {
        count(FP_REWRITE_FAILED);
        return -1;
    }
    if (m->out.kind == FP_OUT_PORT)
        copy_to_port(skb, m);
    else
        copy_to_tunnel(skb, m);
    put_back_vlan(skb, m);
    return 0;
}

__noinline int output_many(struct __sk_buff *skb, const struct pkt *p, __u32 group, __u32 slot,
                           __u32 n)
{
    struct many *m = many();

    if (!m || !p)
        return TC_ACT_SHOT;
    m->pkt = *p;
    m->changed = 0;
    m->group = group;
    m->slot = slot;
    m->had_vlan = skb->vlan_present;
    m->vlan_tci = skb->vlan_tci;
    m->vlan_proto = skb->vlan_proto;
    for (__u32 i = 0; i < FP_MAX_OUTS && i < n; i++)
        if (copy_out(skb, i))
            break;
    return TC_ACT_SHOT;
}

#endif
