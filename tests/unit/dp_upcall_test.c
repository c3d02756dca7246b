/* What goes up, in which order, how much of it, and what happens around ports that come and go. */
#include "dp_rig.h"
#include "packet/checksum.h"

static struct frame udp(uint16_t n)
{
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", n, 2000);

    return frame_of(&k);
}

static void test_in_order(void **state)
{
    struct rig *r = rig_open(*state, 1);

    for (uint16_t i = 0; i < 20; i++) {
        struct frame f = udp(i);
        rig_send(r, 1, &f);
    }
    for (uint16_t i = 0; i < 20; i++) {
        struct frame f = udp(i);
        rig_expect_upcall(r, 1, &f, DP_MISS);
    }
    assert_int_equal(rig_port(r, 1).upcalls, 20);
    assert_int_equal(rig_port(r, 1).rx_packets, 20);
    rig_close(r);
}

static unsigned receive_all(struct rig *r, unsigned by_port[], unsigned order[], unsigned room)
{
    struct dp_upcall ups[8];
    unsigned total = 0;
    int n;

    memset(by_port, 0, RIG_PORTS * sizeof *by_port);
    while ((n = dp_recv(r->dp, 0, ups, 8)) > 0)
        for (int i = 0; i < n; i++) {
            unsigned port = 1;

            while (port <= r->n_ports && r->port[port] != ups[i].port_no)
                port++;
            by_port[port]++;
            if (total < room)
                order[total] = port;
            total++;
        }
    return total;
}

/* A port that floods loses its own packets, not those of others, and doesn't make them wait. */
static void test_noisy_port(void **state)
{
    struct rig *r = rig_open_with(*state, "a", 3, &(struct dp_options){.upcalls_per_port = 100});
    unsigned by_port[RIG_PORTS], order[8];

    for (uint16_t i = 0; i < 2000; i++) {
        struct frame f = udp(i);
        rig_send(r, 1, &f);
    }
    for (uint16_t i = 0; i < 50; i++) {
        struct frame f = udp(i);
        rig_send(r, 2, &f);
        rig_send(r, 3, &f);
    }
    receive_all(r, by_port, order, 8);
    unsigned n = by_port[1];

    if (rig_is_ovs(r)) /* its share is measured in bytes */
        assert_true(n >= 100 && n < 1000);
    else
        assert_int_equal(n, 100);
    assert_int_equal(by_port[2], 50);
    assert_int_equal(by_port[3], 50);
    assert_int_equal(rig_port(r, 1).upcalls, n);
    assert_int_equal(rig_port(r, 1).upcalls_lost, 2000 - n);
    assert_int_equal(rig_port(r, 2).upcalls_lost, 0);
    assert_int_equal(rig_counter(r, "upcall_lost"), 2000 - n);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(order[i], i % 3 + 1);
    struct frame f = udp(9);

    rig_send(r, 1, &f); /* the credit is back */
    rig_expect_upcall(r, 1, &f, DP_MISS);
    rig_close(r);
}

/* Packets of one flow before it is set up: some go up, not all, and soon some again. */
static void test_one_flow_asks_seldom(void **state)
{
    struct rig *r = rig_open_with(*state, "a", 1, &(struct dp_options){.upcalls_per_port = 100000});
    unsigned by_port[RIG_PORTS], order[1];
    struct frame f = udp(1);

    if (!rig_counts(r, "upcall_pending")) {
        rig_close(r);
        skip();
    }
    for (unsigned i = 0; i < 3000; i++)
        rig_send(r, 1, &f);
    unsigned n = receive_all(r, by_port, order, 1);

    assert_true(n >= 1 && n < 3000);
    assert_int_equal(rig_counter(r, "upcall_pending"), 3000 - n);
    assert_int_equal(rig_port(r, 1).upcalls_lost, 3000 - n);
    uint64_t deadline = clock_ns() + RIG_PATIENCE;

    do {
        rig_send(r, 1, &f);
        n = receive_all(r, by_port, order, 1);
    } while (!n && clock_ns() < deadline);
    assert_true(n > 0);
    rig_close(r);
}

static void test_rate(void **state)
{
    struct rig *r = rig_open_with(
        *state, "a", 1, &(struct dp_options){.upcalls_per_port = 5000, .upcall_rate = 10});
    unsigned by_port[RIG_PORTS], order[1];

    for (uint16_t i = 0; i < 500; i++) {
        struct frame f = udp(i);
        rig_send(r, 1, &f);
    }
    unsigned n = receive_all(r, by_port, order, 1);

    assert_true(n >= 9 && n < 400); /* a second's worth at once, then ten a second */
    assert_int_equal(rig_port(r, 1).upcalls_lost, 500 - n);
    rig_close(r);
}

