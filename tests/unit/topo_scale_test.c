/* Cost follows the change: store operations counted on a bridge of 5,000 ports, in tables of a
 * hundred and of 60,000 entries, in chains of 10,000 rules and groups of 100,000 addresses; and
 * what it takes from memory. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "topo_flaky.h"
#include "topology/policy.h"

enum { N_PORTS = 5000, N_HOSTS = 50, PER_COMMIT = 100 };

static long rss_kib(void)
{
    long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld %ld", &pages, &resident), 2);
    fclose(f);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void make_hosts(struct cloud *c, struct uuid hosts[N_HOSTS])
{
    struct uuid zone = make(c, ST_TUNNEL_ZONE, "{'name':'z','type':'vxlan'}");

    for (int i = 0; i < N_HOSTS; i++) {
        hosts[i] = make(c, ST_HOST, "{'name':'h%d'}", i);
        make(c, ST_TUNNEL_ZONE_HOST, "{'tunnelZoneId':'%s','hostId':'%s','ipAddress':'192.0.2.%d'}",
             text_of(&zone), text_of(&hosts[i]), i + 1);
    }
}

static void make_ports(struct cloud *c, const struct uuid *bridge, const struct uuid *hosts)
{
    struct error e = {0};
    char ifname[16];

    for (int i = 0; i < N_PORTS; i += PER_COMMIT) {
        struct objects_txn *t = objects_begin(c->db);
        for (int j = i; j < i + PER_COMMIT; j++) {
            struct uuid id;
            snprintf(ifname, sizeof ifname, "tap%d", j);
            json_t *attrs = json_pack("{s:s,s:s,s:s}", "bridgeId", text_of(bridge), "hostId",
                                      text_of(&hosts[j % N_HOSTS]), "interfaceName", ifname);
            assert_int_equal(objects_create(t, ST_PORT, attrs, &id, &e), 0);
            json_decref(attrs);
        }
        if (objects_commit(t, &e))
            fail_msg("%s", e.message);
        objects_abort(t);
    }
}

static void one_port_of_five_thousand(void **state)
{
    struct cloud c;
    struct uuid hosts[N_HOSTS], r, rp;

    cloud_open(&c);
    make_hosts(&c, hosts);
    struct uuid bridge = make(&c, ST_BRIDGE, "{'name':'big'}");
    make_ports(&c, &bridge, hosts);
    r = make(&c, ST_ROUTER, "{'name':'r'}");
    rp = make(&c, ST_PORT, "{'routerId':'%s','portSubnet':['10.0.0.1/16']}", text_of(&r));
    make(&c, ST_PORT, "{'bridgeId':'%s','peerId':'%s'}", text_of(&bridge), text_of(&rp));

    struct flaky *store = flaky_open(&c);
    long rss = rss_kib();
    struct agent *a = agent_flaky(&c, store, "h");
    topo_ref ref = load(a, TOPO_BRIDGE, &bridge);
    const struct topo_bridge *b = topo_bridge(a->topo, ref);
    assert_int_equal(b->n_exterior, N_PORTS);
    assert_int_equal(b->n_links, 1);
    assert_true(status_of(a).n_watches < N_HOSTS + 10);
    print_message("5,000 ports: %zu KiB of objects, %zu KiB of the loader's, %ld KiB resident, "
                  "%" PRIu64 " nodes read\n",
                  topo_memory(a->topo) / 1024, status_of(a).memory / 1024, rss_kib() - rss,
                  store->gets);
    assert_true(topo_memory(a->topo) + status_of(a).memory < 4 * 1024 * 1024);
    assert_int_equal(status_of(a).n_objects[TOPO_PORT], N_PORTS + 2);
    assert_int_equal(status_of(a).n_objects[TOPO_HOST], N_HOSTS + 1); /* itself */

    uint64_t gets = store->gets, lists = store->lists;
    struct uuid p = bound_port(&c, &bridge, &hosts[0], "new");
    settle(a);
    assert_int_equal(topo_bridge(a->topo, ref)->n_exterior, N_PORTS + 1);
    assert_int_equal(store->gets - gets, 3); /* the log, the port, its state */
    assert_int_equal(store->lists - lists, 0);

    gets = store->gets;
    change(&c, ST_PORT, &rp, "{'portMac':'02:00:00:00:00:01'}");
    settle(a);
    assert_int_equal(mac_u64(&topo_bridge(a->topo, ref)->links[0].mac), 0x020000000001);
    assert_int_equal(store->gets - gets, 3);

    gets = store->gets;
    destroy(&c, ST_PORT, &p);
    settle(a);
    assert_int_equal(topo_bridge(a->topo, ref)->n_exterior, N_PORTS);
    assert_int_equal(store->gets - gets, 3);
    agent_stop(a);
    cloud_close(&c);
    (void)state;
}

struct pair {
    struct cloud c;
    struct uuid bridge, port;
    struct flaky *stores[2];
    struct agent *writer, *reader;
};

