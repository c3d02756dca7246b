/* Two agents on each kind of store, in real time: the same story on memory, SQLite and ZooKeeper.
 */
#include "topo_cloud.h"

#include "store_zk.h"
#include "topology/policy.h"

static const bool other_processes;

static void fresh_url(char *url, size_t size)
{
    snprintf(url, size, "memory:%d", other_processes);
}

/* Runs both agents until the condition holds. */
#define until(condition)                                                                           \
    for (uint64_t end_ = clock_ns() + DEADLINE_NS; step(a, b), !(condition);)                      \
        if (clock_ns() > end_)                                                                     \
    fail_msg("waited in vain for: %s", #condition)

static void step(struct agent *a, struct agent *b)
{
    struct pollfd p[2] = {{.fd = sync_fd(a->sync), .events = POLLIN},
                          {.fd = b ? sync_fd(b->sync) : -1, .events = POLLIN}};

    sync_run(a->sync, clock_ns());
    if (b)
        sync_run(b->sync, clock_ns());
    poll(p, 2, 2);
}

static topo_ref mac_at(const struct agent *x, topo_ref bridge, const struct mac *m)
{
    const struct topo_bridge *br = topo_bridge(x->topo, bridge);

    return br && !br->obj.missing ? topo_mac_lookup(br->macs, 0, m) : 0;
}

static uint32_t n_rules(const struct agent *x, topo_ref chain)
{
    const struct topo_chain *c = topo_chain(x->topo, chain);

    return c && !c->obj.missing ? c->n_rules : 0;
}

static bool is_member(const struct agent *x, topo_ref group, const char *text)
{
    const struct topo_ip_group *g = topo_ip_group(x->topo, group);
    struct ip ip = ip_of(text);

    return g && !g->obj.missing && topo_ip_set_has(g->members, &ip);
}

/* Rules, members and marks, told as they change. */
static void policy(struct cloud *c, struct agent *a, struct agent *b, const struct uuid *port)
{
    struct uuid chain = make(c, ST_CHAIN, "{'name':'c'}");
    struct uuid group = make(c, ST_IP_ADDR_GROUP, "{'name':'g'}");
    topo_ref ca = sync_load(a->sync, TOPO_CHAIN, &chain);
    topo_ref ga = sync_load(a->sync, TOPO_IP_GROUP, &group);

    until(topo_get(a->topo, ca) && topo_get(a->topo, ga));
    struct uuid rule = make(c, ST_RULE, "{'chainId':'%s','type':'drop'}", text_of(&chain));
    make(c, ST_RULE, "{'chainId':'%s','type':'accept'}", text_of(&chain));
    until(n_rules(a, ca) == 2);
    destroy(c, ST_RULE, &rule);
    until(n_rules(a, ca) == 1);
    struct uuid m = make(c, ST_IP_ADDR, "{'ipAddrGroupId':'%s','addr':'fd00::1'}", text_of(&group));
    until(is_member(a, ga, "fd00::1"));
    destroy(c, ST_IP_ADDR, &m);
    until(!is_member(a, ga, "fd00::1"));
    struct uuid q = make(c, ST_QOS_POLICY, "{'name':'q'}");
    change(c, ST_PORT, port, "{'qosPolicyId':'%s'}", text_of(&q));
    make(c, ST_QOS_DSCP_RULE, "{'policyId':'%s','dscpMark':9}", text_of(&q));
    until(topo_port(a->topo, ref_of(a, port))->dscp == 9);
    until(topo_port(b->topo, ref_of(b, port))->dscp == 9);
    destroy(c, ST_CHAIN, &chain);
    until(topo_get(a->topo, ca)->missing);
}

static void story(const char *url)
{
    struct cloud c;
    struct mac m = mac_n(5), n = mac_n(6);

    cloud_open_at(&c, url);
    struct agent *a = agent_start(&c, "h1"), *b = agent_start(&c, "h2");
    until(a->n_bound_calls && b->n_bound_calls && store_connected(a->store));
    until(!status_of(a).n_unshared);
    struct uuid zone = make(&c, ST_TUNNEL_ZONE, "{'name':'z','type':'vxlan'}");
    join(&c, &zone, a, "192.0.2.1");
    join(&c, &zone, b, "192.0.2.2");
    struct uuid bridge = make(&c, ST_BRIDGE, "{'name':'b'}");
    struct uuid p1 = bound_port(&c, &bridge, &a->host, "t1");
    struct uuid p2 = bound_port(&c, &bridge, &b->host, "t2");
    until(a->n_bindings == 1 && b->n_bindings == 1);
    topo_ref ba = sync_load(a->sync, TOPO_BRIDGE, &bridge);
    topo_ref bb = sync_load(b->sync, TOPO_BRIDGE, &bridge);
    sync_port_up(a->sync, a->bindings[0].port, 0);
    sync_port_up(b->sync, b->bindings[0].port, 0);
    until(topo_get(a->topo, ba) && topo_port(a->topo, ref_of(a, &p2))->active);
    until(topo_get(b->topo, bb) && topo_port(b->topo, ref_of(b, &p1))->active);

    sync_learn_mac(a->learner, clock_ns(), ba, 0, &m, ref_of(a, &p1));
    sync_learn_mac(b->learner, clock_ns(), bb, 0, &n, ref_of(b, &p2));
    until(mac_at(b, bb, &m) == ref_of(b, &p1) && mac_at(a, ba, &n) == ref_of(a, &p2));
    sync_learn_mac(b->learner, clock_ns(), bb, 0, &m, ref_of(b, &p2));
    until(mac_at(a, ba, &m) == ref_of(a, &p2));

    policy(&c, a, b, &p2);
    change(&c, ST_PORT, &p2, "{'adminStateUp':false}");
    until(!topo_port(a->topo, ref_of(a, &p2))->admin_up);
    topo_ref h2 = ref_of(a, &b->host);
    agent_stop(b);
    b = NULL;
    until(!topo_host(a->topo, h2)->alive);
    assert_false(topo_port(a->topo, ref_of(a, &p2))->active);
    assert_true(topo_port(a->topo, ref_of(a, &p2))->silent);
    assert_int_equal(mac_at(a, ba, &n), ref_of(a, &p2)); /* what a silent host said last counts */
    agent_stop(a);
    cloud_close(&c);
}

static void on_memory(void **state)
{
    char url[64];

    snprintf(url, sizeof url, "memory:story-%d", (int)getpid());
    story(url);
    (void)state;
}

static void on_sqlite(void **state)
{
    char folder[] = "/tmp/mn-topo-XXXXXX", url[96], command[64];

    assert_non_null(mkdtemp(folder));
    snprintf(url, sizeof url, "file:%s/mn.db", folder);
    story(url);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
    (void)state;
}

static void on_zookeeper(void **state)
{
    struct zk_ensemble z;
    char url[96];

    if (zk_missing()) {
        print_message("not on ZooKeeper: %s\n", zk_missing());
        skip();
    }
    zk_begin(&z, 1);
    zk_url(&z, "/topo", url, sizeof url);
    story(url);
    zk_end(&z);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(on_memory),
        cmocka_unit_test(on_sqlite),
        cmocka_unit_test(on_zookeeper),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
