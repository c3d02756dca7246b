#include "agent/mtu.h"

#include "base/mem.h"
#include "packet/flow.h"

enum { LEAST = 68 /* RFC 791 */ };

/* Outer headers in front of the inner packet, its Ethernet header included. */
static unsigned overhead(const struct topo_zone_addr *z)
{
    unsigned ip = ip_is4(&z->ip) ? 20 : 40;

    return z->type == FLOW_TUNNEL_GRE ? ip + 8 + 18 : ip + 8 + 8 + 14;
}

uint16_t overlay_mtu(const struct topo_host *host, const struct ifaces *ifaces, uint16_t most)
{
    unsigned least = most ? most : UINT16_MAX;

    for (unsigned i = 0; host && i < host->n_zones; i++) {
        const struct net_iface *iface = ifaces_with_address(ifaces, &host->zones[i].ip);
        unsigned outer = overhead(&host->zones[i]);
        if (iface && iface->mtu >= outer + LEAST)
            least = MIN(least, iface->mtu - outer);
    }
    return (uint16_t)least;
}