static void learn(struct pair *p, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        struct mac m = mac_n(i);
        sync_learn_mac(p->writer->learner, p->c.now, ref_of(p->writer, &p->bridge), 0, &m,
                       ref_of(p->writer, &p->port));
        if (i % 1000 == 999)
            settle(p->writer, p->reader);
    }
    settle(p->writer, p->reader);
}

struct cost {
    uint64_t commits, gets, lists, bytes;
};

/* Of one more entry, on both sides. */
static struct cost cost_of_one(struct pair *p, unsigned n)
{
    struct flaky *w = p->stores[0], *r = p->stores[1];
    struct cost before = {w->commits, w->gets + r->gets, w->lists + r->lists, w->bytes + r->bytes};

    learn(p, n, n + 1);
    struct mac m = mac_n(n);
    const struct topo_bridge *b = topo_bridge(p->reader->topo, ref_of(p->reader, &p->bridge));
    assert_true(topo_mac_lookup(b->macs, 0, &m) != 0);
    return (struct cost){w->commits - before.commits, w->gets + r->gets - before.gets,
                         w->lists + r->lists - before.lists, w->bytes + r->bytes - before.bytes};
}

static void one_entry_of_sixty_thousand(void **state)
{
    struct pair p;

    cloud_open(&p.c);
    for (int i = 0; i < 2; i++)
        p.stores[i] = flaky_open(&p.c);
    p.writer = agent_flaky(&p.c, p.stores[0], "h1");
    p.reader = agent_flaky(&p.c, p.stores[1], "h2");
    p.bridge = make(&p.c, ST_BRIDGE, "{'name':'b'}");
    p.port = make(&p.c, ST_PORT, "{'bridgeId':'%s'}", text_of(&p.bridge));
    load(p.writer, TOPO_BRIDGE, &p.bridge);
    load(p.reader, TOPO_BRIDGE, &p.bridge);

    learn(&p, 0, 100);
    struct cost small = cost_of_one(&p, 100);
    learn(&p, 101, 60000);
    struct cost large = cost_of_one(&p, 60000);
    print_message("one entry more: at 100 %" PRIu64 " commits, %" PRIu64 " reads, %" PRIu64
                  " bytes read; at 60,000 %" PRIu64 ", %" PRIu64 ", %" PRIu64 "; reader %zu KiB\n",
                  small.commits, small.gets, small.bytes, large.commits, large.gets, large.bytes,
                  status_of(p.reader).memory / 1024);
    assert_int_equal(small.commits, 1);
    assert_int_equal(large.commits, 1);
    assert_int_equal(small.gets, 3); /* both the log, the reader the chunk */
    assert_int_equal(large.gets, 3);
    assert_int_equal(small.lists + large.lists, 0);
    assert_true(large.bytes < 16 * 1024);

    /* a whole table, read by one who comes later */
    struct agent *late = agent_open(&p.c, &uuid_zero);
    load(late, TOPO_BRIDGE, &p.bridge);
    assert_int_equal(topo_mac_size(topo_bridge(late->topo, ref_of(late, &p.bridge))->macs), 60001);
    agent_stop(late);
    agent_stop(p.writer);
    settle(p.reader); /* what a silent host said last counts */
    assert_int_equal(topo_mac_size(topo_bridge(p.reader->topo, ref_of(p.reader, &p.bridge))->macs),
                     60001);
    agent_stop(p.reader);
    cloud_close(&p.c);
    (void)state;
}

/* 'n' objects of a type that say 'key': 'format' % i, below a parent. */
static void make_many(struct cloud *c, enum schema_type_id type, const char *parent_key,
                      const struct uuid *parent, const char *key, const char *format, unsigned n,
                      const char *fixed_key, const char *fixed)
{
    enum { COMMIT = 100 };
    struct error e = {0};
    char value[64];
    struct uuid id;

    for (unsigned i = 0; i < n; i += COMMIT) {
        struct objects_txn *t = objects_begin(c->db);
        for (unsigned j = i; j < MIN(i + COMMIT, n); j++) {
            snprintf(value, sizeof value, format, j >> 16, j >> 8 & 255, j & 255);
            json_t *attrs = json_pack("{s:s,s:s,s:s*}", parent_key, text_of(parent), key, value,
                                      fixed_key, fixed);
            assert_int_equal(objects_create(t, type, attrs, &id, &e), 0);
            json_decref(attrs);
        }
        if (objects_commit(t, &e))
            fail_msg("%s", e.message);
        objects_abort(t);
    }
}

