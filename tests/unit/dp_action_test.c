/* Everything an output can do, on every datapath.  What must come out is what packet_rewrite(),
 * which has tests of its own, makes of the packet. */
#include "dp_rig.h"
#include "packet/checksum.h"

static struct frame rewritten(const struct frame *f, const struct flow_out *out)
{
    struct frame g = *f;
    uint8_t *p = packet_rewrite(g.b, &g.size, out);
    struct frame result = {.size = g.size};

    memcpy(result.b, p, g.size);
    return result;
}

/* Sends 'f' through one flow with these outputs, to ports 2, 3, ... */
static void check_flow(struct rig *r, const struct frame *f, struct flow_out *outs, unsigned n)
{
    struct flow_key key = rig_key(r, 1, f), mask = mask_all();

    rig_flow(r, &key, &mask, outs, n);
    rig_send(r, 1, f);
    for (unsigned i = 0; i < n; i++) {
        struct frame want = rewritten(f, &outs[i]);

        rig_expect(r, i + 2, &want);
    }
    assert_int_equal(rig_flow_del(r, &key, &mask, NULL), 0);
}

/* The same as the agent sends a packet itself. */
static void check_exec(struct rig *r, const struct frame *f, struct flow_out *outs, unsigned n)
{
    struct dp_exec x = {.packet = f->b,
                        .size = (uint32_t)f->size,
                        .in_port = r->port[1],
                        .outs = outs,
                        .n_outs = (uint16_t)n};

    assert_int_equal(dp_execute(r->dp, 0, &x, 1), 0);
    for (unsigned i = 0; i < n; i++) {
        struct frame want = rewritten(f, &outs[i]);

        rig_expect(r, i + 2, &want);
    }
}

static void check(struct rig *r, const struct frame *f, struct flow_out out)
{
    out.kind = FLOW_OUT_PORT;
    out.port = r->port[2];
    check_flow(r, f, &out, 1);
    check_exec(r, f, &out, 1);
}

static struct flow_out all_sets(bool ip6)
{
    return (struct flow_out){
        .set = FLOW_SET_ETH_SRC | FLOW_SET_ETH_DST | FLOW_SET_IP_SRC | FLOW_SET_IP_DST |
               FLOW_SET_TOS | FLOW_SET_TP_SRC | FLOW_SET_TP_DST | FLOW_DEC_TTL,
        .eth_src = MAC("ac:ca:ba:00:00:01"),
        .eth_dst = MAC("ac:ca:ba:00:00:02"),
        .ip_src = ip6 ? IP("fd00:77::1") : IP("192.168.7.1"),
        .ip_dst = ip6 ? IP("fd00:88:1:2:3:4:5:6") : IP("198.51.100.254"),
        .ip_tos = 0xb8,
        .tp_src = 0xfffe,
        .tp_dst = 1,
        .ttl_dec = 3,
    };
}

static void check_each_set(struct rig *r, const struct frame *f, bool ip6)
{
    struct flow_out all = all_sets(ip6), one = all;

    check(r, f, (struct flow_out){0});
    for (unsigned bit = 0; bit < 8; bit++) {
        one.set = (uint16_t)(1u << bit);
        check(r, f, one);
    }
    check(r, f, all);
}

static void test_fields_ip4(void **state)
{
    struct rig *r = rig_open(*state, 2);
    uint8_t protos[] = {WIRE_PROTO_TCP, WIRE_PROTO_UDP};

    for (unsigned i = 0; i < 2; i++) {
        struct flow_key k = key_of(protos[i], "10.0.0.1", "10.0.0.2", 1000, 2000);
        struct frame f = frame_of(&k);

        check_each_set(r, &f, false);
    }
    rig_close(r);
}

static void test_fields_ip6(void **state)
{
    struct rig *r = rig_open(*state, 2);
    uint8_t protos[] = {WIRE_PROTO_TCP, WIRE_PROTO_UDP};

    for (unsigned i = 0; i < 2; i++) {
        struct flow_key k = key_of(protos[i], "fd00::1", "fd00::2", 1000, 2000);
        struct frame f = frame_of(&k);

        check_each_set(r, &f, true);
    }
    rig_close(r);
}

