/* What the store may hold that we did not write: newer attributes, broken JSON, garbage; run-time
 * state; names; transactions that are refused. */
#include "objects_testlib.h"

static void put_raw(const char *path, const char *data)
{
    const struct store_op op = {.type = STORE_PUT,
                                .flags = STORE_PARENTS,
                                .path = path,
                                .data = data,
                                .size = strlen(data),
                                .version = STORE_ANY};

    assert_int_equal(store_commit(the_store, &op, 1, NULL, NULL), 0);
}

static void body_path(enum schema_type_id type, const struct uuid *id, char *path)
{
    objects_path(type, id, path);
}

static void test_newer_attributes(void **state)
{
    struct uuid b = make(ST_BRIDGE, "{'name':'b'}");
    char path[STORE_PATH_MAX];
    struct store_value v;

    (void)state;
    body_path(ST_BRIDGE, &b, path);
    put_raw(path, "{\"name\":\"b\",\"adminStateUp\":true,\"colour\":{\"a\":[1,2]}}");
    assert_field(ST_BRIDGE, &b, "colour", "{\"a\":[1,2]}");
    set(ST_BRIDGE, &b, "{'name':'c'}");
    assert_int_equal(store_get(the_store, path, &v, NULL), 0);
    assert_non_null(strstr(v.data, "\"colour\":{\"a\":[1,2]}"));
    assert_non_null(strstr(v.data, "\"name\":\"c\""));
    store_value_free(&v);
    set_rc(-EINVAL, ST_BRIDGE, &b, "{'colour':1}");
    assert_says("field colour: no such attribute");
    /* A reference that only a newer version knows keeps its target in use. */
    char folder[STORE_PATH_MAX + 64];
    snprintf(folder, sizeof folder, "%s/gadgets.bridgeId.5/55555555-5555-4555-8555-555555555555",
             path);
    put_raw(folder, "");
    del_rc(-EBUSY, ST_BRIDGE, &b);
    assert_says("something this version doesn't know");
}

static int collect_names(json_t *obj, void *aux)
{
    strcat(aux, json_string_value(json_object_get(obj, "name")));
    return 0;
}

static void test_broken_bodies(void **state)
{
    static const char *const garbage[] = {
        "",
        "{",
        "[]",
        "null",
        "\"x\"",
        "{\"name\":5}",
        "{\"name\":\"x\",\"name\":\"y\"}",
        "{\"adminStateUp\":\"yes\"}",
        "{\"inboundFilterId\":\"nonsense\"}",
        "\xff\xfe{}",
    };
    struct uuid a = make(ST_BRIDGE, "{'id':'10000000-0000-4000-8000-000000000000','name':'a'}");
    struct uuid b = make(ST_BRIDGE, "{'id':'20000000-0000-4000-8000-000000000000','name':'b'}");
    struct uuid c = make(ST_BRIDGE, "{'id':'30000000-0000-4000-8000-000000000000','name':'c'}");
    char path[STORE_PATH_MAX];
    json_t *v;

    (void)state;
    (void)c;
    body_path(ST_BRIDGE, &b, path);
    for (unsigned i = 0; i < ARRAY_SIZE(garbage); i++) {
        char names[16] = "";
        uint64_t before = objects_stats(db)->broken;
        put_raw(path, garbage[i]);
        assert_int_equal(objects_get(db, ST_BRIDGE, &b, &v, &last), -EBADMSG);
        assert_null(v);
        assert_says("the store has a broken object at /bridges/20/20000000-");
        assert_int_equal(objects_each(db, ST_BRIDGE, NULL, collect_names, names, NULL), 0);
        assert_string_equal(names, "ac");
        assert_int_equal(objects_stats(db)->broken, before + 2);
        set_rc(-EBADMSG, ST_BRIDGE, &b, "{'name':'x'}");
    }
    struct uuid id, p = make(ST_PORT, "{'bridgeId':'%s'}", u(&b));
    del(ST_BRIDGE, &b); /* it can be got rid of, with what it has, */
    assert_false(there(ST_PORT, &p));
    assert_int_equal(objects_resolve(db, ST_BRIDGE, NULL, "b", &id, NULL), -ENOENT);
    p = make(ST_PORT, "{'bridgeId':'%s'}", u(&a));
    body_path(ST_PORT, &p, path);
    put_raw(path, "{");
    del(ST_BRIDGE, &a); /* and what it belongs to as well */
    assert_int_equal(objects_get(db, ST_PORT, &p, &v, &last), -ENOENT);
}

