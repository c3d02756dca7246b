/* What a flow does to a packet that fits it is what the simulator would have done.
 *
 * Random packets, whole ones down to what no flow can match, through one network with a bit of
 * everything.  Of each that makes a flow, others are made that agree with it under its mask; the
 * flow's outputs are carried out on them as a datapath does, and compared with what comes of
 * simulating them: bytes, ports, reasons, answers, lessons, records.  Values come from few, most of
 * them the network's own: mistakes hide where a packet has by chance what a device would give it.
 */
#include "packet/ra.h"
#include "sim_conns.h"
#include "sim_random.h"

enum { ROUNDS = 20000, OTHERS = 12, NEW_RULES = 40 /* rounds between them */ };

/* Where packets come in, and the router's port nearest to it. */
static const struct entry {
    const char *port, *router;
} entries[] = {{"a", "ra"},  {"s", "ra"},  {"b", "rb"},   {"up", "up"}, {"six", "six"},
               {"t1", "rv"}, {"t2", "rv"}, {"in5", "rv"}, {"x1", "rxx"}};

static const char *const sound_macs[] = {
    "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:50", "02:00:00:00:01:01",
    "02:00:00:00:01:02", "02:00:00:00:01:03", "ff:ff:ff:ff:ff:ff", "33:33:00:00:00:01",
    "33:33:00:00:00:02", "01:00:5e:00:00:01", "00:00:00:00:00:00", "03:00:00:00:00:01"};

static const char *const sound_ips[] = {
    "10.0.1.1",        "10.0.1.254", "10.0.1.255", "10.0.1.50",   "10.0.2.1",  "10.0.2.254",
    "10.0.2.9",        "10.0.7.254", "10.0.7.3",   "192.0.2.254", "192.0.2.1", "198.51.100.7",
    "203.0.113.9",     "8.8.8.8",    "9.9.9.9",    "169.254.3.3", "0.0.0.0",   "224.0.0.5",
    "255.255.255.255", "10.0.9.1",   "10.0.9.77",  "127.0.0.1",   "10.0.3.1"};
static const char *const sound_ip6s[] = {"fd00:a::1", "fd00:a::fe", "fd00:b::1",     "fd00:b::fe",
                                         "fe80::1",   "::",         "2001:db8::1",   "2001:db8::fe",
                                         "ff02::1",   "ff02::2",    "2001:db8:5::5", "::1"};
static const uint8_t sound_protos[] = {6, 17, 1, 58, 132, 47, 17, 6};
static const uint16_t sound_ports[] = {0, 1, 3, 8, 11, 22, 53, 67, 68, 80, 128, 135, 443, 1024};
static const uint16_t sound_tags[] = {0, 5, 7, 0x2005, 9, 0x3000};

static const struct prt *port_named(const struct world *w, const char *name)
{
    for (unsigned i = 0; i < w->n_prts; i++)
        if (!strcmp(w->prts[i]->name, name))
            return w->prts[i];
    abort();
}

static struct mac some_mac(struct dice *d, const struct world *w)
{
    return roll(d, 2) ? MAC(PICK(d, sound_macs)) : w->prts[roll(d, w->n_prts)]->mac;
}

static struct flow_key some_key(struct dice *d, const struct world *w, const struct entry *e)
{
    static const uint16_t types[] = {ETH_TYPE_IP,  ETH_TYPE_IP,  ETH_TYPE_IP6, ETH_TYPE_IP,
                                     ETH_TYPE_IP6, ETH_TYPE_ARP, 0x1234};
    struct flow_key k = {.eth_src = some_mac(d, w),
                         .eth_dst = some_mac(d, w),
                         .eth_type = PICK(d, types),
                         .ip_ttl = (uint8_t)(roll(d, 6) ? 64 : 255),
                         .ip_tos = (uint8_t)(roll(d, 3) * 0x22),
                         .ip_proto = PICK(d, sound_protos),
                         .tp_src = PICK(d, sound_ports),
                         .tp_dst = PICK(d, sound_ports),
                         .tcp_flags = (uint16_t)(1u << roll(d, 6)),
                         .icmp_id = (uint16_t)roll(d, 3)};
    const struct prt *near = port_named(w, e->router);
    bool ip6 = k.eth_type == ETH_TYPE_IP6;

