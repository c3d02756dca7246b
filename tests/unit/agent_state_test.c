/* Workers and connections: what one worker commits, all forward by.
 *
 *      in -- br -- out      br's inbound chain: forward flows from "in", return flows, no more
 *
 * Two workers share the records; each has a datapath of its own, with both ports.  The first takes
 * what "in" sends, the second what "out" sends. */
#include "agent_rig.h"
#include "sim_conns.h"

struct office {
    struct world *w;
    struct dev *br;
    struct chn *chain;
    struct state *state;
    struct rig *r[2];
    bool opens_meanwhile; /* the first worker's packet comes while the second decides */
    unsigned n_told, n_logged, n_leases;
    struct sim_need lease;
};

static struct office *the_office;

static void tell(struct worker_host *h, unsigned queue, const struct tag_change *changes, size_t n)
{
    struct rig *self = caa_container_of(h, struct rig, host);
    struct rig *other = the_office->r[self == the_office->r[0]];

    (void)queue;
    the_office->n_told += (unsigned)n;
    worker_announce(other->worker, changes, n);
}

static void lease(struct worker_host *h, const struct sim_need *need)
{
    (void)h;
    the_office->n_leases++;
    the_office->lease = *need;
}

static void keep_log(struct worker_host *h, unsigned queue, const struct sim_log *log, uint64_t now)
{
    (void)h;
    (void)queue;
    (void)log;
    (void)now;
    the_office->n_logged++;
}

static struct flow_key forth(uint8_t proto, uint16_t sport)
{
    struct flow_key k = key_of(proto, "10.0.0.1", "10.0.0.2", sport, 80);

    k.eth_src = MAC(MAC_A);
    k.eth_dst = MAC(MAC_B);
    return k;
}

static struct flow_key back(uint8_t proto, uint16_t sport)
{
    struct flow_key k = key_of(proto, "10.0.0.2", "10.0.0.1", 80, sport);

    k.eth_src = MAC(MAC_B);
    k.eth_dst = MAC(MAC_A);
    return k;
}

/* Between its simulation and its flow, the second worker hears what its packet teaches: there the
 * first one opens the connection, commits and announces. */
static void learn_meanwhile(struct worker_host *h, unsigned queue, const struct sim_learn *l,
                            uint64_t now)
{
    rig_learn(h, queue, l, now);
    if (!the_office->opens_meanwhile)
        return;
    the_office->opens_meanwhile = false;
    struct flow_key k = forth(17, 1000);
    rig_send(the_office->r[0], "in", &k);
}

static struct office *office_of(struct world *w, const struct state_limits *limits)
{
    struct office *o = NEW(struct office);
    struct prt *in, *out;

    the_office = o;
    o->w = w;
    o->br = bridge(w, "br");
    in = vm(o->br, "in");
    out = vm(o->br, "out");
    o->chain = chain(w, "c");
    rule(o->chain, "accept in-ports in fwd-flow");
    rule(o->chain, "accept return-flow");
    rule(o->chain, "drop");
    o->br->infilter = o->chain->ref;
    publish(w);
    mac_behind(in, 0, MAC_A);
    mac_behind(out, 0, MAC_B);
    assert_int_equal(state_new(limits, &o->state), 0);
    state_ports_all(o->state, true);
    for (unsigned i = 0; i < 2; i++) {
        char name[8];
        struct error e = {0};
        struct dp *dp;
        snprintf(name, sizeof name, "w%u", i);
        assert_int_equal(dp_open("memory", &(struct dp_options){.name = name}, &dp, &e), 0);
        o->r[i] = rig_new_on(w, &(struct worker_options){0}, dp);
        memory_dp_set_clock(dp, rig_now, o->r[i]);
        o->r[i]->host.state = o->state;
        o->r[i]->host.tell_others = tell;
        o->r[i]->host.lease = lease;
        o->r[i]->host.log = keep_log;
        o->r[i]->host.learn = learn_meanwhile;
        rig_plug(o->r[i], in);
        rig_plug(o->r[i], out);
    }
    return o;
}

static void office_free(struct office *o)
{
    rig_free(o->r[0]);
    rig_free(o->r[1]);
    state_free(o->state);
    free(o);
}

