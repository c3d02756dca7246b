/* Groups: lists of outputs that don't fit a flow's entry, shared by the flows that have the same
 * list.  A number is not used again for a long time, because a packet under way may still read the
 * old list. */
#include <stdlib.h>

#include "base/mem.h"
#include "datapath/ebpf_internal.h"

const struct ebpf_group *ebpf_group_find(struct ebpf_dp *d, uint32_t id)
{
    struct ebpf_group *g;

    HASH_FIND(by_id, d->groups_by_id, &id, sizeof id, g);
    return g;
}

static struct ebpf_group *add(struct ebpf_dp *d, uint32_t id, const struct fp_out *outs, unsigned n)
{
    struct ebpf_group *g = NEW(struct ebpf_group);

    g->id = id;
    g->n = n;
    g->n_flows = 1;
    g->outs = NEW_ARRAY(n, struct fp_out);
    memcpy(g->outs, outs, n * sizeof *outs);
    d->n_members += n;
    HASH_ADD(by_id, d->groups_by_id, id, sizeof g->id, g);
    HASH_ADD_KEYPTR(by_outs, d->groups_by_outs, g->outs, n * sizeof *outs, g);
    return g;
}

static void erase_members(struct ebpf_dp *d, uint32_t id, unsigned n)
{
    for (uint32_t i = 0; i < n; i++)
        bpf_map_delete_elem(d->maps[EM_MEMBERS], &(struct fp_member){id, i});
}

static uint32_t next_id(struct ebpf_dp *d)
{
    do
        d->last_group++;
    while (!d->last_group || ebpf_group_find(d, d->last_group));
    return d->last_group;
}

int ebpf_group_use(struct ebpf_dp *d, struct fp_out *outs, unsigned n, uint32_t *id)
{
    struct ebpf_group *g;

    HASH_FIND(by_outs, d->groups_by_outs, outs, n * sizeof *outs, g);
    if (g) {
        g->n_flows++;
        *id = g->id;
        return 0;
    }
    if (d->n_members + n > FP_MAX_GROUPED)
        return -ENOSPC;
    *id = next_id(d);
    for (uint32_t i = 0; i < n; i++)
        if (bpf_map_update_elem(d->maps[EM_MEMBERS], &(struct fp_member){*id, i}, &outs[i],
                                BPF_ANY)) {
            erase_members(d, *id, i);
            return -ENOSPC;
        }
    add(d, *id, outs, n);
    return 0;
}

static void forget(struct ebpf_dp *d, struct ebpf_group *g)
{
    HASH_DELETE(by_id, d->groups_by_id, g);
    HASH_DELETE(by_outs, d->groups_by_outs, g);
    d->n_members -= g->n;
    free(g->outs);
    free(g);
}

void ebpf_group_release(struct ebpf_dp *d, uint32_t id)
{
    struct ebpf_group *g = (struct ebpf_group *)ebpf_group_find(d, id);

    if (!g || --g->n_flows)
        return;
    erase_members(d, id, g->n);
    forget(d, g);
}

int ebpf_group_adopt(struct ebpf_dp *d, uint32_t id, unsigned n)
{
    struct ebpf_group *g = (struct ebpf_group *)ebpf_group_find(d, id);

    if (g) {
        g->n_flows++;
        return 0;
    }
    if (n > FP_MAX_OUTS)
        return -EINVAL;
    struct fp_out *outs = NEW_ARRAY(n, struct fp_out);
    int rc = 0;

    for (uint32_t i = 0; i < n && !rc; i++)
        rc = bpf_map_lookup_elem(d->maps[EM_MEMBERS], &(struct fp_member){id, i}, &outs[i]);
    if (!rc) {
        add(d, id, outs, n);
        d->last_group = MAX(d->last_group, id);
    }
    free(outs);
    return rc;
}

void ebpf_groups_free(struct ebpf_dp *d)
{
    struct ebpf_group *g, *next;

    HASH_ITER (by_id, d->groups_by_id, g, next) {
        forget(d, g);
    }
}
