/* What happens at a stage besides verdicts: mirrors, redirects, tags, marks, messages to senders.
 */
#include "sim_routed.h"

/*  a, b, m, s -- br      m takes copies, s is a service */
struct rig {
    struct world *w;
    struct dev *br;
    struct prt *a, *b, *m, *s;
    struct chn *c;
    struct flow_key k;
};

static struct rig rig_of(struct world *w)
{
    struct rig r = {.w = w, .br = bridge(w, "br"), .c = chain(w, "c")};

    r.a = vm(r.br, "a");
    r.b = vm(r.br, "b");
    r.m = vm(r.br, "m");
    r.s = vm(r.br, "s");
    mac_behind(r.a, 0, MAC_A);
    mac_behind(r.b, 0, MAC_B);
    r.k = key_of(17, "10.0.0.1", "10.0.0.2", 1000, 2000);
    r.k.eth_src = MAC(MAC_A);
    r.k.eth_dst = MAC(MAC_B);
    return r;
}

static void go(struct rig *r)
{
    publish(r->w);
    send_key(r->w, "a", &r->k);
}

static void test_mirror_points(void **state)
{
    struct world *w = *state;
    struct rig r = rig_of(w);
    topo_ref copies = mirror_to(w->topo, "copies", "m", "proto 17");

    topo_ref *const places[] = {&r.a->mirrors[TOPO_HOOK_IN],
                                &r.a->mirrors[TOPO_HOOK_POST_IN_FILTER],
                                &r.br->mirrors[TOPO_HOOK_IN],
                                &r.br->mirrors[TOPO_HOOK_OUT],
                                &r.b->mirrors[TOPO_HOOK_PRE_OUT_FILTER],
                                &r.b->mirrors[TOPO_HOOK_OUT]};
    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        *places[i] = copies;
        go(&r);
        expect_outs(w, "b", "m");
        assert_true(has_tag(w, tag_object(copies)));
        *places[i] = 0;
    }
    r.a->mirrors[TOPO_HOOK_IN] = copies;
    r.k.ip_proto = 6;
    go(&r);
    expect_out(w, "b");
}

/* A router answers each ping, whoever gets copies of them. */
static void test_answered_and_mirrored(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w, false);
    struct flow_key k = from_a(&n, "10.0.1.254");

    n.a->mirrors[TOPO_HOOK_IN] = mirror_to(w->topo, "copies", "b2", "");
    publish(w);
    k.ip_proto = 1;
    k.tp_src = 8;
    k.tp_dst = 0;
    send_key(w, "a", &k);
    expect_out(w, "b2");
    emitted(w, "a");
    assert_true(w->res.no_flow);
}

/* A copy is made of what the port then refuses, and not of what it refused before. */
static void test_mirrors_and_filters(void **state)
{
    struct world *w = *state;
    struct rig r = rig_of(w);

    r.a->infilter = r.c->ref;
    rule(r.c, "drop");
    r.a->mirrors[TOPO_HOOK_IN] = mirror_to(w->topo, "copies", "m", "");
    go(&r);
    expect_out(w, "m");
    r.a->mirrors[TOPO_HOOK_POST_IN_FILTER] = r.a->mirrors[TOPO_HOOK_IN];
    r.a->mirrors[TOPO_HOOK_IN] = 0;
    go(&r);
    expect_drop(w, SIM_CHAIN_DROP, "c:1");
    r.a->mirrors[TOPO_HOOK_IN] = r.a->mirrors[TOPO_HOOK_POST_IN_FILTER];
    r.a->mirrors[TOPO_HOOK_POST_IN_FILTER] = 0;
    r.a->down = true; /* a port that is down still shows what it gets */
    go(&r);
    expect_out(w, "m");
}

static void test_lost_copies_dont_matter(void **state)
{
    struct world *w = *state;
    struct rig r = rig_of(w);

    r.a->mirrors[TOPO_HOOK_IN] = mirror_to(w->topo, "copies", "m", "");
    r.m->down = true;
    go(&r);
    expect_out(w, "b");
    r.a->infilter = r.c->ref;
    rule(r.c, "drop");
    go(&r);
    expect_drop(w, SIM_CHAIN_DROP, "c:1");
}

