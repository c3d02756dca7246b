/* Export and import: what comes out goes in again and comes out the same. */
#include "objects_testlib.h"

static char *export_text(void)
{
    json_t *doc;

    last = (struct error){0};
    if (objects_export(db, &doc, &last))
        fail_msg("export: %s", why());
    char *text = json_dumps(doc, JSON_SORT_KEYS | JSON_INDENT(1));
    json_decref(doc);
    return text;
}

static int import_text(const char *text)
{
    json_t *doc = json_loads(text, 0, NULL);

    last = (struct error){0};
    int rc = objects_import(db, doc, &last);
    json_decref(doc);
    return rc;
}

/* A little of everything, with references forward, back and around. */
static void fill(void)
{
    struct uuid h = make(ST_HOST, "{'name':'h'}");
    struct uuid z = make(ST_TUNNEL_ZONE, "{'name':'z','type':'vxlan'}");
    struct uuid vz = make(ST_TUNNEL_ZONE, "{'name':'v','type':'vtep'}");
    make(ST_TUNNEL_ZONE_HOST, "{'tunnelZoneId':'%s','hostId':'%s','ipAddress':'192.0.2.1'}", u(&z),
         u(&h));
    struct uuid b = make(ST_BRIDGE, "{'name':'b'}"), lb = make(ST_LOAD_BALANCER, "{}");
    struct uuid r = make(ST_ROUTER, "{'name':'r','loadBalancerId':'%s'}", u(&lb));
    struct uuid rp =
        make(ST_PORT, "{'routerId':'%s','portSubnet':['10.0.0.1/24','2001:db8::1/64']}", u(&r));
    struct uuid bp = make(ST_PORT, "{'bridgeId':'%s','peerId':'%s'}", u(&b), u(&rp));
    struct uuid vm =
        make(ST_PORT, "{'bridgeId':'%s','hostId':'%s','interfaceName':'tap0','name':'vm'}", u(&b),
             u(&h));
    struct uuid m =
        make(ST_MIRROR, "{'toPortId':'%s','conditions':[{'inPorts':['%s'],'nwProto':6}]}", u(&vm),
             u(&bp));
    set(ST_BRIDGE, &b, "{'inboundMirrorIds':['%s']}", u(&m));
    make(ST_ROUTE,
         "{'routerId':'%s','type':'Normal','nextHopPort':'%s','nextHopGateway':'10.0.0.9'}", u(&r),
         u(&rp));
    struct uuid c = make(ST_CHAIN, "{'name':'c'}"), c2 = make(ST_CHAIN, "{'name':'c2'}");
    for (unsigned i = 0; i < 20; i++)
        make(ST_RULE, "{'chainId':'%s','type':'drop','tpDst':{'start':%u},'position':%u}", u(&c),
             i + 1, i / 2 + 1);
    struct uuid gone = make(ST_PORT, "{'bridgeId':'%s'}", u(&b));
    make(ST_RULE, "{'chainId':'%s','type':'accept','inPorts':['%s']}", u(&c2), u(&gone));
    make(ST_RULE, "{'chainId':'%s','type':'jump','jumpChainId':'%s'}", u(&c2), u(&c));
    del(ST_PORT, &gone); /* the rule keeps its name */
    struct uuid g = make(ST_IP_ADDR_GROUP, "{'name':'g'}"), pg = make(ST_PORT_GROUP, "{}");
    make(ST_IP_ADDR, "{'ipAddrGroupId':'%s','addr':'10.0.0.1'}", u(&g));
    make(ST_PORT_GROUP_PORT, "{'portGroupId':'%s','portId':'%s'}", u(&pg), u(&vm));
    struct uuid pool = make(ST_POOL, "{'loadBalancerId':'%s','lbMethod':'ROUND_ROBIN'}", u(&lb));
    make(ST_VIP, "{'poolId':'%s','address':'10.0.0.1','protocolPort':80,'gatewayPortId':'%s'}",
         u(&pool), u(&rp));
    struct uuid v = make(ST_VTEP,
                         "{'managementIp':'10.9.9.9','managementPort':6632,"
                         "'tunnelZoneId':'%s'}",
                         u(&vz));
    make(ST_VTEP_BINDING, "{'vtepId':'%s','portName':'p','vlanId':1,'networkId':'%s'}", u(&v),
         u(&b));
    struct uuid sg = make(ST_SERVICE_CONTAINER_GROUP, "{}");
    make(ST_SERVICE_CONTAINER, "{'serviceGroupId':'%s','portId':'%s','serviceType':'IPSEC'}",
         u(&sg), u(&rp));
    make(ST_TRACE_REQUEST, "{'portId':'%s','nwProto':1}", u(&vm));
    struct uuid d =
        make(ST_DHCP, "{'bridgeId':'%s','subnetPrefix':'10.0.0.0/24','routerIfPortId':'%s'}", u(&b),
             u(&rp));
    make(ST_DHCP_HOST, "{'dhcpId':'%s','macAddr':'2:0:0:0:0:1','ipAddr':'10.0.0.2'}", u(&d));
}

