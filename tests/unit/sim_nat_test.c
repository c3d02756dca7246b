/* Address translation of ordinary packets.  Drawing: sim_site.h. */
#include "sim_site.h"

static void snat_and_back(struct world *w, bool ip6)
{
    static const uint8_t protos[] = {6, 17, 132};
    struct site t = site_of(w, ip6);

    hide(&t, "5000-5999");
    for (unsigned i = 0; i < sizeof protos; i++) {
        struct flow_key k = from_host(&t, t.n.ip_a, 1000);
        k.ip_proto = protos[i];
        struct frame got = through(w, t.s, "a", &k, "up");
        struct flow_key out = parse(&got), back = reply_to(&got);
        assert_ip(&out.ip_src, t.own);
        assert_in_range(out.tp_src, 5000, 5999);
        assert_true(ip_equal(&out.ip_dst, &k.ip_dst) && out.tp_dst == k.tp_dst);
        assert_false(w->res.no_flow);
        /* The whole connection is in the mask. */
        assert_int_equal(w->res.mask.tp_src, 0xffff);
        assert_int_equal(w->res.mask.tp_dst, 0xffff);
        assert_int_equal(w->res.mask.ip_proto, 0xff);
        assert_int_equal(w->res.mask.ip_src.q[1], ~0ull);
        assert_int_equal(w->res.mask.ip_dst.q[1], ~0ull);
        assert_int_equal(w->res.n_states, 1);
        const struct state_rec *rec = record(w, STATE_SNAT, t.n.rt);
        assert_non_null(rec);
        assert_true(ip_equal(&rec->fwd.src, &k.ip_src) && rec->fwd.sport == 1000);

        struct frame again = through(w, t.s, "a", &k, "up");
        assert_memory_equal(again.b, got.b, got.size);

        struct frame home = through(w, t.s, "up", &back, "a");
        struct flow_key h = parse(&home);
        assert_true(ip_equal(&h.ip_dst, &k.ip_src));
        assert_int_equal(h.tp_dst, 1000);
        assert_true(ip_equal(&h.ip_src, &k.ip_dst) && h.tp_src == k.tp_dst);
        assert_non_null(record(w, STATE_SNAT, t.n.rt)); /* in use */
        assert_false(w->res.no_flow);
    }
    state_free(t.s);
}
BOTH(snat_and_back)

static void return_without_a_record(struct world *w, bool ip6)
{
    struct site t = site_of(w, ip6);
    struct flow_key k = key_of(6, t.n.far, t.own, 2000, 5000);

    hide(&t, "5000-5999");
    k.eth_dst = t.n.up->mac;
    send_key(w, "up", &k);
    expect_drop(w, SIM_TO_ROUTER, "rt");
    struct state_tuple tuple = {k.ip_src, k.ip_dst, 2000, 5000, 6, {0}};
    assert_true(has_tag(w, tag_state(STATE_SNAT, STATE_BACK, t.n.rt->ref, &tuple)));
    assert_int_equal(w->res.n_states, 0);
    state_free(t.s);
}
BOTH(return_without_a_record)

static void two_hosts_one_port(struct world *w, bool ip6)
{
    struct site t = site_of(w, ip6);
    struct flow_key a = from_host(&t, t.n.ip_a, 1000), b = from_host(&t, t.other, 1000);

    hide(&t, "5000-5999");
    struct frame fa = through(w, t.s, "a", &a, "up"), fb = through(w, t.s, "a", &b, "up");
    assert_int_not_equal(parse(&fa).tp_src, parse(&fb).tp_src);
    struct flow_key ra = reply_to(&fa), rb = reply_to(&fb);
    struct frame ha = through(w, t.s, "up", &ra, "a"), hb = through(w, t.s, "up", &rb, "a");
    struct flow_key ka = parse(&ha), kb = parse(&hb);
    assert_true(ip_equal(&ka.ip_dst, &a.ip_src) && ip_equal(&kb.ip_dst, &b.ip_src));
    state_free(t.s);
}
BOTH(two_hosts_one_port)

static void exhausted(struct world *w, bool ip6)
{
    struct site t = site_of(w, ip6);
    struct flow_key a = from_host(&t, t.n.ip_a, 1000), b = from_host(&t, t.other, 1000);

    hide(&t, "5000-5000");
    through(w, t.s, "a", &a, "up");
    send_key(w, "a", &b);
    expect_drop(w, SIM_NAT_EXHAUSTED, "out:1");
    assert_int_equal(w->res.n_states, 0);
    assert_true(w->res.brief);
    b.tp_dst++; /* towards another destination the port is free */
    struct frame f = through(w, t.s, "a", &b, "up");
    assert_int_equal(parse(&f).tp_src, 5000);
    state_free(t.s);
}
BOTH(exhausted)

