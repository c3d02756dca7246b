/* Real TCP and UDP of the kernel's stack, with all its offloads, through the datapath:
 *
 *      m1 (10.0.0.1)                                        m1 (10.0.0.2)
 *        |  veth, or tap                                      |
 *      port 1 -- host a -- u0 ===== VXLAN ===== u0 -- host b -- port 1
 *
 * and between two machines of one host.  The receiver compares every byte; the stack checks the
 * checksums.  Only where there is a kernel datapath. */
#include <linux/if_tun.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <sys/uio.h>

#include "dp_rig.h"
#include "packet/checksum.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum { UDP_TOTAL = 400 };

/* Emulated machines are slow. */
static size_t total(void)
{
    return getenv("MN_VM") ? 2 << 20 : 24 << 20;
}

static bool skipped(void **state)
{
    if (strcmp(*state, "memory"))
        return false;
    skip();
    return true;
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

static uint8_t pattern(size_t at)
{
    return (uint8_t)(at * 131 + (at >> 9));
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

static void addresses(const char *ns, const char *ifname, unsigned n, unsigned mtu)
{
    rig_shell("ip netns exec %s sysctl -qw net.ipv6.conf.%s.disable_ipv6=0; "
              "ip -n %s link set %s mtu %u; ip -n %s addr add 10.0.0.%u/24 dev %s; "
              "ip -n %s addr add fd00:1::%u/64 nodad dev %s",
              ns, ifname, ns, ifname, mtu, ns, n, ifname, ns, n, ifname);
}

static void wire(struct rig *r, unsigned from, const struct flow_out *out)
{
    struct flow_key key = {.in_port = r->port[from]}, mask = mask_port();

    rig_flow(r, &key, &mask, out, 1);
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

struct hosts {
    struct rig *a, *b;
};

static struct hosts hosts_open(void **state, bool ip6)
{
    struct hosts h = {rig_open_with(*state, "a", 1, NULL), rig_open_with(*state, "b", 1, NULL)};
    struct ip la = IP(ip6 ? "fd00:5::1" : "192.0.2.1"), lb = IP(ip6 ? "fd00:5::2" : "192.0.2.2");
    struct error e = {0};

    rig_enter(h.a);
    rig_shell("ip link add u0 type veth peer name u0 netns %s", h.b->host_ns);
    for (unsigned i = 0; i < 2; i++) {
        struct rig *r = i ? h.b : h.a;
        struct flow_out out = {.kind = FLOW_OUT_TUNNEL,
                               .tun_id = 5,
                               .tun_local = i ? lb : la,
                               .tun_remote = i ? la : lb};

        rig_enter(r);
        rig_shell("sysctl -qw net.ipv6.conf.u0.disable_ipv6=0; ip link set u0 up; "
                  "ip addr add 192.0.2.%u/24 dev u0; ip addr add fd00:5::%u/64 nodad dev u0",
                  i + 1, i + 1);
        assert_int_equal(dp_tunnel_local(r->dp, &out.tun_local, FLOW_TUNNEL_VXLAN, &e), 0);
        assert_int_equal(dp_tunnel_bind(r->dp, 5, r->port[1], &e), 0);
        wire(r, 1, &out);
        addresses(r->vm_ns, "m1", i + 1, 1400);
    }
    return h;
}

static void hosts_close(struct hosts *h)
{
    rig_close(h->b);
    rig_close(h->a);
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

struct frame_buf {
    size_t size;
    uint8_t b[40000];
};

/* The payload of a TCP packet is what was sent at its place in the sequence; how much of it. */
static size_t check_segment(const uint8_t *p, size_t size, const uint8_t *data, size_t n_data)
{
    struct packet_layers l;
    struct flow_key key;

    packet_parse(p, size, &key, &l);
    if (key.ip_proto != WIRE_PROTO_TCP || key.eth_type != ETH_TYPE_IP)
        return 0; /* the bridge has things to say of its own */
    size_t at = get32(p + l.l4 + 4), from = l.l4 + 20;

    assert_true(packet_checksums_right(p, size));
    assert_true(at + l.l4_end - from <= n_data);
    assert_memory_equal(p + from, data + at, l.l4_end - from);
    return l.l4_end - from;
}

/* Sends until it arrives, for the bridge takes a moment to forward; merged or cut. */
static void expect_payload(struct hosts *h, const struct frame_buf *f,
                           const struct virtio_net_hdr *vh, const uint8_t *data, size_t n_data)
{
    uint64_t deadline = clock_ns() + RIG_PATIENCE;
    static uint8_t buf[70000];
    size_t got = 0, n;

    while (got < n_data && clock_ns() < deadline) {
        rig_send_offload(h->a, 1, f->b, f->size, vh);
        poll(&(struct pollfd){.fd = h->a->sock[2], .events = POLLIN}, 1, 100);
        while (got < n_data && (n = rig_take(h->a, 2, buf, sizeof buf, NULL)))
            got += check_segment(buf, n, data, n_data);
    }
    assert_true(got >= n_data);
}

/* Out of one tunnel, through a machine that bridges, into another: a to b and back. */
static void test_tunnel_after_tunnel(void **state)
{
    if (skipped(state))
        return;
    struct hosts h = hosts_open(state, false);
    static uint8_t big[40000], data[13000];
    struct flow_key k = key_of(WIRE_PROTO_TCP, "10.0.0.1", "10.0.0.2", 1000, 2000);
    struct virtio_net_hdr vh = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                .csum_start = 34,
                                .csum_offset = 16,
                                .gso_size = 1300,
                                .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
                                .hdr_len = 54};
    struct flow_out back = {.kind = FLOW_OUT_TUNNEL,
                            .tun_id = 6,
                            .tun_local = IP("192.0.2.2"),
                            .tun_remote = IP("192.0.2.1")};
    struct error e = {0};

    k.eth_dst = MAC("02:00:00:00:00:77"); /* behind the bridge */
    rig_enter(h.a);
    rig_add_port(h.a);
    assert_int_equal(dp_tunnel_bind(h.a->dp, 6, h.a->port[2], &e), 0);
    rig_enter(h.b);
    rig_add_port(h.b);
    wire(h.b, 2, &back);
    rig_shell("ip netns exec %s sh -c 'ip addr flush dev m1; ip link add name br0 type bridge; "
              "ip link set br0 up; ip link set m1 master br0; ip link set m2 mtu 1400 master br0'",
              h.b->vm_ns);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = pattern(i);
    size_t size = packet_from_key(big, sizeof big, &k, data, sizeof data);
    struct frame_buf half = {.size = size};

    packet_finish_checksums(big, size);
    memcpy(half.b, big, size);
    uint8_t tail[4] = {0, WIRE_PROTO_TCP, (uint8_t)((size - 34) >> 8), (uint8_t)(size - 34)};
    put16(half.b + 50, csum_add(csum_add(0, half.b + 26, 8), tail, 4));
    for (unsigned i = 0; i < 20; i++)
        expect_payload(&h, &half, &vh, data, sizeof data);
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

/* A virtual machine's tap: what it reads has header and checksum as a guest expects. */
static int open_tap(const char *name)
{
    struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    assert_true(fd >= 0);
    snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", name);
    assert_int_equal(ioctl(fd, TUNSETIFF, &ifr), 0);
    assert_int_equal(ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6), 0);
    return fd;
}

static size_t read_tap(int fd, struct virtio_net_hdr *vh, uint8_t *buf, size_t room)
{
    uint64_t deadline = clock_ns() + RIG_PATIENCE;
    struct iovec iov[2] = {{vh, sizeof *vh}, {buf, room}};
    ssize_t n;

    while ((n = readv(fd, iov, 2)) < 0 && clock_ns() < deadline)
        poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 50);
    return n > (ssize_t)sizeof *vh ? (size_t)n - sizeof *vh : 0;
}

static void test_tap(void **state)
{
    if (skipped(state))
        return;
    struct rig *r = rig_open(*state, 1);
    static uint8_t big[40000], buf[70000], data[14000];
    struct flow_key k = key_of(WIRE_PROTO_TCP, "10.0.0.1", "10.0.0.2", 1000, 2000);
    struct virtio_net_hdr vh = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                .csum_start = 34,
                                .csum_offset = 16,
                                .gso_size = 1400,
                                .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
                                .hdr_len = 54};
    struct virtio_net_hdr got = {0};
    int tap = open_tap("t0");
    struct error e = {0};
    unsigned gso_size;

    rig_shell("sysctl -qw net.ipv6.conf.t0.disable_ipv6=1; ip link set t0 up");
    assert_int_equal(dp_port_add(r->dp, "t0", &r->port[2], &e), 0);
    struct flow_out to1 = rig_out(r, 1), to2 = rig_out(r, 2);

    wire(r, 1, &to2);
    wire(r, 2, &to1);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = pattern(i);
    size_t size = packet_from_key(big, sizeof big, &k, data, sizeof data);

    rig_send_offload(r, 1, big, size, &vh);
    assert_int_equal(read_tap(tap, &got, buf, sizeof buf), size);
    assert_int_equal(got.gso_size, 1400);
    assert_int_equal(got.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
    assert_int_equal(got.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_F_NEEDS_CSUM);
    packet_finish_checksums(buf, size);
    packet_finish_checksums(big, size);
    assert_memory_equal(buf, big, size);

    struct iovec iov[2] = {{&got, sizeof got}, {big, size}};
    uint8_t tail[4] = {0, WIRE_PROTO_TCP, (uint8_t)((size - 34) >> 8), (uint8_t)(size - 34)};

    put16(big + 50, csum_add(csum_add(0, big + 26, 8), tail, 4));
    assert_int_equal(writev(tap, iov, 2), (ssize_t)(size + sizeof got));
    assert_int_equal(rig_await(r, 1, buf, sizeof buf, &gso_size), size);
    assert_int_equal(gso_size, 1400);
    packet_finish_checksums(big, size);
    assert_memory_equal(buf, big, size);

    /* With a tag, as a trunk has it. */
    k.vlan_tci = FLOW_VLAN_PRESENT | 21;
    struct frame f = frame_of(&k);

    rig_send(r, 1, &f);
    assert_int_equal(read_tap(tap, &got, buf, sizeof buf), f.size);
    assert_memory_equal(buf, f.b, f.size);
    close(tap);
    rig_close(r);
}

/* An interface that filters by MAC is told not to while it is a port. */
static void test_promiscuous(void **state)
{
    if (skipped(state))
        return;
    struct rig *r = rig_open(*state, 1);
    struct error e = {0};
    uint32_t no;

    rig_shell("ip link add d0 type veth peer name d1; ip link set d0 up; "
              "ip link add mv0 link d0 type macvlan mode bridge; ip link set mv0 up");
    assert_int_equal(dp_port_add(r->dp, "mv0", &no, &e), 0);
    rig_shell("ip -d link show mv0 | grep -q 'promiscuity [1-9]'");
    assert_int_equal(dp_port_del(r->dp, no, &e), 0);
    rig_shell("ip -d link show mv0 | grep -q 'promiscuity 0'");
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
        cmocka_unit_test(test_tunnel_after_tunnel),
        cmocka_unit_test(test_all_through_the_agent),
        cmocka_unit_test(test_tap),
        cmocka_unit_test(test_promiscuous),
    };

    return rig_main("the stack's traffic", tests, ARRAY_SIZE(tests));
}
