/* Conformance of stores (store_conformance.h): several at once.  Writers that race by
 * compare-and-set, in threads and in processes, and threads that share a handle. */
#ifndef MN_TEST_STORE_RACE_TESTS_H
#define MN_TEST_STORE_RACE_TESTS_H

#include "store_test.h"

#define INCREMENTS 200

/* The number in "/n" as this handle sees it, which may be another's past: servers lag behind, and
 * who was told of a node by other ways may not find it yet. */
static int64_t read_number(struct store *s, int *n)
{
    struct store_value v;

    await(!store_get(s, "/n", &v, NULL));
    *n = atoi(v.data);
    free(v.data);
    return v.version;
}

/* Adds INCREMENTS to the number in "/n" by compare-and-set, and a mark for each, which says whose
 * it is, in the same commit.  A commit whose outcome is unknown (servers that stall close
 * connections) is made again as it was: when that is refused, the mark is there, and tells. */
static int count_up(struct store *s)
{
    char me[32], next[32], mark[64];
    uint64_t end = clock_ns() + 4 * DEADLINE_NS;
    bool unknown = false;
    int n = 0;

    snprintf(me, sizeof me, "%d %lx", (int)getpid(), (unsigned long)pthread_self());
    for (int done = 0; done < INCREMENTS;) {
        int64_t read_version = unknown ? n : read_number(s, &n);
        if (read_version != n) /* each change adds one */
            return 1;
        snprintf(next, sizeof next, "%d", n + 1);
        snprintf(mark, sizeof mark, "/marks/%d", n + 1);
        struct store_op ops[] = {
            {.type = STORE_CREATE, .path = mark, .data = me, .size = strlen(me)},
            {.type = STORE_SET,
             .path = "/n",
             .data = next,
             .size = strlen(next),
             .version = read_version},
        };
        int rc = store_commit(s, ops, 2, NULL, NULL);
        bool refused = rc == -ESTALE || rc == -EEXIST;
        if (refused && unknown)
            await(text(s, mark)[0]);
        if (!rc || (refused && unknown && !strcmp(text(s, mark), me)))
            done++;
        unknown = rc == -ENOTCONN || rc == -ETIMEDOUT;
        if ((rc && !refused && !unknown) || clock_ns() > end)
            return 2;
    }
    return 0;
}

static int role_count(struct store *s, const char *arg)
{
    (void)arg;
    return count_up(s);
}

static void *count_thread(void *url)
{
    struct store *s = open_store(url);
    int rc = count_up(s);

    store_close(s);
    return (void *)(intptr_t)rc;
}

static void count_in_two_threads(char *url)
{
    pthread_t t[2];
    void *rc;

    for (int i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, count_thread, url);
    for (int i = 0; i < 2; i++) {
        pthread_join(t[i], &rc);
        assert_null(rc);
    }
}

static void count_in_two_processes(const char *url)
{
    pid_t pids[2];
    int out[2];

    for (int i = 0; i < 2; i++)
        pids[i] = start("count", url, "", &out[i]);
    int a = finish(pids[0]), b = finish(pids[1]);
    assert_int_equal(a, 0);
    assert_int_equal(b, 0);
    close(out[0]);
    close(out[1]);
}

/* Two writers on one object: one wins, the other hears of it, nothing is half written. */
static void racing_writers_are_told(void **state)
{
    char url[200];
    struct store *s = open_fresh(url, sizeof url);
    struct store_names names;

    (void)state;
    assert_int_equal(create(s, "/n", "0", 0), 0);
    assert_int_equal(create(s, "/marks", "", 0), 0);
    if (other_processes)
        count_in_two_processes(url);
    else
        count_in_two_threads(url);
    await(atoi(text(s, "/n")) == 2 * INCREMENTS);
    assert_int_equal(version(s, "/n"), 2 * INCREMENTS);
    ok(store_children(s, "/marks", &names, e));
    assert_int_equal(names.n, 2 * INCREMENTS);
    store_names_free(&names);
    store_close(s);
}

static void *share_thread(void *store)
{
    return (void *)(intptr_t)count_up(store);
}

static void threads_may_share_a_handle(void **state)
{
    char url[200];
    struct store *s = open_fresh(url, sizeof url);
    pthread_t t[4];
    void *rc;

    (void)state;
    assert_int_equal(create(s, "/n", "0", 0), 0);
    assert_int_equal(create(s, "/marks", "", 0), 0);
    ok(store_watch(s, "/n", STORE_WATCH_DATA, 5, e));
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, share_thread, s);
    expect_event(s, "/n", STORE_WATCH_DATA);
    for (int i = 0; i < 100; i++) {
        ok(store_watch(s, "/n", STORE_WATCH_CHILDREN, 6, e));
        store_unwatch(s, "/n", STORE_WATCH_CHILDREN);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], &rc);
        assert_null(rc);
    }
    assert_int_equal(atoi(text(s, "/n")), 4 * INCREMENTS);
    store_close(s);
}

#endif
