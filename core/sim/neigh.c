/* A router's next hops: from its peer, from what the bridge behind the port knows, from the table
 * of neighbours, or by asking. */
#include "sim/mask.h"

bool port_owns(const struct topo_port *p, const struct ip *ip)
{
    for (unsigned i = 0; i < p->n_addrs; i++)
        if (ip_equal(&p->addrs[i].addr, ip))
            return true;
    return !ip_is4(ip) && ip_equal(&p->link_local, ip);
}

const struct ip *port_address_for(const struct topo_port *p, const struct ip *peer)
{
    const struct ip *first = NULL;

    if (!ip_is4(peer) && ip_is_link_local(peer))
        return &p->link_local;
    for (unsigned i = 0; i < p->n_addrs; i++) {
        if (ip_is4(&p->addrs[i].addr) != ip_is4(peer))
            continue;
        if (cidr_contains(&p->addrs[i], peer))
            return &p->addrs[i].addr;
        if (!first)
            first = &p->addrs[i].addr;
    }
    return first || ip_is4(peer) ? first : &p->link_local;
}

/* An address that some host on the port's link may have. */
static bool possible_neighbour(const struct topo_port *p, const struct ip *ip)
{
    bool within = !ip_is4(ip) && ip_is_link_local(ip);

    if (ip_is_multicast(ip) || ip_is_none(ip) || port_owns(p, ip))
        return false;
    for (unsigned i = 0; i < p->n_addrs; i++) {
        const struct cidr *a = &p->addrs[i];
        if (!cidr_contains(a, ip))
            continue;
        struct ip net = cidr_network(a), all = cidr_broadcast(a);
        if (ip_is4(ip) && a->len < 31 && (ip_equal(ip, &net) || ip_equal(ip, &all)))
            return false;
        within = true;
    }
    return within;
}

/* The bridge behind a router port, when it is loaded. */
static const struct topo_bridge *bridge_behind(struct run *r, const struct topo_port *p,
                                               uint16_t *vlan)
{
    const struct topo_port *peer = p->peer ? topo_port(r->topo, p->peer) : NULL;

    if (!peer || peer->obj.missing || peer->device_kind != TOPO_BRIDGE)
        return NULL;
    const struct topo_bridge *b = topo_bridge(r->topo, peer->device);
    *vlan = peer->vlan;
    return b && !b->obj.missing ? b : NULL;
}

bool neigh_learn(struct run *r, const struct topo_port *p, const struct ip *ip,
                 const struct mac *mac)
{
    const struct topo_router *rt = topo_router(r->topo, p->device);
    const struct topo_bridge *b;
    struct topo_neigh old;
    struct mac known;
    uint16_t vlan;

    if (mac_is_multicast(mac) || mac_is_zero(mac) || !possible_neighbour(p, ip))
        return false;
    /* Nobody takes the address of another router, or of a seeded one, by claiming it. */
    b = bridge_behind(r, p, &vlan);
    if (b && bridge_address(b, vlan, ip, &known) && !mac_equal(&known, mac))
        return false;
    if (rt && !rt->obj.missing &&
        topo_neigh_lookup(rt->neighs, p->obj.self, ip, r->in->now_ns, &old) &&
        mac_equal(&old.mac, mac) && old.stale_ns > r->in->now_ns)
        return true;
    learn(r, &(struct sim_learn){.kind = SIM_LEARN_NEIGH,
                                 .device = p->device,
                                 .port = p->obj.self,
                                 .mac = *mac,
                                 .ip = *ip});
    return true;
}

static bool learned_now(const struct run *r, const struct topo_port *p, const struct ip *ip,
                        struct mac *mac)
{
    for (uint32_t i = 0; i < r->res->n_learns; i++) {
        const struct sim_learn *l = &r->res->learns[i];
        if (l->kind == SIM_LEARN_NEIGH && l->port == p->obj.self && ip_equal(&l->ip, ip)) {
            *mac = l->mac;
            return true;
        }
    }
    return false;
}

void neigh_solicit(struct run *r, const struct topo_port *p, const struct ip *ip)
{
    const struct ip *own = port_address_for(p, ip);
    uint8_t *buf;
    struct aside a;
    size_t size;

    if (!own || r->hand.nested >= SIM_MAX_NESTED)
        return;
    buf = arena_alloc(r->arena, 128);
    if (ip_is4(ip))
        size =
            packet_arp(buf, 128, 1, &p->mac, &mac_broadcast, &p->mac, own, &(struct mac){{0}}, ip);
    else
        size = packet_nd_solicit(buf, 128, &p->mac, own, NULL, NULL, ip);
    TRAIL_OBJ(r, &p->obj, "asks for the MAC of %s", ip_text(r, ip));
    if (!emit_begin(r, &a, SIM_EMIT_SOLICIT, p->obj.self, ip, buf, size))
        return;
    port_egress_loaded(r, p);
    emit_end(r, &a);
}

static enum neigh ask(struct run *r, const struct topo_port *p, const struct ip *ip,
                      struct mac *mac)
{
    if (gave_up(r, SIM_NEED_NEIGH, p->obj.self, ip))
        return NEIGH_FAILED;
    neigh_solicit(r, p, ip);
    if (learned_now(r, p, ip, mac))
        return NEIGH_KNOWN; /* another virtual device has answered */
    need(r, SIM_NEED_NEIGH, p->obj.self, ip);
    return NEIGH_ENDED;
}

enum neigh neigh_resolve(struct run *r, const struct topo_router *rt, const struct topo_port *p,
                         const struct ip *gateway, struct mac *mac)
{
    const struct topo_port *peer = NULL;
    const struct topo_bridge *b = NULL;
    struct topo_neigh n;

    if (!topo_port_exterior(p) && p->peer) {
        peer = load_port(r, p->peer);
        if (!peer)
            return NEIGH_ENDED;
        if (peer->device_kind == TOPO_ROUTER) {
            *mac = peer->mac;
            return NEIGH_KNOWN;
        }
        b = load_bridge(r, peer->device);
        if (!b)
            return NEIGH_ENDED;
    }
    const struct ip *ip = gateway ? gateway : HP(r, ip_dst);
    add_tag(r, tag_neigh(p->obj.self, ip));
    const struct topo_seed *seed = b ? bridge_seed(b, ip) : NULL;
    if (seed) {
        *mac = seed->mac;
        return NEIGH_KNOWN;
    }
    if (learned_now(r, p, ip, mac))
        return NEIGH_KNOWN;
    if (topo_neigh_lookup(rt->neighs, p->obj.self, ip, r->in->now_ns, &n)) {
        *mac = n.mac;
        if (unlikely(n.stale_ns <= r->in->now_ns))
            neigh_solicit(r, p, ip);
        return NEIGH_KNOWN;
    }
    if (b && bridge_address(b, peer->vlan, ip, mac))
        return NEIGH_KNOWN;
    return ask(r, p, ip, mac);
}
