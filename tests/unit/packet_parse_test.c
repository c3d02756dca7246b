/* Bytes to flow key: what is read, and what of a hostile frame is refused. */
#include "packet_fixture.h"

static void test_plain_protocols(void **state)
{
    static const uint8_t protos[] = {1, 6, 17, 132, 47};

    (void)state;
    for (unsigned i = 0; i < sizeof protos; i++) {
        struct flow_key want = key_of(protos[i], "10.0.0.1", "10.0.0.2", 8, 3);
        struct frame f;
        if (protos[i] == 47)
            want.tp_src = want.tp_dst = 0;
        if (protos[i] == 1)
            want.icmp_id = 77;
        want.ip_tos = 0xb8;
        f = frame_of(&want);
        struct flow_key got = parse(&f);
        got.in_port = 0;
        assert_memory_equal(&got, &want, sizeof got);
        assert_true(packet_checksums_right(f.b, f.size));
    }
}

static void test_plain_protocols_ip6(void **state)
{
    static const uint8_t protos[] = {58, 6, 17, 132, 47};

    (void)state;
    for (unsigned i = 0; i < sizeof protos; i++) {
        struct flow_key want = key_of(protos[i], "2001:db8::1", "2001:db8::2", 128, 0);
        if (protos[i] == 47)
            want.tp_src = want.tp_dst = 0;
        if (protos[i] == 58)
            want.icmp_id = 77;
        want.ip_tos = 0xb8;
        struct frame f = frame_of(&want);
        struct flow_key got = parse(&f);
        got.in_port = 0;
        assert_memory_equal(&got, &want, sizeof got);
        assert_true(packet_checksums_right(f.b, f.size));
    }
}

static void test_every_cut_is_noticed(void **state)
{
    static const char *const pairs[][2] = {{"10.0.0.1", "10.0.0.2"}, {"2001:db8::1", "fd00::1"}};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct flow_key k = key_of(6, pairs[i][0], pairs[i][1], 1, 2);
        k.vlan_tci = FLOW_VLAN_PRESENT | 5;
        struct frame f = frame_of(&k);
        assert_int_equal(parse(&f).malformed, PACKET_OK);
        for (size_t size = 0; size < f.size; size++)
            assert_int_not_equal(parse_exact(f.b, size, NULL).malformed, PACKET_OK);
    }
}

static void test_tags(void **state)
{
    struct flow_key k = key_of(17, "10.0.0.1", "10.0.0.2", 1, 2);
    struct flow_out push = {.set = FLOW_PUSH_VLAN, .vlan_tci = 0xe000 | FLOW_VLAN_PRESENT | 9};
    struct frame f = frame_of(&k);
    struct packet_layers l;

    (void)state;
    uint8_t buf[4 * 300 + sizeof f.b], *p = buf + 4 * 300;
    size_t size = f.size;
    memcpy(p, f.b, f.size);
    for (unsigned n = 1; n <= 300; n++) {
        push.vlan_tci = FLOW_VLAN_PRESENT | (n & FLOW_VLAN_VID);
        p = packet_rewrite(p, &size, &push);
        k = parse_exact(p, size, &l);
        assert_int_equal(k.malformed, PACKET_OK);
        assert_int_equal(k.n_vlans, MIN(n, 255u));
        assert_int_equal(k.vlan_tci, FLOW_VLAN_PRESENT | n);
        assert_int_equal(k.eth_type, n == 1 ? ETH_TYPE_IP : ETH_TYPE_VLAN);
        assert_int_equal(l.l3, n == 1 ? 18 : 0);
        assert_int_equal(k.ip_proto, n == 1 ? 17 : 0);
    }
    packet_parse_behind(p, size, 299, &k, &l);
    assert_int_equal(k.vlan_tci, FLOW_VLAN_PRESENT | 1);
    assert_int_equal(k.eth_type, ETH_TYPE_IP);
    assert_int_equal(k.tp_dst, 2);
    packet_parse_behind(p, size, 300, &k, &l);
    assert_int_equal(k.vlan_tci, 0);
    assert_int_equal(k.tp_dst, 2);
    packet_parse_behind(p, size, 301, &k, &l);
    assert_int_equal(k.n_vlans, 0);
    assert_int_equal(k.eth_type, ETH_TYPE_IP);
}

