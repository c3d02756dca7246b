/* A router, step by step in the reference's order.  IPv6 takes the same steps. */
#include "packet/wire.h"
#include "sim/filter.h"
#include "sim/mask.h"

#define NET4(w, x, y, z)                                                                           \
    {                                                                                              \
        .b = { [10] = 0xff, 0xff, w, x, y, z }                                                     \
    }
static const struct ip this_net4 = NET4(0, 0, 0, 0), loopback4 = NET4(127, 0, 0, 0),
                       multicast4 = NET4(224, 0, 0, 0), all_ones4 = NET4(255, 255, 255, 255);
static const struct ip loopback6 = {.b = {[15] = 1}}, multicast6 = {.b = {0xff}},
                       link_local6 = {.b = {0xfe, 0x80}};

static bool is_ip6(struct run *r)
{
    return H(r, eth_type) == ETH_TYPE_IP6;
}

/* Chains before routing; false: the branch has ended.  A first fragment that is dropped may have
 * been so because translations don't hold for fragments: its sender is asked to send smaller
 * packets. */
static bool filter_in(struct run *r, const struct topo_router *rt)
{
    enum filter_verdict v = filter2(r, rt->trace, rt->local_redirect);

    if (v == FILTER_ACCEPT)
        v = filter(r, rt->infilter);
    if (likely(v == FILTER_ACCEPT))
        return true;
    if (v == FILTER_DROP && H(r, ip_frag) == FLOW_FRAG_FIRST)
        icmp_error(r, ICMP_FRAGMENTED);
    filter_end(r, v, true);
    return false;
}

/* Likewise behind it. */
static bool filter_out(struct run *r, const struct topo_router *rt, const struct topo_port *out)
{
    r->at.out_port = out->obj.self;
    enum filter_verdict v = filter2(r, rt->forward, rt->outfilter);
    if (likely(v == FILTER_ACCEPT))
        return true;
    filter_end(r, v, true);
    return false;
}

/* Addresses that never cross a router (RFC 1812 section 5.3.7, RFC 4291 section 2.5). */
static enum sim_reason unroutable(struct run *r)
{
    if (is_ip6(r)) {
        if (dst_within(r, &multicast6, 8))
            return SIM_MULTICAST;
        if (src_within(r, &ip_none, 128) || dst_within(r, &ip_none, 128) ||
            dst_within(r, &loopback6, 128))
            return SIM_MARTIAN;
        return SIM_NONE;
    }
    if (dst_within(r, &multicast4, 100))
        return SIM_MULTICAST;
    if (dst_within(r, &all_ones4, 128))
        return SIM_ROUTER_BROADCAST;
    if (src_within(r, &this_net4, 104) || dst_within(r, &this_net4, 104) ||
        dst_within(r, &loopback4, 104))
        return SIM_MARTIAN;
    return SIM_NONE;
}

static bool out_port_owns_destination(struct run *r, const struct topo_port *p)
{
    for (unsigned i = 0; i < p->n_addrs; i++) {
        const struct ip *own = &p->addrs[i].addr;
        if (ip_is4(own) != is_ip6(r) && dst_within(r, own, 128))
            return true;
    }
    return false;
}

static bool has_ip4(const struct topo_port *p)
{
    for (unsigned i = 0; i < p->n_addrs; i++)
        if (ip_is4(&p->addrs[i].addr))
            return true;
    return false;
}

/* A subnet's broadcast address is nobody's (no directed broadcast). */
static bool to_subnet_broadcast(struct run *r, const struct topo_port *p)
{
    for (unsigned i = 0; i < p->n_addrs && !is_ip6(r); i++) {
        const struct cidr *a = &p->addrs[i];
        if (!ip_is4(&a->addr) || a->len >= 31)
            continue;
        struct ip all = ip_from4(a->addr.w[3] | __builtin_bswap32(~0u >> a->len));
        if (dst_within(r, &all, 128))
            return true;
    }
    return false;
}

