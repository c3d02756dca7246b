/* Router solicitations and advertisements (RFC 4861, RDNSS of RFC 8106).  Thread: pure functions.
 */
#ifndef MN_PACKET_RA_H
#define MN_PACKET_RA_H

#include <stddef.h>

#include "base/types.h"

enum { RA_PREFIXES = 16, RA_DNS = 8 };

struct packet_ra {
    uint8_t hop_limit; /* 0: says nothing */
    bool managed;      /* addresses by DHCPv6 */
    bool other;        /* the rest by DHCPv6 */
    uint16_t lifetime; /* s, as default router; 0: isn't one */
    uint32_t mtu;      /* 0: says nothing */
    unsigned n_prefixes, n_dns;
    struct ra_prefix {
        struct cidr net;
        bool on_link, autonomous;
        uint32_t valid, preferred; /* s */
    } prefixes[RA_PREFIXES];
    uint32_t dns_lifetime; /* s */
    struct ip dns[RA_DNS];
    struct mac lladdr; /* of the sender; zero: doesn't say */
};

/* 'ra->lladdr' is what the source link-layer address option says.  0 when it doesn't fit. */
size_t packet_ra_build(uint8_t *buf, size_t size, const struct mac *src_mac, const struct ip *src,
                       const struct mac *dst_mac, const struct ip *dst, const struct packet_ra *ra);
/* -EINVAL when it isn't one that a host may believe.  What there are too many of is left out. */
int packet_ra_parse(const uint8_t *p, size_t size, struct packet_ra *out);

/* A solicitation; 'src' none: says nothing of the sender. */
size_t packet_rs_build(uint8_t *buf, size_t size, const struct mac *src_mac, const struct ip *src);
/* The sender's link-layer address, zero when it doesn't say; -EINVAL when it is none. */
int packet_rs_parse(const uint8_t *p, size_t size, struct mac *lladdr);

#endif
