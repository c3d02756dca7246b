/* DHCP at the port where a machine's frame enters a bridge, before any filter: a client that has a
 * host entry on the bridge gets its answer here, and its frame goes no further.
 *
 * Addresses are assigned by the operator, one to a client, so there is no state: the answer follows
 * from the entry.  Who has no entry isn't ours: the frame is bridged like any other (there may be a
 * server among the machines).  An answer leaves by the port where the question came in, to the
 * station that asked: nobody else can be made to receive one. */
#include "packet/dhcp.h"
#include "packet/wire.h"
#include "sim/mask.h"
#include "topology/dhcp.h"

enum {
    LEASE_S = 86400,
    MAX_OPTS = 300,
    IP_UDP_SIZE = WIRE_IP4_SIZE + WIRE_UDP_SIZE,
    LEAST_MTU = 68
};

/* A client's question and what is known of it. */
struct question {
    struct dhcp d;
    const struct topo_dhcp_host *host;
    const struct topo_dhcp_subnet *subnet;
};

/* An answer under construction; values live in the arena. */
struct answer {
    struct run *r;
    struct dhcp_opt opts[MAX_OPTS];
    unsigned n;
};

/* Broadcast, to a server's station, or to us: nothing else is looked at closer. */
static bool to_server(struct run *r, const struct topo_bridge *b)
{
    const struct mac *dst = HP(r, eth_dst);
    bool ours = mac_is_broadcast(dst) || mac_equal(dst, &topo_dhcp_mac);

    for (uint32_t i = 0; i < b->n_subnets; i++) {
        const struct topo_dhcp_subnet *n = &b->subnets[i];
        if (!ours && n->enabled && mac_equal(dst, &n->server_mac) &&
            H(r, eth_type) == ETH_TYPE_IP && !H(r, vlan_tci))
            ours = dst_within(r, &n->server, 128);
    }
    return ours;
}

static bool is_dhcp4(struct run *r, const struct topo_bridge *b)
{
    return to_server(r, b) && H(r, eth_type) == ETH_TYPE_IP && !H(r, vlan_tci) &&
           H(r, ip_proto) == WIRE_PROTO_UDP && H(r, ip_frag) == FLOW_FRAG_NONE &&
           H(r, tp_dst) == DHCP_SERVER_PORT && H(r, tp_src) == DHCP_CLIENT_PORT;
}

static const struct ip *asked_for(struct question *q, struct ip *buf)
{
    if (ip_to4(&q->d.ciaddr))
        return &q->d.ciaddr;
    return dhcp_option_ip(&q->d, DHCP_OPT_REQUESTED, buf) ? buf : NULL;
}

/* How well an entry answers: a client may have one in each of several subnets, and says which by
 * naming the server or the address. */
static unsigned fitness(struct question *q, const struct topo_dhcp_host *h,
                        const struct topo_dhcp_subnet *n)
{
    struct ip server, buf;
    const struct ip *wish = asked_for(q, &buf);

    if (dhcp_option_ip(&q->d, DHCP_OPT_SERVER, &server) && !ip_equal(&server, &n->server))
        return 1;
    return wish && ip_equal(wish, &h->ip) ? 3 : 2;
}

/* False: there is no entry that could answer, said in the trail. */
static bool find_host(struct run *r, const struct topo_bridge *b, struct question *q)
{
    const struct mac *mac = HP(r, eth_src);
    struct topo_dhcp_iter it;
    bool any = false;
    unsigned best = 0;

    for (const struct topo_dhcp_host *h =
             topo_dhcp_first(b->dhcp_hosts, &it, false, mac->b, sizeof *mac);
         h; h = topo_dhcp_next(&it)) {
        const struct topo_dhcp_subnet *n = topo_dhcp_subnet(b, &h->subnet);
        any = true;
        if (!n || !n->enabled)
            continue;
        unsigned f = fitness(q, h, n);
        if (f < best || (f == best && n > q->subnet))
            continue; /* subnets are sorted: the first of equals */
        best = f;
        q->host = h;
        q->subnet = n;
    }
    if (!any)
        TRAIL_OBJ(r, &b->obj, "DHCP: no subnet of the bridge has a host entry for %s: passed on",
                  mac_text(r, mac));
    else if (!best)
        TRAIL_OBJ(r, &b->obj, "DHCP: the subnet of the host entry for %s is disabled: passed on",
                  mac_text(r, mac));
    else if (best == 1)
        TRAIL_OBJ(r, &b->obj, "DHCP: the client has chosen another server: passed on");
    return best > 1;
}

