/* Change nodes: who hears of what, and how far back the log reaches. */
#include "objects_testlib.h"

static int64_t rev_of(enum schema_type_id type, const struct uuid *id)
{
    struct objects_change *log;
    int64_t rev = -1;
    int rc = objects_changes(db, type, id, -1, &rev, &log, NULL);

    assert_true(rc == -EOVERFLOW || rc == -ENOENT);
    return rc == -ENOENT ? -1 : rev;
}

/* Does 'what' and expects that of these devices exactly those marked have heard. */
struct heard {
    const char *name;
    enum schema_type_id type;
    const struct uuid *id;
    int64_t before;
};

static void listen_all(struct heard *h, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h[i].before = rev_of(h[i].type, h[i].id);
}

static void expect_heard(const struct heard *h, size_t n, const char *who)
{
    for (size_t i = 0; i < n; i++) {
        int64_t now = rev_of(h[i].type, h[i].id);
        int64_t wanted = h[i].before + (strstr(who, h[i].name) ? 1 : 0);
        if (now != wanted)
            fail_msg("%s: revision %lld, expected %lld (%s)", h[i].name, (long long)now,
                     (long long)wanted, who);
    }
}

static void test_who_hears(void **state)
{
    struct uuid b = make(ST_BRIDGE, "{}"), r = make(ST_ROUTER, "{}"), c = make(ST_CHAIN, "{}");
    struct uuid h = make(ST_HOST, "{'name':'h'}");
    struct uuid z = make(ST_TUNNEL_ZONE, "{'name':'z','type':'gre'}");
    struct uuid g = make(ST_PORT_GROUP, "{}"), ag = make(ST_IP_ADDR_GROUP, "{'name':'ag'}");
    struct uuid lb = make(ST_LOAD_BALANCER, "{}"), q = make(ST_QOS_POLICY, "{}");
    struct heard all[] = {
        {"bridge", ST_BRIDGE, &b, 0},
        {"router", ST_ROUTER, &r, 0},
        {"chain", ST_CHAIN, &c, 0},
        {"host", ST_HOST, &h, 0},
        {"zone", ST_TUNNEL_ZONE, &z, 0},
        {"ports-group", ST_PORT_GROUP, &g, 0},
        {"addresses", ST_IP_ADDR_GROUP, &ag, 0},
        {"balancer", ST_LOAD_BALANCER, &lb, 0},
        {"qos", ST_QOS_POLICY, &q, 0},
    };
    struct uuid p, rp, rule, pool, m, d;

    (void)state;
#define STEP(who, ...)                                                                             \
    do {                                                                                           \
        listen_all(all, ARRAY_SIZE(all));                                                          \
        __VA_ARGS__;                                                                               \
        expect_heard(all, ARRAY_SIZE(all), who);                                                   \
    } while (0)
    STEP("bridge", set(ST_BRIDGE, &b, "{'name':'x'}"));
    STEP("", set(ST_BRIDGE, &b, "{'name':'x'}"));
    STEP("bridge", p = make(ST_PORT, "{'bridgeId':'%s'}", u(&b)));
    STEP("router", rp = make(ST_PORT, "{'routerId':'%s','portSubnet':['10.0.0.1/24']}", u(&r)));
    STEP("bridge router", set(ST_PORT, &p, "{'peerId':'%s'}", u(&rp)));
    STEP("bridge router", set(ST_PORT, &rp, "{'peerId':null}"));
    STEP("zone host",
         m = make(ST_TUNNEL_ZONE_HOST,
                  "{'tunnelZoneId':'%s','hostId':'%s','ipAddress':'192.0.2.1'}", u(&z), u(&h)));
    STEP("bridge host", set(ST_PORT, &p, "{'hostId':'%s','interfaceName':'eth0'}", u(&h)));
    STEP("bridge host", set(ST_PORT, &p, "{'inboundFilterId':'%s'}", u(&c)));
    STEP("bridge host", set(ST_PORT, &p, "{'hostId':null,'interfaceName':null}"));
    STEP("zone host", set(ST_TUNNEL_ZONE_HOST, &m, "{'ipAddress':'192.0.2.2'}"));
    STEP("zone host", del(ST_TUNNEL_ZONE_HOST, &m));
    STEP("chain", rule = make(ST_RULE, "{'chainId':'%s','type':'drop'}", u(&c)));
    STEP("chain", make(ST_RULE, "{'chainId':'%s','type':'accept'}", u(&c)));
    STEP("chain", set(ST_RULE, &rule, "{'position':1}"));
    STEP("chain", del(ST_RULE, &rule));
    STEP("router",
         make(ST_ROUTE, "{'routerId':'%s','type':'Normal','nextHopPort':'%s'}", u(&r), u(&rp)));
    STEP("bridge ports-group",
         make(ST_PORT_GROUP_PORT, "{'portGroupId':'%s','portId':'%s'}", u(&g), u(&p)));
    STEP("addresses", make(ST_IP_ADDR, "{'ipAddrGroupId':'%s','addr':'10.0.0.1'}", u(&ag)));
    STEP("router balancer", set(ST_ROUTER, &r, "{'loadBalancerId':'%s'}", u(&lb)));
    STEP("balancer",
         pool = make(ST_POOL, "{'loadBalancerId':'%s','lbMethod':'ROUND_ROBIN'}", u(&lb)));
    STEP("balancer",
         make(ST_POOL_MEMBER, "{'poolId':'%s','address':'10.0.0.3','protocolPort':80}", u(&pool)));
    STEP("balancer",
         make(ST_VIP, "{'poolId':'%s','address':'10.0.0.3','protocolPort':80}", u(&pool)));
    STEP("balancer", del(ST_POOL, &pool));
    STEP("qos", make(ST_QOS_DSCP_RULE, "{'policyId':'%s','dscpMark':5}", u(&q)));
    STEP("bridge", d = make(ST_DHCP, "{'bridgeId':'%s','subnetPrefix':'10.0.0.0/24'}", u(&b)));
    STEP("bridge",
         make(ST_DHCP_HOST, "{'dhcpId':'%s','macAddr':'2:0:0:0:0:1','ipAddr':'10.0.0.2'}", u(&d)));
    STEP("bridge", del(ST_DHCP, &d));
    STEP("bridge ports-group", del(ST_PORT, &p));
    STEP("router", make(ST_BGP_PEER, "{'routerId':'%s','asNumber':1,'address':'10.0.0.2'}", u(&r)));
    del(ST_BRIDGE, &b);
    assert_int_equal(rev_of(ST_BRIDGE, &b), -1);
}

