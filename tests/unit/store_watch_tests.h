/* Conformance of stores (store_conformance.h): what others hear.  Ephemeral nodes go with their
 * handle or process, watches tell of every change, in other processes too. */
#ifndef MN_TEST_STORE_WATCH_TESTS_H
#define MN_TEST_STORE_WATCH_TESTS_H

#include "store_test.h"

/* Holds an ephemeral node until it is killed. */
static int role_hold(struct store *s, const char *path)
{
    if (store_create(s, path, "held", 4, STORE_EPHEMERAL, NULL) || write(1, "x", 1) != 1)
        return 1;
    for (;;)
        pause();
}

static void ephemeral_nodes_die_with_their_handle(void **state)
{
    char url[200];
    struct store *owner = open_fresh(url, sizeof url), *other = open_store(url);
    struct store_value v;

    (void)state;
    assert_int_equal(create(owner, "/alive", "", 0), 0);
    assert_int_equal(create(owner, "/alive/me", "1", STORE_EPHEMERAL), 0);
    assert_int_equal(create(owner, "/alive/me/too", "", 0), -EINVAL);
    assert_int_equal(create(owner, "/alive/me2", "", STORE_EPHEMERAL), 0);
    await(store_exists(other, "/alive/me2") == 1);
    ok(store_get(other, "/alive/me", &v, e));
    assert_true(v.ephemeral);
    store_value_free(&v);
    assert_int_equal(set(other, "/alive/me", "2", 0), 0);
    assert_int_equal(create(other, "/alive/me", "", STORE_EPHEMERAL), -EEXIST);
    assert_int_equal(create(other, "/alive/other", "", STORE_EPHEMERAL), 0);
    ok(store_watch(other, "/alive/me", STORE_WATCH_DATA, 7, e));
    ok(store_watch(other, "/alive", STORE_WATCH_CHILDREN, 8, e));
    assert_string_equal(text(other, "/alive/me"), "2");
    drain_events(other);
    store_close(owner);
    expect_both(other, "/alive", 8, "/alive/me", 7);
    assert_int_equal(store_exists(other, "/alive/me"), 0);
    assert_int_equal(store_exists(other, "/alive/me2"), 0);
    assert_int_equal(store_exists(other, "/alive/other"), 1);
    assert_int_equal(store_exists(other, "/alive"), 1);
    store_close(other);
}

static inline void ephemeral_nodes_die_with_their_process(void **state)
{
    char url[200], byte;
    int out;

    (void)state;
    struct store *s = open_fresh(url, sizeof url);
    struct store *silent = open_store(url); /* has no watch, must see it all the same */
    ok(store_watch(s, "/held", STORE_WATCH_DATA, 1, e));
    pid_t pid = start("hold", url, "/held", &out);
    assert_int_equal(read(out, &byte, 1), 1);
    close(out);
    expect_event(s, "/held", STORE_WATCH_DATA);
    assert_string_equal(text(s, "/held"), "held");
    await(store_exists(silent, "/held") == 1);
    kill_hard(pid);
    expect_event(s, "/held", STORE_WATCH_DATA);
    assert_int_equal(store_exists(s, "/held"), 0);
    await(store_exists(silent, "/held") == 0);
    store_close(silent);
    store_close(s);
}

static void watches_tell_what_changed(void **state)
{
    char url[200];
    struct store *s = open_fresh(url, sizeof url), *w = open_store(url);
    struct store_event ev;

    (void)state;
    assert_int_equal(store_next_event(s, &ev), 0);
    /* The nodes need not exist. */
    ok(store_watch(s, "/a", STORE_WATCH_DATA | STORE_WATCH_CHILDREN, 1, e));
    ok(store_watch(s, "/a/x", STORE_WATCH_DATA, 2, e));
    assert_int_equal(store_exists(s, "/a"), 0);
    assert_int_equal(create(w, "/a", "0", 0), 0);
    assert_int_equal(expect_event(s, "/a", STORE_WATCH_DATA).tag, 1);
    assert_string_equal(text(s, "/a"), "0");
    assert_int_equal(create(w, "/a/x", "0", 0), 0);
    expect_both(s, "/a", 1, "/a/x", 2);
    for (int i = 1; i < 5; i++) { /* they stay */
        assert_int_equal(set(w, "/a/x", "n", STORE_ANY), 0);
        assert_int_equal(expect_event(s, "/a/x", STORE_WATCH_DATA).tag, 2);
        assert_int_equal(version(s, "/a/x"), i);
    }
    assert_int_equal(store_delete(w, "/a/x", STORE_ANY, NULL), 0);
    expect_both(s, "/a", 1, "/a/x", 2);
    assert_int_equal(store_delete(w, "/a", STORE_ANY, NULL), 0);
    expect_event(s, "/a", STORE_WATCH_DATA);
    assert_int_equal(create(w, "/a", "", 0), 0);
    expect_event(s, "/a", STORE_WATCH_DATA);
    assert_int_equal(create(w, "/a/y", "", 0), 0);
    expect_event(s, "/a", STORE_WATCH_CHILDREN);
    /* Own changes too, with the latest tag. */
    ok(store_watch(s, "/a", STORE_WATCH_DATA, 99, e));
    assert_int_equal(set(s, "/a", "mine", STORE_ANY), 0);
    assert_int_equal(expect_event(s, "/a", STORE_WATCH_DATA).tag, 99);
    /* One commit, several watches. */
    ok(store_watch(s, "/b", STORE_WATCH_DATA, 3, e));
    store_unwatch(s, "/a", STORE_WATCH_CHILDREN);
    struct store_op ops[] = {{.type = STORE_PUT, .path = "/b"},
                             {.type = STORE_PUT, .path = "/a"},
                             {.type = STORE_PUT, .path = "/unwatched"}};
    ok(store_commit(w, ops, 3, NULL, e));
    for (unsigned seen = 0; seen != 3;) {
        ev = next_event(s);
        seen |= !strcmp(ev.path, "/a") ? 1 : !strcmp(ev.path, "/b") ? 2 : 4;
        assert_true(seen < 4);
    }
    /* A refused commit says nothing, a removed watch neither. */
    struct store_op refused[] = {{.type = STORE_PUT, .path = "/b"},
                                 {.type = STORE_CREATE, .path = "/b"}};
    drain_events(s);
    store_unwatch(s, "/a", STORE_WATCH_DATA);
    assert_int_equal(store_commit(w, refused, 2, NULL, NULL), -EEXIST);
    assert_int_equal(set(w, "/a", "unheard", STORE_ANY), 0);
    assert_int_equal(set(w, "/b", "heard", STORE_ANY), 0);
    ev = next_event(s);
    assert_string_equal(ev.path, "/b");
    store_unwatch(s, "/never", STORE_WATCH_DATA);
    store_close(w);
    store_close(s);
}

