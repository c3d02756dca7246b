/* Two hosts and a tunnel: what enters one leaves the other, whatever it is. */
#include "dp_rig.h"
#include "packet/checksum.h"

struct pair {
    struct rig *a, *b;
    struct ip local_a, local_b;
    enum flow_tunnel type;
    struct memory_board *board;
};

static struct pair pair;

static void cable(struct pair *p)
{
    rig_enter(p->a);
    rig_shell("ip link add u0 type veth peer name u0 netns %s", p->b->host_ns);
    for (unsigned i = 0; i < 2; i++) {
        struct rig *r = i ? p->b : p->a;

        rig_shell("ip netns exec %s sysctl -qw net.ipv6.conf.u0.disable_ipv6=0", r->host_ns);
        rig_shell("ip -n %s link set u0 up; ip -n %s addr add 192.0.2.%u/24 dev u0; "
                  "ip -n %s addr add fd00:5::%u/64 nodad dev u0",
                  r->host_ns, r->host_ns, i + 1, r->host_ns, i + 1);
    }
}

static void pair_local(struct rig *r, const struct ip *local, enum flow_tunnel type)
{
    struct error e = {0};

    rig_enter(r);
    if (dp_tunnel_local(r->dp, local, type, &e))
        fail_msg("%s (%s)", e.message, e.hint);
}

static struct pair *pair_open_with(void **state, bool ip6, unsigned n_ports, enum flow_tunnel type)
{
    struct pair *p = &pair;

    p->type = type;
    p->a = rig_open_with(*state, "a", n_ports, NULL);
    p->b = rig_open_with(*state, "b", n_ports, NULL);
    p->local_a = IP(ip6 ? "fd00:5::1" : "192.0.2.1");
    p->local_b = IP(ip6 ? "fd00:5::2" : "192.0.2.2");
    if (rig_kernel(p->a)) {
        cable(p);
    } else {
        p->board = memory_board_new();
        memory_dp_join(p->a->dp, p->board);
        memory_dp_join(p->b->dp, p->board);
    }
    pair_local(p->a, &p->local_a, type);
    pair_local(p->b, &p->local_b, type);
    return p;
}

static struct pair *pair_open(void **state, bool ip6, unsigned n_ports)
{
    return pair_open_with(state, ip6, n_ports, FLOW_TUNNEL_VXLAN);
}

static void pair_close(struct pair *p)
{
    rig_close(p->b);
    rig_close(p->a);
    memory_board_free(p->board);
    *p = (struct pair){0};
}

static struct flow_out to_b(const struct pair *p, uint32_t tun_id)
{
    return (struct flow_out){.kind = FLOW_OUT_TUNNEL,
                             .tun_type = (uint8_t)p->type,
                             .tun_id = tun_id,
                             .tun_local = p->local_a,
                             .tun_remote = p->local_b};
}

static void bind_key(struct rig *r, uint32_t tun_id, unsigned port)
{
    struct error e = {0};

    rig_enter(r);
    assert_int_equal(dp_tunnel_bind(r->dp, tun_id, r->port[port], &e), 0);
}

/* Everything from port 1 of a into the tunnel. */
static void open_flow(struct pair *p, uint32_t tun_id)
{
    struct flow_key key = {.in_port = p->a->port[1]}, mask = mask_port();
    struct flow_out out = to_b(p, tun_id);

    rig_flow(p->a, &key, &mask, &out, 1);
}

/* The kernel learns who is next while packets take the slow way. */
static void await_template(struct pair *p)
{
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1, 2);
    struct frame f = frame_of(&k);
    uint64_t deadline = clock_ns() + RIG_PATIENCE, slow;

    if (!rig_counts(p->a, "tunnel_slow"))
        return;
    do {
        slow = rig_counter(p->a, "tunnel_slow");
        rig_send(p->a, 1, &f);
        rig_expect(p->b, 1, &f);
    } while (rig_counter(p->a, "tunnel_slow") != slow && clock_ns() < deadline);
    assert_int_equal(rig_counter(p->a, "tunnel_slow"), slow);
}

