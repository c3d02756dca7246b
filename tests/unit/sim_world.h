/* Topologies in a few lines, and packets through them; no test framework (fuzzing and benchmarks
 * use this too).
 *
 *     struct world w;
 *     world_init(&w);
 *     struct dev *b = bridge(&w, "b");
 *     vm(b, "a");
 *     vm(b, "z");
 *     publish(&w);
 *     world_run(&w, "a", packet, size);      w.res is the result
 *
 * Names are ids: 16 bytes of them at most.  Descriptions may be changed and published again. */
#ifndef MN_TESTS_SIM_WORLD_H
#define MN_TESTS_SIM_WORLD_H

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "packet/packet.h"
#include "sim/sim.h"
#include "sim_rules.h"
#include "topology/dhcp.h"
#include "topology/lpm.h"
#include "topology/tables.h"
#include "values.h"

struct prt {
    const char *name;
    struct dev *dev;
    struct prt *peer;
    const char *host; /* null: not bound */
    bool down, inactive;
    uint16_t vlan;
    bool secure;
    struct topo_allowed allowed[4];
    unsigned n_allowed;
    struct mac mac;
    struct cidr addrs[4];
    unsigned n_addrs;
    topo_ref infilter, outfilter, trace, insert_in, insert_out;
    topo_ref groups[4]; /* in the order they were made */
    unsigned n_groups;
    topo_ref mirrors[TOPO_PORT_HOOKS]; /* one a place */
    bool service;
    int dscp; /* plus 1 */
    topo_ref ref;
};

struct dev {
    const char *name;
    enum topo_kind kind;
    struct world *w;
    bool down, unloaded, missing;
    struct prt **ports;
    unsigned n_ports;
    struct topo_route routes[40];
    unsigned n_routes;
    struct topo_seed seeds[8];
    unsigned n_seeds;
    struct topo_dhcp_subnet subnets[4];
    unsigned n_subnets;
    struct topo_dhcp_hosts *hosts;
    struct topo_mac_table *macs;
    struct topo_neigh_table *neighs;
    topo_ref infilter, outfilter, trace, local_redirect, forward;
    topo_ref mirrors[TOPO_DEVICE_HOOKS];
    topo_ref ref;
};

struct world {
    topo_ref local; /* the host "host1" */
    struct topo *topo;
    struct arena arena;
    uint64_t now;
    struct dev **devs;
    unsigned n_devs;
    struct prt **prts;
    unsigned n_prts;
    struct chn **chns;
    unsigned n_chns;
    struct sim_input in;
    struct sim_result res;
    struct flow_key key;
    bool trail;
    bool skip_mask_check;
};

static inline void world_init(struct world *w)
{
    struct uuid host = uuid_of("host1");

    *w = (struct world){.topo = topo_new(), .now = 1000000000ull};
    arena_init(&w->arena, 1 << 16);
    w->local = topo_intern(w->topo, TOPO_HOST, &host);
}

static inline void world_free(struct world *w)
{
    topo_free(w->topo);
    arena_free(&w->arena);
    for (unsigned i = 0; i < w->n_prts; i++)
        free(w->prts[i]);
    for (unsigned i = 0; i < w->n_devs; i++) {
        free(w->devs[i]->ports);
        free(w->devs[i]);
    }
    for (unsigned i = 0; i < w->n_chns; i++) {
        chain_clear(w->chns[i]);
        free(w->chns[i]);
    }
    free(w->chns);
    free(w->prts);
    free(w->devs);
}

static inline struct chn *chain(struct world *w, const char *name)
{
    w->chns = mem_resize(w->chns, (w->n_chns + 1) * sizeof *w->chns);
    return w->chns[w->n_chns++] = chain_in(w->topo, name);
}

static inline struct dev *device(struct world *w, enum topo_kind kind, const char *name)
{
    struct uuid id = uuid_of(name);
    struct dev *d = NEW(struct dev);

    w->devs = mem_resize(w->devs, (w->n_devs + 1) * sizeof *w->devs);
    w->devs[w->n_devs++] = d;
    *d = (struct dev){.name = name, .kind = kind, .w = w};
    d->ref = topo_intern(w->topo, kind, &id);
    if (kind == TOPO_BRIDGE)
        d->macs = topo_mac_table_new();
    else
        d->neighs = topo_neigh_table_new();
    return d;
}

