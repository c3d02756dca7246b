#include <stdlib.h>

#include "topology/sync_policy.h"

int sync_read_drafts(struct sync *s, const topo_ref *ports, size_t n, drafts *out)
{
    char path[STORE_PATH_MAX];
    struct batch b;

    sync_batch_init(&b, s);
    for (size_t i = 0; i < n; i++) {
        objects_path(ST_PORT, topo_id(s->topo, ports[i]), path);
        sync_batch_add(&b, path);
        objects_state_path(ST_PORT, topo_id(s->topo, ports[i]), "active", path);
        sync_batch_add(&b, path);
    }
    int rc = sync_batch_run(&b);
    for (size_t i = 0; i < n && !rc; i++) {
        struct draft d = {.ref = ports[i]};
        json_t *active = sync_json(s, "an active node", &b.values[2 * i + 1]);
        d.body = sync_body(s, ST_PORT, topo_id(s->topo, ports[i]), &b.values[2 * i]);
        d.state = sync_parse_port_state(s, active);
        json_decref(active);
        vec_add(out, d);
    }
    sync_batch_free(&b);
    return rc;
}

int sync_read_states(struct sync *s, struct draft *const *ds, size_t n)
{
    char path[STORE_PATH_MAX];
    struct batch b;

    sync_batch_init(&b, s);
    for (size_t i = 0; i < n; i++) {
        objects_state_path(ST_PORT, topo_id(s->topo, ds[i]->ref), "active", path);
        sync_batch_add(&b, path);
    }
    int rc = n ? sync_batch_run(&b) : 0;
    for (size_t i = 0; i < n && !rc; i++) {
        json_t *active = sync_json(s, "an active node", &b.values[i]);
        ds[i]->state = sync_parse_port_state(s, active);
        json_decref(active);
    }
    sync_batch_free(&b);
    return rc;
}

static struct port_item *port_item(struct sync *s, topo_ref ref)
{
    return sync_item_new(s, ref, TOPO_PORT, sizeof(struct port_item));
}

static void list(struct sync *s, refs *to, topo_ref ref, uint8_t kind, size_t size)
{
    struct item *it = sync_item_new(s, ref, kind, size);

    if (it && !it->loaded && !it->listed) {
        it->listed = true;
        vec_add(to, ref);
    }
}

static void unlist(struct sync *s, refs *r)
{
    for (size_t i = 0; i < r->n; i++)
        sync_item(s, r->v[i])->listed = false;
    free(r->v);
}

/* What drafts[from..] refer to and isn't known: peers of bridge ports, hosts they are bound to or
 * served by. */
static void wants(struct sync *s, const drafts *ds, size_t from, refs *peers, refs *hosts)
{
    struct uuid id;

    for (size_t i = from; i < ds->n; i++) {
        const json_t *body = ds->v[i].body;
        topo_ref host = sync_body_ref(s, body, "hostId", TOPO_HOST);
        topo_ref peer = host ? 0 : sync_body_ref(s, body, "peerId", TOPO_PORT);
        const struct port_state *st = &ds->v[i].state;
        const topo_ref all[] = {host, host ? st->now.host : 0, host ? st->former.host : 0};
        for (unsigned k = 0; k < ARRAY_SIZE(all); k++)
            if (all[k])
                list(s, hosts, all[k], TOPO_HOST, sizeof(struct host_item));
        if (peer && peers && sync_body_uuid(body, "bridgeId", &id))
            list(s, peers, peer, TOPO_PORT, sizeof(struct port_item));
    }
}

bool sync_serves(struct sync *s, const struct port_server *p)
{
    const struct host_item *h = p->host ? sync_host_item(s, p->host) : NULL;

    return h && h->alive && h->inc == p->inc;
}

/* Active: the host it is bound to serves it, in the life that said so, or the host it was bound to
 * before still does.  Silent: no life of that host says anything any more; it is dead, or lives on
 * without the store.  What this host serves it knows itself: between two lives, or without the
 * store, that doesn't say so. */
static void apply_state(struct sync *s, const struct port_item *p, struct topo_port *port)
{
    bool taken = p->state.now.host == port->host; /* since it was bound there */
    struct port_server now = taken ? p->state.now : (struct port_server){0};
    struct port_server former = taken ? p->state.former : p->state.now;
    bool here = port->host && sync_serves(s, &now);
    bool there = port->host && former.host != port->host && sync_serves(s, &former);
    bool takes = here || (port->host && sync_host_silent(s, now.host));
    bool reached = there || (port->host && sync_host_silent(s, former.host));
    const struct own_port *own;

    HASH_FIND(hh, s->own_ports, &p->item.ref, sizeof p->item.ref, own);
    if (own && port->host == s->host) {
        here = takes = own->up;
        now.key = own->key;
        there &= !own->up || own->moving;
        reached &= !own->up || own->moving;
    }
    port->active = here || there;
    port->silent = !port->active && (takes || reached);
    port->tunnel_key = takes ? now.key : 0;
    port->former = reached ? former.host : 0;
    port->former_key = reached ? former.key : 0;
}

