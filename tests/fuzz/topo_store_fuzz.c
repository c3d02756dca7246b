/* What the loader may find in the store: any bytes as an object of a kind it loads, as a device's
 * change node, as a snapshot of a device, as the order of a chain, as a port's or host's state, as
 * the log or a chunk of a learned table.
 *
 * The first byte chooses the node, the rest is its content; with the top bit set the rest is pairs
 * of place and byte to be written over the good content.  Nothing may break, and when the node says
 * again what it said before, the topology must be as it was. */
#include <stdint.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "fuzz_objects.h"
#include "topology/dhcp.h"
#include "topology/lpm.h"
#include "topology/policy.h"
#include "topology/sync.h"
#include "topology/tables.h"

enum { N_NODES = 40 };

static struct world {
    struct store *store;
    struct objects *db;
    struct topo *topo;
    struct sync *sync;
    uint64_t now;
    struct uuid bridge, router, vm, link, inside, route, host, zone, member, mac, addr;
    struct uuid dhcp, dhcp_host, dhcp6, dhcp6_host;
    struct uuid chain, rule, resource, logger, group, ip, mirror, policy, dscp, insertion, trace;
    struct node {
        char path[STORE_PATH_MAX];
        struct uuid device, id; /* whose log is to name it; zero: none */
        enum schema_type_id device_type, type;
        char *good;
        size_t size;
        bool snapshot; /* of the device, which is to be loaded again */
        bool chunk;    /* read again when the log before it names it */
    } nodes[N_NODES];
    size_t n;
    char log[256];
} w;

static struct uuid make(enum schema_type_id type, json_t *attrs)
{
    return make_object(w.db, type, attrs);
}

static void put(const char *path, const void *data, size_t size)
{
    const struct store_op op = {.type = STORE_PUT,
                                .flags = STORE_PARENTS,
                                .path = path,
                                .data = data,
                                .size = size,
                                .version = STORE_ANY};

    if (store_commit(w.store, &op, 1, NULL, NULL))
        abort();
}

static struct node *node(const char *good)
{
    struct node *n = &w.nodes[w.n++];
    struct store_value v;

    if (good)
        put(n->path, good, strlen(good));
    if (store_get(w.store, n->path, &v, NULL))
        abort();
    n->good = v.data;
    n->size = v.size;
    return n;
}

static void object(enum schema_type_id type, const struct uuid *id, enum schema_type_id device_type,
                   const struct uuid *device)
{
    objects_path(type, id, w.nodes[w.n].path);
    struct node *n = node(NULL);
    n->type = type;
    n->id = *id;
    n->device_type = device_type;
    n->device = *device;
}

/* The bridge's change node. */
static void put_log(int64_t rev)
{
    char path[STORE_PATH_MAX], log[96];

    objects_change_path(ST_BRIDGE, &w.bridge, path);
    snprintf(log, sizeof log, "{\"rev\":%lld,\"from\":1,\"log\":[]}", (long long)rev);
    put(path, log, strlen(log));
}

static void add_copy(struct objects_snapshot *sn, const struct uuid *id)
{
    char path[STORE_PATH_MAX];
    struct store_value v;

    objects_path(ST_PORT, id, path);
    if (store_get(w.store, path, &v, NULL))
        abort();
    const struct objects_copy c = {.id = *id, .body = json_loadb(v.data, v.size, 0, NULL)};
    objects_snapshot_add(sn, &c);
    json_decref(c.body);
    store_value_free(&v);
}

/* A log that might come after a snapshot, and that; at each input the loader finds it has gone
 * back, and loads the bridge again. */
#define REV (INT64_C(1) << 40)
static void make_snapshot(void)
{
    struct objects_snapshot sn = {.rev = 1, .names = json_pack("{s:s}", text(&w.host), "h")};

    put_log(REV);
    add_copy(&sn, &w.vm);
    add_copy(&sn, &w.link);
    if (objects_snapshot_write(w.db, ST_BRIDGE, &w.bridge, &sn, NULL))
        abort();
    objects_snapshot_free(&sn);
    objects_path(ST_BRIDGE, &w.bridge, w.nodes[w.n].path);
    strcat(w.nodes[w.n].path, "/snapshot.0");
    node(NULL)->snapshot = true;
}