static void test_fd(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct pollfd p = {.fd = dp_recv_fd(r->dp, 0), .events = POLLIN};
    struct frame f = udp(1);
    struct dp_upcall ups[4];

    assert_int_equal(dp_recv(r->dp, 0, ups, 1), 0);
    assert_int_equal(poll(&p, 1, 0), 0);
    rig_send(r, 1, &f);
    rig_send(r, 2, &f);
    assert_int_equal(poll(&p, 1, 2000), 1);
    assert_int_equal(dp_recv(r->dp, 0, ups, 1), 1);
    assert_int_equal(poll(&p, 1, 0), 1); /* one more waits, though it may have left the kernel */
    assert_int_equal(dp_recv(r->dp, 0, ups, 4), 1);
    assert_int_equal(dp_recv(r->dp, 0, ups, 4), 0);
    assert_int_equal(poll(&p, 1, 0), 0);
    rig_close(r);
}

static void test_sizes(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1000, 2000);
    static uint8_t payload[1472];
    struct flow_out out = rig_out(r, 2);

    for (size_t size = 0; size <= sizeof payload; size += 46) {
        struct frame f = {0};

        k.tp_src++;
        for (size_t i = 0; i < size; i++)
            payload[i] = (uint8_t)(i * size);
        f.size = packet_from_key(f.b, sizeof f.b, &k, payload, size);
        rig_send(r, 1, &f);
        rig_expect_upcall(r, 1, &f, DP_MISS);
        struct dp_exec x = {.packet = f.b, .size = (uint32_t)f.size, .outs = &out, .n_outs = 1};
        assert_int_equal(dp_execute(r->dp, 0, &x, 1), 0);
        rig_expect(r, 2, &f);
    }
    rig_close(r);
}

static void test_vlan_goes_up(void **state)
{
    struct rig *r = rig_open(*state, 1);
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1, 2);

    k.vlan_tci = FLOW_VLAN_PRESENT | 3 << 13 | 77;
    struct frame f = frame_of(&k);

    rig_send(r, 1, &f);
    rig_expect_upcall(r, 1, &f, DP_MISS);
    rig_close(r);
}

/* A frame that contradicts itself goes up even where a flow would take anything. */
static void expect_malformed(struct rig *r, struct frame f)
{
    uint64_t before = rig_counter(r, "malformed");
    static uint8_t n;

    f.b[11] = n++; /* another flow each time, or they would be too many of one */
    rig_send(r, 1, &f);
    rig_expect_upcall(r, 1, &f, DP_MISS);
    assert_int_equal(rig_counter(r, "malformed"), before + 1);
    assert_int_not_equal(rig_key(r, 1, &f).malformed, 0);
}

static void test_malformed(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct flow_key key = {.in_port = r->port[1]}, mask = mask_port();
    struct flow_key k4 = key_of(WIRE_PROTO_TCP, "10.0.0.1", "10.0.0.2", 1, 2);
    struct flow_key k6 = key_of(WIRE_PROTO_UDP, "fd00::1", "fd00::2", 1, 2);
    struct flow_out out = rig_out(r, 2);
    struct frame good = frame_of(&k4), good6 = frame_of(&k6), f;

    if (rig_is_ovs(r)) { /* a flow that doesn't look takes them */
        rig_close(r);
        skip();
    }
    rig_flow(r, &key, &mask, &out, 1);
    rig_send(r, 1, &good);
    rig_expect(r, 2, &good);
    for (size_t size = 14; size < good.size - 16; size++) { /* cut anywhere in the headers */
        f = good;
        f.size = size;
        expect_malformed(r, f);
    }
    for (size_t size = 14; size < good6.size - 16; size++) {
        f = good6;
        f.size = size;
        expect_malformed(r, f);
    }
    const struct {
        size_t at;
        uint8_t value;
    } edits[] = {
        {14, 0x55}, {14, 0x44}, {14, 0x4f}, {16, 0xff},           {17, 10},
        {26, 224},  {26, 127},  {20, 0x1f}, {14 + 20 + 12, 0x40}, {14 + 20 + 12, 0xf0},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(edits); i++) {
        f = good;
        f.b[edits[i].at] = edits[i].value;
        if (i == 7) {
            f.b[21] = 0xff; /* offset + size beyond 65535 */
        }
        expect_malformed(r, f);
    }
    f = good6;
    f.b[14] = 0x45;
    expect_malformed(r, f);
    f = good6;
    f.b[18] = 0x40;
    expect_malformed(r, f);
    f = good6;
    f.b[22] = 0xff;
    expect_malformed(r, f);
    f = good6;
    f.b[20] = 60; /* options that run out of the packet */
    f.b[54 + 1] = 40;
    expect_malformed(r, f);
    f = good6;
    put16(f.b + 54 + 4, 1000);
    expect_malformed(r, f);
    rig_expect_nothing(r, 2);
    rig_close(r);
}

