/* What is done to the interface of a port that is served: its MTU is raised, and put back when it
 * is given up; its limit is told to the datapath. */
#include <stdio.h>

#include "agent/binding_impl.h"
#include "base/log.h"
#include "net/link.h"

#define BOUND_MTU                                                                                  \
    65000 /* reference behaviour, section 10: what the machine behind it sends passes */
#define MTU_NOTE "mn: mtu was %u"

/* What the MTU was is written beside it, for the process that gives the interface back may be
 * another one.  An alias that is somebody else's stays; the MTU is then restored by us or nobody.
 */
void binding_set_mtu(struct bindings *bs, struct binding *b)
{
    struct agent *a = bs->agent;
    const struct topo_port *port = topo_port(a->topo, b->port);
    const struct net_iface *iface = ifaces_find(a->ifaces, b->ifname);
    char note[32];

    if (b->mtu_seen_to || a->opts.keep_mtu || !port || !iface)
        return;
    b->mtu_seen_to = true;
    if (sscanf(iface->alias, MTU_NOTE, &b->old_mtu) == 1 || port->device_kind != TOPO_BRIDGE ||
        iface->mtu >= BOUND_MTU)
        return;
    snprintf(note, sizeof note, MTU_NOTE, iface->mtu);
    if (!*iface->alias)
        net_link_alias(b->ifname, note, NULL);
    if (!net_link_mtu(b->ifname, BOUND_MTU, NULL))
        b->old_mtu = iface->mtu;
}

/* A gone interface doesn't mind. */
void binding_restore_mtu(struct bindings *bs, struct binding *b)
{
    const struct net_iface *iface = ifaces_find(bs->agent->ifaces, b->ifname);
    unsigned mtu;

    if (b->old_mtu && iface) {
        net_link_mtu(b->ifname, b->old_mtu, NULL);
        if (sscanf(iface->alias, MTU_NOTE, &mtu) == 1)
            net_link_alias(b->ifname, "", NULL);
    }
    b->old_mtu = 0;
    b->mtu_seen_to = false;
}

/* A port's limit may change while it is served, and the port may not be loaded yet. */
void binding_set_limit(struct bindings *bs, struct binding *b)
{
    const struct topo_port *port = topo_port(bs->agent->topo, b->port);

    if (!port || (port->max_kbps == b->kbps && port->max_burst_kb == b->burst_kb))
        return;
    b->kbps = port->max_kbps;
    b->burst_kb = port->max_burst_kb;
    int rc = dp_port_limit(bs->agent->opts.dp, b->port_no, b->kbps, b->burst_kb);
    if (rc && b->kbps)
        log_limited(LOG_LVL_WARN, "agent", "interface %s can't be limited to %u kb/s: %s",
                    b->ifname, b->kbps, strerror(-rc));
}
