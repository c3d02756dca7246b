/* What only Open vSwitch can do to us: no module, other programs' datapaths, ours removed under us.
 */
#include "datapath/ovs_internal.h"
#include "datapath/ovs_view.h"
#include "dp_rig.h"

/* Said, with what to do about it; and the next choice is taken. */
static void test_no_module(void **state)
{
    struct error e = {0};
    struct dp *dp;
    unsigned n = 0;

    (void)state;
    if (rig_have_ovs())
        skip();
    assert_int_equal(dp_open("ovs", NULL, &dp, &e), -ENOTSUP);
    assert_non_null(strstr(e.message, "Open vSwitch"));
    assert_non_null(strstr(e.hint, "modprobe"));
    assert_int_equal(dp_open("ovs,memory", NULL, &dp, &e), 0);
    assert_string_equal(dp_type(dp), "memory");
    dp_close(dp, false);
    assert_int_equal(ovs_view_each(NULL, &n, &e), 0);
}

static void test_choices(void **state)
{
    struct error e = {0};
    struct dp *dp;

    (void)state;
    assert_int_equal(dp_open("", NULL, &dp, &e), -EINVAL);
    assert_int_equal(dp_open("memory,nosuch", NULL, &dp, &e), -EINVAL);
    assert_non_null(strstr(e.message, "nosuch"));
    assert_int_equal(dp_open("memory,ebpf", NULL, &dp, &e), 0);
    assert_string_equal(dp_type(dp), "memory");
    dp_close(dp, false);
}

/* Another program's: made by hand, with a port and a flow that looks like nothing of ours. */
struct foreign {
    struct ovs_sock sock;
    struct ovs_buf buf;
    int families[OVS_N_FAMILIES], ifindex;
};

static int on_made(unsigned index, const struct nlmsghdr *h, void *aux)
{
    (void)index;
    *(int *)aux = ((const struct ovs_header *)((uint8_t *)NLMSG_DATA(h) + GENL_HDRLEN))->dp_ifindex;
    return 0;
}

static int foreign_dp(struct foreign *f, const char *name, uint8_t cmd)
{
    ovs_buf_reset(&f->buf, &f->sock);
    ovs_begin(&f->buf, f->families[OVS_DATAPATH], cmd, NLM_F_ECHO, 0);
    ovs_put(&f->buf, OVS_DP_ATTR_NAME, name, strlen(name) + 1);
    if (cmd == OVS_DP_CMD_NEW)
        ovs_put_u32(&f->buf, OVS_DP_ATTR_UPCALL_PID, 0);
    ovs_end(&f->buf);
    return ovs_talk_one(&f->sock, &f->buf, on_made, &f->ifindex);
}

static int foreign_flow(struct foreign *f)
{
    struct ovs_buf *b = &f->buf;

    ovs_buf_reset(b, &f->sock);
    ovs_begin(b, f->families[OVS_FLOW], OVS_FLOW_CMD_NEW, NLM_F_CREATE, f->ifindex);
    for (int side = OVS_FLOW_ATTR_KEY; side <= OVS_FLOW_ATTR_MASK;
         side += OVS_FLOW_ATTR_MASK - OVS_FLOW_ATTR_KEY) {
        uint32_t nest = ovs_nest(b, side);

        ovs_put_u32(b, OVS_KEY_ATTR_IN_PORT, side == OVS_FLOW_ATTR_KEY ? 3 : ~0u);
        ovs_put(b, OVS_KEY_ATTR_ETHERNET, NULL, 12);
        ovs_nest_end(b, nest);
    }
    uint32_t nest = ovs_nest(b, OVS_FLOW_ATTR_ACTIONS);

    ovs_put(b, OVS_ACTION_ATTR_POP_VLAN, NULL, 0);
    ovs_put_u32(b, OVS_ACTION_ATTR_OUTPUT, 5);
    ovs_nest_end(b, nest);
    ovs_end(b);
    return ovs_talk_one(&f->sock, b, NULL, NULL);
}

static void foreign_open(struct foreign *f)
{
    struct error e = {0};

    *f = (struct foreign){.sock.fd = -1};
    assert_int_equal(ovs_families(f->families, &e), 0);
    assert_int_equal(ovs_sock_open(&f->sock), 0);
}

static void foreign_close(struct foreign *f)
{
    ovs_sock_close(&f->sock);
    ovs_buf_free(&f->buf);
}

static int see_flow(const struct ovs_view_flow *f, void *aux)
{
    assert_int_equal(f->key.in_port, 3);
    assert_int_equal(f->mask.in_port, ~0u);
    assert_string_equal(f->actions, "pop_vlan,output=5");
    ++*(unsigned *)aux;
    return 0;
}

