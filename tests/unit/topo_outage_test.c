/* A store that goes away, loses events, fails now and then, or is written by others in between. */

#include "topo_flaky.h"

struct fixture {
    struct cloud c;
    struct uuid bridge, router, p1, rp;
    struct flaky *store;
    struct agent *a, *b; /* a's store is flaky */
};

static struct fixture *up(void)
{
    struct fixture *f = NEW(struct fixture);
    struct cloud *c = &f->c;

    cloud_open(c);
    f->store = flaky_open(c);
    f->a = agent_flaky(c, f->store, "h1");
    f->b = agent_start(c, "h2");
    settle(f->a, f->b);
    zone_of(f->a, f->b);
    f->bridge = make(c, ST_BRIDGE, "{'name':'b'}");
    f->router = make(c, ST_ROUTER, "{'name':'r'}");
    f->p1 = bound_port(c, &f->bridge, &f->a->host, "t1");
    f->rp = make(c, ST_PORT, "{'routerId':'%s','portSubnet':['10.0.0.1/24']}", text_of(&f->router));
    load(f->a, TOPO_BRIDGE, &f->bridge);
    load(f->b, TOPO_BRIDGE, &f->bridge);
    settle(f->a, f->b);
    return f;
}

static void down(struct fixture *f)
{
    agent_stop(f->a);
    agent_stop(f->b);
    cloud_close(&f->c);
    free(f);
}

static const struct topo_bridge *bridge_of(const struct fixture *f, const struct agent *a)
{
    return topo_bridge(a->topo, ref_of(a, &f->bridge));
}

static void what_is_known_stays_and_the_rest_follows(void **state)
{
    struct fixture *f = up();
    struct agent *a = f->a;
    struct mac m = mac_n(1);
    topo_ref bridge = ref_of(a, &f->bridge);

    flaky_lose(f->store);
    run_for(NSEC_PER_SEC, f->a, f->b);
    assert_false(a->connected);
    assert_false(status_of(a).connected);
    topo_ref router = sync_load(a->sync, TOPO_ROUTER, &f->router);
    sync_learn_mac(a->learner, f->c.now, bridge, 0, &m, ref_of(a, &f->p1));
    sync_port_up(a->sync, ref_of(a, &f->p1), 0);
    struct uuid p2 = bound_port(&f->c, &f->bridge, &f->b->host, "t2");
    run_for(60 * NSEC_PER_SEC, f->a, f->b);
    assert_int_equal(bridge_of(f, a)->n_exterior, 1);
    assert_int_equal(topo_mac_lookup(bridge_of(f, a)->macs, 0, &m), ref_of(a, &f->p1));
    assert_null(topo_get(a->topo, router));
    assert_int_equal(status_of(a).n_needs, 1);
    assert_int_equal(status_of(a).n_unshared, 2);

    flaky_return(f->store);
    settle(a, f->b); /* no event told of p2: it is found by comparing */
    assert_true(a->connected);
    assert_non_null(topo_get(a->topo, router));
    assert_int_equal(bridge_of(f, a)->n_exterior, 2);
    assert_non_null(topo_get(a->topo, ref_of(a, &p2)));
    assert_int_equal(topo_mac_lookup(bridge_of(f, f->b)->macs, 0, &m), ref_of(f->b, &f->p1));
    assert_true(topo_port(f->b->topo, ref_of(f->b, &f->p1))->active);
    assert_int_equal(status_of(a).n_unshared, 0);
    down(f);
    (void)state;
}

static void comparing_is_cheap_when_nothing_changed(void **state)
{
    struct fixture *f = up();
    struct agent *a = f->a;

    load(a, TOPO_ROUTER, &f->router);
    flaky_lose(f->store);
    run_for(NSEC_PER_SEC, f->a, f->b);
    a->n_changes = 0;
    uint64_t gets = f->store->gets, reloads = status_of(a).reloads;
    flaky_return(f->store);
    settle(a, f->b);
    assert_int_equal(a->n_changes, 0);
    assert_int_equal(status_of(a).reloads, reloads);
    /* two devices with a table each, own host and its alive, two hosts' alive, a zone */
    assert_true(f->store->gets - gets <= 10);
    assert_int_equal(f->store->deaf, 0);
    down(f);
    (void)state;
}