static void test_ieee_length(void **state)
{
    uint8_t bpdu[60] = {0x01, 0x80, 0xc2, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 38, 0x42, 0x42, 3};

    (void)state;
    struct flow_key k = parse_exact(bpdu, sizeof bpdu, NULL);
    assert_int_equal(k.malformed, PACKET_OK);
    assert_int_equal(k.eth_type, 0);
    bpdu[13] = 47;
    assert_int_equal(parse_exact(bpdu, sizeof bpdu, NULL).malformed, PACKET_BAD_ETH);
}

/* One byte of a good frame changed, and what that makes of it. */
struct poke {
    unsigned at;
    uint8_t value;
    uint8_t bad;
};

static void poke_all(const struct frame *good, const struct poke *pokes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct frame f = *good;
        f.b[pokes[i].at] = pokes[i].value;
        unsigned bad = parse(&f).malformed;
        if (bad != pokes[i].bad)
            fail_msg("byte %u = 0x%02x: %s, not %s", pokes[i].at, pokes[i].value,
                     packet_bad_name(bad), packet_bad_name(pokes[i].bad));
    }
}

static void test_ip4_header_fields(void **state)
{
    struct flow_key k = key_of(6, "10.0.0.1", "10.0.0.2", 1, 2);
    struct frame f = frame_of(&k); /* 14 + 20 + 20 + 16 */
    const struct poke pokes[] = {
        {14, 0x44, PACKET_BAD_IP_SIZE},
        {14, 0x4f, PACKET_BAD_IP_SIZE},
        {14, 0x65, PACKET_BAD_IP_VERSION},
        {14, 0x05, PACKET_BAD_IP_VERSION},
        {14, 0x46, PACKET_OK}, /* an option: what follows still is a header */
        {17, 57, PACKET_BAD_IP_SIZE},
        {17, 19, PACKET_BAD_IP_SIZE},
        {17, 39, PACKET_BAD_L4},
        {17, 40, PACKET_OK},
        {16, 1, PACKET_BAD_IP_SIZE},
        {20, 0x20, PACKET_OK},
        {20, 0x1f, PACKET_OK},
        {26, 127, PACKET_BAD_ADDR},
        {26, 224, PACKET_BAD_ADDR},
        {26, 239, PACKET_BAD_ADDR},
        {26, 0, PACKET_OK},
        {46, 0x40, PACKET_BAD_L4},
        {46, 0xf0, PACKET_BAD_L4},
        {46, 0x90, PACKET_OK},
    };

    (void)state;
    f.b[21] = 0;
    /* An IP option eats 4 bytes of what was the TCP header: its data offset then is the window. */
    f.b[50] = 0x50;
    poke_all(&f, pokes, ARRAY_SIZE(pokes));
    memset(f.b + 26, 0xff, 4);
    assert_int_equal(parse(&f).malformed, PACKET_BAD_ADDR);
}

static void test_fragments(void **state)
{
    static const struct {
        const char *src, *dst;
    } pairs[] = {{"10.0.0.1", "10.0.0.2"}, {"fd00::1", "fd00::2"}};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct flow_key k = key_of(17, pairs[i].src, pairs[i].dst, 1000, 2000);
        k.ip_frag = FLOW_FRAG_FIRST;
        struct frame f = frame_of(&k);
        struct flow_key got = parse(&f);
        assert_int_equal(got.malformed, PACKET_OK);
        assert_int_equal(got.ip_frag, FLOW_FRAG_FIRST);
        assert_int_equal(got.tp_dst, 2000);
        k.ip_frag = FLOW_FRAG_LATER;
        f = frame_of(&k);
        got = parse(&f);
        assert_int_equal(got.malformed, PACKET_OK);
        assert_int_equal(got.ip_frag, FLOW_FRAG_LATER);
        assert_int_equal(got.ip_proto, 17);
        assert_int_equal(got.tp_dst, 0);
    }
}

/* A first fragment too short for the transport header hides the ports from filters (RFC 1858), one
 * that ends beyond 64 KB overflows who reassembles it. */
