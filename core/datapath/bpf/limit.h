/* A token bucket for what a port sends (fillings.h, struct dp_bucket). */
#ifndef MN_BPF_LIMIT_H
#define MN_BPF_LIMIT_H

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "datapath/ebpf_abi.h"

/* With the tag that isn't in the bytes. */
static __always_inline __u32 frame_size(struct __sk_buff *skb)
{
    return skb->len + (skb->vlan_present ? 4 : 0);
}

/* Processors may do this at once and then let a little more through; what is charged adds up. */
static __always_inline bool limit_may(struct fp_limit *l, __u32 bytes)
{
    __u64 now = bpf_ktime_get_ns() + FP_LIMIT_EPOCH, paid = l->paid_ns, oldest = now - l->depth_ns;

    if (paid < oldest) {
        __sync_val_compare_and_swap(&l->paid_ns, paid, oldest);
        paid = oldest;
    }
    if (paid >= now)
        return false;
    __sync_fetch_and_add(&l->paid_ns, bytes * l->cost >> FP_COST_SHIFT);
    return true;
}

#endif
