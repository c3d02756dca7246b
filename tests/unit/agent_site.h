/* Whole agents in one process under one clock, machines that answer ARP, and stores whose wire can
 * be cut: for tests of what fails.
 *
 *                         / u1 (10.1.0.254) - gateway 10.1.0.1, h2
 *   h1: a - left - edge <   u2 (10.2.0.254) - gateway 10.2.0.1, h3      equal default routes
 *           /             \ u3 (10.3.0.254) - gateway 10.3.0.1, h4
 *   h5: b -'
 */
#ifndef MN_TESTS_AGENT_SITE_H
#define MN_TESTS_AGENT_SITE_H

#include <arpa/inet.h>

#include "agent_hosts.h"
#include "flaky_store.h"

enum { HOSTS = HOSTS_MAX, GATEWAYS = 3, HEARD = 8192 };
enum { A, U1, U2, U3, B, MACHINES }; /* machine i is on host i */

struct machine {
    char name[8];
    struct mac mac;
    struct ip ip, gw;
    struct uuid port;
};

struct site {
    struct hosts all;
    struct host *h; /* all.h */
    struct machine m[MACHINES];
    struct uuid left, edge;
    /* What the machines got, but for ARP, since site_send_all() or the test began. */
    unsigned n_heard;
    struct heard {
        unsigned machine;
        struct flow_key key;
    } heard[HEARD];
};

static inline void site_inject(struct site *c, unsigned i, const uint8_t *frame, size_t size)
{
    if (c->h[i].dp)
        assert_int_equal(memory_inject(c->h[i].dp, c->m[i].name, frame, size), 0);
}

/* ARP questions are answered; the rest is noted. */
static inline void machine_gets(struct site *c, unsigned i, const uint8_t *frame, size_t size)
{
    const struct machine *m = &c->m[i];
    struct flow_key k = parse_exact(frame, size, NULL);
    struct mac sha, tha;
    uint8_t reply[64];

    if (k.eth_type == ETH_TYPE_ARP) {
        if (k.ip_proto != 1 || !ip_equal(&k.ip_dst, &m->ip) ||
            packet_arp_macs(frame, size, &sha, &tha))
            return;
        site_inject(
            c, i, reply,
            packet_arp(reply, sizeof reply, 2, &m->mac, &sha, &m->mac, &m->ip, &sha, &k.ip_src));
    } else if (k.eth_type == ETH_TYPE_IP && c->n_heard < HEARD) {
        c->heard[c->n_heard++] = (struct heard){i, k};
    }
}

/* Until nobody has anything to do at this moment; what a worker lacks is loaded in the next turn.
 */
static inline void site_run(struct site *c)
{
    uint8_t buf[2048];
    int size;

    for (unsigned quiet = 0; quiet < 4; quiet++) {
        hosts_run(&c->all);
        for (unsigned i = 0; i < MACHINES; i++) {
            while (c->h[i].dp &&
                   (size = memory_take(c->h[i].dp, c->m[i].name, buf, sizeof buf)) > 0) {
                machine_gets(c, i, buf, (size_t)size);
                quiet = 0;
            }
        }
    }
}

static inline void site_pass_ms(struct site *c, unsigned ms)
{
    site_run(c);
    for (unsigned i = 0; i < ms; i += 25) {
        c->all.now += 25 * NSEC_PER_MSEC;
        site_run(c);
    }
}

static inline void site_pass(struct site *c, unsigned seconds)
{
    for (unsigned i = 0; i < 4 * seconds; i++) {
        c->all.now += SEC / 4;
        site_run(c);
    }
}

static inline struct store *site_open_store(const char *url)
{
    return &flaky_open_at(url)->base;
}

/* The wire between the host and its store. */
static inline struct flaky *site_wire(struct site *c, unsigned i)
{
    return (struct flaky *)c->h[i].store;
}

static inline void site_start(struct site *c, unsigned i)
{
    host_start(&c->h[i]);
    memory_if_add(c->h[i].dp, c->m[i].name); /* there already, if the datapath was kept */
    host_iface(&c->h[i], c->m[i].name, true, false);
}

static inline void site_machine(struct site *c, unsigned i, const char *name, const char *ip,
                                const char *gw)
{
    struct machine *m = &c->m[i];

    snprintf(m->name, sizeof m->name, "%s", name);
    m->mac = (struct mac){{2, 0, 0, 0, 1, (uint8_t)i}};
    ip_parse(ip, &m->ip);
    ip_parse(gw, &m->gw);
}

static const struct mac edge_mac = {{2, 0, 0, 0, 2, 0}};

static inline void site_bind(struct site *c, unsigned i)
{
    change(&c->all, ST_PORT, &c->m[i].port, "{'hostId':'%s','interfaceName':'%s'}",
           text_of(&c->h[i].id), c->m[i].name);
}

