/* What nothing here names any more is unloaded, and not watched any longer: chains, groups,
 * mirrors, policies.  "Nothing" is seen by going through what is loaded, from ports and devices on;
 * something must be found unused several times in a row, so that what comes and goes isn't read
 * each time.
 *
 * Unloading is safe at any time: what a packet looks at is tagged, the tag is announced, and the
 * packet's next run asks for the object again.  Not while the store is away, when it couldn't come
 * back. */
#include <stdlib.h>

#include "base/clock.h"
#include "topology/sync_policy.h"

#define SWEEP_NS (60 * NSEC_PER_SEC)
enum { IDLE_SWEEPS = 5 };

static bool is_policy(uint8_t kind)
{
    return kind == TOPO_CHAIN || kind == TOPO_IP_GROUP || kind == TOPO_PORT_GROUP ||
           kind == TOPO_MIRROR || kind == ITEM_QOS || kind == ITEM_LOGGING;
}

/* A chain that the loader made has no item, and is followed all the same. */
static void use(struct sync *s, topo_ref ref, void *aux)
{
    struct item *it = sync_item(s, ref);
    refs *todo = aux;

    if (!it) {
        if (topo_kind_of(s->topo, ref) == TOPO_CHAIN && topo_get(s->topo, ref))
            vec_add(todo, ref);
        return;
    }
    if (it->used || !is_policy(it->kind))
        return;
    it->used = true;
    vec_add(todo, ref);
}

static void unload(struct sync *s, struct item *it)
{
    const struct topo_obj *o = topo_get(s->topo, it->ref);
    char path[STORE_PATH_MAX];

    if (it->watched) {
        objects_change_path(sync_type(it), topo_id(s->topo, it->ref), path);
        sync_unwatch(s, path);
    }
    topo_ref ref = it->ref;
    sync_item_free(s, it); /* first: what the object owns goes with the object */
    if (o) {
        topo_unload(s->topo, ref);
        sync_changed(s, tag_object(ref));
    }
}

static void mark(struct sync *s)
{
    refs todo = {0};

    for (topo_ref r = 1; r < s->n_items; r++) {
        const struct topo_obj *o = sync_item(s, r) ? topo_get(s->topo, r) : NULL;
        if (o && (o->kind == TOPO_PORT || o->kind == TOPO_BRIDGE || o->kind == TOPO_ROUTER))
            sync_names(s, o, use, &todo);
    }
    while (todo.n)
        sync_names(s, topo_get(s->topo, todo.v[--todo.n]), use, &todo);
    free(todo.v);
}

void sync_sweep(struct sync *s)
{
    bool reader = uuid_is_zero(&s->opt.host);

    if (reader || !s->connected || s->now < s->unload_at) {
        if (!reader)
            sync_wants_run(s, MAX(s->unload_at, s->now + NSEC_PER_SEC));
        return;
    }
    s->unload_at = s->now + SWEEP_NS;
    sync_wants_run(s, s->unload_at);
    mark(s);
    for (topo_ref r = 1; r < s->n_items; r++) {
        struct item *it = sync_item(s, r);
        const struct topo_obj *o = topo_get(s->topo, r);
        if (!it || !is_policy(it->kind))
            continue;
        it->idle = it->used ? 0 : (uint8_t)(it->idle + 1);
        it->used = false;
        /* Placeholders have a ring of their own, and what is due or awaited isn't unused. */
        if (it->idle >= IDLE_SWEEPS && !it->queued && !it->needed && !(o && o->missing))
            unload(s, it);
    }
}
