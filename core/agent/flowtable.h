/* Flow table: the agent's own record of what it installed in the datapath.
 *
 * One table a worker.  It knows each flow's name (key and mask, kept compactly: only the words that
 * the mask looks at, masks shared), when it was made, looked at and used, what it depends on (tags,
 * see tagindex.h) and, for a drop, why.  The outputs themselves are the datapath's; the table keeps
 * their hash, enough to know that nothing changed.
 *
 * A flow lives while it is used.  ft_look() goes round the flows, a few at each call: an idle one
 * is expired, a busy one becomes due to be simulated again from time to time, so that what
 * simulating does besides (asking stale neighbours, keeping learned addresses) goes on.  Short
 * drops end after a fixed time whatever comes.  A stateful flow used after a long pause is due at
 * once, for the records it stands on are about as old as the pause.  A full table gives up the
 * oldest flow of the first class in enum ft_class that has one.
 *
 * Memory: 64 bytes a flow, 32 to 88 for its key, 5 for buckets; the tag set comes on top, shared.
 * Time is nanoseconds of the agent's clock; the table keeps it in steps of 17 ms.
 * Thread: one owner. */
#ifndef MN_AGENT_FLOWTABLE_H
#define MN_AGENT_FLOWTABLE_H

#include "agent/tagindex.h"
#include "packet/flow.h"

/* In the order in which they are given up. */
enum ft_class {
    FT_SHORT, /* drop that may soon be untrue (no route, neighbour silent, error) */
    FT_DROP,  /* drop by decision */
    FT_FORWARD,
    FT_STATEFUL, /* forwards, and stands on records of connections */
    FT_N_CLASSES
};
const char *ft_class_name(enum ft_class c);

struct ft_limits {
    uint32_t max_flows;     /* 0: 200,000 */
    uint64_t short_ns;      /* life of FT_SHORT; 0: 5 s */
    uint64_t idle_ns;       /* the others go after this without a packet; 0: 60 s */
    uint64_t resimulate_ns; /* a used flow is simulated again after this; 0: 45 s */
    uint64_t stateful_ns;   /* the same of FT_STATEFUL: its records must not die; 0: 20 s */
    uint64_t patience_ns;   /* a deferred flow goes after this; 0: 5 s */
};

struct flowtable;

/* 'limits' may be null. */
struct flowtable *ft_new(const struct ft_limits *limits);
void ft_free(struct flowtable *ft);

struct ft_flow {
    const struct flow_key *key,
        *mask; /* in_port exact; fields a datapath doesn't match are ignored */
    enum ft_class class;
    uint32_t drop;      /* the owner's number for the reason; 0 none */
    uint32_t outs_hash; /* equal: same outputs */
    const tag_t *tags;
    size_t n_tags;
    bool missed; /* a packet came up for want of it */
};

/* FT_CHANGED: its outputs differ, or it was missed although it isn't fresh: install it (again). */
enum ft_put_result { FT_NEW, FT_CHANGED, FT_SAME };

struct ft_done {
    uint32_t id;
    uint32_t old_drop; /* ft_flow.drop of the flow it replaced, 0 for a new one */
    uint64_t cookie;
};
/* Records a flow simulated at 'now'.  Returns an enum ft_put_result, or -ENOSPC: make room with
 * ft_victim() and ft_remove(). */
int ft_put(struct flowtable *ft, const struct ft_flow *f, uint64_t now, struct ft_done *done);
/* Takes over a flow that an earlier process installed: its tags are unknown, so it is due to be
 * simulated.  0, also when it is there already, or -ENOSPC. */
int ft_adopt(struct flowtable *ft, const struct flow_key *key, const struct flow_key *mask,
             uint32_t outs_hash, uint64_t now);
void ft_remove(struct flowtable *ft, uint32_t id);
/* 0 when there is none. */
uint32_t ft_find(const struct flowtable *ft, const struct flow_key *key,
                 const struct flow_key *mask);
uint32_t ft_by_cookie(const struct flowtable *ft, uint64_t cookie);
/* Which flow to give up for a new one: of the class, about the longest unused (the longest of eight
 * looked at).  0 when the table is empty. */
uint32_t ft_victim(const struct flowtable *ft);

/* Every flow with this tag, or every one, is due to be simulated: the first thousand at once, the
 * others by calls of ft_invalidate_more(), each about 'budget' of them, while ft_invalidating().
 * Return how many flows they met. */
size_t ft_invalidate(struct flowtable *ft, tag_t tag, uint64_t now);
void ft_invalidate_all(struct flowtable *ft, uint64_t now);
size_t ft_invalidate_more(struct flowtable *ft, size_t budget, uint64_t now);
bool ft_invalidating(const struct flowtable *ft);
bool ft_has_tag(const struct flowtable *ft, tag_t tag);
/* Some flow with this tag, 0 none. */
uint32_t ft_tagged(const struct flowtable *ft, tag_t tag);
/* A flow that is due to be simulated again, 0 none; it stays due until ft_put(), ft_defer() or
 * ft_remove(). */
uint32_t ft_due(const struct flowtable *ft);
size_t ft_n_due(const struct flowtable *ft);
/* The simulation of a due flow lacks something: until one of 'tags' is announced it stays as it is.
 * False when it has been due for ft_limits.patience_ns already: remove it. */
bool ft_defer(struct flowtable *ft, uint32_t id, const tag_t *tags, size_t n_tags, uint64_t now);

/* Looks at up to *budget flows whose turn it is, and takes them off it; ids of those to remove go
 * to ids[0..max-1]. */
size_t ft_look(struct flowtable *ft, uint64_t now, unsigned *budget, uint32_t *ids, size_t max);

/* The datapath's statistics of a flow; 'used' is its last packet in the agent's clock, 0 never.
 * Returns the flow's id and how many packets came since the last note, or 0 when it is gone. */
uint32_t ft_note(struct flowtable *ft, uint64_t cookie, uint64_t packets, uint64_t used,
                 uint32_t *n_new);

/* What is known of a flow; its tags by ti_tags(ft_tagindex(), info.set). */
struct ft_info {
    struct flow_key key, mask;
    enum ft_class class;
    bool due, deferred;
    bool used_since; /* packets were noted since it was simulated last */
    uint32_t drop, outs_hash, set;
    uint64_t age_ns, used_ns; /* before 'now': since it was made, since its last packet */
    uint32_t packets;
};
void ft_info(const struct flowtable *ft, uint32_t id, uint64_t now, struct ft_info *out);
/* Just the name. */
void ft_key(const struct flowtable *ft, uint32_t id, struct flow_key *key, struct flow_key *mask);
uint32_t ft_drop(const struct flowtable *ft, uint32_t id);
/* A stable name for it, the same in every process: of its key and mask. */
uint64_t ft_cookie(const struct flow_key *key, const struct flow_key *mask);

/* Ids in no order, for walking in pieces while the table changes: the first id after 'id' (0: the
 * first of all), 0 at the end. */
uint32_t ft_next(const struct flowtable *ft, uint32_t id);

struct tagindex *ft_tagindex(const struct flowtable *ft);
uint32_t ft_n_flows(const struct flowtable *ft);
uint32_t ft_n_class(const struct flowtable *ft, enum ft_class c);
uint32_t ft_n_masks(const struct flowtable *ft);
size_t ft_memory(const struct flowtable *ft);

#endif
