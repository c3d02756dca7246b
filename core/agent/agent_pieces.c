/* The loader and the workers of an agent, and what they call back for.
 *
 * Neither knows the other: what the loader says goes from here to workers and to control, and what
 * workers learn or need goes to the loader.  Thread: the loader calls in topology's
 * turn, workers in theirs. */
#include <stdlib.h>

#include "agent/agent_impl.h"
#include "base/clock.h"
#include "base/log.h"

#define PORTS_NS (3 * NSEC_PER_SEC) /* until a host that starts is alive, ports or not */

void agent_announce(struct agent *a, const struct tag_change *changes, size_t n)
{
    for (unsigned i = 0; i < a->n_workers; i++)
        worker_announce(a->workers[i], changes, n);
}

/* What the loader says, in the topology thread. */

static void on_changed(void *aux, const struct tag_change *changes, size_t n)
{
    struct agent *a = aux;
    tag_t host = tag_object(a->local_host), tunnel = tag_tunnel(a->local_host);

    agent_announce(a, changes, n);
    bool objects = false; /* one may be a bound port, whose limit changed */

    for (size_t i = 0; i < n; i++) {
        objects |= changes[i].tag >> 56 == TAG_OBJECT;
        if (changes[i].tag == host || changes[i].tag == tunnel)
            __atomic_store_n(&a->host_changed, 1, __ATOMIC_RELEASE);
    }
    if (objects || __atomic_load_n(&a->host_changed, __ATOMIC_ACQUIRE))
        inbox_wake(&a->control);
}

static void on_loaded(void *aux, const topo_ref *refs, size_t n)
{
    struct agent *a = aux;

    for (size_t i = 0; i < n; i++) {
        if (refs[i] == a->local_host)
            __atomic_store_n(&a->host_changed, 1, __ATOMIC_RELEASE);
        else if (a->exchange && topo_kind_of(a->topo, refs[i]) == TOPO_HOST)
            exchange_known(a->exchange, refs[i], a->topology_ns);
    }
    inbox_wake(&a->control); /* bindings may wait for their ports' device */
}

struct wishes {
    size_t n;
    struct sync_binding list[];
};

static void take_wishes(void *agent, void *aux)
{
    struct wishes *w = aux;

    bindings_want(((struct agent *)agent)->bindings, w->list, w->n);
    free(w);
}

static void on_bound(void *aux, const struct sync_binding *list, size_t n)
{
    struct wishes *w = mem_alloc(sizeof *w + n * sizeof *list);

    w->n = n;
    if (n)
        memcpy(w->list, list, n * sizeof *list);
    agent_call_control(aux, take_wishes, w);
}

static void on_connection(void *aux, bool connected)
{
    struct agent *a = aux;

    if (a->leases)
        ports_connection(a->leases, a->topology_ns, connected);
    log_info("agent", connected ? "store connected" : "store lost; going on with what is known");
}

/* What workers ask for. */

static void host_need(struct worker_host *h, topo_ref object)
{
    sync_need(caa_container_of(h, struct agent, host)->sync, object);
}

static void heard_fn(void *agent, void *aux)
{
    bindings_heard(((struct agent *)agent)->bindings, (topo_ref)(uintptr_t)aux);
}

static void host_heard(struct worker_host *h, topo_ref port)
{
    agent_call_control(caa_container_of(h, struct agent, host), heard_fn, (void *)(uintptr_t)port);
}

static void host_learn(struct worker_host *h, unsigned queue, const struct sim_learn *l,
                       uint64_t now)
{
    struct sync_learner *learner = caa_container_of(h, struct agent, host)->learners[queue];

    switch (l->kind) {
    case SIM_LEARN_MAC:
        sync_learn_mac(learner, now, l->device, l->vlan, &l->mac, l->port);
        break;
    case SIM_LEARN_NEIGH:
        sync_learn_neigh(learner, now, l->device, l->port, &l->ip, &l->mac);
        break;
    case SIM_LEARN_ADDR:
        sync_learn_addr(learner, now, l->device, &l->ip, &l->mac);
        break;
    }
}

static void host_log(struct worker_host *h, unsigned queue, const struct sim_log *log, uint64_t now)
{
    struct agent *a = caa_container_of(h, struct agent, host);

    if (rulelog_put(a->rulelog, queue, log, now))
        inbox_wake(&a->log);
}

int agent_open_workers(struct agent *a)
{
    struct worker_options w = {
        .flows = a->opts.flows, .asking = a->opts.asking, .park_ns = a->opts.park_ns};
    uint32_t max = w.flows.max_flows ? w.flows.max_flows : 200000;
    int rc = 0;

    w.flows.max_flows = MAX(1u, max / a->n_workers);
    a->host = (struct worker_host){.topo = a->topo,
                                   .dp = a->opts.dp,
                                   .exchange = a->exchange,
                                   .trace = agent_trace,
                                   .local_host = a->local_host,
                                   .ports = &a->ports,
                                   .state = a->state,
                                   .tell_others = a->n_workers > 1 ? agent_tell_others : NULL,
                                   .heard = host_heard,
                                   .need = host_need,
                                   .lease = agent_lease,
                                   .remember = a->opts.backup ? agent_remember : NULL,
                                   .log = host_log,
                                   .learn = host_learn};
    a->workers = NEW_ARRAY(a->n_workers, struct worker *);
    a->learners = NEW_ARRAY(a->n_workers, struct sync_learner *);
    for (unsigned i = 0; i < a->n_workers && !rc; i++) {
        w.queue = i;
        rc = worker_new(&a->host, &w, &a->workers[i]);
        a->learners[i] = sync_learner_new(a->sync);
    }
    return rc;
}

int agent_open_sync(struct agent *a, struct error *e)
{
    struct sync_callbacks cb = {.aux = a,
                                .changed = on_changed,
                                .loaded = on_loaded,
                                .bound = on_bound,
                                .connection = on_connection};
    struct sync_options o = a->opts.sync;

    o.host = a->opts.host;
    o.ports_ns = PORTS_NS;
    a->topo = topo_new();
    int rc = sync_open(a->opts.store, a->topo, &o, &cb, &a->sync, e);
    if (!rc)
        a->local_host = sync_load(a->sync, TOPO_HOST, &a->opts.host);
    return rc;
}
