/* ARP and neighbour discovery: what bridges answer, what routers learn and answer, what moves. */
#include "sim_fixture.h"

#define MAC_A "02:00:00:00:00:0a"
#define MAC_B "02:00:00:00:00:0b"
#define MAC_S "02:00:00:00:00:5e"

/*   a, b, c -- br --(p r) rt (x) exterior       seeds: 10.0.0.50, fd00::50 have MAC_S at c   */
struct net {
    struct dev *br, *rt;
    struct prt *a, *b, *c, *p, *r, *x;
};

static struct net net_of(struct world *w)
{
    struct net n = {.br = bridge(w, "br"), .rt = router(w, "rt")};

    n.a = vm(n.br, "a");
    n.b = vm(n.br, "b");
    n.c = vm(n.br, "c");
    n.p = port(n.br, "p");
    n.r = rport(n.rt, "r", "10.0.0.254/24");
    address(n.r, "fd00::fe/64");
    n.x = rport(n.rt, "x", "192.0.2.254/24");
    address(n.x, "2001:db8::fe/64");
    n.x->host = "host1";
    plug(n.p, n.r);
    n.br->seeds[n.br->n_seeds++] =
        (struct topo_seed){.ip = IP("10.0.0.50"), .mac = MAC(MAC_S), .port = n.c->ref};
    n.br->seeds[n.br->n_seeds++] =
        (struct topo_seed){.ip = IP("fd00::50"), .mac = MAC(MAC_S), .port = n.c->ref};
    publish(w);
    return n;
}

static struct frame arp(uint16_t op, const char *src, const char *dst, const char *sha,
                        const char *spa, const char *tha, const char *tpa)
{
    struct frame f = {.size = 0};
    struct mac s = MAC(src), d = MAC(dst), h = MAC(sha), t = MAC(tha);
    struct ip sp = IP(spa), tp = IP(tpa);

    f.size = packet_arp(f.b, sizeof f.b, op, &s, &d, &h, &sp, &t, &tp);
    return f;
}

#define ALL    "ff:ff:ff:ff:ff:ff"
#define NOBODY "00:00:00:00:00:00"

static struct frame who_has(const char *tpa, const char *spa)
{
    return arp(1, MAC_A, ALL, MAC_A, spa, NOBODY, tpa);
}

static struct frame nd_who_has(const char *target, const char *src)
{
    struct frame f = {.size = 0};
    struct mac m = MAC(MAC_A);
    struct ip s = IP(src), t = IP(target);

    f.size = packet_nd_solicit(f.b, sizeof f.b, &m, &s, NULL, NULL, &t);
    return f;
}

static struct frame nd_advert(const char *mac, const char *target, const char *dst,
                              const char *dst_mac, bool solicited)
{
    struct frame f = {.size = 0};
    struct mac m = MAC(mac), dm = MAC(dst_mac);
    struct ip t = IP(target), d = IP(dst);

    f.size = packet_nd_advert(f.b, sizeof f.b, &m, &t, &dm, &d, &t, false, solicited);
    return f;
}

static void expect_arp_answer(const struct world *w, const char *port, const char *mac,
                              const char *ip)
{
    struct mac sha, tha;

    expect_verdict(w, SIM_ANSWERED);
    struct frame f = emitted(w, port);
    struct flow_key k = parse(&f);
    assert_int_equal(k.ip_proto, 2);
    assert_ip(&k.ip_src, ip);
    assert_int_equal(packet_arp_macs(f.b, f.size, &sha, &tha), 0);
    assert_mac(&sha, mac);
    assert_mac(&tha, MAC_A);
    assert_mac(&k.eth_dst, MAC_A);
    assert_mac(&k.eth_src, mac);
}

static struct packet_nd expect_nd_answer(const struct world *w, const char *port, const char *mac,
                                         const char *ip, const char *to)
{
    struct packet_nd nd;

    expect_verdict(w, SIM_ANSWERED);
    struct frame f = emitted(w, port);
    struct flow_key k = parse(&f);
    assert_int_equal(k.malformed, PACKET_OK);
    assert_int_equal(k.tp_src, 136);
    assert_ip(&k.ip_src, ip);
    assert_ip(&k.ip_dst, to);
    assert_int_equal(packet_nd_parse(f.b, f.size, &nd), 0);
    assert_ip(&nd.target, ip);
    assert_mac(&nd.lladdr, mac);
    return nd;
}

static const char *mac_text(const struct mac *m)
{
    static char buf[2][MAC_STRLEN];
    static unsigned i;

    return mac_format(m, buf[i++ % 2]);
}

