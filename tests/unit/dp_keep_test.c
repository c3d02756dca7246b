/* Closing and opening again: kept, everything goes on and is found; not kept, nothing is left. */
#include <bpf/bpf.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "datapath/ebpf_internal.h"
#include "dp_rig.h"

static struct frame tcp(uint16_t n)
{
    struct flow_key k = key_of(WIRE_PROTO_TCP, "10.0.0.1", "10.0.0.2", n, 2000);

    return frame_of(&k);
}

/* In a host that has been up for years, too, a flow used while flows are read isn't an old one. */
static void the_latest_use_is_the_latest(void **arg)
{
    const uint64_t step = 1ull << FP_USED_SHIFT, years = 100000000 * NSEC_PER_SEC;
    struct dp_flow_stats s;

    (void)arg;
    for (int ago = -1; ago < 1000; ago++) {
        struct fp_flow f = {.packets = 1,
                            .used = (uint32_t)((years >> FP_USED_SHIFT) - (uint64_t)ago)};
        ebpf_stats_from(&f, years, &s);
        assert_in_range(s.used_ns, years - (uint64_t)MAX(ago, 0) * step, years);
        f.used = (uint32_t)((step * 50 >> FP_USED_SHIFT) - (uint64_t)ago);
        ebpf_stats_from(&f, step * 50, &s); /* just up */
        assert_true(s.used_ns <= step * 50);
    }
}

struct found {
    unsigned n;
    uint64_t packets, cookies;
};

static int find_flow(const struct dp_flow *f, const struct dp_flow_stats *s, void *aux)
{
    struct found *found = aux;

    found->n++;
    found->packets += s->packets;
    found->cookies += f->cookie * f->n_outs;
    return 0;
}

static int count_port(const struct dp_port *p, void *aux)
{
    (void)p;
    ++*(unsigned *)aux;
    return 0;
}

static void test_kept(void **state)
{
    struct rig *r = rig_open(*state, 4);
    struct frame one = tcp(1), many = tcp(2), other = tcp(3);
    struct flow_key key1 = rig_key(r, 1, &one), key2 = rig_key(r, 1, &many), mask = mask_all();
    struct flow_out outs[3] = {rig_out(r, 2), rig_out(r, 3), rig_out(r, 4)};
    uint32_t before[5];

    outs[1].set = FLOW_DEC_TTL;
    outs[1].ttl_dec = 1;
    rig_flow(r, &key1, &mask, outs, 1);
    rig_flow(r, &key2, &mask, outs, 3);
    rig_send(r, 1, &one);
    rig_expect(r, 2, &one);
    memcpy(before, r->port, sizeof before);
    for (unsigned round = 0; round < 3; round++) {
        struct found found = {0};
        unsigned n_ports = 0;

        rig_shut(r, true);
        rig_enter(r);
        if (rig_kernel(r))
            for (unsigned i = 0; i < 10; i++) { /* nobody looks, packets go */
                rig_send(r, 1, &one);
                rig_expect(r, 2, &one);
            }
        rig_reopen(r);
        dp_port_each(r->dp, count_port, &n_ports);
        assert_int_equal(n_ports, 4);
        for (unsigned i = 1; i <= 4; i++) {
            struct error e = {0};
            char ifname[16];
            uint32_t no;

            rig_ifname(i, ifname);
            assert_int_equal(rig_port(r, i).port_no, before[i]);
            assert_string_equal(rig_port(r, i).ifname, ifname);
            assert_int_equal(dp_port_add(r->dp, ifname, &no, &e), 0);
            assert_int_equal(no, before[i]);
        }
        dp_flow_each(r->dp, find_flow, &found);
        assert_int_equal(found.n, 2);
        assert_int_equal(found.cookies, 42 * 4);
        if (rig_kernel(r))
            assert_int_equal(found.packets, 1 + 11 * round + 10 + round);
        rig_send(r, 1, &one);
        rig_expect(r, 2, &one);
        rig_send(r, 1, &many);
        rig_expect(r, 2, &many);
        rig_expect(r, 4, &many);
        uint8_t buf[2048];
        assert_int_equal(rig_await(r, 3, buf, sizeof buf, NULL), many.size);
        rig_send(r, 1, &other);
        rig_expect_upcall(r, 1, &other, DP_MISS);
    }
    assert_int_equal(rig_flow_del(r, &key1, &mask, NULL), 0);
    assert_int_equal(rig_flow_del(r, &key2, &mask, NULL), 0);
    rig_send(r, 1, &many);
    rig_expect_upcall(r, 1, &many, DP_MISS);
    rig_close(r);
}

