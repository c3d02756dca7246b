/* Which hosts are there, told in groups: that many are known at the cost of few, that each that
 * comes, goes or begins a new life is noticed, and that garbage among the names isn't a host. */
#include <inttypes.h>

#include "topo_flaky.h"

enum { N_HOSTS = 150, GROUPS = 64 };

/* The name that a life of the host has in its group. */
static void life(char path[STORE_PATH_MAX], const struct uuid *host, uint64_t inc)
{
    snprintf(path, STORE_PATH_MAX, "/state/alive/%02x/%s.%016" PRIx64, host->b[0] >> 2,
             text_of(host), inc);
}

struct fixture {
    struct cloud c;
    struct uuid zone, bridge, hosts[N_HOSTS], ports[N_HOSTS];
    struct flaky *store;
    struct agent *a;
};

/* A bridge with a port on each of many hosts, of which every other is there, and an agent that has
 * loaded it. */
static struct fixture *up(void)
{
    struct fixture *f = NEW(struct fixture);
    char path[STORE_PATH_MAX];

    cloud_open(&f->c);
    f->zone = make(&f->c, ST_TUNNEL_ZONE, "{'name':'z','type':'vxlan'}");
    f->bridge = make(&f->c, ST_BRIDGE, "{'name':'b'}");
    for (unsigned i = 0; i < N_HOSTS; i++) {
        f->hosts[i] = make(&f->c, ST_HOST, "{'name':'h%u'}", i);
        make(&f->c, ST_TUNNEL_ZONE_HOST,
             "{'tunnelZoneId':'%s','hostId':'%s','ipAddress':'192.0.2.%u'}", text_of(&f->zone),
             text_of(&f->hosts[i]), i + 1);
        f->ports[i] = bound_port(&f->c, &f->bridge, &f->hosts[i], "t%u", i);
        life(path, &f->hosts[i], i);
        if (i % 2)
            put(&f->c, path, "");
    }
    f->store = flaky_open(&f->c);
    f->a = agent_flaky(&f->c, f->store, "reader");
    load(f->a, TOPO_BRIDGE, &f->bridge);
    return f;
}

static void down(struct fixture *f)
{
    agent_stop(f->a);
    cloud_close(&f->c);
    free(f);
}

static bool there(const struct fixture *f, const struct uuid *host)
{
    const struct topo_host *h = topo_host(f->a->topo, ref_of(f->a, host));

    return h && h->alive;
}

static void many_are_known_at_the_cost_of_few(void **state)
{
    struct fixture *f = up();
    char path[STORE_PATH_MAX];

    for (unsigned i = 0; i < N_HOSTS; i++)
        assert_int_equal(there(f, &f->hosts[i]), i % 2);
    assert_true(status_of(f->a).n_watches <= GROUPS + 5);
    /* ports with their states (who makes a snapshot looks thrice at those that nobody serves),
     * hosts' names; nothing more */
    assert_true(f->store->gets < 5 * N_HOSTS + 50);

    uint64_t gets = f->store->gets, lists = f->store->lists;
    life(path, &f->hosts[0], 7);
    put(&f->c, path, "");
    settle(f->a);
    assert_true(there(f, &f->hosts[0]));
    assert_int_equal(f->store->lists - lists, 1);
    assert_int_equal(f->store->gets - gets, 2); /* its port, of which nothing was known yet */

    /* a power failure is over: all come at once, and are listed a few times at most */
    lists = f->store->lists;
    for (unsigned i = 2; i < N_HOSTS; i += 2) {
        life(path, &f->hosts[i], i);
        put(&f->c, path, "");
        sync_run(f->a->sync, f->c.now);
    }
    settle(f->a);
    for (unsigned i = 0; i < N_HOSTS; i++)
        assert_true(there(f, &f->hosts[i]));
    assert_true(f->store->lists - lists <= GROUPS + 10);
    down(f);
    (void)state;
}

static void one_comes_goes_and_lives_again(void **state)
{
    struct fixture *f = up();
    struct uuid *host = &f->hosts[1];
    topo_ref port = ref_of(f->a, &f->ports[1]);
    char first[STORE_PATH_MAX], second[STORE_PATH_MAX], active[STORE_PATH_MAX], text[160];
    struct error e;

    snprintf(text, sizeof text, "{\"host\":\"%s\",\"key\":9,\"inc\":\"2\"}", text_of(host));
    objects_state_path(ST_PORT, &f->ports[1], "active", active);
    put(&f->c, active, text);
    change(&f->c, ST_PORT, &f->ports[1], "{'adminStateUp':false}"); /* is read again */
    settle(f->a);
    assert_false(topo_port(f->a->topo, port)->active); /* of another life */

    life(first, host, 1);
    life(second, host, 2);
    assert_int_equal(store_delete(f->c.store, first, STORE_ANY, &e), 0);
    put(&f->c, second, "");
    settle(f->a);
    assert_true(there(f, host));
    assert_true(topo_port(f->a->topo, port)->active);
    assert_int_equal(store_delete(f->c.store, second, STORE_ANY, &e), 0);
    settle(f->a);
    assert_false(there(f, host));
    assert_false(topo_port(f->a->topo, port)->active);
    assert_true(topo_port(f->a->topo, port)->silent);
    down(f);
    (void)state;
}