/* A later option replaces an earlier one of the same code. */
static void add(struct answer *a, uint8_t code, const void *data, size_t size)
{
    struct dhcp_opt o = {code, (uint16_t)size, data};

    for (unsigned i = 0; i < a->n; i++) {
        if (a->opts[i].code == code) {
            a->opts[i] = o;
            return;
        }
    }
    if (a->n < MAX_OPTS)
        a->opts[a->n++] = o;
}

static void add_copy(struct answer *a, uint8_t code, const void *data, size_t size)
{
    void *copy = arena_alloc(a->r->arena, size);

    memcpy(copy, data, size);
    add(a, code, copy, size);
}

static void add_ip(struct answer *a, uint8_t code, const struct ip *ip)
{
    add_copy(a, code, &ip->w[3], 4);
}

static void add_number(struct answer *a, uint8_t code, uint32_t value, unsigned bytes)
{
    uint8_t b[4];

    put32(b, value);
    add_copy(a, code, b + 4 - bytes, bytes);
}

static void add_dns(struct answer *a, const struct topo_dhcp_subnet *n)
{
    uint8_t *p = arena_alloc(a->r->arena, n->n_dns * 4u);

    for (unsigned i = 0; i < n->n_dns; i++)
        memcpy(p + 4 * i, &n->dns[i].w[3], 4);
    if (n->n_dns)
        add(a, DHCP_OPT_DNS, p, n->n_dns * 4u);
}

static uint8_t *put_route(uint8_t *p, const struct cidr *dst, const struct ip *gateway)
{
    struct ip net = cidr_network(dst);
    unsigned bytes = (dst->len + 7u) / 8u;

    *p++ = dst->len;
    memcpy(p, &net.w[3], bytes);
    memcpy(p + bytes, &gateway->w[3], 4);
    return p + bytes + 4;
}

/* RFC 3442: who takes these ignores the router option, so the default route is among them. */
static void add_routes(struct answer *a, const struct topo_dhcp_subnet *n)
{
    struct cidr all = {ip_from4(0), 0};
    uint8_t *start = arena_alloc(a->r->arena, (n->n_routes + 1u) * 9u), *p = start;

    if (!n->n_routes)
        return;
    for (unsigned i = 0; i < n->n_routes; i++)
        p = put_route(p, &n->routes[i].dst, &n->routes[i].gateway);
    if (!ip_is_none(&n->gateway))
        p = put_route(p, &all, &n->gateway);
    add(a, DHCP_OPT_ROUTES, start, (size_t)(p - start));
}

/* What an interface is configured with. */
static void add_configuration(struct answer *a, const struct question *q)
{
    const struct topo_dhcp_subnet *n = q->subnet;
    const struct topo_dhcp_host *h = q->host;
    struct cidr all = {ip_from4(~0u), n->net.len};
    struct ip mask = cidr_network(&all), broadcast = cidr_broadcast(&n->net);
    uint16_t mtu = least_mtu(n->mtu, a->r->in->overlay_mtu);

    add_ip(a, DHCP_OPT_MASK, &mask);
    add_ip(a, DHCP_OPT_BROADCAST, &broadcast);
    if (!ip_is_none(&n->gateway))
        add_ip(a, DHCP_OPT_ROUTER, &n->gateway);
    add_routes(a, n);
    add_dns(a, n);
    if (mtu >= LEAST_MTU)
        add_number(a, DHCP_OPT_MTU, mtu, 2);
    if (*h->name)
        add(a, DHCP_OPT_HOST_NAME, h->name, MIN(strlen(h->name), 255u));
    for (unsigned i = 0; i < h->n_opts; i++)
        add(a, h->opts[i].code, h->opts[i].data, h->opts[i].size);
}

