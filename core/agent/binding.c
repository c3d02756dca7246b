#include <stdlib.h>

#include "agent/binding_impl.h"
#include "base/clock.h"
#include "base/log.h"

#define RETRY_NS NSEC_PER_SEC

struct bindings *bindings_new(struct agent *a)
{
    struct bindings *b = NEW(struct bindings);

    b->agent = a;
    return b;
}

static void forget(struct bindings *bs, struct binding *b)
{
    HASH_DEL(bs->all, b);
    free(b->removals);
    free(b);
}

void bindings_free(struct bindings *bs, bool keep)
{
    struct binding *b, *next;

    if (!bs)
        return;
    HASH_CLEAR(hh_key, bs->by_key);
    HASH_ITER (hh, bs->all, b, next) {
        if (!keep)
            binding_restore_mtu(bs, b);
        forget(bs, b);
    }
    free(bs);
}

/* Legs. */

void bindings_want(struct bindings *bs, const struct sync_binding *list, size_t n)
{
    struct binding *b;

    bs->known = bs->dirty = true;
    for (b = bs->all; b; b = b->hh.next)
        b->wanted = false;
    for (size_t i = 0; i < n; i++) {
        HASH_FIND_INT(bs->all, &list[i].port, b);
        if (!b) {
            b = NEW(struct binding);
            b->port = list[i].port;
            b->id = list[i].id;
            HASH_ADD_INT(bs->all, port, b);
        }
        b->wanted = true;
        if (b->previous != list[i].previous)
            b->connections = NOT_FETCHED;
        b->previous = list[i].previous;
        memcpy(b->wanted_ifname, list[i].ifname, sizeof b->wanted_ifname);
    }
}

void bindings_iface(struct bindings *bs, const struct net_iface *iface, bool gone)
{
    struct binding *b;

    bs->dirty = true;
    for (b = bs->all; gone && b; b = b->hh.next)
        if (b->state == SERVED && !strcmp(b->ifname, iface->name))
            b->why = "interface gone"; /* another of that name may be there before we look */
}

static int find_taken(const struct dp_port *p, void *aux)
{
    struct bindings *bs = aux;
    struct binding *b;

    for (b = p->ifindex ? NULL : bs->all; b; b = b->hh.next)
        if (b->state == SERVED && b->port_no == p->port_no) {
            b->why = "taken by another program";
            bs->dirty = true;
        }
    return 0;
}

void bindings_taken(struct bindings *bs)
{
    dp_port_each(bs->agent->opts.dp, find_taken, bs);
}

static bool is_wanted(const struct bindings *bs, const char *ifname)
{
    const struct binding *b;

    for (b = bs->all; b; b = b->hh.next)
        if (b->wanted && !strcmp(b->wanted_ifname, ifname))
            return true;
    return false;
}

/* It was bound to another host, which doesn't serve it alone yet. */
static bool moves_away(const struct bindings *bs, const struct binding *b)
{
    const struct topo_port *port = topo_port(bs->agent->topo, b->port);
    topo_ref here = bs->agent->local_host;

    return !b->wanted && b->state == SERVED && port && !port->obj.missing && port->host &&
           port->host != here && (port->former == here || !port->active) &&
           !is_wanted(bs, b->ifname);
}

/* Null when all legs hold. */
static const char *missing_leg(struct bindings *bs, const struct binding *b)
{
    const struct net_iface *iface = ifaces_find(bs->agent->ifaces, b->wanted_ifname);

    if (!b->wanted && !moves_away(bs, b))
        return "not bound";
    if (!iface)
        return "no interface";
    if (!iface->up)
        return "interface down";
    return iface->carrier ? NULL : "no link";
}

static int same_name(const struct dp_port *p, void *aux)
{
    return !strcmp(p->ifname, aux);
}

static bool in_datapath(struct bindings *bs, struct binding *b)
{
    return dp_port_each(bs->agent->opts.dp, same_name, b->wanted_ifname);
}

