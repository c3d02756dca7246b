/* Tuple-space search with a hint.
 *
 * Each CPU remembers, by a hash of the packet's key, the mask that matched last time: a flow in use
 * costs one lookup however many masks there are.  A hint is only where to look first, so nothing
 * ever needs to be invalidated. */
#ifndef MN_BPF_LOOKUP_H
#define MN_BPF_LOOKUP_H

#include "parse.h"

static __always_inline __u32 key_hash(const struct pkt *p)
{
    const __u64 *q = p->key.q;
    __u64 h = q[0] * 0x9e3779b97f4a7c15ull;

    h ^= (q[1] ^ h >> 32) * 0xbf58476d1ce4e5b9ull;
    h ^= ((q[2] & 0xffffffff) ^ h >> 29) * 0x94d049bb133111ebull;
    h ^= (q[3] ^ h >> 32) * 0x9e3779b97f4a7c15ull;
    h ^= (q[4] ^ h >> 29) * 0xbf58476d1ce4e5b9ull;
    if (p->family == 6) {
        h ^= (q[5] ^ h >> 32) * 0x94d049bb133111ebull;
        h ^= (q[6] ^ h >> 29) * 0x9e3779b97f4a7c15ull;
        h ^= (q[7] ^ h >> 32) * 0xbf58476d1ce4e5b9ull;
    }
    return h ^ h >> 32;
}

static __always_inline struct fp_flow *try_mask(const struct fp_shared *sh, const struct pkt *p,
                                                __u32 n)
{
    const struct fp_mask *m = &sh->masks[n & (FP_MAX_MASKS - 1)];
    struct fp_flow *f;
    union fp_key k;

    k.q[0] = p->key.q[0] & m->q[0];
    k.q[1] = p->key.q[1] & m->q[1];
    k.q[2] = p->key.q[2] & m->q[2];
    k.q[3] = p->key.q[3] & m->q[3];
    k.q[4] = p->key.q[4] & m->q[4];
    k.h.mask = n + 1;
    if (!m->wide) {
        f = bpf_map_lookup_elem(&mn_narrow, &k.n);
        asm volatile("" : "+r"(f)); /* or both become one lookup in a map chosen at run time */
        return f;
    }
    k.q[5] = p->key.q[5] & m->q[5];
    k.q[6] = p->key.q[6] & m->q[6];
    k.q[7] = p->key.q[7] & m->q[7];
    return bpf_map_lookup_elem(&mn_wide, &k.w);
}

/* Number of the mask under which there is a flow, + 1; 0: none. */
__noinline __u32 search(struct pkt *p)
{
    struct fp_shared *sh = shared();

    if (!sh || !p)
        return 0;
    const struct fp_order *o = &sh->order[sh->active & 1][p->family == 6];

    for (__u32 i = 0; i < FP_MAX_MASKS && i < o->n; i++) {
        __u32 n = o->mask[i] & (FP_MAX_MASKS - 1);

        if (try_mask(sh, p, n)) {
            sh->masks[n].hits++;
            return n + 1;
        }
    }
    return 0;
}

static __always_inline struct fp_flow *lookup(const struct fp_shared *sh, struct pkt *p, __u32 hash)
{
    __u32 zero = 0, found;
    struct hints *hints = bpf_map_lookup_elem(&mn_hints, &zero);

    if (!hints)
        return 0;
    __u8 *hint = &hints->mask[hash & (FP_HINTS - 1)];

    if (*hint) {
        struct fp_flow *f = try_mask(sh, p, *hint - 1);

        if (f)
            return f;
    }
    found = search(p);
    if (!found)
        return 0;
    *hint = found;
    return try_mask(sh, p, found - 1);
}

#endif
