/* Frames of hostile machines through a whole agent: upcalls, packets that wait, learning, ARP and
 * neighbour discovery, DHCP, translation, flows and their second look.
 *
 *     a, b -- left -- (10.0.1.254) edge (192.0.2.254, translates) -- u
 *
 * The input is steps: a frame (any bytes, or a sound one with some bytes changed) into one of the
 * three, or time that passes; where it ends, chance that follows from it goes on.  Nothing breaks,
 * every turn ends, what leaves has a sane size; and when all is quiet for long enough, nothing of
 * it is kept. */
#include <stdlib.h>

#include "agent/agent.h"
#include "agent/worker.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "datapath/memory.h"
#include "fuzz_objects.h"
#include "packet/dhcp.h"
#include "packet/dhcp6.h"
#include "packet/packet.h"

enum { N_IFACES = 3, STEPS = 24 /* an agent takes its time */ };
static const char *const ifaces[N_IFACES] = {"a", "b", "u"};

static struct {
    struct store *store;
    struct objects *db;
    struct dp *dp;
    struct agent *agent;
    uint64_t now;
} lab;

static uint64_t lab_now(void *aux)
{
    (void)aux;
    return lab.now;
}

static struct uuid make(enum schema_type_id type, json_t *attrs)
{
    return make_object(lab.db, type, attrs);
}

static void make_route(const struct uuid *edge, const struct uuid *port, const char *dst,
                       const char *gw)
{
    make(ST_ROUTE, json_pack("{s:s,s:s,s:s,s:s,s:s,s:s*}", "routerId", text(edge), "type", "Normal",
                             "nextHopPort", text(port), "srcNetworkAddr",
                             strchr(dst, ':') ? "::/0" : "0.0.0.0/0", "dstNetworkAddr", dst,
                             "nextHopGateway", gw));
}

static void make_services(const struct uuid *left)
{
    struct uuid n4 = make(ST_DHCP, json_pack("{s:s,s:s,s:s,s:[s]}", "bridgeId", text(left),
                                             "subnetPrefix", "10.0.1.0/24", "defaultGateway",
                                             "10.0.1.254", "dnsServerAddrs", "10.0.1.53"));
    struct uuid n6 =
        make(ST_DHCPV6, json_pack("{s:s,s:s}", "bridgeId", text(left), "prefix", "fd00:a::/64"));

    make(ST_DHCP_HOST, json_pack("{s:s,s:s,s:s}", "dhcpId", text(&n4), "macAddr",
                                 "02:00:00:00:00:0a", "ipAddr", "10.0.1.1"));
    make(ST_DHCPV6_HOST, json_pack("{s:s,s:s,s:s}", "dhcpV6Id", text(&n6), "clientId",
                                   "02:00:00:00:00:0a", "fixedAddress", "fd00:a::1"));
}

/* What goes out by it is translated, what answers comes back. */
static void translate(const struct uuid *port)
{
    struct uuid in = make(ST_CHAIN, json_pack("{s:s}", "name", "in"));
    struct uuid out = make(ST_CHAIN, json_pack("{s:s}", "name", "out"));

    make(ST_RULE, json_pack("{s:s,s:s,s:s}", "chainId", text(&in), "type", "rev_snat", "flowAction",
                            "accept"));
    make(ST_RULE,
         json_pack("{s:s,s:s,s:s,s:[{s:s,s:s,s:i,s:i}]}", "chainId", text(&out), "type", "snat",
                   "flowAction", "accept", "natTargets", "addressFrom", "192.0.2.254", "addressTo",
                   "192.0.2.254", "portFrom", 1024, "portTo", 1087));
    json_t *attrs =
        json_pack("{s:s,s:s}", "inboundFilterId", text(&in), "outboundFilterId", text(&out));
    CHECK(!objects_update1(lab.db, ST_PORT, port, attrs, STORE_ANY, NULL));
    json_decref(attrs);
}

