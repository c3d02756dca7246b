/* A site whose router translates: what the tests of translation share.
 *
 *      a -- ba --(pa ra) rt (rb pb)-- bb -- b
 *                        |
 *                        up: to the world, behind gateway 192.0.2.1 */
#ifndef MN_TESTS_SIM_SITE_H
#define MN_TESTS_SIM_SITE_H

#include "sim_conns.h"

struct site {
    struct world *w;
    struct net n;
    struct state *s;
    struct chn *in, *out; /* of rt */
    const char *own;      /* what rt hides others behind */
    const char *gw, *other;
    bool ip6;
};

static inline struct site site_of(struct world *w, bool ip6)
{
    struct site t = {.w = w, .ip6 = ip6, .n = net_of(w, ip6)};

    t.own = ip6 ? "2001:db8::fe" : "192.0.2.254";
    t.gw = ip6 ? "2001:db8::1" : "192.0.2.1";
    t.other = ip6 ? "fd00:a::2" : "10.0.1.2";
    t.in = chain(w, "in");
    t.out = chain(w, "out");
    t.n.rt->infilter = t.in->ref;
    t.n.rt->outfilter = t.out->ref;
    add_route(t.n.rt, "default", t.n.any, TOPO_HOP_PORT, t.n.up, t.gw);
    knows(t.n.up, t.gw, MAC_G);
    knows(t.n.ra, t.other, "02:00:00:00:00:02");
    mac_behind(t.n.a, 0, "02:00:00:00:00:02");
    t.s = with_state(w);
    return t;
}

static inline const char *target(const struct site *t, const char *ports)
{
    static char text[60];

    snprintf(text, sizeof text, t->ip6 ? "[%s]%s%s" : "%s%s%s", t->own, *ports ? ":" : "", ports);
    return text;
}

static inline void hide(struct site *t, const char *ports)
{
    rule(t->in, "rev_snat in-ports up");
    rule(t->out, "snat out-ports up target %s", target(t, ports));
    publish(t->w);
}

static inline struct flow_key from_host(const struct site *t, const char *src, uint16_t sport)
{
    struct flow_key k = from_a(&t->n, t->n.far);

    k.ip_src = IP(src);
    k.tp_src = sport;
    return k;
}

static inline void serve(struct site *t, const char *to)
{
    rule(t->in, "dnat in-ports up dst %s target %s", t->own, to);
    rule(t->out, "rev_dnat out-ports up");
    publish(t->w);
}

static inline struct flow_key from_world(const struct site *t, uint8_t proto, uint16_t sport)
{
    struct flow_key k = key_of(proto, t->n.far, t->own, sport, 80);

    k.eth_src = MAC(MAC_G);
    k.eth_dst = t->n.up->mac;
    return k;
}

#endif