/* Any bytes at all: nothing breaks, and both readings agree on what is malformed. */
static void test_garbage(void **state)
{
    struct rig *r = rig_open_with(*state, "a", 2, &(struct dp_options){.upcalls_per_port = 4000});
    struct flow_key key = {.in_port = r->port[1]}, mask = mask_port();
    struct flow_out out = rig_out(r, 2);
    struct flow_key k[] = {key_of(WIRE_PROTO_TCP, "10.0.0.1", "10.0.0.2", 1, 2),
                           key_of(WIRE_PROTO_UDP, "fd00::1", "fd00::2", 1, 2),
                           key_of(WIRE_PROTO_ICMP6, "fd00::1", "fd00::2", 128, 0),
                           key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1, 2)};

    rig_flow(r, &key, &mask, &out, 1);
    srandom(7);
    for (unsigned i = 0; i < 4000; i++) {
        struct frame f = frame_of(&k[i % ARRAY_SIZE(k)]);
        unsigned n_edits = (unsigned)random() % 3 + 1;

        for (unsigned e = 0; e < n_edits; e++) {
            size_t at = 12 + (unsigned)random() % (f.size - 12);
            f.b[at] = (uint8_t)random();
        }
        struct flow_key read = rig_key(r, 1, &f);

        if (read.eth_type == 0x8100 || read.eth_type == 0x88a8 || read.vlan_tci)
            continue; /* the kernel takes tags apart in its own way when the frame is short */
        if (read.malformed == PACKET_BAD_ND)
            continue; /* a flow may look less deep */
        rig_send(r, 1, &f);
        if (read.malformed && !rig_is_ovs(r))
            rig_expect_upcall(r, 1, &f, DP_MISS);
        else
            rig_expect(r, 2, &f);
    }
    rig_close(r);
}

/* The kernel's own table drops them unseen. */
static uint64_t lost_copies(struct rig *r)
{
    return rig_counts(r, "no_port") ? rig_counter(r, "no_port") : 0;
}

static void test_interface_vanishes(void **state)
{
    struct rig *r = rig_open(*state, 3);
    unsigned counted = rig_counts(r, "no_port");
    struct frame f = udp(1);
    struct flow_key key = rig_key(r, 1, &f), mask = mask_all();
    struct flow_out outs[2] = {rig_out(r, 2), rig_out(r, 3)};
    uint64_t deadline = clock_ns() + RIG_PATIENCE, before;
    struct error e = {0};

    rig_flow(r, &key, &mask, outs, 2);
    rig_send(r, 1, &f);
    rig_expect(r, 2, &f);
    rig_expect(r, 3, &f);
    if (rig_kernel(r))
        assert_int_equal(net_link_del("p2"), 0);
    else
        assert_int_equal(memory_if_del(r->dp, "p2"), 0);
    while (rig_port(r, 2).ifindex && clock_ns() < deadline)
        usleep(1000);
    assert_int_equal(rig_port(r, 2).ifindex, 0);
    before = lost_copies(r);
    rig_send(r, 1, &f);
    rig_expect(r, 3, &f);
    assert_int_equal(lost_copies(r), before + counted);
    rig_flow(r, &key, &mask, outs, 1);
    rig_send(r, 1, &f);
    rig_expect_no_upcall(r, 1);
    assert_int_equal(lost_copies(r), before + 2 * counted);

    /* The same name comes back: the same port. */
    uint32_t again;

    if (rig_kernel(r)) {
        close(r->sock[2]);
        r->sock[2] = -1;
    }
    rig_cable(r, 2);
    assert_int_equal(dp_port_add(r->dp, "p2", &again, &e), 0);
    assert_int_equal(again, r->port[2]);
    rig_send(r, 1, &f);
    rig_expect(r, 2, &f);

    /* And goes for good. */
    if (rig_kernel(r))
        assert_int_equal(net_link_del("p2"), 0);
    else
        assert_int_equal(memory_if_del(r->dp, "p2"), 0);
    assert_int_equal(dp_port_del(r->dp, r->port[2], &e), 0);
    assert_int_equal(dp_port_del(r->dp, r->port[2], &e), -ENOENT);
    before = lost_copies(r);
    rig_send(r, 1, &f);
    rig_expect_no_upcall(r, 1);
    assert_int_equal(lost_copies(r), before + counted);
    rig_close(r);
}

static void test_ports(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct frame f = udp(1);
    uint32_t no = 0;
    struct error e = {0};

    assert_int_equal(dp_port_add(r->dp, "p1", &no, &e), 0);
    assert_int_equal(no, r->port[1]);
    assert_int_equal(dp_port_add(r->dp, "nosuch", &no, &e), -ENODEV);
    assert_string_not_equal(e.message, "");
    rig_send(r, 1, &f);
    rig_expect_upcall(r, 1, &f, DP_MISS);
    assert_int_equal(dp_port_del(r->dp, r->port[1], &e), 0);
    rig_send(r, 1, &f); /* nobody's any more */
    rig_send(r, 2, &f);
    rig_expect_upcall(r, 2, &f, DP_MISS);
    assert_int_equal(dp_port_add(r->dp, "p1", &no, &e), 0);
    r->port[1] = no;
    rig_send(r, 1, &f);
    rig_expect_upcall(r, 1, &f, DP_MISS);
    assert_int_equal(rig_port(r, 1).rx_packets, 1);
    rig_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_noisy_port),
        cmocka_unit_test(test_one_flow_asks_seldom),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_fd),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_vlan_goes_up),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_interface_vanishes),
        cmocka_unit_test(test_ports),
    };

    return rig_main("upcalls and ports", tests, ARRAY_SIZE(tests));
}
