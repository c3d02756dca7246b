/* Groups of addresses.
 *
 * Members come and go one at a time in groups of 100,000: the change log names the member, its body
 * is read, the set that all versions of the group share gets or loses one address, and whoever
 * asked about that address is told, nobody else.  Members never change, so one that has been read
 * needn't be read again; and one that is gone can't, so what address it stood for is kept. */
#include <stdlib.h>

#include "topology/sync_policy.h"

static size_t place(const struct group_item *g, const struct uuid *id)
{
    return search_place(id, g->members.v, g->members.n, sizeof *g->members.v, sync_by_id);
}

static bool is_member(const struct group_item *g, size_t at, const struct uuid *id)
{
    return at < g->members.n && uuid_equal(&g->members.v[at].id, id);
}

static void told(struct sync *s, const struct group_item *g, const struct ip *ip)
{
    sync_changed(s, tag_group_ip(g->item.ref, ip));
}

static void forget(struct sync *s, struct group_item *g, const struct uuid *id)
{
    size_t at = place(g, id);

    if (!is_member(g, at, id))
        return;
    struct ip ip = g->members.v[at].ip;
    g->members.n--;
    memmove(g->members.v + at, g->members.v + at + 1, (g->members.n - at) * sizeof *g->members.v);
    if (topo_ip_set_del(g->set, &ip))
        told(s, g, &ip);
}

static int compare(const void *pa, const void *pb)
{
    const struct group_member *a = pa, *b = pb;

    return memcmp(&a->id, &b->id, sizeof a->id);
}

/* Reads members that aren't known yet.  A few are put into place, many are sorted in. */
static int add(struct sync *s, struct group_item *g, const struct uuid *ids, size_t n)
{
    enum { FEW = 16, ROUND = 4096 };
    size_t first = g->members.n, room = g->members.room;
    json_t **bodies = NEW_ARRAY(MIN(n, (size_t)ROUND), json_t *);
    int rc = 0;

    for (size_t at = 0; at < n && !rc; at += ROUND) {
        size_t round = MIN((size_t)ROUND, n - at);
        rc = sync_bodies(s, ST_IP_ADDR, ids + at, round, bodies);
        for (size_t i = 0; i < round && !rc; i++) {
            struct group_member m = {.id = ids[at + i]};
            if (bodies[i] && sync_body_ip(bodies[i], "addr", &m.ip)) {
                vec_add(&g->members, m);
                if (topo_ip_set_add(g->set, &m.ip) && g->item.loaded)
                    told(s, g, &m.ip);
            }
            json_decref(bodies[i]);
        }
    }
    free(bodies);
    s->items_memory += (g->members.room - room) * sizeof *g->members.v;
    size_t added = g->members.n - first;
    for (size_t i = first; added <= FEW && i < g->members.n; i++) {
        struct group_member m = g->members.v[i];
        size_t n_all = g->members.n;
        g->members.n = i;
        size_t to = place(g, &m.id);
        g->members.n = n_all;
        memmove(g->members.v + to + 1, g->members.v + to, (i - to) * sizeof m);
        g->members.v[to] = m;
    }
    if (added > FEW)
        qsort(g->members.v, g->members.n, sizeof *g->members.v, compare);
    return rc;
}

/* All members by their ids; only those that aren't known are read. */
static int compare_members(struct sync *s, struct group_item *g)
{
    struct uuid *ids;
    uuids fresh = {0}, old = {0};
    size_t n;
    int rc = sync_referrers(s, ST_IP_ADDR, "ipAddrGroupId", &g->item, &ids, &n);

    if (rc)
        return rc;
    for (size_t i = 0; i < n; i++) {
        if (!is_member(g, place(g, &ids[i]), &ids[i]))
            vec_add(&fresh, ids[i]);
    }
    for (size_t i = 0; i < g->members.n; i++) {
        if (!n || !bsearch(&g->members.v[i].id, ids, n, sizeof *ids, sync_by_id))
            vec_add(&old, g->members.v[i].id);
    }
    for (size_t i = 0; i < old.n; i++)
        forget(s, g, &old.v[i]);
    rc = add(s, g, fresh.v, fresh.n);
    free(old.v);
    free(fresh.v);
    free(ids);
    return rc;
}