static bool same_reach(const struct topo_port *a, const struct topo_port *b)
{
    return a->admin_up == b->admin_up && a->active == b->active && a->silent == b->silent &&
           a->peer == b->peer && a->host == b->host && a->tunnel_key == b->tunnel_key &&
           a->former == b->former && a->former_key == b->former_key && a->vlan == b->vlan &&
           a->outfilter == b->outfilter;
}

static bool same_allowed(const struct topo_allowed *a, const struct topo_allowed *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!mac_equal(&a[i].mac, &b[i].mac) || !sync_same_cidrs(&a[i].net, &b[i].net, 1))
            return false;
    return true;
}

static bool same_policy(const struct topo_port *a, const struct topo_port *b)
{
    return sync_same_lists(&a->groups, &b->groups, 1) &&
           sync_same_lists(a->mirrors, b->mirrors, TOPO_PORT_HOOKS) && a->trace == b->trace &&
           a->insert_in == b->insert_in && a->insert_out == b->insert_out &&
           a->service == b->service && a->mark == b->mark && a->dscp == b->dscp &&
           a->max_kbps == b->max_kbps && a->max_burst_kb == b->max_burst_kb;
}

static bool same_port(const struct topo_port *a, const struct topo_port *b)
{
    return same_reach(a, b) && a->device == b->device && !strcmp(a->ifname, b->ifname) &&
           a->infilter == b->infilter && same_policy(a, b) && mac_equal(&a->mac, &b->mac) &&
           a->n_addrs == b->n_addrs && sync_same_cidrs(a->addrs, b->addrs, a->n_addrs) &&
           a->secure == b->secure && a->n_allowed == b->n_allowed &&
           same_allowed(a->allowed, b->allowed, a->n_allowed) && !strcmp(a->obj.name, b->obj.name);
}

static void rebuild_around(struct sync *s, const struct topo_port *p, bool flood)
{
    const struct port_item *peer = p->peer ? sync_port(s, p->peer) : NULL;

    sync_rebuild(s, p->device, p->obj.self, flood);
    if (peer && peer->device)
        sync_rebuild(s, peer->device, p->peer, false);
}

/* Hangs 'port' into its slot unless what is there says the same. */
static void publish(struct sync *s, struct port_item *p, struct topo_port *port)
{
    const struct topo_port *old = topo_port(s->topo, p->item.ref);
    bool was = old && !old->obj.missing;

    apply_state(s, p, port);
    if (port->host != s->host && p->state.now.host != s->host && !sync_serves(s, &p->state.now))
        sync_serve_again(s, p->item.ref);
    sync_apply_qos(s, p, port);
    if (was && same_port(old, port)) {
        topo_discard(&port->obj);
        return;
    }
    if (old)
        sync_changed(s, tag_object(p->item.ref));
    if (old && old->obj.missing)
        s->st.n_missing--;
    if (was && old->peer != port->peer)
        rebuild_around(s, old, true);
    bool flood = !was || !same_reach(old, port);
    topo_publish(s->topo, &port->obj);
    rebuild_around(s, port, flood);
}

/* What the body refers to and a port has in it: its policy, its generated chains. */
static int read_policy(struct sync *s, struct port_item *p, struct topo_port *port,
                       const json_t *body)
{
    int rc = sync_know_qos(s, body, &p->qos);

    p->lists = sync_body_count(body, "insertionIds") || sync_body_count(body, "srvInsertionIds") ||
               sync_body_count(body, "traceRequestIds");
    if (!rc)
        rc = sync_make_traces(s, &port->obj.id, port->obj.name, body, &port->trace);
    return rc ? rc : sync_make_insertions(s, port, body);
}

static int set_port(struct sync *s, const struct draft *d)
{
    struct port_item *p = port_item(s, d->ref);

    if (!p)
        return 0;
    if (d->state.now.host || !sync_host_silent(s, p->state.now.host))
        p->state = d->state; /* else what it said last went with its session */
    if (!d->body) {
        sync_port_gone(s, p);
        return sync_is_missing(s, &p->item);
    }
    if (p->item.watched) { /* it was missing; now its device tells of it */
        char path[STORE_PATH_MAX];
        objects_path(ST_PORT, topo_id(s->topo, d->ref), path);
        sync_unwatch(s, path);
        p->item.watched = false;
    }
    struct topo_port *port = sync_parse_port(s, topo_id(s->topo, d->ref), d->body);
    struct device_item *dev = sync_device(s, port->device);
    p->device = port->device;
    int rc = read_policy(s, p, port, d->body);
    if (rc) {
        topo_discard(&port->obj);
        return rc;
    }
    if (dev)
        sync_device_add(s, dev, d->ref);
    publish(s, p, port);
    sync_is_loaded(s, &p->item);
    return 0;
}

int sync_take_drafts(struct sync *s, drafts *ds, const json_t *names)
{
    refs peers = {0}, hosts = {0};
    size_t own = ds->n;

    wants(s, ds, 0, &peers, &hosts);
    int rc = sync_read_drafts(s, peers.v, peers.n, ds);
    wants(s, ds, own, NULL, &hosts);
    if (!rc)
        rc = sync_load_hosts(s, hosts.v, hosts.n, names);
    for (size_t i = 0; i < ds->n && !rc; i++)
        rc = set_port(s, &ds->v[i]);
    unlist(s, &peers);
    unlist(s, &hosts);
    return rc;
}

