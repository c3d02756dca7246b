/* The table of connections: what is found, what contradicts what, what goes when. */
#include <stdlib.h>

#include "state_util.h"

enum { ROUTER = 7, OTHER = 8 };

static struct state_rec snat(const char *src, unsigned sport, const char *dst, unsigned dport,
                             const char *to, unsigned to_port)
{
    return state_record(STATE_SNAT, ROUTER, tuple(src, sport, dst, dport), to, to_port);
}

static bool found(struct state *s, enum state_way way, const struct state_rec *r)
{
    struct state_tuple t = way == STATE_FORTH ? r->fwd : state_back(r);
    struct state_rec out;

    if (!state_find(s, r->kind, way, r->device, &t, &out))
        return false;
    assert_memory_equal(&out, r, sizeof out);
    return true;
}

static struct state_via via_of(struct state *s)
{
    struct state_info info;
    uint64_t at = 0;

    assert_int_equal(state_dump(s, &at, &info, 1), 1);
    return info.via;
}

static void records_keep_the_ports_they_go_through(void **arg)
{
    struct state *s = *arg;
    struct state_rec r = snat("10.0.0.1", 1000, "8.8.8.8", 53, "1.1.1.1", 2000);
    const struct state_via there = {3, 4}, elsewhere = {5, 4};

    assert_int_equal(state_commit_via(s, &r, 1, &there, 1, STATE_LOCAL, NULL), 0);
    assert_int_equal(via_of(s).in, 3);
    assert_int_equal(via_of(s).out, 4);
    assert_int_equal(state_commit(s, &r, 1, 2, STATE_RECEIVED, NULL), 0);
    assert_int_equal(via_of(s).in, 3);
    assert_int_equal(state_commit_via(s, &r, 1, &elsewhere, 3, STATE_LOCAL, NULL), 0);
    assert_int_equal(via_of(s).in, 5);
}

static void found_by_both_directions(void **arg)
{
    struct state *s = *arg;
    const struct state_rec recs[] = {
        snat("10.0.0.1", 1000, "8.8.8.8", 53, "1.1.1.1", 2000),
        state_record(STATE_DNAT, ROUTER, tuple("10.0.0.1", 1000, "8.8.8.8", 53), "9.9.9.9", 5353),
        state_record(STATE_CONN, OTHER, tuple("10.0.0.1", 1000, "8.8.8.8", 53), NULL, 0),
        state_record(STATE_SNAT, ROUTER, tuple("fd00::1", 9, "fd00::2", 80), "fd00::3", 63),
    };
    bool made[4];
    tag_t tags[2];

    assert_int_equal(state_commit(s, recs, 4, 1, STATE_LOCAL, made), 0);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(made[i]);
        assert_true(found(s, STATE_FORTH, &recs[i]));
        assert_int_equal(found(s, STATE_BACK, &recs[i]), recs[i].kind != STATE_CONN);
        assert_int_equal(state_tags(&recs[i], tags), recs[i].kind == STATE_CONN ? 1 : 2);
    }
    struct state_rec elsewhere = recs[0];
    elsewhere.device = OTHER;
    assert_false(found(s, STATE_FORTH, &elsewhere));
    assert_int_equal(state_size(s), 4);

    assert_int_equal(state_commit(s, recs, 4, 2, STATE_LOCAL, made), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_false(made[i]);
    assert_int_equal(state_size(s), 4);
    for (unsigned i = 0; i < 4; i++) {
        state_remove(s, &recs[i]);
        assert_false(found(s, STATE_FORTH, &recs[i]));
        assert_false(found(s, STATE_BACK, &recs[i]));
    }
    assert_int_equal(state_size(s), 0);
}

static void nothing_is_known_without_a_table(void **arg)
{
    struct state_tuple t = tuple("10.0.0.1", 1, "10.0.0.2", 2);
    struct state_rec out;

    (void)arg;
    assert_false(state_find(NULL, STATE_SNAT, STATE_FORTH, ROUTER, &t, &out));
}

