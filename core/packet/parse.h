/* Between the files of this folder: a check the parser asks for, headers the builders share. */
#ifndef MN_PACKET_PARSE_H
#define MN_PACKET_PARSE_H

#include <stddef.h>

#include "base/mem.h"
#include "packet/packet.h"

/* Is the ICMPv6 message of type 133..137 at 'p' one that a node may believe (RFC 4861 sections
 * 6.1, 7.1 and 8.1; the checksum isn't looked at)?  'key' has the IP header's fields. */
bool packet_nd_valid(const uint8_t *p, size_t size, const struct flow_key *key);

/* Has the parser come as far as finding the transport header whole? */
static inline bool packet_transport_sound(const struct flow_key *key, const struct packet_layers *l)
{
    return l->l4 && key->ip_frag != FLOW_FRAG_LATER &&
           (key->malformed == PACKET_OK || key->malformed == PACKET_BAD_ND);
}

/* Write a header at 'p', return where its payload begins.  IPv4's header checksum is left zero. */
uint8_t *packet_put_eth(uint8_t *p, const struct mac *src, const struct mac *dst, uint16_t type);
uint8_t *packet_put_ip4(uint8_t *p, const struct ip *src, const struct ip *dst, uint8_t proto,
                        uint8_t ttl, uint8_t tos, size_t payload_size);
uint8_t *packet_put_ip6(uint8_t *p, const struct ip *src, const struct ip *dst, uint8_t proto,
                        uint8_t ttl, uint8_t tos, size_t payload_size);

#endif