static void ports_to_lease(struct world *w, bool ip6)
{
    struct site t = site_of(w, ip6);
    struct flow_key a = from_host(&t, t.n.ip_a, 1000);

    hide(&t, "5000-5999");
    state_ports_all(t.s, false);
    send_key(w, "a", &a);
    expect_verdict(w, SIM_NEED);
    assert_int_equal(w->res.n_needs, 1);
    struct sim_need need = w->res.needs[0];
    assert_int_equal(need.kind, SIM_NEED_PORTS);
    assert_int_equal(need.ref, t.n.rt->ref);
    assert_ip(&need.ip, t.own);
    assert_true(need.tp_port <= 5999 && need.tp_to >= 5000);
    assert_int_equal(w->res.n_states, 0);

    w->in.given_up = &need;
    w->in.n_given_up = 1;
    send_key(w, "a", &a);
    expect_drop(w, SIM_NAT_TIMEOUT, "out:1");
    w->in.n_given_up = 0;

    state_ports_grant(t.s, t.n.rt->ref, &need.ip, need.tp_port / STATE_BLOCK);
    struct frame f = through(w, t.s, "a", &a, "up");
    assert_int_equal(parse(&f).tp_src / STATE_BLOCK, need.tp_port / STATE_BLOCK);
    state_free(t.s);
}
BOTH(ports_to_lease)

static void overlapping_ranges(struct world *w, bool ip6)
{
    struct site t = site_of(w, ip6);
    bool used[65536] = {false};

    rule(t.in, "rev_snat in-ports up");
    struct topo_rule *r = rule(t.out, "snat out-ports up target %s", target(&t, "5000-5002"));
    r->targets[1] = r->targets[0];
    r->targets[1].port_from = 5002;
    r->targets[1].port_to = 5004;
    r->n_targets = 2;
    publish(w);
    for (uint16_t i = 0; i < 5; i++) {
        struct flow_key k = from_host(&t, t.n.ip_a, (uint16_t)(1000 + i));
        struct frame f = through(w, t.s, "a", &k, "up");
        uint16_t port = parse(&f).tp_src;
        assert_in_range(port, 5000, 5004);
        assert_false(used[port]);
        used[port] = true;
    }
    struct flow_key k = from_host(&t, t.n.ip_a, 1005);
    send_key(w, "a", &k);
    expect_drop(w, SIM_NAT_EXHAUSTED, "out:1");
    state_free(t.s);
}
BOTH(overlapping_ranges)

static void dnat_and_back(struct world *w, bool ip6)
{
    struct site t = site_of(w, ip6);

    serve(&t, ip6 ? "[fd00:a::1]:8080-8083" : "10.0.1.1:8080-8083");
    for (uint16_t i = 0; i < 20; i++) {
        struct flow_key k = from_world(&t, i % 2 ? 6 : 17, (uint16_t)(3000 + i));
        struct frame got = through(w, t.s, "up", &k, "a");
        struct flow_key in = parse(&got), back = reply_to(&got);
        assert_ip(&in.ip_dst, t.n.ip_a);
        assert_in_range(in.tp_dst, 8080, 8083);
        assert_true(ip_equal(&in.ip_src, &k.ip_src) && in.tp_src == k.tp_src);
        struct frame again = through(w, t.s, "up", &k, "a");
        assert_memory_equal(again.b, got.b, got.size);
        back.eth_dst = t.n.ra->mac;
        struct frame home = through(w, t.s, "a", &back, "up");
        struct flow_key h = parse(&home);
        assert_ip(&h.ip_src, t.own);
        assert_int_equal(h.tp_src, 80);
        assert_int_equal(h.tp_dst, k.tp_src);
    }
    state_free(t.s);
}
BOTH(dnat_and_back)

/* Two addresses of one service, and a client that uses one source port for both: the second would
 * look like the first to who answers, so it takes another port, or none. */
static void twins_behind_dnat(struct world *w, bool ip6)
{
    struct site t = site_of(w, ip6);
    const char *second = ip6 ? "2001:db8::fd" : "192.0.2.253";
    const char *to = ip6 ? "[fd00:a::1]:8080-8080" : "10.0.1.1:8080-8080";
    const char *wide = ip6 ? "[fd00:a::1]:8080-8089" : "10.0.1.1:8080-8089";
    struct flow_key k = from_world(&t, 6, 3000), k2 = k, k3 = k;

    k2.ip_dst = IP(second);
    k3.ip_dst = IP(ip6 ? "2001:db8::fc" : "192.0.2.252");
    rule(t.in, "dnat dst %s target %s", second, to);
    rule(t.in, "dnat dst %s target %s", ip6 ? "2001:db8::fc" : "192.0.2.252", wide);
    serve(&t, to);
    through(w, t.s, "up", &k, "a");
    send_key(w, "up", &k2);
    expect_drop(w, SIM_STATE_CONFLICT, "in:1");
    struct frame f = through(w, t.s, "up", &k3, "a");
    assert_int_not_equal(parse(&f).tp_dst, 8080);
    state_free(t.s);
}
BOTH(twins_behind_dnat)

