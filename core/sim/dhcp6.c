/* DHCPv6 (RFC 8415), with the same place and the same principles as DHCP (dhcp.c).
 *
 * A client is known by its DUID; or, because people know MACs, by the MAC that its DUID is made of;
 * or by the MAC it sends from (as RFC 6939 lets a relay tell). */
#include "packet/dhcp6.h"

#include "packet/wire.h"
#include "sim/mask.h"
#include "topology/dhcp.h"

enum { VALID_S = 86400, PREFERRED_S = 86400, T1_S = VALID_S / 2, T2_S = VALID_S / 5 * 4 };
enum { MAX_HOSTS = 8 /* addresses of one client */ };

static const struct mac all_servers_mac = {{0x33, 0x33, 0, 1, 0, 2}};

struct question {
    struct dhcp6 d;
    struct dhcp6_opt client;
    unsigned n_hosts;
    const struct topo_dhcp_host *hosts[MAX_HOSTS];
};

static bool is_dhcp6(struct run *r)
{
    static const struct ip all_servers = {.b = {0xff, 2, [13] = 1, [15] = 2}};

    return mac_equal(HP(r, eth_dst), &all_servers_mac) && !H(r, vlan_tci) &&
           H(r, eth_type) == ETH_TYPE_IP6 && H(r, ip_proto) == WIRE_PROTO_UDP &&
           H(r, ip_frag) == FLOW_FRAG_NONE && H(r, tp_dst) == DHCP6_SERVER_PORT &&
           ip_equal(HP(r, ip_dst), &all_servers);
}

/* The entries of the client that have this key, in subnets that are served. */
static void find_by(const struct topo_bridge *b, struct question *q, const void *key, size_t size)
{
    struct topo_dhcp_iter it;

    for (const struct topo_dhcp_host *h = topo_dhcp_first(b->dhcp_hosts, &it, true, key, size); h;
         h = topo_dhcp_next(&it)) {
        const struct topo_dhcp_subnet *n = topo_dhcp_subnet(b, &h->subnet);
        if (n && n->enabled && q->n_hosts < MAX_HOSTS)
            q->hosts[q->n_hosts++] = h;
    }
}

static const char *find_hosts(struct run *r, const struct topo_bridge *b, struct question *q)
{
    struct mac mac;

    find_by(b, q, q->client.data, q->client.size);
    if (q->n_hosts)
        return "DUID";
    if (dhcp6_duid_mac(q->client.data, q->client.size, &mac)) {
        find_by(b, q, mac.b, sizeof mac);
        if (q->n_hosts)
            return "MAC in the DUID";
    }
    find_by(b, q, HP(r, eth_src)->b, sizeof mac);
    return "MAC";
}

static bool served6(const struct topo_bridge *b)
{
    for (uint32_t i = 0; i < b->n_subnets; i++)
        if (!ip_is4(&b->subnets[i].net.addr) && b->subnets[i].enabled)
            return true;
    return false;
}

static bool on_link(const struct topo_bridge *b, const struct ip *ip)
{
    for (uint32_t i = 0; i < b->n_subnets; i++)
        if (b->subnets[i].enabled && cidr_contains(&b->subnets[i].net, ip))
            return true;
    return false;
}

/* Writing. */

static void put_address(struct dhcp6_writer *w, const struct ip *ip, uint32_t preferred,
                        uint32_t valid)
{
    uint8_t v[24];

    memcpy(v, ip->b, 16);
    put32(v + 16, preferred);
    put32(v + 20, valid);
    dhcp6_put(w, DHCP6_OPT_IAADDR, v, sizeof v);
}

static bool is_assigned(const struct question *q, const struct ip *ip)
{
    for (unsigned i = 0; i < q->n_hosts; i++)
        if (ip_equal(&q->hosts[i]->ip, ip))
            return true;
    return false;
}

