/* Bridges: learning, flooding, unicast, refusals, tags and masks. */
#include "sim_fixture.h"

enum { SIM_MAX_OUTS = 65535 }; /* as core/sim/run.h has it */

/*   a --+
 *   b --+-- br --(p r) rt
 *   c --+            */
struct simple {
    struct dev *br, *rt;
    struct prt *a, *b, *c, *p, *r;
};

static struct simple simple(struct world *w)
{
    struct simple s = {.br = bridge(w, "br"), .rt = router(w, "rt")};

    s.a = vm(s.br, "a");
    s.b = vm(s.br, "b");
    s.c = vm(s.br, "c");
    s.p = port(s.br, "p");
    s.r = rport(s.rt, "r", "10.0.0.254/24");
    plug(s.p, s.r);
    publish(w);
    return s;
}

static struct flow_key frame_key(const char *src, const char *dst)
{
    struct flow_key k = key_of(17, "10.0.0.1", "10.0.0.2", 1, 2);

    k.eth_src = MAC(src);
    k.eth_dst = MAC(dst);
    return k;
}

#define MAC_A "02:00:00:00:00:0a"
#define MAC_B "02:00:00:00:00:0b"

static void test_unknown_unicast_floods(void **state)
{
    struct world *w = *state;
    struct simple s = simple(w);
    struct flow_key k = frame_key(MAC_A, MAC_B);

    send_key(w, "a", &k);
    expect_outs(w, "b", "c"); /* not to the router */
    assert_true(has_tag(w, tag_flood(s.br->ref)));
    assert_true(has_tag(w, tag_bridge_mac(s.br->ref, 0, &k.eth_dst)));
    assert_true(has_tag(w, tag_bridge_mac(s.br->ref, 0, &k.eth_src)));
    assert_true(has_tag(w, tag_object(s.br->ref)));
    assert_true(has_tag(w, tag_object(s.a->ref)));
    const struct sim_learn *l = learned(w, SIM_LEARN_MAC, s.br->ref);
    assert_non_null(l);
    assert_int_equal(l->port, s.a->ref);
    assert_mac(&l->mac, MAC_A);
    assert_memory_equal(w->res.outs[0].hdr, &w->key, sizeof w->key);
    assert_ptr_equal(w->res.outs[0].hdr, w->res.outs[1].hdr);
    assert_false(w->res.no_flow);
}

static void test_known_unicast(void **state)
{
    struct world *w = *state;
    struct simple s = simple(w);
    struct flow_key k = frame_key(MAC_A, MAC_B);

    mac_behind(s.b, 0, MAC_B);
    send_key(w, "a", &k);
    expect_out(w, "b");
    assert_true(has_tag(w, tag_object(s.b->ref)));
    assert_true(has_tag(w, tag_bridge_mac(s.br->ref, 0, &k.eth_dst)));
    assert_false(has_tag(w, tag_flood(s.br->ref)));
    /* Nothing above Ethernet was looked at. */
    struct flow_key want = {.in_port = ~0u, .eth_src = mac_broadcast, .eth_dst = mac_broadcast};
    assert_memory_equal(&w->res.mask, &want, sizeof want);
}

static void test_seeded_mac(void **state)
{
    struct world *w = *state;
    struct simple s = simple(w);
    struct flow_key k = frame_key(MAC_A, MAC_B);

    s.br->seeds[s.br->n_seeds++] = (struct topo_seed){.mac = MAC(MAC_B), .port = s.c->ref};
    publish(w);
    send_key(w, "a", &k);
    expect_out(w, "c");
    mac_behind(s.b, 0, MAC_B); /* what is seen beats what is configured */
    send_key(w, "a", &k);
    expect_out(w, "b");
}

static void test_broadcast_and_multicast_flood(void **state)
{
    struct world *w = *state;
    static const char *const groups[] = {"ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:05",
                                         "33:33:00:00:00:16", "01:80:c2:00:00:00"};

    simple(w);
    for (unsigned i = 0; i < 4; i++) {
        struct flow_key k = frame_key(MAC_A, groups[i]);
        send_key(w, "a", &k);
        expect_outs(w, "b", "c");
        assert_false(w->res.no_flow);
    }
}

static void test_spanning_tree_is_ordinary_multicast(void **state)
{
    struct world *w = *state;
    uint8_t bpdu[60] = {0x01, 0x80, 0xc2, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 38, 0x42, 0x42, 3};

    simple(w);
    send_bytes(w, "a", bpdu, sizeof bpdu);
    expect_outs(w, "b", "c");
}

static void test_refusals(void **state)
{
    struct world *w = *state;
    struct simple s = simple(w);
    struct flow_key k = frame_key("03:00:00:00:00:0a", MAC_B);

    send_key(w, "a", &k);
    expect_drop(w, SIM_SRC_MULTICAST, "br");
    assert_int_equal(w->res.n_learns, 0);

    k = frame_key(MAC_A, MAC_A);
    send_key(w, "a", &k);
    expect_drop(w, SIM_HAIRPIN, "a");
    assert_true(w->res.brief);

    mac_behind(s.a, 0, MAC_B); /* both behind one port: they must have met before */
    k = frame_key(MAC_A, MAC_B);
    send_key(w, "a", &k);
    expect_drop(w, SIM_HAIRPIN, "a");

    s.br->down = true;
    publish(w);
    send_key(w, "a", &k);
    expect_drop(w, SIM_BRIDGE_DOWN, "br");
    assert_int_equal(w->res.n_emits, 0);
}