    if (roll(d, 2))
        k.eth_dst = near->mac;
    if (!roll(d, 4))
        k.vlan_tci = FLOW_VLAN_PRESENT | PICK(d, sound_tags);
    if (!roll(d, 6))
        k.ip_frag = (uint8_t)(1 + roll(d, 2));
    k.ip_src = IP(ip6 ? PICK(d, sound_ip6s) : PICK(d, sound_ips));
    k.ip_dst = IP(ip6 ? PICK(d, sound_ip6s) : PICK(d, sound_ips));
    for (unsigned i = 0; i < near->n_addrs && !roll(d, 3); i++)
        if (ip_is4(&near->addrs[i].addr) != ip6)
            k.ip_dst = near->addrs[i].addr;
    if (k.eth_type != ETH_TYPE_ARP)
        return k;
    k.ip_proto = (uint8_t)(1 + roll(d, 2));
    if (roll(d, 2))
        k.eth_dst = mac_broadcast;
    return k;
}

/* ARP speaks of hardware addresses that no key has. */
static struct frame arp_frame(struct dice *d, const struct world *w, const struct flow_key *k)
{
    struct mac sha = roll(d, 2) ? k->eth_src : some_mac(d, w), tha = some_mac(d, w);
    static const struct mac none;
    struct frame f = {.size = 0}, plain = {.size = 0};
    size_t at = k->vlan_tci ? WIRE_VLAN_SIZE : 0;

    if (!roll(d, 5))
        sha = none;
    plain.size = packet_arp(plain.b, sizeof plain.b, k->ip_proto, &k->eth_src, &k->eth_dst, &sha,
                            &k->ip_src, &tha, &k->ip_dst);
    f.size = plain.size + at;
    memcpy(f.b, plain.b, 12);
    put16(f.b + 12, ETH_TYPE_VLAN);
    put16(f.b + 14, k->vlan_tci & (uint16_t)~FLOW_VLAN_PRESENT);
    memcpy(f.b + 12 + at, plain.b + 12, plain.size - 12);
    return f;
}

static struct frame nd_frame(struct dice *d, const struct flow_key *k)
{
    struct ip target = IP(PICK(d, sound_ip6s)), own = k->ip_src;
    struct frame f = {.size = 0};
    bool many = roll(d, 2);

    if (!roll(d, 6))
        f.size = packet_rs_build(f.b, sizeof f.b, &k->eth_src, &own);
    else if (roll(d, 2))
        f.size = packet_nd_solicit(f.b, sizeof f.b, &k->eth_src, &own, many ? NULL : &k->eth_dst,
                                   many ? NULL : &k->ip_dst, &target);
    else
        f.size = packet_nd_advert(f.b, sizeof f.b, &k->eth_src, &own, &k->eth_dst, &k->ip_dst,
                                  &target, roll(d, 2), roll(d, 2));
    return f;
}

/* An IPv6 header of no consequence between the fixed one and what follows it. */
static void extend(struct frame *f, uint8_t type)
{
    uint8_t *ip = f->b + WIRE_ETH_SIZE;

    if (get16(f->b + 12) != ETH_TYPE_IP6)
        return;
    memmove(ip + WIRE_IP6_SIZE + 8, ip + WIRE_IP6_SIZE, f->size - WIRE_ETH_SIZE - WIRE_IP6_SIZE);
    memcpy(ip + WIRE_IP6_SIZE, (const uint8_t[8]){ip[6], 0, 1, 4}, 8);
    ip[6] = type;
    put16(ip + 4, (uint16_t)(get16(ip + 4) + 8));
    f->size += 8;
}