static inline struct dev *bridge(struct world *w, const char *name)
{
    return device(w, TOPO_BRIDGE, name);
}

static inline struct dev *router(struct world *w, const char *name)
{
    return device(w, TOPO_ROUTER, name);
}

/* Unplugged; its MAC is 02:c0:00:00:00:<number>. */
static inline struct prt *port(struct dev *d, const char *name)
{
    struct uuid id = uuid_of(name);
    struct world *w = d->w;
    struct prt *p = NEW(struct prt);

    w->prts = mem_resize(w->prts, (w->n_prts + 1) * sizeof *w->prts);
    w->prts[w->n_prts++] = p;
    d->ports = mem_resize(d->ports, (d->n_ports + 1) * sizeof(struct prt *));
    d->ports[d->n_ports++] = p;
    *p = (struct prt){.name = name, .dev = d};
    p->mac = (struct mac){{2, 0xc0, 0, 0, (uint8_t)(w->n_prts >> 8), (uint8_t)w->n_prts}};
    p->ref = topo_intern(w->topo, TOPO_PORT, &id);
    return p;
}

static inline struct prt *vm(struct dev *d, const char *name)
{
    struct prt *p = port(d, name);

    p->host = "host1";
    return p;
}

static inline void plug(struct prt *a, struct prt *b)
{
    a->peer = b;
    b->peer = a;
}

static inline void address(struct prt *p, const char *cidr)
{
    p->addrs[p->n_addrs++] = CIDR(cidr);
}

static inline struct topo_route *add_route(struct dev *d, const char *id, const char *dst,
                                           enum topo_next_hop hop, struct prt *via,
                                           const char *gateway)
{
    struct topo_route *r = &d->routes[d->n_routes++];

    *r = (struct topo_route){.id = uuid_of(id), .dst = CIDR(dst), .hop = (uint8_t)hop};
    r->src = ip_is4(&r->dst.addr) ? CIDR("0.0.0.0/0") : CIDR("::/0");
    r->port = via ? via->ref : 0;
    r->gateway = gateway ? IP(gateway) : ip_none;
    return r;
}

/* A router port with an address, its LOCAL route and the route to its subnet. */
static inline struct prt *rport(struct dev *d, const char *name, const char *cidr)
{
    struct prt *p = port(d, name);
    struct cidr c = CIDR(cidr), net = c;
    char text[CIDR_STRLEN], own[IP_STRLEN];

    address(p, cidr);
    net.addr = cidr_network(&c);
    add_route(d, name, ip_format(&c.addr, own), TOPO_HOP_LOCAL, p, NULL);
    add_route(d, name, cidr_format(&net, text), TOPO_HOP_PORT, p, NULL);
    return p;
}

/* DHCP of either family; to be filled in further before publish(). */
static inline struct topo_dhcp_subnet *subnet(struct dev *d, const char *id, const char *cidr)
{
    struct topo_dhcp_subnet *n = &d->subnets[d->n_subnets++];

    *n = (struct topo_dhcp_subnet){.id = uuid_of(id), .net = CIDR(cidr), .enabled = true};
    n->server = ip_is4(&n->net.addr) ? IP("0.0.0.0") : ip_none;
    if (!d->hosts)
        d->hosts = topo_dhcp_hosts_new();
    return n;
}

static inline void dhcp_host(struct dev *d, const struct topo_dhcp_subnet *n, const void *key,
                             size_t key_size, const char *ip)
{
    struct topo_dhcp_host h = {.id = uuid_of(ip),
                               .subnet = n->id,
                               .ip = IP(ip),
                               .name = "",
                               .key = key,
                               .key_size = (uint8_t)key_size,
                               .ip6 = !ip_is4(&n->net.addr)};

    topo_dhcp_add(d->hosts, topo_dhcp_host_new(&h));
}

static inline int by_link(const void *pa, const void *pb)
{
    const struct topo_link *a = pa, *b = pb;
    int c = memcmp(&a->mac, &b->mac, sizeof a->mac);

    return c ? c : (int)a->port - (int)b->port;
}

static inline int by_seed(const void *pa, const void *pb)
{
    return memcmp(&((const struct topo_seed *)pa)->ip, &((const struct topo_seed *)pb)->ip, 16);
}

