/* A million connections in one agent, and the longest its worker is away from packets.  One JSON
 * line.
 *
 * A whole agent (store in memory, backup on disk) on a datapath that only keeps count: upcalls come
 * out of memory, flows are remembered by their cookies, packets go nowhere.  Every connection is
 * tracked at a bridge, translated by a router, answered: two records, two flows.  Time is virtual,
 * what a turn costs is CPU time of this one thread, in which the agent's threads take turns.
 * Throughout, a new connection begins each millisecond.
 *
 *   million_setup_per_s   connections set up a second (both directions)
 *   million_state_bytes   of the records, a connection
 *   million_flow_bytes    of the worker's flow table, a connection (two flows)
 *   million_live_cpu      of a core: all of them in use, kept, simulated again, written down, their
 *                         statistics read
 *   million_stall_ms      the fourth longest turn of the worker in any of these phases: what the
 * agent itself does comes again, a machine that is busy elsewhere doesn't million_longest_ms    the
 * longest of all
 *     ..._fill_ms         the fourth longest while they are set up
 *     ..._live_ms         while all are in use, as above
 *     ..._change_ms       four times, a rule is added to the chain that all went through
 *     ..._all_ms          four times, everything is said to have changed
 *     ..._expire_ms       nobody uses them any more: flows and records go
 *     ..._unplug_ms       four times, the interface of a sixteenth as many goes
 *   million_change_s      CPU until all were simulated again after that rule, with all else
 *   million_control_ms    the longest turn of the control thread (which sees no packets)
 *
 * million_bench [CONNECTIONS [FOLDER]] */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../unit/json_words.h"
#include "agent/agent_impl.h"
#include "base/clock.h"
#include "bench.h"
#include "objects/objects.h"
#include "packet/packet.h"

enum { IN = 1, OUT, BATCH = 64, CLIENTS = 50000, SERVERS = 1000 };
enum { TOP = 4 };
enum phase { FILL, LIVE, CHANGE, ALL, EXPIRE, UNPLUG, N_PHASES };
static const char *const phase_names[] = {"fill", "live", "change", "all", "expire", "unplug"};

static const struct mac client_mac = {{2, 0, 0, 0, 0, 10}}, world_mac = {{2, 0, 0, 0, 0, 11}};
static const struct mac edge_in = {{2, 0, 0, 0, 0, 1}}, edge_out = {{2, 0, 0, 0, 0, 2}};

/* The datapath: an open table of cookies. */
struct slot {
    uint64_t cookie; /* 0 free, 1 gone */
    uint32_t in_port;
};
static struct mass {
    struct dp dp;
    uint32_t n_ports;
    struct slot *slots;
    uint32_t mask, n_flows;
    uint64_t packets, used; /* of every flow */
    uint8_t frames[BATCH][64];
    bool asked[3]; /* who has the gateway's address, at IN and OUT */
} d;

/* What is to be sent: first packets of connections, then their answers. */
static uint32_t next_conn, end_conn, next_answer, end_answer;
static uint32_t *given; /* of a connection: address << 16 | port */

static uint64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

static void frame(uint8_t *f, const struct mac *to, const struct mac *from, uint32_t src,
                  uint32_t dst, uint16_t sport, uint16_t dport)
{
    struct flow_key k = {.eth_dst = *to,
                         .eth_src = *from,
                         .eth_type = ETH_TYPE_IP,
                         .ip_src = ip_from4(htonl(src)),
                         .ip_dst = ip_from4(htonl(dst)),
                         .ip_proto = 17,
                         .ip_ttl = 64,
                         .tp_src = sport,
                         .tp_dst = dport};

    packet_from_key(f, 64, &k, "0123456789abcdef", 16);
}

static uint32_t client_of(uint32_t i)
{
    return 0x0a000100u + i % CLIENTS;
}

static uint32_t server_of(uint32_t i)
{
    return 0x08080000u + i % SERVERS;
}

static uint16_t sport_of(uint32_t i)
{
    return (uint16_t)(1024 + i / CLIENTS);
}

static const uint32_t gateways[] = {[IN] = 0x0a0fff01, [OUT] = 0xc0000201};
static const uint32_t edges[] = {[IN] = 0x0a0ffffe, [OUT] = 0xc00002fe};

