/* Conformance of stores (store_conformance.h): the tree itself.  Nodes, versions, commits that are
 * all or nothing, what is too big or no path; many nodes, and a tree that is deleted as it grows.
 */
#ifndef MN_TEST_STORE_TREE_TESTS_H
#define MN_TEST_STORE_TREE_TESTS_H

#include "store_test.h"

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

#endif