static void refuses_a_taken_tuple_as_a_whole(void **arg)
{
    struct state *s = *arg;
    struct state_rec a = snat("10.0.0.1", 1000, "8.8.8.8", 53, "1.1.1.1", 2000);
    struct state_rec other[2] = {snat("10.0.0.3", 1, "8.8.4.4", 53, "1.1.1.1", 2001),
                                 snat("10.0.0.2", 1000, "8.8.8.8", 53, "1.1.1.1", 2000)};
    struct state_counters c;

    assert_int_equal(state_commit(s, &a, 1, 1, STATE_LOCAL, NULL), 0);
    assert_int_equal(state_commit(s, other, 2, 1, STATE_LOCAL, NULL), -EEXIST);
    assert_false(found(s, STATE_FORTH, &other[0]));
    /* another destination: the same port may be used */
    other[1].fwd.dport = 54;
    assert_int_equal(state_commit(s, other, 2, 1, STATE_LOCAL, NULL), 0);
    /* the same connection, translated otherwise */
    struct state_rec again = a;
    again.to_port = 2002;
    assert_int_equal(state_commit(s, &again, 1, 1, STATE_LOCAL, NULL), -EEXIST);
    assert_true(found(s, STATE_FORTH, &a));
    state_counters(s, &c);
    assert_int_equal(c.conflicts, 2);
}

static void two_clients_to_one_backend_contradict(void **arg)
{
    struct state *s = *arg;
    struct state_rec d[2] = {
        state_record(STATE_DNAT, ROUTER, tuple("10.0.0.1", 5, "2.2.2.1", 80), "10.1.0.1", 8080),
        state_record(STATE_DNAT, ROUTER, tuple("10.0.0.1", 5, "2.2.2.2", 80), "10.1.0.1", 8080)};

    assert_int_equal(state_commit(s, d, 2, 1, STATE_LOCAL, NULL), -EEXIST);
    assert_int_equal(state_size(s), 0);
    assert_int_equal(state_commit(s, d, 1, 1, STATE_LOCAL, NULL), 0);
    assert_int_equal(state_commit(s, d + 1, 1, 1, STATE_LOCAL, NULL), -EEXIST);
}

static void one_commit_may_say_a_thing_twice(void **arg)
{
    struct state *s = *arg;
    struct state_rec twice[2] = {snat("10.0.0.1", 1, "8.8.8.8", 53, "1.1.1.1", 2000),
                                 snat("10.0.0.1", 1, "8.8.8.8", 53, "1.1.1.1", 2000)};
    bool made[2];

    assert_int_equal(state_commit(s, twice, 2, 1, STATE_LOCAL, made), 0);
    assert_true(made[0] && !made[1]);
    assert_int_equal(state_size(s), 1);
    twice[1].to_port = 2001;
    assert_int_equal(state_commit(s, twice, 2, 1, STATE_LOCAL, made), -EEXIST);
}

static void refuses_nonsense(void **arg)
{
    struct state *s = *arg;
    struct state_rec r[STATE_COMMIT_MAX + 1] = {0};

    assert_int_equal(state_commit(s, r, 1, 1, STATE_LOCAL, NULL), -EINVAL);
    r[0].kind = STATE_N_KINDS;
    assert_int_equal(state_commit(s, r, 1, 1, STATE_LOCAL, NULL), -EINVAL);
    assert_int_equal(state_commit(s, r, STATE_COMMIT_MAX + 1, 1, STATE_LOCAL, NULL), -E2BIG);
    r[0] = snat("10.0.0.1", 1, "8.8.8.8", 53, "1.1.1.1", 2000);
    r[0].fwd.pad[1] = 1;
    assert_int_equal(state_commit(s, r, 1, 1, STATE_LOCAL, NULL), -EINVAL);
}

static void remember(const struct state_rec *r, void *aux)
{
    struct gone *g = aux;

    g->last = *r;
    g->n++;
}

