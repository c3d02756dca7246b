/* The value types everything is made of: uuid, MAC, IP address, CIDR.
 *
 * An IP address is one type for both families: 16 bytes in network order, IPv4 as IPv4-mapped IPv6
 * (::ffff:a.b.c.d, RFC 4291 section 2.5.5.2), so that tables, hashes and comparisons need not know
 * the family.  The all-zero value is "none" (and also "::"): a packet field that is absent.
 * Prefix lengths in a 'struct cidr' are those of the family (0..32, 0..128); cidr_len128() gives
 * the length in the mapped space.
 *
 * Text forms: uuid lower case with dashes; MAC lower case with colons; IPv6 by RFC 5952.  Parsers
 * take the whole string (no trailing bytes), accept any spelling, and return 0 or -EINVAL without
 * touching the output.  Formatters write into the caller's buffer of *_STRLEN bytes and return it.
 * Thread: pure functions. */
#ifndef MN_BASE_TYPES_H
#define MN_BASE_TYPES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define UUID_STRLEN 37
#define MAC_STRLEN  18
#define IP_STRLEN   46
#define CIDR_STRLEN 50

struct uuid {
    uint8_t b[16];
};

struct mac {
    uint8_t b[6];
};

struct ip {
    union {
        uint8_t b[16];
        uint32_t w[4]; /* network order */
        uint64_t q[2]; /* network order */
    };
};

struct cidr {
    struct ip addr; /* host bits are kept: "10.0.0.1/24" is an address with its subnet */
    uint8_t len;    /* 0..32 for IPv4, 0..128 for IPv6 */
};

extern const struct uuid uuid_zero;
extern const struct ip ip_none;
extern const struct mac mac_broadcast;

/* uuid */
void uuid_random(struct uuid *u); /* version 4, from the kernel's generator */
int uuid_parse(const char *s, struct uuid *u);
char *uuid_format(const struct uuid *u, char buf[UUID_STRLEN]);

static inline bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
    return !memcmp(a, b, sizeof *a);
}

static inline bool uuid_is_zero(const struct uuid *u)
{
    return uuid_equal(u, &uuid_zero);
}

/* MAC */
int mac_parse(const char *s, struct mac *m);
char *mac_format(const struct mac *m, char buf[MAC_STRLEN]);
void mac_random(struct mac *m); /* locally administered unicast, prefix ac:ca:ba as MidoNet's */

static inline bool mac_equal(const struct mac *a, const struct mac *b)
{
    return !memcmp(a, b, sizeof *a);
}

static inline bool mac_is_multicast(const struct mac *m)
{
    return m->b[0] & 1;
}

static inline bool mac_is_broadcast(const struct mac *m)
{
    return mac_equal(m, &mac_broadcast);
}

static inline bool mac_is_zero(const struct mac *m)
{
    return !(m->b[0] | m->b[1] | m->b[2] | m->b[3] | m->b[4] | m->b[5]);
}

static inline uint64_t mac_u64(const struct mac *m)
{
    return (uint64_t)m->b[0] << 40 | (uint64_t)m->b[1] << 32 | (uint64_t)m->b[2] << 24 |
           (uint64_t)m->b[3] << 16 | (uint64_t)m->b[4] << 8 | m->b[5];
}

/* IP address */
int ip_parse(const char *s, struct ip *ip);
char *ip_format(const struct ip *ip, char buf[IP_STRLEN]);

static inline struct ip ip_from4(uint32_t net_order)
{
    struct ip ip = {.w = {0, 0, __builtin_bswap32(0xffff), net_order}};

    return ip;
}

static inline bool ip_equal(const struct ip *a, const struct ip *b)
{
    return a->q[0] == b->q[0] && a->q[1] == b->q[1];
}

static inline bool ip_is_none(const struct ip *ip)
{
    return !(ip->q[0] | ip->q[1]);
}

static inline bool ip_is4(const struct ip *ip)
{
    return !ip->q[0] && ip->w[2] == __builtin_bswap32(0xffff);
}

/* Network-order IPv4 address; meaningful only when ip_is4(). */
static inline uint32_t ip_to4(const struct ip *ip)
{
    return ip->w[3];
}

bool ip_is_multicast(const struct ip *ip);  /* 224.0.0.0/4, ff00::/8 */
bool ip_is_link_local(const struct ip *ip); /* 169.254.0.0/16, fe80::/10 */
bool ip_is_broadcast(const struct ip *ip);  /* 255.255.255.255 only */

/* The solicited-node multicast group of an IPv6 address (RFC 4291 section 2.7.1), and the Ethernet
 * address of an IP multicast group (RFC 1112 section 6.4, RFC 2464 section 7). */
struct ip ip_solicited_node(const struct ip *ip);
struct mac mac_of_multicast_ip(const struct ip *ip);
/* fe80::/64 with the modified EUI-64 of a MAC (RFC 4291 appendix A). */
struct ip ip_link_local_of_mac(const struct mac *m);

/* CIDR.  Without "/len" the whole address is meant (32 or 128). */
int cidr_parse(const char *s, struct cidr *c);
char *cidr_format(const struct cidr *c, char buf[CIDR_STRLEN]); /* always with "/len" */
bool cidr_contains(const struct cidr *c, const struct ip *ip);  /* false across families */
struct ip cidr_network(const struct cidr *c);                   /* host bits cleared */
struct ip cidr_broadcast(const struct cidr *c);                 /* IPv4: host bits set */

static inline unsigned cidr_len128(const struct cidr *c)
{
    return ip_is4(&c->addr) ? 96u + c->len : c->len;
}

/* True when the first 'bits' (0..128) bits of the two mapped addresses agree. */
bool ip_prefix_equal(const struct ip *a, const struct ip *b, unsigned bits);

#endif