static void destination_rewritten(struct world *w, bool ip6)
{
    struct site t = site_of(w, ip6);
    struct flow_key k = from_world(&t, 6, 3000), direct = k;

    direct.ip_dst = IP(t.n.ip_a);
    rule(t.out, "accept match-nw-dst-rewritten");
    rule(t.out, "drop");
    serve(&t, ip6 ? "[fd00:a::1]:8080" : "10.0.1.1:8080");
    through(w, t.s, "up", &k, "a");
    send_key(w, "up", &direct);
    expect_drop(w, SIM_CHAIN_DROP, "out:2");
    state_free(t.s);
}
BOTH(destination_rewritten)

/* From inside to the outside address of an inside server, and back: both ends translated. */
static void hairpin(struct world *w, bool ip6)
{
    struct site t = site_of(w, ip6);
    const char *vip = ip6 ? "2001:db8::fd" : "192.0.2.253";
    struct flow_key k = from_a(&t.n, vip);

    rule(t.in, "rev_snat dst %s", t.own);
    rule(t.in, "dnat dst %s target %s", vip, ip6 ? "[fd00:b::1]:8080" : "10.0.2.1:8080");
    rule(t.out, "rev_dnat src %s action continue", t.n.ip_b);
    rule(t.out, "snat match-nw-dst-rewritten src %s target %s", t.n.ip_a, target(&t, "5000-5999"));
    publish(w);
    struct frame got = through(w, t.s, "a", &k, "b");
    assert_int_equal(w->res.n_states, 2);
    struct flow_key in = parse(&got), back = reply_to(&got);
    assert_ip(&in.ip_src, t.own);
    assert_ip(&in.ip_dst, t.n.ip_b);
    assert_int_equal(in.tp_dst, 8080);
    struct frame home = through(w, t.s, "b", &back, "a");
    struct flow_key h = parse(&home);
    assert_ip(&h.ip_src, vip);
    assert_int_equal(h.tp_src, 2000);
    assert_ip(&h.ip_dst, t.n.ip_a);
    assert_int_equal(h.tp_dst, 1000);
    state_free(t.s);
}
BOTH(hairpin)

static void static_both_ways(struct world *w, bool ip6)
{
    struct site t = site_of(w, ip6);
    const char *fip = ip6 ? "2001:db8::fd" : "192.0.2.253";
    struct flow_key out = from_host(&t, t.n.ip_a, 1000), in = from_world(&t, 6, 3000), p = out;

    rule(t.in, "dnat dst %s target %s stateless", fip, ip6 ? "[fd00:a::1]" : "10.0.1.1");
    if (ip6)
        rule(t.out, "snat src %s target [%s] stateless", t.n.ip_a, fip);
    else
        rule(t.out, "snat src %s target %s stateless", t.n.ip_a, fip);
    publish(w);
    struct frame f = through(w, t.s, "a", &out, "up");
    struct flow_key got = parse(&f);
    assert_ip(&got.ip_src, fip);
    assert_int_equal(got.tp_src, 1000);
    assert_int_equal(w->res.n_states, 0);
    assert_int_equal(w->res.mask.tp_src, 0);
    assert_false(w->res.no_flow);

    in.ip_dst = IP(fip);
    f = through(w, t.s, "up", &in, "a");
    got = parse(&f);
    assert_ip(&got.ip_dst, t.n.ip_a);

    /* Fragments too, all of them, and protocols without ports. */
    out.ip_frag = FLOW_FRAG_LATER;
    out.tp_src = out.tp_dst = 0;
    f = frame_of(&out);
    send_frame(w, "a", &f);
    f = delivered(w, "up");
    got = parse(&f);
    assert_ip(&got.ip_src, fip);
    p.ip_proto = 47;
    p.tp_src = p.tp_dst = 0;
    f = through(w, t.s, "a", &p, "up");
    got = parse(&f);
    assert_ip(&got.ip_src, fip);
    state_free(t.s);
}
BOTH(static_both_ways)