/* Addresses that the client believes to have and hasn't: their time is over (section 18.3.4). */
static void put_wrong_addresses(struct dhcp6_writer *w, const struct question *q,
                                const struct dhcp6_opt *ia)
{
    struct dhcp6_opts within = dhcp6_within(ia);
    struct dhcp6_opt o;
    struct ip ip;

    while (dhcp6_next(&within, &o)) {
        if (o.code != DHCP6_OPT_IAADDR)
            continue;
        memcpy(ip.b, o.data, 16);
        if (!is_assigned(q, &ip))
            put_address(w, &ip, 0, 0);
    }
}

/* The answer to one association: the first gets all the client's addresses, there are none for
 * others. */
static void put_ia(struct dhcp6_writer *w, const struct question *q, const struct dhcp6_opt *ia,
                   bool first)
{
    bool renewal = q->d.type == DHCP6_RENEW || q->d.type == DHCP6_REBIND;
    uint8_t fixed[12] = {0};

    memcpy(fixed, ia->data, 4); /* IAID */
    if (first) {
        put32(fixed + 4, T1_S);
        put32(fixed + 8, T2_S);
    }
    uint8_t *opened = dhcp6_open(w, ia->code, fixed, ia->code == DHCP6_OPT_IA_TA ? 4 : 12);
    for (unsigned i = 0; first && i < q->n_hosts; i++)
        put_address(w, &q->hosts[i]->ip, PREFERRED_S, VALID_S);
    if (first && renewal)
        put_wrong_addresses(w, q, ia);
    if (!first && ia->code == DHCP6_OPT_IA_PD)
        dhcp6_put_status(w, DHCP6_NO_PREFIX_AVAIL, "no prefixes are delegated");
    else if (!first)
        dhcp6_put_status(w, DHCP6_NO_ADDRS_AVAIL, "no more addresses are assigned to you");
    dhcp6_close(w, opened);
}

static void put_ias(struct dhcp6_writer *w, const struct question *q)
{
    struct dhcp6_opts opts = q->d.opts;
    struct dhcp6_opt o;
    bool given = false;

    while (dhcp6_next(&opts, &o)) {
        bool first = o.code == DHCP6_OPT_IA_NA && !given;
        if (o.code == DHCP6_OPT_IA_NA || o.code == DHCP6_OPT_IA_TA || o.code == DHCP6_OPT_IA_PD)
            put_ia(w, q, &o, first);
        given |= first;
    }
}

/* Name servers of the subnets the client is in; of all, when it isn't known to be in any. */
static void put_dns(struct dhcp6_writer *w, const struct topo_bridge *b, const struct question *q)
{
    uint8_t *opened = dhcp6_open(w, DHCP6_OPT_DNS, NULL, 0);
    uint8_t *start = w->p;

    for (uint32_t i = 0; i < b->n_subnets; i++) {
        const struct topo_dhcp_subnet *n = &b->subnets[i];
        bool in = !q->n_hosts;
        for (unsigned k = 0; k < q->n_hosts && !in; k++)
            in = uuid_equal(&q->hosts[k]->subnet, &n->id);
        if (ip_is4(&n->net.addr) || !n->enabled || !in)
            continue;
        for (unsigned k = 0; k < n->n_dns && w->end - w->p >= 16; k++, w->p += 16)
            memcpy(w->p, n->dns[k].b, 16);
    }
    if (w->p == start)
        w->p = opened; /* none */
    else
        dhcp6_close(w, opened);
}

static void send(struct run *r, const struct topo_port *in, const struct question *q, uint8_t type,
                 const struct dhcp6_writer *w, const uint8_t *opts)
{
    enum { ROOM = WIRE_ETH_SIZE + WIRE_IP6_SIZE + WIRE_UDP_SIZE + DHCP6_MAX_SIZE };
    struct flow_key key = {.eth_src = topo_dhcp_mac,
                           .eth_dst = *HP(r, eth_src),
                           .eth_type = ETH_TYPE_IP6,
                           .ip_src = ip_link_local_of_mac(&topo_dhcp_mac),
                           .ip_dst = *HP(r, ip_src),
                           .ip_proto = WIRE_PROTO_UDP,
                           .ip_ttl = 64,
                           .tp_src = DHCP6_SERVER_PORT,
                           .tp_dst = DHCP6_CLIENT_PORT};
    uint8_t *buf = arena_alloc(r->arena, ROOM);

    bridge_answer(r, in, buf,
                  dhcp6_build(buf, ROOM, &key, type, q->d.xid, opts, (size_t)(w->p - opts)));
}

