/* The worker: what is installed is revised as the world changes, a flow ages, its port goes, the
 * agent starts anew; and what the datapath refuses.  Drawing: agent_routed.h. */
#include "agent_routed.h"

static void test_change_touches_its_flows_only(void **state)
{
    struct net n = routed(*state);
    struct flow_key ab = bridged(MAC_A, MAC_B), az = a_to_z(&n, 1000), out = at_z(&n, 1000);

    knows(n.rr, "10.0.2.10", MAC_Z);
    mac_behind(n.z, 0, MAC_Z);
    rig_send(n.r, "a", &ab);
    rig_send(n.r, "a", &az);
    rig_expect(n.r, "z", &out);
    assert_int_equal(rig_dp_flows(n.r), 2);
    n.rr->down = true;
    publish_port(n.r->w, n.rr);
    rig_announce(n.r, tag_object(n.rr->ref));
    uint64_t before = worker_counters(n.r->worker)->resimulated;
    rig_run(n.r);
    assert_int_equal(worker_counters(n.r->worker)->resimulated, before + 1);
    rig_send(n.r, "a", &az);
    rig_nothing(n.r, "z");
    assert_int_equal(rig_dropped(n.r, SIM_NO_ROUTE), 1);
    rig_free(n.r);
}

/* A flow that looked at addresses and at no ethertype is given one for the datapath's sake: that it
 * wasn't asked for is no reason to make it anew. */
static void test_completed_masks_are_kept(void **state)
{
    struct world *w = *state;
    struct chn *c = chain(w, "c");
    struct net n = routed(w);
    struct flow_key ab = bridged(MAC_A, MAC_B);

    rule(c, "drop src 192.0.2.0/24");
    n.a->infilter = c->ref;
    publish(w);
    mac_behind(n.b, 0, MAC_B);
    rig_send(n.r, "a", &ab);
    rig_expect(n.r, "b", &ab);
    rig_announce(n.r, tag_object(c->ref));
    rig_run(n.r);
    const struct worker_counters *had = worker_counters(n.r->worker);
    assert_true(had->resimulated > 0);
    assert_int_equal(had->flows_kept, had->resimulated);
    assert_int_equal(had->flows_removed, 0);
    rig_free(n.r);
}

/* A route that doesn't concern the flow leaves it alone; one that does replaces it. */
static void test_route_changes(void **state)
{
    struct net n = routed(*state);
    struct flow_key az = a_to_z(&n, 1000), out = at_z(&n, 1000);
    struct tag_change c = {.router = n.rt->ref, .prefix = CIDR("10.9.0.0/16")};

    knows(n.rr, "10.0.2.10", MAC_Z);
    mac_behind(n.z, 0, MAC_Z);
    rig_send(n.r, "a", &az);
    rig_expect(n.r, "z", &out);
    uint64_t before = worker_counters(n.r->worker)->resimulated;
    worker_announce(n.r->worker, &c, 1);
    rig_run(n.r);
    assert_int_equal(worker_counters(n.r->worker)->resimulated, before);
    add_route(n.rt, "hole", "10.0.2.8/29", TOPO_HOP_BLACKHOLE, NULL, NULL);
    publish_router(n.r->w, n.rt);
    c.prefix = CIDR("10.0.2.8/29");
    worker_announce(n.r->worker, &c, 1);
    rig_run(n.r);
    rig_send(n.r, "a", &az);
    rig_nothing(n.r, "z");
    rig_stats(n.r);
    n.r->now += SEC;
    rig_send(n.r, "a", &az);
    rig_stats(n.r);
    assert_true(rig_dropped(n.r, SIM_BLACKHOLE) >= 1);
    rig_free(n.r);
}

/* A flow that drops whatever goes to a prefix says nothing of one neighbour there: it is not kept
 * waiting for the neighbour that the address in its key would be. */