static void answer_arp(struct dp_upcall *up, uint8_t *f, unsigned port)
{
    const struct mac *gw_mac = port == IN ? &client_mac : &world_mac;
    const struct mac *edge_mac = port == IN ? &edge_in : &edge_out;
    struct ip gw = ip_from4(htonl(gateways[port])), edge = ip_from4(htonl(edges[port]));

    d.asked[port] = false;
    up->port_no = port;
    up->size = (uint32_t)packet_arp(f, 64, 2, gw_mac, edge_mac, gw_mac, &gw, edge_mac, &edge);
}

static int mass_recv(struct dp *dp, unsigned queue, struct dp_upcall *ups, size_t max)
{
    int n = 0;

    (void)dp;
    (void)queue;
    for (; n < (int)MIN(max, (size_t)BATCH); n++) {
        uint8_t *f = d.frames[n];
        ups[n] = (struct dp_upcall){.port_no = IN, .packet = f, .size = 58};
        if (d.asked[IN] || d.asked[OUT]) {
            answer_arp(&ups[n], f, d.asked[IN] ? IN : OUT);
        } else if (next_conn < end_conn) {
            uint32_t i = next_conn++;
            frame(f, &edge_in, &client_mac, client_of(i), server_of(i), sport_of(i), 443);
        } else if (next_answer < end_answer) {
            uint32_t i = next_answer++;
            ups[n].port_no = OUT;
            frame(f, &edge_out, &world_mac, server_of(i), 0xcb007100u + (given[i] >> 16), 443,
                  (uint16_t)given[i]);
        } else {
            break;
        }
    }
    return n;
}

static int mass_execute(struct dp *dp, unsigned queue, const struct dp_exec *execs, size_t n)
{
    (void)dp;
    (void)queue;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = execs[i].packet;
        uint32_t src, dst;
        memcpy(&dst, p + 38, 4); /* of ARP: whose address it asks for */
        for (unsigned port = IN; execs[i].in_port == 0 && port <= OUT; port++)
            d.asked[port] |= ntohl(dst) == gateways[port];
        if (execs[i].in_port != IN || !execs[i].n_outs || p[12] != 8 || p[13] != 0)
            continue;
        memcpy(&src, p + 26, 4);
        memcpy(&dst, p + 30, 4);
        uint32_t k = (uint32_t)(p[34] << 8 | p[35]) - 1024, c = ntohl(src) - 0x0a000100u;
        given[k * CLIENTS + c] =
            (ntohl(execs[i].outs[0].ip_src.w[3]) & 0xff) << 16 | execs[i].outs[0].tp_src;
    }
    return 0;
}

static struct slot *slot_of(uint64_t cookie, bool make)
{
    uint32_t i = (uint32_t)cookie & d.mask;
    struct slot *gone = NULL;

    for (; d.slots[i].cookie; i = (i + 1) & d.mask) {
        if (d.slots[i].cookie == cookie)
            return &d.slots[i];
        if (d.slots[i].cookie == 1 && !gone)
            gone = &d.slots[i];
    }
    return make ? gone ? gone : &d.slots[i] : NULL;
}

static int mass_put(struct dp *dp, unsigned queue, const struct dp_flow *flows, size_t n, int *rcs)
{
    (void)dp;
    (void)queue;
    (void)rcs;
    for (size_t i = 0; i < n; i++) {
        struct slot *s = slot_of(flows[i].cookie, true);
        d.n_flows += s->cookie != flows[i].cookie;
        *s = (struct slot){flows[i].cookie, flows[i].key.in_port};
    }
    return 0;
}

static int mass_del(struct dp *dp, unsigned queue, const struct dp_flow *flows, size_t n,
                    struct dp_flow_stats *stats)
{
    (void)dp;
    (void)queue;
    for (size_t i = 0; i < n; i++) {
        struct slot *s = slot_of(ft_cookie(&flows[i].key, &flows[i].mask), false);
        if (s) {
            s->cookie = 1;
            d.n_flows--;
        }
        if (stats)
            stats[i] = (struct dp_flow_stats){.packets = d.packets};
    }
    return 0;
}

static int mass_each(struct dp *dp, dp_flow_fn *fn, void *aux)
{
    const struct dp_flow_stats stats = {.packets = d.packets, .used_ns = d.used};
    struct dp_flow f = {0};

    (void)dp;
    for (uint32_t i = 0; i <= d.mask; i++) {
        if (d.slots[i].cookie <= 1)
            continue;
        f.cookie = d.slots[i].cookie;
        f.key.in_port = d.slots[i].in_port;
        int rc = fn(&f, &stats, aux);
        if (rc)
            return rc;
    }
    return 0;
}

