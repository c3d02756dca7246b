/* The worker on a memory datapath: from upcalls to flows and back.
 *
 *     a --+                                +-- z
 *     b --+-- left --(lp lr)-- rt --(rr rp)-- right
 */
#include "agent_rig.h"

#define MAC_A "02:00:00:00:00:0a"
#define MAC_B "02:00:00:00:00:0b"
#define MAC_Z "02:00:00:00:00:0c"

struct net {
    struct rig *r;
    struct dev *left, *right, *rt;
    struct prt *a, *b, *z, *lr, *rr;
    uint32_t a_no;
};

static struct net routed_on(struct world *w, struct dp *dp, struct worker_options *opts)
{
    struct net n = {.left = bridge(w, "left"), .right = bridge(w, "right"), .rt = router(w, "rt")};

    n.a = vm(n.left, "a");
    n.b = vm(n.left, "b");
    n.z = vm(n.right, "z");
    n.lr = rport(n.rt, "lr", "10.0.1.1/24");
    n.rr = rport(n.rt, "rr", "10.0.2.1/24");
    plug(port(n.left, "lp"), n.lr);
    plug(port(n.right, "rp"), n.rr);
    publish(w);
    n.r = rig_new_on(w, opts, dp);
    n.a_no = rig_plug(n.r, n.a);
    rig_plug(n.r, n.b);
    rig_plug(n.r, n.z);
    return n;
}

static struct net routed(struct world *w)
{
    return routed_on(w, NULL, &(struct worker_options){0});
}

/* a to z, through the router. */
static struct flow_key a_to_z(const struct net *n, uint16_t sport)
{
    struct flow_key k = key_of(17, "10.0.1.10", "10.0.2.10", sport, 53);

    k.eth_src = MAC(MAC_A);
    k.eth_dst = n->lr->mac;
    return k;
}

static struct flow_key at_z(const struct net *n, uint16_t sport)
{
    struct flow_key k = a_to_z(n, sport);

    k.eth_src = n->rr->mac;
    k.eth_dst = MAC(MAC_Z);
    k.ip_ttl--;
    return k;
}

static struct flow_key bridged(const char *src, const char *dst)
{
    struct flow_key k = key_of(17, "10.0.1.10", "10.0.1.11", 1, 2);

    k.eth_src = MAC(src);
    k.eth_dst = MAC(dst);
    return k;
}

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

static void answer_arp(struct net *n)
{
    uint8_t buf[128];
    struct mac mac_z = MAC(MAC_Z);
    struct ip z = IP("10.0.2.10"), gw = IP("10.0.2.1");
    size_t size = packet_arp(buf, sizeof buf, 2, &mac_z, &n->rr->mac, &mac_z, &z, &n->rr->mac, &gw);

    assert_int_equal(memory_inject(n->r->dp, "z", buf, size), 0);
    rig_run(n->r);
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

/* Other hosts. */

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

/* Restart. */

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
        world_test(test_change_touches_its_flows_only),
        world_test(test_completed_masks_are_kept),
        world_test(test_route_changes),
        world_test(test_a_drop_of_many_is_no_packet_to_one),
        world_test(test_like_packets_of_a_batch_run_once),
        world_test(test_drops_are_counted_where_they_happen),
        world_test(test_idle_flows_expire),
        world_test(test_full_table_makes_room),
        world_test(test_unbound_port_loses_its_flows),
        world_test(test_removed_port_with_many_flows),
        world_test(test_remote_ports_are_behind_tunnels),
        world_test(test_a_lost_race_is_made_good),
        world_test(test_flows_the_datapath_refuses),
        world_test(test_restart_keeps_what_is_still_right),
        world_test(test_restart_waits_for_the_topology),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