static void test_log(void **state)
{
    struct uuid b = make(ST_BRIDGE, "{}"), first, p;
    struct objects_change *log;
    int64_t rev, since = rev_of(ST_BRIDGE, &b);

    (void)state;
    assert_int_equal(since, 1);
    assert_int_equal(objects_changes(db, ST_BRIDGE, &b, since, &rev, &log, NULL), 0);
    free(log);
    first = make(ST_PORT, "{'bridgeId':'%s'}", u(&b));
    p = make(ST_PORT, "{'bridgeId':'%s'}", u(&b));
    set(ST_PORT, &p, "{'adminStateUp':false}");
    del(ST_PORT, &p);
    assert_int_equal(objects_changes(db, ST_BRIDGE, &b, since, &rev, &log, NULL), 2);
    assert_int_equal(rev, 5);
    assert_memory_equal(&log[0].id, &first, sizeof first);
    assert_int_equal(log[0].type, ST_PORT);
    assert_int_equal(log[0].what, 'c');
    assert_memory_equal(&log[1].id, &p, sizeof p);
    assert_int_equal(log[1].what, 'd');
    free(log);
    assert_int_equal(objects_changes(db, ST_BRIDGE, &b, rev - 1, &rev, &log, NULL), 1);
    free(log);
    assert_int_equal(objects_changes(db, ST_BRIDGE, &b, 99, &rev, &log, NULL), -EOVERFLOW);
    assert_null(log);
}

/* Each object is named once, so that the log reaches far back. */
static void test_log_once(void **state)
{
    struct uuid b = make(ST_BRIDGE, "{}"), p = make(ST_PORT, "{'bridgeId':'%s'}", u(&b));
    int64_t rev, since = rev_of(ST_BRIDGE, &b);
    struct objects_change *log;

    (void)state;
    for (unsigned i = 0; i < 100; i++)
        set(ST_BRIDGE, &b, "{'name':'n%u'}", i);
    set(ST_PORT, &p, "{'adminStateUp':false}");
    assert_int_equal(objects_changes(db, ST_BRIDGE, &b, since, &rev, &log, NULL), 2);
    assert_int_equal(rev, since + 101);
    assert_int_equal(log[0].type, ST_BRIDGE);
    assert_memory_equal(&log[1].id, &p, sizeof p);
    free(log);
}

static void assert_all_there(const struct objects_change *log, int n, const struct uuid *ids,
                             unsigned n_ids)
{
    for (unsigned i = 0; i < n_ids; i++) {
        bool found = false;
        for (int k = 0; k < n && !found; k++)
            found = uuid_equal(&log[k].id, &ids[i]);
        assert_true(found);
    }
}