static void one_member_of_a_hundred_thousand(void **state)
{
    enum { N = 100000 };
    struct cloud c;

    cloud_open(&c);
    struct uuid g = make(&c, ST_IP_ADDR_GROUP, "{'name':'g'}");
    make_many(&c, ST_IP_ADDR, "ipAddrGroupId", &g, "addr", "10.%u.%u.%u", N, "", NULL);
    struct flaky *store = flaky_open(&c);
    struct agent *a = agent_flaky(&c, store, "h");
    topo_ref ref = load(a, TOPO_IP_GROUP, &g);
    const struct topo_ip_group *group = topo_ip_group(a->topo, ref);
    assert_int_equal(topo_ip_set_size(group->members), N);

    uint64_t gets = store->gets, lists = store->lists, commits = objects_stats(c.db)->commits;
    a->n_changes = 0;
    struct uuid m = make(&c, ST_IP_ADDR, "{'ipAddrGroupId':'%s','addr':'fd00::1'}", text_of(&g));
    settle(a);
    struct ip ip = ip_of("fd00::1");
    assert_true(topo_ip_set_has(group->members, &ip));
    assert_ptr_equal(topo_get(a->topo, ref), group); /* not even published again */
    assert_int_equal(store->gets - gets, 2);         /* the log, the member */
    assert_int_equal(store->lists - lists, 0);
    assert_int_equal(objects_stats(c.db)->commits - commits, 1);
    assert_int_equal(a->n_changes, 1);

    gets = store->gets;
    destroy(&c, ST_IP_ADDR, &m);
    settle(a);
    assert_false(topo_ip_set_has(group->members, &ip));
    assert_int_equal(store->gets - gets, 1);

    /* more at once than the log names: the ids are listed, what is new is read */
    gets = store->gets;
    make_many(&c, ST_IP_ADDR, "ipAddrGroupId", &g, "addr", "11.%u.%u.%u", 200, "", NULL);
    settle(a);
    assert_int_equal(topo_ip_set_size(group->members), N + 200);
    assert_true(store->gets - gets < 220);
    agent_stop(a);
    cloud_close(&c);
    (void)state;
}

static void one_rule_of_ten_thousand(void **state)
{
    enum { N = 10000 };
    struct cloud c;

    cloud_open(&c);
    struct uuid chain = make(&c, ST_CHAIN, "{'name':'c'}");
    make_many(&c, ST_RULE, "chainId", &chain, "nwSrcAddress", "10.%u.%u.%u", N, "type", "drop");
    struct flaky *store = flaky_open(&c);
    struct agent *a = agent_flaky(&c, store, "h");
    topo_ref ref = load(a, TOPO_CHAIN, &chain);
    assert_int_equal(topo_chain(a->topo, ref)->n_rules, N);

    uint64_t gets = store->gets, lists = store->lists;
    struct uuid r =
        make(&c, ST_RULE, "{'chainId':'%s','type':'accept','position':5000}", text_of(&chain));
    settle(a);
    assert_int_equal(topo_chain(a->topo, ref)->n_rules, N + 1);
    assert_true(uuid_equal(&topo_chain(a->topo, ref)->rules[4999].id, &r));
    /* the log, the rule, its place, the list of chunks, the chunk; a full one had to be split */
    assert_in_range(store->gets - gets, 5, 6);
    assert_int_equal(store->lists - lists, 0);

    gets = store->gets;
    change(&c, ST_RULE, &r, "{'type':'reject'}");
    settle(a);
    assert_int_equal(topo_chain(a->topo, ref)->rules[4999].type, RULE_REJECT);
    assert_in_range(store->gets - gets, 4, 5);

    gets = store->gets;
    destroy(&c, ST_RULE, &r);
    settle(a);
    assert_int_equal(topo_chain(a->topo, ref)->n_rules, N);
    assert_true(store->gets - gets <= 5);

    /* any order of changes ends in the order that is in the store */
    struct random rnd_state = {1};
    for (unsigned i = 0; i < 40; i++) {
        uint32_t at = (uint32_t)(rnd(&rnd_state) % topo_chain(a->topo, ref)->n_rules);
        struct uuid id = topo_chain(a->topo, ref)->rules[at].id;
        if (i % 3 == 2)
            destroy(&c, ST_RULE, &id);
        else
            change(&c, ST_RULE, &id, "{'position':%u}",
                   (unsigned)(rnd(&rnd_state) % (topo_chain(a->topo, ref)->n_rules) + 1));
        if (i % 4 == 3)
            settle(a);
    }
    settle(a);
    struct agent *fresh = agent_open(&c, &uuid_zero);
    const struct topo_chain *want = topo_chain(fresh->topo, load(fresh, TOPO_CHAIN, &chain));
    const struct topo_chain *have = topo_chain(a->topo, ref);
    assert_int_equal(have->n_rules, want->n_rules);
    for (uint32_t i = 0; i < want->n_rules; i++)
        assert_true(uuid_equal(&have->rules[i].id, &want->rules[i].id));
    agent_stop(fresh);
    agent_stop(a);
    cloud_close(&c);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_port_of_five_thousand),
        cmocka_unit_test(one_entry_of_sixty_thousand),
        cmocka_unit_test(one_member_of_a_hundred_thousand),
        cmocka_unit_test(one_rule_of_ten_thousand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
