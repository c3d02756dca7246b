#include "store_conformance.h"

static const bool other_processes = false;

static void fresh_url(char *url, size_t size)
{
    static int n;

    snprintf(url, size, "memory:test-%d", n++);
}

static void anonymous_trees_are_apart(void **state)
{
    struct store *a = open_store("memory:"), *b = open_store("memory:");

    (void)state;
    assert_int_equal(create(a, "/x", "", 0), 0);
    assert_int_equal(store_exists(b, "/x"), 0);
    store_close(a);
    store_close(b);
}

static void named_trees_end_with_their_last_handle(void **state)
{
    struct store *a = open_store("memory:t"), *b = open_store("memory:t");

    (void)state;
    assert_int_equal(create(a, "/x", "", 0), 0);
    store_close(a);
    assert_int_equal(store_exists(b, "/x"), 1);
    store_close(b);
    a = open_store("memory:t");
    assert_int_equal(store_exists(a, "/x"), 0);
    store_close(a);
}

static void unknown_urls_are_refused(void **state)
{
    static const char *const bad[] = {"", "memory", "http://x/", "/var/lib/mn.db", "FILE:x"};
    struct store *s;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct error e = {0};
        assert_int_equal(store_open(bad[i], NULL, &s, &e), -EINVAL);
        assert_null(s);
        assert_true(e.message[0] && e.hint[0]);
    }
    store_close(NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_TESTS,
        cmocka_unit_test(anonymous_trees_are_apart),
        cmocka_unit_test(named_trees_end_with_their_last_handle),
        cmocka_unit_test(unknown_urls_are_refused),
    };
    int rc = run_role(conformance_roles, argc, argv);

    return rc >= 0 ? rc : cmocka_run_group_tests(tests, NULL, NULL);
}
