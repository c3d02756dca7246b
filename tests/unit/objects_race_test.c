/* Several writers at once, each with a handle of its own on one store. */
#include "objects_testlib.h"

#include <pthread.h>

enum { WRITERS = 4, ROUNDS = 25 };

struct writer {
    pthread_t thread;
    struct store *store;
    struct objects *db;
    struct uuid a, b;
    unsigned number, done, refused, failed;
    struct error e;
};

static struct writer writers[WRITERS];

static int shared_setup(void **state)
{
    char url[256];

    (void)state;
    store_url(url);
    assert_int_equal(store_open(url, NULL, &the_store, NULL), 0);
    db = objects_open(the_store);
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.number = i};
        assert_int_equal(store_open(url, NULL, &writers[i].store, NULL), 0);
        writers[i].db = objects_open(writers[i].store);
    }
    return 0;
}

static int shared_teardown(void **state)
{
    for (unsigned i = 0; i < WRITERS; i++) {
        objects_close(writers[i].db);
        store_close(writers[i].store);
    }
    return db_teardown(state);
}

static void run(void *(*fn)(void *), const struct uuid *a, const struct uuid *b)
{
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i].a = a ? *a : uuid_zero;
        writers[i].b = b ? *b : uuid_zero;
        assert_int_equal(pthread_create(&writers[i].thread, NULL, fn, &writers[i]), 0);
    }
    for (unsigned i = 0; i < WRITERS; i++)
        pthread_join(writers[i].thread, NULL);
}

static unsigned total(size_t offset)
{
    unsigned n = 0;

    for (unsigned i = 0; i < WRITERS; i++)
        n += *(unsigned *)((char *)&writers[i] + offset);
    return n;
}
#define TOTAL(member) total(offsetof(struct writer, member))

static void tally(struct writer *w, int rc)
{
    if (!rc)
        w->done++;
    else if (rc == -EBUSY || rc == -EEXIST || rc == -ENOENT || rc == -ESTALE)
        w->refused++;
    else
        w->failed++;
}

static void *add_ports(void *arg)
{
    struct writer *w = arg;
    json_t *o = json_object();
    char text[UUID_STRLEN];

    json_object_set_new(o, "bridgeId", json_string(uuid_format(&w->a, text)));
    for (unsigned i = 0; i < ROUNDS; i++) {
        int rc;
        do /* ten collisions in a row are bad luck here, not an error */
            rc = objects_create1(w->db, ST_PORT, o, NULL, &w->e);
        while (rc == -EBUSY);
        tally(w, rc);
    }
    json_decref(o);
    return NULL;
}

static void test_same_bridge(void **state)
{
    struct uuid b = make(ST_BRIDGE, "{}");
    struct objects_change *log;
    int64_t rev;

    (void)state;
    run(add_ports, &b, NULL);
    assert_int_equal(TOTAL(done), WRITERS * ROUNDS);
    assert_int_equal(count(ST_PORT, &b), WRITERS * ROUNDS);
    /* Every commit has its revision: none was lost in another's. */
    assert_int_equal(objects_changes(db, ST_BRIDGE, &b, -1, &rev, &log, NULL), -EOVERFLOW);
    assert_int_equal(rev, WRITERS * ROUNDS + 1);
}

static void *insert_rules(void *arg)
{
    struct writer *w = arg;
    json_t *o = json_pack("{s:s,s:i}", "type", "drop", "position", 1);
    char text[UUID_STRLEN];

    json_object_set_new(o, "chainId", json_string(uuid_format(&w->a, text)));
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct uuid id;
        int rc;
        do
            rc = objects_create1(w->db, ST_RULE, o, &id, &w->e);
        while (rc == -EBUSY);
        tally(w, rc);
        do
            rc = i % 3 ? 0 : objects_delete1(w->db, ST_RULE, &id, STORE_ANY, &w->e);
        while (rc == -EBUSY);
        w->failed += rc != 0;
    }
    json_decref(o);
    return NULL;
}

static int check_position(json_t *obj, void *aux)
{
    assert_int_equal(json_integer_value(json_object_get(obj, "position")), ++*(int *)aux);
    return 0;
}

static void test_same_chain(void **state)
{
    struct uuid c = make(ST_CHAIN, "{}");
    int last_position = 0;

    (void)state;
    run(insert_rules, &c, NULL);
    assert_int_equal(TOTAL(done), WRITERS * ROUNDS);
    assert_int_equal(TOTAL(failed), 0);
    assert_int_equal(count(ST_RULE, &c), count(ST_RULE, NULL));
    assert_int_equal(objects_each(db, ST_RULE, &c, check_position, &last_position, NULL), 0);
    assert_int_equal(last_position, WRITERS * (ROUNDS - (ROUNDS + 2) / 3));
}

