/* Chains: order, jumps, verdicts, logs. */
#include "sim_routed.h"

/* a -- br -- b, with chain "c" at a's way in. */
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

static struct flow_key tcp(uint16_t dport)
{
    struct flow_key k = key_of(6, "10.0.0.1", "10.0.0.2", 1000, dport);

    k.eth_src = MAC(MAC_A);
    k.eth_dst = MAC(MAC_B);
    return k;
}

static void send_tcp(struct world *w, uint16_t dport)
{
    struct flow_key k = tcp(dport);

    send_key(w, "a", &k);
}

static void test_empty_chain_accepts(void **state)
{
    struct world *w = *state;
    struct chn *c = setup(w);

    publish(w);
    send_tcp(w, 80);
    expect_out(w, "b");
    assert_true(has_tag(w, tag_object(c->ref)));
}

static void test_first_match_wins(void **state)
{
    struct world *w = *state;
    struct chn *c = setup(w);

    rule(c, "continue");
    rule(c, "accept proto 6 dst-port 80-90");
    rule(c, "drop proto 6 dst-port 85-100");
    rule(c, "accept");
    publish(w);
    send_tcp(w, 85);
    expect_out(w, "b");
    send_tcp(w, 91);
    expect_drop(w, SIM_CHAIN_DROP, "c:3");
    assert_int_equal(w->res.reason_kind, TOPO_RULE);
    send_tcp(w, 101);
    expect_out(w, "b");
}

static void test_unread_fields_stay_out_of_the_mask(void **state)
{
    struct world *w = *state;
    struct chn *c = setup(w);

    rule(c, "drop proto 17 dst-port 53");
    rule(c, "drop dst 192.0.2.0/24 dst-port 53");
    publish(w);
    send_tcp(w, 80);
    expect_out(w, "b");
    assert_int_equal(w->res.mask.tp_dst, 0);
    assert_int_equal(w->res.mask.ip_proto, 0xff);
    assert_int_equal(w->res.mask.ip_dst.b[12], 0x80); /* one bit tells 10.* from 192.* */
    assert_int_equal(w->res.mask.ip_src.b[12], 0);
}

static void test_return_and_end_resume_the_caller(void **state)
{
    struct world *w = *state;
    struct chn *c = setup(w), *d = chain(w, "d");

    rule(c, "jump jump-to d");
    rule(c, "drop dst-port 1-2");
    rule(d, "return dst-port 1");
    rule(d, "accept dst-port 2");
    publish(w);
    send_tcp(w, 1);
    expect_drop(w, SIM_CHAIN_DROP, "c:2");
    send_tcp(w, 2);
    expect_out(w, "b");
    send_tcp(w, 3);
    expect_out(w, "b");
    assert_true(has_tag(w, tag_object(d->ref)));
    chain_clear(c);
    rule(c, "return");
    rule(c, "drop");
    publish(w);
    send_tcp(w, 3);
    expect_out(w, "b");
}

static void test_jump_nowhere(void **state)
{
    struct world *w = *state;
    struct chn *c = setup(w), *gone = chain(w, "gone");

    gone->missing = true;
    rule(c, "jump");
    rule(c, "jump jump-to gone");
    rule(c, "drop");
    publish(w);
    send_tcp(w, 1);
    expect_drop(w, SIM_CHAIN_DROP, "c:3");
    assert_true(has_tag(w, tag_object(gone->ref)));
}

static void test_jump_loop_ends(void **state)
{
    struct world *w = *state;
    struct chn *c = setup(w), *d = chain(w, "d");

    rule(c, "jump jump-to d");
    rule(c, "jump jump-to c");
    rule(c, "drop");
    rule(d, "jump jump-to c");
    rule(d, "jump jump-to d");
    publish(w);
    send_tcp(w, 1);
    expect_drop(w, SIM_CHAIN_DROP, "c:3");
}

static void test_the_same_chain_twice(void **state)
{
    struct world *w = *state;
    struct chn *c = setup(w), *d = chain(w, "d");

    rule(c, "jump jump-to d");
    rule(c, "jump jump-to d");
    rule(c, "accept");
    rule(d, "log");
    publish(w);
    send_tcp(w, 1);
    expect_out(w, "b");
    assert_int_equal(w->res.n_logs, 2);
}

static void test_deep_jumps(void **state)
{
    struct world *w = *state;
    struct chn *c = setup(w);
    char names[200][8];

    for (unsigned i = 0; i < 200; i++) {
        snprintf(names[i], sizeof names[i], "j%u", i);
        rule(c, "jump jump-to %s", names[i]);
        c = chain(w, names[i]);
    }
    rule(c, "drop");
    publish(w);
    send_tcp(w, 1);
    expect_drop(w, SIM_CHAIN_DROP, "j199:1");
}