/* The router is where it is linked, whoever says otherwise. */
static void test_router_mac_is_not_learned(void **state)
{
    struct world *w = *state;
    struct simple s = simple(w);
    char mac[MAC_STRLEN];
    struct flow_key k = frame_key(mac_format(&s.r->mac, mac), MAC_B);

    send_key(w, "a", &k);
    expect_outs(w, "b", "c");
    assert_int_equal(w->res.n_learns, 0);
    k = frame_key("00:00:00:00:00:00", MAC_B);
    send_key(w, "a", &k);
    assert_int_equal(w->res.n_learns, 0);
}

static void test_ports_down(void **state)
{
    struct world *w = *state;
    struct simple s = simple(w);
    struct flow_key k = frame_key(MAC_A, MAC_B), all = frame_key(MAC_A, "ff:ff:ff:ff:ff:ff");

    mac_behind(s.b, 0, MAC_B);
    s.a->down = true;
    publish(w);
    send_key(w, "a", &k);
    expect_drop(w, SIM_PORT_DOWN, "a");
    assert_int_equal(w->res.n_emits, 0);
    s.a->down = false;
    s.b->down = true;
    publish(w);
    send_key(w, "a", &k);
    expect_drop(w, SIM_PORT_DOWN, "b");
    send_key(w, "a", &all);
    expect_out(w, "c");
    s.c->down = true;
    publish(w);
    send_key(w, "a", &all);
    expect_drop(w, SIM_FLOOD_EMPTY, "br");
}

/* Somebody else's port is only reachable while its host serves it; our own always. */
static void test_remote_ports(void **state)
{
    struct world *w = *state;
    struct simple s = simple(w);
    struct flow_key k = frame_key(MAC_A, MAC_B), all = frame_key(MAC_A, "ff:ff:ff:ff:ff:ff");

    mac_behind(s.b, 0, MAC_B);
    s.b->host = "host2";
    s.b->inactive = true;
    publish(w);
    send_key(w, "a", &k);
    expect_drop(w, SIM_PORT_INACTIVE, "b");
    send_key(w, "a", &all);
    expect_out(w, "c");
    s.c->inactive = true; /* here or elsewhere makes no difference */
    publish(w);
    send_key(w, "a", &all);
    expect_drop(w, SIM_FLOOD_EMPTY, "br");
    s.b->inactive = false;
    publish(w);
    send_key(w, "a", &k);
    expect_out(w, "b");
}

static void test_unplugged_port(void **state)
{
    struct world *w = *state;
    struct simple s = simple(w);
    struct flow_key k = frame_key(MAC_A, MAC_B);

    s.b->host = NULL;
    publish(w);
    mac_behind(s.b, 0, MAC_B);
    send_key(w, "a", &k);
    expect_drop(w, SIM_PORT_UNPLUGGED, "b");
    /* Nothing comes in by a port that isn't bound, except in a trace. */
    send_key(w, "p", &k);
    expect_drop(w, SIM_PORT_UNPLUGGED, "p");
    w->in.any_ingress = true;
    k = frame_key(MAC_A, "ff:ff:ff:ff:ff:ff");
    send_key(w, "p", &k);
    expect_outs(w, "a", "c");
}

static void test_malformed(void **state)
{
    struct world *w = *state;
    struct flow_key k = frame_key(MAC_A, MAC_B);
    struct frame f = frame_of(&k);

    simple(w);
    f.size -= 1;
    send_frame(w, "a", &f);
    expect_drop(w, SIM_MALFORMED, "a");
    assert_true(w->res.no_flow); /* else the good ones would share its fate */
    send_bytes(w, "a", f.b, 3);
    expect_drop(w, SIM_MALFORMED, "a");
}

static void test_needs(void **state)
{
    struct world *w = *state;
    struct simple s = simple(w);
    struct flow_key all = frame_key(MAC_A, "ff:ff:ff:ff:ff:ff");

    topo_unload(w->topo, s.b->ref);
    topo_unload(w->topo, s.c->ref);
    send_key(w, "a", &all);
    expect_verdict(w, SIM_NEED);
    assert_int_equal(w->res.n_needs, 2); /* all at once */
    struct sim_need given[2] = {w->res.needs[0], w->res.needs[1]};
    assert_int_equal(given[0].kind, SIM_NEED_OBJECT);

    w->in.given_up = given;
    w->in.n_given_up = 2;
    send_key(w, "a", &all);
    expect_drop(w, SIM_FLOOD_EMPTY, "br");
    mac_behind(s.b, 0, MAC_B);
    struct flow_key k = frame_key(MAC_A, MAC_B);
    send_key(w, "a", &k);
    expect_drop(w, SIM_TOPOLOGY_TIMEOUT, "b");
    w->in.n_given_up = 0;

    publish_missing(w, TOPO_PORT, "b");
    send_key(w, "a", &k);
    expect_drop(w, SIM_MISSING_OBJECT, "b");
    topo_unload(w->topo, s.a->ref);
    send_key(w, "a", &k);
    expect_verdict(w, SIM_NEED);
    assert_int_equal(w->res.needs[0].ref, s.a->ref);
    publish(w);
    topo_unload(w->topo, s.br->ref);
    send_key(w, "a", &k);
    expect_verdict(w, SIM_NEED);
    assert_int_equal(w->res.needs[0].ref, s.br->ref);
}

