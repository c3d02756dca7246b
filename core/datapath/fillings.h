/* What the fillings share with the dispatcher and with each other; not for the agent. */
#ifndef MN_DATAPATH_FILLINGS_H
#define MN_DATAPATH_FILLINGS_H

#include "base/mem.h"
#include "datapath/datapath.h"

#define DP_MAX_QUEUES 64u

extern const struct dp_ops dp_ebpf_ops, dp_ovs_ops, dp_memory_ops;

/* The name of a flow: its mask without the fields no datapath matches (TTL, ICMP id, malformed),
 * and its key under that mask. */
void dp_flow_name(const struct dp_flow *f, struct flow_key *key, struct flow_key *mask);

/* Hops the outputs take off at most: a packet goes through only when its TTL exceeds them. */
unsigned dp_ttl_needed(const struct flow_out *outs, unsigned n);

/* A limit (dp_port_limit) in time: a packet costs its size times 'cost' >> DP_COST_SHIFT ns, and
 * what is paid for lies at most 'depth_ns' back.  cost 0: no limit.  Time here begins long before
 * any clock did, so that a machine that has just started has a full bucket, too. */
#define DP_COST_SHIFT  20
#define DP_LIMIT_EPOCH (1ull << 62)
struct dp_bucket {
    uint64_t cost, depth_ns;
};

static inline struct dp_bucket dp_bucket_of(uint32_t kbps, uint32_t burst_kb)
{
    if (!kbps)
        return (struct dp_bucket){0};
    return (struct dp_bucket){.cost = MAX(1u, (8000000ull << DP_COST_SHIFT) / kbps),
                              .depth_ns = (uint64_t)burst_kb * 1000000000u / kbps};
}

/* What a device of instance 'name' is called: "mn-NAME-SUFFIX" while that fits. */
void dp_device_name(const char *name, const char *suffix, char buf[16]);

#endif
