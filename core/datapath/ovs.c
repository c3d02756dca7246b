#include <netlink/attr.h>
#include <netlink/socket.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "datapath/ovs_internal.h"

#define FEATURES     (OVS_DP_F_UNALIGNED | OVS_DP_F_VPORT_PIDS)
#define PID_SPACE    0x40000000u /* netlink addresses of ours: below, kernels give away their own */
#define PID_TRIES    16u
#define UNKNOWN_ROOM (256u * 1024)

/* Kernel memory, measured on 6.1: a flow with its note and one output, and each further output. */
#define FLOW_BYTES 1400u

static struct ovs_dp *new_dp(const struct dp_options *opts)
{
    struct ovs_dp *d = NEW(struct ovs_dp);

    d->dp.ops = &dp_ovs_ops;
    d->opts = *opts;
    snprintf(d->name, sizeof d->name, "%s", opts->name);
    d->opts.name = d->name;
    dp_device_name(d->name, "ovs", d->ifname);
    pthread_mutex_init(&d->port_lock, NULL);
    d->control.fd = -1;
    for (unsigned i = 0; i < DP_MAX_QUEUES; i++) {
        pthread_mutex_init(&d->queues[i].lock, NULL);
        d->queues[i].epoll = -1;
        d->queues[i].sock.fd = -1;
    }
    return d;
}

static void free_dp(struct ovs_dp *d, bool keep)
{
    ovs_ports_close(d, keep);
    ovs_limits_close(d);
    ovs_tunnels_close(d);
    for (unsigned i = 0; i < DP_MAX_QUEUES; i++) {
        ovs_recv_close(d, i);
        pthread_mutex_destroy(&d->queues[i].lock);
    }
    ovs_sock_close(&d->control);
    ovs_buf_free(&d->buf);
    pthread_mutex_destroy(&d->port_lock);
    free(d);
}

static int on_datapath(unsigned index, const struct nlmsghdr *h, void *aux)
{
    const struct ovs_header *o = (const void *)((uint8_t *)NLMSG_DATA(h) + GENL_HDRLEN);

    (void)index;
    if (h->nlmsg_len >= NLMSG_LENGTH(GENL_HDRLEN + sizeof *o))
        *(int *)aux = o->dp_ifindex;
    return 0;
}

static int ask_datapath(struct ovs_dp *d, uint8_t cmd, int *ifindex)
{
    struct ovs_buf *b = &d->buf;

    ovs_buf_reset(b, &d->control);
    ovs_begin(b, d->families[OVS_DATAPATH], cmd, NLM_F_ECHO, 0);
    ovs_put(b, OVS_DP_ATTR_NAME, d->ifname, strlen(d->ifname) + 1);
    if (cmd == OVS_DP_CMD_NEW) {
        ovs_put_u32(b, OVS_DP_ATTR_UPCALL_PID, 0);
        ovs_put_u32(b, OVS_DP_ATTR_USER_FEATURES, FEATURES);
    }
    ovs_end(b);
    return ovs_talk_one(&d->control, b, on_datapath, ifindex);
}

/* A range of netlink addresses of our own, the same after a restart; taken means that another
 * process has this datapath, or one whose name hashes alike. */
static int claim_pids(struct ovs_dp *d)
{
    uint32_t start = (uint32_t)hash_stable(d->name, strlen(d->name), 0) % 0x3fff;
    int rc = -EADDRINUSE;

    for (unsigned i = 0; i < PID_TRIES && rc == -EADDRINUSE; i++) {
        d->pid_base = PID_SPACE + ((start + i) % 0x3fff << 16);
        rc = ovs_upcall_sock(d->pid_base + OVS_UNKNOWN_PORT, UNKNOWN_ROOM, &d->unknown);
    }
    return rc;
}

int ovs_find(struct ovs_dp *d, int *ifindex)
{
    return ask_datapath(d, OVS_DP_CMD_GET, ifindex);
}

int ovs_make(struct ovs_dp *d, struct error *e)
{
    int ifindex = 0, rc = ask_datapath(d, OVS_DP_CMD_NEW, &ifindex);

    d->ifindex = ifindex;
    if (rc == -EEXIST)
        return error_set(e, rc, NULL, "datapath", "an interface '%s' exists already", d->ifname);
    if (rc == -EPERM)
        return error_set(e, rc, NULL, "datapath", "not allowed: needs root or CAP_NET_ADMIN");
    return rc ? error_set(e, rc, NULL, "datapath", "can't make the datapath: %s", strerror(-rc))
              : 0;
}

