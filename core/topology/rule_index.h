/* Which rules of a chain may hold for a packet, without trying them all.
 *
 * A tuple space, as packet classifiers have it (Srinivasan, Suri, Varghese: "Packet Classification
 * using Tuple Space Search", 1999; staged lookup and prefix tries after Open vSwitch's
 * classifier.h).  Rules that test the same fields, prefixes of the same lengths, form a tuple; in a
 * tuple one look into a hash table finds those whose values are the packet's.  What a shape can't
 * express (inverted tests, groups, the direction of a connection) is left out of it: what the index
 * finds are candidates, and cond_test() has the last word.
 *
 * The mask stays wide because a tuple is asked in stages, each with a set of its own: where it is,
 * then ethertype and protocol, then addresses, then ports.  A packet that fails early isn't looked
 * at any deeper.  Before the addresses the tries of all source and destination prefixes say which
 * lengths can match at all, having read no more bits than that takes.
 *
 * Rules with equal conditions are one class: whether it holds is found out once.
 *
 * Immutable, built by the thread that makes the chain; the lookup is sim/rule_find.c. */
#ifndef MN_TOPOLOGY_RULE_INDEX_H
#define MN_TOPOLOGY_RULE_INDEX_H

#include "topology/policy.h"
#include "topology/trie.h"

enum {
    SHAPE_IN_PORT = 1 << 0,
    SHAPE_OUT_PORT = 1 << 1,
    SHAPE_ETH_TYPE = 1 << 2,
    SHAPE_PROTO = 1 << 3,
    SHAPE_ETH_SRC = 1 << 4,
    SHAPE_ETH_DST = 1 << 5,
};

/* What the rules of a tuple have in common. */
struct rule_shape {
    uint8_t fields;                 /* SHAPE_*: compared whole */
    uint8_t src_len, dst_len;       /* bits of the addresses in mapped space; 0: any */
    uint8_t tp_src_len, tp_dst_len; /* bits of the ports, 0..16 */
    uint8_t pad;
    uint16_t tcp_flags; /* of the flags these */
};

/* The values: a rule's, or a packet's. */
struct rule_key {
    topo_ref in_port, out_port;
    uint16_t eth_type;
    uint8_t proto;
    uint16_t tp_src, tp_dst, tcp_flags;
    struct mac eth_src, eth_dst;
    struct bits src, dst;
};

struct rule_set {
    uint32_t mask;
    uint64_t *hashes; /* 0: free */
};

struct rule_tuple {
    struct rule_shape shape;
    uint32_t first, last; /* position of the first and of the last of its rules */
    uint32_t n_rules;
    struct rule_set first_stage, second_stage; /* of those whose next stage isn't empty */
    uint32_t mask;
    struct rule_slot {
        uint64_t hash;
        uint32_t entry, n; /* rule_index.entries; n 0: free */
    } * slots;
};

/* Rules with the same condition. */
struct rule_class {
    uint32_t at, n; /* rule_index.positions, ascending */
};

struct rule_index {
    uint32_t n_tuples, n_classes;
    struct rule_tuple *tuples; /* by 'first' */
    struct rule_class *classes;
    uint32_t *positions;
    uint32_t *entries; /* classes, in a slot by their first position */
    struct trie tries;
    uint32_t src, dst; /* roots */
    size_t size;       /* of everything */
};

/* Null when there are so few that trying them in turn costs less.  'rules' must outlive it. */
struct rule_index *rule_index_build(const struct topo_rule *rules, uint32_t n);
void rule_index_free(struct rule_index *x); /* null is fine */
size_t rule_index_memory(const struct rule_index *x);

static inline uint64_t rule_mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9e3779b97f4a7c15ull;
    return h ^ h >> 29;
}

static inline uint64_t rule_bits_mask(unsigned len)
{
    return len >= 64 ? ~0ull : len ? ~0ull << (64 - len) : 0;
}

static inline bool rule_shape_stage1(const struct rule_shape *s)
{
    return s->fields & (SHAPE_IN_PORT | SHAPE_OUT_PORT | SHAPE_ETH_TYPE | SHAPE_PROTO);
}

static inline bool rule_shape_stage2(const struct rule_shape *s)
{
    return s->fields & (SHAPE_ETH_SRC | SHAPE_ETH_DST) || s->src_len || s->dst_len;
}

static inline bool rule_shape_stage3(const struct rule_shape *s)
{
    return s->tp_src_len || s->tp_dst_len || s->tcp_flags;
}

/* Hashes of the stages, each upon the one before; never 0. */
static inline uint64_t rule_hash1(const struct rule_shape *s, const struct rule_key *k)
{
    uint64_t where = (s->fields & SHAPE_IN_PORT ? (uint64_t)k->in_port << 32 : 0) |
                     (s->fields & SHAPE_OUT_PORT ? k->out_port : 0);
    uint64_t what = (s->fields & SHAPE_ETH_TYPE ? (uint64_t)k->eth_type << 8 : 0) |
                    (s->fields & SHAPE_PROTO ? k->proto : 0);

    return rule_mix(where, what ^ 0x5bd1e995) | 1;
}

static inline uint64_t rule_hash2(const struct rule_shape *s, const struct rule_key *k, uint64_t h)
{
    if (s->fields & SHAPE_ETH_SRC)
        h = rule_mix(h, mac_u64(&k->eth_src));
    if (s->fields & SHAPE_ETH_DST)
        h = rule_mix(h, mac_u64(&k->eth_dst) << 16);
    if (s->src_len) {
        h = rule_mix(h, k->src.hi & rule_bits_mask(s->src_len));
        h = rule_mix(h, k->src.lo & rule_bits_mask(s->src_len > 64 ? s->src_len - 64u : 0));
    }
    if (s->dst_len) {
        h = rule_mix(h, k->dst.hi & rule_bits_mask(s->dst_len));
        h = rule_mix(h, k->dst.lo & rule_bits_mask(s->dst_len > 64 ? s->dst_len - 64u : 0));
    }
    return h | 1;
}

static inline uint64_t rule_hash3(const struct rule_shape *s, const struct rule_key *k, uint64_t h)
{
    uint64_t sport = k->tp_src & ~(0xffffu >> s->tp_src_len);
    uint64_t dport = k->tp_dst & ~(0xffffu >> s->tp_dst_len);

    return rule_mix(h, sport << 32 | dport << 16 | (k->tcp_flags & s->tcp_flags)) | 1;
}

#endif
