#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "state/ports_impl.h"

/* A stamp from a clock far ahead isn't waited for longer than the quarantine: it is then marked
 * anew by whoever looks. */
bool ports_rests(const struct used *u, uint64_t wall_ms, uint64_t quarantine_ms)
{
    if (u->state == USED_RELEASED)
        return false;
    return u->state == USED_HELD || u->at_ms + quarantine_ms > wall_ms;
}

static int by_age(const void *pa, const void *pb)
{
    const struct used *a = pa, *b = pb;

    return a->at_ms < b->at_ms ? -1 : a->at_ms > b->at_ms;
}

unsigned ports_choose(const struct blocks *taken, const struct blocks *ever, struct used *used,
                      unsigned n_used, unsigned first, unsigned last, uint64_t wall_ms,
                      uint64_t quarantine_ms, uint64_t dice, unsigned n, uint16_t *out)
{
    uint16_t fresh[STATE_BLOCKS];
    unsigned n_fresh = 0, got = 0;

    for (unsigned b = first; b <= last && b < STATE_BLOCKS; b++) {
        if (!blocks_has(taken, b) && !blocks_has(ever, b))
            fresh[n_fresh++] = (uint16_t)b;
    }
    for (; got < n && n_fresh; got++) {
        unsigned i = (unsigned)(hash_u64(dice + got) % n_fresh);
        out[got] = fresh[i];
        fresh[i] = fresh[--n_fresh];
    }
    if (n_used)
        qsort(used, n_used, sizeof *used, by_age);
    for (unsigned i = 0; i < n_used && got < n; i++) {
        const struct used *u = &used[i];
        if (u->block >= first && u->block <= last && !blocks_has(taken, u->block) &&
            !ports_rests(u, wall_ms, quarantine_ms))
            out[got++] = u->block;
    }
    return got;
}
