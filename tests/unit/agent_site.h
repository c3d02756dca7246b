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
#include <unistd.h>

#include "agent/agent.h"
#include "agent/report.h"
#include "base/clock.h"
#include "base/log.h"
#include "datapath/memory.h"
#include "flaky_store.h"
#include "objects_fixture.h"
#include "packet_fixture.h"

#define SEC NSEC_PER_SEC
enum { HOSTS = 5, GATEWAYS = 3, HEARD = 8192 };
enum { A, U1, U2, U3, B, MACHINES }; /* machine i is on host i */

struct site;

struct host {
    struct site *site;
    char name[8], dp_name[40];
    struct uuid id;
    struct flaky *store;
    struct dp *dp;
    struct mail *mail;
    struct agent *agent;
};

struct machine {
    char name[8];
    struct mac mac;
    struct ip ip, gw;
    struct uuid port;
};

struct site {
    char url[48];
    uint64_t now;
    struct store *store;
    struct objects *db;
    struct memory_board *board;
    struct host h[HOSTS];
    struct machine m[MACHINES];
    struct uuid left, edge;
    /* What the machines got, but for ARP, since site_send_all() or the test began. */
    unsigned n_heard;
    struct heard {
        unsigned machine;
        struct flow_key key;
    } heard[HEARD];
};

static inline uint64_t site_now(void *aux)
{
    return ((struct site *)aux)->now;
}

__attribute__((format(printf, 3, 4))) static inline struct uuid
make(struct site *c, enum schema_type_id type, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    struct uuid id = make_object(c->db, type, attrs_of(fmt, ap));
    va_end(ap);
    return id;
}

__attribute__((format(printf, 4, 5))) static inline void
change(struct site *c, enum schema_type_id type, const struct uuid *id, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    change_object(c->db, type, id, attrs_of(fmt, ap));
    va_end(ap);
}

static inline void site_agents(struct site *c)
{
    unsigned turns = 0;

    for (bool busy = true; busy;) {
        busy = false;
        for (unsigned i = 0; i < HOSTS; i++)
            if (c->h[i].agent)
                busy |= agent_run(c->h[i].agent, c->now);
        assert_true(++turns < 100000);
    }
}

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
        site_agents(c);
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
        c->now += 25 * NSEC_PER_MSEC;
        site_run(c);
    }
}

static inline void site_pass(struct site *c, unsigned seconds)
{
    for (unsigned i = 0; i < 4 * seconds; i++) {
        c->now += SEC / 4;
        site_run(c);
    }
}

static inline void host_start(struct host *h)
{
    struct agent_options o = {.host = h->id, .name = h->name, .keep_mtu = true, .n_workers = 1};
    struct dp_options dpo = {.name = h->dp_name, .n_queues = 1};
    struct net_iface i = {.index = 1, .mtu = 1500, .up = true, .carrier = true};
    unsigned n = (unsigned)(h - h->site->h);
    struct error e = {0};

    h->store = flaky_open_at(h->site->url);
    assert_int_equal(dp_open("memory", &dpo, &h->dp, &e), 0);
    memory_dp_set_clock(h->dp, site_now, h->site);
    memory_dp_join(h->dp, h->site->board);
    h->mail = memory_mail_open(h->dp);
    o.store = &h->store->base;
    o.dp = h->dp;
    o.mail = h->mail;
    if (agent_open(&o, &h->agent, &e))
        fail_msg("%s", e.message);
    memory_if_add(h->dp, h->site->m[n].name); /* there already, if the datapath was kept */
    snprintf(i.name, sizeof i.name, "%s", h->site->m[n].name);
    agent_iface(h->agent, &i, false);
}

static inline void host_stop(struct host *h, bool keep)
{
    agent_close(h->agent, keep);
    h->agent = NULL;
    mail_close(h->mail);
    dp_close(h->dp, keep);
    if (!keep)
        h->dp = NULL;
    store_close(&h->store->base);
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
    change(c, ST_PORT, &c->m[i].port, "{'hostId':'%s','interfaceName':'%s'}", text_of(&c->h[i].id),
           c->m[i].name);
}

