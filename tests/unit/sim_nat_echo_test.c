/* Pings through translations: the id of an echo is translated as a port is, if anything is.
 * Drawing: sim_site.h. */
#include "sim_site.h"

static struct flow_key ping_from(const struct site *t, const char *src, uint16_t id)
{
    struct flow_key k = echo_of(src, t->n.far, id);

    k.eth_src = MAC(MAC_A);
    k.eth_dst = t->n.ra->mac;
    return k;
}

/* The id is translated like a port: both get their own answers. */
static void two_hosts_ping_at_once(struct world *w, bool ip6)
{
    struct site t = site_of(w, ip6);
    struct flow_key a = ping_from(&t, t.n.ip_a, 7), b = ping_from(&t, t.other, 7);

    hide(&t, "5000-5999");
    struct frame fa = through(w, t.s, "a", &a, "up");
    assert_true(w->res.no_flow);
    struct frame fb = through(w, t.s, "a", &b, "up");
    struct flow_key ka = parse(&fa), kb = parse(&fb);
    assert_ip(&ka.ip_src, t.own);
    assert_ip(&kb.ip_src, t.own);
    assert_in_range(ka.icmp_id, 5000, 5999);
    assert_int_not_equal(ka.icmp_id, kb.icmp_id);
    struct flow_key ra = reply_to(&fa), rb = reply_to(&fb);
    struct frame ha = through(w, t.s, "up", &ra, "a"), hb = through(w, t.s, "up", &rb, "a");
    ka = parse(&ha);
    kb = parse(&hb);
    assert_true(ip_equal(&ka.ip_dst, &a.ip_src) && ip_equal(&kb.ip_dst, &b.ip_src));
    assert_int_equal(ka.icmp_id, 7);
    assert_int_equal(kb.icmp_id, 7);
    assert_memory_equal(ha.b + ha.size - 16, "0123456789abcdef", 16);
    state_free(t.s);
}
BOTH(two_hosts_ping_at_once)

/* An answer nobody asked for has no id of ours. */
static void unasked_answer(struct world *w, bool ip6)
{
    struct site t = site_of(w, ip6);
    struct flow_key a = ping_from(&t, t.n.ip_a, 7);

    hide(&t, "5000-5999");
    a.tp_src = ip6 ? 129 : 0;
    send_key(w, "a", &a);
    expect_drop(w, SIM_NAT_NO_STATE, "out:1");
    state_free(t.s);
}
BOTH(unasked_answer)

/* The router behind the one that hides answers: in the same run, with nothing committed. */
static void ping_answered_in_the_same_run(struct world *w, bool ip6)
{
    struct site t = site_of(w, ip6);
    struct dev *r2 = router(w, "r2");
    struct prt *p = rport(r2, "r2a", ip6 ? "2001:db8::1/64" : "192.0.2.1/24");
    struct flow_key k = ping_from(&t, t.n.ip_a, 7);

    k.ip_dst = IP(t.gw);
    t.n.up->host = NULL;
    plug(t.n.up, p);
    rule(t.in, "rev_snat in-ports up");
    rule(t.out, "snat out-ports up target %s", target(&t, "5000-5999"));
    publish(w);
    send_key(w, "a", &k);
    expect_verdict(w, SIM_ANSWERED);
    assert_int_equal(w->res.n_states, 0);
    struct frame f = emitted(w, "a");
    struct flow_key got = parse(&f);
    assert_int_equal(got.icmp_id, 7);
    assert_true(ip_equal(&got.ip_dst, &k.ip_src) && ip_equal(&got.ip_src, &k.ip_dst));
    state_free(t.s);
}
BOTH(ping_answered_in_the_same_run)

/* Echo has no port there: pings of a translated address can have a flow. */
static void ping_through_dnat(struct world *w, bool ip6)
{
    struct site t = site_of(w, ip6);
    struct flow_key k = echo_of(t.n.far, t.own, 7);

    serve(&t, ip6 ? "[fd00:a::1]:8080-8083" : "10.0.1.1:8080-8083");
    k.eth_src = MAC(MAC_G);
    k.eth_dst = t.n.up->mac;
    struct frame got = through(w, t.s, "up", &k, "a");
    assert_false(w->res.no_flow);
    assert_int_equal(parse(&got).icmp_id, 7);
    struct flow_key back = reply_to(&got);
    struct frame home = through(w, t.s, "a", &back, "up");
    assert_false(w->res.no_flow);
    struct flow_key h = parse(&home);
    assert_ip(&h.ip_src, t.own);
    assert_int_equal(h.icmp_id, 7);
    state_free(t.s);
}
BOTH(ping_through_dnat)

int main(void)
{
    const struct CMUnitTest tests[] = {
        both_tests(two_hosts_ping_at_once),
        both_tests(unasked_answer),
        both_tests(ping_answered_in_the_same_run),
        both_tests(ping_through_dnat),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
