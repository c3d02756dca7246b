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

static void use(struct sync *s, topo_ref ref, refs *todo);

static void use_all(struct sync *s, const struct topo_refs *r, unsigned n, refs *todo)
{
    for (unsigned i = 0; i < n; i++) {
        for (uint32_t k = 0; k < r[i].n; k++)
            use(s, r[i].v[k], todo);
    }
}

static void use_cond(struct sync *s, const struct topo_cond *c, refs *todo)
{
    use(s, c->src_group, todo);
    use(s, c->dst_group, todo);
    use(s, c->port_group, todo);
    use(s, c->in_port_group, todo);
    use(s, c->out_port_group, todo);
}

/* What the object names. */
static void follow(struct sync *s, topo_ref ref, refs *todo)
{
    const struct topo_obj *o = topo_get(s->topo, ref);
    const struct item *it = sync_item(s, ref);

    if (!o || o->missing)
        return;
    if (o->kind == TOPO_CHAIN) {
        const struct topo_chain *c = (const struct topo_chain *)o;
        for (uint32_t i = 0; i < c->n_rules; i++) {
            use(s, c->rules[i].jump, todo);
            use_cond(s, &c->rules[i].cond, todo);
        }
        const struct chain_item *ci = it && it->kind == TOPO_CHAIN ? (const void *)it : NULL;
        for (size_t i = 0; ci && i < ci->loggers.n; i++)
            use(s, ci->loggers.v[i].resource, todo);
    } else if (o->kind == TOPO_MIRROR) {
        const struct topo_mirror *m = (const struct topo_mirror *)o;
        for (uint32_t i = 0; i < m->n_conds; i++)
            use_cond(s, &m->conds[i], todo);
    }
}

/* A chain that the loader made has no item, and is followed all the same. */
static void use(struct sync *s, topo_ref ref, refs *todo)
{
    struct item *it = ref ? sync_item(s, ref) : NULL;

    if (!it) {
        if (ref && topo_kind_of(s->topo, ref) == TOPO_CHAIN && topo_get(s->topo, ref))
            vec_add(todo, ref);
        return;
    }
    if (it->used || !is_policy(it->kind))
        return;
    it->used = true;
    vec_add(todo, ref);
}

static void use_port(struct sync *s, const struct topo_port *p, refs *todo)
{
    const topo_ref chains[] = {p->infilter, p->outfilter, p->trace};

    for (size_t i = 0; i < ARRAY_SIZE(chains); i++)
        use(s, chains[i], todo);
    use_all(s, p->mirrors, TOPO_PORT_HOOKS, todo);
    use_all(s, &p->groups, 1, todo);
    use(s, sync_port(s, p->obj.self)->qos, todo);
}

static void use_bridge(struct sync *s, const struct topo_bridge *b, refs *todo)
{
    use(s, b->infilter, todo);
    use(s, b->outfilter, todo);
    use(s, b->trace, todo);
    use_all(s, b->mirrors, TOPO_DEVICE_HOOKS, todo);
    use(s, sync_device(s, b->obj.self)->qos, todo);
}

static void use_router(struct sync *s, const struct topo_router *r, refs *todo)
{
    const topo_ref chains[] = {r->infilter, r->outfilter, r->local_redirect, r->forward, r->trace};

    for (size_t i = 0; i < ARRAY_SIZE(chains); i++)
        use(s, chains[i], todo);
    use_all(s, r->mirrors, TOPO_DEVICE_HOOKS, todo);
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
        if (!o || o->missing)
            continue;
        if (o->kind == TOPO_PORT)
            use_port(s, (const struct topo_port *)o, &todo);
        else if (o->kind == TOPO_BRIDGE)
            use_bridge(s, (const struct topo_bridge *)o, &todo);
        else if (o->kind == TOPO_ROUTER)
            use_router(s, (const struct topo_router *)o, &todo);
    }
    while (todo.n)
        follow(s, todo.v[--todo.n], &todo);
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
