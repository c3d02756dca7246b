/* Routers: forwarding, next hops, frames and addresses that are refused; for both families. */
#include "sim_routed.h"

static void forwards(struct world *w, bool ip6)
{
    struct net n = net_of(w, ip6);
    struct flow_key k = from_a(&n, n.ip_b), m;
    struct ip dst = IP(n.ip_b);

    send_key(w, "a", &k);
    const struct flow_key *h = expect_out(w, "b");
    assert_mac(&h->eth_dst, MAC_B);
    assert_true(mac_equal(&h->eth_src, &n.rb->mac));
    assert_int_equal(h->ip_ttl, 63);
    assert_false(w->res.no_flow);
    assert_false(w->res.brief);
    assert_int_equal(w->res.n_emits, 0);
    assert_int_equal(w->res.n_dsts, 1);
    assert_true(has_tag(w, tag_of_dst(&w->res.dsts[0])));
    assert_true(has_tag(w, tag_neigh(n.rb->ref, &dst)));
    const topo_ref objects[] = {n.a->ref,  n.ba->ref, n.pa->ref, n.ra->ref, n.rt->ref,
                                n.rb->ref, n.pb->ref, n.bb->ref, n.b->ref};
    for (unsigned i = 0; i < ARRAY_SIZE(objects); i++)
        assert_true(has_tag(w, tag_object(objects[i])));
    /* On-link: the whole destination decides; of the source next to nothing, of ports nothing. */
    m = w->res.mask;
    assert_int_equal(m.ip_dst.q[1], ~0ull);
    assert_true(m.ip_src.q[1] != ~0ull);
    assert_int_equal(m.tp_src | m.tp_dst | m.ip_proto | m.ip_tos | m.ip_frag, 0);
}

static void through_gateway(struct world *w, bool ip6)
{
    struct net n = net_of(w, ip6);
    const char *gw = ip6 ? "2001:db8::1" : "192.0.2.1";
    struct flow_key k = from_a(&n, n.far);

    add_route(n.rt, "default", n.any, TOPO_HOP_PORT, n.up, gw);
    publish(w);
    knows(n.up, gw, MAC_G);
    send_key(w, "a", &k);
    const struct flow_key *h = expect_out(w, "up");
    assert_mac(&h->eth_dst, MAC_G);
    assert_true(mac_equal(&h->eth_src, &n.up->mac));
    /* The rest of the Internet shares the flow: only the bits that tell it from the routes, and
     * from what is never routed, were looked at. */
    assert_int_equal(w->res.mask.ip_dst.b[15], 0);
}

/* What was flooded behind rb to learn who has 'ip'. */
static struct flow_key expect_question(const struct world *w, const struct net *n,
                                       const struct ip *ip)
{
    struct frame f = emitted(w, "b2"), same = emitted(w, "b");
    const struct sim_emit *e = &w->res.emits[0];
    struct flow_key req = parse(&f);
    struct sim_emit again;
    struct arena arena;

    assert_int_equal(e->kind, SIM_EMIT_SOLICIT);
    assert_int_equal(e->n_outs, 2);
    assert_int_equal(e->port, n->rb->ref);
    assert_true(ip_equal(&e->ip, ip));
    assert_memory_equal(f.b, same.b, f.size);
    assert_ip(&req.ip_src, n->ip6 ? "fd00:b::fe" : "10.0.2.254");
    assert_true(mac_equal(&req.eth_src, &n->rb->mac));
    if (n->ip6)
        assert_mac(&req.eth_dst, "33:33:ff:00:00:77");
    else
        assert_true(ip_equal(&req.ip_dst, ip) && mac_is_broadcast(&req.eth_dst));
    arena_init(&arena, 4096);
    sim_solicit(w->topo, w->now, n->rb->ref, ip, &arena, &again); /* the same by the clock */
    assert_int_equal(again.n_outs, 2);
    assert_int_equal(again.size, f.size);
    assert_memory_equal(again.packet, f.b, f.size);
    arena_free(&arena);
    return req;
}

