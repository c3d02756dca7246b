/* What the fillings share with the dispatcher and with each other; not for the agent. */
#ifndef MN_DATAPATH_FILLINGS_H
#define MN_DATAPATH_FILLINGS_H

#include "datapath/datapath.h"

#define DP_MAX_QUEUES 64u

extern const struct dp_ops dp_ebpf_ops, dp_memory_ops;

/* The name of a flow: its mask without the fields no datapath matches (TTL, ICMP id, malformed),
 * and its key under that mask. */
void dp_flow_name(const struct dp_flow *f, struct flow_key *key, struct flow_key *mask);

/* Hops the outputs take off at most: a packet goes through only when its TTL exceeds them. */
unsigned dp_ttl_needed(const struct flow_out *outs, unsigned n);

#endif