static void test_round_trip(void **state)
{
    (void)state;
    fill();
    size_t routes = count(ST_ROUTE, NULL);
    char *first = export_text();
    db_teardown(NULL);
    db_setup(NULL);
    if (import_text(first))
        fail_msg("import: %s", why());
    char *second = export_text();
    assert_string_equal(first, second);
    assert_int_equal(count(ST_ROUTE, NULL), routes); /* local ones were made again */
    /* Peers and back references are there, not only bodies. */
    struct uuid b;
    assert_int_equal(objects_resolve(db, ST_BRIDGE, NULL, "b", &b, &last), 0);
    assert_int_equal(count(ST_PORT, &b), 3);
    db_teardown(NULL);
    db_setup(NULL);
    assert_int_equal(import_text(second), 0);
    char *third = export_text();
    assert_string_equal(second, third);
    assert_int_not_equal(import_text(third), 0); /* not onto a store that has them */
    free(first);
    free(second);
    free(third);
}

static void test_hand_written(void **state)
{
    (void)state;
    assert_int_equal(
        import_text("{\"version\":1,\"objects\":{"
                    "\"ports\":[{\"bridgeId\":\"10000000-0000-4000-8000-000000000000\"},"
                    "{\"id\":\"30000000-0000-4000-8000-000000000000\","
                    "\"bridgeId\":\"10000000-0000-4000-8000-000000000000\","
                    "\"peerId\":\"40000000-0000-4000-8000-000000000000\"},"
                    "{\"id\":\"40000000-0000-4000-8000-000000000000\","
                    "\"routerId\":\"20000000-0000-4000-8000-000000000000\","
                    "\"portSubnet\":[\"10.0.0.1/24\"]}],"
                    "\"routers\":[{\"id\":\"20000000-0000-4000-8000-000000000000\"}],"
                    "\"bridges\":[{\"id\":\"10000000-0000-4000-8000-000000000000\"}]}}"),
        0);
    assert_int_equal(count(ST_PORT, NULL), 3);
    assert_int_equal(count(ST_ROUTE, NULL), 1);
    struct uuid p;
    uuid_parse("40000000-0000-4000-8000-000000000000", &p);
    assert_field(ST_PORT, &p, "peerId", "30000000-0000-4000-8000-000000000000");
    assert_non_null(field(ST_PORT, &p, "tunnelKey"));
}

static void test_malformed(void **state)
{
    static const struct {
        const char *doc, *says;
    } bad[] = {
        {"{}", "not a topology"},
        {"{\"version\":2,\"objects\":{}}", "not a topology"},
        {"{\"version\":1,\"objects\":[]}", "not a topology"},
        {"{\"version\":1,\"objects\":{\"bridge\":[]}}", "bridge: is not a list of a known type"},
        {"{\"version\":1,\"objects\":{\"bridges\":{}}}", "is not a list of a known type"},
        {"{\"version\":1,\"objects\":{\"bridges\":[{}],\"routers\":[{},{\"name\":7}]}}",
         "routers[1]: field name: 7 is not a string"},
        {"{\"version\":1,\"objects\":{\"bridges\":[5]}}", "bridges[0]: not a JSON object"},
        {"{\"version\":1,\"objects\":{\"bridges\":[{\"nonsense\":1}]}}",
         "field nonsense: no such attribute"},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(import_text(bad[i].doc), -EINVAL);
        assert_says(bad[i].says);
        assert_int_equal(count(ST_BRIDGE, NULL) + count(ST_ROUTER, NULL), 0);
    }
}

static void test_many(void **state)
{
    struct uuid c = make(ST_CHAIN, "{}");
    json_t *rule = json_pack("{s:s,s:s}", "chainId", u(&c), "type", "drop");

    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        struct objects_txn *t = objects_begin(db);
        for (unsigned k = 0; k < 100; k++) {
            json_object_set_new(rule, "nwTos", json_integer(k));
            assert_int_equal(objects_create(t, ST_RULE, rule, NULL, &last), 0);
        }
        assert_int_equal(objects_commit(t, &last), 0);
        objects_abort(t);
    }
    json_decref(rule);
    char *first = export_text();
    db_teardown(NULL);
    db_setup(NULL);
    assert_int_equal(import_text(first), 0);
    char *second = export_text();
    assert_string_equal(first, second);
    assert_int_equal(count(ST_RULE, &c), 1000);
    free(first);
    free(second);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, db_setup, db_teardown)
    const struct CMUnitTest tests[] = {
        T(test_round_trip),
        T(test_hand_written),
        T(test_malformed),
        T(test_many),
    };

    return run_on_stores(tests);
}