static void expect_neigh(const struct world *w, const struct prt *p, const char *ip,
                         const char *mac)
{
    const struct sim_learn *l = learned(w, SIM_LEARN_NEIGH, p->dev->ref);

    if (!l)
        fail_msg("no neighbour learned");
    assert_int_equal(l->port, p->ref);
    assert_ip(&l->ip, ip);
    assert_mac(&l->mac, mac);
}

static void test_bridge_answers_for_router(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w);
    struct frame f = who_has("10.0.0.254", "10.0.0.1");

    send_frame(w, "a", &f);
    expect_arp_answer(w, "a", mac_text(&n.r->mac), "10.0.0.254");
    struct uuid br = uuid_of("br");
    assert_true(uuid_equal(&w->res.reason_id, &br));
    expect_neigh(w, n.r, "10.0.0.1", MAC_A); /* the router knows the asker, as if it had answered */
    assert_int_equal(learned(w, SIM_LEARN_MAC, n.br->ref)->port, n.a->ref);
    f = nd_who_has("fd00::fe", "fd00::1");
    send_frame(w, "a", &f);
    struct packet_nd nd = expect_nd_answer(w, "a", mac_text(&n.r->mac), "fd00::fe", "fd00::1");
    assert_int_equal(nd.flags, 0xe0000000u); /* router, solicited, override */
    expect_neigh(w, n.r, "fd00::1", MAC_A);
    char ll[IP_STRLEN];
    struct ip ll_ip = ip_link_local_of_mac(&n.r->mac);
    ip_format(&ll_ip, ll);
    f = nd_who_has(ll, "fe80::a");
    send_frame(w, "a", &f);
    expect_nd_answer(w, "a", mac_text(&n.r->mac), ll, "fe80::a");
    expect_neigh(w, n.r, "fe80::a", MAC_A);
}

static void test_no_answer_for_a_router_that_is_down(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w);
    struct frame f = who_has("10.0.0.254", "10.0.0.1");

    n.r->down = true;
    publish(w);
    send_frame(w, "a", &f);
    expect_outs(w, "b", "c");
    n.r->down = false;
    n.p->down = true;
    publish(w);
    f = nd_who_has("fd00::fe", "fd00::1");
    send_frame(w, "a", &f);
    expect_outs(w, "b", "c");
}

static void test_bridge_answers_for_seed(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w);
    struct frame f = who_has("10.0.0.50", "10.0.0.1");

    send_frame(w, "a", &f);
    expect_arp_answer(w, "a", MAC_S, "10.0.0.50");
    assert_null(learned(w, SIM_LEARN_NEIGH, n.rt->ref));
    f = nd_who_has("fd00::50", "fd00::1");
    send_frame(w, "a", &f);
    struct packet_nd nd = expect_nd_answer(w, "a", MAC_S, "fd00::50", "fd00::1");
    assert_int_equal(nd.flags, 0x60000000u);
}

static void test_unknown_targets_flood(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w);
    struct frame f = who_has("10.0.0.77", "10.0.0.1");

    send_frame(w, "a", &f);
    expect_outs(w, "b", "c");
    assert_false(w->res.no_flow);
    assert_int_equal(w->res.mask.ip_dst.q[1], ~0ull); /* another target may be known */
    f = nd_who_has("fd00::77", "fd00::1");
    send_frame(w, "a", &f);
    expect_outs(w, "b", "c");
    assert_true(w->res.no_flow); /* the target isn't in the key */
    f = arp(1, MAC_A, ALL, NOBODY, "10.0.0.1", NOBODY, "10.0.0.254"); /* says not who asks */
    send_frame(w, "a", &f);
    expect_outs(w, "b", "c");
    assert_true(w->res.no_flow);
    f = arp(2, MAC_A, ALL, MAC_A, "10.0.0.1", MAC_B,
            "10.0.0.254"); /* a reply to all: no question */
    send_frame(w, "a", &f);
    expect_outs(w, "b", "c");
    /* Tagged ones are somebody else's network. */
    f = who_has("10.0.0.254", "10.0.0.1");
    struct flow_out push = {.set = FLOW_PUSH_VLAN, .vlan_tci = FLOW_VLAN_PRESENT | 7};
    uint8_t *p = packet_rewrite(f.b, &f.size, &push);
    send_bytes(w, "a", p, f.size);
    expect_outs(w, "b", "c");
    /* A bridge that knows nothing doesn't look at all. */
    n.br->n_seeds = 0;
    n.p->peer = NULL;
    publish(w);
    f = nd_who_has("fd00::77", "fd00::1");
    send_frame(w, "a", &f);
    expect_outs(w, "b", "c");
    assert_false(w->res.no_flow);
    assert_int_equal(w->res.mask.eth_type, 0);
}