static void run(struct office *o)
{
    rig_run(o->r[0]);
    rig_run(o->r[1]);
    rig_run(o->r[0]);
}

static void passes(struct rig *r, const char *from, const char *to, struct flow_key k)
{
    rig_send(r, from, &k);
    rig_expect(r, to, &k);
}

static void falls(struct rig *r, const char *from, const char *to, struct flow_key k)
{
    rig_send(r, from, &k);
    rig_nothing(r, to);
}

static const struct worker_counters *counters(const struct rig *r)
{
    return worker_counters(r->worker);
}

static void ended(const struct state_rec *rec, void *aux)
{
    struct office *o = aux;
    tag_t tags[2];
    unsigned n = state_tags(rec, tags);

    for (unsigned i = 0; i < 2 * n; i++)
        rig_announce(o->r[i % 2], tags[i / 2]);
}

/* Time passes in steps; statistics are read and records swept as the control thread does. */
static void pass_time(struct office *o, unsigned seconds)
{
    for (unsigned i = 0; i < seconds; i++) {
        o->r[0]->now += SEC;
        o->r[1]->now += SEC;
        if (i % 5 == 4) {
            rig_stats(o->r[0]);
            rig_stats(o->r[1]);
        }
        run(o);
        state_sweep(o->state, o->r[0]->now, 10000, ended, o);
        run(o);
    }
}

static void test_answers_are_let_in(void **state)
{
    struct office *o = office_of(*state, NULL);

    falls(o->r[1], "out", "in", back(17, 1000));
    assert_int_equal(rig_dropped(o->r[1], SIM_CHAIN_DROP), 1);
    assert_int_equal(rig_dp_flows(o->r[1]), 1);
    passes(o->r[0], "in", "out", forth(17, 1000));
    run(o); /* the second worker hears of it: its drop flow goes */
    assert_int_equal(rig_dp_flows(o->r[1]), 0);
    passes(o->r[1], "out", "in", back(17, 1000));
    uint64_t upcalls = rig_upcalls(o->r[1]);
    passes(o->r[1], "out", "in", back(17, 1000));
    assert_int_equal(rig_upcalls(o->r[1]), upcalls);
    falls(o->r[1], "out", "in", back(17, 1001));
    office_free(o);
}

/* The flow that comes of the very simulation that made the record stands on it already. */
static void test_own_flow_is_not_touched(void **state)
{
    struct office *o = office_of(*state, NULL);

    for (uint16_t port = 1; port <= 100; port++)
        passes(o->r[0], "in", "out", forth(6, port));
    run(o);
    assert_int_equal(counters(o->r[0])->records_made, 100);
    assert_int_equal(counters(o->r[0])->resimulated, 0);
    assert_int_equal(counters(o->r[0])->invalidated_flows, 0);
    assert_int_equal(ft_n_class(worker_flows(o->r[0]->worker), FT_STATEFUL), 100);
    assert_int_equal(o->n_told, 100); /* the other worker hears of each once */
    office_free(o);
}

/* The race, lost on purpose: the return packet is looked up in vain, then the connection is opened,
 * committed and announced, and only then does the flow of that look-up come into being. */
static void test_lookup_before_commit_flow_after_it(void **state)
{
    struct office *o = office_of(*state, NULL);
    struct flow_key k = back(17, 1000);

    o->opens_meanwhile = true;
    rig_inject(o->r[1], "out", &k);
    rig_run(o->r[1]);
    assert_false(o->opens_meanwhile);
    rig_nothing(o->r[1], "in"); /* that packet was too early */
    assert_int_equal(rig_dropped(o->r[1], SIM_CHAIN_DROP), 1);
    assert_int_equal(counters(o->r[1])->flows_installed, 1);
    assert_int_equal(counters(o->r[1])->invalidated_flows, 1);
    assert_int_equal(rig_dp_flows(o->r[1]), 0); /* but its flow didn't stay */
    passes(o->r[1], "out", "in", k);
    office_free(o);
}

