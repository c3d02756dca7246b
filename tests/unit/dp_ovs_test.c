/* What only Open vSwitch can do to us: no module, other programs' datapaths, ours removed under us.
 */
#include "datapath/ovs_internal.h"
#include "datapath/ovs_view.h"
#include "dp_rig.h"

static bool have_module(void)
{
    return !access("/sys/module/openvswitch", F_OK);
}

/* Said, with what to do about it; and the next choice is taken. */
static void test_no_module(void **state)
{
    struct error e = {0};
    struct dp *dp;
    unsigned n = 0;

    (void)state;
    if (have_module())
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

static int see_flow(const struct ovs_view_flow *f, void *aux)
{
    assert_int_equal(f->key.in_port, 3);
    assert_int_equal(f->mask.in_port, ~0u);
    assert_string_equal(f->actions, "pop_vlan,output=5");
    ++*(unsigned *)aux;
    return 0;
}

static int count_flow(const struct dp_flow *f, const struct dp_flow_stats *s, void *aux)
{
    (void)f;
    (void)s;
    ++*(uint64_t *)aux;
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
    struct foreign f = {.sock.fd = -1};
    struct error e = {0};
    uint64_t n_flows = 0;
    unsigned seen = 0;

    (void)state;
    if (!have_module())
        skip();
    struct rig *r = rig_open("ovs", 2);

    assert_int_equal(ovs_families(f.families, &e), 0);
    assert_int_equal(ovs_sock_open(&f.sock), 0);
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
    ovs_sock_close(&f.sock);
    ovs_buf_free(&f.buf);
    rig_close(r);
}

/* A flow in our datapath that isn't ours, or is of another version, doesn't stay. */
static void test_strangers(void **state)
{
    struct foreign f = {.sock.fd = -1};
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1, 2), mask = mask_all();
    struct frame frame = frame_of(&k);
    struct error e = {0};
    uint64_t n = 0;
    char ifname[16];

    (void)state;
    if (!have_module())
        skip();
    struct rig *r = rig_open("ovs", 2);
    struct flow_out out = rig_out(r, 2);
    struct flow_key key = rig_key(r, 1, &frame);

    rig_flow(r, &key, &mask, &out, 1);
    assert_int_equal(ovs_families(f.families, &e), 0);
    assert_int_equal(ovs_sock_open(&f.sock), 0);
    dp_device_name(r->name, "ovs", ifname);
    assert_int_equal(foreign_dp(&f, ifname, OVS_DP_CMD_GET), 0);
    assert_int_equal(foreign_flow(&f), 0);
    rig_shut(r, true);
    rig_reopen(r);
    assert_int_equal(dp_flow_each(r->dp, count_flow, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(ovs_view_flows(ifname, count_any, &n, &e), 0);
    assert_int_equal(n, 2);
    rig_send(r, 1, &frame);
    rig_expect(r, 2, &frame);
    ovs_sock_close(&f.sock);
    ovs_buf_free(&f.buf);
    rig_close(r);
}

/* Somebody deletes the datapath while it is in use: everything says so, nothing breaks. */
static void test_removed_under_us(void **state)
{
    struct foreign f = {.sock.fd = -1};
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1, 2), mask = mask_all();
    struct frame frame = frame_of(&k);
    struct error e = {0};
    struct dp_upcall up;
    char ifname[16];
    uint32_t no;
    int rc;

    (void)state;
    if (!have_module())
        skip();
    struct rig *r = rig_open("ovs", 2);
    struct flow_out out = rig_out(r, 2);
    struct dp_flow flow = {.key = k, .mask = mask, .outs = &out, .n_outs = 1};
    struct dp_exec x = {.packet = frame.b, .size = (uint32_t)frame.size, .outs = &out, .n_outs = 1};

    dp_device_name(r->name, "ovs", ifname);
    assert_int_equal(ovs_families(f.families, &e), 0);
    assert_int_equal(ovs_sock_open(&f.sock), 0);
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
    ovs_sock_close(&f.sock);
    ovs_buf_free(&f.buf);
    rig_close(r);
}

/* Answers that are cut or unknown. */
static void test_bad_answers(void **state)
{
    struct nlattr *attrs[OVS_FLOW_ATTR_MAX + 1];
    struct {
        struct nlmsghdr h;
        uint8_t data[64];
    } m = {.h.nlmsg_type = 20};

    (void)state;
    for (uint32_t size = 0; size < NLMSG_HDRLEN + GENL_HDRLEN + 4; size++) {
        m.h.nlmsg_len = size;
        if (size >= NLMSG_HDRLEN)
            assert_int_equal(ovs_attrs(&m.h, attrs, OVS_FLOW_ATTR_MAX), -EBADMSG);
    }
    m.h.nlmsg_len = NLMSG_HDRLEN + GENL_HDRLEN + 4 + 8;
    struct nlattr *a = (struct nlattr *)(m.data + GENL_HDRLEN + 4);

    *a = (struct nlattr){.nla_len = 8, .nla_type = 4000}; /* newer than we are */
    assert_int_equal(ovs_attrs(&m.h, attrs, OVS_FLOW_ATTR_MAX), 0);
    *a = (struct nlattr){.nla_len = 60, .nla_type = OVS_FLOW_ATTR_KEY}; /* beyond the message */
    assert_int_equal(ovs_attrs(&m.h, attrs, OVS_FLOW_ATTR_MAX), 0);
    assert_null(attrs[OVS_FLOW_ATTR_KEY]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_module),
        cmocka_unit_test(test_choices),
        cmocka_unit_test(test_bad_answers),
        cmocka_unit_test_teardown(test_others, rig_teardown),
        cmocka_unit_test_teardown(test_strangers, rig_teardown),
        cmocka_unit_test_teardown(test_removed_under_us, rig_teardown),
    };

    return cmocka_run_group_tests_name("Open vSwitch", tests, NULL, NULL);
}
