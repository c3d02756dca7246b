#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "topology/sync_policy.h"
#include "topology/sync_table.h"

enum { MISSING_MAX = 1024 /* placeholders that are watched; the longest forgotten first */ };

struct item *sync_item(struct sync *s, topo_ref ref)
{
    return ref < s->n_items ? s->items[ref] : NULL;
}

void *sync_item_new(struct sync *s, topo_ref ref, uint8_t kind, size_t size)
{
    if (ref >= s->n_items) {
        size_t n = MAX((size_t)64, s->n_items * 2);
        while (n <= ref)
            n *= 2;
        s->items = mem_resize(s->items, n * sizeof(struct item *));
        memset(s->items + s->n_items, 0, (n - s->n_items) * sizeof(struct item *));
        s->n_items = n;
    }
    if (s->items[ref] && s->items[ref]->kind != kind)
        return NULL;
    if (!s->items[ref]) {
        struct item *it = mem_zalloc(size);
        *it = (struct item){.ref = ref, .kind = kind, .size = (uint16_t)size, .rev = -1};
        s->items[ref] = it;
        s->items_memory += size;
    }
    return s->items[ref];
}

void sync_item_free(struct sync *s, struct item *it)
{
    sync_warm_end(s, it);
    if (it->kind == TOPO_BRIDGE || it->kind == TOPO_ROUTER) {
        sync_dhcp_free(s, (struct device_item *)it);
        sync_table_free(s, (struct device_item *)it);
        free(((struct device_item *)it)->ports);
        free(((struct device_item *)it)->seeds.v);
        free(((struct device_item *)it)->touched.v);
    } else if (it->kind == ITEM_ZONE) {
        free(((struct zone_item *)it)->members);
    } else if (it->kind == TOPO_CHAIN) {
        sync_chain_free(s, (struct chain_item *)it);
    } else if (it->kind == TOPO_PORT_GROUP) {
        free(((struct port_group_item *)it)->members.v);
    } else if (it->kind == TOPO_IP_GROUP) {
        sync_group_free(s, (struct group_item *)it);
    }
    s->items[it->ref] = NULL;
    s->items_memory -= it->size;
    free(it);
}

void sync_due(struct sync *s, struct item *it, unsigned due)
{
    it->due |= (uint8_t)due;
    if (!it->queued) {
        it->queued = true;
        vec_add(&s->work, it->ref);
    }
}

void sync_due_first(struct sync *s, struct item *it, unsigned due)
{
    bool queued = it->queued;

    sync_due(s, it, due);
    if (queued)
        return;
    s->work.v[s->work.n - 1] = s->work.v[s->work_at];
    s->work.v[s->work_at] = it->ref;
}

void sync_wants_run(struct sync *s, uint64_t at)
{
    s->next = MIN(s->next, MAX(at, s->now));
}

void sync_changed(struct sync *s, tag_t tag)
{
    vec_add(&s->changes, (struct tag_change){.tag = tag});
}

void sync_changed_route(struct sync *s, topo_ref router, const struct cidr *prefix)
{
    vec_add(&s->changes, (struct tag_change){.router = router, .prefix = *prefix});
}

void sync_is_loaded(struct sync *s, struct item *it)
{
    it->loaded = true;
    if (s->n_own_due) /* perhaps a port that waited for it */
        sync_wants_run(s, s->now);
    if (it->needed) {
        it->needed = false;
        s->st.n_needs--;
        vec_add(&s->loaded, it->ref);
        sync_changed(s, tag_object(it->ref)); /* what had given up waiting for it */
    }
}

enum schema_type_id sync_type(const struct item *it)
{
    static const enum schema_type_id types[] = {
        [TOPO_NONE] = ST_NONE,
        [TOPO_PORT] = ST_PORT,
        [TOPO_BRIDGE] = ST_BRIDGE,
        [TOPO_ROUTER] = ST_ROUTER,
        [TOPO_CHAIN] = ST_CHAIN,
        [TOPO_HOST] = ST_HOST,
        [TOPO_PORT_GROUP] = ST_PORT_GROUP,
        [TOPO_IP_GROUP] = ST_IP_ADDR_GROUP,
        [TOPO_LOAD_BALANCER] = ST_LOAD_BALANCER,
        [TOPO_MIRROR] = ST_MIRROR,
        [TOPO_ROUTE] = ST_ROUTE,
        [TOPO_RULE] = ST_RULE,
        [ITEM_ZONE] = ST_TUNNEL_ZONE,
        [ITEM_QOS] = ST_QOS_POLICY,
        [ITEM_LOGGING] = ST_LOGGING_RESOURCE,
    };

    return types[it->kind];
}

