#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/flowtable.h"
#include "base/clock.h"
#include "packet/packet.h"

#define SEC NSEC_PER_SEC

/* A routed IPv4 UDP flow number n. */
static void make_flow(unsigned n, struct flow_key *key, struct flow_key *mask)
{
    *key = (struct flow_key){.in_port = 1 + n % 3,
                             .eth_src = {{2, 0, 0, 0, 0, 1}},
                             .eth_dst = {{2, 0, 0, 0, 0, 2}},
                             .eth_type = ETH_TYPE_IP,
                             .ip_src = ip_from4(0x0100000a),
                             .ip_dst = ip_from4(0x0200000a + (n << 8)),
                             .ip_proto = 17,
                             .ip_ttl = 64,
                             .tp_src = (uint16_t)n,
                             .tp_dst = (uint16_t)(n >> 16)};
    *mask = (struct flow_key){.eth_src = mac_broadcast,
                              .eth_dst = mac_broadcast,
                              .eth_type = UINT16_MAX,
                              .ip_proto = UINT8_MAX,
                              .ip_ttl = UINT8_MAX,
                              .tp_src = UINT16_MAX,
                              .tp_dst = UINT16_MAX};
    memset(&mask->ip_src, 0xff, 16);
    memset(&mask->ip_dst, 0xff, 16);
}

static int put2(struct flowtable *ft, unsigned n, enum ft_class class, uint64_t now, uint32_t outs,
                tag_t tag, tag_t other, uint32_t *id)
{
    struct flow_key key, mask;

    make_flow(n, &key, &mask);
    struct ft_flow f = {.key = &key,
                        .mask = &mask,
                        .class = class,
                        .outs_hash = outs,
                        .tags = (tag_t[]){7, tag, other},
                        .n_tags = 3};
    struct ft_done done = {0};
    int rc = ft_put(ft, &f, now, &done);
    *id = done.id;
    return rc;
}

static int put(struct flowtable *ft, unsigned n, enum ft_class class, uint64_t now, uint32_t outs,
               tag_t tag, uint32_t *id)
{
    return put2(ft, n, class, now, outs, tag, 9, id);
}

static uint64_t cookie_of(unsigned n)
{
    struct flow_key key, mask;

    make_flow(n, &key, &mask);
    return ft_cookie(&key, &mask);
}

static void names_survive_folding(void **state)
{
    struct flowtable *ft = ft_new(NULL);
    struct flow_key key, mask, k, m;
    struct ft_done done;
    uint32_t id;

    assert_int_equal(put(ft, 70000, FT_FORWARD, SEC, 1, 100, &id), FT_NEW);
    make_flow(70000, &key, &mask);
    assert_int_equal(ft_find(ft, &key, &mask), id);
    ft_key(ft, id, &k, &m);
    assert_int_equal(k.ip_ttl, 0); /* never matched by a datapath */
    assert_int_equal(m.ip_ttl, 0);
    assert_int_equal(m.in_port, UINT32_MAX);
    key.ip_ttl = mask.ip_ttl = 0;
    mask.in_port = UINT32_MAX;
    assert_memory_equal(&k, &key, sizeof k);
    assert_memory_equal(&m, &mask, sizeof m);
    assert_int_equal(ft_cookie(&key, &mask), ft_cookie(&k, &m));

    /* IPv6, and a mask that looks at half of an address */
    ip_parse("2001:db8::1", &key.ip_dst);
    key.eth_type = ETH_TYPE_IP6;
    memset(&mask.ip_dst, 0, 16);
    memset(&mask.ip_dst, 0xff, 7);
    struct ft_flow f = {
        .key = &key, .mask = &mask, .class = FT_DROP, .tags = (tag_t[]){1}, .n_tags = 1};
    assert_int_equal(ft_put(ft, &f, SEC, &done), FT_NEW);
    ft_key(ft, done.id, &k, &m);
    struct flow_key want;
    flow_key_and(&want, &key, &mask);
    assert_memory_equal(&k, &want, sizeof k);
    assert_int_equal(ft_n_masks(ft), 2);
    ft_free(ft);
    (void)state;
}

static void duplicates_merge(void **state)
{
    struct flowtable *ft = ft_new(NULL);
    uint32_t a, b;

    assert_int_equal(put(ft, 1, FT_FORWARD, SEC, 1, 100, &a), FT_NEW);
    assert_int_equal(put(ft, 1, FT_FORWARD, SEC, 1, 101, &b), FT_SAME);
    assert_int_equal(a, b);
    assert_int_equal(ft_n_flows(ft), 1);
    assert_false(ft_has_tag(ft, 100)); /* the newer simulation's tags count */
    assert_true(ft_has_tag(ft, 101));
    assert_int_equal(put(ft, 1, FT_DROP, SEC, 2, 101, &b), FT_CHANGED);
    assert_int_equal(ft_n_class(ft, FT_FORWARD), 0);
    assert_int_equal(ft_n_class(ft, FT_DROP), 1);
    ft_free(ft);
    (void)state;
}

