/* What every store must do.  Included by one small main for each filling, which says how to get a
 * fresh tree.  Other processes are this same program, started again with a role. */
#ifndef MN_TEST_STORE_CONFORMANCE_H
#define MN_TEST_STORE_CONFORMANCE_H

#include "store_test.h"

/* Roles */

/* Holds an ephemeral node until it is killed. */
static int role_hold(struct store *s, const char *path)
{
    if (store_create(s, path, "held", 4, STORE_EPHEMERAL, NULL) || write(1, "x", 1) != 1)
        return 1;
    for (;;)
        pause();
}

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

/* hot_writer() in a process of its own. */
static int role_hot(struct store *s, const char *url)
{
    struct hot hot = {.url = url, .changes = 1000};

    (void)s;
    hot_writer(&hot);
    return 0;
}

static const struct role conformance_roles[] = {
    {"hold", role_hold}, {"count", role_count}, {"hot", role_hot}, {0}};

/* The tests */

static void values_have_versions(void **state)
{
    char url[200];
    struct store *s = open_fresh(url, sizeof url);
    struct store_value v;
    static const char binary[] = "a\0b";

    (void)state;
    assert_int_equal(create(s, "/a", "one", 0), 0);
    assert_int_equal(create(s, "/a", "again", 0), -EEXIST);
    assert_string_equal(text(s, "/a"), "one");
    assert_int_equal(version(s, "/a"), 0);
    assert_int_equal(set(s, "/a", "two", 0), 0);
    assert_int_equal(version(s, "/a"), 1);
    assert_int_equal(set(s, "/a", "three", 0), -ESTALE);
    assert_int_equal(set(s, "/a", "three", STORE_ANY), 0);
    assert_int_equal(version(s, "/a"), 2);
    assert_string_equal(text(s, "/a"), "three");
    ok(store_set(s, "/a", binary, sizeof binary, 2, e));
    ok(store_get(s, "/a", &v, e));
    assert_int_equal(v.size, sizeof binary);
    assert_memory_equal(v.data, binary, sizeof binary);
    assert_false(v.ephemeral);
    store_value_free(&v);
    ok(store_set(s, "/a", NULL, 0, STORE_ANY, e));
    ok(store_get(s, "/a", &v, e));
    assert_int_equal(v.size, 0);
    assert_string_equal(v.data, "");
    store_value_free(&v);
    assert_int_equal(store_delete(s, "/a", 2, NULL), -ESTALE);
    assert_int_equal(store_delete(s, "/a", 4, NULL), 0);
    assert_int_equal(store_delete(s, "/a", STORE_ANY, NULL), -ENOENT);
    assert_int_equal(store_get(s, "/a", &v, NULL), -ENOENT);
    assert_int_equal(store_exists(s, "/a"), 0);
    assert_int_equal(store_exists(s, "/"), 1);
    store_close(s);
}

static void a_tree_has_parents_and_children(void **state)
{
    char url[200];
    struct store *s = open_fresh(url, sizeof url);
    struct store_names names;
    struct error err;

    (void)state;
    assert_int_equal(store_create(s, "/x/y", "", 0, 0, &err), -ENOENT);
    assert_string_equal(err.object, "/x/y");
    assert_int_equal(create(s, "/x/y/z", "deep", STORE_PARENTS), 0);
    assert_int_equal(create(s, "/x/b", "", 0), 0);
    assert_int_equal(create(s, "/x/a", "", 0), 0);
    assert_int_equal(create(s, "/xx", "", 0), 0);
    ok(store_children(s, "/x", &names, e));
    assert_int_equal(names.n, 3);
    assert_string_equal(names.names[0], "a");
    assert_string_equal(names.names[1], "b");
    assert_string_equal(names.names[2], "y");
    store_names_free(&names);
    ok(store_children(s, "/", &names, e));
    assert_int_equal(names.n, 2);
    store_names_free(&names);
    ok(store_children(s, "/x/a", &names, e));
    assert_int_equal(names.n, 0);
    store_names_free(&names);
    assert_int_equal(store_children(s, "/nowhere", &names, NULL), -ENOENT);
    assert_int_equal(store_delete(s, "/x", STORE_ANY, NULL), -ENOTEMPTY);

    const char *paths[] = {"/x", "/gone", "/x/y", "/xx"};
    struct store_names many[4];
    int rcs[4];
    ok(store_children_many(s, paths, 4, many, rcs, e));
    assert_int_equal(many[0].n, 3);
    assert_int_equal(rcs[1], -ENOENT);
    assert_int_equal(many[1].n, 0);
    assert_string_equal(many[2].names[0], "z");
    assert_int_equal(rcs[3], 0);
    for (int i = 0; i < 4; i++)
        store_names_free(&many[i]);

    struct store_value values[4];
    paths[0] = "/x/y/z";
    ok(store_get_many(s, paths, 4, values, e));
    assert_string_equal(values[0].data, "deep");
    assert_int_equal(values[1].rc, -ENOENT);
    assert_null(values[1].data);
    assert_int_equal(values[3].rc, 0);
    for (int i = 0; i < 4; i++)
        store_value_free(&values[i]);
    store_close(s);
}

