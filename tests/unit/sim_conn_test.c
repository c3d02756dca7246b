/* Connection tracking: who opened a connection may be answered, nobody else gets in.
 *
 *      in -- br -- out      br's inbound chain: forward flows from "in", return flows, no more */
#include "sim_conns.h"

struct office {
    struct world *w;
    struct state *s;
    struct dev *br;
    bool ip6;
    const char *ip_in, *ip_out;
};

static struct office office_of(struct world *w, bool ip6)
{
    struct office o = {.w = w, .br = bridge(w, "br"), .ip6 = ip6};
    struct prt *in = vm(o.br, "in"), *out = vm(o.br, "out");
    struct chn *c = chain(w, "c");

    rule(c, "accept in-ports in fwd-flow");
    rule(c, "accept return-flow");
    rule(c, "drop");
    o.br->infilter = c->ref;
    publish(w);
    mac_behind(in, 0, MAC_A);
    mac_behind(out, 0, MAC_B);
    o.ip_in = ip6 ? "fd00::1" : "10.0.0.1";
    o.ip_out = ip6 ? "fd00::2" : "10.0.0.2";
    o.s = with_state(w);
    return o;
}

static struct flow_key forth(const struct office *o, uint8_t proto, uint16_t sport, uint16_t dport)
{
    struct flow_key k = key_of(proto, o->ip_in, o->ip_out, sport, dport);

    k.eth_src = MAC(MAC_A);
    k.eth_dst = MAC(MAC_B);
    return k;
}

static struct flow_key ping(const struct office *o, uint16_t id)
{
    struct flow_key k = echo_of(o->ip_in, o->ip_out, id);

    k.eth_src = MAC(MAC_A);
    k.eth_dst = MAC(MAC_B);
    return k;
}

static struct flow_key turned(const struct flow_key *k)
{
    struct frame f = frame_of(k);

    return reply_to(&f);
}

static void opened_from_inside(struct world *w, bool ip6)
{
    static const uint8_t protos[] = {6, 17, 132};
    struct office o = office_of(w, ip6);

    for (unsigned i = 0; i < sizeof protos; i++) {
        struct flow_key k = forth(&o, protos[i], 1000, 80), back = turned(&k), other = back;
        send_key(w, "out", &back);
        expect_drop(w, SIM_CHAIN_DROP, "c:3");
        assert_int_equal(w->res.n_states, 0);
        struct state_tuple t = {back.ip_src, back.ip_dst, 80, 1000, protos[i], {0}};
        assert_true(has_tag(w, tag_state(STATE_CONN, STATE_FORTH, o.br->ref, &t)));

        through(w, o.s, "in", &k, "out");
        const struct state_rec *rec = record(w, STATE_CONN, o.br);
        assert_non_null(rec);
        assert_memory_equal(&rec->fwd, &t, sizeof t);
        assert_false(w->res.no_flow);

        send_key(w, "out", &back);
        expect_out(w, "in");
        assert_int_equal(w->res.n_states, 1); /* in use */
        assert_memory_equal(&w->res.states[0].fwd, &t, sizeof t);
        assert_false(w->res.no_flow);

        other.tp_src = 81;
        send_key(w, "out", &other);
        expect_drop(w, SIM_CHAIN_DROP, "c:3");
    }
    state_free(o.s);
}
BOTH(opened_from_inside)

/* Nothing of it is known before it is committed. */
static void only_proposed(struct world *w, bool ip6)
{
    struct office o = office_of(w, ip6);
    struct flow_key k = forth(&o, 6, 1000, 80), back = turned(&k);

    send_key(w, "in", &k);
    expect_out(w, "out");
    assert_int_equal(w->res.n_states, 1);
    send_key(w, "out", &back);
    expect_drop(w, SIM_CHAIN_DROP, "c:3");
    state_free(o.s);
}
BOTH(only_proposed)