/* One more tag around it. */
static void wrap(struct frame *f, uint16_t tci)
{
    memmove(f->b + 16, f->b + 12, f->size - 12);
    put16(f->b + 12, ETH_TYPE_VLAN);
    put16(f->b + 14, tci & (uint16_t)~FLOW_VLAN_PRESENT);
    f->size += WIRE_VLAN_SIZE;
}

static struct frame some_frame(struct dice *d, const struct world *w, const struct flow_key *k)
{
    struct frame f;

    if (k->eth_type == ETH_TYPE_ARP) {
        f = arp_frame(d, w, k);
    } else if (k->eth_type == ETH_TYPE_IP6 && !roll(d, 4)) {
        f = nd_frame(d, k);
    } else {
        f.size = packet_from_key(f.b, sizeof f.b, k, "0123456789abcdef", 16);
    }
    if (!roll(d, 8))
        extend(&f, roll(d, 2) ? WIRE_PROTO_DSTOPTS : WIRE_PROTO_HOPOPTS);
    if (!roll(d, 12))
        wrap(&f, PICK(d, sound_tags));
    return f;
}

struct rig {
    struct world *w;
    struct state *state;
    struct chn *c, *d; /* of random rules */
    struct frame last; /* the latest that left, and where */
    const char *left_by;
};

/* The devices, and the ports that are looked for by more than their names. */
struct site {
    struct dev *ba, *bb, *vab, *in, *x, *rt, *rx;
    struct prt *ra, *rb, *rxx, *rxt, *rtx, *up, *six;
    struct prt *s, *b, *x1, *m;
};

/*  a, s -- ba -- ra:rt:rb -- bb -- b          up, six: uplinks of rt, bound
 *  t1, t2 -- vab --5-- in -- in5              x1 -- x -- y -- y1, joined by a router too: rx
 *            +--7-- rv:rt                     m: takes copies of some of it                  */
static void build_devices(struct world *w, struct site *n)
{
    n->ba = bridge(w, "ba");
    n->bb = bridge(w, "bb");
    n->vab = bridge(w, "vab");
    n->in = bridge(w, "in");
    n->x = bridge(w, "x");
    n->rt = router(w, "rt");
    n->rx = router(w, "rx");
    n->ra = rport(n->rt, "ra", "10.0.1.254/24");
    n->rb = rport(n->rt, "rb", "10.0.2.254/24");
    n->up = rport(n->rt, "up", "192.0.2.254/24");
    n->six = rport(n->rt, "six", "2001:db8::fe/64");
    n->rtx = rport(n->rt, "rtx", "10.0.8.1/30");
    n->rxt = rport(n->rx, "rxt", "10.0.8.2/30");
    n->rxx = rport(n->rx, "rxx", "10.0.9.254/24");
    address(n->ra, "fd00:a::fe/64");
    address(n->rb, "fd00:b::fe/64");
    n->up->host = n->six->host = "host1";
}

static void build_links(struct site *n)
{
    struct prt *v5 = port(n->vab, "v5"), *v7 = port(n->vab, "v7");

    v5->vlan = 5;
    v7->vlan = 7;
    plug(port(n->ba, "pa"), n->ra);
    plug(port(n->bb, "pb"), n->rb);
    plug(v7, rport(n->rt, "rv", "10.0.7.254/24"));
    plug(v5, port(n->in, "i5"));
    plug(n->rtx, n->rxt);
    plug(port(n->x, "px"), n->rxx);
}

static void build_machines(struct site *n)
{
    vm(n->ba, "a")->dscp = 11;
    n->s = vm(n->ba, "s");
    n->b = vm(n->bb, "b");
    n->x1 = vm(n->x, "x1");
    n->m = vm(n->x, "m");
    vm(n->vab, "t1");
}

