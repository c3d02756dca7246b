#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/tagindex.h"

static unsigned n_sets_with(struct tagindex *ti, tag_t tag)
{
    unsigned n = 0;

    ti_walk(ti, 3, tag);
    while (ti_walk_next(ti, 3))
        n++;
    return n;
}

static void equal_sets_are_one(void **state)
{
    struct tagindex *ti = ti_new(100);
    uint32_t a = ti_take(ti, (tag_t[]){3, 1, 2}, 3);
    uint32_t b = ti_take(ti, (tag_t[]){1, 2, 3, 3, 1}, 5);
    uint32_t c = ti_take(ti, (tag_t[]){1, 2}, 2);
    tag_t tags[3];

    assert_int_equal(a, b);
    assert_int_not_equal(a, c);
    assert_int_equal(ti_n_sets(ti), 2);
    assert_int_equal(ti_tags(ti, a, tags, 3), 3);
    assert_int_equal(tags[0], 1);
    assert_int_equal(tags[2], 3);
    ti_release(ti, a);
    assert_int_equal(n_sets_with(ti, 3), 1);
    ti_release(ti, b);
    assert_int_equal(n_sets_with(ti, 3), 0);
    assert_int_equal(n_sets_with(ti, 1), 1);
    assert_int_equal(ti_n_tags(ti), 2);
    ti_release(ti, c);
    assert_int_equal(ti_n_tags(ti), 0);
    ti_free(ti);
    (void)state;
}

/* A set of 1,000 tags (a flood to as many ports) spans blocks; every tag leads back to it. */
static void long_sets(void **state)
{
    struct tagindex *ti = ti_new(100);
    tag_t tags[1000], back[1000];

    for (size_t i = 0; i < 1000; i++)
        tags[i] = (i * 7919) % 1000 + 1;
    uint32_t set = ti_take(ti, tags, 1000);
    *ti_results(ti, set) = 42;
    assert_int_equal(ti_tags(ti, set, back, 1000), 1000);
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(back[i], i + 1);
        assert_int_equal(n_sets_with(ti, i + 1), 1);
    }
    assert_int_equal(ti_take(ti, tags, 1000), set);
    assert_int_equal(*ti_results(ti, set), 42);
    ti_release(ti, set);
    ti_release(ti, set);
    assert_int_equal(ti_n_tags(ti), 0);
    ti_free(ti);
    (void)state;
}

static void bound_holds(void **state)
{
    struct tagindex *ti = ti_new(2);
    uint32_t a = ti_take(ti, (tag_t[]){1}, 1), b = ti_take(ti, (tag_t[]){2}, 1);

    assert_int_equal(ti_take(ti, (tag_t[]){3}, 1), 0);
    assert_false(ti_has(ti, 3));
    ti_release(ti, a);
    assert_int_not_equal(ti_take(ti, (tag_t[]){3}, 1), 0);
    assert_int_not_equal(b, 0);
    ti_free(ti);
    (void)state;
}

/* Against a plain table: random takes and releases of random sets. */
static void agrees_with_a_model(void **state)
{
    enum { N = 200, TAGS = 24 };
    struct tagindex *ti = ti_new(N);
    uint32_t sets[N] = {0}, members[N] = {0};
    unsigned seed = 1;

    for (unsigned round = 0; round < 20000; round++) {
        unsigned i = (unsigned)rand_r(&seed) % N;
        if (sets[i]) {
            ti_release(ti, sets[i]);
            sets[i] = 0;
        } else {
            tag_t tags[TAGS];
            size_t n = 0;
            members[i] = (uint32_t)rand_r(&seed) & ((1u << TAGS) - 1);
            for (unsigned t = 0; t < TAGS; t++)
                if (members[i] >> t & 1)
                    tags[n++] = t + 1;
            sets[i] = ti_take(ti, tags, n);
            assert_int_not_equal(sets[i], 0);
        }
        if (round % 500)
            continue;
        for (unsigned t = 0; t < TAGS; t++) {
            unsigned want = 0;
            for (unsigned a = 0; a < N; a++) {
                bool counted = false; /* equal sets count once */
                for (unsigned b = 0; b < a; b++)
                    counted |= sets[b] && sets[b] == sets[a];
                want += sets[a] && !counted && (members[a] >> t & 1);
            }
            assert_int_equal(n_sets_with(ti, t + 1), want);
        }
    }
    ti_free(ti);
    (void)state;
}

/* A walk meets every set that is there from its beginning to when it comes by, whatever comes and
 * goes meanwhile; two at once don't disturb each other. */
static void walks_outlive_changes(void **state)
{
    enum { SETS = 3000 };
    struct tagindex *ti = ti_new(2 * SETS);
    uint32_t sets[SETS], set;
    bool met[SETS] = {0};
    unsigned n = 0, all = 0;

    for (unsigned i = 0; i < SETS; i++)
        sets[i] = ti_take(ti, (tag_t[]){7, 1000 + i}, 2);
    ti_walk(ti, 0, 7);
    ti_walk(ti, 1, 7);
    while ((set = ti_walk_next(ti, 0))) {
        for (unsigned i = 0; i < SETS; i++)
            if (sets[i] == set) {
                assert_false(met[i]);
                met[i] = true;
            }
        n++;
        unsigned gone = (n * 37) % SETS; /* one goes, perhaps the next; one comes */
        if (sets[gone])
            ti_release(ti, sets[gone]);
        sets[gone] = 0;
        ti_take(ti, (tag_t[]){7, 100000 + n}, 2);
        if (n % 3 == 0)
            all += ti_walk_next(ti, 1) != 0;
    }
    for (unsigned i = 0; i < SETS; i++)
        assert_true(met[i] || !sets[i]);
    while ((set = ti_walk_next(ti, 1)))
        all++;
    assert_true(all >= n / 3 && all <= SETS);
    assert_int_equal(ti_walk_next(ti, 0), 0);
    ti_free(ti);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks_outlive_changes),
        cmocka_unit_test(equal_sets_are_one),
        cmocka_unit_test(long_sets),
        cmocka_unit_test(bound_holds),
        cmocka_unit_test(agrees_with_a_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
