/* Rewrites keep every checksum right, builders say what their RFCs want, formats read well. */
#include "packet_fixture.h"

#include <stdio.h>

#include "packet/checksum.h"

static void check_rewrite(struct flow_key from, struct flow_key to)
{
    struct frame f = frame_of(&from);
    struct flow_out out;
    uint8_t *p = f.b;

    from = parse(&f);
    to.in_port = from.in_port;
    flow_out_diff(&out, &from, &to);
    p = packet_rewrite(p, &f.size, &out);
    struct flow_key got = parse_exact(p, f.size, NULL);
    assert_memory_equal(&got, &to, sizeof got);
    assert_true(packet_checksums_right(p, f.size));
    assert_memory_equal(p + f.size - 16, "0123456789abcdef", 16);
}

static void test_everything_at_once(void **state)
{
    static const uint8_t protos[] = {6, 17, 132, 1, 58};

    (void)state;
    for (unsigned i = 0; i < 2 * sizeof protos; i++) {
        bool ip6 = i % 2;
        uint8_t proto = protos[i / 2];
        if (proto == (ip6 ? 1 : 58))
            continue;
        struct flow_key from = ip6 ? key_of(proto, "fd00::1", "fd00:1::2", 100, 200)
                                   : key_of(proto, "10.0.0.1", "10.0.0.2", 100, 200);
        struct flow_key to = from;
        to.eth_src = MAC("02:00:00:00:00:0a");
        to.eth_dst = MAC("02:00:00:00:00:0b");
        to.ip_src = IP(ip6 ? "2001:db8::99" : "192.0.2.254");
        to.ip_dst = IP(ip6 ? "2001:db8:ffff::1" : "198.51.100.7");
        to.ip_tos = 0x2e;
        to.ip_ttl = 61;
        to.tp_src = 44;
        to.tp_dst = 55;
        check_rewrite(from, to);
        to.vlan_tci = FLOW_VLAN_PRESENT | 0xe000 | 7;
        to.n_vlans = 1;
        check_rewrite(from, to);
        from.vlan_tci = FLOW_VLAN_PRESENT | 3;
        check_rewrite(from, to);
        to.vlan_tci = 0;
        to.n_vlans = 0;
        check_rewrite(from, to);
    }
}

static void test_fragments_rewritten(void **state)
{
    struct flow_key from = key_of(17, "10.0.0.1", "10.0.0.2", 100, 200), to;

    (void)state;
    for (unsigned frag = FLOW_FRAG_FIRST; frag <= FLOW_FRAG_LATER; frag++) {
        from.ip_frag = (uint8_t)frag;
        if (frag == FLOW_FRAG_LATER)
            from.tp_src = from.tp_dst = 0;
        to = from;
        to.ip_dst = IP("192.0.2.1");
        to.ip_ttl = 60;
        check_rewrite(from, to);
    }
}

/* The first fragment's checksum covers the whole datagram: the change must be the difference. */
static void test_first_fragment_checksum_moves_by_the_difference(void **state)
{
    struct flow_key whole = key_of(17, "10.0.0.1", "10.0.0.2", 100, 200), to = whole;
    struct frame f = frame_of(&whole), g;
    struct flow_out out;

    (void)state;
    to.ip_src = IP("203.0.113.77");
    to.tp_src = 4242;
    g = frame_of(&to);
    f.b[20] |= 0x20; /* more fragments; the UDP checksum stays that of the whole */
    f.b[20] &= 0x3f;
    flow_out_diff(&out, &whole, &to);
    packet_rewrite(f.b, &f.size, &out);
    assert_int_equal(get16(f.b + 40), get16(g.b + 40));
}

static void test_wrong_checksum_stays_wrong(void **state)
{
    struct flow_key k = key_of(6, "10.0.0.1", "10.0.0.2", 100, 200);
    struct frame f = frame_of(&k);
    struct flow_out out = {.set = FLOW_SET_IP_DST, .ip_dst = IP("192.0.2.9")};

    (void)state;
    f.b[50] ^= 0x5a;
    assert_false(packet_checksums_right(f.b, f.size));
    packet_rewrite(f.b, &f.size, &out);
    assert_false(packet_checksums_right(f.b, f.size));
}

