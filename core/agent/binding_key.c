/* Tunnel keys of ports that are served, and what the store is told of them.
 *
 * A key is derived from the port's id, so that a restart finds the same.  The loader may know of
 * another port with it, and then gives another.  Thread: control; what talks to the loader runs in
 * topology's turn. */
#include <stdlib.h>

#include "agent/binding_impl.h"
#include "base/log.h"

#define KEY_MASK 0xfffff

struct declaration {
    topo_ref port;
    uint32_t key; /* 0: not served any more */
    bool moving;
};

static void key_given(void *agent, void *aux)
{
    struct declaration *d = aux;

    bindings_key(((struct agent *)agent)->bindings, d->port, d->key);
    free(d);
}

static void declare_fn(void *agent, void *aux)
{
    struct agent *a = agent;
    struct declaration *d = aux;

    if (!d->key) {
        sync_port_down(a->sync, d->port);
    } else {
        uint32_t key = sync_port_up(a->sync, d->port, d->key);
        sync_port_moving(a->sync, d->port, d->moving);
        if (key && key != d->key) {
            d->key = key;
            agent_call_control(a, key_given, d);
            return;
        }
    }
    free(d);
}

void binding_declare(struct agent *a, topo_ref port, uint32_t key, bool moving)
{
    struct declaration *d = NEW(struct declaration);

    *d = (struct declaration){port, key, moving};
    agent_call_topology(a, declare_fn, d);
}

static bool key_is_free(struct bindings *bs, uint32_t key)
{
    struct binding *b;

    HASH_FIND(hh_key, bs->by_key, &key, sizeof key, b);
    return key && !b;
}

static void give_key(struct bindings *bs, struct binding *b, uint32_t key)
{
    struct error e = {0};

    b->tunnel_key = key;
    HASH_ADD(hh_key, bs->by_key, tunnel_key, sizeof b->tunnel_key, b);
    if (dp_tunnel_bind(bs->agent->opts.dp, key, b->port_no, &e))
        log_warn("agent", "tunnel key %u of %s: %s", key, b->ifname, e.message);
}

void binding_drop_key(struct bindings *bs, struct binding *b)
{
    HASH_DELETE(hh_key, bs->by_key, b);
    dp_tunnel_unbind(bs->agent->opts.dp, b->tunnel_key);
}

static uint32_t choose_key(struct bindings *bs, const struct binding *b)
{
    uint32_t key = (uint32_t)hash_stable(&b->id, sizeof b->id, 0) & KEY_MASK;

    while (!key_is_free(bs, key))
        key = (key + 1) & KEY_MASK;
    return key;
}

void binding_take_key(struct bindings *bs, struct binding *b)
{
    give_key(bs, b, choose_key(bs, b));
}

void bindings_key(struct bindings *bs, topo_ref port, uint32_t key)
{
    struct binding *b;

    HASH_FIND_INT(bs->all, &port, b);
    if (!b || b->state != SERVED || !key_is_free(bs, key))
        return;
    binding_drop_key(bs, b);
    give_key(bs, b, key);
}
