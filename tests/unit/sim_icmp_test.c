/* Routers: what ends there, and what the sender is told; for both families. */
#include "sim_routed.h"

static void bad_ends(struct world *w, bool ip6)
{
    struct net n = net_of(w, ip6);
    struct flow_key k = from_a(&n, n.far);

    send_key(w, "a", &k);
    expect_drop(w, SIM_NO_ROUTE, "rt");
    expect_error(w, &n, &k, ip6 ? 1 : 3, 0);

    add_route(n.rt, "rejected", n.any, TOPO_HOP_REJECT, NULL, NULL);
    publish(w);
    send_key(w, "a", &k);
    expect_drop(w, SIM_REJECT_ROUTE, "rejected");
    assert_int_equal(w->res.reason_kind, TOPO_ROUTE);
    expect_error(w, &n, &k, ip6 ? 1 : 3, ip6 ? 6 : 13);

    n.rt->routes[n.rt->n_routes - 1].hop = TOPO_HOP_BLACKHOLE;
    publish(w);
    send_key(w, "a", &k);
    expect_drop(w, SIM_BLACKHOLE, "rejected");
    assert_int_equal(w->res.n_emits, 0);

    k = from_a(&n, ip6 ? "fd00:b::fe" : "10.0.2.254");
    send_key(w, "a", &k);
    expect_drop(w, SIM_TO_ROUTER, "rt");
    assert_int_equal(w->res.n_emits, 0);
    n.rt->n_routes = 0; /* the same without LOCAL routes */
    add_route(n.rt, "rb-net", ip6 ? "fd00:b::/64" : "10.0.2.0/24", TOPO_HOP_PORT, n.rb, NULL);
    publish(w);
    send_key(w, "a", &k);
    expect_drop(w, SIM_TO_ROUTER, "rb");
}

static void ttl(struct world *w, bool ip6)
{
    struct net n = net_of(w, ip6);
    struct flow_key k = from_a(&n, n.ip_b);

    for (uint8_t left = 0; left < 2; left++) {
        k.ip_ttl = left;
        send_key(w, "a", &k);
        expect_drop(w, SIM_TTL, "rt");
        assert_true(w->res.no_flow);
        expect_error(w, &n, &k, ip6 ? 3 : 11, 0);
    }
    k.ip_ttl = 2;
    send_key(w, "a", &k);
    assert_int_equal(expect_out(w, "b")->ip_ttl, 1);
}

static void echo(struct world *w, bool ip6)
{
    struct net n = net_of(w, ip6);
    const char *own[] = {ip6 ? "fd00:a::fe" : "10.0.1.254", ip6 ? "fd00:b::fe" : "10.0.2.254"};

    for (unsigned i = 0; i < 2; i++) {
        struct flow_key k = from_a(&n, own[i]);
        k.ip_proto = ip6 ? 58 : 1;
        k.tp_src = ip6 ? 128 : 8;
        k.tp_dst = 0;
        k.icmp_id = 99;
        k.ip_ttl = 1; /* arriving isn't forwarding */
        send_key(w, "a", &k);
        expect_verdict(w, SIM_ANSWERED);
        struct frame f = emitted(w, "a");
        struct flow_key r = parse(&f);
        assert_ip(&r.ip_src, own[i]);
        assert_ip(&r.ip_dst, n.ip_a);
        assert_int_equal(r.tp_src, ip6 ? 129 : 0);
        assert_int_equal(r.icmp_id, 99);
        assert_true(mac_equal(&r.eth_src, &n.ra->mac));
        assert_mac(&r.eth_dst, MAC_A);
        assert_memory_equal(f.b + f.size - 16, "0123456789abcdef", 16);
    }
}

/* The reply waits for the asker's MAC as anything routed does. */
static void test_echo_needs_neighbour(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w, false);
    struct flow_key k = from_a(&n, "10.0.1.254");

    k.ip_src = IP("10.0.1.55");
    k.ip_proto = 1;
    k.tp_src = 8;
    k.tp_dst = 0;
    send_key(w, "a", &k);
    expect_verdict(w, SIM_NEED);
    assert_int_equal(w->res.n_emits, 1); /* the question alone */
    assert_int_equal(w->res.emits[0].kind, SIM_EMIT_SOLICIT);
}

static void admin_state(struct world *w, bool ip6)
{
    struct net n = net_of(w, ip6);
    struct flow_key k = from_a(&n, n.ip_b);
    uint8_t type = ip6 ? 1 : 3, code = ip6 ? 1 : 13;

    n.rt->down = true;
    publish(w);
    send_key(w, "a", &k);
    expect_drop(w, SIM_ROUTER_DOWN, "rt");
    expect_error(w, &n, &k, type, code);
    n.rt->down = false;

    n.ra->down = true; /* even through the port that is down */
    publish(w);
    send_key(w, "a", &k);
    expect_drop(w, SIM_PORT_DOWN, "ra");
    expect_error(w, &n, &k, type, code);
    n.ra->down = false;

    n.rb->down = true; /* its routes go with it */
    publish(w);
    send_key(w, "a", &k);
    expect_drop(w, SIM_NO_ROUTE, "rt");
    n.rb->down = false;

    n.pb->down = true; /* a bridge port: silence */
    publish(w);
    send_key(w, "a", &k);
    expect_drop(w, SIM_PORT_DOWN, "pb");
    assert_int_equal(w->res.n_emits, 0);
    n.pb->down = false;
    n.pa->down = true;
    publish(w);
    send_key(w, "a", &k);
    expect_drop(w, SIM_PORT_DOWN, "pa");
    assert_int_equal(w->res.n_emits, 0);
}

