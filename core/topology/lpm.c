#include "topology/lpm.h"

#include <stdlib.h>

#include "base/mem.h"
#include "topology/trie.h"

/* A used node's routes are routes[value[0]..value[1]-1]. */
struct topo_lpm {
    struct topo_route *routes;
    struct trie trie;
    uint32_t n_routes;
    uint32_t roots[2]; /* IPv6, IPv4 */
};

static int compare_dst(const struct topo_route *a, const struct topo_route *b)
{
    int c = memcmp(&a->dst.addr, &b->dst.addr, sizeof a->dst.addr);

    return c ? c : (int)cidr_len128(&a->dst) - (int)cidr_len128(&b->dst);
}

static int compare(const void *pa, const void *pb)
{
    const struct topo_route *a = pa, *b = pb;
    int c = compare_dst(a, b);

    if (c)
        return c;
    if (a->weight != b->weight)
        return a->weight < b->weight ? -1 : 1;
    return memcmp(&a->id, &b->id, sizeof a->id);
}

struct topo_lpm *topo_lpm_build(const struct topo_route *routes, size_t n)
{
    struct topo_lpm *l = NEW(struct topo_lpm);

    l->n_routes = (uint32_t)n;
    l->routes = NEW_ARRAY(n, struct topo_route);
    for (size_t i = 0; i < n; i++) {
        l->routes[i] = routes[i];
        l->routes[i].dst.addr = cidr_network(&routes[i].dst);
        l->routes[i].src.addr = cidr_network(&routes[i].src);
    }
    if (n)
        qsort(l->routes, n, sizeof *l->routes, compare);
    for (uint32_t i = 0, end; i < n; i = end) {
        const struct cidr *dst = &l->routes[i].dst;
        uint32_t node = trie_insert(&l->trie, &l->roots[ip_is4(&dst->addr)], bits_of(&dst->addr),
                                    cidr_len128(dst));
        for (end = i + 1; end < n && !compare_dst(&l->routes[i], &l->routes[end]);)
            end++;
        l->trie.nodes[node].used = true;
        l->trie.nodes[node].value[0] = i;
        l->trie.nodes[node].value[1] = end;
    }
    trie_trim(&l->trie);
    return l;
}

void topo_lpm_free(struct topo_lpm *l)
{
    if (!l)
        return;
    free(l->routes);
    trie_free(&l->trie);
    free(l);
}

size_t topo_lpm_size(const struct topo_lpm *l)
{
    return l ? l->n_routes : 0;
}

const struct topo_route *topo_lpm_routes(const struct topo_lpm *l)
{
    return l ? l->routes : NULL;
}

size_t topo_lpm_memory(const struct topo_lpm *l)
{
    return l ? sizeof *l + l->n_routes * sizeof *l->routes + l->trie.room * sizeof *l->trie.nodes
             : 0;
}

struct lookup {
    const struct topo_lpm *l;
    const struct ip *src;
    struct bits src_bits;
    topo_lpm_usable *usable;
    void *aux;
    struct topo_lpm_result *out;
};

static void examine_src(struct lookup *k, unsigned bits)
{
    k->out->src_bits = MAX(k->out->src_bits, bits);
}

/* Whether the packet's source is in the route's source prefix, and by how many bits that's known.
 */
static bool src_matches(struct lookup *k, const struct topo_route *r, unsigned *bits)
{
    *bits = 0;
    if (!r->src.len || ip_is4(&r->src.addr) != ip_is4(k->src))
        return !r->src.len;
    struct bits src = bits_of(&r->src.addr);
    unsigned len = cidr_len128(&r->src), same = bits_common(&src, &k->src_bits);
    *bits = MIN(len, same + 1);
    return same >= len;
}

/* Takes the best usable routes of one destination prefix; false when there are none. */
static bool choose(struct lookup *k, const struct trie_node *n)
{
    struct topo_lpm_result *out = k->out;
    const struct topo_route *r = &k->l->routes[n->value[0]], *end = &k->l->routes[n->value[1]];
    unsigned bits;

    for (; r < end && (!out->n || r->weight == out->best[0]->weight); r++) {
        bool matches = src_matches(k, r, &bits);
        if (matches && k->usable && !k->usable(r, k->aux))
            continue;
        examine_src(k, bits);
        if (matches && out->n < TOPO_LPM_BEST)
            out->best[out->n++] = r;
    }
    return out->n;
}

void topo_lpm_lookup(const struct topo_lpm *l, const struct ip *dst, const struct ip *src,
                     topo_lpm_usable *usable, void *aux, struct topo_lpm_result *out)
{
    struct lookup k = {l, src, bits_of(src), usable, aux, out};
    struct bits d = bits_of(dst);
    uint32_t matches[129];
    unsigned n_matches = 0;

    *out = (struct topo_lpm_result){.dst_bits = ip_is4(dst) ? 96 : 0};
    for (uint32_t i = l ? l->roots[ip_is4(dst)] : 0; i;) {
        const struct trie_node *n = &l->trie.nodes[i];
        unsigned same = bits_common(&n->key, &d);

        if (same < n->len) {
            out->dst_bits = MAX(out->dst_bits, same + 1);
            break;
        }
        if (n->used)
            matches[n_matches++] = i;
        if (n->len == 128)
            break;
        unsigned side = bits_at(&d, n->len);
        if (n->child[!side])
            out->dst_bits = MAX(out->dst_bits, n->len + 1u);
        i = n->child[side];
    }
    while (n_matches) {
        const struct trie_node *n = &l->trie.nodes[matches[--n_matches]];
        if (choose(&k, n)) {
            out->dst_bits = MAX(out->dst_bits, n->len);
            return;
        }
    }
}
