/* Every field a flow can match, on every datapath: the flow takes its packet and sends up the one
 * that differs in that field alone. */
#include "dp_rig.h"

struct match_case {
    const char *field;
    struct flow_key key; /* of the packet that matches */
    struct flow_key other;
    struct flow_key mask;
};

static void send_both(struct rig *r, const struct match_case *c)
{
    struct frame yes = frame_of(&c->key), no = frame_of(&c->other);
    struct flow_key key = rig_key(r, 1, &yes), mask = c->mask;
    struct flow_out out = rig_out(r, 2);
    struct dp_flow_stats stats;

    mask.in_port = ~0u;
    rig_flow(r, &key, &mask, &out, 1);
    rig_send(r, 1, &yes);
    rig_expect(r, 2, &yes);
    rig_send(r, 1, &no);
    rig_expect_upcall(r, 1, &no, DP_MISS);
    rig_send(r, 1, &yes);
    rig_expect(r, 2, &yes);
    assert_int_equal(rig_flow_del(r, &key, &mask, &stats), 0);
    assert_int_equal(stats.packets, 2);
    assert_int_equal(stats.bytes, 2 * yes.size);
    assert_true(stats.used_ns > 0 && stats.used_ns <= clock_ns());
    rig_send(r, 1, &yes);
    rig_expect_upcall(r, 1, &yes, DP_MISS);
    rig_expect_nothing(r, 2);
}

/* The kernel's own table doesn't look behind a header whose kind isn't matched: such a flow is
 * refused, and the agent makes one that looks. */
static void add_what_must_be_matched(struct rig *r, struct match_case *c)
{
    bool ports = c->mask.tp_src || c->mask.tp_dst || c->mask.tcp_flags;
    struct frame yes = frame_of(&c->key);
    struct flow_key key = rig_key(r, 1, &yes);

    if (!rig_is_ovs(r) || !ports)
        return;
    c->mask.in_port = ~0u;
    rig_flow_rc(r, &key, &c->mask, NULL, 0, -ENOTSUP);
    c->mask.eth_type = 0xffff;
    c->mask.ip_proto = 0xff;
}

static void run_cases(struct rig *r, struct match_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        add_what_must_be_matched(r, &cases[i]);
        printf("  %s\n", cases[i].field);
        send_both(r, &cases[i]);
    }
}

#define CASE(field_, base_, value_, bits_)                                                         \
    ({                                                                                             \
        struct match_case c_ = {.field = #field_, .key = base_, .other = base_};                   \
        c_.other.field_ = value_;                                                                  \
        c_.mask.field_ = bits_;                                                                    \
        c_;                                                                                        \
    })

static struct ip ones(void)
{
    struct ip ip;

    memset(&ip, 0xff, sizeof ip);
    return ip;
}

static void test_ethernet_fields(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct flow_key b = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1000, 2000);
    struct mac all = MAC("ff:ff:ff:ff:ff:ff");
    struct match_case cases[] = {
        CASE(eth_src, b, MAC("02:00:00:00:00:09"), all),
        CASE(eth_dst, b, MAC("02:00:00:00:00:09"), all),
        CASE(eth_dst, b, MAC("03:00:00:00:00:02"), MAC("01:00:00:00:00:00")),
        CASE(vlan_tci, b, FLOW_VLAN_PRESENT | 5, 0xffff),
        CASE(vlan_tci, b, FLOW_VLAN_PRESENT, FLOW_VLAN_PRESENT),
    };

    run_cases(r, cases, ARRAY_SIZE(cases));
    rig_close(r);
}

static void test_vlan_fields(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct flow_key b = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1000, 2000);

    b.vlan_tci = FLOW_VLAN_PRESENT | 3 << 13 | 100;
    struct match_case cases[] = {
        CASE(vlan_tci, b, 0, 0xffff),
        CASE(vlan_tci, b, FLOW_VLAN_PRESENT | 3 << 13 | 101, FLOW_VLAN_PRESENT | FLOW_VLAN_VID),
        CASE(vlan_tci, b, FLOW_VLAN_PRESENT | 2 << 13 | 100, 0xe000),
    };

    run_cases(r, cases, ARRAY_SIZE(cases));
    rig_close(r);
}

