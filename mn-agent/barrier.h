/* Waiting until the agent has come to rest: everything committed before has been read and applied,
 * no packet is under way (parked ones stay parked).
 *
 * Work travels from thread to thread (a commit is read, a port is bound, that is told to the store,
 * which is read again), so rest is not one quiet moment but several rounds of it in a row.  With
 * time to pass, it passes in small steps with rest in between, so that timers fall due in order.
 * Thread: control. */
#ifndef MN_AGENT_BARRIER_H
#define MN_AGENT_BARRIER_H

#include "server.h"

struct barrier;

struct barrier *barrier_new(const struct server_host *host, uint64_t advance_ns);
void barrier_free(struct barrier *b); /* null is fine */
/* From its first barrier_run() on the control inbox is woken when there is something to do. */
bool barrier_begun(const struct barrier *b);
/* The answer (new reference) when it is over, else null. */
json_t *barrier_run(struct barrier *b, uint64_t now);

#endif
