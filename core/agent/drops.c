#include "agent/drops.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"

#define BUCKETS  1024
#define EPOCH_NS (10 * NSEC_PER_SEC)
#define EPOCHS   7 /* one of them is going on */
#define PROBES   8

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
    struct drop_event *events;  /* ring; made with the first drop */
    struct drop_at_port *ports; /* likewise; hashed */
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
    free(d->ports);
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

/* Its place; when others have all places it might have, that of the one longest without a drop. */
static struct drop_at_port *port_count(struct drops *d, uint32_t port_no,
                                       const struct drop_cause *c)
{
    uint64_t h = hash_bytes(&c->object, sizeof c->object, (uint64_t)port_no << 16 | c->reason);
    struct drop_at_port *best = NULL;

    if (!d->ports)
        d->ports = NEW_ARRAY(DROPS_PORTS, struct drop_at_port);
    for (unsigned i = 0; i < PROBES; i++) {
        struct drop_at_port *p = &d->ports[(h + i) % DROPS_PORTS];
        if (p->port_no == port_no && same_cause(&p->cause, c))
            return p;
        if (!best || p->last_ns < best->last_ns)
            best = p;
    }
    *best = (struct drop_at_port){.port_no = port_no, .cause = *c};
    return best;
}

static void count_at_port(struct drop_at_port *p, uint64_t packets, uint64_t now)
{
    uint64_t epoch = now / EPOCH_NS;

    for (uint64_t e = MAX(p->epoch + 1, epoch - MIN(epoch, EPOCHS - 1)); e <= epoch; e++)
        p->recent[e % EPOCHS] = 0;
    p->epoch = MAX(p->epoch, epoch);
    p->packets += packets;
    p->last_ns = now;
    p->recent[epoch % EPOCHS] += (uint32_t)packets;
}

uint64_t drops_last_minute(const struct drop_at_port *p, uint64_t now)
{
    uint64_t epoch = now / EPOCH_NS, sum = 0;

    for (unsigned i = 0; i < EPOCHS; i++)
        if (p->epoch >= i && p->epoch - i + EPOCHS > epoch)
            sum += p->recent[(p->epoch - i) % EPOCHS];
    return sum;
}

const struct drop_at_port *drops_at_port(const struct drops *d, uint32_t i)
{
    return d->ports && i < DROPS_PORTS && d->ports[i].port_no ? &d->ports[i] : NULL;
}

void drops_forget_port(struct drops *d, uint32_t port_no)
{
    for (uint32_t i = 0; d->ports && i < DROPS_PORTS; i++)
        if (d->ports[i].port_no == port_no)
            d->ports[i] = (struct drop_at_port){0};
}

void drops_count(struct drops *d, uint32_t number, uint32_t port_no, uint64_t packets, uint64_t now)
{
    struct drop_count *c = &d->counts[number].pub;

    if (port_no)
        count_at_port(port_count(d, port_no, &c->cause), packets, now);
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
           (d->events ? DROPS_RECENT * sizeof *d->events : 0) +
           (d->ports ? DROPS_PORTS * sizeof *d->ports : 0);
}
