/* The index of long chains: the same verdicts as without it, masks that hold, and its limits. */
#include "sim_random.h"
#include "sim_routed.h"

enum { PACKETS = 24 };

static void test_random_rules(void **state)
{
    static struct flow_key keys[PACKETS];
    static struct sim_result results[PACKETS];
    static struct arena arenas[PACKETS];
    const char *rounds = getenv("MN_TEST_ROUNDS");
    unsigned n = rounds ? (unsigned)strtoul(rounds, NULL, 0) : 1500;
    struct random_world rw;

    (void)state;
    random_world_init(&rw);
    for (unsigned i = 0; i < PACKETS; i++)
        arena_init(&arenas[i], 1 << 14);
    for (unsigned round = 0; round < n; round++) {
        struct dice d = {.seed = round * 2654435761u + 1};
        random_chains(&d, &rw, round % 3 ? 60 : 10 + roll(&d, 200));
        const char *bad = check_packets(&d, &rw, keys, results, arenas, PACKETS, 12);
        if (bad)
            fail_msg("round %u: %s", round, bad);
        rcu_quiescent_state();
    }
    for (unsigned i = 0; i < PACKETS; i++)
        arena_free(&arenas[i]);
    world_free(&rw.w);
}

static void test_small_chains_have_none(void **state)
{
    struct world *w = *state;
    struct chn *c = chain(w, "c");

    rule(c, "drop");
    publish(w);
    assert_null(topo_chain(w->topo, c->ref)->index);
}

/* a -- br -- b, a long chain at a. */
static struct chn *setup(struct world *w)
{
    struct dev *br = bridge(w, "br");
    struct prt *a = vm(br, "a"), *b = vm(br, "b");
    struct chn *c = chain(w, "c");

    a->infilter = c->ref;
    mac_behind(a, 0, MAC_A);
    mac_behind(b, 0, MAC_B);
    return c;
}

static void send_tcp(struct world *w, const char *dst, uint16_t dport)
{
    struct flow_key k = key_of(6, "10.0.0.1", dst, 1000, dport);

    k.eth_src = MAC(MAC_A);
    k.eth_dst = MAC(MAC_B);
    send_key(w, "a", &k);
}

/* Thousands of destinations with a port each: who goes elsewhere isn't asked for its port. */
static void test_mask_of_many_rules(void **state)
{
    struct world *w = *state;
    struct chn *c = setup(w);

    for (unsigned i = 0; i < 4000; i++)
        rule(c, "drop proto 6 dst 10.%u.%u.0/24 dst-port %u", 1 + i / 256, i % 256, 1 + i % 100);
    rule(c, "drop proto 17 src-port 1-1000");
    publish(w);
    assert_non_null(topo_chain(w->topo, c->ref)->index);
    send_tcp(w, "192.0.2.1", 80);
    expect_out(w, "b");
    assert_int_equal(w->res.mask.tp_dst, 0);
    assert_int_equal(w->res.mask.tp_src, 0);
    assert_int_equal(w->res.mask.ip_dst.b[12], 0x80);
    assert_int_equal(w->res.mask.ip_dst.b[13], 0);
    assert_int_equal(w->res.mask.ip_src.b[12], 0);
    send_tcp(w, "10.1.4.1", 5);
    expect_drop(w, SIM_CHAIN_DROP, "c:5");
    assert_int_equal(w->res.mask.ip_dst.b[14], 0xff);
    assert_int_equal(w->res.mask.ip_dst.b[15], 0);
    send_tcp(w, "10.1.4.1", 6);
    expect_out(w, "b");
}

/* 10,000 rules with one condition are asked once: the conversation with the table of connections,
 * or with a group, isn't had 10,000 times. */
static void test_equal_conditions_are_one(void **state)
{
    struct world *w = *state;
    struct chn *c = setup(w);

    for (unsigned i = 0; i < 10000; i++)
        rule(c, "accept return-flow");
    rule(c, "drop");
    publish(w);
    const struct rule_index *x = topo_chain(w->topo, c->ref)->index;
    assert_int_equal(x->n_classes, 2);
    send_tcp(w, "10.0.0.2", 80);
    expect_drop(w, SIM_CHAIN_DROP, "c:10001");
}

/* Shapes without number are made coarser. */
static void test_many_shapes(void **state)
{
    struct world *w = *state;
    struct chn *c = setup(w);

    for (unsigned s = 1; s <= 32; s++)
        for (unsigned d = 1; d <= 32; d++)
            rule(c, "accept src 128.0.0.0/%u dst 10.%u.0.0/%u", s, s, d);
    rule(c, "drop dst-port 80");
    publish(w);
    const struct rule_index *x = topo_chain(w->topo, c->ref)->index;
    assert_in_range(x->n_tuples, 2, 128);
    send_tcp(w, "10.0.0.2", 80);
    expect_drop(w, SIM_CHAIN_DROP, "c:1025");
}

static void test_trail_tells_what_was_excluded(void **state)
{
    struct world *w = *state;
    struct chn *c = setup(w);
    bool told = false;

    for (unsigned i = 0; i < 100; i++)
        rule(c, "drop proto 6 dst-port %u", 1 + i);
    for (unsigned i = 0; i < 50; i++)
        rule(c, "drop proto 17 dst-port %u", 1 + i);
    publish(w);
    send_tcp(w, "10.0.0.2", 1000);
    expect_out(w, "b");
    trace(w);
    for (uint32_t i = 0; i < w->res.n_steps; i++)
        told |= !strcmp(w->res.steps[i].text,
                        "chain c: its index excludes 150 other rules: 150 by dst-port");
    assert_true(told);
}

static void test_memory_is_counted(void **state)
{
    struct world *w = *state;
    struct chn *c = setup(w);

    for (unsigned i = 0; i < 1000; i++)
        rule(c, "drop dst 10.0.%u.%u", i / 256, i % 256);
    size_t before = topo_memory(w->topo);
    publish(w);
    const struct rule_index *x = topo_chain(w->topo, c->ref)->index;
    assert_true(topo_memory(w->topo) - before > rule_index_memory(x));
    assert_in_range(rule_index_memory(x), 1000 * 16, 1000 * 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_rules), world_test(test_small_chains_have_none),
        world_test(test_mask_of_many_rules), world_test(test_equal_conditions_are_one),
        world_test(test_many_shapes),        world_test(test_trail_tells_what_was_excluded),
        world_test(test_memory_is_counted),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
