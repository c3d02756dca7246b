#include <stdlib.h>

#include "packet/flow.h"
#include "topology/sync_policy.h"

/* Tunnel zones */

static struct zone_member *member(struct zone_item *z, const struct uuid *id)
{
    for (size_t i = 0; i < z->n; i++) {
        if (uuid_equal(&z->members[i].id, id))
            return &z->members[i];
    }
    return NULL;
}

/* Whose membership that was, or is now, goes to 'hosts' unless that is null. */
static void set_member(struct sync *s, struct zone_item *z, const struct uuid *id,
                       const json_t *body, refs *hosts)
{
    struct zone_member m = {.id = *id, .host = sync_body_ref(s, body, "hostId", TOPO_HOST)};
    struct zone_member *old = member(z, id);

    if (hosts && old)
        vec_add(hosts, old->host);
    if (hosts && m.host && (!old || old->host != m.host))
        vec_add(hosts, m.host);
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

static int read_members(struct sync *s, struct zone_item *z, const struct uuid *ids, size_t n,
                        refs *hosts)
{
    json_t **bodies = NEW_ARRAY(n, json_t *);
    int rc = sync_bodies(s, ST_TUNNEL_ZONE_HOST, ids, n, bodies);

    for (size_t i = 0; i < n && !rc; i++) {
        set_member(s, z, &ids[i], bodies[i], hosts);
        json_decref(bodies[i]);
    }
    free(bodies);
    return rc;
}

static void publish_host(struct sync *s, topo_ref ref)
{
    struct host_item *h = sync_host_item(s, ref);

    if (h && h->item.loaded)
        sync_publish_host(s, h, NULL);
}

static void take_members(struct sync *s, struct zone_item *z, struct objects_snapshot *all)
{
    z->n = 0;
    for (size_t i = 0; i < all->n; i++)
        set_member(s, z, &all->copies[i].id, all->copies[i].body, NULL);
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
    for (topo_ref r = 1; r < s->n_items; r++)
        publish_host(s, r);
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
    refs hosts = {0};
    int rc = read_members(s, z, ids.v, ids.n, &hosts);
    for (size_t i = 0; i < hosts.n && !rc; i++) /* the others are where they were */
        publish_host(s, hosts.v[i]);
    if (!rc)
        z->item.rev = rev;
    free(hosts.v);
    free(ids.v);
    free(changes);
    return rc;
}

int sync_know_zone(struct sync *s, const struct uuid *id)
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

int sync_load_all_zones(struct sync *s)
{
    struct error e;
    uuids ids = {0};
    int rc = objects_each(s->db, ST_TUNNEL_ZONE, NULL, list_zone, &ids, &e);

    for (size_t i = 0; i < ids.n && !rc; i++)
        rc = sync_know_zone(s, &ids.v[i]);
    s->zones_known = !rc;
    free(ids.v);
    return rc;
}