/* The process dies: what waited in the ring is still there for the next one. */
static void test_killed(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct frame one = tcp(1), waits = tcp(7);
    struct flow_key key = rig_key(r, 1, &one), mask = mask_all();
    struct flow_out out = rig_out(r, 2);
    struct error e = {0};
    uint32_t no;

    if (!rig_kernel(r)) {
        rig_close(r);
        skip();
    }
    rig_shut(r, false);
    rig_enter(r);
    pid_t child = fork();

    assert_true(child >= 0);
    if (!child) {
        if (dp_open(r->type, &r->opts, &r->dp, &e) || dp_port_add(r->dp, "p1", &no, &e) ||
            dp_port_add(r->dp, "p2", &no, &e))
            _exit(1);
        struct dp_flow f = {.key = key, .mask = mask, .cookie = 9, .outs = &out, .n_outs = 1};
        f.key.in_port = no - 1;
        out.port = no;
        if (dp_flow_put(r->dp, 0, &f, 1, NULL))
            _exit(2);
        raise(SIGKILL);
    }
    int status;

    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status));
    rig_send(r, 1, &one);
    rig_expect(r, 2, &one);
    rig_send(r, 1, &waits);
    rig_reopen(r);
    struct found found = {0};

    dp_flow_each(r->dp, find_flow, &found);
    assert_int_equal(found.n, 1);
    assert_int_equal(found.cookies, 9);
    assert_int_equal(dp_port_add(r->dp, "p1", &r->port[1], &e), 0);
    assert_int_equal(dp_port_add(r->dp, "p2", &r->port[2], &e), 0);
    if (rig_is_ovs(r)) /* what waited died with its socket */
        rig_send(r, 1, &waits);
    rig_expect_upcall(r, 1, &waits, DP_MISS);
    rig_send(r, 1, &one);
    rig_expect(r, 2, &one);
    rig_close(r);
}

static void test_interface_gone_meanwhile(void **state)
{
    struct rig *r = rig_open(*state, 3);
    struct frame f = tcp(1);
    struct error e = {0};

    rig_shut(r, true);
    rig_enter(r);
    if (rig_kernel(r))
        assert_int_equal(net_link_del("p2"), 0);
    else
        assert_int_equal(memory_if_del(r->dp, "p2"), 0);
    rig_reopen(r);
    if (rig_is_ovs(r)) { /* the kernel forgot it, and its number isn't given away soon */
        assert_int_equal(rig_port(r, 2).port_no, 0);
        rig_add_port(r);
        assert_true(r->port[4] > r->port[3]);
    } else {
        assert_int_equal(rig_port(r, 2).port_no, r->port[2]);
        assert_int_equal(rig_port(r, 2).ifindex, 0);
        assert_int_equal(dp_port_del(r->dp, r->port[2], &e), 0);
    }
    rig_send(r, 1, &f);
    rig_expect_upcall(r, 1, &f, DP_MISS);
    rig_close(r);
}

