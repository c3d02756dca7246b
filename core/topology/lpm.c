#include "topology/lpm.h"

#include <endian.h>
#include <stdlib.h>

#include "base/mem.h"

/* An address as two host-order words: bit 0 is the top bit of 'hi'. */
struct bits {
    uint64_t hi, lo;
};

struct node {
    struct bits key;     /* beyond 'len' zero */
    uint32_t child[2];   /* 0: none */
    uint32_t first, end; /* its routes; first == end: only a fork */
    uint8_t len;
};

struct topo_lpm {
    struct topo_route *routes;
    struct node *nodes; /* [0] unused */
    uint32_t n_routes, n_nodes;
    uint32_t roots[2]; /* IPv6, IPv4 */
};

static struct bits bits_of(const struct ip *ip)
{
    return (struct bits){be64toh(ip->q[0]), be64toh(ip->q[1])};
}

static unsigned bit_at(const struct bits *b, unsigned i)
{
    return (unsigned)((i < 64 ? b->hi >> (63 - i) : b->lo >> (127 - i)) & 1);
}

static unsigned common_bits(const struct bits *a, const struct bits *b)
{
    if (a->hi != b->hi)
        return (unsigned)__builtin_clzll(a->hi ^ b->hi);
    return a->lo != b->lo ? 64 + (unsigned)__builtin_clzll(a->lo ^ b->lo) : 128;
}

static struct bits cut(struct bits b, unsigned len)
{
    if (len < 64)
        return (struct bits){len ? b.hi & ~0ull << (64 - len) : 0, 0};
    if (len < 128)
        b.lo = len > 64 ? b.lo & ~0ull << (128 - len) : 0;
    return b;
}

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

static uint32_t new_node(struct topo_lpm *l, struct bits key, unsigned len)
{
    struct node *n = &l->nodes[++l->n_nodes];

    *n = (struct node){.key = cut(key, len), .len = (uint8_t)len};
    return l->n_nodes;
}

/* The node of prefix key/len below *at, made with the fork that it needs. */
static uint32_t insert(struct topo_lpm *l, uint32_t *at, struct bits key, unsigned len)
{
    while (*at) {
        struct node *n = &l->nodes[*at];
        unsigned same = MIN(common_bits(&n->key, &key), MIN(n->len, len));

        if (same == n->len && same == len)
            return *at;
        if (same == n->len) {
            at = &n->child[bit_at(&key, n->len)];
            continue;
        }
        uint32_t below = *at, above = *at = new_node(l, key, same);
        l->nodes[above].child[bit_at(&l->nodes[below].key, same)] = below;
        if (same == len)
            return above;
        at = &l->nodes[above].child[bit_at(&key, same)];
    }
    return *at = new_node(l, key, len);
}

struct topo_lpm *topo_lpm_build(const struct topo_route *routes, size_t n)
{
    struct topo_lpm *l = NEW(struct topo_lpm);

    l->n_routes = (uint32_t)n;
    l->routes = NEW_ARRAY(n, struct topo_route);
    l->nodes = NEW_ARRAY(2 * n + 1, struct node); /* each prefix brings at most one fork */
    for (size_t i = 0; i < n; i++) {
        l->routes[i] = routes[i];
        l->routes[i].dst.addr = cidr_network(&routes[i].dst);
        l->routes[i].src.addr = cidr_network(&routes[i].src);
    }
    if (n)
        qsort(l->routes, n, sizeof *l->routes, compare);
    for (uint32_t i = 0; i < n;) {
        const struct cidr *dst = &l->routes[i].dst;
        uint32_t node =
            insert(l, &l->roots[ip_is4(&dst->addr)], bits_of(&dst->addr), cidr_len128(dst));
        l->nodes[node].first = i;
        while (i < n && !compare_dst(&l->routes[l->nodes[node].first], &l->routes[i]))
            i++;
        l->nodes[node].end = i;
    }
    l->nodes = mem_resize(l->nodes, (l->n_nodes + 1) * sizeof *l->nodes);
    return l;
}

void topo_lpm_free(struct topo_lpm *l)
{
    if (!l)
        return;
    free(l->routes);
    free(l->nodes);
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
    return l ? sizeof *l + l->n_routes * sizeof *l->routes + (l->n_nodes + 1) * sizeof *l->nodes
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
    unsigned len = cidr_len128(&r->src), same = common_bits(&src, &k->src_bits);
    *bits = MIN(len, same + 1);
    return same >= len;
}

/* Takes the best usable routes of one destination prefix; false when there are none. */
static bool choose(struct lookup *k, const struct node *n)
{
    struct topo_lpm_result *out = k->out;
    const struct topo_route *r = &k->l->routes[n->first], *end = &k->l->routes[n->end];
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
        const struct node *n = &l->nodes[i];
        unsigned same = common_bits(&n->key, &d);

        if (same < n->len) {
            out->dst_bits = MAX(out->dst_bits, same + 1);
            break;
        }
        if (n->first < n->end)
            matches[n_matches++] = i;
        if (n->len == 128)
            break;
        unsigned side = bit_at(&d, n->len);
        if (n->child[!side])
            out->dst_bits = MAX(out->dst_bits, n->len + 1u);
        i = n->child[side];
    }
    while (n_matches) {
        const struct node *n = &l->nodes[matches[--n_matches]];
        if (choose(&k, n)) {
            out->dst_bits = MAX(out->dst_bits, n->len);
            return;
        }
    }
}
