/* VLAN-aware bridges: the table of behaviour, and frames with several tags. */
#include "sim_fixture.h"

#define MAC_A "02:00:00:00:00:0a"
#define MAC_T "02:00:00:00:00:70"
#define ALL   "ff:ff:ff:ff:ff:ff"

/*   t1, t2 (trunks) -- vab --(v5 u5) five -- a5, b5
 *                       |----(v6 u6) six  -- a6
 *                       +----(v7 r)  rt                          */
struct net {
    struct dev *vab, *five, *six, *rt;
    struct prt *t1, *t2, *v5, *v6, *v7, *u5, *u6, *r, *a5, *b5, *a6;
};

static struct net net_of(struct world *w)
{
    struct net n = {.vab = bridge(w, "vab"), .five = bridge(w, "five"), .six = bridge(w, "six")};

    n.rt = router(w, "rt");
    n.t1 = vm(n.vab, "t1");
    n.t2 = vm(n.vab, "t2");
    n.v5 = port(n.vab, "v5");
    n.v6 = port(n.vab, "v6");
    n.v7 = port(n.vab, "v7");
    n.v5->vlan = 5;
    n.v6->vlan = 6;
    n.v7->vlan = 7;
    n.u5 = port(n.five, "u5");
    n.u6 = port(n.six, "u6");
    n.r = rport(n.rt, "r", "10.7.0.254/24");
    n.a5 = vm(n.five, "a5");
    n.b5 = vm(n.five, "b5");
    n.a6 = vm(n.six, "a6");
    plug(n.v5, n.u5);
    plug(n.v6, n.u6);
    plug(n.v7, n.r);
    publish(w);
    return n;
}

static struct flow_key frame_key(const char *src, const char *dst, uint16_t vid)
{
    struct flow_key k = key_of(17, "10.0.0.1", "10.0.0.2", 1, 2);

    k.eth_src = MAC(src);
    k.eth_dst = MAC(dst);
    k.vlan_tci = vid ? FLOW_VLAN_PRESENT | vid : 0;
    return k;
}

static const struct flow_key *hdr_at(const struct world *w, const char *port)
{
    const struct flow_key *h = find_out(w->res.outs, w->res.n_outs, ref_of(w, port));

    assert_non_null(h);
    return h;
}

static void expect_tag(const struct world *w, const char *port, uint16_t vid, uint8_t n)
{
    const struct flow_key *h = hdr_at(w, port);

    assert_int_equal(h->vlan_tci, vid ? FLOW_VLAN_PRESENT | vid : 0);
    assert_int_equal(h->n_vlans, n);
}

static void test_from_inside_to_trunks(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w);
    struct flow_key k = frame_key(MAC_A, ALL, 0);

    send_key(w, "a5", &k);
    expect_outs(w, "b5", "t1", "t2");
    expect_tag(w, "b5", 0, 0);
    expect_tag(w, "t1", 5, 1);
    expect_tag(w, "t2", 5, 1);
    const struct sim_learn *l = learned(w, SIM_LEARN_MAC, n.vab->ref);
    assert_int_equal(l->vlan, 5);
    assert_int_equal(l->port, n.v5->ref);
    assert_int_equal(learned(w, SIM_LEARN_MAC, n.five->ref)->vlan, 0);

    mac_behind(n.u5, 0, MAC_T);
    mac_behind(n.t2, 5, MAC_T);
    mac_behind(n.t1, 6, MAC_T); /* the same MAC in another VLAN is somebody else */
    k = frame_key(MAC_A, MAC_T, 0);
    send_key(w, "a5", &k);
    expect_out(w, "t2");
    expect_tag(w, "t2", 5, 1);
}

static void test_from_trunk_inside(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w);
    struct flow_key k = frame_key(MAC_T, ALL, 5);

    send_key(w, "t1", &k);
    expect_outs(w, "t2", "a5", "b5");
    expect_tag(w, "t2", 5, 1);
    expect_tag(w, "a5", 0, 0);
    const struct sim_learn *l = learned(w, SIM_LEARN_MAC, n.vab->ref);
    assert_int_equal(l->vlan, 5);
    assert_int_equal(l->port, n.t1->ref);

    k = frame_key(MAC_T, ALL, 99); /* no such VLAN inside */
    send_key(w, "t1", &k);
    expect_out(w, "t2");
    k = frame_key(MAC_T, ALL, 0);
    send_key(w, "t1", &k);
    expect_out(w, "t2");

    mac_behind(n.v5, 5, MAC_A);
    mac_behind(n.a5, 0, MAC_A);
    k = frame_key(MAC_T, MAC_A, 5);
    send_key(w, "t1", &k);
    expect_out(w, "a5");
    expect_tag(w, "a5", 0, 0);
    k = frame_key(MAC_T, MAC_A, 6); /* unknown in 6 */
    send_key(w, "t1", &k);
    expect_outs(w, "t2", "a6");
}

