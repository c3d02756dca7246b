#include <errno.h>

#include "base/mem.h"
#include "state/table.h"

/* One record of a commit: where it would go and what is there. */
struct entry {
    struct key forth, back;
    uint32_t number; /* of the record that is the same; NO_RECORD: it is new */
    uint32_t twin;   /* the same record again, further up in this commit: its place plus 1 */
};

/* What stands against a commit and gives way, as it was. */
struct displaced {
    uint32_t n;
    struct state_rec recs[2 * STATE_COMMIT_MAX];
};

enum { ATTEMPTS = 16 };

bool slab_take(struct state *s, uint32_t n, uint32_t *numbers)
{
    pthread_mutex_lock(&s->slab);
    bool room = n <= s->max - s->n_live;
    for (uint32_t i = 0; i < n && room; i++) {
        numbers[i] = s->first_free;
        if (numbers[i] != NO_RECORD) {
            s->first_free = (uint32_t)record_at(s, numbers[i])->w[0];
            continue;
        }
        numbers[i] = s->fresh;
        if (!s->chunks[numbers[i] / CHUNK])
            __atomic_store_n(&s->chunks[numbers[i] / CHUNK], NEW_ARRAY(CHUNK, struct record),
                             __ATOMIC_RELEASE);
        __atomic_store_n(&s->fresh, s->fresh + 1, __ATOMIC_RELEASE);
    }
    if (room)
        __atomic_store_n(&s->n_live, s->n_live + n, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&s->slab);
    return room;
}

void slab_put(struct state *s, uint32_t number)
{
    struct state_rec none = {.kind = STATE_NONE};

    pthread_mutex_lock(&s->slab);
    memcpy(&none, &(uint64_t){s->first_free}, sizeof(uint64_t));
    record_write(record_at(s, number), &none);
    s->first_free = number;
    __atomic_store_n(&s->n_live, s->n_live - 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&s->slab);
}

/* The same connection, translated the same way? */
static bool same(const struct state_rec *a, const struct state_rec *b)
{
    return a->kind == STATE_CONN || (ip_equal(&a->to, &b->to) && a->to_port == b->to_port);
}

static bool same_key(const struct key *a, const struct key *b)
{
    return a->tag == b->tag && a->kind == b->kind && a->device == b->device &&
           !memcmp(&a->t, &b->t, sizeof a->t);
}

/* 'found' contradicts what is to be entered. */
static int contradict(const struct state *s, uint32_t number, const struct state_rec *found,
                      enum state_origin origin, struct displaced *out)
{
    uint8_t its = __atomic_load_n(&record_at(s, number)->origin, __ATOMIC_RELAXED);

    if (origin != STATE_RECEIVED || its == STATE_LOCAL)
        return -EEXIST;
    out->recs[out->n++] = *found;
    return 0;
}

static int check_one(const struct state *s, const struct state_rec *r, struct entry *e,
                     enum state_origin origin, struct displaced *out)
{
    struct state_rec found;
    int rc = 0;

    e->number = index_find(s, &e->forth, &found);
    if (e->number != NO_RECORD) {
        if (same(r, &found))
            return 0;
        rc = contradict(s, e->number, &found, origin, out);
        e->number = NO_RECORD;
    }
    if (rc || r->kind == STATE_CONN)
        return rc;
    uint32_t other = index_find(s, &e->back, &found);
    return other == NO_RECORD ? 0 : contradict(s, other, &found, origin, out);
}

/* Commits are short: each with each. */
static int check_twins(const struct state_rec *recs, struct entry *e, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        e[i].twin = 0;
        for (uint32_t k = 0; k < i && !e[i].twin; k++) {
            if (same_key(&e[i].forth, &e[k].forth)) {
                if (!same(&recs[i], &recs[k]))
                    return -EEXIST;
                e[i].twin = k + 1;
            } else if (recs[i].kind != STATE_CONN && same_key(&e[i].back, &e[k].back)) {
                return -EEXIST;
            }
        }
    }
    return 0;
}

/* A commit and whose it is. */
struct origin {
    const struct state_via *via;
    uint64_t now;
    enum state_origin from;
};

static void note_via(struct record *r, const struct state_via *via)
{
    if (!via)
        return;
    __atomic_store_n(&r->via.in, via->in, __ATOMIC_RELAXED);
    __atomic_store_n(&r->via.out, via->out, __ATOMIC_RELAXED);
}

/* What doesn't stand in the table costs nothing here; what does was looked at under the locks. */
static void enter(struct state *s, const struct state_rec *r, const struct entry *e,
                  uint32_t number, const struct origin *o)
{
    struct record *to = record_at(s, number);

    __atomic_store_n(&to->used, o->now, __ATOMIC_RELAXED);
    __atomic_store_n(&to->made, o->now, __ATOMIC_RELAXED);
    __atomic_store_n(&to->origin, (uint8_t)o->from, __ATOMIC_RELAXED);
    note_via(to, o->via ? o->via : &(struct state_via){0, 0});
    record_write(to, r);
    if (r->kind != STATE_CONN)
        index_add(s, &e->back, number);
    index_add(s, &e->forth, number);
}

