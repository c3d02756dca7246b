/* Scenario files: docs/scenarios.md is the language.
 *
 * A run is a straight walk over the statements; the first that doesn't hold ends it with an error
 * that names file and line.  Thread: one run per thread. */
#ifndef MN_CLI_SCENARIO_H
#define MN_CLI_SCENARIO_H

#include "base/error.h"
#include "cli/cli.h"
#include "lab.h"
#include "packet/text.h"
#include "vm.h"

#define SCENARIO_WORDS 128
#define SCENARIO_VARS  64
#define SCENARIO_FRAME 9216
#define SCENARIO_QUEUE 64
#define SCENARIO_ASKED 64

struct scenario_frame {
    unsigned port; /* index in ports[] */
    size_t size;
    uint8_t *data;
    bool asked_again; /* need not be expected */
};

struct scenario {
    const char *file;
    unsigned line;
    const char *datapath;
    bool verbose;
    struct lab *lab;
    struct cli cli;
    unsigned n_hosts, n_ports, n_ifaces, n_vars, n_queue, n_statements;
    struct scenario_host {
        char name[32];
        struct uuid id;
        bool stopped;
    } hosts[LAB_HOSTS];
    struct scenario_port {
        char name[32];
        unsigned iface, host;
        bool down; /* no interface, or no carrier */
        struct vm vm;
    } ports[LAB_IFACES];
    struct {
        char *name, *value;
    } vars[SCENARIO_VARS];
    /* frames that came out and nobody has claimed yet */
    struct scenario_frame queue[SCENARIO_QUEUE];
    uint64_t asked[SCENARIO_ASKED]; /* hashes of questions of agents, the latest */
    unsigned n_asked;
    /* what was sent last */
    uint8_t sent[SCENARIO_FRAME];
    size_t sent_size;
    unsigned sent_port;
    uint64_t upcalls_before;
    uint16_t ping_id;
    bool unwanted;     /* what is awaited shall not come */
    char skipped[160]; /* why the file doesn't run on this datapath */
};

/* Runs 'path' on 'datapath'.  0 passed; 1 skipped (s->skipped says why); negative: 'e'. */
int scenario_run(struct scenario *s, const char *path, const char *datapath, bool verbose,
                 struct error *e);

/* scenario_hosts.c: statements about hosts and what is plugged there.  All take the words behind
 * the verb. */
int scenario_host(struct scenario *s, const char *const *w, size_t n, struct error *e);
int scenario_bind(struct scenario *s, const char *const *w, size_t n, struct error *e);
int scenario_rebind(struct scenario *s, const char *const *w, size_t n, struct error *e);
int scenario_unplug(struct scenario *s, const char *const *w, size_t n, struct error *e);
int scenario_link(struct scenario *s, const char *const *w, size_t n, struct error *e);
int scenario_clock(struct scenario *s, const char *const *w, size_t n, struct error *e);
int scenario_stop(struct scenario *s, const char *const *w, size_t n, struct error *e);
int scenario_start(struct scenario *s, const char *const *w, size_t n, struct error *e);
int scenario_restart(struct scenario *s, const char *const *w, size_t n, struct error *e);
int scenario_flows(struct scenario *s, const char *const *w, size_t n, struct error *e);

/* scenario_packets.c: statements about packets. */
int scenario_send(struct scenario *s, const char *const *w, size_t n, struct error *e);
int scenario_sendraw(struct scenario *s, const char *const *w, size_t n, struct error *e);
int scenario_again(struct scenario *s, const char *const *w, size_t n, struct error *e);
int scenario_expect(struct scenario *s, const char *const *w, size_t n, struct error *e);
int scenario_nothing(struct scenario *s, const char *const *w, size_t n, struct error *e);
int scenario_drop(struct scenario *s, const char *const *w, size_t n, struct error *e);
int scenario_ping(struct scenario *s, const char *const *w, size_t n, struct error *e);
int scenario_fast(struct scenario *s, const char *const *w, size_t n, struct error *e);
int scenario_slow(struct scenario *s, const char *const *w, size_t n, struct error *e);
void scenario_flush(struct scenario *s); /* drops unclaimed frames */
/* One mn-cli command, its words up to a null; must succeed. */
int scenario_cli(struct scenario *s, struct error *e, ...);
/* From here on $name stands for 'value'. */
int scenario_let(struct scenario *s, const char *name, const char *value, struct error *e);
/* A decimal number from 'min' to 'max', and nothing else. */
bool scenario_number(const char *text, long min, long max, long *out);
bool scenario_datapath(const char *name); /* is it one? */
int scenario_find_port(struct scenario *s, const char *name, struct error *e);

#endif
