/* Longest prefix match against a naive oracle, and the promise about examined bits. */
#include "topo_util.h"

#include <stdlib.h>

#include "topology/lpm.h"

static bool contains(const struct cidr *c, const struct ip *ip)
{
    return cidr_contains(c, ip);
}

static bool src_ok(const struct topo_route *r, const struct ip *src)
{
    return !r->src.len || contains(&r->src, src);
}

/* The rules of behaviour.md section 6, read aloud. */
static unsigned oracle(const struct topo_route *routes, size_t n, const struct ip *dst,
                       const struct ip *src, topo_lpm_usable *usable,
                       const struct topo_route **best)
{
    for (int len = 128; len >= 0; len--) {
        uint32_t weight = UINT32_MAX;
        unsigned n_best = 0;
        for (size_t i = 0; i < n; i++) {
            const struct topo_route *r = &routes[i];
            if (r->dst.len == len && contains(&r->dst, dst) && src_ok(r, src) && usable(r, NULL))
                weight = MIN(weight, r->weight);
        }
        for (size_t i = 0; i < n; i++) {
            const struct topo_route *r = &routes[i];
            if (r->dst.len == len && contains(&r->dst, dst) && src_ok(r, src) && usable(r, NULL) &&
                r->weight == weight)
                best[n_best++] = r;
        }
        if (n_best)
            return n_best;
    }
    return 0;
}

static bool port_odd(const struct topo_route *r, void *aux)
{
    (void)aux;
    return r->port & 1;
}

static bool any(const struct topo_route *r, void *aux)
{
    (void)r, (void)aux;
    return true;
}

static struct ip random_ip(struct random *r, bool v4)
{
    /* few distinct bits high up, so that prefixes nest and collide */
    struct ip ip = v4 ? ip_of("10.0.0.0") : ip_of("2001:db8::");

    for (int b = v4 ? 13 : 4; b < 16; b++)
        ip.b[b] = (uint8_t)(rnd(r) % 4 == 0 ? rnd(r) : rnd(r) & 0x81);
    return ip;
}

static struct cidr random_cidr(struct random *r, bool v4)
{
    struct cidr c = {random_ip(r, v4), 0};

    c.len = (uint8_t)(rnd(r) % (v4 ? 33 : 129));
    return c;
}

static void random_routes(struct random *r, struct topo_route *routes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool v4 = rnd(r) % 2;
        routes[i] = (struct topo_route){.id = uuid_n(rnd(r)),
                                        .dst = random_cidr(r, v4),
                                        .src = random_cidr(r, v4),
                                        .weight = (uint32_t)(rnd(r) % 3),
                                        .port = (topo_ref)(1 + rnd(r) % 9)};
        if (rnd(r) % 2)
            routes[i].src.len = 0;
        if (i && rnd(r) % 2)
            routes[i].dst = routes[rnd(r) % i].dst;
        if (rnd(r) % 8 == 0)
            routes[i].dst.len = 0;
    }
}

static void same_routes(const struct topo_lpm_result *a, const struct topo_route *const *best,
                        unsigned n)
{
    assert_int_equal(a->n, MIN(n, TOPO_LPM_BEST));
    for (unsigned i = 0; i < a->n; i++) {
        bool found = false;
        for (unsigned j = 0; j < n; j++)
            found |= uuid_equal(&a->best[i]->id, &best[j]->id);
        assert_true(found);
        if (i)
            assert_true(memcmp(&a->best[i - 1]->id, &a->best[i]->id, 16) < 0);
    }
}

/* 'ip' with everything behind the first 'bits' bits replaced. */
static struct ip scramble(const struct ip *ip, unsigned bits, struct random *r)
{
    struct ip out = *ip;

    for (unsigned i = bits; i < 128; i++) {
        uint8_t m = (uint8_t)(0x80 >> i % 8);
        if (rnd(r) % 2)
            out.b[i / 8] ^= m;
    }
    return out;
}

static bool same_answer(const struct topo_lpm_result *a, const struct topo_lpm_result *b)
{
    return a->n == b->n && !memcmp(a->best, b->best, a->n * sizeof a->best[0]);
}

