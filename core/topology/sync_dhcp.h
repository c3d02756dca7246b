/* Inside the loader: DHCP of bridges, what its files share.
 *
 *   sync_dhcp.c        subnets: load, follow the bridge's change log
 *   sync_dhcp_host.c   the hosts of subnets, each with its options
 *   sync_dhcp_build.c  what the published bridge says of it, and what differs from the one before
 *
 * Subnets are few and copied with every bridge published; hosts may be thousands, and are shared by
 * the bridge's versions in a table that changes in place (dhcp.h). */
#ifndef MN_TOPOLOGY_SYNC_DHCP_H
#define MN_TOPOLOGY_SYNC_DHCP_H

#include "topology/dhcp.h"
#include "topology/sync_impl.h"

struct dhcp_entry {
    struct uuid id; /* key of the hash */
    struct topo_dhcp_host *host;
    bool seen; /* by the load under way */
    UT_hash_handle hh;
};

typedef VEC(struct topo_dhcp_subnet) dhcp_subnets; /* their lists are malloc'd */

struct dhcp_state {
    dhcp_subnets subnets; /* sorted by prefix, IPv4 first */
    struct dhcp_entry *entries;
    struct topo_dhcp_hosts *hosts; /* the published object's, once there is one */
};

/* sync_dhcp_host.c */
/* Reads these again, of one of the types of hosts; those that are gone go. */
int sync_dhcp_read_hosts(struct sync *s, struct device_item *d, enum schema_type_id type,
                         const struct uuid *ids, size_t n);
void sync_dhcp_drop_host(struct sync *s, struct device_item *d, struct dhcp_entry *e);

/* sync_dhcp.c: made if there is none */
struct dhcp_state *sync_dhcp_state(struct device_item *d);

#endif