/* Learned, and consumed. */
static void answer_question(struct world *w, const struct net *n, const struct flow_key *req,
                            const struct ip *ip)
{
    struct mac m = MAC("02:00:00:00:00:77");
    struct frame f = {.size = 0};

    if (n->ip6)
        f.size =
            packet_nd_advert(f.b, sizeof f.b, &m, ip, &n->rb->mac, &req->ip_src, ip, false, true);
    else
        f.size = packet_arp(f.b, sizeof f.b, 2, &m, &n->rb->mac, &m, ip, &n->rb->mac, &req->ip_src);
    send_frame(w, "b2", &f);
    expect_verdict(w, SIM_ANSWERED);
    const struct sim_learn *l = learned(w, SIM_LEARN_NEIGH, n->rt->ref);
    assert_non_null(l);
    assert_int_equal(l->port, n->rb->ref);
    assert_true(ip_equal(&l->ip, ip));
    apply_learns(w);
}

static void neighbour_pending(struct world *w, bool ip6)
{
    struct net n = net_of(w, ip6);
    const char *target = ip6 ? "fd00:b::77" : "10.0.2.77";
    struct flow_key k = from_a(&n, target);
    struct ip ip = IP(target);

    send_key(w, "a", &k);
    expect_verdict(w, SIM_NEED);
    assert_int_equal(w->res.n_needs, 1);
    struct sim_need given = w->res.needs[0];
    assert_int_equal(given.kind, SIM_NEED_NEIGH);
    assert_int_equal(given.ref, n.rb->ref);
    assert_true(ip_equal(&given.ip, &ip));
    struct flow_key req = expect_question(w, &n, &ip);

    w->in.given_up = &given; /* no answer in time */
    w->in.n_given_up = 1;
    send_key(w, "a", &k);
    expect_drop(w, SIM_NEIGH_TIMEOUT, "rb");
    expect_error(w, &n, &k, ip6 ? 1 : 3, ip6 ? 3 : 1);
    w->in.n_given_up = 0;

    answer_question(w, &n, &req, &ip);
    send_key(w, "a", &k);
    expect_out(w, "b2");
    w->now += 61000000000ull; /* going stale it is used on, and asked for again */
    send_key(w, "a", &k);
    expect_out(w, "b2");
    assert_int_equal(w->res.n_emits, 1);
    assert_int_equal(w->res.emits[0].kind, SIM_EMIT_SOLICIT);
    assert_int_equal(w->res.mask.ip_proto, 0); /* the question's headers are none of the packet's */
    w->now += 30000000000ull;
    send_key(w, "a", &k);
    expect_verdict(w, SIM_NEED);
}

static void gateway_pending(struct world *w, bool ip6)
{
    struct net n = net_of(w, ip6);
    const char *gw = ip6 ? "2001:db8::1" : "192.0.2.1";
    struct flow_key k = from_a(&n, n.far);
    struct ip ip = IP(gw);

    add_route(n.rt, "default", n.any, TOPO_HOP_PORT, n.up, gw);
    publish(w);
    send_key(w, "a", &k);
    expect_verdict(w, SIM_NEED);
    assert_true(ip_equal(&w->res.needs[0].ip, &ip)); /* the gateway, not the destination */
    struct sim_need given = w->res.needs[0];
    w->in.given_up = &given;
    w->in.n_given_up = 1;
    send_key(w, "a", &k);
    expect_drop(w, SIM_NEIGH_TIMEOUT, "up");
    expect_error(w, &n, &k, ip6 ? 1 : 3, 0);
}

static void test_frames_not_for_the_router(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w, false);
    struct flow_key k = key_of(17, "192.0.2.1", "10.0.2.1", 1, 2);
    struct frame f;

    k.eth_src = MAC(MAC_G);
    k.eth_dst = MAC("02:99:99:99:99:99");
    send_key(w, "up", &k);
    expect_drop(w, SIM_NOT_FOR_ROUTER, "rt");
    k.eth_dst = mac_broadcast;
    send_key(w, "up", &k);
    expect_drop(w, SIM_ROUTER_BROADCAST, "rt");
    k.eth_dst = MAC("01:00:5e:00:00:01");
    send_key(w, "up", &k);
    expect_drop(w, SIM_MULTICAST, "rt");
    k.eth_dst = n.up->mac;
    k.vlan_tci = FLOW_VLAN_PRESENT | 5;
    send_key(w, "up", &k);
    expect_drop(w, SIM_ROUTER_VLAN, "rt");
    k.vlan_tci = FLOW_VLAN_PRESENT | 0xe000; /* a priority is no VLAN */
    send_key(w, "up", &k);
    const struct flow_key *h = expect_out(w, "b");
    assert_int_equal(h->vlan_tci, 0);
    assert_int_equal(h->n_vlans, 0);
    k.vlan_tci = FLOW_VLAN_PRESENT | 5; /* with a VLAN behind it */
    f = frame_of(&k);
    memmove(f.b + 16, f.b + 12, f.size - 12);
    put16(f.b + 14, 0xe000);
    f.size += WIRE_VLAN_SIZE;
    send_frame(w, "up", &f);
    expect_drop(w, SIM_ROUTER_VLAN, "rt");
    k.vlan_tci = 0;
    f = frame_of(&k);
    put16(f.b + 12, 0x88cc);
    send_frame(w, "up", &f);
    expect_drop(w, SIM_NOT_IP, "rt");
    /* No directed broadcast either. */
    k.ip_dst = IP("10.0.2.255");
    send_key(w, "up", &k);
    expect_drop(w, SIM_ROUTER_BROADCAST, "rt");
}

