/* How large a packet the overlay carries from this host: what machines are told by DHCP and router
 * advertisements.  The least of the interfaces that have the host's addresses in tunnel zones, less
 * what a tunnel adds; no more than 'most' (0: 65535).  'most' when none is known.
 * Thread: pure. */
#ifndef MN_AGENT_MTU_H
#define MN_AGENT_MTU_H

#include "agent/ifaces.h"
#include "topology/topology.h"

uint16_t overlay_mtu(const struct topo_host *host, const struct ifaces *ifaces, uint16_t most);

#endif
