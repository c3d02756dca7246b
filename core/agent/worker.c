#include "agent/worker.h"

#include <stdlib.h>
#include <utlist.h>

#include "agent/worker_internal.h"
#include "base/clock.h"

#define READY_MAX      32 /* parked packets run again in a turn */
#define DUE_MAX        64 /* flows simulated again in a turn */
#define LOOK_NS        (100 * NSEC_PER_MSEC)
#define LEARN_NS       (10 * NSEC_PER_MSEC) /* between two rounds of learning from adopted flows */
#define LOOK_MAX       64                   /* flows expired in a turn */
#define LOOK_SOME      1024                 /* ... looked at */
#define CHANGES_MAX    1024                 /* tags announced, heard in a turn */
#define CALLS_MAX      4                    /* a page of statistics is one */
#define INVALIDATE_MAX 2048  /* flows made due in a turn, beyond the first of each tag */
#define REMOVE_MAX     256   /* flows of ports that go, removed in a turn: more than it makes */
#define DSTS_MAX       16384 /* a sweep of so many takes some 5 ms, in one turn */

static bool tag_used(tag_t tag, void *aux)
{
    return ft_has_tag(((struct worker *)aux)->ft, tag);
}

int worker_new(struct worker_host *host, const struct worker_options *opts, struct worker **out)
{
    struct worker *w = NEW(struct worker);
    int rc = inbox_init(&w->inbox);

    if (rc) {
        free(w);
        return rc;
    }
    w->host = host;
    w->opts = *opts;
    if (!w->opts.park_ns)
        w->opts.park_ns = 5 * NSEC_PER_SEC;
    w->ft = ft_new(&opts->flows);
    w->dsts = dst_tags_new(DSTS_MAX, tag_used, w);
    w->stage = WORKER_WORKS;
    w->drops = drops_new();
    w->parked = parked_new();
    w->asking = asking_new(&opts->asking);
    flow_batch_init(&w->batch, host->dp, opts->queue, w->ft, w->drops, &w->counters);
    *out = w;
    return 0;
}

static void hear_calls(struct worker *w)
{
    for (unsigned n = 0; n < CALLS_MAX && w->calls; n++) {
        struct inbox_call *call = w->calls;
        w->calls = call->next; /* the poster may free it in its function */
        call->fn(w, call->aux);
    }
}

void worker_free(struct worker *w)
{
    if (!w)
        return;
    while (w->calls) /* their posters' memory */
        hear_calls(w);
    flow_batch_free(&w->batch);
    asking_free(w->asking);
    parked_free(w->parked);
    drops_free(w->drops);
    dst_tags_free(w->dsts);
    ft_free(w->ft);
    inbox_free(&w->inbox);
    free(w->spare);
    free(w->todo);
    free(w);
}

static size_t take_upcalls(struct worker *w)
{
    struct dp_upcall ups[WORKER_UPCALLS];
    int n = dp_recv(w->host->dp, w->opts.queue, ups, WORKER_UPCALLS);

    if (n <= 0)
        return 0;
    w->counters.upcalls += (unsigned)n;
    if (w->host->exchange)
        exchange_hear(w->host->exchange, w->now);
    w->n_outcomes = 0;
    for (int i = 0; i < n; i++)
        worker_packet(w, &ups[i], NULL);
    worker_flush(w);
    return (size_t)n;
}

static void later(tag_t tag, void *aux)
{
    struct worker *w = aux;

    if (w->n_todo == w->todo_room) {
        w->todo_room = MAX((size_t)64, 2 * w->todo_room);
        w->todo = mem_resize(w->todo, w->todo_room * sizeof *w->todo);
    }
    w->todo[w->n_todo++] = tag;
}

/* A turn's share of what the inbox brought: no packet waits for all of it.  A route's change may
 * stand for as many tags as there are destinations. */
static void hear_changes(struct worker *w)
{
    for (unsigned n = 0; n < CHANGES_MAX; n++) {
        if (w->todo_at < w->n_todo) {
            worker_untrue(w, w->todo[w->todo_at++]);
            continue;
        }
        w->n_todo = w->todo_at = 0;
        if (w->heard_at == w->n_heard)
            return;
        const struct tag_change *c = &w->spare[w->heard_at++];
        if (c->tag)
            worker_untrue(w, c->tag);
        else
            dst_tags_changed(w->dsts, c->router, &c->prefix, later, w);
    }
}