static void test_wrong_tag(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w);
    struct flow_key k = frame_key(MAC_T, MAC_A, 0);

    mac_behind(n.v5, 0, MAC_A);
    mac_behind(n.v5, 6, MAC_A);
    send_key(w, "t1", &k);
    expect_drop(w, SIM_VLAN_MISMATCH, "v5");
    k = frame_key(MAC_T, MAC_A, 6);
    send_key(w, "t1", &k);
    expect_drop(w, SIM_VLAN_MISMATCH, "v5");
}

/* A router behind a VLAN port hears ARP, and is reached by its MAC. */
static void test_router_behind_vlan(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w);
    struct mac t = MAC(MAC_T), none = {{0}};
    struct ip spa = IP("10.7.0.1"), tpa = IP("10.7.0.254");
    struct flow_out push = {.set = FLOW_PUSH_VLAN, .vlan_tci = FLOW_VLAN_PRESENT | 7};
    struct frame f = {.size = 0};

    f.size = packet_arp(f.b, sizeof f.b, 1, &t, &mac_broadcast, &t, &spa, &none, &tpa);
    uint8_t *p = packet_rewrite(f.b, &f.size, &push);
    send_bytes(w, "t1", p, f.size);
    expect_out(w, "t2");         /* the other trunk hears the question too */
    assert_true(w->res.no_flow); /* and the next question wants an answer as well */
    struct frame r = emitted(w, "t1");
    struct flow_key k = parse(&r);
    assert_int_equal(k.vlan_tci, FLOW_VLAN_PRESENT | 7);
    assert_int_equal(k.ip_proto, 2);
    assert_ip(&k.ip_src, "10.7.0.254");
    apply_learns(w);
    /* A run that will be repeated doesn't answer now, or the answer would come twice. */
    topo_unload(w->topo, n.t2->ref);
    send_bytes(w, "t1", p, f.size);
    expect_verdict(w, SIM_NEED);
    assert_int_equal(w->res.n_emits, 0);
    publish(w);

    k = frame_key(MAC_T, ALL, 7); /* anything else to all isn't for it */
    k.eth_dst = n.r->mac;
    k.ip_dst = IP("10.7.0.254");
    k.ip_src = IP("10.7.0.1");
    k.ip_proto = 1;
    k.tp_src = 8;
    k.tp_dst = 0;
    send_key(w, "t1", &k);
    expect_verdict(w, SIM_ANSWERED);
    r = emitted(w, "t1");
    k = parse(&r);
    assert_int_equal(k.vlan_tci, FLOW_VLAN_PRESENT | 7);
    assert_int_equal(k.tp_src, 0);
}

/* Tags below the outermost are carried along untouched. */
static struct frame tagged(unsigned n, uint16_t outer, const char *dst)
{
    struct flow_key k = frame_key(MAC_T, dst, 0);
    struct frame f = frame_of(&k);
    uint8_t room[64 + sizeof f.b], *p = room + 64;

    memcpy(p, f.b, f.size);
    for (unsigned i = n; i > 0; i--) {
        struct flow_out push = {.set = FLOW_PUSH_VLAN,
                                .vlan_tci = FLOW_VLAN_PRESENT | (i == 1 ? outer : 100 + i)};
        p = packet_rewrite(p, &f.size, &push);
    }
    memcpy(f.b, p, f.size);
    return f;
}

