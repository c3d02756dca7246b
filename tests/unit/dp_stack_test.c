/* Real TCP and UDP of the kernel's stack, with all its offloads, through the datapath: between two
 * hosts (dp_hosts.h), and between two machines of one host.  The receiver compares every byte; the
 * stack checks the checksums.  Only where there is a kernel datapath. */
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <pthread.h>

#include "dp_hosts.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum { UDP_TOTAL = 400 };

/* Emulated machines are slow. */
static size_t total(void)
{
    return getenv("MN_VM") ? 2 << 20 : 24 << 20;
}

static int socket_in(const char *ns, int type, bool ip6)
{
    struct error e = {0};
    int back = netns_enter(ns, &e), fd = socket(ip6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    netns_leave(back);
    return fd;
}

static socklen_t address(const char *ip, uint16_t port, struct sockaddr_storage *s)
{
    struct sockaddr_in6 *in6 = (void *)s;
    struct sockaddr_in *in = (void *)s;

    memset(s, 0, sizeof *s);
    if (inet_pton(AF_INET, ip, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        return sizeof *in;
    }
    assert_int_equal(inet_pton(AF_INET6, ip, &in6->sin6_addr), 1);
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    return sizeof *in6;
}

static void set_timeout(int fd)
{
    struct timeval t = {.tv_sec = 20};

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
}

struct sink {
    int listener;
    size_t got;
    bool wrong;
};

static void *sink_thread(void *arg)
{
    struct sink *s = arg;
    static uint8_t buf[1 << 18];
    int fd = accept(s->listener, NULL, NULL);
    ssize_t n;

    if (fd < 0)
        return NULL;
    set_timeout(fd);
    while ((n = read(fd, buf, sizeof buf)) > 0)
        for (ssize_t i = 0; i < n; i++, s->got++)
            s->wrong |= buf[i] != pattern(s->got);
    close(fd);
    return NULL;
}

static void transfer(const char *from_ns, const char *to_ns, const char *to_ip)
{
    bool ip6 = strchr(to_ip, ':');
    struct sink s = {.listener = socket_in(to_ns, SOCK_STREAM, ip6)};
    int fd = socket_in(from_ns, SOCK_STREAM, ip6), one = 1;
    static uint8_t buf[1 << 16];
    struct sockaddr_storage to;
    socklen_t len = address(to_ip, 7777, &to);
    pthread_t thread;

    setsockopt(s.listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    set_timeout(s.listener);
    set_timeout(fd);
    assert_int_equal(bind(s.listener, (void *)&to, len), 0);
    assert_int_equal(listen(s.listener, 1), 0);
    pthread_create(&thread, NULL, sink_thread, &s);
    int rc = connect(fd, (void *)&to, len);
    for (size_t at = 0; !rc && at < total();) {
        for (size_t i = 0; i < sizeof buf; i++)
            buf[i] = pattern(at + i);
        ssize_t n = write(fd, buf, MIN(sizeof buf, total() - at));
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    close(fd);
    pthread_join(thread, NULL);
    close(s.listener);
    assert_int_equal(rc, 0);
    assert_int_equal(s.got, total());
    assert_false(s.wrong);
}

/* Until Linux 6.2 the stack refuses to merge for an interface that makes no checksums. */
static void send_datagrams(int fd, const uint8_t *buf, size_t size,
                           const struct sockaddr_storage *to, socklen_t len)
{
    if (sendto(fd, buf, size, 0, (const void *)to, len) == (ssize_t)size)
        return;
    assert_int_equal(errno, EIO);
    assert_int_equal(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &(int){0}, sizeof(int)), 0);
    for (size_t at = 0; at < size; at += 1000)
        assert_int_equal(sendto(fd, buf + at, 1000, 0, (const void *)to, len), 1000);
    assert_int_equal(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &(int){1000}, sizeof(int)), 0);
}

/* Datagrams handed to the stack merged (UDP_SEGMENT), as QUIC does. */
static void datagrams(const char *from_ns, const char *to_ns, const char *to_ip)
{
    bool ip6 = strchr(to_ip, ':');
    int in = socket_in(to_ns, SOCK_DGRAM, ip6), out = socket_in(from_ns, SOCK_DGRAM, ip6);
    int segment = 1000, room = 8 << 20;
    struct sockaddr_storage to;
    socklen_t len = address(to_ip, 7778, &to);
    uint8_t buf[10000];
    unsigned got = 0;

    set_timeout(in);
    setsockopt(in, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    assert_int_equal(bind(in, (void *)&to, len), 0);
    assert_int_equal(setsockopt(out, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment), 0);
    for (size_t i = 0; i < sizeof buf; i++)
        buf[i] = pattern(i);
    for (unsigned i = 0; i < UDP_TOTAL / 10; i++) {
        send_datagrams(out, buf, sizeof buf, &to, len);
        for (unsigned j = 0; j < 10; j++, got++) {
            uint8_t datagram[2000];

            assert_int_equal(recv(in, datagram, sizeof datagram, 0), 1000);
            assert_memory_equal(datagram, buf + 1000 * j, 1000);
        }
    }
    assert_int_equal(got, UDP_TOTAL);
    close(in);
    close(out);
}

static void all_traffic(const char *a_ns, const char *b_ns)
{
    transfer(a_ns, b_ns, "10.0.0.2");
    transfer(b_ns, a_ns, "10.0.0.1");
    transfer(a_ns, b_ns, "fd00:1::2");
    datagrams(a_ns, b_ns, "10.0.0.2");
    datagrams(b_ns, a_ns, "fd00:1::1");
}

/* Another namespace with one machine on a port of its own. */
static void add_far_machine(struct rig *r, const char *ns)
{
    struct error e = {0};
    unsigned i = ++r->n_ports;

    assert_int_equal(netns_add(ns, &e), 0);
    rig_enter(r);
    rig_shell("ip link add q1 type veth peer name q2 netns %s && ip link set q1 up && "
              "ip -n %s link set q2 up",
              ns, ns);
    assert_int_equal(dp_port_add(r->dp, "q1", &r->port[i], &e), 0);
}

static void test_one_host(void **state)
{
    if (skipped(state))
        return;
    struct rig *r = rig_open(*state, 1);
    char far[60];

    snprintf(far, sizeof far, "%s-f", r->vm_ns);
    add_far_machine(r, far);
    struct flow_out to1 = rig_out(r, 1), to2 = rig_out(r, 2);

    wire(r, 1, &to2);
    wire(r, 2, &to1);
    addresses(r->vm_ns, "m1", 1, 1500);
    addresses(far, "q2", 2, 1500);
    all_traffic(r->vm_ns, far);
    rig_close(r);
}

static void test_two_hosts(void **state)
{
    if (skipped(state))
        return;
    struct hosts h = hosts_open(state, false);

    all_traffic(h.a->vm_ns, h.b->vm_ns);
    hosts_close(&h);
}

static void test_two_hosts_ip6(void **state)
{
    if (skipped(state))
        return;
    struct hosts h = hosts_open(state, true);

    all_traffic(h.a->vm_ns, h.b->vm_ns);
    hosts_close(&h);
}

/* A wire carries segments: cut on the way out, merged again where they arrive. */
static void test_segmenting_underlay(void **state)
{
    if (skipped(state))
        return;
    struct hosts h = hosts_open(state, false);

    for (unsigned i = 0; i < 2; i++)
        rig_shell("ip netns exec %s ethtool -K u0 tso off gso off gro on tx off >/dev/null 2>&1",
                  i ? h.b->host_ns : h.a->host_ns);
    all_traffic(h.a->vm_ns, h.b->vm_ns);
    hosts_close(&h);
}

/* The machines' own offloads off: every packet finished by its sender. */
static void test_without_offload(void **state)
{
    if (skipped(state))
        return;
    struct hosts h = hosts_open(state, false);

    for (unsigned i = 0; i < 2; i++)
        rig_shell("ip netns exec %s ethtool -K m1 tso off gso off tx off >/dev/null 2>&1",
                  i ? h.b->vm_ns : h.a->vm_ns);
    all_traffic(h.a->vm_ns, h.b->vm_ns);
    hosts_close(&h);
}

/* The receiving port is no veth into another namespace: what came merged out of the tunnel must not
 * carry marks of it on. */
static void test_port_of_another_kind(void **state)
{
    if (skipped(state))
        return;
    struct hosts h = hosts_open(state, false);
    char far[60];
    struct error e = {0};

    snprintf(far, sizeof far, "%s-f", h.b->vm_ns);
    /* q1 is the port, q2 its end in the same namespace, bridged on into a machine's. */
    assert_int_equal(netns_add(far, &e), 0);
    rig_enter(h.b);
    rig_shell("ip link add q1 type veth peer name q2; ip link add name br0 type bridge; "
              "ip link add q3 type veth peer name q4 netns %s; "
              "for i in q1 q2 q3 br0; do ip link set $i up; done; ip -n %s link set q4 up; "
              "ip link set q2 master br0; ip link set q3 master br0",
              far, far);
    assert_int_equal(dp_port_add(h.b->dp, "q1", &h.b->port[2], &e), 0);
    assert_int_equal(dp_tunnel_bind(h.b->dp, 5, h.b->port[2], &e), 0);
    struct flow_out out = {.kind = FLOW_OUT_TUNNEL,
                           .tun_id = 5,
                           .tun_local = IP("192.0.2.2"),
                           .tun_remote = IP("192.0.2.1")};

    h.b->n_ports = 2;
    wire(h.b, 2, &out);
    addresses(far, "q4", 2, 1400);
    all_traffic(h.a->vm_ns, far);
    hosts_close(&h);
}

/* The machine behind the receiving port is a router itself, of packets that came out of a tunnel,
 * on to a link where they are cut again, in software. */
static void test_machine_that_routes(void **state)
{
    if (skipped(state))
        return;
    struct hosts h = hosts_open(state, false);
    char far[60];
    struct error e = {0};

    snprintf(far, sizeof far, "%s-f", h.b->vm_ns);
    assert_int_equal(netns_add(far, &e), 0);
    rig_shell("ip netns exec %s sh -c 'sysctl -qw net.ipv4.ip_forward=1; "
              "ip link add q1 type veth peer name q2 netns %s; ip link set q1 up; "
              "ip addr add 10.0.9.1/24 dev q1'; ip -n %s link set q2 up; "
              "ip -n %s addr add 10.0.9.2/24 dev q2; ip -n %s route add default via 10.0.9.1; "
              "ip -n %s route add 10.0.9.0/24 via 10.0.0.2",
              h.b->vm_ns, far, far, far, far, h.a->vm_ns);
    transfer(h.a->vm_ns, far, "10.0.9.2");
    transfer(far, h.a->vm_ns, "10.0.0.1");
    rig_shell("ip netns exec %s ethtool -K q1 tso off gso off tx off >/dev/null 2>&1", h.b->vm_ns);
    transfer(h.a->vm_ns, far, "10.0.9.2");
    datagrams(h.a->vm_ns, far, "10.0.9.2");
    hosts_close(&h);
}

/* No flow at all: every packet goes up and is sent by the agent, merged ones too. */
static void *agent_thread(void *arg)
{
    struct rig *r = arg;
    struct dp_upcall ups[32];
    int n;

    while (!__atomic_load_n(&r->n_fences, __ATOMIC_RELAXED)) {
        struct pollfd p = {.fd = dp_recv_fd(r->dp, 0), .events = POLLIN};

        poll(&p, 1, 20);
        while ((n = dp_recv(r->dp, 0, ups, 32)) > 0)
            for (int i = 0; i < n; i++) {
                struct flow_out out = rig_out(r, ups[i].port_no == r->port[1] ? 2 : 1);
                struct dp_exec x = {.packet = ups[i].packet,
                                    .size = ups[i].size,
                                    .in_port = ups[i].port_no,
                                    .gso_size = ups[i].gso_size,
                                    .csum_partial = ups[i].csum_partial,
                                    .handle = ups[i].handle,
                                    .outs = &out,
                                    .n_outs = 1};

                dp_execute(r->dp, 0, &x, 1);
            }
    }
    return NULL;
}

static void test_all_through_the_agent(void **state)
{
    if (skipped(state))
        return;
    struct rig *r = rig_open(*state, 1);
    char far[60];
    pthread_t thread;

    snprintf(far, sizeof far, "%s-f", r->vm_ns);
    add_far_machine(r, far);
    addresses(r->vm_ns, "m1", 1, 1500);
    addresses(far, "q2", 2, 1500);
    pthread_create(&thread, NULL, agent_thread, r);
    all_traffic(r->vm_ns, far);
    __atomic_store_n(&r->n_fences, 1, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    rig_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_host),
        cmocka_unit_test(test_two_hosts),
        cmocka_unit_test(test_two_hosts_ip6),
        cmocka_unit_test(test_segmenting_underlay),
        cmocka_unit_test(test_without_offload),
        cmocka_unit_test(test_port_of_another_kind),
        cmocka_unit_test(test_machine_that_routes),
        cmocka_unit_test(test_all_through_the_agent),
    };

    return rig_main("the stack's traffic", tests, ARRAY_SIZE(tests));
}
