/* From one IP version to the other and back: the same again; checksums right in both. */
#include "packet_fixture.h"

static struct packet_ends ends4(void)
{
    return (struct packet_ends){IP("100.64.0.1"), IP("10.0.1.1")};
}

static struct packet_ends ends6(void)
{
    return (struct packet_ends){IP("2001:dead::9"), IP("2001:db8::64")};
}

static struct packet_ends turned(struct packet_ends e)
{
    return (struct packet_ends){e.dst, e.src};
}

static struct frame change(const struct frame *f, const struct packet_ends *to,
                           const struct packet_ends *quoted)
{
    struct frame g = {.size = 0};

    g.size = packet_change_version(g.b, sizeof g.b, f->b, f->size, to, quoted);
    assert_true(g.size > 0);
    assert_true(packet_checksums_right(g.b, g.size));
    return g;
}

static struct flow_key packet6(uint8_t proto)
{
    struct flow_key k = key_of(proto, "2001:dead::9", "2001:db8::64", 1000, 80);

    if (proto == 58) {
        k.tp_src = 128;
        k.tp_dst = 0;
        k.icmp_id = 7;
    }
    k.ip_tos = 8;
    return k;
}

static const uint8_t protos[] = {6, 17, 132, 58, 47};

static void test_there_and_back(void **state)
{
    struct packet_ends to4 = ends4(), to6 = ends6();

    (void)state;
    for (unsigned i = 0; i < sizeof protos; i++) {
        struct flow_key k = packet6(protos[i]);
        if (protos[i] == 47)
            k.tp_src = k.tp_dst = 0;
        struct frame f = frame_of(&k), g = change(&f, &to4, NULL), h = change(&g, &to6, NULL);
        struct flow_key got = parse(&g);
        assert_int_equal(got.eth_type, ETH_TYPE_IP);
        assert_int_equal(got.ip_proto, protos[i] == 58 ? 1 : protos[i]);
        assert_int_equal(got.ip_ttl, 64);
        assert_int_equal(got.ip_tos, 8);
        assert_true(ip_equal(&got.ip_src, &to4.src) && ip_equal(&got.ip_dst, &to4.dst));
        assert_int_equal(h.size, f.size);
        assert_memory_equal(h.b, f.b, f.size);
    }
}

/* 'from' quotes 'about', which went the other way; so does what becomes of it. */
static struct frame error_about(const struct frame *about, const char *src, uint8_t type,
                                uint8_t code, uint32_t mtu)
{
    struct frame e = {.size = 0};
    struct mac a = MAC("02:00:00:00:00:0a"), b = MAC("02:00:00:00:00:0b");
    struct ip ip = IP(src);

    e.size =
        packet_icmp_error(e.b, sizeof e.b, &a, &ip, &b, type, code, mtu, about->b, about->size);
    assert_true(e.size > 0);
    return e;
}

/* An error about an IPv4 packet becomes one about what that would be in IPv6, and back. */
static void test_errors_quote_the_other_version(void **state)
{
    struct packet_ends to4 = ends4(), to6 = ends6();

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct flow_key k = packet6(protos[i]);
        struct frame f6 = frame_of(&k), f4 = change(&f6, &to4, NULL);
        struct frame e4 = error_about(&f4, "10.0.1.1", 3, 3, 0);
        struct packet_ends back6 = turned(to6), back4 = turned(to4);
        struct frame e6 = change(&e4, &back6, &to6);
        struct packet_quote q;
        assert_true(packet_quote(e6.b, e6.size, &q));
        assert_int_equal(q.key.ip_proto, protos[i]);
        assert_true(ip_equal(&q.key.ip_src, &to6.src) && ip_equal(&q.key.ip_dst, &to6.dst));
        /* transport, checksum and all, is what was sent */
        assert_memory_equal(e6.b + q.l.l4, f6.b + 14 + 40, f6.size - 54);
        struct frame again = change(&e6, &back4, &to4);
        assert_true(packet_quote(again.b, again.size, &q));
        assert_memory_equal(again.b + q.l.l4, f4.b + 14 + 20, f4.size - 34);
    }
}

