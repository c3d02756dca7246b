/* Nanoseconds to simulate one packet; one JSON line.
 *
 *   sim_ns           bridge - router - bridge, everything in the cache: parse and sim_run together
 *   sim_run_ns       the same without parsing
 *   sim_bridge_ns    one bridge, known MAC
 *   sim_ip6_ns       as sim_ns, IPv6
 *   sim_flood_ns     one bridge, broadcast to 100 ports
 *   sim_ten_hops_ns  through ten routers
 *   sim_cold_ns      as sim_ns, each packet in another of 600 networks (4,800 ports in all)
 *   sim_trail_ns     as sim_ns, with the trail written
 *
 * "sim_bench NAME" measures only that one.  Medians of rounds; all cases take turns within a round,
 * so that what else the machine does hits them alike. */
#include <stdio.h>

#include "../unit/sim_world.h"
#include "base/clock.h"

enum { N_NETS = 600, ROUNDS = 31, BATCH = 4000, N_HOPS = 10 };

struct packet {
    topo_ref port;
    uint8_t b[128];
    size_t size;
};

struct bench {
    struct world w;
    struct packet packets[N_NETS];
    unsigned n;
    bool parse_each, trail;
    struct flow_key key;
};

static const char *name(const char *what, unsigned i)
{
    return mem_printf("%s%u", what, i);
}

static void packet_of(struct bench *b, struct prt *in, const char *src_mac,
                      const struct mac *dst_mac, const char *src, const char *dst)
{
    struct packet *p = &b->packets[b->n++];
    struct flow_key k = {.eth_src = MAC(src_mac),
                         .eth_dst = *dst_mac,
                         .ip_src = IP(src),
                         .ip_dst = IP(dst),
                         .ip_proto = 17,
                         .ip_ttl = 64,
                         .tp_src = 1,
                         .tp_dst = 2};

    k.eth_type = ip_is4(&k.ip_src) ? ETH_TYPE_IP : ETH_TYPE_IP6;
    p->port = in->ref;
    p->size = packet_from_key(p->b, sizeof p->b, &k, "0123456789abcdef", 16);
}

#define MAC_A "02:00:00:00:00:0a"
#define MAC_B "02:00:00:00:00:0b"

/* a - bridge - router - bridge - b, with two more ports on each bridge. */
static void routed_net(struct bench *b, unsigned i, bool ip6)
{
    struct world *w = &b->w;
    struct dev *ba = bridge(w, name("ba", i)), *bb = bridge(w, name("bb", i)),
               *rt = router(w, name("rt", i));
    struct prt *a = vm(ba, name("a", i)), *z = vm(bb, name("b", i)), *ra, *rb;

    vm(ba, name("c", i));
    vm(bb, name("d", i));
    ra = rport(rt, name("ra", i), ip6 ? "fd00:a::fe/64" : "10.0.1.254/24");
    rb = rport(rt, name("rb", i), ip6 ? "fd00:b::fe/64" : "10.0.2.254/24");
    plug(port(ba, name("pa", i)), ra);
    plug(port(bb, name("pb", i)), rb);
    knows(rb, ip6 ? "fd00:b::1" : "10.0.2.1", MAC_B);
    mac_behind(a, 0, MAC_A);
    mac_behind(z, 0, MAC_B);
    packet_of(b, a, MAC_A, &ra->mac, ip6 ? "fd00:a::1" : "10.0.1.1",
              ip6 ? "fd00:b::1" : "10.0.2.1");
}

static void bridge_net(struct bench *b, const char *dst, unsigned n_ports)
{
    struct dev *br = bridge(&b->w, "br");
    struct prt *a = vm(br, "a");
    struct mac to = MAC(dst);

    for (unsigned i = 0; i < n_ports; i++)
        mac_behind(vm(br, name("vm", i)), 0, i ? name("02:00:00:00:01:", 10 + i % 90) : MAC_B);
    packet_of(b, a, MAC_A, &to, "10.0.0.1", "10.0.0.2");
}