static int mass_port_add(struct dp *dp, const char *ifname, uint32_t *port_no, struct error *e)
{
    (void)dp;
    (void)e;
    *port_no = !strcmp(ifname, "in") ? IN : OUT;
    return 0;
}

static int mass_port_del(struct dp *dp, uint32_t port_no, struct error *e)
{
    (void)dp;
    (void)port_no;
    (void)e;
    return 0;
}

static int mass_port_each(struct dp *dp, dp_port_fn *fn, void *aux)
{
    (void)dp;
    (void)fn;
    (void)aux;
    return 0;
}

static int mass_local(struct dp *dp, const struct ip *local, enum flow_tunnel type, struct error *e)
{
    (void)dp;
    (void)local;
    (void)type;
    (void)e;
    return 0;
}

static int mass_bind(struct dp *dp, uint32_t tun_id, uint32_t port_no, struct error *e)
{
    (void)dp;
    (void)tun_id;
    (void)port_no;
    (void)e;
    return 0;
}

static int mass_unbind(struct dp *dp, uint32_t tun_id)
{
    (void)dp;
    (void)tun_id;
    return 0;
}

static int mass_fd(struct dp *dp, unsigned queue)
{
    (void)dp;
    (void)queue;
    return -1;
}

static const struct dp_ops mass_ops = {.type = "mass",
                                       .port_add = mass_port_add,
                                       .port_del = mass_port_del,
                                       .port_each = mass_port_each,
                                       .tunnel_local = mass_local,
                                       .tunnel_bind = mass_bind,
                                       .tunnel_unbind = mass_unbind,
                                       .flow_put = mass_put,
                                       .flow_del = mass_del,
                                       .flow_each = mass_each,
                                       .recv = mass_recv,
                                       .recv_fd = mass_fd,
                                       .execute = mass_execute};

/* The network */

static struct objects *db;
static struct uuid chain_post;
static const struct uuid host_id = {{0xaa, 1}};

__attribute__((format(printf, 2, 3))) static struct uuid make(enum schema_type_id type,
                                                              const char *fmt, ...)
{
    struct error e = {0};
    struct uuid id;
    va_list ap;

    va_start(ap, fmt);
    json_t *j = vjson(fmt, ap);
    va_end(ap);
    if (objects_create1(db, type, j, &id, &e)) {
        fprintf(stderr, "%s %s %s\n", schema_types[type].name, e.field, e.message);
        die("object");
    }
    json_decref(j);
    return id;
}

/* Takes over 'attrs'. */
static void change(enum schema_type_id type, const struct uuid *id, json_t *attrs)
{
    struct error e = {0};

    if (objects_update1(db, type, id, attrs, STORE_ANY, &e)) {
        fprintf(stderr, "%s %s\n", e.field, e.message);
        die("change");
    }
    json_decref(attrs);
}

static void bind_to(const struct uuid *port, const char *ifname)
{
    change(ST_PORT, port,
           json_of("{'hostId':'%s','interfaceName':'%s'}", text_of(&host_id), ifname));
}

