/* DHCP, DHCPv6 and router discovery with any content: readers stay inside the frame, what is read
 * can be built again and says the same, option values survive the way to text and back. */
#include <stdlib.h>

#include "base/mem.h"
#include "packet/dhcp.h"
#include "packet/dhcp6.h"
#include "packet/packet.h"
#include "packet/ra.h"
#include "packet/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(x)                                                                                   \
    do {                                                                                           \
        if (!(x))                                                                                  \
            abort();                                                                               \
    } while (0)

static struct flow_key udp_key(bool v4, bool to_server)
{
    struct flow_key k = {.eth_src = {{2, 0, 0, 0, 0, 1}},
                         .eth_dst = {{2, 0, 0, 0, 0, 2}},
                         .ip_proto = 17,
                         .ip_ttl = 64,
                         .eth_type = v4 ? ETH_TYPE_IP : ETH_TYPE_IP6};
    uint16_t client = v4 ? DHCP_CLIENT_PORT : DHCP6_CLIENT_PORT,
             server = v4 ? DHCP_SERVER_PORT : DHCP6_SERVER_PORT;

    k.tp_src = to_server ? client : server;
    k.tp_dst = to_server ? server : client;
    ip_parse(v4 ? "10.0.0.1" : "fe80::1", &k.ip_src);
    ip_parse(v4 ? "10.0.0.2" : "fe80::2", &k.ip_dst);
    return k;
}

/* The description of a message is one, and fits it (unless it had to be cut). */
static void try_words(const uint8_t *frame, size_t size)
{
    char text[1200], why[160], *save, *copy;
    const char *words[200];
    struct packet_spec spec;
    struct error e;
    size_t n = 0;

    packet_describe(frame, size, text, sizeof text);
    copy = mem_strdup(text);
    for (char *w = strtok_r(copy, " ", &save); w && n < ARRAY_SIZE(words);
         w = strtok_r(NULL, " ", &save))
        words[n++] = w;
    if (!packet_spec_parse(words, n, &spec, &e))
        packet_spec_match(&spec, frame, size, why, sizeof why);
    free(copy);
}

static void try_dhcp(const uint8_t *frame, size_t size)
{
    uint8_t codes[256], *values = NULL, *buf;
    struct dhcp_opt opts[256];
    unsigned n_opts = 0, left_out;
    struct dhcp d, again;
    struct ip ip;

    if (dhcp_parse(frame, size, &d))
        return;
    unsigned n = dhcp_option_codes(&d, codes);
    values = mem_alloc(2000 * (size_t)(n + 1));
    for (unsigned i = 0; i < n; i++) {
        uint8_t *v = values + 2000 * i;
        int got = dhcp_option(&d, codes[i], v, 2000);
        CHECK(got >= 0 && got <= 2000);
        dhcp_option_ip(&d, codes[i], &ip);
        if (codes[i] != DHCP_OPT_TYPE && codes[i] != DHCP_OPT_OVERLOAD)
            opts[n_opts++] = (struct dhcp_opt){codes[i], (uint16_t)got, v};
    }
    struct flow_key key = udp_key(true, false);
    buf = mem_alloc(2000);
    size_t built = dhcp_build(buf, 2000, &key, &d, opts, n_opts, d.xid, &left_out);
    CHECK(built && packet_checksums_right(buf, built) && !dhcp_parse(buf, built, &again));
    CHECK(again.xid == d.xid && again.type == d.type && mac_equal(&again.chaddr, &d.chaddr));
    for (unsigned i = 0; i < n_opts && !left_out; i++) {
        uint8_t v[2000];
        int got = dhcp_option(&again, opts[i].code, v, sizeof v);
        CHECK(got == opts[i].size && !memcmp(v, opts[i].data, opts[i].size));
    }
    try_words(frame, size);
    free(buf);
    free(values);
}