static void a_commit_is_all_or_nothing(void **state)
{
    char url[200];
    struct store *s = open_fresh(url, sizeof url);
    struct error err = {0};
    int failed;

    (void)state;
    assert_int_equal(create(s, "/a", "a", 0), 0);
    assert_int_equal(create(s, "/b", "b", 0), 0);
    struct store_op ops[] = {
        {.type = STORE_SET, .path = "/a", .data = "A", .size = 1, .version = 0},
        {.type = STORE_CREATE, .path = "/c/d/e", .flags = STORE_PARENTS},
        {.type = STORE_DELETE, .path = "/b", .version = STORE_ANY},
        {.type = STORE_PUT, .path = "/p", .data = "P", .size = 1},
        {.type = STORE_CHECK, .path = "/a", .version = 5},
    };
    assert_int_equal(store_commit(s, ops, 5, &failed, &err), -ESTALE);
    assert_int_equal(failed, 4);
    assert_string_equal(err.object, "/a");
    assert_string_equal(text(s, "/a"), "a");
    assert_int_equal(version(s, "/a"), 0);
    assert_string_equal(text(s, "/b"), "b");
    assert_int_equal(store_exists(s, "/p"), 0);
    assert_int_equal(store_exists(s, "/c"), 0);

    ops[4].version = 1; /* sees the SET before it */
    ok(store_commit(s, ops, 5, &failed, e));
    assert_int_equal(failed, -1);
    assert_string_equal(text(s, "/a"), "A");
    assert_int_equal(store_exists(s, "/b"), 0);
    assert_int_equal(store_exists(s, "/c/d/e"), 1);

    /* One commit may make a tree, change it and take it away. */
    struct store_op whole[] = {
        {.type = STORE_CREATE, .path = "/t"},
        {.type = STORE_CREATE, .path = "/t/u"},
        {.type = STORE_PUT, .path = "/t/u", .data = "1", .size = 1},
        {.type = STORE_PUT, .path = "/t/v/w", .flags = STORE_PARENTS},
        {.type = STORE_PUT, .path = "/t/v/w", .data = "2", .size = 1, .flags = STORE_PARENTS},
        {.type = STORE_DELETE, .path = "/t/v/w", .version = 1},
        {.type = STORE_DELETE, .path = "/t/v", .version = STORE_ANY},
        {.type = STORE_PUT, .path = "/t/v/w", .flags = STORE_PARENTS},
        {.type = STORE_DELETE, .path = "/t/v/w", .version = 0},
        {.type = STORE_DELETE, .path = "/t/v", .version = STORE_ANY},
        {.type = STORE_DELETE, .path = "/t/u", .version = 1},
        {.type = STORE_DELETE, .path = "/t", .version = STORE_ANY},
        {.type = STORE_PUT, .path = "/t", .data = "new", .size = 3},
    };
    ok(store_commit(s, whole, ARRAY_SIZE(whole), &failed, e));
    assert_string_equal(text(s, "/t"), "new");
    whole[0].path = "/a/q";
    whole[1].path = "/nowhere/q";
    assert_int_equal(store_commit(s, whole, 2, &failed, NULL), -ENOENT);
    assert_int_equal(failed, 1);
    assert_int_equal(store_exists(s, "/a/q"), 0);

    /* The index is that of the caller's operation, whatever is put in for it. */
    struct store_op mixed[] = {
        {.type = STORE_PUT, .path = "/m/n/o", .flags = STORE_PARENTS},
        {.type = STORE_CREATE, .path = "/t", .flags = STORE_PARENTS},
    };
    assert_int_equal(store_commit(s, mixed, 2, &failed, NULL), -EEXIST);
    assert_int_equal(failed, 1);
    assert_int_equal(store_exists(s, "/m"), 0);
    assert_int_equal(store_commit(s, NULL, 0, &failed, NULL), 0);
    store_close(s);
}

