/* A worker without a datapath: upcalls come out of memory, flows and packets go nowhere.  Each
 * upcall is the same UDP frame with other ports.  CPU time of the thread, so that others on the
 * machine don't count. */
#ifndef MN_BENCH_NULL_DP_H
#define MN_BENCH_NULL_DP_H

#include <stdio.h>
#include <time.h>

#include "../unit/sim_world.h"
#include "agent/worker.h"
#include "base/clock.h"

enum { BATCH = 64 };

struct null_dp {
    struct dp dp;
    uint8_t frames[BATCH][64];
    size_t size;
    unsigned sent, wanted;
    uint32_t port_no;
};

static inline int null_recv(struct dp *dp, unsigned queue, struct dp_upcall *ups, size_t max)
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

static inline int null_put(struct dp *dp, unsigned queue, const struct dp_flow *flows, size_t n,
                           int *rcs)
{
    (void)dp;
    (void)queue;
    (void)flows;
    (void)n;
    (void)rcs;
    return 0;
}

static inline int null_del(struct dp *dp, unsigned queue, const struct dp_flow *flows, size_t n,
                           struct dp_flow_stats *stats)
{
    (void)dp;
    (void)queue;
    (void)flows;
    memset(stats, 0, n * sizeof *stats);
    return 0;
}

static inline int null_execute(struct dp *dp, unsigned queue, const struct dp_exec *execs, size_t n)
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

static inline uint64_t cpu_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static inline void need(struct worker_host *h, topo_ref object)
{
    (void)h;
    (void)object;
}

static inline void learn(struct worker_host *h, unsigned queue, const struct sim_learn *l,
                         uint64_t now)
{
    (void)h; /* the addresses are known from the start */
    (void)queue;
    (void)l;
    (void)now;
}

static inline void run(struct worker *w)
{
    while (worker_run(w, NSEC_PER_SEC))
        rcu_quiescent_state();
}

/* Makes the frames of header 'k'. */
static inline void null_frames(struct null_dp *d, const struct flow_key *k)
{
    for (unsigned i = 0; i < BATCH; i++)
        d->size = packet_from_key(d->frames[i], sizeof d->frames[i], k, "0123456789abcdef", 16);
}

/* The network of these benchmarks, a to z by the router, every address known:
 *
 *     a -- left --(lp lr)-- rt --(rr rp)-- right -- z
 *
 * null_routed() makes it, the benchmark adds what it likes, null_worker() publishes it and opens a
 * worker that gets frames from a to z. */
struct null_net {
    struct world *w;
    struct null_dp *d;
    struct dev *left, *right, *rt;
    struct prt *a, *z, *lr, *rr;
    struct portmap *map;
    struct worker_host host;
};

static inline struct null_net *null_routed(void)
{
    struct null_net *n = NEW(struct null_net);

    rcu_register_thread();
    n->w = NEW(struct world);
    n->d = NEW(struct null_dp);
    world_init(n->w);
    n->left = bridge(n->w, "left");
    n->right = bridge(n->w, "right");
    n->rt = router(n->w, "rt");
    n->a = vm(n->left, "a");
    n->z = vm(n->right, "z");
    n->lr = rport(n->rt, "lr", "10.0.1.1/24");
    n->rr = rport(n->rt, "rr", "10.0.2.1/24");
    plug(port(n->left, "lp"), n->lr);
    plug(port(n->right, "rp"), n->rr);
    return n;
}

static inline struct worker *null_worker(struct null_net *n, struct state *state,
                                         uint32_t max_flows)
{
    struct worker_options opts = {.flows.max_flows = max_flows};
    struct portmap_entry entries[] = {{n->a->ref, 1}, {n->z->ref, 2}};
    struct worker *worker;

    publish(n->w);
    knows(n->rr, "10.0.2.10", "02:00:00:00:00:0c");
    mac_behind(n->a, 0, "02:00:00:00:00:0a");
    mac_behind(n->z, 0, "02:00:00:00:00:0c");
    n->d->dp.ops = &null_ops;
    n->d->port_no = 1;
    n->map = portmap_new(entries, 2);
    n->host = (struct worker_host){.topo = n->w->topo,
                                   .dp = &n->d->dp,
                                   .local_host = n->w->local,
                                   .ports = &n->map,
                                   .state = state,
                                   .need = need,
                                   .learn = learn};
    if (worker_new(&n->host, &opts, &worker))
        exit(1);
    null_frames(n->d, &(struct flow_key){.eth_src = MAC("02:00:00:00:00:0a"),
                                         .eth_dst = n->lr->mac,
                                         .eth_type = ETH_TYPE_IP,
                                         .ip_src = IP("10.0.1.10"),
                                         .ip_dst = IP("10.0.2.10"),
                                         .ip_proto = 17,
                                         .ip_ttl = 64});
    return worker;
}

#endif