void sync_free_drafts(drafts *ds)
{
    for (size_t i = 0; i < ds->n; i++)
        json_decref(ds->v[i].body);
    free(ds->v);
}

int sync_read_ports(struct sync *s, const topo_ref *ports, size_t n)
{
    drafts ds = {0};
    int rc = sync_read_drafts(s, ports, n, &ds);

    if (!rc)
        rc = sync_take_drafts(s, &ds, NULL);
    sync_free_drafts(&ds);
    return rc;
}

void sync_port_gone(struct sync *s, struct port_item *p)
{
    const struct topo_port *old = topo_port(s->topo, p->item.ref);
    struct device_item *d = sync_device(s, p->device);

    if (d)
        sync_device_remove(s, d, p->item.ref);
    if (old && !old->obj.missing) {
        rebuild_around(s, old, true);
        sync_drop_made(s, old->trace);
        sync_drop_made(s, old->insert_in);
        sync_drop_made(s, old->insert_out);
    }
    p->device = p->qos = 0;
    p->state = (struct port_state){0};
}

int sync_load_port(struct sync *s, struct port_item *p)
{
    topo_ref device = p->device;
    int rc = 0;

    if (!device) {
        json_t *body;
        rc = sync_bodies(s, ST_PORT, topo_id(s->topo, p->item.ref), 1, &body);
        if (rc)
            return rc;
        device = sync_body_ref(s, body, "bridgeId", TOPO_BRIDGE);
        enum topo_kind kind = device ? TOPO_BRIDGE : TOPO_ROUTER;
        if (!device)
            device = sync_body_ref(s, body, "routerId", TOPO_ROUTER);
        json_decref(body);
        if (device)
            sync_item_new(s, device, (uint8_t)kind, sizeof(struct device_item)); /* or not */
    }
    struct device_item *d = sync_device(s, device);
    if (d && !d->item.loaded)
        rc = sync_load_device(s, d);
    const struct topo_obj *o = topo_get(s->topo, p->item.ref);
    if (!rc && (!o || o->missing))
        rc = sync_read_ports(s, &p->item.ref, 1);
    if (!rc)
        sync_is_loaded(s, &p->item);
    return rc;
}

static struct topo_port *copy_of(const struct topo_port *p)
{
    size_t size = p->n_addrs * sizeof *p->addrs, allowed = p->n_allowed * sizeof *p->allowed;
    size_t lists = p->groups.n * sizeof(topo_ref) + 16;

    for (unsigned i = 0; i < TOPO_PORT_HOOKS; i++)
        lists += p->mirrors[i].n * sizeof(topo_ref) + 16;
    struct topo_port *c =
        topo_object(TOPO_PORT, sizeof *c, size + allowed + lists + 32, &p->obj.id, p->obj.name);
    struct topo_obj obj = c->obj;

    *c = *p;
    c->obj = obj;
    c->addrs = topo_extra(c, size);
    if (size)
        memcpy(c->addrs, p->addrs, size);
    c->allowed = topo_extra(c, allowed);
    if (allowed)
        memcpy(c->allowed, p->allowed, allowed);
    sync_copy_list(c, &c->groups, &p->groups);
    for (unsigned i = 0; i < TOPO_PORT_HOOKS; i++)
        sync_copy_list(c, &c->mirrors[i], &p->mirrors[i]);
    return c;
}

void sync_refresh_port(struct sync *s, topo_ref ref)
{
    const struct topo_port *port = topo_port(s->topo, ref);

    if (sync_port(s, ref) && port && !port->obj.missing)
        publish(s, sync_port(s, ref), copy_of(port));
}

void sync_port_state(struct sync *s, topo_ref ref, const struct objects_active *a)
{
    struct port_item *p = sync_port(s, ref);

    if (!p)
        return;
    p->state = (struct port_state){.now = {.key = a->key, .inc = a->inc}};
    if (a->there)
        p->state.now.host = topo_intern(s->topo, TOPO_HOST, &a->host);
    sync_refresh_port(s, ref);
}

int sync_ports_of_host(struct sync *s, const struct host_item *h)
{
    refs ports = {0}, unknown = {0};
    int rc = 0;

    for (topo_ref r = 1; r < s->n_items; r++) {
        const struct topo_port *port = sync_port(s, r) ? topo_port(s->topo, r) : NULL;
        if (!port || (port->host != h->item.ref && port->former != h->item.ref))
            continue;
        if (h->alive && !sync_port(s, r)->state.now.host)
            vec_add(&unknown, r);
        else
            vec_add(&ports, r);
    }
    if (unknown.n)
        rc = sync_read_ports(s, unknown.v, unknown.n);
    for (size_t i = 0; i < ports.n && !rc; i++)
        sync_refresh_port(s, ports.v[i]);
    free(unknown.v);
    free(ports.v);
    return rc;
}