/* Behind two more routers, and around in circles. */
static void test_router_chain(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w, false);
    struct dev *r2 = router(w, "r2");
    struct prt *x = rport(n.rt, "x", "10.9.0.1/30"), *y = rport(r2, "y", "10.9.0.2/30"),
               *far = rport(r2, "far", "203.0.113.1/24");
    struct flow_key k = from_a(&n, n.far);

    far->host = "host1";
    plug(x, y);
    add_route(n.rt, "onwards", "203.0.113.0/24", TOPO_HOP_PORT, x, "10.9.0.2");
    add_route(n.rt, "circle", "198.51.100.0/24", TOPO_HOP_PORT, x, "10.9.0.2");
    add_route(r2, "back", "0.0.0.0/0", TOPO_HOP_PORT, y, "10.9.0.1");
    publish(w);
    knows(far, "203.0.113.9", MAC_G);
    send_key(w, "a", &k);
    const struct flow_key *h = expect_out(w, "far");
    assert_int_equal(h->ip_ttl, 62);
    assert_int_equal(w->res.n_dsts, 2);

    k.ip_ttl = 2; /* dies at the second, which tells so through the first */
    send_key(w, "a", &k);
    expect_drop(w, SIM_TTL, "r2");
    struct frame f = emitted(w, "a");
    struct packet_layers l;
    struct flow_key e = parse_exact(f.b, f.size, &l);
    assert_ip(&e.ip_src, "10.9.0.2");
    assert_ip(&e.ip_dst, "10.0.1.1");
    assert_int_equal(e.ip_ttl, 63);
    assert_int_equal(f.b[l.l4 + 8 + 8], 1); /* quoted as the second got it */

    k = from_a(&n, n.far); /* refused by its port: quoted likewise */
    y->down = true;
    publish(w);
    send_key(w, "a", &k);
    expect_drop(w, SIM_PORT_DOWN, "y");
    f = emitted(w, "a");
    e = parse_exact(f.b, f.size, &l);
    assert_ip(&e.ip_src, "10.9.0.2");
    assert_int_equal(f.b[l.l4 + 8 + 8], 63);
    y->down = false;
    publish(w);

    k = from_a(&n, "198.51.100.1");
    send_key(w, "a", &k);
    expect_verdict(w, SIM_DROP);
    assert_int_equal(w->res.reason, SIM_LOOP);
    k.ip_ttl = 9;
    send_key(w, "a", &k);
    assert_int_equal(w->res.reason, SIM_TTL);
    w->in.max_devices = 5;
    send_key(w, "a", &k);
    assert_int_equal(w->res.reason, SIM_LOOP);
}

static void never_routed(struct world *w, bool ip6)
{
    struct net n = net_of(w, ip6);
    static const struct {
        const char *src, *dst;
        enum sim_reason reason;
    } cases4[] = {{"0.0.0.0", "10.0.2.1", SIM_MARTIAN},
                  {"0.1.2.3", "10.0.2.1", SIM_MARTIAN},
                  {"10.0.1.1", "127.0.0.1", SIM_MARTIAN},
                  {"10.0.1.1", "0.0.0.0", SIM_MARTIAN},
                  {"10.0.1.1", "224.0.0.5", SIM_MULTICAST},
                  {"10.0.1.1", "239.1.2.3", SIM_MULTICAST},
                  {"10.0.1.1", "255.255.255.255", SIM_ROUTER_BROADCAST}},
      cases6[] = {{"::", "fd00:b::1", SIM_MARTIAN},
                  {"fd00:a::1", "::1", SIM_MARTIAN},
                  {"fd00:a::1", "::", SIM_MARTIAN},
                  {"fd00:a::1", "ff05::1:3", SIM_MULTICAST},
                  {"fd00:a::1", "fe80::1234", SIM_LINK_LOCAL}};

    add_route(n.rt, "default", n.any, TOPO_HOP_PORT, n.rb, NULL);
    publish(w);
    for (unsigned i = 0; i < (ip6 ? ARRAY_SIZE(cases6) : ARRAY_SIZE(cases4)); i++) {
        struct flow_key k = from_a(&n, n.ip_b);
        k.ip_src = IP(ip6 ? cases6[i].src : cases4[i].src);
        k.ip_dst = IP(ip6 ? cases6[i].dst : cases4[i].dst);
        send_key(w, "a", &k);
        expect_drop(w, ip6 ? cases6[i].reason : cases4[i].reason, "rt");
        assert_int_equal(w->res.n_emits, 0);
    }
}

