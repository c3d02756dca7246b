/* The worker: packets that come up become flows, or wait for what they lack, or are dropped with a
 * reason.  Drawing: agent_routed.h. */
#include "agent_routed.h"

static void test_first_packet_installs_second_is_fast(void **state)
{
    struct net n = routed(*state);
    struct flow_key k = a_to_z(&n, 1000), out = at_z(&n, 1000);

    knows(n.rr, "10.0.2.10", MAC_Z);
    mac_behind(n.z, 0, MAC_Z);
    rig_send(n.r, "a", &k);
    rig_expect(n.r, "z", &out);
    assert_int_equal(rig_upcalls(n.r), 1);
    assert_int_equal(rig_dp_flows(n.r), 1);
    rig_send(n.r, "a", &k);
    rig_expect(n.r, "z", &out);
    assert_int_equal(rig_upcalls(n.r), 1);
    rig_free(n.r);
}

static void test_learning_turns_flood_into_unicast(void **state)
{
    struct net n = routed(*state);
    struct flow_key ab = bridged(MAC_A, MAC_B), ba = bridged(MAC_B, MAC_A);

    rig_send(n.r, "a", &ab);
    rig_expect(n.r, "b", &ab);
    rig_send(n.r, "b", &ba); /* teaches where B is: the flood becomes unicast, in place */
    rig_expect(n.r, "a", &ba);
    assert_int_equal(worker_counters(n.r->worker)->flows_removed, 0);
    assert_int_equal(rig_upcalls(n.r), 2);
    rig_send(n.r, "a", &ab);
    rig_expect(n.r, "b", &ab);
    assert_int_equal(rig_upcalls(n.r), 2);
    rig_free(n.r);
}

/* Another host claims B; then B speaks here again. */
static void test_moved_mac_comes_up_again(void **state)
{
    struct net n = routed(*state);
    struct flow_key ab = bridged(MAC_A, MAC_B), ba = bridged(MAC_B, MAC_A);

    rig_send(n.r, "b", &ba);
    rig_take(n.r, "a");
    rig_send(n.r, "a", &ab);
    rig_expect(n.r, "b", &ab);
    mac_behind(n.a, 0, MAC_B); /* as another agent says */
    rig_announce(n.r, tag_bridge_mac(n.left->ref, 0, &ab.eth_dst));
    rig_run(n.r);
    uint64_t before = rig_upcalls(n.r);
    rig_send(n.r, "b", &ba); /* back again: must be noticed, not passed on by the old flow */
    assert_int_equal(rig_upcalls(n.r), before + 1);
    rig_expect(n.r, "a", &ba);
    rig_send(n.r, "a", &ab);
    rig_expect(n.r, "b", &ab);
    rig_free(n.r);
}

static void test_packets_wait_for_the_neighbour(void **state)
{
    struct net n = routed(*state);
    struct flow_key k1 = a_to_z(&n, 1000), k2 = a_to_z(&n, 2000), out = at_z(&n, 1000);

    rig_send(n.r, "a", &k1);
    rig_send(n.r, "a", &k2);
    assert_int_equal(worker_n_parked(n.r->worker), 2);
    struct flow_key ask = rig_take(n.r, "z");
    assert_int_equal(ask.eth_type, ETH_TYPE_ARP);
    rig_nothing(n.r, "z"); /* asked once for both */
    answer_arp(&n);
    assert_int_equal(worker_n_parked(n.r->worker), 0);
    assert_int_equal(worker_n_asking(n.r->worker), 0);
    rig_expect(n.r, "z", &out);
    out = at_z(&n, 2000);
    rig_expect(n.r, "z", &out);
    rig_free(n.r);
}

static void test_silent_neighbour_is_reported(void **state)
{
    struct net n = routed(*state);
    struct flow_key k = a_to_z(&n, 1000);
    unsigned asked = 0;

    rig_send(n.r, "a", &k);
    rig_take(n.r, "z");
    n.r->now += 5 * SEC;
    rig_run(n.r);
    assert_int_equal(worker_n_parked(n.r->worker), 0);
    assert_int_equal(rig_dropped(n.r, SIM_NEIGH_TIMEOUT), 1);
    struct flow_key error = rig_take(n.r, "a");
    assert_int_equal(error.ip_proto, 1);
    assert_int_equal(error.tp_src, 3); /* destination unreachable: host */
    assert_int_equal(error.tp_dst, 1);
    assert_int_equal(rig_dp_flows(n.r), 1); /* for five seconds nobody asks again */
    rig_send(n.r, "a", &k);
    assert_int_equal(worker_n_parked(n.r->worker), 0);
    for (unsigned t = 0; t < 100; t++) { /* asked again some times, then never */
        uint8_t buf[256];
        n.r->now += SEC;
        rig_run(n.r);
        while (memory_take(n.r->dp, "z", buf, sizeof buf) > 0)
            asked++;
    }
    assert_in_range(asked, 3, 6);
    assert_int_equal(worker_n_asking(n.r->worker), 0);
    assert_int_equal(rig_flows(n.r), 0);
    rig_free(n.r);
}