static void test_udp_without_checksum(void **state)
{
    struct flow_key k = key_of(17, "10.0.0.1", "10.0.0.2", 100, 200);
    struct frame f = frame_of(&k);
    struct flow_out out = {.set = FLOW_SET_IP_DST | FLOW_SET_TP_DST, .ip_dst = IP("192.0.2.9")};

    (void)state;
    put16(f.b + 40, 0);
    packet_rewrite(f.b, &f.size, &out);
    assert_int_equal(get16(f.b + 40), 0);
    assert_true(packet_checksums_right(f.b, f.size));
    k = key_of(17, "fd00::1", "fd00::2", 100, 200); /* tunnels over IPv6, RFC 6935 */
    f = frame_of(&k);
    put16(f.b + 60, 0);
    out.ip_dst = IP("fd00::9");
    packet_rewrite(f.b, &f.size, &out);
    assert_int_equal(get16(f.b + 60), 0);
}

/* All values a UDP sum can come out as, zero included, which travels as 0xffff. */
static void test_udp_checksum_is_never_zero(void **state)
{
    struct flow_key k = key_of(17, "10.0.0.1", "10.0.0.2", 0, 200);
    struct frame f = frame_of(&k);
    bool seen = false;

    (void)state;
    for (unsigned port = 0; port < 65536; port++) {
        struct flow_out out = {.set = FLOW_SET_TP_SRC, .tp_src = (uint16_t)port};
        packet_rewrite(f.b, &f.size, &out);
        assert_int_not_equal(get16(f.b + 40), 0);
        seen |= get16(f.b + 40) == 0xffff;
    }
    assert_true(seen);
    assert_true(packet_checksums_right(f.b, f.size));
}

static void test_rewrite_of_what_is_not_there(void **state)
{
    struct flow_out out = {.set = 0x3ff & ~FLOW_PUSH_VLAN,
                           .ip_src = IP("fd00::1"),
                           .ip_dst = IP("10.0.0.9"),
                           .ttl_dec = 200};
    struct flow_key k = key_of(6, "10.0.0.1", "10.0.0.2", 100, 200);
    struct frame f = frame_of(&k);

    (void)state;
    for (size_t n = 0; n <= f.size; n++) {
        uint8_t *copy = mem_alloc(n + 8);
        size_t size = n;
        memcpy(copy + 8, f.b, n);
        assert_ptr_equal(packet_rewrite(copy + 8, &size, &out), copy + 8);
        assert_int_equal(size, n);
        free(copy);
    }
    packet_rewrite(f.b, &f.size, &out);
    k = parse(&f);
    assert_ip(&k.ip_src, "10.0.0.1");
    assert_int_equal(k.ip_ttl, 0);
    assert_true(packet_checksums_right(f.b, f.size));
}

static void test_known_sums(void **state)
{
    static const uint8_t data[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

    (void)state;
    assert_int_equal(csum_add(0, data, 8), 0xddf2); /* RFC 1071 section 3 */
    assert_int_equal(csum_add(csum_add(0, data, 4), data + 4, 4), 0xddf2);
    assert_int_equal(csum_add(0, data, 7), 0xddf2 - 0xf7);
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
}

static void test_finish(void **state)
{
    static const struct {
        uint8_t proto;
        const char *src, *dst;
    } cases[] = {{6, "10.0.0.1", "10.0.0.2"},
                 {17, "fd00::1", "fd00::2"},
                 {132, "10.0.0.1", "10.0.0.2"},
                 {58, "fd00::1", "fd00::2"}};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct flow_key k = key_of(cases[i].proto, cases[i].src, cases[i].dst, 3, 4);
        struct frame f = frame_of(&k), g = f;
        unsigned at = (k.eth_type == ETH_TYPE_IP ? 34 : 54) + (k.ip_proto == 6    ? 16
                                                               : k.ip_proto == 17 ? 6
                                                               : k.ip_proto == 58 ? 2
                                                                                  : 8);
        put16(g.b + at, 0x1234);
        if (k.eth_type == ETH_TYPE_IP)
            put16(g.b + 24, 0x4321);
        assert_false(packet_checksums_right(g.b, g.size));
        packet_finish_checksums(g.b, g.size);
        assert_memory_equal(f.b, g.b, f.size);
    }
}

