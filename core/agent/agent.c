#include "agent/agent.h"

#include <stdlib.h>

#include "agent/agent_impl.h"
#include "agent/mtu.h"
#include "base/clock.h"
#include "base/log.h"

#define CHECK_NS NSEC_PER_SEC       /* between two looks whether the datapath is still there */
#define PORTS_NS (3 * NSEC_PER_SEC) /* until a host that starts is alive, ports or not */
#define LOCALS_NS                                                                                  \
    (500 * NSEC_PER_MSEC) /* until a tunnel address that isn't there yet is tried again */

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

static int open_workers(struct agent *a)
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

static int open_sync(struct agent *a, struct error *e)
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

int agent_open(const struct agent_options *opts, struct agent **out, struct error *e)
{
    struct agent *a = NEW(struct agent);
    int rc;

    a->opts = *opts;
    a->opts.name = mem_strdup(opts->name);
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
        rc = open_sync(a, e);
    if (!rc)
        rc = agent_open_state(a);
    if (!rc)
        rc = agent_open_exchange(a);
    if (!rc)
        agent_open_leases(a);
    if (!rc)
        a->rulelog = rulelog_new(&opts->rulelog, a->topo, a->n_workers);
    if (!rc)
        rc = open_workers(a);
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
    free(a);
}

void agent_iface(struct agent *a, const struct net_iface *iface, bool gone)
{
    ifaces_set(a->ifaces, iface, gone);
    __atomic_store_n(&a->host_changed, 1, __ATOMIC_RELEASE); /* its tunnels' MTU, perhaps */
    bindings_iface(a->bindings, iface, gone);
}

/* Control. */

static bool local_is_told(const struct agent *a, const struct topo_zone_addr *z)
{
    for (size_t i = 0; i < a->n_locals; i++)
        if (ip_equal(&a->locals[i].ip, &z->ip) && a->locals[i].type == z->type)
            return true;
    return false;
}

/* Interfaces or tunnel zones may have changed. */
static void measure_overlay(struct agent *a)
{
    uint16_t most = a->opts.dhcp_mtu ? a->opts.dhcp_mtu : 1500;

    __atomic_store_n(&a->host.overlay_mtu,
                     overlay_mtu(topo_host(a->topo, a->local_host), a->ifaces, most),
                     __ATOMIC_RELAXED);
}

/* Tells the datapath of this host's addresses in tunnel zones. */
static uint64_t run_locals(struct agent *a, uint64_t now)
{
    const struct topo_host *host = topo_host(a->topo, a->local_host);
    bool failed = false;

    if (!__atomic_exchange_n(&a->host_changed, 0, __ATOMIC_ACQ_REL) && now < a->next_locals_ns)
        return a->next_locals_ns;
    measure_overlay(a);
    for (unsigned i = 0; host && i < host->n_zones; i++) {
        const struct topo_zone_addr *z = &host->zones[i];
        struct error e = {0};
        if (local_is_told(a, z))
            continue;
        if (dp_tunnel_local(a->opts.dp, &z->ip, z->type, &e)) {
            log_limited(LOG_LVL_WARN, "agent", "tunnel address: %s", e.message);
            failed = true;
            continue;
        }
        a->locals = mem_resize(a->locals, (a->n_locals + 1) * sizeof *a->locals);
        a->locals[a->n_locals++] = (struct tunnel_local){z->ip, z->type};
    }
    return a->next_locals_ns = failed ? now + LOCALS_NS : UINT64_MAX;
}

static void tell_host(void *agent, void *aux)
{
    struct agent *a = agent;

    sync_host(a->sync, a->opts.name, aux);
    json_decref(aux);
}

static uint64_t run_report(struct agent *a, uint64_t now)
{
    uint64_t next;
    json_t *list = ifaces_report(a->ifaces, now, &next);

    if (list)
        agent_call_topology(a, tell_host, list);
    return next;
}

static void start_worker(void *worker, void *aux)
{
    worker_start(worker, *(uint64_t *)aux);
    free(aux);
}