/* At most one. */
static inline struct topo_refs refs_of(void *obj, topo_ref ref)
{
    struct topo_refs l = {ref != 0, topo_extra(obj, ref ? sizeof ref : 0)};

    if (ref)
        *l.v = ref;
    return l;
}

static inline void publish_port(struct world *w, const struct prt *p)
{
    struct uuid id = uuid_of(p->name);
    struct topo_port *o = topo_object(
        TOPO_PORT, sizeof *o,
        p->n_addrs * sizeof *p->addrs + p->n_allowed * sizeof *p->allowed + 216, &id, p->name);
    struct uuid host = uuid_of(p->host ? p->host : "");

    o->device = p->dev->ref;
    o->device_kind = (uint8_t)p->dev->kind;
    o->admin_up = !p->down;
    o->active = p->host && !p->inactive;
    o->peer = p->peer ? p->peer->ref : 0;
    o->host = p->host ? topo_intern(w->topo, TOPO_HOST, &host) : 0;
    o->vlan = p->vlan;
    o->secure = p->secure;
    o->n_allowed = (uint16_t)p->n_allowed;
    o->allowed = topo_extra(o, p->n_allowed * sizeof *p->allowed);
    if (p->n_allowed)
        memcpy(o->allowed, p->allowed, p->n_allowed * sizeof *p->allowed);
    o->infilter = p->infilter;
    o->outfilter = p->outfilter;
    o->trace = p->trace;
    o->insert_in = p->insert_in;
    o->insert_out = p->insert_out;
    o->service = p->service;
    o->mark = p->dscp != 0;
    o->dscp = (uint8_t)(p->dscp - 1);
    o->groups.n = p->n_groups;
    o->groups.v = topo_extra(o, p->n_groups * sizeof(topo_ref));
    if (p->n_groups)
        memcpy(o->groups.v, p->groups, p->n_groups * sizeof(topo_ref));
    for (unsigned i = 0; i < TOPO_PORT_HOOKS; i++)
        o->mirrors[i] = refs_of(o, p->mirrors[i]);
    if (p->dev->kind == TOPO_ROUTER) {
        o->mac = p->mac;
        o->link_local = ip_link_local_of_mac(&p->mac);
        o->n_addrs = (uint16_t)p->n_addrs;
        o->addrs = topo_extra(o, p->n_addrs * sizeof *p->addrs);
        if (p->n_addrs)
            memcpy(o->addrs, p->addrs, p->n_addrs * sizeof *p->addrs);
    }
    topo_publish(w->topo, &o->obj);
}

static inline int by_ref(const void *a, const void *b)
{
    return *(const topo_ref *)a < *(const topo_ref *)b ? -1 : 1;
}

static inline void publish_bridge(struct world *w, const struct dev *d)
{
    struct uuid id = uuid_of(d->name);
    size_t n = d->n_ports, addrs = 0;

    for (unsigned i = 0; i < n; i++)
        addrs += d->ports[i]->peer ? d->ports[i]->peer->n_addrs : 0;
    struct topo_bridge *o = topo_object(
        TOPO_BRIDGE, sizeof *o,
        n * (sizeof(topo_ref) + sizeof(struct topo_link)) + addrs * sizeof(struct cidr) +
            d->n_seeds * sizeof *d->seeds + d->n_subnets * sizeof *d->subnets + (n + 9) * 16,
        &id, d->name);
    o->admin_up = !d->down;
    o->infilter = d->infilter;
    o->outfilter = d->outfilter;
    o->trace = d->trace;
    for (unsigned i = 0; i < TOPO_DEVICE_HOOKS; i++)
        o->mirrors[i] = refs_of(o, d->mirrors[i]);
    o->macs = d->macs;
    o->exterior = topo_extra(o, n * sizeof(topo_ref) + 1);
    o->links = topo_extra(o, n * sizeof(struct topo_link) + 1);
    for (unsigned i = 0; i < n; i++) {
        struct prt *p = d->ports[i], *q = p->peer;
        if (p->host)
            o->exterior[o->n_exterior++] = p->ref;
        if (!q)
            continue;
        o->has_vlan_ports |= p->vlan != 0;
        struct topo_link *l = &o->links[o->n_links++];
        *l = (struct topo_link){.port = p->ref,
                                .peer = q->ref,
                                .peer_device = q->dev->ref,
                                .peer_kind = (uint8_t)q->dev->kind,
                                .vlan = p->vlan};
        if (q->dev->kind == TOPO_ROUTER) {
            l->mac = q->mac;
            l->n_addrs = (uint16_t)q->n_addrs;
            l->addrs = topo_extra(o, q->n_addrs * sizeof *q->addrs);
            if (q->n_addrs)
                memcpy(l->addrs, q->addrs, q->n_addrs * sizeof *q->addrs);
        }
    }
    qsort(o->exterior, o->n_exterior, sizeof *o->exterior, by_ref);
    qsort(o->links, o->n_links, sizeof *o->links, by_link);
    o->n_seeds = d->n_seeds;
    o->seeds = topo_extra(o, d->n_seeds * sizeof *d->seeds);
    for (unsigned i = 0; i < d->n_seeds; i++)
        if (d->seeds[i].port && !topo_mac_lookup(d->macs, 0, &d->seeds[i].mac))
            topo_mac_set(d->macs, 0, &d->seeds[i].mac, d->seeds[i].port);
    if (d->n_seeds) {
        memcpy(o->seeds, d->seeds, d->n_seeds * sizeof *d->seeds);
        qsort(o->seeds, o->n_seeds, sizeof *o->seeds, by_seed);
    }
    o->dhcp_hosts = d->hosts;
    o->n_subnets = d->n_subnets;
    o->subnets = topo_extra(o, d->n_subnets * sizeof *d->subnets);
    if (d->n_subnets)
        memcpy(o->subnets, d->subnets, d->n_subnets * sizeof *d->subnets);
    topo_publish(w->topo, &o->obj);
}

