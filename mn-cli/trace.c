#include "trace.h"

#include <getopt.h>
#include <string.h>

#include "agent/control.h"
#include "base/clock.h"
#include "cli/ref.h"
#include "commands.h"
#include "packet/packet.h"
#include "packet/text.h"
#include "topology/sync.h"
#include "topology/tables.h"

#define TRACE_PATIENCE_MS 5000
#define TRACE_ROUNDS      100 /* each loads at least one more object */

/* What a trace stands on. */
struct ground {
    struct store *store; /* owned only when 'own' */
    bool own;
    struct objects *db;
    struct topo *topo;
    struct sync *sync;
    struct state *state; /* null: no connection is known */
};

static void ground_close(struct ground *g)
{
    rcu_thread_offline();
    sync_close(g->sync);
    rcu_thread_online();
    state_free(g->state);
    rcu_unregister_thread();
    if (g->topo)
        topo_free(g->topo);
    if (!g->own)
        return;
    objects_close(g->db);
    store_close(g->store);
}

static int ground_open(struct ground *g, struct cli *cli, const char *file, struct error *e)
{
    const struct sync_options reader = {0};
    const struct sync_callbacks none = {0};
    int rc;

    rcu_register_thread();
    if (file) {
        g->own = true;
        rc = trace_open_file(file, &g->store, &g->db, e);
    } else if (!(rc = cli_connect(cli, e))) {
        g->store = cli->store;
        g->db = cli->db;
    }
    if (rc)
        return rc;
    g->topo = topo_new();
    return sync_open(g->store, g->topo, &reader, &none, &g->sync, e);
}

static int settle(struct ground *g, struct error *e)
{
    rcu_thread_offline();
    int rc = sync_settle(g->sync, TRACE_PATIENCE_MS, e);
    rcu_thread_online();
    return rc;
}

/* Loads the port, its device, so that the packet's MACs can be guessed, and its host. */
static int load_port(struct ground *g, const struct uuid *id, topo_ref *port, struct error *e)
{
    char text[UUID_STRLEN], object[8 + UUID_STRLEN];
    int rc;

    *port = sync_load(g->sync, TOPO_PORT, id);
    if ((rc = settle(g, e)))
        return rc;
    const struct topo_port *p = topo_port(g->topo, *port);
    if (!p || p->obj.missing) {
        snprintf(object, sizeof object, "port %s", uuid_format(id, text));
        return error_set(e, -ENOENT, object, NULL, "There is no port with ID %s", text);
    }
    sync_need(g->sync, p->device);
    if (p->host)
        sync_need(g->sync, p->host);
    return settle(g, e);
}

static const struct topo_link *gateway_of(const struct topo_bridge *b, const struct ip *src,
                                          const struct ip *dst)
{
    const struct topo_link *found = NULL;

    for (uint32_t i = 0; i < b->n_links; i++) {
        const struct topo_link *l = &b->links[i];
        if (l->peer_kind != TOPO_ROUTER)
            continue;
        for (uint16_t a = 0; a < l->n_addrs; a++) {
            if (ip_equal(&l->addrs[a].addr, dst))
                return l;
            if (cidr_contains(&l->addrs[a], src))
                found = l;
        }
    }
    return found;
}

static bool on_link(const struct topo_link *l, const struct ip *dst)
{
    for (uint16_t a = 0; a < l->n_addrs; a++)
        if (cidr_contains(&l->addrs[a], dst) && !ip_equal(&l->addrs[a].addr, dst))
            return true;
    return false;
}

/* The MAC the topology knows for an address on a bridge: seeds, then a linked router's neighbours.
 */
static bool known_mac(const struct topo *t, const struct topo_bridge *b, const struct ip *ip,
                      struct mac *mac)
{
    for (uint32_t i = 0; i < b->n_seeds; i++) {
        if (ip_equal(&b->seeds[i].ip, ip)) {
            *mac = b->seeds[i].mac;
            return true;
        }
    }
    for (uint32_t i = 0; i < b->n_links; i++) {
        const struct topo_router *r =
            b->links[i].peer_kind == TOPO_ROUTER ? topo_router(t, b->links[i].peer_device) : NULL;
        struct topo_neigh n;
        if (r && r->neighs && topo_neigh_lookup(r->neighs, b->links[i].peer, ip, clock_ns(), &n)) {
            *mac = n.mac;
            return true;
        }
    }
    return false;
}

static void load_routers(struct ground *g, const struct topo_bridge *b)
{
    for (uint32_t i = 0; i < b->n_links; i++)
        if (b->links[i].peer_kind == TOPO_ROUTER)
            sync_need(g->sync, b->links[i].peer_device);
}

/* MACs that the words leave open, as the machine behind the port would choose them. */
static int guess_macs(struct ground *g, topo_ref port, struct packet_spec *s, struct error *e)
{
    const struct topo_port *p = topo_port(g->topo, port);
    bool src_open = mac_is_zero(&s->given.eth_src), dst_open = mac_is_zero(&s->given.eth_dst);

    if (src_open)
        s->key.eth_src = (struct mac){{2, 0, 0, 0, 0, 1}};
    if (dst_open)
        s->key.eth_dst = p->device_kind == TOPO_ROUTER ? p->mac : mac_broadcast;
    if (p->device_kind != TOPO_BRIDGE || ip_is_none(&s->key.ip_dst))
        return 0;
    const struct topo_bridge *b = topo_bridge(g->topo, p->device);
    load_routers(g, b);
    int rc = settle(g, e);
    if (rc)
        return rc;
    b = topo_bridge(g->topo, topo_port(g->topo, port)->device);
    const struct topo_link *l = gateway_of(b, &s->key.ip_src, &s->key.ip_dst);
    if (src_open)
        known_mac(g->topo, b, &s->key.ip_src, &s->key.eth_src);
    if (!dst_open)
        return 0;
    if (ip_is_multicast(&s->key.ip_dst))
        s->key.eth_dst = mac_of_multicast_ip(&s->key.ip_dst);
    else if (l && !on_link(l, &s->key.ip_dst) && !ip_is_broadcast(&s->key.ip_dst))
        s->key.eth_dst = l->mac;
    else
        known_mac(g->topo, b, &s->key.ip_dst, &s->key.eth_dst);
    return 0;
}

