/* Packets in words: what the words say is what is built, matched and described. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "packet/packet.h"
#include "packet/text.h"

static size_t split(char *line, const char **words)
{
    size_t n = 0;

    for (char *w = strtok(line, " "); w; w = strtok(NULL, " "))
        words[n++] = w;
    return n;
}

static int parse(const char *line, struct packet_spec *spec, struct error *e)
{
    char copy[512];
    const char *words[64];

    strcpy(copy, line);
    return packet_spec_parse(words, split(copy, words), spec, e);
}

static const char *const good[] = {
    "tcp 10.0.0.1:1234 > 10.0.1.2:80 flags S from 02:00:00:00:00:01 to 02:00:00:00:00:02",
    "tcp [fd00::1]:1234 > [fd00::2]:80 ttl 3 tos 8 flags SA",
    "udp 10.0.0.1:5 > 10.0.0.2:7 vlan 12 size 100",
    "udp 10.0.0.1:5 > 10.0.0.2:7 vlan 12 inner-vlan 13",
    "udp [fd00::1]:5 > [fd00::2]:7 vlan 4094",
    "icmp echo 10.0.0.1 > 10.0.0.2 id 77",
    "icmp reply fd00::1 > fd00::2 id 9",
    "icmp unreachable code 13 10.0.0.254 > 10.0.0.1",
    "icmp time-exceeded code 0 fd00::fe > fd00::1",
    "icmp type 13 10.0.0.1 > 10.0.0.2",
    "icmp unreachable code 3 10.0.0.9 > 10.0.0.1 about udp 10.0.0.1:5 > 10.0.0.9:53 ttl 7",
    "icmp too-big fd00::9 > fd00::1 about icmp echo fd00::1 > fd00::5 id 8",
    "arp who-has 10.0.0.9 tell 10.0.0.1 from 02:00:00:00:00:01",
    "arp 10.0.0.9 is-at 02:00:00:00:00:09 tell 10.0.0.1 to 02:00:00:00:00:01",
    "nd who-has fd00::9 tell fd00::1 from 02:00:00:00:00:01",
    "nd fd00::9 is-at 02:00:00:00:00:09 tell fd00::1 to 02:00:00:00:00:01",
    "nd fd00::9 is-at 02:00:00:00:00:09 tell ff02::1 to 33:33:00:00:00:01",
    "ip 47 10.0.0.1 > 10.0.0.2",
    "udp 10.0.0.1:5 > 10.0.0.2:7 frag first",
    "udp 10.0.0.1 > 10.0.0.2 frag later",
    "eth 0x88b5 to ff:ff:ff:ff:ff:ff",
    "tcp 10.0.0.1:1234 10.0.1.2:80 flags S",
    "icmp echo fd00::1 fd00::2",
    "dhcp discover from 02:00:00:00:00:0a",
    "dhcp request ciaddr 10.0.0.5 xid 7 option requested-address 10.0.0.5 from 02:00:00:00:00:0a",
    "dhcp ack mac 02:00:00:00:00:0a yiaddr 10.0.0.5 option mtu 1450 option 224 0x0102 src 10.0.0.1",
    "dhcp6 solicit rapid ia 1 ia 2 address fd00::5 valid 60 pd 1 from 02:00:00:00:00:0a",
    "dhcp6 reply duid 00:03:00:01:02:00:00:00:00:0a ia 7 address fd00::5 valid 9 status 2 dns "
    "fd00::53",
    "dhcp6 information-request xid 9 from 02:00:00:00:00:0a",
    "rs fe80::a from 02:00:00:00:00:0a",
    "rs :: from 02:00:00:00:00:0a",
    "ra fe80::1 flags MO lifetime 9 slaac fd00::/64 no-slaac fd01::/48 mtu 1450 dns "
    "fd00::1,fd00::2",
    "ra fe80::1 flags none no-mtu no-dns from 02:00:00:00:00:fe",
};

static void built_as_said(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct packet_spec spec;
        struct error e = {0};
        uint8_t frame[512];
        char why[160], text[320];
        if (parse(good[i], &spec, &e))
            fail_msg("%s: %s", good[i], e.message);
        size_t size = packet_spec_build(&spec, frame, sizeof frame);
        assert_true(size >= 14);
        if (!packet_spec_match(&spec, frame, size, why, sizeof why))
            fail_msg("%s: %s; built %s", good[i], why,
                     packet_describe(frame, size, text, sizeof text));
        struct flow_key key;
        struct packet_layers layers;
        packet_parse(frame, size, &key, &layers);
        if (key.malformed)
            fail_msg("%s: a malformed packet is built", good[i]);
        if (!spec.key.ip_frag)
            assert_true(packet_checksums_right(frame, size));
        assert_int_equal(packet_spec_build(&spec, frame, 10), 0);
    }
}

/* The description of a packet is itself a description that builds the same packet. */
static void described_as_built(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct packet_spec spec, again;
        struct error e = {0};
        uint8_t frame[512];
        char text[320], why[160];
        if (strstr(good[i], "inner-vlan"))
            continue; /* two tags hide what is inside */
        parse(good[i], &spec, &e);
        size_t size = packet_spec_build(&spec, frame, sizeof frame);
        packet_describe(frame, size, text, sizeof text);
        if (parse(text, &again, &e))
            fail_msg("%s was described as %s: %s", good[i], text, e.message);
        if (!packet_spec_match(&again, frame, size, why, sizeof why))
            fail_msg("%s was described as %s, but %s", good[i], text, why);
    }
}

