/* Routers: forwarding, route choice, refusals and what the sender is told, for both families. */
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

static struct net net_of(struct world *w, bool ip6)
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

static struct flow_key from_a(const struct net *n, const char *dst)
{
    struct flow_key k = key_of(17, n->ip_a, dst, 1000, 2000);

    k.eth_src = MAC(MAC_A);
    k.eth_dst = n->ra->mac;
    return k;
}

/* An ICMP error reached a, from ra, about 'k' as it was sent. */
static void expect_error(const struct world *w, const struct net *n, const struct flow_key *k,
                         uint8_t type, uint8_t code)
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

static void neighbour_pending(struct world *w, bool ip6)
{
    struct net n = net_of(w, ip6);
    const char *target = ip6 ? "fd00:b::77" : "10.0.2.77";
    struct flow_key k = from_a(&n, target), req;
    struct ip ip = IP(target);
    struct frame f;

    send_key(w, "a", &k);
    expect_verdict(w, SIM_NEED);
    assert_int_equal(w->res.n_needs, 1);
    assert_int_equal(w->res.needs[0].kind, SIM_NEED_NEIGH);
    assert_int_equal(w->res.needs[0].ref, n.rb->ref);
    assert_true(ip_equal(&w->res.needs[0].ip, &ip));
    struct sim_need given = w->res.needs[0];
    /* The question is flooded behind the port, from the port's address there. */
    f = emitted(w, "b");
    f = emitted(w, "b2");
    req = parse(&f);
    assert_int_equal(w->res.emits[0].kind, SIM_EMIT_SOLICIT);
    assert_int_equal(w->res.emits[0].n_outs, 2);
    assert_true(ip_equal(&w->res.emits[0].ip, &ip));
    assert_int_equal(w->res.emits[0].port, n.rb->ref);
    assert_ip(&req.ip_src, ip6 ? "fd00:b::fe" : "10.0.2.254");
    assert_true(mac_equal(&req.eth_src, &n.rb->mac));
    if (ip6)
        assert_mac(&req.eth_dst, "33:33:ff:00:00:77");
    else
        assert_true(ip_equal(&req.ip_dst, &ip) && mac_is_broadcast(&req.eth_dst));

    struct sim_emit again;
    sim_solicit(w->topo, w->now, n.rb->ref, &ip, &w->arena, &again);
    assert_int_equal(again.n_outs, 2);
    assert_int_equal(again.size, f.size);
    assert_memory_equal(again.packet, f.b, f.size);

    /* No answer in time. */
    w->in.given_up = &given;
    w->in.n_given_up = 1;
    send_key(w, "a", &k);
    expect_drop(w, SIM_NEIGH_TIMEOUT, "rb");
    expect_error(w, &n, &k, ip6 ? 1 : 3, ip6 ? 3 : 1);
    w->in.n_given_up = 0;

    /* The answer comes: learned, and consumed. */
    struct mac m = MAC("02:00:00:00:00:77");
    struct frame reply = {.size = 0};
    struct ip own = req.ip_src;
    if (ip6)
        reply.size =
            packet_nd_advert(reply.b, sizeof reply.b, &m, &ip, &n.rb->mac, &own, &ip, false, true);
    else
        reply.size =
            packet_arp(reply.b, sizeof reply.b, 2, &m, &n.rb->mac, &m, &ip, &n.rb->mac, &own);
    send_frame(w, "b2", &reply);
    expect_verdict(w, SIM_ANSWERED);
    const struct sim_learn *l = learned(w, SIM_LEARN_NEIGH, n.rt->ref);
    assert_non_null(l);
    assert_int_equal(l->port, n.rb->ref);
    assert_true(ip_equal(&l->ip, &ip));
    apply_learns(w);
    send_key(w, "a", &k);
    expect_out(w, "b2");

    /* Going stale it is used on, and asked for again. */
    w->now += 61000000000ull;
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

static void test_equal_cost(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w, false);
    uint8_t before[N_FLOWS], after[N_FLOWS];
    unsigned count[N_WAYS] = {0};
    static const char *const ids[] = {"way0", "way1", "way2", "way3"};

    for (unsigned i = 0; i < N_WAYS; i++) {
        char gw[16], mac[20];
        snprintf(gw, sizeof gw, "192.0.2.%u", i + 1);
        snprintf(mac, sizeof mac, "02:00:00:00:01:%02x", i);
        add_route(n.rt, ids[i], "0.0.0.0/0", TOPO_HOP_PORT, n.up, gw);
        knows(n.up, gw, mac);
    }
    publish(w);
    ways(w, &n, before);
    for (unsigned i = 0; i < N_FLOWS; i++)
        count[before[i]]++;
    for (unsigned i = 0; i < N_WAYS; i++)
        assert_in_range(count[i], N_FLOWS / N_WAYS * 7 / 10, N_FLOWS / N_WAYS * 13 / 10);
    assert_int_equal(w->res.mask.tp_src, 0xffff);
    assert_int_equal(w->res.mask.tp_dst, 0xffff);

    /* The other direction of a connection picks the same. */
    struct flow_key k = from_a(&n, n.far), back = key_of(17, n.far, n.ip_a, 2000, 1000);
    struct dev *mirror = router(w, "mirror");
    struct prt *in = rport(mirror, "in", "203.0.113.1/24"),
               *out = rport(mirror, "out", "10.8.0.9/24");
    in->host = out->host = "host1";
    for (unsigned i = 0; i < N_WAYS; i++) {
        char gw[16], mac[20];
        snprintf(gw, sizeof gw, "10.8.0.%u", i + 1);
        snprintf(mac, sizeof mac, "02:00:00:00:01:%02x", i);
        add_route(mirror, ids[i], "0.0.0.0/0", TOPO_HOP_PORT, out, gw);
        knows(out, gw, mac);
    }
    publish(w);
    back.eth_dst = in->mac;
    for (uint16_t i = 0; i < 64; i++) {
        k.tp_src = back.tp_dst = (uint16_t)(5000 + i);
        send_key(w, "a", &k);
        uint8_t there = expect_out(w, "up")->eth_dst.b[5];
        send_key(w, "in", &back);
        assert_int_equal(expect_out(w, "out")->eth_dst.b[5], there);
    }

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

/* Rules aren't evaluated yet: chains let everything pass, and the trail says so. */
static void test_chains_have_no_effect(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w, false);
    struct flow_key k = from_a(&n, n.ip_b);
    struct uuid id = uuid_of("chain");
    topo_ref chain = topo_intern(w->topo, TOPO_CHAIN, &id);
    unsigned told = 0;

    n.a->infilter = n.b->outfilter = n.ba->infilter = n.bb->outfilter = chain;
    n.rt->infilter = n.rt->outfilter = n.ra->infilter = n.rb->outfilter = chain;
    publish(w);
    w->in.any_ingress = true;
    send_key(w, "a", &k);
    expect_out(w, "b");
    trace(w);
    for (uint32_t i = 0; i < w->res.n_steps; i++)
        told += !!strstr(w->res.steps[i].text, "not evaluated");
    assert_int_equal(told, 8);
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

#define BOTH(f)                                                                                    \
    static void test_##f##_ip4(void **state)                                                       \
    {                                                                                              \
        f(*state, false);                                                                          \
    }                                                                                              \
    static void test_##f##_ip6(void **state)                                                       \
    {                                                                                              \
        f(*state, true);                                                                           \
    }
BOTH(forwards)
BOTH(through_gateway)
BOTH(neighbour_pending)
BOTH(gateway_pending)
BOTH(bad_ends)
BOTH(ttl)
BOTH(echo)
BOTH(admin_state)
BOTH(exterior_router_port_down)
BOTH(no_error_about)
BOTH(never_routed)
BOTH(route_choice)
#define both_tests(f) world_test(test_##f##_ip4), world_test(test_##f##_ip6)

int main(void)
{
    const struct CMUnitTest tests[] = {
        both_tests(forwards),
        both_tests(through_gateway),
        both_tests(neighbour_pending),
        both_tests(gateway_pending),
        both_tests(bad_ends),
        both_tests(ttl),
        both_tests(echo),
        both_tests(admin_state),
        both_tests(exterior_router_port_down),
        both_tests(no_error_about),
        both_tests(never_routed),
        both_tests(route_choice),
        world_test(test_echo_needs_neighbour),
        world_test(test_link_local_source_stays),
        world_test(test_frames_not_for_the_router),
        world_test(test_router_chain),
        world_test(test_inactive_route),
        world_test(test_equal_cost),
        world_test(test_equal_cost_fragments),
        world_test(test_port_without_ip4),
        world_test(test_packet_to_itself),
        world_test(test_chains_have_no_effect),
        world_test(test_trail),
        world_test(test_many_tags),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