static void ip_cases(struct rig *r, struct flow_key b, struct ip other, struct ip other_net,
                     struct ip net)
{
    struct match_case cases[] = {
        CASE(ip_src, b, other, ones()),      CASE(ip_dst, b, other, ones()),
        CASE(ip_dst, b, other_net, net),     CASE(ip_tos, b, 0x10, 0xff),
        CASE(ip_tos, b, 0x03, 0x03),         CASE(ip_proto, b, WIRE_PROTO_TCP, 0xff),
        CASE(tp_src, b, 1001, 0xffff),       CASE(tp_dst, b, 2001, 0xffff),
        CASE(tp_dst, b, 2000 ^ 256, 0xff00),
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        cases[i].mask.eth_type = 0xffff;
    run_cases(r, cases, ARRAY_SIZE(cases));
}

static void test_ip4_fields(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct cidr net;

    cidr_parse("255.255.255.0/32", &net);
    memset(net.addr.b, 0xff, 12);
    ip_cases(r, key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1000, 2000), IP("10.0.0.77"),
             IP("10.0.1.2"), net.addr);
    rig_close(r);
}

static void test_ip6_fields(void **state)
{
    struct rig *r = rig_open(*state, 2);

    ip_cases(r, key_of(WIRE_PROTO_UDP, "fd00::1", "fd00::2", 1000, 2000), IP("fd00::77"),
             IP("fd00:0:0:1::2"), IP("ffff:ffff:ffff:ffff::"));
    rig_close(r);
}

static void test_tcp_flags_and_icmp(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct flow_key tcp = key_of(WIRE_PROTO_TCP, "10.0.0.1", "10.0.0.2", 1000, 2000);
    struct flow_key icmp = key_of(WIRE_PROTO_ICMP, "10.0.0.1", "10.0.0.2", 8, 0);
    struct flow_key icmp6 = key_of(WIRE_PROTO_ICMP6, "fd00::1", "fd00::2", 128, 0);

    tcp.tcp_flags = 2;
    struct match_case cases[] = {
        CASE(tcp_flags, tcp, 0x12, 0xfff),
        CASE(tcp_flags, tcp, 0x10, 0x002),
        CASE(tp_src, icmp, 0, 0xffff),
        CASE(tp_src, icmp6, 129, 0xffff),
    };

    run_cases(r, cases, ARRAY_SIZE(cases));
    rig_close(r);
}

/* None, a first one, a later one; the kind alone decides. */
static void fragment_cases(struct rig *r, struct flow_key b)
{
    struct flow_key first = b, later = b;

    first.ip_frag = FLOW_FRAG_FIRST;
    later.ip_frag = FLOW_FRAG_LATER;
    struct match_case cases[] = {
        CASE(ip_frag, b, FLOW_FRAG_FIRST, 0xff),     CASE(ip_frag, b, FLOW_FRAG_LATER, 0xff),
        CASE(ip_frag, first, FLOW_FRAG_NONE, 0xff),  CASE(ip_frag, first, FLOW_FRAG_LATER, 0xff),
        CASE(ip_frag, later, FLOW_FRAG_FIRST, 0xff),
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        cases[i].mask.eth_type = 0xffff;
    run_cases(r, cases, ARRAY_SIZE(cases));
}

static void test_fragments(void **state)
{
    struct rig *r = rig_open(*state, 2);

    fragment_cases(r, key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1000, 2000));
    fragment_cases(r, key_of(WIRE_PROTO_UDP, "fd00::1", "fd00::2", 1000, 2000));
    rig_close(r);
}