static void test_unloaded_object_is_asked_for(void **state)
{
    struct net n = routed(*state);
    struct flow_key k = a_to_z(&n, 1000), out = at_z(&n, 1000);

    knows(n.rr, "10.0.2.10", MAC_Z);
    mac_behind(n.z, 0, MAC_Z);
    struct topo_mac_table *macs = topo_mac_table_new();
    topo_unload(n.r->w->topo, n.right->ref); /* its table goes with it */
    n.right->macs = macs;
    rig_send(n.r, "a", &k);
    assert_int_equal(worker_n_parked(n.r->worker), 1);
    assert_int_equal(n.r->needed[0], n.right->ref);
    publish_bridge(n.r->w, n.right);
    mac_behind(n.z, 0, MAC_Z);
    rig_announce(n.r, tag_object(n.right->ref));
    rig_run(n.r);
    rig_expect(n.r, "z", &out);
    rig_free(n.r);
}

static void test_missing_object_times_out(void **state)
{
    struct net n = routed(*state);
    struct flow_key k = a_to_z(&n, 1000);

    topo_unload(n.r->w->topo, n.left->ref);
    n.left->macs = topo_mac_table_new();
    rig_send(n.r, "a", &k);
    n.r->now += 6 * SEC;
    rig_run(n.r);
    assert_int_equal(rig_dropped(n.r, SIM_TOPOLOGY_TIMEOUT), 1);
    const struct drop_event *e = drops_recent(worker_drops(n.r->worker), 0);
    assert_int_equal(e->cause.reason, SIM_TOPOLOGY_TIMEOUT);
    assert_int_equal(e->port, n.a->ref);
    assert_int_equal(e->key.tp_src, 1000);
    publish_bridge(n.r->w, n.left);
    rig_free(n.r);
}

static void test_waiting_room_is_bounded(void **state)
{
    struct net n = routed(*state);

    for (unsigned i = 0; i < 100; i++) {
        struct flow_key k = a_to_z(&n, (uint16_t)(1000 + i));
        rig_send(n.r, "a", &k);
    }
    assert_int_equal(worker_n_parked(n.r->worker), PARKED_SAME);
    assert_int_equal(worker_counters(n.r->worker)->parked_overflow, 100 - PARKED_SAME);
    rig_take(n.r, "z");
    answer_arp(&n);
    struct flow_key out = at_z(&n, 1000 + 100 - PARKED_SAME); /* the oldest went */
    rig_expect(n.r, "z", &out);
    rig_free(n.r);
}

static void test_like_packets_of_a_batch_run_once(void **state)
{
    struct net n = routed(*state);
    struct flow_key ab = bridged(MAC_A, MAC_B);

    for (unsigned i = 0; i < 10; i++)
        rig_inject(n.r, "a", &ab);
    rig_run(n.r);
    assert_int_equal(rig_upcalls(n.r), 10);
    assert_int_equal(worker_counters(n.r->worker)->duplicates, 9);
    for (unsigned i = 0; i < 10; i++)
        rig_expect(n.r, "b", &ab);
    rig_nothing(n.r, "b");
    rig_free(n.r);
}

static void test_drops_are_counted_where_they_happen(void **state)
{
    struct net n = routed(*state);
    struct flow_key k = a_to_z(&n, 1000);

    add_route(n.rt, "hole", "10.7.0.0/16", TOPO_HOP_BLACKHOLE, NULL, NULL);
    publish_router(n.r->w, n.rt);
    k.ip_dst = IP("10.7.0.1");
    for (unsigned i = 0; i < 5; i++)
        rig_send(n.r, "a", &k);
    assert_int_equal(rig_upcalls(n.r), 1);
    rig_stats(n.r); /* the other four: by the datapath */
    assert_int_equal(rig_dropped(n.r, SIM_BLACKHOLE), 5);
    rig_send(n.r, "a", &k);
    rig_remove_port(n.r, n.a->ref, n.a_no); /* the last is found at removal */
    assert_int_equal(rig_dropped(n.r, SIM_BLACKHOLE), 6);
    const struct drop_count *d = drops_at(worker_drops(n.r->worker), 1);
    struct uuid hole = uuid_of("hole");
    assert_true(uuid_equal(&d->cause.object, &hole));
    assert_int_equal(d->n_flows, 0);
    rig_free(n.r);
}