static void build_routes(struct site *n)
{
    add_route(n->rt, "d1", "0.0.0.0/0", TOPO_HOP_PORT, n->up, "192.0.2.1");
    add_route(n->rt, "d2", "0.0.0.0/0", TOPO_HOP_PORT, n->up, "192.0.2.2");
    add_route(n->rt, "d3", "10.0.9.0/24", TOPO_HOP_PORT, n->rtx, "10.0.8.2");
    add_route(n->rt, "d6", "::/0", TOPO_HOP_PORT, n->six, "2001:db8::1");
    add_route(n->rt, "n6", "fd00:b::/64", TOPO_HOP_PORT, n->rb, NULL);
    add_route(n->rt, "a6", "fd00:a::/64", TOPO_HOP_PORT, n->ra, NULL);
    add_route(n->rt, "no", "198.51.100.0/24", TOPO_HOP_REJECT, NULL, NULL);
    add_route(n->rt, "hole", "203.0.113.0/24", TOPO_HOP_BLACKHOLE, NULL, NULL);
    add_route(n->rx, "rd", "0.0.0.0/0", TOPO_HOP_PORT, n->rxt, "10.0.8.1");
}

static void build_chains(struct world *w, struct site *n)
{
    struct chn *c = chain(w, "c"), *nat = chain(w, "nat"), *back = chain(w, "back"),
               *tags = chain(w, "tags"), *fence = chain(w, "fence");

    rule(c, "drop proto 17 dst-port 53 dst 10.0.2.0/24");
    rule(c, "reject proto 6 tcp-flags 0x01/0x03");
    rule(c, "accept fragment-policy nonheader src 10.0.1.0/28");
    rule(c, "drop fragment-policy header dst 8.0.0.0/8");
    rule(c, "reject src 9.0.0.0/8 !dst-port 1-79");
    rule(c, "accept return-flow proto 17");
    rule(c, "drop fwd-flow in-ports up dst 10.0.1.0/25");
    rule(nat, "dnat stateless action continue target 10.0.2.1 dst 9.9.9.9");
    rule(nat, "rev_snat action continue dst 192.0.2.254");
    rule(nat, "dnat target 10.0.9.77:8000-8003 action accept dst 10.0.3.1");
    rule(back, "rev_dnat action continue src 10.0.9.77");
    rule(back, "snat target 192.0.2.254:1024-2000 action accept src 10.0.1.0/24 out-ports up");
    rule(back, "snat stateless action continue target 10.0.2.1 src 10.0.9.1");
    rule(tags, "l2_transform pop-vlan push-vlan 5 action continue vlan 7");
    rule(tags, "l2_transform push-vlan 5 action continue no-vlan ethertype 2048");
    rule(fence, "drop tos 68");
    rule(fence, "drop hw-src 02:00:00:00:01:00/ff:ff:ff:ff:ff:00");
    n->rt->infilter = nat->ref;
    n->rt->outfilter = back->ref;
    n->rt->forward = c->ref;
    n->bb->infilter = fence->ref;
    n->x1->outfilter = fence->ref;
    vm(n->vab, "t2")->infilter = tags->ref;
}

static void build_mirrors_and_security(struct world *w, struct site *n)
{
    vm(n->in, "in5")->mirrors[TOPO_HOOK_IN] = mirror_to(w->topo, "copies", "m", "");
    n->up->mirrors[TOPO_HOOK_IN] = mirror_to(w->topo, "pings", "m", "proto 1");
    n->s->groups[n->s->n_groups++] = named(w->topo, TOPO_PORT_GROUP, "pg");
    member(ip_group(w->topo, "g1"), "10.0.1.1");
    member(ip_group(w->topo, "g2"), "fd00:a::1");
    n->ba->seeds[n->ba->n_seeds++] =
        (struct topo_seed){IP("10.0.1.50"), MAC("02:00:00:00:00:50"), n->s->ref};
    n->b->secure = true;
    n->b->allowed[n->b->n_allowed++] =
        (struct topo_allowed){MAC("02:00:00:00:00:0b"), CIDR("10.0.2.0/28")};
    n->b->allowed[n->b->n_allowed++] = (struct topo_allowed){.net = CIDR("fd00:b::1")};
}

