/* A batch of the process's flows or packets (struct fp_batch), done in one run.
 *
 * Packets are copied one after the other into the packet the run was given, and clones of it sent;
 * whatever they wake up runs behind the last. */
#ifndef MN_BPF_BATCH_H
#define MN_BPF_BATCH_H

#include "output.h"

static __always_inline struct fp_batch *batch_of(__u32 queue)
{
    return bpf_map_lookup_elem(&mn_batches, &queue);
}

/* These are functions the verifier looks at once, not once per turn of a loop. */
__noinline int batch_put(__u32 queue, __u32 i)
{
    struct fp_batch *b = batch_of(queue);

    if (!b)
        return -1;
    struct fp_change *c = &b->changes[i & (FP_BATCH - 1)];

    c->rc = c->wide ? bpf_map_update_elem(&mn_wide, &c->key.w, &c->flow, BPF_NOEXIST)
                    : bpf_map_update_elem(&mn_narrow, &c->key.n, &c->flow, BPF_NOEXIST);
    return 0;
}

__noinline int batch_delete(__u32 queue, __u32 i)
{
    struct fp_batch *b = batch_of(queue);

    if (!b)
        return -1;
    struct fp_change *c = &b->changes[i & (FP_BATCH - 1)];
    const struct fp_flow *f;

    if (c->wide) {
        f = bpf_map_lookup_elem(&mn_wide, &c->key.w);
        if (f)
            c->flow = *f;
        c->rc = bpf_map_delete_elem(&mn_wide, &c->key.w);
    } else {
        f = bpf_map_lookup_elem(&mn_narrow, &c->key.n);
        if (f)
            c->flow = *f;
        c->rc = bpf_map_delete_elem(&mn_narrow, &c->key.n);
    }
    return 0;
}

static __always_inline int copy_in(struct __sk_buff *skb, const struct fp_send *s, __u32 at)
{
    __u32 size = s->size;

    if (size < ETH_HLEN || size > FP_SEND_SMALL)
        return -1;
    if (skb->len != at + size && bpf_skb_change_tail(skb, at + size, 0) < 0)
        return -1;
    return bpf_skb_store_bytes(skb, at, s->packet, size, 0);
}

static __always_inline int batch_to_tunnel(struct __sk_buff *skb, const struct fp_send *s)
{
    __u32 index = s->to;
    struct fp_tunnel *t = bpf_map_lookup_elem(&mn_tunnels, &index);

    if (!t || !t->in_use || !(t->flags & FP_TUNNEL_READY)) {
        count(FP_NO_TUNNEL);
        return 0;
    }
    bool ip6 = t->flags & FP_TUNNEL_IP6;

    if (copy_in(skb, s, ip6 ? OUTER6 : OUTER4))
        return -1;
    void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

    if (skb->len - ETH_HLEN > t->mtu) {
        count(FP_TOO_BIG);
        return 0;
    }
    if (data + OUTER4 > end)
        return -1;
    if (!ip6)
        tunnel_headers4(data, skb->len, t, s->tun_tos, s->tun_id, s->hash);
    else if (data + OUTER6 <= end)
        tunnel_headers6(data, skb->len, t, s->tun_tos, s->tun_id, s->hash);
    t->packets++;
    return bpf_clone_redirect(skb, t->ifindex, 0);
}

static __always_inline int batch_to_port(struct __sk_buff *skb, const struct fp_send *s)
{
    struct fp_port *port = live_port(s->to);

    if (!port)
        return 0;
    if (copy_in(skb, s, 0))
        return -1;
    count_tx(skb, s->to);
    return bpf_clone_redirect(skb, port->ifindex, 0);
}

__noinline int batch_send(struct __sk_buff *skb, __u32 queue, __u32 i)
{
    struct fp_batch *b = batch_of(queue);

    if (!b)
        return -1;
    const struct fp_send *s = &b->sends[i & (FP_BATCH - 1)];

    return s->kind == FP_OUT_PORT ? batch_to_port(skb, s) : batch_to_tunnel(skb, s);
}

#endif
