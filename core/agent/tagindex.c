#include "agent/tagindex.h"

#include <stdlib.h>

/* A set is a chain of blocks (one, unless it has more than 32 tags).  Blocks come in sizes; the
 * name of a block is its size class and number, the name of an element its block and place. */
#define PLACE_BITS  5
#define NUMBER_BITS 24
#define BLOCK_MAX   32

/* Flows that come one after the other often have the same tags, found in the same order: what was
 * looked up lately is remembered as it was asked. */
#define N_RECENT 64

static const uint8_t class_elems[] = {4, 8, 12, 16, 24, BLOCK_MAX};
#define N_CLASSES ARRAY_SIZE(class_elems)

struct elem {
    uint32_t tag;        /* number in 'tags' */
    uint32_t prev, next; /* elements of the same tag */
};

struct block {
    uint32_t next; /* in the hash bucket; in a further block: the set's first block */
    uint32_t hash;
    uint32_t n_users; /* 0 in a further block */
    uint32_t results;
    uint32_t more; /* further block, 0 none */
    uint32_t n;    /* elements in this block */
    struct elem elems[];
};

struct tag_rec {
    uint32_t next; /* in the bucket */
    uint32_t first;
    tag_t tag;
};

struct recent {
    uint32_t n;
    tag_t tags[BLOCK_MAX];
};

struct tagindex {
    uint32_t bucket_mask;
    uint32_t n_sets, max_sets;
    uint32_t *set_buckets, *tag_buckets;
    struct slab blocks[N_CLASSES];
    struct slab tags;
    uint32_t walks[TI_WALKS]; /* the next element of each */
    unsigned n_walking;       /* of them, not at their end */
    tag_t *scratch;           /* a set being sorted */
    size_t scratch_size;
    uint32_t recent_sets[N_RECENT]; /* 0: none */
    struct recent recent[N_RECENT];
};

static struct block *block_at(const struct tagindex *ti, uint32_t block)
{
    return slab_at(&ti->blocks[block >> NUMBER_BITS], block & ((1u << NUMBER_BITS) - 1));
}

static struct elem *elem_at(const struct tagindex *ti, uint32_t elem)
{
    return &block_at(ti, elem >> PLACE_BITS)->elems[elem & (BLOCK_MAX - 1)];
}

static struct tag_rec *tag_at(const struct tagindex *ti, uint32_t tag)
{
    return slab_at(&ti->tags, tag);
}

struct tagindex *ti_new(uint32_t max_sets)
{
    struct tagindex *ti = NEW(struct tagindex);
    uint32_t n = 64;

    while (n < max_sets)
        n *= 2;
    ti->bucket_mask = n - 1;
    ti->max_sets = max_sets;
    ti->set_buckets = NEW_ARRAY(n, uint32_t);
    ti->tag_buckets = NEW_ARRAY(n, uint32_t);
    for (unsigned i = 0; i < N_CLASSES; i++) /* long sets take several blocks */
        slab_init(&ti->blocks[i], sizeof(struct block) + class_elems[i] * sizeof(struct elem),
                  MIN(4 * max_sets, (1u << NUMBER_BITS) - 1));
    slab_init(&ti->tags, sizeof(struct tag_rec), MIN(16 * max_sets + 65536, 1u << 26));
    return ti;
}

void ti_free(struct tagindex *ti)
{
    if (!ti)
        return;
    for (unsigned i = 0; i < N_CLASSES; i++)
        slab_free(&ti->blocks[i]);
    slab_free(&ti->tags);
    free(ti->set_buckets);
    free(ti->tag_buckets);
    free(ti->scratch);
    free(ti);
}

static uint32_t tag_find(const struct tagindex *ti, tag_t tag)
{
    uint32_t t = ti->tag_buckets[hash_u64(tag) & ti->bucket_mask];

    while (t && tag_at(ti, t)->tag != tag)
        t = tag_at(ti, t)->next;
    return t;
}

static uint32_t tag_take(struct tagindex *ti, tag_t tag)
{
    uint32_t t = tag_find(ti, tag), *bucket = &ti->tag_buckets[hash_u64(tag) & ti->bucket_mask];

    if (t)
        return t;
    t = slab_take(&ti->tags);
    if (t) {
        *tag_at(ti, t) = (struct tag_rec){.next = *bucket, .tag = tag};
        *bucket = t;
    }
    return t;
}

static void tag_drop_unused(struct tagindex *ti, uint32_t tag)
{
    struct tag_rec *r = tag_at(ti, tag);
    uint32_t *link = &ti->tag_buckets[hash_u64(r->tag) & ti->bucket_mask];

    if (r->first)
        return;
    while (*link != tag)
        link = &tag_at(ti, *link)->next;
    *link = r->next;
    slab_give(&ti->tags, tag);
}