static void test_fragment_attacks(void **state)
{
    struct flow_key k = key_of(6, "10.0.0.1", "10.0.0.2", 1000, 2000);
    struct frame f;

    (void)state;
    k.ip_frag = FLOW_FRAG_FIRST;
    f = frame_of(&k);
    put16(f.b + 16, 20 + 8);
    assert_int_equal(parse(&f).malformed, PACKET_BAD_L4);
    k.ip_frag = FLOW_FRAG_LATER;
    f = frame_of(&k);
    put16(f.b + 20, 0x1fff);
    assert_int_equal(parse(&f).malformed, PACKET_BAD_IP_SIZE);

    k = key_of(17, "fd00::1", "fd00::2", 1000, 2000);
    k.ip_frag = FLOW_FRAG_LATER;
    f = frame_of(&k);
    put16(f.b + 14 + 40 + 2, 0xfff8);
    assert_int_equal(parse(&f).malformed, PACKET_BAD_IP_SIZE);
    k.ip_frag = FLOW_FRAG_FIRST;
    f = frame_of(&k);
    put16(f.b + 18, get16(f.b + 18) - 1); /* more to come, and no multiple of 8 */
    assert_int_equal(parse(&f).malformed, PACKET_BAD_IP_SIZE);
}

/* Rewrites look for the checksums of these, too. */
static void test_short_headers_of_others(void **state)
{
    static const struct {
        uint8_t proto, least;
    } others[] = {{WIRE_PROTO_DCCP, 12}, {WIRE_PROTO_UDPLITE, 8}};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
        struct flow_key k = key_of(others[i].proto, "10.0.0.1", "10.0.0.2", 0, 0);
        struct frame f = frame_of(&k);
        put16(f.b + 16, (uint16_t)(20 + others[i].least));
        assert_int_equal(parse(&f).malformed, PACKET_OK);
        put16(f.b + 16, (uint16_t)(20 + others[i].least - 1));
        assert_int_equal(parse(&f).malformed, PACKET_BAD_L4);
    }
}

/* Puts 'n' extension headers (type, size in bytes; AH and fragment included) before a UDP header.
 */
static struct frame with_extensions(const uint8_t (*ext)[2], unsigned n)
{
    struct flow_key k = key_of(17, "2001:db8::1", "2001:db8::2", 5, 6);
    struct frame plain = frame_of(&k), f = {.size = 0};
    uint8_t *p = f.b + 54;

    memcpy(f.b, plain.b, 54);
    f.b[20] = n ? ext[0][0] : 17;
    for (unsigned i = 0; i < n; i++) {
        uint8_t type = ext[i][0], size = ext[i][1];
        memset(p, 0, size);
        p[0] = i + 1 < n ? ext[i + 1][0] : 17;
        p[1] = type == 51 ? size / 4 - 2 : type == 44 ? 0 : size / 8 - 1;
        p += size;
    }
    memcpy(p, plain.b + 54, plain.size - 54);
    f.size = (size_t)(p - f.b) + plain.size - 54;
    put16(f.b + 18, (uint16_t)(f.size - 54));
    return f;
}

static void test_ip6_extension_chains(void **state)
{
    const uint8_t good[][2] = {{0, 8}, {60, 16}, {43, 24}, {51, 24}, {44, 8}, {60, 8}};
    const uint8_t late_hop[][2] = {{60, 8}, {0, 8}};
    const uint8_t nine[][2] = {{60, 8}, {60, 8}, {60, 8}, {60, 8}, {60, 8},
                               {60, 8}, {60, 8}, {60, 8}, {60, 8}};
    const uint8_t long_one[][2] = {{60, 248}, {60, 16}};
    const uint8_t two_fragments[][2] = {{44, 8}, {44, 8}};
    struct packet_layers l;
    struct frame f = with_extensions(good, 6);
    struct flow_key k = parse_exact(f.b, f.size, &l);

    (void)state;
    assert_int_equal(k.malformed, PACKET_OK);
    assert_int_equal(k.ip_proto, 17);
    assert_int_equal(k.tp_src, 5);
    assert_int_equal(k.ip_frag, FLOW_FRAG_NONE); /* offset 0, no more: whole (RFC 6946) */
    assert_int_equal(l.l4, 54 + 8 + 16 + 24 + 24 + 8 + 8);
    for (size_t size = 54; size < f.size; size++)
        assert_int_not_equal(parse_exact(f.b, size, NULL).malformed, PACKET_OK);

    f = with_extensions(late_hop, 2);
    assert_int_equal(parse(&f).malformed, PACKET_BAD_IP6_EXT);
    f = with_extensions(nine, 9);
    assert_int_equal(parse(&f).malformed, PACKET_BAD_IP6_EXT);
    f = with_extensions(nine, 8);
    assert_int_equal(parse(&f).malformed, PACKET_OK);
    f = with_extensions(long_one, 2);
    assert_int_equal(parse(&f).malformed, PACKET_BAD_IP6_EXT);
    f = with_extensions(long_one, 1);
    assert_int_equal(parse(&f).malformed, PACKET_OK);
    f = with_extensions(two_fragments, 2);
    assert_int_not_equal(parse(&f).malformed, PACKET_OK);
    /* An extension header that says it is longer than the packet. */
    f = with_extensions(good, 1);
    f.b[55] = 31;
    assert_int_equal(parse(&f).malformed, PACKET_BAD_IP6_EXT);
}

