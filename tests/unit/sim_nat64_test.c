/* IPv6 clients of machines that have IPv4: both ends translated, the headers too (RFC 6146).
 *
 *      2001:dead::1, ::2 -- gateway --(up) rt (in)-- 10.0.1.1, as 2001:db8::64 */
#include "sim_conns.h"

/* Two IPv6 clients of one machine that has IPv4, from the same port, at once; one echo each too. */
static void test_nat64(void **state)
{
    struct world *w = *state;
    struct dev *rt = router(w, "rt");
    struct prt *in = rport(rt, "in", "10.0.1.254/24"), *up = rport(rt, "up", "2001:db8::fe/64");
    struct chn *c = chain(w, "c");
    struct state *s = with_state(w);
    struct frame got[4];

    in->host = up->host = "host1";
    struct topo_rule *r = rule(c, "dnat dst 2001:db8::64 target 10.0.1.1 target "
                                  "100.64.0.1-100.64.0.2:5001-5001");
    r->n_targets = r->n_pool = 1;
    rule(c, "rev_snat dst 100.64.0.0/10");
    rt->infilter = c->ref;
    add_route(rt, "any", "::/0", TOPO_HOP_PORT, up, "2001:db8::1");
    publish(w);
    knows(in, "10.0.1.1", MAC_A);
    knows(up, "2001:db8::1", MAC_G);
    for (unsigned i = 0; i < 4; i++) {
        const char *client = i % 2 ? "2001:dead::2" : "2001:dead::1";
        struct flow_key k = i < 2 ? key_of(6, client, "2001:db8::64", 1000, 80)
                                  : echo_of(client, "2001:db8::64", 9);
        k.eth_src = MAC(MAC_G);
        k.eth_dst = up->mac;
        got[i] = through(w, s, "up", &k, "in");
        assert_true(w->res.no_flow);
        assert_int_equal(w->res.n_states, 2);
        struct frame again = through(w, s, "up", &k, "in");
        assert_memory_equal(again.b, got[i].b, again.size);
        struct flow_key back = reply_to(&got[i]);
        struct frame home = through(w, s, "in", &back, "up");
        struct flow_key h = parse(&home);
        assert_ip(&h.ip_src, "2001:db8::64");
        assert_ip(&h.ip_dst, client);
        if (i < 2)
            assert_int_equal(h.tp_dst, 1000);
        else
            assert_int_equal(h.icmp_id, 9);
        assert_memory_equal(home.b + home.size - 16, "0123456789abcdef", 16);
    }
    struct flow_key a = parse(&got[0]), b = parse(&got[1]);
    assert_false(ip_equal(&a.ip_src, &b.ip_src) && a.tp_src == b.tp_src);
    struct flow_key third = key_of(6, "2001:dead::3", "2001:db8::64", 1000, 80);
    third.eth_dst = up->mac;
    send_key(w, "up", &third);
    expect_drop(w, SIM_NAT_EXHAUSTED, "c:1");
    state_free(s);
}

/* TTL ends at the router: who is told gets an error about what it sent, in its version. */
static void test_nat64_error_of_the_router(void **state)
{
    struct world *w = *state;
    struct dev *rt = router(w, "rt");
    struct prt *in = rport(rt, "in", "10.0.1.254/24"), *up = rport(rt, "up", "2001:db8::fe/64");
    struct chn *c = chain(w, "c");
    struct state *s = with_state(w);
    struct flow_key k = key_of(17, "2001:dead::1", "2001:db8::64", 1000, 80);

    in->host = up->host = "host1";
    struct topo_rule *r =
        rule(c, "dnat dst 2001:db8::64 target 10.0.1.1 target 100.64.0.1:5001-5001");
    r->n_targets = r->n_pool = 1;
    rt->infilter = c->ref;
    publish(w);
    k.eth_dst = up->mac;
    k.ip_ttl = 1;
    send_key(w, "up", &k);
    expect_drop(w, SIM_TTL, "rt");
    struct frame e = emitted(w, "up");
    struct packet_quote q = quote_of(&e);
    assert_true(ip_equal(&q.key.ip_src, &k.ip_src) && ip_equal(&q.key.ip_dst, &k.ip_dst));
    assert_int_equal(q.key.tp_src, 1000);
    state_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(test_nat64),
        world_test(test_nat64_error_of_the_router),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