static void teach(struct site *n)
{
    knows(n->up, "192.0.2.1", "02:00:00:00:01:01");
    knows(n->up, "192.0.2.2", "02:00:00:00:01:02");
    knows(n->six, "2001:db8::1", "02:00:00:00:01:03");
    knows(n->rb, "10.0.2.1", "02:00:00:00:00:0b");
    knows(n->rb, "fd00:b::1", "02:00:00:00:00:0b");
    knows(n->ra, "10.0.1.1", "02:00:00:00:00:0a");
    knows(n->rxx, "10.0.9.1", "02:00:00:00:01:01");
    knows(n->rxx, "10.0.9.77", "02:00:00:00:01:02");
    mac_behind(n->b, 0, "02:00:00:00:00:0b");
    mac_behind(n->x1, 0, "02:00:00:00:01:01");
    mac_behind(n->m, 0, "02:00:00:00:01:03");
}

static void build(struct rig *rig)
{
    struct world *w = rig->w;
    struct site n;

    build_devices(w, &n);
    build_machines(&n);
    build_links(&n);
    build_routes(&n);
    build_chains(w, &n);
    build_mirrors_and_security(w, &n);
    rig->c = chain(w, "random");
    rig->d = chain(w, "d");
    n.ba->infilter = rig->c->ref;
    n.rx->infilter = rig->c->ref;
    n.six->infilter = rig->d->ref;
    publish(w);
    teach(&n);
}

struct sent {
    struct frame f;
    struct flow_key key;
    struct sim_result res;
    struct arena arena;
};

static bool parse_sent(struct sent *s)
{
    struct packet_layers l;

    s->key = (struct flow_key){.in_port = 1};
    packet_parse(s->f.b, s->f.size, &s->key, &l);
    return !s->key.malformed;
}

static void simulate(const struct rig *rig, const char *entry, struct sent *s)
{
    const struct world *w = rig->w;
    struct sim_input in = {.topo = w->topo,
                           .state = rig->state,
                           .now_ns = w->now,
                           .port = ref_of(w, entry),
                           .packet = s->f.b,
                           .size = (uint32_t)s->f.size,
                           .key = &s->key};

    arena_reset(&s->arena);
    sim_run(&in, &s->arena, &s->res);
}

/* The packet of 'to' as output 'i' of 'from' makes it leave. */
static struct frame leaves(const struct sent *from, uint32_t i, const struct sent *to)
{
    return frame_by(&from->res.outs[i], &from->key, to->f.b, to->f.size);
}

static const char *outs_differ(const struct sent *flow, const struct sent *p)
{
    if (flow->res.n_outs != p->res.n_outs)
        return "another number of copies";
    for (uint32_t i = 0; i < p->res.n_outs; i++) {
        struct frame by_flow = leaves(flow, i, p), itself = leaves(p, i, p);
        if (flow->res.outs[i].port != p->res.outs[i].port)
            return "a copy for another port";
        if (by_flow.size != itself.size || memcmp(by_flow.b, itself.b, itself.size))
            return "other bytes";
    }
    return NULL;
}

/* Would the network have said something to somebody that the flow leaves unsaid?  Errors are told
 * again when a brief flow is over; questions are asked again by who wants the answer. */
static const char *answers_differ(const struct sent *flow, const struct sent *p)
{
    uint32_t told = 0;

    for (uint32_t i = 0; i < p->res.n_emits; i++) {
        const struct sim_emit *e = &p->res.emits[i];
        if (e->kind == SIM_EMIT_SOLICIT)
            continue;
        if (!flow->res.brief)
            return "an answer is lost";
        if (told == flow->res.n_emits)
            return "more answers";
        const struct sim_emit *f = &flow->res.emits[told++];
        if (e->port != f->port || !mac_equal(&e->key.eth_dst, &f->key.eth_dst) ||
            !ip_equal(&e->key.ip_dst, &f->key.ip_dst))
            return "an answer to somebody else is lost";
    }
    return NULL;
}