static void test_ip6_addresses(void **state)
{
    struct flow_key k = key_of(17, "2001:db8::1", "2001:db8::2", 5, 6);
    const struct {
        const char *src, *dst;
        unsigned bad;
    } cases[] = {
        {"::ffff:10.0.0.1", "2001:db8::2", PACKET_BAD_ADDR},
        {"2001:db8::1", "::ffff:10.0.0.2", PACKET_BAD_ADDR},
        {"ff02::1", "2001:db8::2", PACKET_BAD_ADDR},
        {"::1", "2001:db8::2", PACKET_BAD_ADDR},
        {"::", "2001:db8::2", PACKET_OK},
        {"fe80::1", "ff02::1", PACKET_OK},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct frame f = frame_of(&k);
        struct ip src = IP(cases[i].src), dst = IP(cases[i].dst);
        memcpy(f.b + 22, src.b, 16);
        memcpy(f.b + 38, dst.b, 16);
        k.malformed = 0;
        struct flow_key got = parse(&f);
        assert_int_equal(got.malformed, cases[i].bad);
        if (ip_is4(&src) || ip_is4(&dst))
            assert_true(ip_is_none(&got.ip_src) && ip_is_none(&got.ip_dst));
    }
}

static void test_udp_length(void **state)
{
    struct flow_key k = key_of(17, "10.0.0.1", "10.0.0.2", 1, 2);
    struct frame f = frame_of(&k);
    const struct poke pokes[] = {{39, 7, PACKET_BAD_L4},
                                 {39, 25, PACKET_BAD_L4},
                                 {39, 8, PACKET_OK},
                                 {38, 1, PACKET_BAD_L4}};

    (void)state;
    poke_all(&f, pokes, ARRAY_SIZE(pokes));
}

static void test_arp(void **state)
{
    struct mac a = MAC("02:00:00:00:00:01"), none = {{0}}, sha, tha;
    struct ip spa = IP("10.0.0.1"), tpa = IP("10.0.0.2");
    struct frame f = {.size = 0};
    const struct poke pokes[] = {
        {15, 6, PACKET_BAD_ARP},   {17, 1, PACKET_BAD_ARP},    {18, 8, PACKET_BAD_ARP},
        {19, 16, PACKET_BAD_ARP},  {22, 0x01, PACKET_BAD_ARP}, {28, 127, PACKET_BAD_ARP},
        {28, 224, PACKET_BAD_ARP}, {28, 0, PACKET_OK},         {21, 9, PACKET_OK},
    };

    (void)state;
    f.size = packet_arp(f.b, sizeof f.b, 1, &a, &mac_broadcast, &a, &spa, &none, &tpa);
    assert_int_equal(f.size, 42);
    struct flow_key k = parse(&f);
    assert_int_equal(k.eth_type, ETH_TYPE_ARP);
    assert_int_equal(k.ip_proto, 1);
    assert_ip(&k.ip_src, "10.0.0.1");
    assert_ip(&k.ip_dst, "10.0.0.2");
    assert_int_equal(packet_arp_macs(f.b, f.size, &sha, &tha), 0);
    assert_mac(&sha, "02:00:00:00:00:01");
    assert_true(mac_is_zero(&tha));
    assert_int_equal(packet_arp_macs(f.b, f.size - 1, &sha, &tha), -EINVAL);
    for (size_t size = 14; size < 42; size++)
        assert_int_equal(parse_exact(f.b, size, NULL).malformed, PACKET_BAD_ARP);
    poke_all(&f, pokes, ARRAY_SIZE(pokes));
    put16(f.b + 20, 0x101); /* must not pass for a request */
    assert_int_equal(parse(&f).ip_proto, 0);
}