static void test_port_without_ip4(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w, false);
    struct flow_key k = from_a(&n, n.far);
    struct prt *bare = port(n.rt, "bare");

    bare->host = "host1";
    add_route(n.rt, "default", n.any, TOPO_HOP_PORT, bare, NULL);
    publish(w);
    send_key(w, "a", &k);
    expect_drop(w, SIM_NO_ADDRESS, "bare");
}

/* The next hop's MAC is the router's own: the packet comes back to it and is looked at again. */
static void test_packet_to_itself(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w, false);
    struct flow_key k = from_a(&n, n.far);

    add_route(n.rt, "default", n.any, TOPO_HOP_PORT, n.up, "192.0.2.1");
    publish(w);
    char mac[MAC_STRLEN];
    knows(n.up, "192.0.2.1", mac_format(&n.up->mac, mac));
    send_key(w, "a", &k);
    expect_verdict(w, SIM_DROP);
    assert_int_equal(w->res.reason, SIM_LOOP);
}

/* A packet that has by chance the MAC it is given: its flow changes nothing, and must not fit
 * others, which have another. */
static void test_has_already_what_it_is_given(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w, false);
    struct flow_key k = key_of(17, n.far, n.ip_b, 1, 2);

    k.eth_dst = n.up->mac;
    send_key(w, "up", &k);
    expect_out(w, "b");
    assert_true(mac_is_zero(&w->res.mask.eth_src));
    k.eth_src = n.rb->mac;
    send_key(w, "up", &k);
    expect_out(w, "b");
    assert_true(mac_equal(&w->res.mask.eth_src, &mac_broadcast));
}

/* All eight places where chains are asked, in their order. */
static void test_chains_along_the_way(void **state)
{
    static const char *const names[] = {"pi", "bi", "bo", "ri", "rl", "li", "lo", "fw", "ro"};
    struct world *w = *state;
    struct net n = net_of(w, false);
    struct flow_key k = from_a(&n, n.ip_b);
    struct chn *c[ARRAY_SIZE(names)];

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        c[i] = chain(w, names[i]);
    n.a->infilter = c[0]->ref;
    n.ba->infilter = c[1]->ref;
    n.ba->outfilter = c[2]->ref;
    n.ra->infilter = c[3]->ref;
    n.rt->local_redirect = c[4]->ref;
    n.rt->infilter = c[5]->ref;
    n.rt->forward = c[7]->ref;
    n.rt->outfilter = c[8]->ref;
    n.rb->outfilter = c[6]->ref;
    publish(w);
    send_key(w, "a", &k);
    expect_out(w, "b");
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        assert_true(has_tag(w, tag_object(c[i]->ref)));
        rule(c[i], "drop");
    }
    /* The first one that drops is the first one on the way. */
    static const unsigned order[] = {0, 1, 2, 3, 4, 5, 7, 8, 6};
    for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
        char id[8];
        publish(w);
        send_key(w, "a", &k);
        snprintf(id, sizeof id, "%s:1", names[order[i]]);
        expect_drop(w, SIM_CHAIN_DROP, id);
        chain_clear(c[order[i]]);
    }
}

BOTH(forwards)
BOTH(through_gateway)
BOTH(neighbour_pending)
BOTH(gateway_pending)
BOTH(never_routed)

int main(void)
{
    const struct CMUnitTest tests[] = {
        both_tests(forwards),
        both_tests(through_gateway),
        both_tests(neighbour_pending),
        both_tests(gateway_pending),
        world_test(test_frames_not_for_the_router),
        world_test(test_router_chain),
        both_tests(never_routed),
        world_test(test_port_without_ip4),
        world_test(test_packet_to_itself),
        world_test(test_has_already_what_it_is_given),
        world_test(test_chains_along_the_way),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
