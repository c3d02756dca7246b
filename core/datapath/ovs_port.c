/* Ports: interfaces the kernel's datapath took over, each with a socket for its upcalls.
 *
 * The kernel lets a port go when its interface vanishes; we remember number and name, so that the
 * interface gets its number back and flows that lead there find it again. */
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "base/mem.h"
#include "datapath/ovs_internal.h"

#define UPCALL_BYTES 4096u /* of socket room, for one that waits */

struct vport {
    uint32_t port_no, type;
    int ifindex;
    char ifname[16];
    struct ovs_vport_stats stats;
};

static bool read_vport(const struct nlmsghdr *h, struct vport *v)
{
    struct nlattr *a[OVS_VPORT_ATTR_MAX + 1];

    *v = (struct vport){0};
    if (ovs_attrs(h, a, OVS_VPORT_ATTR_MAX) || !a[OVS_VPORT_ATTR_PORT_NO] ||
        !a[OVS_VPORT_ATTR_TYPE] || !a[OVS_VPORT_ATTR_NAME] ||
        nla_len(a[OVS_VPORT_ATTR_PORT_NO]) < 4 || nla_len(a[OVS_VPORT_ATTR_TYPE]) < 4)
        return false;
    v->port_no = nla_get_u32(a[OVS_VPORT_ATTR_PORT_NO]);
    v->type = nla_get_u32(a[OVS_VPORT_ATTR_TYPE]);
    nla_strlcpy(v->ifname, a[OVS_VPORT_ATTR_NAME], sizeof v->ifname);
    if (a[OVS_VPORT_ATTR_IFINDEX] && nla_len(a[OVS_VPORT_ATTR_IFINDEX]) >= 4)
        v->ifindex = (int)nla_get_u32(a[OVS_VPORT_ATTR_IFINDEX]);
    if (a[OVS_VPORT_ATTR_STATS] && nla_len(a[OVS_VPORT_ATTR_STATS]) >= (int)sizeof v->stats)
        memcpy(&v->stats, nla_data(a[OVS_VPORT_ATTR_STATS]), sizeof v->stats);
    return true;
}

/* The kernel's port of that number, if it is there. */
static int on_vport(unsigned index, const struct nlmsghdr *h, void *aux)
{
    (void)index;
    read_vport(h, aux);
    return 0;
}

static int get_vport(struct ovs_dp *d, uint32_t port_no, struct vport *v)
{
    struct ovs_buf *b = &d->buf;

    *v = (struct vport){0};
    ovs_buf_reset(b, &d->control);
    ovs_begin(b, d->families[OVS_VPORT], OVS_VPORT_CMD_GET, 0, d->ifindex);
    ovs_put_u32(b, OVS_VPORT_ATTR_PORT_NO, port_no);
    ovs_end(b);
    int rc = ovs_talk_one(&d->control, b, on_vport, v);

    return rc ? rc : v->type ? 0 : -EBADMSG;
}

static int make_vport(struct ovs_dp *d, const struct ovs_port *p, uint8_t cmd)
{
    struct ovs_buf *b = &d->buf;

    ovs_buf_reset(b, &d->control);
    ovs_begin(b, d->families[OVS_VPORT], cmd, 0, d->ifindex);
    ovs_put_u32(b, OVS_VPORT_ATTR_PORT_NO, p->port_no);
    if (cmd == OVS_VPORT_CMD_NEW) {
        ovs_put_u32(b, OVS_VPORT_ATTR_TYPE, OVS_VPORT_TYPE_NETDEV);
        ovs_put(b, OVS_VPORT_ATTR_NAME, p->ifname, strlen(p->ifname) + 1);
    }
    ovs_put_u32(b, OVS_VPORT_ATTR_UPCALL_PID, d->pid_base + p->port_no);
    ovs_end(b);
    return ovs_talk_one(&d->control, b, NULL, NULL);
}

static struct ovs_queue *queue_of(struct ovs_dp *d, uint32_t port_no)
{
    return &d->queues[port_no % d->opts.n_queues];
}

/* Its socket, among those its worker listens to. */
static int listen_to(struct ovs_dp *d, struct ovs_port *p)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = p};
    int rc = ovs_upcall_sock(d->pid_base + p->port_no,
                             MIN(d->opts.upcalls_per_port, 16384u) * UPCALL_BYTES / 2, &p->sk);

    if (rc)
        return rc;
    p->fd = nl_socket_get_fd(p->sk);
    return epoll_ctl(queue_of(d, p->port_no)->epoll, EPOLL_CTL_ADD, p->fd, &ev) ? -errno : 0;
}

static void free_port(struct ovs_dp *d, struct ovs_port *p)
{
    struct ovs_queue *q = queue_of(d, p->port_no);

    pthread_mutex_lock(&q->lock);
    if (p->fd >= 0)
        epoll_ctl(q->epoll, EPOLL_CTL_DEL, p->fd, NULL);
    nl_socket_free(p->sk);
    pthread_mutex_unlock(&q->lock);
    pthread_mutex_lock(&d->port_lock);
    d->ports[p->port_no] = NULL;
    pthread_mutex_unlock(&d->port_lock);
    free(p);
}

