#include "sim/rule_find.h"

#include "sim/cond.h"
#include "sim/mask.h"

const char *rule_name(struct run *r, const struct topo_chain *c, const struct topo_rule *rule)
{
    return print(r, "rule %zu of %s", (size_t)(rule - c->rules) + 1, name_of(r, c->obj.self));
}

static void __attribute__((cold)) tell_why_not(struct run *r, const struct topo_chain *c,
                                               const struct topo_rule *rule, unsigned outcome)
{
    TRAIL(r, TOPO_RULE, &rule->id, "%s: %s", rule_name(r, c, rule),
          cond_text(r, &rule->cond, outcome));
}

static const struct topo_rule *next_in_turn(struct run *r, struct rule_find *f, bool *ended)
{
    const struct topo_chain *c = f->chain;

    while (f->next < c->n_rules) {
        const struct topo_rule *rule = &c->rules[f->next++];
        unsigned outcome = cond_test(r, &rule->cond);
        if (outcome == COND_HOLDS)
            return rule;
        if (unlikely(outcome == COND_ENDED)) {
            *ended = true;
            return NULL;
        }
        if (unlikely(r->in->want_trail))
            tell_why_not(r, c, rule, outcome);
    }
    return NULL;
}

/* Candidates. */

static void heap_add(struct run *r, struct rule_find *f, struct candidate c)
{
    f->heap = grow_list(r, f->heap, f->n, &f->room, sizeof *f->heap);
    uint32_t at = f->n++;
    for (uint32_t up; at && f->heap[up = (at - 1) / 2].position > c.position; at = up)
        f->heap[at] = f->heap[up];
    f->heap[at] = c;
}

static struct candidate heap_take(struct rule_find *f)
{
    struct candidate first = f->heap[0], last = f->heap[--f->n];
    uint32_t at = 0, down;

    while ((down = 2 * at + 1) < f->n) {
        if (down + 1 < f->n && f->heap[down + 1].position < f->heap[down].position)
            down++;
        if (f->heap[down].position >= last.position)
            break;
        f->heap[at] = f->heap[down];
        at = down;
    }
    f->heap[at] = last;
    return first;
}

/* The class's next rule from f->next on becomes a candidate. */
static void add_class(struct run *r, struct rule_find *f, uint32_t class, bool holds)
{
    const struct rule_index *x = f->chain->index;
    const struct rule_class *c = &x->classes[class];
    const uint32_t *positions = &x->positions[c->at];
    uint32_t lo = 0, hi = c->n;

    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (positions[mid] < f->next)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo < c->n)
        heap_add(r, f, (struct candidate){positions[lo], class, 0, holds});
}

/* Entries are in the order of their first rules: the later ones wait until it is their turn. */
static void add_entries(struct run *r, struct rule_find *f, uint32_t entry, uint32_t end)
{
    const struct rule_index *x = f->chain->index;

    add_class(r, f, x->entries[entry], false);
    if (++entry < end)
        heap_add(
            r, f,
            (struct candidate){x->positions[x->classes[x->entries[entry]].at], entry, end, false});
}

/* The packet. */

static void make_key(struct run *r, struct rule_find *f)
{
    const struct flow_key *h = &r->at.raw;

    f->key = (struct rule_key){.in_port = r->at.in_port,
                               .out_port = r->at.out_port,
                               .eth_type = h->eth_type,
                               .proto = h->ip_proto,
                               .tp_src = h->tp_src,
                               .tp_dst = h->tp_dst,
                               .tcp_flags = h->tcp_flags,
                               .eth_src = h->eth_src,
                               .eth_dst = h->eth_dst,
                               .src = bits_of(&h->ip_src),
                               .dst = bits_of(&h->ip_dst)};
    f->key_made = true;
    f->src_known = f->dst_known = false;
}