static void lost_events_are_made_up_after_reconnecting(void **state)
{
    struct fixture *f = up();
    struct agent *a = f->a;
    struct mac m = mac_n(3);

    load(a, TOPO_ROUTER, &f->router);
    f->store->deaf = true;
    change(&f->c, ST_ROUTER, &f->router, "{'adminStateUp':false}");
    change(&f->c, ST_PORT, &f->p1, "{'adminStateUp':false}");
    struct uuid p2 = bound_port(&f->c, &f->bridge, &f->b->host, "t2");
    settle(f->b);
    sync_port_up(f->b->sync, ref_of(f->b, &p2), 0);
    sync_learn_mac(f->b->learner, f->c.now, ref_of(f->b, &f->bridge), 0, &m, ref_of(f->b, &p2));
    settle(a, f->b);
    assert_true(topo_router(a->topo, ref_of(a, &f->router))->admin_up);
    assert_int_equal(topo_mac_lookup(bridge_of(f, a)->macs, 0, &m), 0);

    f->store->deaf = false;
    flaky_lose(f->store);
    sync_run(a->sync, f->c.now);
    flaky_return(f->store);
    settle(a, f->b);
    assert_false(topo_router(a->topo, ref_of(a, &f->router))->admin_up);
    assert_false(topo_port(a->topo, ref_of(a, &f->p1))->admin_up);
    assert_true(topo_port(a->topo, ref_of(a, &p2))->active);
    assert_int_equal(topo_mac_lookup(bridge_of(f, a)->macs, 0, &m), ref_of(a, &p2));
    down(f);
    (void)state;
}

/* The other writer's flush falls between our read of the log and our commit. */
static void forestall(void *aux)
{
    struct fixture *f = aux;
    struct mac m = mac_n(2);

    sync_learn_mac(f->b->learner, f->c.now, ref_of(f->b, &f->bridge), 0, &m, ref_of(f->b, &f->p1));
    sync_run(f->b->sync, f->c.now);
    sync_run(f->b->sync, f->c.now + 30 * NSEC_PER_MSEC);
}

static void a_forestalled_writer_tries_again(void **state)
{
    struct fixture *f = up();
    struct agent *a = f->a;
    struct mac m = mac_n(1), n = mac_n(2);

    sync_learn_mac(a->learner, f->c.now, ref_of(a, &f->bridge), 0, &m, ref_of(a, &f->p1));
    f->store->before_commit = forestall;
    f->store->aux = f;
    settle(a, f->b);
    assert_int_equal(status_of(a).conflicts, 1);
    assert_int_equal(status_of(a).n_unshared, 0);
    for (int i = 0; i < 2; i++) {
        struct agent *x = i ? f->b : a;
        assert_int_equal(topo_mac_lookup(bridge_of(f, x)->macs, 0, &m), ref_of(x, &f->p1));
        assert_int_equal(topo_mac_lookup(bridge_of(f, x)->macs, 0, &n), ref_of(x, &f->p1));
    }
    down(f);
    (void)state;
}

static int same_mac(uint16_t vlan, const struct mac *mac, topo_ref port, void *aux)
{
    struct agent **two = aux;
    struct fixture *f = (void *)two[2];

    assert_true(
        uuid_equal(topo_id(two[0]->topo, port),
                   topo_id(two[1]->topo, topo_mac_lookup(bridge_of(f, two[1])->macs, vlan, mac))));
    return 0;
}

/* Whatever call fails, however often: in the end the agent knows what a fresh one reads. */
static void failures_leave_nothing_half_done(void **state)
{
    struct fixture *f = up();
    struct agent *a = f->a;
    struct random r = {8};
    struct uuid ports[8] = {0};

    load(a, TOPO_ROUTER, &f->router);
    sync_port_up(a->sync, ref_of(a, &f->p1), 0);
    f->store->fail_in_8 = 2;
    for (int round = 0; round < 150; round++) {
        struct uuid *p = &ports[rnd(&r) % 8];
        struct mac m = mac_n(rnd(&r) % 20);
        if (uuid_is_zero(p)) {
            *p = bound_port(&f->c, &f->bridge, &f->b->host, "x%d", (int)(p - ports));
        } else {
            destroy(&f->c, ST_PORT, p);
            *p = uuid_zero;
        }
        make(&f->c, ST_ROUTE,
             "{'routerId':'%s','type':'BlackHole','srcNetworkAddr':'0.0.0.0/0',"
             "'dstNetworkAddr':'10.%d.0.0/16'}",
             text_of(&f->router), round);
        sync_learn_mac(a->learner, f->c.now, ref_of(a, &f->bridge), 0, &m, ref_of(a, &f->p1));
        if (round % 3 == 0)
            sync_forget_mac(a->sync, ref_of(a, &f->bridge), 0, &m);
        run_for((rnd(&r) % 30) * 10 * NSEC_PER_MSEC, f->a, f->b);
    }
    f->store->fail_in_8 = 0;
    run_for(20 * NSEC_PER_SEC, f->a, f->b);
    settle(a, f->b);
    struct agent *fresh = agent_open(&f->c, &uuid_zero);
    load(fresh, TOPO_BRIDGE, &f->bridge);
    load(fresh, TOPO_ROUTER, &f->router);
    assert_int_equal(bridge_of(f, a)->n_exterior, bridge_of(f, fresh)->n_exterior);
    assert_int_equal(topo_lpm_size(topo_router(a->topo, ref_of(a, &f->router))->routes),
                     topo_lpm_size(topo_router(fresh->topo, ref_of(fresh, &f->router))->routes));
    assert_int_equal(topo_mac_size(bridge_of(f, a)->macs),
                     topo_mac_size(bridge_of(f, fresh)->macs));
    struct agent *two[] = {a, fresh, (void *)f};
    topo_mac_each(bridge_of(f, a)->macs, same_mac, two);
    assert_true(topo_port(fresh->topo, ref_of(fresh, &f->p1))->active);
    assert_int_equal(status_of(a).n_unshared, 0);
    agent_stop(fresh);
    down(f);
    (void)state;
}

