/* DHCP in a published bridge: its subnets, with their lists, and who answers for them.
 *
 * What differs is told apart: whether the same packets are taken for DHCP, on which flows depend,
 * and what is answered to them, on which nothing that is kept does. */
#include "topology/sync_dhcp.h"

size_t sync_dhcp_room(const struct device_item *d)
{
    size_t n = d->dhcp ? d->dhcp->subnets.n : 0, size = n * (sizeof(struct topo_dhcp_subnet) + 48);

    for (size_t i = 0; i < n; i++)
        size += d->dhcp->subnets.v[i].n_dns * sizeof(struct ip) +
                d->dhcp->subnets.v[i].n_routes * sizeof(struct topo_dhcp_route);
    return size + 16;
}

static void *copy_list(struct topo_bridge *b, const void *list, size_t size)
{
    void *copy = topo_extra(b, size);

    if (size)
        memcpy(copy, list, size);
    return copy;
}

/* Who has the server's address: a seeded station, a linked router; else the bridge itself will say
 * it has, but never for the gateway's, which may be a machine. */
static struct mac station_of(const struct topo_bridge *b, const struct topo_dhcp_subnet *n)
{
    static const struct mac unknown;

    for (uint32_t i = 0; i < b->n_seeds; i++)
        if (ip_equal(&b->seeds[i].ip, &n->server))
            return b->seeds[i].mac;
    for (uint32_t i = 0; i < b->n_links; i++)
        for (unsigned k = 0; k < b->links[i].n_addrs; k++)
            if (ip_equal(&b->links[i].addrs[k].addr, &n->server))
                return b->links[i].mac;
    return ip_equal(&n->server, &n->gateway) || !ip_to4(&n->server) ? unknown : topo_dhcp_mac;
}

void sync_dhcp_fill(const struct device_item *d, struct topo_bridge *b)
{
    const struct dhcp_state *st = d->dhcp;

    if (!st)
        return;
    b->dhcp_hosts = st->hosts;
    b->n_subnets = (uint32_t)st->subnets.n;
    b->subnets = copy_list(b, st->subnets.v, st->subnets.n * sizeof *b->subnets);
    for (uint32_t i = 0; i < b->n_subnets; i++) {
        struct topo_dhcp_subnet *n = &b->subnets[i];
        n->dns = copy_list(b, n->dns, n->n_dns * sizeof *n->dns);
        n->routes = copy_list(b, n->routes, n->n_routes * sizeof *n->routes);
        if (ip_is4(&n->net.addr))
            n->server_mac = station_of(b, n);
    }
}

/* Whether the same packets are taken for DHCP. */
static bool same_service(const struct topo_dhcp_subnet *a, const struct topo_dhcp_subnet *b)
{
    return uuid_equal(&a->id, &b->id) && a->enabled == b->enabled &&
           ip_equal(&a->server, &b->server) && mac_equal(&a->server_mac, &b->server_mac);
}

static bool same_routes(const struct topo_dhcp_subnet *a, const struct topo_dhcp_subnet *b)
{
    if (a->n_routes != b->n_routes)
        return false;
    for (unsigned i = 0; i < a->n_routes; i++)
        if (!sync_same_cidrs(&a->routes[i].dst, &b->routes[i].dst, 1) ||
            !ip_equal(&a->routes[i].gateway, &b->routes[i].gateway))
            return false;
    return true;
}

static bool same_subnet(const struct topo_dhcp_subnet *a, const struct topo_dhcp_subnet *b)
{
    return same_service(a, b) && a->ra_mode == b->ra_mode && a->mtu == b->mtu &&
           ip_equal(&a->gateway, &b->gateway) && a->n_dns == b->n_dns &&
           (!a->n_dns || !memcmp(a->dns, b->dns, a->n_dns * sizeof *a->dns)) && same_routes(a, b);
}

bool sync_dhcp_differs(struct sync *s, const struct topo_bridge *a, const struct topo_bridge *b)
{
    bool service = a->n_subnets == b->n_subnets, all = a->dhcp_hosts == b->dhcp_hosts;

    for (uint32_t i = 0; i < b->n_subnets && service; i++) {
        service = same_service(&a->subnets[i], &b->subnets[i]);
        all &= same_subnet(&a->subnets[i], &b->subnets[i]);
    }
    if (!service)
        sync_changed(s, tag_object(b->obj.self));
    return !service || !all;
}
