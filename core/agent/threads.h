/* Threads for an agent: one for the topology, one for each worker, one for
 * the files of rule logs.  Control stays with the caller,
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
/* Barrier: a ticket is served when every thread has begun a turn after it was drawn and found
 * nothing to do at once (topology: nothing learned left to share either).  The control inbox is
 * woken when that may have become true.  Control. */
uint64_t agent_threads_ticket(struct agent_threads *t);
bool agent_threads_served(const struct agent_threads *t, uint64_t ticket);
/* Ends and joins them.  Null is fine. */
void agent_threads_stop(struct agent_threads *t);

#endif
