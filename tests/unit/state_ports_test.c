/* Blocks of ports, leased through the store. */
#include "flaky_store.h"
#include "state/ports_impl.h"
#include "state_ports.h"

enum { WALL = 1000000 };

static const struct ports_options options = {.unused_ns = 300 * NSEC_PER_SEC,
                                             .sweep_ns = 60 * NSEC_PER_SEC};

static struct uuid host_id(unsigned i)
{
    struct uuid id = {{[15] = (uint8_t)i}};

    return id;
}

static void begin(struct host *h, const char *url, unsigned number)
{
    struct uuid id = host_id(number);

    host_begin(h, url, &id, &options);
}

/* New ones by chance, then the longest unused, but for what rests. */
static void chooses_new_ones_then_the_oldest(void **arg)
{
    struct blocks taken = {0}, ever = {0};
    uint16_t out[8];

    (void)arg;
    for (unsigned b = 0; b < STATE_BLOCKS; b++)
        blocks_set(&ever, b, b != 20 && b != 21);
    blocks_set(&taken, 21, true);
    assert_int_equal(ports_choose(&taken, &ever, NULL, 0, 16, 1023, WALL, 100, 5, 8, out), 1);
    assert_int_equal(out[0], 20);
    assert_int_equal(ports_choose(&taken, &ever, NULL, 0, 16, 19, WALL, 100, 5, 8, out), 0);
    struct used used[] = {
        {.block = 30, .state = USED_RELEASED, .at_ms = WALL - 10},
        {.block = 31, .state = USED_LOST, .at_ms = WALL - 99},
        {.block = 32, .state = USED_LOST, .at_ms = WALL - 100},
        {.block = 33, .state = USED_HELD, .at_ms = WALL - 1000},
        {.block = 34, .state = USED_RELEASED, .at_ms = WALL - 50},
        {.block = 21, .state = USED_RELEASED, .at_ms = 1},
    };
    assert_int_equal(ports_choose(&taken, &ever, used, 6, 30, 1023, WALL, 100, 5, 8, out), 3);
    assert_int_equal(out[0], 32);
    assert_int_equal(out[1], 34);
    assert_int_equal(out[2], 30);
}

/* The first packet waits for a block; ports of it serve many destinations. */
static void leases_and_picks(void **arg)
{
    struct topo_nat_target t = target("1.1.1.1", "1.1.1.1", 1024, 2047);
    struct ports_status st;
    struct state_rec r;
    struct host h;

    (void)arg;
    begin(&h, "memory:", 1);
    for (unsigned i = 0; i < 64; i++) {
        assert_true(host_connect(&h, &t, i, 80, 1, WALL, &r));
        assert_in_range(r.to_port, 1024, 2047);
        assert_true(host_connect(&h, &t, i, 81, 1, WALL, &r));
    }
    ports_status(h.ports, &st);
    assert_true(h.n_granted > 0);
    assert_in_range(st.n_leases, 1, 2); /* another one before the first is full */
    for (unsigned i = 64; i < 1024; i++)
        assert_true(host_connect(&h, &t, i, 80, 1, WALL, &r));
    assert_false(host_connect(&h, &t, 1024, 80, 1, WALL, &r));
    assert_true(host_connect(&h, &t, 1024, 82, 1, WALL, &r));
    host_end(&h);
}

static void asks_before_it_is_out(void **arg)
{
    struct topo_nat_target t = target("1.1.1.1", "1.1.1.1", 1024, 2047);
    struct ports_status st;
    struct state_rec r;
    struct host h;

    (void)arg;
    begin(&h, "memory:", 1);
    for (unsigned i = 0; i < 60; i++)
        assert_true(host_connect(&h, &t, i, 80, 1, WALL, &r));
    ports_run(h.ports, 1, WALL);
    ports_status(h.ports, &st);
    assert_true(st.n_leases > 1);
    host_end(&h);
}

static void a_kept_port_needs_its_block(void **arg)
{
    struct topo_nat_target t = target("1.1.1.1", "1.1.1.2", 0, 0);
    struct state_rec r[3];
    struct host a, b;

    (void)arg;
    begin(&a, "memory:kept", 1);
    begin(&b, "memory:kept", 2);
    /* two clients of one port: two addresses; a third one finds none */
    for (unsigned i = 0; i < 3; i++) {
        bool done = host_connect(&a, &t, 60000 * i + 999, 80, 1, WALL, &r[i]);
        assert_int_equal(done, i < 2);
        assert_true(!done || r[i].to_port == 1000);
    }
    assert_false(ip_equal(&r[0].to, &r[1].to));
    assert_false(host_connect(&b, &t, 999, 80, 1, WALL, &r[2]));
    assert_true(host_connect(&b, &t, 1999, 80, 1, WALL, &r[2]));
    host_end(&a);
    host_end(&b);
}

