#include "base/mem.h"
#include "state/table.h"

enum { DUMP_LOOKS = 65536 }; /* at records, by one call */

bool table_remove(struct state *s, const struct state_rec *r, uint64_t unused_since)
{
    struct shard_set set = {0};
    struct key forth, back;
    struct state_rec found;

    key_of(s, r, STATE_FORTH, &forth);
    shard_add(&set, &forth);
    if (r->kind != STATE_CONN) {
        key_of(s, r, STATE_BACK, &back);
        shard_add(&set, &back);
    }
    shards_lock(s, &set);
    uint32_t number = index_find(s, &forth, &found);
    bool yes = number != NO_RECORD && !memcmp(&found, r, sizeof found) &&
               record_used(record_at(s, number)) <= unused_since;
    if (yes) {
        index_del(s, &forth, number);
        if (r->kind != STATE_CONN)
            index_del(s, &back, number);
        slab_put(s, number);
    }
    shards_unlock(s, &set);
    return yes;
}

void state_remove(struct state *s, const struct state_rec *r)
{
    if (r->kind != STATE_NONE)
        table_remove(s, r, UINT64_MAX);
}

uint32_t state_sweep(struct state *s, uint64_t now, uint32_t budget, state_gone_fn *fn, void *aux)
{
    uint32_t fresh = __atomic_load_n(&s->fresh, __ATOMIC_ACQUIRE), n = 0;
    struct state_rec r;

    for (uint32_t i = 0; i < MIN(budget, fresh); i++) {
        const struct record *p = record_at(s, s->sweep_at % fresh);
        s->sweep_at = (s->sweep_at + 1) % fresh;
        uint64_t used = record_used(p);
        if (used + s->idle > now || !record_read(p, &r))
            continue;
        if (!table_remove(s, &r, now - s->idle))
            continue;
        n++;
        if (fn)
            fn(&r, aux);
    }
    count(&s->counters.expired, n);
    return n;
}

uint32_t state_dump(const struct state *s, uint64_t *at, struct state_info *out, uint32_t max)
{
    uint32_t fresh = __atomic_load_n(&s->fresh, __ATOMIC_ACQUIRE), n = 0;
    uint64_t end = MIN(*at + DUMP_LOOKS, (uint64_t)fresh);

    for (; *at < end && n < max; (*at)++) {
        const struct record *p = record_at(s, (uint32_t)*at);
        out[n].used_ns = record_used(p);
        out[n].made_ns = __atomic_load_n(&p->made, __ATOMIC_RELAXED);
        out[n].via.in = __atomic_load_n(&p->via.in, __ATOMIC_RELAXED);
        out[n].via.out = __atomic_load_n(&p->via.out, __ATOMIC_RELAXED);
        out[n].origin = __atomic_load_n(&p->origin, __ATOMIC_RELAXED);
        n += record_read(p, &out[n].rec);
    }
    if (*at >= fresh)
        *at = 0;
    return n;
}
