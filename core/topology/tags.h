/* Tags: what a simulated packet depended on.
 *
 * Whoever keeps the result of a simulation keeps its tags; a change announces the tags it makes
 * untrue, and results that carry one of them are dropped or simulated again.  A tag is 64 bits:
 * kind in the top byte, a hash of the parts below; a collision costs a needless re-simulation.
 * Thread: pure. */
#ifndef MN_TOPOLOGY_TAGS_H
#define MN_TOPOLOGY_TAGS_H

#include <stdint.h>

#include "base/hash.h"
#include "topology/topology.h"

typedef uint64_t tag_t;

enum tag_kind {
    TAG_OBJECT = 1,   /* port, bridge, router, chain, group, host: anything of it changed */
    TAG_BRIDGE_MAC,   /* (bridge, vlan, mac): where that MAC is */
    TAG_BRIDGE_FLOOD, /* bridge: which ports a flood reaches */
    TAG_ROUTE_DST,    /* (router, prefix bits): routes within this destination prefix */
    TAG_NEIGH,        /* (router port, ip): the neighbour entry */
    TAG_TUNNEL,       /* host: how to reach it */
    TAG_STATE_KEY,    /* connection tracking or NAT key (state/state.h) */
    TAG_GROUP_IP,     /* (address group, ip): whether it is a member (policy.h) */
};

static inline tag_t tag_make(enum tag_kind kind, uint64_t h)
{
    return (uint64_t)kind << 56 | (h & 0x00ffffffffffffffull);
}

static inline tag_t tag_object(topo_ref ref)
{
    return tag_make(TAG_OBJECT, hash_u64(ref));
}

static inline tag_t tag_flood(topo_ref bridge)
{
    return tag_make(TAG_BRIDGE_FLOOD, hash_u64(bridge));
}

static inline tag_t tag_bridge_mac(topo_ref bridge, uint16_t vlan, const struct mac *mac)
{
    return tag_make(TAG_BRIDGE_MAC, hash_u64(mac_u64(mac) << 16 ^ vlan ^ hash_u64(bridge)));
}

static inline tag_t tag_neigh(topo_ref port, const struct ip *ip)
{
    return tag_make(TAG_NEIGH, hash_u64(ip->q[1] ^ hash_u64(ip->q[0] ^ port)));
}

static inline tag_t tag_tunnel(topo_ref host)
{
    return tag_make(TAG_TUNNEL, hash_u64(host));
}

/* Destination tags: a lookup that ended with 'bits' (topo_lpm_result.dst_bits) of 'dst' examined
 * carries the tag of exactly that prefix.  A change of a route for prefix P makes untrue the tags
 * of all prefixes inside P and of those that contain P: it is announced as that prefix, and
 * whoever keeps results finds the tags in the registry of dst_tags.h. */
static inline tag_t tag_route_dst(topo_ref router, const struct ip *dst, unsigned bits)
{
    struct ip net = *dst;

    for (unsigned i = 0; i < 4; i++) {
        unsigned used = bits > 32 * i ? bits - 32 * i : 0;
        if (used < 32)
            net.w[i] &= used ? __builtin_bswap32(~0u << (32 - used)) : 0;
    }
    return tag_make(TAG_ROUTE_DST,
                    hash_u64(net.q[0] ^ hash_u64(net.q[1] ^ (uint64_t)router << 8 ^ bits)));
}

/* What such a tag was made of, for that registry. */
struct tag_dst {
    struct ip dst;
    topo_ref router;
    uint8_t bits;
};

static inline tag_t tag_of_dst(const struct tag_dst *d)
{
    return tag_route_dst(d->router, &d->dst, d->bits);
}

/* Something made untrue: a tag, or (tag 0) what lookups on 'router' found for destinations within
 * 'prefix'. */
struct tag_change {
    tag_t tag;
    topo_ref router;
    struct cidr prefix;
};

#endif