/* Lengths of the prefixes that the address has in the trie; returns how many of its bits tell. */
static unsigned lengths(const struct trie *t, uint32_t at, const struct bits *key, uint64_t lens[3])
{
    unsigned seen = 0;

    lens[0] = lens[1] = lens[2] = 0;
    while (at) {
        const struct trie_node *n = &t->nodes[at];
        unsigned same = bits_common(&n->key, key);
        if (same < n->len)
            return same + 1;
        seen = n->len;
        if (n->used)
            lens[n->len / 64] |= 1ull << n->len % 64;
        if (n->len == 128 || !(n->child[0] | n->child[1]))
            break;
        at = n->child[bits_at(key, n->len)];
        seen = n->len + 1u;
    }
    return seen;
}

static bool src_possible(struct run *r, struct rule_find *f, unsigned len)
{
    if (!f->src_known) {
        const struct rule_index *x = f->chain->index;
        unsigned bits = lengths(&x->tries, x->src, &f->key.src, f->src_lens);
        SEE_PREFIX(r, ip_src, bits, src_bits);
        f->src_known = true;
    }
    return f->src_lens[len / 64] >> len % 64 & 1;
}

static bool dst_possible(struct run *r, struct rule_find *f, unsigned len)
{
    if (!f->dst_known) {
        const struct rule_index *x = f->chain->index;
        unsigned bits = lengths(&x->tries, x->dst, &f->key.dst, f->dst_lens);
        SEE_PREFIX(r, ip_dst, bits, dst_bits);
        f->dst_known = true;
    }
    return f->dst_lens[len / 64] >> len % 64 & 1;
}

static bool set_has(const struct rule_set *s, uint64_t hash)
{
    for (uint32_t i = (uint32_t)(hash >> 32) & s->mask; s->hashes[i]; i = (i + 1) & s->mask)
        if (s->hashes[i] == hash)
            return true;
    return false;
}

static const struct rule_slot *slot_of(const struct rule_tuple *t, uint64_t hash)
{
    for (uint32_t i = (uint32_t)(hash >> 32) & t->mask; t->slots[i].n; i = (i + 1) & t->mask)
        if (t->slots[i].hash == hash)
            return &t->slots[i];
    return NULL;
}

static void see_stage1(struct run *r, const struct rule_shape *s)
{
    if (s->fields & SHAPE_ETH_TYPE)
        SEE(r, eth_type);
    if (s->fields & SHAPE_PROTO)
        SEE(r, ip_proto);
}

/* The addresses' bits were seen by the tries. */
static void see_stage2(struct run *r, const struct rule_shape *s)
{
    if (s->fields & SHAPE_ETH_SRC)
        SEE(r, eth_src);
    if (s->fields & SHAPE_ETH_DST)
        SEE(r, eth_dst);
}

static void see_stage3(struct run *r, const struct rule_shape *s)
{
    if (s->tp_src_len)
        SEE(r, tp_src);
    if (s->tp_dst_len)
        SEE(r, tp_dst);
    if (s->tcp_flags)
        tcp_flags_are(r, 0, s->tcp_flags);
}

/* For the trail: what the rules of a tuple that were passed over failed by, roughly. */
static void exclude(const struct rule_find *f, enum cond_field field, uint32_t n)
{
    if (unlikely(f->excluded))
        f->excluded[field] += n;
}

static enum cond_field field_of_stage(const struct rule_shape *s, unsigned stage)
{
    if (stage == 3)
        return s->tp_dst_len ? COND_TP_DST : s->tp_src_len ? COND_TP_SRC : COND_TCP_FLAGS;
    if (stage == 2)
        return s->dst_len                  ? COND_DST
               : s->src_len                ? COND_SRC
               : s->fields & SHAPE_ETH_DST ? COND_ETH_DST
                                           : COND_ETH_SRC;
    return s->fields & SHAPE_PROTO      ? COND_PROTO
           : s->fields & SHAPE_ETH_TYPE ? COND_ETH_TYPE
           : s->fields & SHAPE_OUT_PORT ? COND_OUT_PORTS
                                        : COND_IN_PORTS;
}