static inline void site_routers(struct site *c)
{
    struct uuid up = make(c, ST_PORT, "{'bridgeId':'%s','name':'up'}", text_of(&c->left));
    struct uuid r = make(c, ST_PORT,
                         "{'routerId':'%s','name':'r','portMac':'02:00:00:00:02:00',"
                         "'portSubnet':['10.0.1.254/24']}",
                         text_of(&c->edge));

    change(c, ST_PORT, &r, "{'peerId':'%s'}", text_of(&up));
    make(c, ST_ROUTE,
         "{'routerId':'%s','type':'Normal','nextHopPort':'%s','srcNetworkAddr':'0.0.0.0/0',"
         "'dstNetworkAddr':'10.0.1.0/24'}",
         text_of(&c->edge), text_of(&r));
    for (unsigned i = U1; i <= U3; i++) {
        c->m[i].port = make(c, ST_PORT,
                            "{'routerId':'%s','name':'u%u','portMac':'02:00:00:00:02:%02x',"
                            "'portSubnet':['10.%u.0.254/24']}",
                            text_of(&c->edge), i, i, i);
        make(c, ST_ROUTE,
             "{'routerId':'%s','type':'Normal','nextHopPort':'%s','nextHopGateway':'10.%u.0.1',"
             "'srcNetworkAddr':'0.0.0.0/0','dstNetworkAddr':'0.0.0.0/0','weight':10}",
             text_of(&c->edge), text_of(&c->m[i].port), i);
        make(c, ST_ROUTE,
             "{'routerId':'%s','type':'Normal','nextHopPort':'%s','srcNetworkAddr':'0.0.0.0/0',"
             "'dstNetworkAddr':'10.%u.0.0/24'}",
             text_of(&c->edge), text_of(&c->m[i].port), i);
    }
}

static inline struct site *site_up(void)
{
    static unsigned count;
    struct site *c = NEW(struct site);
    struct error e;

    log_level = LOG_LVL_ERROR;
    c->now = 1000 * SEC;
    snprintf(c->url, sizeof c->url, "memory:site-%d-%u", (int)getpid(), count++);
    assert_int_equal(store_open(c->url, NULL, &c->store, &e), 0);
    c->db = objects_open(c->store);
    c->board = memory_board_new();
    site_machine(c, A, "a", "10.0.1.1", "10.0.1.254");
    site_machine(c, U1, "u1", "10.1.0.1", "10.1.0.254");
    site_machine(c, U2, "u2", "10.2.0.1", "10.2.0.254");
    site_machine(c, U3, "u3", "10.3.0.1", "10.3.0.254");
    site_machine(c, B, "b", "10.0.1.2", "10.0.1.254");
    for (unsigned i = 0; i < HOSTS; i++) {
        struct host *h = &c->h[i];
        *h = (struct host){.site = c, .id.b = {0xaa, (uint8_t)i}};
        snprintf(h->name, sizeof h->name, "h%u", i + 1);
        snprintf(h->dp_name, sizeof h->dp_name, "site-%u-%u", count, i);
        host_start(h);
    }
    site_pass_ms(c, 200);
    struct uuid zone = make(c, ST_TUNNEL_ZONE, "{'name':'z','type':'vxlan'}");
    for (unsigned i = 0; i < HOSTS; i++)
        make(c, ST_TUNNEL_ZONE_HOST, "{'tunnelZoneId':'%s','hostId':'%s','ipAddress':'192.0.2.%u'}",
             text_of(&zone), text_of(&c->h[i].id), i + 1);
    c->left = make(c, ST_BRIDGE, "{'name':'left'}");
    c->edge = make(c, ST_ROUTER, "{'name':'edge'}");
    site_routers(c);
    c->m[A].port = make(c, ST_PORT, "{'bridgeId':'%s','name':'a'}", text_of(&c->left));
    c->m[B].port = make(c, ST_PORT, "{'bridgeId':'%s','name':'b'}", text_of(&c->left));
    for (unsigned i = 0; i < MACHINES; i++)
        site_bind(c, i);
    site_pass_ms(c, 500);
    return c;
}

static inline void site_down(struct site *c)
{
    for (unsigned i = 0; i < HOSTS; i++)
        if (c->h[i].agent)
            host_stop(&c->h[i], false);
    memory_board_free(c->board);
    objects_close(c->db);
    store_close(c->store);
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
