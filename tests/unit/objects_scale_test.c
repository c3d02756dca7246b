/* Costs in operations, bytes and reads (never in time): what is there already doesn't count. */
#include "objects/impl.h"
#include "objects_testlib.h"

/* The instrumented build is several times slower, and the sizes add nothing to what it finds. */
#ifdef __SANITIZE_ADDRESS__
enum { SCALE = 10 };
#else
enum { SCALE = 1 };
#endif

struct cost {
    uint64_t ops, bytes, reads, rounds, commits;
};

static struct cost cost_now(void)
{
    const struct objects_stats *s = objects_stats(db);

    return (struct cost){s->ops, s->bytes, s->reads, s->rounds, s->commits};
}

static struct cost since(struct cost before)
{
    struct cost now = cost_now();

    return (struct cost){now.ops - before.ops, now.bytes - before.bytes, now.reads - before.reads,
                         now.rounds - before.rounds, now.commits - before.commits};
}

/* 'n' objects of one type in transactions of 'batch'; 'key' gets a different value in each. */
static void make_many(enum schema_type_id type, json_t *o, unsigned n, unsigned batch,
                      void (*vary)(json_t *o, unsigned i))
{
    for (unsigned i = 0; i < n; i += batch) {
        struct objects_txn *t = objects_begin(db);
        for (unsigned k = i; k < i + batch && k < n; k++) {
            if (vary)
                vary(o, k);
            assert_int_equal(objects_create(t, type, o, NULL, &last), 0);
        }
        last = (struct error){0};
        if (objects_commit(t, &last))
            fail_msg("commit: %s", why());
        objects_abort(t);
    }
    json_decref(o);
}

static void name_port(json_t *o, unsigned i)
{
    char name[16];

    snprintf(name, sizeof name, "p%05u", i);
    json_object_set_new(o, "name", json_string(name));
}

static void test_ports_of_a_bridge(void **state)
{
    enum { ROUNDS = 64 };
    struct uuid b = make(ST_BRIDGE, "{}"), *ids;
    struct cost first, last_one, t;
    size_t n;

    (void)state;
    /* The folders of back references are there after a few.  The log moves on every 32nd time. */
    make_many(ST_PORT, json_pack("{s:s}", "bridgeId", u(&b)), 300, 1, name_port);
    t = cost_now();
    make_many(ST_PORT, json_pack("{s:s}", "bridgeId", u(&b)), ROUNDS, 1, name_port);
    first = since(t);
    make_many(ST_PORT, json_pack("{s:s}", "bridgeId", u(&b)), 10000 / SCALE - 300 - 2 * ROUNDS, 100,
              name_port);
    t = cost_now();
    make_many(ST_PORT, json_pack("{s:s}", "bridgeId", u(&b)), ROUNDS, 1, name_port);
    last_one = since(t);
    assert_true(last_one.ops <= first.ops + ROUNDS / 32);
    assert_true(first.ops <= 8 * ROUNDS);
    /* One tunnel key in a hundred is taken by now: then another is looked up. */
    assert_true(last_one.reads <= first.reads + 3 * ROUNDS / 32);
    assert_true(first.reads <= 6 * ROUNDS);
    assert_true(last_one.bytes < 10000 * ROUNDS); /* the log's second node is full */
    struct uuid p = make(ST_PORT, "{'bridgeId':'%s','name':'x0000'}", u(&b));
    t = cost_now();
    assert_int_equal(objects_resolve(db, ST_PORT, &b, "x0000", &p, &last), 0);
    assert_true(since(t).reads <= 3);
    assert_int_equal(objects_referrers(db, ST_PORT, "bridgeId", &b, &ids, &n, NULL), 0);
    assert_int_equal(n, 10000 / SCALE + 1);
    for (size_t i = 1; i < n; i++)
        assert_true(memcmp(&ids[i - 1], &ids[i], sizeof *ids) < 0);
    free(ids);
    t = cost_now();
    assert_int_equal(count(ST_PORT, &b), n);
    assert_true(since(t).rounds < 10 + n / 100);
}