/* A record told by others that this host now makes itself is its own from then on. */
static void refresh(struct state *s, uint32_t number, const struct origin *o)
{
    struct record *r = record_at(s, number);

    record_touch(r, o->now);
    note_via(r, o->via);
    if (o->from == STATE_LOCAL)
        __atomic_store_n(&r->origin, STATE_LOCAL, __ATOMIC_RELAXED);
}

static void apply(struct state *s, const struct state_rec *recs, const struct entry *e, uint32_t n,
                  const uint32_t *numbers, const struct origin *o, bool *made)
{
    uint32_t n_made = 0;

    for (uint32_t i = 0; i < n; i++) {
        bool is_new = e[i].number == NO_RECORD && !e[i].twin;
        if (is_new)
            enter(s, &recs[i], &e[i], numbers[n_made++], o);
        else if (!e[i].twin)
            refresh(s, e[i].number, o);
        if (made)
            made[i] = is_new;
    }
    count(&s->counters.made, n_made);
    count(&s->counters.refreshed, n - n_made);
    if (o->from == STATE_RECEIVED)
        count(&s->counters.received, n);
}

/* Of eight chosen by chance, the one longest unused. */
static bool give_up_one(struct state *s, uint64_t now)
{
    uint64_t dice = __atomic_add_fetch(&s->dice, 8, __ATOMIC_RELAXED);
    uint32_t fresh = __atomic_load_n(&s->fresh, __ATOMIC_ACQUIRE);
    struct state_rec victim = {.kind = STATE_NONE}, r;
    uint64_t oldest = UINT64_MAX;

    for (uint32_t i = 0; i < 8 && fresh; i++) {
        const struct record *p = record_at(s, (uint32_t)(hash_u64(dice + i) % fresh));
        uint64_t used = record_used(p);
        if (used < oldest && record_read(p, &r)) {
            oldest = used;
            victim = r;
        }
    }
    if (victim.kind == STATE_NONE || oldest + STATE_EVICT_NS > now)
        return false;
    if (table_remove(s, &victim, oldest)) {
        count(&s->counters.evicted, 1);
        if (s->gone)
            s->gone(&victim, s->aux);
    }
    return true; /* or somebody else was quicker: there may be room now */
}

static void displace(struct state *s, const struct displaced *d)
{
    for (uint32_t i = 0; i < d->n; i++) {
        if (table_remove(s, &d->recs[i], UINT64_MAX) && s->gone)
            s->gone(&d->recs[i], s->aux);
    }
}

/* One attempt under the locks: 0, an error, or 1 when room must be made for *lacking records or
 * 'out' must give way first. */
static int attempt(struct state *s, const struct state_rec *recs, struct entry *e, uint32_t n,
                   const struct origin *o, bool *made, uint32_t *lacking, struct displaced *out)
{
    uint32_t numbers[STATE_COMMIT_MAX], n_new = 0;

    out->n = 0;
    *lacking = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (e[i].twin)
            continue;
        int rc = check_one(s, &recs[i], &e[i], o->from, out);
        if (rc)
            return rc;
        n_new += e[i].number == NO_RECORD;
    }
    if (out->n)
        return 1;
    if (n_new && !slab_take(s, n_new, numbers)) {
        *lacking = n_new;
        return 1;
    }
    apply(s, recs, e, n, numbers, o, made);
    return 0;
}

static bool make_room(struct state *s, uint32_t n, uint64_t now)
{
    if (n > s->max)
        return false;
    for (uint32_t i = 0; i < n && s->max - state_size(s) < n; i++) {
        if (!give_up_one(s, now))
            return false;
    }
    return true;
}

static bool sound(const struct state_rec *r)
{
    return r->kind > STATE_NONE && r->kind < STATE_N_KINDS && !r->pad && !r->fwd.pad[0] &&
           !r->fwd.pad[1] && !r->fwd.pad[2];
}

int state_commit_via(struct state *s, const struct state_rec *recs, uint32_t n,
                     const struct state_via *via, uint64_t now, enum state_origin origin,
                     bool *made)
{
    const struct origin o = {via, now, origin};
    struct entry entries[STATE_COMMIT_MAX];
    struct shard_set set = {0};
    struct displaced out;
    uint32_t lacking;

    if (n > STATE_COMMIT_MAX)
        return -E2BIG;
    for (uint32_t i = 0; i < n; i++) {
        if (!sound(&recs[i]))
            return -EINVAL;
        key_of(s, &recs[i], STATE_FORTH, &entries[i].forth);
        shard_add(&set, &entries[i].forth);
        if (recs[i].kind == STATE_CONN)
            continue;
        key_of(s, &recs[i], STATE_BACK, &entries[i].back);
        shard_add(&set, &entries[i].back);
    }
    int rc = check_twins(recs, entries, n);
    for (unsigned i = 0; !rc && i < ATTEMPTS; i++) {
        shards_lock(s, &set);
        rc = attempt(s, recs, entries, n, &o, made, &lacking, &out);
        shards_unlock(s, &set);
        if (rc <= 0)
            break;
        displace(s, &out);
        rc = lacking && !make_room(s, lacking, now) ? -ENOSPC : 0;
        if (!rc && i == ATTEMPTS - 1)
            rc = -ENOSPC;
    }
    if (rc == -EEXIST)
        count(&s->counters.conflicts, 1);
    if (rc == -ENOSPC)
        count(&s->counters.refused, 1);
    return rc;
}