static void elem_link(struct tagindex *ti, uint32_t name, uint32_t tag)
{
    struct elem *e = elem_at(ti, name);
    struct tag_rec *r = tag_at(ti, tag);

    *e = (struct elem){.tag = tag, .next = r->first};
    if (r->first)
        elem_at(ti, r->first)->prev = name;
    r->first = name;
}

static void set_walk(struct tagindex *ti, unsigned walk, uint32_t elem)
{
    ti->n_walking += (elem != 0) - (ti->walks[walk] != 0);
    ti->walks[walk] = elem;
}

static void elem_unlink(struct tagindex *ti, uint32_t name)
{
    struct elem *e = elem_at(ti, name);

    for (unsigned i = 0; ti->n_walking && i < TI_WALKS; i++)
        if (ti->walks[i] == name)
            set_walk(ti, i, e->next);
    if (e->prev)
        elem_at(ti, e->prev)->next = e->next;
    else
        tag_at(ti, e->tag)->first = e->next;
    if (e->next)
        elem_at(ti, e->next)->prev = e->prev;
    tag_drop_unused(ti, e->tag);
}

static void free_blocks(struct tagindex *ti, uint32_t block)
{
    while (block) {
        struct block *b = block_at(ti, block);
        uint32_t more = b->more;

        for (uint32_t i = 0; i < b->n; i++)
            elem_unlink(ti, block << PLACE_BITS | i);
        slab_give(&ti->blocks[block >> NUMBER_BITS], block & ((1u << NUMBER_BITS) - 1));
        block = more;
    }
}

static uint32_t new_block(struct tagindex *ti, size_t n)
{
    unsigned class = 0;

    while (class < N_CLASSES - 1 && class_elems[class] < n)
        class ++;
    uint32_t number = slab_take(&ti->blocks[class]);
    if (!number)
        return 0;
    uint32_t name = class << NUMBER_BITS | number;
    memset(block_at(ti, name), 0, sizeof(struct block));
    return name;
}

/* Makes the blocks of sorted tags; 0 when memory's bound is reached. */
static uint32_t new_blocks(struct tagindex *ti, const tag_t *tags, size_t n)
{
    uint32_t first = 0, last = 0;

    do {
        size_t here = MIN(n, (size_t)BLOCK_MAX);
        uint32_t name = new_block(ti, here);
        if (!name)
            goto full;
        if (last)
            block_at(ti, last)->more = name;
        else
            first = name;
        last = name;
        struct block *b = block_at(ti, name);
        b->next = first;
        for (; b->n < here; b->n++, tags++, n--) {
            uint32_t tag = tag_take(ti, *tags);
            if (!tag)
                goto full;
            elem_link(ti, name << PLACE_BITS | b->n, tag);
        }
    } while (n);
    return first;
full:
    free_blocks(ti, first);
    return 0;
}

static int tag_order(const void *a, const void *b)
{
    tag_t x = *(const tag_t *)a, y = *(const tag_t *)b;

    return x < y ? -1 : x > y;
}

/* Sorted copy without repetitions in ti->scratch; returns its length. */
static size_t normalise(struct tagindex *ti, const tag_t *tags, size_t n)
{
    size_t out = 0;

    if (n > ti->scratch_size) {
        ti->scratch_size = MAX(n, (size_t)64);
        ti->scratch = mem_resize(ti->scratch, ti->scratch_size * sizeof *ti->scratch);
    }
    tag_t *s = ti->scratch;
    if (n > BLOCK_MAX) {
        memcpy(s, tags, n * sizeof *s);
        qsort(s, n, sizeof *s, tag_order);
    } else {
        for (size_t i = 0; i < n; i++) {
            size_t j = i;
            for (; j && s[j - 1] > tags[i]; j--)
                s[j] = s[j - 1];
            s[j] = tags[i];
        }
    }
    for (size_t i = 0; i < n; i++)
        if (!out || s[out - 1] != s[i])
            s[out++] = s[i];
    return out;
}

static bool same_set(const struct tagindex *ti, uint32_t set, const tag_t *tags, size_t n)
{
    for (uint32_t block = set; block;) {
        const struct block *b = block_at(ti, block);
        if (b->n > n)
            return false;
        for (uint32_t i = 0; i < b->n; i++, n--)
            if (tag_at(ti, b->elems[i].tag)->tag != *tags++)
                return false;
        block = b->more;
    }
    return !n;
}