static int check_positions(json_t *obj, void *aux)
{
    assert_int_equal(json_integer_value(json_object_get(obj, "position")), ++*(int *)aux);
    return 0;
}

static void end_position(json_t *o, unsigned i)
{
    json_object_set_new(o, "position", json_integer(i + 1));
}

static void test_rules_of_a_chain(void **state)
{
    enum { RULES = 50000 / SCALE };
    struct uuid c = make(ST_CHAIN, "{}"), r;
    struct cost t, k;
    int position = 0;

    (void)state;
    make_many(ST_RULE, json_pack("{s:s,s:s}", "chainId", u(&c), "type", "drop"), RULES, 500,
              end_position);
    static const int places[] = {1, RULES / 2, 77, RULES + 4, 300, 300, 300};
    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        t = cost_now();
        r = make(ST_RULE, "{'chainId':'%s','type':'accept','position':%d}", u(&c), places[i]);
        k = since(t);
        assert_true(k.bytes < 60000); /* the ids alone are 1,850,000 */
        assert_true(k.reads <= 8);
        t = cost_now();
        char expected[16];
        snprintf(expected, sizeof expected, "%d", places[i]);
        assert_field(ST_RULE, &r, "position", expected);
        assert_true(since(t).reads <= 4);
    }
    t = cost_now();
    del(ST_RULE, &r);
    k = since(t);
    assert_true(k.bytes < 30000);
    assert_true(k.reads <= 16);
    assert_int_equal(objects_each(db, ST_RULE, &c, check_positions, &position, NULL), 0);
    assert_int_equal(position, RULES + (int)ARRAY_SIZE(places) - 1);
    t = cost_now();
    del(ST_CHAIN, &c);
    k = since(t);
    assert_int_equal(count(ST_RULE, NULL), 0);
    assert_true(k.bytes < RULES * 2000ull); /* each chunk a few times, not once a rule */
}