/* Ports of another protocol, the code of ICMP, part of an address. */
static void test_rest(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct flow_key sctp = key_of(WIRE_PROTO_SCTP, "10.0.0.1", "10.0.0.2", 1000, 2000);
    struct flow_key sctp6 = key_of(WIRE_PROTO_SCTP, "fd00::1", "fd00::2", 1000, 2000);
    struct flow_key icmp = key_of(WIRE_PROTO_ICMP, "10.0.0.1", "10.0.0.2", 8, 0);
    struct flow_key icmp6 = key_of(WIRE_PROTO_ICMP6, "fd00::1", "fd00::2", 128, 0);
    struct match_case cases[] = {
        CASE(tp_src, sctp, 1001, 0xffff),
        CASE(tp_dst, sctp, 2001, 0xffff),
        CASE(tp_src, sctp6, 1001, 0xffff),
        CASE(tp_dst, sctp6, 2001, 0xffff),
        CASE(tp_dst, icmp, 1, 0xffff),
        CASE(tp_dst, icmp6, 1, 0xffff),
        CASE(eth_src, icmp, MAC("02:00:01:00:00:01"), MAC("ff:ff:ff:00:00:00")),
    };

    run_cases(r, cases, ARRAY_SIZE(cases));
    rig_close(r);
}

static void test_in_port(void **state)
{
    struct rig *r = rig_open(*state, 3);
    struct flow_key b = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1000, 2000);
    struct flow_key key = {.in_port = r->port[1]}, mask = mask_port();
    struct flow_out out = rig_out(r, 2);
    struct frame f = frame_of(&b);

    rig_flow(r, &key, &mask, &out, 1);
    rig_send(r, 1, &f);
    rig_expect(r, 2, &f);
    rig_send(r, 3, &f);
    rig_expect_upcall(r, 3, &f, DP_MISS);
    rig_expect_nothing(r, 2);
    rig_close(r);
}

static void test_ethertypes(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct flow_key ip4 = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1, 2);
    struct flow_key ip6 = key_of(WIRE_PROTO_UDP, "fd00::1", "fd00::2", 1, 2);
    struct frame f4 = frame_of(&ip4), f6 = frame_of(&ip6), arp = {0}, other = {0}, llc = {0};
    struct mac m1 = MAC("02:00:00:00:00:01"), m2 = MAC("02:00:00:00:00:02");
    struct ip a1 = IP("10.0.0.1"), a2 = IP("10.0.0.2");
    struct flow_out out = rig_out(r, 2);

    arp.size = packet_arp(arp.b, sizeof arp.b, 1, &m1, &m2, &m1, &a1, &m2, &a2);
    memcpy(other.b, f4.b, 12);
    put16(other.b + 12, 0x88cc);
    other.size = 60;
    memcpy(llc.b, f4.b, 12);
    put16(llc.b + 12, 46);
    llc.size = 60;
    struct frame *frames[] = {&f4, &f6, &arp, &other, &llc};

    for (unsigned i = 0; i < ARRAY_SIZE(frames); i++) {
        struct flow_key key = rig_key(r, 1, frames[i]), mask = {.in_port = ~0u, .eth_type = 0xffff};

        rig_flow(r, &key, &mask, &out, 1);
        for (unsigned j = 0; j < ARRAY_SIZE(frames); j++) {
            rig_send(r, 1, frames[j]);
            if (i == j)
                rig_expect(r, 2, frames[j]);
            else
                rig_expect_upcall(r, 1, frames[j], DP_MISS);
        }
        rig_flow_del(r, &key, &mask, NULL);
    }
    rig_close(r);
}

static void test_arp_fields(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct mac m1 = MAC("02:00:00:00:00:01"), m2 = MAC("02:00:00:00:00:02");
    struct ip a1 = IP("10.0.0.1"), a2 = IP("10.0.0.2"), a3 = IP("10.0.0.3");
    struct frame f = {0}, op = {0}, spa = {0}, tpa = {0};
    struct flow_out out = rig_out(r, 2);

    f.size = packet_arp(f.b, sizeof f.b, 1, &m1, &m2, &m1, &a1, &m2, &a2);
    op.size = packet_arp(op.b, sizeof op.b, 2, &m1, &m2, &m1, &a1, &m2, &a2);
    spa.size = packet_arp(spa.b, sizeof spa.b, 1, &m1, &m2, &m1, &a3, &m2, &a2);
    tpa.size = packet_arp(tpa.b, sizeof tpa.b, 1, &m1, &m2, &m1, &a1, &m2, &a3);
    struct flow_key key = rig_key(r, 1, &f), mask = mask_all();

    rig_flow(r, &key, &mask, &out, 1);
    rig_send(r, 1, &f);
    rig_expect(r, 2, &f);
    struct frame *others[] = {&op, &spa, &tpa};

    for (unsigned i = 0; i < 3; i++) {
        rig_send(r, 1, others[i]);
        rig_expect_upcall(r, 1, others[i], DP_MISS);
    }
    rig_close(r);
}