static void ten_hops(struct bench *b)
{
    struct world *w = &b->w;
    struct dev *routers[N_HOPS];
    struct prt *in = NULL, *out, *last = NULL;

    for (unsigned i = 0; i < N_HOPS; i++) {
        routers[i] = router(w, name("r", i));
        struct prt *left = rport(routers[i], name("l", i), "10.1.0.2/30");
        if (last) {
            plug(last, left);
        } else {
            in = left;
            in->host = "host1";
        }
        last = rport(routers[i], name("x", i), "10.2.0.1/30");
        add_route(routers[i], name("u", i), "0.0.0.0/0", TOPO_HOP_PORT, last, "10.2.0.2");
    }
    out = last;
    out->host = "host1";
    knows(out, "10.2.0.2", MAC_B);
    packet_of(b, in, MAC_A, &in->mac, "192.0.2.1", "203.0.113.1");
}

static unsigned next;

static void once(struct bench *b)
{
    struct world *w = &b->w;
    const struct packet *p = &b->packets[next++ * 7919u % b->n];
    struct packet_layers l;

    arena_reset(&w->arena);
    if (b->parse_each)
        packet_parse(p->b, p->size, &b->key, &l);
    struct sim_input in = {.topo = w->topo,
                           .now_ns = w->now,
                           .port = p->port,
                           .packet = p->b,
                           .size = (uint32_t)p->size,
                           .key = &b->key,
                           .want_trail = b->trail};
    sim_run(&in, &w->arena, &w->res);
    if (w->res.verdict != SIM_FORWARD) {
        fprintf(stderr, "not forwarded: %s\n", sim_reason_name(w->res.reason));
        exit(1);
    }
}

/* The thread's own time: what else the machine runs meanwhile isn't the simulator's. */
static uint64_t cpu_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static double batch(struct bench *b, unsigned n)
{
    uint64_t start = cpu_ns();

    for (unsigned i = 0; i < n; i++)
        once(b);
    return (double)(cpu_ns() - start) / n;
}

static struct bench *bench_new(void)
{
    struct bench *b = NEW(struct bench);

    world_init(&b->w);
    b->parse_each = true;
    return b;
}

static struct bench *bench_routed(unsigned n, bool ip6)
{
    struct bench *b = bench_new();

    for (unsigned i = 0; i < n; i++)
        routed_net(b, i, ip6);
    return b;
}

static int by_value(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;

    return a < b ? -1 : a > b;
}

static bool wanted(int argc, char **argv, const char *what)
{
    return argc < 2 || !strcmp(argv[1], what);
}

int main(int argc, char **argv)
{
    static struct {
        const char *name;
        struct bench *b;
        double ns[ROUNDS];
    } cases[8] = {{"sim_ns"},       {"sim_run_ns"},      {"sim_bridge_ns"}, {"sim_ip6_ns"},
                  {"sim_flood_ns"}, {"sim_ten_hops_ns"}, {"sim_cold_ns"},   {"sim_trail_ns"}};

    rcu_register_thread();
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
        cases[i].b = i == 2 || i == 4 ? bench_new()
                     : i == 5         ? bench_new()
                                      : bench_routed(i == 6 ? N_NETS : 1, i == 3);
    bridge_net(cases[2].b, MAC_B, 10);
    bridge_net(cases[4].b, "ff:ff:ff:ff:ff:ff", 100);
    ten_hops(cases[5].b);
    cases[7].b->trail = true;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        publish(&cases[i].b->w);
        batch(cases[i].b, BATCH);
    }
    cases[1].b->parse_each = false;
    for (unsigned round = 0; round < ROUNDS; round++)
        for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
            if (wanted(argc, argv, cases[i].name))
                cases[i].ns[round] = batch(cases[i].b, BATCH);
    const char *before = "{";
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        if (!wanted(argc, argv, cases[i].name))
            continue;
        qsort(cases[i].ns, ROUNDS, sizeof(double), by_value);
        printf("%s\"%s\": %.0f", before, cases[i].name, cases[i].ns[ROUNDS / 2]);
        before = ", ";
    }
    printf("}\n");
    return 0;
}
