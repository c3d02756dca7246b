#include "store_zk_suite.h"

static void malformed_urls_are_refused(void **state)
{
    static const char *const bad[] = {
        "zk:",        "zk:/",           "zk://",     "zk:///root", "zk://h/a//b",    "zk://h/../x",
        "zk://:x@h/", "zk://user@h/x",  "zk://h h/", "zk://h/x\n", "zk://,/x",       "zk://a:b@/x",
        "zk://h\"/x", "zk://h:99999/x", "zk://h:0/", "zk://h:/x",  "zk://a:1,b:2x/",
    };
    struct store *s;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct error e = {0};
        assert_int_equal(store_open(bad[i], NULL, &s, &e), -EINVAL);
        assert_true(e.message[0]);
        assert_null(strstr(e.message, "a:b"));
    }
}

static void a_secret_keeps_others_out(void **state)
{
    char url[200], secret_url[220], wrong_url[220];
    struct store_value v;

    (void)state;
    fresh_url(url, sizeof url);
    const char *rest = url + strlen("zk://");
    snprintf(secret_url, sizeof secret_url, "zk://mn:se@cret@%s", rest);
    snprintf(wrong_url, sizeof wrong_url, "zk://mn:guess@%s", rest);
    struct store *s = open_store(secret_url);
    assert_int_equal(create(s, "/a", "mine", 0), 0);
    assert_string_equal(text(s, "/a"), "mine");
    const char *others[] = {url, wrong_url};
    for (int i = 0; i < 2; i++) {
        struct store *other = open_store(others[i]);
        assert_int_equal(store_get(other, "/a", &v, NULL), -EACCES);
        assert_int_equal(set(other, "/a", "theirs", STORE_ANY), -EACCES);
        assert_int_equal(create(other, "/a/b", "", 0), -EACCES);
        store_close(other);
    }
    store_close(s);
    s = open_store(secret_url);
    assert_int_equal(set(s, "/a", "still mine", 0), 0);
    store_close(s);
}

static void the_root_of_the_servers_can_be_used(void **state)
{
    char url[200];
    struct store_names names;

    (void)state;
    zk_url(&zk, "/", url, sizeof url);
    struct store *s = open_store(url);
    assert_int_equal(create(s, "/at-root", "x", 0), 0);
    ok(store_children(s, "/", &names, e));
    for (size_t i = 0; i < names.n; i++)
        assert_string_not_equal(names.names[i], "zookeeper");
    assert_string_equal(names.names[0], "at-root");
    store_names_free(&names);
    ok(store_watch(s, "/", STORE_WATCH_CHILDREN, 1, e));
    assert_int_equal(store_delete(s, "/at-root", 0, NULL), 0);
    expect_event(s, "/", STORE_WATCH_CHILDREN);
    store_close(s);
}

static void an_expired_session_is_replaced(void **state)
{
    char url[200];
    struct store *s = open_fresh(url, sizeof url), *other = open_store(url);
    struct store_value v;

    (void)state;
    assert_int_equal(create(s, "/e", "", 0), 0);
    assert_int_equal(create(s, "/e/mine", "first", STORE_EPHEMERAL), 0);
    assert_int_equal(create(s, "/e/gone", "", STORE_EPHEMERAL), 0);
    assert_int_equal(set(s, "/e/mine", "second", 0), 0);
    assert_int_equal(store_delete(s, "/e/gone", 0, NULL), 0);
    ok(store_watch(s, "/w", STORE_WATCH_DATA | STORE_WATCH_CHILDREN, 5, e));
    ok(store_watch(other, "/e/mine", STORE_WATCH_DATA, 6, e));
    for (int i = 0; i < 3; i++) {
        zk_expire(&zk, s);
        expect_connection(s, STORE_EV_DISCONNECTED);
        expect_connection(s, STORE_EV_RECONNECTED);
        /* It is in place already, and others saw it go and come. */
        ok(store_get(s, "/e/mine", &v, e));
        assert_string_equal(v.data, "second");
        assert_true(v.ephemeral);
        store_value_free(&v);
        assert_int_equal(store_exists(s, "/e/gone"), 0);
        expect_event(other, "/e/mine", STORE_WATCH_DATA);
        /* Watches go on. */
        struct store_op op = {.type = STORE_PUT, .path = "/w"};
        ok(store_commit(other, &op, 1, NULL, e));
        assert_int_equal(expect_event(s, "/w", STORE_WATCH_DATA).tag, 5);
    }
    store_close(s);
    await(store_exists(other, "/e/mine") == 0);
    store_close(other);
}