static void check_one(const struct topo_lpm *l, const struct topo_route *routes, size_t n,
                      topo_lpm_usable *usable, struct random *r)
{
    const struct topo_route *best[64];
    struct topo_lpm_result got, again;
    bool v4 = rnd(r) % 2;
    struct ip dst = random_ip(r, v4), src = random_ip(r, v4);
    unsigned n_best = oracle(routes, n, &dst, &src, usable, best);

    topo_lpm_lookup(l, &dst, &src, usable, NULL, &got);
    same_routes(&got, best, n_best);
    assert_in_range(got.dst_bits, v4 ? 96 : 0, 128);
    for (int i = 0; i < 20; i++) {
        struct ip d = scramble(&dst, got.dst_bits, r);
        struct ip s = scramble(&src, got.src_bits ? got.src_bits : v4 ? 96 : 0, r);
        topo_lpm_lookup(l, &d, &s, usable, NULL, &again);
        assert_true(same_answer(&got, &again));
    }
}

static void agrees_with_the_oracle(void **state)
{
    struct random r = {12345};
    struct topo_route routes[64];

    for (int round = 0; round < 1500; round++) {
        size_t n = rnd(&r) % 64;
        random_routes(&r, routes, n);
        struct topo_lpm *l = topo_lpm_build(routes, n);
        assert_int_equal(topo_lpm_size(l), n);
        for (int i = 0; i < 30; i++)
            check_one(l, routes, n, i % 2 ? port_odd : any, &r);
        topo_lpm_free(l);
    }
    (void)state;
}

/* One bit fewer would be wrong: some address that agrees in all but the last examined bit meets
 * another set of prefixes.  (Without source prefixes and filters the sets are the answers.) */
static void examined_bits_are_minimal(void **state)
{
    struct random r = {777};
    struct topo_route routes[24];

    for (int round = 0; round < 3000; round++) {
        size_t n = 1 + rnd(&r) % 24;
        random_routes(&r, routes, n);
        for (size_t i = 0; i < n; i++)
            routes[i].src.len = 0;
        struct topo_lpm *l = topo_lpm_build(routes, n);
        bool v4 = rnd(&r) % 2;
        struct ip dst = random_ip(&r, v4), src = random_ip(&r, v4);
        struct topo_lpm_result got, other;
        topo_lpm_lookup(l, &dst, &src, NULL, NULL, &got);
        assert_int_equal(got.src_bits, 0);
        bool needed = got.dst_bits == (v4 ? 96 : 0);
        for (size_t i = 0; i < n && !needed; i++) {
            /* candidates: each prefix's network, and dst with the bit flipped */
            struct ip d = cidr_network(&routes[i].dst), flipped = dst;
            flipped.b[(got.dst_bits - 1) / 8] ^= (uint8_t)(0x80 >> (got.dst_bits - 1) % 8);
            if (ip_is4(&d) != v4 || !ip_prefix_equal(&d, &dst, got.dst_bits - 1))
                d = flipped;
            topo_lpm_lookup(l, &d, &src, NULL, NULL, &other);
            needed |= !same_answer(&got, &other);
            topo_lpm_lookup(l, &flipped, &src, NULL, NULL, &other);
            needed |= !same_answer(&got, &other);
        }
        assert_true(needed);
        topo_lpm_free(l);
    }
    (void)state;
}

static struct topo_route route(uint64_t id, const char *dst, const char *src, uint32_t weight)
{
    return (struct topo_route){
        .id = uuid_n(id), .dst = cidr_of(dst), .src = cidr_of(src), .weight = weight, .port = 1};
}

static unsigned id_of(const struct topo_lpm_result *res, unsigned i)
{
    return res->best[i]->id.b[15];
}

