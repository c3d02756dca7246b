/* Before a process ends whose flows go on forwarding: machines here are told once more the MACs of
 * their routers, as if they had just asked.  While nobody answers, a neighbour that was about to be
 * asked for would be given up in as little as three seconds; one that has just been confirmed is
 * good for 15 to 45, and some 8 more until it fails (RFC 4861 section 7.3, with Linux's times,
 * which are the same for ARP).  Upgrades take less.
 *
 * The answers are solicited, unicast ones: others don't confirm (Linux' arp_process()). */
#include <net/if_arp.h>
#include <stdlib.h>

#include "agent/worker_internal.h"
#include "base/mem.h"
#include "packet/packet.h"
#include "topology/tables.h"

struct farewell {
    struct worker *w;
    topo_ref *routers; /* some more than once; null: counted only */
    size_t n;
};

static void add_router(struct farewell *f, topo_ref router)
{
    if (f->routers)
        f->routers[f->n] = router;
    f->n++;
}

/* Routers that machines behind this port may have asked for. */
static void look_at(topo_ref port, void *aux)
{
    struct farewell *f = aux;
    const struct topo *topo = f->w->host->topo;
    const struct topo_port *p = topo_port(topo, port);
    const struct topo_bridge *b = NULL;

    if (p && p->device_kind == TOPO_ROUTER)
        add_router(f, p->device);
    else if (p)
        b = topo_bridge(topo, p->device);
    for (uint32_t i = 0; b && i < b->n_links; i++)
        if (b->links[i].peer_kind == TOPO_ROUTER)
            add_router(f, b->links[i].peer_device);
}

static int by_ref(const void *a, const void *b)
{
    topo_ref x = *(const topo_ref *)a, y = *(const topo_ref *)b;

    return (x > y) - (x < y);
}

/* The datapath's port behind which the neighbour is, 0: not of this host, or behind a tag. */
static uint32_t port_of(const struct worker *w, topo_ref port, const struct topo_port *p,
                        const struct mac *mac)
{
    const struct topo *topo = w->host->topo;

    if (topo_port_exterior(p))
        return portmap_no(worker_ports(w), port);
    const struct topo_port *peer = topo_port(topo, p->peer);
    const struct topo_bridge *b = peer && peer->device_kind == TOPO_BRIDGE && !peer->vlan
                                      ? topo_bridge(topo, peer->device)
                                      : NULL;

    return b ? portmap_no(worker_ports(w), topo_mac_lookup(b->macs, 0, mac)) : 0;
}

static void answer(struct worker *w, uint32_t port_no, const struct topo_port *p,
                   const struct ip *own, const struct mac *mac, const struct ip *ip)
{
    struct flow_out out = {.kind = FLOW_OUT_PORT, .port = port_no};
    uint8_t frame[128];
    size_t size =
        ip_is4(own)
            ? packet_arp(frame, sizeof frame, ARPOP_REPLY, &p->mac, mac, &p->mac, own, mac, ip)
            : packet_nd_advert(frame, sizeof frame, &p->mac, own, mac, ip, own, true, true);
    struct dp_exec exec = {.packet = frame, .size = size, .outs = &out, .n_outs = 1};

    dp_execute(w->host->dp, w->opts.queue, &exec, 1);
}

static int tell(topo_ref port, const struct ip *ip, const struct topo_neigh *n, void *aux)
{
    struct worker *w = aux;
    const struct topo_port *p = topo_port(w->host->topo, port);
    uint32_t no = p && n->expire_ns > w->now ? port_of(w, port, p, &n->mac) : 0;

    if (!no)
        return 0;
    for (unsigned i = 0; i < p->n_addrs; i++)
        if (cidr_contains(&p->addrs[i], ip))
            answer(w, no, p, &p->addrs[i].addr, &n->mac, ip);
    if (!ip_is4(ip))
        answer(w, no, p, &p->link_local, &n->mac, ip);
    return 0;
}

void worker_farewell(struct worker *w)
{
    struct farewell f = {.w = w};
    const struct topo_router *r;

    portmap_each(worker_ports(w), look_at, &f);
    f.routers = NEW_ARRAY(f.n, topo_ref);
    f.n = 0;
    portmap_each(worker_ports(w), look_at, &f);
    qsort(f.routers, f.n, sizeof *f.routers, by_ref);
    for (size_t i = 0; i < f.n; i++)
        if ((!i || f.routers[i] != f.routers[i - 1]) &&
            (r = topo_router(w->host->topo, f.routers[i])) && r->neighs)
            topo_neigh_each(r->neighs, tell, w);
    free(f.routers);
}