static struct ovs_port *new_port(struct ovs_dp *d, uint32_t port_no, const char *ifname)
{
    struct ovs_port *p = NEW(struct ovs_port);

    p->port_no = port_no;
    p->fd = -1;
    snprintf(p->ifname, sizeof p->ifname, "%s", ifname);
    pthread_mutex_lock(&d->port_lock);
    d->top_port = MAX(d->top_port, port_no);
    d->ports[port_no] = p;
    pthread_mutex_unlock(&d->port_lock);
    return p;
}

static struct ovs_port *find_by_name(struct ovs_dp *d, const char *ifname)
{
    for (uint32_t no = 1; no <= d->top_port; no++)
        if (d->ports[no] && !strcmp(d->ports[no]->ifname, ifname))
            return d->ports[no];
    return NULL;
}

/* Numbers are given away in turn: what still leads to an old one doesn't meet a stranger there. */
static uint32_t free_number(struct ovs_dp *d)
{
    for (uint32_t i = 0; i < OVS_MAX_PORT; i++) {
        uint32_t no = d->last_port % OVS_MAX_PORT + 1;

        d->last_port = no;
        if (!d->ports[no])
            return no;
    }
    return 0;
}

void ovs_port_seen(struct ovs_dp *d, uint32_t port_no)
{
    if (port_no <= OVS_MAX_PORT)
        d->last_port = MAX(d->last_port, port_no);
}

bool ovs_port_exists(struct ovs_dp *d, uint32_t port_no)
{
    pthread_mutex_lock(&d->port_lock);
    bool is = port_no && port_no <= OVS_MAX_PORT && d->ports[port_no];

    pthread_mutex_unlock(&d->port_lock);
    return is;
}

static void set_base(struct ovs_port *p, const struct vport *v)
{
    p->ifindex = v->ifindex;
    p->base = (struct dp_port){.rx_packets = v->stats.rx_packets,
                               .rx_bytes = v->stats.rx_bytes,
                               .tx_packets = v->stats.tx_packets,
                               .tx_bytes = v->stats.tx_bytes};
}

/* The kernel's port for ours: made, or there already. */
static int take_over(struct ovs_dp *d, struct ovs_port *p)
{
    struct vport v;
    int rc = p->fd < 0 ? listen_to(d, p) : 0;

    if (rc)
        return rc;
    if (!get_vport(d, p->port_no, &v) && !strcmp(v.ifname, p->ifname))
        return make_vport(d, p, OVS_VPORT_CMD_SET);
    rc = make_vport(d, p, OVS_VPORT_CMD_NEW);
    if (!rc)
        rc = get_vport(d, p->port_no, &v);
    if (!rc && v.ifindex != p->ifindex)
        set_base(p, &v);
    return rc;
}

int ovs_port_add(struct dp *dp, const char *ifname, uint32_t *port_no, struct error *e)
{
    struct ovs_dp *d = ovs_of(dp);

    if (!if_nametoindex(ifname))
        return error_set(e, -ENODEV, NULL, "interface", "no interface '%s'", ifname);
    struct ovs_port *p = find_by_name(d, ifname);
    bool is_new = !p;
    uint32_t no = p ? p->port_no : free_number(d);

    if (!no)
        return error_set(e, -ENOSPC, NULL, "interface", "can't take over '%s': too many ports",
                         ifname);
    p = p ? p : new_port(d, no, ifname);
    int rc = take_over(d, p);

    if (!rc) {
        *port_no = no;
        return 0;
    }
    if (is_new)
        free_port(d, p);
    if (rc == -EINVAL)
        return error_set(e, rc, NULL, "interface", "'%s' is not an Ethernet interface", ifname);
    error_set(e, rc, NULL, "interface", "can't take over '%s': %s", ifname, strerror(-rc));
    if (rc == -EBUSY)
        error_hint(e, "a bridge, a bond or another datapath has it: ip -d link show %s", ifname);
    return rc;
}

static int del_vport(struct ovs_dp *d, uint32_t port_no)
{
    struct ovs_buf *b = &d->buf;

    ovs_buf_reset(b, &d->control);
    ovs_begin(b, d->families[OVS_VPORT], OVS_VPORT_CMD_DEL, 0, d->ifindex);
    ovs_put_u32(b, OVS_VPORT_ATTR_PORT_NO, port_no);
    ovs_end(b);
    return ovs_talk_one(&d->control, b, NULL, NULL);
}

int ovs_port_del(struct dp *dp, uint32_t port_no, struct error *e)
{
    struct ovs_dp *d = ovs_of(dp);

    if (!ovs_port_exists(d, port_no))
        return error_set(e, -ENOENT, NULL, "port", "no port %u", port_no);
    ovs_limit_lift(d, d->ports[port_no]);
    del_vport(d, port_no); /* it may be gone with its interface */
    free_port(d, d->ports[port_no]);
    return 0;
}

/* All of the kernel's. */

struct vports {
    struct vport *v;
    size_t n;
};

