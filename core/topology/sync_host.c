#include <stdlib.h>

#include "topology/sync_policy.h"
#include "topology/sync_table.h"

/* Hosts */

static bool same_zones(const struct topo_host *a, const struct topo_host *b)
{
    if (a->n_zones != b->n_zones)
        return false;
    for (unsigned i = 0; i < a->n_zones; i++) {
        if (!uuid_equal(&a->zones[i].zone, &b->zones[i].zone) ||
            !ip_equal(&a->zones[i].ip, &b->zones[i].ip) || a->zones[i].type != b->zones[i].type)
            return false;
    }
    return true;
}

static void fill_zones(struct sync *s, struct topo_host *host, topo_ref ref)
{
    host->zones = topo_extra(host, s->zones.n * sizeof *host->zones);
    for (size_t i = 0; i < s->zones.n && host->n_zones < UINT16_MAX; i++) {
        const struct zone_item *z = (struct zone_item *)sync_item(s, s->zones.v[i]);
        for (size_t m = 0; m < z->n && z->overlay; m++) {
            if (z->members[m].host != ref)
                continue;
            host->zones[host->n_zones++] =
                (struct topo_zone_addr){*topo_id(s->topo, z->item.ref), z->members[m].ip, z->type};
            break;
        }
    }
}

void sync_publish_host(struct sync *s, struct host_item *h, const char *name)
{
    const struct topo_host *old = topo_host(s->topo, h->item.ref);
    struct topo_host *host =
        topo_object(TOPO_HOST, sizeof *host, s->zones.n * sizeof *host->zones + 16,
                    topo_id(s->topo, h->item.ref), name ? name : old->obj.name);

    host->alive = h->alive;
    fill_zones(s, host, h->item.ref);
    if (old && old->alive == host->alive && same_zones(old, host) &&
        (!name || !strcmp(name, old->obj.name))) {
        topo_discard(&host->obj);
        return;
    }
    if (old) {
        sync_changed(s, tag_object(h->item.ref));
        sync_changed(s, tag_tunnel(h->item.ref));
    }
    topo_publish(s->topo, &host->obj);
}

static const char *name_of(const struct sync *s, topo_ref host, const json_t *names)
{
    char id[UUID_STRLEN];

    return json_string_value(json_object_get(names, uuid_format(topo_id(s->topo, host), id)));
}

/* The bodies of those whose names aren't known. */
static int read_names(struct sync *s, const topo_ref *hosts, size_t n, const json_t *names,
                      json_t **bodies)
{
    uuids ids = {0};
    int rc = 0;

    for (size_t i = 0; i < n; i++) {
        if (!name_of(s, hosts[i], names))
            vec_add(&ids, *topo_id(s->topo, hosts[i]));
    }
    json_t **read = NEW_ARRAY(ids.n, json_t *);
    if (ids.n)
        rc = sync_bodies(s, ST_HOST, ids.v, ids.n, read);
    for (size_t i = 0, at = 0; i < n && !rc; i++)
        bodies[i] = name_of(s, hosts[i], names) ? NULL : read[at++];
    free(read);
    free(ids.v);
    return rc;
}

int sync_load_hosts(struct sync *s, const topo_ref *hosts, size_t n, const json_t *names)
{
    json_t **bodies = NEW_ARRAY(n, json_t *);
    int rc = n && !s->host && !s->zones_known ? sync_load_all_zones(s) : 0;

    if (!rc && n)
        rc = sync_alive_know(s, hosts, n, false);
    if (!rc && n)
        rc = read_names(s, hosts, n, names, bodies);
    for (size_t i = 0; i < n && !rc; i++) {
        struct host_item *h = sync_host_item(s, hosts[i]);
        const char *name = name_of(s, hosts[i], names);
        if (!h->item.loaded)
            rc = sync_alive_find(s, topo_id(s->topo, hosts[i]), &h->alive, &h->inc);
        if (rc)
            break;
        sync_publish_host(s, h, name ? name : sync_body_string(bodies[i], "name"));
        sync_is_loaded(s, &h->item);
    }
    for (size_t i = 0; i < n; i++)
        json_decref(bodies[i]);
    free(bodies);
    return rc;
}

/* Both nodes that say that this host is there. */
static int look_at_own(struct sync *s)
{
    bool alive, listed;
    uint64_t inc, ignored;
    int rc = sync_alive_again(s, &s->opt.host);

    if (!rc)
        rc = sync_alive_find(s, &s->opt.host, &listed, &ignored);
    if (!rc)
        rc = sync_alive_node(s, &s->opt.host, &alive, &inc);
    if (!rc)
        sync_state_host_seen(s, alive && (listed || inc != s->inc), inc);
    return rc;
}

/* A host that comes back says in one commit that it is there and which ports it serves.  Both are
 * taken in together: ports that seem to be served by nobody, if only for a moment, lose packets. */
static int hear_of_ports(struct sync *s, const struct host_item *h)
{
    refs devices = {0};
    int rc = 0;

    for (topo_ref r = 1; r < s->n_items; r++) {
        const struct port_item *p = sync_port(s, r);
        struct device_item *d =
            p && p->state.now.host == h->item.ref ? sync_device(s, p->device) : NULL;
        if (!d || !d->item.loaded || d->item.due & DUE_LOAD || d->heard_run == s->n_runs)
            continue;
        d->heard_run = s->n_runs;
        vec_add(&devices, d->item.ref);
    }
    for (size_t i = 0; i < devices.n && !rc; i++) {
        struct device_item *d = sync_device(s, devices.v[i]);
        rc = sync_change_device(s, d);
        if (!rc)
            d->item.due &= (uint8_t)~DUE_CHANGE;
    }
    free(devices.v);
    return rc;
}

int sync_host_alive(struct sync *s, struct host_item *h)
{
    bool alive;
    uint64_t inc;

    if (!h->item.loaded)
        return 0;
    int rc = h->item.ref == s->host ? look_at_own(s) : 0;
    if (!rc)
        rc = sync_alive_find(s, topo_id(s->topo, h->item.ref), &alive, &inc);
    if (rc)
        return rc;
    if (h->alive == alive && h->inc == inc && !h->stale)
        return 0;
    if (!alive && h->alive && s->now < s->doubt_until) {
        s->doubts = true;
        return 0;
    }
    h->alive = alive;
    h->inc = inc;
    h->stale = true;
    sync_publish_host(s, h, NULL);
    rc = alive && h->item.ref != s->host ? hear_of_ports(s, h) : 0;
    if (!rc)
        rc = sync_ports_of_host(s, h);
    if (!rc)
        sync_tables_of_host(s, h);
    h->stale = rc != 0;
    return rc;
}