static int count_any(const struct ovs_view_flow *f, void *aux)
{
    (void)f;
    ++*(uint64_t *)aux;
    return 0;
}

static int see_dp(const struct ovs_view_dp *d, void *aux)
{
    if (!strcmp(d->name, "others"))
        *(uint64_t *)aux = d->n_flows;
    return 0;
}

static void test_others(void **state)
{
    struct foreign f;
    struct error e = {0};
    uint64_t n_flows = 0;
    unsigned seen = 0;

    (void)state;
    rig_need_ovs();
    struct rig *r = rig_open("ovs", 2);

    foreign_open(&f);
    assert_int_equal(foreign_dp(&f, "others", OVS_DP_CMD_NEW), 0);
    assert_int_equal(foreign_flow(&f), 0);
    rig_shut(r, true);
    rig_reopen(r);
    rig_shut(r, false);
    assert_int_equal(ovs_view_each(see_dp, &n_flows, &e), 0);
    assert_int_equal(n_flows, 1);
    assert_int_equal(ovs_view_flows("others", see_flow, &seen, &e), 0);
    assert_int_equal(seen, 1);
    assert_int_equal(ovs_view_flows("nosuch", see_flow, &seen, &e), -ENOENT);
    rig_reopen(r);
    assert_int_equal(foreign_dp(&f, "others", OVS_DP_CMD_DEL), 0);
    foreign_close(&f);
    rig_close(r);
}

/* A flow in our datapath that isn't ours, or is of another version, doesn't stay. */
static void test_strangers(void **state)
{
    struct foreign f;
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1, 2), mask = mask_all();
    struct frame frame = frame_of(&k);
    struct error e = {0};
    uint64_t n = 0;
    char ifname[16];

    (void)state;
    rig_need_ovs();
    struct rig *r = rig_open("ovs", 2);
    struct flow_out out = rig_out(r, 2);
    struct flow_key key = rig_key(r, 1, &frame);

    rig_flow(r, &key, &mask, &out, 1);
    foreign_open(&f);
    dp_device_name(r->name, "ovs", ifname);
    assert_int_equal(foreign_dp(&f, ifname, OVS_DP_CMD_GET), 0);
    assert_int_equal(foreign_flow(&f), 0);
    rig_shut(r, true);
    rig_reopen(r);
    assert_int_equal(rig_n_flows(r), 1);
    assert_int_equal(ovs_view_flows(ifname, count_any, &n, &e), 0);
    assert_int_equal(n, 1);
    rig_send(r, 1, &frame);
    rig_expect(r, 2, &frame);
    foreign_close(&f);
    rig_close(r);
}

/* Somebody deletes the datapath while it is in use: everything says so, nothing breaks. */
static void test_removed_under_us(void **state)
{
    struct foreign f;
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1, 2), mask = mask_all();
    struct frame frame = frame_of(&k);
    struct error e = {0};
    struct dp_upcall up;
    char ifname[16];
    uint32_t no;
    int rc;

    (void)state;
    rig_need_ovs();
    struct rig *r = rig_open("ovs", 2);
    struct flow_out out = rig_out(r, 2);
    struct dp_flow flow = {.key = k, .mask = mask, .outs = &out, .n_outs = 1};
    struct dp_exec x = {.packet = frame.b, .size = (uint32_t)frame.size, .outs = &out, .n_outs = 1};

    dp_device_name(r->name, "ovs", ifname);
    foreign_open(&f);
    assert_int_equal(foreign_dp(&f, ifname, OVS_DP_CMD_DEL), 0);
    assert_int_equal(dp_flow_put(r->dp, 0, &flow, 1, &rc), 1);
    assert_int_equal(rc, -ENODEV);
    assert_int_equal(dp_flow_del(r->dp, 0, &flow, 1, NULL), 1);
    dp_execute(r->dp, 0, &x, 1);
    assert_int_equal(rig_counter(r, "send_failed"), 1);
    assert_int_equal(dp_recv(r->dp, 0, &up, 1), 0);
    assert_true(dp_port_add(r->dp, "p1", &no, &e) < 0);
    assert_true(dp_flow_each(r->dp, NULL, NULL) <= 0);
    assert_int_equal(dp_port_del(r->dp, r->port[2], &e), 0);
    foreign_close(&f);
    rig_close(r);
}

static void remove_ours(struct rig *r)
{
    struct foreign f;
    char ifname[16];

    dp_device_name(r->name, "ovs", ifname);
    foreign_open(&f);
    assert_int_equal(foreign_dp(&f, ifname, OVS_DP_CMD_DEL), 0);
    foreign_close(&f);
}

static int see_port(const struct ovs_view_port *p, void *aux)
{
    *(unsigned *)aux += !strcmp(p->type, "vxlan") || !strcmp(p->type, "gre");
    return 0;
}

