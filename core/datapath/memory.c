#include "datapath/memory.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/mem.h"
#include "datapath/memory_internal.h"
#include "packet/packet.h"

static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;
static struct memory_dp *kept; /* closed with keep, waiting for the next open */

static uint64_t real_now(void *aux)
{
    (void)aux;
    return clock_ns();
}

void memory_unlock_and_send(struct memory_dp *d)
{
    struct memory_transit *transit = d->transit;

    d->transit = NULL;
    pthread_mutex_unlock(&d->lock);
    if (transit)
        memory_board_deliver(d, transit);
}

static struct memory_dp *take_kept(const char *name)
{
    struct memory_dp *d;

    pthread_mutex_lock(&kept_lock);
    for (d = kept; d && strcmp(d->name, name);)
        d = d->next_kept;
    if (d)
        LL_DELETE2(kept, d, next_kept);
    pthread_mutex_unlock(&kept_lock);
    return d;
}

/* The process that read the upcalls is gone or going; a successor may have other queues. */
static void drop_upcalls(struct memory_dp *d)
{
    for (uint32_t i = 0; i < d->n_ports; i++)
        if (d->ports[i])
            upcall_drop_port(memory_turns_of(d, d->ports[i]), &d->ports[i]->waiting);
    for (unsigned i = 0; i < DP_MAX_QUEUES; i++) {
        upcall_free(&d->turns[i]);
        if (d->fds[i] >= 0)
            close(d->fds[i]);
        d->fds[i] = -1;
    }
}

static int memory_open(const struct dp_options *opts, struct dp **out, struct error *e)
{
    struct memory_dp *d = take_kept(opts->name);

    (void)e;
    if (!d) {
        d = NEW(struct memory_dp);
        d->dp.ops = &dp_memory_ops;
        d->name = mem_strdup(opts->name);
        d->now = real_now;
        pthread_mutex_init(&d->lock, NULL);
        for (unsigned i = 0; i < DP_MAX_QUEUES; i++)
            d->fds[i] = -1;
    } else if (d->opts.n_queues != opts->n_queues) {
        drop_upcalls(d);
    }
    d->opts = *opts;
    d->opts.name = d->name;
    d->table.max_flows = opts->max_flows;
    *out = &d->dp;
    return 0;
}

static void memory_close(struct dp *dp, bool keep)
{
    struct memory_dp *d = memory_of(dp);
    struct memory_if *iface, *next_if;
    struct memory_bind *bind, *next_bind;

    pthread_mutex_lock(&d->lock);
    drop_upcalls(d);
    pthread_mutex_unlock(&d->lock);
    if (keep) {
        pthread_mutex_lock(&kept_lock);
        LL_PREPEND2(kept, d, next_kept);
        pthread_mutex_unlock(&kept_lock);
        return;
    }
    memory_board_leave(d);
    HASH_ITER (hh, d->ifs, iface, next_if) {
        HASH_DEL(d->ifs, iface);
        memory_if_clear(iface);
        free(iface);
    }
    HASH_ITER (hh, d->binds, bind, next_bind) {
        HASH_DEL(d->binds, bind);
        free(bind);
    }
    while (d->locals) {
        struct memory_local *next = d->locals->next;
        free(d->locals);
        d->locals = next;
    }
    for (uint32_t i = 0; i < d->n_ports; i++)
        free(d->ports[i]);
    free(d->ports);
    memory_table_free(&d->table);
    pthread_mutex_destroy(&d->lock);
    free(d->name);
    free(d);
}

void memory_dp_set_clock(struct dp *dp, uint64_t (*now)(void *aux), void *aux)
{
    struct memory_dp *d = memory_of(dp);

    pthread_mutex_lock(&d->lock);
    d->now = now ? now : real_now;
    d->now_aux = aux;
    pthread_mutex_unlock(&d->lock);
}

/* Flows, upcalls, the rest. */

static int memory_flow_put(struct dp *dp, unsigned queue, const struct dp_flow *flows, size_t n,
                           int *rcs)
{
    struct memory_dp *d = memory_of(dp);
    int failed = 0;

    (void)queue;
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < n; i++) {
        int rc = memory_table_put(&d->table, &flows[i]);

        d->counters.table_full += rc == -ENOSPC;
        failed += rc != 0;
        if (rcs)
            rcs[i] = rc;
    }
    pthread_mutex_unlock(&d->lock);
    return failed;
}

