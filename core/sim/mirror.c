/* Mirrors: a copy of the packet leaves by another port, as any packet would that leaves there; what
 * becomes of it doesn't matter to the packet. */
#include "sim/cond.h"
#include "sim/filter.h"

static bool copied_by(const struct run *r, topo_ref mirror)
{
    for (const struct copied *c = r->at.copied; c; c = c->before)
        if (c->mirror == mirror)
            return true;
    return false;
}

static bool wants(struct run *r, const struct topo_mirror *m)
{
    for (uint32_t i = 0; i < m->n_conds; i++) {
        unsigned outcome = cond_test(r, &m->conds[i]);
        if (outcome == COND_HOLDS)
            return true;
        if (outcome == COND_ENDED)
            return false;
    }
    return false;
}

static void copy(struct run *r, topo_ref mirror, const struct topo_mirror *m)
{
    struct sim_result *res = r->res;
    struct at here = r->at;
    struct copied copied = {mirror, here.copied};
    enum sim_reason reason = res->reason;
    uint8_t kind = res->reason_kind;
    struct uuid id = res->reason_id;

    r->at.copied = &copied;
    r->at.tracked = false;
    r->at.depth++;
    r->at.n_devices++;
    r->n_visits++;
    port_egress(r, m->to_port);
    r->at = here;
    if (r->hand.given_up)
        return;
    res->reason = reason;
    res->reason_kind = kind;
    res->reason_id = id;
}

void mirror_all(struct run *r, const struct topo_refs *mirrors)
{
    for (uint32_t i = 0; i < mirrors->n && !r->hand.given_up; i++) {
        topo_ref ref = mirrors->v[i];
        bool ended;
        const struct topo_mirror *m =
            (const struct topo_mirror *)find_object(r, ref, TOPO_MIRROR, &ended);
        if (!m || copied_by(r, ref) || too_many_devices(r) || !wants(r, m))
            continue;
        TRAIL_OBJ(r, &m->obj, "a copy for %s", name_of(r, m->to_port));
        copy(r, ref, m);
    }
}
