#include <stdlib.h>

#include "base/log.h"
#include "topology/sync_policy.h"
#include "topology/sync_table.h"

static int by_ref(const void *ref, const void *element)
{
    topo_ref a = *(const topo_ref *)ref, b = *(const topo_ref *)element;

    return (a > b) - (a < b);
}

static size_t place(const struct device_item *d, topo_ref port)
{
    return search_place(&port, d->ports, d->n_ports, sizeof *d->ports, by_ref);
}

void sync_device_add(struct sync *s, struct device_item *d, topo_ref port)
{
    size_t at = place(d, port);

    if (at < d->n_ports && d->ports[at] == port)
        return;
    if (d->n_ports == d->room) {
        d->room = MAX(4u, d->room + d->room / 2);
        d->ports = mem_resize(d->ports, d->room * sizeof *d->ports);
    }
    memmove(d->ports + at + 1, d->ports + at, (d->n_ports - at) * sizeof *d->ports);
    d->ports[at] = port;
    d->n_ports++;
    sync_rebuild(s, d->item.ref, port, false);
}

void sync_device_remove(struct sync *s, struct device_item *d, topo_ref port)
{
    size_t at = place(d, port);

    if (at == d->n_ports || d->ports[at] != port)
        return;
    d->n_ports--;
    memmove(d->ports + at, d->ports + at + 1, (d->n_ports - at) * sizeof *d->ports);
    sync_rebuild(s, d->item.ref, port, false);
}

void sync_rebuild(struct sync *s, topo_ref device, topo_ref port, bool flood)
{
    struct device_item *d = sync_device(s, device);

    if (!d)
        return;
    d->flood |= flood;
    d->touched_all |= !d->item.loaded || d->touched.n > d->n_ports;
    if (!d->touched_all)
        vec_add(&d->touched, port);
    if (!(d->item.due & DUE_BUILD)) {
        d->item.due |= DUE_BUILD;
        vec_add(&s->builds, device);
    }
}

int sync_referrers(struct sync *s, enum schema_type_id type, const char *attr,
                   const struct item *it, struct uuid **ids, size_t *n)
{
    struct error e;
    int rc = objects_referrers(s->db, type, attr, topo_id(s->topo, it->ref), ids, n, &e);

    if (rc) {
        *ids = NULL;
        *n = 0;
    }
    return rc == -ENOENT ? 0 : rc;
}

static int load_routes(struct sync *s, struct device_item *d, struct topo_lpm **out)
{
    struct uuid *ids;
    size_t n, n_routes = 0;
    int rc = sync_referrers(s, ST_ROUTE, "routerId", &d->item, &ids, &n);

    if (rc)
        return rc;
    json_t **bodies = NEW_ARRAY(n, json_t *);
    struct topo_route *routes = NEW_ARRAY(n, struct topo_route);
    rc = sync_bodies(s, ST_ROUTE, ids, n, bodies);
    for (size_t i = 0; i < n; i++) {
        if (bodies[i] && sync_parse_route(s, &ids[i], bodies[i], &routes[n_routes]))
            n_routes++;
        json_decref(bodies[i]);
    }
    if (!rc)
        *out = topo_lpm_build(routes, n_routes);
    free(routes);
    free(bodies);
    free(ids);
    return rc;
}

/* The device isn't there (any more), and so are its ports. */
static int gone(struct sync *s, struct device_item *d)
{
    int rc = 0;

    while (d->n_ports && !rc) {
        struct port_item *p = sync_port(s, d->ports[d->n_ports - 1]);
        sync_port_gone(s, p);
        rc = sync_is_missing(s, &p->item);
    }
    sync_dhcp_free(s, d);
    sync_table_free(s, d);
    sync_drop_made(s, d->trace);
    d->trace = d->qos = 0;
    d->item.rev = -1;
    return rc ? rc : sync_is_missing(s, &d->item);
}

/* Its trace requests; and its policy, which its ports have when they have none of their own. */
static int read_policy(struct sync *s, struct device_item *d, const json_t *body)
{
    topo_ref was = d->qos;
    int rc = sync_make_traces(s, topo_id(s->topo, d->item.ref), sync_body_string(body, "name"),
                              body, &d->trace);

    if (!rc && d->item.kind == TOPO_BRIDGE)
        rc = sync_know_qos(s, body, &d->qos);
    for (uint32_t i = 0; i < d->n_ports && d->qos != was && !rc; i++)
        sync_refresh_port(s, d->ports[i]);
    return rc;
}