static void *link_port(void *arg)
{
    struct writer *w = arg;
    char text[UUID_STRLEN];
    json_t *o = json_object(), *patch = json_object();
    struct uuid port;

    json_object_set_new(o, "bridgeId", json_string(uuid_format(&w->a, text)));
    json_object_set_new(patch, "peerId", json_string(uuid_format(&w->b, text)));
    while (objects_create1(w->db, ST_PORT, o, &port, &w->e) == -EBUSY)
        ;
    tally(w, objects_update1(w->db, ST_PORT, &port, patch, STORE_ANY, &w->e));
    json_decref(o);
    json_decref(patch);
    return NULL;
}

static void test_one_wins_the_link(void **state)
{
    struct uuid b = make(ST_BRIDGE, "{}"), r = make(ST_ROUTER, "{}");
    struct uuid p = make(ST_PORT, "{'routerId':'%s'}", u(&r)), winner;

    (void)state;
    run(link_port, &b, &p);
    assert_int_equal(TOTAL(done), 1);
    assert_int_equal(TOTAL(refused), WRITERS - 1);
    assert_int_equal(uuid_parse(field(ST_PORT, &p, "peerId"), &winner), 0);
    assert_field(ST_PORT, &winner, "peerId", u(&p));
}

static void *compare_and_set(void *arg)
{
    struct writer *w = arg;

    for (unsigned i = 0; i < ROUNDS; i++)
        for (;;) {
            json_t *v, *patch = json_object();
            char name[32];
            assert_int_equal(objects_get(w->db, ST_BRIDGE, &w->a, &v, &w->e), 0);
            snprintf(name, sizeof name, "%d",
                     1 + atoi(json_string_value(json_object_get(v, "name"))));
            json_object_set_new(patch, "name", json_string(name));
            int rc = objects_update1(w->db, ST_BRIDGE, &w->a, patch,
                                     json_integer_value(json_object_get(v, "rev")), &w->e);
            json_decref(v);
            json_decref(patch);
            if (!rc)
                break;
            if (rc != -ESTALE && rc != -EBUSY) {
                w->failed++;
                return NULL;
            }
        }
    return NULL;
}

static void test_compare_and_set(void **state)
{
    struct uuid b = make(ST_BRIDGE, "{'name':'0'}");
    char n[16];

    (void)state;
    run(compare_and_set, &b, NULL);
    assert_int_equal(TOTAL(failed), 0);
    snprintf(n, sizeof n, "%d", WRITERS * ROUNDS);
    assert_field(ST_BRIDGE, &b, "name", n);
}

static void *add_or_delete(void *arg)
{
    struct writer *w = arg;

    if (w->number) {
        add_ports(w);
        return NULL;
    }
    int rc;
    do
        rc = objects_delete1(w->db, ST_BRIDGE, &w->a, STORE_ANY, &w->e);
    while (rc == -EBUSY);
    w->done = !rc;
    return NULL;
}

static void test_adding_to_what_goes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        struct uuid b = make(ST_BRIDGE, "{}");
        run(add_or_delete, &b, NULL);
        assert_int_equal(writers[0].done, 1);
        assert_int_equal(TOTAL(failed), 0);
        assert_false(there(ST_BRIDGE, &b));
        assert_int_equal(count(ST_PORT, NULL), 0);
    }
}

static void *claim_zone(void *arg)
{
    struct writer *w = arg;
    json_t *o = json_pack("{s:s,s:s}", "name", "z", "type", "gre");

    tally(w, objects_create1(w->db, ST_TUNNEL_ZONE, o, NULL, &w->e));
    json_decref(o);
    return NULL;
}

static void test_one_wins_the_name(void **state)
{
    (void)state;
    run(claim_zone, NULL, NULL);
    assert_int_equal(TOTAL(done), 1);
    assert_int_equal(TOTAL(refused), WRITERS - 1);
    assert_int_equal(count(ST_TUNNEL_ZONE, NULL), 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, shared_setup, shared_teardown)
    const struct CMUnitTest tests[] = {
        T(test_same_bridge),     T(test_same_chain),          T(test_one_wins_the_link),
        T(test_compare_and_set), T(test_adding_to_what_goes), T(test_one_wins_the_name),
    };

    return run_on_stores(tests);
}