/* Two bridges joined by plain ports are one; a ring of them is found out. */
static void test_linked_bridges_and_loops(void **state)
{
    struct world *w = *state;
    struct dev *x = bridge(w, "x"), *y = bridge(w, "y");
    struct prt *x1 = port(x, "x1"), *y1 = port(y, "y1"), *x2 = port(x, "x2"), *y2 = port(y, "y2");
    struct flow_key k = frame_key(MAC_A, MAC_B);

    vm(x, "vx");
    vm(y, "vy");
    plug(x1, y1);
    publish(w);
    send_key(w, "vx", &k);
    expect_out(w, "vy");
    assert_int_equal(learned(w, SIM_LEARN_MAC, y->ref)->port, y1->ref);
    apply_learns(w);
    k = frame_key(MAC_B, MAC_A);
    send_key(w, "vy", &k);
    expect_out(w, "vx");
    assert_false(has_tag(w, tag_flood(y->ref)));

    plug(x2, y2);
    publish(w);
    k = frame_key(MAC_A, "ff:ff:ff:ff:ff:ff");
    send_key(w, "vx", &k);
    expect_verdict(w, SIM_DROP); /* rather than sixteen copies to everybody */
    assert_int_equal(w->res.reason, SIM_LOOP);
    assert_true(w->res.brief);
    assert_int_equal(w->res.n_outs, 0);
    assert_int_equal(w->res.n_learns, 2); /* and its source stays where it is */
    assert_int_equal(learned(w, SIM_LEARN_MAC, x->ref)->port, ref_of(w, "vx"));
}

static void flood_of(struct world *w, unsigned n)
{
    struct dev *b = bridge(w, "big");
    struct flow_key k = frame_key(MAC_A, "ff:ff:ff:ff:ff:ff");
    char(*names)[16] = mem_array(n, sizeof *names);

    for (unsigned i = 0; i < n; i++) {
        snprintf(names[i], sizeof names[i], "vm%u", i);
        vm(b, names[i])->host = i % 3 ? "host1" : "host2";
    }
    publish(w);
    send_key(w, "vm7", &k);
    free(names);
}

static void test_flood_of_many(void **state)
{
    struct world *w = *state;

    flood_of(w, 250);
    expect_verdict(w, SIM_FORWARD);
    assert_int_equal(w->res.n_outs, 249);
    assert_null(find_out(w->res.outs, 249, ref_of(w, "vm7")));
    /* One tag stands for all its ports, or a flood's flow would weigh as much as the bridge. */
    assert_true(w->res.n_tags < 8);
}

static void test_flood_of_too_many(void **state)
{
    struct world *w = *state;

    w->skip_mask_check = true;
    flood_of(w, SIM_MAX_OUTS + 2);
    expect_verdict(w, SIM_DROP);
    assert_int_equal(w->res.reason, SIM_NO_MEMORY);
    assert_int_equal(w->res.n_outs, 0);
}

static void test_trail(void **state)
{
    struct world *w = *state;
    struct simple s = simple(w);
    struct flow_key k = frame_key(MAC_A, MAC_B);

    mac_behind(s.b, 0, MAC_B);
    send_key(w, "a", &k);
    assert_int_equal(w->res.n_steps, 0);
    trace(w);
    assert_int_equal(w->res.n_steps, 3);
    assert_string_equal(w->res.steps[0].text, "enters bridge br by port a");
    assert_string_equal(w->res.steps[1].text, "destination MAC is behind port b");
    assert_string_equal(w->res.steps[2].text, "leaves by port b");
    assert_int_equal(w->res.steps[2].reason, SIM_DELIVERED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(test_unknown_unicast_floods),
        world_test(test_known_unicast),
        world_test(test_seeded_mac),
        world_test(test_broadcast_and_multicast_flood),
        world_test(test_spanning_tree_is_ordinary_multicast),
        world_test(test_refusals),
        world_test(test_router_mac_is_not_learned),
        world_test(test_ports_down),
        world_test(test_remote_ports),
        world_test(test_unplugged_port),
        world_test(test_malformed),
        world_test(test_needs),
        world_test(test_linked_bridges_and_loops),
        world_test(test_flood_of_many),
        world_test(test_flood_of_too_many),
        world_test(test_trail),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
