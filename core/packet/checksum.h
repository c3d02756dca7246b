/* Internet checksum (RFC 1071), its incremental form (RFC 1624), and SCTP's CRC32c (RFC 9260
 * appendix A).  Sums are folded 16-bit values in host order; "right" data sums to 0xffff. */
#ifndef MN_PACKET_CHECKSUM_H
#define MN_PACKET_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#include "packet/flow.h"

/* One's complement sum of 'size' bytes added to 'sum', folded. */
uint16_t csum_add(uint16_t sum, const void *p, size_t size);

/* The checksum field at 'field' after 'size' (even) bytes changed from 'old' to 'new'. */
void csum_update(uint8_t *field, const void *old, const void *new, size_t size);

/* Continues 'crc' (0 at the start). */
uint32_t crc32c(uint32_t crc, const void *p, size_t size);

/* Makes the CRC of the 'size' (at least 12) bytes of an SCTP packet. */
void packet_sctp_crc(uint8_t *p, size_t size);

/* Where a transport header keeps its checksum, and whether that covers the pseudo header; 'offset'
 * 0 when it has none of this kind (SCTP's CRC among them). */
struct csum_place {
    uint8_t offset;
    bool pseudo;
};
struct csum_place csum_place(uint8_t proto, bool ip6);

#endif