/* Resolves the next hop and hands the packet to the port.  'gateway' null: on-link. */
static void next_hop(struct run *r, const struct topo_router *rt, const struct topo_port *out,
                     const struct ip *gateway)
{
    struct mac mac;

    if (!gateway && to_subnet_broadcast(r, out)) {
        drop(r, SIM_ROUTER_BROADCAST, &rt->obj);
        return;
    }
    switch (neigh_resolve(r, rt, out, gateway, &mac)) {
    case NEIGH_KNOWN:
        SET(r, eth_src, out->mac);
        SET(r, eth_dst, mac);
        TRAIL_OBJ(r, &out->obj, "next hop %s is at %s",
                  ip_text(r, gateway ? gateway : PEEK(r, ip_dst)), mac_text(r, &mac));
        mirror(r, &rt->mirrors[TOPO_HOOK_OUT]);
        port_egress_loaded(r, out);
        break;
    case NEIGH_FAILED:
        icmp_error(r, gateway ? ICMP_NO_ROUTE : ICMP_HOST_UNREACHABLE);
        drop_brief(r, SIM_NEIGH_TIMEOUT, &out->obj);
        break;
    case NEIGH_ENDED:
        break;
    }
}

static const struct ip *gateway_of(const struct topo_route *route)
{
    return ip_is_none(&route->gateway) ? NULL : &route->gateway;
}

static void forward(struct run *r, const struct topo_router *rt, const struct topo_route *route)
{
    const struct topo_port *out;

    if (unlikely(ttl_exceeded(r))) {
        userspace_only(r);
        icmp_error(r, ICMP_TTL_EXCEEDED);
        drop_brief(r, SIM_TTL, &rt->obj);
        return;
    }
    ttl_decrement(r);
    out = load_port(r, route->port);
    if (!out)
        return;
    if (!is_ip6(r) && !has_ip4(out)) {
        drop(r, SIM_NO_ADDRESS, &out->obj);
        return;
    }
    if (out_port_owns_destination(r, out)) {
        drop(r, SIM_TO_ROUTER, &out->obj);
        return;
    }
    if (filter_out(r, rt, out))
        next_hop(r, rt, out, gateway_of(route));
}

/* For the router itself. */
static void local(struct run *r, const struct topo_router *rt, const struct topo_port *in)
{
    bool ip6 = is_ip6(r);
    uint8_t proto = H(r, ip_proto);

    if (proto == (ip6 ? WIRE_PROTO_ICMP6 : WIRE_PROTO_ICMP) && H(r, ip_frag) == FLOW_FRAG_NONE) {
        uint16_t type = H(r, tp_src);
        if (ip6 && (type == 135 || type == 136)) {
            nd_receive(r, rt, in);
            return;
        }
        if (type == (ip6 ? 128 : 8)) {
            icmp_echo_reply(r, rt);
            return;
        }
    }
    drop_brief(r, SIM_TO_ROUTER, &rt->obj);
}

/* What of IPv6 stays on the link: neighbour discovery addressed to the port, and link-local scope
 * (RFC 4291 section 2.5.6).  True: dealt with. */
static bool link_scope(struct run *r, const struct topo_router *rt, const struct topo_port *in)
{
    for (unsigned i = 0; i < in->n_addrs; i++) {
        const struct ip *own = &in->addrs[i].addr;
        if (!ip_is4(own) && dst_within(r, own, 128) && neighbour_message(r)) {
            nd_receive(r, rt, in);
            return true;
        }
    }
    if (!dst_within(r, &link_local6, 10))
        return false;
    if (dst_within(r, &in->link_local, 128))
        local(r, rt, in);
    else
        drop(r, SIM_LINK_LOCAL, &rt->obj);
    return true;
}

