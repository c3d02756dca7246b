/* Free translated sources: of which addresses, ports, blocks. */
#include <stdlib.h>

#include "base/clock.h"
#include "state_util.h"
#include "topology/policy.h"

enum { ROUTER = 7 };

static struct topo_nat_target target(const char *from, const char *to, unsigned port_from,
                                     unsigned port_to)
{
    return (struct topo_nat_target){IP(from), IP(to), (uint16_t)port_from, (uint16_t)port_to};
}

static int pick(struct state *s, const struct topo_nat_target *t, uint32_t n, struct state_rec *r,
                uint16_t *port_to)
{
    r->kind = STATE_SNAT;
    r->device = ROUTER;
    return state_pick_source(s, ROUTER, &r->fwd, t, n, &r->to, &r->to_port, port_to);
}

/* Picks and enters a connection from 'client' to dport. */
static int take(struct state *s, const struct topo_nat_target *t, uint32_t n, unsigned client,
                unsigned dport, struct state_rec *r)
{
    uint16_t port_to;

    *r = (struct state_rec){.fwd = tuple("10.0.0.1", client % 60000 + 1, "8.8.8.8", dport)};
    r->fwd.src.w[3] = htobe32(0x0a000000u + client / 60000);
    int rc = pick(s, t, n, r, &port_to);
    return rc ? rc : state_commit(s, r, 1, 1, STATE_LOCAL, NULL);
}

/* The whole range of one address for one destination, then nothing; for another one again. */
static void uses_all_there_is(void **arg)
{
    struct topo_nat_target t = target("1.1.1.1", "1.1.1.1", 1024, 65535);
    struct state *s = *arg;
    uint8_t *used = calloc(65536, 1);
    struct state_rec r;

    state_ports_all(s, true);
    for (unsigned i = 0; i < 65536 - 1024; i++) {
        assert_int_equal(take(s, &t, 1, i, 80, &r), 0);
        assert_in_range(r.to_port, 1024, 65535);
        assert_int_equal(used[r.to_port]++, 0);
    }
    assert_int_equal(take(s, &t, 1, 65000, 80, &r), -ENOSPC);
    assert_int_equal(take(s, &t, 1, 65000, 81, &r), 0);
    r.fwd = tuple("10.0.0.1", 1, "8.8.8.8", 80);
    state_remove(s, &r); /* no such record: nothing happens */
    assert_int_equal(take(s, &t, 1, 65000, 80, &r), -ENOSPC);
    free(used);
}

static void goes_on_to_the_next_address_and_target(void **arg)
{
    struct topo_nat_target t[] = {target("1.1.1.1", "1.1.1.2", 5000, 5001),
                                  target("2.2.2.2", "2.2.2.2", 100, 100),
                                  target("3.3.3.3", "3.3.3.2", 1, 9), /* upside down */
                                  target("4.4.4.4", "4.4.4.4", 9, 1)};
    struct state *s = *arg;
    struct state_rec r;

    state_ports_all(s, true);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(take(s, t, 4, i, 80, &r), 0);
    assert_int_equal(take(s, t, 4, 5, 80, &r), -ENOSPC);
    assert_int_equal(take(s, t, 0, 5, 80, &r), -ENOSPC);
}

static void the_same_connection_gets_the_same_again(void **arg)
{
    struct topo_nat_target t = target("1.1.1.1", "1.1.1.9", 1024, 65535);
    struct state *s = *arg, *other;
    struct state_rec a, b;

    state_new(NULL, &other);
    state_ports_all(s, true);
    state_ports_all(other, true);
    unsigned same = 0;
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(take(s, &t, 1, i * 7, 80, &a), 0);
        assert_int_equal(take(other, &t, 1, i * 7, 80, &b), 0);
        same += ip_equal(&a.to, &b.to) && a.to_port == b.to_port;
    }
    assert_int_equal(same, 200);
    state_free(other);
}

static void only_what_is_granted(void **arg)
{
    struct topo_nat_target t = target("1.1.1.1", "1.1.1.1", 1000, 2000);
    struct state_rec r = {.fwd = tuple("10.0.0.1", 1, "8.8.8.8", 80)};
    struct state *s = *arg;
    struct ip ip = IP("1.1.1.1");
    uint16_t port_to;

    assert_int_equal(pick(s, &t, 1, &r, &port_to), -EAGAIN);
    assert_true(ip_equal(&r.to, &ip));
    assert_int_equal(r.to_port, 1000);
    assert_int_equal(port_to, 2000);
    state_ports_grant(s, ROUTER, &ip, 31); /* 1984..2047: up to 2000 it is of use */
    state_ports_grant(s, ROUTER, &ip, 14); /* 896..959: it isn't */
    state_ports_grant(s, ROUTER + 1, &ip, 20);
    for (unsigned i = 0; i < 17; i++) {
        assert_int_equal(take(s, &t, 1, i, 80, &r), 0);
        assert_in_range(r.to_port, 1984, 2000);
    }
    assert_int_equal(take(s, &t, 1, 17, 80, &r), -EAGAIN);
    assert_int_equal(take(s, &t, 1, 17, 81, &r), 0);
    state_ports_exhausted(s, ROUTER, &ip, 15, 31, true);
    assert_int_equal(take(s, &t, 1, 17, 80, &r), -ENOSPC);
    state_ports_exhausted(s, ROUTER, &ip, 15, 31, false);
    assert_int_equal(take(s, &t, 1, 17, 80, &r), -EAGAIN);
    state_ports_revoke(s, ROUTER, &ip, 31);
    assert_false(state_ports_granted(s, ROUTER, &ip, 31));
    assert_int_equal(take(s, &t, 1, 17, 81, &r), -EAGAIN);
}

