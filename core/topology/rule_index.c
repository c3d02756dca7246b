#include "topology/rule_index.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"

enum {
    LINEAR_MAX = 16,  /* rules tried in turn rather */
    TUPLES_MAX = 128, /* or shapes are made coarser */
    COARSEST = 3,
    PREFIXES_MAX = 30, /* of a range of ports: 2 * 15 (all but the first and the last) */
};

/* A class in a tuple, by key. */
struct entry {
    uint64_t hash1, hash2, hash3;
    uint32_t tuple, class, first;
};

struct builder {
    const struct topo_rule *rules;
    struct rule_index *x;
    unsigned coarse; /* 0: shapes are exact */
    struct entry *entries;
    uint32_t n_entries, room_entries, room_tuples;
    bool too_many;
};

/* Classes. */

static uint64_t cond_hash(const struct topo_cond *c)
{
    struct topo_cond k;

    memcpy(&k, c, sizeof k);
    k.in_ports = k.out_ports = NULL;
    uint64_t h = hash_bytes(&k, sizeof k, 0);
    h = hash_bytes(c->in_ports, c->n_in_ports * sizeof *c->in_ports, h);
    return hash_bytes(c->out_ports, c->n_out_ports * sizeof *c->out_ports, h);
}

static bool same_ports(const topo_ref *a, const topo_ref *b, uint32_t n)
{
    return !n || !memcmp(a, b, n * sizeof *a);
}

/* Equal bytes are equal conditions; that others may be too, for what lies in unused fields, costs
 * only time. */
static bool cond_same(const struct topo_cond *a, const struct topo_cond *b)
{
    struct topo_cond x, y;

    if (a->n_in_ports != b->n_in_ports || a->n_out_ports != b->n_out_ports ||
        !same_ports(a->in_ports, b->in_ports, a->n_in_ports) ||
        !same_ports(a->out_ports, b->out_ports, a->n_out_ports))
        return false;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    x.in_ports = x.out_ports = y.in_ports = y.out_ports = NULL;
    return !memcmp(&x, &y, sizeof x);
}

static uint32_t room_for(uint32_t n)
{
    uint32_t room = 4;

    while (room < n * 2)
        room *= 2;
    return room;
}

/* of[i]: the class of rule i.  A class knows its first rule by 'at' until positions are laid out.
 */
static void find_classes(struct builder *b, uint32_t n, uint32_t *of)
{
    struct rule_index *x = b->x;
    uint32_t mask = room_for(n) - 1, *places = mem_array(mask + 1, sizeof *places);

    x->classes = mem_array(n, sizeof *x->classes);
    memset(places, 0, (mask + 1) * sizeof *places);
    for (uint32_t i = 0; i < n; i++) {
        const struct topo_cond *c = &b->rules[i].cond;
        uint32_t at = (uint32_t)cond_hash(c) & mask;
        while (places[at] && !cond_same(c, &b->rules[x->classes[places[at] - 1].at].cond))
            at = (at + 1) & mask;
        if (!places[at]) {
            x->classes[x->n_classes] = (struct rule_class){.at = i};
            places[at] = ++x->n_classes;
        }
        of[i] = places[at] - 1;
        x->classes[of[i]].n++;
    }
    free(places);
}

static void lay_out_positions(struct rule_index *x, uint32_t n, const uint32_t *of)
{
    uint32_t at = 0;

    x->positions = mem_array(n, sizeof *x->positions);
    for (uint32_t i = 0; i < x->n_classes; i++) {
        x->classes[i].at = at;
        at += x->classes[i].n;
        x->classes[i].n = 0;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct rule_class *c = &x->classes[of[i]];
        x->positions[c->at + c->n++] = i;
    }
}

/* Shapes. */

static bool plain(const struct topo_cond *c, enum cond_field f)
{
    return !c->inverted && c->has & ~c->inv & 1u << f;
}

static uint8_t shape_len(const struct builder *b, const struct cidr *c)
{
    static const uint8_t grid[COARSEST + 1] = {1, 4, 8, 16};
    unsigned g = grid[b->coarse];

    return (uint8_t)(c->len / g * g + (ip_is4(&c->addr) ? 96 : 0));
}