static const char *lessons_differ(const struct sent *flow, const struct sent *p)
{
    for (uint32_t i = 0; i < p->res.n_learns; i++) {
        bool known = false;
        for (uint32_t j = 0; j < flow->res.n_learns; j++)
            known |= !memcmp(&flow->res.learns[j], &p->res.learns[i], sizeof(struct sim_learn));
        if (!known)
            return "a lesson is lost";
    }
    if (flow->res.n_states != p->res.n_states)
        return "other records";
    for (uint32_t i = 0; i < p->res.n_states; i++)
        if (memcmp(&flow->res.states[i], &p->res.states[i], sizeof(struct state_rec)))
            return "another record";
    return NULL;
}

/* Null, or what the flow made of 'flow' does wrong to 'p'. */
static const char *wrong(const struct sent *flow, const struct sent *p)
{
    const struct sim_result *a = &flow->res, *b = &p->res;
    const char *why;

    if (b->verdict != a->verdict)
        return "another verdict";
    if (a->reason != b->reason || !uuid_equal(&a->reason_id, &b->reason_id))
        return "another reason";
    if ((why = outs_differ(flow, p)) || (why = answers_differ(flow, p)))
        return why;
    if (a->n_logs != b->n_logs || a->n_traces != b->n_traces)
        return "other log records";
    return lessons_differ(flow, p);
}

static bool makes_flow(const struct sim_result *r)
{
    return (r->verdict == SIM_FORWARD || r->verdict == SIM_DROP) && !r->no_flow;
}

/* Does it fit the flow, so that no datapath sends it up?  (The time to live isn't matched: what is
 * dropped on its way is dropped too when its time ends sooner.) */
static bool fits(const struct sent *flow, const struct sent *p)
{
    bool drop = flow->res.verdict == SIM_DROP, ip = p->key.ip_ttl;

    for (uint32_t i = 0; i < flow->res.n_outs; i++) {
        unsigned hops = (unsigned)flow->key.ip_ttl - flow->res.outs[i].hdr->ip_ttl;
        if (hops && p->key.ip_ttl <= hops)
            return false;
    }
    if (drop && ip && p->key.ip_ttl < 32)
        return false;
    return flow_key_matches(&p->key, &flow->key, &flow->res.mask);
}

/* Who takes a tag off finds out what is wrong behind a second one; a flow doesn't look there. */
static bool bad_behind_tags(const struct sent *s)
{
    struct flow_key inner;
    struct packet_layers l;

    packet_parse_behind(s->f.b, s->f.size, 1, &inner, &l);
    return s->key.n_vlans > 1 && inner.malformed;
}

/* Another packet, perhaps one that fits the flow. */
static bool make_other(struct dice *d, const struct world *w, const struct entry *e,
                       const struct sent *flow, struct sent *p)
{
    struct flow_key k = some_key(d, w, e);

    if (roll(d, 3)) {
        merge(&k, &flow->key, &flow->res.mask);
        p->f = some_frame(d, w, &k);
    } else {
        p->f = flow->f;
        for (unsigned i = roll(d, 3); i < 3; i++)
            p->f.b[roll(d, (unsigned)MIN(p->f.size, 70u))] = (uint8_t)roll(d, 256);
        packet_finish_checksums(p->f.b, p->f.size);
    }
    return p->f.size && parse_sent(p) && !bad_behind_tags(p) && fits(flow, p);
}

static void tell(const struct sent *s, const char *what)
{
    struct flow_key all;
    char text[500];

    memset(&all, 0xff, sizeof all);
    fprintf(stderr, "%s: %s\n  verdict %d, %s %.16s, %u copies, %u messages, %u lessons%s\n", what,
            flow_key_format(&s->key, &all, text, sizeof text), s->res.verdict,
            sim_reason_name(s->res.reason), (const char *)s->res.reason_id.b, s->res.n_outs,
            s->res.n_emits, s->res.n_learns, s->res.brief ? ", brief" : "");
    fprintf(stderr, "  mask %s\n", flow_key_format(&s->key, &s->res.mask, text, sizeof text));
}