static void test_kept_under_traffic(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct frame f = tcp(1);
    struct flow_key key = rig_key(r, 1, &f), mask = mask_all();
    struct flow_out out = rig_out(r, 2);
    uint8_t buf[2048];
    unsigned sent = 0, got = 0;

    if (!rig_kernel(r)) {
        rig_close(r);
        skip();
    }
    rig_flow(r, &key, &mask, &out, 1);
    pid_t child = fork();

    assert_true(child >= 0);
    if (!child) { /* a machine that doesn't stop sending */
        for (unsigned i = 0; i < 3000; i++) {
            rig_send(r, 1, &f);
            usleep(300);
        }
        _exit(0);
    }
    for (unsigned i = 0; i < 4; i++) {
        rig_shut(r, true);
        rig_reopen(r);
    }
    int status;

    waitpid(child, &status, 0);
    sent = 3000;
    while (rig_take(r, 2, buf, sizeof buf, NULL))
        got++;
    assert_int_equal(got, sent);
    rig_close(r);
}

static unsigned count_output(const char *cmd)
{
    FILE *p = popen(cmd, "re");
    char line[512];
    unsigned n = 0;

    assert_non_null(p);
    while (fgets(line, sizeof line, p))
        n++;
    pclose(p);
    return n;
}

static void test_no_trace(void **state)
{
    struct rig *r = rig_open(*state, 3);
    char cmd[200];

    if (!rig_kernel(r) || rig_is_ovs(r)) {
        rig_close(r);
        skip();
    }
    struct error e = {0};
    struct ip local = IP("192.0.2.1");

    rig_shell("ip link add u0 type veth peer name u1; ip link set u0 up; ip link set u1 up; "
              "ip addr add 192.0.2.1/24 dev u0");
    /* Somebody else's filter on an interface of ours, and his clsact on another. */
    uint32_t no;

    rig_cable(r, 4);
    rig_shell("tc qdisc add dev p4 clsact; tc filter add dev p1 egress prio 7 u32 match u32 0 0");
    assert_int_equal(dp_port_add(r->dp, "p4", &no, &e), 0);
    snprintf(cmd, sizeof cmd, "tc qdisc show | grep clsact");
    unsigned before = count_output(cmd);

    assert_int_equal(dp_tunnel_local(r->dp, &local, FLOW_TUNNEL_VXLAN, &e), 0);
    assert_true(count_output("ip link show | grep mn-") >= 2);
    assert_true(count_output(cmd) > before);
    assert_true(count_output("tc filter show dev u0 ingress") > 0);
    rig_shut(r, false);
    assert_int_equal(count_output("ip link show | grep mn-"), 0);
    assert_int_equal(count_output("tc filter show dev p1 ingress; tc filter show dev p4 ingress; "
                                  "tc filter show dev u0 ingress"),
                     0);
    assert_true(count_output("tc filter show dev p1 egress") > 0);
    assert_int_equal(count_output("tc qdisc show dev p4 | grep clsact"), 1);
    assert_int_equal(count_output("tc qdisc show dev p3 | grep clsact"), 0);
    assert_int_equal(count_output("tc qdisc show dev u0 | grep clsact"), 0);
    rig_reopen(r);
    struct found found = {0};
    unsigned n_ports = 0;

    dp_flow_each(r->dp, find_flow, &found);
    dp_port_each(r->dp, count_port, &n_ports);
    assert_int_equal(found.n, 0);
    assert_int_equal(n_ports, 0);
    rig_close(r);
}

/* Two instances on one host don't see each other. */
static void test_two_names(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct dp_options other = r->opts;
    struct error e = {0};
    struct frame f = tcp(1);
    char name[40];
    struct dp *dp;
    unsigned n = 0;

    snprintf(name, sizeof name, "%sx", r->name);
    other.name = name;
    assert_int_equal(dp_open(r->type, &other, &dp, &e), 0);
    dp_port_each(dp, count_port, &n);
    assert_int_equal(n, 0);
    dp_close(dp, false);
    rig_send(r, 1, &f);
    rig_expect_upcall(r, 1, &f, DP_MISS);
    rig_close(r);
}

