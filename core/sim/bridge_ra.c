/* Router advertisements (RFC 4861 section 6.2): a bridge speaks for the routers linked to it, as it
 * does in neighbour discovery.
 *
 * A router port with IPv6 addresses is the default router of its prefixes; how hosts get addresses
 * follows from the bridge's DHCPv6 subnet of the prefix: without one they make them up.  A subnet
 * whose mode is "none" keeps the routers from speaking of its prefix. */
#include "packet/ra.h"
#include "packet/wire.h"
#include "sim/mask.h"
#include "topology/dhcp.h"

enum { ND_RS = 133, ROOM = 1200 };
/* Section 6.2.1's defaults, in seconds: three times the longest pause between advertisements. */
enum { ROUTER_LIFETIME_S = 1800, VALID_S = 2592000, PREFERRED_S = 604800, HOP_LIMIT = 64 };

static const struct ip all_nodes = {.b = {0xff, 2, [15] = 1}};

static const struct topo_dhcp_subnet *subnet_of(const struct topo_bridge *b, const struct cidr *net)
{
    struct ip ours = cidr_network(net);

    for (uint32_t i = 0; i < b->n_subnets; i++) {
        const struct topo_dhcp_subnet *n = &b->subnets[i];
        if (n->net.len == net->len && ip_equal(&n->net.addr, &ours))
            return n;
    }
    return NULL;
}

static void add_subnet(struct packet_ra *ra, const struct topo_dhcp_subnet *n)
{
    ra->managed |= n->ra_mode == TOPO_RA_STATEFUL;
    ra->other |= n->ra_mode != TOPO_RA_SLAAC;
    ra->mtu = least_mtu((uint16_t)ra->mtu, n->mtu);
    for (unsigned i = 0; i < n->n_dns && ra->n_dns < RA_DNS; i++)
        ra->dns[ra->n_dns++] = n->dns[i];
}

static void add_prefix(struct packet_ra *ra, const struct topo_bridge *b, const struct cidr *addr)
{
    const struct topo_dhcp_subnet *n = subnet_of(b, addr);

    if (ip_is4(&addr->addr) || ip_is_link_local(&addr->addr) || ra->n_prefixes == RA_PREFIXES ||
        (n && n->ra_mode == TOPO_RA_NONE))
        return;
    if (n && !n->enabled) /* nobody would answer */
        n = NULL;
    for (unsigned i = 0; i < ra->n_prefixes; i++) /* two addresses in one subnet */
        if (ra->prefixes[i].net.len == addr->len && cidr_contains(addr, &ra->prefixes[i].net.addr))
            return;
    ra->prefixes[ra->n_prefixes++] = (struct ra_prefix){
        .net = {cidr_network(addr), addr->len},
        .on_link = true,
        .autonomous = addr->len == 64 && (!n || n->ra_mode != TOPO_RA_STATEFUL),
        .valid = VALID_S,
        .preferred = PREFERRED_S,
    };
    if (n)
        add_subnet(ra, n);
}

/* False: this one has nothing to say. */
static bool describe(struct run *r, const struct topo_bridge *b, const struct topo_link *l,
                     struct packet_ra *ra)
{
    *ra = (struct packet_ra){.hop_limit = HOP_LIMIT,
                             .lifetime = ROUTER_LIFETIME_S,
                             .dns_lifetime = ROUTER_LIFETIME_S,
                             .lladdr = l->mac,
                             .mtu = r->in->overlay_mtu};
    for (unsigned i = 0; i < l->n_addrs; i++)
        add_prefix(ra, b, &l->addrs[i]);
    if (ra->mtu < 1280) /* IPv6 has no smaller ones */
        ra->mtu = 0;
    return ra->n_prefixes;
}

/* 'to' null: all nodes. */
static void advertise(struct run *r, const struct topo_port *in, const struct topo_link *l,
                      const struct packet_ra *ra, const struct ip *to, const struct mac *to_mac)
{
    struct ip src = ip_link_local_of_mac(&l->mac);
    struct mac group = mac_of_multicast_ip(&all_nodes);
    uint8_t *buf = arena_alloc(r->arena, ROOM);

    TRAIL_OBJ(r, &in->obj, "%s advertises itself", name_of(r, l->peer));
    size_t size =
        packet_ra_build(buf, ROOM, &l->mac, &src, to ? to_mac : &group, to ? to : &all_nodes, ra);
    bridge_answer(r, in, buf, size);
}

static bool is_solicitation(struct run *r)
{
    static const struct mac all_routers_mac = {{0x33, 0x33, 0, 0, 0, 2}};

    return mac_equal(HP(r, eth_dst), &all_routers_mac) && H(r, eth_type) == ETH_TYPE_IP6 &&
           !H(r, vlan_tci) && H(r, ip_proto) == WIRE_PROTO_ICMP6 &&
           H(r, ip_frag) == FLOW_FRAG_NONE && H(r, tp_src) == ND_RS;
}

bool bridge_solicitation(struct run *r, const struct topo_bridge *b, const struct topo_port *in,
                         uint16_t vlan)
{
    struct packet_ra ra;
    struct mac told;
    bool answered = false;

    if (!b->n_links || !is_solicitation(r) || packet_rs_parse(r->hand.packet, r->hand.size, &told))
        return false;
    userspace_only(r);
    const struct ip *src = HP(r, ip_src);
    bool named = !ip_is_none(src);
    for (uint32_t i = 0; i < b->n_links; i++) {
        const struct topo_link *l = &b->links[i];
        if (l->peer_kind != TOPO_ROUTER || (b->has_vlan_ports && l->vlan != vlan) ||
            !describe(r, b, l, &ra) || !bridge_link_up(r, l))
            continue;
        if (named && !mac_is_zero(&told))
            neigh_learn(r, topo_port(r->topo, l->peer), src, &told);
        advertise(r, in, l, &ra, named ? src : NULL, HP(r, eth_src));
        answered = true;
    }
    if (answered)
        consumed(r, &b->obj, "router solicitation answered");
    return answered;
}

void bridge_advertise(struct run *r, const struct topo_bridge *b, const struct topo_port *out)
{
    struct packet_ra ra;

    for (uint32_t i = 0; i < b->n_links; i++) {
        const struct topo_link *l = &b->links[i];
        if (l->peer_kind == TOPO_ROUTER && !(b->has_vlan_ports && l->vlan) &&
            describe(r, b, l, &ra) && bridge_link_up(r, l))
            advertise(r, out, l, &ra, NULL, NULL);
    }
}