int sync_watch(struct sync *s, const char *path, enum watch what, topo_ref ref)
{
    uint64_t tag = (uint64_t)what << 32 | ref;
    unsigned kind = what == WATCH_GROUP ? STORE_WATCH_CHILDREN : STORE_WATCH_DATA;
    int rc = what == WATCH_ALIVE || what == WATCH_GROUP
                 ? store_watch_read(s->store, path, kind, tag, NULL)
                 : store_watch(s->store, path, kind, tag, NULL);

    if (rc == -ENOSPC) {
        if (!s->polling)
            log_warn("topology", "more watches than the store allows: looking every %llu s instead",
                     POLL_NS / NSEC_PER_SEC);
        s->polling = true;
        return 0;
    }
    s->st.n_watches += !rc;
    return rc;
}

void sync_unwatch(struct sync *s, const char *path)
{
    store_unwatch(s->store, path, STORE_WATCH_DATA);
    s->st.n_watches--;
}

static void own_path(struct sync *s, const struct item *it, char path[STORE_PATH_MAX])
{
    if (it->kind == TOPO_PORT)
        objects_path(ST_PORT, topo_id(s->topo, it->ref), path);
    else
        objects_change_path(sync_type(it), topo_id(s->topo, it->ref), path);
}

int sync_watch_change(struct sync *s, struct item *it)
{
    char path[STORE_PATH_MAX];

    if (it->watched)
        return 0;
    own_path(s, it, path);
    int rc = sync_watch(s, path, it->kind == TOPO_PORT ? WATCH_OBJECT : WATCH_CHANGE, it->ref);
    it->watched = !rc;
    return rc;
}

/* Forgets the placeholder that has been one for longest: its next use is a need again. */
static void forget_missing(struct sync *s, topo_ref ref, const struct item *but)
{
    struct item *it = sync_item(s, ref);
    const struct topo_obj *o = topo_get(s->topo, ref);
    char path[STORE_PATH_MAX];

    if (!it || it == but || !o || !o->missing || it->queued)
        return;
    if (it->watched) {
        own_path(s, it, path);
        sync_unwatch(s, path);
    }
    topo_unload(s->topo, ref);
    s->st.n_missing--;
    sync_item_free(s, it);
}

static size_t object_size(uint8_t kind)
{
    switch (kind) {
    case TOPO_PORT:
        return sizeof(struct topo_port);
    case TOPO_BRIDGE:
        return sizeof(struct topo_bridge);
    case TOPO_ROUTER:
        return sizeof(struct topo_router);
    case TOPO_HOST:
        return sizeof(struct topo_host);
    case TOPO_CHAIN:
        return sizeof(struct topo_chain);
    case TOPO_IP_GROUP:
        return sizeof(struct topo_ip_group);
    case TOPO_PORT_GROUP:
        return sizeof(struct topo_port_group);
    case TOPO_MIRROR:
        return sizeof(struct topo_mirror);
    default:
        return sizeof(struct topo_obj);
    }
}

int sync_is_missing(struct sync *s, struct item *it)
{
    const struct topo_obj *old = topo_get(s->topo, it->ref);
    int rc = sync_watch_change(s, it);

    if (rc)
        return rc;
    if (!old || !old->missing) {
        struct topo_obj *o = topo_object((enum topo_kind)it->kind, object_size(it->kind), 0,
                                         topo_id(s->topo, it->ref), NULL);
        o->missing = true;
        topo_publish(s->topo, o);
        s->st.n_missing++;
        if (old)
            sync_changed(s, tag_object(it->ref));
        if (s->missing.n < MISSING_MAX) {
            vec_add(&s->missing, it->ref);
        } else {
            forget_missing(s, s->missing.v[s->missing_at], it);
            s->missing.v[s->missing_at] = it->ref;
            s->missing_at = (s->missing_at + 1) % MISSING_MAX;
        }
    }
    sync_is_loaded(s, it);
    return 0;
}

int sync_load_other(struct sync *s, struct item *it)
{
    const struct topo_obj *old = topo_get(s->topo, it->ref);
    json_t *body;
    int rc = sync_watch_change(s, it);

    if (!rc)
        rc = sync_bodies(s, sync_type(it), topo_id(s->topo, it->ref), 1, &body);
    if (rc)
        return rc;
    if (!body)
        return sync_is_missing(s, it);
    if (old && old->missing)
        s->st.n_missing--;
    if (old)
        sync_changed(s, tag_object(it->ref));
    topo_publish(s->topo, topo_object((enum topo_kind)it->kind, sizeof *old, 0,
                                      topo_id(s->topo, it->ref), sync_body_string(body, "name")));
    sync_is_loaded(s, it);
    json_decref(body);
    return 0;
}