static void test_broken_order(void **state)
{
    struct uuid c = make(ST_CHAIN, "{}"),
                r = make(ST_RULE, "{'chainId':'%s','type':'drop'}", u(&c));
    static const char *const garbage[] = {"",
                                          "{}",
                                          "{\"chunks\":[[\"0\",3]]}",
                                          "{\"chunks\":[[\"9\",1]]}",
                                          "{\"chunks\":[[\"../x\",1]]}",
                                          "{\"chunks\":[[\"0\",99999]]}",
                                          "{\"chunks\":[5]}"};
    char path[STORE_PATH_MAX + 8], saved[STORE_PATH_MAX];
    struct store_value good;

    (void)state;
    objects_path(ST_CHAIN, &c, saved);
    snprintf(path, sizeof path, "%s/order", saved);
    assert_int_equal(store_get(the_store, path, &good, NULL), 0);
    for (unsigned i = 0; i < ARRAY_SIZE(garbage); i++) {
        size_t n = 0;
        put_raw(path, garbage[i]);
        assert_int_equal(objects_each(db, ST_RULE, &c, count_one, &n, &last), -EBADMSG);
        assert_says("the store has a broken list of its rules");
        make_rc(-EBADMSG, ST_RULE, "{'chainId':'%s','type':'drop'}", u(&c));
    }
    put_raw(path, good.data);
    store_value_free(&good);
    assert_int_equal(count(ST_RULE, &c), 1);
    assert_true(there(ST_RULE, &r));
    put_raw(path, "{\"chunks\":[[\"0\",3]]}");
    del(ST_CHAIN, &c); /* a broken chain can be got rid of */
    assert_false(there(ST_RULE, &r));
}

/* Change nodes and logs that somebody else has spoiled are made anew. */
static void test_broken_change(void **state)
{
    struct uuid b = make(ST_BRIDGE, "{}");
    static const char *const garbage[] = {"", "7", "{\"rev\":\"x\",\"log\":5}",
                                          "{\"rev\":3,\"log\":[1,[],[3],[2,4,5,6]]}"};
    char path[STORE_PATH_MAX];

    (void)state;
    objects_change_path(ST_BRIDGE, &b, path);
    for (unsigned i = 0; i < ARRAY_SIZE(garbage); i++) {
        struct objects_change *log;
        int64_t rev;
        put_raw(path, garbage[i]);
        int n = objects_changes(db, ST_BRIDGE, &b, 0, &rev, &log, NULL);
        assert_true(n >= 0 || n == -EOVERFLOW);
        free(log);
        set(ST_BRIDGE, &b, "{'name':'%u'}", i);
        assert_int_equal(objects_changes(db, ST_BRIDGE, &b, -1, &rev, &log, NULL), -EOVERFLOW);
        assert_true(rev >= 1);
    }
}

static void put_state(enum schema_type_id type, const struct uuid *id, const char *key,
                      const char *data)
{
    char path[STORE_PATH_MAX];

    objects_state_path(type, id, key, path);
    put_raw(path, data);
}

