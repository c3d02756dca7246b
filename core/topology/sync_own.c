#include <stdlib.h>

#include "topology/sync_policy.h"

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
            rc = sync_know_zone(s, &zone);
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