static void what_peers_say_gives_way_to_newer_and_to_own(void **arg)
{
    struct gone gone = {0};
    struct state_limits limits = {.gone = remember, .aux = &gone};
    struct state_rec told = snat("10.0.0.1", 1, "8.8.8.8", 53, "1.1.1.1", 2000);
    struct state_rec newer = told, thief = snat("10.0.0.2", 1, "8.8.8.8", 53, "1.1.1.1", 2001);
    struct state *s;

    (void)arg;
    newer.to_port = 2001;
    state_new(&limits, &s);
    assert_int_equal(state_commit(s, &told, 1, 1, STATE_LOADED, NULL), 0);
    assert_int_equal(state_commit(s, &newer, 1, 1, STATE_LOADED, NULL), -EEXIST);
    assert_int_equal(state_commit(s, &newer, 1, 1, STATE_RECEIVED, NULL), 0);
    assert_int_equal(gone.n, 1);
    assert_memory_equal(&gone.last, &told, sizeof told);
    assert_true(found(s, STATE_FORTH, &newer));
    assert_false(found(s, STATE_BACK, &told));
    assert_int_equal(state_commit(s, &thief, 1, 1, STATE_LOCAL, NULL), -EEXIST);
    assert_int_equal(state_commit(s, &thief, 1, 1, STATE_RECEIVED, NULL), 0);
    assert_int_equal(gone.n, 2);
    assert_false(found(s, STATE_FORTH, &newer));
    /* used by a simulation here: own from now on */
    assert_int_equal(state_commit(s, &thief, 1, 1, STATE_LOCAL, NULL), 0);
    assert_int_equal(state_commit(s, &newer, 1, 1, STATE_RECEIVED, NULL), -EEXIST);
    state_free(s);
}

static void idle_ones_go_and_used_ones_stay(void **arg)
{
    struct gone gone = {0};
    struct state_limits limits = {.idle_ns = 100};
    struct state_rec a = snat("10.0.0.1", 1, "8.8.8.8", 53, "1.1.1.1", 2000);
    struct state_rec b = snat("10.0.0.2", 1, "8.8.8.8", 53, "1.1.1.1", 2001);
    struct state_info info[4];
    uint64_t at = 0;
    struct state *s;

    (void)arg;
    state_new(&limits, &s);
    assert_int_equal(state_commit(s, &a, 1, 1000, STATE_LOCAL, NULL), 0);
    assert_int_equal(state_commit(s, &b, 1, 1000, STATE_LOCAL, NULL), 0);
    assert_true(state_touch(s, &b, 1050));
    assert_true(state_touch(s, &b, 1040)); /* a worker's clock behind */
    assert_int_equal(state_sweep(s, 1099, 100, remember, &gone), 0);
    assert_int_equal(state_sweep(s, 1100, 100, remember, &gone), 1);
    assert_memory_equal(&gone.last, &a, sizeof a);
    assert_false(state_touch(s, &a, 1100));
    assert_int_equal(state_dump(s, &at, info, 4), 1);
    assert_int_equal(at, 0);
    assert_int_equal(info[0].used_ns, 1050);
    assert_int_equal(info[0].made_ns, 1000);
    assert_int_equal(info[0].origin, STATE_LOCAL);
    /* a port given up may be taken again, with the number of the record that was */
    a.fwd.sport = 2;
    assert_int_equal(state_commit(s, &a, 1, 1100, STATE_LOCAL, NULL), 0);
    assert_int_equal(state_sweep(s, 1150, 100, remember, &gone), 1);
    assert_true(found(s, STATE_BACK, &a));
    state_free(s);
}

static struct state_rec nth(uint32_t i)
{
    struct state_rec r = snat("10.0.0.1", 1, "8.8.8.8", 53, "1.1.1.1", 0);

    r.fwd.src.w[3] = htobe32(0x0a000000 + (i >> 6));
    r.fwd.dport = (uint16_t)(i >> 12);
    r.fwd.dst.w[3] = htobe32(i >> 4);
    r.fwd.sport = (uint16_t)i;
    r.to_port = (uint16_t)(i * 7);
    return r;
}

