/* Tag index: which results depend on a tag.
 *
 * Results (flows) with the same tags share one set of them: a set is interned, counted and found by
 * its content, so that ten thousand connections between two machines cost one set.  Each element of
 * a set is also a link of its tag's list; a walk over the list finds every set that holds the tag,
 * and thereby exactly the results to drop when the tag is announced.
 *
 *     tag --> element --> element --> ...          one element for every set that has the tag
 *               |            |
 *              set          set --> result --> result      the owner's own list, from ti_results()
 *
 * 24 bytes a set and 12 an element, 20 a distinct tag.  Thread: one owner. */
#ifndef MN_AGENT_TAGINDEX_H
#define MN_AGENT_TAGINDEX_H

#include "agent/slab.h"
#include "topology/tags.h"

struct tagindex;

/* 'max_sets' bounds the sets (and what they take from memory). */
struct tagindex *ti_new(uint32_t max_sets);
void ti_free(struct tagindex *ti);

/* The set of these tags (any order, repetitions harmless) with one more user.  0 when 'max_sets'
 * are in use: nothing is changed then. */
uint32_t ti_take(struct tagindex *ti, const tag_t *tags, size_t n);
void ti_release(struct tagindex *ti, uint32_t set);

/* The head of the owner's list of results with this set: 0 at first, the owner's to write. */
uint32_t *ti_results(struct tagindex *ti, uint32_t set);

/* Walks over the sets that hold a tag, in no order and in pieces: between two steps the index may
 * change.  Sets made after the walk began are not among them.  'walk' is one of TI_WALKS, the
 * owner's to choose; it ends with a 0 from ti_walk_next(). */
#define TI_WALKS 16
void ti_walk(struct tagindex *ti, unsigned walk, tag_t tag);
uint32_t ti_walk_next(struct tagindex *ti, unsigned walk);
/* One of the sets that hold it, 0 none. */
uint32_t ti_any_set(const struct tagindex *ti, tag_t tag);
bool ti_has(const struct tagindex *ti, tag_t tag);

/* Copies up to 'max' tags of the set, sorted; returns how many it has. */
size_t ti_tags(const struct tagindex *ti, uint32_t set, tag_t *tags, size_t max);

uint32_t ti_n_sets(const struct tagindex *ti);
uint32_t ti_n_tags(const struct tagindex *ti);
size_t ti_memory(const struct tagindex *ti);

#endif
