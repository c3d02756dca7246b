#include <netlink/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "datapath/ebpf_internal.h"

void ebpf_device_name(const struct ebpf_dp *d, const char *suffix, char buf[16])
{
    dp_device_name(d->name, suffix, buf);
}

static struct ebpf_dp *new_dp(const struct dp_options *opts)
{
    struct ebpf_dp *d = NEW(struct ebpf_dp);

    d->dp.ops = &dp_ebpf_ops;
    d->opts = *opts;
    snprintf(d->name, sizeof d->name, "%s", opts->name);
    d->opts.name = d->name;
    pthread_mutex_init(&d->lock, NULL);
    pthread_mutex_init(&d->tunnel_lock, NULL);
    pthread_mutex_init(&d->port_lock, NULL);
    pthread_mutex_init(&d->underlay_lock, NULL);
    pthread_mutex_init(&d->tap_lock, NULL);
    for (unsigned i = 0; i < DP_MAX_QUEUES; i++) {
        pthread_mutex_init(&d->queues[i].lock, NULL);
        d->queues[i].tap = -1;
        d->queues[i].ring.fd = -1;
    }
    d->wake_watcher = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    d->rtnl = ebpf_rtnl_open();
    return d;
}

static void free_dp(struct ebpf_dp *d)
{
    ebpf_groups_free(d);
    ebpf_unload(d);
    if (d->wake_watcher >= 0)
        close(d->wake_watcher);
    nl_socket_free(d->rtnl);
    for (unsigned i = 0; i < DP_MAX_QUEUES; i++)
        pthread_mutex_destroy(&d->queues[i].lock);
    pthread_mutex_destroy(&d->lock);
    pthread_mutex_destroy(&d->tunnel_lock);
    pthread_mutex_destroy(&d->port_lock);
    pthread_mutex_destroy(&d->underlay_lock);
    pthread_mutex_destroy(&d->tap_lock);
    free(d);
}

static void configure(struct ebpf_dp *d)
{
    struct fp_shared *sh = d->shared;

    sh->abi = FP_ABI;
    memcpy(sh->name, d->name, sizeof sh->name);
    sh->n_queues = d->opts.n_queues;
    sh->upcalls_per_port = d->opts.upcalls_per_port;
    sh->upcall_gap_ns = d->opts.upcall_rate ? (uint32_t)(1000000000u / d->opts.upcall_rate) : 0;
}

static int adopt(struct ebpf_dp *d)
{
    int rc = ebpf_flows_adopt(d);

    ebpf_ports_adopt(d);
    if (!rc)
        rc = ebpf_tunnels_adopt(d);
    log_info("datapath", "took over a running datapath name=%s flows=%u", d->name, d->n_flows);
    return rc;
}

static void ebpf_close(struct dp *dp, bool keep)
{
    struct ebpf_dp *d = ebpf_of(dp);

    ebpf_watch_stop(d);
    ebpf_exec_close(d);
    if (d->shared) {
        ebpf_tunnels_close(d, keep);
        ebpf_ports_close(d, keep);
    }
    for (unsigned i = 0; i < d->opts.n_queues; i++)
        ebpf_recv_close(d, i);
    free_dp(d);
}

static int start(struct ebpf_dp *d, bool kept, struct error *e)
{
    int rc = 0;

    configure(d);
    if (kept)
        rc = adopt(d);
    else
        ebpf_tunnels_clean(d);
    for (unsigned i = 0; i < d->opts.n_queues && !rc; i++)
        rc = ebpf_recv_open(d, i);
    if (rc)
        return error_set(e, rc, NULL, "datapath", "can't set up the datapath: %s", strerror(-rc));
    rc = ebpf_exec_open(d, e);
    if (rc)
        return rc;
    rc = ebpf_watch_start(d);
    return rc ? error_set(e, rc, NULL, "datapath", "can't watch the network: %s", strerror(-rc))
              : 0;
}

