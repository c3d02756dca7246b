/* Routes by longest destination prefix, both families in one table (mapped space, base/types.h).
 *
 * A lookup walks candidate sets from the longest prefix to the shortest (behaviour.md section 6):
 * within one prefix the routes whose source prefix contains the packet's source, of them those of
 * lowest weight, active ones only (their port is up; the caller's filter decides).  It also says
 * how many bits of destination and source decided, so that a flow mask stays as wide as is
 * correct: any packet that agrees in those bits gets the same answer.
 * Built once and immutable, like the router that owns it; building n routes costs O(n log n). */
#ifndef MN_TOPOLOGY_LPM_H
#define MN_TOPOLOGY_LPM_H

#include "topology/topology.h"

struct topo_lpm *topo_lpm_build(const struct topo_route *routes, size_t n);
void topo_lpm_free(struct topo_lpm *l);
size_t topo_lpm_size(const struct topo_lpm *l); /* routes in it */
const struct topo_route *topo_lpm_routes(const struct topo_lpm *l);

typedef bool topo_lpm_usable(const struct topo_route *r, void *aux);

struct topo_lpm_result {
    const struct topo_route *best[32]; /* equal candidates, sorted by id; the first 32 */
    unsigned n;                        /* 0: no route */
    unsigned dst_bits, src_bits;       /* that decided, 0..128 in mapped space */
};
void topo_lpm_lookup(const struct topo_lpm *l, const struct ip *dst, const struct ip *src,
                     topo_lpm_usable *usable, void *aux, struct topo_lpm_result *out);

#endif
