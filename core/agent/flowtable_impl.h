/* Inside the flow table; not for others.
 *
 *   flowtable.c         records, their lists and what becomes of them
 *   flow_invalidate.c   which become due to be simulated when something changed */
#ifndef MN_AGENT_FLOWTABLE_IMPL_H
#define MN_AGENT_FLOWTABLE_IMPL_H

#include "agent/flowname.h"
#include "agent/flowtable.h"

#define ID_BITS 28
#define ID_MASK ((1u << ID_BITS) - 1)
#define N_SLABS 4

struct rec {
    uint32_t next;                 /* in the hash bucket */
    uint32_t list_prev, list_next; /* in lists[]: oldest look first */
    uint32_t peer_prev, peer_next; /* flows with the same tag set */
    uint32_t set;                  /* 0: adopted, not simulated yet */
    uint32_t cookie_low, cookie_high;
    uint32_t drop;
    uint32_t outs_hash;
    uint32_t made, looked, simulated, used; /* steps of 2^24 ns */
    uint32_t packets;                       /* low bits, at the last note */
    uint16_t mask;
    uint8_t class : 4;
    uint8_t used_since : 1; /* packets were noted since it was simulated */
    uint8_t state;          /* which list: its class's (0), DUE or DEFERRED */
    uint32_t words[];
};

struct list {
    uint32_t first, last, n;
};

/* Something changed, and not all flows that stand on it are due yet. */
struct walk {
    bool on;
    tag_t tag;
    uint32_t flow; /* the next of the set that the walk is at; 0: the next set's */
};

enum { DUE = FT_N_CLASSES, DEFERRED, N_LISTS };

struct flowtable {
    uint32_t max_flows, n_flows, bucket_mask;
    uint32_t short_life, idle_life, patience, look_interval; /* steps */
    uint32_t resimulate[FT_N_CLASSES];
    uint32_t *buckets;
    struct slab slabs[N_SLABS];
    struct flow_masks masks;
    struct tagindex *tags;
    struct list lists[N_LISTS];
    uint32_t n_class[FT_N_CLASSES];
    struct walk walks[TI_WALKS];
    unsigned n_walks; /* that are on */
    bool all;         /* everything changed: flows from 'all_at' on are to be made due */
    uint32_t all_at;
};

static inline uint32_t steps(uint64_t ns)
{
    return (uint32_t)(ns >> 24);
}

static inline bool passed(uint32_t now, uint32_t since, uint32_t interval)
{
    return (int32_t)(now - since) >= (int32_t)interval;
}

static inline struct rec *rec_at(const struct flowtable *ft, uint32_t id)
{
    return slab_at(&ft->slabs[id >> ID_BITS], id & ID_MASK);
}

void ft_move(struct flowtable *ft, uint32_t id, uint8_t state);
void ft_make_due(struct flowtable *ft, uint32_t id, uint32_t now);
/* The flow leaves the list of its tag set. */
void ft_walks_leave(struct flowtable *ft, uint32_t id);

#endif
