#include "agent/worker_internal.h"
#include "base/clock.h"
#include "topology/tables.h"

/* Reference behaviour, section 5; hosts spread their refreshing by up to a fifth. */
#define NEIGH_STALE_NS  (60 * NSEC_PER_SEC)
#define NEIGH_EXPIRE_NS (90 * NSEC_PER_SEC)
#define REPEAT_NS       (5 * NSEC_PER_SEC)

/* Whether the agent has heard of this within the last seconds. */
static bool heard(struct worker *w, const struct sim_learn *l)
{
    uint64_t hash =
        hash_u64(mac_u64(&l->mac) ^ hash_u64((uint64_t)l->device << 32 ^ l->port) ^
                 hash_u64(l->ip.q[1] ^ hash_u64(l->ip.q[0] ^ (uint64_t)l->vlan << 8 ^ l->kind)));
    struct known *k = &w->known[hash % WORKER_KNOWN];

    if (k->hash == hash && w->now < k->until_ns)
        return true;
    *k = (struct known){.hash = hash, .until_ns = w->now + REPEAT_NS};
    return false;
}

static bool learn_mac(struct worker *w, const struct sim_learn *l, bool refresh)
{
    const struct topo_bridge *bridge = topo_bridge(w->host->topo, l->device);

    if (!bridge || !bridge->macs)
        return true;
    bool changed = topo_mac_lookup(bridge->macs, l->vlan, &l->mac) != l->port;
    if (changed && refresh)
        return false;
    if (changed) {
        tag_t tag = tag_bridge_mac(l->device, l->vlan, &l->mac);
        topo_mac_set(bridge->macs, l->vlan, &l->mac, l->port);
        w->host->announce(w->host, &tag, 1);
    }
    if (!heard(w, l) || changed)
        w->host->learned(w->host, l, changed, w->now);
    return true;
}

static void learn_neigh(struct worker *w, const struct sim_learn *l)
{
    const struct topo_router *router = topo_router(w->host->topo, l->device);
    uint64_t spread = hash_u64(w->now ^ w->opts.queue) % (NEIGH_STALE_NS / 5);
    struct topo_neigh n = {.mac = l->mac,
                           .stale_ns = w->now + NEIGH_STALE_NS + spread,
                           .expire_ns = w->now + NEIGH_EXPIRE_NS};

    if (!router || !router->neighs)
        return;
    bool changed = topo_neigh_set(router->neighs, l->port, &l->ip, &n);
    if (changed) {
        tag_t tag = tag_neigh(l->port, &l->ip);
        w->host->announce(w->host, &tag, 1);
    }
    asking_stop(w->asking, l->port, &l->ip);
    w->host->learned(w->host, l, changed, w->now);
}

bool worker_learn(struct worker *w, const struct sim_result *r, bool refresh)
{
    bool known = true;

    for (uint32_t i = 0; i < r->n_learns; i++) {
        const struct sim_learn *l = &r->learns[i];
        if (l->kind == SIM_LEARN_MAC)
            known &= learn_mac(w, l, refresh);
        else if (refresh)
            known = false;
        else if (l->kind == SIM_LEARN_NEIGH)
            learn_neigh(w, l);
        else if (!heard(w, l))
            w->host->learned(w->host, l, true, w->now);
    }
    return known;
}

static void send_emit(struct worker *w, const struct sim_emit *e)
{
    struct translation t;

    translate(w->host->topo, rcu_dereference(*w->host->ports), w->host->local_host, &e->key,
              e->outs, e->n_outs, &w->batch.arena, &t);
    w->counters.copies_lost += t.n_lost;
    if (t.n_outs)
        batch_send(&w->batch,
                   &(struct dp_exec){
                       .packet = e->packet, .size = e->size, .outs = t.outs, .n_outs = t.n_outs});
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
        send_emit(w, e);
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
        send_emit(w, &e);
    }
    return true;
}