/* Duplicate address detection: who has the address may take it, nobody else. */
static void test_probes(void **state)
{
    struct world *w = *state;
    struct frame f = who_has("10.0.0.254", "0.0.0.0");
    struct net n = net_of(w);

    send_frame(w, "a", &f);
    expect_arp_answer(w, "a", mac_text(&n.r->mac), "10.0.0.254");
    assert_null(learned(w, SIM_LEARN_NEIGH, n.rt->ref));
    f = nd_who_has("fd00::50", "::");
    send_frame(w, "a", &f);
    struct packet_nd nd = expect_nd_answer(w, "a", MAC_S, "fd00::50", "ff02::1");
    assert_int_equal(nd.flags, 0x20000000u);
    f = arp(1, MAC_S, ALL, MAC_S, "0.0.0.0", NOBODY, "10.0.0.50");
    send_frame(w, "c", &f);
    expect_outs(w, "a", "b");
    assert_true(w->res.no_flow); /* who asks the same for another MAC is to be answered */
    struct mac s = MAC(MAC_S);
    struct ip none = ip_none, target = IP("fd00::50");
    f.size = packet_nd_solicit(f.b, sizeof f.b, &s, &none, NULL, NULL, &target);
    send_frame(w, "c", &f);
    expect_outs(w, "a", "b");
}

static void test_gratuitous(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w);

    for (uint16_t op = 1; op <= 2; op++) {
        struct frame f =
            arp(op, MAC_A, ALL, MAC_A, "10.0.0.50", op == 1 ? NOBODY : MAC_A, "10.0.0.50");
        send_frame(w, "a", &f);
        expect_outs(w, "b", "c");
        assert_true(w->res.no_flow); /* each of them counts */
        const struct sim_learn *l = learned(w, SIM_LEARN_ADDR, n.br->ref);
        assert_non_null(l);
        assert_ip(&l->ip, "10.0.0.50");
        assert_mac(&l->mac, MAC_A);
        /* The seed stands until it is replaced: a router doesn't believe the claim before. */
        assert_null(learned(w, SIM_LEARN_NEIGH, n.rt->ref));

        f = arp(op, MAC_A, ALL, MAC_A, "10.0.0.7", op == 1 ? NOBODY : MAC_A, "10.0.0.7");
        send_frame(w, "a", &f);
        expect_outs(w, "b", "c");
        assert_null(learned(w, SIM_LEARN_ADDR, n.br->ref));
        expect_neigh(w, n.r, "10.0.0.7", MAC_A);
    }
    struct frame f = nd_advert(MAC_A, "fd00::50", "ff02::1", "33:33:00:00:00:01", false);
    send_frame(w, "a", &f);
    expect_outs(w, "b", "c");
    assert_non_null(learned(w, SIM_LEARN_ADDR, n.br->ref));
    f = nd_advert(MAC_A, "fd00::7", "ff02::1", "33:33:00:00:00:01", false);
    send_frame(w, "a", &f);
    expect_outs(w, "b", "c");
    expect_neigh(w, n.r, "fd00::7", MAC_A);
}

/* Nobody takes the router's address, nor another router's on the same bridge. */
static void test_claims_refused(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w);
    struct dev *r2 = router(w, "r2");
    struct prt *p2 = port(n.br, "p2"), *q = rport(r2, "q", "10.0.0.253/24");
    static const char *const claims[] = {"10.0.0.254", "10.0.0.253", "10.0.0.255", "10.0.0.0",
                                         "10.0.9.1"};

    plug(p2, q);
    publish(w);
    for (unsigned i = 0; i < ARRAY_SIZE(claims); i++) {
        struct frame f = arp(1, MAC_A, ALL, MAC_A, claims[i], NOBODY, claims[i]);
        send_frame(w, "a", &f);
        expect_outs(w, "b", "c");
        assert_null(learned(w, SIM_LEARN_NEIGH, n.rt->ref));
        assert_null(learned(w, SIM_LEARN_NEIGH, r2->ref));
        assert_null(learned(w, SIM_LEARN_ADDR, n.br->ref));
    }
}

