/* What the kernel's Open vSwitch answers, when it is too much for a socket, or makes no sense. */
#include "datapath/ovs_internal.h"
#include "dp_rig.h"

/* Takes as little as the kernel allows. */
static void narrow(int fd)
{
    int one = 1;

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &one, sizeof one), 0);
}

static void fill_flows(struct rig *r, struct dp_flow *flows, unsigned n, const struct flow_out *out)
{
    for (unsigned i = 0; i < n; i++) {
        flows[i] = (struct dp_flow){.mask = mask_all(), .outs = out, .n_outs = 1};
        flows[i].key = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", (uint16_t)i, 7);
        flows[i].key.in_port = r->port[1];
    }
}

/* More answers than the socket takes: each flow is said to have failed, and is not half there. */
static void test_answers_lost(void **state)
{
    enum { N = 64 };
    struct dp_flow flows[N];
    int rcs[N];
    unsigned lost = 0;

    (void)state;
    rig_need_ovs();
    struct rig *r = rig_open("ovs", 2);
    struct flow_out out = rig_out(r, 2);
    struct ovs_dp *d = ovs_of(r->dp);

    fill_flows(r, flows, N, &out);
    assert_int_equal(dp_flow_put(r->dp, 0, flows, N, rcs), 0);
    narrow(d->queues[0].sock.fd);
    assert_true(dp_flow_put(r->dp, 0, flows, N, rcs) > 0); /* "exists", of each */
    assert_int_equal(rcs[0], -ENOBUFS);
    for (unsigned i = 0; i < N; i++)
        assert_true(!rcs[i] || rcs[i] == -ENOBUFS);
    for (unsigned i = 0; i < N; i++)
        lost += rcs[i] != 0;
    assert_int_equal(rig_n_flows(r) + lost, N);
    assert_int_equal(dp_flow_put(r->dp, 0, flows, N, rcs), 0); /* hears again */
    assert_int_equal(rig_n_flows(r), N);
    assert_int_equal(ovs_n_flows(d), N);
    rig_close(r);
}

/* A dump on a socket that takes little goes on as it is read; on one that has lost something it
 * says so, and the next one is whole. */
static void test_dump_overrun(void **state)
{
    enum { N = 2000 };
    uint64_t n = 0;

    (void)state;
    rig_need_ovs();
    struct dp_flow *flows = NEW_ARRAY(N, struct dp_flow);
    struct rig *r = rig_open("ovs", 2);
    struct flow_out out = rig_out(r, 2);
    struct ovs_dp *d = ovs_of(r->dp);

    fill_flows(r, flows, N, &out);
    assert_int_equal(dp_flow_put(r->dp, 0, flows, N, NULL), 0);
    free(flows);
    narrow(d->control.fd);
    assert_int_equal(rig_n_flows(r), N);

    struct ovs_buf b = {0};

    ovs_buf_reset(&b, &d->control);
    ovs_begin(&b, d->families[OVS_FLOW], OVS_FLOW_CMD_GET, 0, 0); /* an error, whatever else */
    ovs_end(&b);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(send(d->control.fd, b.data, b.size, 0), b.size);
    ovs_buf_free(&b);
    assert_int_equal(dp_flow_each(r->dp, rig_count_flow, &n), -ENOBUFS);
    assert_int_equal(rig_n_flows(r), N);
    rig_close(r);
}

static void count_upcalls(struct rig *r, unsigned *quiet, unsigned *noisy)
{
    struct dp_upcall ups[8];

    for (int n; (n = dp_recv(r->dp, 0, ups, ARRAY_SIZE(ups))) > 0;)
        for (int i = 0; i < n; i++)
            ++*(ups[i].port_no == r->port[2] ? quiet : noisy);
}

/* The smallest share of upcalls there is: what is lost is counted, at the port that lost it. */
static void test_upcall_storm(void **state)
{
    uint64_t deadline = clock_ns() + RIG_PATIENCE;
    unsigned quiet = 0, noisy = 0, before;

    (void)state;
    rig_need_ovs();
    struct rig *r = rig_open_with("ovs", "a", 2, &(struct dp_options){.upcalls_per_port = 1});

    for (uint16_t i = 0; i < 1000; i++) {
        struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", i, 7);
        struct frame f = frame_of(&k);

        rig_send(r, 1, &f);
        if (i % 50)
            continue;
        rig_send(r, 2, &f);
        before = quiet;
        do
            count_upcalls(r, &quiet, &noisy);
        while (quiet == before && clock_ns() < deadline);
    }
    while (noisy + rig_port(r, 1).upcalls_lost < 1000 && clock_ns() < deadline)
        count_upcalls(r, &quiet, &noisy);
    assert_int_equal(quiet, 20);
    assert_int_equal(rig_port(r, 2).upcalls_lost, 0);
    assert_true(rig_port(r, 1).upcalls_lost > 500);
    assert_int_equal(noisy + rig_port(r, 1).upcalls_lost, 1000);
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
        cmocka_unit_test(test_bad_answers),
        cmocka_unit_test_teardown(test_answers_lost, rig_teardown),
        cmocka_unit_test_teardown(test_dump_overrun, rig_teardown),
        cmocka_unit_test_teardown(test_upcall_storm, rig_teardown),
    };

    return cmocka_run_group_tests_name("Open vSwitch's answers", tests, NULL, NULL);
}