/* Small and odd ones come in by another way than others and may be overtaken. */
static void expect_in_any_order(struct rig *r, struct frame **frames, unsigned n)
{
    uint8_t buf[2048];
    unsigned seen = 0;

    for (unsigned taken = 0; taken < n; taken++) {
        size_t size = rig_await(r, 1, buf, sizeof buf, NULL);

        for (unsigned i = 0; i < n; i++)
            if (size == frames[i]->size && !memcmp(buf, frames[i]->b, size))
                seen |= 1u << i;
    }
    assert_int_equal(seen, (1u << n) - 1);
}

/* From the machine one by one, and from the agent all at once. */
static void send_kinds(struct pair *p, uint32_t tun_id)
{
    struct flow_key k4 = key_of(WIRE_PROTO_TCP, "10.0.0.1", "10.0.0.2", 1, 2);
    struct flow_key k6 = key_of(WIRE_PROTO_UDP, "fd00::1", "fd00::2", 1, 2);
    struct mac m1 = MAC("02:00:00:00:00:01"), m2 = MAC("02:00:00:00:00:02");
    struct ip a1 = IP("10.0.0.1"), a2 = IP("10.0.0.2");
    struct frame f4 = frame_of(&k4), f6 = frame_of(&k6), arp = {0}, other = {0}, tiny = {0}, tagged;

    k4.vlan_tci = FLOW_VLAN_PRESENT | 12;
    tagged = frame_of(&k4);
    arp.size = packet_arp(arp.b, sizeof arp.b, 1, &m1, &m2, &m1, &a1, &m2, &a2);
    memcpy(other.b, f4.b, 12);
    put16(other.b + 12, 0x88cc);
    other.size = 80;
    tiny = other;
    tiny.size = 20;
    struct frame *frames[] = {&f4, &f6, &arp, &other, &tiny, &tagged};
    struct flow_out out = to_b(p, tun_id);
    struct dp_exec execs[ARRAY_SIZE(frames)];

    for (unsigned i = 0; i < ARRAY_SIZE(frames); i++)
        execs[i] = (struct dp_exec){
            .packet = frames[i]->b, .size = (uint32_t)frames[i]->size, .outs = &out, .n_outs = 1};
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < ARRAY_SIZE(frames); i++) {
            rig_send(p->a, 1, frames[i]);
            rig_expect(p->b, 1, frames[i]);
        }
        rig_enter(p->a);
        assert_int_equal(dp_execute(p->a->dp, 0, execs, ARRAY_SIZE(execs)), 0);
        expect_in_any_order(p->b, frames, ARRAY_SIZE(frames));
    }
}

static void test_kinds(void **state)
{
    struct pair *p = pair_open(state, false, 2);

    bind_key(p->b, 0x123456, 1);
    open_flow(p, 0x123456);
    send_kinds(p, 0x123456); /* before and after the next hop is known */
    await_template(p);
    send_kinds(p, 0x123456);
    assert_int_equal(rig_port(p->b, 1).upcalls, 0);
    assert_true(rig_port(p->b, 1).tx_packets >= 72);
    pair_close(p);
}

static void test_kinds_over_ip6(void **state)
{
    struct pair *p = pair_open(state, true, 2);

    bind_key(p->b, 1, 1);
    open_flow(p, 1);
    send_kinds(p, 1);
    await_template(p);
    send_kinds(p, 1);
    pair_close(p);
}