static void test_state(void **state)
{
    struct uuid h = make(ST_HOST, "{'name':'h'}"), b = make(ST_BRIDGE, "{}");
    struct uuid p = make(ST_PORT, "{'bridgeId':'%s'}", u(&b));

    (void)state;
    assert_field(ST_HOST, &h, "alive", "false");
    assert_no_field(ST_HOST, &h, "addresses");
    put_state(ST_HOST, &h, "alive", "{\"since\":5}");
    put_state(ST_HOST, &h, "interfaces",
              "[{\"name\":\"lo\",\"up\":true,\"link\":true,\"addresses\":[\"127.0.0.1\",\"::1\"],"
              "\"mac\":\"00:00:00:00:00:00\",\"mtu\":65536},"
              "{\"name\":\"eth0\",\"up\":true,\"link\":false,\"addresses\":[\"10.0.0.1\"],"
              "\"novelty\":1}]");
    assert_field(ST_HOST, &h, "alive", "true");
    assert_field(ST_HOST, &h, "addresses", "[\"127.0.0.1\",\"::1\",\"10.0.0.1\"]");
    assert_non_null(strstr(field(ST_HOST, &h, "hostInterfaces"), "\"status\":3"));
    assert_non_null(strstr(field(ST_HOST, &h, "hostInterfaces"), "\"status\":1"));
    put_state(ST_HOST, &h, "interfaces", "[{\"name\":5}]");
    assert_no_field(ST_HOST, &h, "hostInterfaces");
    put_state(ST_HOST, &h, "interfaces", "not json");
    assert_field(ST_HOST, &h, "alive", "true");
    char active[64 + UUID_STRLEN], id[UUID_STRLEN];
    snprintf(active, sizeof active, "{\"host\":\"%s\"}", uuid_format(&h, id));
    put_state(ST_PORT, &p, "active", active);
    assert_field(ST_PORT, &p, "active", "false"); /* of a host it isn't bound to (any more) */
    struct uuid z = make(ST_TUNNEL_ZONE, "{'name':'z','type':'vxlan'}");
    make(ST_TUNNEL_ZONE_HOST, "{'tunnelZoneId':'%s','hostId':'%s','ipAddress':'10.0.0.1'}", u(&z),
         u(&h));
    set(ST_PORT, &p, "{'hostId':'%s','interfaceName':'eth0'}", u(&h));
    assert_field(ST_PORT, &p, "active", "true");
    set_rc(-EINVAL, ST_PORT, &p, "{'active':false}");
    assert_says("field plugged: is a read-only attribute");
    /* State goes with its object, and never into it. */
    set(ST_PORT, &p, "{'adminStateUp':false}");
    char path[STORE_PATH_MAX];
    struct store_value v;
    objects_path(ST_PORT, &p, path);
    assert_int_equal(store_get(the_store, path, &v, NULL), 0);
    assert_null(strstr(v.data, "active"));
    store_value_free(&v);
    del(ST_PORT, &p);
    objects_state_path(ST_PORT, &p, "active", path);
    assert_int_equal(store_exists(the_store, path), 0);
}

static void test_names(void **state)
{
    struct uuid a = make(ST_BRIDGE, "{'name':'x'}"), b = make(ST_BRIDGE, "{'name':'x'}"), id;
    struct uuid p = make(ST_PORT, "{'bridgeId':'%s','name':'up'}", u(&a));
    struct uuid q = make(ST_PORT, "{'bridgeId':'%s','name':'up'}", u(&b));

    (void)state;
    assert_int_equal(objects_resolve(db, ST_BRIDGE, NULL, "x", &id, &last), -EINVAL);
    assert_says("2 bear the name \"x\"");
    assert_non_null(strstr(last.hint, u(&a)));
    assert_non_null(strstr(last.hint, u(&b)));
    assert_int_equal(objects_resolve(db, ST_PORT, &a, "up", &id, &last), 0);
    assert_memory_equal(&id, &p, sizeof p);
    assert_int_equal(objects_resolve(db, ST_PORT, &b, "up", &id, &last), 0);
    assert_memory_equal(&id, &q, sizeof q);
    del(ST_BRIDGE, &a);
    assert_int_equal(objects_resolve(db, ST_BRIDGE, NULL, "x", &id, &last), 0);
    assert_memory_equal(&id, &b, sizeof b);
    assert_int_equal(objects_resolve(db, ST_BRIDGE, NULL, "", &id, &last), -ENOENT);
    assert_int_equal(objects_resolve(db, ST_BRIDGE, NULL, "no/such\nname", &id, &last), -ENOENT);
    assert_says("no bridge is called");
    assert_int_equal(objects_resolve(db, ST_RULE, NULL, "x", &id, &last), -EINVAL);
    assert_says("\"x\" is not a uuid");
    struct uuid s = make(ST_BRIDGE, "{'name':'a/b %%20 \\u00e4'}");
    assert_int_equal(objects_resolve(db, ST_BRIDGE, NULL, "a/b %20 \xc3\xa4", &id, &last), 0);
    assert_memory_equal(&id, &s, sizeof s);
}

