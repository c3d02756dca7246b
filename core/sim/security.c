/* Port security: what a machine sends must come from addresses known to be its own, and it isn't a
 * router or a DHCP server.
 *
 * Its MACs are those that the bridge is seeded with behind this port and those named at the port;
 * the addresses of a MAC are the seeded ones, those DHCP assigns to it, its link-local address, and
 * those named at the port.  What a MAC may use hangs on its tag: the loader announces it when a
 * seed or host entry comes or goes. */
#include "packet/dhcp.h"
#include "packet/dhcp6.h"
#include "packet/ra.h"
#include "packet/wire.h"
#include "sim/mask.h"
#include "topology/dhcp.h"

enum { RS = 133, RA, NS, NA, REDIRECT, MLD_REPORT = 131, MLD2_REPORT = 143 };

static bool seeded_behind(const struct topo_bridge *b, const struct topo_port *p,
                          const struct mac *mac)
{
    uint32_t lo = 0, hi = b->n_seeds;

    while (lo < hi) { /* those without an address come first, by MAC */
        uint32_t mid = (lo + hi) / 2;
        const struct topo_seed *s = &b->seeds[mid];
        int c = ip_is_none(&s->ip) ? memcmp(&s->mac, mac, sizeof *mac) : 1;
        if (!c)
            return s->port == p->obj.self;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return false;
}

bool port_mac_allowed(struct run *r, const struct topo_port *p, const struct mac *mac)
{
    const struct topo_bridge *b = topo_bridge(r->topo, p->device);

    for (unsigned i = 0; i < p->n_allowed; i++)
        if (mac_equal(&p->allowed[i].mac, mac) && !mac_is_zero(mac))
            return true;
    return seeded_behind(b, p, mac);
}

static bool assigned_by(const struct topo_bridge *b, bool ip6, const void *key, size_t size,
                        const struct ip *ip)
{
    struct topo_dhcp_iter it;

    for (const struct topo_dhcp_host *h = topo_dhcp_first(b->dhcp_hosts, &it, ip6, key, size); h;
         h = topo_dhcp_next(&it))
        if (ip_equal(&h->ip, ip))
            return true;
    return false;
}

/* Of the MAC, as the bridge knows by itself? */
static bool known_address(const struct topo_bridge *b, const struct mac *mac, const struct ip *ip)
{
    const struct topo_seed *seed = bridge_seed(b, ip);
    struct ip link_local = ip_link_local_of_mac(mac);
    uint8_t duid[DHCP6_DUID_LL_SIZE];

    if (seed && mac_equal(&seed->mac, mac))
        return true;
    if (ip_is4(ip))
        return assigned_by(b, false, mac, sizeof *mac, ip);
    dhcp6_duid_of_mac(mac, duid);
    return ip_equal(ip, &link_local) || assigned_by(b, true, mac, sizeof *mac, ip) ||
           assigned_by(b, true, duid, sizeof duid, ip);
}

static bool names(const struct topo_allowed *a, const struct mac *mac)
{
    return !ip_is_none(&a->net.addr) && (mac_is_zero(&a->mac) || mac_equal(&a->mac, mac));
}

static bool address_allowed(const struct topo_port *p, const struct topo_bridge *b,
                            const struct mac *mac, const struct ip *ip)
{
    for (unsigned i = 0; i < p->n_allowed; i++)
        if (names(&p->allowed[i], mac) && cidr_contains(&p->allowed[i].net, ip))
            return true;
    return known_address(b, mac, ip);
}

/* The same of the packet's source; of a prefix only as many bits are looked at as it takes. */
static bool source_allowed(struct run *r, const struct topo_port *p, const struct topo_bridge *b)
{
    const struct mac *mac = HP(r, eth_src);

    for (unsigned i = 0; i < p->n_allowed; i++) {
        const struct topo_allowed *a = &p->allowed[i];
        if (names(a, mac) && src_within(r, &a->net.addr, cidr_len128(&a->net)))
            return true;
    }
    return known_address(b, mac, HP(r, ip_src));
}

static bool refuse(struct run *r, const struct topo_port *p, enum sim_reason reason,
                   const char *what)
{
    TRAIL_OBJ(r, &p->obj, "port security: %s", what);
    drop(r, reason, &p->obj);
    return false;
}

static bool refuse_source(struct run *r, const struct topo_port *p)
{
    TRAIL_OBJ(r, &p->obj, "port security: %s is no address of %s", ip_text(r, PEEK(r, ip_src)),
              mac_text(r, PEEK(r, eth_src)));
    drop(r, SIM_SPOOFED_ADDRESS, &p->obj);
    return false;
}

/* To the clients' port?  Only that one is looked at, so that flows stay wide. */
static bool from_server(struct run *r, uint16_t client_port)
{
    return H(r, ip_proto) == WIRE_PROTO_UDP && H(r, ip_frag) != FLOW_FRAG_LATER &&
           H(r, tp_dst) == client_port;
}

static bool secure_arp(struct run *r, const struct topo_port *p, const struct topo_bridge *b)
{
    const struct ip *spa = HP(r, ip_src);
    struct mac sha, tha;

    userspace_only(r); /* a flow can't tell hardware addresses */
    if (packet_arp_macs(r->hand.packet, r->hand.size, &sha, &tha) ||
        !mac_equal(&sha, HP(r, eth_src)))
        return refuse(r, p, SIM_SPOOFED_NEIGH, "ARP speaks for another MAC than it comes from");
    if (!ip_to4(spa) || address_allowed(p, b, &sha, spa))
        return true;
    TRAIL_OBJ(r, &p->obj, "port security: ARP claims %s, which is no address of %s",
              ip_text(r, spa), mac_text(r, &sha));
    drop(r, SIM_SPOOFED_NEIGH, &p->obj);
    return false;
}

static bool secure_ip4(struct run *r, const struct topo_port *p, const struct topo_bridge *b)
{
    static const struct ip nobody = {.b = {[10] = 0xff, 0xff}};

    if (src_within(r, &nobody, 128)) {
        if (H(r, ip_proto) != WIRE_PROTO_UDP || H(r, ip_frag) != FLOW_FRAG_NONE ||
            H(r, tp_dst) != DHCP_SERVER_PORT || H(r, tp_src) != DHCP_CLIENT_PORT)
            return refuse_source(r, p);
        return true;
    }
    if (!source_allowed(r, p, b))
        return refuse_source(r, p);
    if (from_server(r, DHCP_CLIENT_PORT))
        return refuse(r, p, SIM_ROGUE_DHCP, "a DHCP server's message");
    return true;
}

/* The link-layer address that a message tells of its sender; zero: none. */
static struct mac told_lladdr(struct run *r, uint16_t type, struct ip *target)
{
    struct packet_nd nd = {.target = ip_none};
    struct mac mac = {{0}};

    if (type == RS)
        packet_rs_parse(r->hand.packet, r->hand.size, &mac);
    else if (!packet_nd_parse(r->hand.packet, r->hand.size, &nd))
        mac = nd.lladdr;
    *target = nd.target;
    return mac;
}

static bool secure_nd(struct run *r, const struct topo_port *p, const struct topo_bridge *b,
                      uint16_t type)
{
    bool claims = type == NA || (type == NS && ip_is_none(HP(r, ip_src)));
    struct ip target;

    userspace_only(r);
    struct mac told = told_lladdr(r, type, &target);
    if (!mac_is_zero(&told) && !mac_equal(&told, HP(r, eth_src)))
        return refuse(r, p, SIM_SPOOFED_NEIGH,
                      "neighbour discovery speaks for another MAC than it comes from");
    if (!claims || address_allowed(p, b, HP(r, eth_src), &target))
        return true;
    TRAIL_OBJ(r, &p->obj, "port security: neighbour discovery claims %s, which is no address of %s",
              ip_text(r, &target), mac_text(r, PEEK(r, eth_src)));
    drop(r, SIM_SPOOFED_NEIGH, &p->obj);
    return false;
}

/* Who has no address yet may look for a free one, for a router, and join groups. */
static bool speaks_unnamed(uint16_t type)
{
    return type == NS || type == RS || type == MLD_REPORT || type == MLD2_REPORT;
}

static bool secure_ip6(struct run *r, const struct topo_port *p, const struct topo_bridge *b)
{
    bool icmp = H(r, ip_proto) == WIRE_PROTO_ICMP6;
    uint16_t type = icmp && H(r, ip_frag) != FLOW_FRAG_LATER ? H(r, tp_src) : 0;
    bool unnamed = src_within(r, &ip_none, 128);

    if (unnamed ? !speaks_unnamed(type) : !source_allowed(r, p, b))
        return refuse_source(r, p);
    if (type == RA || type == REDIRECT)
        return refuse(r, p, SIM_ROGUE_ROUTER, "a router's message");
    if (type == RS || type == NS || type == NA)
        return secure_nd(r, p, b, type);
    if (from_server(r, DHCP6_CLIENT_PORT))
        return refuse(r, p, SIM_ROGUE_DHCP, "a DHCPv6 server's message");
    return true;
}

bool port_security(struct run *r, const struct topo_port *p)
{
    const struct topo_bridge *b = load_bridge(r, p->device);
    const struct mac *mac = HP(r, eth_src);

    if (!b)
        return false;
    add_tag(r, tag_bridge_mac(p->device, 0, mac));
    if (!port_mac_allowed(r, p, mac)) {
        TRAIL_OBJ(r, &p->obj, "port security: %s is no MAC of this port", mac_text(r, mac));
        drop(r, SIM_SPOOFED_MAC, &p->obj);
        return false;
    }
    switch (H(r, eth_type)) {
    case ETH_TYPE_ARP:
        return secure_arp(r, p, b);
    case ETH_TYPE_IP:
        return secure_ip4(r, p, b);
    case ETH_TYPE_IP6:
        return secure_ip6(r, p, b);
    case ETH_TYPE_VLAN:
    case ETH_TYPE_QINQ:
        return refuse(r, p, SIM_UNINSPECTABLE, "what is behind two VLAN tags can't be inspected");
    default:
        return true;
    }
}