/* GRE: on the memory datapath and on openvswitch.ko; eBPF says that it has none. */
static void test_gre(void **state)
{
    struct ip local = IP("192.0.2.1");
    struct error e = {0};

    if (!strcmp(*state, "ebpf")) {
        struct rig *r = rig_open(*state, 1);

        assert_int_equal(dp_tunnel_local(r->dp, &local, FLOW_TUNNEL_GRE, &e), -ENOTSUP);
        assert_non_null(strstr(e.message, "VXLAN"));
        rig_close(r);
        return;
    }
    struct pair *p = pair_open_with(state, false, 2, FLOW_TUNNEL_GRE);
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1, 2);
    struct frame f = frame_of(&k);
    struct flow_out out = to_b(p, 0xabcdef);
    struct dp_exec x = {.packet = f.b, .size = (uint32_t)f.size, .outs = &out, .n_outs = 1};

    bind_key(p->b, 0xabcdef, 1);
    open_flow(p, 0xabcdef);
    send_kinds(p, 0xabcdef);
    assert_int_equal(dp_execute(p->a->dp, 0, &x, 1), 0);
    rig_expect(p->b, 1, &f);
    bind_key(p->b, 0xabcdef, 2);
    rig_send(p->a, 1, &f);
    rig_expect(p->b, 2, &f);
    out.tun_id = 1;
    assert_int_equal(dp_execute(p->a->dp, 0, &x, 1), 0);
    rig_expect_nothing(p->b, 2);
    assert_int_equal(rig_counter(p->b, "unknown_tunnel_key"), 1);
    pair_close(p);
}

/* Tunnels of both kinds on one host. */
static void test_both_kinds_of_tunnel(void **state)
{
    if (!strcmp(*state, "ebpf"))
        skip();
    struct pair *p = pair_open(state, false, 2);
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1, 2);
    struct frame f = frame_of(&k);
    struct flow_out outs[2] = {to_b(p, 1), to_b(p, 2)};
    struct flow_key key = {.in_port = p->a->port[1]}, mask = mask_port();

    bind_key(p->b, 1, 1);
    bind_key(p->b, 2, 2);
    if (rig_kernel(p->a)) { /* on the board, an address is claimed once */
        pair_local(p->a, &p->local_a, FLOW_TUNNEL_GRE);
        pair_local(p->b, &p->local_b, FLOW_TUNNEL_GRE);
    }
    outs[1].tun_type = FLOW_TUNNEL_GRE;
    rig_flow(p->a, &key, &mask, outs, 2);
    for (unsigned i = 0; i < 3; i++) {
        rig_send(p->a, 1, &f);
        rig_expect(p->b, 1, &f);
        rig_expect(p->b, 2, &f);
    }
    pair_close(p);
}

static void test_unknown_key(void **state)
{
    struct pair *p = pair_open(state, false, 2);
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1, 2);
    struct frame f = frame_of(&k);
    struct flow_out out = to_b(p, 8);
    struct dp_exec x = {.packet = f.b, .size = (uint32_t)f.size, .outs = &out, .n_outs = 1};
    uint64_t deadline = clock_ns() + RIG_PATIENCE;

    bind_key(p->b, 7, 1);
    open_flow(p, 7);
    rig_send(p->a, 1, &f);
    rig_expect(p->b, 1, &f);
    await_template(p);
    assert_int_equal(rig_counter(p->b, "unknown_tunnel_key"), 0);
    assert_int_equal(dp_execute(p->a->dp, 0, &x, 1), 0);
    rig_send(p->a, 1, &f);
    rig_expect(p->b, 1, &f);
    while (!rig_counter(p->b, "unknown_tunnel_key") && clock_ns() < deadline)
        ;
    assert_int_equal(rig_counter(p->b, "unknown_tunnel_key"), 1);

    bind_key(p->b, 7, 2); /* moves */
    rig_send(p->a, 1, &f);
    rig_expect(p->b, 2, &f);
    assert_int_equal(dp_tunnel_unbind(p->b->dp, 7), 0);
    assert_int_equal(dp_tunnel_unbind(p->b->dp, 7), -ENOENT);
    rig_send(p->a, 1, &f);
    while (rig_counter(p->b, "unknown_tunnel_key") < 2 && clock_ns() < deadline)
        ;
    assert_int_equal(rig_counter(p->b, "unknown_tunnel_key"), 2);
    rig_expect_nothing(p->b, 1);
    rig_expect_nothing(p->b, 2);
    pair_close(p);
}