static void put_creates_or_sets(void **state)
{
    char url[200];
    struct store *s = open_fresh(url, sizeof url);
    struct store_op op = {.type = STORE_PUT, .path = "/a/b", .data = "1", .size = 1};

    (void)state;
    assert_int_equal(store_commit(s, &op, 1, NULL, NULL), -ENOENT);
    op.flags = STORE_PARENTS;
    ok(store_commit(s, &op, 1, NULL, e));
    assert_int_equal(version(s, "/a/b"), 0);
    op.data = "2";
    ok(store_commit(s, &op, 1, NULL, e));
    assert_int_equal(version(s, "/a/b"), 1);
    assert_string_equal(text(s, "/a/b"), "2");
    assert_int_equal(version(s, "/a"), 0);
    store_close(s);
}

static inline void what_is_too_big_is_refused(void **state)
{
    char url[200];
    struct store *s = open_fresh(url, sizeof url);
    char *big = mem_zalloc(STORE_VALUE_MAX + 1);
    struct store_op *ops = NEW_ARRAY(STORE_COMMIT_OPS + 1, struct store_op);
    struct error err = {0};
    struct store_value v;
    int failed;

    (void)state;
    memset(big, 'x', STORE_VALUE_MAX);
    assert_int_equal(store_create(s, "/big", big, STORE_VALUE_MAX + 1, 0, &err), -E2BIG);
    assert_non_null(strstr(err.message, "900001"));
    assert_int_equal(store_exists(s, "/big"), 0);
    ok(store_create(s, "/big", big, STORE_VALUE_MAX, 0, e));
    ok(store_set(s, "/big", big, STORE_VALUE_MAX, 0, e));
    ok(store_get(s, "/big", &v, e));
    assert_int_equal(v.size, STORE_VALUE_MAX);
    assert_memory_equal(v.data, big, STORE_VALUE_MAX);
    store_value_free(&v);

    for (int i = 0; i <= STORE_COMMIT_OPS; i++)
        ops[i] = (struct store_op){.type = STORE_CHECK, .path = "/big", .version = STORE_ANY};
    assert_int_equal(store_commit(s, ops, STORE_COMMIT_OPS + 1, &failed, NULL), -E2BIG);
    ok(store_commit(s, ops, STORE_COMMIT_OPS, &failed, e));
    for (int i = 0; i < 2; i++)
        ops[i] = (struct store_op){.type = STORE_PUT,
                                   .path = i ? "/b" : "/a",
                                   .data = big,
                                   .size = STORE_COMMIT_MAX / 2 - 65};
    assert_int_equal(store_commit(s, ops, 2, &failed, NULL), -E2BIG);
    assert_int_equal(failed, -1);
    assert_int_equal(store_exists(s, "/a"), 0);
    ops[0].size = ops[1].size = STORE_COMMIT_MAX / 2 - 66;
    ok(store_commit(s, ops, 2, &failed, e));
    assert_true(store_connected(s));
    free(ops);
    free(big);
    store_close(s);
}