static void network(void)
{
    struct uuid left = make(ST_BRIDGE, "{'name':'left'}"), edge = make(ST_ROUTER, "{'name':'e'}");
    struct uuid in = make(ST_PORT, "{'bridgeId':'%s','name':'in'}", text_of(&left));
    struct uuid up = make(ST_PORT, "{'bridgeId':'%s','name':'up'}", text_of(&left));
    struct uuid r = make(ST_PORT,
                         "{'routerId':'%s','portMac':'02:00:00:00:00:01','peerId':'%s',"
                         "'portSubnet':['10.15.255.254/12']}",
                         text_of(&edge), text_of(&up));
    struct uuid out = make(ST_PORT,
                           "{'routerId':'%s','portMac':'02:00:00:00:00:02',"
                           "'portSubnet':['192.0.2.254/24']}",
                           text_of(&edge));
    struct uuid calls = make(ST_CHAIN, "{'name':'calls'}"), pre = make(ST_CHAIN, "{'name':'pre'}");

    struct uuid zone = make(ST_TUNNEL_ZONE, "{'name':'z','type':'vxlan'}");

    make(ST_TUNNEL_ZONE_HOST, "{'tunnelZoneId':'%s','hostId':'%s','ipAddress':'198.51.100.1'}",
         text_of(&zone), text_of(&host_id));
    chain_post = make(ST_CHAIN, "{'name':'post'}");
    make(ST_ROUTE,
         "{'routerId':'%s','type':'Normal','nextHopPort':'%s','nextHopGateway':'10.15.255.1',"
         "'srcNetworkAddr':'0.0.0.0/0','dstNetworkAddr':'10.0.0.0/14'}",
         text_of(&edge), text_of(&r));
    make(ST_ROUTE,
         "{'routerId':'%s','type':'Normal','nextHopPort':'%s','nextHopGateway':'192.0.2.1',"
         "'srcNetworkAddr':'0.0.0.0/0','dstNetworkAddr':'0.0.0.0/0'}",
         text_of(&edge), text_of(&out));
    make(ST_RULE, "{'chainId':'%s','position':1,'type':'accept','matchForwardFlow':true}",
         text_of(&calls));
    make(ST_RULE, "{'chainId':'%s','position':1,'type':'rev_snat','inPorts':['%s']}", text_of(&pre),
         text_of(&out));
    make(ST_RULE,
         "{'chainId':'%s','position':1,'type':'snat','outPorts':['%s'],'natTargets':"
         "[{'addressFrom':'203.0.113.1','addressTo':'203.0.113.16','portFrom':1024,"
         "'portTo':65535}]}",
         text_of(&chain_post), text_of(&out));
    change(ST_ROUTER, &edge,
           json_of("{'inboundFilterId':'%s','outboundFilterId':'%s'}", text_of(&pre),
                   text_of(&chain_post)));
    change(ST_PORT, &in, json_of("{'inboundFilterId':'%s'}", text_of(&calls)));
    bind_to(&in, "in");
    bind_to(&out, "out");
}

/* Turns */

static struct agent *agent;
static uint64_t now = 1000 * NSEC_PER_SEC, control_worst;
static uint64_t longest[N_PHASES][TOP]; /* falling */
static enum phase phase;

static uint64_t worker_turn(void)
{
    uint64_t before = cpu_ns(), next = agent_run_worker(agent, 0, now), took = cpu_ns() - before;

    for (unsigned i = 0; i < TOP; i++) {
        uint64_t *place = &longest[phase][i], less = *place;
        if (took > less) {
            *place = took;
            took = less;
        }
    }
    return next;
}

/* All that is to be done at this moment; the worker as often as it wants to. */
static void moment(void)
{
    agent_run_topology(agent, now);
    uint64_t before = cpu_ns();
    agent_run_control(agent, now);
    control_worst = MAX(control_worst, cpu_ns() - before);
    while (worker_turn() <= now)
        ;
}

static void live(unsigned ms, bool used)
{
    for (unsigned i = 0; i < ms; i++) {
        now += NSEC_PER_MSEC;
        if (used) {
            d.packets++;
            d.used = now;
        }
        if (next_conn == end_conn)
            end_conn++; /* one new connection */
        moment();
    }
}

static void enter(enum phase next)
{
    if (getenv("VERBOSE"))
        fprintf(stderr, "%s: %.2f ms, %.1f s\n", phase_names[phase],
                (double)longest[phase][TOP - 1] / 1e6, (double)cpu_ns() / 1e9);
    phase = next;
}

static uint32_t n_flows(void)
{
    return ft_n_flows(worker_flows(agent_worker(agent, 0)));
}

/* Connections and their answers, a million of each in a second. */
static void fill(uint32_t n)
{
    uint32_t last = next_conn + n;

    next_answer = end_answer = next_conn;
    while (next_answer < last) {
        end_conn = MIN(MAX(last, next_conn), next_conn + 1000);
        live(1, true);
        if (!worker_n_parked(agent_worker(agent, 0)))
            end_answer = next_conn;
    }
}

static void iface(const char *name, bool gone)
{
    struct net_iface i = {.index = 1, .mtu = 1500, .up = true, .carrier = true};

    snprintf(i.name, sizeof i.name, "%s", name);
    agent_iface(agent, &i, gone);
}

