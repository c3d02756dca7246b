/* Drops: what a worker let fall, why, and because of which object.
 *
 * A count for every (reason, object), and for every port and that, with what fell in the last
 * minute; the last packets dropped by the worker itself with their headers.  A drop flow refers to
 * its count by number, so that packets the datapath drops are added when its statistics come in.
 * When all numbers are taken the one longest without a drop and without a flow makes room; its
 * packets stay in the total of the reason.  The counts of ports make room likewise. Thread: one
 * owner. */
#ifndef MN_AGENT_DROPS_H
#define MN_AGENT_DROPS_H

#include "packet/flow.h"
#include "sim/sim.h"

#define DROPS_MAX    4096
#define DROPS_RECENT 256
#define DROPS_PORTS  1024 /* counts of ports */

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

/* Of packets that came in by a port. */
struct drop_at_port {
    uint32_t port_no; /* 0: unused */
    struct drop_cause cause;
    uint64_t packets, last_ns;
    uint64_t epoch;     /* of recent[epoch % 7]: ten seconds */
    uint32_t recent[7]; /* packets in it and those before */
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
/* port_no: where they came in; 0 unknown. */
void drops_count(struct drops *d, uint32_t number, uint32_t port_no, uint64_t packets,
                 uint64_t now);
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
/* The i-th count of a port, i < DROPS_PORTS; null where there is none. */
const struct drop_at_port *drops_at_port(const struct drops *d, uint32_t i);
uint64_t drops_last_minute(const struct drop_at_port *p, uint64_t now);
/* The number will be another port's. */
void drops_forget_port(struct drops *d, uint32_t port_no);
size_t drops_memory(const struct drops *d);

#endif
