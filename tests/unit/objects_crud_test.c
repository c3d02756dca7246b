/* Create, read, update, delete; names; lists; what the system adds. */
#include "objects_testlib.h"

static void test_bridge(void **state)
{
    struct uuid id = make(ST_BRIDGE, "{'name':'br','tenantId':'t'}"), found;
    json_t *v = get(ST_BRIDGE, &id);

    (void)state;
    assert_string_equal(json_string_value(json_object_get(v, "id")), u(&id));
    assert_int_equal(json_integer_value(json_object_get(v, "rev")), 0);
    assert_true(json_is_true(json_object_get(v, "adminStateUp")));
    json_decref(v);
    set(ST_BRIDGE, &id, "{'name':'br2','adminStateUp':false}");
    assert_field(ST_BRIDGE, &id, "name", "br2");
    assert_field(ST_BRIDGE, &id, "adminStateUp", "false");
    assert_field(ST_BRIDGE, &id, "rev", "1");
    set(ST_BRIDGE, &id, "{'adminStateUp':null}");
    assert_field(ST_BRIDGE, &id, "adminStateUp", "true");
    assert_int_equal(objects_resolve(db, ST_BRIDGE, NULL, "br", &found, &last), -ENOENT);
    assert_int_equal(objects_resolve(db, ST_BRIDGE, NULL, "br2", &found, &last), 0);
    assert_memory_equal(&found, &id, sizeof id);
    assert_int_equal(objects_resolve(db, ST_BRIDGE, NULL, u(&id), &found, &last), 0);
    del(ST_BRIDGE, &id);
    assert_false(there(ST_BRIDGE, &id));
    del_rc(-ENOENT, ST_BRIDGE, &id);
    assert_says("There is no bridge with ID");
    assert_int_equal(objects_resolve(db, ST_BRIDGE, NULL, "br2", &found, &last), -ENOENT);
    assert_int_equal(objects_resolve(db, ST_BRIDGE, NULL, u(&id), &found, &last), -ENOENT);
}

static void test_ports(void **state)
{
    struct uuid b = make(ST_BRIDGE, "{'name':'b'}"), r = make(ST_ROUTER, "{'name':'r'}");
    struct uuid bp = make(ST_PORT, "{'bridgeId':'%s'}", u(&b));
    struct uuid rp =
        make(ST_PORT, "{'routerId':'%s','portSubnet':['10.0.0.1/24','2001:DB8::1/64']}", u(&r));

    (void)state;
    assert_non_null(field(ST_PORT, &bp, "tunnelKey"));
    assert_non_null(field(ST_PORT, &rp, "portMac"));
    assert_field(ST_PORT, &rp, "portSubnet", "[\"10.0.0.1/24\",\"2001:db8::1/64\"]");
    assert_field(ST_PORT, &rp, "active", "false");
    assert_int_equal(count(ST_PORT, &b), 1);
    assert_int_equal(count(ST_PORT, &r), 1);
    assert_int_equal(count(ST_PORT, NULL), 2);
    assert_int_equal(count(ST_ROUTE, &r), 2);
    assert_int_equal(count(ST_ROUTE, &rp), 2);
    set(ST_PORT, &bp, "{'peerId':'%s'}", u(&rp));
    assert_field(ST_PORT, &rp, "peerId", u(&bp));
    set(ST_PORT, &rp, "{'peerId':null}");
    assert_no_field(ST_PORT, &bp, "peerId");
    del(ST_PORT, &rp);
    assert_int_equal(count(ST_ROUTE, &r), 0);
    del(ST_BRIDGE, &b);
    assert_false(there(ST_PORT, &bp));
}

static int add_type(json_t *obj, void *aux)
{
    strcat(aux, json_string_value(json_object_get(obj, "type")));
    strcat(aux, " ");
    return 0;
}

static void test_rule_order(void **state)
{
    struct uuid c = make(ST_CHAIN, "{'name':'c'}");
    struct uuid a = make(ST_RULE, "{'chainId':'%s','type':'accept'}", u(&c));
    struct uuid d = make(ST_RULE, "{'chainId':'%s','type':'drop'}", u(&c));
    struct uuid r = make(ST_RULE, "{'chainId':'%s','type':'reject','position':3}", u(&c));
    char order[64] = "";

    (void)state;
    assert_int_equal(objects_each(db, ST_RULE, &c, add_type, order, NULL), 0);
    assert_string_equal(order, "drop accept reject ");
    assert_field(ST_RULE, &a, "position", "2");
    assert_field(ST_RULE, &r, "position", "3");
    make_rc(-EINVAL, ST_RULE, "{'chainId':'%s','type':'drop','position':5}", u(&c));
    assert_says("field pos: Position exceeds number of rules in chain");
    set(ST_RULE, &r, "{'position':1}");
    del(ST_RULE, &d);
    order[0] = '\0';
    assert_int_equal(objects_each(db, ST_RULE, &c, add_type, order, NULL), 0);
    assert_string_equal(order, "reject accept ");
    del(ST_CHAIN, &c);
    assert_false(there(ST_RULE, &a));
}

static void test_leaves_nothing(void **state)
{
    (void)state;
    make(ST_BRIDGE, "{'id':'11111111-1111-4111-8111-111111111111','name':'x'}");
    struct uuid first;
    uuid_parse("11111111-1111-4111-8111-111111111111", &first);
    del(ST_BRIDGE, &first);
    size_t before = store_nodes("/");
    struct uuid b = make(ST_BRIDGE, "{'id':'11111111-1111-4111-8111-111111111111','name':'x'}");
    del(ST_BRIDGE, &b);
    assert_int_equal(store_nodes("/"), before);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, db_setup, db_teardown)
    const struct CMUnitTest tests[] = {
        T(test_bridge),
        T(test_ports),
        T(test_rule_order),
        T(test_leaves_nothing),
    };

    return run_on_stores(tests);
}