static inline void publish_router(struct world *w, const struct dev *d)
{
    struct uuid id = uuid_of(d->name);
    struct topo_router *o = topo_object(TOPO_ROUTER, sizeof *o, 64, &id, d->name);

    o->admin_up = !d->down;
    o->infilter = d->infilter;
    o->outfilter = d->outfilter;
    o->trace = d->trace;
    o->local_redirect = d->local_redirect;
    o->forward = d->forward;
    for (unsigned i = 0; i < TOPO_DEVICE_HOOKS; i++)
        o->mirrors[i] = refs_of(o, d->mirrors[i]);
    o->neighs = d->neighs;
    o->routes = topo_lpm_build(d->routes, d->n_routes);
    topo_publish(w->topo, &o->obj);
}

static inline void publish_missing(struct world *w, enum topo_kind kind, const char *name)
{
    struct uuid id = uuid_of(name);
    struct topo_obj *o = topo_object(kind, sizeof *o, 0, &id, NULL);

    o->missing = true;
    topo_publish(w->topo, o);
}

static inline void publish(struct world *w)
{
    for (unsigned i = 0; i < w->n_chns; i++)
        chain_publish(w->chns[i]);
    for (unsigned i = 0; i < w->n_prts; i++)
        publish_port(w, w->prts[i]);
    for (unsigned i = 0; i < w->n_devs; i++) {
        if (w->devs[i]->kind == TOPO_BRIDGE)
            publish_bridge(w, w->devs[i]);
        else
            publish_router(w, w->devs[i]);
    }
}

/* Running. */

static inline topo_ref ref_of(const struct world *w, const char *name)
{
    struct uuid id = uuid_of(name);
    topo_ref ref = topo_find(w->topo, &id);

    if (!ref)
        abort();
    return ref;
}

static inline bool same_outs(const struct sim_result *a, const struct flow_key *ka,
                             const struct sim_result *b, const struct flow_key *kb)
{
    bool same = a->n_outs == b->n_outs;

    for (uint32_t i = 0; same && i < a->n_outs; i++) {
        struct flow_out x, y;
        flow_out_diff(&x, ka, a->outs[i].hdr);
        flow_out_diff(&y, kb, b->outs[i].hdr);
        same = a->outs[i].port == b->outs[i].port && x.set == y.set && x.ttl_dec == y.ttl_dec &&
               (!(x.set & FLOW_SET_ETH_SRC) || mac_equal(&x.eth_src, &y.eth_src)) &&
               (!(x.set & FLOW_SET_ETH_DST) || mac_equal(&x.eth_dst, &y.eth_dst)) &&
               (!(x.set & FLOW_PUSH_VLAN) || x.vlan_tci == y.vlan_tci);
    }
    return same;
}

