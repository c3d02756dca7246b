/* Which destination tags are in use: from "a route for prefix P of router R changed" to the tags
 * that this makes untrue.
 *
 * A lookup leaves the tag of the prefix that it examined (tags.h); the tag is a hash and can't be
 * asked whether it intersects P.  So whoever keeps results keeps one of these beside its index of
 * tags: it adds what a result's lookups examined when it stores the result, and asks when a change
 * is announced.  Results are stored before the next announcement is read, so none is missed.
 *
 * Nothing is taken out one by one: when the registry has doubled since the last sweep, the owner is
 * asked of every tag whether it is still in use.  Prefixes are as many as a route table has
 * distinct answers, not as many as destinations.  Above 'max' entries a router's whole set is
 * forgotten and tag_object(router), which every result of that router carries, stands for it.
 * Thread: one owner. */
#ifndef MN_TOPOLOGY_DST_TAGS_H
#define MN_TOPOLOGY_DST_TAGS_H

#include "topology/tags.h"

struct dst_tags;

typedef bool dst_tags_used_fn(tag_t tag, void *aux);

struct dst_tags *dst_tags_new(uint32_t max, dst_tags_used_fn *used, void *aux);
void dst_tags_free(struct dst_tags *d); /* null is fine */

/* After the result with this tag is stored.  Repeating is harmless.  Costs a walk of a trie; may
 * call 'used' for every entry. */
void dst_tags_add(struct dst_tags *d, const struct tag_dst *dst);

/* Calls 'fn' with each tag that a change of a route to 'prefix' on 'router' makes untrue. */
typedef void dst_tags_fn(tag_t tag, void *aux);
void dst_tags_changed(const struct dst_tags *d, topo_ref router, const struct cidr *prefix,
                      dst_tags_fn *fn, void *aux);

uint32_t dst_tags_size(const struct dst_tags *d);
size_t dst_tags_memory(const struct dst_tags *d);

#endif
