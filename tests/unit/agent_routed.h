/* A worker on a memory datapath (agent_rig.h), between machines of two bridges and a router:
 *
 *     a --+                                +-- z
 *     b --+-- left --(lp lr)-- rt --(rr rp)-- right
 */
#ifndef MN_TESTS_AGENT_ROUTED_H
#define MN_TESTS_AGENT_ROUTED_H

#include "agent_rig.h"

#define MAC_A "02:00:00:00:00:0a"
#define MAC_B "02:00:00:00:00:0b"
#define MAC_Z "02:00:00:00:00:0c"

struct net {
    struct rig *r;
    struct dev *left, *right, *rt;
    struct prt *a, *b, *z, *lr, *rr;
    uint32_t a_no;
};

static inline struct net routed_on(struct world *w, struct dp *dp, struct worker_options *opts)
{
    struct net n = {.left = bridge(w, "left"), .right = bridge(w, "right"), .rt = router(w, "rt")};

    n.a = vm(n.left, "a");
    n.b = vm(n.left, "b");
    n.z = vm(n.right, "z");
    n.lr = rport(n.rt, "lr", "10.0.1.1/24");
    n.rr = rport(n.rt, "rr", "10.0.2.1/24");
    plug(port(n.left, "lp"), n.lr);
    plug(port(n.right, "rp"), n.rr);
    publish(w);
    n.r = rig_new_on(w, opts, dp);
    n.a_no = rig_plug(n.r, n.a);
    rig_plug(n.r, n.b);
    rig_plug(n.r, n.z);
    return n;
}

static inline struct net routed(struct world *w)
{
    return routed_on(w, NULL, &(struct worker_options){0});
}

/* a to z, through the router. */
static inline struct flow_key a_to_z(const struct net *n, uint16_t sport)
{
    struct flow_key k = key_of(17, "10.0.1.10", "10.0.2.10", sport, 53);

    k.eth_src = MAC(MAC_A);
    k.eth_dst = n->lr->mac;
    return k;
}

static inline struct flow_key at_z(const struct net *n, uint16_t sport)
{
    struct flow_key k = a_to_z(n, sport);

    k.eth_src = n->rr->mac;
    k.eth_dst = MAC(MAC_Z);
    k.ip_ttl--;
    return k;
}

static inline struct flow_key bridged(const char *src, const char *dst)
{
    struct flow_key k = key_of(17, "10.0.1.10", "10.0.1.11", 1, 2);

    k.eth_src = MAC(src);
    k.eth_dst = MAC(dst);
    return k;
}

static inline void answer_arp(struct net *n)
{
    uint8_t buf[128];
    struct mac mac_z = MAC(MAC_Z);
    struct ip z = IP("10.0.2.10"), gw = IP("10.0.2.1");
    size_t size = packet_arp(buf, sizeof buf, 2, &mac_z, &n->rr->mac, &mac_z, &z, &n->rr->mac, &gw);

    assert_int_equal(memory_inject(n->r->dp, "z", buf, size), 0);
    rig_run(n->r);
}

#endif
