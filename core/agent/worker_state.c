#include <errno.h>

#include "agent/worker_internal.h"

/* Two packets that took the same port a moment apart choose differently the next time; more often
 * than this, and the table is so full that choosing is luck. */
#define TRIES 8

void worker_untrue(struct worker *w, tag_t tag)
{
    w->counters.invalidated_flows += ft_invalidate(w->ft, tag, w->now);
    parked_wake(w->parked, tag);
}

static void tell_others(struct worker *w)
{
    if (w->n_news)
        w->host->tell_others(w->host, w->opts.queue, w->news, w->n_news);
    w->n_news = 0;
}

void worker_flush(struct worker *w)
{
    tell_others(w);
    if (w->told_peers)
        exchange_flush(w->host->exchange, w->now);
    w->told_peers = false;
    flow_batch_flush(&w->batch);
}

static void made(struct worker *w, const struct state_rec *rec)
{
    tag_t tags[2];
    unsigned n = state_tags(rec, tags);

    w->counters.records_made++;
    for (unsigned i = 0; i < n; i++)
        worker_untrue(w, tags[i]);
    if (!w->host->tell_others)
        return;
    if (w->n_news + n > WORKER_NEWS)
        tell_others(w);
    for (unsigned i = 0; i < n; i++)
        w->news[w->n_news++] = (struct tag_change){.tag = tags[i]};
}

static struct state_via via_of(topo_ref in, const struct sim_result *r)
{
    return (struct state_via){in, r->n_outs ? r->outs[0].port : 0};
}

static int commit(struct worker *w, topo_ref in, const struct sim_result *r, uint64_t used)
{
    const struct state_via via = via_of(in, r);
    bool is_new[STATE_COMMIT_MAX];

    if (!r->n_states || !w->host->state)
        return 0;
    int rc =
        state_commit_via(w->host->state, r->states, r->n_states, &via, used, STATE_LOCAL, is_new);
    for (uint32_t i = 0; !rc && i < r->n_states; i++)
        if (is_new[i])
            made(w, &r->states[i]);
    if (!rc && w->host->remember)
        w->host->remember(w->host, r->states, r->n_states, &via, used, w->now);
    return rc;
}

topo_ref worker_share(struct worker *w, topo_ref in, const struct sim_result *r)
{
    const struct state_via via = via_of(in, r);
    topo_ref hosts[EXCHANGE_PEERS], lacking;

    if (!w->host->exchange || !r->n_states)
        return 0;
    unsigned n =
        exchange_peers(w->host->topo, w->host->local_host, in, r->outs, r->n_outs, hosts, &lacking);
    exchange_tell(w->host->exchange, hosts, n, r->states, r->n_states, &via, w->now);
    w->told_peers = true;
    return lacking;
}

/* Who shall be told isn't known yet: nothing is committed before, or the packets behind this one
 * would leave with nobody told. */
static bool peers_unknown(struct worker *w, const struct sim_input *in, struct sim_result *r)
{
    topo_ref hosts[EXCHANGE_PEERS], lacking;

    if (!w->host->exchange || !r->n_states || in->n_given_up)
        return false;
    exchange_peers(w->host->topo, w->host->local_host, in->port, r->outs, r->n_outs, hosts,
                   &lacking);
    if (!lacking)
        return false;
    struct sim_need *need = arena_alloc(&w->batch.arena, sizeof *need);
    *need = (struct sim_need){.kind = SIM_NEED_OBJECT, .ref = lacking};
    *r = (struct sim_result){.verdict = SIM_NEED, .needs = need, .n_needs = 1};
    return true;
}

int worker_simulate(struct worker *w, const struct sim_input *in, struct sim_result *r)
{
    int rc = 0;

    for (unsigned tries = 0; tries < TRIES; tries++) {
        sim_run(in, &w->batch.arena, r);
        w->counters.simulated++;
        if (r->verdict == SIM_NEED || r->verdict == SIM_DROP || peers_unknown(w, in, r))
            return 0;
        rc = commit(w, in->port, r, w->now);
        if (rc != -EEXIST)
            break;
        w->counters.state_conflicts++;
    }
    w->counters.state_refused += rc != 0;
    return rc;
}

/* Packets of a known connection come up too (no flow can be made of them, or theirs has gone): it
 * was decided about before. */
void worker_log(struct worker *w, const struct sim_result *r, uint64_t before)
{
    if (!w->host->log || (r->n_states && w->counters.records_made == before))
        return;
    for (uint32_t i = 0; i < r->n_logs; i++)
        w->host->log(w->host, w->opts.queue, &r->logs[i], w->now);
}

struct drop_cause worker_refusal(struct worker *w, const struct sim_result *r, int rc)
{
    topo_ref device = r->states[0].device;
    enum sim_reason reason = rc == -EEXIST   ? SIM_STATE_CONFLICT
                             : rc == -ENOSPC ? SIM_STATE_FULL
                                             : SIM_NO_MEMORY;

    return (struct drop_cause){.reason = (uint16_t)reason,
                               .kind = (uint8_t)topo_kind_of(w->host->topo, device),
                               .object = *topo_id(w->host->topo, device)};
}

/* All records are there; none is kept alive by asking. */
static bool all_there(struct worker *w, const struct sim_result *r)
{
    for (uint32_t i = 0; i < r->n_states; i++)
        if (!state_touch(w->host->state, &r->states[i], 0))
            return false;
    return true;
}

/* A record dies when no packet has used it for a while, not when nobody has looked at its flow:
 * what is kept is kept from the time of the last packet. */
bool worker_keep_records(struct worker *w, uint32_t id, topo_ref in, const struct sim_result *r)
{
    struct ft_info info;

    if (!r->n_states || !w->host->state || r->verdict == SIM_DROP)
        return true;
    ft_info(w->ft, id, w->now, &info);
    if (!info.used_since)
        return all_there(w, r);
    if (commit(w, in, r, w->now - MIN(info.used_ns, w->now)))
        return false;
    topo_ref lacking = worker_share(w, in, r);
    if (lacking)
        w->host->need(w->host, lacking); /* the next time */
    return true;
}
