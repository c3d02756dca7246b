/* The table behind state.h, between the files of this folder.
 *
 *   table.c         new, free, find, touch; counters and sizes
 *   table_index.c   from keys to records: shards of open addressing
 *   table_commit.c  all or none, conflicts, room
 *   table_end.c     removal, expiry, dump
 *   grants.c        which blocks of ports this host has
 *   pick.c          a free port of these
 *
 * Records lie in a slab and keep their number for life; two entries of the index lead to one, by
 * 'fwd' and by the reverse tuple.  A number is used again at once, without a grace period: a record
 * has a sequence count that is odd while it is written, and a reader who saw it change has followed
 * an entry that isn't there any more, so what it looked for isn't there either.  Readers never
 * wait.
 *
 * The index is divided into shards by the hash, each with a lock for its writers and an array of
 * its own that doubles alone: the largest pause is copying one shard (at a million records some
 * 10,000 entries, under 0.1 ms).  Old arrays go after a grace period.
 *
 * Locks: shards in ascending order, all that a commit or removal touches; then 'slab'. */
#ifndef MN_STATE_TABLE_H
#define MN_STATE_TABLE_H

#include <pthread.h>

#include "state/state.h"

enum {
    MAX_SHARDS = 256,
    CHUNK = 1024, /* records allocated at once */
    NO_RECORD = UINT32_MAX,
    REC_WORDS = sizeof(struct state_rec) / sizeof(uint64_t),
};

struct record {
    uint64_t w[REC_WORDS]; /* a struct state_rec; kind STATE_NONE: free, then w[0] is the next */
    uint64_t used, made;
    struct state_via via; /* by atomics: a hint, not part of what the record says */
    uint32_t seq;         /* odd: being written */
    uint8_t origin;
};

/* Place 'tag' or behind it: tag << 32 | number + FIRST. */
struct slots {
    uint32_t mask;
    struct rcu_head rcu;
    uint64_t e[];
};

struct shard {
    pthread_mutex_t lock; /* guards all but readers' access to 'slots' */
    struct slots *slots;  /* null: nothing yet */
    uint32_t n_used;      /* places that aren't empty, gone entries included */
    uint32_t n_live;
};

/* What the index is asked for. */
struct key {
    struct state_tuple t;
    topo_ref device;
    uint8_t kind, way;
    uint16_t shard;
    uint32_t tag;
};

struct grants;

struct state {
    struct shard *shards;
    uint32_t shard_mask;
    uint32_t max;
    uint64_t idle;
    state_gone_fn *gone;
    void *aux;

    pthread_mutex_t slab; /* guards what follows, but for readers' access to 'chunks' */
    struct record **chunks;
    uint32_t fresh; /* numbers from here on were never used; read by any thread */
    uint32_t first_free;
    uint32_t n_live; /* read by any thread */

    uint32_t sweep_at; /* the sweeping thread's */
    uint64_t dice;
    struct state_counters counters; /* by atomics */

    struct grants *grants; /* grants.c, never null */
};

static inline void count(uint64_t *counter, uint64_t n)
{
    __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

static inline struct record *record_at(const struct state *s, uint32_t i)
{
    return &__atomic_load_n(&s->chunks[i / CHUNK], __ATOMIC_ACQUIRE)[i % CHUNK];
}

static inline uint64_t record_used(const struct record *r)
{
    return __atomic_load_n(&r->used, __ATOMIC_RELAXED);
}

/* A whole record, or false: free, or just changing. */
bool record_read(const struct record *r, struct state_rec *out);
/* Under the locks of its shards, or of the slab when it is free. */
void record_write(struct record *r, const struct state_rec *rec);
/* Later only: workers' clocks may be a little apart. */
void record_touch(struct record *r, uint64_t now);

/* table_index.c */
void key_make(const struct state *s, enum state_kind kind, enum state_way way, topo_ref device,
              const struct state_tuple *t, struct key *k);
/* The key of a record in one of its ways. */
void key_of(const struct state *s, const struct state_rec *r, enum state_way way, struct key *k);
/* The number of the record, and a copy of it; or NO_RECORD.  Any reader, no lock needed. */
uint32_t index_find(const struct state *s, const struct key *k, struct state_rec *out);
/* Under the shard's lock. */
void index_add(struct state *s, const struct key *k, uint32_t number);
void index_del(struct state *s, const struct key *k, uint32_t number);
/* Which ports of the block of k (a reverse key of SNAT, made for the block's first port) are taken,
 * a bit each.  One look at neighbouring places, not at the records: another key may, once in
 * millions, make a free port look taken; never the other way round. */
uint64_t index_block(const struct state *s, const struct key *k);

/* Sets of shards, to be locked in order. */
struct shard_set {
    uint64_t bits[MAX_SHARDS / 64];
};

static inline void shard_add(struct shard_set *set, const struct key *k)
{
    set->bits[k->shard / 64] |= 1ull << k->shard % 64;
}

void shards_lock(struct state *s, const struct shard_set *set);
void shards_unlock(struct state *s, const struct shard_set *set);

/* table_commit.c: numbers for n records, or false when there are not that many. */
bool slab_take(struct state *s, uint32_t n, uint32_t *numbers);
void slab_put(struct state *s, uint32_t number);

/* table_end.c: removes exactly this record, unless it was used after 'unused_since'. */
bool table_remove(struct state *s, const struct state_rec *r, uint64_t unused_since);

/* grants.c */
struct grant {
    topo_ref device;
    uint8_t low; /* somebody was told; any thread */
    struct ip ip;
    uint64_t granted[STATE_BLOCKS / 64];
    uint64_t exhausted[STATE_BLOCKS / 64];
    struct rcu_head rcu;
};

/* Sorted by device, then address. */
struct grant_row {
    topo_ref device;
    struct ip ip;
    struct grant *grant;
};
struct grant_rows {
    uint32_t n;
    struct rcu_head rcu;
    struct grant_row rows[];
};

struct grants {
    struct grant_rows *rows;
    bool all;
    state_ports_low_fn *low;
    void *aux;
};

struct grants *grants_new(void);
void grants_free(struct grants *g);
size_t grants_memory(const struct grants *g);
/* The first row not before (device, ip). */
uint32_t grants_seek(const struct grant_rows *rows, topo_ref device, const struct ip *ip);
struct grant *grants_find(const struct grants *g, topo_ref device, const struct ip *ip);

static inline const struct grant_rows *grants_rows(const struct grants *g)
{
    return __atomic_load_n(&g->rows, __ATOMIC_ACQUIRE);
}

static inline bool block_bit(const uint64_t *bits, unsigned block)
{
    return __atomic_load_n(&bits[block / 64], __ATOMIC_ACQUIRE) >> block % 64 & 1;
}

#endif
