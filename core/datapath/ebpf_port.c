#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "datapath/ebpf_internal.h"

static bool in_use(const struct ebpf_dp *d, uint32_t no)
{
    return no && no < FP_MAX_PORTS && d->ports[no].in_use;
}

/* 'port_of' is probed from the interface's own slot; a slot is taken until its port goes. */
static int claim_slot(struct ebpf_dp *d, uint32_t ifindex, uint32_t no)
{
    for (uint32_t i = 0; i < FP_IF_PROBES; i++) {
        uint16_t *slot = &d->shared->port_of[(ifindex + i) % FP_IFS];

        if (*slot && *slot != no)
            continue;
        *slot = (uint16_t)no;
        return 0;
    }
    return -ENOSPC;
}

static void free_slot(struct ebpf_dp *d, uint32_t ifindex, uint32_t no)
{
    for (uint32_t i = 0; i < FP_IF_PROBES; i++) {
        uint16_t *slot = &d->shared->port_of[(ifindex + i) % FP_IFS];

        if (*slot == no)
            *slot = 0;
    }
}

static uint32_t find_by_name(const struct ebpf_dp *d, const char *ifname)
{
    for (uint32_t no = 1; no < FP_MAX_PORTS; no++)
        if (d->ports[no].in_use && !strncmp(d->ports[no].ifname, ifname, 16))
            return no;
    return 0;
}

/* The next unused number, not the lowest: a flow forgotten by the agent shouldn't find a new port
 * under its old number. */
static uint32_t free_number(struct ebpf_dp *d)
{
    for (uint32_t i = 1; i < FP_MAX_PORTS; i++) {
        uint32_t no = (d->last_port + i) % FP_MAX_PORTS;

        if (no && !d->ports[no].in_use) {
            d->last_port = no;
            return no;
        }
    }
    return 0;
}

static void zero_stats(struct ebpf_dp *d, uint32_t no)
{
    struct fp_port_stats *zero = NEW_ARRAY((size_t)d->n_cpus, struct fp_port_stats);

    bpf_map_update_elem(d->maps[EM_PORT_STATS], &no, zero, BPF_ANY);
    free(zero);
}

static void join_queue(struct ebpf_dp *d, uint32_t no)
{
    struct ebpf_queue *q = &d->queues[d->ports[no].queue];

    pthread_mutex_lock(&q->lock);
    d->port[no] = NEW(struct ebpf_port);
    pthread_mutex_unlock(&q->lock);
}

static uint32_t new_port(struct ebpf_dp *d, const char *ifname)
{
    uint32_t no = free_number(d);
    struct fp_port *port = &d->ports[no];
    uint8_t life = port->life;

    if (!no)
        return 0;
    *port = (struct fp_port){.in_use = 1, .life = (uint8_t)(life + 1)};
    port->queue = (uint8_t)(no % d->opts.n_queues);
    snprintf(port->ifname, sizeof port->ifname, "%s", ifname);
    zero_stats(d, no);
    join_queue(d, no);
    return no;
}

static void forget_port(struct ebpf_dp *d, uint32_t no)
{
    struct fp_port *port = &d->ports[no];
    struct ebpf_queue *q = &d->queues[port->queue];

    free_slot(d, port->ifindex, no);
    port->ifindex = 0;
    port->in_use = 0;
    pthread_mutex_lock(&q->lock);
    upcall_drop_port(&q->turns, &d->port[no]->waiting);
    free(d->port[no]);
    d->port[no] = NULL;
    pthread_mutex_unlock(&q->lock);
}

/* Frames for a virtual router's MAC must pass the NIC's filter; virtual interfaces have none. */
static bool wants_promisc(const struct rtnl_link *link)
{
    return strcmp(link->kind, "veth") && strcmp(link->kind, "tun") && !(link->flags & IFF_PROMISC);
}