/* Behind what the topology thread was told about ports: they are active by now. */
static void pass_start(void *agent, void *aux)
{
    struct agent *a = agent;

    sync_ports_told(a->sync);
    for (unsigned i = 0; i < a->n_workers; i++) {
        uint64_t *when = NEW(uint64_t);
        *when = *(uint64_t *)aux;
        agent_post(worker_inbox(a->workers[i]), start_worker, when);
    }
    free(aux);
}

/* Once the ports are what they shall be, adopted flows can be judged. */
static void start_workers(struct agent *a, uint64_t now)
{
    if (a->started || !bindings_settled(a->bindings))
        return;
    a->started = true;
    bindings_sweep(a->bindings);
    uint64_t *when = NEW(uint64_t);
    *when = now;
    agent_call_topology(a, pass_start, when);
}

static uint64_t run_check(struct agent *a, uint64_t now)
{
    if (now < a->next_check_ns)
        return a->next_check_ns;
    int rc = dp_check(a->opts.dp);

    a->dp_gone = rc == -ENODEV;
    if (rc == 1)
        bindings_taken(a->bindings);
    return a->next_check_ns = rc == -ENOTSUP ? UINT64_MAX : now + CHECK_NS;
}

uint64_t agent_run_control(struct agent *a, uint64_t now)
{
    uint64_t next;

    if (!a->opened_ns)
        a->opened_ns = now;
    agent_run_calls(&a->control, a);
    next = bindings_run(a->bindings, now);
    start_workers(a, now);
    clock_sooner(&next, run_locals(a, now));
    clock_sooner(&next, run_report(a, now));
    clock_sooner(&next, run_check(a, now));
    clock_sooner(&next, agent_sweep_state(a, now));
    if (now >= a->next_stats_ns) {
        if (a->next_stats_ns)
            agent_read_stats(a, now);
        a->next_stats_ns = now + a->opts.stats_ns;
    }
    rcu_quiescent_state();
    return inbox_any(&a->control) ? now : MIN(next, a->next_stats_ns);
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

/* Topology. */

uint64_t agent_run_topology(struct agent *a, uint64_t now)
{
    a->topology_ns = now;
    agent_run_calls(&a->topology, a);
    uint64_t next = sync_run(a->sync, now);

    clock_sooner(&next, agent_run_leases(a, now));
    if (now - a->status_ns >= NSEC_PER_SEC || !a->status_ns) {
        struct sync_status s;
        sync_status(a->sync, &s);
        a->status_ns = MAX(1u, now);
        pthread_mutex_lock(&a->lock);
        a->status = s;
        pthread_mutex_unlock(&a->lock);
    }
    rcu_quiescent_state();
    return inbox_any(&a->topology) ? now : next;
}

void agent_sync_status(struct agent *a, struct sync_status *out)
{
    pthread_mutex_lock(&a->lock);
    *out = a->status;
    pthread_mutex_unlock(&a->lock);
    out->connected = agent_connected(a);
}

/* Workers, and all together. */

uint64_t agent_run_worker(struct agent *a, unsigned worker, uint64_t now)
{
    bool more = worker_run(a->workers[worker], now);

    rcu_quiescent_state();
    return more ? now : worker_next_ns(a->workers[worker]);
}

void agent_run_log(struct agent *a)
{
    __atomic_store_n(&a->log.posted, 0, __ATOMIC_SEQ_CST);
    rulelog_run(a->rulelog);
    rcu_quiescent_state();
}

bool agent_run(struct agent *a, uint64_t now)
{
    uint64_t next = agent_run_topology(a, now);

    clock_sooner(&next, agent_run_control(a, now));
    for (unsigned i = 0; i < a->n_workers; i++)
        clock_sooner(&next, agent_run_worker(a, i, now));
    clock_sooner(&next, agent_run_mail(a, now));
    agent_run_log(a);
    return next <= now || inbox_any(&a->topology) || inbox_any(&a->control);
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

struct dp *agent_dp(struct agent *a)
{
    return a->opts.dp;
}

struct worker *agent_worker(struct agent *a, unsigned worker)
{
    return a->workers[worker];
}

const struct agent_options *agent_options(const struct agent *a)
{
    return &a->opts;
}

topo_ref agent_local_host(const struct agent *a)
{
    return a->local_host;
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
