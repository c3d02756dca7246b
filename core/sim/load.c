/* Objects by reference.  What isn't loaded becomes a need and the branch ends; others go on, so
 * that one run collects all it can. */
#include "sim/run.h"

bool gave_up(const struct run *r, enum sim_need_kind kind, topo_ref ref, const struct ip *ip)
{
    for (uint32_t i = 0; i < r->in->n_given_up; i++) {
        const struct sim_need *n = &r->in->given_up[i];
        if (n->kind == kind && n->ref == ref && (kind == SIM_NEED_OBJECT || ip_equal(&n->ip, ip)))
            return true;
    }
    return false;
}

void need_this(struct run *r, const struct sim_need *need)
{
    static const char *const what[] = {[SIM_NEED_OBJECT] = "this to be loaded",
                                       [SIM_NEED_NEIGH] = "the neighbour's answer",
                                       [SIM_NEED_PORTS] = "ports to translate to"};
    struct sim_result *res = r->res;

    r->n_ends++;
    for (uint32_t i = 0; i < res->n_needs; i++) {
        const struct sim_need *n = &res->needs[i];
        if (n->kind == need->kind && n->ref == need->ref && ip_equal(&n->ip, &need->ip))
            return;
    }
    res->needs = grow_list(r, res->needs, res->n_needs, &r->room_needs, sizeof *res->needs);
    res->needs[res->n_needs++] = *need;
    TRAIL(r, topo_kind_of(r->topo, need->ref), topo_id(r->topo, need->ref), "waits for %s",
          what[need->kind]);
}

void need(struct run *r, enum sim_need_kind kind, topo_ref ref, const struct ip *ip)
{
    need_this(r, &(struct sim_need){.kind = (uint8_t)kind, .ref = ref, .ip = ip ? *ip : ip_none});
}

static void __attribute__((cold))
absent(struct run *r, topo_ref ref, enum topo_kind kind, const struct topo_obj *o)
{
    if (o || !ref)
        drop_by(r, SIM_MISSING_OBJECT, kind, topo_id(r->topo, ref), true);
    else if (gave_up(r, SIM_NEED_OBJECT, ref, NULL))
        drop_by(r, SIM_TOPOLOGY_TIMEOUT, kind, topo_id(r->topo, ref), true);
    else
        need(r, SIM_NEED_OBJECT, ref, NULL);
}

static const struct topo_obj *load(struct run *r, topo_ref ref, enum topo_kind kind)
{
    const struct topo_obj *o = topo_get(r->topo, ref);

    add_tag(r, tag_object(ref));
    if (unlikely(!o || o->missing || o->kind != kind)) {
        absent(r, ref, kind, o);
        return NULL;
    }
    return o;
}

const struct topo_obj *find_object(struct run *r, topo_ref ref, enum topo_kind kind, bool *ended)
{
    const struct topo_obj *o = topo_get(r->topo, ref);

    *ended = false;
    if (!ref)
        return NULL;
    add_tag(r, tag_object(ref));
    if (unlikely(!o)) {
        *ended = true;
        absent(r, ref, kind, NULL);
        return NULL;
    }
    return o->missing || o->kind != kind ? NULL : o;
}

const struct topo_port *load_port(struct run *r, topo_ref ref)
{
    return (const struct topo_port *)load(r, ref, TOPO_PORT);
}

const struct topo_bridge *load_bridge(struct run *r, topo_ref ref)
{
    return (const struct topo_bridge *)load(r, ref, TOPO_BRIDGE);
}

const struct topo_router *load_router(struct run *r, topo_ref ref)
{
    return (const struct topo_router *)load(r, ref, TOPO_ROUTER);
}

const struct topo_port *peek_port(struct run *r, topo_ref ref)
{
    const struct topo_obj *o = topo_get(r->topo, ref);

    if (unlikely(!o)) {
        if (!gave_up(r, SIM_NEED_OBJECT, ref, NULL))
            need(r, SIM_NEED_OBJECT, ref, NULL);
        return NULL;
    }
    return o->missing || o->kind != TOPO_PORT ? NULL : (const struct topo_port *)o;
}
