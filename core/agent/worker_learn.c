#include "agent/worker_internal.h"
#include "topology/tables.h"

/* Whether a simulation that no packet caused may teach this. */
static bool may_learn(struct worker *w, const struct sim_learn *l, enum worker_learning how)
{
    const struct topo_bridge *bridge = topo_bridge(w->host->topo, l->device);

    if (how == WORKER_LEARN)
        return true;
    if (l->kind != SIM_LEARN_MAC || !bridge)
        return false;
    topo_ref known = topo_mac_lookup(bridge->macs, l->vlan, &l->mac);
    return known == l->port || (!known && how == WORKER_RELEARN);
}

bool worker_learn(struct worker *w, const struct sim_result *r, enum worker_learning how)
{
    bool all = true;

    for (uint32_t i = 0; i < r->n_learns; i++) {
        const struct sim_learn *l = &r->learns[i];
        if (!may_learn(w, l, how)) {
            all = false;
            continue;
        }
        w->host->learn(w->host, w->opts.queue, l, w->now);
        if (l->kind == SIM_LEARN_NEIGH)
            asking_stop(w->asking, l->port, &l->ip);
    }
    return all;
}

void worker_send_emit(struct worker *w, const struct sim_emit *e)
{
    struct translation t;

    translate(w->host->topo, worker_ports(w), w->host->local_host, &e->key, e->outs, e->n_outs,
              &w->batch.arena, &t);
    w->counters.copies_lost += t.n_lost;
    worker_send(w, &(struct dp_exec){.packet = e->packet, .size = e->size}, &t);
}

void worker_send_emits(struct worker *w, const struct sim_result *r, bool solicits_only)
{
    for (uint32_t i = 0; i < r->n_emits; i++) {
        const struct sim_emit *e = &r->emits[i];
        if (e->kind == SIM_EMIT_SOLICIT) {
            if (!asking_start(w->asking, e->port, &e->ip, w->now))
                continue;
            w->counters.neighbours_asked++;
        } else if (solicits_only) {
            continue;
        }
        worker_send_emit(w, e);
    }
}

/* Another host may have learned it meanwhile. */
static bool answered(struct worker *w, topo_ref port, const struct ip *ip)
{
    const struct topo_port *p = topo_port(w->host->topo, port);
    const struct topo_router *router = p ? topo_router(w->host->topo, p->device) : NULL;
    struct topo_neigh n;

    return !router || p->device_kind != TOPO_ROUTER || !router->neighs ||
           (topo_neigh_lookup(router->neighs, port, ip, w->now, &n) && w->now < n.stale_ns);
}

bool worker_ask_again(topo_ref port, const struct ip *ip, void *aux)
{
    struct worker *w = aux;
    struct sim_emit e;

    if (answered(w, port, ip))
        return false;
    sim_solicit(w->host->topo, w->now, port, ip, &w->batch.arena, &e);
    if (e.n_outs) {
        w->counters.neighbours_asked++;
        worker_send_emit(w, &e);
    }
    return true;
}
