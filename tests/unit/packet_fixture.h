/* Shorthand for tests that make and read packets. */
#ifndef MN_TESTS_PACKET_FIXTURE_H
#define MN_TESTS_PACKET_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "packet/packet.h"
#include "packet/wire.h"
#include "values.h"

static inline struct flow_key key_of(uint8_t proto, const char *src, const char *dst,
                                     uint16_t sport, uint16_t dport)
{
    struct flow_key k = {
        .eth_src = MAC("02:00:00:00:00:01"),
        .eth_dst = MAC("02:00:00:00:00:02"),
        .ip_src = IP(src),
        .ip_dst = IP(dst),
        .ip_proto = proto,
        .ip_ttl = 64,
        .tp_src = sport,
        .tp_dst = dport,
    };

    k.eth_type = ip_is4(&k.ip_src) ? ETH_TYPE_IP : ETH_TYPE_IP6;
    return k;
}

struct frame {
    uint8_t room[8]; /* for a pushed tag */
    uint8_t b[2048];
    size_t size;
};

static inline struct frame frame_of(const struct flow_key *k)
{
    struct frame f = {.size = 0};

    f.size = packet_from_key(f.b, sizeof f.b, k, "0123456789abcdef", 16);
    assert_true(f.size > 0);
    return f;
}

/* Parses a heap copy of exactly 'size' bytes, so that a sanitizer sees one byte too far. */
static inline struct flow_key parse_exact(const uint8_t *p, size_t size, struct packet_layers *l)
{
    struct packet_layers unused;
    struct flow_key key = {.in_port = 7};
    uint8_t *copy = mem_alloc(size);

    memcpy(copy, p, size);
    packet_parse(copy, size, &key, l ? l : &unused);
    free(copy);
    assert_int_equal(key.in_port, 7);
    return key;
}

static inline struct flow_key parse(const struct frame *f)
{
    return parse_exact(f->b, f->size, NULL);
}

static inline void assert_ip(const struct ip *ip, const char *want)
{
    char buf[IP_STRLEN];

    assert_string_equal(ip_format(ip, buf), want);
}

static inline void assert_mac(const struct mac *m, const char *want)
{
    char buf[MAC_STRLEN];

    assert_string_equal(mac_format(m, buf), want);
}

#endif