/* Tells the watchers of its device that the node has changed. */
static void bump(const struct node *n)
{
    char path[STORE_PATH_MAX];
    struct store_value v;
    static int64_t back;

    if (n->snapshot)
        put_log(REV - 1 - back++ % 2);
    if (uuid_is_zero(&n->device))
        return;
    objects_change_path(n->device_type, &n->device, path);
    if (store_get(w.store, path, &v, NULL))
        abort();
    json_t *entries = json_pack("[[s,s,s]]", schema_types[n->type].plural, text(&n->id), "u");
    struct objects_bump next;
    if (objects_bump_make(w.db, n->device_type, &n->device, &v, entries, &next) ||
        store_commit(w.store, next.ops, next.n, NULL, NULL))
        abort();
    objects_bump_free(&next);
    json_decref(entries);
    store_value_free(&v);
}

static void run(void)
{
    for (int i = 0; i < 4; i++)
        sync_run(w.sync, w.now += 30 * NSEC_PER_SEC);
}

static void make_objects(void)
{
    w.host = make(ST_HOST, json_pack("{s:s}", "name", "h"));
    w.zone = make(ST_TUNNEL_ZONE, json_pack("{s:s,s:s}", "name", "z", "type", "vxlan"));
    w.member =
        make(ST_TUNNEL_ZONE_HOST, json_pack("{s:s,s:s,s:s}", "tunnelZoneId", text(&w.zone),
                                            "hostId", text(&w.host), "ipAddress", "192.0.2.1"));
    w.bridge = make(ST_BRIDGE, json_pack("{s:s}", "name", "b"));
    w.router = make(ST_ROUTER, json_pack("{s:s}", "name", "r"));
    w.inside = make(ST_PORT, json_pack("{s:s,s:[s]}", "routerId", text(&w.router), "portSubnet",
                                       "10.0.0.1/24"));
    w.link = make(ST_PORT,
                  json_pack("{s:s,s:s}", "bridgeId", text(&w.bridge), "peerId", text(&w.inside)));
    w.vm = make(ST_PORT, json_pack("{s:s,s:s,s:s}", "bridgeId", text(&w.bridge), "hostId",
                                   text(&w.host), "interfaceName", "t"));
    w.route = make(ST_ROUTE, json_pack("{s:s,s:s,s:s,s:s,s:s}", "routerId", text(&w.router), "type",
                                       "Normal", "srcNetworkAddr", "0.0.0.0/0", "dstNetworkAddr",
                                       "10.0.0.0/24", "nextHopPort", text(&w.inside)));
    w.mac = make(ST_MAC_PORT, json_pack("{s:s,s:s,s:s}", "bridgeId", text(&w.bridge), "macAddr",
                                        "02:00:00:00:00:01", "portId", text(&w.vm)));
    w.addr = make(ST_IP_MAC, json_pack("{s:s,s:s,s:s}", "bridgeId", text(&w.bridge), "ip",
                                       "10.0.0.9", "mac", "02:00:00:00:00:01"));
}

static void make_dhcp(void)
{
    w.dhcp =
        make(ST_DHCP, json_pack("{s:s,s:s,s:s,s:[s],s:[{s:s,s:s}]}", "bridgeId", text(&w.bridge),
                                "subnetPrefix", "10.0.0.0/24", "defaultGateway", "10.0.0.1",
                                "dnsServerAddrs", "10.0.0.53", "opt121Routes", "destinationPrefix",
                                "10.1.0.0/16", "gatewayAddr", "10.0.0.2"));
    w.dhcp_host = make(ST_DHCP_HOST,
                       json_pack("{s:s,s:s,s:s,s:[{s:s,s:s}]}", "dhcpId", text(&w.dhcp), "macAddr",
                                 "02:00:00:00:00:01", "ipAddr", "10.0.0.9", "extraDhcpOpts",
                                 "optName", "tftp-server", "optValue", "10.0.0.3"));
    w.dhcp6 =
        make(ST_DHCPV6, json_pack("{s:s,s:s}", "bridgeId", text(&w.bridge), "prefix", "fd00::/64"));
    w.dhcp6_host =
        make(ST_DHCPV6_HOST, json_pack("{s:s,s:s,s:s}", "dhcpV6Id", text(&w.dhcp6), "clientId",
                                       "0:3:0:1:2:0:0:0:0:1", "fixedAddress", "fd00::9"));
}

