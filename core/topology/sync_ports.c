#include <stdlib.h>

#include "base/clock.h"
#include "topology/sync_policy.h"

/* All ports of a device: from a snapshot (sync_snapshot.c) and what its log says has changed since,
 * or one by one; then perhaps a snapshot is made of them. */

#define GLANCE_NS (3 * NSEC_PER_SEC)
enum { AT_ONCE = 256 };

static void mark(struct sync *s, const drafts *ds, bool on)
{
    for (size_t i = 0; i < ds->n; i++) {
        if (sync_item(s, ds->v[i].ref))
            sync_item(s, ds->v[i].ref)->listed = on;
    }
}

/* Those that were here and aren't any more are read too, and found gone. */
static int read_gone(struct sync *s, const struct device_item *d, drafts *ds)
{
    refs gone = {0};

    mark(s, ds, true);
    for (size_t i = 0; i < d->n_ports; i++) {
        if (sync_item(s, d->ports[i]) && !sync_item(s, d->ports[i])->listed)
            vec_add(&gone, d->ports[i]);
    }
    mark(s, ds, false);
    int rc = sync_read_drafts(s, gone.v, gone.n, ds);
    free(gone.v);
    return rc;
}

/* From a snapshot */

static const char *device_attr(const struct device_item *d)
{
    return d->item.kind == TOPO_BRIDGE ? "bridgeId" : "routerId";
}

/* What it has of a port is of use. */
static bool is_good(struct sync *s, const struct device_item *d, const struct objects_copy *c)
{
    struct uuid device;

    return sync_valid(s, ST_PORT, &c->id, c->body) &&
           sync_body_uuid(c->body, device_attr(d), &device) &&
           uuid_equal(&device, topo_id(s->topo, d->item.ref));
}

/* Who serves it has to be looked up, if anybody does: a host that isn't there serves nothing. */
static int read_untold(struct sync *s, drafts *ds, const refs *untold)
{
    VEC(struct draft *) ask = {0};
    refs hosts = {0};
    bool alive;
    uint64_t inc;

    for (size_t i = 0; i < untold->n; i++) {
        topo_ref host = sync_body_ref(s, ds->v[untold->v[i]].body, "hostId", TOPO_HOST);
        if (host)
            vec_add(&hosts, host);
    }
    int rc = hosts.n ? sync_alive_know(s, hosts.v, hosts.n, false) : 0;
    for (size_t i = 0; i < untold->n && !rc; i++) {
        struct draft *d = &ds->v[untold->v[i]];
        topo_ref host = sync_body_ref(s, d->body, "hostId", TOPO_HOST);
        if (!host)
            continue;
        rc = sync_alive_find(s, topo_id(s->topo, host), &alive, &inc);
        if (!rc && alive)
            vec_add(&ask, d);
    }
    if (!rc)
        rc = sync_read_states(s, ask.v, ask.n);
    free(ask.v);
    free(hosts.v);
    return rc;
}

static struct port_state state_of(struct sync *s, const struct objects_active *a)
{
    struct port_state st = {.now = {.key = a->key, .inc = a->inc}};

    if (!a->there)
        return (struct port_state){0};
    st.now.host = topo_intern(s->topo, TOPO_HOST, &a->host);
    return st;
}

/* What the log says goes before what was copied; the ports that it names otherwise are read. */
static void sort_out(struct sync *s, struct snapshot *sn, refs *again)
{
    for (size_t i = 0; i < sn->n_changes; i++) {
        const struct objects_change *c = &sn->changes[i];
        struct objects_copy *copy = sync_snapshot_find(sn, &c->id);
        if (c->type != ST_PORT)
            continue;
        if (copy && copy->body && c->active.told) {
            copy->active = c->active;
            continue;
        }
        if (copy) {
            json_decref(copy->body);
            copy->body = NULL;
        }
        topo_ref ref = topo_intern(s->topo, TOPO_PORT, &c->id);
        bool twice = false;
        for (size_t k = again->n; k-- > 0 && !twice;)
            twice = again->v[k] == ref;
        if (!twice)
            vec_add(again, ref);
    }
}

