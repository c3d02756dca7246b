/* DHCP for IPv6: messages and options (RFC 8415, 3646), DUIDs.
 *
 * A message between client and server is a type, a transaction id and options, some of which hold
 * options.  dhcp6_parse() accepts it only if all of them fit, nested ones too; then they are walked
 * in place.  Relayed messages are not read.  Thread: pure functions. */
#ifndef MN_PACKET_DHCP6_H
#define MN_PACKET_DHCP6_H

#include <stddef.h>

#include "packet/flow.h"

enum { DHCP6_CLIENT_PORT = 546, DHCP6_SERVER_PORT = 547 };
enum {
    DHCP6_MAX_SIZE = 1232 /* of a message: what IPv6's least MTU carries */,
    DHCP6_MAX_DUID = 130
};

enum dhcp6_type {
    DHCP6_SOLICIT = 1,
    DHCP6_ADVERTISE,
    DHCP6_REQUEST,
    DHCP6_CONFIRM,
    DHCP6_RENEW,
    DHCP6_REBIND,
    DHCP6_REPLY,
    DHCP6_RELEASE,
    DHCP6_DECLINE,
    DHCP6_RECONFIGURE,
    DHCP6_INFORMATION_REQUEST,
    DHCP6_N_TYPES
};
const char *dhcp6_type_name(unsigned type); /* "solicit"; null beyond */

enum {
    DHCP6_OPT_CLIENT_ID = 1,
    DHCP6_OPT_SERVER_ID = 2,
    DHCP6_OPT_IA_NA = 3,
    DHCP6_OPT_IA_TA = 4,
    DHCP6_OPT_IAADDR = 5,
    DHCP6_OPT_STATUS = 13,
    DHCP6_OPT_RAPID_COMMIT = 14,
    DHCP6_OPT_DNS = 23,
    DHCP6_OPT_IA_PD = 25,
};

enum dhcp6_status {
    DHCP6_SUCCESS,
    DHCP6_UNSPEC_FAIL,
    DHCP6_NO_ADDRS_AVAIL,
    DHCP6_NO_BINDING,
    DHCP6_NOT_ON_LINK,
    DHCP6_USE_MULTICAST,
    DHCP6_NO_PREFIX_AVAIL,
};

/* Options still to be walked. */
struct dhcp6_opts {
    const uint8_t *p;
    size_t size;
};

struct dhcp6_opt {
    uint16_t code, size;
    const uint8_t *data;
};

struct dhcp6 {
    uint8_t type; /* enum dhcp6_type */
    uint32_t xid; /* 24 bits */
    struct dhcp6_opts opts;
};

/* 'frame' is UDP over IPv6, whole.  -EINVAL when it is no such message or breaks off. */
int dhcp6_parse(const uint8_t *frame, size_t size, struct dhcp6 *out);
/* Takes the next option; false: that was the last.  The options are sound. */
bool dhcp6_next(struct dhcp6_opts *opts, struct dhcp6_opt *out);
/* The first one of 'code'; false when there is none. */
bool dhcp6_find(struct dhcp6_opts opts, uint16_t code, struct dhcp6_opt *out);
/* The options within an IA or an address (of a message that was accepted); none of others. */
struct dhcp6_opts dhcp6_within(const struct dhcp6_opt *o);

/* Writing into 'p'..'end'; what doesn't fit sets 'full'. */
struct dhcp6_writer {
    uint8_t *p, *end;
    bool full;
};
void dhcp6_put(struct dhcp6_writer *w, uint16_t code, const void *data, size_t size);
/* An option that holds options: what is put between these two is within it. */
uint8_t *dhcp6_open(struct dhcp6_writer *w, uint16_t code, const void *data, size_t size);
void dhcp6_close(struct dhcp6_writer *w, uint8_t *opened);
void dhcp6_put_status(struct dhcp6_writer *w, enum dhcp6_status code, const char *text);

/* A whole frame with the addresses and ports of 'key'; 0 when it doesn't fit. */
size_t dhcp6_build(uint8_t *buf, size_t size, const struct flow_key *key, uint8_t type,
                   uint32_t xid, const uint8_t *opts, size_t opts_size);

/* "00:03:00:01:...", with colons, dashes or neither; the size, or -1. */
int dhcp6_duid_parse(const char *text, uint8_t buf[DHCP6_MAX_DUID]);
char *dhcp6_duid_format(const uint8_t *duid, size_t n, char *buf, size_t size);
/* The MAC in a DUID made of one (types LLT and LL, Ethernet); false: there is none. */
bool dhcp6_duid_mac(const uint8_t *duid, size_t n, struct mac *mac);
/* DUID-LL of a MAC. */
enum { DHCP6_DUID_LL_SIZE = 10 };
void dhcp6_duid_of_mac(const struct mac *mac, uint8_t duid[DHCP6_DUID_LL_SIZE]);

#endif
