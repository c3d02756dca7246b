/* A path-compressed binary trie over address prefixes, the base of lpm.h and dst_tags.h.
 *
 * Nodes live in one growable array and name each other by index; 0 is none.  A node is either a
 * prefix that was inserted, or the fork between two of them ('used' tells, and is the user's
 * business; so is 'value').  The walk of a lookup stays with the users: what they make of a node on
 * the way differs.  Thread: as the owner's. */
#ifndef MN_TOPOLOGY_TRIE_H
#define MN_TOPOLOGY_TRIE_H

#include <endian.h>
#include <stddef.h>

#include "base/types.h"

/* An address as two host-order words: bit 0 is the top bit of 'hi'. */
struct bits {
    uint64_t hi, lo;
};

static inline struct bits bits_of(const struct ip *ip)
{
    return (struct bits){be64toh(ip->q[0]), be64toh(ip->q[1])};
}

static inline unsigned bits_at(const struct bits *b, unsigned i)
{
    return (unsigned)((i < 64 ? b->hi >> (63 - i) : b->lo >> (127 - i)) & 1);
}

/* How many leading bits agree, 0..128. */
static inline unsigned bits_common(const struct bits *a, const struct bits *b)
{
    if (a->hi != b->hi)
        return (unsigned)__builtin_clzll(a->hi ^ b->hi);
    return a->lo != b->lo ? 64 + (unsigned)__builtin_clzll(a->lo ^ b->lo) : 128;
}

struct trie_node {
    struct bits key;   /* beyond 'len' zero */
    uint32_t child[2]; /* by the bit behind the prefix */
    uint32_t value[2]; /* the user's; zero at first */
    uint8_t len;
    bool used; /* the user's; false at first */
};

struct trie {
    struct trie_node *nodes; /* [0] unused */
    uint32_t n, room;
};

/* The node of key/len below the root *root (0: empty), made if it isn't there.  May move the
 * array, not the indexes. */
uint32_t trie_insert(struct trie *t, uint32_t *root, struct bits key, unsigned len);
void trie_trim(struct trie *t); /* gives back room not used */
void trie_free(struct trie *t);

#endif