/* A miss of a flow long installed means that the datapath lost it. */
static void lost_flow_is_installed_again(void **state)
{
    struct flowtable *ft = ft_new(NULL);
    struct flow_key key, mask;
    struct ft_done done;

    make_flow(1, &key, &mask);
    struct ft_flow f = {.key = &key, .mask = &mask, .class = FT_FORWARD, .missed = true};
    assert_int_equal(ft_put(ft, &f, SEC, &done), FT_NEW);
    assert_int_equal(ft_put(ft, &f, SEC + SEC / 10, &done), FT_SAME);
    assert_int_equal(ft_put(ft, &f, 10 * SEC, &done), FT_CHANGED);
    ft_free(ft);
    (void)state;
}

static size_t look(struct flowtable *ft, uint64_t now, unsigned budget, uint32_t *ids, size_t max)
{
    return ft_look(ft, now, &budget, ids, max);
}

static void invalidation_is_exact(void **state)
{
    struct flowtable *ft = ft_new(NULL);
    struct ft_info info;
    uint32_t ids[100];

    for (unsigned i = 0; i < 100; i++)
        put(ft, i, FT_FORWARD, SEC, 1, 100 + i % 10, &ids[i]);
    assert_int_equal(ft_invalidate(ft, 103, SEC), 10);
    assert_int_equal(ft_invalidate(ft, 5000, SEC), 0);
    assert_int_equal(ft_n_due(ft), 10);
    for (unsigned i = 0; i < 100; i++) {
        ft_info(ft, ids[i], SEC, &info);
        assert_int_equal(info.due, i % 10 == 3);
    }
    uint32_t due = ft_due(ft);
    ft_info(ft, due, SEC, &info);
    unsigned n = info.key.tp_src;
    assert_int_equal(put(ft, n, FT_FORWARD, 2 * SEC, 1, 103, &due), FT_SAME);
    assert_int_equal(ft_n_due(ft), 9);
    while ((due = ft_due(ft)))
        ft_remove(ft, due);
    assert_int_equal(ft_n_flows(ft), 91);
    ft_invalidate_all(ft, SEC);
    assert_int_equal(ft_n_due(ft), 91);
    ft_free(ft);
    (void)state;
}

/* The flow number i: odd ones have a set of tags of their own. */
static void put_tagged(struct flowtable *ft, unsigned i, uint64_t now, uint32_t *ids)
{
    put2(ft, i, FT_FORWARD, now, 1, 100, 1000 + (i % 2 ? i : i / 5000), &ids[i]);
}

/* Flows by the ten thousand on one tag, in shared sets and in sets of their own: the first are due
 * at once, the others piece by piece, while flows go and are simulated again. */
static void invalidation_in_pieces(void **state)
{
    enum { N = 20000, AGAIN = 5 /* it changes once more behind this turn */ };
    struct flowtable *ft = ft_new(NULL);
    uint32_t *ids = NEW_ARRAY(N, uint32_t), id;
    int *simulated = NEW_ARRAY(N, int);
    struct ft_info info;
    int turn = 1;

    for (unsigned i = 0; i < N; i++)
        put_tagged(ft, i, SEC, ids);
    assert_in_range(ft_invalidate(ft, 100, 2 * SEC), 1000, 2000);
    for (; ft_invalidating(ft); turn++) {
        assert_true(turn < 1000);
        for (unsigned k = 0; k < 20 && (id = ft_due(ft)); k++) { /* some that are due */
            ft_info(ft, id, 2 * SEC, &info);
            put_tagged(ft, info.key.tp_src, 3 * SEC, ids);
            simulated[info.key.tp_src] = turn;
        }
        for (unsigned k = 0; k < 10; k++) {
            unsigned i = ((unsigned)turn * 10 + k) * 13 % N;
            if (ids[i])
                ft_remove(ft, ids[i]);
            ids[i] = 0;
        }
        assert_true(ft_invalidate_more(ft, 100, 2 * SEC) <= 100);
        if (turn == AGAIN)
            ft_invalidate(ft, 100, 2 * SEC);
    }
    assert_true(turn > 100);
    for (unsigned i = 0; i < N; i++) {
        if (!ids[i])
            continue;
        ft_info(ft, ids[i], 3 * SEC, &info);
        assert_true(info.due || simulated[i] > AGAIN);
    }
    ft_invalidate_all(ft, 4 * SEC);
    while (ft_invalidating(ft))
        ft_invalidate_more(ft, 1000, 4 * SEC);
    assert_int_equal(ft_n_due(ft), ft_n_flows(ft));
    ft_free(ft);
    free(ids);
    free(simulated);
    (void)state;
}

