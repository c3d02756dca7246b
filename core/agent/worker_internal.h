/* What the files of the worker share; not for others. */
#ifndef MN_AGENT_WORKER_INTERNAL_H
#define MN_AGENT_WORKER_INTERNAL_H

#include "agent/translate.h"
#include "agent/worker.h"
#include "topology/dst_tags.h"

#define WORKER_UPCALLS 64
#define WORKER_TRACES  64  /* trace requests counted at once */
#define WORKER_NEWS    256 /* tags of new records, told together */

/* The outcome of a simulated packet, for others like it in the same batch. */
struct outcome {
    struct flow_key key, mask;
    struct flow_out *outs;
    uint16_t n_outs;
    uint8_t ttl_dec;
    bool drop;
    struct drop_cause cause;
    uint64_t hash; /* of the fields that a datapath can match */
};

struct traced {
    struct uuid request;
    uint64_t n;
};

struct worker {
    struct worker_host *host;
    struct worker_options opts;
    struct inbox inbox;
    struct tag_change *spare; /* what was taken out of it */
    size_t spare_room, n_heard, heard_at;
    tag_t *todo; /* of a change of a route, untrue too */
    size_t todo_room, n_todo, todo_at;
    struct inbox_call *calls;
    struct worker_removal *removals;
    struct flowtable *ft;
    struct dst_tags *dsts;
    struct drops *drops;
    struct parked *parked;
    struct asking *asking;
    struct flow_batch batch;
    struct worker_counters counters;
    enum { WORKER_HOLDS, WORKER_LEARNS_AGAIN, WORKER_WORKS } stage;
    uint32_t learn_at; /* next flow to learn from */
    uint64_t learn_next_ns;
    bool learn_lacks;        /* some flow of this round lacked an object */
    uint64_t learn_until_ns; /* then it begins without */
    uint64_t now, next_look_ns;
    unsigned to_look; /* flows of the look that is under way; 0: none is */
    uint64_t advertise_ns, advertised_ns, advertise_start_ns; /* worker_advertise.c */
    unsigned n_news;
    bool told_peers; /* not yet sent */
    struct traced traced[WORKER_TRACES];
    unsigned next_traced;
    struct tag_change news[WORKER_NEWS];
    unsigned n_outcomes;
    struct outcome outcomes[WORKER_UPCALLS];
};

/* Valid until the next quiescent state. */
static inline struct portmap *worker_ports(const struct worker *w)
{
    return __atomic_load_n(w->host->ports, __ATOMIC_ACQUIRE);
}

static inline uint16_t worker_mtu(const struct worker *w)
{
    return __atomic_load_n(&w->host->overlay_mtu, __ATOMIC_RELAXED);
}

/* What a simulation means for the datapath. */
struct judgement {
    struct translation t;
    bool install; /* as a flow */
    bool drop;    /* for 'cause' */
    enum ft_class class;
    struct drop_cause cause;
    tag_t *tags; /* in the arena */
    size_t n_tags;
    const struct tag_dst *dsts;
    size_t n_dsts;
};
void worker_judge(struct worker *w, const struct flow_key *key, const struct sim_result *r,
                  struct judgement *j);
/* Records and installs it; returns the number of the drop, 0 none. */
uint32_t worker_install(struct worker *w, const struct flow_key *key, const struct flow_key *mask,
                        const struct judgement *j, bool missed);

/* Sends 'exec' by the translation's outputs, and those that have bytes of their own. */
void worker_send(struct worker *w, const struct dp_exec *exec, const struct translation *t);

/* Simulates one packet and does what comes of it.  'p' is the parked packet it was, or null. */
void worker_packet(struct worker *w, const struct dp_upcall *up, const struct parked_packet *p);
/* A parked packet that had to go for another. */
void worker_give_up(struct worker *w, const struct parked_packet *p);
/* Simulates an installed flow again, from its own key. */
void worker_flow(struct worker *w, uint32_t id);
/* Learns again what its packets taught an earlier process; false: an object isn't loaded yet. */
bool worker_flow_teaches(struct worker *w, uint32_t id);

/* Connections (worker_state.c). */

/* Runs the simulator until what it proposes can be committed; 0, or why that failed (its result is
 * worth nothing then).  A SIM_DROP or SIM_NEED commits nothing. */
int worker_simulate(struct worker *w, const struct sim_input *in, struct sim_result *r);
/* The cause of such a failure. */
struct drop_cause worker_refusal(struct worker *w, const struct sim_result *r, int rc);
/* For a flow simulated again: its records are kept as far as its traffic deserves; false when a
 * real packet must come up. */
bool worker_keep_records(struct worker *w, uint32_t id, topo_ref in, const struct sim_result *r);
/* Tells other agents of the records of a packet that came in by 'in'.  What must be loaded to know
 * whom, or 0. */
topo_ref worker_share(struct worker *w, topo_ref in, const struct sim_result *r);
/* Records that a decision about a new connection is to leave.  'made' is records_made before it. */
void worker_log(struct worker *w, const struct sim_result *r, uint64_t made);
/* Shows the packet to those whose trace requests it met; false when nobody wants more of them. */
bool worker_trace(struct worker *w, const struct sim_input *in, const struct sim_result *r);
/* This tag became untrue: flows and waiting packets of this worker. */
void worker_untrue(struct worker *w, tag_t tag);
/* Tells the other workers of new records, then hands the batch to the datapath. */
void worker_flush(struct worker *w);

/* Asks the agent for what is among the needs. */
void worker_need(struct worker *w, const struct sim_result *r);
void worker_send_emit(struct worker *w, const struct sim_emit *e);
void worker_send_emits(struct worker *w, const struct sim_result *r, bool solicits_only);
asking_fn worker_ask_again; /* aux: the worker */
void worker_advertise(struct worker *w);
uint64_t worker_advertise_next(const struct worker *w); /* UINT64_MAX: never */

enum worker_learning {
    WORKER_LEARN,   /* all of it: a real packet */
    WORKER_REFRESH, /* keeps MACs known that are; false when there was something else */
    WORKER_RELEARN, /* MACs that nobody knows: an adopted flow */
};
bool worker_learn(struct worker *w, const struct sim_result *r, enum worker_learning how);

#endif
