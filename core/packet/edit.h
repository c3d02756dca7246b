/* Between the files of this folder that change packets: header fields are set in place, checksums
 * follow incrementally. */
#ifndef MN_PACKET_EDIT_H
#define MN_PACKET_EDIT_H

#include "packet/checksum.h"
#include "packet/packet.h"
#include "packet/wire.h"

struct edit {
    uint8_t *p;
    struct flow_key key; /* what is there, and at which offsets from 'p' */
    struct packet_layers l;
    bool ip6;
    size_t l4_size;
    uint8_t *l4_csum; /* null: no incremental checksum there */
    bool pseudo;      /* it covers the addresses */
};

/* Fills 'l4_csum' and 'pseudo' from the rest. */
void edit_find_checksum(struct edit *e);
/* The transport's checksum after 'size' (even) bytes it covers changed. */
void edit_checksum(struct edit *e, const void *old, const void *new, size_t size);
/* At 'offset' in the IP header; an address of the other family changes nothing. */
void edit_address(struct edit *e, unsigned offset, const struct ip *ip);
/* Of TCP, UDP, SCTP (whose CRC is left to the caller); ICMP: type and code. */
void edit_ports(struct edit *e, uint16_t src, uint16_t dst);
void edit_echo_id(struct edit *e, uint16_t id);

#endif
