/* Conformance of the ZooKeeper store, and more of it, on servers of the test's own (store_zk.h):
 * what the suites for one server and for three share.  Each test gets a root of its own. */
#ifndef MN_TEST_STORE_ZK_SUITE_H
#define MN_TEST_STORE_ZK_SUITE_H

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

/* On so many servers; TEST picks tests by pattern.  77: there can be no server here. */
static inline int suite_main(int argc, char **argv, int n_servers, const struct CMUnitTest *tests,
                             size_t n)
{
    int rc = run_role(conformance_roles, argc, argv);

    if (rc >= 0)
        return rc;
    if (zk_missing()) {
        puts(zk_missing());
        return 77;
    }
    cmocka_set_test_filter(getenv("TEST"));
    zk_begin(&zk, n_servers);
    rc = _cmocka_run_group_tests("tests", tests, n, NULL, NULL);
    zk_end(&zk);
    return rc;
}

#endif