/* The rules of the tuple with the packet's values; null: there are none. */
static const struct rule_slot *ask(struct run *r, struct rule_find *f, const struct rule_tuple *t)
{
    const struct rule_shape *s = &t->shape;
    bool stage2 = rule_shape_stage2(s), stage3 = rule_shape_stage3(s);
    uint64_t h = rule_hash1(s, &f->key);

    see_stage1(r, s);
    if (t->first_stage.hashes && !set_has(&t->first_stage, h)) {
        exclude(f, field_of_stage(s, 1), t->n_rules);
        return NULL;
    }
    if (s->dst_len && !dst_possible(r, f, s->dst_len)) {
        exclude(f, COND_DST, t->n_rules);
        return NULL;
    }
    if (s->src_len && !src_possible(r, f, s->src_len)) {
        exclude(f, COND_SRC, t->n_rules);
        return NULL;
    }
    see_stage2(r, s);
    h = rule_hash2(s, &f->key, h);
    if (t->second_stage.hashes && !set_has(&t->second_stage, h)) {
        exclude(f, field_of_stage(s, 2), t->n_rules);
        return NULL;
    }
    see_stage3(r, s);
    const struct rule_slot *slot = slot_of(t, rule_hash3(s, &f->key, h));
    if (stage2 || stage3 || rule_shape_stage1(s))
        exclude(f,
                field_of_stage(s, stage3   ? 3
                                  : stage2 ? 2
                                           : 1),
                t->n_rules - (slot ? slot->n : 0));
    return slot;
}

static void ask_tuple(struct run *r, struct rule_find *f, const struct rule_tuple *t)
{
    const struct rule_slot *slot;

    if (t->last < f->next)
        return;
    if (!f->key_made)
        make_key(r, f);
    slot = ask(r, f, t);
    if (slot)
        add_entries(r, f, slot->entry, slot->entry + slot->n);
}

static const struct topo_rule *next_by_index(struct run *r, struct rule_find *f, bool *ended)
{
    const struct topo_chain *c = f->chain;
    const struct rule_index *x = c->index;

    for (;;) {
        if (f->tuple < x->n_tuples && (!f->n || x->tuples[f->tuple].first < f->heap[0].position)) {
            ask_tuple(r, f, &x->tuples[f->tuple++]);
            continue;
        }
        if (!f->n)
            return NULL;
        struct candidate best = heap_take(f);
        if (best.end) {
            add_entries(r, f, best.class, best.end);
            continue;
        }
        const struct topo_rule *rule = &c->rules[best.position];
        unsigned outcome = best.holds ? (unsigned)COND_HOLDS : cond_test(r, &rule->cond);
        if (unlikely(outcome == COND_ENDED)) {
            *ended = true;
            return NULL;
        }
        if (outcome == COND_HOLDS) {
            f->next = best.position + 1;
            add_class(r, f, best.class, true);
            return rule;
        }
        if (unlikely(r->in->want_trail))
            tell_why_not(r, c, rule, outcome);
    }
}

static void __attribute__((cold)) tell_excluded(struct run *r, struct rule_find *f)
{
    struct topo_obj const *c = &f->chain->obj;
    const char *list = "";
    uint32_t total = 0;

    for (unsigned i = 0; i < COND_N_FIELDS; i++) {
        if (!f->excluded[i])
            continue;
        list = print(r, "%s%s%u by %s", list, *list ? ", " : "", f->excluded[i],
                     cond_field_name((enum cond_field)i));
        total += f->excluded[i];
        f->excluded[i] = 0;
    }
    if (total)
        TRAIL_OBJ(r, c, "%s: its index excludes %u other rules: %s", name_of(r, c->self), total,
                  list);
}

const struct topo_rule *rule_find_next(struct run *r, struct rule_find *f, bool *ended)
{
    const struct topo_rule *rule;

    *ended = false;
    if (!f->chain->index)
        return next_in_turn(r, f, ended);
    if (unlikely(r->in->want_trail) && !f->excluded) {
        f->excluded = arena_alloc(r->arena, COND_N_FIELDS * sizeof *f->excluded);
        memset(f->excluded, 0, COND_N_FIELDS * sizeof *f->excluded);
    }
    rule = next_by_index(r, f, ended);
    if (unlikely(r->in->want_trail))
        tell_excluded(r, f);
    return rule;
}