static void another_device_knows_nothing(struct world *w, bool ip6)
{
    struct office o = office_of(w, ip6);
    struct dev *other = bridge(w, "br2");
    struct prt *z = vm(other, "z");
    struct flow_key k = forth(&o, 6, 1000, 80), back = turned(&k);

    vm(other, "y");
    other->infilter = o.br->infilter;
    publish(w);
    mac_behind(z, 0, MAC_B);
    through(w, o.s, "in", &k, "out");
    send_key(w, "z", &back);
    expect_drop(w, SIM_CHAIN_DROP, "c:3");
    state_free(o.s);
}
BOTH(another_device_knows_nothing)

static void pings(struct world *w, bool ip6)
{
    struct office o = office_of(w, ip6);
    struct flow_key k = ping(&o, 7), back = turned(&k), asks = back;

    asks.tp_src = k.tp_src;
    send_key(w, "out", &back);
    expect_drop(w, SIM_CHAIN_DROP, "c:3");
    through(w, o.s, "in", &k, "out");
    assert_false(w->res.no_flow); /* the id isn't looked at */
    send_key(w, "out", &back);
    expect_out(w, "in");
    assert_false(w->res.no_flow);
    send_key(w, "out", &asks); /* a request of the other side's own */
    expect_drop(w, SIM_CHAIN_DROP, "c:3");
    state_free(o.s);
}
BOTH(pings)

/* An answer that nobody waits for opens nothing. */
static void unasked_answer(struct world *w, bool ip6)
{
    struct office o = office_of(w, ip6);
    struct flow_key k = ping(&o, 7);

    k.tp_src = ip6 ? 129 : 0;
    send_key(w, "in", &k);
    expect_out(w, "out");
    assert_int_equal(w->res.n_states, 0);
    state_free(o.s);
}
BOTH(unasked_answer)

/* GRE: by addresses and protocol. */
static void without_ports(struct world *w, bool ip6)
{
    struct office o = office_of(w, ip6);
    struct flow_key k = forth(&o, 47, 0, 0), back = turned(&k), esp = back;

    through(w, o.s, "in", &k, "out");
    send_key(w, "out", &back);
    expect_out(w, "in");
    esp.ip_proto = 50;
    send_key(w, "out", &esp);
    expect_drop(w, SIM_CHAIN_DROP, "c:3");
    state_free(o.s);
}
BOTH(without_ports)

static void errors_are_related(struct world *w, bool ip6)
{
    struct office o = office_of(w, ip6);
    struct flow_key k = forth(&o, 17, 1000, 80), other = forth(&o, 17, 1001, 80);
    struct frame got = through(w, o.s, "in", &k, "out"), f = frame_of(&other);
    struct frame known = error_about(&got, o.ip_out, ip6 ? 1 : 3, ip6 ? 4 : 3);
    struct frame unknown = error_about(&f, o.ip_out, ip6 ? 1 : 3, ip6 ? 4 : 3);

    send_frame(w, "out", &known);
    expect_out(w, "in");
    assert_true(w->res.no_flow);
    assert_int_equal(w->res.n_states, 0); /* keeps nothing alive */
    send_frame(w, "out", &unknown);
    expect_drop(w, SIM_CHAIN_DROP, "c:3");
    assert_true(w->res.no_flow);
    state_free(o.s);
}
BOTH(errors_are_related)

static void fragments(struct world *w, bool ip6)
{
    struct office o = office_of(w, ip6);
    struct flow_key k = forth(&o, 17, 1000, 80), first = turned(&k), later = first;

    first.ip_frag = FLOW_FRAG_FIRST;
    later.ip_frag = FLOW_FRAG_LATER;
    later.tp_src = later.tp_dst = 0;
    through(w, o.s, "in", &k, "out");
    send_key(w, "out", &later);
    expect_drop(w, SIM_CHAIN_DROP, "c:3");
    struct state_tuple t = {later.ip_src, later.ip_dst, 0, 0, 17, {0}};
    assert_true(has_tag(w, tag_state(STATE_CONN, STATE_FORTH, o.br->ref, &t)));
    send_key(w, "out", &first);
    expect_out(w, "in");
    commit(w, o.s);
    send_key(w, "out", &later);
    expect_out(w, "in");
    state_free(o.s);
}
BOTH(fragments)

