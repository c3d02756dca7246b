#include <stdlib.h>

#include "base/mem.h"
#include "state/table.h"

enum { EMPTY, GONE, FIRST, SMALLEST = 16 };

/* The ports of a block get neighbouring places, so that one look shows which are taken: the hash is
 * the block's, the port within it is added. */
void key_make(const struct state *s, enum state_kind kind, enum state_way way, topo_ref device,
              const struct state_tuple *t, struct key *k)
{
    bool block = kind == STATE_SNAT && way == STATE_BACK;
    unsigned port = block ? t->dport % STATE_BLOCK : 0;

    *k = (struct key){.t = *t, .device = device, .kind = (uint8_t)kind, .way = (uint8_t)way};
    k->t.dport = (uint16_t)(t->dport - port);
    uint64_t h =
        hash_bytes(&k->t, sizeof k->t, (uint64_t)device << 8 | (unsigned)kind << 1 | (unsigned)way);
    k->t.dport = t->dport;
    k->shard = (uint16_t)(h >> 40 & s->shard_mask);
    k->tag = (uint32_t)h + port;
}

void key_of(const struct state *s, const struct state_rec *r, enum state_way way, struct key *k)
{
    struct state_tuple t = way == STATE_FORTH ? r->fwd : state_back(r);

    key_make(s, (enum state_kind)r->kind, way, r->device, &t, k);
}

static bool matches(const struct key *k, const struct state_rec *r)
{
    if (r->kind != k->kind || r->device != k->device)
        return false;
    if (k->way == STATE_FORTH)
        return !memcmp(&r->fwd, &k->t, sizeof k->t);
    struct state_tuple back = state_back(r);
    return !memcmp(&back, &k->t, sizeof k->t);
}

uint32_t index_find(const struct state *s, const struct key *k, struct state_rec *out)
{
    const struct slots *a = __atomic_load_n(&s->shards[k->shard].slots, __ATOMIC_ACQUIRE);

    for (uint32_t i = a ? k->tag & a->mask : 0; a; i = (i + 1) & a->mask) {
        uint64_t e = __atomic_load_n(&a->e[i], __ATOMIC_ACQUIRE);
        if (e == EMPTY)
            break;
        if (e >> 32 != k->tag || (uint32_t)e < FIRST)
            continue;
        uint32_t number = (uint32_t)e - FIRST;
        if (record_read(record_at(s, number), out) && matches(k, out))
            return number;
    }
    return NO_RECORD;
}

uint64_t index_block(const struct state *s, const struct key *k)
{
    const struct slots *a = __atomic_load_n(&s->shards[k->shard].slots, __ATOMIC_ACQUIRE);
    uint64_t taken = 0;

    for (uint32_t i = 0; a && i <= a->mask; i++) {
        uint64_t e = __atomic_load_n(&a->e[(k->tag + i) & a->mask], __ATOMIC_ACQUIRE);
        uint32_t port = (uint32_t)(e >> 32) - k->tag;
        if (e == EMPTY && i >= STATE_BLOCK - 1)
            break;
        if ((uint32_t)e >= FIRST && port < STATE_BLOCK)
            taken |= 1ull << port;
    }
    return taken;
}

static struct slots *slots_new(uint32_t n)
{
    struct slots *a = mem_zalloc(sizeof *a + n * sizeof a->e[0]);

    a->mask = n - 1;
    return a;
}

static void free_slots(struct rcu_head *head)
{
    free(caa_container_of(head, struct slots, rcu));
}

static void put(struct slots *a, uint64_t e)
{
    uint32_t i = (uint32_t)(e >> 32) & a->mask;

    while (a->e[i] != EMPTY)
        i = (i + 1) & a->mask;
    a->e[i] = e;
}

/* A copy with room for twice the live entries, without the gone ones. */
static void rebuild(struct shard *sh)
{
    struct slots *old = sh->slots;
    uint32_t n = SMALLEST;

    while (n < sh->n_live * 2 + 2)
        n *= 2;
    struct slots *a = slots_new(n);
    for (uint32_t i = 0; old && i <= old->mask; i++) {
        if ((uint32_t)old->e[i] >= FIRST)
            put(a, old->e[i]);
    }
    sh->n_used = sh->n_live;
    __atomic_store_n(&sh->slots, a, __ATOMIC_RELEASE);
    if (old)
        call_rcu(&old->rcu, free_slots);
}

void index_add(struct state *s, const struct key *k, uint32_t number)
{
    struct shard *sh = &s->shards[k->shard];

    if (!sh->slots || (sh->n_used + 1) * 4 > (sh->slots->mask + 1) * 3)
        rebuild(sh);
    struct slots *a = sh->slots;
    uint32_t i = k->tag & a->mask;
    while ((uint32_t)a->e[i] >= FIRST)
        i = (i + 1) & a->mask;
    sh->n_used += a->e[i] == EMPTY;
    sh->n_live++;
    __atomic_store_n(&a->e[i], (uint64_t)k->tag << 32 | (number + FIRST), __ATOMIC_RELEASE);
}

/* A place before an empty one may become empty itself: no search goes on past it. */
static void clear(struct shard *sh, uint32_t i)
{
    struct slots *a = sh->slots;

    if (a->e[(i + 1) & a->mask] != EMPTY) {
        __atomic_store_n(&a->e[i], GONE, __ATOMIC_RELEASE);
        return;
    }
    for (; a->e[i] != EMPTY && (uint32_t)a->e[i] < FIRST; i = (i - 1) & a->mask) {
        __atomic_store_n(&a->e[i], EMPTY, __ATOMIC_RELEASE);
        sh->n_used--;
    }
}

void index_del(struct state *s, const struct key *k, uint32_t number)
{
    struct shard *sh = &s->shards[k->shard];
    struct slots *a = sh->slots;
    uint64_t e = (uint64_t)k->tag << 32 | (number + FIRST);

    for (uint32_t i = k->tag & a->mask; a->e[i] != EMPTY; i = (i + 1) & a->mask) {
        if (a->e[i] != e)
            continue;
        __atomic_store_n(&a->e[i], GONE, __ATOMIC_RELEASE);
        sh->n_live--;
        clear(sh, i);
        return;
    }
}

void shards_lock(struct state *s, const struct shard_set *set)
{
    for (unsigned w = 0; w < MAX_SHARDS / 64; w++) {
        for (uint64_t bits = set->bits[w]; bits; bits &= bits - 1)
            pthread_mutex_lock(&s->shards[w * 64 + (unsigned)__builtin_ctzll(bits)].lock);
    }
}

void shards_unlock(struct state *s, const struct shard_set *set)
{
    for (unsigned w = 0; w < MAX_SHARDS / 64; w++) {
        for (uint64_t bits = set->bits[w]; bits; bits &= bits - 1)
            pthread_mutex_unlock(&s->shards[w * 64 + (unsigned)__builtin_ctzll(bits)].lock);
    }
}