void ovs_remove(struct ovs_dp *d)
{
    int ifindex;

    ask_datapath(d, OVS_DP_CMD_DEL, &ifindex);
    d->ifindex = 0;
}

static void ovs_close(struct dp *dp, bool keep)
{
    struct ovs_dp *d = ovs_of(dp);

    if (!keep && (d->ifindex || d->lost))
        ovs_remove(d);
    free_dp(d, keep);
}

static int start(struct ovs_dp *d, bool found, struct error *e)
{
    int rc = claim_pids(d);

    for (unsigned i = 0; i < d->opts.n_queues && !rc; i++)
        rc = ovs_recv_open(d, i);
    if (rc)
        return error_set(e, rc, NULL, "datapath", "can't set up the datapath: %s", strerror(-rc));
    if (!found)
        return 0;
    rc = ovs_ports_adopt(d, e);
    if (!rc && (rc = ovs_flows_adopt(d)))
        error_set(e, rc, NULL, "datapath", "can't read the flows: %s", strerror(-rc));
    if (!rc)
        log_info("datapath", "took over a running datapath name=%s flows=%u", d->name,
                 ovs_n_flows(d));
    return rc;
}

static int ovs_open(const struct dp_options *opts, struct dp **out, struct error *e)
{
    if (strlen(opts->name) >= sizeof((struct ovs_dp *)0)->name)
        return error_set(e, -EINVAL, NULL, "name", "'%s' is too long", opts->name);
    struct ovs_dp *d = new_dp(opts);
    bool found = false;
    int ifindex = 0, rc = ovs_families_find(d, e);

    if (!rc && (rc = ovs_sock_open(&d->control)))
        error_set(e, rc, NULL, "datapath", "can't open a netlink socket");
    if (!rc) {
        found = !ovs_find(d, &ifindex);
        d->ifindex = ifindex;
        rc = found ? 0 : ovs_make(d, e);
    }
    if (!rc)
        rc = start(d, found, e);
    if (rc) {
        ovs_close(&d->dp, found);
        return rc;
    }
    *out = &d->dp;
    return 0;
}

static int ovs_counters(struct dp *dp, dp_counter_fn *fn, void *aux)
{
    struct ovs_dp *d = ovs_of(dp);

    ovs_tunnels_count(d);
    const struct {
        const char *name;
        uint64_t value;
    } all[] = {
        {"unknown_tunnel_key",
         d->unknown_keys + ovs_sock_drops(d->unknown ? nl_socket_get_fd(d->unknown) : -1)},
        {"upcall_lost", ovs_ports_lost(d)},
        {"ttl", atomic_load(&d->exec_ttl)},
        {"table_full", atomic_load(&d->table_full)},
        {"flow_covered", atomic_load(&d->overlap)},
        {"send_failed", atomic_load(&d->exec_failed)},
        {"made_again", atomic_load(&d->made_again)},
    };
    int rc = 0;

    for (size_t i = 0; i < ARRAY_SIZE(all) && !rc; i++)
        rc = fn(all[i].name, all[i].value, aux);
    return rc;
}

static void ovs_memory(struct dp *dp, uint64_t *kernel, uint64_t *process)
{
    struct ovs_dp *d = ovs_of(dp);

    *kernel = (uint64_t)ovs_n_flows(d) * FLOW_BYTES;
    *process = sizeof *d + d->buf.room;
    for (unsigned i = 0; i < d->opts.n_queues; i++)
        *process += d->queues[i].buf.room;
    for (uint32_t no = 1; no <= d->top_port; no++)
        *process += d->ports[no] ? sizeof(struct ovs_port) : 0;
}

const struct dp_ops dp_ovs_ops = {
    .type = "ovs",
    .open = ovs_open,
    .close = ovs_close,
    .check = ovs_check,
    .port_add = ovs_port_add,
    .port_del = ovs_port_del,
    .port_each = ovs_port_each,
    .port_limit = ovs_port_limit,
    .tunnel_local = ovs_tunnel_local,
    .tunnel_bind = ovs_tunnel_bind,
    .tunnel_unbind = ovs_tunnel_unbind,
    .flow_put = ovs_flow_put,
    .flow_del = ovs_flow_del,
    .flow_each = ovs_flow_each,
    .recv = ovs_recv,
    .recv_fd = ovs_recv_fd,
    .execute = ovs_execute,
    .counters = ovs_counters,
    .memory = ovs_memory,
};