static int take_over(struct ebpf_dp *d, uint32_t no, const struct rtnl_link *link)
{
    struct fp_port *port = &d->ports[no];
    uint32_t ifindex = (uint32_t)link->ifindex;
    bool made = false;

    if (port->ifindex && port->ifindex != ifindex)
        free_slot(d, port->ifindex, no);
    if (port->ifindex != ifindex)
        port->flags = 0;
    port->ifindex = ifindex;
    port->flags &= (uint8_t)~FP_PORT_PEER;
    port->flags |= link->foreign_peer ? FP_PORT_PEER : 0;
    int rc = claim_slot(d, ifindex, no);

    if (!rc)
        rc = ebpf_tc_attach(link->ifindex, d->progs[PROG_PORT], &made);
    if (made)
        port->flags |= FP_PORT_CLSACT;
    if (!rc && wants_promisc(link) && !ebpf_rtnl_promisc(d->rtnl, link->ifindex, true))
        port->flags |= FP_PORT_PROMISC;
    return rc;
}

static void let_go(struct ebpf_dp *d, uint32_t no)
{
    struct fp_port *port = &d->ports[no];

    if (!port->ifindex)
        return;
    ebpf_tc_detach(d->rtnl, (int)port->ifindex, port->flags & FP_PORT_CLSACT);
    if (port->flags & FP_PORT_PROMISC)
        ebpf_rtnl_promisc(d->rtnl, (int)port->ifindex, false);
}

int ebpf_port_add(struct dp *dp, const char *ifname, uint32_t *port_no, struct error *e)
{
    struct ebpf_dp *d = ebpf_of(dp);
    unsigned ifindex = if_nametoindex(ifname);
    struct rtnl_link link;

    if (!ifindex || ebpf_rtnl_link(d->rtnl, (int)ifindex, &link))
        return error_set(e, -ENODEV, NULL, "interface", "no interface '%s'", ifname);
    if (link.type != ARPHRD_ETHER)
        return error_set(e, -EINVAL, NULL, "interface", "'%s' is not an Ethernet interface",
                         ifname);
    if (ebpf_underlay_has(d, ifindex))
        return error_set(e, -EBUSY, NULL, "interface", "'%s' carries tunnels", ifname);
    pthread_mutex_lock(&d->port_lock);
    uint32_t no = find_by_name(d, ifname);
    bool is_new = !no;

    if (is_new)
        no = new_port(d, ifname);
    int rc = no ? take_over(d, no, &link) : -ENOSPC;

    if (rc && is_new && no) {
        let_go(d, no);
        forget_port(d, no);
    }
    pthread_mutex_unlock(&d->port_lock);
    if (rc)
        return error_set(e, rc, NULL, "interface", "can't take over '%s': %s", ifname,
                         rc == -ENOSPC ? "too many ports" : strerror(-rc));
    *port_no = no;
    return 0;
}

int ebpf_port_del(struct dp *dp, uint32_t port_no, struct error *e)
{
    struct ebpf_dp *d = ebpf_of(dp);
    int rc = 0;

    pthread_mutex_lock(&d->port_lock);
    if (in_use(d, port_no)) {
        let_go(d, port_no);
        forget_port(d, port_no);
    } else {
        rc = error_set(e, -ENOENT, NULL, "port", "no port %u", port_no);
    }
    pthread_mutex_unlock(&d->port_lock);
    return rc;
}

static void sum_stats(const struct ebpf_dp *d, uint32_t no, struct dp_port *p)
{
    struct fp_port_stats *each = NEW_ARRAY((size_t)d->n_cpus, struct fp_port_stats);

    if (!bpf_map_lookup_elem(d->maps[EM_PORT_STATS], &no, each))
        for (int i = 0; i < d->n_cpus; i++) {
            p->rx_packets += each[i].rx_packets;
            p->rx_bytes += each[i].rx_bytes;
            p->tx_packets += each[i].tx_packets;
            p->tx_bytes += each[i].tx_bytes;
            p->upcalls += each[i].upcalls;
            p->upcalls_lost += each[i].upcalls_lost;
            p->limited += each[i].limited;
        }
    free(each);
}