static void test_a_drop_of_many_is_no_packet_to_one(void **state)
{
    struct net n = routed(*state);
    struct flow_key az = a_to_z(&n, 1000), out = at_z(&n, 1000);
    struct tag_change c = {.router = n.rt->ref, .prefix = CIDR("10.0.2.0/26")};

    knows(n.rr, "10.0.2.10", MAC_Z);
    mac_behind(n.z, 0, MAC_Z);
    add_route(n.rt, "hole", "10.0.2.0/25", TOPO_HOP_BLACKHOLE, NULL, NULL);
    publish_router(n.r->w, n.rt);
    rig_send(n.r, "a", &az);
    assert_int_equal(rig_dropped(n.r, SIM_BLACKHOLE), 1);
    assert_int_equal(rig_dp_flows(n.r), 1);
    add_route(n.rt, "way", "10.0.2.0/26", TOPO_HOP_PORT, n.rr, NULL);
    publish_router(n.r->w, n.rt);
    worker_announce(n.r->worker, &c, 1);
    rig_run(n.r);
    rig_nothing(n.r, "z"); /* nobody asks for 10.0.2.0 */
    rig_send(n.r, "a", &az);
    rig_expect(n.r, "z", &out);
    rig_free(n.r);
}

static void test_idle_flows_expire(void **state)
{
    struct net n = routed(*state);
    struct flow_key ab = bridged(MAC_A, MAC_B);

    rig_send(n.r, "a", &ab);
    for (unsigned t = 0; t < 120; t++) { /* used: it stays */
        n.r->now += SEC;
        rig_send(n.r, "a", &ab);
        rig_stats(n.r);
    }
    assert_int_equal(rig_upcalls(n.r), 1);
    assert_true(worker_counters(n.r->worker)->resimulated >=
                2); /* ... and its sender's MAC known */
    for (unsigned t = 0; t < 90; t++) {
        n.r->now += SEC;
        rig_run(n.r);
    }
    assert_int_equal(rig_flows(n.r), 0);
    assert_int_equal(rig_dp_flows(n.r), 0);
    rig_free(n.r);
}

static void test_full_table_makes_room(void **state)
{
    struct net n = routed_on(*state, NULL, &(struct worker_options){.flows.max_flows = 8});

    for (unsigned i = 0; i < 100; i++) {
        struct flow_key k = bridged(MAC_A, MAC_B);
        k.eth_src.b[4] = (uint8_t)i;
        rig_inject(n.r, "a", &k);
    }
    rig_run(n.r);
    assert_int_equal(rig_flows(n.r), 8);
    assert_int_equal(rig_dp_flows(n.r), 8);
    assert_int_equal(worker_counters(n.r->worker)->flows_evicted, 92);
    rig_free(n.r);
}

static void test_unbound_port_loses_its_flows(void **state)
{
    struct net n = routed(*state);
    struct flow_key ab = bridged(MAC_A, MAC_B), ba = bridged(MAC_B, MAC_A);

    rig_send(n.r, "b", &ba);
    rig_send(n.r, "a", &ab);
    assert_int_equal(rig_dp_flows(n.r), 2);
    n.r->entries[0] = n.r->entries[--n.r->n_ports];
    rig_remap(n.r);
    rig_remove_port(n.r, n.a->ref, n.a_no);
    assert_int_equal(rig_dp_flows(n.r), 0); /* from a, and to a */
    rig_send(n.r, "a", &ab);
    assert_int_equal(worker_counters(n.r->worker)->upcalls_no_port, 1);
    assert_int_equal(rig_dp_flows(n.r), 0);
    rig_free(n.r);
}

/* More than a turn takes: in several, between which packets go on, and then it is told. */
static void test_removed_port_with_many_flows(void **state)
{
    struct net n = routed(*state);
    struct worker_removal removal = {.port = n.a->ref, .port_no = n.a_no, .done = rig_removed};
    struct flow_key k = bridged(MAC_A, MAC_B);
    unsigned turns = 0;

    for (unsigned i = 0; i < 1000; i++) {
        k.eth_dst = (struct mac){{2, 0, 0, 9, (uint8_t)(i >> 8), (uint8_t)i}};
        rig_send(n.r, "a", &k);
    }
    assert_int_equal(rig_dp_flows(n.r), 1000);
    n.r->entries[0] = n.r->entries[--n.r->n_ports];
    rig_remap(n.r);
    worker_remove_port(n.r->worker, &removal);
    for (; removal.port_no; turns++) {
        uint32_t flows = rig_flows(n.r);
        bool more = worker_run(n.r->worker, n.r->now);
        assert_true(more || !removal.port_no);
        assert_true(flows - rig_flows(n.r) <= 400);
        assert_true(turns < 100);
    }
    assert_true(turns > 2);
    assert_int_equal(rig_dp_flows(n.r), 0);
    rig_free(n.r);
}

