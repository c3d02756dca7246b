#include "topology/trie.h"

#include <stdlib.h>

#include "base/mem.h"

static struct bits cut(struct bits b, unsigned len)
{
    if (len < 64)
        return (struct bits){len ? b.hi & ~0ull << (64 - len) : 0, 0};
    if (len < 128)
        b.lo = len > 64 ? b.lo & ~0ull << (128 - len) : 0;
    return b;
}

static uint32_t new_node(struct trie *t, struct bits key, unsigned len)
{
    if (t->n + 1 >= t->room) {
        t->room = MAX(16u, t->room * 2);
        t->nodes = mem_resize(t->nodes, t->room * sizeof *t->nodes);
    }
    t->nodes[++t->n] = (struct trie_node){.key = cut(key, len), .len = (uint8_t)len};
    return t->n;
}

uint32_t trie_insert(struct trie *t, uint32_t *root, struct bits key, unsigned len)
{
    uint32_t parent = 0, at = *root, made;
    unsigned side = 0, same = 0;

    while (at) {
        const struct trie_node *n = &t->nodes[at];
        same = MIN(bits_common(&n->key, &key), MIN(n->len, len));
        if (same < n->len)
            break;
        if (same == len)
            return at;
        parent = at;
        side = bits_at(&key, n->len);
        at = n->child[side];
    }
    uint32_t leaf = made = new_node(t, key, len);
    if (at && same < len) {
        made = new_node(t, key, same);
        t->nodes[made].child[bits_at(&key, same)] = leaf;
    }
    if (at)
        t->nodes[made].child[bits_at(&t->nodes[at].key, same)] = at;
    *(parent ? &t->nodes[parent].child[side] : root) = made;
    return leaf;
}

void trie_trim(struct trie *t)
{
    t->room = t->n + 1;
    t->nodes = mem_resize(t->nodes, t->room * sizeof *t->nodes);
}

void trie_free(struct trie *t)
{
    free(t->nodes);
    *t = (struct trie){0};
}
