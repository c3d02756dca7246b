/* From virtual ports to this host's ports and tunnels.
 *
 * A virtual output goes out of the datapath port that serves it here, or into the tunnel to the
 * host that serves it: from this host's address to that one's in the first overlay zone both are
 * members of, with the port's tunnel key.  While the port's machine moves from one host to another,
 * to both.  A copy that has no way is left out and remembered as the
 * reason, should none be left. Thread: any registered topology reader. */
#ifndef MN_AGENT_TRANSLATE_H
#define MN_AGENT_TRANSLATE_H

#include "agent/drops.h"
#include "agent/portmap.h"
#include "base/mem.h"

struct translation {
    struct flow_out *outs;        /* in the arena */
    const struct sim_out **whole; /* outs[i] sends the bytes of whole[i] unless that is null; null
                                   * when all do the packet that came in */
    uint16_t n_outs;
    uint8_t ttl_dec; /* the most any output takes off */
    tag_t *tags;     /* in the arena: what was consulted here */
    uint32_t n_tags;
    uint32_t n_lost;        /* copies left out */
    struct drop_cause lost; /* why the last of them */
    bool brief;             /* that may pass without a tag telling */
};

void translate(const struct topo *topo, const struct portmap *map, topo_ref local_host,
               const struct flow_key *from, const struct sim_out *outs, uint32_t n_outs,
               struct arena *arena, struct translation *t);

/* How to reach another host: both addresses and the encapsulation; false when they share no zone.
 */
bool translate_way(const struct topo *topo, topo_ref local_host, topo_ref host,
                   struct flow_out *out);

/* Zeroes what the output doesn't use: two outputs that do the same are then equal. */
void translate_clean(struct flow_out *out);
/* The same (clean) outputs give the same hash in every process. */
uint32_t translate_hash(const struct flow_out *outs, uint16_t n);

#endif