static int memory_flow_del(struct dp *dp, unsigned queue, const struct dp_flow *flows, size_t n,
                           struct dp_flow_stats *stats)
{
    struct memory_dp *d = memory_of(dp);
    int failed = 0;

    (void)queue;
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < n; i++)
        failed += memory_table_del(&d->table, &flows[i], stats ? &stats[i] : NULL) != 0;
    pthread_mutex_unlock(&d->lock);
    return failed;
}

static int memory_flow_each(struct dp *dp, dp_flow_fn *fn, void *aux)
{
    struct memory_dp *d = memory_of(dp);

    pthread_mutex_lock(&d->lock);
    int rc = memory_table_each(&d->table, fn, aux);
    pthread_mutex_unlock(&d->lock);
    return rc;
}

static int memory_recv(struct dp *dp, unsigned queue, struct dp_upcall *ups, size_t max)
{
    struct memory_dp *d = memory_of(dp);
    struct upcall_turns *t = &d->turns[queue];
    struct upcall *u;
    size_t n = 0;
    uint64_t word;

    pthread_mutex_lock(&d->lock);
    upcall_release(t);
    while (n < max && (u = upcall_take(t)))
        ups[n++] = u->up;
    if (!t->n_waiting && d->fds[queue] >= 0)
        (void)!read(d->fds[queue], &word, sizeof word);
    pthread_mutex_unlock(&d->lock);
    return (int)n;
}

static int memory_recv_fd(struct dp *dp, unsigned queue)
{
    struct memory_dp *d = memory_of(dp);

    pthread_mutex_lock(&d->lock);
    if (d->fds[queue] < 0)
        d->fds[queue] = eventfd(d->turns[queue].n_waiting != 0, EFD_NONBLOCK | EFD_CLOEXEC);
    int fd = d->fds[queue] < 0 ? -errno : d->fds[queue];
    pthread_mutex_unlock(&d->lock);
    return fd;
}

static int memory_execute(struct dp *dp, unsigned queue, const struct dp_exec *execs, size_t n)
{
    struct memory_dp *d = memory_of(dp);

    (void)queue;
    pthread_mutex_lock(&d->lock);
    for (const struct dp_exec *x = execs; x < execs + n; x++) {
        unsigned needed = dp_ttl_needed(x->outs, x->n_outs);
        struct packet_layers layers;
        struct flow_key key;

        packet_parse(x->packet, x->size, &key, &layers);
        if (needed && key.ip_ttl <= needed)
            d->counters.ttl++;
        else
            memory_path_outputs(d, x->packet, x->size, x->outs, x->n_outs);
    }
    memory_unlock_and_send(d);
    return 0;
}

static int memory_counters(struct dp *dp, dp_counter_fn *fn, void *aux)
{
    struct memory_dp *d = memory_of(dp);
    int rc = 0;

    pthread_mutex_lock(&d->lock);
#define X(name)                                                                                    \
    if (!rc)                                                                                       \
        rc = fn(#name, d->counters.name, aux);
    MEMORY_COUNTERS(X)
#undef X
    pthread_mutex_unlock(&d->lock);
    return rc;
}

static void memory_memory(struct dp *dp, uint64_t *kernel, uint64_t *process)
{
    struct memory_dp *d = memory_of(dp);

    pthread_mutex_lock(&d->lock);
    *kernel = 0;
    *process = sizeof *d + memory_table_bytes(&d->table) +
               d->n_ports * (sizeof *d->ports + sizeof **d->ports);
    for (unsigned i = 0; i < d->opts.n_queues; i++)
        *process += upcall_bytes(&d->turns[i]);
    pthread_mutex_unlock(&d->lock);
}

const struct dp_ops dp_memory_ops = {
    .type = "memory",
    .open = memory_open,
    .close = memory_close,
    .port_add = memory_port_add,
    .port_del = memory_port_del,
    .port_each = memory_port_each,
    .port_limit = memory_port_limit,
    .tunnel_local = memory_tunnel_local,
    .tunnel_bind = memory_tunnel_bind,
    .tunnel_unbind = memory_tunnel_unbind,
    .flow_put = memory_flow_put,
    .flow_del = memory_flow_del,
    .flow_each = memory_flow_each,
    .recv = memory_recv,
    .recv_fd = memory_recv_fd,
    .execute = memory_execute,
    .counters = memory_counters,
    .memory = memory_memory,
};