/* More tags with many flows at once than are walked side by side: then all flows are due. */
static void too_many_invalidations(void **state)
{
    enum { TAGS = 2 * TI_WALKS, EACH = 1100 };
    struct flowtable *ft = ft_new(NULL);
    uint32_t id;

    for (unsigned i = 0; i < TAGS * EACH; i++)
        put(ft, i, FT_FORWARD, SEC, 1, 100 + i / EACH, &id);
    put(ft, TAGS * EACH, FT_FORWARD, SEC, 1, 99, &id);
    for (unsigned t = 0; t < TAGS; t++)
        ft_invalidate(ft, 100 + t, 2 * SEC);
    while (ft_invalidating(ft))
        ft_invalidate_more(ft, 1000, 2 * SEC);
    assert_in_range(ft_n_due(ft), TAGS * EACH, TAGS * EACH + 1);
    ft_free(ft);
    (void)state;
}

static void eviction_has_an_order(void **state)
{
    struct flowtable *ft = ft_new(&(struct ft_limits){.max_flows = 4});
    uint32_t id, n_new, forward, drop, shorts[2];

    put(ft, 0, FT_FORWARD, 1 * SEC, 1, 100, &forward);
    put(ft, 1, FT_DROP, 2 * SEC, 0, 100, &drop);
    put(ft, 2, FT_SHORT, 3 * SEC, 0, 100, &shorts[0]);
    put(ft, 3, FT_SHORT, 4 * SEC, 0, 100, &shorts[1]);
    assert_int_equal(put(ft, 4, FT_FORWARD, 5 * SEC, 1, 100, &id), -ENOSPC);
    assert_int_equal(ft_note(ft, cookie_of(2), 5, 5 * SEC, &n_new), shorts[0]);
    assert_int_equal(n_new, 5);
    assert_int_equal(ft_victim(ft), shorts[1]); /* unused for longer */
    ft_remove(ft, shorts[1]);
    assert_int_equal(put(ft, 4, FT_FORWARD, 5 * SEC, 1, 100, &id), FT_NEW);
    assert_int_equal(ft_victim(ft), shorts[0]);
    ft_remove(ft, shorts[0]);
    assert_int_equal(ft_victim(ft), drop);
    ft_remove(ft, drop);
    assert_int_equal(ft_victim(ft), forward);
    ft_remove(ft, forward);
    ft_invalidate_all(ft, SEC);
    assert_int_equal(ft_victim(ft), id);
    ft_free(ft);
    (void)state;
}

static void idle_flows_go_and_used_ones_are_simulated_again(void **state)
{
    struct flowtable *ft = ft_new(NULL);
    uint32_t idle, used, brief, n_new, ids[8];
    uint64_t packets = 0;
    bool gone_idle = false, gone_brief = false;

    put(ft, 0, FT_FORWARD, SEC, 1, 100, &idle);
    put(ft, 1, FT_FORWARD, SEC, 1, 100, &used);
    put(ft, 2, FT_SHORT, SEC, 0, 100, &brief);
    for (uint64_t t = 2; t <= 90; t++) {
        ft_note(ft, cookie_of(1), ++packets, t * SEC, &n_new);
        assert_int_equal(n_new, 1);
        size_t n = look(ft, t * SEC, 10, ids, 8);
        for (size_t i = 0; i < n; i++) {
            assert_int_not_equal(ids[i], used);
            assert_true(t >= (ids[i] == brief ? 6 : 61));
            assert_true(t <= (ids[i] == brief ? 7 : 77));
            gone_idle |= ids[i] == idle;
            gone_brief |= ids[i] == brief;
            ft_remove(ft, ids[i]);
        }
    }
    assert_true(gone_idle && gone_brief);
    assert_int_equal(ft_due(ft), used);
    assert_int_equal(ft_note(ft, 12345, 1, SEC, &n_new), 0);
    ft_free(ft);
    (void)state;
}