static inline void watches_are_bounded(void **state)
{
    char url[200], path[STORE_PATH_MAX];
    struct store *s = open_fresh(url, sizeof url);
    int n = 0;

    (void)state;
    for (int i = 0; i < STORE_WATCHES_MAX; i++) {
        snprintf(path, sizeof path, "/%d", i);
        ok(store_watch(s, path, STORE_WATCH_DATA, 0, e));
    }
    assert_int_equal(store_watch(s, "/more", STORE_WATCH_DATA, 0, NULL), -ENOSPC);
    assert_int_equal(store_watch(s, "/1", STORE_WATCH_DATA, 0, NULL), 0);
    assert_in_range(store_memory(s), 100000, 20000000);
    for (int i = 0; i < STORE_WATCHES_MAX; i++) {
        snprintf(path, sizeof path, "/%d", i);
        store_unwatch(s, path, STORE_WATCH_DATA);
    }
    /* Long paths count by their bytes. */
    memset(path, 'x', sizeof path);
    do
        snprintf(path, sizeof path, "/%0*d", STORE_PATH_MAX - 10, n);
    while (!store_watch(s, path, STORE_WATCH_DATA, 0, NULL) && n++ < STORE_WATCHES_MAX);
    assert_in_range(n, STORE_VALUE_MAX / STORE_PATH_MAX, STORE_VALUE_MAX / (STORE_PATH_MAX - 20));
    while (n--) {
        snprintf(path, sizeof path, "/%0*d", STORE_PATH_MAX - 10, n);
        store_unwatch(s, path, STORE_WATCH_DATA);
    }
    ok(store_watch(s, "/more", STORE_WATCH_DATA, 0, e));
    assert_int_equal(create(s, "/more", "", 0), 0);
    expect_event(s, "/more", STORE_WATCH_DATA);
    store_close(s);
}

/* hot_writer() in a process of its own. */
static int role_hot(struct store *s, const char *url)
{
    struct hot hot = {.url = url, .changes = 1000};

    (void)s;
    hot_writer(&hot);
    return 0;
}

/* A reader that only ever reads after events ends up with what is there (store_test.h). */
static void watches_miss_nothing(void **state)
{
    char url[200];
    struct store *s = open_fresh(url, sizeof url), *check = open_store(url);
    struct hot hot = {.url = url, .changes = 1500, .reader = s, .check = check};
    pthread_t writer;

    (void)state;
    assert_int_equal(create(s, "/hot", "", 0), 0);
    hot_watch(s);
    pthread_create(&writer, NULL, hot_writer, &hot);
    hot_follower(&hot);
    pthread_join(writer, NULL);
    store_close(check);
    store_close(s);
}

static inline void watches_reach_other_processes(void **state)
{
    char url[200];
    int out;
    struct store *s = open_fresh(url, sizeof url), *check = open_store(url);
    struct hot hot = {.url = url, .reader = s, .check = check};
    pthread_t follower;

    (void)state;
    assert_int_equal(create(s, "/hot", "", 0), 0);
    hot_watch(s);
    pid_t pid = start("hot", url, url, &out);
    pthread_create(&follower, NULL, hot_follower, &hot);
    int rc = finish(pid);
    hot.done = true;
    pthread_join(follower, NULL);
    assert_int_equal(rc, 0);
    close(out);
    store_close(check);
    store_close(s);
}

#endif
