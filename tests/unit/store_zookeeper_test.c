#include "store_conformance.h"
#include "store_zk.h"

static const bool other_processes = true;
static struct zk_ensemble zk;

static void fresh_url(char *url, size_t size)
{
    static int n;
    char root[32];

    snprintf(root, sizeof root, "/t/%d", n++);
    zk_url(&zk, root, url, size);
}

static int begin(void **state)
{
    (void)state;
    zk_begin(&zk, 1);
    return 0;
}

static int end(void **state)
{
    (void)state;
    zk_end(&zk);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_TESTS,
        PROCESS_TESTS,
    };
    int rc = run_role(conformance_roles, argc, argv);

    if (rc >= 0)
        return rc;
    if (zk_missing()) {
        puts(zk_missing());
        return 77;
    }
    return (cmocka_set_test_filter(getenv("FILTER")), cmocka_run_group_tests(tests, begin, end));
}
