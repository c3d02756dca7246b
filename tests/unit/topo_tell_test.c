/* Many agents with something to say in one device's log: it gets there together, all of it and
 * nothing untrue, whoever fails on the way. */
#include "topo_flaky.h"

enum { N_AGENTS = 8, N_PORTS = 80 };

struct fixture {
    struct cloud c;
    struct uuid bridge, ports[N_PORTS];
    struct flaky *stores[N_AGENTS];
    struct agent *agents[N_AGENTS];
    char folder[STORE_PATH_MAX];
};

static void all_settle(struct fixture *f)
{
    settle_n(f->agents, N_AGENTS);
}

static struct fixture *up(void)
{
    struct fixture *f = NEW(struct fixture);

    cloud_open(&f->c);
    f->bridge = make(&f->c, ST_BRIDGE, "{'name':'b'}");
    for (unsigned i = 0; i < N_AGENTS; i++) {
        f->stores[i] = flaky_open(&f->c);
        f->agents[i] = agent_flaky(&f->c, f->stores[i], "h");
        settle(f->agents[i]);
    }
    zone_of_n(f->agents, N_AGENTS);
    for (unsigned i = 0; i < N_PORTS; i++)
        f->ports[i] = bound_port(&f->c, &f->bridge, &f->agents[i % N_AGENTS]->host, "t%u", i);
    all_settle(f);
    for (unsigned i = 0; i < N_AGENTS; i++)
        sync_load(f->agents[i]->sync, TOPO_BRIDGE, &f->bridge);
    all_settle(f);
    objects_state_path(ST_BRIDGE, &f->bridge, "told", f->folder);
    return f;
}

static void down(struct fixture *f)
{
    for (unsigned i = 0; i < N_AGENTS; i++)
        agent_stop(f->agents[i]);
    cloud_close(&f->c);
    free(f);
}

/* What somebody who died has left: the next find the place crowded. */
static void leave(struct fixture *f, const struct uuid *port, const char *text)
{
    char path[STORE_PATH_MAX];

    snprintf(path, sizeof path, "%.400s/%s", f->folder, text_of(port));
    put(&f->c, path, text);
}

static void all_up(struct fixture *f)
{
    for (unsigned i = 0; i < N_PORTS; i++) {
        struct agent *a = f->agents[i % N_AGENTS];
        sync_port_up(a->sync, ref_of(a, &f->ports[i]), 0);
    }
}

static void all_down(struct fixture *f)
{
    for (unsigned i = 0; i < N_PORTS; i++) {
        struct agent *a = f->agents[i % N_AGENTS];
        sync_port_down(a->sync, ref_of(a, &f->ports[i]));
    }
}

static void all_run(struct fixture *f, uint64_t ns)
{
    run_for_n(f->agents, N_AGENTS, ns);
}

/* The last look whether somebody else has done it may be two seconds later. */
static void all_tell(struct fixture *f)
{
    all_run(f, 3 * NSEC_PER_SEC);
    all_settle(f);
}

static int64_t rev(struct fixture *f)
{
    struct objects_change *changes;
    struct error e;
    int64_t rev = 0;

    objects_changes(f->c.db, ST_BRIDGE, &f->bridge, INT64_MAX, &rev, &changes, &e);
    free(changes);
    return rev;
}

static void assert_told(struct fixture *f, bool active)
{
    struct store_names left;
    struct error e;

    for (unsigned i = 0; i < N_AGENTS; i++) {
        struct agent *a = f->agents[i];
        assert_int_equal(status_of(a).n_unshared, 0);
        for (unsigned k = 0; k < N_PORTS; k++) {
            const struct topo_port *p = topo_port(a->topo, ref_of(a, &f->ports[k]));
            assert_int_equal(p->active, active);
            assert_int_equal(p->tunnel_key != 0, active);
        }
    }
    if (!store_children(f->c.store, f->folder, &left, &e)) {
        assert_int_equal(left.n, 0);
        store_names_free(&left);
    }
}

