/* Turns: what each kind of thread of the agent does each time it runs (agent.h). */
#include <stdlib.h>

#include "agent/agent_impl.h"
#include "agent/mtu.h"
#include "base/clock.h"
#include "base/log.h"

#define CHECK_NS NSEC_PER_SEC /* between two looks whether the datapath is still there */
#define LOCALS_NS                                                                                  \
    (500 * NSEC_PER_MSEC) /* until a tunnel address that isn't there yet is tried again */

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