/* The connections of a port that moved here are asked for as soon as that is known, while its
 * interface is perhaps still to come, and it isn't served before they are there: its first packets
 * belong to them.  A port that an earlier life of this agent served has them already. */
static bool has_connections(struct bindings *bs, struct binding *b)
{
    struct agent *a = bs->agent;

    if (!a->exchange || !b->wanted || !b->previous || b->previous == a->local_host)
        return true;
    if (b->connections == NOT_FETCHED && in_datapath(bs, b))
        b->connections = FETCHED;
    if (b->connections == NOT_FETCHED) {
        sync_need(a->sync, b->previous);
        agent_fetch(a, b->port, b->previous, bs->now);
        b->connections = FETCHING;
    }
    return b->connections == FETCHED;
}

void bindings_fetched(struct bindings *bs, topo_ref port)
{
    struct binding *b;

    HASH_FIND_INT(bs->all, &port, b);
    if (b)
        b->connections = FETCHED;
    bs->dirty = true;
}

void bindings_heard(struct bindings *bs, topo_ref port)
{
    struct binding *b;

    HASH_FIND_INT(bs->all, &port, b);
    if (!b || b->state != SERVED || !b->unheard)
        return;
    b->unheard = false;
    log_info("agent", "the machine of interface %s has moved here", b->ifname);
    binding_declare(bs->agent, port, b->tunnel_key, false);
}

/* Another port of ours hasn't given the interface up yet: it would take it out of the datapath. */
static bool has_another_port(const struct bindings *bs, const struct binding *b)
{
    const struct binding *o;

    for (o = bs->all; o; o = o->hh.next)
        if (o != b && o->state != IDLE && !strcmp(o->ifname, b->wanted_ifname))
            return true;
    return false;
}

static bool serve(struct bindings *bs, struct binding *b)
{
    struct agent *a = bs->agent;
    struct error e = {0};

    b->unheard = b->previous && b->previous != a->local_host && !in_datapath(bs, b);
    memcpy(b->ifname, b->wanted_ifname, sizeof b->ifname);
    if (dp_port_add(a->opts.dp, b->ifname, &b->port_no, &e)) {
        log_limited(LOG_LVL_WARN, "agent", "interface %s can't be taken over: %s", b->ifname,
                    e.message);
        b->why = "refused by the datapath";
        bs->failed = true;
        return false;
    }
    b->state = SERVED;
    b->connections = NOT_FETCHED; /* should it go and come back */
    b->why = NULL;
    b->kbps = b->burst_kb = UINT32_MAX; /* whatever an earlier process left */
    binding_set_limit(bs, b);
    binding_take_key(bs, b);
    sync_need(a->sync, b->port);
    binding_declare(a, b->port, b->tunnel_key, b->unheard);
    log_info("agent", "port of interface %s is up number=%u key=%u", b->ifname, b->port_no,
             b->tunnel_key);
    return true;
}

static void publish(struct bindings *bs, const struct tag_change *changed, size_t n_changed)
{
    struct agent *a = bs->agent;
    struct portmap_entry *entries = NEW_ARRAY(HASH_COUNT(bs->all), struct portmap_entry);
    struct binding *b;
    size_t n = 0;

    for (b = bs->all; b; b = b->hh.next)
        if (b->state == SERVED)
            entries[n++] = (struct portmap_entry){
                .port = b->port, .port_no = b->port_no, .unheard = b->unheard};
    struct portmap *old = a->ports;
    __atomic_store_n(&a->ports, portmap_new(entries, n), __ATOMIC_RELEASE);
    portmap_free_later(old);
    free(entries);
    agent_announce(a, changed, n_changed);
    for (b = bs->all; b; b = b->hh.next)
        if (b->state == LEAVING && __atomic_load_n(&b->n_leaving, __ATOMIC_ACQUIRE) < 0)
            binding_remove_flows(bs, b);
}