/* As many operations as there may be, with paths that take all the bytes there may be. */
static inline void the_largest_commit_passes(void **state)
{
    char url[200], name[151];
    struct store *s = open_fresh(url, sizeof url);
    struct store_op *ops = NEW_ARRAY(STORE_COMMIT_OPS, struct store_op);
    size_t cost = 0;

    (void)state;
    memset(name, 'n', 150);
    name[150] = '\0';
    ok(store_create(s, "/d", "", 0, 0, e));
    for (int i = 0; i < STORE_COMMIT_OPS; i++) {
        ops[i] = (struct store_op){.type = STORE_CREATE, .path = mem_printf("/d/%s%04d", name, i)};
        cost += store_op_cost(&ops[i]);
    }
    ops[0].data = mem_zalloc(STORE_COMMIT_MAX - cost);
    ops[0].size = STORE_COMMIT_MAX - cost;
    ok(store_commit(s, ops, STORE_COMMIT_OPS, NULL, e));
    struct store_names names;
    ok(store_children(s, "/d", &names, e));
    assert_int_equal(names.n, STORE_COMMIT_OPS);
    store_names_free(&names);
    free((void *)ops[0].data);
    for (int i = 0; i < STORE_COMMIT_OPS; i++)
        free((char *)ops[i].path);
    free(ops);
    ok(store_delete_tree(s, "/d", e));
    assert_int_equal(store_exists(s, "/d"), 0);
    store_close(s);
}

static inline void malformed_paths_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "a",
        "a/b",
        "//",
        "/a/",
        "/a//b",
        "/.",
        "/..",
        "/a/./b",
        "/a/..",
        "/a\nb",
        "/\x01",
        "/\x7f",
        "/\xc2\x80",
        "/\xff",
        "/\xc3",
        "/\xc0\xaf",
        "/\xed\xa0\x80",
        "/\xe2\x82",
        "/\xf0\x9f\x98\x80",
        "/\xee\x80\x80",
        "/\xe0\x80\x80",
    };
    static const char *const good[] = {"/.a", "/a b", "/...", "/\xc3\xa9", "/\xe2\x82\xac", "/a.b"};
    char url[200], long_path[STORE_PATH_MAX + 1];
    struct store *s = open_fresh(url, sizeof url);
    struct store_names names;
    struct store_value v;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct error err = {0};
        assert_int_equal(store_create(s, bad[i], "", 0, STORE_PARENTS, &err), -EINVAL);
        assert_true(err.message[0]);
        assert_int_equal(store_get(s, bad[i], &v, NULL), -EINVAL);
        assert_int_equal(store_children(s, bad[i], &names, NULL), -EINVAL);
        assert_int_equal(store_exists(s, bad[i]), -EINVAL);
        assert_int_equal(store_watch(s, bad[i], STORE_WATCH_DATA, 0, NULL), -EINVAL);
    }
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        ok(store_create(s, good[i], "", 0, 0, e));
        ok(store_children(s, "/", &names, e));
        assert_string_equal(names.names[0], good[i] + 1);
        store_names_free(&names);
        ok(store_delete(s, good[i], 0, e));
    }
    memset(long_path, 'x', STORE_PATH_MAX);
    long_path[0] = '/';
    long_path[STORE_PATH_MAX] = '\0';
    assert_int_equal(create(s, long_path, "", 0), -EINVAL);
    long_path[STORE_PATH_MAX - 1] = '\0';
    assert_int_equal(create(s, long_path, "long", 0), 0);
    assert_string_equal(text(s, long_path), "long");
    assert_int_equal(create(s, "/", "", 0), -EINVAL);
    assert_int_equal(set(s, "/", "", STORE_ANY), -EINVAL);
    struct store_op op = {.type = STORE_PUT, .path = "/p", .flags = STORE_EPHEMERAL};
    assert_int_equal(store_commit(s, &op, 1, NULL, NULL), -EINVAL);
    store_close(s);
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

#define MANY  100000
#define BATCH 4000

static inline void create_ports(struct store *s)
{
    char(*paths)[64] = mem_array(BATCH, 64);
    struct store_op *ops = NEW_ARRAY(BATCH, struct store_op);

    for (int done = 0; done < MANY; done += BATCH) {
        for (int i = 0; i < BATCH; i++) {
            struct uuid id;
            char name[UUID_STRLEN];
            uuid_random(&id);
            uuid_format(&id, name);
            snprintf(paths[i], 64, "/ports/%.2s/%s", name, name);
            ops[i] = (struct store_op){.type = STORE_CREATE,
                                       .flags = STORE_PARENTS,
                                       .path = paths[i],
                                       .data = "{\"adminStateUp\":true}",
                                       .size = 21};
        }
        ok(store_commit(s, ops, BATCH, NULL, e));
    }
    free(ops);
    free(paths);
}