/* A packet that differs only in what the mask leaves out, as far as headers can differ. */
static inline struct flow_key alter(const struct flow_key *key, const struct flow_key *mask,
                                    unsigned *seed)
{
    struct flow_key k = *key;
    uint8_t *p = (uint8_t *)&k;
    const uint8_t *m = (const uint8_t *)mask;

    for (size_t i = 0; i < sizeof k; i++)
        if (rand_r(seed) % 2)
            p[i] ^= (uint8_t)((unsigned)rand_r(seed) & ~(unsigned)m[i]);
    k.in_port = key->in_port;
    k.tun_id = key->tun_id;
    k.tun_src = key->tun_src;
    k.ip_ttl = key->ip_ttl;
    k.icmp_id = key->icmp_id;
    k.malformed = k.pad[0] = k.pad[1] = 0;
    k.n_vlans = key->n_vlans;
    k.vlan_tci = key->vlan_tci ? k.vlan_tci | FLOW_VLAN_PRESENT : 0;
    k.eth_src.b[0] = key->eth_src.b[0];
    if (key->eth_type == ETH_TYPE_IP) { /* stay in the family */
        k.ip_src.q[0] = k.ip_dst.q[0] = 0;
        k.ip_src.w[2] = k.ip_dst.w[2] = key->ip_src.w[2];
    }
    return k;
}

/* Do packets that agree under the result's mask get the same treatment? */
static inline bool mask_holds(const struct world *w, unsigned tries)
{
    struct arena arena;
    struct sim_input in = w->in;
    struct sim_result res;
    unsigned seed = 1 + w->key.tp_dst;
    bool holds = true;

    if (w->res.no_flow || w->res.verdict == SIM_ANSWERED || w->res.verdict == SIM_NEED)
        return true;
    arena_init(&arena, 1 << 16);
    in.want_trail = false;
    for (unsigned i = 0; holds && i < tries; i++) {
        struct flow_key k = alter(&w->key, &w->res.mask, &seed);
        in.key = &k;
        sim_run(&in, &arena, &res);
        holds = flow_key_matches(&k, &w->key, &w->res.mask) && res.verdict == w->res.verdict &&
                res.reason == w->res.reason && uuid_equal(&res.reason_id, &w->res.reason_id) &&
                same_outs(&w->res, &w->key, &res, &k);
        arena_reset(&arena);
    }
    arena_free(&arena);
    return holds;
}

static inline void world_run(struct world *w, const char *port_name, const uint8_t *p, size_t size)
{
    struct packet_layers l;

    arena_reset(&w->arena);
    w->key = (struct flow_key){.in_port = 1};
    packet_parse(p, size, &w->key, &l);
    w->in.topo = w->topo;
    w->in.now_ns = w->now;
    w->in.port = ref_of(w, port_name);
    w->in.packet = p;
    w->in.size = (uint32_t)size;
    w->in.key = &w->key;
    w->in.want_trail = w->trail;
    sim_run(&w->in, &w->arena, &w->res);
}

/* What the caller of sim_run() does with lessons. */
static inline void apply_learns(struct world *w)
{
    for (uint32_t i = 0; i < w->res.n_learns; i++) {
        const struct sim_learn *l = &w->res.learns[i];
        if (l->kind == SIM_LEARN_MAC) {
            const struct topo_bridge *b = topo_bridge(w->topo, l->device);
            topo_mac_set(b->macs, l->vlan, &l->mac, l->port);
        } else if (l->kind == SIM_LEARN_NEIGH) {
            const struct topo_router *rt = topo_router(w->topo, l->device);
            struct topo_neigh n = {l->mac, w->now + 60000000000ull, w->now + 90000000000ull};
            topo_neigh_set(rt->neighs, l->port, &l->ip, &n, w->now);
        }
    }
}

static inline void knows(struct prt *p, const char *ip, const char *mac)
{
    struct topo_neigh n = {MAC(mac), 1ull << 60, 1ull << 61};
    struct ip a = IP(ip);

    topo_neigh_set(p->dev->neighs, p->ref, &a, &n, 0);
}

static inline void mac_behind(struct prt *p, uint16_t vlan, const char *mac)
{
    struct mac m = MAC(mac);

    topo_mac_set(p->dev->macs, vlan, &m, p->ref);
}

#endif