/* One step of one binding; true when the port map changes. */
static bool step(struct bindings *bs, struct binding *b)
{
    const char *lost = missing_leg(bs, b);

    switch (b->state) {
    case SERVED:
        if (!lost && strcmp(b->ifname, b->wanted_ifname))
            lost = "bound elsewhere";
        if (!lost && !b->why) {
            binding_set_mtu(bs, b);
            return false;
        }
        b->why = lost ? lost : b->why;
        binding_leave(bs, b);
        return true;
    case LEAVING:
        if (!binding_has_left(b))
            return false;
        binding_left(bs, b);
        bs->dirty = true; /* somebody may wait for the interface */
        break;
    case IDLE:
        break;
    }
    if (!has_connections(bs, b) && !lost)
        lost = "fetching connections";
    if (!lost && has_another_port(bs, b))
        lost = "interface leaves another port";
    b->why = lost;
    if (!lost)
        return serve(bs, b);
    if (!b->wanted)
        forget(bs, b);
    return false;
}

uint64_t bindings_run(struct bindings *bs, uint64_t now)
{
    struct binding *b, *next;
    struct tag_change *changed;
    size_t n = 0;

    bs->now = now;
    if (bs->failed && now >= bs->retry_ns)
        bs->dirty = true;
    for (b = bs->all; b; b = b->hh.next)
        if (b->state == SERVED)
            binding_set_limit(bs, b);
    for (b = bs->all; b && !bs->dirty; b = b->hh.next)
        bs->dirty = (b->state == SERVED && !b->wanted && !moves_away(bs, b)) ||
                    (b->state == LEAVING && binding_has_left(b)) ||
                    (b->state == SERVED && !b->mtu_seen_to && !bs->agent->opts.keep_mtu);
    if (!bs->dirty)
        return bs->failed ? bs->retry_ns : UINT64_MAX;
    bs->dirty = bs->failed = false;
    changed = NEW_ARRAY(HASH_COUNT(bs->all), struct tag_change);
    HASH_ITER (hh, bs->all, b, next) {
        tag_t tag = tag_object(b->port);
        if (step(bs, b))
            changed[n++].tag = tag;
    }
    if (n)
        publish(bs, changed, n);
    free(changed);
    bs->retry_ns = now + RETRY_NS;
    return bs->dirty ? now : bs->failed ? bs->retry_ns : UINT64_MAX;
}

bool bindings_settled(const struct bindings *bs)
{
    return bs->known && !bs->dirty;
}

static int by_id(struct binding *a, struct binding *b)
{
    return memcmp(&a->id, &b->id, sizeof a->id);
}

int bindings_each(struct bindings *bs, agent_port_fn *fn, void *aux)
{
    struct binding *b;
    int rc = 0;

    HASH_SORT(bs->all, by_id);
    for (b = bs->all; b && !rc; b = b->hh.next) {
        struct agent_port p = {.id = b->id,
                               .port = b->port,
                               .ifname = b->wanted_ifname,
                               .port_no = b->state == SERVED ? b->port_no : 0,
                               .tunnel_key = b->state == SERVED ? b->tunnel_key : 0,
                               .state = b->state == SERVED    ? b->wanted ? "active" : "moving"
                                        : b->state == LEAVING ? "leaving"
                                        : b->why              ? b->why
                                                              : "waiting"};
        rc = fn(&p, aux);
    }
    return rc;
}

struct sweep {
    struct bindings *bs;
    uint32_t *nos;
    size_t n;
};

static int find_unwanted(const struct dp_port *p, void *aux)
{
    struct sweep *s = aux;
    struct binding *b;

    for (b = s->bs->all; b; b = b->hh.next)
        if (b->state != IDLE && b->port_no == p->port_no)
            return 0;
    s->nos = mem_resize(s->nos, (s->n + 1) * sizeof *s->nos);
    s->nos[s->n++] = p->port_no;
    return 0;
}

void bindings_sweep(struct bindings *bs)
{
    struct sweep s = {.bs = bs};

    dp_port_each(bs->agent->opts.dp, find_unwanted, &s);
    for (size_t i = 0; i < s.n; i++)
        dp_port_del(bs->agent->opts.dp, s.nos[i], NULL);
    free(s.nos);
}