/* No ports to set here, but addresses; ICMPv6 covers them with its checksum, ICMP doesn't. */
static void test_addresses_of_icmp(void **state)
{
    struct rig *r = rig_open(*state, 2);

    for (unsigned ip6 = 0; ip6 < 2; ip6++) {
        struct flow_key k = ip6 ? key_of(WIRE_PROTO_ICMP6, "fd00::1", "fd00::2", 128, 0)
                                : key_of(WIRE_PROTO_ICMP, "10.0.0.1", "10.0.0.2", 8, 0);
        struct frame f = frame_of(&k);
        struct flow_out out = all_sets(ip6);

        out.set &= (uint16_t) ~(FLOW_SET_TP_SRC | FLOW_SET_TP_DST);
        check(r, &f, out);
        struct frame want = rewritten(&f, &out);
        assert_true(packet_checksums_right(want.b, want.size));
    }
    rig_close(r);
}

static void test_udp_without_checksum(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1000, 2000);
    struct frame f = frame_of(&k);

    put16(f.b + 14 + 20 + 6, 0);
    check(r, &f, all_sets(false));
    rig_close(r);
}

/* Refused as a flow or done right; sent by the agent it is always done. */
static void test_hard_ones(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct flow_key sctp = key_of(WIRE_PROTO_SCTP, "10.0.0.1", "10.0.0.2", 1000, 2000);
    struct flow_key icmp = key_of(WIRE_PROTO_ICMP, "10.0.0.1", "10.0.0.2", 8, 0);
    struct flow_key *keys[] = {&sctp, &icmp};

    for (unsigned i = 0; i < 2; i++) {
        struct frame f = frame_of(keys[i]);
        struct flow_out out = rig_out(r, 2);
        struct flow_key key = rig_key(r, 1, &f), mask = mask_all();
        struct dp_flow flow = {.key = key, .mask = mask, .outs = &out, .n_outs = 1};
        int rc;

        out.set = FLOW_SET_TP_SRC | FLOW_SET_ETH_DST | FLOW_DEC_TTL;
        out.tp_src = i ? 0 : 4321;
        out.ttl_dec = 1;
        out.eth_dst = MAC("ac:ca:ba:00:00:02");
        check_exec(r, &f, &out, 1);
        if (dp_flow_put(r->dp, 0, &flow, 1, &rc)) {
            assert_int_equal(rc, -ENOTSUP);
        } else {
            struct frame want = rewritten(&f, &out);

            rig_send(r, 1, &f);
            rig_expect(r, 2, &want);
        }
    }
    rig_close(r);
}

static void test_vlan(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct flow_key k = key_of(WIRE_PROTO_TCP, "10.0.0.1", "10.0.0.2", 1000, 2000);
    struct frame plain = frame_of(&k);
    struct flow_out push = {.set = FLOW_PUSH_VLAN, .vlan_tci = FLOW_VLAN_PRESENT | 5 << 13 | 7};

    k.vlan_tci = FLOW_VLAN_PRESENT | 100;
    struct frame tagged = frame_of(&k), twice = rewritten(&tagged, &push);
    struct flow_out pop = {.set = FLOW_POP_VLAN}, swap = push, routed = all_sets(false);

    swap.set |= FLOW_POP_VLAN;
    check(r, &plain, push);
    check(r, &plain, pop); /* nothing to take off */
    check(r, &tagged, pop);
    check(r, &tagged, swap);
    check(r, &tagged, push);
    check(r, &twice, pop);
    check(r, &twice, swap);
    check(r, &twice, (struct flow_out){0});
    routed.set |= FLOW_PUSH_VLAN;
    routed.vlan_tci = FLOW_VLAN_PRESENT | 42;
    check(r, &plain, routed);
    routed.set |= FLOW_POP_VLAN;
    check(r, &tagged, routed);
    routed.set &= (uint16_t)~FLOW_PUSH_VLAN;
    check(r, &tagged, routed);
    rig_close(r);
}