static struct uuid make_router(const struct uuid *left)
{
    struct uuid edge = make(ST_ROUTER, json_pack("{s:s}", "name", "edge"));
    struct uuid up = make(ST_PORT, json_pack("{s:s}", "bridgeId", text(left)));
    struct uuid r = make(ST_PORT, json_pack("{s:s,s:s,s:s,s:[s,s]}", "routerId", text(&edge),
                                            "peerId", text(&up), "portMac", "02:00:00:00:01:01",
                                            "portSubnet", "10.0.1.254/24", "fd00:a::fe/64"));
    struct uuid u = make(ST_PORT, json_pack("{s:s,s:s,s:[s,s]}", "routerId", text(&edge), "portMac",
                                            "02:00:00:00:01:02", "portSubnet", "192.0.2.254/24",
                                            "2001:db8::fe/64"));

    make_route(&edge, &r, "10.0.1.0/24", NULL);
    make_route(&edge, &r, "fd00:a::/64", NULL);
    make_route(&edge, &u, "0.0.0.0/0", "192.0.2.1");
    make_route(&edge, &u, "::/0", "2001:db8::1");
    translate(&u);
    return u;
}

static void settle(void)
{
    for (unsigned i = 0, quiet = 0; quiet < 3; i++) {
        CHECK(i < 20000);
        quiet = agent_run(lab.agent, lab.now) ? 0 : quiet + 1;
    }
}

static void pass(uint64_t ns)
{
    lab.now += ns;
    settle();
}

static void bind_all(const struct uuid *left, const struct uuid *u, const struct uuid *host)
{
    for (unsigned i = 0; i < N_IFACES; i++) {
        struct net_iface f = {.index = 1 + (int)i, .mtu = 1500, .up = true, .carrier = true};
        struct uuid port = i == 2 ? *u : make(ST_PORT, json_pack("{s:s}", "bridgeId", text(left)));
        json_t *attrs = json_pack("{s:s,s:s}", "hostId", text(host), "interfaceName", ifaces[i]);

        CHECK(!memory_if_add(lab.dp, ifaces[i]));
        snprintf(f.name, sizeof f.name, "%s", ifaces[i]);
        agent_iface(lab.agent, &f, false);
        CHECK(!objects_update1(lab.db, ST_PORT, &port, attrs, STORE_ANY, NULL));
        json_decref(attrs);
    }
}

static void begin(void)
{
    struct agent_options o = {.host = {{0xaa}},
                              .name = "h",
                              .keep_mtu = true,
                              .flows.max_flows = 64,
                              .state.max_records = 64,
                              .sync.learned_max = 64};
    struct dp_options dpo = {.name = "worker-fuzz"};

    log_level = LOG_LVL_ERROR;
    rcu_register_thread();
    lab.now = 1000 * NSEC_PER_SEC;
    CHECK(!store_open("memory:worker-fuzz", NULL, &lab.store, NULL));
    CHECK(!store_open("memory:worker-fuzz", NULL, &o.store, NULL));
    CHECK(!dp_open("memory", &dpo, &lab.dp, NULL));
    memory_dp_set_clock(lab.dp, lab_now, NULL);
    lab.db = objects_open(lab.store);
    o.dp = lab.dp;
    CHECK(!agent_open(&o, &lab.agent, NULL));
    for (unsigned i = 0; i < 4; i++) /* it registers this host */
        pass(NSEC_PER_SEC / 4);
    struct uuid zone = make(ST_TUNNEL_ZONE, json_pack("{s:s,s:s}", "name", "z", "type", "vxlan"));
    make(ST_TUNNEL_ZONE_HOST, json_pack("{s:s,s:s,s:s}", "tunnelZoneId", text(&zone), "hostId",
                                        text(&o.host), "ipAddress", "192.0.2.101"));
    struct uuid left = make(ST_BRIDGE, json_pack("{s:s}", "name", "left"));
    struct uuid u = make_router(&left);
    make_services(&left);
    bind_all(&left, &u, &o.host);
    for (unsigned i = 0; i < 20; i++)
        pass(NSEC_PER_SEC / 4);
    CHECK(agent_ready(lab.agent));
}