/* Objects enough that the log moves to its second node several times, and in the end forgets. */
static void test_long_log(void **state)
{
    enum { COMMITS = 100, EACH = 25, N = COMMITS * EACH };
    static struct uuid ids[N];
    struct uuid b = make(ST_BRIDGE, "{}");
    int64_t rev, since = rev_of(ST_BRIDGE, &b);
    json_t *o = json_pack("{s:s}", "bridgeId", u(&b));
    struct objects_change *log;

    (void)state;
    for (unsigned i = 1; i <= COMMITS; i++) {
        struct objects_txn *t = objects_begin(db);
        for (unsigned k = 0; k < EACH; k++)
            assert_int_equal(objects_create(t, ST_PORT, o, &ids[(i - 1) * EACH + k], &last), 0);
        assert_int_equal(objects_commit(t, &last), 0);
        objects_abort(t);
        for (unsigned back = 1; back <= MIN(i, 75u); back = back * 2 + 1) {
            int n = objects_changes(db, ST_BRIDGE, &b, since + i - back, &rev, &log, NULL);
            assert_int_equal(n, back * EACH);
            assert_int_equal(rev, since + i);
            assert_all_there(log, n, ids + (i - back) * EACH, back * EACH);
            free(log);
        }
    }
    json_decref(o);
    assert_int_equal(objects_changes(db, ST_BRIDGE, &b, since, &rev, &log, NULL), -EOVERFLOW);
    int n = objects_changes(db, ST_BRIDGE, &b, rev - 80, &rev, &log, NULL);
    assert_int_equal(n, 80 * EACH);
    assert_all_there(log, n, ids + N - n, 80 * EACH);
    free(log);
    del(ST_BRIDGE, &b); /* with both nodes */
    assert_int_equal(rev_of(ST_BRIDGE, &b), -1);
}

/* An agent that says something of its ports. */
static void say(const struct uuid *bridge, const struct uuid *port, const struct objects_active *a)
{
    char path[STORE_PATH_MAX];
    struct objects_bump bump;
    struct store_value v;
    json_t *entries = json_array();

    objects_change_path(ST_BRIDGE, bridge, path);
    assert_int_equal(store_get(the_store, path, &v, NULL), 0);
    json_array_append_new(entries, objects_active_entry(port, a));
    assert_int_equal(objects_bump_make(db, ST_BRIDGE, bridge, &v, entries, &bump), 0);
    assert_int_equal(store_commit(the_store, bump.ops, bump.n, NULL, NULL), 0);
    objects_bump_free(&bump);
    json_decref(entries);
    store_value_free(&v);
}

/* The state is in the log; that it has been said doesn't hide that the port itself has changed. */
static void test_states(void **state)
{
    struct uuid b = make(ST_BRIDGE, "{}"), p = make(ST_PORT, "{'bridgeId':'%s'}", u(&b));
    struct objects_active up = {
        .there = true, .host = p, .key = 0x10f00f, .inc = UINT64_C(0xfedcba9876543210)};
    struct objects_active down = {0};
    int64_t rev, since = rev_of(ST_BRIDGE, &b);
    struct objects_change *log;

    (void)state;
    say(&b, &p, &up);
    assert_int_equal(objects_changes(db, ST_BRIDGE, &b, since, &rev, &log, NULL), 1);
    assert_true(log[0].what == 's' && log[0].active.told && log[0].active.there);
    assert_memory_equal(&log[0].active.host, &up.host, sizeof up.host);
    assert_int_equal(log[0].active.key, up.key);
    assert_true(log[0].active.inc == up.inc);
    free(log);
    set(ST_PORT, &p, "{'adminStateUp':false}");
    say(&b, &p, &up);
    say(&b, &p, &down);
    assert_int_equal(objects_changes(db, ST_BRIDGE, &b, since, &rev, &log, NULL), 2);
    assert_true(log[0].what == 'u' && !log[0].active.told);
    assert_true(log[1].what == 's' && log[1].active.told && !log[1].active.there);
    free(log);
}

static void write_log(const struct uuid *bridge, const char *text)
{
    char path[STORE_PATH_MAX];

    objects_change_path(ST_BRIDGE, bridge, path);
    assert_int_equal(store_set(the_store, path, text, strlen(text), STORE_ANY, NULL), 0);
}