static void shape_addresses(const struct builder *b, const struct topo_cond *c,
                            struct rule_shape *s, struct rule_key *k)
{
    if (plain(c, COND_SRC)) {
        s->src_len = shape_len(b, &c->src);
        k->src = bits_of(&c->src.addr);
    }
    if (plain(c, COND_DST)) {
        s->dst_len = shape_len(b, &c->dst);
        k->dst = bits_of(&c->dst.addr);
    }
    if (plain(c, COND_ETH_SRC) && mac_is_broadcast(&c->eth_src_mask)) {
        s->fields |= SHAPE_ETH_SRC;
        k->eth_src = c->eth_src;
    }
    if (plain(c, COND_ETH_DST) && mac_is_broadcast(&c->eth_dst_mask)) {
        s->fields |= SHAPE_ETH_DST;
        k->eth_dst = c->eth_dst;
    }
}

/* All but the ports. */
static void shape_of(const struct builder *b, const struct topo_cond *c, struct rule_shape *s,
                     struct rule_key *k)
{
    *s = (struct rule_shape){0};
    *k = (struct rule_key){0};
    if (plain(c, COND_IN_PORTS) && c->n_in_ports == 1) {
        s->fields |= SHAPE_IN_PORT;
        k->in_port = c->in_ports[0];
    }
    if (plain(c, COND_OUT_PORTS) && c->n_out_ports == 1) {
        s->fields |= SHAPE_OUT_PORT;
        k->out_port = c->out_ports[0];
    }
    if (plain(c, COND_ETH_TYPE)) {
        s->fields |= SHAPE_ETH_TYPE;
        k->eth_type = c->eth_type;
    }
    if (plain(c, COND_PROTO)) {
        s->fields |= SHAPE_PROTO;
        k->proto = c->proto;
    }
    shape_addresses(b, c, s, k);
    if (plain(c, COND_TCP_FLAGS)) {
        s->tcp_flags = c->tcp_flags_mask;
        k->tcp_flags = c->tcp_flags & c->tcp_flags_mask;
    }
}

struct port_prefix {
    uint16_t port;
    uint8_t len;
};

static struct port_prefix common_prefix(const uint16_t range[2])
{
    unsigned diff = range[0] ^ range[1];

    return (struct port_prefix){range[0], (uint8_t)(diff ? 16 - (32 - __builtin_clz(diff)) : 16)};
}

/* The range as prefixes, or in coarse shapes the one that covers it. */
static unsigned prefixes_of(const struct builder *b, const uint16_t range[2],
                            struct port_prefix out[PREFIXES_MAX])
{
    unsigned n = 0;

    if (b->coarse || range[0] >= range[1]) {
        out[0] = common_prefix(range);
        return 1;
    }
    for (uint32_t at = range[0]; at <= range[1];) {
        unsigned len = 16;
        while (len && !(at & 1u << (16 - len)) && at + (1u << (17 - len)) - 1 <= range[1])
            len--;
        out[n++] = (struct port_prefix){(uint16_t)at, (uint8_t)len};
        at += 1u << (16 - len);
    }
    return n;
}

/* Tuples. */

static uint32_t tuple_of(struct builder *b, const struct rule_shape *s)
{
    struct rule_index *x = b->x;

    for (uint32_t i = 0; i < x->n_tuples; i++)
        if (!memcmp(&x->tuples[i].shape, s, sizeof *s))
            return i;
    if (x->n_tuples == TUPLES_MAX && b->coarse < COARSEST) {
        b->too_many = true;
        return 0;
    }
    if (x->n_tuples == b->room_tuples) {
        b->room_tuples = MAX(16u, b->room_tuples * 2);
        x->tuples = mem_resize(x->tuples, b->room_tuples * sizeof *x->tuples);
    }
    x->tuples[x->n_tuples] = (struct rule_tuple){.shape = *s, .first = UINT32_MAX};
    return x->n_tuples++;
}

