/* The table under readers and writers at once; run it under ThreadSanitizer too.
 *
 *      writers   each commits, uses and removes connections of its own, and finds exactly these;
 *                all of them race for a few translated tuples, which one at a time may have
 *      readers   look up anything: what they find is what they asked for
 *      sweeper   removes what is idle, dumps, counts
 */
#include <stdatomic.h>

#include "state_util.h"

enum { WRITERS = 3, READERS = 2, OWN = 2000, STEPS = 20000, TUPLES = 8 };

static struct state *table;
static atomic_bool stop;
static atomic_int holders[TUPLES]; /* of the contended tuples */
static atomic_uint n_won, n_refused;
static atomic_ullong now;

static struct state_rec own(unsigned writer, unsigned i)
{
    return state_record(i % 2 ? STATE_SNAT : STATE_DNAT, 1 + writer,
                        tuple("10.0.0.1", i, "10.0.0.2", 80), "1.1.1.1", i);
}

/* Other sources, one translated tuple. */
static struct state_rec contended(unsigned writer, unsigned i)
{
    return state_record(STATE_SNAT, 100, tuple("10.0.0.1", writer + 1, "10.0.0.2", 80), "1.1.1.1",
                        i);
}

static void contend(unsigned writer, unsigned i)
{
    struct state_rec r[2] = {contended(writer, i), own(writer, OWN + 1)};
    int rc = state_commit(table, r, 2, now, STATE_LOCAL, NULL);

    if (rc) {
        assert_int_equal(rc, -EEXIST);
        n_refused++;
        return;
    }
    n_won++;
    assert_int_equal(atomic_fetch_add(&holders[i], 1), 0);
    atomic_fetch_sub(&holders[i], 1);
    state_remove(table, &r[0]);
}

static void *writer(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg, seed = me + 1;
    bool in[OWN] = {0};

    rcu_register_thread();
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned i = (unsigned)rand_r(&seed) % OWN;
        struct state_rec r = own(me, i), out;
        struct state_tuple back = state_back(&r);
        assert_int_equal(state_find(table, r.kind, STATE_FORTH, r.device, &r.fwd, &out), in[i]);
        assert_int_equal(state_find(table, r.kind, STATE_BACK, r.device, &back, &out), in[i]);
        assert_int_equal(state_touch(table, &r, now), in[i]);
        if (in[i])
            state_remove(table, &r);
        else
            assert_int_equal(state_commit(table, &r, 1, now, STATE_LOCAL, NULL), 0);
        in[i] = !in[i];
        if (step % 4 == 0)
            contend(me, (unsigned)rand_r(&seed) % TUPLES);
        now++;
        rcu_quiescent_state();
    }
    rcu_unregister_thread();
    return NULL;
}

static void *reader(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;

    rcu_register_thread();
    while (!stop) {
        unsigned i = (unsigned)rand_r(&seed) % OWN;
        struct state_rec r = own((unsigned)rand_r(&seed) % WRITERS, i), out;
        struct state_tuple back = state_back(&r);
        if (state_find(table, r.kind, STATE_BACK, r.device, &back, &out))
            assert_memory_equal(&out, &r, sizeof r);
        if (state_find(table, r.kind, STATE_FORTH, r.device, &r.fwd, &out))
            assert_memory_equal(&out, &r, sizeof r);
        rcu_quiescent_state();
        sched_yield(); /* to those who have an end to reach */
    }
    rcu_unregister_thread();
    return NULL;
}

/* Nothing is idle long enough, but looking for it may not disturb. */
static void *sweeper(void *arg)
{
    struct state_info info[64];
    struct state_counters c;
    uint64_t at = 0;

    (void)arg;
    rcu_register_thread();
    while (!stop) {
        state_sweep(table, now, 256, NULL, NULL);
        uint32_t n = state_dump(table, &at, info, 64);
        for (uint32_t i = 0; i < n; i++)
            assert_true(info[i].rec.kind == STATE_SNAT || info[i].rec.kind == STATE_DNAT);
        state_counters(table, &c);
        assert_true(state_memory(table) > 0);
        rcu_quiescent_state();
        sched_yield();
    }
    rcu_unregister_thread();
    return NULL;
}

static void readers_and_writers(void **arg)
{
    const struct state_limits limits = {.max_records = 20000};
    pthread_t writers[WRITERS], others[READERS + 1];

    (void)arg;
    state_new(&limits, &table);
    rcu_thread_offline();
    for (unsigned i = 0; i < WRITERS; i++)
        pthread_create(&writers[i], NULL, writer, (void *)(uintptr_t)i);
    for (unsigned i = 0; i < READERS; i++)
        pthread_create(&others[i], NULL, reader, (void *)(uintptr_t)(i + 7));
    pthread_create(&others[READERS], NULL, sweeper, NULL);
    for (unsigned i = 0; i < WRITERS; i++)
        pthread_join(writers[i], NULL);
    stop = true;
    for (unsigned i = 0; i < READERS + 1; i++)
        pthread_join(others[i], NULL);
    rcu_thread_online();
    assert_int_equal(n_won + n_refused, WRITERS * STEPS / 4);
    assert_true(n_won > 0);
    state_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(readers_and_writers)};

    rcu_register_thread();
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_barrier();
    rcu_unregister_thread();
    return rc;
}
