#include "topology/sync_policy.h"

struct names {
    struct sync *s;
    sync_name_fn *fn;
    void *aux;
};

static void name(const struct names *to, topo_ref ref)
{
    if (ref)
        to->fn(to->s, ref, to->aux);
}

static void name_all(const struct names *to, const struct topo_refs *r, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        for (uint32_t k = 0; k < r[i].n; k++)
            name(to, r[i].v[k]);
    }
}

static void of_cond(const struct names *to, const struct topo_cond *c)
{
    name(to, c->src_group);
    name(to, c->dst_group);
    name(to, c->port_group);
    name(to, c->in_port_group);
    name(to, c->out_port_group);
}

static void of_chain(const struct names *to, const struct topo_chain *c)
{
    const struct item *it = sync_item(to->s, c->obj.self);
    const struct chain_item *ci = it && it->kind == TOPO_CHAIN ? (const void *)it : NULL;

    for (uint32_t i = 0; i < c->n_rules; i++) {
        name(to, c->rules[i].jump);
        of_cond(to, &c->rules[i].cond);
    }
    for (size_t i = 0; ci && i < ci->loggers.n; i++)
        name(to, ci->loggers.v[i].resource);
}

static void of_mirror(const struct names *to, const struct topo_mirror *m)
{
    for (uint32_t i = 0; i < m->n_conds; i++)
        of_cond(to, &m->conds[i]);
}

static void of_port(const struct names *to, const struct topo_port *p)
{
    const struct port_item *it = sync_port(to->s, p->obj.self);

    name(to, p->infilter);
    name(to, p->outfilter);
    name(to, p->trace);
    name_all(to, p->mirrors, TOPO_PORT_HOOKS);
    name_all(to, &p->groups, 1);
    name(to, it ? it->qos : 0);
}

static void of_bridge(const struct names *to, const struct topo_bridge *b)
{
    const struct device_item *it = sync_device(to->s, b->obj.self);

    name(to, b->infilter);
    name(to, b->outfilter);
    name(to, b->trace);
    name_all(to, b->mirrors, TOPO_DEVICE_HOOKS);
    name(to, it ? it->qos : 0);
}

static void of_router(const struct names *to, const struct topo_router *r)
{
    name(to, r->infilter);
    name(to, r->outfilter);
    name(to, r->local_redirect);
    name(to, r->forward);
    name(to, r->trace);
    name_all(to, r->mirrors, TOPO_DEVICE_HOOKS);
}

void sync_names(struct sync *s, const struct topo_obj *o, sync_name_fn *fn, void *aux)
{
    const struct names to = {s, fn, aux};

    if (!o || o->missing)
        return;
    switch (o->kind) {
    case TOPO_CHAIN:
        of_chain(&to, (const struct topo_chain *)o);
        break;
    case TOPO_MIRROR:
        of_mirror(&to, (const struct topo_mirror *)o);
        break;
    case TOPO_PORT:
        of_port(&to, (const struct topo_port *)o);
        break;
    case TOPO_BRIDGE:
        of_bridge(&to, (const struct topo_bridge *)o);
        break;
    case TOPO_ROUTER:
        of_router(&to, (const struct topo_router *)o);
        break;
    default:
        break;
    }
}