static uint32_t find_or_make(struct tagindex *ti, const tag_t *tags, size_t n)
{
    n = normalise(ti, tags, n);
    uint32_t hash = (uint32_t)hash_bytes(ti->scratch, n * sizeof *ti->scratch, 0);
    uint32_t *bucket = &ti->set_buckets[hash & ti->bucket_mask], set = *bucket;

    while (set && (block_at(ti, set)->hash != hash || !same_set(ti, set, ti->scratch, n)))
        set = block_at(ti, set)->next;
    if (!set) {
        if (ti->n_sets >= ti->max_sets || !(set = new_blocks(ti, ti->scratch, n)))
            return 0;
        struct block *b = block_at(ti, set);
        b->hash = hash;
        b->next = *bucket;
        *bucket = set;
        ti->n_sets++;
    }
    return set;
}

static unsigned recent_place(const tag_t *tags, size_t n)
{
    return hash_u64(tags[0] + 3 * tags[n / 2] + 5 * tags[n - 1]) % N_RECENT;
}

static uint32_t find_recent(struct tagindex *ti, const tag_t *tags, size_t n)
{
    unsigned place = recent_place(tags, n);
    struct recent *r = &ti->recent[place];

    if (ti->recent_sets[place] && r->n == n && !memcmp(r->tags, tags, n * sizeof *tags))
        return ti->recent_sets[place];
    uint32_t set = find_or_make(ti, tags, n);
    r->n = (uint32_t)n;
    memcpy(r->tags, tags, n * sizeof *tags);
    ti->recent_sets[place] = set;
    return set;
}

uint32_t ti_take(struct tagindex *ti, const tag_t *tags, size_t n)
{
    uint32_t set = n && n <= BLOCK_MAX ? find_recent(ti, tags, n) : find_or_make(ti, tags, n);

    if (set)
        block_at(ti, set)->n_users++;
    return set;
}

void ti_release(struct tagindex *ti, uint32_t set)
{
    struct block *b = block_at(ti, set);
    uint32_t *link = &ti->set_buckets[b->hash & ti->bucket_mask];

    if (--b->n_users)
        return;
    while (*link != set)
        link = &block_at(ti, *link)->next;
    *link = b->next;
    for (unsigned i = 0; i < N_RECENT; i++)
        if (ti->recent_sets[i] == set)
            ti->recent_sets[i] = 0;
    free_blocks(ti, set);
    ti->n_sets--;
}

uint32_t *ti_results(struct tagindex *ti, uint32_t set)
{
    return &block_at(ti, set)->results;
}

static uint32_t set_of(const struct tagindex *ti, uint32_t elem)
{
    uint32_t block = elem >> PLACE_BITS;
    const struct block *b = block_at(ti, block);

    return b->n_users ? block : b->next;
}

void ti_walk(struct tagindex *ti, unsigned walk, tag_t tag)
{
    uint32_t t = tag_find(ti, tag);

    set_walk(ti, walk, t ? tag_at(ti, t)->first : 0);
}

uint32_t ti_walk_next(struct tagindex *ti, unsigned walk)
{
    uint32_t elem = ti->walks[walk];

    if (!elem)
        return 0;
    set_walk(ti, walk, elem_at(ti, elem)->next);
    return set_of(ti, elem);
}

uint32_t ti_any_set(const struct tagindex *ti, tag_t tag)
{
    uint32_t t = tag_find(ti, tag);

    return t ? set_of(ti, tag_at(ti, t)->first) : 0;
}

bool ti_has(const struct tagindex *ti, tag_t tag)
{
    return tag_find(ti, tag);
}

size_t ti_tags(const struct tagindex *ti, uint32_t set, tag_t *tags, size_t max)
{
    size_t n = 0;

    for (uint32_t block = set; block; block = block_at(ti, block)->more) {
        const struct block *b = block_at(ti, block);
        for (uint32_t i = 0; i < b->n; i++, n++)
            if (n < max)
                tags[n] = tag_at(ti, b->elems[i].tag)->tag;
    }
    return n;
}

uint32_t ti_n_sets(const struct tagindex *ti)
{
    return ti->n_sets;
}

uint32_t ti_n_tags(const struct tagindex *ti)
{
    return ti->tags.n_used;
}

size_t ti_memory(const struct tagindex *ti)
{
    size_t size = sizeof *ti + slab_memory(&ti->tags) + ti->scratch_size * sizeof *ti->scratch +
                  2 * (ti->bucket_mask + 1) * sizeof *ti->set_buckets;

    for (unsigned i = 0; i < N_CLASSES; i++)
        size += slab_memory(&ti->blocks[i]);
    return size;
}