static void test_mirrored_mirrors_end(void **state)
{
    struct world *w = *state;
    struct rig r = rig_of(w);

    r.a->mirrors[TOPO_HOOK_IN] = mirror_to(w->topo, "one", "m", "");
    r.m->mirrors[TOPO_HOOK_OUT] = mirror_to(w->topo, "two", "s", "");
    r.s->mirrors[TOPO_HOOK_PRE_OUT_FILTER] = mirror_to(w->topo, "three", "m", "");
    go(&r);
    expect_verdict(w, SIM_FORWARD);
    assert_true(w->res.n_outs >= 3 && w->res.n_outs < 10);
}

static void test_redirect(void **state)
{
    struct world *w = *state;
    struct rig r = rig_of(w);
    struct chn *deaf = chain(w, "deaf");

    r.a->infilter = r.c->ref;
    rule(deaf, "drop");
    r.s->outfilter = deaf->ref; /* not asked */
    r.s->service = true;
    rule(r.c, "redirect target-port s");
    go(&r);
    expect_out(w, "s");
    chain_clear(r.c);
    rule(r.c, "redirect target-port b ingress !in-ports b");
    rule(r.c, "drop");
    r.b->infilter = r.c->ref;
    go(&r); /* enters by b, and is dropped there */
    expect_drop(w, SIM_CHAIN_DROP, "c:2");
}

static void test_redirect_in_vain(void **state)
{
    struct world *w = *state;
    struct rig r = rig_of(w);

    r.a->infilter = r.c->ref;
    rule(r.c, "redirect !in-ports s");
    go(&r);
    expect_drop(w, SIM_REDIRECT_GONE, "c:1");
    chain_clear(r.c);
    rule(r.c, "redirect target-port gone");
    publish_missing(w, TOPO_PORT, "gone");
    go(&r);
    expect_drop(w, SIM_REDIRECT_GONE, "c:1");
    chain_clear(r.c);
    struct topo_rule *rd = rule(r.c, "redirect target-port s");
    r.s->inactive = true;
    go(&r);
    expect_drop(w, SIM_SERVICE_DOWN, "s");
    assert_true(has_tag(w, tag_object(r.s->ref)));
    r.s->inactive = false;
    r.s->down = true;
    go(&r);
    expect_drop(w, SIM_SERVICE_DOWN, "s");
    rd->fail_open = true; /* as if it had come back from there */
    go(&r);
    expect_out(w, "b");
}

static void test_redirect_loop_ends(void **state)
{
    struct world *w = *state;
    struct rig r = rig_of(w);

    w->skip_mask_check = true;
    r.a->infilter = r.b->infilter = r.c->ref;
    rule(r.c, "redirect target-port b ingress in-ports a");
    rule(r.c, "redirect target-port a ingress");
    go(&r);
    expect_verdict(w, SIM_DROP);
    assert_int_equal(w->res.reason, SIM_LOOP);
}

static void test_service_ports_take_redirected_only(void **state)
{
    struct world *w = *state;
    struct rig r = rig_of(w);

    r.s->service = true;
    mac_behind(r.s, 0, MAC_B);
    go(&r);
    expect_drop(w, SIM_SERVICE_PORT, "s");
    r.k.eth_dst = mac_broadcast;
    go(&r);
    expect_outs(w, "b", "m");
}

static void test_tags(void **state)
{
    struct world *w = *state;
    struct rig r = rig_of(w);
    const struct flow_key *out;

    r.a->infilter = r.c->ref;
    rule(r.c, "l2_transform pop-vlan action accept"); /* untagged: nothing to do, the next rule */
    rule(r.c, "l2_transform push-vlan 0x2007 action redirect target-port s");
    go(&r);
    out = expect_out(w, "s");
    assert_int_equal(out->vlan_tci, FLOW_VLAN_PRESENT | 0x2007);
    chain_clear(r.c);
    rule(r.c, "l2_transform pop-vlan push-vlan 9 action continue vlan 5");
    rule(r.c, "drop !vlan 9");
    r.k.vlan_tci = FLOW_VLAN_PRESENT | 5;
    go(&r);
    out = expect_out(w, "b");
    assert_int_equal(out->vlan_tci & FLOW_VLAN_VID, 9);
    assert_int_equal(out->n_vlans, 1);
}

