/* Kinds of values of DHCP options: what the registry (dhcp_options.c) says of each option, and the
 * codec (dhcp_values.c) goes by.  Not for others: dhcp.h has what they need. */
#ifndef MN_PACKET_DHCP_KIND_H
#define MN_PACKET_DHCP_KIND_H

#include <stdint.h>

enum dhcp_kind {
    K_BYTES, /* hex digits */
    K_STRING,
    K_FLAG, /* no value */
    K_BOOL,
    K_U8,
    K_U16,
    K_U32,
    K_I32,
    K_U16S,
    K_IP,
    K_IPS,
    K_PAIRS,  /* of addresses */
    K_ROUTES, /* RFC 3442 */
    K_NAMES,  /* domains as in DNS; RFC 3397, never compressed */
    K_SIP,    /* RFC 3361 */
};

/* K_STRING for an option that has no name here: so text is sent as it stands. */
enum dhcp_kind dhcp_option_kind(uint8_t code);

#endif
