#include "agent/drops.h"

#include <stdlib.h>

#include "base/hash.h"

#define BUCKETS 1024

struct count {
    struct drop_count pub;
    uint32_t next; /* in the bucket */
};

struct drops {
    struct count *counts; /* [0] unused; grows to DROPS_MAX + 1 */
    uint32_t n, room;
    uint32_t buckets[BUCKETS];
    uint64_t totals[SIM_N_REASONS];
    uint64_t n_events;
    struct drop_event *events; /* ring; made with the first drop */
};

struct drops *drops_new(void)
{
    struct drops *d = NEW(struct drops);

    d->n = 1;
    return d;
}

void drops_free(struct drops *d)
{
    if (!d)
        return;
    free(d->counts);
    free(d->events);
    free(d);
}

static uint32_t *bucket_of(struct drops *d, const struct drop_cause *c)
{
    return &d->buckets[hash_bytes(&c->object, sizeof c->object, c->reason) % BUCKETS];
}

static bool same_cause(const struct drop_cause *a, const struct drop_cause *b)
{
    return a->reason == b->reason && a->kind == b->kind && uuid_equal(&a->object, &b->object);
}

/* Takes the number of the cause that mattered least lately; 0 when flows hold all of them. */
static uint32_t recycle(struct drops *d)
{
    uint32_t best = 0;

    for (uint32_t i = 1; i < d->n; i++)
        if (!d->counts[i].pub.n_flows &&
            (!best || d->counts[i].pub.last_ns < d->counts[best].pub.last_ns))
            best = i;
    if (best) {
        uint32_t *link = bucket_of(d, &d->counts[best].pub.cause);
        while (*link != best)
            link = &d->counts[*link].next;
        *link = d->counts[best].next;
    }
    return best;
}

static uint32_t new_number(struct drops *d)
{
    if (d->n > DROPS_MAX)
        return recycle(d);
    if (d->n >= d->room) {
        d->room = MAX(16u, 2 * d->room);
        d->counts = mem_resize(d->counts, d->room * sizeof *d->counts);
    }
    return d->n++;
}

uint32_t drops_number(struct drops *d, const struct drop_cause *cause)
{
    uint32_t *bucket = bucket_of(d, cause), i = *bucket;

    while (i && !same_cause(&d->counts[i].pub.cause, cause))
        i = d->counts[i].next;
    if (i)
        return i;
    i = new_number(d);
    if (!i) /* every number has a flow: count it with any of the same reason */
        for (i = 1; i < d->n - 1 && d->counts[i].pub.cause.reason != cause->reason;)
            i++;
    else {
        d->counts[i] = (struct count){.pub.cause = *cause, .next = *bucket};
        *bucket = i;
    }
    return i;
}

void drops_count(struct drops *d, uint32_t number, uint64_t packets, uint64_t now)
{
    struct drop_count *c = &d->counts[number].pub;

    c->packets += packets;
    c->last_ns = now;
    d->totals[c->cause.reason] += packets;
}

void drops_event(struct drops *d, const struct drop_cause *cause, topo_ref port,
                 const struct flow_key *key, uint64_t now)
{
    if (!d->events)
        d->events = NEW_ARRAY(DROPS_RECENT, struct drop_event);
    d->events[d->n_events++ % DROPS_RECENT] =
        (struct drop_event){.cause = *cause, .port = port, .time_ns = now, .key = *key};
}

void drops_hold(struct drops *d, uint32_t number)
{
    if (number)
        d->counts[number].pub.n_flows++;
}

void drops_release(struct drops *d, uint32_t number)
{
    if (number)
        d->counts[number].pub.n_flows--;
}

const struct drop_count *drops_at(const struct drops *d, uint32_t number)
{
    return number < d->n ? &d->counts[number].pub : NULL;
}

uint64_t drops_total(const struct drops *d, enum sim_reason reason)
{
    return d->totals[reason];
}

const struct drop_event *drops_recent(const struct drops *d, uint32_t i)
{
    if (i >= DROPS_RECENT || i >= d->n_events)
        return NULL;
    return &d->events[(d->n_events - 1 - i) % DROPS_RECENT];
}

uint64_t drops_n_events(const struct drops *d)
{
    return d->n_events;
}

size_t drops_memory(const struct drops *d)
{
    return sizeof *d + d->room * sizeof *d->counts +
           (d->events ? DROPS_RECENT * sizeof *d->events : 0);
}
