/* A table of wildcarded flows by tuple-space search: one hash per distinct mask, tried in order of
 * creation.  Thread: the owner's lock. */
#ifndef MN_DATAPATH_MEMORY_TABLE_H
#define MN_DATAPATH_MEMORY_TABLE_H

#include <uthash.h>

#include "datapath/datapath.h"

struct memory_flow {
    struct flow_key key; /* masked */
    const struct flow_key *mask;
    uint64_t cookie;
    struct flow_out *outs;
    uint16_t n_outs;
    uint8_t ttl_needed;
    struct dp_flow_stats stats;
    UT_hash_handle hh;
};

struct memory_mask {
    struct memory_mask *prev, *next;
    struct flow_key mask;
    struct memory_flow *flows;
};

struct memory_table {
    struct memory_mask *masks;
    unsigned n_flows, max_flows;
    uint64_t out_bytes;
};

struct memory_flow *memory_table_match(struct memory_table *t, const struct flow_key *key);
int memory_table_put(struct memory_table *t, const struct dp_flow *f); /* -ENOSPC */
int memory_table_del(struct memory_table *t, const struct dp_flow *f,
                     struct dp_flow_stats *stats); /* -ENOENT */
int memory_table_each(struct memory_table *t, dp_flow_fn *fn, void *aux);
void memory_table_free(struct memory_table *t);
uint64_t memory_table_bytes(const struct memory_table *t);

#endif
