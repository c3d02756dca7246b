/* The registry of destination tags, against all pairs compared one by one. */
#include "topo_util.h"

#include <stdlib.h>

#include "topology/dst_tags.h"

enum { N = 400 };

struct model {
    struct tag_dst in[N];
    bool used[N];
    size_t n;
    tag_t got[4 * N];
    size_t n_got;
};

static void note(tag_t tag, void *aux)
{
    struct model *m = aux;

    assert_true(m->n_got < ARRAY_SIZE(m->got));
    m->got[m->n_got++] = tag;
}

static bool in_use(tag_t tag, void *aux)
{
    struct model *m = aux;

    for (size_t i = 0; i < m->n; i++) {
        if (m->used[i] && tag_of_dst(&m->in[i]) == tag)
            return true;
    }
    return false;
}

static struct ip random_ip(struct random *r, bool v4)
{
    struct ip ip = v4 ? ip_of("10.0.0.0") : ip_of("2001:db8::");

    for (int b = v4 ? 13 : 4; b < 16; b++)
        ip.b[b] = (uint8_t)(rnd(r) & 0xc1);
    return ip;
}

static struct tag_dst random_dst(struct random *r)
{
    bool v4 = rnd(r) % 2;

    return (struct tag_dst){.router = (topo_ref)(1 + rnd(r) % 3),
                            .dst = random_ip(r, v4),
                            .bits = (uint8_t)(v4 ? 96 + rnd(r) % 33 : rnd(r) % 129)};
}

static bool got(const struct model *m, tag_t tag)
{
    for (size_t i = 0; i < m->n_got; i++) {
        if (m->got[i] == tag)
            return true;
    }
    return false;
}

static bool intersects(const struct tag_dst *d, topo_ref router, const struct cidr *c)
{
    unsigned len = cidr_len128(c);

    return d->router == router && ip_is4(&d->dst) == ip_is4(&c->addr) &&
           ip_prefix_equal(&d->dst, &c->addr, MIN(d->bits, len));
}

static void check_change(struct model *m, struct dst_tags *d, topo_ref router, struct cidr c)
{
    size_t expected = 0;

    m->n_got = 0;
    dst_tags_changed(d, router, &c, note, m);
    for (size_t i = 0; i < m->n; i++) {
        bool twin = false;
        for (size_t j = 0; j < i && !twin; j++)
            twin = tag_of_dst(&m->in[j]) == tag_of_dst(&m->in[i]);
        assert_int_equal(got(m, tag_of_dst(&m->in[i])), intersects(&m->in[i], router, &c));
        expected += !twin && intersects(&m->in[i], router, &c);
    }
    assert_int_equal(m->n_got, expected);
}

static void finds_exactly_what_intersects(void **state)
{
    struct random r = {31};

    for (int round = 0; round < 200; round++) {
        struct model *m = NEW(struct model);
        struct dst_tags *d = dst_tags_new(1u << 20, in_use, m);
        m->n = rnd(&r) % 100;
        for (size_t i = 0; i < m->n; i++) {
            m->in[i] = i && rnd(&r) % 4 == 0 ? m->in[rnd(&r) % i] : random_dst(&r);
            dst_tags_add(d, &m->in[i]);
        }
        for (int i = 0; i < 20; i++) {
            struct tag_dst at = random_dst(&r);
            bool v4 = ip_is4(&at.dst);
            struct cidr c = {at.dst, (uint8_t)(v4 ? at.bits - 96 : at.bits)};
            check_change(m, d, at.router, c);
        }
        check_change(m, d, 2, cidr_of("0.0.0.0/0"));
        check_change(m, d, 2, cidr_of("::/0"));
        dst_tags_free(d);
        free(m);
    }
    (void)state;
}

static struct tag_dst numbered(topo_ref router, uint32_t i)
{
    struct tag_dst t = {.router = router, .dst = ip_of("10.0.0.0"), .bits = 128};

    memcpy(&t.dst.b[13], (uint8_t[]){(uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}, 3);
    return t;
}

static void unused_ones_are_swept(void **state)
{
    struct model *m = NEW(struct model);
    struct dst_tags *d = dst_tags_new(1u << 20, in_use, m);
    struct cidr all = cidr_of("0.0.0.0/0");

    m->n = 10;
    for (uint32_t i = 0; i < m->n; i++) {
        m->in[i] = numbered(1, i * 1000);
        m->used[i] = true;
    }
    for (uint32_t i = 0; i < 10000; i++) {
        struct tag_dst t = numbered(1, i);
        dst_tags_add(d, &t);
        assert_in_range(dst_tags_size(d), 1, 1024);
    }
    for (uint32_t i = 0; i < 2000; i++) { /* of a router that no result mentions any more */
        struct tag_dst t = numbered(2, i);
        dst_tags_add(d, &t);
    }
    dst_tags_changed(d, 1, &all, note, m);
    for (size_t i = 0; i < m->n; i++)
        assert_true(got(m, tag_of_dst(&m->in[i])));
    assert_true(dst_tags_memory(d) < 256 * 1024);
    dst_tags_free(d);
    dst_tags_free(NULL);
    free(m);
    (void)state;
}

static bool always(tag_t tag, void *aux)
{
    (void)tag, (void)aux;
    return true;
}

static void too_many_become_the_whole_router(void **state)
{
    struct model *m = NEW(struct model);
    struct dst_tags *d = dst_tags_new(2000, always, NULL);
    struct tag_dst small = numbered(2, 7);
    struct cidr p = cidr_of("10.0.0.7/32");

    dst_tags_add(d, &small);
    for (uint32_t i = 0; i < 100000; i++) {
        struct tag_dst t = numbered(1, i);
        dst_tags_add(d, &t);
        assert_in_range(dst_tags_size(d), 1, 2000);
    }
    dst_tags_changed(d, 1, &p, note, m);
    assert_int_equal(m->n_got, 1);
    assert_true(got(m, tag_object(1)));
    m->n_got = 0;
    dst_tags_changed(d, 2, &p, note, m);
    assert_int_equal(m->n_got, 1);
    assert_true(got(m, tag_of_dst(&small)));
    dst_tags_free(d);
    free(m);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_exactly_what_intersects),
        cmocka_unit_test(unused_ones_are_swept),
        cmocka_unit_test(too_many_become_the_whole_router),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
