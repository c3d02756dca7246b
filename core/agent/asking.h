/* Neighbours being asked: one request after another until there is an answer or no hope.
 *
 * The simulator offers a request each time it misses a neighbour or finds a stale one; the first is
 * sent, the others wait for the timer here.  Intervals: about 0.6, 1.3 and 2.5 s first, then as in
 * reference behaviour section 5: 10 s, times 0.75 to 1.25, and a tenth more with each try; given up
 * after 60 s.
 * Thread: one owner. */
#ifndef MN_AGENT_ASKING_H
#define MN_AGENT_ASKING_H

#include "topology/topology.h"

#define ASKING_MAX 4096

struct asking_limits {
    uint64_t retry_ns;   /* 0: 10 s */
    uint64_t timeout_ns; /* 0: 60 s */
};

struct asking;

struct asking *asking_new(const struct asking_limits *limits);
void asking_free(struct asking *a);

/* True when the request for 'ip' on router port 'port' shall be sent now. */
bool asking_start(struct asking *a, topo_ref port, const struct ip *ip, uint64_t now);
/* It was answered. */
void asking_stop(struct asking *a, topo_ref port, const struct ip *ip);

/* Calls 'again' for each neighbour whose next request is due; false: it needn't be asked any more.
 * Those past the timeout are forgotten. */
typedef bool asking_fn(topo_ref port, const struct ip *ip, void *aux);
void asking_run(struct asking *a, uint64_t now, asking_fn *again, void *aux);

uint64_t asking_next_ns(const struct asking *a); /* UINT64_MAX: nobody is asked */
uint32_t asking_size(const struct asking *a);
size_t asking_memory(const struct asking *a);

#endif