static bool heard_all(const struct worker *w)
{
    return w->heard_at == w->n_heard && w->todo_at == w->n_todo;
}

static void hear(struct worker *w)
{
    bool all = false;

    if (heard_all(w) && !w->calls && inbox_any(&w->inbox)) {
        w->heard_at = 0;
        w->n_heard = inbox_take(&w->inbox, &w->spare, &w->spare_room, &all, &w->calls);
        w->counters.invalidations += w->n_heard + all;
    }
    if (all) {
        w->heard_at = w->n_heard;
        w->n_todo = w->todo_at = 0;
        w->counters.invalidated_flows += ft_n_flows(w->ft);
        ft_invalidate_all(w->ft, w->now);
        parked_wake_all(w->parked);
    }
    hear_changes(w);
    if (heard_all(w)) /* what was posted before them comes first */
        hear_calls(w);
    if (ft_invalidating(w->ft))
        w->counters.invalidated_flows += ft_invalidate_more(w->ft, INVALIDATE_MAX, w->now);
}

static bool hears(const struct worker *w)
{
    return !heard_all(w) || w->calls || inbox_any(&w->inbox) || ft_invalidating(w->ft);
}

/* The next flow that enters or leaves by the port; adopted ones have no tags yet. */
static uint32_t flow_of(struct worker *w, struct worker_removal *r, unsigned *looks)
{
    uint32_t id = ft_tagged(w->ft, tag_object(r->port));
    struct flow_key key, mask;

    if (id || w->stage == WORKER_WORKS)
        return id;
    for (; *looks && (id = ft_next(w->ft, r->at)); --*looks) {
        r->at = id;
        ft_key(w->ft, id, &key, &mask);
        if (key.in_port == r->port_no)
            return id;
    }
    return 0;
}

static void remove_ports(struct worker *w)
{
    struct worker_removal *r = w->removals;
    unsigned looks = LOOK_SOME, n = 0;
    uint32_t id;

    if (!r)
        return;
    while (n < REMOVE_MAX && (id = flow_of(w, r, &looks))) {
        flow_batch_remove(&w->batch, id);
        n++;
    }
    worker_flush(w);
    if (n == REMOVE_MAX || !looks)
        return;
    drops_forget_port(w->drops, r->port_no);
    DL_DELETE(w->removals, r);
    r->done(w, r); /* may free it */
}

static void run_parked(struct worker *w)
{
    struct parked_packet *done[READY_MAX];
    unsigned n = 0;

    parked_expire(w->parked, w->now);
    w->n_outcomes = 0;
    while (n < READY_MAX && (done[n] = parked_ready(w->parked))) {
        worker_packet(w, &done[n]->up, done[n]);
        n++;
    }
    if (n)
        worker_flush(w);
    while (n)
        parked_done(w->parked, done[--n]);
}

/* Before adopted flows are judged, all of them tell where their senders are: else the first ones
 * would be judged in a network where nobody is known, and flooded. */
static void learn_again(struct worker *w)
{
    if (w->now < w->learn_next_ns)
        return;
    for (unsigned n = 0; n < DUE_MAX; n++) {
        w->learn_at = ft_next(w->ft, w->learn_at);
        if (!w->learn_at) {
            if (!w->learn_lacks || w->now >= w->learn_until_ns) {
                w->stage = WORKER_WORKS;
                ft_invalidate_all(w->ft, w->now);
            }
            w->learn_lacks = false;
            w->learn_next_ns = w->now + LEARN_NS;
            break;
        }
        if (!worker_flow_teaches(w, w->learn_at))
            w->learn_lacks = true;
    }
    worker_flush(w);
}

static void run_due(struct worker *w)
{
    uint32_t id;

    if (w->stage == WORKER_LEARNS_AGAIN)
        learn_again(w);
    if (w->stage != WORKER_WORKS)
        return;
    for (unsigned n = 0; n < DUE_MAX && (id = ft_due(w->ft)); n++)
        worker_flow(w, id);
    worker_flush(w);
}