/* Two flows that overlap in what they could match, under masks of their own. */
static void test_many_masks(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct flow_out out = rig_out(r, 2);
    struct flow_key b = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 0, 2000);

    for (uint16_t i = 0; i < 40; i++) {
        b.tp_src = (uint16_t)(i << 8 | 1);
        struct frame f = frame_of(&b);
        struct flow_key key = rig_key(r, 1, &f), mask = mask_port();

        mask.ip_proto = 0xff;
        mask.eth_type = 0xffff;
        mask.tp_src = 0xffff;
        mask.tp_dst = (uint16_t)(1u << i % 16);
        mask.ip_tos = (uint8_t)(1u << i / 16);
        rig_flow(r, &key, &mask, &out, 1);
    }
    for (uint16_t i = 0; i < 40; i++) {
        b.tp_src = (uint16_t)(i << 8 | 1);
        struct frame f = frame_of(&b);

        for (unsigned n = 0; n < 3; n++) {
            rig_send(r, 1, &f);
            rig_expect(r, 2, &f);
        }
        b.tp_src++;
        f = frame_of(&b);
        rig_send(r, 1, &f);
        rig_expect_upcall(r, 1, &f, DP_MISS);
    }
    rig_close(r);
}

/* What came of a port and went to it, whichever way: by a flow, up, from the agent. */
static void test_port_statistics(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1, 2), mask = mask_all();
    struct frame f = frame_of(&k), other;
    struct flow_key key = rig_key(r, 1, &f);
    struct flow_out out = rig_out(r, 2);

    k.tp_src = 7;
    other = frame_of(&k);
    memset(other.b + other.size, 0, 900); /* behind the datagram */
    other.size += 900;
    rig_flow(r, &key, &mask, &out, 1);
    for (unsigned i = 0; i < 5; i++) {
        rig_send(r, 1, &f);
        rig_expect(r, 2, &f);
    }
    rig_send(r, 1, &other);
    rig_expect_upcall(r, 1, &other, DP_MISS);
    struct dp_exec x = {.packet = other.b,
                        .size = (uint32_t)other.size,
                        .in_port = r->port[1],
                        .outs = &out,
                        .n_outs = 1};

    assert_int_equal(dp_execute(r->dp, 0, &x, 1), 0);
    rig_expect(r, 2, &other);
    struct dp_port from = rig_port(r, 1), to = rig_port(r, 2);

    assert_int_equal(from.rx_packets, 6);
    assert_int_equal(from.rx_bytes, 5 * f.size + other.size);
    assert_int_equal(from.upcalls, 1);
    assert_int_equal(from.tx_packets, 0);
    assert_int_equal(to.tx_packets, 6);
    assert_int_equal(to.tx_bytes, 5 * f.size + other.size);
    assert_int_equal(to.rx_packets, 0);
    rig_close(r);
}

struct seen {
    const struct dp_flow *want;
    uint64_t packets;
    unsigned n;
};

static int check_flow(const struct dp_flow *f, const struct dp_flow_stats *s, void *aux)
{
    struct seen *seen = aux;
    struct flow_key masked;

    flow_key_and(&masked, &seen->want->key, &f->mask);
    assert_memory_equal(&f->key, &masked, sizeof masked);
    assert_int_equal(f->cookie, seen->want->cookie);
    assert_int_equal(f->n_outs, seen->want->n_outs);
    assert_memory_equal(f->outs, seen->want->outs, f->n_outs * sizeof *f->outs);
    assert_int_equal(s->packets, seen->packets);
    seen->n++;
    return 0;
}

