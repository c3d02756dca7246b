#include "agent/agent.h"

#include <stdlib.h>

#include "agent/agent_impl.h"
#include "base/clock.h"

int agent_open(const struct agent_options *opts, struct agent **out, struct error *e)
{
    struct agent *a = NEW(struct agent);
    int rc;

    a->opts = *opts;
    a->opts.name = mem_strdup(opts->name);
    a->opts.instance = mem_strdup(opts->instance ? opts->instance : "mn");
    if (!a->opts.stats_ns)
        a->opts.stats_ns = 5 * NSEC_PER_SEC;
    a->n_workers = MAX(1u, opts->n_workers);
    a->host_changed = 1;
    pthread_mutex_init(&a->lock, NULL);
    a->bindings = bindings_new(a);
    a->ifaces = ifaces_new();
    a->control.fd = a->topology.fd = a->log.fd = -1;
    rc = inbox_init(&a->control);
    if (!rc)
        rc = inbox_init(&a->topology);
    if (!rc)
        rc = inbox_init(&a->log);
    if (!rc)
        rc = inbox_init(&a->mail);
    if (!rc)
        rc = agent_open_sync(a, e);
    if (!rc)
        rc = agent_open_state(a);
    if (!rc)
        rc = agent_open_exchange(a);
    if (!rc)
        agent_open_leases(a);
    if (!rc)
        a->rulelog = rulelog_new(&opts->rulelog, a->topo, a->n_workers);
    if (!rc)
        rc = agent_open_workers(a);
    if (!rc)
        agent_load_backup(a, opts->now_ns ? opts->now_ns : clock_ns());
    if (!rc)
        rc = agent_adopt_flows(a, 0);
    if (rc) {
        if (e && !e->code)
            error_set(e, rc, "agent", NULL, "cannot start: %s", strerror(-rc));
        agent_close(a, true);
        return rc;
    }
    *out = a;
    return 0;
}

void agent_close(struct agent *a, bool keep)
{
    if (!a)
        return;
    if (a->topology.fd >= 0 && a->sync)
        agent_run_calls(&a->topology, a);
    agent_run_calls(&a->control, a);
    if (keep && a->workers && a->n_workers && a->workers[0])
        worker_farewell(a->workers[0]);
    for (unsigned i = 0; i < a->n_workers && a->workers; i++) {
        if (a->workers[i])
            agent_run_calls(worker_inbox(a->workers[i]), a->workers[i]);
        sync_learner_free(a->learners[i]);
        worker_free(a->workers[i]);
    }
    agent_free_pages(a);
    ports_close(a->leases);
    bindings_free(a->bindings, keep);
    sync_close(a->sync);
    portmap_free(a->ports);
    if (a->rulelog)
        rulelog_run(a->rulelog);
    rulelog_free(a->rulelog);
    exchange_free(a->exchange);
    state_free(a->state);
    topo_free(a->topo);
    ifaces_free(a->ifaces);
    inbox_free(&a->control);
    inbox_free(&a->topology);
    inbox_free(&a->log);
    inbox_free(&a->mail);
    pthread_mutex_destroy(&a->lock);
    free(a->workers);
    free(a->learners);
    free(a->locals);
    free((char *)a->opts.name);
    free((char *)a->opts.instance);
    free(a);
}

void agent_iface(struct agent *a, const struct net_iface *iface, bool gone)
{
    ifaces_set(a->ifaces, iface, gone);
    __atomic_store_n(&a->host_changed, 1, __ATOMIC_RELEASE); /* its tunnels' MTU, perhaps */
    bindings_iface(a->bindings, iface, gone);
}

void agent_advance(struct agent *a, uint64_t now, uint64_t ns)
{
    agent_read_stats(a, now);
    __atomic_add_fetch(&a->ahead_ns, ns, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < a->n_workers; i++)
        inbox_wake(worker_inbox(a->workers[i]));
    inbox_wake(&a->topology);
}

uint64_t agent_now(const struct agent *a)
{
    return clock_ns() + __atomic_load_n(&a->ahead_ns, __ATOMIC_ACQUIRE);
}

void agent_sync_status(struct agent *a, struct sync_status *out)
{
    pthread_mutex_lock(&a->lock);
    *out = a->status;
    pthread_mutex_unlock(&a->lock);
    out->connected = agent_connected(a);
}

struct inbox *agent_control_inbox(struct agent *a)
{
    return &a->control;
}

struct inbox *agent_topology_inbox(struct agent *a)
{
    return &a->topology;
}

struct inbox *agent_log_inbox(struct agent *a)
{
    return &a->log;
}

int agent_topology_fd(struct agent *a)
{
    return sync_fd(a->sync);
}

struct inbox *agent_worker_inbox(struct agent *a, unsigned worker)
{
    return worker_inbox(a->workers[worker]);
}

int agent_worker_fd(struct agent *a, unsigned worker)
{
    return dp_recv_fd(a->opts.dp, worker);
}

unsigned agent_n_workers(const struct agent *a)
{
    return a->n_workers;
}

struct topo *agent_topo(struct agent *a)
{
    return a->topo;
}

struct state *agent_state(struct agent *a)
{
    return a->state;
}

struct worker *agent_worker(struct agent *a, unsigned worker)
{
    return a->workers[worker];
}

const struct agent_options *agent_options(const struct agent *a)
{
    return &a->opts;
}

bool agent_connected(const struct agent *a)
{
    return store_connected(a->opts.store);
}

bool agent_ready(const struct agent *a)
{
    return a->started;
}

bool agent_forwards(const struct agent *a)
{
    return !a->dp_gone;
}

int agent_each_port(struct agent *a, agent_port_fn *fn, void *aux)
{
    return bindings_each(a->bindings, fn, aux);
}
