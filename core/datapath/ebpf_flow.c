#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "datapath/ebpf_internal.h"

#define ONE_BY_ONE 2u /* so few flows aren't worth a run of the batch */

/* What an entry holds besides itself: its place under a mask, perhaps a group. */
static void release(struct ebpf_dp *d, const struct fp_change *c)
{
    pthread_mutex_lock(&d->lock);
    if (c->key.h.mask)
        ebpf_mask_release(d, c->key.h.mask - 1);
    if (c->flow.n_outs > 1)
        ebpf_group_release(d, c->flow.out.to);
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

static int prepare(struct ebpf_dp *d, const struct dp_flow *f, struct fp_change *c)
{
    struct flow_key key, mask;
    union fp_key bits;
    bool wide;

    memset(c, 0, sizeof *c);
    if (f->n_outs > FP_MAX_OUTS)
        return -ENOTSUP;
    dp_flow_name(f, &key, &mask);
    int rc = ebpf_key_from(&key, &mask, &c->key, &bits, &wide);

    if (!rc)
        rc = use_outs(d, f, &c->flow);
    if (rc)
        return rc;
    c->wide = wide;
    c->flow.cookie = f->cookie;
    c->flow.n_outs = f->n_outs;
    c->flow.ttl_needed = (uint8_t)dp_ttl_needed(f->outs, f->n_outs);
    pthread_mutex_lock(&d->lock);
    int n = ebpf_mask_use(d, &mask, &bits, wide);
    pthread_mutex_unlock(&d->lock);
    if (n < 0) {
        atomic_fetch_add(&d->masks_full, 1);
        release(d, c);
        return n;
    }
    c->key.h.mask = (uint8_t)(n + 1);
    return 0;
}

/* The entry is there already: takes its place. */
static int replace(struct ebpf_dp *d, const struct fp_change *c)
{
    struct fp_change old = {.key = c->key};
    int fd = ebpf_table(d, c->wide);

    if (bpf_map_lookup_elem(fd, &c->key, &old.flow) ||
        bpf_map_update_elem(fd, &c->key, &c->flow, BPF_EXIST))
        return -ENOSPC;
    release(d, &old);
    return 0;
}

/* New ones only; the kernel's answers are in changes[].rc. */
static void insert(struct ebpf_dp *d, unsigned queue, unsigned n)
{
    struct fp_change *c = d->batches[queue].changes;
    bool run = n > ONE_BY_ONE && ebpf_batch_run(d, queue, FP_PUT, n, 0) >= 0;

    for (unsigned i = 0; i < n; i++) /* a program has only the memory at hand */
        if (!run || c[i].rc == -ENOMEM)
            c[i].rc =
                bpf_map_update_elem(ebpf_table(d, c[i].wide), &c[i].key, &c[i].flow, BPF_NOEXIST);
}

/* Room for up to n new flows. */
static unsigned reserve(struct ebpf_dp *d, unsigned n)
{
    unsigned before = atomic_fetch_add(&d->n_flows, n);
    unsigned room = before < d->opts.max_flows ? MIN(n, d->opts.max_flows - before) : 0;

    atomic_fetch_sub(&d->n_flows, n - room);
    return room;
}

static int put_some(struct ebpf_dp *d, unsigned queue, const struct dp_flow *flows, unsigned n,
                    int *rcs)
{
    struct fp_change *puts = d->batches[queue].changes;
    unsigned whose[FP_BATCH], n_puts = 0;
    int failed = 0;

    for (unsigned i = 0; i < n; i++) {
        rcs[i] = prepare(d, &flows[i], &puts[n_puts]);
        if (!rcs[i])
            whose[n_puts++] = i;
    }
    unsigned room = reserve(d, n_puts);

    insert(d, queue, room);
    for (unsigned i = 0; i < n_puts; i++) {
        int rc = i < room ? puts[i].rc : -ENOSPC;

        if (i < room && rc)
            atomic_fetch_sub(&d->n_flows, 1);
        if (rc)
            rc = replace(d, &puts[i]);
        if (rc)
            release(d, &puts[i]);
        rcs[whose[i]] = rc;
    }
    for (unsigned i = 0; i < n; i++) {
        failed += rcs[i] != 0;
        if (rcs[i] == -ENOSPC)
            atomic_fetch_add(&d->table_full, 1);
    }
    return failed;
}

int ebpf_flow_put(struct dp *dp, unsigned queue, const struct dp_flow *flows, size_t n, int *rcs)
{
    int failed = 0, own[FP_BATCH];

    for (size_t i = 0; i < n; i += FP_BATCH)
        failed += put_some(ebpf_of(dp), queue, flows + i, (unsigned)MIN(n - i, (size_t)FP_BATCH),
                           rcs ? rcs + i : own);
    return failed;
}

/* One on its way out, as far as its mask's number. */
static int find(struct ebpf_dp *d, const struct dp_flow *flow, struct fp_change *c)
{
    struct flow_key key, mask;
    union fp_key bits;
    bool wide;

    dp_flow_name(flow, &key, &mask);
    if (ebpf_key_from(&key, &mask, &c->key, &bits, &wide))
        return -ENOENT;
    pthread_mutex_lock(&d->lock);
    int n = ebpf_mask_find(d, &mask, wide);
    pthread_mutex_unlock(&d->lock);
    if (n < 0)
        return -ENOENT;
    c->wide = wide;
    c->key.h.mask = (uint8_t)(n + 1);
    return 0;
}

static void take_out(struct ebpf_dp *d, unsigned queue, unsigned n)
{
    struct fp_change *c = d->batches[queue].changes;

    if (n > ONE_BY_ONE && ebpf_batch_run(d, queue, FP_DELETE, n, 0) >= 0)
        return;
    for (unsigned i = 0; i < n; i++)
        c[i].rc = bpf_map_lookup_and_delete_elem(ebpf_table(d, c[i].wide), &c[i].key, &c[i].flow);
}

static int delete_some(struct ebpf_dp *d, unsigned queue, const struct dp_flow *flows, unsigned n,
                       struct dp_flow_stats *stats)
{
    struct fp_change *changes = d->batches[queue].changes;
    unsigned whose[FP_BATCH], n_found = 0, n_gone = 0;
    uint64_t now = clock_ns();

    for (unsigned i = 0; i < n; i++) {
        stats[i] = (struct dp_flow_stats){0};
        if (!find(d, &flows[i], &changes[n_found]))
            whose[n_found++] = i;
    }
    take_out(d, queue, n_found);
    for (unsigned i = 0; i < n_found; i++) {
        const struct fp_change *c = &changes[i];

        if (c->rc)
            continue;
        ebpf_stats_from(&c->flow, now, &stats[whose[i]]);
        release(d, c);
        n_gone++;
    }
    atomic_fetch_sub(&d->n_flows, n_gone);
    return (int)(n - n_gone);
}

int ebpf_flow_del(struct dp *dp, unsigned queue, const struct dp_flow *flows, size_t n,
                  struct dp_flow_stats *stats)
{
    struct dp_flow_stats own[FP_BATCH];
    int failed = 0;

    for (size_t i = 0; i < n; i += FP_BATCH)
        failed += delete_some(ebpf_of(dp), queue, flows + i, (unsigned)MIN(n - i, (size_t)FP_BATCH),
                              stats ? stats + i : own);
    return failed;
}