static void publish(struct sync *s, struct group_item *g, const json_t *body)
{
    const struct topo_obj *old = topo_get(s->topo, g->item.ref);
    struct topo_ip_group *made =
        topo_object(TOPO_IP_GROUP, sizeof *made, 0, topo_id(s->topo, g->item.ref),
                    sync_body_string(body, "name"));

    made->members = g->set;
    if (old && old->missing) {
        s->st.n_missing--;
        sync_changed(s, tag_object(g->item.ref));
    }
    topo_publish(s->topo, &made->obj);
}

/* The members go with the group, and those who asked about one must hear of it. */
static int gone(struct sync *s, struct group_item *g)
{
    const struct topo_obj *old = topo_get(s->topo, g->item.ref);
    bool published = old && !old->missing;

    for (size_t i = 0; published && i < g->members.n; i++)
        told(s, g, &g->members.v[i].ip);
    sync_group_free(s, g);
    g->item.rev = -1;
    return sync_is_missing(s, &g->item);
}

void sync_group_free(struct sync *s, struct group_item *g)
{
    const struct topo_obj *old = topo_get(s->topo, g->item.ref);

    if (g->set && !(old && !old->missing && ((const struct topo_ip_group *)old)->members == g->set))
        topo_ip_set_free(g->set); /* never published */
    g->set = NULL;
    s->items_memory -= g->members.room * sizeof *g->members.v;
    free(g->members.v);
    memset(&g->members, 0, sizeof g->members);
}

static int load(struct sync *s, struct group_item *g)
{
    int64_t rev;
    json_t *body;
    int rc = sync_watch_change(s, &g->item);

    if (!rc)
        rc = sync_read_rev(s, &g->item, &rev, NULL);
    if (!rc)
        rc = sync_bodies(s, ST_IP_ADDR_GROUP, topo_id(s->topo, g->item.ref), 1, &body);
    if (rc)
        return rc;
    if (!body)
        return gone(s, g);
    s->st.reloads++;
    if (!g->set)
        g->set = topo_ip_set_new();
    rc = compare_members(s, g);
    if (!rc) {
        publish(s, g, body);
        g->item.rev = rev;
        sync_is_loaded(s, &g->item);
    }
    json_decref(body);
    return rc;
}

static int apply(struct sync *s, struct group_item *g, const struct objects_change *changes, int n)
{
    uuids fresh = {0};

    /* Oldest first: an address taken out and put in again is told twice, and is in. */
    for (int i = 0; i < n; i++) {
        if (changes[i].type != ST_IP_ADDR)
            continue;
        if (changes[i].what == 'd') {
            forget(s, g, &changes[i].id);
            for (size_t k = 0; k < fresh.n; k++) {
                if (uuid_equal(&fresh.v[k], &changes[i].id))
                    fresh.v[k--] = fresh.v[--fresh.n];
            }
            continue;
        }
        bool known = is_member(g, place(g, &changes[i].id), &changes[i].id);
        for (size_t k = 0; k < fresh.n && !known; k++)
            known = uuid_equal(&fresh.v[k], &changes[i].id);
        if (!known)
            vec_add(&fresh, changes[i].id);
    }
    int rc = add(s, g, fresh.v, fresh.n);
    free(fresh.v);
    return rc;
}

static int change(struct sync *s, struct group_item *g)
{
    const struct topo_obj *o = topo_get(s->topo, g->item.ref);
    struct objects_change *changes = NULL;
    struct error e;
    bool body = false;
    int64_t rev = 0;

    if (!o || o->missing)
        return load(s, g);
    int n = objects_changes(s->db, ST_IP_ADDR_GROUP, topo_id(s->topo, g->item.ref), g->item.rev,
                            &rev, &changes, &e);
    if (n == -ENOENT)
        return gone(s, g);
    if (n < 0 && n != -EOVERFLOW && n != -EINVAL)
        return n;
    for (int i = 0; i < n; i++)
        body |= changes[i].type == ST_IP_ADDR_GROUP;
    int rc = n < 0 || body ? load(s, g) : apply(s, g, changes, n);
    if (!rc && n >= 0 && !body) {
        s->st.changes += rev != g->item.rev;
        g->item.rev = rev;
    }
    free(changes);
    return rc;
}

int sync_work_group(struct sync *s, struct group_item *g, unsigned due)
{
    return due & DUE_LOAD || !g->item.loaded ? load(s, g) : change(s, g);
}
