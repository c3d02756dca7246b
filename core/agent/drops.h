/* Drops: what a worker let fall, why, and because of which object.
 *
 * A count for every (reason, object); the last packets dropped by the worker itself with their
 * headers.  A drop flow refers to its count by number, so that packets the datapath drops are added
 * when its statistics come in.  When all numbers are taken the one longest without a drop and
 * without a flow makes room; its packets stay in the total of the reason.
 * Thread: one owner. */
#ifndef MN_AGENT_DROPS_H
#define MN_AGENT_DROPS_H

#include "packet/flow.h"
#include "sim/sim.h"

#define DROPS_MAX    4096
#define DROPS_RECENT 256

struct drop_cause {
    uint16_t reason; /* enum sim_reason */
    uint8_t kind;    /* enum topo_kind of 'object' */
    struct uuid object;
};

struct drop_count {
    struct drop_cause cause;
    uint32_t n_flows;
    uint64_t packets;
    uint64_t last_ns;
};

struct drop_event {
    struct drop_cause cause;
    topo_ref port; /* where it came in */
    uint64_t time_ns;
    struct flow_key key;
};

struct drops;

struct drops *drops_new(void);
void drops_free(struct drops *d);

/* The number (not 0) under which drops for this cause are counted. */
uint32_t drops_number(struct drops *d, const struct drop_cause *cause);
void drops_count(struct drops *d, uint32_t number, uint64_t packets, uint64_t now);
void drops_event(struct drops *d, const struct drop_cause *cause, topo_ref port,
                 const struct flow_key *key, uint64_t now);
/* A flow refers to the number, or no longer does.  0 is ignored. */
void drops_hold(struct drops *d, uint32_t number);
void drops_release(struct drops *d, uint32_t number);

/* By number 1..; null behind the last. */
const struct drop_count *drops_at(const struct drops *d, uint32_t number);
uint64_t drops_total(const struct drops *d, enum sim_reason reason);
/* The i-th last event (0: the newest), or null. */
const struct drop_event *drops_recent(const struct drops *d, uint32_t i);
uint64_t drops_n_events(const struct drops *d); /* ever */
size_t drops_memory(const struct drops *d);

#endif
