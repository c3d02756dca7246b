/* Other programs take away what the eBPF datapath needs: it comes back.  What the module of Open
 * vSwitch loses is tested at a whole agent. */
#include "dp_rig.h"

static struct rig *ebpf_rig(void **state)
{
    struct rig *r = rig_open(*state, 2);

    if (rig_kernel(r) && !rig_is_ovs(r))
        return r;
    rig_close(r);
    skip();
    return NULL;
}

static struct frame udp(void)
{
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1, 2);

    return frame_of(&k);
}

/* A machine sends until its frames arrive again, and each one then does. */
static void await_forwarding(struct rig *r, const struct frame *f)
{
    uint64_t deadline = clock_ns() + RIG_PATIENCE;
    uint8_t buf[2048];

    do
        rig_send(r, 1, f);
    while (!rig_take(r, 2, buf, sizeof buf, NULL) && clock_ns() < deadline);
    assert_true(clock_ns() < deadline);
    rig_expect_nothing(r, 2); /* none on their way */
    rig_send(r, 1, f);
    rig_expect(r, 2, f);
}

static void open_flow(struct rig *r, const struct frame *f)
{
    struct flow_key key = rig_key(r, 1, f), mask = mask_all();
    struct flow_out out = rig_out(r, 2);

    rig_flow(r, &key, &mask, &out, 1);
    rig_send(r, 1, f);
    rig_expect(r, 2, f);
}

static void test_filter_taken_off(void **state)
{
    struct rig *r = ebpf_rig(state);
    struct frame f = udp();

    open_flow(r, &f);
    rig_shell("tc qdisc del dev p1 clsact");
    await_forwarding(r, &f);
    rig_shell("tc filter del dev p1 ingress");
    await_forwarding(r, &f);
    rig_close(r); /* and its teardown sees that nothing stays behind */
}

static void test_port_deleted_stays_so(void **state)
{
    struct rig *r = ebpf_rig(state);
    struct frame f = udp();
    struct error e = {0};

    open_flow(r, &f);
    assert_int_equal(dp_port_del(r->dp, r->port[1], &e), 0);
    rig_shell("tc qdisc add dev p2 clsact 2>/dev/null || tc qdisc del dev p2 clsact");
    uint64_t deadline = clock_ns() + RIG_PATIENCE; /* the watcher has been there */
    while (system("tc filter show dev p2 ingress | grep -q mn_port") && clock_ns() < deadline)
        ;
    assert_true(clock_ns() < deadline);
    assert_int_not_equal(system("tc filter show dev p1 ingress | grep -q mn_port"), 0);
    rig_close(r);
}

static void test_tap_deleted(void **state)
{
    struct rig *r = ebpf_rig(state);
    struct frame f = udp();

    rig_expect_nothing(r, 2); /* by a frame through the tap */
    rig_shell("ip link del $(ip -o link | grep -o '[^ ]*inj[^:@ ]*' | head -n 1)");
    rig_expect_nothing(r, 2);
    open_flow(r, &f);
    rig_close(r);
}

static void test_vxlan_device_deleted(void **state)
{
    struct rig *r = ebpf_rig(state);
    struct ip local = IP("192.0.2.1");
    struct error e = {0};
    uint64_t deadline;

    rig_shell("ip link add u0 type veth peer name u1; ip addr add 192.0.2.1/24 dev u0; ip link set "
              "u0 up");
    assert_int_equal(dp_tunnel_local(r->dp, &local, FLOW_TUNNEL_VXLAN, &e), 0);
    rig_shell("ip link del $(ip -o link show type vxlan | cut -d: -f2)");
    deadline = clock_ns() + RIG_PATIENCE;
    while (system("d=$(ip -o link show type vxlan | cut -d: -f2); tc filter show dev $d ingress "
                  "2>/dev/null | grep -q mn_vxlan") &&
           clock_ns() < deadline)
        ;
    assert_true(clock_ns() < deadline);
    rig_shell("tc qdisc del dev u0 clsact");
    deadline = clock_ns() + RIG_PATIENCE;
    while (system("tc filter show dev u0 ingress | grep -q mn_underlay") && clock_ns() < deadline)
        ;
    assert_true(clock_ns() < deadline);
    rig_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filter_taken_off),
        cmocka_unit_test(test_port_deleted_stays_so),
        cmocka_unit_test(test_tap_deleted),
        cmocka_unit_test(test_vxlan_device_deleted),
    };

    return rig_main("what others take away", tests, ARRAY_SIZE(tests));
}
