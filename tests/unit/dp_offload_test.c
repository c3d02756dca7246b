/* What senders leave to the hardware, and interfaces need to be told: merged packets and unfinished
 * checksums out of one tunnel into another (dp_hosts.h), from and to a tap, and promiscuity. */
#include <linux/if_tun.h>
#include <sys/uio.h>

#include "dp_hosts.h"
#include "packet/checksum.h"

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
        cmocka_unit_test(test_tunnel_after_tunnel),
        cmocka_unit_test(test_tap),
        cmocka_unit_test(test_promiscuous),
    };

    return rig_main("offloads", tests, ARRAY_SIZE(tests));
}