/* Ports here and machines there, some of them with other headers. */
static void test_flood_over_tunnels(void **state)
{
    struct pair *p = pair_open(state, false, 3);
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1, 2), mask = mask_all();
    struct frame f = frame_of(&k);
    struct flow_key key = rig_key(p->a, 1, &f);
    struct flow_out outs[5] = {to_b(p, 1), rig_out(p->a, 2), to_b(p, 2), rig_out(p->a, 3),
                               to_b(p, 3)};

    outs[2].set = FLOW_SET_ETH_DST | FLOW_DEC_TTL | FLOW_SET_IP_DST;
    outs[2].eth_dst = MAC("ac:ca:ba:00:00:02");
    outs[2].ip_dst = IP("10.77.0.1");
    outs[2].ttl_dec = 1;
    outs[3].set = FLOW_PUSH_VLAN;
    outs[3].vlan_tci = FLOW_VLAN_PRESENT | 5;
    outs[4].set = FLOW_PUSH_VLAN;
    outs[4].vlan_tci = FLOW_VLAN_PRESENT | 6;
    for (unsigned i = 1; i <= 3; i++)
        bind_key(p->b, i, i);
    rig_flow(p->a, &key, &mask, outs, 5);
    struct frame want[5];

    for (unsigned i = 0; i < 5; i++) {
        struct frame g = f;
        uint8_t *start = packet_rewrite(g.b, &g.size, &outs[i]);

        want[i].size = g.size;
        memcpy(want[i].b, start, g.size);
    }
    struct dp_exec x = {.packet = f.b, .size = (uint32_t)f.size, .outs = outs, .n_outs = 5};

    for (unsigned i = 0; i < 4; i++) {
        if (i & 1)
            assert_int_equal(dp_execute(p->a->dp, 0, &x, 1), 0);
        else
            rig_send(p->a, 1, &f);
        rig_expect(p->b, 1, &want[0]);
        rig_expect(p->a, 2, &want[1]);
        rig_expect(p->b, 2, &want[2]);
        rig_expect(p->a, 3, &want[3]);
        rig_expect(p->b, 3, &want[4]);
    }
    pair_close(p);
}

static void test_rewrite_into_tunnel(void **state)
{
    struct pair *p = pair_open(state, false, 2);

    bind_key(p->b, 5, 1);
    open_flow(p, 5);
    await_template(p);
    for (unsigned ip6 = 0; ip6 < 2; ip6++) {
        struct flow_key k = ip6 ? key_of(WIRE_PROTO_UDP, "fd00::1", "fd00::2", 9, 2)
                                : key_of(WIRE_PROTO_TCP, "10.0.0.1", "10.0.0.2", 9, 2);
        struct frame f = frame_of(&k), want = f;
        struct flow_key key = rig_key(p->a, 2, &f), mask = mask_all();
        struct flow_out out = to_b(p, 5);

        out.set = FLOW_SET_ETH_DST | FLOW_SET_ETH_SRC | FLOW_DEC_TTL | FLOW_SET_IP_SRC |
                  FLOW_SET_TP_SRC | FLOW_SET_TOS;
        out.eth_dst = MAC("ac:ca:ba:00:00:02");
        out.eth_src = MAC("ac:ca:ba:00:00:03");
        out.ip_src = ip6 ? IP("fd00:9::9") : IP("203.0.113.9");
        out.ttl_dec = 4;
        out.ip_tos = 0x28;
        out.tp_src = 30000;
        out.tun_tos = 0x28;
        rig_flow(p->a, &key, &mask, &out, 1);
        packet_rewrite(want.b, &want.size, &out);
        rig_send(p->a, 2, &f);
        rig_expect(p->b, 1, &want);
    }
    pair_close(p);
}

