#include "barrier.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/clock.h"

#define ROUNDS      5
#define STEP_NS     (250 * NSEC_PER_MSEC)
#define PATIENCE_NS (20 * NSEC_PER_SEC) /* of real time, with one round */

struct barrier {
    struct server_host host;
    uint64_t until_ns, ticket, deadline_ns; /* until: the agent's time */
    unsigned rounds;                        /* left */
};

struct barrier *barrier_new(const struct server_host *host, uint64_t advance_ns)
{
    struct barrier *b = NEW(struct barrier);

    b->host = *host;
    b->until_ns = advance_ns ? agent_now(host->agent) + advance_ns : 0;
    b->rounds = ROUNDS;
    b->deadline_ns = clock_ns() + PATIENCE_NS;
    return b;
}

void barrier_free(struct barrier *b)
{
    free(b);
}

bool barrier_begun(const struct barrier *b)
{
    return b->ticket;
}

json_t *barrier_run(struct barrier *b, uint64_t now)
{
    if (b->ticket && !agent_threads_served(b->host.threads, b->ticket))
        return clock_ns() > b->deadline_ns ? json_pack("{s:b}", "settled", 0) : NULL;
    if (b->ticket) {
        b->rounds--;
        b->deadline_ns = clock_ns() + PATIENCE_NS;
    }
    if (!b->rounds) {
        if (b->until_ns <= now)
            return json_pack("{s:b}", "settled", 1);
        uint64_t step = b->until_ns - now < STEP_NS ? b->until_ns - now : STEP_NS;
        agent_advance(b->host.agent, now, step);
        b->rounds = now + step < b->until_ns ? 2 : ROUNDS;
    }
    b->ticket = agent_threads_ticket(b->host.threads);
    return NULL;
}