static void worked_example(void **state)
{
    const struct topo_route routes[] = {
        route(1, "0.0.0.0/0", "0.0.0.0/0", 10),    route(2, "10.0.0.7/8", "0.0.0.0/0", 5),
        route(3, "10.1.0.0/16", "10.2.0.0/16", 5), route(4, "10.1.0.0/16", "10.2.3.0/24", 9),
        route(5, "10.0.0.0/8", "0.0.0.0/0", 5),    route(6, "::/0", "::/0", 0),
        route(7, "2001:db8::/32", "::/0", 0),
    };
    struct topo_lpm *l = topo_lpm_build(routes, ARRAY_SIZE(routes));
    struct topo_lpm_result res;
    struct ip a = ip_of("10.1.9.9"), b = ip_of("10.2.3.4"), c = ip_of("11.0.0.1"),
              d = ip_of("8.8.8.8"), v6 = ip_of("2001:db8::1"), w6 = ip_of("fd00::1");

    topo_lpm_lookup(l, &a, &b, NULL, NULL, &res); /* the heavier /24 route can't win */
    assert_int_equal(res.n, 1);
    assert_int_equal(id_of(&res, 0), 3);
    assert_int_equal(res.dst_bits, 96 + 16);
    assert_int_equal(res.src_bits, 96 + 16);
    topo_lpm_lookup(l, &a, &c, NULL, NULL, &res); /* source not in 10/8: next shorter prefix */
    assert_int_equal(res.n, 2);
    assert_int_equal(id_of(&res, 0), 2);
    assert_int_equal(id_of(&res, 1), 5);
    assert_int_equal(res.dst_bits, 96 + 8); /* from this source all of 10/8 goes the same way */
    assert_int_equal(res.src_bits, 96 + 8); /* 11 = 00001011 leaves 10 = 00001010 at bit 8 */
    topo_lpm_lookup(l, &d, &c, NULL, NULL, &res);
    assert_int_equal(id_of(&res, 0), 1);
    assert_int_equal(res.dst_bits, 96 + 7); /* 8 = 00001000 leaves 10 at bit 7 */
    topo_lpm_lookup(l, &v6, &w6, NULL, NULL, &res);
    assert_int_equal(id_of(&res, 0), 7);
    assert_int_equal(res.dst_bits, 32);
    topo_lpm_lookup(l, &w6, &v6, NULL, NULL, &res); /* no IPv4 route answers for "::/0" */
    assert_int_equal(id_of(&res, 0), 6);
    assert_int_equal(res.dst_bits, 1);
    assert_true(topo_lpm_memory(l) > sizeof routes);
    topo_lpm_free(l);
    (void)state;
}

static void empty_and_null(void **state)
{
    struct topo_lpm *l = topo_lpm_build(NULL, 0);
    struct topo_lpm_result res;
    struct ip a = ip_of("10.1.9.9"), v6 = ip_of("::1");

    topo_lpm_lookup(l, &a, &a, NULL, NULL, &res);
    assert_int_equal(res.n, 0);
    assert_int_equal(res.dst_bits, 96);
    topo_lpm_lookup(NULL, &v6, &v6, NULL, NULL, &res);
    assert_int_equal(res.n, 0);
    assert_int_equal(res.dst_bits, 0);
    assert_int_equal(topo_lpm_size(NULL), 0);
    assert_int_equal(topo_lpm_memory(NULL), 0);
    topo_lpm_free(l);
    topo_lpm_free(NULL);
    (void)state;
}

static void more_equals_than_fit(void **state)
{
    struct topo_route routes[100];
    struct topo_lpm_result res;
    struct ip a = ip_of("10.1.9.9");

    for (unsigned i = 0; i < 100; i++)
        routes[i] = route(99 - i, "10.0.0.0/8", "0.0.0.0/0", 1);
    struct topo_lpm *l = topo_lpm_build(routes, 100);
    topo_lpm_lookup(l, &a, &a, NULL, NULL, &res);
    assert_int_equal(res.n, TOPO_LPM_BEST);
    for (unsigned i = 0; i < TOPO_LPM_BEST; i++)
        assert_int_equal(id_of(&res, i), i);
    topo_lpm_free(l);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_oracle), cmocka_unit_test(examined_bits_are_minimal),
        cmocka_unit_test(worked_example),         cmocka_unit_test(empty_and_null),
        cmocka_unit_test(more_equals_than_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
