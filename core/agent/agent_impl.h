/* What the files of the agent share; not for others. */
#ifndef MN_AGENT_AGENT_IMPL_H
#define MN_AGENT_AGENT_IMPL_H

#include "agent/agent.h"
#include "agent/binding.h"
#include "agent/ifaces.h"
#include "state/ports.h"

struct agent {
    struct agent_options opts;
    struct topo *topo;
    struct sync *sync;
    topo_ref local_host;
    struct state *state;       /* connections */
    struct exchange *exchange; /* null: no mail */
    struct rulelog *rulelog;
    struct ports *leases;  /* topology's */
    struct portmap *ports; /* RCU: written by control, read by workers */
    struct worker_host host;
    unsigned n_workers;
    struct worker **workers;
    struct sync_learner **learners;
    struct inbox control, topology; /* calls only */
    struct inbox log;               /* wakes the writer of rule logs */
    struct inbox mail;              /* wakes who runs the exchange */
    bool threaded;                  /* threads.h runs workers and topology */
    uint64_t opened_ns;

    /* control's */
    struct bindings *bindings;
    struct ifaces *ifaces;
    struct tunnel_local {
        struct ip ip;
        uint8_t type;
    } * locals; /* told to the datapath */
    size_t n_locals;
    uint64_t next_stats_ns, next_locals_ns, next_sweep_ns, next_check_ns;
    bool started;       /* workers have been let loose */
    bool dp_gone;       /* others removed the datapath, and it can't be made again yet */
    struct page *pages; /* atomic: of statistics, that workers have read */

    uint64_t ahead_ns;    /* atomic, control writes: agent's clock minus the datapath's */
    int host_changed;     /* atomic: this host's entry in the topology */
    uint64_t status_ns;   /* topology's */
    uint64_t topology_ns; /* topology's: time of its turn */
    pthread_mutex_t lock; /* guards status */
    struct sync_status status;
};

/* agent_calls.c: runs fn(owner, aux) in the turn of the inbox's thread, which owns aux until then.
 */
void agent_post(struct inbox *in, void (*fn)(void *owner, void *aux), void *aux);
void agent_run_calls(struct inbox *in, void *owner); /* what was posted */
void agent_call_topology(struct agent *a, void (*fn)(void *a, void *aux), void *aux);
void agent_call_control(struct agent *a, void (*fn)(void *a, void *aux), void *aux);
/* Runs fn(worker, aux) between two turns of the worker, and waits until it has; control. */
void agent_ask_worker(struct agent *a, unsigned worker, void (*fn)(void *worker, void *aux),
                      void *aux);

/* agent_pieces.c */
int agent_open_sync(struct agent *a, struct error *e);
int agent_open_workers(struct agent *a);
void agent_announce(struct agent *a, const struct tag_change *changes, size_t n); /* to workers */

/* connections.c */
int agent_open_state(struct agent *a);
void agent_open_leases(struct agent *a);
/* backup.c */
void agent_load_backup(struct agent *a, uint64_t now);
void agent_remember(struct worker_host *h, const struct state_rec *recs, uint32_t n,
                    const struct state_via *via, uint64_t used, uint64_t now);
uint64_t agent_wall_ms(uint64_t now); /* the wall's clock, as far ahead as the agent's is */
/* Leases ports for workers that need some: a turn of the topology thread. */
uint64_t agent_run_leases(struct agent *a, uint64_t now);
void agent_lease(struct worker_host *h, const struct sim_need *need);
/* To all workers but one. */
void agent_tell_others(struct worker_host *h, unsigned queue, const struct tag_change *changes,
                       size_t n);
/* Removes some of the records nobody uses any more; returns when to go on. */
uint64_t agent_sweep_state(struct agent *a, uint64_t now);

/* traces.c */
void agent_trace(struct worker_host *h, const struct uuid *request, uint64_t n,
                 const struct sim_result *r);

/* sharing.c: the exchange of connections with other agents */
int agent_open_exchange(struct agent *a);
/* The port moved here from 'host': bindings_fetched() follows. */
void agent_fetch(struct agent *a, topo_ref port, topo_ref host, uint64_t now);

/* stats.c */
void agent_read_stats(struct agent *a, uint64_t now);
void agent_free_pages(struct agent *a);
int agent_adopt_flows(struct agent *a, uint64_t now);

#endif
