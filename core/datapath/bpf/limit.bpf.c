/* In front of a port of Open vSwitch's: drops what it sends beyond its limit.  The kernel asks tc
 * before it hands a frame to the module, so what would go up counts like what matches a flow. */
#include <linux/pkt_cls.h>

#include "limit.h"

char _license[] SEC("license") = "Dual BSD/GPL";

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, FP_LIMITED_PORTS);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, __u32);
    __type(value, struct fp_limited);
} mn_limited SEC(".maps");

SEC("tc")
int mn_limit(struct __sk_buff *skb)
{
    __u32 ifindex = skb->ifindex;
    struct fp_limited *l = bpf_map_lookup_elem(&mn_limited, &ifindex);

    if (!l || limit_may(&l->limit, frame_size(skb)))
        return TC_ACT_UNSPEC; /* the next filter's turn */
    __sync_fetch_and_add(&l->dropped, 1);
    return TC_ACT_SHOT;
}