/* Unused for five minutes: shut, then, a round later, anybody's at once. */
static void returns_what_it_does_not_use(void **arg)
{
    struct topo_nat_target t = target("1.1.1.1", "1.1.1.1", 1024, 1087);
    uint64_t now = 1;
    struct ports_status st;
    struct state_rec r;
    struct host a, b;

    (void)arg;
    begin(&a, "memory:return", 1);
    begin(&b, "memory:return", 2);
    assert_true(host_connect(&a, &t, 1, 80, now, WALL, &r));
    assert_false(host_connect(&b, &t, 1, 80, now, WALL, &r));
    for (unsigned i = 0; i < 10; i++) /* in use: it stays */
        ports_run(a.ports, now += 60 * NSEC_PER_SEC, WALL);
    ports_status(a.ports, &st);
    assert_int_equal(st.n_leases, 1);
    state_sweep(a.state, now + 61 * NSEC_PER_SEC, 10, NULL, NULL);
    assert_int_equal(state_size(a.state), 0);
    for (unsigned i = 0; i < 4; i++)
        ports_run(a.ports, now += 60 * NSEC_PER_SEC, WALL);
    assert_true(state_ports_granted(a.state, a.router, &t.from, 16));
    ports_run(a.ports, now += 60 * NSEC_PER_SEC, WALL);
    assert_false(state_ports_granted(a.state, a.router, &t.from, 16));
    ports_status(a.ports, &st);
    assert_int_equal(st.n_leases, 1);
    ports_run(a.ports, now += 60 * NSEC_PER_SEC, WALL);
    ports_status(a.ports, &st);
    assert_int_equal(st.n_leases, 0);
    assert_int_equal(st.returned, 1);
    assert_int_equal(b.n_exhausted, 1);
    ports_run(b.ports, now, WALL);
    assert_true(host_connect(&b, &t, 1, 80, now, WALL, &r));
    host_end(&a);
    host_end(&b);
}

static void a_packet_in_flight_keeps_the_block(void **arg)
{
    struct topo_nat_target t = target("1.1.1.1", "1.1.1.1", 1024, 1087);
    struct state_rec late = {.kind = STATE_SNAT};
    uint64_t now = 1;
    struct state_rec r;
    uint16_t port_to;
    struct host h;

    (void)arg;
    begin(&h, "memory:", 1);
    assert_true(host_connect(&h, &t, 1, 80, now, WALL, &r));
    state_remove(h.state, &r);
    late.device = h.router;
    late.fwd = r.fwd;
    assert_int_equal(
        state_pick_source(h.state, h.router, &late.fwd, &t, 1, &late.to, &late.to_port, &port_to),
        0);
    for (unsigned i = 0; i < 5; i++)
        ports_run(h.ports, now += 60 * NSEC_PER_SEC, WALL);
    assert_false(state_ports_granted(h.state, h.router, &t.from, 16));
    assert_int_equal(state_commit(h.state, &late, 1, now, STATE_LOCAL, NULL), 0);
    ports_run(h.ports, now += 60 * NSEC_PER_SEC, WALL);
    assert_true(state_ports_granted(h.state, h.router, &t.from, 16));
    host_end(&h);
}

/* A host that dies may have connections in its kernel: its block rests. */
static void what_a_dead_host_had_rests(void **arg)
{
    struct topo_nat_target t = target("1.1.1.1", "1.1.1.1", 1024, 1087);
    const uint64_t rest = 900 * 1000;
    uint64_t now = 1;
    struct state_rec r;
    struct host a, b;

    (void)arg;
    begin(&b, "memory:dead", 2);
    begin(&a, "memory:dead", 1);
    assert_true(host_connect(&a, &t, 1, 80, now, WALL, &r));
    host_end(&a);
    assert_false(host_connect(&b, &t, 1, 80, now, WALL + 10, &r)); /* marks it */
    now += 10 * NSEC_PER_SEC;
    ports_run(b.ports, now, WALL + 9 + rest);
    assert_false(host_connect(&b, &t, 1, 80, now, WALL + 9 + rest, &r));
    now += 10 * NSEC_PER_SEC;
    ports_run(b.ports, now, WALL + 10 + rest);
    assert_true(host_connect(&b, &t, 1, 80, now, WALL + 10 + rest, &r));
    host_end(&b);
}

/* The store loses a host's node and lets another have the block: the first, when it is back, ends
 * its connections there. */
