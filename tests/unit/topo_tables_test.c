/* MAC and neighbour tables: against a plain array, and with readers beside a writer. */
#include "topo_util.h"

#include "topology/tables.h"

enum { N_KEYS = 700 };

static int count_mac(uint16_t vlan, const struct mac *mac, topo_ref port, void *aux)
{
    topo_ref *model = aux;
    unsigned n = (unsigned)(mac_u64(mac) & 0xffff);

    assert_int_equal(vlan, n % 5);
    assert_int_equal(model[n], port);
    return 0;
}

static void macs_follow_a_model(void **state)
{
    struct topo_mac_table *t = topo_mac_table_new();
    topo_ref model[N_KEYS] = {0};
    struct random r = {99};
    size_t live = 0;

    for (int i = 0; i < 60000; i++) {
        unsigned n = (unsigned)(rnd(&r) % N_KEYS);
        topo_ref port = rnd(&r) % 3 ? (topo_ref)(rnd(&r) % 50) : 0;
        struct mac m = mac_n(n);
        assert_int_equal(topo_mac_set(t, (uint16_t)(n % 5), &m, port), model[n]);
        live += (port != 0) - (model[n] != 0);
        model[n] = port;
    }
    for (unsigned n = 0; n < N_KEYS; n++) {
        struct mac m = mac_n(n);
        assert_int_equal(topo_mac_lookup(t, (uint16_t)(n % 5), &m), model[n]);
        assert_int_equal(topo_mac_lookup(t, (uint16_t)(n % 5 + 1), &m), 0);
    }
    assert_int_equal(topo_mac_size(t), live);
    assert_int_equal(topo_mac_each(t, count_mac, model), 0);
    assert_true(topo_mac_memory(t) < 64 * 1024);
    topo_mac_table_free(t);
    rcu_barrier();
    (void)state;
}

static int stop_at_third(uint16_t vlan, const struct mac *mac, topo_ref port, void *aux)
{
    (void)vlan, (void)mac, (void)port;
    return ++*(int *)aux == 3 ? 42 : 0;
}

static void each_stops_when_told(void **state)
{
    struct topo_mac_table *t = topo_mac_table_new();
    int n = 0;

    for (unsigned i = 0; i < 10; i++) {
        struct mac m = mac_n(i);
        topo_mac_set(t, 0, &m, 1);
    }
    assert_int_equal(topo_mac_each(t, stop_at_third, &n), 42);
    assert_int_equal(n, 3);
    assert_int_equal(topo_mac_each(NULL, stop_at_third, &n), 0);
    struct mac m = mac_n(1);
    assert_int_equal(topo_mac_lookup(NULL, 0, &m), 0);
    topo_mac_table_free(t);
    topo_mac_table_free(NULL);
    (void)state;
}

static struct ip ip_n(unsigned n)
{
    struct ip ip = ip_of(n % 2 ? "10.0.0.0" : "2001:db8::");

    ip.b[14] = (uint8_t)(n >> 8);
    ip.b[15] = (uint8_t)n;
    return ip;
}

static void neighs_follow_a_model(void **state)
{
    struct topo_neigh_table *t = topo_neigh_table_new();
    struct topo_neigh model[N_KEYS] = {0}, got;
    struct random r = {5};

    for (int i = 0; i < 60000; i++) {
        unsigned n = (unsigned)(rnd(&r) % N_KEYS);
        struct ip ip = ip_n(n);
        if (rnd(&r) % 4) {
            struct topo_neigh e = {mac_n(rnd(&r) % 3), rnd(&r) % 100, 1 + rnd(&r) % 100};
            bool differs = model[n].expire_ns <= 20 || !mac_equal(&model[n].mac, &e.mac);
            assert_int_equal(topo_neigh_set(t, n % 7, &ip, &e, 20), differs);
            model[n] = e;
        } else {
            assert_int_equal(topo_neigh_set(t, n % 7, &ip, NULL, 20), model[n].expire_ns != 0);
            model[n] = (struct topo_neigh){0};
        }
    }
    size_t live = 0;
    for (unsigned n = 0; n < N_KEYS; n++) {
        struct ip ip = ip_n(n);
        assert_int_equal(topo_neigh_lookup(t, n % 7, &ip, 50, &got), model[n].expire_ns > 50);
        if (model[n].expire_ns > 50) {
            assert_true(mac_equal(&got.mac, &model[n].mac));
            assert_int_equal(got.stale_ns, model[n].stale_ns);
        }
        assert_false(topo_neigh_lookup(t, 99, &ip, 0, &got));
        live += model[n].expire_ns != 0;
    }
    assert_int_equal(topo_neigh_size(t), live);
    assert_true(topo_neigh_memory(t) >= live * 40);
    topo_neigh_table_free(t);
    rcu_barrier();
    (void)state;
}