static void route(struct run *r, const struct topo_router *rt, const struct topo_port *in)
{
    const struct topo_route *route = route_lookup(r, rt);

    if (!route) {
        icmp_error(r, ICMP_NO_ROUTE);
        drop_brief(r, SIM_NO_ROUTE, &rt->obj);
        return;
    }
    if (route->hop == TOPO_HOP_LOCAL) {
        local(r, rt, in);
        return;
    }
    if (is_ip6(r) && src_within(r, &link_local6, 10)) {
        icmp_error(r, ICMP_BEYOND_SCOPE);
        drop(r, SIM_LINK_LOCAL, &rt->obj);
        return;
    }
    switch (route->hop) {
    case TOPO_HOP_PORT:
        forward(r, rt, route);
        break;
    case TOPO_HOP_REJECT:
        icmp_error(r, ICMP_REJECT_ROUTE);
        drop_by(r, SIM_REJECT_ROUTE, TOPO_ROUTE, &route->id, true);
        break;
    default:
        drop_by(r, SIM_BLACKHOLE, TOPO_ROUTE, &route->id, true);
    }
}

/* Frames to many: ARP and neighbour discovery are heard, nothing is routed. */
static void to_many(struct run *r, const struct topo_router *rt, const struct topo_port *in)
{
    uint16_t type = H(r, eth_type);

    if (type == ETH_TYPE_ARP)
        arp_receive(r, rt, in);
    else if (type == ETH_TYPE_IP6 && neighbour_message(r))
        nd_receive(r, rt, in);
    else
        drop(r, mac_is_broadcast(HP(r, eth_dst)) ? SIM_ROUTER_BROADCAST : SIM_MULTICAST, &rt->obj);
}

/* The frame as such: true when its payload is to be routed. */
static bool accept_frame(struct run *r, const struct topo_router *rt, const struct topo_port *in)
{
    uint16_t tci = H(r, vlan_tci);

    if (unlikely(tci)) {
        /* A tag with VLAN 0 carries only a priority. */
        if (tci & FLOW_VLAN_VID) {
            drop(r, SIM_ROUTER_VLAN, &rt->obj);
            return false;
        }
        if (!pop_vlan(r, &in->obj))
            return false;
        if (H(r, vlan_tci)) { /* a second one behind it */
            drop(r, SIM_ROUTER_VLAN, &rt->obj);
            return false;
        }
    }
    uint16_t type = H(r, eth_type);
    if (type != ETH_TYPE_IP && type != ETH_TYPE_IP6 && type != ETH_TYPE_ARP) {
        drop(r, SIM_NOT_IP, &rt->obj);
        return false;
    }
    if (unlikely(!rt->admin_up)) {
        icmp_error(r, ICMP_PROHIBITED);
        drop(r, SIM_ROUTER_DOWN, &rt->obj);
        return false;
    }
    mirror(r, &rt->mirrors[TOPO_HOOK_IN]);
    if (mac_is_multicast(HP(r, eth_dst))) {
        to_many(r, rt, in);
        return false;
    }
    if (!mac_equal(HP(r, eth_dst), &in->mac)) {
        drop(r, SIM_NOT_FOR_ROUTER, &rt->obj);
        return false;
    }
    if (type == ETH_TYPE_ARP) {
        arp_receive(r, rt, in);
        return false;
    }
    return true;
}

void router_ingress(struct run *r, const struct topo_port *in)
{
    const struct topo_router *rt = load_router(r, in->device);
    enum sim_reason bad;

    if (!rt)
        return;
    r->at.router_hdr = snapshot(r);
    r->at.router_base = r->at.base;
    r->at.router_own = r->at.own;
    if (!accept_frame(r, rt, in))
        return;
    bad = unroutable(r);
    if (unlikely(bad)) {
        drop(r, bad, &rt->obj);
        return;
    }
    if (is_ip6(r) && link_scope(r, rt, in))
        return;
    if (filter_in(r, rt))
        route(r, rt, in);
}

void router_originate(struct run *r, const struct topo_router *rt, topo_ref in_port)
{
    const struct topo_port *out;

    if (is_ip6(r) && ip_is_link_local(HP(r, ip_dst))) {
        out = load_port(r, in_port);
        if (out)
            next_hop(r, rt, out, NULL);
        return;
    }
    const struct topo_route *route = route_lookup(r, rt);
    if (!route || route->hop != TOPO_HOP_PORT)
        return;
    out = load_port(r, route->port);
    if (out && filter_out(r, rt, out))
        next_hop(r, rt, out, gateway_of(route));
}
