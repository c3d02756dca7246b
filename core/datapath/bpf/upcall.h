/* Packets for the agent: copied into the ring buffer of the port's queue.
 *
 * Bounded per port three times: by credit (what the agent hasn't finished), less of it when the
 * ring is half full, so that a few noisy ports leave room for the quiet ones; by rate, when asked;
 * and by flow: while one flow's first packets wait, at most FLOW_BURST of it go up in FLOW_WINDOW,
 * so that the set-up of a busy flow doesn't eat its port's credit. */
#ifndef MN_BPF_UPCALL_H
#define MN_BPF_UPCALL_H

#include "parse.h"

#define FLOW_BURST  32
#define FLOW_WINDOW 1000000ull /* ns */
#define RATE_BURST  1000000000ull

enum { UPCALL_MISS, UPCALL_TTL };

static __always_inline bool flow_may(__u32 hash, __u64 now)
{
    __u32 slot = hash & (FP_PENDING - 1);
    struct fp_pending *w = bpf_map_lookup_elem(&mn_pending, &slot);

    if (!w)
        return true;
    if (w->hash != hash || now - w->since_ns > FLOW_WINDOW) {
        w->hash = hash;
        w->n = 1;
        w->since_ns = now;
        return true;
    }
    return ++w->n <= FLOW_BURST;
}

static __always_inline bool rate_may(const struct fp_shared *sh, struct fp_port *port, __u64 now)
{
    if (!sh->upcall_gap_ns)
        return true;
    if (port->paid_ns + RATE_BURST < now)
        port->paid_ns = now - RATE_BURST;
    if (port->paid_ns + sh->upcall_gap_ns > now)
        return false;
    port->paid_ns += sh->upcall_gap_ns;
    return true;
}

static __always_inline bool credit_take(const struct fp_shared *sh, struct fp_port *port,
                                        void *ring)
{
    __u32 limit = sh->upcalls_per_port;

    if (bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) > FP_RING_SIZE / 2)
        limit = limit / 16 + 1;
    if (__sync_fetch_and_add(&port->sent, 1) - *(volatile __u32 *)&port->done < limit)
        return true;
    __sync_fetch_and_add(&port->sent, -1);
    return false;
}

static __always_inline int fill(struct __sk_buff *skb, struct fp_upcall *u, __u32 room,
                                const struct fp_port *port, __u32 port_no, __u8 reason, __u64 now)
{
    __u32 size = skb->len;

    u->port_no = port_no;
    u->size = size;
    u->time_ns = now;
    u->vlan_tci = skb->vlan_tci;
    u->vlan_proto = skb->vlan_present ? bpf_ntohs(skb->vlan_proto) : 0;
    u->gso_size = skb->gso_size;
    u->reason = reason;
    u->life = port->life;
    /* Or the compiler drops one bound, or makes of both a comparison with another number, of which
     * verifiers before Linux 6.8 learn nothing about this one. */
    asm volatile("" : "+r"(size));
    if (size > room)
        return -1;
    asm volatile("" : "+r"(size));
    if (size < 14) /* never: a frame has its header */
        return -1;
    return bpf_skb_load_bytes(skb, 0, u->packet, size);
}

#define UPCALL_OF(room)                                                                            \
    ({                                                                                             \
        struct fp_upcall *u_ = bpf_ringbuf_reserve(ring, sizeof *u_ + (room), 0);                  \
        int rc_ = -1;                                                                              \
        if (u_) {                                                                                  \
            rc_ = fill(skb, u_, room, port, port_no, reason, now);                                 \
            if (rc_ < 0)                                                                           \
                bpf_ringbuf_discard(u_, BPF_RB_NO_WAKEUP);                                         \
            else                                                                                   \
                bpf_ringbuf_submit(u_, *awake ? BPF_RB_NO_WAKEUP : BPF_RB_FORCE_WAKEUP);           \
        }                                                                                          \
        rc_;                                                                                       \
    })

static __noinline int upcall_put(struct __sk_buff *skb, struct fp_port *port, __u32 port_no,
                                 __u8 reason, __u64 now)
{
    struct fp_shared *sh = shared();
    __u32 queue = port->queue & (FP_MAX_QUEUES - 1), size = skb->len;
    void *ring = bpf_map_lookup_elem(&mn_rings, &queue);

    if (!sh || !ring || !rate_may(sh, port, now) || !credit_take(sh, port, ring))
        return -1;
    int rc;

    /* What lay in memory that a helper read has lost its bounds before Linux 6.6. */
    asm volatile("" : "+r"(queue));
    volatile __u32 *awake = &sh->awake[queue & (FP_MAX_QUEUES - 1)];

    if (size <= FP_UPCALL_SMALL)
        rc = UPCALL_OF(FP_UPCALL_SMALL);
    else if (size <= FP_UPCALL_MEDIUM)
        rc = UPCALL_OF(FP_UPCALL_MEDIUM);
    else if (size <= FP_UPCALL_JUMBO)
        rc = UPCALL_OF(FP_UPCALL_JUMBO);
    else
        rc = UPCALL_OF(FP_UPCALL_MERGED);
    if (rc < 0)
        __sync_fetch_and_add(&port->sent, -1);
    return rc;
}

__noinline int upcall(struct __sk_buff *skb, __u32 port_no, __u32 reason, __u32 hash)
{
    __u64 now = bpf_ktime_get_ns();
    struct fp_port *port = bpf_map_lookup_elem(&mn_ports, &port_no);
    struct fp_port_stats *st = bpf_map_lookup_elem(&mn_port_stats, &port_no);

    if (!port || !st)
        return TC_ACT_SHOT;
    if (!flow_may(hash, now)) {
        st->upcalls_lost++;
        count(FP_PENDING_DROP);
    } else if (upcall_put(skb, port, port_no, reason, now) < 0) {
        st->upcalls_lost++;
        count(FP_UPCALL_LOST);
    } else {
        st->upcalls++;
    }
    return TC_ACT_SHOT;
}

#endif
