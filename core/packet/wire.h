/* Reading and writing of header fields in the wire's byte order, at any alignment. */
#ifndef MN_PACKET_WIRE_H
#define MN_PACKET_WIRE_H

#include <stdint.h>
#include <string.h>

enum {
    WIRE_ETH_SIZE = 14,
    WIRE_VLAN_SIZE = 4,
    WIRE_ARP_SIZE = 28,
    WIRE_IP4_SIZE = 20,
    WIRE_IP6_SIZE = 40,
    WIRE_TCP_SIZE = 20,
    WIRE_UDP_SIZE = 8,
    WIRE_SCTP_SIZE = 12,
    WIRE_DCCP_SIZE = 12,
    WIRE_ICMP_SIZE = 8,
};

enum {
    WIRE_PROTO_HOPOPTS = 0,
    WIRE_PROTO_ICMP = 1,
    WIRE_PROTO_TCP = 6,
    WIRE_PROTO_UDP = 17,
    WIRE_PROTO_DCCP = 33,
    WIRE_PROTO_ROUTING = 43,
    WIRE_PROTO_FRAGMENT = 44,
    WIRE_PROTO_AH = 51,
    WIRE_PROTO_ICMP6 = 58,
    WIRE_PROTO_NONE = 59,
    WIRE_PROTO_DSTOPTS = 60,
    WIRE_PROTO_SCTP = 132,
    WIRE_PROTO_UDPLITE = 136,
};

static inline uint16_t get16(const uint8_t *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof v);
    return __builtin_bswap16(v);
}

static inline uint32_t get32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

static inline void put16(uint8_t *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, sizeof v);
}

static inline void put32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof v);
}

#endif