/* Copies don't depend on each other: what one sets the next doesn't see. */
static void test_many_outputs(void **state)
{
    struct rig *r = rig_open(*state, 8);

    for (unsigned ip6 = 0; ip6 < 2; ip6++) {
        struct flow_key k = ip6 ? key_of(WIRE_PROTO_UDP, "fd00::1", "fd00::2", 1000, 2000)
                                : key_of(WIRE_PROTO_TCP, "10.0.0.1", "10.0.0.2", 1000, 2000);
        struct frame f = frame_of(&k);
        struct flow_out outs[7];

        for (unsigned i = 0; i < 7; i++)
            outs[i] = rig_out(r, i + 2);
        check_flow(r, &f, outs, 7);
        for (unsigned i = 0; i < 7; i++) {
            outs[i] = all_sets(ip6);
            outs[i].kind = FLOW_OUT_PORT;
            outs[i].port = r->port[i + 2];
            outs[i].set = (uint16_t)(3u << i); /* two each, of which the next has one */
            outs[i].ttl_dec = (uint8_t)(i + 1);
            outs[i].vlan_tci = FLOW_VLAN_PRESENT | 9;
        }
        outs[4].set = 0;
        outs[6].set |= FLOW_PUSH_VLAN;
        outs[2].set |= FLOW_PUSH_VLAN;
        check_flow(r, &f, outs, 7);
        check_exec(r, &f, outs, 7);
        k.vlan_tci = FLOW_VLAN_PRESENT | 55;
        f = frame_of(&k);
        outs[1].set |= FLOW_POP_VLAN;
        outs[2].set |= FLOW_POP_VLAN;
        check_flow(r, &f, outs, 7);
        check_exec(r, &f, outs, 7);
    }
    rig_close(r);
}

static void test_flood(void **state)
{
    struct rig *r = rig_open(*state, 66);
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.255", 1000, 2000);
    struct flow_out outs[65];

    k.eth_dst = mac_broadcast;
    struct frame f = frame_of(&k);

    for (unsigned i = 0; i < 65; i++)
        outs[i] = rig_out(r, i + 2);
    check_flow(r, &f, outs, 65);
    check_exec(r, &f, outs, 65);
    rig_expect_nothing(r, 1);
    rig_close(r);
}

/* A group's list may be shared and replaced; deleting one flow leaves the other's. */
static void test_groups(void **state)
{
    struct rig *r = rig_open(*state, 5);
    struct flow_key a = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1, 2),
                    b = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 3, 4), mask = mask_all();
    struct frame fa = frame_of(&a), fb = frame_of(&b);
    struct flow_key ka = rig_key(r, 1, &fa), kb = rig_key(r, 1, &fb);
    struct flow_out outs[3] = {rig_out(r, 2), rig_out(r, 3), rig_out(r, 4)};

    for (unsigned round = 0; round < 3; round++) {
        rig_flow(r, &ka, &mask, outs, 3);
        rig_flow(r, &kb, &mask, outs, 3);
        rig_flow(r, &ka, &mask, outs, 2);
        rig_send(r, 1, &fa);
        rig_expect(r, 2, &fa);
        rig_expect(r, 3, &fa);
        rig_expect_nothing(r, 4);
        rig_flow(r, &ka, &mask, outs, 1);
        rig_send(r, 1, &fb);
        for (unsigned i = 2; i <= 4; i++)
            rig_expect(r, i, &fb);
        assert_int_equal(rig_flow_del(r, &ka, &mask, NULL), 0);
        assert_int_equal(rig_flow_del(r, &kb, &mask, NULL), 0);
    }
    rig_close(r);
}

static void test_drop(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1, 2), mask = mask_all();
    struct frame f = frame_of(&k);
    struct flow_key key = rig_key(r, 1, &f);
    struct dp_flow_stats s;

    rig_flow(r, &key, &mask, NULL, 0);
    for (unsigned i = 0; i < 5; i++)
        rig_send(r, 1, &f);
    rig_expect_nothing(r, 2);
    rig_expect_no_upcall(r, 1);
    rig_flow_del(r, &key, &mask, &s);
    assert_int_equal(s.packets, 5);
    rig_close(r);
}

static void test_ttl(void **state)
{
    struct rig *r = rig_open(*state, 3);

    for (unsigned ip6 = 0; ip6 < 2; ip6++) {
        struct flow_key k = ip6 ? key_of(WIRE_PROTO_UDP, "fd00::1", "fd00::2", 1000, 2000)
                                : key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1000, 2000);
        struct flow_out outs[2] = {rig_out(r, 2), rig_out(r, 3)};
        struct flow_key mask = mask_all();

        outs[1].set = FLOW_DEC_TTL;
        outs[1].ttl_dec = 3;
        for (unsigned ttl = 0; ttl <= 4; ttl++) {
            k.ip_ttl = (uint8_t)ttl;
            struct frame f = frame_of(&k);
            struct flow_key key = rig_key(r, 1, &f);

            rig_flow(r, &key, &mask, outs, 2);
            rig_send(r, 1, &f);
            if (ttl <= 3) {
                rig_expect_upcall(r, 1, &f, DP_TTL);
                rig_expect_nothing(r, 2);
                rig_expect_nothing(r, 3);
                continue;
            }
            struct frame want = rewritten(&f, &outs[1]);
            rig_expect(r, 2, &f);
            rig_expect(r, 3, &want);
        }
        k.ip_ttl = 2;
        struct frame f = frame_of(&k);
        struct dp_exec x = {.packet = f.b, .size = (uint32_t)f.size, .outs = outs, .n_outs = 2};
        uint64_t before = rig_counter(r, "ttl");

        assert_int_equal(dp_execute(r->dp, 0, &x, 1), 0);
        rig_expect_nothing(r, 2);
        assert_int_equal(rig_counter(r, "ttl"), before + 1);
    }
    rig_close(r);
}

