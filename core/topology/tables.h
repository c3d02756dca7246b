/* Learned tables: MAC addresses of a bridge, neighbours (ARP and ND) of a router's ports.
 *
 * Shared by all agents through the store (see sync.h), read by simulations at every packet, changed
 * while they run.  Both are open-addressed arrays, replaced by a larger or cleaner one under RCU;
 * readers take no lock and see each entry either before or after a change, never half of it.
 * Threads: any registered reader; writers of one table exclude each other by its own mutex, so that
 * the worker that learned an address can enter it at once. */
#ifndef MN_TOPOLOGY_TABLES_H
#define MN_TOPOLOGY_TABLES_H

#include "topology/topology.h"

struct topo_mac_table;
struct topo_neigh_table;

struct topo_mac_table *topo_mac_table_new(void);
void topo_mac_table_free(struct topo_mac_table *t); /* no reader may be left; null is fine */
/* The port behind which (vlan 0..4095, mac) was last seen, or 0.  't' may be null: empty. */
topo_ref topo_mac_lookup(const struct topo_mac_table *t, uint16_t vlan, const struct mac *mac);
/* Port 0 removes.  Returns the port that was there. */
topo_ref topo_mac_set(struct topo_mac_table *t, uint16_t vlan, const struct mac *mac,
                      topo_ref port);
typedef int topo_mac_fn(uint16_t vlan, const struct mac *mac, topo_ref port, void *aux);
/* In no order; stops when fn returns non-zero and returns that.  fn may change the table. */
int topo_mac_each(const struct topo_mac_table *t, topo_mac_fn *fn, void *aux);
size_t topo_mac_size(const struct topo_mac_table *t);
size_t topo_mac_memory(const struct topo_mac_table *t);

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
/* 'n' null removes.  True when the MAC differs from what readers saw 'at_ns' (an entry that had
 * expired they didn't see: who waits for the neighbour must hear that it is there again). */
bool topo_neigh_set(struct topo_neigh_table *t, topo_ref port, const struct ip *ip,
                    const struct topo_neigh *n, uint64_t at_ns);
/* In no order; expired ones too; stops when fn returns non-zero and returns that. */
typedef int topo_neigh_fn(topo_ref port, const struct ip *ip, const struct topo_neigh *n,
                          void *aux);
int topo_neigh_each(const struct topo_neigh_table *t, topo_neigh_fn *fn, void *aux);
size_t topo_neigh_size(const struct topo_neigh_table *t);
size_t topo_neigh_memory(const struct topo_neigh_table *t);

#endif