static void check_message(const char *src, uint8_t type, uint8_t code, uint32_t word,
                          uint8_t want_type, uint8_t want_code, uint32_t want_word)
{
    bool ip6 = strchr(src, ':') != NULL;
    struct packet_ends own = ip6 ? turned(ends6()) : turned(ends4());
    struct packet_ends to = ip6 ? ends4() : ends6(), quoted = turned(to);
    struct flow_key k = key_of(17, "10.0.1.1", "100.64.0.1", 5, 6);
    struct packet_layers l;

    k.ip_src = own.src;
    k.ip_dst = own.dst;
    k.eth_type = ip6 ? ETH_TYPE_IP6 : ETH_TYPE_IP;
    struct frame f = frame_of(&k), e = error_about(&f, src, type, code, 0);
    put32(e.b + (ip6 ? 54 : 34) + 4, word);
    packet_finish_checksums(e.b, e.size);
    if (want_type == 255) {
        uint8_t buf[2048];
        assert_int_equal(packet_change_version(buf, sizeof buf, e.b, e.size, &to, &quoted), 0);
        return;
    }
    struct frame g = change(&e, &to, &quoted);
    struct flow_key got = parse_exact(g.b, g.size, &l);
    assert_int_equal(got.tp_src, want_type);
    assert_int_equal(got.tp_dst, want_code);
    assert_int_equal(get32(g.b + l.l4 + 4), want_word);
}

/* RFC 7915 sections 4.2 and 5.2. */
static void test_messages(void **state)
{
    const char *r4 = "10.0.1.9", *r6 = "2001:db8::1";

    (void)state;
    check_message(r4, 3, 0, 0, 1, 0, 0);
    check_message(r4, 3, 1, 0, 1, 0, 0);
    check_message(r4, 3, 2, 0, 4, 1, 6);
    check_message(r4, 3, 3, 0, 1, 4, 0);
    check_message(r4, 3, 4, 1400, 2, 0, 1420);
    check_message(r4, 3, 4, 0, 2, 0, 1280);
    check_message(r4, 3, 13, 0, 1, 1, 0);
    check_message(r4, 3, 14, 0, 255, 0, 0);
    check_message(r4, 11, 0, 0, 3, 0, 0);
    check_message(r4, 11, 1, 0, 3, 1, 0);
    check_message(r4, 12, 0, 8u << 24, 4, 0, 7);
    check_message(r4, 12, 0, 16u << 24, 4, 0, 24);
    check_message(r4, 12, 0, 20u << 24, 255, 0, 0);
    check_message(r4, 4, 0, 0, 255, 0, 0);
    check_message(r6, 1, 0, 0, 3, 1, 0);
    check_message(r6, 1, 1, 0, 3, 10, 0);
    check_message(r6, 1, 4, 0, 3, 3, 0);
    check_message(r6, 1, 6, 0, 255, 0, 0);
    check_message(r6, 2, 0, 1400, 3, 4, 1380);
    check_message(r6, 3, 0, 0, 11, 0, 0);
    check_message(r6, 4, 0, 7, 12, 0, 8u << 24);
    check_message(r6, 4, 0, 30, 12, 0, 16u << 24);
    check_message(r6, 4, 0, 40, 255, 0, 0);
    check_message(r6, 4, 1, 6, 3, 2, 0);
    check_message(r6, 4, 2, 0, 255, 0, 0);
}

static void test_not_changed(void **state)
{
    struct packet_ends to4 = ends4();
    struct flow_key k = packet6(17), frag = k, tagged = k;
    uint8_t buf[2048];

    (void)state;
    frag.ip_frag = FLOW_FRAG_FIRST;
    tagged.vlan_tci = FLOW_VLAN_PRESENT | 5;
    struct frame f = frame_of(&k), g = frame_of(&frag), h = frame_of(&tagged);
    assert_int_equal(packet_change_version(buf, 40, f.b, f.size, &to4, NULL), 0);
    assert_int_equal(packet_change_version(buf, sizeof buf, g.b, g.size, &to4, NULL), 0);
    assert_int_equal(packet_change_version(buf, sizeof buf, h.b, h.size, &to4, NULL), 0);
    struct flow_key hop = key_of(0, "10.0.1.1", "100.64.0.1", 0, 0);
    struct packet_ends to6 = ends6();
    struct frame e = frame_of(&hop); /* a payload there, a header here */
    assert_int_equal(packet_change_version(buf, sizeof buf, e.b, e.size, &to6, NULL), 0);
    f.b[f.size - 1] ^= 1;
    assert_int_equal(packet_change_version(buf, sizeof buf, f.b, f.size, &to4, NULL), 0);
}

/* UDP's checksum may be missing in IPv4, not in IPv6. */
static void test_udp_gets_its_checksum(void **state)
{
    struct flow_key k = key_of(17, "10.0.1.1", "100.64.0.1", 5, 6);
    struct packet_ends to = ends6();
    struct frame f = frame_of(&k);

    (void)state;
    put16(f.b + 34 + 6, 0);
    struct frame g = change(&f, &to, NULL);
    assert_int_not_equal(get16(g.b + 54 + 6), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_errors_quote_the_other_version),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_not_changed),
        cmocka_unit_test(test_udp_gets_its_checksum),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
