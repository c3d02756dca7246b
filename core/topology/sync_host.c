#include <stdlib.h>

#include "base/log.h"
#include "packet/flow.h"
#include "topology/sync_policy.h"

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

static void publish_host(struct sync *s, struct host_item *h, const char *name)
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

static int load_all_zones(struct sync *s);

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
    int rc = n && !s->host && !s->zones_known ? load_all_zones(s) : 0;

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
        publish_host(s, h, name ? name : sync_body_string(bodies[i], "name"));
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
    publish_host(s, h, NULL);
    rc = alive && h->item.ref != s->host ? hear_of_ports(s, h) : 0;
    if (!rc)
        rc = sync_ports_of_host(s, h);
    if (!rc)
        sync_tables_of_host(s, h);
    h->stale = rc != 0;
    return rc;
}

/* Tunnel zones */

static struct zone_member *member(struct zone_item *z, const struct uuid *id)
{
    for (size_t i = 0; i < z->n; i++) {
        if (uuid_equal(&z->members[i].id, id))
            return &z->members[i];
    }
    return NULL;
}

static void set_member(struct sync *s, struct zone_item *z, const struct uuid *id,
                       const json_t *body)
{
    struct zone_member m = {.id = *id, .host = sync_body_ref(s, body, "hostId", TOPO_HOST)};
    struct zone_member *old = member(z, id);

    if (!m.host || !sync_body_ip(body, "ipAddress", &m.ip)) {
        if (old)
            *old = z->members[--z->n];
        return;
    }
    if (!old) {
        if (z->n == z->room) {
            z->room = MAX((size_t)8, z->room * 2);
            z->members = mem_resize(z->members, z->room * sizeof m);
        }
        old = &z->members[z->n++];
    }
    *old = m;
}

static int read_members(struct sync *s, struct zone_item *z, const struct uuid *ids, size_t n)
{
    json_t **bodies = NEW_ARRAY(n, json_t *);
    int rc = sync_bodies(s, ST_TUNNEL_ZONE_HOST, ids, n, bodies);

    for (size_t i = 0; i < n && !rc; i++) {
        set_member(s, z, &ids[i], bodies[i]);
        json_decref(bodies[i]);
    }
    free(bodies);
    return rc;
}

static void publish_hosts(struct sync *s)
{
    for (topo_ref r = 1; r < s->n_items; r++) {
        struct host_item *h = sync_host_item(s, r);
        if (h && h->item.loaded)
            publish_host(s, h, NULL);
    }
}

static void take_members(struct sync *s, struct zone_item *z, struct objects_snapshot *all)
{
    z->n = 0;
    for (size_t i = 0; i < all->n; i++)
        set_member(s, z, &all->copies[i].id, all->copies[i].body);
}

static int read_copies(struct sync *s, const struct uuid *ids, size_t n,
                       struct objects_snapshot *out)
{
    json_t **bodies = NEW_ARRAY(n, json_t *);
    int rc = n ? sync_bodies(s, ST_TUNNEL_ZONE_HOST, ids, n, bodies) : 0;

    for (size_t i = 0; i < n && !rc; i++) {
        const struct objects_copy c = {.id = ids[i], .body = bodies[i]};
        if (bodies[i])
            objects_snapshot_add(out, &c);
        json_decref(bodies[i]);
    }
    free(bodies);
    return rc;
}

/* What the snapshot has of a member is of use. */
static bool is_good(struct sync *s, const struct zone_item *z, const struct objects_copy *c)
{
    struct uuid zone;

    return sync_valid(s, ST_TUNNEL_ZONE_HOST, &c->id, c->body) &&
           sync_body_uuid(c->body, "tunnelZoneId", &zone) &&
           uuid_equal(&zone, topo_id(s->topo, z->item.ref));
}

/* The members that have changed since, or make no sense, are read. */
static int use_snapshot(struct sync *s, struct zone_item *z, struct snapshot *sn,
                        struct objects_snapshot *out)
{
    uuids again = {0};

