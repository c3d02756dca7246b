/* Routers: which route is taken, and the trail that says so. */
#include "sim_routed.h"

static void route_choice(struct world *w, bool ip6)
{
    struct net n = net_of(w, ip6);
    const char *wide = ip6 ? "2001:dead::/16" : "203.0.0.0/16",
               *narrow = ip6 ? "2001:dead::/32" : "203.0.113.0/24";
    struct flow_key k = from_a(&n, n.far);

    struct topo_route *low = add_route(n.rt, "wide", wide, TOPO_HOP_REJECT, NULL, NULL);
    low->weight = 1;
    struct topo_route *r = add_route(n.rt, "narrow10", narrow, TOPO_HOP_BLACKHOLE, NULL, NULL);
    r->weight = 10;
    r = add_route(n.rt, "narrow20", narrow, TOPO_HOP_REJECT, NULL, NULL);
    r->weight = 20;
    publish(w);
    send_key(w, "a", &k);
    expect_drop(w, SIM_BLACKHOLE, "narrow10"); /* longest first, then lightest */
    /* A source prefix that doesn't fit is passed over; one that fits counts with its weight. */
    r = add_route(n.rt, "not-a", narrow, TOPO_HOP_REJECT, NULL, NULL);
    r->src = CIDR(ip6 ? "fd00:c::/64" : "10.7.0.0/16");
    publish(w);
    send_key(w, "a", &k);
    expect_drop(w, SIM_BLACKHOLE, "narrow10");
    /* 10.0 isn't 10.7, fd00:a isn't fd00:c: that much of the source had to be read. */
    assert_int_equal(w->res.mask.ip_src.b[ip6 ? 3 : 13], 0xfc);
    r->src = CIDR(ip6 ? "fd00:a::/64" : "10.0.1.0/24");
    publish(w);
    send_key(w, "a", &k);
    expect_drop(w, SIM_REJECT_ROUTE, "not-a");
    n.rt->n_routes -= 3;
    publish(w);
    send_key(w, "a", &k);
    expect_drop(w, SIM_REJECT_ROUTE, "wide");
}

/* A route is as good as its port. */
static void test_inactive_route(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w, false);
    struct flow_key k = from_a(&n, n.far);

    add_route(n.rt, "narrow", "203.0.113.0/24", TOPO_HOP_PORT, n.up, "192.0.2.1");
    add_route(n.rt, "backup", "203.0.0.0/16", TOPO_HOP_BLACKHOLE, NULL, NULL);
    knows(n.up, "192.0.2.1", MAC_G);
    n.up->host = "host2";
    publish(w);
    send_key(w, "a", &k);
    expect_out(w, "up");
    n.up->inactive = true;
    publish(w);
    send_key(w, "a", &k);
    expect_drop(w, SIM_BLACKHOLE, "backup");
    assert_true(has_tag(w, tag_object(n.up->ref))); /* its coming back matters */
    n.up->inactive = false;
    n.up->host = NULL;
    publish(w);
    send_key(w, "a", &k);
    expect_drop(w, SIM_BLACKHOLE, "backup");
    n.up->host = "host2";
    publish(w);
    topo_unload(w->topo, n.up->ref);
    send_key(w, "a", &k);
    expect_verdict(w, SIM_NEED);
    assert_int_equal(w->res.n_emits, 0);
    publish_missing(w, TOPO_PORT, "up");
    send_key(w, "a", &k);
    expect_drop(w, SIM_BLACKHOLE, "backup");
}

enum { N_WAYS = 4, N_FLOWS = 1000 };

/* Which of the equal routes each of many connections takes. */
static void ways(struct world *w, struct net *n, uint8_t taken[N_FLOWS])
{
    for (unsigned i = 0; i < N_FLOWS; i++) {
        struct flow_key k = from_a(n, n->far);
        k.tp_src = (uint16_t)(1000 + i);
        w->skip_mask_check = i % 100;
        send_key(w, "a", &k);
        taken[i] = expect_out(w, "up")->eth_dst.b[5];
    }
}

static const char *const way_ids[] = {"way0", "way1", "way2", "way3"};

/* Equal default routes by gateways prefix.1 to prefix.4 behind 'out'. */
static void add_ways(struct dev *rt, struct prt *out, const char *prefix)
{
    for (unsigned i = 0; i < N_WAYS; i++) {
        char gw[16], mac[20];
        snprintf(gw, sizeof gw, "%s.%u", prefix, i + 1);
        snprintf(mac, sizeof mac, "02:00:00:00:01:%02x", i);
        add_route(rt, way_ids[i], "0.0.0.0/0", TOPO_HOP_PORT, out, gw);
        knows(out, gw, mac);
    }
}

static void test_equal_cost(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w, false);
    uint8_t before[N_FLOWS], after[N_FLOWS];
    unsigned count[N_WAYS] = {0};

    add_ways(n.rt, n.up, "192.0.2");
    publish(w);
    ways(w, &n, before);
    for (unsigned i = 0; i < N_FLOWS; i++)
        count[before[i]]++;
    for (unsigned i = 0; i < N_WAYS; i++)
        assert_in_range(count[i], N_FLOWS / N_WAYS * 7 / 10, N_FLOWS / N_WAYS * 13 / 10);
    assert_int_equal(w->res.mask.tp_src, 0xffff);
    assert_int_equal(w->res.mask.tp_dst, 0xffff);

    /* Without one of them only its own connections move. */
    n.rt->routes[n.rt->n_routes - 2] = n.rt->routes[n.rt->n_routes - 1];
    n.rt->n_routes--;
    publish(w);
    ways(w, &n, after);
    for (unsigned i = 0; i < N_FLOWS; i++) {
        if (before[i] != 2)
            assert_int_equal(after[i], before[i]);
        else
            assert_int_not_equal(after[i], 2);
    }
}

