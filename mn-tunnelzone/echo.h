/* One peer's ICMP echo socket, IPv4 or IPv6: what probe.c searches with. */
#ifndef MN_TUNNELZONE_ECHO_H
#define MN_TUNNELZONE_ECHO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/types.h"

struct echo {
    int fd;
    bool v6, raw; /* raw: answers carry an IPv4 header, and are everybody's */
    uint16_t id;
    unsigned mtu; /* of the interface the route leads to */
};

enum echo_type { ECHO_ANSWER, ECHO_TOO_BIG, ECHO_UNREACHABLE };

struct echo_event {
    enum echo_type type;
    unsigned size; /* of the IP packet answered, or refused */
    unsigned mtu;  /* TOO_BIG: what would pass, 0 unknown */
    char reason[96];
};

/* 0, or a negative errno. */
int echo_open(struct echo *s, const struct ip *from, const struct ip *to);
void echo_close(struct echo *s);
/* An echo in an IP packet of 'size' bytes; -EMSGSIZE when the interface doesn't take it. */
int echo_send(struct echo *s, unsigned size);
/* The next event; false when there is none.  Never blocks. */
bool echo_receive(struct echo *s, struct echo_event *ev);

#endif