static void publish_host(struct world *w, const char *name, const char *zone, const char *ip)
{
    struct uuid id = uuid_of(name);
    struct topo_host *h = topo_object(TOPO_HOST, sizeof *h, sizeof *h->zones + 16, &id, name);

    h->alive = true;
    h->n_zones = 1;
    h->zones = topo_extra(h, sizeof *h->zones);
    h->zones[0].zone = uuid_of(zone);
    h->zones[0].ip = IP(ip);
    topo_publish(w->topo, &h->obj);
}

static int first_flow(const struct dp_flow *f, const struct dp_flow_stats *s, void *aux)
{
    (void)s;
    assert_int_equal(f->n_outs, 1);
    *(struct flow_out *)aux = f->outs[0];
    return 1;
}

static void test_remote_ports_are_behind_tunnels(void **state)
{
    struct world *w = *state;
    struct net n = routed(w);
    struct flow_key ab = bridged(MAC_A, MAC_B);
    struct flow_out out;

    publish_host(w, "host1", "zone", "192.0.2.1");
    publish_host(w, "host2", "other", "192.0.2.2");
    n.b->host = "host2";
    publish(w);
    mac_behind(n.b, 0, MAC_B);
    n.r->entries[1] = n.r->entries[--n.r->n_ports];
    rig_remap(n.r);
    struct topo_port *p = (struct topo_port *)topo_port(w->topo, n.b->ref);
    p->tunnel_key = 77;
    rig_send(n.r, "a", &ab); /* no zone in common */
    assert_int_equal(rig_dropped(n.r, SIM_NO_TUNNEL), 1);
    assert_true(worker_counters(n.r->worker)->copies_lost > 0);

    publish_host(w, "host2", "zone", "192.0.2.2");
    rig_announce(n.r, tag_tunnel(ref_of(w, "host2")));
    rig_run(n.r);
    assert_int_equal(dp_flow_each(n.r->dp, first_flow, &out), 1);
    assert_int_equal(out.kind, FLOW_OUT_TUNNEL);
    assert_int_equal(out.tun_id, 77);
    assert_ip(&out.tun_local, "192.0.2.1");
    assert_ip(&out.tun_remote, "192.0.2.2");
    rig_free(n.r);
}

static unsigned n_shown;

static void show(struct worker_host *h, const struct uuid *request, uint64_t n,
                 const struct sim_result *r)
{
    (void)h;
    assert_string_equal((const char *)request->b, "me");
    assert_int_equal(n, ++n_shown);
    assert_true(r->n_steps > 0);
    assert_int_equal(r->reason, SIM_DELIVERED);
}

/* Two packets of the same kind are shown, the third and its followers make do with a flow. */
static void trace_requests_end(void **arg)
{
    struct world w;

    (void)arg;
    world_init(&w);
    struct dev *b = bridge(&w, "br");
    struct prt *a = vm(b, "a"), *z = vm(b, "z");
    struct chn *c = chain(&w, "traced");
    rule(c, "continue");
    c->rules[0].type = RULE_TRACE;
    c->rules[0].request = uuid_of("me");
    c->rules[0].limit = 2;
    a->trace = c->ref;
    publish(&w);
    struct rig *r = rig_new(&w);
    r->host.trace = show;
    rig_plug(r, a);
    rig_plug(r, z);
    struct flow_key k = key_of(17, "10.0.0.1", "10.0.0.2", 1, 2);
    n_shown = 0;
    for (unsigned i = 0; i < 6; i++) {
        rig_send(r, "a", &k);
        rig_take(r, "z");
    }
    assert_int_equal(n_shown, 2);
    assert_int_equal(worker_counters(r->worker)->traced, 2);
    assert_int_equal(worker_counters(r->worker)->upcalls, 3);
    rig_free(r);
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trace_requests_end),
        world_test(test_first_packet_installs_second_is_fast),
        world_test(test_learning_turns_flood_into_unicast),
        world_test(test_moved_mac_comes_up_again),
        world_test(test_packets_wait_for_the_neighbour),
        world_test(test_silent_neighbour_is_reported),
        world_test(test_unloaded_object_is_asked_for),
        world_test(test_missing_object_times_out),
        world_test(test_waiting_room_is_bounded),
        world_test(test_like_packets_of_a_batch_run_once),
        world_test(test_drops_are_counted_where_they_happen),
        world_test(test_remote_ports_are_behind_tunnels),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
