/* Packets: parse, build, rewrite, checksum.
 *
 * packet_parse() fills a flow key from the bytes of an Ethernet frame and never reads past 'size'.
 * Frames that don't hold what their headers promise are marked: 'malformed' in the key is non-zero
 * (enum packet_bad), fields that could be read are filled, the rest are zero.  The simulator drops
 * a malformed frame with the reason.  IPv6 extension headers are walked (hop-by-hop, routing,
 * destination, fragment, AH), at most 8 of them and 256 bytes.
 * Thread: pure functions. */
#ifndef MN_PACKET_PACKET_H
#define MN_PACKET_PACKET_H

#include <stddef.h>

#include "base/types.h"
#include "packet/flow.h"

#define ETH_TYPE_IP   0x0800
#define ETH_TYPE_ARP  0x0806
#define ETH_TYPE_VLAN 0x8100
#define ETH_TYPE_QINQ 0x88a8
#define ETH_TYPE_IP6  0x86dd

#define PACKET_MAX 65600 /* bytes of the largest frame we handle (merged packets included) */

enum packet_bad {
    PACKET_OK,
    PACKET_BAD_ETH,     /* shorter than an Ethernet header (with its tags) */
    PACKET_BAD_IP_SIZE, /* header or total length beyond the frame, or header < 20 bytes */
    PACKET_BAD_IP_VERSION,
    PACKET_BAD_IP6_EXT, /* chain too long, or cut */
    PACKET_BAD_L4,      /* TCP/UDP/ICMP header cut, or its own length field wrong */
    PACKET_BAD_ARP,     /* cut, not Ethernet/IPv4, or no possible sender */
    PACKET_BAD_ADDR,    /* source multicast, broadcast or loopback; ::ffff:0:0/96 in an IPv6 header,
                         * which would pass for IPv4 in every table (types.h) */
    PACKET_BAD_ND,      /* RFC 4861 section 7.1: hop limit, lengths, options */
};
const char *packet_bad_name(unsigned bad);

/* Offsets of the layers from the start of the frame; 0: not there. */
struct packet_layers {
    uint32_t l3, l4, l4_end; /* l4_end: first byte behind the IP payload (padding excluded) */
};

/* in_port, tun_id and tun_src of 'key' are left to the caller, everything else is set. */
void packet_parse(const uint8_t *p, size_t size, struct flow_key *key, struct packet_layers *l);
/* The same as if the first 'n' VLAN tags weren't there (offsets still count from 'p'). */
void packet_parse_behind(const uint8_t *p, size_t size, unsigned n, struct flow_key *key,
                         struct packet_layers *l);

/* Applies one output's rewrites.  'p' has room for 8 more bytes in front ('headroom') for a pushed
 * tag: returns the new start (p, p-4 or p+4) and updates *size.  Checksums are kept right. */
uint8_t *packet_rewrite(uint8_t *p, size_t *size, const struct flow_out *out);

/* ICMP: echo requests and replies; errors that quote the packet they are about. */
bool packet_is_echo(const struct flow_key *key);
bool packet_is_icmp_error(const struct flow_key *key);
void packet_set_echo_id(uint8_t *p, size_t size, uint16_t id);

/* The packet that an ICMP or ICMPv6 error quotes: as much of its beginning as the sender cared to
 * send, 8 bytes behind its IP header at least (RFC 792). */
struct packet_quote {
    struct flow_key key; /* ports zero when 'ports' is false */
    struct packet_layers l;
    bool ports; /* its ports, or ICMP type and id, are there */
};
/* False when it isn't such an error, or quotes nothing sound. */
bool packet_quote(const uint8_t *p, size_t size, struct packet_quote *q);
/* Makes the addresses, ports and echo id of the quoted packet those of 'to', of the same family and
 * protocol; its checksums, as far as they are quoted, and the error's own follow. */
void packet_quote_rewrite(uint8_t *p, const struct packet_quote *q, const struct flow_key *to);

struct packet_ends {
    struct ip src, dst;
};
/* The frame in the other IP version with these addresses (RFC 7915), in 'buf' of 'room' bytes
 * ('size' and 80 are enough); 'quoted': of what an ICMP error quotes, null when it isn't one.
 * Returns its size; 0 when it has no counterpart: fragments, tagged or malformed frames, wrong
 * checksums (they would come out right), ICMP messages that mean nothing there. */
size_t packet_change_version(uint8_t *buf, size_t room, const uint8_t *p, size_t size,
                             const struct packet_ends *ends, const struct packet_ends *quoted);

/* Makes IP and L4 checksums from scratch (what checksum offload left undone). */
void packet_finish_checksums(uint8_t *p, size_t size);
bool packet_checksums_right(const uint8_t *p, size_t size);

/* Builders write a whole frame into 'buf' (size bytes of room) and return its size, or 0 when it
 * doesn't fit.  tci: 0 or with FLOW_VLAN_PRESENT. */
size_t packet_arp(uint8_t *buf, size_t size, uint16_t op, const struct mac *eth_src,
                  const struct mac *eth_dst, const struct mac *sha, const struct ip *spa,
                  const struct mac *tha, const struct ip *tpa);
/* Neighbour solicitation (target's solicited-node group when dst is null) and advertisement. */
size_t packet_nd_solicit(uint8_t *buf, size_t size, const struct mac *src_mac, const struct ip *src,
                         const struct mac *dst_mac, const struct ip *dst, const struct ip *target);
size_t packet_nd_advert(uint8_t *buf, size_t size, const struct mac *src_mac, const struct ip *src,
                        const struct mac *dst_mac, const struct ip *dst, const struct ip *target,
                        bool router, bool solicited);
/* ICMP or ICMPv6 error about 'orig' (a whole frame), by family: quotes as much as RFC 792/1812 or
 * RFC 4443 allow.  'mtu' for "fragmentation needed"/"packet too big". */
size_t packet_icmp_error(uint8_t *buf, size_t size, const struct mac *src_mac, const struct ip *src,
                         const struct mac *dst_mac, uint8_t type, uint8_t code, uint32_t mtu,
                         const uint8_t *orig, size_t orig_size);
/* The reply to an echo request: same frame, addresses swapped, type changed. */
size_t packet_echo_reply(uint8_t *buf, size_t size, const uint8_t *request, size_t request_size);
/* Plain IP/UDP, IP/TCP, IP/ICMP echo frame from a key (for trace and tests). */
size_t packet_from_key(uint8_t *buf, size_t size, const struct flow_key *key, const void *payload,
                       size_t payload_size);

/* ARP and ND fields that the flow key doesn't carry. */
struct packet_nd {
    struct ip target;
    struct mac lladdr; /* source or target link-layer address option; zero when absent */
    uint32_t flags;    /* advertisement: router, solicited, override in the top bits */
};
int packet_arp_macs(const uint8_t *p, size_t size, struct mac *sha, struct mac *tha);
int packet_nd_parse(const uint8_t *p, size_t size, struct packet_nd *nd);

#endif