static unsigned n_tunnel_ports(struct rig *r)
{
    struct error e = {0};
    char ifname[16];
    unsigned n = 0;

    dp_device_name(r->name, "ovs", ifname);
    assert_int_equal(ovs_view_ports(ifname, see_port, &n, &e), 0);
    return n;
}

/* A rig with a flow, a tunnel of each type and a key. */
static struct rig *well_used(struct frame *frame)
{
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1, 2), mask = mask_all();
    struct rig *r = rig_open("ovs", 2);
    struct ip local = IP("10.9.0.1");
    struct error e = {0};

    *frame = frame_of(&k);
    struct flow_key key = rig_key(r, 1, frame);
    struct flow_out out = rig_out(r, 2);

    rig_shell("ip addr add 10.9.0.1/24 dev lo");
    rig_flow(r, &key, &mask, &out, 1);
    assert_int_equal(dp_tunnel_local(r->dp, &local, FLOW_TUNNEL_VXLAN, &e), 0);
    assert_int_equal(dp_tunnel_local(r->dp, &local, FLOW_TUNNEL_GRE, &e), 0);
    assert_int_equal(dp_tunnel_bind(r->dp, 77, r->port[2], &e), 0);
    assert_int_equal(dp_check(r->dp), 0);
    rig_send(r, 1, frame);
    rig_expect(r, 2, frame);
    return r;
}

/* Ports have their numbers, tunnels their keys; the packet comes up and its flow is put again. */
static void expect_well(struct rig *r, struct frame *frame)
{
    struct flow_key key = rig_key(r, 1, frame), mask = mask_all();
    struct flow_out out = rig_out(r, 2);
    uint64_t n = 0;
    char ifname[16];
    struct error e = {0};

    assert_int_equal(rig_n_flows(r), 0);
    dp_device_name(r->name, "ovs", ifname);
    assert_int_equal(ovs_view_flows(ifname, count_any, &n, &e), 0);
    assert_int_equal(n, 2 * OVS_N_TAGGINGS); /* of the key */
    assert_int_equal(n_tunnel_ports(r), 2);
    rig_send(r, 1, frame);
    rig_expect_upcall(r, 1, frame, DP_MISS);
    rig_flow(r, &key, &mask, &out, 1);
    rig_send(r, 1, frame);
    rig_expect(r, 2, frame);
    assert_int_equal(dp_check(r->dp), 0);
}

static void test_made_again(void **state)
{
    struct frame frame;
    struct foreign f;
    char ifname[16];

    (void)state;
    rig_need_ovs();
    struct rig *r = well_used(&frame);

    remove_ours(r);
    assert_int_equal(dp_check(r->dp), 0);
    expect_well(r, &frame);
    assert_int_equal(rig_counter(r, "made_again"), 1);

    remove_ours(r); /* and another of its name is there */
    dp_device_name(r->name, "ovs", ifname);
    foreign_open(&f);
    assert_int_equal(foreign_dp(&f, ifname, OVS_DP_CMD_NEW), 0);
    foreign_close(&f);
    assert_int_equal(dp_check(r->dp), 0);
    expect_well(r, &frame);
    assert_int_equal(rig_counter(r, "made_again"), 2);
    rig_close(r);
}

/* One interface was gone by then: it comes when it comes. */
static void test_made_again_without_an_interface(void **state)
{
    struct frame frame;
    struct error e = {0};
    uint32_t no;

    (void)state;
    rig_need_ovs();
    struct rig *r = well_used(&frame);

    assert_int_equal(net_link_del("p2"), 0);
    close(r->sock[2]);
    r->sock[2] = -1;
    remove_ours(r);
    assert_int_equal(dp_check(r->dp), 0);
    rig_cable(r, 2);
    assert_int_equal(dp_port_add(r->dp, "p2", &no, &e), 0);
    assert_int_equal(no, r->port[2]);
    expect_well(r, &frame);
    rig_close(r);
}

static void take_out(struct rig *r, uint32_t port_no)
{
    struct foreign f;
    char ifname[16];

    dp_device_name(r->name, "ovs", ifname);
    foreign_open(&f);
    assert_int_equal(foreign_dp(&f, ifname, OVS_DP_CMD_GET), 0);
    ovs_buf_reset(&f.buf, &f.sock);
    ovs_begin(&f.buf, f.families[OVS_VPORT], OVS_VPORT_CMD_DEL, 0, f.ifindex);
    ovs_put_u32(&f.buf, OVS_VPORT_ATTR_PORT_NO, port_no);
    ovs_end(&f.buf);
    assert_int_equal(ovs_talk_one(&f.sock, &f.buf, NULL, NULL), 0);
    foreign_close(&f);
}