static void what_another_took_meanwhile_is_lost(void **arg)
{
    struct topo_nat_target t = target("1.1.1.1", "1.1.1.1", 1024, 1087);
    const uint64_t rest = 900 * 1000;
    char path[STORE_PATH_MAX];
    uint64_t now = 1;
    struct ports_status st;
    struct state_rec r, r2;
    struct host a, b;

    (void)arg;
    begin(&a, "memory:lost", 1);
    begin(&b, "memory:lost", 2);
    assert_true(host_connect(&a, &t, 1, 80, now, WALL, &r));
    ports_connection(a.ports, now, false);
    snprintf(path, sizeof path, "/nat/aa/" ROUTER_ID "/1.1.1.1/taken/16");
    assert_int_equal(store_delete(b.store, path, STORE_ANY, NULL), 0);
    assert_false(host_connect(&b, &t, 1, 81, now, WALL, &r2));

    now += 700 * NSEC_PER_SEC; /* goes on alone for 12 minutes */
    ports_run(a.ports, now, WALL + 700 * 1000);
    assert_true(host_connect(&a, &t, 2, 80, now, WALL + 700 * 1000, &r2));
    now += 20 * NSEC_PER_SEC;
    ports_run(a.ports, now, WALL + 720 * 1000);
    ports_status(a.ports, &st);
    assert_true(st.cut);
    assert_false(host_connect(&a, &t, 3, 80, now, WALL + 720 * 1000, &r2));
    now += 180 * NSEC_PER_SEC;
    ports_run(b.ports, now, WALL + rest);
    assert_true(host_connect(&b, &t, 1, 80, now, WALL + rest, &r2));

    ports_connection(a.ports, now, true);
    now += NSEC_PER_SEC; /* by chance sooner */
    ports_run(a.ports, now, WALL + rest);
    assert_int_equal(a.n_lost, 2);
    assert_int_equal(state_size(a.state), 0);
    assert_false(state_ports_granted(a.state, a.router, &t.from, 16));
    host_end(&a);
    host_end(&b);
}

/* ... and when nobody took it, it is this host's again, and isn't marked any more. */
static void what_nobody_took_is_its_own_again(void **arg)
{
    struct topo_nat_target t = target("1.1.1.1", "1.1.1.1", 1024, 1087);
    char path[STORE_PATH_MAX];
    struct store_value v;
    uint64_t now = 1;
    struct state_rec r, r2;
    struct host a, b;

    (void)arg;
    begin(&a, "memory:again", 1);
    begin(&b, "memory:again", 2);
    assert_true(host_connect(&a, &t, 1, 80, now, WALL, &r));
    ports_connection(a.ports, now, false);
    snprintf(path, sizeof path, "/nat/aa/" ROUTER_ID "/1.1.1.1/taken/16");
    assert_int_equal(store_delete(b.store, path, STORE_ANY, NULL), 0);
    assert_false(host_connect(&b, &t, 1, 81, now, WALL, &r2));
    ports_connection(a.ports, now, true);
    now += 5 * NSEC_PER_SEC; /* by chance sooner */
    ports_run(a.ports, now, WALL);
    assert_int_equal(a.n_lost, 0);
    assert_int_equal(store_exists(b.store, path), 1);
    snprintf(path, sizeof path, "/nat/aa/" ROUTER_ID "/1.1.1.1/used/16");
    assert_int_equal(store_get(b.store, path, &v, NULL), 0);
    assert_non_null(strstr(v.data, "\"held\""));
    store_value_free(&v);
    assert_true(host_connect(&a, &t, 2, 80, now, WALL, &r));
    host_end(&a);
    host_end(&b);
}

/* Killed and started again before its session ends: what it has connections in is its own. */
static void a_new_life_takes_its_blocks_over(void **arg)
{
    struct topo_nat_target t = target("1.1.1.1", "1.1.1.1", 1024, 2047);
    struct state_rec r, foreign;
    struct host before, after, other;

    (void)arg;
    begin(&before, "memory:life", 1);
    begin(&other, "memory:life", 2);
    assert_true(host_connect(&before, &t, 1, 80, 1, WALL, &r));
    assert_true(host_connect(&other, &t, 2, 80, 1, WALL, &foreign));
    begin(&after, "memory:life", 1);
    r.device = foreign.device = after.router;
    assert_int_equal(state_commit(after.state, &r, 1, 1, STATE_LOADED, NULL), 0);
    assert_int_equal(state_commit(after.state, &foreign, 1, 1, STATE_LOADED, NULL), 0);
    ports_adopt(after.ports, 1, WALL);
    assert_true(state_ports_granted(after.state, after.router, &r.to, r.to_port / 64));
    assert_false(state_ports_granted(after.state, after.router, &r.to, foreign.to_port / 64));
    host_end(&before); /* the old session ends: not its nodes any more */
    ports_connection(after.ports, 1, false);
    ports_connection(after.ports, 1, true);
    ports_run(after.ports, 1, WALL);
    assert_true(state_ports_granted(after.state, after.router, &r.to, r.to_port / 64));
    assert_int_equal(after.n_lost, 0);
    host_end(&after);
    host_end(&other);
}