    for (size_t i = 0; i < sn->n_changes; i++) {
        struct objects_copy *copy = sync_snapshot_find(sn, &sn->changes[i].id);
        if (sn->changes[i].type != ST_TUNNEL_ZONE_HOST)
            continue;
        if (copy) {
            json_decref(copy->body);
            copy->body = NULL;
        }
        vec_add(&again, sn->changes[i].id);
    }
    for (size_t i = 0; i < sn->copy.n; i++) {
        if (sn->copy.copies[i].body && is_good(s, z, &sn->copy.copies[i]))
            objects_snapshot_add(out, &sn->copy.copies[i]);
        else if (sn->copy.copies[i].body)
            vec_add(&again, sn->copy.copies[i].id);
    }
    int rc = read_copies(s, again.v, again.n, out);
    free(again.v);
    return rc;
}

/* As the ports of a device are loaded: sync_ports.c. */
static int load_members(struct sync *s, struct zone_item *z, int64_t rev, int64_t from)
{
    struct objects_snapshot all = {.rev = rev};
    struct uuid *ids = NULL;
    struct snapshot sn;
    int builds = 0;
    size_t n = 0;
    int rc = sync_snapshot_read(s, &z->item, from, &sn);

    if (!rc && sn.copy.rev >= 0) {
        all.rev = sn.rev;
        rc = use_snapshot(s, z, &sn, &all);
        if (!rc && sn.n_changes > SNAPSHOT_BEHIND)
            builds = sync_snapshot_begin(s, &z->item, &z->wait);
    } else if (!rc) {
        rc = sync_referrers(s, ST_TUNNEL_ZONE_HOST, "tunnelZoneId", &z->item, &ids, &n);
        if (!rc && from > 0 && n >= SNAPSHOT_MIN)
            builds = sync_snapshot_begin(s, &z->item, &z->wait);
        rc = MIN(rc, builds);
        if (!rc)
            rc = read_copies(s, ids, n, &all);
    }
    if (!rc) {
        take_members(s, z, &all);
        z->wait.since = 0;
    }
    if (!rc && builds > 0)
        sync_snapshot_write(s, &z->item, &all);
    if (builds > 0)
        sync_snapshot_end(s, &z->item);
    sync_snapshot_free(&sn);
    objects_snapshot_free(&all);
    free(ids);
    return rc;
}

int sync_load_zone(struct sync *s, struct zone_item *z)
{
    int64_t rev = -1, from = 0;
    json_t *body = NULL;
    int rc = sync_watch_change(s, &z->item);

    if (!rc)
        rc = sync_read_rev(s, &z->item, &rev, &from);
    if (!rc)
        rc = sync_bodies(s, ST_TUNNEL_ZONE, topo_id(s->topo, z->item.ref), 1, &body);
    if (!rc) {
        z->overlay = !strcmp(sync_body_string(body, "type"), "vxlan") ||
                     !strcmp(sync_body_string(body, "type"), "gre");
        z->type =
            !strcmp(sync_body_string(body, "type"), "gre") ? FLOW_TUNNEL_GRE : FLOW_TUNNEL_VXLAN;
        rc = load_members(s, z, rev, from);
    }
    json_decref(body);
    if (rc)
        return rc;
    z->item.rev = rev;
    z->item.loaded = true;
    publish_hosts(s);
    return 0;
}

int sync_change_zone(struct sync *s, struct zone_item *z)
{
    struct objects_change *changes;
    struct error e;
    int64_t rev;
    int n = objects_changes(s->db, ST_TUNNEL_ZONE, topo_id(s->topo, z->item.ref), z->item.rev, &rev,
                            &changes, &e);

    if (n == -ENOENT || n == -EOVERFLOW || n == -EINVAL)
        return sync_load_zone(s, z);
    if (n < 0)
        return n;
    uuids ids = {0};
    for (int i = 0; i < n; i++) {
        if (changes[i].type == ST_TUNNEL_ZONE_HOST)
            vec_add(&ids, changes[i].id);
    }
    int rc = read_members(s, z, ids.v, ids.n);
    if (!rc) {
        z->item.rev = rev;
        publish_hosts(s);
    }
    free(ids.v);
    free(changes);
    return rc;
}