static int use_snapshot(struct sync *s, const struct device_item *d, struct snapshot *sn,
                        drafts *ds)
{
    refs again = {0}, untold = {0};

    sort_out(s, sn, &again);
    for (size_t i = 0; i < sn->copy.n; i++) {
        const struct objects_copy *c = &sn->copy.copies[i];
        if (!c->body)
            continue;
        topo_ref ref = topo_intern(s->topo, TOPO_PORT, &c->id);
        if (!is_good(s, d, c)) {
            vec_add(&again, ref);
            continue;
        }
        if (!c->active.told)
            vec_add(&untold, (topo_ref)ds->n);
        vec_add(ds, (struct draft){ref, json_incref(c->body), state_of(s, &c->active)});
    }
    int rc = read_untold(s, ds, &untold);
    size_t kept = ds->n;
    if (!rc)
        rc = sync_read_drafts(s, again.v, again.n, ds);
    for (size_t i = kept; i < ds->n; i++) { /* nobody here has ever heard of those that are gone */
        if (ds->v[i].body || sync_item(s, ds->v[i].ref))
            ds->v[kept++] = ds->v[i];
    }
    ds->n = kept;
    free(untold.v);
    free(again.v);
    return rc;
}

/* To a snapshot */

static void add_name(struct sync *s, json_t *names, topo_ref host)
{
    const struct topo_host *h = host ? topo_host(s->topo, host) : NULL;
    char id[UUID_STRLEN];

    if (h)
        json_object_set_new(names, uuid_format(&h->obj.id, id), json_string(h->obj.name));
}

/* Bound, and nobody serves them.  True?  A host whose session has expired takes a moment to make
 * its nodes again, its name last.  So: the node isn't there, then its host has its name, then the
 * node isn't there either.  For that to be wrong, a session would have to begin and expire again
 * within GLANCE_NS, which none does. */
static int look_twice(struct sync *s, struct draft *const *ds, size_t n, bool *sure)
{
    struct draft *twice = NEW_ARRAY(n, struct draft), **ask = NEW_ARRAY(n, struct draft *);
    topo_ref *hosts = NEW_ARRAY(n, topo_ref);
    uint64_t began = clock_ns(), inc;
    bool alive;

    for (size_t i = 0; i < n; i++) {
        twice[i] = *ds[i];
        ask[i] = &twice[i];
        hosts[i] = sync_body_ref(s, ds[i]->body, "hostId", TOPO_HOST);
    }
    int rc = sync_read_states(s, ask, n);
    for (size_t i = 0; i < n; i++)
        sure[i] = !twice[i].state.now.host;
    if (!rc)
        rc = sync_alive_know(s, hosts, n, true);
    for (size_t i = 0; i < n && !rc; i++) {
        rc = sync_alive_find(s, topo_id(s->topo, hosts[i]), &alive, &inc);
        sure[i] &= alive;
    }
    if (!rc)
        rc = sync_read_states(s, ask, n);
    for (size_t i = 0; i < n; i++)
        sure[i] &= !twice[i].state.now.host && clock_ns() - began < GLANCE_NS;
    free(hosts);
    free(ask);
    free(twice);
    return rc;
}

static int look_at_unserved(struct sync *s, drafts *ds, size_t n, struct objects_snapshot *out)
{
    struct draft *some[AT_ONCE];
    size_t places[AT_ONCE], count = 0;
    bool sure[AT_ONCE];
    int rc = 0;

    for (size_t i = 0; i <= n && !rc; i++) {
        if (i < n && !ds->v[i].state.now.host && json_object_get(ds->v[i].body, "hostId")) {
            places[count] = i;
            some[count++] = &ds->v[i];
        }
        if (count < (i < n ? AT_ONCE : 1))
            continue;
        rc = look_twice(s, some, count, sure);
        for (size_t k = 0; k < count && !rc; k++)
            out->copies[places[k]].active.told = sure[k];
        count = 0;
    }
    return rc;
}

