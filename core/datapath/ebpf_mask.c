/* Masks in use, at most FP_MAX_MASKS, and the order in which the programs try them.
 *
 * A mask's number is part of every key under it.  A number is left alone for a while after its last
 * flow is gone, since a packet under way may still look with the old mask. */
#include "base/clock.h"
#include "base/mem.h"
#include "datapath/ebpf_internal.h"

#define QUARANTINE (100 * NSEC_PER_MSEC)

static bool has_addr4(const struct fp_mask *m)
{
    return !m->wide && m->q[FP_NARROW_WORDS - 1];
}

static void publish(struct ebpf_dp *d)
{
    struct fp_shared *sh = d->shared;
    uint32_t next = !sh->active;
    struct fp_order *other = &sh->order[next][0], *ip6 = &sh->order[next][1];
    uint8_t by_hits[FP_MAX_MASKS];
    unsigned n = 0;

    for (unsigned i = 0; i < FP_MAX_MASKS; i++) {
        unsigned at = n;

        if (!d->mask[i].n_flows)
            continue;
        for (; at && sh->masks[by_hits[at - 1]].hits < sh->masks[i].hits; at--)
            by_hits[at] = by_hits[at - 1];
        by_hits[at] = (uint8_t)i;
        n++;
    }
    other->n = ip6->n = 0;
    for (unsigned i = 0; i < n; i++) {
        const struct fp_mask *m = &sh->masks[by_hits[i]];

        if (!m->wide)
            other->mask[other->n++] = by_hits[i];
        if (!has_addr4(m))
            ip6->mask[ip6->n++] = by_hits[i];
    }
    __atomic_store_n(&sh->active, next, __ATOMIC_RELEASE);
}

/* One mask of the agent's may be two here: the ethertype in the key decides whether a flow under it
 * is wide. */
int ebpf_mask_find(struct ebpf_dp *d, const struct flow_key *name, bool wide)
{
    for (int i = 0; i < FP_MAX_MASKS; i++)
        if (d->mask[i].n_flows && d->shared->masks[i].wide == wide &&
            !memcmp(d->shared->names[i], name, sizeof *name))
            return i;
    return -1;
}

static int find_free(struct ebpf_dp *d)
{
    uint64_t now = clock_ns();

    for (int i = 0; i < FP_MAX_MASKS; i++) {
        uint32_t n = (d->next_mask + (uint32_t)i) % FP_MAX_MASKS;

        if (!d->mask[n].n_flows && now - d->mask[n].freed_ns > QUARANTINE)
            return (int)n;
    }
    return -1;
}

int ebpf_mask_use(struct ebpf_dp *d, const struct flow_key *name, const union fp_key *bits,
                  bool wide)
{
    int n = ebpf_mask_find(d, name, wide);

    if (n < 0) {
        n = find_free(d);
        if (n < 0)
            return -ENOTSUP;
        struct fp_mask *m = &d->shared->masks[n];

        memcpy(m->q, bits->q, sizeof m->q);
        m->wide = wide;
        m->hits = 0;
        memcpy(d->shared->names[n], name, sizeof *name);
        d->next_mask = (uint32_t)n + 1;
        d->mask[n].n_flows = 1;
        publish(d);
        return n;
    }
    d->mask[n].n_flows++;
    return n;
}

void ebpf_mask_release(struct ebpf_dp *d, int n)
{
    if (--d->mask[n].n_flows)
        return;
    d->mask[n].freed_ns = clock_ns();
    publish(d);
}

void ebpf_masks_reorder(struct ebpf_dp *d)
{
    publish(d);
    for (unsigned i = 0; i < FP_MAX_MASKS; i++)
        d->shared->masks[i].hits /= 2;
}