/* Two processes claim to be one host: the node that only one of them can have decides. */
static void of_two_lives_the_node_tells(void **state)
{
    struct fixture *f = up();
    struct uuid *host = &f->hosts[1];
    char path[STORE_PATH_MAX], active[STORE_PATH_MAX], text[160];

    snprintf(text, sizeof text, "{\"host\":\"%s\",\"key\":9,\"inc\":\"2\"}", text_of(host));
    objects_state_path(ST_PORT, &f->ports[1], "active", active);
    put(&f->c, active, text);
    change(&f->c, ST_PORT, &f->ports[1], "{'name':'p'}");
    objects_state_path(ST_HOST, host, "alive", path);
    put(&f->c, path, "{\"inc\":\"2\"}");
    life(path, host, 2);
    put(&f->c, path, "");
    settle(f->a);
    assert_true(there(f, host));
    assert_true(topo_port(f->a->topo, ref_of(f->a, &f->ports[1]))->active);
    down(f);
    (void)state;
}

static void garbage_is_no_host(void **state)
{
    static const char *const garbage[] = {"x",
                                          "%s",
                                          "%s.",
                                          "%s.1",
                                          "%s.000000000000000g",
                                          "%s.00000000000000001",
                                          "%s-0000000000000001"};
    struct fixture *f = up();
    char path[STORE_PATH_MAX];
    uint64_t broken = status_of(f->a).broken;

    for (unsigned i = 0; i < ARRAY_SIZE(garbage); i++) {
        int n = snprintf(path, sizeof path, "/state/alive/%02x/", f->hosts[0].b[0] >> 2);
        snprintf(path + n, sizeof path - (size_t)n, garbage[i], text_of(&f->hosts[0]));
        put(&f->c, path, "");
        settle(f->a);
    }
    assert_false(there(f, &f->hosts[0]));
    assert_true(status_of(f->a).broken > broken);
    life(path, &f->hosts[0], 3);
    put(&f->c, path, "");
    settle(f->a);
    assert_true(there(f, &f->hosts[0]));
    down(f);
    (void)state;
}

/* Whoever takes the agent's own name away, or what its former life left, it is there again; and the
 * reverse: a new life takes all names of former ones away. */
static void an_agent_keeps_its_name(void **state)
{
    struct fixture *f = up();
    struct agent *b = agent_start(&f->c, "b");
    char path[STORE_PATH_MAX], group[STORE_PATH_MAX];
    struct store_names names;
    struct error e;

    settle(f->a, b);
    snprintf(group, sizeof group, "/state/alive/%02x", b->host.b[0] >> 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(store_children(f->c.store, group, &names, &e), 0);
        for (size_t k = 0; k < names.n; k++) {
            if (strncmp(names.names[k], text_of(&b->host), UUID_STRLEN - 1))
                continue;
            snprintf(path, sizeof path, "%.64s/%.64s", group, names.names[k]);
            assert_int_equal(store_delete(f->c.store, path, STORE_ANY, &e), 0);
        }
        store_names_free(&names);
        settle(f->a, b);
        assert_int_equal(store_exists(f->c.store, path), 1);
    }
    struct uuid host = b->host;
    agent_stop(b);
    life(path, &host, 1);
    put(&f->c, path, "");
    b = agent_open(&f->c, &host);
    agent_register(b, "b");
    settle(f->a, b);
    assert_int_equal(store_exists(f->c.store, path), 0);
    agent_stop(b);
    down(f);
    (void)state;
}

/* Both lose their sessions.  The reader comes back first: for a while it doesn't take the other for
 * gone, then it does; and everything is as before when that is back, too. */
static void sessions_expire(void **state)
{
    struct fixture *f = up();
    struct server s = server_up(&f->c, &f->zone, &f->bridge);
    struct agent *b = s.a;

    settle(f->a, b);
    topo_ref port = ref_of(f->a, &s.port);
    assert_true(topo_port(f->a->topo, port)->active);

    flaky_lose(f->store);
    flaky_lose(s.store);
    run_for(NSEC_PER_SEC, f->a, b);
    flaky_expire(f->store);
    flaky_expire(s.store);
    flaky_return(f->store);
    run_for(10 * NSEC_PER_SEC, f->a, b);
    assert_true(there(f, &b->host));
    assert_true(topo_port(f->a->topo, port)->active);
    run_for(10 * NSEC_PER_SEC, f->a, b);
    assert_false(there(f, &b->host));
    assert_true(topo_port(f->a->topo, port)->silent);
    assert_int_equal(topo_port(f->a->topo, port)->tunnel_key, s.key);
    flaky_return(s.store);
    run_for(10 * NSEC_PER_SEC, f->a, b);
    settle(f->a, b);
    assert_true(there(f, &b->host));
    assert_true(topo_port(f->a->topo, port)->active);
    assert_int_equal(topo_port(f->a->topo, port)->tunnel_key, s.key);
    agent_stop(b);
    down(f);
    (void)state;
}

/* Its port was read just when the host's nodes weren't there. */
static void what_was_read_in_the_gap_is_read_again(void **state)
{
    struct fixture *f = up();
    struct server s = server_up(&f->c, &f->zone, &f->bridge);
    struct agent *b = s.a;

    settle(f->a, b);
    flaky_lose(s.store);
    flaky_expire(s.store);
    struct agent *late = agent_start(&f->c, "late");
    load(late, TOPO_BRIDGE, &f->bridge);
    topo_ref port = ref_of(late, &s.port);
    assert_false(topo_port(late->topo, port)->active);
    flaky_return(s.store);
    run_for(10 * NSEC_PER_SEC, late, b);
    settle(f->a, b, late);
    assert_true(topo_port(late->topo, port)->active);
    agent_stop(late);
    agent_stop(b);
    down(f);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_are_known_at_the_cost_of_few),
        cmocka_unit_test(one_comes_goes_and_lives_again),
        cmocka_unit_test(of_two_lives_the_node_tells),
        cmocka_unit_test(garbage_is_no_host),
        cmocka_unit_test(an_agent_keeps_its_name),
        cmocka_unit_test(sessions_expire),
        cmocka_unit_test(what_was_read_in_the_gap_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