static void test_use_keeps_records(void **state)
{
    struct office *o = office_of(*state, NULL);

    passes(o->r[0], "in", "out", forth(6, 1000));
    passes(o->r[1], "out", "in", back(6, 1000));
    uint64_t upcalls = rig_upcalls(o->r[0]) + rig_upcalls(o->r[1]);
    for (unsigned i = 0; i < 60; i++) { /* only answers, for ten minutes */
        passes(o->r[1], "out", "in", back(6, 1000));
        pass_time(o, 10);
        assert_int_equal(state_size(o->state), 1);
    }
    assert_int_equal(rig_upcalls(o->r[0]) + rig_upcalls(o->r[1]), upcalls);
    assert_int_equal(counters(o->r[1])->flows_removed, 0);
    assert_in_range(counters(o->r[1])->resimulated, 15, 45);
    office_free(o);
}

/* A packet each 55 s, within the 60 that a record lives, is enough. */
static void test_rare_packets_keep_records(void **state)
{
    struct office *o = office_of(*state, &(struct state_limits){.idle_ns = 65 * SEC});

    passes(o->r[0], "in", "out", forth(6, 1000));
    passes(o->r[1], "out", "in", back(6, 1000));
    uint64_t upcalls = rig_upcalls(o->r[1]);
    for (unsigned i = 0; i < 20; i++) {
        pass_time(o, 55);
        passes(o->r[1], "out", "in", back(6, 1000));
        assert_int_equal(state_size(o->state), 1);
    }
    assert_int_equal(rig_upcalls(o->r[1]), upcalls);
    office_free(o);
}

/* Scenario 45: after 90 s of silence the answer is unsolicited. */
static void test_silence_ends_records(void **state)
{
    struct office *o = office_of(*state, NULL);

    passes(o->r[0], "in", "out", forth(6, 1000));
    passes(o->r[1], "out", "in", back(6, 1000));
    pass_time(o, 40);
    assert_int_equal(state_size(o->state), 1);
    pass_time(o, 50);
    assert_int_equal(state_size(o->state), 0);
    assert_int_equal(rig_flows(o->r[0]) + rig_flows(o->r[1]), 0);
    falls(o->r[1], "out", "in", back(6, 1000));
    office_free(o);
}

/* A change makes all flows be simulated again: that isn't use. */
static void test_changes_keep_nothing_alive(void **state)
{
    struct office *o = office_of(*state, NULL);

    passes(o->r[0], "in", "out", forth(6, 1000));
    for (unsigned i = 0; i < 9; i++) {
        pass_time(o, 10);
        rig_announce(o->r[0], tag_object(o->br->ref));
        rig_announce(o->r[1], tag_object(o->br->ref));
        run(o);
    }
    assert_int_equal(state_size(o->state), 0);
    office_free(o);
}

/* The record ends early (a full table, a peer): a flow that nobody uses goes with it. */
static void test_flow_without_its_record(void **state)
{
    struct office *o = office_of(*state, NULL);
    struct state_info info;
    uint64_t at = 0;

    passes(o->r[0], "in", "out", forth(6, 1000));
    passes(o->r[1], "out", "in", back(6, 1000));
    assert_int_equal(state_dump(o->state, &at, &info, 1), 1);
    state_remove(o->state, &info.rec);
    ended(&info.rec, o);
    run(o);
    assert_int_equal(state_size(o->state), 0);
    assert_int_equal(rig_flows(o->r[0]), 0);
    falls(o->r[1], "out", "in", back(6, 1000));
    passes(o->r[0], "in", "out", forth(6, 1000)); /* opens it again */
    run(o);
    passes(o->r[1], "out", "in", back(6, 1000));
    office_free(o);
}

static void test_full_table_drops(void **state)
{
    struct office *o = office_of(*state, &(struct state_limits){.max_records = 4});
    unsigned passed = 0;

    for (uint16_t port = 1; port <= 20; port++) {
        struct flow_key k = forth(17, port);
        uint8_t buf[256];
        rig_send(o->r[0], "in", &k);
        passed += memory_take(o->r[0]->dp, "out", buf, sizeof buf) > 0;
    }
    assert_in_range(passed, 1, 4);
    assert_int_equal(rig_dropped(o->r[0], SIM_STATE_FULL), 20 - passed);
    assert_int_equal(counters(o->r[0])->state_refused, 20 - passed);
    assert_int_equal(rig_flows(o->r[0]), passed); /* what was refused may try again */
    office_free(o);
}