/* Started while the store is away: what it has connections in is taken over when the store is back,
 * before somebody takes these blocks for abandoned. */
static void a_new_life_takes_over_when_the_store_is_back(void **arg)
{
    struct topo_nat_target t = target("1.1.1.1", "1.1.1.1", 1024, 1087); /* one block */
    struct host before, after, other;
    struct ports_options o = options;
    struct state_rec r, theirs;
    uint64_t now = 1, wall = WALL;

    (void)arg;
    begin(&before, "memory:away", 1);
    assert_true(host_connect(&before, &t, 1, 80, now, wall, &r));
    begin(&other, "memory:away", 2);
    begin(&after, "memory:away", 1);
    ports_close(after.ports);
    store_close(after.store);
    struct flaky *f = flaky_open_at("memory:away");
    after.store = &f->base;
    o.host = after.id;
    after.ports =
        ports_open(after.store, after.state, after.topo, &o, &(struct ports_callbacks){NULL});
    f->away = true;
    r.device = after.router;
    assert_int_equal(state_commit(after.state, &r, 1, now, STATE_LOADED, NULL), 0);
    ports_adopt(after.ports, now, wall);
    ports_run(after.ports, now += NSEC_PER_SEC, wall += 1000);
    assert_false(state_ports_granted(after.state, after.router, &r.to, r.to_port / 64));
    host_end(&before);
    f->away = false;
    for (unsigned i = 0; i < 20 * 60; i++) { /* longer than what is lost rests */
        uint64_t step = ports_run(after.ports, now, wall) > now ? NSEC_PER_SEC : 0;
        now += step;
        wall += step / NSEC_PER_MSEC;
        state_commit(after.state, &r, 1, now, STATE_LOADED, NULL); /* in use */
        ports_run(other.ports, now, wall);
        assert_false(host_connect(&other, &t, 2, 80, now, wall, &theirs));
    }
    assert_true(state_ports_granted(after.state, after.router, &r.to, r.to_port / 64));
    host_end(&other);
    host_end(&after);
}

static void recycles_what_says_nothing(void **arg)
{
    struct topo_nat_target t = target("1.1.1.1", "1.1.1.1", 1024, 2047);
    struct ports_options o = options;
    uint64_t now = 1, rest = 900 * 1000;
    struct uuid id = host_id(2);
    struct state_rec r;
    struct host a, b;

    (void)arg;
    o.recycle_ns = 1000 * NSEC_PER_SEC;
    begin(&a, "memory:recycle", 1);
    host_begin(&b, "memory:recycle", &id, &o);
    ports_run(b.ports, now, WALL);
    assert_true(host_connect(&a, &t, 1, 80, now, WALL, &r));
    for (unsigned i = 0; i < 300; i++)
        ports_run(b.ports, now + 1000 * NSEC_PER_SEC, WALL);
    assert_int_equal(store_exists(b.store, "/nat/aa/" ROUTER_ID "/1.1.1.1/used"), 1);
    host_end(&a);
    for (unsigned i = 0; i < 300; i++)
        ports_run(b.ports, now + 3000 * NSEC_PER_SEC, WALL);
    assert_int_equal(store_exists(b.store, "/nat/aa/" ROUTER_ID "/1.1.1.1/used"), 1);
    for (unsigned i = 0; i < 300; i++)
        ports_run(b.ports, now + 6000 * NSEC_PER_SEC, WALL + rest);
    assert_int_equal(store_exists(b.store, "/nat/aa/" ROUTER_ID), 0);
    host_end(&b);
}

static void fifty_hosts_never_share_a_translation(void **arg)
{
    static struct referee r;

    (void)arg;
    hammer("memory:fifty", 50, 4, 150, 100, &r);
    assert_int_equal(r.n_connections, 50 * 4 * 150);
    assert_int_equal(r.n_duplicates, 0);
    assert_true(r.n_inherited > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chooses_new_ones_then_the_oldest),
        cmocka_unit_test(leases_and_picks),
        cmocka_unit_test(asks_before_it_is_out),
        cmocka_unit_test(a_kept_port_needs_its_block),
        cmocka_unit_test(returns_what_it_does_not_use),
        cmocka_unit_test(a_packet_in_flight_keeps_the_block),
        cmocka_unit_test(what_a_dead_host_had_rests),
        cmocka_unit_test(what_another_took_meanwhile_is_lost),
        cmocka_unit_test(what_nobody_took_is_its_own_again),
        cmocka_unit_test(a_new_life_takes_its_blocks_over),
        cmocka_unit_test(a_new_life_takes_over_when_the_store_is_back),
        cmocka_unit_test(recycles_what_says_nothing),
        cmocka_unit_test(fifty_hosts_never_share_a_translation),
    };

    rcu_register_thread();
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_barrier();
    rcu_unregister_thread();
    return rc;
}
