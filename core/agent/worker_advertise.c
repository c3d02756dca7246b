/* Router advertisements nobody asked for (RFC 4861 section 6.2.4): hosts forget their default
 * router when none comes for half an hour.  Each port of this host gets its routers' every 400 s,
 * at a moment of its own, the first 200 to 400 s after the start: who needs one earlier asks.  No
 * port has state for this: whether one is due follows from its number and from the time. */
#include "agent/worker_internal.h"
#include "base/clock.h"

#define TICK_NS   (5 * NSEC_PER_SEC)
#define PERIOD_NS (400 * NSEC_PER_SEC)

static bool is_due(topo_ref port, uint64_t from, uint64_t until)
{
    uint64_t phase = PERIOD_NS / 2 - hash_u64(port) % (PERIOD_NS / 2);

    return (from + phase) / PERIOD_NS != (until + phase) / PERIOD_NS;
}

static void advertise(struct worker *w, topo_ref port)
{
    struct sim_emit *emits;
    uint32_t n = sim_advertise(w->host->topo, w->now, port, worker_mtu(w), &w->batch.arena, &emits);

    for (uint32_t i = 0; i < n; i++)
        worker_send_emit(w, &emits[i]);
    w->counters.advertisements += n;
}

struct span {
    struct worker *w;
    uint64_t from, until; /* since the start */
};

static void look_at(topo_ref port, void *aux)
{
    struct span *s = aux;

    if (is_due(port, s->from, s->until))
        advertise(s->w, port);
}

void worker_advertise(struct worker *w)
{
    if (w->opts.queue || w->now < w->advertise_ns) /* one worker does it for all ports */
        return;
    if (!w->advertise_start_ns)
        w->advertise_start_ns = w->advertised_ns = w->now;
    struct span s = {w, w->advertised_ns - w->advertise_start_ns, w->now - w->advertise_start_ns};
    portmap_each(worker_ports(w), look_at, &s);
    w->advertised_ns = w->now;
    w->advertise_ns = w->now + TICK_NS;
    flow_batch_flush(&w->batch);
}

uint64_t worker_advertise_next(const struct worker *w)
{
    return w->opts.queue || !portmap_size(worker_ports(w)) ? UINT64_MAX : w->advertise_ns;
}
