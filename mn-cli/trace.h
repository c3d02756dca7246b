/* "mn-cli trace": one described packet through the topology, live or exported, and what became of
 * it.  trace.c runs it, trace_file.c gives it an exported topology, trace_print.c tells it. Thread:
 * one. */
#ifndef MN_CLI_TRACE_H
#define MN_CLI_TRACE_H

#include "cli/cli.h"
#include "sim/sim.h"

struct trace {
    const struct topo *topo;
    topo_ref port;
    uint8_t packet[2048];
    size_t size;
    struct flow_key key;
    uint16_t overlay_mtu;
    struct sim_result result;
};

/* Enters the connections that the agent at this control socket knows; *n of them. */
int trace_live(const char *control, struct topo *topo, struct state *state, size_t *n,
               struct error *e);

/* What the overlay carries from a host, as its agent would find it from the interfaces it reported;
 * 1500 when nothing is known of it.  'host' may be null. */
uint16_t trace_mtu(struct store *store, const struct uuid *id, const struct topo_host *host);

/* Both are the caller's, also after an error. */
int trace_open_file(const char *path, struct store **store, struct objects **db, struct error *e);

/* Text for people, or one JSON document, by the format of 'p'. */
void trace_print(struct print *p, const struct trace *t);

#endif
