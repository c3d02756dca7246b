/* What a machine sends, limited: a burst passes, then what the rate allows, and not more.
 *
 *     m1 -- p1 [limit] -- flow -- p2 -- m2 */
#include "dp_rig.h"

#define SIZE 1000 /* bytes of a frame */

static uint64_t virtual_ns;

static uint64_t virtual_now(void *aux)
{
    (void)aux;
    return virtual_ns;
}

static struct rig *limited(const char *type, uint32_t kbps, uint32_t burst_kb)
{
    struct rig *r = rig_open(type, 2);
    struct flow_key key = {.in_port = r->port[1]}, mask = {.in_port = UINT32_MAX};
    struct flow_out out = rig_out(r, 2);

    if (!rig_kernel(r)) {
        virtual_ns = NSEC_PER_SEC; /* just started: the bucket is full nevertheless */
        memory_dp_set_clock(r->dp, virtual_now, NULL);
    }
    rig_flow(r, &key, &mask, &out, 1);
    assert_int_equal(dp_port_limit(r->dp, r->port[1], kbps, burst_kb), 0);
    return r;
}

static int find_port(const struct dp_port *p, void *aux)
{
    struct dp_port *out = aux;

    if (p->port_no == out->port_no)
        *out = *p;
    return 0;
}

static struct dp_port port_of(struct rig *r, unsigned i)
{
    struct dp_port p = {.port_no = r->port[i]};

    dp_port_each(r->dp, find_port, &p);
    return p;
}

/* How many of n frames sent at once arrive. */
static unsigned burst(struct rig *r, unsigned n)
{
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1, 2);
    struct frame f = frame_of(&k);
    uint8_t buf[2048];
    unsigned arrived = 0;

    memset(f.b + f.size, 0, SIZE - f.size); /* behind the datagram */
    f.size = SIZE;
    uint64_t before = port_of(r, 1).limited;
    for (unsigned i = 0; i < n; i++) {
        rig_send(r, 1, &f);
        while (rig_take(r, 2, buf, sizeof buf, NULL))
            arrived++;
    }
    uint64_t deadline = clock_ns() + RIG_PATIENCE;
    while (arrived + port_of(r, 1).limited - before < n && clock_ns() < deadline)
        while (rig_take(r, 2, buf, sizeof buf, NULL))
            arrived++;
    assert_int_equal(arrived + port_of(r, 1).limited - before, n); /* each counted */
    return arrived;
}

/* A rate of nearly nothing, so that the time the test takes doesn't matter. */
static void test_burst_passes(void **state)
{
    struct rig *r = limited(*state, 1, 80); /* 10,000 bytes, then one a minute or so */

    assert_in_range(burst(r, 100), 10, 12);
    assert_in_range(burst(r, 100), 0, 1);
    rig_close(r);
}

static void test_edited_and_cleared(void **state)
{
    struct rig *r = limited(*state, 1, 80);

    assert_in_range(burst(r, 50), 10, 12);
    assert_int_equal(dp_port_limit(r->dp, r->port[1], 0, 0), 0);
    assert_int_equal(burst(r, 200), 200);
    assert_int_equal(dp_port_limit(r->dp, r->port[1], 4000000, 3200000), 0);
    assert_int_equal(burst(r, 200), 200);
    assert_int_equal(dp_port_limit(r->dp, 60000, 1, 1), -ENOENT);
    rig_close(r);
}

/* Upcalls are what it sends, too. */
static void test_upcalls_are_limited(void **state)
{
    struct rig *r = rig_open(*state, 1);
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1, 2);

    if (!rig_kernel(r)) {
        virtual_ns = NSEC_PER_SEC; /* just started: the bucket is full nevertheless */
        memory_dp_set_clock(r->dp, virtual_now, NULL);
    }
    assert_int_equal(dp_port_limit(r->dp, r->port[1], 1, 1), 0); /* 125 bytes */
    for (unsigned i = 0; i < 20; i++) {
        k.tp_src = (uint16_t)i;
        struct frame f = frame_of(&k);
        rig_send(r, 1, &f);
    }
    uint64_t deadline = clock_ns() + RIG_PATIENCE;
    struct dp_upcall ups[8];
    unsigned came = 0;
    while (came + port_of(r, 1).limited < 20 && clock_ns() < deadline)
        came += (unsigned)dp_recv(r->dp, 0, ups, ARRAY_SIZE(ups));
    assert_in_range(came, 1, 5);
    assert_int_equal(came + port_of(r, 1).limited, 20);
    rig_close(r);
}