/* A merged TCP packet crosses merged, with its checksum still to be made, and right in the end. */
static void test_merged(void **state)
{
    struct pair *p = pair_open(state, false, 2);
    static uint8_t big[40000], buf[70000];

    if (!rig_kernel(p->a)) {
        pair_close(p);
        skip();
    }
    bind_key(p->b, 5, 1);
    open_flow(p, 5);
    await_template(p);
    for (unsigned ip6 = 0; ip6 < 2; ip6++) {
        struct flow_key k = ip6 ? key_of(WIRE_PROTO_TCP, "fd00::1", "fd00::2", 1000, 2000)
                                : key_of(WIRE_PROTO_TCP, "10.0.0.1", "10.0.0.2", 1000, 2000);
        size_t headers = ip6 ? 74 : 54, payload = 10 * 1300;
        static uint8_t data[10 * 1300];
        unsigned gso_size;

        for (size_t i = 0; i < payload; i++)
            data[i] = (uint8_t)(i * 11 >> 2);
        size_t size = packet_from_key(big, sizeof big, &k, data, payload);
        struct virtio_net_hdr vh = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                    .csum_start = (uint16_t)(headers - 20),
                                    .csum_offset = 16,
                                    .gso_size = 1300,
                                    .gso_type =
                                        ip6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4,
                                    .hdr_len = (uint16_t)headers};

        rig_send_offload(p->a, 1, big, size, &vh);
        assert_int_equal(rig_await(p->b, 1, buf, sizeof buf, &gso_size), size);
        assert_int_equal(gso_size, 1300);
        packet_finish_checksums(big, size);
        assert_memory_equal(buf, big, size);

        /* One whose segments don't fit the underlay goes nowhere, and is counted. */
        if (!rig_counts(p->a, "too_big"))
            continue;
        uint64_t before = rig_counter(p->a, "too_big");
        vh.gso_size = 1460;
        rig_send_offload(p->a, 1, big, size, &vh);
        assert_int_equal(rig_counter(p->a, "too_big"), before + 1);
    }
    rig_expect_nothing(p->b, 1);
    pair_close(p);
}

static void test_no_such_remote(void **state)
{
    struct pair *p = pair_open(state, false, 1);
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1, 2);
    struct frame f = frame_of(&k);
    struct flow_out out = to_b(p, 8);
    struct dp_exec x = {.packet = f.b, .size = (uint32_t)f.size, .outs = &out, .n_outs = 1};

    out.tun_remote = IP("192.0.2.200");
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(dp_execute(p->a->dp, 0, &x, 1), 0);
    if (!rig_kernel(p->a))
        assert_int_equal(rig_counter(p->a, "no_tunnel"), 5);
    rig_expect_nothing(p->b, 1);
    struct error e = {0};
    struct ip not_ours = IP("192.0.2.77");

    if (rig_kernel(p->a)) {
        rig_enter(p->a);
        assert_int_equal(dp_tunnel_local(p->a->dp, &not_ours, FLOW_TUNNEL_VXLAN, &e),
                         -EADDRNOTAVAIL);
        assert_int_equal(dp_tunnel_local(p->a->dp, &p->local_a, FLOW_TUNNEL_GRE, &e),
                         rig_is_ovs(p->a) ? 0 : -ENOTSUP);
    } else {
        assert_int_equal(dp_tunnel_local(p->a->dp, &p->local_b, FLOW_TUNNEL_VXLAN, &e), -EEXIST);
    }
    pair_close(p);
}

/* The hosts' own traffic is none of our business, to our UDP port at another address neither. */
static void test_host_traffic(void **state)
{
    struct pair *p = pair_open(state, false, 1);

    if (!rig_kernel(p->a)) {
        pair_close(p);
        skip();
    }
    bind_key(p->b, 5, 1);
    open_flow(p, 5);
    await_template(p);
    rig_shell("ip netns exec %s ping -qc 2 -i 0.1 192.0.2.2 >/dev/null", p->a->host_ns);
    rig_shell("ip netns exec %s ping -qc 2 -i 0.1 fd00:5::2 >/dev/null", p->a->host_ns);
    assert_int_equal(rig_counter(p->b, "unknown_tunnel_key"), 0);
    pair_close(p);
}

