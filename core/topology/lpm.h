/* Routes by longest destination prefix, both families in one table (mapped space, base/types.h).
 *
 * A lookup walks candidate sets from the longest prefix to the shortest (behaviour.md section 6):
 * within one prefix the routes whose source prefix contains the packet's source, of them those of
 * lowest weight, usable ones only (their port is up; the caller's filter decides).  It also says
 * how many bits of destination and source decided, so that a flow mask stays as wide as is
 * correct: any packet of the same family that agrees in those bits gets the same answer for as long
 * as the filter answers the same for the routes it was asked about.
 *
 * The prefixes are a path-compressed binary trie per family; a bit counts as examined when it is
 * part of the winning prefix or when the other side of its fork holds a prefix.  Routes of one
 * destination prefix are scanned in order of weight: thousands of sources below one destination
 * would want an index of their own.
 *
 * Immutable once built; building n routes costs O(n log n).  Thread: any reader. */
#ifndef MN_TOPOLOGY_LPM_H
#define MN_TOPOLOGY_LPM_H

#include "topology/topology.h"

/* Copies the routes; prefixes are cut to their network part. */
struct topo_lpm *topo_lpm_build(const struct topo_route *routes, size_t n);
void topo_lpm_free(struct topo_lpm *l);         /* null is fine */
size_t topo_lpm_size(const struct topo_lpm *l); /* routes in it; 0 for null */
/* By destination prefix, then weight, then id. */
const struct topo_route *topo_lpm_routes(const struct topo_lpm *l);
size_t topo_lpm_memory(const struct topo_lpm *l);

/* Asked only about routes that match and could win. */
typedef bool topo_lpm_usable(const struct topo_route *r, void *aux);

#define TOPO_LPM_BEST 32

struct topo_lpm_result {
    const struct topo_route *best[TOPO_LPM_BEST]; /* equal candidates by id; the first 32 */
    unsigned n;                                   /* 0: no route */
    unsigned dst_bits; /* that decided, in mapped space: 96..128 for IPv4, 0..128 for IPv6 */
    unsigned src_bits; /* likewise, or 0 when the source didn't matter */
};
/* 'l' may be null (no routes), 'usable' too (all are). */
void topo_lpm_lookup(const struct topo_lpm *l, const struct ip *dst, const struct ip *src,
                     topo_lpm_usable *usable, void *aux, struct topo_lpm_result *out);

#endif