static void add_entry(struct builder *b, uint32_t class, const struct rule_shape *s,
                      const struct rule_key *k)
{
    const struct rule_class *c = &b->x->classes[class];
    uint32_t tuple = tuple_of(b, s), first = b->x->positions[c->at];
    struct rule_tuple *t = &b->x->tuples[tuple];

    if (b->n_entries == b->room_entries) {
        b->room_entries = MAX(64u, b->room_entries * 2);
        b->entries = mem_resize(b->entries, b->room_entries * sizeof *b->entries);
    }
    struct entry *e = &b->entries[b->n_entries++];
    *e = (struct entry){.tuple = tuple, .class = class, .first = first};
    e->hash1 = rule_hash1(s, k);
    e->hash2 = rule_hash2(s, k, e->hash1);
    e->hash3 = rule_hash3(s, k, e->hash2);
    t->n_rules += c->n;
    t->first = MIN(t->first, first);
    t->last = MAX(t->last, b->x->positions[c->at + c->n - 1]);
}

/* One entry, or as many as the range of ports has prefixes: of one side only, or they'd multiply.
 */
static void add_class(struct builder *b, uint32_t class)
{
    const struct topo_cond *c = &b->rules[b->x->positions[b->x->classes[class].at]].cond;
    struct port_prefix dst[PREFIXES_MAX] = {{0}}, src[PREFIXES_MAX] = {{0}};
    unsigned n_dst = 1, n_src = 1;
    struct rule_shape s;
    struct rule_key k;

    shape_of(b, c, &s, &k);
    if (plain(c, COND_TP_DST))
        n_dst = prefixes_of(b, c->tp_dst, dst);
    if (plain(c, COND_TP_SRC))
        n_src = prefixes_of(b, c->tp_src, src);
    if (n_dst > 1 && n_src > 1) {
        src[0] = common_prefix(c->tp_src);
        n_src = 1;
    }
    for (unsigned i = 0; i < n_src * n_dst; i++) {
        const struct port_prefix *ps = &src[n_src > 1 ? i : 0], *pd = &dst[n_dst > 1 ? i : 0];
        s.tp_src_len = ps->len;
        s.tp_dst_len = pd->len;
        k.tp_src = ps->port;
        k.tp_dst = pd->port;
        add_entry(b, class, &s, &k);
    }
}

static void add_classes(struct builder *b)
{
    for (b->coarse = 0;; b->coarse++) {
        b->x->n_tuples = b->n_entries = 0;
        b->too_many = false;
        for (uint32_t i = 0; i < b->x->n_classes && !b->too_many; i++)
            add_class(b, i);
        if (!b->too_many)
            return;
    }
}

/* Tables. */

static int by_place(const void *pa, const void *pb)
{
    const struct entry *a = pa, *b = pb;

    if (a->tuple != b->tuple)
        return a->tuple < b->tuple ? -1 : 1;
    if (a->hash3 != b->hash3)
        return a->hash3 < b->hash3 ? -1 : 1;
    return a->first < b->first ? -1 : a->first > b->first;
}

static void set_fill(struct rule_index *x, struct rule_set *set, const struct entry *e, uint32_t n,
                     bool second)
{
    uint32_t room = room_for(n);

    set->mask = room - 1;
    set->hashes = mem_zalloc(room * sizeof *set->hashes);
    x->size += room * sizeof *set->hashes;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t h = second ? e[i].hash2 : e[i].hash1;
        uint32_t at = (uint32_t)(h >> 32) & set->mask;
        while (set->hashes[at] && set->hashes[at] != h)
            at = (at + 1) & set->mask;
        set->hashes[at] = h;
    }
}

static void fill_slots(struct rule_index *x, struct rule_tuple *t, const struct entry *e,
                       uint32_t from, uint32_t n)
{
    uint32_t room = room_for(n);

    t->mask = room - 1;
    t->slots = mem_zalloc(room * sizeof *t->slots);
    x->size += room * sizeof *t->slots;
    for (uint32_t i = 0, same; i < n; i += same) {
        for (same = 1; i + same < n && e[i + same].hash3 == e[i].hash3;)
            same++;
        uint32_t at = (uint32_t)(e[i].hash3 >> 32) & t->mask;
        while (t->slots[at].n)
            at = (at + 1) & t->mask;
        t->slots[at] = (struct rule_slot){e[i].hash3, from + i, same};
    }
}