static int load_parts(struct sync *s, struct device_item *d, const json_t *body, int64_t rev,
                      int64_t from)
{
    struct topo_lpm *routes = NULL;
    int rc = read_policy(s, d, body);

    if (!rc)
        rc = sync_load_ports(s, d, rev, from);
    if (rc)
        return rc;
    rc = d->item.kind == TOPO_BRIDGE ? sync_seeds_load(s, d) : load_routes(s, d, &routes);
    if (!rc && d->item.kind == TOPO_BRIDGE)
        rc = sync_dhcp_load(s, d);
    if (!rc && d->item.kind == TOPO_BRIDGE)
        sync_build_bridge(s, d, body);
    else if (!rc)
        sync_build_router(s, d, body, routes);
    return rc;
}

int sync_load_device(struct sync *s, struct device_item *d)
{
    int64_t rev, from;
    json_t *body;
    int rc = sync_watch_change(s, &d->item);

    /* The revision first: what is read after it is at least as new. */
    if (!rc)
        rc = sync_read_rev(s, &d->item, &rev, &from);
    if (!rc)
        rc = sync_bodies(s, sync_type(&d->item), topo_id(s->topo, d->item.ref), 1, &body);
    if (rc)
        return rc;
    if (!body)
        return gone(s, d);
    s->st.reloads++;
    rc = load_parts(s, d, body, rev, from);
    json_decref(body);
    if (!rc)
        rc = sync_refresh_table(s, d);
    if (!rc) {
        d->item.rev = rev;
        sync_is_loaded(s, &d->item);
    }
    return rc;
}

/* The routes as they are, with those of 'ids' (sorted) read again. */
static int change_routes(struct sync *s, struct device_item *d, const uuids *ids,
                         struct topo_lpm **out)
{
    const struct topo_router *r = topo_router(s->topo, d->item.ref);
    size_t n_old = topo_lpm_size(r->routes), n = 0;
    const struct topo_route *old = topo_lpm_routes(r->routes);
    json_t **bodies = NEW_ARRAY(ids->n, json_t *);
    struct topo_route *routes = NEW_ARRAY(n_old + ids->n, struct topo_route);
    int rc = sync_bodies(s, ST_ROUTE, ids->v, ids->n, bodies);

    for (size_t i = 0; i < n_old; i++) {
        if (!bsearch(&old[i].id, ids->v, ids->n, sizeof *ids->v, sync_by_id))
            routes[n++] = old[i];
    }
    for (size_t i = 0; i < ids->n; i++) {
        if (bodies[i] && sync_parse_route(s, &ids->v[i], bodies[i], &routes[n]))
            n++;
        json_decref(bodies[i]);
    }
    if (!rc)
        *out = topo_lpm_build(routes, n);
    free(routes);
    free(bodies);
    return rc;
}

struct work {
    bool body;
    bool lists;                                /* what ports list has changed */
    refs ports;                                /* to be read */
    VEC(const struct objects_change *) states; /* of other ports, as the log says them */
    uuids routes, macs, ips;
    VEC(struct objects_change) dhcp;
};

/* 'told': each of its changes up to this one, its last, says the port's state and touches nothing
 * else of it. */
static void sort_out_port(struct sync *s, const struct objects_change *c, bool told, struct work *w)
{
    topo_ref ref = topo_intern(s->topo, TOPO_PORT, &c->id);
    const struct topo_port *port = topo_port(s->topo, ref);

    if (told && sync_port(s, ref) && port && !port->obj.missing)
        vec_add(&w->states, c);
    else
        vec_add(&w->ports, ref);
}

static int compare_changes(const void *pa, const void *pb)
{
    const struct objects_change *a = *(const struct objects_change *const *)pa,
                                *b = *(const struct objects_change *const *)pb;
    int c = (a->type > b->type) - (a->type < b->type);

    c = c ? c : memcmp(&a->id, &b->id, sizeof a->id);
    return c ? c : (a > b) - (a < b);
}

/* One object's last change. */
static void sort_out_one(struct sync *s, struct device_item *d, const struct objects_change *c,
                         bool told, struct work *w)
{
    if (c->type == ST_PORT)
        sort_out_port(s, c, told, w);
    else if (c->type == ST_ROUTE)
        vec_add(&w->routes, c->id);
    else if (c->type == ST_MAC_PORT)
        vec_add(&w->macs, c->id);
    else if (c->type == ST_IP_MAC)
        vec_add(&w->ips, c->id);
    else if (sync_is_dhcp(c->type))
        vec_add(&w->dhcp, *c);
    else if (c->type == sync_type(&d->item) || c->type == ST_TRACE_REQUEST)
        w->body = true;
}