/* The largest message the client takes. */
static size_t client_room(const struct dhcp *d)
{
    uint8_t b[2];

    return dhcp_option(d, DHCP_OPT_MAX_SIZE, b, 2) == 2 ? MAX(get16(b), 576u) - IP_UDP_SIZE : 0;
}

static void send(struct run *r, const struct topo_bridge *b, const struct topo_port *in,
                 const struct question *q, struct answer *a, enum dhcp_type type)
{
    enum { ROOM = WIRE_ETH_SIZE + IP_UDP_SIZE + DHCP_MAX_SIZE };
    const struct dhcp *d = &q->d;
    struct ip none = ip_from4(0);
    bool unicast = type == DHCP_ACK && ip_to4(&d->ciaddr);
    struct flow_key key = {.eth_src = topo_dhcp_mac,
                           .eth_dst = *HP(r, eth_src),
                           .eth_type = ETH_TYPE_IP,
                           .ip_src = q->subnet->server,
                           .ip_dst = unicast ? d->ciaddr : ip_from4(~0u),
                           .ip_proto = WIRE_PROTO_UDP,
                           .ip_ttl = 64,
                           .tp_src = DHCP_SERVER_PORT,
                           .tp_dst = DHCP_CLIENT_PORT};
    struct dhcp reply = {.op = 2,
                         .type = (uint8_t)type,
                         .xid = d->xid,
                         .flags = d->flags,
                         .ciaddr = type == DHCP_ACK ? d->ciaddr : none,
                         .yiaddr = none,
                         .siaddr = none,
                         .giaddr = none,
                         .chaddr = d->chaddr};
    unsigned left_out;
    uint8_t id[255];

    if (type != DHCP_NAK && d->type != DHCP_INFORM)
        reply.yiaddr = q->host->ip;
    if (type != DHCP_NAK && !ip_is_none(&q->host->next_server))
        reply.siaddr = q->host->next_server;
    int n = dhcp_option(d, DHCP_OPT_CLIENT_ID, id, sizeof id);
    if (n > 0 && n <= (int)sizeof id) /* RFC 6842 */
        add_copy(a, DHCP_OPT_CLIENT_ID, id, (size_t)n);
    uint8_t *buf = arena_alloc(r->arena, ROOM);
    size_t size = dhcp_build(buf, ROOM, &key, &reply, a->opts, a->n, client_room(d), &left_out);
    TRAIL_OBJ(r, &b->obj, "DHCP %s: answers %s of %s from host entry %s%s%s of subnet %s/%u",
              dhcp_type_name(d->type), dhcp_type_name(type), ip_text(r, &q->host->ip),
              mac_text(r, &d->chaddr), *q->host->name ? " " : "", q->host->name,
              ip_text(r, &q->subnet->net.addr), q->subnet->net.len);
    if (left_out)
        TRAIL_OBJ(r, &b->obj, "%u options don't fit what the client takes", left_out);
    bridge_answer(r, in, buf, size);
}

static void offer(struct run *r, const struct topo_bridge *b, const struct topo_port *in,
                  const struct question *q, enum dhcp_type type)
{
    struct answer *a = arena_alloc(r->arena, sizeof *a);

    a->r = r;
    a->n = 0;
    add_ip(a, DHCP_OPT_SERVER, &q->subnet->server);
    if (type == DHCP_NAK) {
        static const char text[] = "another address is assigned to you";
        add(a, 56, text, sizeof text - 1);
    } else {
        if (q->d.type != DHCP_INFORM)
            add_number(a, DHCP_OPT_LEASE, LEASE_S, 4);
        add_configuration(a, q);
    }
    send(r, b, in, q, a, type);
}

