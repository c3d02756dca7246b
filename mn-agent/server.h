/* The control socket: lines in, JSON out; see agent/control.h for the protocol.
 *
 * Bounded: so many clients, so long a line, a listing in pages of which the next is made when the
 * last has been taken.  Requests are gathered while the loop waits and answered in server_run(),
 * where the thread is an RCU reader.  Thread: control. */
#ifndef MN_AGENT_SERVER_H
#define MN_AGENT_SERVER_H

#include <jansson.h>
#include <uv.h>

#include "agent/agent.h"
#include "agent/threads.h"

struct server;

struct server_host {
    struct agent *agent;
    struct agent_threads *threads;
    bool test_clock;
    void (*stop)(void *aux, bool keep);
    void *aux;
};

/* -EBUSY when another agent answers there already. */
int server_open(uv_loop_t *loop, const char *path, const struct server_host *host,
                struct server **out, struct error *e);
/* Its handles close as the loop runs on; the rest is freed then. */
void server_close(struct server *s);
/* In each turn of the loop.  True when something is waiting for the next one. */
bool server_run(struct server *s, uint64_t now);

#endif
