/* A host that dies: equal routes through the others take its connections over, and nobody else's
 * are touched, neither their way nor their flow; and what happens as it comes back.
 * Drawing: agent_site.h. */
#include "agent_site.h"

enum { FLOWS = 600 };
static const uint16_t first = 10000;

/* One packet of each connection from a; by which machine each left, in by[]. */
static void send_all(struct site *c, unsigned by[FLOWS])
{
    for (unsigned i = 0; i < FLOWS; i++) {
        c->n_heard = 0;
        site_send(c, A, "20.1.1.1", (uint16_t)(first + i), 80, &edge_mac);
        assert_int_equal(c->n_heard, 1);
        assert_int_equal(c->heard[0].key.tp_src, first + i);
        by[i] = c->heard[0].machine;
    }
}

static unsigned count(const unsigned by[FLOWS], unsigned machine)
{
    unsigned n = 0;

    for (unsigned i = 0; i < FLOWS; i++)
        n += by[i] == machine;
    return n;
}

/* 'then' differs from 'before' only where that said 'lost'; its share went to both others. */
static void only_its_moved(const unsigned before[FLOWS], const unsigned then[FLOWS], unsigned lost)
{
    unsigned took[MACHINES] = {0};

    for (unsigned i = 0; i < FLOWS; i++) {
        if (before[i] != lost)
            assert_int_equal(then[i], before[i]);
        else
            took[then[i]]++;
    }
    assert_int_equal(took[lost], 0);
    for (unsigned u = U1; u <= U3; u++)
        if (u != lost)
            assert_true(took[u] > count(before, lost) / 4);
}

/* As a power failure does it: the agent and its datapath are gone, nothing was said before. */
static void power_off(struct site *c, unsigned host)
{
    struct ip underlay = ip_from4(htonl(0xc0000201 + host));

    memory_board_cut(c->all.board, &underlay, true);
    flaky_lose(site_wire(c, host));
    host_stop(&c->h[host], false);
}

static void power_on(struct site *c, unsigned host)
{
    struct ip underlay = ip_from4(htonl(0xc0000201 + host));

    memory_board_cut(c->all.board, &underlay, false);
    site_start(c, host);
}

static void equal_routes_take_over(void **arg)
{
    unsigned before[FLOWS], then[FLOWS], back[FLOWS];
    struct site *c = site_up();

    (void)arg;
    site_meet(c);
    send_all(c, before);
    for (unsigned u = U1; u <= U3; u++)
        assert_in_range(count(before, u), FLOWS / 5, FLOWS / 2);
    send_all(c, then); /* twice: each has its flow by now */
    assert_memory_equal(before, then, sizeof before);
    const struct worker_counters *n = counters_of(c, 0);
    uint64_t upcalls = n->upcalls, installed = n->flows_installed, removed = n->flows_removed;
    uint64_t replaced = n->flows_replaced, kept = n->flows_kept;

    power_off(c, U2);
    site_pass_ms(c, 500);
    assert_int_equal(n->flows_replaced - replaced, count(before, U2));
    assert_true(n->flows_kept - kept >= FLOWS - count(before, U2));
    send_all(c, then);
    only_its_moved(before, then, U2);
    assert_int_equal(n->upcalls, upcalls); /* nobody waited for an agent */
    assert_int_equal(n->flows_installed, installed);
    assert_int_equal(n->flows_removed - removed, 1); /* to the dead gateway itself */
    removed = n->flows_removed;

    replaced = n->flows_replaced;
    power_on(c, U2);
    site_pass_ms(c, 2000);
    assert_int_equal(n->flows_replaced - replaced, count(before, U2));
    send_all(c, back);
    assert_memory_equal(before, back, sizeof before);
    assert_int_equal(n->upcalls, upcalls);
    assert_int_equal(n->flows_installed, installed);
    assert_int_equal(n->flows_removed, removed);
    site_down(c);
}

/* Two die one after the other; the last takes all. */
static void the_last_one_takes_all(void **arg)
{
    unsigned before[FLOWS], one[FLOWS], two[FLOWS];
    struct site *c = site_up();

    (void)arg;
    site_meet(c);
    send_all(c, before);
    power_off(c, U1);
    site_pass_ms(c, 500);
    send_all(c, one);
    only_its_moved(before, one, U1);
    power_off(c, U3);
    site_pass_ms(c, 500);
    send_all(c, two);
    assert_int_equal(count(two, U2), FLOWS);
    site_down(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_routes_take_over),
        cmocka_unit_test(the_last_one_takes_all),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