static void begin(uint32_t n, const char *folder)
{
    struct agent_options o = {.host = host_id,
                              .name = "h",
                              .keep_mtu = true,
                              .n_workers = 1,
                              .flows.max_flows = 2 * n + 500000,
                              .state.max_records = 2 * n + 500000,
                              .dp = &d.dp,
                              .now_ns = now};
    struct error e = {0};

    d.dp.ops = &mass_ops;
    for (d.mask = 1024; d.mask < 4 * n + 1000000; d.mask *= 2)
        ;
    d.slots = NEW_ARRAY(d.mask--, struct slot);
    given = NEW_ARRAY(2 * n + 500000, uint32_t);
    if (store_open("memory:million", NULL, &o.store, &e) ||
        state_backup_file(folder, NULL, &o.backup, &e) || agent_open(&o, &agent, &e))
        die(e.message);
    db = objects_open(o.store);
    iface("in", false);
    iface("out", false);
    live(1000, false);
    network();
    live(1000, false);
    next_conn = end_conn = 0;
}

static void end(void)
{
    struct agent_options o = *agent_options(agent);

    objects_close(db);
    agent_close(agent, false);
    o.backup->ops->close(o.backup);
    store_close(o.store);
}

int main(int argc, char **argv)
{
    uint32_t n = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000000;
    const char *folder = argc > 2 ? argv[2] : "/tmp/mn-million";

    rcu_register_thread();
    begin(n, folder); /* whose writer of the backup runs where it likes */
    pin(0);
    phase = FILL;
    fill(100); /* ports are leased, the gateway is met */
    uint64_t start = cpu_ns();
    fill(n - 100);
    double setup = (double)(n - 100) * 1e9 / (double)(cpu_ns() - start);
    if (n_flows() < 2 * n - 1000 || state_size(agent_state(agent)) < 2 * n - 1000) {
        fprintf(stderr, "%u flows, %u records\n", n_flows(), state_size(agent_state(agent)));
        die("not all connections came about");
    }
    struct worker_memory m;
    worker_memory(agent_worker(agent, 0), &m);
    double state_bytes = (double)state_memory(agent_state(agent)) / n,
           flow_bytes = (double)m.flows / n;

    enter(LIVE);
    enum { LIVE_S = 45 };
    start = cpu_ns();
    live(LIVE_S * 1000, true);
    double cpu = (double)(cpu_ns() - start) / 1e9 / LIVE_S;
    if (n_flows() < 2 * n - 1000)
        die("connections in use got lost");

    enter(CHANGE);
    for (unsigned i = 0; i < TOP; i++) {
        make(ST_RULE, "{'chainId':'%s','position':2,'type':'drop','nwProto':99}",
             text_of(&chain_post));
        start = cpu_ns();
        live(500, true);
    }
    double change_s = (double)(cpu_ns() - start) / 1e9;

    enter(ALL);
    for (unsigned i = 0; i < TOP; i++) {
        worker_announce_all(agent_worker(agent, 0));
        live(500, true);
    }

    enter(EXPIRE);
    live(160 * 1000, false);
    if (n_flows() > 200000 || state_size(agent_state(agent)) > 400000)
        die("what nobody uses doesn't go");

    enter(UNPLUG);
    for (unsigned i = 0; i < TOP; i++) {
        fill(n / 16);
        iface("in", true);
        live(1000, false);
        if (n_flows() > 100000)
            die("flows of a port that is gone stay");
        iface("in", false);
        live(1000, false);
    }

    double stall = 0, most = 0;
    for (unsigned p = 0; p < N_PHASES; p++) {
        stall = MAX(stall, (double)longest[p][TOP - 1] / 1e6);
        most = MAX(most, (double)longest[p][0] / 1e6);
    }
    printf("{\"million_setup_per_s\": %.0f, \"million_state_bytes\": %.0f, "
           "\"million_flow_bytes\": %.0f, \"million_live_cpu\": %.3f, \"million_change_s\": %.2f, "
           "\"million_stall_ms\": %.2f, \"million_longest_ms\": %.2f",
           setup, state_bytes, flow_bytes, cpu, change_s, stall, most);
    for (unsigned p = 0; p < N_PHASES; p++)
        printf(", \"million_%s_ms\": %.2f", phase_names[p], (double)longest[p][TOP - 1] / 1e6);
    printf(", \"million_control_ms\": %.0f}\n", (double)control_worst / 1e6);
    end();
    return 0;
}
