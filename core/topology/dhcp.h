/* What a bridge tells its machines about their addresses: DHCP subnets and hosts.
 *
 * Subnets are few and part of each version of the bridge (topo_bridge.subnets).  Hosts may be ten
 * thousand: they hang in a table that all versions of the bridge share, so that adding one costs
 * the same whatever is there.  It is keyed by what names a client: its MAC (IPv4), its DUID or MAC
 * (IPv6); a client may have an entry in each of several subnets, so a key may occur often.
 *
 * Host entries are immutable; one that goes is freed after an RCU grace period.
 * Threads: one writer (the topology's), any registered reader. */
#ifndef MN_TOPOLOGY_DHCP_H
#define MN_TOPOLOGY_DHCP_H

#include "packet/dhcp.h"
#include "topology/topology.h"

struct topo_dhcp_route {
    struct cidr dst;
    struct ip gateway;
};

enum topo_ra_mode { TOPO_RA_STATEFUL, TOPO_RA_STATELESS, TOPO_RA_SLAAC, TOPO_RA_NONE };

/* Of either family: net.addr tells. */
struct topo_dhcp_subnet {
    struct uuid id;
    struct cidr net;
    bool enabled;
    uint8_t ra_mode; /* IPv6: enum topo_ra_mode */
    uint16_t mtu;    /* 0: not set */
    uint16_t n_dns, n_routes;
    struct ip gateway;     /* none: not set */
    struct ip server;      /* IPv4: what answers come from and clients name us by; or 0.0.0.0 */
    struct mac server_mac; /* who has that address, as far as the bridge knows: the station that
                            * renewals are sent to; zero: unknown */
    struct ip *dns;
    struct topo_dhcp_route *routes;
};

/* The station that DHCP's answers come from. */
extern const struct mac topo_dhcp_mac;

struct topo_dhcp_host {
    struct uuid id, subnet;
    struct ip ip;
    struct ip next_server; /* IPv4: of the boot loader; none: not set */
    const char *name;      /* "": not set */
    bool ip6;
    uint8_t key_size;
    const uint8_t *key;
    unsigned n_opts; /* IPv4: more options, or other values for them */
    const struct dhcp_opt *opts;
    struct rcu_head rcu;
};

/* A copy of 'like' with all that it points to, in one block. */
struct topo_dhcp_host *topo_dhcp_host_new(const struct topo_dhcp_host *like);
bool topo_dhcp_host_equal(const struct topo_dhcp_host *a, const struct topo_dhcp_host *b);
void topo_dhcp_host_free(struct topo_dhcp_host *h); /* one that never was in a table */

struct topo_dhcp_hosts;

struct topo_dhcp_hosts *topo_dhcp_hosts_new(void);
void topo_dhcp_hosts_free(struct topo_dhcp_hosts *t); /* with all in it; no reader may be left */
void topo_dhcp_add(struct topo_dhcp_hosts *t, struct topo_dhcp_host *h); /* owns it from now on */
void topo_dhcp_remove(struct topo_dhcp_hosts *t, struct topo_dhcp_host *h);
size_t topo_dhcp_size(const struct topo_dhcp_hosts *t);
size_t topo_dhcp_memory(const struct topo_dhcp_hosts *t);

/* All entries of one client, in no order:
 *     for (h = topo_dhcp_first(t, &it, false, mac.b, 6); h; h = topo_dhcp_next(&it))  */
struct topo_dhcp_iter {
    const struct topo_dhcp_array *array;
    uint32_t at;
    bool ip6;
    const uint8_t *key;
    size_t key_size;
};
const struct topo_dhcp_host *topo_dhcp_first(const struct topo_dhcp_hosts *t,
                                             struct topo_dhcp_iter *it, bool ip6,
                                             const uint8_t *key, size_t key_size);
const struct topo_dhcp_host *topo_dhcp_next(struct topo_dhcp_iter *it);

/* By id; null when the bridge has none of it. */
const struct topo_dhcp_subnet *topo_dhcp_subnet(const struct topo_bridge *b, const struct uuid *id);

#endif
