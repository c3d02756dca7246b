/* Who moves here comes with traffic: what its packets are going to need is loaded when its port is
 * bound, before the first of them, and not one after the other as each is found lacking.  That is
 * the port's device, the routers at it and the bridges behind these, with the policy of each; as
 * far as there are few of them.  Where there are many, packets tell which.  The port isn't declared
 * active before all of it is there: then its machine may come. */
#include "topology/sync_policy.h"

enum { STEPS = 6 /* port, bridge, router, its port, the peer, the bridge behind */, FEW = 16 };

static void warm(struct sync *s, topo_ref ref, unsigned steps);

static void load(struct sync *s, topo_ref ref, unsigned steps)
{
    sync_prefetch(s, ref);
    struct item *it = topo_get(s->topo, ref) ? NULL : sync_item(s, ref);
    if (!it)
        return;
    s->n_warming += !it->warm;
    it->warm = MAX(it->warm, (uint8_t)(steps + 1));
}

static void load_policy(struct sync *s, topo_ref ref, void *aux)
{
    (void)aux;
    if (topo_kind_of(s->topo, ref) != TOPO_NONE)
        load(s, ref, 0);
}

static void go_on(struct sync *s, const struct topo_obj *o, unsigned steps)
{
    sync_names(s, o, load_policy, NULL);
    if (o->missing || !steps)
        return;
    if (o->kind == TOPO_PORT) {
        warm(s, ((const struct topo_port *)o)->device, steps - 1);
        warm(s, ((const struct topo_port *)o)->peer, steps - 1);
    } else if (o->kind == TOPO_BRIDGE) {
        const struct topo_bridge *b = (const struct topo_bridge *)o;
        for (uint32_t i = 0; i < b->n_links && b->n_links <= FEW; i++)
            warm(s, b->links[i].peer_device, steps - 1);
    } else if (o->kind == TOPO_ROUTER) {
        const struct topo_router *r = (const struct topo_router *)o;
        for (uint32_t i = 0; i < r->n_ports && r->n_ports <= FEW; i++)
            warm(s, r->ports[i], steps - 1);
    }
}

static void warm(struct sync *s, topo_ref ref, unsigned steps)
{
    const struct topo_obj *o = topo_get(s->topo, ref);

    if (o)
        go_on(s, o, steps);
    else if (ref)
        load(s, ref, steps);
}

void sync_warm(struct sync *s, topo_ref port)
{
    warm(s, port, STEPS);
}

void sync_warm_on(struct sync *s, struct item *it)
{
    const struct topo_obj *o = topo_get(s->topo, it->ref);
    unsigned steps = it->warm - 1u;

    sync_warm_end(s, it);
    if (o)
        go_on(s, o, steps);
}

void sync_warm_end(struct sync *s, struct item *it)
{
    if (!it->warm)
        return;
    it->warm = 0;
    if (!--s->n_warming)
        sync_wants_run(s, s->now);
}