/* Reads all nodes of a folder in one call; how many have the data they should. */
static inline size_t read_folder(struct store *s, const char *folder,
                                 const struct store_names *names)
{
    const char **paths = NEW_ARRAY(names->n, const char *);
    struct store_value *values = NEW_ARRAY(names->n, struct store_value);
    size_t good = 0;

    for (size_t i = 0; i < names->n; i++)
        paths[i] = mem_printf("%s/%s", folder, names->names[i]);
    ok(store_get_many(s, paths, names->n, values, e));
    for (size_t i = 0; i < names->n; i++) {
        good += !values[i].rc && values[i].size == 21;
        store_value_free(&values[i]);
        free((char *)paths[i]);
    }
    free(values);
    free(paths);
    return good;
}

/* Objects are kept in 256 folders, so that a listing never gets large. */
static inline void a_hundred_thousand_objects(void **state)
{
    char url[200], folders[256][16];
    struct store *s = open_fresh(url, sizeof url);
    struct store_names *names = NEW_ARRAY(256, struct store_names);
    const char *paths[256];
    int rcs[256];
    size_t listed = 0, read = 0;

    (void)state;
    create_ports(s);
    for (int i = 0; i < 256; i++) {
        snprintf(folders[i], sizeof folders[0], "/ports/%02x", i);
        paths[i] = folders[i];
    }
    ok(store_children_many(s, paths, 256, names, rcs, e));
    for (int i = 0; i < 256; i++) {
        listed += names[i].n;
        read += read_folder(s, folders[i], &names[i]);
        store_names_free(&names[i]);
    }
    assert_int_equal(listed, MANY);
    assert_int_equal(read, MANY);
    free(names);
    ok(store_delete_tree(s, "/ports", e));
    assert_int_equal(store_exists(s, "/ports"), 0);
    ok(store_delete_tree(s, "/ports", e)); /* absent: nothing to do */
    store_close(s);
}

static void *tree_grower(void *url)
{
    struct store *s = open_store(url);

    for (int i = 0; i < 300; i++) {
        char path[64];
        snprintf(path, sizeof path, "/grow/%d/%d", i % 7, i);
        struct store_op op = {.type = STORE_PUT, .flags = STORE_PARENTS, .path = path};
        ok(store_commit(s, &op, 1, NULL, e));
    }
    store_close(s);
    return NULL;
}

static void a_growing_tree_is_deleted(void **state)
{
    char url[200];
    struct store *s = open_fresh(url, sizeof url);
    pthread_t t;

    (void)state;
    pthread_create(&t, NULL, tree_grower, url);
    for (int i = 0; i < 20; i++) {
        int rc = store_delete_tree(s, "/grow", NULL);
        assert_true(!rc || rc == -ENOTEMPTY || rc == -ENOENT);
    }
    pthread_join(t, NULL);
    ok(store_delete_tree(s, "/grow", e));
    assert_int_equal(store_exists(s, "/grow"), 0);
    store_close(s);
}

#define CONFORMANCE_TESTS                                                                          \
    CLUSTER_TESTS, cmocka_unit_test(what_is_too_big_is_refused),                                   \
        cmocka_unit_test(the_largest_commit_passes),                                               \
        cmocka_unit_test(malformed_paths_are_refused), cmocka_unit_test(watches_are_bounded),      \
        cmocka_unit_test(a_hundred_thousand_objects)

/* What may come out otherwise with several servers than with one. */
#define CLUSTER_TESTS                                                                              \
    cmocka_unit_test(values_have_versions), cmocka_unit_test(a_tree_has_parents_and_children),     \
        cmocka_unit_test(a_commit_is_all_or_nothing), cmocka_unit_test(put_creates_or_sets),       \
        cmocka_unit_test(ephemeral_nodes_die_with_their_handle),                                   \
        cmocka_unit_test(watches_tell_what_changed), cmocka_unit_test(watches_miss_nothing),       \
        cmocka_unit_test(racing_writers_are_told), cmocka_unit_test(threads_may_share_a_handle),   \
        cmocka_unit_test(a_growing_tree_is_deleted)

/* Where other processes see the tree. */
#define PROCESS_TESTS                                                                              \
    cmocka_unit_test(ephemeral_nodes_die_with_their_process),                                      \
        cmocka_unit_test(watches_reach_other_processes)

#endif