/* What a dump gives can be put and deleted again: it is the flow. */
static void test_dump(void **state)
{
    struct rig *r = rig_open(*state, 3);
    struct flow_key b4 = key_of(WIRE_PROTO_TCP, "10.0.0.1", "10.0.0.2", 1000, 2000);
    struct flow_key b6 = key_of(WIRE_PROTO_TCP, "fd00::1", "fd00::2", 1000, 2000);
    struct flow_key *bases[] = {&b4, &b6};

    for (unsigned i = 0; i < 2; i++) {
        struct frame f = frame_of(bases[i]);
        struct flow_out outs[2] = {rig_out(r, 2), rig_out(r, 3)};
        struct flow_key mask = mask_all();

        outs[0].set =
            FLOW_SET_ETH_SRC | FLOW_SET_IP_DST | FLOW_DEC_TTL | FLOW_SET_TP_SRC | FLOW_PUSH_VLAN;
        outs[0].eth_src = MAC("02:00:00:00:00:33");
        outs[0].ip_dst = i ? IP("fd00::99") : IP("10.9.9.9");
        outs[0].ttl_dec = 2;
        outs[0].tp_src = 77;
        outs[0].vlan_tci = FLOW_VLAN_PRESENT | 9;
        for (unsigned n = 0; n <= 2; n++) {
            struct dp_flow flow = {.key = rig_key(r, 1, &f),
                                   .mask = mask,
                                   .cookie = 1000 + n,
                                   .outs = outs,
                                   .n_outs = (uint16_t)n};
            struct seen seen = {.want = &flow, .packets = 1};

            assert_int_equal(dp_flow_put(r->dp, 0, &flow, 1, NULL), 0);
            rig_send(r, 1, &f);
            rig_expect_nothing(r, 1);
            assert_int_equal(dp_flow_each(r->dp, check_flow, &seen), 0);
            assert_int_equal(seen.n, 1);
        }
        struct dp_flow_stats s;
        struct flow_key key = rig_key(r, 1, &f);

        assert_int_equal(rig_flow_del(r, &key, &mask, &s), 0);
        assert_int_equal(s.packets, 1); /* since it was replaced */
    }
    assert_int_equal(rig_n_flows(r), 0);
    rig_close(r);
}

static void test_table_full(void **state)
{
    struct rig *r = rig_open_with(*state, "a", 2, &(struct dp_options){.max_flows = 10});
    struct flow_key mask = {.in_port = ~0u, .eth_dst = MAC("ff:ff:ff:ff:ff:ff")};
    struct flow_out out = rig_out(r, 2);
    struct dp_flow flows[12] = {0};
    int rcs[12];

    for (unsigned i = 0; i < 12; i++)
        flows[i] = (struct dp_flow){
            .key = {.in_port = r->port[1], .eth_dst = {{2, 0, 0, 0, 1, (uint8_t)i}}},
            .mask = mask,
            .outs = &out,
            .n_outs = 1};
    assert_int_equal(dp_flow_put(r->dp, 0, flows, 12, rcs), 2);
    for (unsigned i = 0; i < 12; i++)
        assert_int_equal(rcs[i], i < 10 ? 0 : -ENOSPC);
    assert_int_equal(rig_counter(r, "table_full"), 2);
    assert_int_equal(dp_flow_put(r->dp, 0, &flows[3], 1, rcs), 0); /* replacing needs no room */
    assert_int_equal(dp_flow_del(r->dp, 0, flows, 2, NULL), 0);
    assert_int_equal(dp_flow_put(r->dp, 0, &flows[10], 2, rcs), 0);
    assert_int_equal(dp_flow_del(r->dp, 0, flows, 2, NULL), 2); /* not there: says so */
    assert_int_equal(rig_n_flows(r), 10);
    rig_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_port),     cmocka_unit_test(test_ethernet_fields),
        cmocka_unit_test(test_vlan_fields), cmocka_unit_test(test_ethertypes),
        cmocka_unit_test(test_arp_fields),  cmocka_unit_test(test_ip4_fields),
        cmocka_unit_test(test_ip6_fields),  cmocka_unit_test(test_tcp_flags_and_icmp),
        cmocka_unit_test(test_many_masks),  cmocka_unit_test(test_dump),
        cmocka_unit_test(test_table_full),  cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_rest),        cmocka_unit_test(test_port_statistics),
    };

    return rig_main("matching", tests, ARRAY_SIZE(tests));
}
