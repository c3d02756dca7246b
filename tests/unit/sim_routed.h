/* The network of the router tests, in either family. */
#ifndef MN_TESTS_SIM_ROUTED_H
#define MN_TESTS_SIM_ROUTED_H

#include "sim_fixture.h"

/*      a -- ba --(pa ra) rt (rb pb)-- bb -- b
 *                        |
 *                        up: exterior, to gateways .1 and .2                     */
struct net {
    struct dev *ba, *bb, *rt;
    struct prt *a, *b, *b2, *pa, *pb, *ra, *rb, *up;
    const char *ip_a, *ip_b, *far, *any;
    bool ip6;
};

#define MAC_A "02:00:00:00:00:0a"
#define MAC_B "02:00:00:00:00:0b"
#define MAC_G "02:00:00:00:00:01"

static inline struct net net_of(struct world *w, bool ip6)
{
    struct net n = {.ba = bridge(w, "ba"), .bb = bridge(w, "bb"), .rt = router(w, "rt")};

    n.ip6 = ip6;
    n.a = vm(n.ba, "a");
    n.b = vm(n.bb, "b");
    n.b2 = vm(n.bb, "b2");
    n.pa = port(n.ba, "pa");
    n.pb = port(n.bb, "pb");
    n.ra = rport(n.rt, "ra", ip6 ? "fd00:a::fe/64" : "10.0.1.254/24");
    n.rb = rport(n.rt, "rb", ip6 ? "fd00:b::fe/64" : "10.0.2.254/24");
    n.up = rport(n.rt, "up", ip6 ? "2001:db8::fe/64" : "192.0.2.254/24");
    n.up->host = "host1";
    n.ip_a = ip6 ? "fd00:a::1" : "10.0.1.1";
    n.ip_b = ip6 ? "fd00:b::1" : "10.0.2.1";
    n.far = ip6 ? "2001:dead::1" : "203.0.113.9";
    n.any = ip6 ? "::/0" : "0.0.0.0/0";
    plug(n.pa, n.ra);
    plug(n.pb, n.rb);
    publish(w);
    knows(n.ra, n.ip_a, MAC_A);
    knows(n.rb, n.ip_b, MAC_B);
    mac_behind(n.a, 0, MAC_A);
    mac_behind(n.b, 0, MAC_B);
    return n;
}

static inline struct flow_key from_a(const struct net *n, const char *dst)
{
    struct flow_key k = key_of(17, n->ip_a, dst, 1000, 2000);

    k.eth_src = MAC(MAC_A);
    k.eth_dst = n->ra->mac;
    return k;
}

/* An ICMP error reached a, from ra, about 'k' as it was sent. */
static inline void expect_error(const struct world *w, const struct net *n,
                                const struct flow_key *k, uint8_t type, uint8_t code)
{
    struct frame f = emitted(w, "a"), sent = frame_of(k);
    struct packet_layers l;
    struct flow_key e = parse_exact(f.b, f.size, &l);

    assert_int_equal(w->res.emits[0].kind, SIM_EMIT_ANSWER);
    assert_int_equal(e.ip_proto, n->ip6 ? 58 : 1);
    assert_int_equal(e.tp_src, type);
    assert_int_equal(e.tp_dst, code);
    assert_ip(&e.ip_src, n->ip6 ? "fd00:a::fe" : "10.0.1.254");
    assert_true(ip_equal(&e.ip_dst, &k->ip_src));
    assert_true(mac_equal(&e.eth_src, &n->ra->mac));
    assert_true(mac_equal(&e.eth_dst, &k->eth_src));
    size_t quoted = l.l4_end - l.l4 - 8;
    assert_memory_equal(f.b + l.l4 + 8, sent.b + 14, quoted);
    assert_true(w->res.brief);
    /* Whoever else is refused must hear of it too. */
    assert_true(mac_is_broadcast(&w->res.mask.eth_src));
    assert_int_equal(w->res.mask.ip_src.q[1], ~0ull);
}

#define BOTH(f)                                                                                    \
    static void test_##f##_ip4(void **state)                                                       \
    {                                                                                              \
        f(*state, false);                                                                          \
    }                                                                                              \
    static void test_##f##_ip6(void **state)                                                       \
    {                                                                                              \
        f(*state, true);                                                                           \
    }
#define both_tests(f) world_test(test_##f##_ip4), world_test(test_##f##_ip6)

#endif
