#include "agent/batch.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"

/* First block: what a full batch of routed packets takes; a flood may need more for once. */
#define ARENA_SIZE (512 * 1024)

void flow_batch_init(struct flow_batch *b, struct dp *dp, unsigned queue, struct flowtable *ft,
                     struct drops *drops, struct worker_counters *counters)
{
    b->dp = dp;
    b->queue = queue;
    b->ft = ft;
    b->drops = drops;
    b->counters = counters;
    b->n_puts = b->n_dels = b->n_execs = 0;
    b->execs_room = 128;
    b->execs = NEW_ARRAY(b->execs_room, struct dp_exec);
    arena_init(&b->arena, ARENA_SIZE);
}

void flow_batch_free(struct flow_batch *b)
{
    arena_free(&b->arena);
    free(b->execs);
}

static void remove_all(struct flow_batch *b)
{
    struct dp_flow_stats stats[BATCH_FLOWS];

    memset(stats, 0, b->n_dels * sizeof *stats);
    dp_flow_del(b->dp, b->queue, b->dels, b->n_dels, stats);
    for (size_t i = 0; i < b->n_dels; i++) {
        uint32_t drop = b->del_drops[i].drop, n = (uint32_t)stats[i].packets;
        if (drop && (int32_t)(n - b->del_drops[i].packets) > 0)
            drops_count(b->drops, drop, b->dels[i].key.in_port, n - b->del_drops[i].packets,
                        b->now);
        drops_release(b->drops, drop);
    }
    b->counters->flows_removed += b->n_dels;
    b->n_dels = 0;
}

static void flush_dels(struct flow_batch *b)
{
    if (b->n_dels) /* seldom: spare the stack */
        remove_all(b);
}

/* The datapath's table is fuller than ours knows: make room there for the next ones. */
static void relieve(struct flow_batch *b)
{
    uint32_t id;

    for (unsigned i = 0; i < 32 && b->n_dels < BATCH_FLOWS && (id = ft_victim(b->ft)); i++) {
        flow_batch_remove(b, id);
        b->counters->flows_evicted++;
    }
}

/* Also takes away what it should have replaced. */
static void refused(struct flow_batch *b, uint32_t id, int rc)
{
    flow_batch_remove(b, id);
    if (rc == -ENOTSUP) {
        b->counters->flows_unsupported++;
        return;
    }
    b->counters->flows_refused++;
    log_limited(LOG_LVL_WARN, "agent", "datapath refused a flow code=%d", rc);
}

static void install_all(struct flow_batch *b)
{
    int rcs[BATCH_FLOWS];
    size_t n = 0;
    bool full = false;

    for (size_t i = 0; i < b->n_puts; i++) {
        if (!b->put_ids[i])
            continue;
        b->put_ids[n] = b->put_ids[i];
        b->puts[n++] = b->puts[i];
    }
    b->n_puts = 0;
    memset(rcs, 0, n * sizeof *rcs);
    if (!n || !dp_flow_put(b->dp, b->queue, b->puts, n, rcs))
        return;
    for (size_t i = 0; i < n; i++) {
        if (rcs[i])
            refused(b, b->put_ids[i], rcs[i]);
        full |= rcs[i] == -ENOSPC;
    }
    if (full)
        relieve(b);
    flush_dels(b);
}

static void flush_puts(struct flow_batch *b)
{
    if (b->n_puts)
        install_all(b);
}

void flow_batch_flush_flows(struct flow_batch *b)
{
    flush_dels(b);
    flush_puts(b);
}

void flow_batch_flush(struct flow_batch *b)
{
    flush_dels(b);
    if (b->n_execs)
        dp_execute(b->dp, b->queue, b->execs, b->n_execs);
    b->counters->packets_sent += b->n_execs;
    b->n_execs = 0;
    flush_puts(b);
    arena_reset(&b->arena);
}

static bool take_back(struct flow_batch *b, uint32_t id)
{
    for (size_t i = 0; i < b->n_puts; i++) {
        if (b->put_ids[i] == id) {
            b->put_ids[i] = 0;
            return true;
        }
    }
    return false;
}

void flow_batch_remove(struct flow_batch *b, uint32_t id)
{
    struct ft_info info;

    if (b->n_dels == BATCH_FLOWS)
        flush_dels(b);
    take_back(b, id);
    ft_info(b->ft, id, b->now, &info);
    b->del_drops[b->n_dels].drop = info.drop;
    b->del_drops[b->n_dels].packets = info.packets;
    b->dels[b->n_dels++] = (struct dp_flow){.key = info.key, .mask = info.mask};
    ft_remove(b->ft, id);
}

void flow_batch_install(struct flow_batch *b, const struct ft_flow *f, const struct flow_out *outs,
                        uint16_t n_outs)
{
    struct ft_done done;
    int result;

    if (b->n_puts == BATCH_FLOWS)
        flow_batch_flush_flows(b);
    while ((result = ft_put(b->ft, f, b->now, &done)) == -ENOSPC) {
        uint32_t victim = ft_victim(b->ft);
        if (!victim)
            return; /* can't be recorded at all: it stays with the agent, packet by packet */
        flow_batch_remove(b, victim);
        b->counters->flows_evicted++;
    }
    drops_hold(b->drops, f->drop);
    drops_release(b->drops, done.old_drop);
    if (result == FT_SAME) {
        b->counters->flows_kept++;
        return;
    }
    if (result == FT_NEW)
        b->counters->flows_installed++;
    else
        b->counters->flows_replaced++;
    take_back(b, done.id); /* replaced before it was ever installed */
    struct dp_flow *put = &b->puts[b->n_puts];
    b->put_ids[b->n_puts++] = done.id;
    *put = (struct dp_flow){.cookie = done.cookie, .outs = outs, .n_outs = n_outs};
    ft_key(b->ft, done.id, &put->key, &put->mask);
}

void flow_batch_send(struct flow_batch *b, const struct dp_exec *exec)
{
    if (b->n_execs == b->execs_room) {
        b->execs_room *= 2;
        b->execs = mem_resize(b->execs, b->execs_room * sizeof *b->execs);
    }
    b->execs[b->n_execs++] = *exec;
}