static void test_icmp_error_quotes_what_it_may(void **state)
{
    static const struct {
        const char *src, *dst, *router;
        size_t max;
        uint8_t type;
    } cases[] = {{"10.0.0.1", "10.9.0.2", "10.0.0.254", 14 + 576, 3},
                 {"fd00::1", "fd01::2", "fd00::fe", 14 + 1280, 1}};
    static const uint8_t payload[1900];

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        for (size_t n = 0; n < sizeof payload; n += 19) {
            struct flow_key k = key_of(17, cases[i].src, cases[i].dst, 3, 4), got;
            struct mac m = MAC("02:00:00:00:00:fe");
            struct ip router = IP(cases[i].router);
            uint8_t orig[2048], buf[1400];
            struct packet_layers l;
            k.vlan_tci = n % 2 ? FLOW_VLAN_PRESENT : 0; /* never part of what is quoted */
            size_t size = packet_from_key(orig, sizeof orig, &k, payload, n);
            size_t e = packet_icmp_error(buf, sizeof buf, &m, &router, &k.eth_src, cases[i].type, 4,
                                         1400, orig, size);
            got = parse_exact(buf, e, &l);
            assert_int_equal(got.malformed, PACKET_OK);
            assert_true(packet_checksums_right(buf, e));
            assert_int_equal(got.tp_src, cases[i].type);
            assert_int_equal(got.tp_dst, 4);
            assert_true(ip_equal(&got.ip_dst, &k.ip_src));
            assert_true(ip_equal(&got.ip_src, &router));
            assert_int_equal(get16(buf + l.l4 + 6), 1400);
            size_t quoted = size - (k.vlan_tci ? 18 : 14);
            assert_int_equal(e, MIN(l.l4 + 8 + quoted, cases[i].max));
            assert_memory_equal(buf + l.l4 + 8, orig + size - quoted, e - l.l4 - 8);
        }
    }
}

static void test_echo_reply(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct flow_key k =
            i ? key_of(58, "fd00::1", "fd00::2", 128, 0) : key_of(1, "10.0.0.1", "10.0.0.2", 8, 0);
        k.icmp_id = 0xbeef;
        k.ip_ttl = 1;
        struct frame f = frame_of(&k), r = {.size = 0};
        r.size = packet_echo_reply(r.b, sizeof r.b, f.b, f.size + 0);
        struct flow_key got = parse(&r);
        assert_int_equal(r.size, f.size);
        assert_int_equal(got.tp_src, i ? 129 : 0);
        assert_int_equal(got.icmp_id, 0xbeef);
        assert_int_equal(got.ip_ttl, 64);
        assert_true(ip_equal(&got.ip_src, &k.ip_dst));
        assert_true(ip_equal(&got.ip_dst, &k.ip_src));
        assert_true(mac_equal(&got.eth_dst, &k.eth_src));
        assert_true(packet_checksums_right(r.b, r.size));
        assert_memory_equal(r.b + r.size - 16, "0123456789abcdef", 16);
        assert_int_equal(packet_echo_reply(r.b, r.size, r.b, r.size), 0); /* of a reply */
        assert_int_equal(packet_echo_reply(r.b, f.size - 1, f.b, f.size), 0);
    }
}

