/* Walking the flow tables: statistics, and what a new process must know of flows it takes over. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "datapath/ebpf_internal.h"

#define DUMP 1024u /* entries a system call */

/* Statistics carry only the low bits of time: the rest is today's.  Packets go on while flows are
 * read, so a flow may have been used a little later than 'now'. */
void ebpf_stats_from(const struct fp_flow *f, uint64_t now, struct dp_flow_stats *s)
{
    int32_t age = (int32_t)((uint32_t)(now >> FP_USED_SHIFT) - f->used);
    uint64_t ago = age > 0 ? (uint64_t)age << FP_USED_SHIFT : 0;

    s->packets = f->packets;
    s->bytes = f->bytes;
    s->used_ns = !f->packets ? 0 : ago <= now ? now - ago : now;
}

typedef int walk_fn(struct ebpf_dp *d, const union fp_key *k, bool wide, const struct fp_flow *f,
                    void *aux);

static int walk_table(struct ebpf_dp *d, bool wide, walk_fn *fn, void *aux)
{
    uint32_t room = DUMP, at = 0, n;
    size_t size = wide ? sizeof(struct fp_wide) : sizeof(struct fp_narrow);
    char *keys = mem_alloc(room * size);
    struct fp_flow *values = mem_alloc(room * sizeof *values);
    bool first = true;
    int rc;

    do {
        n = room;
        rc = bpf_map_lookup_batch(ebpf_table(d, wide), first ? NULL : &at, &at, keys, values, &n,
                                  NULL);
        if (rc == -ENOSPC) { /* one bucket is larger than our room */
            room *= 2;
            keys = mem_resize(keys, room * size);
            values = mem_resize(values, room * sizeof *values);
            rc = 0;
            continue;
        }
        int stop = 0;

        for (uint32_t i = 0; i < n && (!rc || rc == -ENOENT) && !stop; i++) {
            union fp_key k = {0};

            memcpy(&k, keys + i * size, size);
            stop = fn(d, &k, wide, &values[i], aux);
        }
        first = false;
        rc = stop ? stop : rc;
    } while (!rc);
    free(keys);
    free(values);
    return rc == -ENOENT ? 0 : rc;
}

static int walk(struct ebpf_dp *d, walk_fn *fn, void *aux)
{
    int rc = walk_table(d, false, fn, aux);

    return rc ? rc : walk_table(d, true, fn, aux);
}

struct each {
    dp_flow_fn *fn;
    void *aux;
    uint64_t now;
    struct flow_out outs[FP_MAX_OUTS];
    struct fp_out members[FP_MAX_OUTS];
};

static unsigned copy_members(struct ebpf_dp *d, const struct fp_flow *f, struct fp_out *members)
{
    unsigned n = 0;

    pthread_mutex_lock(&d->lock);
    const struct ebpf_group *g = ebpf_group_find(d, f->out.to);

    if (g) {
        n = g->n;
        memcpy(members, g->outs, n * sizeof *members);
    }
    pthread_mutex_unlock(&d->lock);
    return n;
}

static int each_one(struct ebpf_dp *d, const union fp_key *k, bool wide, const struct fp_flow *f,
                    void *aux)
{
    struct each *e = aux;
    struct dp_flow flow = {.cookie = f->cookie, .outs = e->outs, .n_outs = f->n_outs};
    struct dp_flow_stats stats;
    const struct fp_out *outs = &f->out;

    if (!k->h.mask || k->h.mask > FP_MAX_MASKS)
        return 0;
    memcpy(&flow.mask, d->shared->names[k->h.mask - 1], sizeof flow.mask);
    ebpf_key_to(k, wide, &flow.mask, &flow.key);
    if (f->n_outs > 1) {
        flow.n_outs = (uint16_t)copy_members(d, f, e->members);
        outs = e->members;
    }
    for (unsigned i = 0; i < flow.n_outs; i++)
        ebpf_out_to(d, &outs[i], flow.key.eth_type == 0x86dd, &e->outs[i]);
    ebpf_stats_from(f, e->now, &stats);
    return e->fn(&flow, &stats, e->aux);
}

int ebpf_flow_each(struct dp *dp, dp_flow_fn *fn, void *aux)
{
    struct ebpf_dp *d = ebpf_of(dp);
    struct each *e = NEW(struct each);

    e->fn = fn;
    e->aux = aux;
    e->now = clock_ns();
    int rc = walk(d, each_one, e);
    free(e);
    pthread_mutex_lock(&d->lock);
    ebpf_masks_reorder(d);
    pthread_mutex_unlock(&d->lock);
    return rc;
}

static int adopt_one(struct ebpf_dp *d, const union fp_key *k, bool wide, const struct fp_flow *f,
                     void *aux)
{
    (void)wide;
    (void)aux;
    if (k->h.mask && k->h.mask <= FP_MAX_MASKS)
        d->mask[k->h.mask - 1].n_flows++;
    d->n_flows++;
    return f->n_outs > 1 ? ebpf_group_adopt(d, f->out.to, f->n_outs) : 0;
}

int ebpf_flows_adopt(struct ebpf_dp *d)
{
    return walk(d, adopt_one, NULL);
}

static int mark_tunnel(struct ebpf_dp *d, const union fp_key *k, bool wide, const struct fp_flow *f,
                       void *aux)
{
    struct fp_out members[FP_MAX_OUTS];
    const struct fp_out *outs = f->n_outs > 1 ? members : &f->out;
    unsigned n = f->n_outs > 1 ? copy_members(d, f, members) : f->n_outs;
    bool *used = aux;

    (void)k;
    (void)wide;
    for (unsigned i = 0; i < n; i++)
        if (outs[i].kind == FP_OUT_TUNNEL && outs[i].to < FP_MAX_TUNNELS)
            used[outs[i].to] = true;
    return 0;
}

int ebpf_flows_mark_tunnels(struct ebpf_dp *d, bool *used)
{
    return walk(d, mark_tunnel, used);
}
