/* The control thread's turns (mn-agent/turns.h): one that is due comes, whatever the last one took.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../mn-agent/turns.h"
#include "agent/inbox.h"
#include "base/clock.h"
#include "topology/topology.h"

#define PATIENCE 120 /* seconds; then the loop sleeps for good, and SIGALRM ends the test */

struct rig {
    uv_loop_t loop;
    struct inbox inbox;
    struct turns turns;
    unsigned n, end; /* turns had, turns to have */
    uint64_t takes_ns, next_ns;
    bool posts;
};

static uint64_t turn(void *aux)
{
    struct rig *r = aux;
    uint64_t until = clock_ns() + r->takes_ns;
    struct tag_change *changes = NULL;
    struct inbox_call *calls;
    size_t room = 0;
    bool all;

    inbox_take(&r->inbox, &changes, &room, &all, &calls);
    while (clock_ns() < until)
        usleep(1000);
    if (++r->n >= r->end)
        turns_stop(&r->turns);
    else if (r->posts)
        inbox_wake(&r->inbox);
    return r->next_ns;
}

static void expect_turns(unsigned n, uint64_t takes_ns, uint64_t next_ns, bool posts)
{
    struct rig r = {.end = n, .takes_ns = takes_ns, .next_ns = next_ns, .posts = posts};

    alarm(PATIENCE);
    rcu_register_thread();
    assert_int_equal(inbox_init(&r.inbox), 0);
    assert_int_equal(uv_loop_init(&r.loop), 0);
    assert_int_equal(turns_start(&r.turns, &r.loop, &r.inbox, turn, &r), 0);
    assert_int_equal(uv_run(&r.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&r.loop), 0);
    assert_int_equal(r.n, n);
    inbox_free(&r.inbox);
    rcu_unregister_thread();
    alarm(0);
}

static void test_at_once(void **state)
{
    (void)state;
    expect_turns(100, 0, 0, false);
}

static void test_later(void **state)
{
    (void)state;
    expect_turns(20, 0, NSEC_PER_MSEC, false);
}

/* The next one's time has passed before this one ends. */
static void test_longer_than_until_the_next(void **state)
{
    (void)state;
    expect_turns(20, 5 * NSEC_PER_MSEC, NSEC_PER_MSEC, false);
    expect_turns(20, 5 * NSEC_PER_MSEC, 1, false);
}

/* What was posted during a turn isn't slept over. */
static void test_posted(void **state)
{
    (void)state;
    expect_turns(100, 0, UINT64_MAX, true);
}

static void *post_until_seen(void *aux)
{
    struct rig *r = aux;

    for (unsigned seen = 0; seen < r->end; seen = __atomic_load_n(&r->n, __ATOMIC_ACQUIRE)) {
        inbox_wake(&r->inbox);
        usleep(100);
    }
    return NULL;
}

static uint64_t count(void *aux)
{
    struct rig *r = aux;
    struct tag_change *changes = NULL;
    struct inbox_call *calls;
    size_t room = 0;
    bool all;

    inbox_take(&r->inbox, &changes, &room, &all, &calls);
    if (__atomic_add_fetch(&r->n, 1, __ATOMIC_ACQ_REL) == r->end)
        turns_stop(&r->turns);
    return UINT64_MAX;
}

static void test_woken(void **state)
{
    struct rig r = {.end = 200};
    pthread_t poster;

    (void)state;
    alarm(PATIENCE);
    rcu_register_thread();
    assert_int_equal(inbox_init(&r.inbox), 0);
    assert_int_equal(uv_loop_init(&r.loop), 0);
    assert_int_equal(turns_start(&r.turns, &r.loop, &r.inbox, count, &r), 0);
    assert_int_equal(pthread_create(&poster, NULL, post_until_seen, &r), 0);
    assert_int_equal(uv_run(&r.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&r.loop), 0);
    pthread_join(poster, NULL);
    inbox_free(&r.inbox);
    rcu_unregister_thread();
    alarm(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_at_once),
        cmocka_unit_test(test_later),
        cmocka_unit_test(test_longer_than_until_the_next),
        cmocka_unit_test(test_posted),
        cmocka_unit_test(test_woken),
    };

    return cmocka_run_group_tests_name("turns", tests, NULL, NULL);
}