struct both {
    struct topo_mac_table *macs;
    struct topo_neigh_table *neighs;
};

/* Key n only ever has ports and MACs that are n modulo 64. */
static void read_both(void *aux, struct random *r)
{
    struct both *b = aux;
    struct topo_neigh e;

    for (int i = 0; i < 100; i++) {
        unsigned n = (unsigned)(rnd(r) % N_KEYS);
        struct mac m = mac_n(n);
        struct ip ip = ip_n(n);
        topo_ref port = topo_mac_lookup(b->macs, 0, &m);
        if (port && port % 64 != n % 64)
            abort();
        if (topo_neigh_lookup(b->neighs, 1, &ip, 0, &e) &&
            (mac_u64(&e.mac) % 64 != n % 64 || e.stale_ns + 1 != e.expire_ns))
            abort();
    }
}

static void readers_beside_a_writer(void **state)
{
    struct both b = {topo_mac_table_new(), topo_neigh_table_new()};
    struct readers rs;
    struct random r = {3};

    readers_start(&rs, read_both, &b);
    for (int i = 0; i < 20000; i++) {
        unsigned n = (unsigned)(rnd(&r) % N_KEYS);
        topo_ref port = (topo_ref)(n % 64 + 64 * (1 + rnd(&r) % 9));
        uint64_t at = 1 + rnd(&r) % 1000;
        struct mac m = mac_n(n), v = mac_n(port);
        struct ip ip = ip_n(n);
        struct topo_neigh e = {v, at, at + 1};
        topo_mac_set(b.macs, 0, &m, rnd(&r) % 2 ? port : 0);
        topo_neigh_set(b.neighs, 1, &ip, rnd(&r) % 2 ? &e : NULL, at);
    }
    readers_stop(&rs);
    rcu_barrier();
    topo_mac_table_free(b.macs);
    topo_neigh_table_free(b.neighs);
    (void)state;
}

/* Workers enter what they learned themselves: two writers lose nothing. */
static void *write_odd(void *aux)
{
    rcu_register_thread();
    for (unsigned i = 0; i < 4000; i++) {
        struct mac m = mac_n(2 * i + 1);
        topo_mac_set(aux, 0, &m, i + 1);
        rcu_quiescent_state();
    }
    rcu_unregister_thread();
    return NULL;
}

static void two_writers_lose_nothing(void **state)
{
    struct topo_mac_table *t = topo_mac_table_new();
    pthread_t other;

    pthread_create(&other, NULL, write_odd, t);
    for (unsigned i = 0; i < 4000; i++) {
        struct mac m = mac_n(2 * i);
        topo_mac_set(t, 0, &m, i + 1);
    }
    pthread_join(other, NULL);
    assert_int_equal(topo_mac_size(t), 8000);
    for (unsigned i = 0; i < 8000; i++) {
        struct mac m = mac_n(i);
        assert_int_equal(topo_mac_lookup(t, 0, &m), i / 2 + 1);
    }
    rcu_barrier();
    topo_mac_table_free(t);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(macs_follow_a_model),      cmocka_unit_test(each_stops_when_told),
        cmocka_unit_test(neighs_follow_a_model),    cmocka_unit_test(readers_beside_a_writer),
        cmocka_unit_test(two_writers_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