static struct frame fragment_of(const struct frame *whole, bool first)
{
    struct frame f = {0};
    size_t header = 14 + 20, cut = 16, payload = first ? cut : whole->size - header - cut;

    memcpy(f.b, whole->b, header);
    memcpy(f.b + header, whole->b + header + (first ? 0 : cut), payload);
    put16(f.b + 16, (uint16_t)(20 + payload));
    put16(f.b + 20, first ? 0x2000 : cut / 8);
    f.size = header + payload;
    put16(f.b + 24, 0);
    put16(f.b + 24, (uint16_t)~csum_add(0, f.b + 14, 20));
    return f;
}

static void test_fragments(void **state)
{
    struct rig *r = rig_open(*state, 3);
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1000, 2000);
    struct frame whole = frame_of(&k), first = fragment_of(&whole, true),
                 later = fragment_of(&whole, false);
    struct flow_out out = all_sets(false);
    struct flow_key mask = mask_all(), key = rig_key(r, 1, &whole);

    assert_int_equal(rig_key(r, 1, &first).ip_frag, FLOW_FRAG_FIRST);
    assert_int_equal(rig_key(r, 1, &later).ip_frag, FLOW_FRAG_LATER);
    out.kind = FLOW_OUT_PORT;
    out.port = r->port[2];
    rig_flow(r, &key, &mask, &out, 1);
    rig_send(r, 1, &first);
    rig_expect_upcall(r, 1, &first, DP_MISS);
    rig_send(r, 1, &later);
    rig_expect_upcall(r, 1, &later, DP_MISS);
    check(r, &first, out);
    check(r, &later, out); /* ports that aren't there stay alone */
    rig_close(r);
}

/* The checksum as a stack leaves it to hardware: of the pseudo header alone. */
static void leave_checksum(uint8_t *p, size_t size, uint8_t proto, bool ip6,
                           const struct virtio_net_hdr *vh)
{
    size_t l4 = vh->csum_start, addrs = ip6 ? 22 : 26;
    uint8_t tail[4] = {0, proto, (uint8_t)((size - l4) >> 8), (uint8_t)(size - l4)};

    put16(p + l4 + vh->csum_offset, csum_add(csum_add(0, p + addrs, l4 - addrs), tail, 4));
}

/* What a machine's stack sends: the checksum is left to hardware that isn't there. */
static void test_partial_checksums(void **state)
{
    struct rig *r = rig_open(*state, 2);

    if (!rig_kernel(r)) {
        rig_close(r);
        skip();
    }
    for (unsigned i = 0; i < 4; i++) {
        bool ip6 = i & 1, tcp = i & 2;
        uint8_t proto = tcp ? WIRE_PROTO_TCP : WIRE_PROTO_UDP;
        struct flow_key k = ip6 ? key_of(proto, "fd00::1", "fd00::2", 1000, 2000)
                                : key_of(proto, "10.0.0.1", "10.0.0.2", 1000, 2000);
        struct frame done = frame_of(&k), half = done;
        struct virtio_net_hdr vh = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                    .csum_start = ip6 ? 54 : 34,
                                    .csum_offset = tcp ? 16 : 6};

        leave_checksum(half.b, half.size, proto, ip6, &vh);
        rig_send_offload(r, 1, half.b, half.size, &vh);

        const struct dp_upcall *up = rig_upcall(r);
        assert_non_null(up);
        assert_int_equal(up->csum_partial, !rig_is_ovs(r)); /* there, the kernel has finished it */
        assert_int_equal(up->size, done.size);
        assert_memory_equal(up->packet, done.b, done.size);

        struct flow_out out = all_sets(ip6);
        struct flow_key key = rig_key(r, 1, &done), mask = mask_all();
        struct frame want = rewritten(&done, &out);

        out.kind = FLOW_OUT_PORT;
        out.port = r->port[2];
        rig_flow(r, &key, &mask, &out, 1);
        rig_send_offload(r, 1, half.b, half.size, &vh);
        rig_expect(r, 2, &want);
    }
    rig_close(r);
}