static void make_policy(void)
{
    w.chain = make(ST_CHAIN, json_pack("{s:s}", "name", "c"));
    w.group = make(ST_IP_ADDR_GROUP, json_pack("{s:s}", "name", "g"));
    w.ip = make(ST_IP_ADDR,
                json_pack("{s:s,s:s}", "ipAddrGroupId", text(&w.group), "addr", "10.0.0.9"));
    w.rule =
        make(ST_RULE, json_pack("{s:s,s:s,s:[s],s:s,s:i,s:{s:i},s:[{s:s,s:i}]}", "chainId",
                                text(&w.chain), "type", "snat", "inPorts", text(&w.vm),
                                "ipAddrGroupSrc", text(&w.group), "nwProto", 6, "tpDst", "start",
                                80, "natTargets", "addressFrom", "192.0.2.1", "portFrom", 1024));
    w.resource = make(ST_LOGGING_RESOURCE, json_pack("{s:b}", "enabled", 1));
    w.logger =
        make(ST_RULE_LOGGER, json_pack("{s:s,s:s,s:s}", "chainId", text(&w.chain),
                                       "loggingResourceId", text(&w.resource), "event", "ALL"));
    w.mirror = make(ST_MIRROR, json_pack("{s:s,s:[{s:i}]}", "toPortId", text(&w.link), "conditions",
                                         "nwProto", 17));
    w.policy = make(ST_QOS_POLICY, json_pack("{s:s}", "name", "q"));
    w.dscp =
        make(ST_QOS_DSCP_RULE, json_pack("{s:s,s:i}", "policyId", text(&w.policy), "dscpMark", 22));
    w.insertion =
        make(ST_L2INSERTION, json_pack("{s:s,s:s,s:s,s:i}", "portId", text(&w.vm), "srvPortId",
                                       text(&w.link), "mac", "02:00:00:00:00:01", "vlan", 5));
    w.trace = make(ST_TRACE_REQUEST, json_pack("{s:s,s:b}", "portId", text(&w.vm), "enabled", 1));
    json_t *attrs =
        json_pack("{s:s,s:s}", "inboundFilterId", text(&w.chain), "qosPolicyId", text(&w.policy));
    if (objects_update1(w.db, ST_PORT, &w.vm, attrs, STORE_ANY, NULL))
        abort();
    json_decref(attrs);
}

static void policy_nodes(void)
{
    struct store_names names = {0};
    char order[STORE_PATH_MAX];

    object(ST_CHAIN, &w.chain, ST_CHAIN, &w.chain);
    object(ST_RULE, &w.rule, ST_CHAIN, &w.chain);
    object(ST_RULE_LOGGER, &w.logger, ST_CHAIN, &w.chain);
    object(ST_LOGGING_RESOURCE, &w.resource, ST_LOGGING_RESOURCE, &w.resource);
    object(ST_IP_ADDR_GROUP, &w.group, ST_IP_ADDR_GROUP, &w.group);
    object(ST_IP_ADDR, &w.ip, ST_IP_ADDR_GROUP, &w.group);
    object(ST_MIRROR, &w.mirror, ST_MIRROR, &w.mirror);
    object(ST_QOS_DSCP_RULE, &w.dscp, ST_QOS_POLICY, &w.policy);
    object(ST_L2INSERTION, &w.insertion, ST_BRIDGE, &w.bridge);
    object(ST_TRACE_REQUEST, &w.trace, ST_BRIDGE, &w.bridge);
    objects_change_path(ST_CHAIN, &w.chain, w.nodes[w.n].path);
    node(NULL);
    /* The order, told as a change of the rule that is in it. */
    objects_path(ST_CHAIN, &w.chain, order);
    strcat(order, "/order");
    if (store_children(w.store, order, &names, NULL) || names.n != 1)
        abort();
    for (unsigned i = 0; i < 2; i++) {
        strcpy(w.nodes[w.n].path, order);
        if (i) {
            strcat(w.nodes[w.n].path, "/");
            strcat(w.nodes[w.n].path, names.names[0]);
        }
        struct node *n = node(NULL);
        n->type = ST_RULE;
        n->id = w.rule;
        n->device_type = ST_CHAIN;
        n->device = w.chain;
    }
    store_names_free(&names);
}