/* The client is cut off until the server has ended its session; meanwhile things change. */
static void what_changed_meanwhile_is_told(void **state)
{
    static const char *const expected[] = {"/set", "/made", "/folder", "/taken"};
    char url[200], wire_url[250];
    struct store_options opts = {.timeout_ms = 30000, .session_timeout_ms = 4000};
    struct store *s, *other = open_fresh(url, sizeof url);
    struct wire wire;

    (void)state;
    wire_begin(&wire, zk.servers[0].port);
    const char *root = strchr(url + strlen("zk://"), '/');
    snprintf(wire_url, sizeof wire_url, "zk://127.0.0.1:%d%s", wire.port, root);
    ok(store_open(wire_url, &opts, &s, e));
    assert_int_equal(create(s, "/set", "", 0), 0);
    assert_int_equal(create(s, "/same", "", 0), 0);
    assert_int_equal(create(s, "/folder/old", "", STORE_PARENTS), 0);
    assert_int_equal(create(s, "/taken", "mine", STORE_EPHEMERAL), 0);
    assert_int_equal(create(s, "/kept", "mine", STORE_EPHEMERAL), 0);
    ok(store_watch(s, "/set", STORE_WATCH_DATA, 1, e));
    ok(store_watch(s, "/made", STORE_WATCH_DATA | STORE_WATCH_CHILDREN, 2, e));
    ok(store_watch(s, "/folder", STORE_WATCH_CHILDREN, 3, e));
    ok(store_watch(s, "/same", STORE_WATCH_DATA, 4, e));
    await(store_exists(other, "/kept") == 1);
    wire.cut = true;
    expect_connection(s, STORE_EV_DISCONNECTED);
    await(store_exists(other, "/taken") == 0);
    assert_int_equal(create(other, "/taken", "theirs", STORE_EPHEMERAL), 0);
    assert_int_equal(set(other, "/set", "new", 0), 0);
    assert_int_equal(create(other, "/made/child", "", STORE_PARENTS), 0);
    assert_int_equal(create(other, "/folder/new", "", 0), 0);
    wire.cut = false;

    expect_connection(s, STORE_EV_RECONNECTED);
    for (unsigned seen = 0; seen != 15;) {
        struct store_event ev = next_event(s);
        assert_string_not_equal(ev.path, "/same");
        for (unsigned i = 0; i < ARRAY_SIZE(expected); i++)
            if (!strcmp(ev.path, expected[i]) && (i != 1 || ev.kind == STORE_WATCH_CHILDREN))
                seen |= 1u << i;
    }
    assert_string_equal(text(s, "/taken"), "theirs");
    assert_string_equal(text(s, "/kept"), "mine");
    store_close(s);
    await(store_exists(other, "/kept") == 0);
    assert_int_equal(store_exists(other, "/taken"), 1);
    store_close(other);
    wire_end(&wire);
}

static void restart_server(void)
{
    zk_kill(&zk, 0);
    zk_start(&zk, 0);
    zk_await(&zk);
}

/* The library sends all watches in one packet when it reconnects. */
static void as_many_watches_as_allowed_survive_a_restart(void **state)
{
    char url[200], path[STORE_PATH_MAX];
    struct store *s = open_fresh(url, sizeof url);

    (void)state;
    for (int i = 0; i < STORE_WATCHES_MAX; i++) {
        snprintf(path, sizeof path, "/ports/%085d", i); /* bytes up to the limit, too */
        if (store_watch(s, path, STORE_WATCH_DATA, 1, NULL))
            break;
    }
    restart_server();
    expect_connection(s, STORE_EV_RECONNECTED);
    drain_events(s);
    snprintf(path, sizeof path, "/ports/%085d", 4321);
    assert_int_equal(create(s, path, "", STORE_PARENTS), 0);
    expect_event(s, path, STORE_WATCH_DATA);
    store_close(s);
}

static void an_absent_server_is_reported(void **state)
{
    char url[200];
    struct store_options opts = {.timeout_ms = 300, .session_timeout_ms = 4000, .no_wait = true};
    struct store_options long_opts = {.timeout_ms = 120 * 1000};
    struct store *s, *patient, *late;
    struct store_value v;
    struct error err;

    (void)state;
    fresh_url(url, sizeof url);
    ok(store_open(url, &long_opts, &patient, e));
    ok(store_open(url, &opts, &s, e));
    expect_connection(s, STORE_EV_RECONNECTED);
    assert_int_equal(create(patient, "/a", "1", 0), 0);
    await(!store_watch(s, "/a", STORE_WATCH_DATA, 1, NULL)); /* 300 ms aren't always enough */
    zk_kill(&zk, 0);
    expect_connection(s, STORE_EV_DISCONNECTED);
    assert_false(store_connected(s));
    await(store_get(s, "/a", &v, &err) == -ENOTCONN);
    assert_true(err.message[0]);
    assert_int_equal(create(s, "/b", "", 0), -ENOTCONN);
    assert_int_equal(store_exists(s, "/a"), -ENOTCONN);
    ok(store_watch(s, "/late", STORE_WATCH_DATA, 2, e)); /* holds from the reconnect on */
    ok(store_open(url, &opts, &late, e));
    assert_false(store_connected(late));
    opts.no_wait = false;
    struct store *none;
    assert_int_equal(store_open(url, &opts, &none, &err), -ENOTCONN);
    assert_null(none);

    zk_start(&zk, 0);
    assert_string_equal(text(patient, "/a"), "1"); /* waited for it */
    expect_connection(s, STORE_EV_RECONNECTED);
    expect_connection(late, STORE_EV_RECONNECTED);
    await(!strcmp(text(late, "/a"), "1"));
    assert_int_equal(set(patient, "/a", "2", 0), 0);
    expect_event(s, "/a", STORE_WATCH_DATA);
    assert_int_equal(create(patient, "/late", "", 0), 0);
    expect_event(s, "/late", STORE_WATCH_DATA);
    store_close(late);
    store_close(patient);
    store_close(s);
}