static void fill_tuple(struct builder *b, uint32_t from, uint32_t n)
{
    const struct entry *e = &b->entries[from];
    struct rule_tuple *t = &b->x->tuples[e->tuple];
    bool stage2 = rule_shape_stage2(&t->shape), stage3 = rule_shape_stage3(&t->shape);

    if (rule_shape_stage1(&t->shape) && (stage2 || stage3))
        set_fill(b->x, &t->first_stage, e, n, false);
    if (stage2 && stage3)
        set_fill(b->x, &t->second_stage, e, n, true);
    fill_slots(b->x, t, e, from, n);
}

static void insert_prefix(struct rule_index *x, uint32_t *root, const struct cidr *c, unsigned len)
{
    if (!len)
        return;
    uint32_t node = trie_insert(&x->tries, root, bits_of(&c->addr), len);
    x->tries.nodes[node].used = true;
}

static void fill_tries(struct builder *b)
{
    struct rule_index *x = b->x;

    for (uint32_t i = 0; i < x->n_classes; i++) {
        const struct topo_cond *c = &b->rules[x->positions[x->classes[i].at]].cond;
        if (plain(c, COND_SRC))
            insert_prefix(x, &x->src, &c->src, shape_len(b, &c->src));
        if (plain(c, COND_DST))
            insert_prefix(x, &x->dst, &c->dst, shape_len(b, &c->dst));
    }
    trie_trim(&x->tries);
}

static int by_first(const void *pa, const void *pb)
{
    const struct rule_tuple *a = pa, *b = pb;

    return a->first < b->first ? -1 : a->first > b->first;
}

static void fill(struct builder *b)
{
    struct rule_index *x = b->x;

    qsort(b->entries, b->n_entries, sizeof *b->entries, by_place);
    x->entries = mem_array(b->n_entries, sizeof *x->entries);
    for (uint32_t i = 0; i < b->n_entries; i++)
        x->entries[i] = b->entries[i].class;
    for (uint32_t i = 0, n; i < b->n_entries; i += n) {
        for (n = 1; i + n < b->n_entries && b->entries[i + n].tuple == b->entries[i].tuple;)
            n++;
        fill_tuple(b, i, n);
    }
    qsort(x->tuples, x->n_tuples, sizeof *x->tuples, by_first);
    fill_tries(b);
}

struct rule_index *rule_index_build(const struct topo_rule *rules, uint32_t n)
{
    if (n <= LINEAR_MAX)
        return NULL;
    struct rule_index *x = NEW(struct rule_index);
    struct builder b = {.rules = rules, .x = x};
    uint32_t *of = mem_array(n, sizeof *of);

    find_classes(&b, n, of);
    x->classes = mem_resize(x->classes, x->n_classes * sizeof *x->classes);
    lay_out_positions(x, n, of);
    add_classes(&b);
    x->tuples = mem_resize(x->tuples, x->n_tuples * sizeof *x->tuples);
    fill(&b);
    x->size += sizeof *x + x->n_classes * sizeof *x->classes + n * sizeof *x->positions +
               b.n_entries * sizeof *x->entries + x->n_tuples * sizeof *x->tuples +
               x->tries.room * sizeof *x->tries.nodes;
    free(b.entries);
    free(of);
    return x;
}

void rule_index_free(struct rule_index *x)
{
    if (!x)
        return;
    for (uint32_t i = 0; i < x->n_tuples; i++) {
        free(x->tuples[i].first_stage.hashes);
        free(x->tuples[i].second_stage.hashes);
        free(x->tuples[i].slots);
    }
    trie_free(&x->tries);
    free(x->tuples);
    free(x->classes);
    free(x->positions);
    free(x->entries);
    free(x);
}

size_t rule_index_memory(const struct rule_index *x)
{
    return x ? x->size : 0;
}
