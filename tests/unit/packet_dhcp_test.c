/* DHCP and DHCPv6 messages: what is read, what is refused, what is built; options by name and kind.
 */
#include "packet_fixture.h"

#include <stdio.h>

#include "packet/dhcp.h"
#include "packet/dhcp6.h"
#include "packet/ra.h"

enum { MESSAGE = 14 + 20 + 8, OPTIONS = MESSAGE + 240 };

static struct flow_key client_key(void)
{
    return key_of(17, "0.0.0.0", "255.255.255.255", 68, 67);
}

/* A discover whose option area is what 'options' says, UDP length and all. */
static struct frame message(const uint8_t *options, size_t n)
{
    uint8_t m[1200] = {1, 1, 6, [236] = 0x63, 0x82, 0x53, 0x63};
    struct flow_key k = client_key();
    struct frame f = {.size = 0};

    memcpy(m + 240, options, n);
    f.size = packet_from_key(f.b, sizeof f.b, &k, m, 240 + n);
    assert_true(f.size > 0);
    return f;
}

/* On a heap copy of exactly the frame's size. */
static int parse_copy(const struct frame *f, struct dhcp *d)
{
    static uint8_t *copy; /* 'd' points into it until the next call */

    free(copy);
    copy = mem_alloc(f->size);
    memcpy(copy, f->b, f->size);
    return dhcp_parse(copy, f->size, d);
}