static void test_arp_opens_nothing(void **state)
{
    struct world *w = *state;
    struct office o = office_of(w, false);
    struct flow_key k = {.eth_src = MAC(MAC_A),
                         .eth_dst = MAC(MAC_B),
                         .eth_type = ETH_TYPE_ARP,
                         .ip_src = IP("10.0.0.1"),
                         .ip_dst = IP("10.0.0.2"),
                         .ip_proto = 2};

    send_key(w, "in", &k);
    expect_out(w, "out");
    assert_int_equal(w->res.n_states, 0);
    state_free(o.s);
}

/* Nobody asks: nothing is tracked, and less is looked at. */
static void untracked(struct world *w, bool ip6)
{
    struct net n = net_of(w, ip6);
    struct flow_key k = from_a(&n, n.ip_b);
    struct state *s = with_state(w);

    send_key(w, "a", &k);
    expect_out(w, "b");
    assert_int_equal(w->res.n_states, 0);
    assert_int_equal(w->res.mask.tp_src, 0);
    state_free(s);
}
BOTH(untracked)

/* What a router says itself counts as answer. */
static void generated_are_return(struct world *w, bool ip6)
{
    struct net n = net_of(w, ip6);
    struct chn *c = chain(w, "c");
    struct flow_key k = from_a(&n, n.far);

    rule(c, "accept return-flow");
    rule(c, "drop");
    n.ra->outfilter = c->ref;
    publish(w);
    send_key(w, "a", &k);
    expect_drop(w, SIM_NO_ROUTE, "rt");
    emitted(w, "a");
    assert_int_equal(w->res.n_states, 0);
}
BOTH(generated_are_return)

/* Tracked on its way through a router: the record is of the device where it leaves. */
static void record_is_where_it_leaves(struct world *w, bool ip6)
{
    struct net n = net_of(w, ip6);
    struct chn *c = chain(w, "c");
    struct flow_key k = from_a(&n, n.ip_b);
    struct state *s = with_state(w);

    rule(c, "accept fwd-flow");
    rule(c, "accept");
    n.rt->infilter = c->ref;
    publish(w);
    through(w, s, "a", &k, "b");
    assert_int_equal(w->res.n_states, 1);
    assert_int_equal(w->res.states[0].device, n.bb->ref);
    state_free(s);
}
BOTH(record_is_where_it_leaves)

static void told_in_the_trail(struct world *w, bool ip6)
{
    struct office o = office_of(w, ip6);
    struct flow_key k = forth(&o, 6, 1000, 80);
    bool known = false, kept = false;

    send_key(w, "in", &k);
    trace(w);
    for (uint32_t i = 0; i < w->res.n_steps; i++) {
        known |= strstr(w->res.steps[i].text, "isn't known at bridge br") != NULL;
        kept |= strstr(w->res.steps[i].text, "return packets will be known") != NULL;
    }
    assert_true(known && kept);
    state_free(o.s);
}
BOTH(told_in_the_trail)

int main(void)
{
    const struct CMUnitTest tests[] = {
        both_tests(opened_from_inside),
        both_tests(only_proposed),
        both_tests(another_device_knows_nothing),
        both_tests(pings),
        both_tests(unasked_answer),
        both_tests(without_ports),
        both_tests(errors_are_related),
        both_tests(fragments),
        world_test(test_arp_opens_nothing),
        both_tests(untracked),
        both_tests(generated_are_return),
        both_tests(record_is_where_it_leaves),
        both_tests(told_in_the_trail),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