static int collect(unsigned index, const struct nlmsghdr *h, void *aux)
{
    struct vports *all = aux;
    struct vport v;

    (void)index;
    if (!read_vport(h, &v))
        return 0;
    all->v = mem_resize(all->v, (all->n + 1) * sizeof *all->v);
    all->v[all->n++] = v;
    return 0;
}

static int dump_vports(struct ovs_dp *d, struct vports *all)
{
    *all = (struct vports){0};
    ovs_buf_reset(&d->buf, &d->control);
    ovs_begin(&d->buf, d->families[OVS_VPORT], OVS_VPORT_CMD_GET, NLM_F_DUMP, d->ifindex);
    ovs_end(&d->buf);
    return ovs_dump(&d->control, &d->buf, collect, all);
}

static struct dp_port describe(struct ovs_dp *d, const struct ovs_port *p, const struct vport *v)
{
    struct dp_port out = {.port_no = p->port_no, .upcalls = p->upcalls};

    memcpy(out.ifname, p->ifname, sizeof out.ifname);
    out.upcalls_lost = p->upcalls_lost + ovs_sock_drops(p->fd);
    out.limited = ovs_limit_dropped(d, p);
    if (!v)
        return out;
    out.ifindex = v->ifindex;
    out.rx_packets = v->stats.rx_packets - p->base.rx_packets;
    out.rx_bytes = v->stats.rx_bytes - p->base.rx_bytes;
    out.tx_packets = v->stats.tx_packets - p->base.tx_packets;
    out.tx_bytes = v->stats.tx_bytes - p->base.tx_bytes;
    return out;
}

static const struct vport *with_number(const struct vports *all, uint32_t port_no)
{
    for (size_t i = 0; i < all->n; i++)
        if (all->v[i].port_no == port_no)
            return &all->v[i];
    return NULL;
}

int ovs_port_each(struct dp *dp, dp_port_fn *fn, void *aux)
{
    struct ovs_dp *d = ovs_of(dp);
    struct vports all;
    int rc = dump_vports(d, &all);

    for (uint32_t no = 1; no <= d->top_port && !rc; no++) {
        if (!d->ports[no])
            continue;
        struct dp_port p = describe(d, d->ports[no], with_number(&all, no));

        rc = fn(&p, aux);
    }
    free(all.v);
    return rc;
}

/* The interface may be gone: the agent's business. */
static int mend_port(struct ovs_dp *d, struct ovs_port *p)
{
    int rc = if_nametoindex(p->ifname) ? take_over(d, p) : -ENODEV;

    if (!rc || rc == -ENODEV)
        return rc;
    d->n_taken++;
    log_limited(LOG_LVL_WARN, "datapath", "port %s was taken out and can't be put back: %s",
                p->ifname, strerror(-rc));
    return rc;
}

int ovs_ports_mend(struct ovs_dp *d)
{
    struct vports all;
    int rc = dump_vports(d, &all), n = 0;

    d->n_taken = 0;
    for (unsigned t = 0; t < ARRAY_SIZE(d->tunnels) && !rc; t++)
        if (d->tunnels[t] && !with_number(&all, OVS_TUNNEL_PORT + t)) {
            rc = ovs_tunnel_make_port(d, t);
            n += !rc;
        }
    for (uint32_t no = 1; no <= d->top_port && !rc; no++)
        if (d->ports[no] && !with_number(&all, no))
            n += !mend_port(d, d->ports[no]);
    free(all.v);
    return rc ? rc : n;
}

uint64_t ovs_ports_lost(struct ovs_dp *d)
{
    uint64_t sum = 0;

    for (uint32_t no = 1; no <= d->top_port; no++)
        if (d->ports[no])
            sum += d->ports[no]->upcalls_lost + ovs_sock_drops(d->ports[no]->fd);
    return sum;
}

int ovs_ports_adopt(struct ovs_dp *d, struct error *e)
{
    struct vports all;
    int rc = dump_vports(d, &all);

    for (size_t i = 0; i < all.n && !rc; i++) {
        const struct vport *v = &all.v[i];

        for (unsigned t = 0; t < ARRAY_SIZE(d->tunnels); t++)
            if (v->port_no == OVS_TUNNEL_PORT + t)
                d->tunnels[t] = true;
        if (v->type != OVS_VPORT_TYPE_NETDEV || !v->port_no || v->port_no > OVS_MAX_PORT)
            continue;
        ovs_port_seen(d, v->port_no);
        struct ovs_port *p = new_port(d, v->port_no, v->ifname);

        p->ifindex = v->ifindex;
        rc = take_over(d, p);
        if (rc)
            error_set(e, rc, NULL, "interface", "can't take over port '%s' again: %s", v->ifname,
                      strerror(-rc));
    }
    free(all.v);
    return rc;
}

void ovs_ports_close(struct ovs_dp *d, bool keep)
{
    for (uint32_t no = 1; no <= d->top_port; no++) {
        if (!d->ports[no])
            continue;
        if (!keep)
            ovs_limit_lift(d, d->ports[no]);
        free_port(d, d->ports[no]);
    }
}