/* The other direction of a connection picks the same, on another router with the same routes. */
static void test_equal_cost_is_symmetric(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w, false);
    struct flow_key k = from_a(&n, n.far), back = key_of(17, n.far, n.ip_a, 2000, 1000);
    struct dev *other = router(w, "other");
    struct prt *in = rport(other, "in", "203.0.113.1/24"),
               *out = rport(other, "out", "10.8.0.9/24");

    in->host = out->host = "host1";
    add_ways(n.rt, n.up, "192.0.2");
    add_ways(other, out, "10.8.0");
    publish(w);
    back.eth_dst = in->mac;
    for (uint16_t i = 0; i < 64; i++) {
        k.tp_src = back.tp_dst = (uint16_t)(5000 + i);
        send_key(w, "a", &k);
        uint8_t there = expect_out(w, "up")->eth_dst.b[5];
        send_key(w, "in", &back);
        assert_int_equal(expect_out(w, "out")->eth_dst.b[5], there);
    }
}

/* Fragments of one datagram go one way, though only the first has ports. */
static void test_equal_cost_fragments(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w, false);

    for (unsigned i = 0; i < 2; i++) {
        add_route(n.rt, i ? "x" : "y", "0.0.0.0/0", TOPO_HOP_PORT, n.up,
                  i ? "192.0.2.1" : "192.0.2.2");
        knows(n.up, i ? "192.0.2.1" : "192.0.2.2", i ? MAC_G : MAC_B);
    }
    publish(w);
    for (uint16_t port = 1; port < 20; port++) {
        struct flow_key k = from_a(&n, n.far);
        k.tp_src = port;
        k.ip_frag = FLOW_FRAG_FIRST;
        send_key(w, "a", &k);
        struct mac first = expect_out(w, "up")->eth_dst;
        k.ip_frag = FLOW_FRAG_LATER;
        k.tp_src = k.tp_dst = 0;
        send_key(w, "a", &k);
        assert_true(mac_equal(&expect_out(w, "up")->eth_dst, &first));
    }
}

static void test_trail(void **state)
{
    static const char *const want[] = {
        "enters bridge ba by port a",
        "destination MAC is that of port ra",
        "enters router rt by port ra",
        "route 203.0.113.0/24 via 192.0.2.1 through port up, weight 7",
        "next hop 192.0.2.1 is at 02:00:00:00:00:01",
        "leaves by port up",
    };
    struct world *w = *state;
    struct net n = net_of(w, false);
    struct flow_key k = from_a(&n, n.far);

    add_route(n.rt, "onwards", "203.0.113.0/24", TOPO_HOP_PORT, n.up, "192.0.2.1")->weight = 7;
    publish(w);
    knows(n.up, "192.0.2.1", MAC_G);
    send_key(w, "a", &k);
    trace(w);
    assert_int_equal(w->res.n_steps, ARRAY_SIZE(want));
    for (unsigned i = 0; i < ARRAY_SIZE(want); i++)
        assert_string_equal(w->res.steps[i].text, want[i]);
    const struct sim_step *s = &w->res.steps[3];
    assert_int_equal(s->object_kind, TOPO_ROUTE);
    struct uuid id = uuid_of("onwards");
    assert_true(uuid_equal(&s->object, &id));
    assert_int_equal(s->device, n.rt->ref);
    k = from_a(&n, "10.0.2.77"); /* an end that is no end yet */
    send_key(w, "a", &k);
    trace(w);
    assert_string_equal(w->res.steps[w->res.n_steps - 1].text, "waits for the neighbour's answer");
}

/* More tags than are searched one by one. */
static void test_many_tags(void **state)
{
    struct world *w = *state;
    struct prt *in = NULL, *last = NULL;
    char names[25][3][8];

    for (unsigned i = 0; i < 25; i++) {
        snprintf(names[i][0], 8, "r%u", i);
        snprintf(names[i][1], 8, "l%u", i);
        snprintf(names[i][2], 8, "x%u", i);
        struct dev *rt = router(w, names[i][0]);
        struct prt *left = rport(rt, names[i][1], "10.1.0.2/30");
        if (last)
            plug(last, left);
        else
            in = left;
        last = rport(rt, names[i][2], "10.2.0.1/30");
        add_route(rt, "out", "0.0.0.0/0", TOPO_HOP_PORT, last, "10.2.0.2");
    }
    in->host = last->host = "host1";
    knows(last, "10.2.0.2", MAC_B);
    publish(w);
    struct flow_key k = key_of(17, "192.0.2.1", "203.0.113.1", 1, 2);
    k.eth_dst = in->mac;
    send_key(w, "l0", &k);
    assert_int_equal(expect_out(w, "x24")->ip_ttl, 64 - 25);
    assert_true(w->res.n_tags > 96); /* send_key has checked that none is there twice */
    for (unsigned i = 0; i < 25; i++)
        assert_true(has_tag(w, tag_object(ref_of(w, names[i][0]))));
}

BOTH(route_choice)

int main(void)
{
    const struct CMUnitTest tests[] = {
        both_tests(route_choice),
        world_test(test_inactive_route),
        world_test(test_equal_cost),
        world_test(test_equal_cost_is_symmetric),
        world_test(test_equal_cost_fragments),
        world_test(test_trail),
        world_test(test_many_tags),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
