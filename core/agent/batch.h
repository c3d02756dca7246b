/* A batch: what a worker is about to tell the datapath.
 *
 * Flows to install and to remove and packets to send are gathered while packets are simulated and
 * handed over together: removals, packets, then flows, so that the first packet of a flow is soon on
 * its way and none of the next overtakes it.
 * The flow table always knows a flow before the datapath does and longer than it: an invalidation
 * that comes in between finds it.
 * Everything a batch refers to lives in its arena until flow_batch_flush(), or in the upcalls.
 * Thread: the worker. */
#ifndef MN_AGENT_FLOW_BATCH_H
#define MN_AGENT_FLOW_BATCH_H

#include "agent/drops.h"
#include "agent/flowtable.h"
#include "base/mem.h"
#include "datapath/datapath.h"

#define BATCH_FLOWS 128

/* Counters of a worker, by name; stable, see docs/agent.md. */
#define WORKER_COUNTERS(X)                                                                         \
    X(upcalls)         /* packets the datapath sent up */                                          \
    X(upcalls_no_port) /* of a port that isn't bound (any more) */                                 \
    X(simulated)       /* runs of the simulator */                                                 \
    X(resimulated)     /* of them for flows whose tags were announced, or that grew old */         \
    X(traced)          /* run once more for a trace request */                                     \
    X(duplicates)      /* upcalls answered like another of the same batch */                       \
    X(flows_installed)                                                                             \
    X(flows_replaced) /* outputs changed in place */                                               \
    X(flows_kept)     /* simulated again with the same outcome */                                  \
    X(flows_removed)                                                                               \
    X(flows_expired)                                                                               \
    X(flows_evicted)     /* table full */                                                          \
    X(flows_refused)     /* by the datapath: table full */                                         \
    X(flows_unsupported) /* by the datapath: every packet comes up */                              \
    X(invalidations)     /* tags announced */                                                      \
    X(invalidated_flows)                                                                           \
    X(parked)                                                                                      \
    X(parked_timeouts)                                                                             \
    X(parked_overflow)                                                                             \
    X(neighbours_asked)                                                                            \
    X(advertisements)  /* of routers, unasked */                                                   \
    X(records_made)    /* of connections */                                                        \
    X(state_conflicts) /* simulated again: others took what it chose */                            \
    X(state_refused)   /* packets dropped: records couldn't be made */                             \
    X(packets_sent)    /* by the agent: first packets, answers */                                  \
    X(copies_lost)     /* outputs without a way: port not served, no tunnel */                     \
    X(drops)           /* packets the agent dropped itself */

struct worker_counters {
#define X(name) uint64_t name;
    WORKER_COUNTERS(X)
#undef X
};

struct flow_batch {
    struct dp *dp;
    unsigned queue;
    struct flowtable *ft;
    struct drops *drops;
    struct worker_counters *counters;
    uint64_t now;
    struct arena arena;
    size_t n_puts, n_dels, n_execs, execs_room;
    uint32_t put_ids[BATCH_FLOWS]; /* 0: taken back */
    struct dp_flow puts[BATCH_FLOWS], dels[BATCH_FLOWS];
    struct {
        uint32_t drop, packets; /* its number; counted so far */
    } del_drops[BATCH_FLOWS];
    struct dp_exec *execs;
};

void flow_batch_init(struct flow_batch *b, struct dp *dp, unsigned queue, struct flowtable *ft,
                     struct drops *drops, struct worker_counters *counters);
void flow_batch_free(struct flow_batch *b);

/* Records the flow and installs it unless the datapath has it with these outputs already. */
void flow_batch_install(struct flow_batch *b, const struct ft_flow *f, const struct flow_out *outs,
                        uint16_t n_outs);
void flow_batch_remove(struct flow_batch *b, uint32_t id);
void flow_batch_send(struct flow_batch *b, const struct dp_exec *exec);
/* Flows only, or everything.  The second ends the life of the arena's content. */
void flow_batch_flush_flows(struct flow_batch *b);
void flow_batch_flush(struct flow_batch *b);

#endif