/* What kinds of message there are from clients, and what becomes of them (section 18.3). */
static const struct kind {
    bool here;
    bool names_server; /* must name the server; the others must not (section 16) */
    bool assigns;      /* addresses are told */
    bool closes;       /* status only: nothing is kept of what the client gives up */
} kinds[DHCP6_N_TYPES] = {
    [DHCP6_SOLICIT] = {true, false, true, false},
    [DHCP6_REQUEST] = {true, true, true, false},
    [DHCP6_CONFIRM] = {true, false, false, false},
    [DHCP6_RENEW] = {true, true, true, false},
    [DHCP6_REBIND] = {true, false, true, false},
    [DHCP6_RELEASE] = {true, true, false, true},
    [DHCP6_DECLINE] = {true, true, false, true},
    [DHCP6_INFORMATION_REQUEST] = {true, false, false, false},
};

/* Are the addresses a client woke up with still of this link?  1 yes, 0 no, -1 it names none. */
static int confirm(const struct topo_bridge *b, const struct question *q)
{
    struct dhcp6_opts opts = q->d.opts, within;
    struct dhcp6_opt ia, o;
    int all = -1;
    struct ip ip;

    while (dhcp6_next(&opts, &ia)) {
        within = ia.code == DHCP6_OPT_IA_NA ? dhcp6_within(&ia) : (struct dhcp6_opts){0};
        while (dhcp6_next(&within, &o)) {
            if (o.code != DHCP6_OPT_IAADDR)
                continue;
            memcpy(ip.b, o.data, 16);
            all = all != 0 && on_link(b, &ip);
        }
    }
    return all;
}

static void answer(struct run *r, const struct topo_bridge *b, const struct topo_port *in,
                   const struct question *q, const char *known_by)
{
    uint8_t opts[DHCP6_MAX_SIZE - 4], duid[DHCP6_DUID_LL_SIZE];
    struct dhcp6_writer w = {opts, opts + sizeof opts, false};
    const struct kind *k = &kinds[q->d.type];
    struct dhcp6_opt o;
    bool rapid = q->d.type == DHCP6_SOLICIT && dhcp6_find(q->d.opts, DHCP6_OPT_RAPID_COMMIT, &o);
    uint8_t type = q->d.type == DHCP6_SOLICIT && !rapid ? DHCP6_ADVERTISE : DHCP6_REPLY;

    dhcp6_duid_of_mac(&topo_dhcp_mac, duid);
    dhcp6_put(&w, DHCP6_OPT_SERVER_ID, duid, sizeof duid);
    if (q->client.size)
        dhcp6_put(&w, DHCP6_OPT_CLIENT_ID, q->client.data, q->client.size);
    if (rapid)
        dhcp6_put(&w, DHCP6_OPT_RAPID_COMMIT, NULL, 0);
    if (k->assigns)
        put_ias(&w, q);
    if (k->closes)
        dhcp6_put_status(&w, DHCP6_SUCCESS, "the address stays assigned");
    if (q->d.type == DHCP6_CONFIRM)
        dhcp6_put_status(&w, confirm(b, q) ? DHCP6_SUCCESS : DHCP6_NOT_ON_LINK, "");
    if (!k->closes && q->d.type != DHCP6_CONFIRM)
        put_dns(&w, b, q);
    if (w.full) {
        TRAIL_OBJ(r, &b->obj, "DHCPv6: the answer would be too large");
        return;
    }
    if (k->assigns)
        TRAIL_OBJ(r, &b->obj, "DHCPv6 %s: answers %s with %s%s%s%s, host entry found by %s",
                  dhcp6_type_name(q->d.type), dhcp6_type_name(type), ip_text(r, &q->hosts[0]->ip),
                  q->n_hosts > 1 ? " and others" : "", *q->hosts[0]->name ? " of " : "",
                  q->hosts[0]->name, known_by);
    else
        TRAIL_OBJ(r, &b->obj, "DHCPv6 %s: answers %s", dhcp6_type_name(q->d.type),
                  dhcp6_type_name(type));
    send(r, in, q, type, &w, opts);
}