static inline void site_routers(struct site *c)
{
    struct uuid up = make(&c->all, ST_PORT, "{'bridgeId':'%s','name':'up'}", text_of(&c->left));
    struct uuid r = make(&c->all, ST_PORT,
                         "{'routerId':'%s','name':'r','portMac':'02:00:00:00:02:00',"
                         "'portSubnet':['10.0.1.254/24']}",
                         text_of(&c->edge));

    change(&c->all, ST_PORT, &r, "{'peerId':'%s'}", text_of(&up));
    make(&c->all, ST_ROUTE,
         "{'routerId':'%s','type':'Normal','nextHopPort':'%s','srcNetworkAddr':'0.0.0.0/0',"
         "'dstNetworkAddr':'10.0.1.0/24'}",
         text_of(&c->edge), text_of(&r));
    for (unsigned i = U1; i <= U3; i++) {
        c->m[i].port = make(&c->all, ST_PORT,
                            "{'routerId':'%s','name':'u%u','portMac':'02:00:00:00:02:%02x',"
                            "'portSubnet':['10.%u.0.254/24']}",
                            text_of(&c->edge), i, i, i);
        make(&c->all, ST_ROUTE,
             "{'routerId':'%s','type':'Normal','nextHopPort':'%s','nextHopGateway':'10.%u.0.1',"
             "'srcNetworkAddr':'0.0.0.0/0','dstNetworkAddr':'0.0.0.0/0','weight':10}",
             text_of(&c->edge), text_of(&c->m[i].port), i);
        make(&c->all, ST_ROUTE,
             "{'routerId':'%s','type':'Normal','nextHopPort':'%s','srcNetworkAddr':'0.0.0.0/0',"
             "'dstNetworkAddr':'10.%u.0.0/24'}",
             text_of(&c->edge), text_of(&c->m[i].port), i);
    }
}

static inline struct site *site_up(void)
{
    struct site *c = NEW(struct site);

    c->all.n = HOSTS;
    c->all.mails = true;
    c->all.open_store = site_open_store;
    c->h = c->all.h;
    site_machine(c, A, "a", "10.0.1.1", "10.0.1.254");
    site_machine(c, U1, "u1", "10.1.0.1", "10.1.0.254");
    site_machine(c, U2, "u2", "10.2.0.1", "10.2.0.254");
    site_machine(c, U3, "u3", "10.3.0.1", "10.3.0.254");
    site_machine(c, B, "b", "10.0.1.2", "10.0.1.254");
    hosts_open(&c->all, "site");
    for (unsigned i = 0; i < MACHINES; i++)
        host_plug(&c->h[i], c->m[i].name);
    site_pass_ms(c, 200);
    hosts_tunnel(&c->all);
    c->left = make(&c->all, ST_BRIDGE, "{'name':'left'}");
    c->edge = make(&c->all, ST_ROUTER, "{'name':'edge'}");
    site_routers(c);
    c->m[A].port = make(&c->all, ST_PORT, "{'bridgeId':'%s','name':'a'}", text_of(&c->left));
    c->m[B].port = make(&c->all, ST_PORT, "{'bridgeId':'%s','name':'b'}", text_of(&c->left));
    for (unsigned i = 0; i < MACHINES; i++)
        site_bind(c, i);
    site_pass_ms(c, 500);
    return c;
}

static inline void site_down(struct site *c)
{
    hosts_close(&c->all);
    free(c);
}

/* Machine 'from' sends a UDP packet to an address; by its router when 'by_router'. */
static inline void site_send(struct site *c, unsigned from, const char *dst, uint16_t sport,
                             uint16_t dport, const struct mac *to)
{
    char src[IP_STRLEN];
    struct flow_key k = key_of(17, ip_format(&c->m[from].ip, src), dst, sport, dport);

    k.eth_src = c->m[from].mac;
    k.eth_dst = *to;
    struct frame f = frame_of(&k);
    site_inject(c, from, f.b, f.size);
    site_run(c);
}

/* The last packet heard from that source port; null: none. */
static inline const struct heard *site_heard(const struct site *c, uint16_t sport)
{
    for (unsigned i = c->n_heard; i-- > 0;)
        if (c->heard[i].key.tp_src == sport)
            return &c->heard[i];
    return NULL;
}

/* Every neighbour is met once, so that no packet waits. */
static inline void site_meet(struct site *c)
{
    for (unsigned i = U1; i <= U3; i++) {
        char gw[IP_STRLEN];
        site_send(c, A, ip_format(&c->m[i].ip, gw), 1, 1, &edge_mac);
    }
    site_send(c, B, "10.1.0.1", 1, 1, &edge_mac);
    site_pass_ms(c, 1000);
    assert_int_equal(c->n_heard, 4);
    c->n_heard = 0;
}

static inline const struct worker_counters *counters_of(const struct site *c, unsigned host)
{
    return worker_counters(agent_worker(c->h[host].agent, 0));
}

#endif
