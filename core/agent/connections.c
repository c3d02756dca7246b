/* The life of connections beside what workers do: records end, and whoever stands on them hears. */
#include "agent/agent_impl.h"

#include "base/clock.h"

#define SWEEP_NS  (100 * NSEC_PER_MSEC)
#define SWEEP_MAX 8192 /* records looked at in a turn: far fewer tags than an inbox holds */
#define NEWS      256

void agent_tell_others(struct worker_host *h, unsigned queue, const struct tag_change *changes,
                       size_t n)
{
    struct agent *a = caa_container_of(h, struct agent, host);

    for (unsigned i = 0; i < a->n_workers; i++)
        if (i != queue)
            worker_announce(a->workers[i], changes, n);
}

struct ending {
    struct agent *agent;
    size_t n;
    struct tag_change news[NEWS];
};

static void announce(struct ending *end)
{
    agent_announce(end->agent, end->news, end->n);
    end->n = 0;
}

static void ended(const struct state_rec *r, void *aux)
{
    struct ending *end = aux;
    tag_t tags[2];
    unsigned n = state_tags(r, tags);

    if (end->n + n > NEWS)
        announce(end);
    for (unsigned i = 0; i < n; i++)
        end->news[end->n++] = (struct tag_change){.tag = tags[i]};
}

/* Given up by a full table, in the thread of whoever commits. */
static void given_up(const struct state_rec *r, void *aux)
{
    struct tag_change news[2] = {0};
    tag_t tags[2];
    unsigned n = state_tags(r, tags);

    for (unsigned i = 0; i < n; i++)
        news[i].tag = tags[i];
    agent_announce(aux, news, n);
}

static void lost(void *aux, const struct state_rec *r)
{
    given_up(r, aux);
}

int agent_open_state(struct agent *a)
{
    struct state_limits limits = a->opts.state;

    /* What the datapath has seen is known one reading of the statistics later. */
    limits.idle_ns = (limits.idle_ns ? limits.idle_ns : 60 * NSEC_PER_SEC) + a->opts.stats_ns;
    limits.gone = given_up;
    limits.aux = a;
    return state_new(&limits, &a->state);
}

/* Ports: what workers need is leased in the topology thread, which may wait for the store. */

static void announce_ports(void *aux, topo_ref device, const struct ip *ip, uint16_t port,
                           uint16_t port_to)
{
    (void)port;
    (void)port_to;
    agent_announce(aux, &(struct tag_change){.tag = tag_ports(device, ip)}, 1);
}

static void wake_topology(void *aux)
{
    inbox_wake(&((struct agent *)aux)->topology);
}

void agent_lease(struct worker_host *h, const struct sim_need *need)
{
    struct agent *a = caa_container_of(h, struct agent, host);

    ports_need(a->leases, need->ref, &need->ip, need->tp_port, need->tp_to);
}

void agent_open_leases(struct agent *a)
{
    struct ports_options o = {.host = a->opts.host};
    struct ports_callbacks cb = {.aux = a,
                                 .granted = announce_ports,
                                 .exhausted = announce_ports,
                                 .lost = lost,
                                 .wake = wake_topology};

    a->leases = ports_open(a->opts.store, a->state, a->topo, &o, &cb);
}

uint64_t agent_run_leases(struct agent *a, uint64_t now)
{
    return ports_run(a->leases, now, agent_wall_ms(now));
}

/* All records in some ten seconds, a few at a time: a million of them cost nobody a pause. */
uint64_t agent_sweep_state(struct agent *a, uint64_t now)
{
    struct ending end = {.agent = a};
    uint32_t n = state_size(a->state);

    if (!n)
        return UINT64_MAX; /* the next statistics bring us back here */
    if (now < a->next_sweep_ns)
        return a->next_sweep_ns;
    state_sweep(a->state, now, MIN(MAX(1024u, n / 64), SWEEP_MAX), ended, &end);
    if (end.n)
        announce(&end);
    return a->next_sweep_ns = now + SWEEP_NS;
}
