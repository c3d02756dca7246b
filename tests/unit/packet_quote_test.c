/* What ICMP errors quote is read as far as it goes, and translated with every checksum following:
 * the same bytes come out as if the error had been about the translated packet. */
#include "packet_fixture.h"

static struct frame error_about(const struct frame *f)
{
    struct frame e = {.size = 0};
    struct flow_key k = parse(f);
    struct mac a = MAC("02:00:00:00:00:0a"), b = MAC("02:00:00:00:00:0b");
    bool ip6 = k.eth_type == ETH_TYPE_IP6;
    struct ip src = IP(ip6 ? "2001:db8::fe" : "192.0.2.254");

    e.size = packet_icmp_error(e.b, sizeof e.b, &a, &src, &b, ip6 ? 1 : 3, ip6 ? 4 : 3, 0, f->b,
                               f->size);
    assert_true(e.size > 0);
    assert_true(packet_checksums_right(e.b, e.size));
    return e;
}

static struct flow_key translated(const struct flow_key *from)
{
    bool ip6 = from->eth_type == ETH_TYPE_IP6;
    struct flow_key to = *from;

    to.ip_src = IP(ip6 ? "2001:db8::77" : "192.0.2.77");
    to.ip_dst = IP(ip6 ? "fd00:77::1" : "10.77.0.1");
    if (packet_is_echo(from)) {
        to.icmp_id = 0x7777;
    } else {
        to.tp_src = 7777;
        to.tp_dst = 77;
    }
    return to;
}

static struct frame rewritten(const struct frame *f, const struct flow_key *to)
{
    struct frame g = *f;
    struct flow_key from = parse(f);
    struct flow_out out;

    flow_out_diff(&out, &from, to);
    assert_ptr_equal(packet_rewrite(g.b, &g.size, &out), g.b);
    if (packet_is_echo(&from))
        packet_set_echo_id(g.b, g.size, to->icmp_id);
    assert_true(packet_checksums_right(g.b, g.size));
    return g;
}

static void check(uint8_t proto, bool ip6)
{
    struct flow_key k = ip6 ? key_of(proto, "fd00::1", "fd00:1::2", 100, 200)
                            : key_of(proto, "10.0.0.1", "10.0.0.2", 100, 200);
    struct packet_quote q;

    if (proto == 1 || proto == 58) {
        k.tp_src = ip6 ? 128 : 8;
        k.tp_dst = 0;
        k.icmp_id = 99;
    }
    struct frame f = frame_of(&k);
    struct frame e = error_about(&f);
    struct flow_key to = translated(&k);
    struct frame g = rewritten(&f, &to);
    struct frame want = error_about(&g);

    assert_true(packet_quote(e.b, e.size, &q));
    assert_true(q.ports);
    assert_true(ip_equal(&q.key.ip_src, &k.ip_src) && ip_equal(&q.key.ip_dst, &k.ip_dst));
    assert_int_equal(q.key.tp_src, k.tp_src);
    assert_int_equal(q.key.tp_dst, k.tp_dst);
    assert_int_equal(q.key.icmp_id, k.icmp_id);
    packet_quote_rewrite(e.b, &q, &to);
    assert_true(packet_checksums_right(e.b, e.size));
    /* The error goes to who sent what it quotes. */
    struct flow_out out = {.set = FLOW_SET_IP_DST, .ip_dst = to.ip_src};
    packet_rewrite(e.b, &e.size, &out);
    assert_int_equal(e.size, want.size);
    if (proto == 132) /* its CRC can't follow when the packet isn't whole */
        memcpy(e.b + q.l.l4 + 8, want.b + q.l.l4 + 8, 4), packet_finish_checksums(e.b, e.size);
    assert_memory_equal(e.b, want.b, want.size);
}

static void test_like_the_translated_packet(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        check(6, i);
        check(17, i);
        check(132, i);
        check(i ? 58 : 1, i);
    }
}