static void mismatches_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *sent, *wanted, *why;
    } cases[] = {
        {"udp 10.0.0.1:5 > 10.0.0.2:7", "udp 10.0.0.1:5 > 10.0.0.2:8",
         "destination port or ICMP code is 7, not 8"},
        {"udp 10.0.0.1:5 > 10.0.0.2:7", "udp 10.0.0.3:5 > 10.0.0.2:7",
         "source is 10.0.0.1, not 10.0.0.3"},
        {"udp 10.0.0.1:5 > 10.0.0.2:7", "udp 10.0.0.1:5 > 10.0.0.2:7 ttl 63", "ttl is 64, not 63"},
        {"udp 10.0.0.1:5 > 10.0.0.2:7 vlan 5", "udp 10.0.0.1:5 > 10.0.0.2:7 to 02:00:00:00:00:02",
         "to is 00:00:00:00:00:00, not 02:00:00:00:00:02"},
        {"arp 10.0.0.9 is-at 02:00:00:00:00:09 tell 10.0.0.1",
         "arp 10.0.0.9 is-at 02:00:00:00:00:08 tell 10.0.0.1",
         "is-at is 02:00:00:00:00:09, not 02:00:00:00:00:08"},
        {"icmp echo 10.0.0.1 > 10.0.0.2", "tcp 10.0.0.1 > 10.0.0.2", "protocol is 1, not 6"},
        {"dhcp offer yiaddr 10.0.0.5", "dhcp ack", "it is a DHCP offer"},
        {"dhcp offer yiaddr 10.0.0.5", "dhcp offer yiaddr 10.0.0.6",
         "yiaddr is 10.0.0.5, not 10.0.0.6"},
        {"dhcp offer option mtu 1400", "dhcp offer option mtu 1500", "option 26 is 1400, not 1500"},
        {"dhcp offer option mtu 1400", "dhcp offer option router 10.0.0.1",
         "option 3 is not there, not 10.0.0.1"},
        {"dhcp offer option mtu 1400", "dhcp offer no-option mtu", "option 26 is 1400, not absent"},
        {"udp 10.0.0.1:67 > 10.0.0.2:68", "dhcp offer", "it is no DHCP message"},
        {"dhcp6 reply ia 1", "dhcp6 reply ia 2", "there is no such IA"},
        {"dhcp6 reply ia 1 address fd00::1", "dhcp6 reply ia 1 address fd00::2",
         "the address isn't there"},
        {"ra fe80::1 slaac fd00::/64", "ra no-slaac fd00::/64", "the prefix isn't there like this"},
        {"ra fe80::1 flags M", "ra flags O", "flags (M 1, O 2) is 1, not 2"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct packet_spec sent, wanted;
        struct error e = {0};
        uint8_t frame[512];
        char why[160];
        assert_int_equal(parse(cases[i].sent, &sent, &e), 0);
        assert_int_equal(parse(cases[i].wanted, &wanted, &e), 0);
        size_t size = packet_spec_build(&sent, frame, sizeof frame);
        assert_false(packet_spec_match(&wanted, frame, size, why, sizeof why));
        assert_string_equal(why, cases[i].why);
    }
}