static void test_router_port_answers(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w);
    struct frame f = who_has("192.0.2.254", "192.0.2.1");
    const char *mac = mac_text(&n.x->mac);

    send_frame(w, "x", &f);
    expect_arp_answer(w, "x", mac, "192.0.2.254");
    expect_neigh(w, n.x, "192.0.2.1", MAC_A);
    apply_learns(w);
    send_frame(w, "x", &f);
    expect_arp_answer(w, "x", mac, "192.0.2.254");
    assert_int_equal(w->res.n_learns, 0); /* known and fresh */
    f = arp(1, MAC_A, mac_text(&n.x->mac), MAC_A, "192.0.2.1", NOBODY, "192.0.2.254"); /* unicast */
    send_frame(w, "x", &f);
    expect_arp_answer(w, "x", mac_text(&n.x->mac), "192.0.2.254");
    f = who_has("192.0.2.254", "0.0.0.0");
    send_frame(w, "x", &f);
    expect_arp_answer(w, "x", mac_text(&n.x->mac), "192.0.2.254");
    assert_int_equal(w->res.n_learns, 0);

    f = nd_who_has("2001:db8::fe", "2001:db8::1");
    send_frame(w, "x", &f);
    struct packet_nd nd =
        expect_nd_answer(w, "x", mac_text(&n.x->mac), "2001:db8::fe", "2001:db8::1");
    assert_int_equal(nd.flags, 0xe0000000u);
    expect_neigh(w, n.x, "2001:db8::1", MAC_A);
    f = nd_who_has("2001:db8::fe", "::");
    send_frame(w, "x", &f);
    expect_nd_answer(w, "x", mac_text(&n.x->mac), "2001:db8::fe", "ff02::1");
    assert_int_equal(w->res.n_learns, 0);
    struct mac a = MAC(MAC_A); /* unicast, as when a neighbour checks that we still are there */
    struct ip src = IP("2001:db8::1"), own = IP("2001:db8::fe");
    f.size = packet_nd_solicit(f.b, sizeof f.b, &a, &src, &n.x->mac, &own, &own);
    send_frame(w, "x", &f);
    expect_nd_answer(w, "x", mac_text(&n.x->mac), "2001:db8::fe", "2001:db8::1");
}

static void test_router_port_learns_from_replies(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w);
    const char *own = mac_text(&n.x->mac);
    struct frame f = arp(2, MAC_A, own, MAC_A, "192.0.2.1", own, "192.0.2.254");

    send_frame(w, "x", &f);
    expect_verdict(w, SIM_ANSWERED);
    assert_int_equal(w->res.n_emits, 0);
    expect_neigh(w, n.x, "192.0.2.1", MAC_A);
    f = arp(2, MAC_A, ALL, MAC_A, "192.0.2.2", MAC_A, "192.0.2.2");
    send_frame(w, "x", &f);
    expect_neigh(w, n.x, "192.0.2.2", MAC_A);
    f = nd_advert(MAC_A, "2001:db8::1", "2001:db8::fe", own, true);
    send_frame(w, "x", &f);
    expect_verdict(w, SIM_ANSWERED);
    expect_neigh(w, n.x, "2001:db8::1", MAC_A);
    f = nd_advert(MAC_A, "fe80::1", "ff02::1", "33:33:00:00:00:01", false);
    send_frame(w, "x", &f);
    expect_neigh(w, n.x, "fe80::1", MAC_A);
}