static void walk(struct dhcp6_opts opts, unsigned depth)
{
    struct dhcp6_opt o;
    struct mac mac;
    char text[600];
    unsigned sum = 0;

    CHECK(depth <= 3);
    while (dhcp6_next(&opts, &o)) {
        for (unsigned i = 0; i < o.size; i++)
            sum += o.data[i];
        dhcp6_duid_mac(o.data, o.size, &mac);
        dhcp6_duid_format(o.data, o.size, text, sizeof text);
        walk(dhcp6_within(&o), depth + 1);
    }
    CHECK(!opts.size && sum < 1u << 30);
}

static void try_others(const uint8_t *frame, size_t size)
{
    struct packet_ra ra, again;
    struct dhcp6 d;
    struct mac mac;
    struct ip src, dst;
    uint8_t buf[1400];

    packet_rs_parse(frame, size, &mac);
    if (!dhcp6_parse(frame, size, &d)) {
        walk(d.opts, 0);
        try_words(frame, size);
    }
    if (packet_ra_parse(frame, size, &ra))
        return;
    ip_parse("fe80::1", &src);
    ip_parse("ff02::1", &dst);
    mac = (struct mac){{2}};
    size_t built = packet_ra_build(buf, sizeof buf, &mac, &src, &mac, &dst, &ra);
    CHECK(built && !packet_ra_parse(buf, built, &again));
    CHECK(again.n_prefixes == ra.n_prefixes && again.n_dns == ra.n_dns && again.mtu == ra.mtu);
    try_words(frame, size);
}

static void try_option(uint8_t code, const uint8_t *data, size_t size)
{
    uint8_t value[700], again[700];
    char *text = mem_alloc(size + 1), back[2000];

    memcpy(text, data, size);
    text[size] = '\0';
    dhcp_option_code(text);
    dhcp6_duid_parse(text, value);
    int n = dhcp_option_encode(code, text, value, sizeof value);
    if (n >= 0) {
        dhcp_option_format(code, value, (size_t)n, back, sizeof back);
        int m = dhcp_option_encode(code, back, again, sizeof again);
        CHECK(m == n && !memcmp(value, again, (size_t)n));
    }
    dhcp_option_format(code, data, MIN(size, (size_t)900), back, sizeof back);
    free(text);
}

enum { INPUT_MAX = 1200 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t m[240 + INPUT_MAX] = {1, 1, 6, [4] = 9, [236] = 0x63, 0x82, 0x53, 0x63}, *frame;
    size_t n;

    if (size < 4 || size > INPUT_MAX)
        return 0;
    uint8_t mode = data[0], code = data[1];
    data += 2;
    size -= 2;
    if (mode % 5 == 0) {
        try_option(code, data, size);
        return 0;
    }
    frame = mem_alloc(2000);
    struct flow_key key = udp_key(mode % 5 == 1, mode & 128);
    switch (mode % 5) {
    case 1: /* fixed fields, overloaded ones and options */
        memcpy(m + 44 + (code & 127), data, MIN(size, 180u));
        memcpy(m + 236, (uint8_t[]){0x63, 0x82, 0x53, 0x63}, 4);
        memcpy(m + 240, data, size - size % 2);
        n = packet_from_key(frame, 2000, &key, m, 240 + size - size % 2);
        break;
    case 2:
        n = packet_from_key(frame, 2000, &key, data, size);
        break;
    case 3: /* from ICMPv6's type on */
        key.ip_proto = 58;
        key.ip_ttl = 255;
        key.tp_src = 133 + code % 2;
        key.tp_dst = 0;
        n = packet_from_key(frame, 2000, &key, data, size);
        break;
    default:
        memcpy(frame, data, size);
        n = size;
    }
    uint8_t *exact = mem_alloc(n + 1);
    memcpy(exact, frame, n);
    try_dhcp(exact, n);
    try_others(exact, n);
    free(exact);
    free(frame);
    return 0;
}
