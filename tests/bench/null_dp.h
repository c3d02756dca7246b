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

#endif
