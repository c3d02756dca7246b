/* Slots, publication and retirement, and readers beside the writer. */
#include "topo_util.h"

#include "topology/lpm.h"
#include "topology/tables.h"
#include "topology/tags.h"

static void intern_finds_again(void **state)
{
    struct topo *t = topo_new();
    enum { N = 5000 };

    for (uint64_t i = 0; i < N; i++) {
        struct uuid id = uuid_n(i);
        assert_int_equal(topo_find(t, &id), 0);
        assert_int_equal(topo_intern(t, TOPO_PORT, &id), i + 1);
    }
    for (uint64_t i = 0; i < N; i++) {
        struct uuid id = uuid_n(i);
        topo_ref ref = topo_find(t, &id);
        assert_int_equal(ref, i + 1);
        assert_int_equal(topo_intern(t, TOPO_PORT, &id), ref);
        assert_true(uuid_equal(topo_id(t, ref), &id));
        assert_int_equal(topo_kind_of(t, ref), TOPO_PORT);
        assert_null(topo_get(t, ref));
    }
    assert_true(uuid_is_zero(topo_id(t, 0)));
    assert_true(uuid_is_zero(topo_id(t, 1u << 30)));
    assert_int_equal(topo_kind_of(t, 0), TOPO_NONE);
    assert_null(topo_get(t, 0));
    assert_null(topo_get(t, 1u << 30));
    topo_free(t);
    (void)state;
}

static struct topo_port *port_new(const struct uuid *id, const char *name, unsigned n_addrs)
{
    struct topo_port *p =
        topo_object(TOPO_PORT, sizeof *p, n_addrs * sizeof(struct cidr) + 16, id, name);

    p->addrs = topo_extra(p, n_addrs * sizeof(struct cidr));
    p->n_addrs = (uint16_t)n_addrs;
    return p;
}

static void publish_replaces(void **state)
{
    struct topo *t = topo_new();
    struct uuid id = uuid_n(1);
    topo_ref ref = topo_publish(t, &port_new(&id, "first", 3)->obj);
    uint64_t rev = topo_get(t, ref)->rev;

    assert_int_equal(topo_get(t, ref)->self, ref);
    assert_string_equal(topo_get(t, ref)->name, "first");
    assert_int_equal(topo_publish(t, &port_new(&id, "second", 0)->obj), ref);
    assert_string_equal(topo_get(t, ref)->name, "second");
    assert_true(topo_get(t, ref)->rev > rev);
    topo_unload(t, ref);
    assert_null(topo_get(t, ref));
    assert_int_equal(topo_find(t, &id), ref);
    topo_unload(t, ref);
    topo_unload(t, 0);
    topo_free(t);
    (void)state;
}

static void long_names_are_cut_between_characters(void **state)
{
    struct uuid id = uuid_n(1);
    struct topo_port *p = port_new(&id, "0123456789012345678901234567890123456\xe2\x82\xac!", 0);

    assert_string_equal(p->obj.name, "0123456789012345678901234567890123456");
    topo_discard(&p->obj);
    p = port_new(&id, NULL, 0);
    assert_string_equal(p->obj.name, "");
    topo_discard(&p->obj);
    (void)state;
}

static void extra_is_aligned_and_zero(void **state)
{
    struct uuid id = uuid_n(1);
    char *o = topo_object(TOPO_HOST, sizeof(struct topo_host), 3 * 16 + 3 * 16, &id, "");

    for (int i = 0; i < 3; i++) {
        unsigned char *p = topo_extra(o, 17);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (int b = 0; b < 17; b++)
            assert_int_equal(p[b], 0);
        memset(p, 0xff, 17);
    }
    assert_null(topo_extra(o, 0));
    topo_discard((struct topo_obj *)o);
    (void)state;
}

static struct topo_router *router_new(const struct uuid *id, struct topo_lpm *routes,
                                      struct topo_neigh_table *neighs)
{
    struct topo_router *r = topo_object(TOPO_ROUTER, sizeof *r, 0, id, "r");

    r->routes = routes;
    r->neighs = neighs;
    return r;
}

