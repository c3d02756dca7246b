/* ARP (RFC 826) and neighbour discovery (RFC 4861) addressed to a router port. */
#include "packet/wire.h"
#include "sim/mask.h"

enum { ARP_REQUEST = 1, ARP_REPLY = 2, ND_SOLICIT = 135 };
enum { NA_OVERRIDE = 1u << 29 };

static void arp_reply(struct run *r, const struct topo_port *p, const struct ip *own,
                      const struct mac *to_mac, const struct ip *to)
{
    uint8_t *buf = arena_alloc(r->arena, 64);
    struct aside a;
    size_t size = packet_arp(buf, 64, ARP_REPLY, &p->mac, to_mac, &p->mac, own, to_mac, to);

    if (!emit_begin(r, &a, SIM_EMIT_ANSWER, p->obj.self, NULL, buf, size))
        return;
    port_egress_loaded(r, p);
    emit_end(r, &a);
}

static void arp_request(struct run *r, const struct topo_router *rt, const struct topo_port *in,
                        const struct mac *sha)
{
    const struct ip *spa = HP(r, ip_src), *tpa = HP(r, ip_dst);
    bool gratuitous = ip_equal(spa, tpa), probe = ip_to4(spa) == 0;

    if (!gratuitous && !port_owns(in, tpa)) {
        drop(r, SIM_ARP_INVALID, &rt->obj);
        return;
    }
    /* A probe (RFC 5227) comes from nobody, and is answered so that the address isn't taken. */
    if (!probe && !neigh_learn(r, in, spa, sha)) {
        userspace_only(r);
        drop(r, SIM_ARP_INVALID, &rt->obj);
        return;
    }
    if (!gratuitous)
        arp_reply(r, in, tpa, sha, spa);
    consumed(r, &rt->obj, gratuitous ? "gratuitous ARP noted" : "ARP request answered");
}

void arp_receive(struct run *r, const struct topo_router *rt, const struct topo_port *in)
{
    uint8_t op = H(r, ip_proto);
    struct mac sha, tha;

    if (packet_arp_macs(r->hand.packet, r->hand.size, &sha, &tha) ||
        (op != ARP_REQUEST && op != ARP_REPLY)) {
        drop(r, SIM_ARP_INVALID, &rt->obj);
        return;
    }
    if (op == ARP_REQUEST) {
        arp_request(r, rt, in, &sha);
        return;
    }
    const struct ip *spa = HP(r, ip_src), *tpa = HP(r, ip_dst);
    bool gratuitous = ip_equal(spa, tpa) && mac_equal(&tha, &sha);
    bool ours = port_owns(in, tpa) && mac_equal(&tha, &in->mac);
    if ((!gratuitous && !ours) || !neigh_learn(r, in, spa, &sha)) {
        userspace_only(r);
        drop(r, SIM_ARP_INVALID, &rt->obj);
        return;
    }
    consumed(r, &rt->obj, "ARP reply noted");
}

static void advertise(struct run *r, const struct topo_port *p, const struct ip *own,
                      const struct mac *to_mac, const struct ip *to)
{
    static const struct ip all_nodes = {.b = {0xff, 2, [15] = 1}};
    bool solicited = !ip_is_none(to);
    struct mac group = mac_of_multicast_ip(&all_nodes);
    uint8_t *buf = arena_alloc(r->arena, 128);
    struct aside a;
    size_t size = packet_nd_advert(buf, 128, &p->mac, own, solicited ? to_mac : &group,
                                   solicited ? to : &all_nodes, own, true, solicited);

    if (!emit_begin(r, &a, SIM_EMIT_ANSWER, p->obj.self, NULL, buf, size))
        return;
    port_egress_loaded(r, p);
    emit_end(r, &a);
}

static bool solicitation(struct run *r, const struct topo_port *in, const struct packet_nd *nd)
{
    const struct ip *src = HP(r, ip_src);
    const struct mac *mac = mac_is_zero(&nd->lladdr) ? HP(r, eth_src) : &nd->lladdr;

    if (!port_owns(in, &nd->target))
        return false;
    /* No source: somebody checks whether the address is free; it isn't. */
    if (!ip_is_none(src) && !mac_is_zero(&nd->lladdr) && !neigh_learn(r, in, src, mac))
        return false;
    advertise(r, in, &nd->target, mac, src);
    return true;
}

static bool advertisement(struct run *r, const struct topo_port *in, const struct packet_nd *nd)
{
    const struct ip *dst = HP(r, ip_dst);
    const struct mac *mac = mac_is_zero(&nd->lladdr) ? HP(r, eth_src) : &nd->lladdr;

    if (ip_is_multicast(dst) ? !(nd->flags & NA_OVERRIDE) : !port_owns(in, dst))
        return false;
    return neigh_learn(r, in, &nd->target, mac);
}

void nd_receive(struct run *r, const struct topo_router *rt, const struct topo_port *in)
{
    struct packet_nd nd;
    bool query = H(r, tp_src) == ND_SOLICIT;

    userspace_only(r); /* target and link-layer address are beyond what a datapath matches */
    if (packet_nd_parse(r->hand.packet, r->hand.size, &nd) ||
        !(query ? solicitation(r, in, &nd) : advertisement(r, in, &nd))) {
        drop(r, SIM_ND_INVALID, &rt->obj);
        return;
    }
    consumed(r, &rt->obj, query ? "neighbour solicitation answered" : "neighbour noted");
}
