#include "agent/rulelog.h"

#include <stdlib.h>
#include <time.h>

#include "agent/rulelog_impl.h"
#include "base/clock.h"

struct rulelog *rulelog_new(const struct rulelog_options *opts, const struct topo *topo,
                            unsigned n_rings)
{
    struct rulelog *l = NEW(struct rulelog);

    l->opts = *opts;
    l->opts.dir = opts->dir ? mem_strdup(opts->dir) : NULL;
    l->opts.max_size = opts->max_size ? opts->max_size : 100000000;
    l->opts.max_files = opts->max_files ? opts->max_files : 14;
    l->opts.rate = opts->rate ? opts->rate : 1000;
    l->topo = topo;
    l->n_rings = n_rings;
    l->rings = NEW_ARRAY(n_rings, struct rulelog_ring);
    return l;
}

void rulelog_free(struct rulelog *l)
{
    if (!l)
        return;
    for (unsigned i = 0; i < l->n_rings; i++) {
        free(l->rings[i].records);
        free(l->rings[i].loggers);
    }
    rulelog_close_files(l);
    free(l->rings);
    free((char *)l->opts.dir);
    free(l);
}

static void count(uint64_t *counter)
{
    __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/* Whose budget a record is on: its logger's, or the rule's own. */
static const struct uuid *owner(const struct sim_log *log)
{
    return uuid_is_zero(&log->logger) ? &log->rule : &log->logger;
}

/* The place of a logger; when others hold all places it might have, one of them goes. */
static struct rulelog_bucket *bucket(struct rulelog_ring *ring, const struct uuid *id)
{
    uint64_t h = hash_bytes(id, sizeof *id, 0);

    for (unsigned i = 0; i < 8; i++) {
        struct rulelog_bucket *b = &ring->loggers[(h + i) % RULELOG_LOGGERS];
        if (uuid_equal(&b->id, id))
            return b;
        if (uuid_is_zero(&b->id) || i == 7) {
            *b = (struct rulelog_bucket){.id = *id};
            return b;
        }
    }
    return NULL;
}

/* Time that is paid for, as everywhere: a second's worth may be saved up. */
static bool may(const struct rulelog *l, struct rulelog_bucket *b, uint64_t now)
{
    uint64_t cost = NSEC_PER_SEC / l->opts.rate;

    b->paid_ns = MAX(b->paid_ns, now > NSEC_PER_SEC ? now - NSEC_PER_SEC : 0);
    if (b->paid_ns + cost > now) {
        b->suppressed++;
        return false;
    }
    b->paid_ns += cost;
    return true;
}

static uint64_t wall_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME_COARSE, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / NSEC_PER_MSEC;
}

bool rulelog_put(struct rulelog *l, unsigned number, const struct sim_log *log, uint64_t now)
{
    struct rulelog_ring *ring = &l->rings[number];
    const struct flow_key *k = log->hdr;

    if (!ring->records) {
        ring->loggers = NEW_ARRAY(RULELOG_LOGGERS, struct rulelog_bucket);
        __atomic_store_n(&ring->records, NEW_ARRAY(RULELOG_RING, struct rulelog_record),
                         __ATOMIC_RELEASE);
    }
    struct rulelog_bucket *b = bucket(ring, owner(log));
    if (!may(l, b, now)) {
        count(&l->counters.suppressed);
        return false;
    }
    uint32_t tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE), n = ring->head - tail;
    if (n == RULELOG_RING) {
        count(&l->counters.lost);
        return false;
    }
    ring->records[ring->head % RULELOG_RING] = (struct rulelog_record){.wall_ms = wall_ms(),
                                                                       .chain = log->chain,
                                                                       .rule = log->rule,
                                                                       .logger = log->logger,
                                                                       .dropped = log->dropped,
                                                                       .in_port = log->in_port,
                                                                       .out_port = log->out_port,
                                                                       .src = k->ip_src,
                                                                       .dst = k->ip_dst,
                                                                       .eth_type = k->eth_type,
                                                                       .proto = k->ip_proto,
                                                                       .sport = k->tp_src,
                                                                       .dport = k->tp_dst,
                                                                       .suppressed = b->suppressed};
    b->suppressed = 0;
    __atomic_store_n(&ring->head, ring->head + 1, __ATOMIC_RELEASE);
    return !n;
}

uint32_t rulelog_run(struct rulelog *l)
{
    uint32_t written = 0;

    for (unsigned i = 0; i < l->n_rings; i++) {
        struct rulelog_ring *ring = &l->rings[i];
        struct rulelog_record *records = __atomic_load_n(&ring->records, __ATOMIC_ACQUIRE);
        uint32_t head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE), tail = ring->tail;
        for (; tail != head; tail++, written++)
            rulelog_write(l, &records[tail % RULELOG_RING]);
        __atomic_store_n(&ring->tail, tail, __ATOMIC_RELEASE);
    }
    if (written)
        rulelog_flush_files(l);
    return written;
}

void rulelog_counters(const struct rulelog *l, struct rulelog_counters *out)
{
    out->written = __atomic_load_n(&l->counters.written, __ATOMIC_RELAXED);
    out->suppressed = __atomic_load_n(&l->counters.suppressed, __ATOMIC_RELAXED);
    out->lost = __atomic_load_n(&l->counters.lost, __ATOMIC_RELAXED);
    out->failed = __atomic_load_n(&l->counters.failed, __ATOMIC_RELAXED);
}

size_t rulelog_memory(const struct rulelog *l)
{
    size_t size = sizeof *l + l->n_rings * sizeof *l->rings;

    for (unsigned i = 0; i < l->n_rings; i++)
        if (__atomic_load_n(&l->rings[i].records, __ATOMIC_ACQUIRE))
            size += RULELOG_RING * sizeof(struct rulelog_record) +
                    RULELOG_LOGGERS * sizeof(struct rulelog_bucket);
    return size;
}