/* LeakSanitizer and AddressSanitizer are the judges here. */
static void parts_live_on_while_shared(void **state)
{
    struct topo *t = topo_new();
    struct uuid id = uuid_n(1), bid = uuid_n(2);
    struct topo_route route = {.id = uuid_n(3), .dst = cidr_of("10.0.0.0/8")};
    struct topo_lpm *lpm = topo_lpm_build(&route, 1);
    struct topo_neigh_table *neighs = topo_neigh_table_new();
    topo_ref ref = topo_publish(t, &router_new(&id, lpm, neighs)->obj);

    topo_publish(t, &router_new(&id, lpm, neighs)->obj);
    topo_publish(t, &router_new(&id, topo_lpm_build(NULL, 0), neighs)->obj);
    rcu_barrier();
    assert_int_equal(topo_neigh_size(topo_router(t, ref)->neighs), 0);
    topo_unload(t, ref);
    topo_publish(t, &router_new(&id, topo_lpm_build(&route, 1), topo_neigh_table_new())->obj);

    struct topo_bridge *b = topo_object(TOPO_BRIDGE, sizeof *b, 0, &bid, "b");
    b->macs = topo_mac_table_new();
    topo_ref bref = topo_publish(t, &b->obj);
    struct topo_bridge *gone = topo_object(TOPO_BRIDGE, sizeof *gone, 0, &bid, "");
    gone->obj.missing = true;
    topo_publish(t, &gone->obj);
    assert_true(topo_get(t, bref)->missing);
    assert_true(topo_memory(t) > sizeof(struct topo_router) + sizeof(struct topo_bridge));
    topo_free(t);
    (void)state;
}

enum { STRESS_IDS = 3000, STRESS_HOT = 16 };

/* Object n's arrays all hold values that follow from its rev: half-built ones would show. */
static void stress_read(void *aux, struct random *r)
{
    struct topo *t = aux;

    for (int i = 0; i < 50; i++) {
        struct uuid id = uuid_n(rnd(r) % STRESS_IDS);
        topo_ref ref = topo_find(t, &id);
        if (ref && !uuid_equal(topo_id(t, ref), &id))
            abort();
        id = uuid_n(rnd(r) % STRESS_HOT);
        const struct topo_port *p = topo_port(t, topo_find(t, &id));
        if (!p)
            continue;
        if (!uuid_equal(&p->obj.id, &id))
            abort();
        for (unsigned a = 0; a < p->n_addrs; a++) {
            if (p->addrs[a].len != p->n_addrs)
                abort();
        }
    }
}

static void readers_see_whole_objects(void **state)
{
    struct topo *t = topo_new();
    struct readers rs;
    struct random r = {7};

    readers_start(&rs, stress_read, t);
    for (uint64_t i = 0; i < STRESS_IDS; i++) {
        struct uuid id = uuid_n(i), hot = uuid_n(i % STRESS_HOT);
        unsigned n = (unsigned)(rnd(&r) % 20);
        topo_intern(t, TOPO_PORT, &id);
        struct topo_port *p = port_new(&hot, "hot", n);
        for (unsigned a = 0; a < n; a++)
            p->addrs[a].len = (uint8_t)n;
        topo_publish(t, &p->obj);
        if (i % 100 == 0)
            topo_unload(t, topo_find(t, &hot));
    }
    readers_stop(&rs);
    topo_free(t);
    (void)state;
}

static void tags_name_exactly_their_parts(void **state)
{
    struct ip a = ip_of("10.1.2.3"), b = ip_of("10.1.2.77"), v6 = ip_of("2001:db8::1");
    struct mac m = mac_n(5);

    assert_true(tag_route_dst(1, &a, 96 + 24) == tag_route_dst(1, &b, 96 + 24));
    assert_true(tag_route_dst(1, &a, 128) != tag_route_dst(1, &b, 128));
    assert_true(tag_route_dst(1, &a, 96 + 24) != tag_route_dst(2, &a, 96 + 24));
    assert_true(tag_route_dst(1, &a, 96 + 24) != tag_route_dst(1, &a, 96 + 23));
    assert_true(tag_route_dst(1, &v6, 33) != tag_route_dst(1, &v6, 32));
    assert_true(tag_route_dst(1, &v6, 0) == tag_route_dst(1, &(struct ip){.q = {~0ull, 1}}, 0));
    assert_true(tag_bridge_mac(1, 0, &m) != tag_bridge_mac(1, 1, &m));
    assert_true(tag_bridge_mac(1, 0, &m) != tag_bridge_mac(2, 0, &m));
    assert_true(tag_object(1) != tag_flood(1));
    assert_int_equal(tag_object(1) >> 56, TAG_OBJECT);
    assert_true(tag_neigh(1, &a) != tag_neigh(1, &b));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intern_finds_again),
        cmocka_unit_test(publish_replaces),
        cmocka_unit_test(long_names_are_cut_between_characters),
        cmocka_unit_test(extra_is_aligned_and_zero),
        cmocka_unit_test(parts_live_on_while_shared),
        cmocka_unit_test(readers_see_whole_objects),
        cmocka_unit_test(tags_name_exactly_their_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
