/* Conformance of stores (store_conformance.h): limits.  What is too big or no path is refused, what
 * is just small enough passes, and a hundred thousand nodes are found. */
#ifndef MN_TEST_STORE_LIMIT_TESTS_H
#define MN_TEST_STORE_LIMIT_TESTS_H

#include "store_test.h"

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

#endif
