/* Messages a router sends about packets: errors, and replies to echo requests.
 *
 * An error leaves by the port the packet came in by, to the MAC it came from: so it can't be lured
 * to a forged source elsewhere, needs no resolution, and passes even when the port is down. */
#include "packet/wire.h"
#include "sim/mask.h"

struct code {
    uint8_t type4, code4, type6, code6;
};

static const struct code codes[] = {
    [ICMP_NO_ROUTE] = {3, 0, 1, 0},     [ICMP_HOST_UNREACHABLE] = {3, 1, 1, 3},
    [ICMP_PROHIBITED] = {3, 13, 1, 1},  [ICMP_REJECT_ROUTE] = {3, 13, 1, 6},
    [ICMP_BEYOND_SCOPE] = {3, 0, 1, 2}, [ICMP_TTL_EXCEEDED] = {11, 0, 3, 0},
    [ICMP_FRAGMENTED] = {3, 4, 2, 0},
};

static bool is_icmp_error(const struct flow_key *h)
{
    if (h->eth_type == ETH_TYPE_IP6)
        return h->tp_src < 128 || h->tp_src == 137;
    return h->tp_src == 3 || h->tp_src == 4 || h->tp_src == 5 || h->tp_src == 11 || h->tp_src == 12;
}

static bool directed_broadcast(const struct topo_port *p, const struct ip *ip)
{
    for (unsigned i = 0; i < p->n_addrs; i++) {
        const struct cidr *a = &p->addrs[i];
        if (!ip_is4(&a->addr) || a->len >= 31)
            continue;
        struct ip all = cidr_broadcast(a), net = cidr_network(a);
        if (ip_equal(ip, &all) || ip_equal(ip, &net))
            return true;
    }
    return false;
}

/* RFC 1812 section 4.3.2.7, RFC 4443 section 2.4 (e). */
static bool may_tell(const struct topo_port *p, const struct flow_key *h)
{
    bool ip6 = h->eth_type == ETH_TYPE_IP6;

    if (h->eth_type != ETH_TYPE_IP && !ip6)
        return false;
    if (mac_is_multicast(&h->eth_dst) || mac_is_multicast(&h->eth_src))
        return false;
    if (h->ip_frag == FLOW_FRAG_LATER)
        return false;
    if (h->ip_proto == (ip6 ? WIRE_PROTO_ICMP6 : WIRE_PROTO_ICMP) && is_icmp_error(h))
        return false;
    if (ip_is_multicast(&h->ip_dst) || ip_is_broadcast(&h->ip_dst) ||
        directed_broadcast(p, &h->ip_dst))
        return false;
    return ip6 ? !ip_is_none(&h->ip_src)
               : !ip_is_broadcast(&h->ip_src) && h->ip_src.b[12] &&
                     !directed_broadcast(p, &h->ip_src);
}

static const unsigned FIELDS_TOLD = FIELD(eth_src) | FIELD(eth_dst) | FIELD(eth_type) |
                                    FIELD(ip_src) | FIELD(ip_dst) | FIELD(ip_proto) |
                                    FIELD(ip_frag);

void icmp_error(struct run *r, enum icmp_cause cause)
{
    const struct topo_port *p = r->at.in_port ? topo_port(r->topo, r->at.in_port) : NULL;
    const struct flow_key *h = r->at.router_hdr ? r->at.router_hdr : snapshot(r);
    uint32_t own = r->at.router_hdr ? r->at.router_own : r->at.own;
    enum { ROOM = 14 + 1280 };
    struct aside a;
    size_t size;

    if (r->hand.nested || !p)
        return;
    /* Who is told hangs on these, so another sender's packet must not match the flow. */
    r->seen |= FIELDS_TOLD & ~own;
    r->hidden_seen |= FIELDS_TOLD & r->at.hidden;
    if (h->ip_proto == WIRE_PROTO_ICMP || h->ip_proto == WIRE_PROTO_ICMP6)
        r->seen |= FIELD(tp_src) & ~own;
    if (!may_tell(p, h))
        return;
    const struct ip *src = port_address_for(p, &h->ip_src);
    if (!src)
        return;
    bool ip6 = h->eth_type == ETH_TYPE_IP6;
    const struct code *c = &codes[cause];
    uint8_t type = ip6 ? c->type6 : c->type4, code = ip6 ? c->code6 : c->code4;
    /* RFC 1191 section 4: 0 says nothing of the size; IPv6's least never needs fragments. */
    uint32_t mtu = ip6 && cause == ICMP_FRAGMENTED ? 1280 : 0;
    const uint8_t *about =
        materialize(r, r->at.router_hdr ? r->at.router_base : r->at.base, h, &size);
    uint8_t *buf = arena_alloc(r->arena, ROOM);
    size = packet_icmp_error(buf, ROOM, &p->mac, src, &h->eth_src, type, code, mtu, about, size);
    r->res->brief = true; /* so that the sender is told again */
    TRAIL_OBJ(r, &p->obj, "tells the sender: ICMP%s type %u code %u", ip6 ? "v6" : "", type, code);
    if (!emit_begin(r, &a, SIM_EMIT_ANSWER, p->obj.self, NULL, buf, size))
        return;
    port_answer(r, p);
    emit_end(r, &a);
}

void icmp_echo_reply(struct run *r, const struct topo_router *rt)
{
    topo_ref in_port = r->at.in_port;
    struct aside a;
    size_t size;
    const uint8_t *request = materialize(r, r->at.base, snapshot(r), &size);
    uint8_t *buf = arena_alloc(r->arena, size);

    size = packet_echo_reply(buf, size, request, size);
    if (emit_begin(r, &a, SIM_EMIT_ANSWER, in_port, NULL, buf, size)) {
        router_originate(r, rt, in_port);
        emit_end(r, &a);
    }
    consumed(r, &rt->obj, "echo request answered");
}