int ebpf_port_each(struct dp *dp, dp_port_fn *fn, void *aux)
{
    struct ebpf_dp *d = ebpf_of(dp);
    int rc = 0;

    for (uint32_t no = 1; no < FP_MAX_PORTS && !rc; no++) {
        const struct fp_port *port = &d->ports[no];
        struct dp_port p = {.port_no = no};

        if (!port->in_use)
            continue;
        p.ifindex = (int)port->ifindex;
        memcpy(p.ifname, port->ifname, sizeof p.ifname);
        sum_stats(d, no, &p);
        rc = fn(&p, aux);
    }
    return rc;
}

_Static_assert(FP_COST_SHIFT == DP_COST_SHIFT && FP_LIMIT_EPOCH == DP_LIMIT_EPOCH,
               "one scale of costs and times");

int ebpf_port_limit(struct dp *dp, uint32_t port_no, uint32_t kbps, uint32_t burst_kb)
{
    struct ebpf_dp *d = ebpf_of(dp);
    struct dp_bucket b = dp_bucket_of(kbps, burst_kb);

    if (!in_use(d, port_no))
        return -ENOENT;
    struct fp_port *port = &d->ports[port_no];

    __atomic_store_n(&port->limit.depth_ns, b.depth_ns, __ATOMIC_RELEASE);
    __atomic_store_n(&port->limit.paid_ns, 0,
                     __ATOMIC_RELEASE); /* a debt of another rate is void */
    __atomic_store_n(&port->limit.cost, b.cost, __ATOMIC_RELEASE);
    return 0;
}

void ebpf_port_link(struct ebpf_dp *d, const struct rtnl_link *link, bool gone)
{
    pthread_mutex_lock(&d->port_lock);
    for (uint32_t i = 0; i < FP_IF_PROBES; i++) {
        uint32_t no = d->shared->port_of[((uint32_t)link->ifindex + i) % FP_IFS];
        struct fp_port *port = &d->ports[no % FP_MAX_PORTS];

        if (!no || port->ifindex != (uint32_t)link->ifindex)
            continue;
        if (gone) {
            free_slot(d, port->ifindex, no);
            port->ifindex = 0;
            port->flags = 0;
        } else if (link->foreign_peer) {
            port->flags |= FP_PORT_PEER;
        } else {
            port->flags &= (uint8_t)~FP_PORT_PEER;
        }
        break;
    }
    pthread_mutex_unlock(&d->port_lock);
}

/* Ports of a process before us: those whose interface is still there get our program instead of its
 * one, the others wait as gone for the agent to delete or add them again. */
void ebpf_ports_adopt(struct ebpf_dp *d)
{
    for (uint32_t no = 1; no < FP_MAX_PORTS; no++) {
        struct fp_port *port = &d->ports[no];
        struct rtnl_link link;

        if (!port->in_use)
            continue;
        port->queue = (uint8_t)(no % d->opts.n_queues);
        port->done = port->sent;
        join_queue(d, no);
        d->last_port = no;
        if (ebpf_rtnl_link(d->rtnl, (int)port->ifindex, &link) ||
            strncmp(link.ifname, port->ifname, sizeof port->ifname)) {
            port->ifindex = 0;
            continue;
        }
        int rc = take_over(d, no, &link);

        if (rc) {
            log_warn("datapath", "can't take over a port again interface=%s: %s", port->ifname,
                     strerror(-rc));
            port->ifindex = 0;
        }
    }
}

void ebpf_ports_close(struct ebpf_dp *d, bool keep)
{
    for (uint32_t no = 1; d->ports && no < FP_MAX_PORTS; no++) {
        if (!d->port[no])
            continue;
        if (!keep)
            let_go(d, no);
        free(d->port[no]);
        d->port[no] = NULL;
    }
}