static void looking_keeps_to_its_budget(void **state)
{
    struct flowtable *ft = ft_new(NULL);
    uint32_t id, ids[64];

    for (unsigned i = 0; i < 64; i++)
        put(ft, i, i % 2 ? FT_SHORT : FT_DROP, SEC, 0, 100, &id);
    assert_int_equal(look(ft, 100 * SEC, 10, ids, 64), 10);
    assert_int_equal(look(ft, 100 * SEC, 1000, ids, 7), 7);
    assert_int_equal(look(ft, 100 * SEC, 1000, ids, 64), 64);
    ft_free(ft);
    (void)state;
}

static void adopted_flows_are_due(void **state)
{
    struct flowtable *ft = ft_new(NULL);
    struct flow_key key, mask;
    uint32_t id, n_new;

    make_flow(5, &key, &mask);
    assert_int_equal(ft_adopt(ft, &key, &mask, 77, SEC), 0);
    assert_int_equal(ft_adopt(ft, &key, &mask, 77, SEC), 0);
    assert_int_equal(ft_n_flows(ft), 1);
    assert_int_equal(ft_note(ft, cookie_of(5), 10, SEC, &n_new), ft_due(ft));
    assert_int_equal(put(ft, 5, FT_FORWARD, SEC, 77, 100, &id), FT_SAME);
    assert_int_equal(ft_due(ft), 0);
    assert_int_equal(ft_invalidate(ft, 100, SEC), 1);
    ft_free(ft);
    (void)state;
}

static void deferred_flows_wait_for_their_tags(void **state)
{
    struct flowtable *ft = ft_new(NULL);
    uint32_t id, ids[4];

    put(ft, 1, FT_FORWARD, SEC, 1, 100, &id);
    ft_invalidate(ft, 100, 2 * SEC);
    assert_true(ft_defer(ft, id, (tag_t[]){55}, 1, 2 * SEC));
    assert_int_equal(ft_due(ft), 0);
    assert_int_equal(ft_invalidate(ft, 100, 3 * SEC), 0);
    assert_int_equal(ft_tagged(ft, 55), id);
    assert_int_equal(ft_invalidate(ft, 55, 3 * SEC), 1);
    assert_int_equal(ft_due(ft), id);
    assert_true(ft_defer(ft, id, (tag_t[]){56}, 1, 4 * SEC));
    assert_int_equal(look(ft, 5 * SEC, 10, ids, 4), 0);
    assert_int_equal(look(ft, 8 * SEC, 10, ids, 4), 1);
    ft_invalidate(ft, 56, 8 * SEC);
    assert_false(ft_defer(ft, id, (tag_t[]){56}, 1, 8 * SEC)); /* due since 2 s */
    ft_remove(ft, id);
    assert_int_equal(ft_tagged(ft, 56), 0);
    ft_free(ft);
    (void)state;
}

static void walking_finds_each_once(void **state)
{
    struct flowtable *ft = ft_new(NULL);
    uint32_t id, n = 0;

    for (unsigned i = 0; i < 1000; i++)
        put(ft, i, FT_FORWARD, SEC, 1, 100, &id);
    for (id = ft_next(ft, 0); id; id = ft_next(ft, id), n++)
        if (n % 2)
            ft_remove(ft, id);
    assert_int_equal(n, 1000);
    for (n = 0, id = ft_next(ft, 0); id; id = ft_next(ft, id))
        n++;
    assert_int_equal(n, 500);
    ft_free(ft);
    (void)state;
}

/* Not an assertion of a figure, but of the promise in the header: with shared tags below 250. */
static void bytes_per_flow(void **state)
{
    struct flowtable *ft = ft_new(&(struct ft_limits){.max_flows = 100000});
    uint32_t id;

    for (unsigned i = 0; i < 100000; i++)
        put(ft, i, FT_FORWARD, SEC, 1, 100 + i % 1000, &id);
    assert_int_equal(ft_n_flows(ft), 100000);
    assert_true(ft_memory(ft) / 100000 <= 250);
    ft_free(ft);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_survive_folding),
        cmocka_unit_test(duplicates_merge),
        cmocka_unit_test(lost_flow_is_installed_again),
        cmocka_unit_test(invalidation_is_exact),
        cmocka_unit_test(invalidation_in_pieces),
        cmocka_unit_test(too_many_invalidations),
        cmocka_unit_test(eviction_has_an_order),
        cmocka_unit_test(idle_flows_go_and_used_ones_are_simulated_again),
        cmocka_unit_test(looking_keeps_to_its_budget),
        cmocka_unit_test(adopted_flows_are_due),
        cmocka_unit_test(deferred_flows_wait_for_their_tags),
        cmocka_unit_test(walking_finds_each_once),
        cmocka_unit_test(bytes_per_flow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