/* Flows of echoes can't be simulated again from their key: a packet comes up from time to time, and
 * uses the record.  The first one is logged. */
static void test_ping(void **state)
{
    struct office *o = office_of(*state, NULL);
    struct flow_key k = echo_of("10.0.0.1", "10.0.0.2", 7);

    logger(o->chain, "logger", TOPO_LOG_ACCEPT);
    publish(o->w);
    k.eth_src = MAC(MAC_A);
    k.eth_dst = MAC(MAC_B);
    for (unsigned i = 0; i < 20; i++) {
        passes(o->r[0], "in", "out", k);
        pass_time(o, 10);
        assert_int_equal(state_size(o->state), 1);
    }
    assert_in_range(rig_upcalls(o->r[0]), 2, 10);
    assert_int_equal(o->n_logged, 1);
    pass_time(o, 61);
    assert_int_equal(state_size(o->state), 0);
    office_free(o);
}

static void test_one_log_record_a_connection(void **state)
{
    struct office *o = office_of(*state, NULL);

    logger(o->chain, "logger", TOPO_LOG_ACCEPT | TOPO_LOG_DROP);
    publish(o->w);
    for (unsigned i = 0; i < 5; i++) {
        passes(o->r[0], "in", "out", forth(6, 1000));
        falls(o->r[1], "out", "in", back(6, 2000));
    }
    rig_announce(o->r[0], tag_object(o->br->ref)); /* simulating it again is no decision */
    run(o);
    assert_int_equal(o->n_logged, 2);
    office_free(o);
}

/* A packet that needs ports waits for the lease. */
static void test_waits_for_ports(void **state)
{
    struct office *o = office_of(*state, NULL);
    struct flow_key k = forth(17, 1000), got;

    chain_clear(o->chain);
    rule(o->chain, "snat in-ports in target 10.0.0.9:5000-5063");
    publish(o->w);
    state_ports_all(o->state, false);
    rig_send(o->r[0], "in", &k);
    rig_nothing(o->r[0], "out");
    assert_int_equal(worker_n_parked(o->r[0]->worker), 1);
    assert_int_equal(o->n_leases, 1);
    assert_int_equal(o->lease.ref, o->br->ref);
    assert_in_range(5000, o->lease.tp_port, o->lease.tp_to);
    state_ports_grant(o->state, o->lease.ref, &o->lease.ip, 5056 / STATE_BLOCK);
    rig_announce(o->r[0], tag_ports(o->lease.ref, &o->lease.ip));
    run(o);
    got = rig_take(o->r[0], "out");
    assert_in_range(got.tp_src, 5056, 5063);
    assert_int_equal(worker_n_parked(o->r[0]->worker), 0);

    k = forth(17, 1001); /* no lease comes */
    k.ip_dst = IP("10.0.0.3");
    state_ports_revoke(o->state, o->lease.ref, &o->lease.ip, 5056 / STATE_BLOCK);
    rig_send(o->r[0], "in", &k);
    o->r[0]->now += 5 * SEC;
    run(o);
    assert_int_equal(worker_n_parked(o->r[0]->worker), 0);
    assert_int_equal(rig_dropped(o->r[0], SIM_NAT_TIMEOUT), 1);
    office_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(test_answers_are_let_in),
        world_test(test_own_flow_is_not_touched),
        world_test(test_lookup_before_commit_flow_after_it),
        world_test(test_use_keeps_records),
        world_test(test_rare_packets_keep_records),
        world_test(test_silence_ends_records),
        world_test(test_changes_keep_nothing_alive),
        world_test(test_flow_without_its_record),
        world_test(test_full_table_drops),
        world_test(test_ping),
        world_test(test_one_log_record_a_connection),
        world_test(test_waits_for_ports),
    };

    return cmocka_run_group_tests_name("connections", tests, reader_setup, reader_teardown);
}
