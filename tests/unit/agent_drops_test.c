/* Counts of drops: by cause, by port, in the last minute. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "agent/drops.h"
#include "base/clock.h"

#define SEC NSEC_PER_SEC

static struct drop_cause cause(uint8_t object)
{
    return (struct drop_cause){
        .reason = SIM_CHAIN_DROP, .kind = TOPO_RULE, .object.b = {object, 1, 2}};
}

static void count(struct drops *d, uint8_t object, uint32_t port_no, uint64_t n, uint64_t now)
{
    struct drop_cause c = cause(object);

    drops_count(d, drops_number(d, &c), port_no, n, now);
}

static const struct drop_at_port *at_port(const struct drops *d, uint32_t port_no, uint8_t object)
{
    struct drop_cause c = cause(object);

    for (uint32_t i = 0; i < DROPS_PORTS; i++) {
        const struct drop_at_port *p = drops_at_port(d, i);
        if (p && p->port_no == port_no && uuid_equal(&p->cause.object, &c.object))
            return p;
    }
    return NULL;
}

static void test_ports_have_counts_of_their_own(void **state)
{
    struct drops *d = drops_new();

    (void)state;
    assert_null(drops_at_port(d, 0)); /* nothing yet */
    count(d, 1, 7, 3, 100 * SEC);
    count(d, 1, 8, 2, 100 * SEC);
    count(d, 2, 7, 1, 100 * SEC);
    count(d, 1, 0, 5, 100 * SEC); /* nobody knows where from */
    assert_int_equal(at_port(d, 7, 1)->packets, 3);
    assert_int_equal(at_port(d, 8, 1)->packets, 2);
    assert_int_equal(at_port(d, 7, 2)->packets, 1);
    assert_int_equal(drops_total(d, SIM_CHAIN_DROP), 11);
    drops_forget_port(d, 7);
    assert_null(at_port(d, 7, 1));
    assert_int_equal(at_port(d, 8, 1)->packets, 2);
    drops_free(d);
}

static void test_last_minute(void **state)
{
    struct drops *d = drops_new();

    (void)state;
    for (unsigned s = 0; s < 300; s++)
        count(d, 1, 7, 2, (1000 + s) * SEC);
    const struct drop_at_port *p = at_port(d, 7, 1);
    assert_int_equal(p->packets, 600);
    assert_in_range(drops_last_minute(p, 1299 * SEC), 120, 140);
    assert_in_range(drops_last_minute(p, 1330 * SEC), 60, 80);
    assert_int_equal(drops_last_minute(p, 1400 * SEC), 0);
    count(d, 1, 7, 5, 5000 * SEC); /* after a long pause */
    assert_int_equal(drops_last_minute(p, 5000 * SEC), 5);
    assert_int_equal(p->packets, 605);
    drops_free(d);
}

static void test_the_longest_silent_make_room(void **state)
{
    struct drops *d = drops_new();
    unsigned n = 0;

    (void)state;
    for (uint32_t port = 1; port <= 3 * DROPS_PORTS; port++)
        count(d, 1, port, 1, port * SEC);
    for (uint32_t i = 0; i < DROPS_PORTS; i++)
        n += drops_at_port(d, i) != NULL;
    assert_in_range(n, DROPS_PORTS / 2, DROPS_PORTS);
    assert_non_null(at_port(d, 3 * DROPS_PORTS, 1));
    assert_null(at_port(d, 1, 1));
    drops_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ports_have_counts_of_their_own),
        cmocka_unit_test(test_last_minute),
        cmocka_unit_test(test_the_longest_silent_make_room),
    };

    return cmocka_run_group_tests_name("drops", tests, NULL, NULL);
}