/* RFC 2131 section 4.3.2: a request names the address it is about, as the lease it has or as the
 * one it wants. */
static enum dhcp_type verdict(struct question *q)
{
    struct ip buf;
    const struct ip *wish = asked_for(q, &buf);

    return wish && ip_equal(wish, &q->host->ip) ? DHCP_ACK : DHCP_NAK;
}

static bool reply(struct run *r, const struct topo_bridge *b, const struct topo_port *in,
                  struct question *q)
{
    const char *what;

    switch (q->d.type) {
    case DHCP_DISCOVER:
        offer(r, b, in, q, DHCP_OFFER);
        what = "DHCP discover answered";
        break;
    case DHCP_REQUEST:
        offer(r, b, in, q, verdict(q));
        what = "DHCP request answered";
        break;
    case DHCP_INFORM:
        offer(r, b, in, q, DHCP_ACK);
        what = "DHCP inform answered";
        break;
    case DHCP_RELEASE:
        what = "DHCP release: the address stays assigned";
        break;
    case DHCP_DECLINE:
        what = "DHCP decline: the client says that somebody else uses its address";
        break;
    default:
        drop(r, SIM_DHCP_INVALID, &b->obj);
        return true;
    }
    consumed(r, &b->obj, what);
    return true;
}

static bool dhcp4_ingress(struct run *r, const struct topo_bridge *b, const struct topo_port *in)
{
    struct question q = {.host = NULL};
    struct topo_dhcp_iter it;
    const struct mac *mac = HP(r, eth_src);

    userspace_only(r); /* all that follows hangs on what is behind the headers */
    if (dhcp_parse(r->hand.packet, r->hand.size, &q.d)) {
        /* Whose client it would be, nobody else need look at it. */
        if (!topo_dhcp_first(b->dhcp_hosts, &it, false, mac->b, sizeof *mac))
            return false;
        TRAIL_OBJ(r, &b->obj, "DHCP: the message breaks off, or is none");
        drop(r, SIM_DHCP_INVALID, &b->obj);
        return true;
    }
    if (q.d.type == DHCP_BOOTP || q.d.hops || ip_to4(&q.d.giaddr)) {
        TRAIL_OBJ(r, &b->obj, "DHCP: %s: passed on",
                  q.d.type == DHCP_BOOTP ? "plain BOOTP" : "relayed");
        return false;
    }
    if (!find_host(r, b, &q))
        return false;
    if (q.d.op != 1 || !mac_equal(&q.d.chaddr, mac)) {
        TRAIL_OBJ(r, &b->obj, "DHCP: %s asks in the name of %s", mac_text(r, mac),
                  mac_text(r, &q.d.chaddr));
        drop(r, SIM_DHCP_INVALID, &b->obj);
        return true;
    }
    return reply(r, b, in, &q);
}

/* Port security comes first; it will say why not. */
static bool may_ask(struct run *r, const struct topo_port *in)
{
    return !in->secure || port_mac_allowed(r, in, HP(r, eth_src));
}

bool dhcp_ingress(struct run *r)
{
    const struct topo_port *in = topo_port(r->topo, r->in->port);

    /* A trace may ask before the port is bound. */
    bool outside = topo_port_exterior(in) || (r->in->any_ingress && !in->peer);

    if (in->device_kind != TOPO_BRIDGE || !in->admin_up || !outside)
        return false;
    const struct topo_bridge *b = load_bridge(r, in->device);
    if (!b)
        return true; /* the branch has ended */
    if (!b->n_subnets || !b->admin_up)
        return false;
    r->at.in_port = r->in->port;
    r->at.device = in->device;
    if (is_dhcp4(r, b))
        return may_ask(r, in) && dhcp4_ingress(r, b, in);
    if (!mac_equal(HP(r, eth_dst), &topo_dhcp_mac))
        return dhcp6_ingress(r, b, in);
    TRAIL_OBJ(r, &b->obj, "nothing but DHCP is served at this MAC");
    drop(r, SIM_DHCP_INVALID, &b->obj);
    return true;
}
