/* What rules cost a first packet; one JSON line.
 *
 *   sim_ns_20_rules    bridge - router - bridge: parse and sim_run, with chains of 20 rules at the
 *                      port, before the bridge, and before and behind routing
 *   sim_ns_50k_rules   the same with 50,000 rules in each, the last of them about a group of
 * 100,000 addresses first_packet_by_feature  the same way with one chain, at the port, of 0, 1, 10,
 * 100, 1000 and 10,000 rules of one kind, none of which is the packet's
 *
 * Medians of rounds, the thread's own time. */
#include <stdio.h>
#include <time.h>

#include "../unit/sim_world.h"
#include "base/clock.h"

enum { ROUNDS = 15, BATCH = 2000 };

#define MAC_A "02:00:00:00:00:0a"
#define MAC_B "02:00:00:00:00:0b"

struct net {
    struct world w;
    struct prt *a;
    struct dev *ba, *rt;
    uint8_t packet[128];
    size_t size;
    struct flow_key key;
    double ns[ROUNDS];
};

static struct net *net_new(uint8_t proto)
{
    struct net *n = NEW(struct net);
    struct world *w = &n->w;
    struct dev *bb;
    struct prt *z, *ra, *rb;

    world_init(w);
    n->ba = bridge(w, "ba");
    bb = bridge(w, "bb");
    n->rt = router(w, "rt");
    n->a = vm(n->ba, "a");
    z = vm(bb, "b");
    ra = rport(n->rt, "ra", "10.0.1.254/24");
    rb = rport(n->rt, "rb", "10.0.2.254/24");
    plug(port(n->ba, "pa"), ra);
    plug(port(bb, "pb"), rb);
    knows(rb, "10.0.2.1", MAC_B);
    mac_behind(n->a, 0, MAC_A);
    mac_behind(z, 0, MAC_B);
    struct flow_key k = {.eth_src = MAC(MAC_A),
                         .eth_dst = ra->mac,
                         .eth_type = ETH_TYPE_IP,
                         .ip_src = IP("10.0.1.1"),
                         .ip_dst = IP("10.0.2.1"),
                         .ip_proto = proto,
                         .ip_ttl = 64,
                         .tp_src = 40000,
                         .tp_dst = 65000,
                         .tcp_flags = proto == 6 ? 0x200 : 0};
    n->size = packet_from_key(n->packet, sizeof n->packet, &k, "0123456789abcdef", 16);
    return n;
}

/* As an operator has them: a bit of everything, the last one lets the members of a group pass. */
static topo_ref mixed(struct net *n, const char *name, unsigned rules)
{
    struct chn *c = chain(&n->w, name);

    for (unsigned i = 0; i + 1 < rules; i++) {
        unsigned x = 10 + (i >> 14), y = i >> 6 & 255, z = i & 63;
        switch (i % 5) {
        case 0:
            rule(c, "drop proto 6 dst 10.%u.%u.%u/30 dst-port %u", x, y, z * 4, 1 + i % 1000);
            break;
        case 1:
            rule(c, "accept ethertype 2048 src 172.%u.%u.%u", x, y, z);
            break;
        case 2:
            rule(c, "drop proto 17 dst-port %u-%u", 1 + i % 60000, 20 + i % 60000);
            break;
        case 3:
            rule(c, "drop !in-ports a src 10.%u.%u.%u", x, y, z);
            break;
        default:
            rule(c, "accept proto 17 dst 10.%u.%u.0/24 dst-port %u", x, y, 1 + z);
        }
    }
    rule(c, "accept ip-address-group-src members");
    return c->ref;
}

static struct net *net_of_chains(unsigned rules)
{
    struct net *n = net_new(17);
    struct topo_ip_set *members = ip_group(n->w.topo, "members");

    for (unsigned i = 0; i < 100000; i++) {
        struct ip ip = ip_from4(htobe32(0x0a000101 + i));
        topo_ip_set_add(members, &ip);
    }
    n->a->infilter = mixed(n, "port", rules);
    n->ba->infilter = mixed(n, "bridge", rules);
    n->rt->infilter = mixed(n, "in", rules);
    n->rt->outfilter = mixed(n, "out", rules);
    publish(&n->w);
    return n;
}