static void *wait_for_server(void *aux)
{
    struct store *s = aux;
    struct store_value v;

    return (void *)(intptr_t)store_get(s, "/a", &v, NULL);
}

/* Who ends doesn't wait the hour that it would have. */
static void hurry_ends_all_waiting(void **state)
{
    char url[200];
    struct store_options opts = {.timeout_ms = 3600 * 1000, .session_timeout_ms = 4000};
    struct store *s, *reader = open_fresh(url, sizeof url);
    struct store_value v;
    pthread_t waiting;
    void *rc;

    (void)state;
    ok(store_open(url, &opts, &s, e));
    zk_kill(&zk, 0);
    await(!store_connected(s));
    assert_int_equal(pthread_create(&waiting, NULL, wait_for_server, s), 0);
    store_hurry(s);
    assert_int_equal(pthread_join(waiting, &rc), 0);
    assert_int_equal((intptr_t)rc, -ENOTCONN);
    assert_int_equal(create(s, "/b", "", 0), -ENOTCONN);

    zk_start(&zk, 0);
    await(store_get(s, "/a", &v, NULL) == -ENOENT); /* what can be had is had as before */
    assert_int_equal(store_exists(reader, "/a"), 0);
    store_close(reader);
    store_close(s);
}

/* A server that accepts and does not answer. */
static void a_frozen_server_is_timed_out(void **state)
{
    char url[200];
    struct store_options opts = {.timeout_ms = 300, .session_timeout_ms = 4000};
    struct store *s, *patient = open_fresh(url, sizeof url);
    struct store_value v;
    int status;

    (void)state;
    await(!store_open(url, &opts, &s, NULL)); /* 300 ms aren't always enough */
    assert_int_equal(create(patient, "/a", "1", 0), 0);
    await(store_exists(s, "/a") == 1);
    assert_int_equal(kill(zk.servers[0].pid, SIGSTOP), 0);
    assert_int_equal(waitpid(zk.servers[0].pid, &status, WUNTRACED), zk.servers[0].pid);
    int rc = store_get(s, "/a", &v, NULL), rc2 = set(s, "/a", "2", 0);
    kill(zk.servers[0].pid, SIGCONT);
    assert_true(rc == -ETIMEDOUT || rc == -ENOTCONN);
    assert_true(rc2 == -ETIMEDOUT || rc2 == -ENOTCONN);
    /* The outcome of the write is unknown, not its wholeness. */
    ok(store_get(patient, "/a", &v, e));
    assert_int_equal(v.version, atoi(v.data) - 1);
    store_value_free(&v);
    store_close(patient);
    store_close(s);
}

/* Reader and writer lose their sessions and the server again and again. */
static void watches_miss_nothing_in_turmoil(void **state)
{
    char url[200];
    struct store *s = open_fresh(url, sizeof url), *check = open_store(url);
    struct hot hot = {.url = url, .changes = 500, .keep_on = true, .reader = s, .check = check};
    pthread_t writer, follower;

    (void)state;
    assert_int_equal(create(s, "/hot", "", 0), 0);
    assert_int_equal(create(s, "/alive", "", STORE_EPHEMERAL), 0);
    hot_watch(s);
    pthread_create(&writer, NULL, hot_writer, &hot);
    pthread_create(&follower, NULL, hot_follower, &hot);
    for (int i = 0; i < 5; i++) {
        await(store_connected(s));
        zk_expire(&zk, s);
        await(store_connected(s));
        restart_server();
    }
    hot.keep_on = false;
    pthread_join(writer, NULL);
    pthread_join(follower, NULL);
    assert_int_equal(store_exists(s, "/alive"), 1);
    store_close(s);
    await(store_exists(check, "/alive") == 0);
    store_close(check);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_TESTS,
        PROCESS_TESTS,
        cmocka_unit_test(malformed_urls_are_refused),
        cmocka_unit_test(a_secret_keeps_others_out),
        cmocka_unit_test(the_root_of_the_servers_can_be_used),
        cmocka_unit_test(an_expired_session_is_replaced),
        cmocka_unit_test(what_changed_meanwhile_is_told),
        cmocka_unit_test(as_many_watches_as_allowed_survive_a_restart),
        cmocka_unit_test(an_absent_server_is_reported),
        cmocka_unit_test(hurry_ends_all_waiting),
        cmocka_unit_test(a_frozen_server_is_timed_out),
        cmocka_unit_test(watches_miss_nothing_in_turmoil),
    };

    return suite_main(argc, argv, 1, tests, ARRAY_SIZE(tests));
}