static int know_zone(struct sync *s, const struct uuid *id)
{
    topo_ref ref = topo_intern(s->topo, TOPO_NONE, id);

    if (sync_item(s, ref) && sync_item(s, ref)->loaded)
        return 0;
    if (!sync_item(s, ref))
        vec_add(&s->zones, ref);
    struct zone_item *z = sync_item_new(s, ref, ITEM_ZONE, sizeof *z);
    return z ? sync_load_zone(s, z) : 0;
}

static int list_zone(json_t *obj, void *aux)
{
    struct uuid id;

    if (sync_body_uuid(obj, "id", &id))
        vec_add((uuids *)aux, id);
    return 0;
}

static int load_all_zones(struct sync *s)
{
    struct error e;
    uuids ids = {0};
    int rc = objects_each(s->db, ST_TUNNEL_ZONE, NULL, list_zone, &ids, &e);

    for (size_t i = 0; i < ids.n && !rc; i++)
        rc = know_zone(s, &ids.v[i]);
    s->zones_known = !rc;
    free(ids.v);
    return rc;
}

/* This host: the zones it is in, the ports bound to it */

static int load_memberships(struct sync *s)
{
    struct uuid *ids = NULL, zone;
    size_t n;
    int rc = sync_referrers(s, ST_TUNNEL_ZONE_HOST, "hostId", sync_item(s, s->host), &ids, &n);
    json_t **bodies = NEW_ARRAY(n, json_t *);

    if (!rc)
        rc = sync_bodies(s, ST_TUNNEL_ZONE_HOST, ids, n, bodies);
    for (size_t i = 0; i < n; i++) {
        if (!rc && sync_body_uuid(bodies[i], "tunnelZoneId", &zone))
            rc = know_zone(s, &zone);
        json_decref(bodies[i]);
    }
    free(bodies);
    free(ids);
    return rc;
}

static int compare_bindings(const void *pa, const void *pb)
{
    const struct binding *a = pa, *b = pb;

    return memcmp(&a->id, &b->id, sizeof a->id);
}

/* -1: it has gone from here, 1: it has come, or changed. */
static int set_binding(struct sync *s, const struct uuid *id, const json_t *body)
{
    struct binding b = {.id = *id}, *old = NULL;
    const char *ifname = sync_body_string(body, "interfaceName");
    struct uuid host;
    bool here = sync_body_uuid(body, "hostId", &host) && uuid_equal(&host, &s->opt.host) &&
                *ifname && strlen(ifname) < sizeof b.ifname;

    for (size_t i = 0; i < s->bindings.n && !old; i++)
        old = uuid_equal(&s->bindings.v[i].id, id) ? &s->bindings.v[i] : NULL;
    if (!here && !old)
        return 0;
    if (!here) {
        *old = s->bindings.v[--s->bindings.n];
    } else {
        memcpy(b.ifname, ifname, strlen(ifname));
        b.previous = sync_body_ref(s, body, "previousHostId", TOPO_HOST);
        if (old && !strcmp(old->ifname, b.ifname))
            return 0;
        if (old)
            *old = b;
        else
            vec_add(&s->bindings, b);
    }
    s->bindings_changed = true;
    return here ? 1 : -1;
}

/* One that came from another host is told first, and what it needs loaded then.  Of one that went
 * it is known at the same time where to: this host may have to serve it until it is served there.
 */