static void sort_out(struct sync *s, struct device_item *d, const struct objects_change *changes,
                     size_t n, struct work *w)
{
    const struct objects_change **sorted = NEW_ARRAY(n, const struct objects_change *);
    bool told = true;

    for (size_t i = 0; i < n; i++)
        sorted[i] = &changes[i];
    qsort(sorted, n, sizeof *sorted, compare_changes);
    for (size_t i = 0; i < n; i++) {
        const struct objects_change *c = sorted[i];
        told &= c->active.told;
        if ((c->type == ST_L2INSERTION || c->type == ST_TRACE_REQUEST) && c->what == 'u')
            w->lists = true;
        if (i + 1 < n && sorted[i + 1]->type == c->type && uuid_equal(&sorted[i + 1]->id, &c->id))
            continue;
        sort_out_one(s, d, c, told, w);
        told = true;
    }
    free(sorted);
}

static void add_port(struct work *w, topo_ref port)
{
    for (size_t i = 0; i < w->ports.n; i++) {
        if (w->ports.v[i] == port)
            return;
    }
    vec_add(&w->ports, port);
}

static int do_work(struct sync *s, struct device_item *d, struct work *w)
{
    struct topo_lpm *routes = NULL;
    json_t *body = NULL;
    bool subnets = false;
    int rc = 0;

    if (w->body) {
        rc = sync_bodies(s, sync_type(&d->item), topo_id(s->topo, d->item.ref), 1, &body);
        if (!rc && !body)
            return gone(s, d);
    }
    if (!rc && body)
        rc = read_policy(s, d, body);
    for (uint32_t i = 0; i < d->n_ports && w->lists; i++) {
        const struct port_item *p = sync_port(s, d->ports[i]);
        if (p && p->lists)
            add_port(w, d->ports[i]);
    }
    if (!rc && w->ports.n)
        rc = sync_read_ports(s, w->ports.v, w->ports.n);
    for (size_t i = 0; i < w->states.n && !rc; i++)
        sync_port_state(s, topo_find(s->topo, &w->states.v[i]->id), &w->states.v[i]->active);
    if (!rc && w->routes.n && d->item.kind == TOPO_ROUTER)
        rc = change_routes(s, d, &w->routes, &routes);
    if (!rc && w->macs.n)
        rc = sync_seeds_change(s, d, ST_MAC_PORT, w->macs.v, w->macs.n);
    if (!rc && w->ips.n)
        rc = sync_seeds_change(s, d, ST_IP_MAC, w->ips.v, w->ips.n);
    if (!rc && w->dhcp.n)
        rc = sync_dhcp_change(s, d, w->dhcp.v, w->dhcp.n, &subnets);
    if (!rc && d->item.kind == TOPO_BRIDGE && (body || w->macs.n || w->ips.n || subnets))
        sync_build_bridge(s, d, body);
    else if (!rc && (body || routes))
        sync_build_router(s, d, body, routes);
    json_decref(body);
    return rc;
}

int sync_change_device(struct sync *s, struct device_item *d)
{
    const struct topo_obj *o = topo_get(s->topo, d->item.ref);
    struct objects_change *changes = NULL;
    struct work w = {0};
    struct error e;
    int64_t rev = 0;

    if (!o || o->missing)
        return sync_load_device(s, d);
    int rc = objects_changes(s->db, sync_type(&d->item), topo_id(s->topo, d->item.ref), d->item.rev,
                             &rev, &changes, &e);
    if (rc == -ENOENT)
        return gone(s, d);
    if (rc == -EOVERFLOW || rc == -EINVAL) /* too far behind, or the node is garbled */
        return sync_load_device(s, d);
    if (rc < 0)
        return rc;
    if (rc) {
        sort_out(s, d, changes, (size_t)rc, &w);
        rc = do_work(s, d, &w);
    }
    if (!rc) {
        s->st.changes += rev != d->item.rev;
        d->item.rev = rev;
    }
    free(changes);
    free(w.ports.v);
    free(w.states.v);
    free(w.routes.v);
    free(w.macs.v);
    free(w.ips.v);
    free(w.dhcp.v);
    return rc;
}