static struct frame solicit(const char *src)
{
    struct mac a = MAC("02:00:00:00:00:01");
    struct ip s = IP(src), target = IP("fe80::2");
    struct frame f = {.size = 0};

    f.size = packet_nd_solicit(f.b, sizeof f.b, &a, &s, NULL, NULL, &target);
    return f;
}

static void test_nd_solicitation(void **state)
{
    struct frame f = solicit("fe80::1");
    struct packet_nd nd;
    struct flow_key k = parse(&f);
    const struct poke pokes[] = {
        {21, 254, PACKET_BAD_ND},  /* hop limit */
        {55, 1, PACKET_BAD_ND},    /* code */
        {62, 0xff, PACKET_BAD_ND}, /* multicast target */
        {79, 0, PACKET_BAD_ND},    /* option of no length */
        {79, 2, PACKET_BAD_ND},    /* option beyond the end */
    };

    (void)state;
    assert_int_equal(k.malformed, PACKET_OK);
    assert_mac(&k.eth_dst, "33:33:ff:00:00:02");
    assert_true(packet_checksums_right(f.b, f.size));
    assert_int_equal(packet_nd_parse(f.b, f.size, &nd), 0);
    assert_ip(&nd.target, "fe80::2");
    assert_mac(&nd.lladdr, "02:00:00:00:00:01");
    poke_all(&f, pokes, ARRAY_SIZE(pokes));

    f = solicit("::"); /* duplicate address detection carries no link-layer address */
    assert_int_equal(f.size, 14 + 40 + 24);
    assert_int_equal(parse(&f).malformed, PACKET_OK);
    assert_int_equal(packet_nd_parse(f.b, f.size, &nd), 0);
    assert_true(mac_is_zero(&nd.lladdr));
    f.b[53] = 0;
    f.b[38] = 0x20; /* from nobody to a unicast address */
    assert_int_equal(parse(&f).malformed, PACKET_BAD_ND);
}

static void test_nd_advertisement(void **state)
{
    struct mac a = MAC("02:00:00:00:00:01"), b = MAC("02:00:00:00:00:02");
    struct ip src = IP("fe80::1"), dst = IP("fe80::2"), all = IP("ff02::1");
    struct frame f = {.size = 0};
    struct packet_nd nd;

    (void)state;
    f.size = packet_nd_advert(f.b, sizeof f.b, &a, &src, &b, &dst, &src, true, true);
    assert_int_equal(parse(&f).malformed, PACKET_OK);
    assert_true(packet_checksums_right(f.b, f.size));
    assert_int_equal(packet_nd_parse(f.b, f.size, &nd), 0);
    assert_int_equal(nd.flags, 0xe0000000u);
    assert_mac(&nd.lladdr, "02:00:00:00:00:01");
    f.size = packet_nd_advert(f.b, sizeof f.b, &a, &src, &b, &all, &src, true, true);
    assert_int_equal(parse(&f).malformed, PACKET_BAD_ND); /* solicited, yet to all */
    f.size = packet_nd_advert(f.b, sizeof f.b, &a, &src, &b, &all, &src, false, false);
    assert_int_equal(parse(&f).malformed, PACKET_OK);
    assert_int_equal(packet_nd_advert(f.b, 85, &a, &src, &b, &all, &src, false, false), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_protocols),
        cmocka_unit_test(test_plain_protocols_ip6),
        cmocka_unit_test(test_every_cut_is_noticed),
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_ieee_length),
        cmocka_unit_test(test_ip4_header_fields),
        cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_fragment_attacks),
        cmocka_unit_test(test_short_headers_of_others),
        cmocka_unit_test(test_ip6_extension_chains),
        cmocka_unit_test(test_ip6_addresses),
        cmocka_unit_test(test_udp_length),
        cmocka_unit_test(test_arp),
        cmocka_unit_test(test_nd_solicitation),
        cmocka_unit_test(test_nd_advertisement),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