/* The last of as many checks as have the ports among them. */
static int check_ports(struct rig *r)
{
    for (unsigned i = 0; i < 4; i++)
        assert_true(dp_check(r->dp) >= 0);
    return dp_check(r->dp);
}

/* A port taken out of our datapath is put back. */
static void test_port_taken_out(void **state)
{
    struct frame frame;

    (void)state;
    rig_need_ovs();
    struct rig *r = well_used(&frame);

    take_out(r, r->port[1]);
    take_out(r, OVS_TUNNEL_PORT);
    assert_int_equal(n_tunnel_ports(r), 1);
    assert_int_equal(check_ports(r), 0);
    assert_int_equal(n_tunnel_ports(r), 2);
    rig_send(r, 1, &frame);
    rig_expect(r, 2, &frame); /* by its flow, that stayed */
    assert_int_equal(rig_counter(r, "made_again"), 0);
    rig_close(r);
}

/* The kernel lets nobody take the interface of a port that is one. */
static void test_port_in_use(void **state)
{
    struct frame frame;

    (void)state;
    rig_need_ovs();
    struct rig *r = well_used(&frame);

    rig_shell("ip link add br9 type bridge");
    rig_shell("! ip link set p1 nomaster 2>/dev/null");
    rig_shell("! ip link set p1 master br9 2>/dev/null");
    rig_send(r, 1, &frame);
    rig_expect(r, 2, &frame);
    rig_close(r);
}

/* Once it was taken out it has another master: that is said, and it is ours again when that one
 * lets go. */
static void test_port_taken_by_another(void **state)
{
    struct frame frame;

    (void)state;
    rig_need_ovs();
    struct rig *r = well_used(&frame);

    rig_shell("ip link add br9 type bridge");
    take_out(r, r->port[1]);
    rig_shell("ip link set p1 master br9");
    assert_int_equal(check_ports(r), 1);
    assert_int_equal(rig_port(r, 1).ifindex, 0);
    assert_true(rig_port(r, 2).ifindex > 0);

    remove_ours(r); /* the same with all made again */
    assert_int_equal(dp_check(r->dp), 1);
    assert_int_equal(rig_port(r, 1).ifindex, 0);

    rig_shell("ip link set p1 nomaster");
    assert_int_equal(check_ports(r), 0);
    assert_true(rig_port(r, 1).ifindex > 0);
    expect_well(r, &frame);
    rig_close(r);
}

/* The module is unloaded under us and comes back.  Only in the test's own machine. */
static void test_module_unloaded(void **state)
{
    struct frame frame;
    struct dp_upcall up;

    (void)state;
    if (!rig_have_ovs() || !getenv("MN_VM"))
        skip();
    struct rig *r = well_used(&frame);

    remove_ours(r);
    rig_shell("rmmod vport_vxlan vport_gre openvswitch");
    assert_int_equal(dp_check(r->dp), -ENODEV);
    assert_int_equal(dp_check(r->dp), -ENODEV);
    assert_int_equal(dp_recv(r->dp, 0, &up, 1), 0);
    rig_shell("insmod /modules/openvswitch.ko");
    assert_int_equal(dp_check(r->dp), -ENODEV); /* no ports for tunnels yet */
    rig_shell("insmod /modules/vport-vxlan.ko && insmod /modules/vport-gre.ko");
    assert_int_equal(dp_check(r->dp), 0);
    expect_well(r, &frame);
    rig_close(r);
}

/* "remove NAME": for tests that need somebody who does that to an agent. */
static int remove_named(const char *name)
{
    struct foreign f;
    struct error e = {0};

    if (ovs_families(f.families, &e) || ovs_sock_open(&f.sock))
        return 1;
    f.buf = (struct ovs_buf){0};
    int rc = foreign_dp(&f, name, OVS_DP_CMD_DEL);

    foreign_close(&f);
    return rc != 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "remove"))
        return remove_named(argv[2]);

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_module),
        cmocka_unit_test(test_choices),
        cmocka_unit_test_teardown(test_others, rig_teardown),
        cmocka_unit_test_teardown(test_strangers, rig_teardown),
        cmocka_unit_test_teardown(test_removed_under_us, rig_teardown),
        cmocka_unit_test_teardown(test_made_again, rig_teardown),
        cmocka_unit_test_teardown(test_made_again_without_an_interface, rig_teardown),
        cmocka_unit_test_teardown(test_port_taken_out, rig_teardown),
        cmocka_unit_test_teardown(test_port_in_use, rig_teardown),
        cmocka_unit_test_teardown(test_port_taken_by_another, rig_teardown),
        cmocka_unit_test_teardown(test_module_unloaded, rig_teardown),
    };

    return cmocka_run_group_tests_name("Open vSwitch", tests, NULL, NULL);
}
