#include "topology/dst_tags.h"

#include <stdlib.h>
#include <uthash.h>

#include "base/mem.h"
#include "topology/trie.h"

/* Of a used node, value[0] is the family. */
struct router {
    topo_ref ref;
    uint32_t roots[2]; /* IPv6, IPv4 */
    uint32_t n;
    bool whole; /* had too many: not kept any more */
    struct trie trie;
    UT_hash_handle hh;
};

struct dst_tags {
    struct router *routers;
    uint32_t n, max;
    uint32_t sweep_at;
    dst_tags_used_fn *used;
    void *aux;
};

enum { SWEEP_LEAST = 1024 };

struct dst_tags *dst_tags_new(uint32_t max, dst_tags_used_fn *used, void *aux)
{
    struct dst_tags *d = NEW(struct dst_tags);

    *d = (struct dst_tags){.max = max, .sweep_at = SWEEP_LEAST, .used = used, .aux = aux};
    return d;
}

static void forget(struct dst_tags *d, struct router *r)
{
    d->n -= r->n;
    r->n = 0;
    r->roots[0] = r->roots[1] = 0;
    trie_free(&r->trie);
}

static void drop(struct dst_tags *d, struct router *r)
{
    forget(d, r);
    HASH_DEL(d->routers, r);
    free(r);
}

void dst_tags_free(struct dst_tags *d)
{
    struct router *r, *next;

    if (!d)
        return;
    HASH_ITER (hh, d->routers, r, next)
        drop(d, r);
    free(d);
}

static struct ip ip_of_bits(struct bits b)
{
    return (struct ip){.q = {htobe64(b.hi), htobe64(b.lo)}};
}

static tag_t tag_of_node(const struct router *r, const struct trie_node *n)
{
    struct ip net = ip_of_bits(n->key);

    return tag_route_dst(r->ref, &net, n->len);
}

static void insert(struct dst_tags *d, struct router *r, bool v4, struct bits key, unsigned len)
{
    uint32_t node = trie_insert(&r->trie, &r->roots[v4], key, len);

    d->n += !r->trie.nodes[node].used;
    r->n += !r->trie.nodes[node].used;
    r->trie.nodes[node].used = true;
    r->trie.nodes[node].value[0] = v4;
}

/* Rebuilds the router's trie of what is still in use. */
static void sweep_router(struct dst_tags *d, struct router *r)
{
    struct router old = *r;

    r->trie = (struct trie){0};
    r->roots[0] = r->roots[1] = 0;
    d->n -= r->n;
    r->n = 0;
    for (uint32_t i = 1; i <= old.trie.n; i++) {
        const struct trie_node *n = &old.trie.nodes[i];
        if (n->used && d->used(tag_of_node(r, n), d->aux))
            insert(d, r, n->value[0], n->key, n->len);
    }
    trie_free(&old.trie);
}

static void sweep(struct dst_tags *d)
{
    struct router *r, *next, *largest = NULL;

    HASH_ITER (hh, d->routers, r, next) {
        sweep_router(d, r);
        if (r->whole ? !d->used(tag_object(r->ref), d->aux) : !r->n)
            drop(d, r);
        else if (!largest || r->n > largest->n)
            largest = r;
    }
    if (d->n > d->max / 2) {
        forget(d, largest);
        largest->whole = true;
    }
    d->sweep_at = MIN(MAX(d->n * 2, (uint32_t)SWEEP_LEAST), d->max);
}

void dst_tags_add(struct dst_tags *d, const struct tag_dst *dst)
{
    struct router *r;

    HASH_FIND(hh, d->routers, &dst->router, sizeof dst->router, r);
    if (r && r->whole)
        return;
    if (!r) {
        r = NEW(struct router);
        r->ref = dst->router;
        HASH_ADD(hh, d->routers, ref, sizeof r->ref, r);
    }
    insert(d, r, ip_is4(&dst->dst), bits_of(&dst->dst), dst->bits);
    if (d->n >= d->sweep_at)
        sweep(d);
}

static void each_below(const struct router *r, uint32_t at, dst_tags_fn *fn, void *aux)
{
    const struct trie_node *n = &r->trie.nodes[at];

    if (!at)
        return;
    if (n->used)
        fn(tag_of_node(r, n), aux);
    each_below(r, n->child[0], fn, aux);
    each_below(r, n->child[1], fn, aux);
}

void dst_tags_changed(const struct dst_tags *d, topo_ref router, const struct cidr *prefix,
                      dst_tags_fn *fn, void *aux)
{
    struct bits key = bits_of(&prefix->addr);
    unsigned len = cidr_len128(prefix);
    struct router *r;

    HASH_FIND(hh, d->routers, &router, sizeof router, r);
    if (!r)
        return;
    if (r->whole) {
        fn(tag_object(router), aux);
        return;
    }
    for (uint32_t at = r->roots[ip_is4(&prefix->addr)]; at;) {
        const struct trie_node *n = &r->trie.nodes[at];
        unsigned same = bits_common(&n->key, &key);
        if (same < n->len && same < len)
            return;
        if (n->len >= len) {
            each_below(r, at, fn, aux);
            return;
        }
        if (n->used)
            fn(tag_of_node(r, n), aux);
        at = n->child[bits_at(&key, n->len)];
    }
}

uint32_t dst_tags_size(const struct dst_tags *d)
{
    return d->n;
}

size_t dst_tags_memory(const struct dst_tags *d)
{
    size_t size = sizeof *d;

    for (const struct router *r = d->routers; r; r = r->hh.next)
        size += sizeof *r + r->trie.room * sizeof *r->trie.nodes;
    return size;
}