/* The kernel's own table cuts a merged packet before it sends it up. */
static void expect_segments(struct rig *r, size_t payload, size_t headers)
{
    size_t got = 0;

    while (got < payload) {
        const struct dp_upcall *up = rig_upcall(r);

        assert_non_null(up);
        assert_int_equal(up->gso_size, 0);
        assert_true(packet_checksums_right(up->packet, up->size));
        got += up->size - headers;
    }
    assert_int_equal(got, payload);
}

/* By a flow, as merged as it came; 'n' times with what was sent before. */
static void expect_merged(struct rig *r, uint8_t *big, size_t size, const struct virtio_net_hdr *vh,
                          const struct flow_out *out, unsigned n)
{
    static uint8_t buf[70000];
    struct packet_layers l;
    struct flow_key key = {0}, mask = mask_all();

    packet_parse(big, size, &key, &l);
    key.in_port = r->port[1];
    rig_flow(r, &key, &mask, out, 1);
    rig_send_offload(r, 1, big, size, vh);
    packet_finish_checksums(big, size);
    uint8_t *want = packet_rewrite(big, &size, out);

    while (n--) {
        unsigned gso_size;

        assert_int_equal(rig_await(r, 2, buf, sizeof buf, &gso_size), size);
        assert_int_equal(gso_size, 1400);
        assert_memory_equal(buf, want, size);
    }
}

/* A merged packet goes up whole, and what the agent sends of it is as merged again. */
static void test_merged(void **state)
{
    struct rig *r = rig_open(*state, 2);
    static uint8_t big[40000];

    if (!rig_kernel(r)) {
        rig_close(r);
        skip();
    }
    for (unsigned ip6 = 0; ip6 < 2; ip6++) {
        struct flow_key k = ip6 ? key_of(WIRE_PROTO_TCP, "fd00::1", "fd00::2", 1000, 2000)
                                : key_of(WIRE_PROTO_TCP, "10.0.0.1", "10.0.0.2", 1000, 2000);
        size_t headers = ip6 ? 74 : 54, payload = 20 * 1400;
        static uint8_t data[20 * 1400];

        for (size_t i = 0; i < payload; i++)
            data[i] = (uint8_t)(i * 7 >> 3);
        k.tcp_flags = 0x10;
        size_t size = packet_from_key(big, sizeof big, &k, data, payload);
        struct virtio_net_hdr vh = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                    .csum_start = (uint16_t)(headers - 20),
                                    .csum_offset = 16,
                                    .gso_size = 1400,
                                    .gso_type =
                                        ip6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4,
                                    .hdr_len = (uint16_t)headers};

        assert_int_equal(size, headers + payload);
        leave_checksum(big, size, WIRE_PROTO_TCP, ip6, &vh);
        rig_send_offload(r, 1, big, size, &vh);
        struct flow_out out = all_sets(ip6);

        out.kind = FLOW_OUT_PORT;
        out.port = r->port[2];
        if (rig_is_ovs(r)) {
            expect_segments(r, payload, headers);
            expect_merged(r, big, size, &vh, &out, 1);
            continue;
        }
        const struct dp_upcall *up = rig_upcall(r);
        assert_non_null(up);
        assert_int_equal(up->size, size);
        assert_int_equal(up->gso_size, 1400);
        assert_true(up->csum_partial);
        assert_true(packet_checksums_right(up->packet, up->size));

        struct dp_exec x = {.packet = up->packet,
                            .size = up->size,
                            .in_port = up->port_no,
                            .gso_size = up->gso_size,
                            .csum_partial = up->csum_partial,
                            .handle = up->handle,
                            .outs = &out,
                            .n_outs = 1};

        assert_int_equal(dp_execute(r->dp, 0, &x, 1), 0);
        expect_merged(r, big, size, &vh, &out, 2);
    }
    rig_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_ip4),
        cmocka_unit_test(test_fields_ip6),
        cmocka_unit_test(test_addresses_of_icmp),
        cmocka_unit_test(test_udp_without_checksum),
        cmocka_unit_test(test_hard_ones),
        cmocka_unit_test(test_vlan),
        cmocka_unit_test(test_many_outputs),
        cmocka_unit_test(test_flood),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_drop),
        cmocka_unit_test(test_ttl),
        cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_partial_checksums),
        cmocka_unit_test(test_merged),
    };

    return rig_main("actions", tests, ARRAY_SIZE(tests));
}