/* Ours to answer?  'known_by': how the client's entry was found. */
static bool for_us(struct run *r, const struct topo_bridge *b, struct question *q,
                   const char **known_by)
{
    const struct kind *k = &kinds[q->d.type];
    uint8_t duid[DHCP6_DUID_LL_SIZE];
    struct dhcp6_opt server;
    char text[3 * DHCP6_MAX_DUID + 1];

    if (!k->here || !served6(b))
        return false;
    dhcp6_duid_of_mac(&topo_dhcp_mac, duid);
    bool named = dhcp6_find(q->d.opts, DHCP6_OPT_SERVER_ID, &server);
    if (named && (server.size != sizeof duid || memcmp(server.data, duid, sizeof duid))) {
        TRAIL_OBJ(r, &b->obj, "DHCPv6: the client has chosen another server: passed on");
        return false;
    }
    if (q->d.type == DHCP6_INFORMATION_REQUEST || !q->client.size) /* the latter to be refused */
        return true;
    *known_by = find_hosts(r, b, q);
    if (!q->n_hosts)
        TRAIL_OBJ(r, &b->obj, "DHCPv6: no host entry for DUID %s or MAC %s: passed on",
                  dhcp6_duid_format(q->client.data, q->client.size, text, sizeof text),
                  mac_text(r, PEEK(r, eth_src)));
    return q->n_hosts;
}

static const char *wrong_with(struct run *r, const struct topo_bridge *b, const struct question *q)
{
    struct dhcp6_opt server;
    bool named = dhcp6_find(q->d.opts, DHCP6_OPT_SERVER_ID, &server);

    if (!ip_is_link_local(HP(r, ip_src)))
        return "the client's address isn't link-local";
    if (!q->client.size && q->d.type != DHCP6_INFORMATION_REQUEST)
        return "the client doesn't identify itself";
    if (kinds[q->d.type].names_server && !named)
        return "no server is named";
    if (q->d.type == DHCP6_CONFIRM && confirm(b, q) < 0)
        return "there is no address to confirm";
    return NULL;
}

bool dhcp6_ingress(struct run *r, const struct topo_bridge *b, const struct topo_port *in)
{
    struct question q = {.n_hosts = 0};
    const char *known_by = NULL;

    if (!is_dhcp6(r) || (in->secure && !port_mac_allowed(r, in, HP(r, eth_src))))
        return false;
    userspace_only(r);
    if (dhcp6_parse(r->hand.packet, r->hand.size, &q.d)) {
        TRAIL_OBJ(r, &b->obj, "DHCPv6: relayed, or the message breaks off: passed on");
        return false;
    }
    if (!dhcp6_find(q.d.opts, DHCP6_OPT_CLIENT_ID, &q.client))
        q.client = (struct dhcp6_opt){0};
    if (!for_us(r, b, &q, &known_by))
        return false;
    const char *wrong = wrong_with(r, b, &q);
    if (wrong) {
        TRAIL_OBJ(r, &b->obj, "DHCPv6: %s", wrong);
        drop(r, SIM_DHCP_INVALID, &b->obj);
        return true;
    }
    answer(r, b, in, &q, known_by);
    consumed(r, &b->obj, "DHCPv6 message answered");
    return true;
}