static void expire_flows(struct worker *w)
{
    uint32_t ids[LOOK_MAX];

    if (w->now < w->next_look_ns || w->stage != WORKER_WORKS)
        return;
    if (!w->to_look)
        w->to_look = 256 + ft_n_flows(w->ft) / 64;
    unsigned some = MIN(w->to_look, (unsigned)LOOK_SOME), left = some;
    size_t n = ft_look(w->ft, w->now, &left, ids, LOOK_MAX);
    for (size_t i = 0; i < n; i++)
        flow_batch_remove(&w->batch, ids[i]);
    w->counters.flows_expired += n;
    w->to_look -= some - left;
    if (n < LOOK_MAX && (left || !w->to_look)) { /* no more is due, or enough was looked at */
        w->to_look = 0;
        w->next_look_ns = w->now + LOOK_NS;
    }
    worker_flush(w);
}

bool worker_run(struct worker *w, uint64_t now)
{
    w->now = w->batch.now = now;
    size_t n = take_upcalls(w);
    hear(w); /* behind the installs of this turn: see the header */
    remove_ports(w);
    run_parked(w);
    run_due(w);
    expire_flows(w);
    worker_advertise(w);
    if (now >= asking_next_ns(w->asking)) {
        asking_run(w->asking, now, worker_ask_again, w);
        worker_flush(w);
    }
    return n == WORKER_UPCALLS || hears(w) || w->removals || parked_any_ready(w->parked) ||
           (w->stage == WORKER_WORKS && ft_due(w->ft)) || worker_next_ns(w) <= now;
}

uint64_t worker_next_ns(const struct worker *w)
{
    uint64_t next = asking_next_ns(w->asking);

    clock_sooner(&next, parked_next_ns(w->parked));
    clock_sooner(&next, worker_advertise_next(w));
    if (w->stage == WORKER_LEARNS_AGAIN)
        next = MIN(next, w->learn_next_ns);
    return w->stage == WORKER_WORKS && ft_n_flows(w->ft) ? MIN(next, w->next_look_ns) : next;
}

struct inbox *worker_inbox(struct worker *w)
{
    return &w->inbox;
}

void worker_announce(struct worker *w, const struct tag_change *changes, size_t n)
{
    inbox_changes(&w->inbox, changes, n);
}

void worker_announce_all(struct worker *w)
{
    inbox_all(&w->inbox);
}

void worker_note_stats(struct worker *w, const struct worker_stat *stats, size_t n, uint64_t now)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t n_new,
            id = ft_note(w->ft, stats[i].cookie, stats[i].packets, stats[i].used, &n_new);
        uint32_t drop = id ? ft_drop(w->ft, id) : 0;
        if (drop && n_new) {
            struct flow_key key, mask;
            ft_key(w->ft, id, &key, &mask);
            drops_count(w->drops, drop, key.in_port, n_new, now);
        }
    }
}

int worker_adopt(struct worker *w, const struct dp_flow *flow, uint64_t now)
{
    struct flow_out *outs = arena_alloc(&w->batch.arena, flow->n_outs * sizeof *outs);

    for (uint16_t i = 0; i < flow->n_outs; i++) {
        outs[i] = flow->outs[i];
        translate_clean(&outs[i]);
    }
    uint32_t hash = translate_hash(outs, flow->n_outs);
    arena_reset(&w->batch.arena);
    w->stage = WORKER_HOLDS;
    return ft_adopt(w->ft, &flow->key, &flow->mask, hash, now);
}

void worker_start(struct worker *w, uint64_t now)
{
    if (w->stage != WORKER_HOLDS)
        return;
    w->stage = WORKER_LEARNS_AGAIN;
    w->learn_until_ns = now + w->opts.park_ns;
}

void worker_remove_port(struct worker *w, struct worker_removal *r)
{
    r->at = 0;
    DL_APPEND(w->removals, r);
}

const struct flowtable *worker_flows(const struct worker *w)
{
    return w->ft;
}

const struct drops *worker_drops(const struct worker *w)
{
    return w->drops;
}

const struct worker_counters *worker_counters(const struct worker *w)
{
    return &w->counters;
}

void worker_memory(const struct worker *w, struct worker_memory *out)
{
    *out = (struct worker_memory){
        .flows = ft_memory(w->ft) + dst_tags_memory(w->dsts),
        .drops = drops_memory(w->drops),
        .parked = parked_memory(w->parked),
        .asking = asking_memory(w->asking),
        .batch = sizeof *w + w->batch.execs_room * sizeof *w->batch.execs +
                 w->spare_room * sizeof *w->spare + w->todo_room * sizeof *w->todo,
    };
}

uint32_t worker_n_parked(const struct worker *w)
{
    return parked_size(w->parked);
}

uint32_t worker_n_asking(const struct worker *w)
{
    return asking_size(w->asking);
}
