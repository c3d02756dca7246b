/* What a bridge does with ARP and neighbour discovery: it answers for the router ports linked to it
 * and for addresses it is seeded with, so that such questions are never flooded; and it notices
 * when an address moves (gratuitous ARP, unsolicited advertisements).  Only frames to many are
 * looked at, and only untagged ones. */
#include "packet/wire.h"
#include "sim/mask.h"
#include "topology/dhcp.h"

enum { ARP_REQUEST = 1, ARP_REPLY = 2, ND_SOLICIT = 135, ND_ADVERT = 136 };
enum { NA_OVERRIDE = 1u << 29 };

/* Who asks for, or tells about, which address. */
struct message {
    struct ip sender; /* none: doesn't say (an address being probed for duplicates) */
    struct mac sender_mac;
    struct ip target;
};

static bool is_nd(struct run *r)
{
    if (H(r, eth_type) != ETH_TYPE_IP6 || H(r, ip_proto) != WIRE_PROTO_ICMP6)
        return false;
    uint16_t type = H(r, tp_src);
    return type == ND_SOLICIT || type == ND_ADVERT;
}

bool neighbour_message(struct run *r)
{
    return H(r, eth_type) == ETH_TYPE_ARP || is_nd(r);
}

const struct topo_seed *bridge_seed(const struct topo_bridge *b, const struct ip *ip)
{
    uint32_t lo = 0, hi = b->n_seeds;

    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        int c = memcmp(&b->seeds[mid].ip, ip, sizeof *ip);
        if (!c)
            return &b->seeds[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static bool link_has(const struct topo_link *l, const struct ip *ip)
{
    for (unsigned i = 0; i < l->n_addrs; i++)
        if (ip_equal(&l->addrs[i].addr, ip))
            return true;
    if (ip_is4(ip) || !ip_is_link_local(ip))
        return false;
    struct ip ll = ip_link_local_of_mac(&l->mac);
    return ip_equal(&ll, ip);
}

static const struct topo_link *link_of_address(const struct topo_bridge *b, uint16_t vlan,
                                               const struct ip *ip)
{
    for (uint32_t i = 0; i < b->n_links; i++) {
        const struct topo_link *l = &b->links[i];
        if (l->peer_kind == TOPO_ROUTER && (!b->has_vlan_ports || l->vlan == vlan) &&
            link_has(l, ip))
            return l;
    }
    return NULL;
}

bool bridge_address(const struct topo_bridge *b, uint16_t vlan, const struct ip *ip,
                    struct mac *mac)
{
    const struct topo_seed *s = bridge_seed(b, ip);
    const struct topo_link *l = s ? NULL : link_of_address(b, vlan, ip);

    if (!s && !l)
        return false;
    *mac = s ? s->mac : l->mac;
    return true;
}

void bridge_answer(struct run *r, const struct topo_port *in, const uint8_t *packet, size_t size)
{
    struct aside a;

    if (!emit_begin(r, &a, SIM_EMIT_ANSWER, in->obj.self, NULL, packet, size))
        return;
    port_egress_loaded(r, in);
    emit_end(r, &a);
}

/* The bridge's word for 'mac' having msg->target, out of the port where the question came in. */
static void answer(struct run *r, const struct topo_port *in, const struct message *msg,
                   const struct mac *mac, bool router)
{
    static const struct ip all_nodes = {.b = {0xff, 2, [15] = 1}};
    uint8_t *buf = arena_alloc(r->arena, 128);
    size_t size;

    if (ip_is4(&msg->target)) {
        size = packet_arp(buf, 128, ARP_REPLY, mac, &msg->sender_mac, mac, &msg->target,
                          &msg->sender_mac, &msg->sender);
    } else {
        bool probe = ip_is_none(&msg->sender);
        const struct ip *to = probe ? &all_nodes : &msg->sender;
        struct mac to_mac = probe ? mac_of_multicast_ip(to) : msg->sender_mac;
        size = packet_nd_advert(buf, 128, mac, &msg->target, &to_mac, to, &msg->target, router,
                                !probe);
    }
    TRAIL_OBJ(r, &in->obj, "answers: %s is at %s", ip_text(r, &msg->target), mac_text(r, mac));
    bridge_answer(r, in, buf, size);
}

/* A port that is down answers nothing; the question floods then, for nobody to answer. */
bool bridge_link_up(struct run *r, const struct topo_link *l)
{
    const struct topo_port *ours = load_port(r, l->port), *theirs = load_port(r, l->peer);

    return ours && theirs && ours->admin_up && theirs->admin_up;
}

/* The owner learns who asks as if the question had reached it. */
static void teach_router(struct run *r, const struct topo_link *l, const struct message *msg)
{
    const struct topo_port *theirs = topo_port(r->topo, l->peer);

    if (!ip_is_none(&msg->sender))
        neigh_learn(r, theirs, &msg->sender, &msg->sender_mac);
}

/* Is it the address of DHCP answers, and of nobody else? */
static bool dhcp_server_address(const struct topo_bridge *b, const struct ip *ip)
{
    for (uint32_t i = 0; i < b->n_subnets; i++)
        if (b->subnets[i].enabled && mac_equal(&b->subnets[i].server_mac, &topo_dhcp_mac) &&
            ip_equal(&b->subnets[i].server, ip))
            return true;
    return false;
}

static bool answer_question(struct run *r, const struct topo_bridge *b, const struct topo_port *in,
                            uint16_t vlan, const struct message *msg)
{
    const struct topo_seed *s = bridge_seed(b, &msg->target);
    const struct topo_link *l = s ? NULL : link_of_address(b, vlan, &msg->target);

    if (!s && !l && dhcp_server_address(b, &msg->target)) {
        answer(r, in, msg, &topo_dhcp_mac, false);
        consumed(r, &b->obj, "answered by the bridge: it is the DHCP server");
        return true;
    }
    if (s && mac_equal(&s->mac, &msg->sender_mac)) {
        /* Who probes for its own address must not hear that it is taken; others must. */
        userspace_only(r);
        return false;
    }
    if (!s && (!l || !bridge_link_up(r, l)))
        return false;
    if (l)
        teach_router(r, l, msg);
    answer(r, in, msg, s ? &s->mac : &l->mac, l);
    consumed(r, &b->obj, "answered by the bridge");
    return true;
}

static bool concerns(const struct topo_link *l, const struct ip *ip)
{
    if (!ip_is4(ip) && ip_is_link_local(ip))
        return true;
    for (unsigned i = 0; i < l->n_addrs; i++)
        if (cidr_contains(&l->addrs[i], ip))
            return true;
    return false;
}

/* The frame goes to the linked routers whose neighbour it is about, besides flooding. */
static void tell_routers(struct run *r, const struct topo_bridge *b, const struct topo_port *in,
                         uint16_t vlan, const struct ip *ip)
{
    for (uint32_t i = 0; i < b->n_links; i++) {
        const struct topo_link *l = &b->links[i];
        if (l->peer_kind != TOPO_ROUTER || l->port == in->obj.self || l->vlan || vlan ||
            !concerns(l, ip))
            continue;
        struct at here = r->at;
        r->at.depth++;
        port_egress(r, l->port);
        r->at = here;
    }
}

static void address_moved(struct run *r, const struct topo_bridge *b, const struct topo_port *in,
                          uint16_t vlan, const struct message *msg)
{
    const struct topo_seed *s = bridge_seed(b, &msg->target);

    userspace_only(r); /* each of them counts */
    if (s && !mac_equal(&s->mac, &msg->sender_mac) && !mac_is_multicast(&msg->sender_mac) &&
        !mac_is_zero(&msg->sender_mac))
        learn(r, &(struct sim_learn){.kind = SIM_LEARN_ADDR,
                                     .device = b->obj.self,
                                     .mac = msg->sender_mac,
                                     .ip = msg->target});
    tell_routers(r, b, in, vlan, &msg->target);
    bridge_flood(r, b, in);
}

static bool bridge_arp(struct run *r, const struct topo_bridge *b, const struct topo_port *in,
                       uint16_t vlan)
{
    struct message msg;
    struct mac tha;
    uint8_t op = H(r, ip_proto);

    if (op != ARP_REQUEST && op != ARP_REPLY)
        return false;
    msg.sender = *HP(r, ip_src);
    msg.target = *HP(r, ip_dst);
    if (packet_arp_macs(r->hand.packet, r->hand.size, &msg.sender_mac, &tha))
        return false;
    if (ip_equal(&msg.sender, &msg.target)) {
        address_moved(r, b, in, vlan, &msg);
        return true;
    }
    if (op != ARP_REQUEST)
        return false;
    if (mac_is_zero(&msg.sender_mac)) {
        userspace_only(r); /* a flow can't tell hardware addresses */
        return false;
    }
    return answer_question(r, b, in, vlan, &msg);
}

static bool bridge_nd(struct run *r, const struct topo_bridge *b, const struct topo_port *in,
                      uint16_t vlan)
{
    struct message msg;
    struct packet_nd nd;

    if (packet_nd_parse(r->hand.packet, r->hand.size, &nd))
        return false;
    msg.sender = *HP(r, ip_src);
    msg.sender_mac = mac_is_zero(&nd.lladdr) ? *HP(r, eth_src) : nd.lladdr;
    msg.target = nd.target;
    userspace_only(r); /* the target is beyond what a datapath matches */
    if (H(r, tp_src) == ND_SOLICIT)
        return !mac_is_multicast(&msg.sender_mac) && answer_question(r, b, in, vlan, &msg);
    if (!(nd.flags & NA_OVERRIDE))
        return false;
    address_moved(r, b, in, vlan, &msg);
    return true;
}

bool bridge_neighbour(struct run *r, const struct topo_bridge *b, const struct topo_port *in,
                      uint16_t vlan)
{
    const struct mac *dst = HP(r, eth_dst);
    bool broadcast = mac_is_broadcast(dst);

    if (!broadcast && (dst->b[0] != 0x33 || dst->b[1] != 0x33))
        return false;
    if (!b->n_links && !b->n_seeds && !b->n_subnets)
        return false;
    if (broadcast ? H(r, eth_type) != ETH_TYPE_ARP : !is_nd(r))
        return false;
    if (H(r, vlan_tci))
        return false;
    return broadcast ? bridge_arp(r, b, in, vlan) : bridge_nd(r, b, in, vlan);
}
