/* Worker: packets that no flow wants become flows.
 *
 * worker_run() is one turn of the loop: take a batch of upcalls, simulate each, translate what the
 * simulator decided into this host's ports and tunnels, install flows, send packets; then hear what
 * others announced, simulate the touched flows again, serve timers.  It never blocks and never
 * waits for another thread.
 *
 * Why no invalidation is lost: a change is published first and announced to the inbox second.  A
 * packet simulated against the old topology has its flow in the table before the worker looks into
 * the inbox again, so the announcement finds it.
 *
 * A touched flow stays installed while it is simulated again and is replaced in place, so that a
 * change that alters nothing for it costs its traffic nothing.
 *
 * Connections (state/state.h) are shared by all workers.  What a simulation found or proposes is
 * committed before anything comes of it; the tags of records that are new are untrue then.  This
 * worker's own flows are touched at once, before the flow of this very simulation is entered; other
 * workers hear of the whole batch before its packets are sent.  So a return packet that another
 * worker simulated in vain meanwhile has its flow in the table when the announcement is read, as
 * above.  Other agents that need them are told before the packets are sent (exchange.h), and what
 * they told is taken in before upcalls are simulated, so that an answer finds what it belongs to.
 * Records are kept alive by simulating the flows that stand on them more often than others.
 *
 * Packets that lack something (object, neighbour) are parked and run again from the start; the
 * worker asks for it through 'struct worker_host'.
 *
 * Threads: a worker belongs to one thread, a registered RCU reader, except for worker_announce(),
 * worker_call() and worker_wake(). */
#ifndef MN_AGENT_WORKER_H
#define MN_AGENT_WORKER_H

#include "agent/asking.h"
#include "agent/batch.h"
#include "agent/exchange.h"
#include "agent/inbox.h"
#include "agent/parked.h"
#include "agent/portmap.h"

/* What the worker needs of the agent around it.  The functions are called in the worker's thread
 * and must not block. */
struct worker_host {
    struct topo *topo;
    struct dp *dp;
    topo_ref local_host;
    struct portmap **ports; /* RCU pointer */
    uint16_t overlay_mtu;   /* atomic: what machines are told (mtu.h); 0: unknown */
    /* The first packet came in by a port that moved here; null: nobody waits for it. */
    void (*heard)(struct worker_host *h, topo_ref port);
    /* Load this object, then announce its tag. */
    void (*need)(struct worker_host *h, topo_ref object);
    /* Connections; null: none are kept. */
    struct state *state;
    /* These records were entered or refreshed, in use at 'used'; null: nobody keeps a copy. */
    void (*remember)(struct worker_host *h, const struct state_rec *recs, uint32_t n,
                     const struct state_via *via, uint64_t used, uint64_t now);
    /* Make these tags known to all workers but the one of this queue; null: there is no other. */
    void (*tell_others)(struct worker_host *h, unsigned queue, const struct tag_change *changes,
                        size_t n);
    /* Other agents; null: this one is alone. */
    struct exchange *exchange;
    /* Lease this block of ports, then announce tag_ports(); null: never. */
    void (*lease)(struct worker_host *h, const struct sim_need *need);
    /* A rule or a chain's logger asked for this record; null: nobody keeps them. */
    void (*log)(struct worker_host *h, unsigned queue, const struct sim_log *log, uint64_t now);
    /* The n-th packet that met this trace request, and its trail; null: nobody looks. */
    void (*trace)(struct worker_host *h, const struct uuid *request, uint64_t n,
                  const struct sim_result *r);
    /* A packet that entered here taught this: enter it in its table, and announce it if it's new.
     */
    void (*learn)(struct worker_host *h, unsigned queue, const struct sim_learn *learn,
                  uint64_t now);
};

struct worker_options {
    unsigned queue; /* of the datapath: this worker's */
    struct ft_limits flows;
    struct asking_limits asking;
    uint64_t park_ns; /* 0: 5 s */
};

struct worker;

int worker_new(struct worker_host *host, const struct worker_options *opts, struct worker **out);
/* Its flows stay in the datapath. */
/* This process is about to end and its flows stay: machines behind this host's ports are told their
 * routers' MACs.  By one worker of all, when its thread has ended. */
void worker_farewell(struct worker *w);
void worker_free(struct worker *w);

/* One turn at time 'now'.  True when there may be more to do at once. */
bool worker_run(struct worker *w, uint64_t now);
/* When the next timer is due. */
uint64_t worker_next_ns(const struct worker *w);
/* Between inbox_sleep() and inbox_awake() of this the thread may poll; also the way in for others.
 */
struct inbox *worker_inbox(struct worker *w);

/* Any thread. */
void worker_announce(struct worker *w, const struct tag_change *changes, size_t n);
void worker_announce_all(struct worker *w); /* as if everything had changed */

/* The rest in the worker's thread, from an inbox call too. */

/* Statistics of flows, read by another thread: 'used' in the agent's clock. */
struct worker_stat {
    uint64_t cookie, packets, used;
};
void worker_note_stats(struct worker *w, const struct worker_stat *stats, size_t n, uint64_t now);
/* A flow found installed at start, of an earlier process.  Nothing happens to such flows until
 * worker_start(), when the ports are bound that are to be; then all are simulated again and those
 * that differ replaced. */
int worker_adopt(struct worker *w, const struct dp_flow *flow, uint64_t now);
void worker_start(struct worker *w, uint64_t now);
/* Removes all flows that enter or leave by a port whose number means no port any more, some in each
 * turn; then calls 'done'.  The structure is the caller's and stays until then. */
struct worker_removal {
    topo_ref port;
    uint32_t port_no;
    void (*done)(struct worker *w, struct worker_removal *r);
    uint32_t at; /* the worker's, as the rest */
    struct worker_removal *prev, *next;
};
void worker_remove_port(struct worker *w, struct worker_removal *r);

const struct flowtable *worker_flows(const struct worker *w);
const struct drops *worker_drops(const struct worker *w);
const struct worker_counters *worker_counters(const struct worker *w);

struct worker_memory {
    size_t flows, drops, parked, asking, batch;
};
void worker_memory(const struct worker *w, struct worker_memory *out);
uint32_t worker_n_parked(const struct worker *w);
uint32_t worker_n_asking(const struct worker *w);

#endif