/* The log of a learned table, and a chunk of it. */
static void table_nodes(enum schema_type_id type, const struct uuid *device, const char *key,
                        const char *entry)
{
    char good[256];

    objects_state_path(type, device, key, w.nodes[w.n].path);
    snprintf(good, sizeof good, "{\"rev\":1,\"log\":[[1,\"%s.a1.0\"]]}", text(&w.host));
    node(good);
    objects_state_path(type, device, key, w.nodes[w.n].path);
    size_t size = strlen(w.nodes[w.n].path);
    snprintf(w.nodes[w.n].path + size, STORE_PATH_MAX - size, "/%s.a1.0", text(&w.host));
    node(entry)->chunk = true;
}

static void make_nodes(void)
{
    char good[256], life[STORE_PATH_MAX];

    policy_nodes();
    object(ST_DHCP, &w.dhcp, ST_BRIDGE, &w.bridge);
    object(ST_DHCP_HOST, &w.dhcp_host, ST_BRIDGE, &w.bridge);
    object(ST_DHCPV6, &w.dhcp6, ST_BRIDGE, &w.bridge);
    object(ST_DHCPV6_HOST, &w.dhcp6_host, ST_BRIDGE, &w.bridge);

    object(ST_BRIDGE, &w.bridge, ST_BRIDGE, &w.bridge);
    object(ST_ROUTER, &w.router, ST_ROUTER, &w.router);
    object(ST_PORT, &w.vm, ST_BRIDGE, &w.bridge);
    object(ST_PORT, &w.inside, ST_ROUTER, &w.router);
    object(ST_ROUTE, &w.route, ST_ROUTER, &w.router);
    object(ST_TUNNEL_ZONE_HOST, &w.member, ST_TUNNEL_ZONE, &w.zone);
    object(ST_IP_MAC, &w.addr, ST_BRIDGE, &w.bridge);
    make_snapshot();
    objects_change_path(ST_BRIDGE, &w.bridge, w.nodes[w.n].path);
    node(NULL);
    /* Two names, so that the node is asked, and garbage between them. */
    static const char *const lives[] = {"00000000000000a1", "x", "00000000000000b2"};
    for (unsigned i = 0; i < ARRAY_SIZE(lives); i++) {
        snprintf(life, sizeof life, "/state/alive/%02x/%s.%s", w.host.b[0] >> 2, text(&w.host),
                 lives[i]);
        put(life, "", 0);
    }
    objects_state_path(ST_HOST, &w.host, "alive", w.nodes[w.n].path);
    node("{\"inc\":\"a1\"}");
    objects_state_path(ST_PORT, &w.vm, "active", w.nodes[w.n].path);
    snprintf(good, sizeof good, "{\"host\":\"%s\",\"key\":7,\"inc\":\"a1\"}", text(&w.host));
    struct node *active = node(good);
    active->type = ST_PORT;
    active->id = w.vm;
    active->device_type = ST_BRIDGE;
    active->device = w.bridge;
    snprintf(w.log, sizeof w.log, "{\"rev\":2,\"log\":[[2,\"%s.a1.0\"]]}", text(&w.host));
    snprintf(good, sizeof good, "[[\"%s\",\"10.0.0.5\",\"02:00:00:00:00:05\",1,1]]",
             text(&w.inside));
    table_nodes(ST_ROUTER, &w.router, "arp", good);
    snprintf(good, sizeof good, "[[0,\"02:00:00:00:00:05\",\"%s\",1]]", text(&w.vm));
    table_nodes(ST_BRIDGE, &w.bridge, "mac", good);
}