static void test_nonsense(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w);
    const char *own = mac_text(&n.x->mac);
    const struct {
        uint16_t op;
        const char *dst, *sha, *spa, *tha, *tpa;
    } cases[] = {
        {1, ALL, MAC_A, "10.7.7.7", NOBODY, "192.0.2.254"},    /* sender not of the subnet */
        {1, ALL, MAC_A, "192.0.2.1", NOBODY, "192.0.2.9"},     /* not about us */
        {1, ALL, MAC_A, "192.0.2.254", NOBODY, "192.0.2.254"}, /* our own address */
        {1, ALL, NOBODY, "192.0.2.1", NOBODY, "192.0.2.254"},  /* no hardware address */
        {1, ALL, MAC_A, "192.0.2.255", NOBODY, "192.0.2.254"}, /* broadcast as sender */
        {2, ALL, MAC_A, "192.0.2.1", MAC_B, "192.0.2.254"},    /* an answer to somebody else */
        {2, ALL, MAC_A, "192.0.2.1", MAC_B, "192.0.2.1"},
        {2, own, MAC_A, "10.7.7.7", own, "192.0.2.254"},
        {3, own, MAC_A, "192.0.2.1", own, "192.0.2.254"}, /* reverse ARP */
        {9, own, MAC_A, "192.0.2.1", own, "192.0.2.254"},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct frame f = arp(cases[i].op, MAC_A, cases[i].dst, cases[i].sha, cases[i].spa,
                             cases[i].tha, cases[i].tpa);
        send_frame(w, "x", &f);
        expect_drop(w, SIM_ARP_INVALID, "rt");
        assert_int_equal(w->res.n_learns + w->res.n_emits, 0);
    }
    struct frame f = nd_who_has("2001:db8::9", "2001:db8::1");
    send_frame(w, "x", &f);
    expect_drop(w, SIM_ND_INVALID, "rt");
    f = nd_who_has("2001:db8::fe", "fd77::1");
    send_frame(w, "x", &f);
    expect_drop(w, SIM_ND_INVALID, "rt");
    f = nd_advert(MAC_A, "fd77::1", "2001:db8::fe", own, true);
    send_frame(w, "x", &f);
    expect_drop(w, SIM_ND_INVALID, "rt");
    f = nd_advert(MAC_A, "2001:db8::fe", "ff02::1", "33:33:00:00:00:01", false);
    send_frame(w, "x", &f);
    expect_drop(w, SIM_ND_INVALID, "rt");
    f = nd_who_has("2001:db8::fe", "2001:db8::1");
    f.b[21] = 64; /* came from beyond the link */
    send_frame(w, "x", &f);
    expect_drop(w, SIM_MALFORMED, "x");
}

static struct flow_key to_router(const struct net *n, const char *src, const char *dst)
{
    struct flow_key k = key_of(17, src, dst, 1, 2);

    k.eth_src = MAC("02:00:00:00:00:01");
    k.eth_dst = n->x->mac;
    return k;
}

/* What the bridge knows needs no question. */
static void test_next_hop_from_bridge(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w);
    struct dev *r2 = router(w, "r2");
    struct prt *p2 = port(n.br, "p2"), *q = rport(r2, "q", "10.0.0.253/24");
    struct flow_key k = to_router(&n, "192.0.2.1", "10.0.0.50");

    plug(p2, q);
    publish(w);
    send_key(w, "x", &k);
    const struct flow_key *h = expect_out(w, "c");
    assert_mac(&h->eth_dst, MAC_S);

    /* Another router on the same bridge, itself next to nothing. */
    add_route(n.rt, "via-r2", "203.0.113.0/24", TOPO_HOP_PORT, n.r, "10.0.0.253");
    publish(w);
    knows(n.x, "192.0.2.1", "02:00:00:00:00:01");
    k = to_router(&n, "192.0.2.1", "203.0.113.1");
    send_key(w, "x", &k);
    expect_verdict(w, SIM_DROP);
    assert_int_equal(w->res.reason, SIM_NO_ROUTE);
    struct uuid id = uuid_of("r2");
    assert_true(uuid_equal(&w->res.reason_id, &id));
    struct frame f = emitted(w, "x"); /* r2's word, routed by rt */
    struct flow_key e = parse(&f);
    assert_ip(&e.ip_src, "10.0.0.253");
}

/* The question crosses a plain link between bridges and is answered by the far one, in one run. */
static void test_question_answered_on_the_way(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w);
    struct dev *far = bridge(w, "far");
    struct prt *l = port(n.br, "l"), *m = port(far, "m"), *z = vm(far, "z");
    struct flow_key k = to_router(&n, "192.0.2.1", "10.0.0.60");

    plug(l, m);
    far->seeds[far->n_seeds++] =
        (struct topo_seed){.ip = IP("10.0.0.60"), .mac = MAC(MAC_B), .port = z->ref};
    publish(w);
    send_key(w, "x", &k);
    assert_mac(&expect_out(w, "z")->eth_dst, MAC_B); /* and the answer taught br the way */
    expect_neigh(w, n.r, "10.0.0.60", MAC_B);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(test_bridge_answers_for_router),
        world_test(test_no_answer_for_a_router_that_is_down),
        world_test(test_bridge_answers_for_seed),
        world_test(test_unknown_targets_flood),
        world_test(test_probes),
        world_test(test_gratuitous),
        world_test(test_claims_refused),
        world_test(test_router_port_answers),
        world_test(test_router_port_learns_from_replies),
        world_test(test_nonsense),
        world_test(test_next_hop_from_bridge),
        world_test(test_question_answered_on_the_way),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