/* Larger than the burst: it passes when there is anything in the bucket, and leaves it in debt. */
static void test_larger_than_burst(void **state)
{
    struct rig *r = limited(*state, 1, 1); /* 125 bytes; one frame is seven seconds of debt */

    assert_int_equal(burst(r, 5), 1);
    assert_in_range(burst(r, 5), 0, 1);
    rig_close(r);
}

static bool has_filter(struct rig *r)
{
    char cmd[128];

    snprintf(cmd, sizeof cmd, "ip netns exec %s tc filter show dev p1 ingress | grep -q mn_",
             r->host_ns);
    return !system(cmd);
}

/* The limit is there while nobody is, is set again by who comes, and leaves no trace. */
static void test_outlives(void **state)
{
    struct rig *r = limited(*state, 1, 80);

    if (!rig_kernel(r)) {
        rig_close(r);
        skip();
    }
    rig_shut(r, true);
    assert_true(has_filter(r));
    rig_reopen(r);
    assert_int_equal(dp_port_limit(r->dp, r->port[1], 1, 160), 0);
    assert_in_range(burst(r, 100), 20, 22);
    rig_shut(r, true);
    rig_reopen(r);
    assert_int_equal(dp_port_limit(r->dp, r->port[1], 0, 0), 0);
    assert_int_equal(burst(r, 100), 100);
    assert_int_equal(dp_port_limit(r->dp, r->port[1], 1, 80), 0);
    rig_shut(r, true);
    rig_reopen(r); /* limited by a process before */
    rig_shut(r, false);
    assert_false(has_filter(r));
    rig_reopen(r);
    rig_close(r);
}

/* The interface comes back under another index: it is as limited as it is told to be. */
static void test_interface_comes_back(void **state)
{
    struct rig *r = limited(*state, 1, 80);
    struct error e = {0};
    uint32_t no;

    if (!rig_kernel(r)) {
        rig_close(r);
        skip();
    }
    assert_in_range(burst(r, 30), 10, 12);
    uint64_t dropped = port_of(r, 1).limited;
    rig_shell("ip netns exec %s ip link del m1", r->vm_ns);
    close(r->sock[1]);
    rig_cable(r, 1);
    assert_int_equal(dp_port_add(r->dp, "p1", &no, &e), 0);
    assert_int_equal(no, r->port[1]);
    assert_int_equal(dp_port_limit(r->dp, no, 1, 80), 0);
    assert_int_equal(port_of(r, 1).limited, dropped);
    assert_in_range(burst(r, 30), 10, 12);
    assert_int_equal(dp_port_limit(r->dp, no, 0, 0), 0);
    assert_int_equal(burst(r, 30), 30);
    rig_close(r);
}

/* On a clock of our own, the long run counts to the packet. */
static void test_rate_in_the_long_run(void **state)
{
    struct rig *r = limited(*state, 800, 8); /* 100 frames a second, one at once */
    unsigned arrived = 0;

    if (rig_kernel(r)) {
        rig_close(r);
        skip();
    }
    for (unsigned ms = 0; ms < 10000; ms++) {
        arrived += burst(r, 1);
        virtual_ns += NSEC_PER_MSEC;
    }
    assert_in_range(arrived, 1000, 1002);
    virtual_ns += 3600 * NSEC_PER_SEC; /* idle: no more than the burst is saved up */
    assert_in_range(burst(r, 100), 1, 2);
    rig_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_burst_passes),
        cmocka_unit_test(test_edited_and_cleared),
        cmocka_unit_test(test_upcalls_are_limited),
        cmocka_unit_test(test_larger_than_burst),
        cmocka_unit_test_teardown(test_outlives, rig_teardown),
        cmocka_unit_test_teardown(test_interface_comes_back, rig_teardown),
        cmocka_unit_test(test_rate_in_the_long_run),
    };

    return rig_main("limits", tests, ARRAY_SIZE(tests));
}