/* A datapath around a datapath, to put the world's changes where they hurt. */
struct meddler {
    struct dp dp;
    struct dp *real;
    void (*before_put)(void *aux);
    void *aux;
    int put_rc;
};

static int meddling_put(struct dp *dp, unsigned queue, const struct dp_flow *flows, size_t n,
                        int *rcs)
{
    struct meddler *m = (struct meddler *)dp;
    void (*before)(void *) = m->before_put;

    m->before_put = NULL;
    if (before)
        before(m->aux);
    for (size_t i = 0; i < n && m->put_rc; i++)
        rcs[i] = m->put_rc;
    return m->put_rc ? (int)n : dp_flow_put(m->real, queue, flows, n, rcs);
}

static int meddling_del(struct dp *dp, unsigned q, const struct dp_flow *f, size_t n,
                        struct dp_flow_stats *s)
{
    return dp_flow_del(((struct meddler *)dp)->real, q, f, n, s);
}

static int meddling_recv(struct dp *dp, unsigned q, struct dp_upcall *ups, size_t max)
{
    return dp_recv(((struct meddler *)dp)->real, q, ups, max);
}

static int meddling_execute(struct dp *dp, unsigned q, const struct dp_exec *x, size_t n)
{
    return dp_execute(((struct meddler *)dp)->real, q, x, n);
}

static const struct dp_ops meddling_ops = {
    .type = "meddler",
    .flow_put = meddling_put,
    .flow_del = meddling_del,
    .recv = meddling_recv,
    .execute = meddling_execute,
};

static void meddle(struct net *n, struct meddler *m)
{
    *m = (struct meddler){.dp.ops = &meddling_ops, .real = n->r->dp};
    n->r->host.dp = &m->dp;
    struct worker *w;
    assert_int_equal(worker_new(&n->r->host, &(struct worker_options){0}, &w), 0);
    worker_free(n->r->worker);
    n->r->worker = w;
}

static void take_the_port_down(void *aux)
{
    struct net *n = aux;

    n->z->down = true;
    publish_port(n->r->w, n->z);
    rig_announce(n->r, tag_object(n->z->ref));
}

/* The topology changes after the packet was simulated and before its flow is installed: the flow
 * goes in with the old decision, and must not stay. */
static void test_a_lost_race_is_made_good(void **state)
{
    struct net n = routed(*state);
    struct flow_key k = a_to_z(&n, 1000), out = at_z(&n, 1000);
    struct meddler m;

    meddle(&n, &m);
    knows(n.rr, "10.0.2.10", MAC_Z);
    mac_behind(n.z, 0, MAC_Z);
    m.before_put = take_the_port_down;
    m.aux = &n;
    rig_inject(n.r, "a", &k);
    rig_run(n.r);
    assert_null(m.before_put);
    rig_expect(n.r, "z", &out); /* this packet was before the change */
    rig_send(n.r, "a", &k);
    rig_nothing(n.r, "z"); /* none is after it */
    rig_free(n.r);
}

static void test_flows_the_datapath_refuses(void **state)
{
    struct net n = routed(*state);
    struct flow_key ab = bridged(MAC_A, MAC_B);
    struct meddler m;

    meddle(&n, &m);
    m.put_rc = -ENOTSUP;
    for (unsigned i = 0; i < 3; i++) {
        rig_send(n.r, "a", &ab);
        rig_expect(n.r, "b", &ab); /* by the agent, packet by packet */
    }
    assert_int_equal(worker_counters(n.r->worker)->flows_unsupported, 3);
    assert_int_equal(rig_flows(n.r), 0);
    m.put_rc = -ENOSPC;
    rig_send(n.r, "a", &ab);
    rig_expect(n.r, "b", &ab);
    assert_int_equal(worker_counters(n.r->worker)->flows_refused, 1);
    rig_free(n.r);
}

static int adopt_flow(const struct dp_flow *f, const struct dp_flow_stats *s, void *aux)
{
    struct rig *r = aux;

    (void)s;
    return worker_adopt(r->worker, f, r->now);
}