static struct objects_active active_of(struct sync *s, const struct draft *d)
{
    const struct port_server *now = &d->state.now;

    if (!now->host) /* of a port that is bound nowhere, that is sure */
        return (struct objects_active){.told = !json_object_get(d->body, "hostId")};
    return (struct objects_active){.told = !d->state.former.host,
                                   .there = true,
                                   .host = *topo_id(s->topo, now->host),
                                   .key = now->key,
                                   .inc = now->inc};
}

/* Of the first 'n' drafts, as they were when the log was at 'rev'. */
static void make_snapshot(struct sync *s, const struct device_item *d, drafts *ds, size_t n,
                          int64_t rev)
{
    struct objects_snapshot copy = {.rev = rev, .names = json_object()};
    size_t there = 0;

    for (size_t i = 0; i < n; i++) { /* that those without a body change places doesn't matter */
        if (!ds->v[i].body)
            continue;
        struct draft t = ds->v[i];
        ds->v[i] = ds->v[there];
        ds->v[there++] = t;
    }
    for (size_t i = 0; i < there; i++) {
        const struct objects_copy c = {*topo_id(s->topo, ds->v[i].ref), ds->v[i].body,
                                       active_of(s, &ds->v[i])};
        objects_snapshot_add(&copy, &c);
        add_name(s, copy.names, sync_body_ref(s, ds->v[i].body, "hostId", TOPO_HOST));
        add_name(s, copy.names, ds->v[i].state.now.host);
    }
    if (!look_at_unserved(s, ds, there, &copy))
        sync_snapshot_write(s, &d->item, &copy);
    objects_snapshot_free(&copy);
}

/* One by one.  1: with the right to make a snapshot. */
static int read_all(struct sync *s, struct device_item *d, int64_t from, drafts *ds)
{
    bool may_build = from > 0 && s->host;
    struct uuid *ids = NULL;
    refs ports = {0};
    size_t n = 0;
    int rc, builds = 0;

    if (may_build && d->wait.since)
        builds = sync_snapshot_begin(s, &d->item, &d->wait);
    if (builds < 0)
        return builds;
    rc = sync_referrers(s, ST_PORT, device_attr(d), &d->item, &ids, &n);
    if (!rc && may_build && !builds && n >= SNAPSHOT_MIN)
        rc = builds = sync_snapshot_begin(s, &d->item, &d->wait);
    for (size_t i = 0; i < n; i++)
        vec_add(&ports, topo_intern(s->topo, TOPO_PORT, &ids[i]));
    if (rc >= 0)
        rc = sync_read_drafts(s, ports.v, ports.n, ds);
    free(ports.v);
    free(ids);
    if (rc && builds > 0)
        sync_snapshot_end(s, &d->item);
    return rc ? rc : builds;
}

int sync_load_ports(struct sync *s, struct device_item *d, int64_t rev, int64_t from)
{
    struct snapshot sn;
    drafts ds = {0};
    int builds = 0;
    int rc = sync_snapshot_read(s, &d->item, from, &sn);

    if (!rc && sn.copy.rev >= 0) {
        rc = use_snapshot(s, d, &sn, &ds);
        rev = sn.rev;
        if (!rc && sn.n_changes > SNAPSHOT_BEHIND)
            builds = sync_snapshot_begin(s, &d->item, &d->wait);
    } else if (!rc) {
        rc = builds = read_all(s, d, from, &ds);
        rc = MIN(rc, 0);
    }
    size_t own = ds.n;
    if (!rc)
        rc = read_gone(s, d, &ds);
    if (!rc)
        rc = sync_take_drafts(s, &ds, sn.copy.names);
    if (!rc && builds > 0)
        make_snapshot(s, d, &ds, own, rev);
    if (builds > 0)
        sync_snapshot_end(s, &d->item);
    if (!rc)
        d->wait.since = 0;
    sync_snapshot_free(&sn);
    sync_free_drafts(&ds);
    return rc;
}
