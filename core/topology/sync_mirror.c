/* Mirrors: small, read whole whenever they change. */
#include <stdlib.h>

#include "topology/sync_policy.h"

static void publish(struct sync *s, struct item *it, const json_t *body)
{
    const struct topo_obj *old = topo_get(s->topo, it->ref);
    const json_t *list = json_object_get(body, "conditions");
    size_t n = json_array_size(list);
    struct topo_cond *conds = NEW_ARRAY(n, struct topo_cond);
    struct arena arena;

    arena_init(&arena, 1024);
    for (size_t i = 0; i < n; i++)
        sync_parse_cond(s, json_array_get(list, i), &arena, &conds[i]);
    struct topo_mirror *made =
        topo_mirror_make(topo_id(s->topo, it->ref), sync_body_ref(s, body, "toPortId", TOPO_PORT),
                         conds, (uint32_t)n);
    if (old && old->missing)
        s->st.n_missing--;
    if (old)
        sync_changed(s, tag_object(it->ref));
    topo_publish(s->topo, &made->obj);
    arena_free(&arena);
    free(conds);
}

int sync_load_mirror(struct sync *s, struct item *it)
{
    int64_t rev;
    json_t *body;
    int rc = sync_watch_change(s, it);

    if (!rc)
        rc = sync_read_rev(s, it, &rev, NULL);
    if (rc || (it->loaded && rev == it->rev && !topo_get(s->topo, it->ref)->missing))
        return rc;
    rc = sync_bodies(s, ST_MIRROR, topo_id(s->topo, it->ref), 1, &body);
    if (rc)
        return rc;
    it->rev = rev;
    if (!body)
        return sync_is_missing(s, it);
    publish(s, it, body);
    json_decref(body);
    s->st.changes++;
    sync_is_loaded(s, it);
    return 0;
}
