/* Learned tables: MAC addresses of a bridge, neighbours (ARP and ND) of a router's ports.
 *
 * Shared by all agents through the store (ephemeral nodes of the agent that learned the entry, see
 * sync.h), read by simulations at every packet, changed while they run.  Entries are RCU-managed;
 * a reader keeps an entry until its next quiescent state.
 * Threads: any reader; one writer at a time per table (the topology thread). */
#ifndef MN_TOPOLOGY_TABLES_H
#define MN_TOPOLOGY_TABLES_H

#include "topology/topology.h"

struct topo_mac_table;
struct topo_neigh_table;

struct topo_mac_table *topo_mac_table_new(void);
void topo_mac_table_free(struct topo_mac_table *t);
/* The port behind which (vlan, mac) was last seen, or 0. */
topo_ref topo_mac_lookup(const struct topo_mac_table *t, uint16_t vlan, const struct mac *mac);
/* Port 0 removes.  Returns the port that was there. */
topo_ref topo_mac_set(struct topo_mac_table *t, uint16_t vlan, const struct mac *mac,
                      topo_ref port);
typedef int topo_mac_fn(uint16_t vlan, const struct mac *mac, topo_ref port, void *aux);
int topo_mac_each(const struct topo_mac_table *t, topo_mac_fn *fn, void *aux);

struct topo_neigh {
    struct mac mac;
    uint64_t stale_ns;  /* from then on a use asks again, but may go on using it */
    uint64_t expire_ns; /* from then on it doesn't count */
};

struct topo_neigh_table *topo_neigh_table_new(void);
void topo_neigh_table_free(struct topo_neigh_table *t);
/* Copies the entry to *out; false when there is none (an expired one doesn't count). */
bool topo_neigh_lookup(const struct topo_neigh_table *t, topo_ref port, const struct ip *ip,
                       uint64_t now_ns, struct topo_neigh *out);
/* 'n' null removes.  True when the MAC differs from what was there. */
bool topo_neigh_set(struct topo_neigh_table *t, topo_ref port, const struct ip *ip,
                    const struct topo_neigh *n);
typedef int topo_neigh_fn(topo_ref port, const struct ip *ip, const struct topo_neigh *n,
                          void *aux);
int topo_neigh_each(const struct topo_neigh_table *t, topo_neigh_fn *fn, void *aux);

#endif