static void test_marks(void **state)
{
    struct world *w = *state;
    struct rig r = rig_of(w);

    r.a->dscp = 46 + 1;
    r.k.ip_tos = 3; /* ECN stays */
    go(&r);
    assert_int_equal(expect_out(w, "b")->ip_tos, 46 << 2 | 3);
    r.k = key_of(17, "fd00::1", "fd00::2", 1, 2);
    r.k.eth_src = MAC(MAC_A);
    r.k.eth_dst = MAC(MAC_B);
    go(&r);
    assert_int_equal(expect_out(w, "b")->ip_tos, 46 << 2);
}

static void test_bridge_learns_what_it_drops(void **state)
{
    struct world *w = *state;
    struct rig r = rig_of(w);

    r.br->infilter = r.c->ref;
    rule(r.c, "drop");
    go(&r);
    expect_drop(w, SIM_CHAIN_DROP, "c:1");
    assert_non_null(learned(w, SIM_LEARN_MAC, r.br->ref));
    r.k.vlan_tci = FLOW_VLAN_PRESENT | 5; /* not for tagged frames */
    go(&r);
    expect_out(w, "b");
}

static void rejects(struct world *w, bool ip6)
{
    struct net n = net_of(w, ip6);
    struct chn *c = chain(w, "c");
    struct flow_key k = from_a(&n, n.ip_b);
    topo_ref *const places[] = {&n.ra->infilter, &n.rt->local_redirect, &n.rt->infilter,
                                &n.rt->forward,  &n.rt->outfilter,      &n.rb->outfilter};

    rule(c, "reject");
    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        *places[i] = c->ref;
        publish(w);
        send_key(w, "a", &k);
        expect_drop(w, SIM_CHAIN_REJECT, "c:1");
        expect_error(w, &n, &k, ip6 ? 1 : 3, ip6 ? 1 : 13);
        *places[i] = 0;
    }
    n.a->infilter = c->ref; /* bridges and their ports say nothing */
    publish(w);
    send_key(w, "a", &k);
    expect_drop(w, SIM_CHAIN_REJECT, "c:1");
    assert_int_equal(w->res.n_emits, 0);
}

static void test_first_fragment_dropped(void **state)
{
    struct world *w = *state;
    struct net n = net_of(w, false);
    struct chn *c = chain(w, "c");
    struct flow_key k = from_a(&n, n.ip_b);

    n.rt->infilter = c->ref;
    rule(c, "accept fragment-policy unfragmented");
    rule(c, "drop");
    publish(w);
    k.ip_frag = FLOW_FRAG_FIRST;
    send_key(w, "a", &k);
    expect_drop(w, SIM_CHAIN_DROP, "c:2");
    struct frame f = emitted(w, "a");
    struct packet_layers l;
    struct flow_key e = parse_exact(f.b, f.size, &l);
    assert_int_equal(e.tp_src, 3);
    assert_int_equal(e.tp_dst, 4);
    k.ip_frag = FLOW_FRAG_LATER;
    k.tp_src = k.tp_dst = 0;
    send_key(w, "a", &k);
    expect_drop(w, SIM_CHAIN_DROP, "c:2");
    assert_int_equal(w->res.n_emits, 0);
}

BOTH(rejects)

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(test_mirror_points),
        world_test(test_mirrors_and_filters),
        world_test(test_answered_and_mirrored),
        world_test(test_lost_copies_dont_matter),
        world_test(test_mirrored_mirrors_end),
        world_test(test_redirect),
        world_test(test_redirect_in_vain),
        world_test(test_redirect_loop_ends),
        world_test(test_service_ports_take_redirected_only),
        world_test(test_tags),
        world_test(test_marks),
        world_test(test_bridge_learns_what_it_drops),
        both_tests(rejects),
        world_test(test_first_fragment_dropped),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
