/* Groups of ports, for who asks for their members: a condition needs only what the port itself
 * says.  Members never change; after a change the ids are listed and those that are new are read.
 */
#include <stdlib.h>

#include "topology/sync_policy.h"

static struct group_port *find(const struct port_group_item *g, const struct uuid *id)
{
    for (size_t i = 0; i < g->members.n; i++) {
        if (uuid_equal(&g->members.v[i].id, id))
            return &g->members.v[i];
    }
    return NULL;
}

static int read_members(struct sync *s, struct port_group_item *g)
{
    VEC(struct group_port) now = {0};
    uuids fresh = {0};
    struct uuid *ids;
    size_t n;
    int rc = sync_referrers(s, ST_PORT_GROUP_PORT, "portGroupId", &g->item, &ids, &n);

    for (size_t i = 0; i < n; i++) {
        const struct group_port *old = find(g, &ids[i]);
        if (old)
            vec_add(&now, *old);
        else
            vec_add(&fresh, ids[i]);
    }
    json_t **bodies = NEW_ARRAY(fresh.n, json_t *);
    if (!rc)
        rc = sync_bodies(s, ST_PORT_GROUP_PORT, fresh.v, fresh.n, bodies);
    for (size_t i = 0; i < fresh.n; i++) {
        topo_ref port = sync_body_ref(s, bodies[i], "portId", TOPO_PORT);
        if (port)
            vec_add(&now, (struct group_port){fresh.v[i], port});
        json_decref(bodies[i]);
    }
    free(bodies);
    free(fresh.v);
    free(ids);
    if (rc) {
        free(now.v);
        return rc;
    }
    free(g->members.v);
    memcpy(&g->members, &now, sizeof g->members);
    return 0;
}

static void publish(struct sync *s, struct port_group_item *g, const json_t *body)
{
    const struct topo_obj *old = topo_get(s->topo, g->item.ref);
    size_t size = g->members.n * sizeof(topo_ref);
    struct topo_port_group *made =
        topo_object(TOPO_PORT_GROUP, sizeof *made, size + 16, topo_id(s->topo, g->item.ref),
                    sync_body_string(body, "name"));

    made->stateful = sync_body_bool(body, "stateful", false);
    made->ports.v = topo_extra(made, size);
    for (size_t i = 0; i < g->members.n; i++)
        made->ports.v[made->ports.n++] = g->members.v[i].port;
    if (old && old->missing)
        s->st.n_missing--;
    if (old)
        sync_changed(s, tag_object(g->item.ref));
    topo_publish(s->topo, &made->obj);
}

int sync_load_port_group(struct sync *s, struct port_group_item *g)
{
    const struct topo_obj *old = topo_get(s->topo, g->item.ref);
    int64_t rev;
    json_t *body;
    int rc = sync_watch_change(s, &g->item);

    if (!rc)
        rc = sync_read_rev(s, &g->item, &rev, NULL);
    if (rc || (g->item.loaded && rev == g->item.rev && old && !old->missing))
        return rc;
    rc = sync_bodies(s, ST_PORT_GROUP, topo_id(s->topo, g->item.ref), 1, &body);
    if (rc)
        return rc;
    if (!body) {
        g->members.n = 0;
        g->item.rev = rev;
        return sync_is_missing(s, &g->item);
    }
    rc = read_members(s, g);
    if (!rc) {
        publish(s, g, body);
        g->item.rev = rev;
        s->st.changes++;
        sync_is_loaded(s, &g->item);
    }
    json_decref(body);
    return rc;
}