static void test_memory(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct flow_out out = rig_out(r, 2);
    uint64_t kernel[2], process[2];
    enum { N = 20000 };
    struct dp_flow *flows = NEW_ARRAY(N, struct dp_flow);

    dp_memory(r->dp, &kernel[0], &process[0]);
    for (uint32_t i = 0; i < N; i++) {
        flows[i] = (struct dp_flow){.mask = mask_all(), .outs = &out, .n_outs = 1};
        flows[i].key = key_of(WIRE_PROTO_TCP, "10.0.0.1", "10.0.0.2", (uint16_t)i, 80);
        flows[i].key.in_port = r->port[1];
    }
    assert_int_equal(dp_flow_put(r->dp, 0, flows, N, NULL), 0);
    dp_memory(r->dp, &kernel[1], &process[1]);
    double each = (double)(kernel[1] + process[1] - kernel[0] - process[0]) / N;

    printf("%s: %.0f bytes a flow, %lu KiB kernel and %lu KiB process without\n", r->type, each,
           (unsigned long)kernel[0] / 1024, (unsigned long)process[0] / 1024);
    assert_true(each > 64 && each < (rig_is_ovs(r) ? 4096 : 512));
    assert_int_equal(dp_flow_del(r->dp, 0, flows, N, NULL), 0);
    free(flows);
    rig_close(r);
}

/* The memory of this rig's 'mn_shared', which its filters hold while no process does. */
static struct fp_shared *find_shared(const struct rig *r)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE),
           size = (sizeof(struct fp_shared) + page - 1) & -page;

    for (uint32_t id = 0; !bpf_map_get_next_id(id, &id);) {
        struct bpf_map_info info = {0};
        uint32_t info_size = sizeof info;
        int fd = bpf_map_get_fd_by_id(id);
        void *p = MAP_FAILED;

        if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &info_size) &&
            !strcmp(info.name, "mn_shared"))
            p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        if (p == MAP_FAILED)
            continue;
        if (!strcmp(((struct fp_shared *)p)->name, r->name))
            return p;
        munmap(p, size);
    }
    return NULL;
}

/* Kept by a program with other structures: not understood, so removed, and a new one made. */
static void test_kept_by_another_version(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct frame one = tcp(1);
    struct flow_key key = rig_key(r, 1, &one), mask = mask_all();
    struct flow_out out = rig_out(r, 2);
    struct found found = {0};
    struct error e = {0};
    unsigned n_ports = 0;

    if (!rig_kernel(r) || rig_is_ovs(r)) { /* there, notes say of which they are: dp_ovs_test.c */
        rig_close(r);
        skip();
    }
    rig_flow(r, &key, &mask, &out, 1);
    rig_shut(r, true);
    rig_send(r, 1, &one);
    rig_expect(r, 2, &one);
    struct fp_shared *shared = find_shared(r);

    assert_non_null(shared);
    assert_int_equal(shared->abi, FP_ABI);
    shared->abi++;
    munmap(shared, sizeof *shared);
    rig_reopen(r);
    dp_port_each(r->dp, count_port, &n_ports);
    assert_int_equal(n_ports, 0);
    dp_flow_each(r->dp, find_flow, &found);
    assert_int_equal(found.n, 0);
    for (unsigned i = 1; i <= 2; i++) {
        char ifname[16];

        rig_ifname(i, ifname);
        assert_int_equal(dp_port_add(r->dp, ifname, &r->port[i], &e), 0);
    }
    rig_send(r, 1, &one);
    rig_expect_upcall(r, 1, &one, DP_MISS);
    key = rig_key(r, 1, &one);
    out = rig_out(r, 2);
    rig_flow(r, &key, &mask, &out, 1);
    rig_send(r, 1, &one);
    rig_expect(r, 2, &one);
    rig_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept),
        cmocka_unit_test(test_kept_by_another_version),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_interface_gone_meanwhile),
        cmocka_unit_test(test_kept_under_traffic),
        cmocka_unit_test(test_no_trace),
        cmocka_unit_test(test_two_names),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(the_latest_use_is_the_latest),
    };

    return rig_main("closing and opening", tests, ARRAY_SIZE(tests));
}