static void begin(void)
{
    const struct sync_options o = {.jitter_ns = 1};
    const struct sync_callbacks cb = {0};
    struct error e;

    log_level = LOG_LVL_ERROR;
    w.now = NSEC_PER_SEC;
    if (store_open("memory:", NULL, &w.store, &e))
        abort();
    w.db = objects_open(w.store);
    make_objects();
    make_dhcp();
    make_policy();
    make_nodes();
    w.topo = topo_new();
    if (sync_open(w.store, w.topo, &o, &cb, &w.sync, &e))
        abort();
    sync_load(w.sync, TOPO_BRIDGE, &w.bridge);
    sync_load(w.sync, TOPO_ROUTER, &w.router);
    sync_load(w.sync, TOPO_CHAIN, &w.chain);
    sync_load(w.sync, TOPO_IP_GROUP, &w.group);
    sync_load(w.sync, TOPO_MIRROR, &w.mirror);
    run();
}

static void check_policy(const struct topo_port *p)
{
    const struct topo_chain *c = topo_chain(w.topo, topo_find(w.topo, &w.chain));
    const struct topo_ip_group *g = topo_ip_group(w.topo, topo_find(w.topo, &w.group));
    const struct topo_mirror *m = topo_mirror(w.topo, topo_find(w.topo, &w.mirror));
    const struct topo_chain *in = topo_chain(w.topo, p->insert_in);

    if (c->obj.missing || c->n_rules != 1 || c->rules[0].type != RULE_SNAT ||
        c->rules[0].n_targets != 1 || c->rules[0].cond.n_in_ports != 1 || c->n_loggers != 1)
        abort();
    if (g->obj.missing || topo_ip_set_size(g->members) != 1 || m->obj.missing || m->n_conds != 1)
        abort();
    if (!p->mark || p->dscp != 22 || !p->trace || !in || in->n_rules != 1)
        abort();
}

/* All as it is when every node is good. */
static void check(void)
{
    struct mac m = {{2, 0, 0, 0, 0, 5}};
    const struct topo_bridge *b = topo_bridge(w.topo, topo_find(w.topo, &w.bridge));
    const struct topo_router *r = topo_router(w.topo, topo_find(w.topo, &w.router));
    const struct topo_port *p = topo_port(w.topo, topo_find(w.topo, &w.vm));
    const struct topo_host *h = topo_host(w.topo, topo_find(w.topo, &w.host));

    if (b->obj.missing || b->n_exterior != 1 || b->n_links != 1 || b->n_seeds != 2 ||
        b->n_subnets != 2 || b->subnets[0].n_dns != 1 || b->subnets[0].n_routes != 1)
        abort();
    if (r->obj.missing || topo_lpm_size(r->routes) != 2)
        abort();
    if (p->obj.missing || !p->active || p->tunnel_key != 7 || !h->alive || h->n_zones != 1)
        abort();
    if (topo_mac_lookup(b->macs, 0, &m) != p->obj.self)
        abort();
    check_policy(p);
}

static void write_bad(const struct node *n, const uint8_t *data, size_t size, bool edit)
{
    char text[1024];

    if (!edit) {
        put(n->path, data, size);
        return;
    }
    size_t kept = MIN(n->size, sizeof text);
    memcpy(text, n->good, kept);
    for (size_t i = 0; i + 1 < size; i += 2)
        text[data[i] * kept / 256] = (char)data[i + 1];
    put(n->path, text, kept);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!w.store)
        begin();
    check();
    if (!size)
        return 0;
    struct node *n = &w.nodes[(data[0] & 0x7f) % w.n];
    write_bad(n, data + 1, size - 1, data[0] & 0x80);
    bump(n);
    if (n->chunk)
        put(n[-1].path, w.log, strlen(w.log));
    run();
    put(n->path, n->good, n->size);
    bump(n);
    if (n->snapshot)
        run();
    for (size_t i = 0; i < w.n; i++)
        put(w.nodes[i].path, w.nodes[i].good, w.nodes[i].size);
    run();
    return 0;
}
