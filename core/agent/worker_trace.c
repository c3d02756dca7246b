/* Trace requests: packets of a kind that somebody wants to see go through the simulator once more,
 * with the trail, and come up every time until as many as asked for were seen. */
#include "agent/worker_internal.h"

/* How many of a request this worker has traced; the oldest request is forgotten for a new one. */
static uint64_t *count_of(struct worker *w, const struct uuid *request)
{
    for (unsigned i = 0; i < WORKER_TRACES; i++)
        if (uuid_equal(&w->traced[i].request, request))
            return &w->traced[i].n;
    struct traced *t = &w->traced[w->next_traced++ % WORKER_TRACES];
    *t = (struct traced){.request = *request};
    return &t->n;
}

bool worker_trace(struct worker *w, const struct sim_input *in, const struct sim_result *r)
{
    struct sim_input again = *in;
    struct sim_result trail;
    bool wanted = false;

    for (uint32_t i = 0; w->host->trace && i < r->n_traces; i++) {
        uint64_t *n = count_of(w, &r->traces[i].request);
        if (r->traces[i].limit && *n >= r->traces[i].limit)
            continue;
        ++*n;
        if (!wanted) {
            again.want_trail = true;
            sim_run(&again, &w->batch.arena, &trail);
            w->counters.traced++;
        }
        wanted = true;
        w->host->trace(w->host, &r->traces[i].request, *n, &trail);
    }
    return wanted;
}