static void bad_words_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *words, *message;
    } cases[] = {
        {"tcp 10.0.0.1:80", "ends where ADDRESS or ADDRESS:PORT should follow"},
        {"tcp 10.0.0.1:80 > fd00::1", "mixes IPv4 and IPv6 addresses"},
        {"tcp 10.0.0.1:99999 > 10.0.0.2",
         "\"10.0.0.1:99999\" where ADDRESS or ADDRESS:PORT should stand"},
        {"quic 10.0.0.1 > 10.0.0.2",
         "\"quic\" where tcp, udp, icmp, arp, nd, dhcp, dhcp6, rs, ra, ip or eth should stand"},
        {"udp 10.0.0.1 > 10.0.0.2 ttl 256", "256 is out of range"},
        {"udp 10.0.0.1 > 10.0.0.2 ttl -1", "\"-1\" where a number should stand"},
        {"udp 10.0.0.1 > 10.0.0.2 from nobody", "\"nobody\" where a MAC address should stand"},
        {"arp who-has fd00::1 tell fd00::2", "ARP is about IPv4 addresses; use nd"},
        {"dhcp ping", "\"ping\" where a DHCP message type (discover, offer, ...) should stand"},
        {"dhcp offer option colour red",
         "\"colour\" where the name or number of a DHCP option should stand"},
        {"dhcp offer option mtu big", "\"big\" where the option's value should stand"},
        {"dhcp6 solicit duid xy", "\"xy\" where a DUID in hex should stand"},
        {"ra dns 10.0.0.1", "\"10.0.0.1\" where IPv6 addresses, separated by commas should stand"},
        {"udp 10.0.0.1 > 10.0.0.2 flags", "ends where TCP flags (letters of FSRPAU) should follow"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct packet_spec spec = {.payload = 7};
        struct error e = {0};
        assert_int_equal(parse(cases[i].words, &spec, &e), -EINVAL);
        assert_string_equal(e.message, cases[i].message);
        assert_int_equal(spec.payload, 7);
    }
}

static void modified(void **state)
{
    (void)state;
    struct packet_spec spec, all;
    struct error e = {0};
    uint8_t frame[512];
    char why[160];
    const char *const words[] = {"ttl", "63", "dst", "10.0.0.9:99"};

    parse("udp 10.0.0.1:5 > 10.0.0.2:7", &spec, &e);
    size_t size = packet_spec_build(&spec, frame, sizeof frame);
    packet_spec_of(frame, size, &all);
    assert_true(packet_spec_match(&all, frame, size, why, sizeof why));
    assert_int_equal(packet_spec_modify(words, 4, &all, &e), 0);
    assert_false(packet_spec_match(&all, frame, size, why, sizeof why));
    assert_int_equal(packet_spec_modify(words, 4, &spec, &e), 0);
    size = packet_spec_build(&spec, frame, sizeof frame);
    assert_true(packet_spec_match(&all, frame, size, why, sizeof why));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(built_as_said),
        cmocka_unit_test(described_as_built),
        cmocka_unit_test(mismatches_are_named),
        cmocka_unit_test(bad_words_are_named),
        cmocka_unit_test(modified),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
