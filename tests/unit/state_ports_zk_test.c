/* The same hosts on a real ZooKeeper. */
#include "store_zk.h"

#include "state_ports.h"

static struct zk_ensemble z;
static const bool other_processes = true;

static void fresh_url(char *url, size_t size)
{
    static int n;
    char root[32];

    snprintf(root, sizeof root, "/ports%d", n++);
    zk_url(&z, root, url, size);
}

static void hosts_never_share_a_translation(void **arg)
{
    static struct referee r;
    char url[256];

    (void)arg;
    (void)other_processes;
    fresh_url(url, sizeof url);
    hammer(url, 12, 3, 60, 24, &r);
    assert_int_equal(r.n_connections, 12 * 3 * 60);
    assert_int_equal(r.n_duplicates, 0);
}

/* The session of a host expires while it runs: its nodes come back, or are another's. */
static void an_expired_session_keeps_or_loses(void **arg)
{
    struct topo_nat_target t = target("1.1.1.1", "1.1.1.1", 1024, 1087);
    const struct ports_options opts = {.retry_ns = 1, .quarantine_ns = NSEC_PER_SEC};
    struct uuid one = {{1}}, two = {{2}};
    uint64_t now = 1, wall = 1000000;
    struct state_rec r;
    struct host a, b;
    char url[256];

    (void)arg;
    fresh_url(url, sizeof url);
    host_begin(&a, url, &one, &opts);
    host_begin(&b, url, &two, &opts);
    assert_true(host_connect(&a, &t, 1, 80, now, wall, &r));
    ports_connection(a.ports, now, false);
    zk_expire(&z, a.store);
    await(store_connected(a.store));
    ports_connection(a.ports, now, true);
    ports_run(a.ports, now, wall);
    assert_int_equal(a.n_lost, 0);
    assert_false(host_connect(&b, &t, 1, 80, now, wall, &r));
    ports_run(b.ports, now += 10, wall += 2000);
    assert_false(host_connect(&b, &t, 1, 80, now, wall, &r));
    assert_true(host_connect(&a, &t, 2, 80, now, wall, &r));
    host_end(&a);
    await(store_exists(b.store, "/nat/aa/" ROUTER_ID "/1.1.1.1/taken/16") == 0);
    ports_run(b.ports, now += 10, wall);
    assert_false(host_connect(&b, &t, 1, 80, now, wall, &r));
    ports_run(b.ports, now += 10, wall += 1000);
    assert_true(host_connect(&b, &t, 1, 80, now, wall, &r));
    host_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_never_share_a_translation),
        cmocka_unit_test(an_expired_session_keeps_or_loses),
    };

    if (zk_missing()) {
        printf("%s\n", zk_missing());
        return 77;
    }
    rcu_register_thread();
    zk_begin(&z, 1);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    zk_end(&z);
    rcu_barrier();
    rcu_unregister_thread();
    return rc;
}