static const char *const features[] = {"destination", "source",    "ports",
                                       "flags",       "conntrack", "nat"};
static const unsigned counts[] = {0, 1, 10, 100, 1000, 10000};

static struct net *net_of_feature(unsigned feature, unsigned rules)
{
    struct net *n = net_new(feature == 3 ? 6 : 17);
    struct chn *c = chain(&n->w, "c");

    for (unsigned i = 0; i < rules; i++) {
        unsigned x = i >> 8, y = i & 255;
        switch (feature) {
        case 0:
            rule(c, "drop dst 10.9.%u.%u", x, y);
            break;
        case 1:
            rule(c, "drop src 10.9.%u.%u", x, y);
            break;
        case 2:
            rule(c, "drop proto 17 dst-port %u", 1 + i);
            break;
        case 3:
            rule(c, "drop tcp-flags 0x%x/0x1ff src-port %u", i & 0x1ff, 1 + i);
            break;
        case 4:
            rule(c, "drop return-flow dst 10.%u.%u.0/24", x, y);
            break;
        default:
            rule(c, "dnat target 10.8.%u.%u:80 dst 192.0.%u.%u dst-port 80", x, y, x, y);
        }
    }
    n->a->infilter = c->ref;
    publish(&n->w);
    return n;
}

static uint64_t cpu_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static void once(struct net *n)
{
    struct world *w = &n->w;
    struct packet_layers l;

    arena_reset(&w->arena);
    packet_parse(n->packet, n->size, &n->key, &l);
    struct sim_input in = {.topo = w->topo,
                           .now_ns = w->now,
                           .port = n->a->ref,
                           .packet = n->packet,
                           .size = (uint32_t)n->size,
                           .key = &n->key};
    sim_run(&in, &w->arena, &w->res);
    if (w->res.verdict != SIM_FORWARD) {
        fprintf(stderr, "not forwarded: %s\n", sim_reason_name(w->res.reason));
        exit(1);
    }
}

static void measure(struct net *n, unsigned round)
{
    uint64_t start = cpu_ns();

    for (unsigned i = 0; i < BATCH; i++)
        once(n);
    n->ns[round] = (double)(cpu_ns() - start) / BATCH;
}

static int by_value(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;

    return a < b ? -1 : a > b;
}

static double median(struct net *n)
{
    qsort(n->ns, ROUNDS, sizeof *n->ns, by_value);
    return n->ns[ROUNDS / 2];
}

int main(void)
{
    enum { N_FEATURES = ARRAY_SIZE(features), N_COUNTS = ARRAY_SIZE(counts) };
    static struct net *nets[2 + N_FEATURES * N_COUNTS];
    enum { N_NETS = ARRAY_SIZE(nets) };

    rcu_register_thread();
    nets[0] = net_of_chains(20);
    nets[1] = net_of_chains(50000);
    for (unsigned i = 0; i < N_FEATURES * N_COUNTS; i++)
        nets[2 + i] = net_of_feature(i / N_COUNTS, counts[i % N_COUNTS]);
    for (unsigned i = 0; i < N_NETS; i++)
        measure(nets[i], 0);
    for (unsigned round = 0; round < ROUNDS; round++)
        for (unsigned i = 0; i < N_NETS; i++)
            measure(nets[i], round);
    printf("{\"sim_ns_20_rules\": %.0f, \"sim_ns_50k_rules\": %.0f, \"first_packet_by_feature\": {",
           median(nets[0]), median(nets[1]));
    for (unsigned i = 0; i < N_FEATURES * N_COUNTS; i++) {
        if (i % N_COUNTS == 0)
            printf("%s\"%s\": {", i ? "}, " : "", features[i / N_COUNTS]);
        printf("%s\"%u\": %.0f", i % N_COUNTS ? ", " : "", counts[i % N_COUNTS],
               median(nets[2 + i]));
    }
    printf("}}}\n");
    return 0;
}
