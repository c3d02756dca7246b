/* A tunnel zone with its members, as check needs it. */
#ifndef MN_TUNNELZONE_ZONE_H
#define MN_TUNNELZONE_ZONE_H

#include "cli/cli.h"

struct zone_member {
    struct uuid host;
    char *name; /* of the host; its uuid if it has none */
    struct ip address;
};

struct zone {
    struct uuid id;
    char *name, *type;
    struct zone_member *members; /* by name */
    size_t n;
};

/* 'text' is a name or uuid.  Free with zone_free(), also after an error. */
int zone_load(struct cli *cli, const char *text, struct zone *z, struct error *e);
void zone_free(struct zone *z);

/* The member that is this host: the one that 'text' names (host name, uuid or address), or with
 * null the one whose address an interface here has.  -ENOENT. */
int zone_self(const struct zone *z, const char *text, const struct zone_member **self,
              struct error *e);

/* Bytes that the zone's encapsulation puts before an inner IP packet. */
unsigned zone_overhead(const struct zone *z, const struct ip *address);

#endif