static void exterior_router_port_down(struct world *w, bool ip6)
{
    struct net n = net_of(w, ip6);
    struct flow_key k = key_of(17, n.far, n.ip_a, 5, 6);

    n.up->down = true;
    publish(w);
    k.eth_src = MAC(MAC_G);
    k.eth_dst = n.up->mac;
    send_key(w, "up", &k);
    expect_drop(w, SIM_PORT_DOWN, "up");
    struct frame f = emitted(w, "up");
    struct flow_key e = parse(&f);
    assert_mac(&e.eth_dst, MAC_G);
    assert_ip(&e.ip_src, ip6 ? "2001:db8::fe" : "192.0.2.254");
}

/* Sent for none of these (RFC 1812 4.3.2.7, RFC 4443 2.4): the packet is dropped all the same. */
static void no_error_about(struct world *w, bool ip6)
{
    struct net n = net_of(w, ip6);
    struct flow_key base = from_a(&n, n.far), k;

    send_key(w, "a", &base);
    assert_int_equal(w->res.n_emits, 1);
    k = base; /* an ICMP error */
    k.ip_proto = ip6 ? 58 : 1;
    k.tp_src = ip6 ? 1 : 3;
    k.tp_dst = 0;
    send_key(w, "a", &k);
    expect_drop(w, SIM_NO_ROUTE, "rt");
    assert_int_equal(w->res.n_emits, 0);
    k.tp_src = ip6 ? 128 : 8; /* a request may be answered with an error */
    send_key(w, "a", &k);
    assert_int_equal(w->res.n_emits, 1);
    k = base;
    k.ip_frag = FLOW_FRAG_LATER;
    k.tp_src = k.tp_dst = 0;
    send_key(w, "a", &k);
    expect_drop(w, SIM_NO_ROUTE, "rt");
    assert_int_equal(w->res.n_emits, 0);
    k.ip_frag = FLOW_FRAG_FIRST;
    k.tp_src = 1;
    send_key(w, "a", &k);
    assert_int_equal(w->res.n_emits, 1);
    if (ip6)
        return;
    n.rt->n_routes = 0;
    publish(w);
    k = base;
    k.ip_dst = IP("10.0.1.255");
    send_key(w, "a", &k);
    expect_drop(w, SIM_NO_ROUTE, "rt");
    assert_int_equal(w->res.n_emits, 0);
    k = base;
    k.ip_src = IP("10.0.1.255");
    send_key(w, "a", &k);
    assert_int_equal(w->res.n_emits, 0);
}

static void test_link_local_source_stays(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w, true);
    struct flow_key k = from_a(&n, n.ip_b);

    k.ip_src = IP("fe80::a");
    send_key(w, "a", &k);
    expect_drop(w, SIM_LINK_LOCAL, "rt");
    struct frame f = emitted(w, "a");
    struct flow_key e = parse(&f);
    assert_int_equal(e.tp_src, 1);
    assert_int_equal(e.tp_dst, 2); /* beyond scope of source address */
    struct ip ll = ip_link_local_of_mac(&n.ra->mac);
    assert_true(ip_equal(&e.ip_src, &ll));

    /* It may talk to the router itself, by either kind of address. */
    knows(n.ra, "fe80::a", MAC_A);
    k.ip_proto = 58;
    k.tp_src = 128;
    k.tp_dst = 0;
    for (unsigned i = 0; i < 2; i++) {
        k.ip_dst = i ? ll : IP("fd00:a::fe");
        send_key(w, "a", &k);
        expect_verdict(w, SIM_ANSWERED);
        f = emitted(w, "a");
        e = parse(&f);
        assert_ip(&e.ip_dst, "fe80::a");
        assert_true(ip_equal(&e.ip_src, &k.ip_dst));
    }
}

BOTH(bad_ends)
BOTH(ttl)
BOTH(echo)
BOTH(admin_state)
BOTH(exterior_router_port_down)
BOTH(no_error_about)

int main(void)
{
    const struct CMUnitTest tests[] = {
        both_tests(bad_ends),       both_tests(ttl),
        both_tests(echo),           world_test(test_echo_needs_neighbour),
        both_tests(admin_state),    both_tests(exterior_router_port_down),
        both_tests(no_error_about), world_test(test_link_local_source_stays),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