static void not_for_dynamic_rules(struct world *w, bool ip6)
{
    struct site t = site_of(w, ip6);
    struct flow_key gre = from_host(&t, t.n.ip_a, 0), frag = from_host(&t, t.n.ip_a, 1000);

    hide(&t, "5000-5999");
    gre.ip_proto = 47;
    gre.tp_src = gre.tp_dst = 0;
    struct frame f = through(w, t.s, "a", &gre, "up"); /* as in the original: the next rule */
    struct flow_key got = parse(&f);
    assert_ip(&got.ip_src, t.n.ip_a);
    frag.ip_frag = FLOW_FRAG_FIRST;
    send_key(w, "a", &frag);
    expect_drop(w, SIM_FRAGMENT, "out:1");
    frag.ip_frag = FLOW_FRAG_LATER;
    frag.tp_src = frag.tp_dst = 0;
    send_key(w, "a", &frag);
    expect_drop(w, SIM_FRAGMENT, "out:1");
    state_free(t.s);
}
BOTH(not_for_dynamic_rules)

static void other_family_is_skipped(struct world *w, bool ip6)
{
    struct site t = site_of(w, ip6);
    struct flow_key k = from_host(&t, t.n.ip_a, 1000);

    rule(t.out, "snat target %s", ip6 ? "192.0.2.9:5000-5999" : "[2001:db8::9]:5000-5999");
    rule(t.out, "snat target %s stateless", ip6 ? "192.0.2.9" : "[2001:db8::9]");
    publish(w);
    struct frame f = through(w, t.s, "a", &k, "up");
    struct flow_key got = parse(&f);
    assert_true(ip_equal(&got.ip_src, &k.ip_src));
    state_free(t.s);
}
BOTH(other_family_is_skipped)

/* The rule goes, the connection stays: its record is what counts.  New ones take the new rule. */
static void rule_changed_during_a_connection(struct world *w, bool ip6)
{
    struct site t = site_of(w, ip6);
    struct flow_key k = from_host(&t, t.n.ip_a, 1000), k2 = from_host(&t, t.n.ip_a, 1001);

    hide(&t, "5000-5999");
    struct frame before = through(w, t.s, "a", &k, "up");
    chain_clear(t.out);
    rule(t.out, "snat out-ports up target %s", target(&t, "7000-7999"));
    publish(w);
    struct frame after = through(w, t.s, "a", &k, "up");
    assert_memory_equal(before.b, after.b, before.size);
    struct frame other = through(w, t.s, "a", &k2, "up");
    assert_in_range(parse(&other).tp_src, 7000, 7999);
    state_free(t.s);
}
BOTH(rule_changed_during_a_connection)

/* Dropped behind the translation: nothing is proposed. */
static void drop_keeps_no_state(struct world *w, bool ip6)
{
    struct site t = site_of(w, ip6);
    struct chn *c = chain(w, "bar");
    struct flow_key k = from_host(&t, t.n.ip_a, 1000);

    rule(c, "drop");
    t.n.up->outfilter = c->ref;
    hide(&t, "5000-5999");
    send_key(w, "a", &k);
    expect_drop(w, SIM_CHAIN_DROP, "bar:1");
    assert_int_equal(w->res.n_states, 0);
    state_free(t.s);
}
BOTH(drop_keeps_no_state)

static void told_in_the_trail(struct world *w, bool ip6)
{
    struct site t = site_of(w, ip6);
    struct flow_key k = from_host(&t, t.n.ip_a, 1000);
    unsigned said = 0;

    hide(&t, "5000-5000");
    send_key(w, "a", &k);
    trace(w);
    for (uint32_t i = 0; i < w->res.n_steps; i++) {
        const char *s = w->res.steps[i].text;
        said |= strstr(s, ip6 ? "source [fd00:a::1]:1000 becomes [2001:db8::fe]:5000, for a new"
                              : "source 10.0.1.1:1000 becomes 192.0.2.254:5000, for a new")
                    ? 1
                    : 0;
        said |= strstr(s, "translation will be known: ") ? 2 : 0;
    }
    assert_int_equal(said, 3);
    state_free(t.s);
}
BOTH(told_in_the_trail)

int main(void)
{
    const struct CMUnitTest tests[] = {
        both_tests(snat_and_back),           both_tests(return_without_a_record),
        both_tests(two_hosts_one_port),      both_tests(exhausted),
        both_tests(ports_to_lease),          both_tests(overlapping_ranges),
        both_tests(dnat_and_back),           both_tests(twins_behind_dnat),
        both_tests(destination_rewritten),   both_tests(hairpin),
        both_tests(static_both_ways),        both_tests(not_for_dynamic_rules),
        both_tests(other_family_is_skipped), both_tests(rule_changed_during_a_connection),
        both_tests(drop_keeps_no_state),     both_tests(told_in_the_trail),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
