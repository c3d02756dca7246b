/* Leases, between the files of this folder.
 *
 *   ports.c         needs, what is due when, callbacks
 *   ports_choose.c  which blocks: pure
 *   ports_store.c   nodes: read, take, release, mark
 *   ports_sweep.c   which blocks have connections; returns; lost ones
 *   ports_recycle.c nodes that say nothing any more */
#ifndef MN_STATE_PORTS_IMPL_H
#define MN_STATE_PORTS_IMPL_H

#include <pthread.h>
#include <uthash.h>

#include "state/ports.h"

enum { BLOCK_WORDS = STATE_BLOCKS / 64, MOST_AT_ONCE = 8, TRIES = 8 };

struct blocks {
    uint64_t w[BLOCK_WORDS];
};

static inline bool blocks_has(const struct blocks *b, unsigned i)
{
    return b->w[i / 64] >> i % 64 & 1;
}

static inline void blocks_set(struct blocks *b, unsigned i, bool yes)
{
    b->w[i / 64] = (b->w[i / 64] & ~(1ull << i % 64)) | (uint64_t)yes << i % 64;
}

/* What is known of a block that somebody used before. */
enum used_state { USED_HELD, USED_RELEASED, USED_LOST };
struct used {
    uint16_t block;
    uint8_t state; /* enum used_state */
    bool own;      /* this host's */
    struct uuid host;
    uint64_t at_ms;
    int64_t version;
};

/* Chooses at most n of first..last into out: of those not in 'taken', first what nobody ever used
 * (not in 'ever'), by chance; then what was used longest ago, except what rests.  'used' describes
 * blocks of 'ever' that are free (sorted by this), or is null when that wasn't read yet: then only
 * new ones are chosen.  Returns how many. */
unsigned ports_choose(const struct blocks *taken, const struct blocks *ever, struct used *used,
                      unsigned n_used, unsigned first, unsigned last, uint64_t wall_ms,
                      uint64_t quarantine_ms, uint64_t dice, unsigned n, uint16_t *out);
/* Whether the block's earlier lessee may still use it. */
bool ports_rests(const struct used *u, uint64_t wall_ms, uint64_t quarantine_ms);

struct lease {
    uint16_t block;
    bool seen;     /* by the round of the sweep that is under way */
    bool draining; /* no packet takes a port of it any more; the next round decides */
    uint64_t ref_ns;
};

struct address_key {
    struct ip ip;
    topo_ref device;
    uint32_t zero;
};

struct address {
    struct address_key key;
    struct uuid device_id;
    struct lease *leases;
    unsigned n, room;
    unsigned burst; /* blocks taken by the last need */
    uint64_t last_ns;
    bool unsure; /* a commit's outcome is unknown: some nodes may be ours */
    UT_hash_handle hh;
};

struct need {
    topo_ref device;
    uint16_t port, port_to;
    struct ip ip;
};

struct needs {
    struct need *v;
    size_t n, room;
};

/* Blocks that pick isn't to ask for until then. */
struct exhaustion {
    struct need need;
    uint64_t until_ns;
};

struct ports {
    struct store *store;
    struct state *state;
    const struct topo *topo;
    struct ports_options opt;
    struct ports_callbacks cb;
    uint64_t inc, dice;

    pthread_mutex_t lock; /* guards 'asked' */
    struct needs asked;

    struct address *addresses;
    struct needs needs; /* being worked on */
    struct exhaustion *exhausted;
    size_t n_exhausted, room_exhausted;
    uint64_t retry_at; /* the store failed; 0 */
    uint64_t verify_at;

    bool connected, verify;
    bool adopting;              /* the store was away when blocks were to be taken over */
    uint64_t cut_since, cut_at; /* 0: connected */
    bool cut;

    uint64_t sweep_due, scan_at;
    bool scanning;
    uint64_t recycle_due;
    unsigned recycle_shard;
    struct ports_status status;
};

/* ports.c */
struct address *ports_address(struct ports *p, topo_ref device, const struct ip *ip, bool make);
struct lease *address_lease(struct address *a, unsigned block);
void address_add(struct ports *p, struct address *a, unsigned block, uint64_t now);
void address_drop(struct ports *p, struct address *a, unsigned block);

/* ports_store.c: 0, or the store's error. */
int ports_lease(struct ports *p, const struct need *n, uint64_t now, uint64_t wall_ms,
                unsigned *n_got);
/* Takes exactly this block if it was this host's: 0, -ENOENT when it wasn't. */
int ports_retake(struct ports *p, struct address *a, unsigned block, uint64_t wall_ms);
int ports_release(struct ports *p, struct address *a, unsigned block, uint64_t wall_ms);
/* Which of its leases are still this host's, after the store was away. */
int ports_verify(struct ports *p, struct address *a, uint64_t wall_ms, struct blocks *lost);
int ports_list(struct ports *p, const char *folder, struct blocks *out, bool *some);
int ports_read_used(struct ports *p, const char *folder, const struct blocks *which,
                    struct used *out, unsigned *n);
int ports_mark_lost(struct ports *p, const char *folder, struct used *u, unsigned n,
                    uint64_t wall_ms);

/* ports_sweep.c */
bool ports_scan(struct ports *p, uint64_t now, uint64_t wall_ms); /* more to do at once */
void ports_lose(struct ports *p, struct address *a, unsigned block);

/* ports_recycle.c: one of 256 folders. */
int ports_recycle(struct ports *p, unsigned shard, uint64_t wall_ms);

#endif