/* What takes bytes off the input. */
struct input {
    const uint8_t *p;
    size_t left;
    uint64_t dice;
};

static uint8_t take(struct input *in)
{
    if (!in->left) {
        in->dice = hash_u64(in->dice);
        return (uint8_t)(in->dice >> 32);
    }
    in->left--;
    return *in->p++;
}

static struct ip ip_of(const char *s)
{
    struct ip ip;

    CHECK(!ip_parse(s, &ip));
    return ip;
}

static size_t ask_dhcp(bool six, unsigned kind, const struct mac *mac, uint8_t *buf, size_t size)
{
    struct flow_key k = {.eth_src = *mac,
                         .eth_dst = mac_broadcast,
                         .eth_type = ETH_TYPE_IP,
                         .ip_src = ip_of("0.0.0.0"),
                         .ip_dst = ip_of("255.255.255.255"),
                         .ip_proto = 17,
                         .ip_ttl = 64,
                         .tp_src = 68,
                         .tp_dst = 67};
    struct dhcp d = {.op = 1, .type = (uint8_t)(1 + kind % 8), .chaddr = *mac};
    uint8_t opts[] = {0, 1, 0,  10, 0, 3, 0, 1, 2, 0, 0, 0, 0, 0x0a, 0,
                      3, 0, 12, 0,  0, 0, 1, 0, 0, 0, 0, 0, 0, 0,    0};

    d.ciaddr = d.yiaddr = d.siaddr = d.giaddr = k.ip_src;
    if (!six)
        return dhcp_build(buf, size, &k, &d, NULL, 0, 0, NULL);
    k.eth_type = ETH_TYPE_IP6;
    k.eth_dst = (struct mac){{0x33, 0x33, 0, 1, 0, 2}};
    k.ip_src = ip_link_local_of_mac(mac);
    k.ip_dst = ip_of("ff02::1:2");
    k.tp_src = 546;
    k.tp_dst = 547;
    return dhcp6_build(buf, size, &k, (uint8_t)(1 + kind % 8), 7, opts, sizeof opts);
}

/* A sound frame of machine 'who', which may be one of many behind its interface. */
static size_t sound_frame(unsigned kind, unsigned who, uint8_t n, uint8_t *buf, size_t size)
{
    static const char *const v4[] = {"10.0.1.1", "10.0.1.2", "192.0.2.1"},
                             *const v6[] = {"fd00:a::1", "fd00:a::2", "2001:db8::1"},
                             *const gw4[] = {"10.0.1.254", "10.0.1.254", "192.0.2.254"},
                             *const gw6[] = {"fd00:a::fe", "fd00:a::fe", "2001:db8::fe"};
    const struct mac gw = {{2, 0, 0, 0, 1, who == 2 ? 2 : 1}}, none = {{0}};
    struct mac mac = {{2, 0, 0, 0, kind & 64 ? n : 0, (uint8_t)(10 + who)}};
    struct ip ip = ip_of(v4[who]), six = ip_of(v6[who]), to4 = ip_of(gw4[who]),
              to6 = ip_of(gw6[who]);
    struct flow_key k = {.eth_src = mac,
                         .eth_dst = gw,
                         .eth_type = kind & 1 ? ETH_TYPE_IP6 : ETH_TYPE_IP,
                         .ip_src = kind & 1 ? six : ip,
                         .ip_dst = ip_of(kind & 1 ? "2001:db8:1::1" : "198.51.100.1"),
                         .ip_proto = kind & 2 ? 6 : 17,
                         .ip_ttl = 64,
                         .tp_src = n,
                         .tp_dst = 53};

    if (kind & 64) {
        ip.b[15] = n;
        six.b[15] = n;
    }
    switch (kind % 64 / 4) {
    case 0:
        return packet_arp(buf, size, 1, &mac, &mac_broadcast, &mac, &ip, &none, &to4);
    case 1:
        return packet_arp(buf, size, 2, &mac, &gw, &mac, &ip, &gw, &to4);
    case 2:
        return packet_nd_solicit(buf, size, &mac, &six, NULL, NULL, &to6);
    case 3:
        return packet_nd_advert(buf, size, &mac, &six, &gw, &to6, &six, false, true);
    case 4:
        return ask_dhcp(kind & 1, n, &mac, buf, size);
    case 5: /* the other machine of the bridge, or nobody */
        k.eth_dst = (struct mac){{2, 0, 0, 0, 0, n & 1 ? 11 : 99}};
        break;
    case 6: /* an answer */
        k.ip_dst = kind & 1 ? to6 : to4;
        k.ip_src = ip_of(kind & 1 ? "2001:db8:1::1" : "198.51.100.1");
        k.tp_src = 53;
        k.tp_dst = (uint16_t)(1024 + n);
        break;
    case 7:
        k.ip_proto = kind & 1 ? 58 : 1;
        k.tp_src = kind & 1 ? 128 : 8;
        k.tp_dst = 0;
        k.ip_dst = n & 1 ? kind & 1 ? to6 : to4 : k.ip_dst;
        break;
    case 8:
        k.ip_ttl = 1;
        break;
    case 9:
        k.vlan_tci = FLOW_VLAN_PRESENT | n;
        break;
    }
    return packet_from_key(buf, size, &k, "0123456789abcdef", 16);
}