static void test_transactions(void **state)
{
    struct objects_txn *t = objects_begin(db);
    json_t *bridge = json_pack("{s:s}", "name", "b"), *bad = json_pack("{s:s}", "bridgeId", "x");
    struct uuid b, p;

    (void)state;
    /* All of it or nothing. */
    assert_int_equal(objects_create(t, ST_BRIDGE, bridge, &b, &last), 0);
    assert_int_equal(objects_create(t, ST_PORT, bad, &p, &last), -EINVAL);
    assert_says("field device: \"x\" is not a uuid");
    json_object_set_new(bad, "bridgeId", json_string(u(&b)));
    assert_int_equal(objects_create(t, ST_PORT, bad, &p, &last), 0);
    json_object_set_new(bad, "bridgeId", json_string("11111111-1111-4111-8111-111111111111"));
    assert_int_equal(objects_create(t, ST_PORT, bad, NULL, &last), 0);
    assert_int_equal(objects_commit(t, &last), -ENOENT);
    objects_abort(t);
    assert_int_equal(count(ST_BRIDGE, NULL) + count(ST_PORT, NULL), 0);

    /* Later operations see earlier ones. */
    t = objects_begin(db);
    assert_int_equal(objects_create(t, ST_BRIDGE, bridge, &b, &last), 0);
    json_object_set_new(bad, "bridgeId", json_string(u(&b)));
    assert_int_equal(objects_create(t, ST_PORT, bad, &p, &last), 0);
    assert_int_equal(objects_update(t, ST_PORT, &p, bridge, STORE_ANY, &last), 0);
    assert_int_equal(objects_commit(t, &last), 0);
    objects_abort(t);
    assert_field(ST_PORT, &p, "name", "b");
    assert_field(ST_PORT, &p, "rev", "0");

    /* Made and gone again within one: nothing was there. */
    uint64_t commits = objects_stats(db)->commits;
    t = objects_begin(db);
    struct uuid c;
    assert_int_equal(objects_create(t, ST_CHAIN, bridge, &c, &last), 0);
    assert_int_equal(objects_delete(t, ST_CHAIN, &c, STORE_ANY, &last), 0);
    assert_int_equal(objects_commit(t, &last), 0);
    objects_abort(t);
    assert_false(there(ST_CHAIN, &c));
    assert_int_equal(objects_stats(db)->commits, commits);

    /* A unique value given up and taken in one. */
    struct uuid z = make(ST_TUNNEL_ZONE, "{'name':'z','type':'gre'}"), z2;
    json_t *zone = json_pack("{s:s,s:s}", "name", "z", "type", "gre");
    t = objects_begin(db);
    assert_int_equal(objects_create(t, ST_TUNNEL_ZONE, zone, &z2, &last), 0);
    assert_int_equal(objects_delete(t, ST_TUNNEL_ZONE, &z, STORE_ANY, &last), 0);
    assert_int_equal(objects_commit(t, &last), 0);
    objects_abort(t);
    assert_true(there(ST_TUNNEL_ZONE, &z2) && !there(ST_TUNNEL_ZONE, &z));
    t = objects_begin(db);
    assert_int_equal(objects_delete(t, ST_TUNNEL_ZONE, &z2, STORE_ANY, &last), 0);
    assert_int_equal(objects_create(t, ST_TUNNEL_ZONE, zone, &z, &last), 0);
    assert_int_equal(objects_commit(t, &last), 0);
    objects_abort(t);
    assert_true(there(ST_TUNNEL_ZONE, &z));
    t = objects_begin(db);
    json_object_set_new(zone, "name", json_string("new"));
    assert_int_equal(objects_create(t, ST_TUNNEL_ZONE, zone, NULL, &last), 0);
    assert_int_equal(objects_create(t, ST_TUNNEL_ZONE, zone, NULL, &last), 0);
    assert_int_equal(objects_commit(t, &last), -EEXIST);
    objects_abort(t);
    json_decref(zone);
    json_decref(bridge);
    json_decref(bad);
}

