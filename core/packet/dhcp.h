/* DHCP for IPv4: messages (RFC 2131) and options (RFC 2132, 3396, 3397, 3442).
 *
 * A message is read where it lies: 'struct dhcp' holds the fixed fields and where the options are.
 * Options may continue in the fields "file" and "sname" (overload), and one option may come in
 * several pieces; dhcp_option() puts them together.  dhcp_parse() accepts a message only if every
 * option of every place fits into it, so that nothing later can run beyond.
 *
 * Options have a name and a kind of value in one table, from which text is encoded ("mtu" "1450",
 * "121" "10.0.0.0/8,10.0.0.1") and printed.  Names are IANA's; those of dnsmasq and of ISC's dhcpd
 * that differ are taken too.  Thread: pure functions. */
#ifndef MN_PACKET_DHCP_H
#define MN_PACKET_DHCP_H

#include <stddef.h>

#include "packet/flow.h"

enum { DHCP_SERVER_PORT = 67, DHCP_CLIENT_PORT = 68 };
enum { DHCP_MAX_SIZE = 1472 /* of a message: an Ethernet's worth */ };

enum dhcp_type {
    DHCP_BOOTP, /* says nothing of DHCP */
    DHCP_DISCOVER,
    DHCP_OFFER,
    DHCP_REQUEST,
    DHCP_DECLINE,
    DHCP_ACK,
    DHCP_NAK,
    DHCP_RELEASE,
    DHCP_INFORM,
    DHCP_N_TYPES
};
const char *dhcp_type_name(unsigned type); /* "discover"; null beyond */

enum {
    DHCP_OPT_PAD = 0,
    DHCP_OPT_MASK = 1,
    DHCP_OPT_ROUTER = 3,
    DHCP_OPT_DNS = 6,
    DHCP_OPT_HOST_NAME = 12,
    DHCP_OPT_MTU = 26,
    DHCP_OPT_BROADCAST = 28,
    DHCP_OPT_REQUESTED = 50,
    DHCP_OPT_LEASE = 51,
    DHCP_OPT_OVERLOAD = 52,
    DHCP_OPT_TYPE = 53,
    DHCP_OPT_SERVER = 54,
    DHCP_OPT_MAX_SIZE = 57,
    DHCP_OPT_CLIENT_ID = 61,
    DHCP_OPT_TFTP_NAME = 66,
    DHCP_OPT_RELAY = 82,
    DHCP_OPT_ROUTES = 121,
    DHCP_OPT_END = 255,
};

struct dhcp {
    uint8_t op;   /* 1 from clients, 2 from servers */
    uint8_t type; /* enum dhcp_type */
    uint8_t hops;
    uint16_t secs, flags;
    uint32_t xid;
    struct ip ciaddr, yiaddr, siaddr, giaddr; /* IPv4; 0.0.0.0 when not set */
    struct mac chaddr;
    unsigned n_areas;
    struct dhcp_area {
        const uint8_t *p;
        size_t size;
    } areas[3];
};

/* 'frame' is UDP over IPv4, whole.  -EINVAL when it is no such message or breaks off. */
int dhcp_parse(const uint8_t *frame, size_t size, struct dhcp *out);
/* The value's whole size, of which up to 'room' bytes are in 'buf'; -1 when there is none. */
int dhcp_option(const struct dhcp *d, uint8_t code, uint8_t *buf, size_t room);
/* The value as an address; false when there is none of that size. */
bool dhcp_option_ip(const struct dhcp *d, uint8_t code, struct ip *out);
/* The codes that occur, each once, ascending; returns how many. */
unsigned dhcp_option_codes(const struct dhcp *d, uint8_t codes[256]);

struct dhcp_opt {
    uint8_t code;
    uint16_t size;
    const uint8_t *data;
};

/* A whole frame with the addresses and ports of 'key'.  'd' gives the fixed fields and the type.
 * The message gets at most 'max_size' bytes (576 at least): what doesn't fit among the options goes
 * to "file" and "sname", and what doesn't fit there is left out, counted in *left_out (null is
 * fine).  0 when 'size' is too small. */
size_t dhcp_build(uint8_t *buf, size_t size, const struct flow_key *key, const struct dhcp *d,
                  const struct dhcp_opt *opts, unsigned n_opts, size_t max_size,
                  unsigned *left_out);

/* The option that text names, by name or number 1..254; -1 when there is none. */
int dhcp_option_code(const char *name);
const char *dhcp_option_name(uint8_t code); /* null: it has none here */
/* May the operator set it for a client?  Not what the protocol itself is made of. */
bool dhcp_option_settable(uint8_t code);
/* Text to bytes; the size, or -1 when the text is no value for it. */
int dhcp_option_encode(uint8_t code, const char *text, uint8_t *buf, size_t room);
/* The reverse; bytes that aren't a value of their kind print as hex.  Returns buf. */
char *dhcp_option_format(uint8_t code, const uint8_t *data, size_t n, char *buf, size_t size);

#endif