/* Our own form is scanned, any other is read as JSON: both say the same. */
static void test_forms(void **state)
{
    static const char id[] = "11111111-2222-3333-4444-555555555555";
    struct uuid b = make(ST_BRIDGE, "{}");
    char *own = mem_printf("{\"rev\":9,\"from\":2,\"log\":[[9,\"ports\",\"%s\",\"s\",\"%s\","
                           "1048577,\"0123456789abcdef\"],[8,\"ports\",\"%s\",\"s\",\"\"],"
                           "[7,\"from later\",\"%s\",\"c\",1,2,3],[6,\"ports\",\"?\",\"u\"],"
                           "[5,\"ports\",\"%s\",\"d\"],[4],[3,\"routes\",\"%s\",\"c\"]]}",
                           id, id, id, id, id, id);
    json_t *doc = json_loads(own, 0, NULL);
    char *other = json_dumps(doc, JSON_INDENT(2));
    struct objects_change *a, *o;
    int64_t rev;

    (void)state;
    for (int64_t since = 2; since < 9; since++) {
        write_log(&b, own);
        assert_int_equal(objects_changes(db, ST_BRIDGE, &b, since, &rev, &a, NULL), 9 - since);
        assert_int_equal(rev, 9);
        write_log(&b, other);
        assert_int_equal(objects_changes(db, ST_BRIDGE, &b, since, &rev, &o, NULL), 9 - since);
        assert_int_equal(rev, 9);
        for (int64_t i = 0; i < 9 - since; i++) {
            assert_int_equal(a[i].type, o[i].type);
            assert_int_equal(a[i].what, o[i].what);
            assert_memory_equal(&a[i].id, &o[i].id, sizeof a[i].id);
            assert_memory_equal(&a[i].active, &o[i].active, sizeof a[i].active);
        }
        assert_true(a[8 - since].active.there && a[8 - since].active.key == 0x100001);
        free(a);
        free(o);
    }
    json_decref(doc);
    free(other);
    free(own);
}

/* What makes no sense has no news, or is to be read as a whole; it never reads past its end. */
static void test_nonsense(void **state)
{
    static const char *const texts[] = {
        "",
        "{",
        "{\"rev\":5,\"from\":4,\"log\":[",
        "{\"rev\":5,\"from\":4,\"log\":[[5,\"ports\",\"",
        "{\"rev\":5,\"from\":4,\"log\":[[5,\"ports\"",
        "{\"rev\":5,\"from\":4,\"log\":[[",
        "{\"rev\":5,\"from\":4,\"log\":[[5,5,5,5,5,5,5,5,5]",
        "{\"rev\":99999999999999999999,\"from\":0,\"log\":[]}",
        "{\"rev\":-5,\"from\":-5,\"log\":[]}",
    };
    struct uuid b = make(ST_BRIDGE, "{}");
    struct objects_change *log;
    int64_t rev;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        write_log(&b, texts[i]);
        assert_int_equal(objects_changes(db, ST_BRIDGE, &b, 4, &rev, &log, NULL), -EOVERFLOW);
    }
}

/* Numbers that can't be counted on from are none: the log begins anew, and who follows it notices.
 */
static void test_the_last_revision(void **state)
{
    static const char *const texts[] = {
        "{\"rev\":9223372036854775807,\"from\":0,\"log\":[]}",
        "{\"rev\":9223372036854775806,\"log\":[[-9223372036854775808,\"ports\",\"x\",\"u\"]]}",
        "{\"rev\":1000000000000000000,\"from\":-9223372036854775808,\"log\":[]}",
    };
    struct uuid b = make(ST_BRIDGE, "{}");
    struct objects_change *log;
    int64_t rev;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        write_log(&b, texts[i]);
        make(ST_PORT, "{'bridgeId':'%s'}", u(&b));
        assert_int_equal(objects_changes(db, ST_BRIDGE, &b, 0, &rev, &log, NULL), 1);
        assert_int_equal(rev, 1);
        assert_int_equal(log->type, ST_PORT);
        free(log);
    }
    write_log(&b, "{\"rev\":999999999999999999,\"from\":999999999999999999,\"log\":[]}");
    make(ST_PORT, "{'bridgeId':'%s'}", u(&b));
    assert_int_equal(objects_changes(db, ST_BRIDGE, &b, 999999999999999999, &rev, &log, NULL),
                     -EOVERFLOW);
}

static void test_big_commit(void **state)
{
    struct uuid c = make(ST_CHAIN, "{}");
    struct objects_txn *t = objects_begin(db);
    json_t *o = json_pack("{s:s,s:s}", "chainId", u(&c), "type", "drop");
    struct objects_change *log;
    int64_t rev, before = rev_of(ST_CHAIN, &c);

    (void)state;
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(objects_create(t, ST_RULE, o, NULL, &last), 0);
    assert_int_equal(objects_commit(t, &last), 0);
    objects_abort(t);
    json_decref(o);
    /* One revision, more entries than the change node takes. */
    assert_int_equal(objects_changes(db, ST_CHAIN, &c, before, &rev, &log, NULL), 100);
    assert_int_equal(rev, before + 1);
    free(log);
    make(ST_RULE, "{'chainId':'%s','type':'drop'}", u(&c));
    assert_int_equal(objects_changes(db, ST_CHAIN, &c, before + 1, &rev, &log, NULL), 1);
    free(log);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, db_setup, db_teardown)
    const struct CMUnitTest tests[] = {
        T(test_who_hears),  T(test_log),   T(test_log_once), T(test_long_log),
        T(test_states),     T(test_forms), T(test_nonsense), T(test_the_last_revision),
        T(test_big_commit),
    };

    return run_on_stores(tests);
}