static void vary_address(json_t *o, unsigned i)
{
    char text[32];

    snprintf(text, sizeof text, "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
    json_object_set_new(o, "addr", json_string(text));
}

static void test_addresses_of_a_group(void **state)
{
    struct uuid g = make(ST_IP_ADDR_GROUP, "{'name':'g'}");
    struct cost t, k;

    (void)state;
    make_many(ST_IP_ADDR, json_pack("{s:s}", "ipAddrGroupId", u(&g)), 100000 / SCALE, 1000,
              vary_address);
    t = cost_now();
    struct uuid id = make(ST_IP_ADDR, "{'ipAddrGroupId':'%s','addr':'192.0.2.1'}", u(&g));
    k = since(t);
    assert_true(k.ops <= 4);
    assert_true(k.bytes < 5000);
    assert_int_equal(count(ST_IP_ADDR, &g), 100000 / SCALE + 1);
    del(ST_IP_ADDR, &id);
    make_rc(-EEXIST, ST_IP_ADDR, "{'ipAddrGroupId':'%s','addr':'10.0.0.77'}", u(&g));
    del(ST_IP_ADDR_GROUP, &g);
    assert_int_equal(count(ST_IP_ADDR, NULL), 0);
}

/* More goes with it than one commit takes. */
static void test_big_deletion(void **state)
{
    enum { PORTS = 20000 / SCALE };
    struct uuid b = make(ST_BRIDGE, "{}"), c = make(ST_CHAIN, "{}");
    struct cost t, k;

    (void)state;
    make_many(ST_PORT, json_pack("{s:s,s:s}", "bridgeId", u(&b), "inboundFilterId", u(&c)), PORTS,
              200, NULL);
    /* The chain first: every port has to forget it. */
    t = cost_now();
    del(ST_CHAIN, &c);
    k = since(t);
    assert_true(k.commits > 1);
    assert_true(k.rounds < PORTS / 10);
    assert_int_equal(count(ST_PORT, &b), PORTS);
    t = cost_now();
    del(ST_BRIDGE, &b);
    k = since(t);
    assert_true(k.commits > 1);
    assert_true(k.rounds < PORTS / 10);
    assert_int_equal(count(ST_PORT, NULL), 0);
}

/* What an interrupted deletion leaves behind: as if the parts had been deleted by hand. */
static void test_interrupted_deletion(void **state)
{
    enum { PORTS = 2000 };
    struct uuid r = make(ST_ROUTER, "{}"), c = make(ST_CHAIN, "{}"), *ids;
    json_t *o = json_pack("{s:s,s:[s],s:s}", "routerId", u(&r), "portSubnet", "10.0.0.1/24",
                          "inboundFilterId", u(&c));
    size_t n;

    (void)state;
    make_many(ST_PORT, o, PORTS, 200, NULL);
    assert_int_equal(drain(db, ST_ROUTER, &r, &last), 0); /* and here it stops */
    assert_true(there(ST_ROUTER, &r));
    assert_int_equal(count(ST_PORT, NULL) + count(ST_ROUTE, NULL), 0);
    assert_int_equal(objects_referrers(db, ST_PORT, "inboundFilterId", &c, &ids, &n, &last), 0);
    assert_int_equal(n, 0);
    free(ids);
    struct uuid p = make(ST_PORT, "{'routerId':'%s','portSubnet':['10.0.0.1/24']}", u(&r));
    assert_int_equal(count(ST_ROUTE, &r), 1);
    del(ST_ROUTER, &r);
    assert_false(there(ST_PORT, &p));
    del(ST_CHAIN, &c);
}

/* Refused before anything is touched, however deep the reason. */
static void test_big_refusal(void **state)
{
    struct uuid r = make(ST_ROUTER, "{}"), lb = make(ST_LOAD_BALANCER, "{}");
    struct uuid pool = make(ST_POOL, "{'loadBalancerId':'%s','lbMethod':'ROUND_ROBIN'}", u(&lb));

    (void)state;
    make_many(ST_PORT, json_pack("{s:s,s:[s]}", "routerId", u(&r), "portSubnet", "10.0.0.1/24"),
              2000, 200, NULL);
    struct uuid p = make(ST_PORT, "{'routerId':'%s'}", u(&r));
    struct uuid vip = make(ST_VIP,
                           "{'poolId':'%s','address':'10.0.0.1','protocolPort':80,"
                           "'gatewayPortId':'%s'}",
                           u(&pool), u(&p));
    del_rc(-EBUSY, ST_ROUTER, &r);
    assert_says("is in use by vip");
    assert_int_equal(count(ST_PORT, &r), 2001);
    assert_int_equal(count(ST_ROUTE, &r), 2000);
    del(ST_VIP, &vip);
    del(ST_ROUTER, &r);
    assert_int_equal(count(ST_PORT, NULL) + count(ST_ROUTE, NULL), 0);
}

static void test_too_big_transaction(void **state)
{
    struct objects_txn *t = objects_begin(db);
    json_t *o = json_object();

    (void)state;
    for (unsigned i = 0; i < 4000; i++)
        assert_int_equal(objects_create(t, ST_BRIDGE, o, NULL, &last), 0);
    assert_int_equal(objects_commit(t, &last), -E2BIG);
    objects_abort(t);
    json_decref(o);
    assert_int_equal(count(ST_BRIDGE, NULL), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, db_setup, db_teardown)
    const struct CMUnitTest tests[] = {
        T(test_ports_of_a_bridge),   T(test_rules_of_a_chain),     T(test_addresses_of_a_group),
        T(test_big_deletion),        T(test_interrupted_deletion), T(test_big_refusal),
        T(test_too_big_transaction),
    };

    if (getenv("MN_OBJECTS_STORE"))
        store_kind = getenv("MN_OBJECTS_STORE");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