/* Each chain jumps twice to the next: twice as many walks at each level. */
static void test_jumps_that_multiply_end(void **state)
{
    struct world *w = *state;
    struct chn *c = setup(w);
    char names[60][8];

    w->skip_mask_check = true;
    for (unsigned i = 0; i < 60; i++) {
        snprintf(names[i], sizeof names[i], "m%u", i);
        rule(c, "jump jump-to %s", names[i]);
        rule(c, "jump jump-to %s", names[i]);
        c = chain(w, names[i]);
    }
    publish(w);
    send_tcp(w, 1);
    expect_verdict(w, SIM_DROP);
    assert_int_equal(w->res.reason, SIM_LOOP);
}

static void test_unloaded_chain_is_a_need(void **state)
{
    struct world *w = *state;
    struct chn *c = setup(w), *d = chain(w, "d");

    rule(c, "jump jump-to d");
    d->unloaded = true;
    publish(w);
    send_tcp(w, 1);
    expect_verdict(w, SIM_NEED);
    assert_int_equal(w->res.n_needs, 1);
    assert_int_equal(w->res.needs[0].kind, SIM_NEED_OBJECT);
    assert_int_equal(w->res.needs[0].ref, d->ref);
    struct sim_need given_up = w->res.needs[0];
    w->in.given_up = &given_up;
    w->in.n_given_up = 1;
    send_tcp(w, 1);
    expect_drop(w, SIM_TOPOLOGY_TIMEOUT, "d");
}

static void test_loggers(void **state)
{
    struct world *w = *state;
    struct chn *c = setup(w), *d = chain(w, "d");

    logger(c, "both", TOPO_LOG_ACCEPT | TOPO_LOG_DROP);
    logger(d, "drops", TOPO_LOG_DROP);
    rule(c, "jump jump-to d");
    rule(d, "return dst-port 1");
    rule(d, "drop dst-port 2");
    publish(w);
    send_tcp(w, 1); /* d returns: of no interest; c ends: accepted */
    expect_out(w, "b");
    assert_int_equal(w->res.n_logs, 1);
    assert_true(uuid_is_zero(&w->res.logs[0].rule));
    assert_false(w->res.logs[0].dropped);
    send_tcp(w, 2);
    expect_drop(w, SIM_CHAIN_DROP, "d:2");
    assert_int_equal(w->res.n_logs, 2);
    struct uuid dropper = uuid_of("d:2"), chain_c = uuid_of("c"), both = uuid_of("both");
    assert_true(uuid_equal(&w->res.logs[0].rule, &dropper));
    assert_true(uuid_equal(&w->res.logs[1].rule, &dropper));
    assert_true(uuid_equal(&w->res.logs[1].chain, &chain_c));
    assert_true(uuid_equal(&w->res.logs[1].logger, &both));
    assert_true(w->res.logs[1].dropped);
    assert_int_equal(w->res.logs[0].in_port, ref_of(w, "a"));
    assert_int_equal(w->res.logs[0].hdr->tp_dst, 2);
}

static void test_trace_rule_asks(void **state)
{
    struct world *w = *state;
    struct chn *c = setup(w);
    struct topo_rule *t = rule(c, "trace dst-port 5 limit 3");

    t->request = uuid_of("request");
    rule(c, "trace dst-port 5")->request = uuid_of("request");
    publish(w);
    send_tcp(w, 4);
    assert_int_equal(w->res.n_traces, 0);
    send_tcp(w, 5);
    expect_out(w, "b");
    assert_int_equal(w->res.n_traces, 1);
    assert_int_equal(w->res.traces[0].limit, 3);
}

static bool trail_says(struct world *w, const char *text)
{
    trace(w);
    for (uint32_t i = 0; i < w->res.n_steps; i++)
        if (strstr(w->res.steps[i].text, text))
            return true;
    for (uint32_t i = 0; i < w->res.n_steps; i++)
        fprintf(stderr, "%s\n", w->res.steps[i].text);
    return false;
}

static void test_trail(void **state)
{
    struct world *w = *state;
    struct chn *c = setup(w);

    rule(c, "accept proto 6 dst-port 443");
    rule(c, "accept !src 10.0.0.0/8");
    rule(c, "jump jump-to c");
    rule(c, "reject");
    publish(w);
    send_tcp(w, 80);
    expect_drop(w, SIM_CHAIN_REJECT, "c:4");
    assert_int_equal(w->res.n_emits, 0); /* a bridge port doesn't tell */
    assert_true(trail_says(w, "rule 1 of chain c: dst-port 80 is not 443"));
    assert_true(trail_says(w, "rule 2 of chain c: src 10.0.0.1 is not !10.0.0.0/8"));
    assert_true(trail_says(w, "rule 3 of chain c: chain c is being walked already, no jump"));
    assert_true(trail_says(w, "rule 4 of chain c holds: reject"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(test_empty_chain_accepts),
        world_test(test_first_match_wins),
        world_test(test_unread_fields_stay_out_of_the_mask),
        world_test(test_return_and_end_resume_the_caller),
        world_test(test_jump_nowhere),
        world_test(test_jump_loop_ends),
        world_test(test_the_same_chain_twice),
        world_test(test_deep_jumps),
        world_test(test_jumps_that_multiply_end),
        world_test(test_unloaded_chain_is_a_need),
        world_test(test_loggers),
        world_test(test_trace_rule_asks),
        world_test(test_trail),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