static void a_full_table_gives_up_the_oldest_it_sees(void **arg)
{
    enum { N = 5000, USED = 8 };
    struct gone gone = {0};
    struct state_limits limits = {.max_records = N, .gone = remember, .aux = &gone};
    uint64_t now = STATE_EVICT_NS, later = 3 * STATE_EVICT_NS;
    struct state_counters c;
    struct state_rec r;
    struct state *s;

    (void)arg;
    state_new(&limits, &s);
    for (uint32_t i = 0; i < N; i++) {
        r = nth(i);
        assert_int_equal(state_commit(s, &r, 1, now, STATE_LOCAL, NULL), 0);
    }
    r = nth(N);
    assert_int_equal(state_commit(s, &r, 1, now + 10, STATE_LOCAL, NULL), -ENOSPC);
    assert_false(found(s, STATE_FORTH, &r));
    for (uint32_t i = 0; i < N; i += USED) {
        r = nth(i);
        assert_true(state_touch(s, &r, later));
    }
    for (uint32_t i = N; i < N + 500; i++) {
        r = nth(i);
        assert_int_equal(state_commit(s, &r, 1, later, STATE_LOCAL, NULL), 0);
        assert_int_equal(state_size(s), N);
    }
    state_counters(s, &c);
    assert_int_equal(c.evicted, 500);
    assert_int_equal(gone.n, 500);
    assert_int_equal(c.refused, 1);
    unsigned lost = 0;
    for (uint32_t i = 0; i < N; i += USED) {
        r = nth(i);
        lost += !found(s, STATE_FORTH, &r);
    }
    assert_int_equal(lost, 0);
    state_free(s);
}

/* Against a plain array, through growth and shrinking of all shards. */
static void does_what_a_list_would_do(void **arg)
{
    enum { N = 20000, STEPS = 300000 };
    struct state_limits limits = {.max_records = N};
    bool *in = calloc(N, 1);
    uint32_t n = 0;
    struct state *s;

    (void)arg;
    state_new(&limits, &s);
    srandom(1);
    for (unsigned i = 0; i < STEPS; i++) {
        uint32_t k = (uint32_t)random() % N;
        struct state_rec r = nth(k);
        assert_int_equal(found(s, STATE_BACK, &r), in[k]);
        assert_int_equal(found(s, STATE_FORTH, &r), in[k]);
        bool add = (i / 50000) % 2 ? random() % 8 == 0 : random() % 8 != 0;
        if (add) {
            assert_int_equal(state_commit(s, &r, 1, 1, STATE_LOCAL, NULL), 0);
            n += !in[k];
        } else {
            state_remove(s, &r);
            n -= in[k];
        }
        in[k] = add;
        assert_int_equal(state_size(s), n);
    }
    struct state_info info[100];
    uint64_t at = 0;
    uint32_t dumped = 0;
    do
        dumped += state_dump(s, &at, info, 100);
    while (at);
    assert_int_equal(dumped, n);
    state_free(s);
    free(in);
}

int main(void)
{
    rcu_register_thread();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(found_by_both_directions, state_setup, state_teardown),
        cmocka_unit_test_setup_teardown(records_keep_the_ports_they_go_through, state_setup,
                                        state_teardown),
        cmocka_unit_test(nothing_is_known_without_a_table),
        cmocka_unit_test_setup_teardown(refuses_a_taken_tuple_as_a_whole, state_setup,
                                        state_teardown),
        cmocka_unit_test_setup_teardown(two_clients_to_one_backend_contradict, state_setup,
                                        state_teardown),
        cmocka_unit_test_setup_teardown(one_commit_may_say_a_thing_twice, state_setup,
                                        state_teardown),
        cmocka_unit_test_setup_teardown(refuses_nonsense, state_setup, state_teardown),
        cmocka_unit_test(what_peers_say_gives_way_to_newer_and_to_own),
        cmocka_unit_test(idle_ones_go_and_used_ones_stay),
        cmocka_unit_test(a_full_table_gives_up_the_oldest_it_sees),
        cmocka_unit_test(does_what_a_list_would_do),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_barrier();
    rcu_unregister_thread();
    return rc;
}