static void new_rules(struct dice *d, struct rig *rig)
{
    chain_clear(rig->c);
    chain_clear(rig->d);
    for (unsigned i = roll(d, 40); i; i--)
        random_rule(d, rig->c);
    for (unsigned i = roll(d, 5); i; i--)
        random_rule(d, rig->d);
    publish(rig->w);
}

/* What comes back to where the latest packet left: an answer or an error. */
static struct frame come_back(struct dice *d, const struct rig *rig)
{
    struct flow_key k = parse(&rig->last);
    struct frame f = {.size = 0};

    if (k.malformed || k.n_vlans || (k.eth_type != ETH_TYPE_IP && k.eth_type != ETH_TYPE_IP6))
        return f;
    if (!roll(d, 3))
        return error_about(&rig->last, ip_is4(&k.ip_src) ? PICK(d, sound_ips) : "2001:db8::7",
                           ip_is4(&k.ip_src) ? 3 : 1, 3);
    k = reply_to(&rig->last);
    return frame_of(&k);
}

/* As the agent does: records first. */
static void carry_out(struct rig *rig, const struct sent *s)
{
    const struct sim_result *r = &s->res;

    if (r->verdict != SIM_FORWARD ||
        state_commit(rig->state, r->states, r->n_states, rig->w->now, STATE_LOCAL, NULL))
        return;
    rig->last = leaves(s, 0, s);
    rig->left_by = NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(entries); i++)
        if (ref_of(rig->w, entries[i].port) == r->outs[0].port)
            rig->left_by = entries[i].port;
}

static const char *some_flow(struct dice *d, struct rig *rig, const struct entry *e,
                             struct sent *flow)
{
    const char *port = e->port;
    struct flow_key k = some_key(d, rig->w, e);

    flow->f = some_frame(d, rig->w, &k);
    if (rig->left_by && !roll(d, 3)) {
        flow->f = come_back(d, rig);
        port = rig->left_by;
    }
    if (!flow->f.size || !parse_sent(flow))
        return NULL;
    simulate(rig, port, flow);
    carry_out(rig, flow);
    return makes_flow(&flow->res) ? port : NULL;
}

static void test_flows_do_what_the_simulator_does(void **state)
{
    static struct sent flow, p;
    struct rig rig = {.w = *state};
    const char *rounds = getenv("MN_TEST_ROUNDS"), *why = NULL;
    unsigned n = rounds ? (unsigned)strtoul(rounds, NULL, 0) : ROUNDS, n_flows = 0, n_pairs = 0;

    rig.state = with_state(rig.w);
    build(&rig);
    arena_init(&flow.arena, 1 << 16);
    arena_init(&p.arena, 1 << 16);
    for (unsigned round = 0; round < n && !why; round++) {
        struct dice d = {.seed = round * 2654435761u + 7};
        if (round % NEW_RULES == 0)
            new_rules(&d, &rig);
        const struct entry *e = &PICK(&d, entries);
        const char *port = some_flow(&d, &rig, e, &flow);
        n_flows += port != NULL;
        for (unsigned i = 0; port && i < OTHERS && !why; i++) {
            if (!make_other(&d, rig.w, e, &flow, &p))
                continue;
            n_pairs++;
            simulate(&rig, port, &p);
            why = wrong(&flow, &p);
        }
        if (why) {
            tell(&flow, "flow of");
            tell(&p, "wrong for");
            fprintf(stderr, "round %u at %s: %s\n", round, port, why);
            if (getenv("MN_TEST_ALL"))
                why = NULL;
        }
        rcu_quiescent_state();
    }
    if (getenv("MN_TEST_ALL"))
        fprintf(stderr, "%u flows, %u pairs\n", n_flows, n_pairs);
    assert_null(why);
    assert_in_range(n_flows, n / 4, n);
    assert_in_range(n_pairs, n, n * OTHERS);
    arena_free(&flow.arena);
    arena_free(&p.arena);
    state_free(rig.state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(test_flows_do_what_the_simulator_does),
    };

    return cmocka_run_group_tests(tests, reader_setup, reader_teardown);
}