/* Runs until nothing is lacking but neighbours, which nobody here can ask. */
static int simulate(struct ground *g, struct trace *t, struct arena *arena, struct error *e)
{
    for (unsigned round = 0; round < TRACE_ROUNDS; round++) {
        struct sim_input in = {.topo = g->topo,
                               .state = g->state,
                               .now_ns = clock_ns(),
                               .port = t->port,
                               .packet = t->packet,
                               .size = (uint32_t)t->size,
                               .key = &t->key,
                               .overlay_mtu = t->overlay_mtu,
                               .want_trail = true,
                               .any_ingress = true};
        bool loading = false;
        arena_reset(arena);
        sim_run(&in, arena, &t->result);
        for (uint32_t i = 0; t->result.verdict == SIM_NEED && i < t->result.n_needs; i++) {
            if (t->result.needs[i].kind != SIM_NEED_OBJECT)
                continue;
            sync_need(g->sync, t->result.needs[i].ref);
            loading = true;
        }
        if (!loading)
            return 0;
        int rc = settle(g, e);
        if (rc)
            return rc;
    }
    return error_set(e, -ELOOP, NULL, NULL, "the topology keeps changing under the trace");
}

static int trace(struct ground *g, struct cli *cli, const char *port, const char *const *words,
                 size_t n, struct error *e)
{
    struct trace t = {.topo = g->topo};
    struct packet_spec spec;
    struct packet_layers layers;
    struct uuid id;
    struct arena arena;
    int rc = packet_spec_parse(words, n, &spec, e);

    if (rc)
        error_hint(e, "\"help trace\" has the language of packets; a shell wants \">\" quoted");
    struct cli apart = {.db = g->db}; /* names in a file: no session's, so no aliases */
    if (!rc)
        rc = ref_resolve(g->own ? &apart : cli, ST_PORT, port, &id, e);
    if (!rc)
        rc = load_port(g, &id, &t.port, e);
    if (!rc)
        rc = guess_macs(g, t.port, &spec, e);
    if (rc)
        return rc;
    topo_ref host = topo_port(g->topo, t.port)->host;

    t.overlay_mtu = trace_mtu(g->store, topo_id(g->topo, host), topo_host(g->topo, host));
    t.size = packet_spec_build(&spec, t.packet, sizeof t.packet);
    if (!t.size)
        return error_set(e, -EINVAL, "packet", "size", "larger than %zu bytes", sizeof t.packet);
    packet_parse(t.packet, t.size, &t.key, &layers);
    t.key.in_port = 1;
    arena_init(&arena, 65536);
    rc = simulate(g, &t, &arena, e);
    if (!rc) {
        trace_print(&cli->out, &t);
        rc = t.result.verdict == SIM_DROP ? EXIT_WOULD_CHANGE : 0;
    }
    arena_free(&arena);
    return rc;
}

/* What the agent of this machine knows of connections decides, too. */
static int go_live(struct ground *g, struct cli *cli, const char *control, struct error *e)
{
    char path[CONTROL_PATH_MAX];
    size_t n;

    control_default_path(NULL, path);
    int rc = state_new(NULL, &g->state);
    if (!rc)
        rc = trace_live(control ? control : path, g->topo, g->state, &n, e);
    if (rc)
        return rc;
    state_ports_all(g->state, true);
    print_note(&cli->out, "%zu records of connections are known", n);
    return 0;
}

int cmd_trace(struct cli *cli, int argc, char **argv)
{
    static const struct option options[] = {{"file", required_argument, NULL, 'f'},
                                            {"live", no_argument, NULL, 'l'},
                                            {"control", required_argument, NULL, 'c'},
                                            {"json", no_argument, NULL, 'j'},
                                            {0}};
    struct ground g = {0};
    struct error e = {0};
    const char *file = NULL, *control = NULL;
    bool live = false;
    int c, rc;

    optind = 0;
    while ((c = getopt_long(argc, argv, "f:lc:j", options, NULL)) >= 0) {
        if (c == 'f')
            file = optarg;
        else if (c == 'j')
            cli->out.format = PRINT_JSON;
        else if (c == 'l')
            live = true;
        else if (c == 'c')
            control = optarg;
        else
            return 2;
    }
    if (argc - optind < 2) {
        error_set(&e, -EINVAL, NULL, NULL,
                  "trace [--file EXPORT | --live [--control SOCKET]] [--json] PORT PACKET...");
        error_hint(&e, "for example: trace web-1 tcp 10.0.0.1:1234 10.0.1.2:80");
        return print_failure(&cli->out, &e);
    }
    rc = ground_open(&g, cli, file, &e);
    if (!rc && live)
        rc = go_live(&g, cli, control, &e);
    if (!rc)
        rc = trace(&g, cli, argv[optind], (const char *const *)argv + optind + 1,
                   (size_t)(argc - optind - 1), &e);
    ground_close(&g);
    return rc < 0 ? print_failure(&cli->out, &e) : rc;
}