static int read_bindings(struct sync *s, const struct uuid *ids, size_t n)
{
    json_t **bodies = NEW_ARRAY(n, json_t *);
    int rc = sync_bodies(s, ST_PORT, ids, n, bodies);
    refs went = {0};

    for (size_t i = 0; i < n && !rc; i++) {
        topo_ref port = topo_intern(s->topo, TOPO_PORT, &ids[i]);
        topo_ref previous = sync_body_ref(s, bodies[i], "previousHostId", TOPO_HOST);
        int what = set_binding(s, &ids[i], bodies[i]);
        json_decref(bodies[i]);
        if (what > 0 && previous && previous != s->host) {
            sync_prefetch(s, previous); /* which is asked for connections first of all */
            sync_warm(s, port);
        } else if (what < 0 && sync_port(s, port) && sync_port(s, port)->item.loaded) {
            vec_add(&went, port);
        }
    }
    if (!rc && went.n)
        rc = sync_read_ports(s, went.v, went.n);
    free(went.v);
    free(bodies);
    if (s->bindings_changed && s->bindings.n)
        qsort(s->bindings.v, s->bindings.n, sizeof *s->bindings.v, compare_bindings);
    return rc;
}

/* Those listed, and those that were bound and aren't listed any more. */
static int load_bindings(struct sync *s)
{
    struct uuid *ids = NULL;
    uuids all = {0};
    size_t n;
    int rc = sync_referrers(s, ST_PORT, "hostId", sync_item(s, s->host), &ids, &n);

    for (size_t i = 0; i < n; i++)
        vec_add(&all, ids[i]);
    for (size_t i = 0; i < s->bindings.n; i++) {
        bool listed = false;
        for (size_t j = 0; j < n && !listed; j++)
            listed = uuid_equal(&ids[j], &s->bindings.v[i].id);
        if (!listed)
            vec_add(&all, s->bindings.v[i].id);
    }
    if (!rc)
        rc = read_bindings(s, all.v, all.n);
    free(all.v);
    free(ids);
    return rc;
}

int sync_load_own_host(struct sync *s)
{
    struct host_item *h = sync_host_item(s, s->host);
    char path[STORE_PATH_MAX];
    int64_t rev;
    int rc = 0;

    if (!s->own_watched) {
        objects_change_path(ST_HOST, &s->opt.host, path);
        rc = sync_watch(s, path, WATCH_CHANGE, s->host);
        s->own_watched = !rc;
    }
    if (!rc && !h->item.watched) {
        objects_state_path(ST_HOST, &s->opt.host, "alive", path);
        rc = sync_watch(s, path, WATCH_ALIVE, s->host);
        h->item.watched = !rc;
    }
    if (!rc)
        rc = sync_read_rev(s, &h->item, &rev, NULL);
    if (!rc)
        rc = load_memberships(s);
    if (!rc)
        rc = sync_load_hosts(s, &s->host, 1, NULL);
    if (!rc)
        rc = load_bindings(s);
    if (rc)
        return rc;
    s->bindings_changed |= h->item.rev < 0; /* "once at first", also when there are none */
    h->item.rev = rev;
    return 0;
}

int sync_change_own_host(struct sync *s)
{
    struct host_item *h = sync_host_item(s, s->host);
    struct objects_change *changes;
    bool zones = false;
    uuids ports = {0};
    struct error e;
    int64_t rev;
    int n = h->item.rev < 0
                ? -EOVERFLOW
                : objects_changes(s->db, ST_HOST, &s->opt.host, h->item.rev, &rev, &changes, &e);

    if (n == -ENOENT || n == -EOVERFLOW || n == -EINVAL)
        return sync_load_own_host(s);
    if (n < 0)
        return n;
    for (int i = 0; i < n; i++) {
        zones |= changes[i].type == ST_TUNNEL_ZONE_HOST;
        if (changes[i].type == ST_PORT)
            vec_add(&ports, changes[i].id);
    }
    int rc = zones ? load_memberships(s) : 0;
    if (!rc)
        rc = read_bindings(s, ports.v, ports.n);
    if (!rc)
        h->item.rev = rev;
    free(ports.v);
    free(changes);
    return rc;
}