static void all_get_there_together(void **state)
{
    struct fixture *f = up();
    int64_t before = rev(f);

    leave(f, &uuid_zero, "{}"); /* the first of them is dead: nobody begins at once */
    all_up(f);
    all_tell(f);
    assert_told(f, true);
    assert_true(rev(f) - before <= 2);

    /* one alone writes the log itself */
    before = rev(f);
    uint64_t commits = f->stores[1]->commits;
    sync_port_down(f->agents[1]->sync, ref_of(f->agents[1], &f->ports[1]));
    all_tell(f);
    assert_int_equal(rev(f) - before, 1);
    assert_int_equal(f->stores[1]->commits - commits, 1);
    assert_false(topo_port(f->agents[0]->topo, ref_of(f->agents[0], &f->ports[1]))->active);
    down(f);
    (void)state;
}

static void what_is_left_over_harms_nobody(void **state)
{
    static const char *const garbage[] = {"",
                                          "{}",
                                          "[]",
                                          "[1,2,3,4,5,6,7,8]",
                                          "[\"ports\",\"x\",\"s\",\"x\",1,\"0\"]",
                                          "[\"ports\",\"x\",\"s\",\"\"]",
                                          "[\"ports\",\"x\",\"s\",7,\"x\",1]",
                                          "[\"bridges\",\"\\u0000\",null]"};
    struct fixture *f = up();
    char path[STORE_PATH_MAX];

    for (unsigned i = 0; i < ARRAY_SIZE(garbage); i++)
        leave(f, &f->ports[i], garbage[i]);
    snprintf(path, sizeof path, "%.400s/no-port", f->folder);
    put(&f->c, path, "x");
    struct uuid nobody = uuid_zero;
    leave(f, &nobody, "x");
    all_up(f);
    all_tell(f);
    assert_told(f, true);
    all_down(f);
    all_tell(f);
    assert_told(f, false);
    down(f);
    (void)state;
}

/* Ports come and go before what was left of them has got into the log. */
static void the_last_state_counts(void **state)
{
    struct fixture *f = up();
    struct random r = {3};

    for (unsigned round = 0; round < 20; round++) {
        leave(f, &f->ports[round], "{}");
        all_up(f);
        all_run(f, (rnd(&r) % 5) * 10 * NSEC_PER_MSEC);
        for (unsigned i = 0; i < N_PORTS; i++) {
            struct agent *a = f->agents[i % N_AGENTS];
            if (rnd(&r) % 2)
                sync_port_down(a->sync, ref_of(a, &f->ports[i]));
        }
        all_run(f, (rnd(&r) % 5) * 10 * NSEC_PER_MSEC);
    }
    all_down(f);
    all_tell(f);
    assert_told(f, false);
    all_up(f);
    all_tell(f);
    assert_told(f, true);
    down(f);
    (void)state;
}

static void whatever_fails_it_gets_there(void **state)
{
    struct fixture *f = up();

    for (unsigned round = 0; round < 8; round++) {
        leave(f, &f->ports[round], "{}");
        for (unsigned i = 0; i < N_AGENTS; i++) {
            f->stores[i]->r.x = round * N_AGENTS + i + 1;
            f->stores[i]->fail_in_8 = i % 4;
        }
        all_up(f);
        all_run(f, 2 * NSEC_PER_SEC);
        for (unsigned i = 0; i < N_AGENTS; i++)
            f->stores[i]->fail_in_8 = 0;
        all_run(f, 20 * NSEC_PER_SEC);
        all_tell(f);
        assert_told(f, true);
        all_down(f);
        all_tell(f);
        assert_told(f, false);
    }
    down(f);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_get_there_together),
        cmocka_unit_test(what_is_left_over_harms_nobody),
        cmocka_unit_test(the_last_state_counts),
        cmocka_unit_test(whatever_fails_it_gets_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