/* RFC 792: no more than 8 bytes of transport need be quoted. */
static void test_short_quote(void **state)
{
    struct flow_key k = key_of(6, "10.0.0.1", "10.0.0.2", 100, 200), to = translated(&k);
    struct frame f = frame_of(&k), e = error_about(&f);
    struct packet_quote q;

    (void)state;
    e.size = 14 + 20 + 8 + 20 + 8;
    put16(e.b + 16, (uint16_t)(e.size - 14));
    packet_finish_checksums(e.b, e.size);
    assert_true(packet_quote(e.b, e.size, &q));
    assert_int_equal(q.key.tp_dst, 200);
    packet_quote_rewrite(e.b, &q, &to);
    assert_true(packet_checksums_right(e.b, e.size));
    assert_true(packet_quote(e.b, e.size, &q));
    assert_int_equal(q.key.tp_src, 7777);
    assert_ip(&q.key.ip_src, "192.0.2.77");
}

static void test_udp_without_checksum_stays_so(void **state)
{
    struct flow_key k = key_of(17, "10.0.0.1", "10.0.0.2", 100, 200), to = translated(&k);
    struct frame f = frame_of(&k);
    struct packet_quote q;

    (void)state;
    put16(f.b + 14 + 20 + 6, 0);
    struct frame e = error_about(&f);
    assert_true(packet_quote(e.b, e.size, &q));
    packet_quote_rewrite(e.b, &q, &to);
    assert_true(packet_checksums_right(e.b, e.size));
    assert_int_equal(get16(e.b + q.l.l4 + 6), 0);
}

static void test_later_fragment_has_no_ports(void **state)
{
    (void)state;
    for (unsigned ip6 = 0; ip6 < 2; ip6++) {
        struct flow_key k = ip6 ? key_of(17, "fd00::1", "fd00:1::2", 0, 0)
                                : key_of(17, "10.0.0.1", "10.0.0.2", 0, 0);
        struct packet_quote q;
        k.ip_frag = FLOW_FRAG_LATER;
        struct frame f = frame_of(&k), e = error_about(&f);
        assert_true(packet_quote(e.b, e.size, &q));
        assert_false(q.ports);
        struct flow_key to = translated(&k);
        packet_quote_rewrite(e.b, &q, &to);
        assert_true(packet_checksums_right(e.b, e.size));
        assert_memory_equal(e.b + e.size - 16, "0123456789abcdef", 16);
    }
}

/* Whatever is cut or spoilt: refused, or translated within its bounds. */
static void test_damage(void **state)
{
    (void)state;
    for (unsigned ip6 = 0; ip6 < 2; ip6++) {
        struct flow_key k = ip6 ? key_of(17, "fd00::1", "fd00:1::2", 100, 200)
                                : key_of(17, "10.0.0.1", "10.0.0.2", 100, 200);
        struct frame f = frame_of(&k), e = error_about(&f);
        struct flow_key to = translated(&k);
        size_t header = 14 + (ip6 ? 40 : 20) + 8;
        for (size_t n = header; n < e.size; n++) {
            struct packet_quote q;
            uint8_t *p = mem_alloc(n);
            memcpy(p, e.b, n);
            put16(p + (ip6 ? 18 : 16), (uint16_t)(n - (ip6 ? 54 : 14)));
            packet_finish_checksums(p, n);
            if (packet_quote(p, n, &q)) {
                assert_true(n >= header + (ip6 ? 40 : 20) + 8);
                packet_quote_rewrite(p, &q, &to);
                assert_true(packet_checksums_right(p, n));
            }
            free(p);
        }
        e.b[header] ^= 0x30; /* IP version */
        struct packet_quote q;
        assert_false(packet_quote(e.b, e.size, &q));
    }
}

static void test_not_errors(void **state)
{
    struct flow_key udp = key_of(17, "10.0.0.1", "10.0.0.2", 3, 3);
    struct flow_key redirect = key_of(1, "10.0.0.1", "10.0.0.2", 5, 1);
    struct frame a = frame_of(&udp), b = frame_of(&redirect);
    struct packet_quote q;

    (void)state;
    assert_false(packet_quote(a.b, a.size, &q));
    assert_false(packet_quote(b.b, b.size, &q));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_like_the_translated_packet),
        cmocka_unit_test(test_short_quote),
        cmocka_unit_test(test_udp_without_checksum_stays_so),
        cmocka_unit_test(test_later_fragment_has_no_ports),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_not_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