/* The next hop changes its MAC: packets find it again by themselves. */
static void test_next_hop_changes(void **state)
{
    struct pair *p = pair_open(state, false, 1);
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1, 2);
    struct frame f = frame_of(&k);
    uint64_t deadline = clock_ns() + RIG_PATIENCE;
    uint8_t buf[2048];

    if (!rig_kernel(p->a)) {
        pair_close(p);
        skip();
    }
    bind_key(p->b, 5, 1);
    open_flow(p, 5);
    await_template(p);
    rig_shell("ip -n %s link set u0 address 02:aa:bb:cc:dd:ee; ip -n %s neigh flush dev u0",
              p->b->host_ns, p->a->host_ns);
    do
        rig_send(p->a, 1, &f);
    while (!rig_take(p->b, 1, buf, sizeof buf, NULL) && clock_ns() < deadline);
    assert_true(clock_ns() < deadline);
    while (rig_take(p->b, 1, buf, sizeof buf, NULL))
        ;
    await_template(p);

    /* The address moves to another interface. */
    rig_enter(p->a);
    rig_shell("ip link add u1 type veth peer name u1 netns %s; ip link set u1 up; "
              "ip -n %s link set u1 up; ip addr del 192.0.2.1/24 dev u0; "
              "ip addr add 192.0.2.1/24 dev u1; ip -n %s addr del 192.0.2.2/24 dev u0; "
              "ip -n %s addr add 192.0.2.2/24 dev u1",
              p->b->host_ns, p->b->host_ns, p->b->host_ns, p->b->host_ns);
    deadline = clock_ns() + RIG_PATIENCE;
    do
        rig_send(p->a, 1, &f);
    while (!rig_take(p->b, 1, buf, sizeof buf, NULL) && clock_ns() < deadline);
    assert_true(clock_ns() < deadline);
    while (rig_take(p->b, 1, buf, sizeof buf, NULL))
        ;
    await_template(p);
    pair_close(p);
}

static void test_cut(void **state)
{
    struct pair *p = pair_open(state, false, 1);
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1, 2);
    struct frame f = frame_of(&k);

    if (rig_kernel(p->a)) {
        pair_close(p);
        skip();
    }
    bind_key(p->b, 5, 1);
    open_flow(p, 5);
    memory_board_cut(p->board, &p->local_b, true);
    rig_send(p->a, 1, &f);
    rig_expect_nothing(p->b, 1);
    assert_int_equal(rig_counter(p->a, "no_tunnel"), 1);
    memory_board_cut(p->board, &p->local_b, false);
    rig_send(p->a, 1, &f);
    rig_expect(p->b, 1, &f);
    memory_inject_tunnel(p->b->dp, 5, f.b, f.size);
    rig_expect(p->b, 1, &f);
    memory_inject_tunnel(p->b->dp, 6, f.b, f.size);
    assert_int_equal(rig_counter(p->b, "unknown_tunnel_key"), 1);
    pair_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_kinds_over_ip6),
        cmocka_unit_test(test_gre),
        cmocka_unit_test(test_both_kinds_of_tunnel),
        cmocka_unit_test(test_unknown_key),
        cmocka_unit_test(test_flood_over_tunnels),
        cmocka_unit_test(test_rewrite_into_tunnel),
        cmocka_unit_test(test_merged),
        cmocka_unit_test(test_no_such_remote),
        cmocka_unit_test(test_host_traffic),
        cmocka_unit_test(test_next_hop_changes),
        cmocka_unit_test(test_cut),
    };

    return rig_main("tunnels", tests, ARRAY_SIZE(tests));
}