static void test_hash_is_symmetric_and_fixed(void **state)
{
    struct flow_key k = key_of(6, "10.0.0.1", "10.0.0.2", 1000, 80), r = k, frag;

    (void)state;
    r.ip_src = k.ip_dst;
    r.ip_dst = k.ip_src;
    r.tp_src = k.tp_dst;
    r.tp_dst = k.tp_src;
    assert_int_equal(flow_symmetric_hash(&k), flow_symmetric_hash(&r));
    /* Hosts of different versions must agree: this value is part of the wire contract. */
    assert_int_equal(flow_symmetric_hash(&k), 0xda61c9b8e4ee5cf6);
    r.tp_src++;
    assert_int_not_equal(flow_symmetric_hash(&k), flow_symmetric_hash(&r));
    r = k;
    r.ip_src = k.ip_dst;
    r.ip_dst = k.ip_src;
    assert_int_not_equal(flow_symmetric_hash(&k), flow_symmetric_hash(&r));
    frag = k;
    frag.ip_frag = FLOW_FRAG_FIRST;
    r = frag;
    r.ip_frag = FLOW_FRAG_LATER;
    r.tp_src = r.tp_dst = 0;
    assert_int_equal(flow_symmetric_hash(&frag), flow_symmetric_hash(&r));
    k = key_of(1, "10.0.0.1", "10.0.0.2", 8, 0);
    r = key_of(1, "10.0.0.2", "10.0.0.1", 0, 0);
    assert_int_equal(flow_symmetric_hash(&k), flow_symmetric_hash(&r));
}

static void test_formats(void **state)
{
    struct flow_key k = key_of(6, "10.0.0.1", "10.0.0.2", 1000, 80), m = {0};
    struct flow_out out = {.set = FLOW_SET_ETH_DST | FLOW_DEC_TTL | FLOW_SET_IP_DST,
                           .ttl_dec = 1,
                           .eth_dst = k.eth_dst,
                           .ip_dst = IP("fd00::1"),
                           .port = 4};
    char buf[400], cut[10];

    (void)state;
    assert_string_equal(flow_key_format(&k, &m, buf, sizeof buf), "any");
    k.in_port = 3;
    memset(&m, 0xff, sizeof m);
    m.tun_id = 0;
    m.tun_src = ip_none;
    m.ip_dst = (struct ip){.b = {[0 ... 14] = 0xff}};
    assert_string_equal(flow_key_format(&k, &m, buf, sizeof buf),
                        "in=3,eth_src=02:00:00:00:00:01,eth_dst=02:00:00:00:00:02,vlan=none,ip,"
                        "src=10.0.0.1,dst=10.0.0.2/24,tcp,tos=0x00,ttl=64,frag=none,sport=1000,"
                        "dport=80,flags=0x000,id=0,malformed=ok");
    assert_string_equal(flow_key_format(&k, &m, cut, sizeof cut), "in=3,eth_");
    assert_string_equal(flow_out_format(&out, buf, sizeof buf),
                        "eth_dst=02:00:00:00:00:02,dst=fd00::1,dec_ttl=1,output=4");
    out = (struct flow_out){.kind = FLOW_OUT_TUNNEL,
                            .tun_id = 9,
                            .tun_local = IP("192.0.2.1"),
                            .tun_remote = IP("192.0.2.2")};
    assert_string_equal(flow_out_format(&out, buf, sizeof buf),
                        "tunnel=vxlan:9,local=192.0.2.1,remote=192.0.2.2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_at_once),
        cmocka_unit_test(test_fragments_rewritten),
        cmocka_unit_test(test_first_fragment_checksum_moves_by_the_difference),
        cmocka_unit_test(test_wrong_checksum_stays_wrong),
        cmocka_unit_test(test_udp_without_checksum),
        cmocka_unit_test(test_udp_checksum_is_never_zero),
        cmocka_unit_test(test_rewrite_of_what_is_not_there),
        cmocka_unit_test(test_known_sums),
        cmocka_unit_test(test_finish),
        cmocka_unit_test(test_icmp_error_quotes_what_it_may),
        cmocka_unit_test(test_echo_reply),
        cmocka_unit_test(test_hash_is_symmetric_and_fixed),
        cmocka_unit_test(test_formats),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
