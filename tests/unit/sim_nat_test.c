/* Address translation of ordinary packets.
 *
 *      a -- ba --(pa ra) rt (rb pb)-- bb -- b
 *                        |
 *                        up: to the world, behind gateway 192.0.2.1 */
#include "sim_conns.h"

struct site {
    struct world *w;
    struct net n;
    struct state *s;
    struct chn *in, *out; /* of rt */
    const char *own;      /* what rt hides others behind */
    const char *gw, *other;
    bool ip6;
};

static struct site site_of(struct world *w, bool ip6)
{
    struct site t = {.w = w, .ip6 = ip6, .n = net_of(w, ip6)};

    t.own = ip6 ? "2001:db8::fe" : "192.0.2.254";
    t.gw = ip6 ? "2001:db8::1" : "192.0.2.1";
    t.other = ip6 ? "fd00:a::2" : "10.0.1.2";
    t.in = chain(w, "in");
    t.out = chain(w, "out");
    t.n.rt->infilter = t.in->ref;
    t.n.rt->outfilter = t.out->ref;
    add_route(t.n.rt, "default", t.n.any, TOPO_HOP_PORT, t.n.up, t.gw);
    knows(t.n.up, t.gw, MAC_G);
    knows(t.n.ra, t.other, "02:00:00:00:00:02");
    mac_behind(t.n.a, 0, "02:00:00:00:00:02");
    t.s = with_state(w);
    return t;
}

static const char *target(const struct site *t, const char *ports)
{
    static char text[60];

    snprintf(text, sizeof text, t->ip6 ? "[%s]%s%s" : "%s%s%s", t->own, *ports ? ":" : "", ports);
    return text;
}

static void hide(struct site *t, const char *ports)
{
    rule(t->in, "rev_snat in-ports up");
    rule(t->out, "snat out-ports up target %s", target(t, ports));
    publish(t->w);
}

static struct flow_key from_host(const struct site *t, const char *src, uint16_t sport)
{
    struct flow_key k = from_a(&t->n, t->n.far);

    k.ip_src = IP(src);
    k.tp_src = sport;
    return k;
}

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

static void serve(struct site *t, const char *to)
{
    rule(t->in, "dnat in-ports up dst %s target %s", t->own, to);
    rule(t->out, "rev_dnat out-ports up");
    publish(t->w);
}

static struct flow_key from_world(const struct site *t, uint8_t proto, uint16_t sport)
{
    struct flow_key k = key_of(proto, t->n.far, t->own, sport, 80);

    k.eth_src = MAC(MAC_G);
    k.eth_dst = t->n.up->mac;
    return k;
}

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
        both_tests(snat_and_back),
        both_tests(return_without_a_record),
        both_tests(two_hosts_one_port),
        both_tests(exhausted),
        both_tests(ports_to_lease),
        both_tests(overlapping_ranges),
        both_tests(two_hosts_ping_at_once),
        both_tests(unasked_answer),
        both_tests(ping_answered_in_the_same_run),
        both_tests(dnat_and_back),
        both_tests(ping_through_dnat),
        both_tests(twins_behind_dnat),
        both_tests(destination_rewritten),
        both_tests(hairpin),
        both_tests(static_both_ways),
        both_tests(not_for_dynamic_rules),
        both_tests(other_family_is_skipped),
        both_tests(rule_changed_during_a_connection),
        both_tests(drop_keeps_no_state),
        both_tests(told_in_the_trail),
        world_test(test_nat64),
        world_test(test_nat64_error_of_the_router),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