/* More addresses than anybody could try: those granted are found, else one is asked for. */
static void a_range_without_end(void **arg)
{
    struct topo_nat_target t = target("fd00::", "fd00::ffff:ffff:ffff:ffff", 1024, 65535);
    struct ip ip = IP("fd00::1234:5678:9abc:def0");
    struct state *s = *arg;
    struct state_rec r;
    uint16_t port_to;

    r = (struct state_rec){.fwd = tuple("fd01::1", 1, "fd02::1", 80)};
    assert_int_equal(pick(s, &t, 1, &r, &port_to), -EAGAIN);
    state_ports_grant(s, ROUTER, &ip, 100);
    assert_int_equal(pick(s, &t, 1, &r, &port_to), 0);
    assert_true(ip_equal(&r.to, &ip));
    assert_in_range(r.to_port, 6400, 6463);
    state_ports_all(s, true);
    assert_int_equal(pick(s, &t, 1, &r, &port_to), 0);
}

static void a_kept_port_finds_an_address(void **arg)
{
    struct topo_nat_target t = target("1.1.1.1", "1.1.1.3", 0, 0);
    struct state *s = *arg;
    struct state_rec r[4] = {0};
    uint16_t port_to;

    for (unsigned i = 0; i < 4; i++) {
        r[i].fwd = tuple("10.0.0.1", 777, "8.8.8.8", 80);
        r[i].fwd.src.w[3] = htobe32(0x0a000001 + i);
    }
    assert_int_equal(pick(s, &t, 1, &r[0], &port_to), -EAGAIN);
    assert_true(r[0].to_port == 777 && port_to == 777);
    state_ports_all(s, true);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(pick(s, &t, 1, &r[i], &port_to), 0);
        assert_int_equal(r[i].to_port, 777);
        assert_int_equal(state_commit(s, &r[i], 1, 1, STATE_LOCAL, NULL), 0);
    }
    assert_int_equal(pick(s, &t, 1, &r[3], &port_to), -ENOSPC);
    r[3].fwd.sport = 0; /* an ICMP id may be 0 */
    assert_int_equal(pick(s, &t, 1, &r[3], &port_to), 0);
    assert_int_equal(r[3].to_port, 0);
}

static void without_a_table_all_is_free(void **arg)
{
    struct topo_nat_target t = target("1.1.1.1", "1.1.1.3", 10, 20);
    struct state_rec r = {.fwd = tuple("10.0.0.1", 1, "8.8.8.8", 80)};
    uint16_t port_to;

    (void)arg;
    assert_int_equal(pick(NULL, &t, 1, &r, &port_to), 0);
    assert_in_range(r.to_port, 10, 20);
    t.port_to = 5;
    assert_int_equal(pick(NULL, &t, 1, &r, &port_to), -ENOSPC);
}

static void note(void *aux, topo_ref device, const struct ip *ip, uint16_t port, uint16_t port_to)
{
    (void)ip;
    assert_int_equal(device, ROUTER);
    assert_int_equal(port, 1000);
    assert_int_equal(port_to, 2000);
    ++*(unsigned *)aux;
}

static void tells_once_that_ports_run_low(void **arg)
{
    struct topo_nat_target t = target("1.1.1.1", "1.1.1.1", 1000, 2000);
    struct state *s = *arg;
    struct ip ip = IP("1.1.1.1");
    struct state_rec r;
    unsigned n = 0;

    state_ports_on_low(s, note, &n);
    state_ports_grant(s, ROUTER, &ip, 20);
    for (unsigned i = 0; i < 48; i++)
        assert_int_equal(take(s, &t, 1, i, 80, &r), 0);
    assert_int_equal(n, 0);
    for (unsigned i = 48; i < 64; i++)
        assert_int_equal(take(s, &t, 1, i, 80, &r), 0);
    assert_int_equal(n, 1);
    state_ports_grant(s, ROUTER, &ip, 21);
    for (unsigned i = 64; i < 128; i++)
        assert_int_equal(take(s, &t, 1, i, 80, &r), 0);
    assert_int_equal(n, 2);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, state_setup, state_teardown)
    const struct CMUnitTest tests[] = {
        TEST(uses_all_there_is),
        TEST(goes_on_to_the_next_address_and_target),
        TEST(the_same_connection_gets_the_same_again),
        TEST(only_what_is_granted),
        TEST(a_range_without_end),
        TEST(a_kept_port_finds_an_address),
        TEST(without_a_table_all_is_free),
        TEST(tells_once_that_ports_run_low),
    };

    rcu_register_thread();
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_barrier();
    rcu_unregister_thread();
    return rc;
}
