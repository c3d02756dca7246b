#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "datapath/ebpf_internal.h"

#define DUMP 1024u /* entries a system call */

/* A flow on its way into a table. */
struct entry {
    union fp_key key;
    struct fp_flow flow;
    int mask;
    bool wide;
};

static int table_fd(const struct ebpf_dp *d, bool wide)
{
    return d->maps[wide ? EM_WIDE : EM_NARROW];
}

static size_t key_size(bool wide)
{
    return wide ? sizeof(struct fp_wide) : sizeof(struct fp_narrow);
}

/* What an entry holds besides itself: its place under a mask, perhaps a group. */
static void release(struct ebpf_dp *d, int mask, const struct fp_flow *f)
{
    pthread_mutex_lock(&d->lock);
    if (mask >= 0)
        ebpf_mask_release(d, mask);
    if (f && f->n_outs > 1)
        ebpf_group_release(d, f->out.to);
    pthread_mutex_unlock(&d->lock);
}

static int use_outs(struct ebpf_dp *d, const struct dp_flow *f, struct fp_flow *flow)
{
    struct fp_out one, *outs = f->n_outs > 1 ? NEW_ARRAY(f->n_outs, struct fp_out) : &one;
    int rc = 0;

    for (unsigned i = 0; i < f->n_outs && !rc; i++)
        rc = ebpf_out_from(d, &f->outs[i], &f->key, &f->mask, &outs[i]);
    if (!rc && f->n_outs == 1) {
        flow->out = one;
    } else if (!rc && f->n_outs > 1) {
        ebpf_outs_sort(outs, f->n_outs);
        pthread_mutex_lock(&d->lock);
        rc = ebpf_group_use(d, outs, f->n_outs, &flow->out.to);
        pthread_mutex_unlock(&d->lock);
    }
    if (outs != &one)
        free(outs);
    return rc;
}

static int prepare(struct ebpf_dp *d, const struct dp_flow *f, struct entry *x)
{
    struct flow_key key, mask;
    union fp_key bits;

    memset(x, 0, sizeof *x);
    x->mask = -1;
    if (f->n_outs > FP_MAX_OUTS)
        return -ENOTSUP;
    dp_flow_name(f, &key, &mask);
    int rc = ebpf_key_from(&key, &mask, &x->key, &bits, &x->wide);

    if (!rc)
        rc = use_outs(d, f, &x->flow);
    if (rc)
        return rc;
    x->flow.cookie = f->cookie;
    x->flow.n_outs = f->n_outs;
    x->flow.ttl_needed = (uint8_t)dp_ttl_needed(f->outs, f->n_outs);
    pthread_mutex_lock(&d->lock);
    x->mask = ebpf_mask_use(d, &mask, &bits, x->wide);
    pthread_mutex_unlock(&d->lock);
    if (x->mask < 0) {
        atomic_fetch_add(&d->masks_full, 1);
        release(d, -1, &x->flow);
        return x->mask;
    }
    x->key.h.mask = (uint8_t)(x->mask + 1);
    return 0;
}

/* The entry is there already: takes its place. */
static int replace(struct ebpf_dp *d, struct entry *x)
{
    struct fp_flow old;
    int fd = table_fd(d, x->wide);

    if (bpf_map_lookup_elem(fd, &x->key, &old) ||
        bpf_map_update_elem(fd, &x->key, &x->flow, BPF_EXIST))
        return -ENOSPC;
    release(d, x->mask, &old);
    return 0;
}

/* One system call each: batches can't say which entries were there before, which the bound of the
 * table and the masks' counts need to know. */
static int insert(struct ebpf_dp *d, struct entry *x)
{
    int rc;

    if (atomic_fetch_add(&d->n_flows, 1) >= d->opts.max_flows)
        rc = -E2BIG;
    else
        rc = bpf_map_update_elem(table_fd(d, x->wide), &x->key, &x->flow, BPF_NOEXIST);
    if (!rc)
        return 0;
    atomic_fetch_sub(&d->n_flows, 1);
    return replace(d, x);
}

int ebpf_flow_put(struct dp *dp, unsigned queue, const struct dp_flow *flows, size_t n, int *rcs)
{
    struct ebpf_dp *d = ebpf_of(dp);
    int failed = 0;

    (void)queue;
    for (size_t i = 0; i < n; i++) {
        struct entry x;
        int rc = prepare(d, &flows[i], &x);

        if (!rc) {
            rc = insert(d, &x);
            if (rc)
                release(d, x.mask, &x.flow);
        }
        if (rc == -ENOSPC)
            atomic_fetch_add(&d->table_full, 1);
        failed += rc != 0;
        if (rcs)
            rcs[i] = rc;
    }
    return failed;
}

/* Statistics carry only the low bits of time: the rest is today's. */
static void stats_from(const struct fp_flow *f, uint64_t now, struct dp_flow_stats *s)
{
    uint32_t age = (uint32_t)(now >> FP_USED_SHIFT) - f->used;

    s->packets = f->packets;
    s->bytes = f->bytes;
    s->used_ns = f->packets ? now - ((uint64_t)age << FP_USED_SHIFT) : 0;
    if (s->used_ns > now)
        s->used_ns = now;
}

static int delete_one(struct ebpf_dp *d, const struct dp_flow *flow, struct dp_flow_stats *stats)
{
    struct flow_key key, mask;
    union fp_key k, bits;
    struct fp_flow f;
    bool wide;

    if (stats)
        *stats = (struct dp_flow_stats){0};
    dp_flow_name(flow, &key, &mask);
    if (ebpf_key_from(&key, &mask, &k, &bits, &wide))
        return -ENOENT;
    pthread_mutex_lock(&d->lock);
    int n = ebpf_mask_find(d, &mask, wide);
    pthread_mutex_unlock(&d->lock);
    if (n < 0)
        return -ENOENT;
    k.h.mask = (uint8_t)(n + 1);
    if (bpf_map_lookup_and_delete_elem(table_fd(d, wide), &k, &f))
        return -ENOENT;
    atomic_fetch_sub(&d->n_flows, 1);
    if (stats)
        stats_from(&f, clock_ns(), stats);
    release(d, n, &f);
    return 0;
}

int ebpf_flow_del(struct dp *dp, unsigned queue, const struct dp_flow *flows, size_t n,
                  struct dp_flow_stats *stats)
{
    int failed = 0;

    (void)queue;
    for (size_t i = 0; i < n; i++)
        failed += delete_one(ebpf_of(dp), &flows[i], stats ? &stats[i] : NULL) != 0;
    return failed;
}

/* Walking a table. */

typedef int walk_fn(struct ebpf_dp *d, const union fp_key *k, bool wide, const struct fp_flow *f,
                    void *aux);

static int walk_table(struct ebpf_dp *d, bool wide, walk_fn *fn, void *aux)
{
    uint32_t room = DUMP, at = 0, n;
    size_t size = key_size(wide);
    char *keys = mem_alloc(room * size);
    struct fp_flow *values = mem_alloc(room * sizeof *values);
    bool first = true;
    int rc;

    do {
        n = room;
        rc = bpf_map_lookup_batch(table_fd(d, wide), first ? NULL : &at, &at, keys, values, &n,
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
    stats_from(f, e->now, &stats);
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