/* A reference to what the same transaction deletes is refused, in whichever order. */
static void test_delete_and_refer(void **state)
{
    struct uuid c = make(ST_CHAIN, "{}"), b = make(ST_BRIDGE, "{}");
    json_t *patch = json_pack("{s:s}", "inboundFilterId", u(&c));
    struct objects_txn *t = objects_begin(db);

    (void)state;
    assert_int_equal(objects_delete(t, ST_CHAIN, &c, STORE_ANY, &last), 0);
    assert_int_equal(objects_update(t, ST_BRIDGE, &b, patch, STORE_ANY, &last), 0);
    assert_int_equal(objects_commit(t, &last), -ENOENT);
    objects_abort(t);
    assert_true(there(ST_CHAIN, &c));
    t = objects_begin(db);
    assert_int_equal(objects_update(t, ST_BRIDGE, &b, patch, STORE_ANY, &last), 0);
    assert_int_equal(objects_delete(t, ST_CHAIN, &c, STORE_ANY, &last), 0);
    assert_int_equal(objects_commit(t, &last), 0);
    objects_abort(t);
    assert_no_field(ST_BRIDGE, &b, "inboundFilterId");
    json_decref(patch);
}

static void test_stale(void **state)
{
    struct uuid b = make(ST_BRIDGE, "{}");
    json_t *patch = json_pack("{s:s}", "name", "n");

    (void)state;
    assert_int_equal(objects_update1(db, ST_BRIDGE, &b, patch, 0, &last), 0);
    assert_int_equal(objects_update1(db, ST_BRIDGE, &b, patch, 0, &last), -ESTALE);
    assert_says("has been changed: it is at revision 1, not 0");
    assert_int_equal(objects_update1(db, ST_BRIDGE, &b, patch, 1, &last), 0);
    assert_field(ST_BRIDGE, &b, "rev", "1"); /* nothing to write */
    json_decref(patch);
    struct uuid none;
    uuid_random(&none);
    set_rc(-ENOENT, ST_BRIDGE, &none, "{'name':'x'}");
    assert_says("There is no bridge with ID");
}

/* What is left of a leaf, name or claim by a crash of somebody else's making does no harm. */
static void test_garbage_nodes(void **state)
{
    struct uuid b = make(ST_BRIDGE, "{'name':'b'}"), c = make(ST_CHAIN, "{}");
    char path[STORE_PATH_MAX], leaf[STORE_PATH_MAX * 2];
    struct uuid *ids;
    size_t n;

    (void)state;
    objects_path(ST_CHAIN, &c, path);
    snprintf(leaf, sizeof leaf, "%s/bridges.inboundFilterId.5/%s", path,
             "55555555-5555-4555-8555-555555555555");
    put_raw(leaf, "");
    snprintf(leaf, sizeof leaf, "%s/bridges.inboundFilterId.5/nonsense", path);
    put_raw(leaf, "");
    assert_int_equal(objects_referrers(db, ST_BRIDGE, "inboundFilterId", &c, &ids, &n, NULL), 0);
    assert_int_equal(n, 1);
    free(ids);
    assert_int_equal(objects_referrers(db, ST_BRIDGE, "name", &c, &ids, &n, &last), -EINVAL);
    assert_int_equal(store_delete(the_store, leaf, STORE_ANY, NULL), 0);
    /* A back reference that got lost doesn't keep the object from being deleted. */
    set(ST_BRIDGE, &b, "{'inboundFilterId':'%s'}", u(&c));
    snprintf(leaf, sizeof leaf, "%s/bridges.inboundFilterId.%c/%s", path, u(&b)[0], u(&b));
    assert_int_equal(store_delete(the_store, leaf, STORE_ANY, NULL), 0);
    del(ST_BRIDGE, &b);
    del(ST_CHAIN, &c);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, db_setup, db_teardown)
    const struct CMUnitTest tests[] = {
        T(test_newer_attributes),
        T(test_broken_bodies),
        T(test_broken_order),
        T(test_broken_change),
        T(test_state),
        T(test_names),
        T(test_transactions),
        T(test_delete_and_refer),
        T(test_stale),
        T(test_garbage_nodes),
    };

    return run_on_stores(tests);
}