static int ebpf_open(const struct dp_options *opts, struct dp **out, struct error *e)
{
    int found[N_MAPS];

    if (strlen(opts->name) >= sizeof((struct ebpf_dp *)0)->name)
        return error_set(e, -EINVAL, NULL, "name", "'%s' is too long", opts->name);
    struct ebpf_dp *d = new_dp(opts);
    int rc = d->rtnl && d->wake_watcher >= 0
                 ? ebpf_find_kept(d, found, e)
                 : error_set(e, -EIO, NULL, "datapath", "can't open a netlink socket");

    if (rc) {
        free_dp(d);
        return rc;
    }
    bool kept = found[EM_PORTS] >= 0 && found[EM_NARROW] >= 0;

    rc = ebpf_load(d, found, e);
    if (rc) {
        free_dp(d);
        return rc;
    }
    rc = start(d, kept, e);
    if (rc) {
        ebpf_close(&d->dp, kept);
        return rc;
    }
    *out = &d->dp;
    return 0;
}

static uint64_t sum_counter(struct ebpf_dp *d, uint32_t which)
{
    uint64_t *each = NEW_ARRAY((size_t)d->n_cpus, uint64_t), sum = 0;

    if (!bpf_map_lookup_elem(d->maps[EM_COUNTERS], &which, each))
        for (int i = 0; i < d->n_cpus; i++)
            sum += each[i];
    free(each);
    return sum;
}

static int ebpf_counters(struct dp *dp, dp_counter_fn *fn, void *aux)
{
    static const char *const names[FP_N_COUNTERS] = {
        [FP_MALFORMED] = "malformed",
        [FP_NO_PORT] = "no_port",
        [FP_NO_TUNNEL] = "no_tunnel",
        [FP_TOO_BIG] = "too_big",
        [FP_TTL] = "ttl",
        [FP_UNKNOWN_KEY] = "unknown_tunnel_key",
        [FP_UPCALL_LOST] = "upcall_lost",
        [FP_PENDING_DROP] = "upcall_pending",
        [FP_REWRITE_FAILED] = "rewrite_failed",
        [FP_TUNNEL_SLOW] = "tunnel_slow",
    };
    struct ebpf_dp *d = ebpf_of(dp);
    int rc = 0;

    for (uint32_t i = 0; i < FP_N_COUNTERS && !rc; i++)
        rc = fn(names[i], sum_counter(d, i) + (i == FP_TTL ? d->exec_ttl : 0), aux);
    if (!rc)
        rc = fn("table_full", d->table_full, aux);
    if (!rc)
        rc = fn("masks_full", d->masks_full, aux);
    if (!rc)
        rc = fn("send_failed", d->exec_failed, aux);
    return rc;
}

static uint64_t map_bytes(int fd)
{
    char path[64], line[128];
    unsigned long long bytes = 0;

    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    FILE *f = fopen(path, "re");

    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "memlock: %llu", &bytes) == 1)
            break;
    if (f)
        fclose(f);
    return bytes;
}

static void ebpf_memory(struct dp *dp, uint64_t *kernel, uint64_t *process)
{
    struct ebpf_dp *d = ebpf_of(dp);

    *kernel = 0;
    for (int i = 0; i < N_MAPS; i++)
        *kernel += map_bytes(d->maps[i]);
    *process = sizeof *d + d->n_members * sizeof(struct fp_out);
    for (unsigned i = 0; i < d->opts.n_queues; i++) {
        *kernel += map_bytes(d->queues[i].ring.fd);
        *process += upcall_bytes(&d->queues[i].turns);
    }
}

const struct dp_ops dp_ebpf_ops = {
    .type = "ebpf",
    .open = ebpf_open,
    .close = ebpf_close,
    .port_add = ebpf_port_add,
    .port_del = ebpf_port_del,
    .port_each = ebpf_port_each,
    .port_limit = ebpf_port_limit,
    .tunnel_local = ebpf_tunnel_local,
    .tunnel_bind = ebpf_tunnel_bind,
    .tunnel_unbind = ebpf_tunnel_unbind,
    .flow_put = ebpf_flow_put,
    .flow_del = ebpf_flow_del,
    .flow_each = ebpf_flow_each,
    .recv = ebpf_recv,
    .recv_fd = ebpf_recv_fd,
    .execute = ebpf_execute,
    .counters = ebpf_counters,
    .memory = ebpf_memory,
};