/* A tool that can't reach the store says so instead of hanging. */
static void settling_ends(void **state)
{
    struct fixture *f = up();
    struct error e = {0};

    flaky_lose(f->store);
    sync_load(f->a->sync, TOPO_ROUTER, &f->router);
    assert_int_equal(sync_settle(f->a->sync, 50, &e), -ETIMEDOUT);
    assert_true(e.message[0]);
    flaky_return(f->store);
    f->c.now = clock_ns();
    assert_int_equal(sync_settle(f->a->sync, 60000, &e), 0);
    assert_non_null(topo_get(f->a->topo, ref_of(f->a, &f->router)));
    f->c.now = clock_ns();
    down(f);
    (void)state;
}

/* Forty agents lose the store and find it back at one moment, each with something to write: what
 * they then ask of it comes evenly, none of it in a heap. */
static void coming_back_is_spread(void **state)
{
    enum { AGENTS = 40, SLICES = 60 /* of 100 ms */ };
    struct flaky *stores[AGENTS];
    struct agent *agents[AGENTS];
    struct fixture *f = up();
    uint64_t gets[SLICES] = {0}, commits[SLICES] = {0}, n_gets = 0, n_commits = 0;

    for (unsigned i = 0; i < AGENTS; i++) {
        char name[16];
        snprintf(name, sizeof name, "x%u", i);
        stores[i] = flaky_open(&f->c);
        agents[i] = agent_flaky(&f->c, stores[i], name);
        load(agents[i], TOPO_BRIDGE, &f->bridge);
        load(agents[i], TOPO_ROUTER, &f->router);
    }
    settle_n(agents, AGENTS);
    for (unsigned i = 0; i < AGENTS; i++)
        flaky_lose(stores[i]);
    f->c.now += 600 * NSEC_PER_SEC;
    for (unsigned i = 0; i < AGENTS; i++) {
        struct mac m = mac_n(1000 + i);
        sync_run(agents[i]->sync, f->c.now);
        sync_learn_mac(agents[i]->learner, f->c.now, ref_of(agents[i], &f->bridge), 0, &m,
                       ref_of(agents[i], &f->p1));
        sync_run(agents[i]->sync, f->c.now);
        flaky_return(stores[i]);
        stores[i]->gets = stores[i]->commits = 0;
        stores[i]->deaf = true; /* what the others write isn't counted */
    }
    for (unsigned t = 0; t < 10 * SLICES; t++, f->c.now += 10 * NSEC_PER_MSEC) {
        for (unsigned i = 0; i < AGENTS; i++) {
            sync_run(agents[i]->sync, f->c.now);
            gets[t / 10] += stores[i]->gets;
            commits[t / 10] += stores[i]->commits;
            stores[i]->gets = stores[i]->commits = 0;
        }
    }
    unsigned reading = 0, writing = 0;
    for (unsigned s = 0; s < SLICES; s++) {
        n_gets += gets[s];
        n_commits += commits[s];
        reading += gets[s] != 0;
        writing += commits[s] != 0;
    }
    assert_true(n_gets >= 6 * AGENTS && n_commits >= AGENTS);
    assert_true(reading >= 30 && writing >= 10);
    for (unsigned s = 0; s < SLICES; s++) {
        assert_true(gets[s] <= n_gets / 3);
        assert_true(commits[s] <= n_commits / 3);
    }
    for (unsigned i = 0; i < AGENTS; i++) {
        assert_int_equal(status_of(agents[i]).n_unshared, 0);
        agent_stop(agents[i]);
    }
    down(f);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_known_stays_and_the_rest_follows),
        cmocka_unit_test(comparing_is_cheap_when_nothing_changed),
        cmocka_unit_test(lost_events_are_made_up_after_reconnecting),
        cmocka_unit_test(a_forestalled_writer_tries_again),
        cmocka_unit_test(failures_leave_nothing_half_done),
        cmocka_unit_test(settling_ends),
        cmocka_unit_test(coming_back_is_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