static void restart(struct net *n)
{
    struct worker *w;

    assert_int_equal(worker_new(&n->r->host, &(struct worker_options){0}, &w), 0);
    worker_free(n->r->worker);
    n->r->worker = w;
    assert_int_equal(dp_flow_each(n->r->dp, adopt_flow, n->r), 0);
}

static void test_restart_keeps_what_is_still_right(void **state)
{
    struct net n = routed(*state);
    struct flow_key ab = bridged(MAC_A, MAC_B), ba = bridged(MAC_B, MAC_A);
    struct flow_key az = a_to_z(&n, 1000), out = at_z(&n, 1000);
    struct mac mac_a = MAC(MAC_A), mac_b = MAC(MAC_B);

    knows(n.rr, "10.0.2.10", MAC_Z);
    mac_behind(n.z, 0, MAC_Z);
    rig_send(n.r, "b", &ba);
    rig_send(n.r, "a", &ab);
    rig_send(n.r, "b", &ba);
    rig_send(n.r, "a", &az);
    rig_take(n.r, "a");
    rig_take(n.r, "a");
    rig_expect(n.r, "b", &ab);
    rig_expect(n.r, "z", &out);

    /* what was learned here is gone with the process */
    topo_mac_set(n.left->macs, 0, &mac_a, 0);
    topo_mac_set(n.left->macs, 0, &mac_b, 0);
    n.z->down = true; /* and this changed meanwhile */
    publish_port(n.r->w, n.z);
    restart(&n);
    rig_run(n.r);
    assert_int_equal(worker_counters(n.r->worker)->simulated, 0); /* holds until it may start */
    worker_start(n.r->worker, n.r->now);
    rig_run(n.r);
    const struct worker_counters *c = worker_counters(n.r->worker);
    assert_true(c->flows_kept >= 2);
    assert_int_equal(c->flows_replaced, 1);
    assert_int_equal(c->flows_removed, 0);
    assert_int_equal(topo_mac_lookup(n.left->macs, 0, &mac_a), n.a->ref);
    rig_send(n.r, "a", &ab);
    rig_expect(n.r, "b", &ab);
    rig_send(n.r, "a", &az);
    rig_nothing(n.r, "z");
    assert_int_equal(c->upcalls, 0);
    rig_free(n.r);
}

static void test_restart_waits_for_the_topology(void **state)
{
    struct net n = routed(*state);
    struct flow_key az = a_to_z(&n, 1000), out = at_z(&n, 1000);

    knows(n.rr, "10.0.2.10", MAC_Z);
    mac_behind(n.z, 0, MAC_Z);
    rig_send(n.r, "a", &az);
    rig_expect(n.r, "z", &out);
    topo_unload(n.r->w->topo, n.rt->ref);
    n.rt->neighs = topo_neigh_table_new();
    restart(&n);
    worker_start(n.r->worker, n.r->now);
    worker_run(n.r->worker, n.r->now);
    assert_int_equal(n.r->needed[0], n.rt->ref);
    rig_send(n.r, "a", &az); /* goes on meanwhile */
    rig_expect(n.r, "z", &out);
    publish_router(n.r->w, n.rt);
    rig_announce(n.r, tag_object(n.rt->ref));
    n.r->now += SEC;
    rig_run(n.r);
    struct flow_key ask = rig_take(n.r, "z"); /* who z was is forgotten: asked, the flow stays */
    assert_int_equal(ask.eth_type, ETH_TYPE_ARP);
    rig_send(n.r, "a", &az);
    rig_expect(n.r, "z", &out);
    answer_arp(&n);
    rig_send(n.r, "a", &az);
    rig_expect(n.r, "z", &out);
    assert_int_equal(worker_counters(n.r->worker)->flows_kept, 1);
    rig_free(n.r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(test_change_touches_its_flows_only),
        world_test(test_completed_masks_are_kept),
        world_test(test_route_changes),
        world_test(test_a_drop_of_many_is_no_packet_to_one),
        world_test(test_idle_flows_expire),
        world_test(test_full_table_makes_room),
        world_test(test_unbound_port_loses_its_flows),
        world_test(test_removed_port_with_many_flows),
        world_test(test_a_lost_race_is_made_good),
        world_test(test_flows_the_datapath_refuses),
        world_test(test_restart_keeps_what_is_still_right),
        world_test(test_restart_waits_for_the_topology),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