static void send(struct input *in, uint8_t op)
{
    uint8_t buf[700], *exact;
    unsigned who = op / 4 % N_IFACES;
    size_t n;

    if (op & 64) {
        n = take(in) * 3u;
        n = MIN(n, in->left);
        memcpy(buf, in->p, n);
        in->p += n;
        in->left -= n;
    } else {
        uint8_t kind = take(in);
        n = sound_frame(kind, who, take(in), buf, sizeof buf);
        for (unsigned edits = op & 128 ? 1 + take(in) % 4 : 0; edits && n; edits--) {
            size_t at = take(in) % n;
            buf[at] = take(in);
        }
    }
    exact = mem_alloc(n + 1);
    memcpy(exact, buf, n);
    memory_inject(lab.dp, ifaces[who], exact, n);
    free(exact);
}

static void throw_away(void)
{
    uint8_t buf[4096];
    int n;

    for (unsigned i = 0; i < N_IFACES; i++)
        while ((n = memory_take(lab.dp, ifaces[i], buf, sizeof buf)) > 0)
            CHECK(n >= 14 && n <= 1600);
}

static bool forgotten(void)
{
    const struct worker *w = agent_worker(lab.agent, 0);
    struct sync_status s;

    agent_sync_status(lab.agent, &s);
    return !s.n_macs && !s.n_neighs && !s.n_unshared && !s.n_needs &&
           !state_size(agent_state(lab.agent)) && !worker_n_parked(w) && !worker_n_asking(w);
}

/* Quiet for long: all that was learned, kept or asked for is over. */
static void forget(void)
{
    pass(6 * NSEC_PER_SEC); /* what waits is given up */
    for (unsigned i = 0; i < 2 || !forgotten(); i++) {
        CHECK(i < 16);
        pass(70 * NSEC_PER_SEC);
        throw_away();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size, hash_bytes(data, size, 0)};

    if (!lab.agent)
        begin();
    for (unsigned i = 0; i < STEPS; i++) {
        uint8_t op = take(&in);
        if (op % 4) {
            send(&in, op);
            continue;
        }
        pass((uint64_t)(op >> 3) * (op & 4 ? NSEC_PER_SEC : NSEC_PER_MSEC));
        throw_away();
    }
    settle();
    throw_away();
    forget();
    return 0;
}