#define MESSAGE_OF(...)                                                                            \
    message((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void reads_options(void **state)
{
    struct frame f = MESSAGE_OF(0, 53, 1, 1, 0, 50, 4, 10, 0, 0, 5, 60, 2, 'a', 'b', 255, 9, 9, 9);
    struct dhcp d;
    struct ip ip;
    uint8_t buf[8], codes[256];

    (void)state;
    assert_int_equal(parse_copy(&f, &d), 0);
    assert_int_equal(d.type, DHCP_DISCOVER);
    assert_true(dhcp_option_ip(&d, 50, &ip));
    assert_ip(&ip, "10.0.0.5");
    assert_int_equal(dhcp_option(&d, 60, buf, 1), 2); /* cut to the room, its size told */
    assert_int_equal(buf[0], 'a');
    assert_int_equal(dhcp_option(&d, 61, buf, 8), -1);
    assert_int_equal(dhcp_option(&d, 9, buf, 8), -1); /* behind the end */
    assert_false(dhcp_option_ip(&d, 60, &ip));
    assert_int_equal(dhcp_option_codes(&d, codes), 3);
    assert_int_equal(codes[2], 60);
}

/* RFC 3396: the pieces of an option are one. */
static void joins_pieces(void **state)
{
    struct frame f = MESSAGE_OF(53, 1, 1, 67, 2, 'a', 'b', 67, 1, 'c', 255);
    struct dhcp d;
    uint8_t buf[8];

    (void)state;
    assert_int_equal(parse_copy(&f, &d), 0);
    assert_int_equal(dhcp_option(&d, 67, buf, sizeof buf), 3);
    assert_memory_equal(buf, "abc", 3);
}

/* Options continue in "file", then in "sname". */
static void reads_overload(void **state)
{
    struct frame f = MESSAGE_OF(53, 1, 1, 52, 1, 3, 255);
    static const uint8_t file[] = {12, 1, 'f', 255}, sname[] = {12, 1, 's', 15, 1, 'd', 255};
    struct dhcp d;
    uint8_t buf[8];

    (void)state;
    memcpy(f.b + MESSAGE + 108, file, sizeof file);
    memcpy(f.b + MESSAGE + 44, sname, sizeof sname);
    assert_int_equal(parse_copy(&f, &d), 0);
    assert_int_equal(dhcp_option(&d, 12, buf, sizeof buf), 2);
    assert_memory_equal(buf, "fs", 2);
    assert_int_equal(dhcp_option(&d, 15, buf, sizeof buf), 1);
    f.b[MESSAGE + 44 + 1] = 200; /* beyond sname */
    assert_int_equal(parse_copy(&f, &d), -EINVAL);
}

static void refuses_what_breaks_off(void **state)
{
    struct frame bad[] = {
        MESSAGE_OF(53),                        /* no size */
        MESSAGE_OF(53, 1),                     /* no value */
        MESSAGE_OF(53, 1, 1, 50, 4, 10, 0, 0), /* a byte short */
        MESSAGE_OF(53, 0, 255),                /* a type of no bytes */
        MESSAGE_OF(53, 2, 1, 1, 255),          /* of two */
        MESSAGE_OF(53, 1, 0, 255),             /* no such type */
        MESSAGE_OF(53, 1, 9, 255),
        MESSAGE_OF(53, 1, 1, 52, 1, 0, 255), /* overload of nothing */
        MESSAGE_OF(53, 1, 1, 52, 1, 4, 255),
        MESSAGE_OF(53, 1, 1, 52, 2, 1, 1, 255),
    };
    struct dhcp d;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (parse_copy(&bad[i], &d) != -EINVAL)
            fail_msg("case %zu was accepted", i);
}

static void refuses_what_is_no_dhcp(void **state)
{
    struct frame good = MESSAGE_OF(53, 1, 1, 255), f;
    struct dhcp d;

    (void)state;
    assert_int_equal(parse_copy(&good, &d), 0);
    static const struct {
        unsigned at;
        uint8_t byte;
    } spoilt[] = {{236, 1}, {1, 6}, {2, 16}}; /* cookie, hardware type, its address size */
    for (size_t i = 0; i < ARRAY_SIZE(spoilt); i++) {
        f = good;
        f.b[MESSAGE + spoilt[i].at] = spoilt[i].byte;
        assert_int_equal(parse_copy(&f, &d), -EINVAL);
    }
    for (size_t size = 0; size < good.size; size++) { /* any cut, the lengths telling or not */
        f = good;
        f.size = size;
        assert_int_equal(parse_copy(&f, &d), -EINVAL);
    }
    f = message((const uint8_t *)"", 0); /* options may be empty: plain BOOTP */
    assert_int_equal(parse_copy(&f, &d), 0);
    assert_int_equal(d.type, DHCP_BOOTP);
}

static void builds_what_it_reads(void **state)
{
    uint8_t long_value[600];
    struct dhcp_opt opts[] = {{6, 4, (const uint8_t *)"\x08\x08\x08\x08"},
                              {114, sizeof long_value, long_value},
                              {80, 0, NULL}};
    struct dhcp d = {.op = 2,
                     .type = DHCP_ACK,
                     .xid = 0xdeadbeef,
                     .flags = 0x8000,
                     .ciaddr = IP("0.0.0.0"),
                     .yiaddr = IP("10.0.0.5"),
                     .siaddr = IP("10.0.0.9"),
                     .giaddr = IP("0.0.0.0"),
                     .chaddr = MAC("02:00:00:00:00:0a")},
                got;
    struct flow_key k = key_of(17, "10.0.0.1", "255.255.255.255", 67, 68);
    struct frame f;
    uint8_t buf[700];
    unsigned left_out = 9;

    (void)state;
    for (size_t i = 0; i < sizeof long_value; i++)
        long_value[i] = (uint8_t)i;
    f.size = dhcp_build(f.b, sizeof f.b, &k, &d, opts, 3, 1400, &left_out);
    assert_true(packet_checksums_right(f.b, f.size));
    assert_int_equal(parse_copy(&f, &got), 0);
    assert_int_equal(left_out, 0);
    assert_int_equal(got.type, DHCP_ACK);
    assert_int_equal(got.xid, 0xdeadbeef);
    assert_int_equal(got.flags, 0x8000);
    assert_ip(&got.yiaddr, "10.0.0.5");
    assert_ip(&got.siaddr, "10.0.0.9");
    assert_mac(&got.chaddr, "02:00:00:00:00:0a");
    assert_int_equal(dhcp_option(&got, 114, buf, sizeof buf), sizeof long_value);
    assert_memory_equal(buf, long_value, sizeof long_value);
    assert_int_equal(dhcp_option(&got, 80, buf, sizeof buf), 0);
    assert_int_equal(dhcp_option(&got, DHCP_OPT_OVERLOAD, buf, 1), -1);
    assert_int_equal(dhcp_build(f.b, 300, &k, &d, opts, 3, 1400, NULL), 0); /* no room at all */
}

/* What doesn't fit among the options of a message for a small client goes elsewhere in it. */
static void spills_over(void **state)
{
    uint8_t value[250] = {0};
    struct dhcp_opt opts[] = {
        {200, 250, value}, {201, 100, value}, {202, 60, value}, {203, 130, value}};
    struct dhcp d = {.op = 2, .type = DHCP_OFFER}, got;
    struct flow_key k = key_of(17, "10.0.0.1", "255.255.255.255", 67, 68);
    struct frame f;
    uint8_t byte;
    unsigned left_out;

    (void)state;
    d.ciaddr = d.yiaddr = d.siaddr = d.giaddr = IP("0.0.0.0");
    f.size = dhcp_build(f.b, sizeof f.b, &k, &d, opts, 4, 0, &left_out);
    assert_true(f.size <= 14 + 576);
    assert_int_equal(parse_copy(&f, &got), 0);
    assert_int_equal(dhcp_option(&got, DHCP_OPT_OVERLOAD, &byte, 1), 1);
    assert_int_equal(byte, 3);
    assert_int_equal(got.n_areas, 3);
    assert_int_equal(dhcp_option(&got, 200, NULL, 0), 250);
    assert_int_equal(dhcp_option(&got, 201, NULL, 0), 100); /* file */
    assert_int_equal(dhcp_option(&got, 202, NULL, 0), 60);  /* sname, or what is left of others */
    assert_int_equal(dhcp_option(&got, 203, NULL, 0), -1);
    assert_int_equal(left_out, 1);
}

static void options_by_name_and_kind(void **state)
{
    static const struct {
        const char *name;
        int code;
        const char *text, *hex; /* null hex: no value for it */
        const char *back;       /* null: as it was */
    } cases[] = {
        {"mtu", 26, "1450", "05aa", NULL},
        {"interface-mtu", 26, "70000", NULL, NULL},
        {"26", 26, "-1", NULL, NULL},
        {"26", 26, "", NULL, NULL},
        {"router", 3, "10.0.0.1,10.0.0.2", "0a0000010a000002", NULL},
        {"3", 3, "10.0.0.1 10.0.0.2", "0a0000010a000002", "10.0.0.1,10.0.0.2"},
        {"routers", 3, "10.0.0.256", NULL, NULL},
        {"router", 3, "fd00::1", NULL, NULL},
        {"router", 3, "", NULL, NULL},
        {"subnet-mask", 1, "255.0.0.0", "ff000000", NULL},
        {"subnet-mask", 1, "255.0.0.0,255.0.0.0", NULL, NULL},
        {"time-offset", 2, "-3600", "fffff1f0", NULL},
        {"lease-time", 51, "4294967295", "ffffffff", NULL},
        {"default-ttl", 23, "64", "40", NULL},
        {"default-ttl", 23, "256", NULL, NULL},
        {"ip-forward-enable", 19, "yes", "01", "1"},
        {"ip-forward-enable", 19, "off", "00", "0"},
        {"ip-forward-enable", 19, "maybe", NULL, NULL},
        {"domain-name", 15, "example.net", "6578616d706c652e6e6574", NULL},
        {"domain-name", 15, "", NULL, NULL},
        {"mtu-plateau", 25, "68,296", "00440128", NULL},
        {"policy-filter", 21, "10.0.0.0,255.0.0.0", "0a000000ff000000", NULL},
        {"policy-filter", 21, "10.0.0.0", NULL, NULL},
        {"classless-static-route", 121, "10.0.0.0/8,10.1.0.1,0.0.0.0/0,10.1.0.2",
         "080a0a010001000a010002", NULL},
        {"classless-static-route", 121, "192.168.1.128/25,10.0.0.1", "19c0a801800a000001", NULL},
        {"classless-static-route", 121, "10.0.0.0/33,10.1.0.1", NULL, NULL},
        {"classless-static-route", 121, "10.0.0.0/8", NULL, NULL},
        {"domain-search", 119, "a.example,b.", "01610765786d706c650001620", NULL},
        {"domain-search", 119, "a..b", NULL, NULL},
        {"sip-server", 120, "10.0.0.1", "010a000001", NULL},
        {"sip-server", 120, "sip.net", "0003736970036e657400", NULL},
        {"vendor-encap", 43, "01:02:03", "010203", "0x010203"},
        {"vendor-encap", 43, "0x0102", "0102", NULL},
        {"vendor-encap", 43, "012", NULL, NULL},
        {"vendor-encap", 43, "xy", NULL, NULL},
        {"rapid-commit", 80, "", "", NULL},
        {"224", 224, "any text", "616e792074657874", NULL},
        {"224", 224, "0xfe", "fe", NULL},
        {"router", 3, "0x01", "01", NULL}, /* bytes for whoever knows better */
        {"ntp-servers", 42, "10.0.0.1", "0a000001", NULL},
        {"0", -1, NULL, NULL, NULL},
        {"255", -1, NULL, NULL, NULL},
        {"1x", -1, NULL, NULL, NULL},
        {"colour", -1, NULL, NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint8_t value[300];
        char hex[601] = "", text[400];
        assert_int_equal(dhcp_option_code(cases[i].name), cases[i].code);
        if (cases[i].code < 0)
            continue;
        int n = dhcp_option_encode((uint8_t)cases[i].code, cases[i].text, value, sizeof value);
        if ((n >= 0) != (cases[i].hex != NULL))
            fail_msg("%s \"%s\": %d", cases[i].name, cases[i].text, n);
        if (n < 0)
            continue;
        for (int k = 0; k < n; k++)
            sprintf(hex + 2 * k, "%02x", value[k]);
        if (strcmp(cases[i].name, "domain-search"))
            assert_string_equal(hex, cases[i].hex);
        dhcp_option_format((uint8_t)cases[i].code, value, (size_t)n, text, sizeof text);
        if (strcmp(cases[i].name, "domain-search"))
            assert_string_equal(text, cases[i].back ? cases[i].back : cases[i].text);
        else
            assert_string_equal(text, "a.example,b");
        assert_int_equal(
            dhcp_option_encode((uint8_t)cases[i].code, cases[i].text, value, n ? (size_t)n - 1 : 0),
            n ? -1 : 0);
    }
}

/* Every name leads to its number, and there is one for all that RFC 2132 defines. */
static void names_are_complete(void **state)
{
    (void)state;
    for (int code = 1; code <= 254; code++) {
        const char *name = dhcp_option_name((uint8_t)code);
        if (code <= 76 && !name)
            fail_msg("option %d has no name", code);
        if (name)
            assert_int_equal(dhcp_option_code(name), code);
    }
    assert_false(dhcp_option_settable(53));
    assert_false(dhcp_option_settable(54));
    assert_true(dhcp_option_settable(26));
}

/* DHCPv6 */

static struct frame message6(const uint8_t *m, size_t n)
{
    struct flow_key k = key_of(17, "fe80::a", "ff02::1:2", 546, 547);
    struct frame f = {.size = 0};

    f.size = packet_from_key(f.b, sizeof f.b, &k, m, n);
    assert_true(f.size > 0);
    return f;
}
#define MESSAGE6(...)                                                                              \
    message6((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static int parse_copy6(const struct frame *f, struct dhcp6 *d)
{
    static uint8_t *copy;

    free(copy);
    copy = mem_alloc(f->size);
    memcpy(copy, f->b, f->size);
    return dhcp6_parse(copy, f->size, d);
}

static void dhcp6_sound_or_refused(void **state)
{
    struct frame bad[] = {
        MESSAGE6(1, 0, 0),                   /* no transaction */
        MESSAGE6(0, 0, 0, 1),                /* no type */
        MESSAGE6(12, 0, 0, 1),               /* relayed */
        MESSAGE6(1, 0, 0, 1, 0, 1, 0),       /* half an option header */
        MESSAGE6(1, 0, 0, 1, 0, 1, 0, 2, 9), /* a byte short */
        MESSAGE6(1, 0, 0, 1, 0, 1, 0, 0),    /* a client without identity */
        MESSAGE6(1, 0, 0, 1, 0, 3, 0, 11, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0), /* IA too short */
        MESSAGE6(1, 0, 0, 1, 0, 3, 0, 14, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5), /* within */
    };
    struct frame good = MESSAGE6(1, 1, 2, 3, 0, 1, 0, 2, 7, 7, 0, 14, 0, 0, 0, 1, 0, 1, 9);
    struct dhcp6_opt o;
    struct dhcp6 d;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (parse_copy6(&bad[i], &d) != -EINVAL)
            fail_msg("case %zu was accepted", i);
    assert_int_equal(parse_copy6(&good, &d), 0);
    assert_int_equal(d.xid, 0x010203);
    assert_true(dhcp6_find(d.opts, 1, &o)); /* the first of two */
    assert_int_equal(o.size, 2);
    assert_true(dhcp6_find(d.opts, DHCP6_OPT_RAPID_COMMIT, &o));
    assert_false(dhcp6_find(d.opts, DHCP6_OPT_IA_NA, &o));
}

static void dhcp6_writes_nested(void **state)
{
    uint8_t opts[64], fixed[12] = {0, 0, 0, 9}, address[24] = {0xfd};
    struct dhcp6_writer w = {opts, opts + sizeof opts, false}, full = {opts, opts + 20, false};
    struct flow_key k = key_of(17, "fe80::1", "fe80::a", 547, 546);
    struct dhcp6_opt ia, o;
    struct frame f;
    struct dhcp6 d;

    (void)state;
    uint8_t *opened = dhcp6_open(&w, DHCP6_OPT_IA_NA, fixed, 12);
    dhcp6_put(&w, DHCP6_OPT_IAADDR, address, 24);
    dhcp6_close(&w, opened);
    dhcp6_put_status(&w, DHCP6_NO_BINDING, "no");
    f.size = dhcp6_build(f.b, sizeof f.b, &k, DHCP6_REPLY, 7, opts, (size_t)(w.p - opts));
    assert_int_equal(parse_copy6(&f, &d), 0);
    assert_true(dhcp6_find(d.opts, DHCP6_OPT_IA_NA, &ia));
    assert_int_equal(ia.size, 12 + 28);
    assert_true(dhcp6_find(dhcp6_within(&ia), DHCP6_OPT_IAADDR, &o));
    assert_int_equal(o.data[0], 0xfd);
    assert_true(dhcp6_find(d.opts, DHCP6_OPT_STATUS, &o));
    assert_int_equal(o.size, 4);
    opened = dhcp6_open(&full, DHCP6_OPT_IA_NA, fixed, 12);
    dhcp6_put(&full, DHCP6_OPT_IAADDR, address, 24);
    dhcp6_close(&full, opened);
    assert_true(full.full);
}

static void duids(void **state)
{
    static const struct {
        const char *text;
        int size;
        const char *mac; /* null: none in it */
    } cases[] = {
        {"00:03:00:01:02:00:00:00:00:0a", 10, "02:00:00:00:00:0a"},
        {"0:3:0:1:2:0:0:0:0:a", 10, "02:00:00:00:00:0a"},
        {"00-01-00-01-2a-2b-2c-2d-02-00-00-00-00-0a", 14, "02:00:00:00:00:0a"},
        {"0003000102000000000a", 10, "02:00:00:00:00:0a"},
        {"00:03:00:06:02:00:00:00:00:0a", 10, NULL}, /* not Ethernet */
        {"00:04:11:22", 4, NULL},
        {"02:00:00:00:00:0a", 6, NULL},
        {"", -1, NULL},
        {"xyz", -1, NULL},
        {"00:03:", -1, NULL},
        {"00::03", -1, NULL},
        {"003", -1, NULL},
    };
    uint8_t duid[DHCP6_MAX_DUID], ll[DHCP6_DUID_LL_SIZE];
    char text[400] = "";
    struct mac mac;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int n = dhcp6_duid_parse(cases[i].text, duid);
        if (n != cases[i].size)
            fail_msg("%s: %d", cases[i].text, n);
        if (n < 0)
            continue;
        assert_int_equal(dhcp6_duid_mac(duid, (size_t)n, &mac), cases[i].mac != NULL);
        if (cases[i].mac)
            assert_mac(&mac, cases[i].mac);
    }
    for (unsigned i = 0; i < DHCP6_MAX_DUID + 1; i++)
        strcat(text, "0a");
    assert_int_equal(dhcp6_duid_parse(text, duid), -1);
    text[2 * DHCP6_MAX_DUID] = '\0';
    assert_int_equal(dhcp6_duid_parse(text, duid), DHCP6_MAX_DUID);
    mac = MAC("02:00:00:00:00:0a");
    dhcp6_duid_of_mac(&mac, ll);
    assert_string_equal(dhcp6_duid_format(ll, sizeof ll, text, sizeof text), cases[0].text);
}

/* Router discovery */

static void ra_round_trip(void **state)
{
    struct mac from = MAC("02:00:00:00:00:fe"), to = MAC("33:33:00:00:00:01"), lladdr;
    struct ip src = IP("fe80::1"), dst = IP("ff02::1"), none = IP("::");
    struct packet_ra ra = {.hop_limit = 64,
                           .managed = true,
                           .lifetime = 1800,
                           .mtu = 1450,
                           .n_prefixes = RA_PREFIXES,
                           .n_dns = RA_DNS,
                           .dns_lifetime = 60,
                           .lladdr = from},
                     got;
    struct frame f;

    (void)state;
    for (unsigned i = 0; i < RA_PREFIXES; i++)
        ra.prefixes[i] = (struct ra_prefix){CIDR("fd00::/64"), i & 1, i & 2, 7, 8};
    for (unsigned i = 0; i < RA_DNS; i++)
        ra.dns[i] = IP("fd00::53");
    f.size = packet_ra_build(f.b, sizeof f.b, &from, &src, &to, &dst, &ra);
    assert_true(f.size && packet_checksums_right(f.b, f.size));
    assert_int_equal(packet_ra_parse(f.b, f.size, &got), 0);
    assert_memory_equal(&got.dns, &ra.dns, sizeof ra.dns);
    assert_int_equal(got.n_prefixes, RA_PREFIXES);
    assert_true(got.prefixes[3].on_link && got.prefixes[3].autonomous && !got.other && got.managed);
    assert_int_equal(got.prefixes[3].valid, 7);
    assert_int_equal(got.mtu, 1450);
    assert_int_equal(packet_ra_build(f.b, f.size - 1, &from, &src, &to, &dst, &ra), 0);
    assert_int_equal(packet_rs_parse(f.b, f.size, &lladdr), -EINVAL);

    f.size = packet_rs_build(f.b, sizeof f.b, &from, &src);
    assert_int_equal(packet_rs_parse(f.b, f.size, &lladdr), 0);
    assert_mac(&lladdr, "02:00:00:00:00:fe");
    assert_int_equal(packet_ra_parse(f.b, f.size, &got), -EINVAL);
    f.size = packet_rs_build(f.b, sizeof f.b, &from, &none);
    assert_int_equal(packet_rs_parse(f.b, f.size, &lladdr), 0);
    assert_true(mac_is_zero(&lladdr));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_options),
        cmocka_unit_test(joins_pieces),
        cmocka_unit_test(reads_overload),
        cmocka_unit_test(refuses_what_breaks_off),
        cmocka_unit_test(refuses_what_is_no_dhcp),
        cmocka_unit_test(builds_what_it_reads),
        cmocka_unit_test(spills_over),
        cmocka_unit_test(options_by_name_and_kind),
        cmocka_unit_test(names_are_complete),
        cmocka_unit_test(dhcp6_sound_or_refused),
        cmocka_unit_test(dhcp6_writes_nested),
        cmocka_unit_test(duids),
        cmocka_unit_test(ra_round_trip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
