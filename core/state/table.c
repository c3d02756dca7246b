#include "state/table.h"

#include <stdlib.h>

#include "base/mem.h"

static const char *const kind_names[STATE_N_KINDS] = {
    [STATE_NONE] = "none", [STATE_CONN] = "conn", [STATE_SNAT] = "snat", [STATE_DNAT] = "dnat"};

const char *state_kind_name(enum state_kind k)
{
    return (unsigned)k < STATE_N_KINDS ? kind_names[k] : "?";
}

_Static_assert(sizeof(struct state_rec) == REC_WORDS * sizeof(uint64_t), "records are whole words");

/* Enough shards that workers seldom meet and that each stays small. */
static uint32_t shards_for(uint32_t max)
{
    uint32_t n = 16;

    while (n < MAX_SHARDS && n * 4096u < max)
        n *= 2;
    return n;
}

int state_new(const struct state_limits *limits, struct state **out)
{
    const struct state_limits l = limits ? *limits : (struct state_limits){0};
    struct state *s = NEW(struct state);

    s->max = l.max_records ? l.max_records : 1000000;
    s->idle = l.idle_ns ? l.idle_ns : 60000000000ull;
    s->gone = l.gone;
    s->aux = l.aux;
    s->shard_mask = shards_for(s->max) - 1;
    s->shards = NEW_ARRAY(s->shard_mask + 1, struct shard);
    for (uint32_t i = 0; i <= s->shard_mask; i++)
        pthread_mutex_init(&s->shards[i].lock, NULL);
    pthread_mutex_init(&s->slab, NULL);
    s->chunks = NEW_ARRAY(s->max / CHUNK + 1, struct record *);
    s->first_free = NO_RECORD;
    s->grants = grants_new();
    *out = s;
    return 0;
}

void state_free(struct state *s)
{
    if (!s)
        return;
    for (uint32_t i = 0; i <= s->shard_mask; i++) {
        free(s->shards[i].slots);
        pthread_mutex_destroy(&s->shards[i].lock);
    }
    for (uint32_t i = 0; i < s->max / CHUNK + 1; i++)
        free(s->chunks[i]);
    pthread_mutex_destroy(&s->slab);
    grants_free(s->grants);
    free(s->chunks);
    free(s->shards);
    free(s);
}

/* Every load and store of the content is ordered, instead of fences: the same instructions on x86,
 * and tools that watch for races understand it. */
bool record_read(const struct record *r, struct state_rec *out)
{
    uint64_t w[REC_WORDS];
    uint32_t seq = __atomic_load_n(&r->seq, __ATOMIC_ACQUIRE);

    for (unsigned i = 0; i < REC_WORDS; i++)
        w[i] = __atomic_load_n(&r->w[i], __ATOMIC_ACQUIRE);
    memcpy(out, w, sizeof w);
    return !(seq & 1) && __atomic_load_n(&r->seq, __ATOMIC_RELAXED) == seq &&
           out->kind != STATE_NONE;
}

void record_write(struct record *r, const struct state_rec *rec)
{
    uint64_t w[REC_WORDS];

    memcpy(w, rec, sizeof w);
    __atomic_store_n(&r->seq, r->seq + 1, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < REC_WORDS; i++)
        __atomic_store_n(&r->w[i], w[i], __ATOMIC_RELEASE);
    __atomic_store_n(&r->seq, r->seq + 1, __ATOMIC_RELEASE);
}

void record_touch(struct record *r, uint64_t now)
{
    if (record_used(r) < now)
        __atomic_store_n(&r->used, now, __ATOMIC_RELAXED);
}

bool state_find(const struct state *s, enum state_kind kind, enum state_way way, topo_ref device,
                const struct state_tuple *t, struct state_rec *out)
{
    struct key k;

    if (!s || (kind == STATE_CONN && way == STATE_BACK))
        return false;
    key_make(s, kind, way, device, t, &k);
    return index_find(s, &k, out) != NO_RECORD;
}

bool state_touch(struct state *s, const struct state_rec *r, uint64_t now)
{
    struct state_rec found;
    struct key k;

    key_of(s, r, STATE_FORTH, &k);
    uint32_t number = index_find(s, &k, &found);
    if (number == NO_RECORD || memcmp(&found, r, sizeof found))
        return false;
    record_touch(record_at(s, number), now);
    return true;
}

void state_counters(const struct state *s, struct state_counters *out)
{
    const struct state_counters *c = &s->counters;

    *out = (struct state_counters){
        .made = __atomic_load_n(&c->made, __ATOMIC_RELAXED),
        .refreshed = __atomic_load_n(&c->refreshed, __ATOMIC_RELAXED),
        .received = __atomic_load_n(&c->received, __ATOMIC_RELAXED),
        .expired = __atomic_load_n(&c->expired, __ATOMIC_RELAXED),
        .evicted = __atomic_load_n(&c->evicted, __ATOMIC_RELAXED),
        .conflicts = __atomic_load_n(&c->conflicts, __ATOMIC_RELAXED),
        .refused = __atomic_load_n(&c->refused, __ATOMIC_RELAXED),
    };
}

uint32_t state_size(const struct state *s)
{
    return __atomic_load_n(&s->n_live, __ATOMIC_RELAXED);
}

size_t state_memory(const struct state *s)
{
    uint32_t fresh = __atomic_load_n(&s->fresh, __ATOMIC_RELAXED);
    size_t size = sizeof *s + (s->shard_mask + 1) * sizeof *s->shards +
                  (s->max / CHUNK + 1) * sizeof *s->chunks +
                  (size_t)(fresh + CHUNK - 1) / CHUNK * CHUNK * sizeof(struct record);

    for (uint32_t i = 0; i <= s->shard_mask; i++) {
        const struct slots *a = __atomic_load_n(&s->shards[i].slots, __ATOMIC_ACQUIRE);
        size += a ? sizeof *a + (a->mask + 1) * sizeof a->e[0] : 0;
    }
    return size + grants_memory(s->grants);
}