static void test_several_tags(void **state)
{
    struct world *w = *state;
    struct frame f = tagged(4, 5, ALL);
    struct flow_out out;

    net_of(w);
    w->skip_mask_check = true; /* the key can't be altered apart from the bytes behind the tag */
    send_frame(w, "t1", &f);
    expect_outs(w, "t2", "a5", "b5");
    expect_tag(w, "t2", 5, 4);
    expect_tag(w, "a5", 102, 3);
    flow_out_diff(&out, &w->key, hdr_at(w, "a5"));
    assert_int_equal(out.set, FLOW_POP_VLAN);
    /* Through a plain bridge they pass as they are. */
    f = tagged(4, 9, MAC_A);
    send_frame(w, "a6", &f);
    expect_verdict(w, SIM_FORWARD);
    expect_tag(w, "t1", 6, 5);
    flow_out_diff(&out, &w->key, hdr_at(w, "t1"));
    assert_int_equal(out.set, FLOW_PUSH_VLAN);
    assert_int_equal(out.vlan_tci, FLOW_VLAN_PRESENT | 6);
}

/* What lies behind a popped tag can't be matched by a flow: whoever looks at it gets no flow. */
static void test_behind_a_popped_tag(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w);
    struct frame f = tagged(2, 5, MAC_A);

    w->skip_mask_check = true;
    mac_behind(n.v5, 5, MAC_A);
    mac_behind(n.a5, 0, MAC_A);
    send_frame(w, "t1", &f);
    expect_out(w, "a5");
    expect_tag(w, "a5", 102, 1);
    assert_false(w->res.no_flow); /* by MAC alone */
    /* What came to light is no change: others of the flow keep their own addresses. */
    struct flow_out out;
    flow_out_diff(&out, &w->key, hdr_at(w, "a5"));
    assert_int_equal(out.set, FLOW_POP_VLAN);
    struct frame left = frame_by(&w->res.outs[0], &w->key, f.b, f.size),
                 plain = tagged(1, 102, MAC_A);
    assert_int_equal(left.size, plain.size);
    assert_memory_equal(left.b, plain.b, plain.size);
    f = tagged(2, 7, MAC_A);
    memcpy(f.b, &n.r->mac, 6);
    send_frame(w, "t1", &f);
    expect_drop(w, SIM_ROUTER_VLAN, "rt");
    assert_true(w->res.no_flow);
}

/* One output takes off one tag and puts on one: what needs more isn't done half. */
static void test_too_many_tag_operations(void **state)
{
    struct world *w = *state;
    struct dev *x = bridge(w, "x"), *y = bridge(w, "y");
    struct prt *x5 = port(x, "x5"), *xt = port(x, "xt"), *y6 = port(y, "y6"), *in = port(x, "in");
    struct dev *z = bridge(w, "z");
    struct prt *zi = port(z, "zi");
    struct flow_key k = frame_key(MAC_A, ALL, 0);

    (void)x5;
    vm(z, "zv");
    vm(y, "yt");
    in->vlan = 5; /* z -- in:5 x xt -- y6:6 y -- yt */
    y6->vlan = 6;
    plug(in, zi);
    plug(xt, y6);
    publish(w);
    send_key(w, "zv", &k);
    expect_verdict(w, SIM_DROP);
    assert_int_equal(w->res.reason, SIM_VLAN_MISMATCH);
}

static void test_push_and_pop_cancel(void **state)
{
    struct world *w = *state;
    struct dev *x = bridge(w, "x"), *y = bridge(w, "y"), *z = bridge(w, "z"), *q = bridge(w, "q");
    struct prt *xi = port(x, "xi"), *xt = port(x, "xt"), *yt = port(y, "yt"), *yi = port(y, "yi");
    struct prt *zi = port(z, "zi"), *qi = port(q, "qi");
    struct flow_key k = frame_key(MAC_A, ALL, 0);

    /* zv -- z -- 5:x -- y:5 -- q -- qv: a trunk between two VLAN-aware bridges */
    vm(z, "zv");
    vm(q, "qv");
    xi->vlan = yi->vlan = 5;
    plug(zi, xi);
    plug(xt, yt);
    plug(yi, qi);
    publish(w);
    send_key(w, "zv", &k);
    assert_memory_equal(expect_out(w, "qv"), &w->key, sizeof w->key);
    struct frame f = tagged(1, 44, ALL); /* and on top of a tag of the sender's */
    w->skip_mask_check = true;
    send_frame(w, "zv", &f);
    assert_memory_equal(expect_out(w, "qv"), &w->key, sizeof w->key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(test_from_inside_to_trunks),
        world_test(test_from_trunk_inside),
        world_test(test_wrong_tag),
        world_test(test_router_behind_vlan),
        world_test(test_several_tags),
        world_test(test_behind_a_popped_tag),
        world_test(test_too_many_tag_operations),
        world_test(test_push_and_pop_cancel),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
