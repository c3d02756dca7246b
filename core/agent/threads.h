/* Threads for an agent: one for the topology, one for each worker.  Control stays with the caller,
 * who has a loop of its own (libuv in the daemon).
 *
 * A worker that has had upcalls polls a little longer before it sleeps, because what follows a
 * first packet is often another first packet, and waking up costs more than all of our own work.
 * Sleeping threads are offline for RCU. */
#ifndef MN_AGENT_THREADS_H
#define MN_AGENT_THREADS_H

#include "agent/agent.h"

struct agent_threads;

/* spin_ns: how long a worker polls after its last upcall; 0: 50 us. */
int agent_threads_start(struct agent *a, uint64_t spin_ns, struct agent_threads **out,
                        struct error *e);
/* Ends and joins them.  Null is fine. */
void agent_threads_stop(struct agent_threads *t);

#endif
