/* What the agent's worker costs a new flow, without a datapath: upcalls come out of memory, flows
 * and packets go nowhere.  CPU time of the thread, so that others on the machine don't count. One
 * JSON line:
 *
 *   worker_setup_ns    a flow set up: parse, simulate, translate, record, hand over
 *   worker_again_ns    an installed flow simulated again, unchanged
 *   worker_remove_ns   a flow found by its tag and taken out
 *   worker_flow_bytes  memory of the record of a flow, with its share of tags and masks
 */
#include <stdio.h>
#include <time.h>

#include "../unit/sim_world.h"
#include "agent/worker.h"
#include "base/clock.h"

enum { N = 150000, BATCH = 64 };

struct null_dp {
    struct dp dp;
    uint8_t frames[BATCH][64];
    size_t size;
    unsigned sent, wanted;
    uint32_t port_no;
};

static int null_recv(struct dp *dp, unsigned queue, struct dp_upcall *ups, size_t max)
{
    struct null_dp *d = (struct null_dp *)dp;
    size_t n = MIN(max, (size_t)(d->wanted - d->sent));

    (void)queue;
    n = MIN(n, (size_t)BATCH);
    for (size_t i = 0; i < n; i++) {
        uint8_t *p = d->frames[i];
        unsigned flow = d->sent++;
        p[34] = (uint8_t)(flow >> 8); /* ports */
        p[35] = (uint8_t)flow;
        p[37] = (uint8_t)(flow >> 16);
        ups[i] = (struct dp_upcall){.port_no = d->port_no, .packet = p, .size = (uint32_t)d->size};
    }
    return (int)n;
}

static int null_put(struct dp *dp, unsigned queue, const struct dp_flow *flows, size_t n, int *rcs)
{
    (void)dp;
    (void)queue;
    (void)flows;
    (void)n;
    (void)rcs;
    return 0;
}

static int null_del(struct dp *dp, unsigned queue, const struct dp_flow *flows, size_t n,
                    struct dp_flow_stats *stats)
{
    (void)dp;
    (void)queue;
    (void)flows;
    memset(stats, 0, n * sizeof *stats);
    return 0;
}

static int null_execute(struct dp *dp, unsigned queue, const struct dp_exec *execs, size_t n)
{
    (void)dp;
    (void)queue;
    (void)execs;
    (void)n;
    return 0;
}

static const struct dp_ops null_ops = {.type = "null",
                                       .recv = null_recv,
                                       .flow_put = null_put,
                                       .flow_del = null_del,
                                       .execute = null_execute};

static uint64_t cpu_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static void need(struct worker_host *h, topo_ref object)
{
    (void)h;
    (void)object;
}

static void learn(struct worker_host *h, unsigned queue, const struct sim_learn *l, uint64_t now)
{
    (void)h; /* the addresses are known from the start */
    (void)queue;
    (void)l;
    (void)now;
}

static void run(struct worker *w)
{
    while (worker_run(w, NSEC_PER_SEC))
        rcu_quiescent_state();
}

int main(void)
{
    struct world *w = NEW(struct world);
    struct null_dp *d = NEW(struct null_dp);
    struct worker_options opts = {.flows.max_flows = N};

    rcu_register_thread();
    world_init(w);
    struct dev *left = bridge(w, "left"), *right = bridge(w, "right"), *rt = router(w, "rt");
    struct prt *a = vm(left, "a"), *z = vm(right, "z");
    struct prt *lr = rport(rt, "lr", "10.0.1.1/24"), *rr = rport(rt, "rr", "10.0.2.1/24");
    plug(port(left, "lp"), lr);
    plug(port(right, "rp"), rr);
    add_route(rt, "twin", "10.0.2.0/24", TOPO_HOP_PORT, rr, NULL); /* so that ports are read */
    publish(w);
    knows(rr, "10.0.2.10", "02:00:00:00:00:0c");
    mac_behind(a, 0, "02:00:00:00:00:0a");
    mac_behind(z, 0, "02:00:00:00:00:0c");

    d->dp.ops = &null_ops;
    struct portmap_entry entries[] = {{a->ref, 1}, {z->ref, 2}};
    struct portmap *map = portmap_new(entries, 2);
    struct worker_host host = {.topo = w->topo,
                               .dp = &d->dp,
                               .local_host = w->local,
                               .ports = &map,
                               .need = need,
                               .learn = learn};
    struct worker *worker;
    if (worker_new(&host, &opts, &worker))
        return 1;
    d->port_no = 1;
    struct flow_key k = {.eth_src = MAC("02:00:00:00:00:0a"),
                         .eth_dst = lr->mac,
                         .eth_type = ETH_TYPE_IP,
                         .ip_src = IP("10.0.1.10"),
                         .ip_dst = IP("10.0.2.10"),
                         .ip_proto = 17,
                         .ip_ttl = 64};
    for (unsigned i = 0; i < BATCH; i++)
        d->size = packet_from_key(d->frames[i], sizeof d->frames[i], &k, "0123456789abcdef", 16);

    size_t empty = ft_memory(worker_flows(worker));
    d->wanted = N;
    uint64_t t0 = cpu_ns();
    run(worker);
    uint64_t t1 = cpu_ns();
    size_t full = ft_memory(worker_flows(worker));
    if (ft_n_flows(worker_flows(worker)) != N)
        fprintf(stderr, "only %u flows\n", ft_n_flows(worker_flows(worker)));
    worker_announce(worker, &(struct tag_change){.tag = tag_object(z->ref)}, 1);
    uint64_t t2 = cpu_ns();
    run(worker);
    uint64_t t3 = cpu_ns();
    worker_remove_port(worker, a->ref, 1);
    uint64_t t4 = cpu_ns();
    printf("{\"worker_setup_ns\": %.0f, \"worker_again_ns\": %.0f, \"worker_remove_ns\": %.0f, "
           "\"worker_flow_bytes\": %.0f}\n",
           (double)(t1 - t0) / N, (double)(t3 - t2) / N, (double)(t4 - t3) / N,
           (double)(full - empty) / N);
    return 0;
}
