/* The watcher: one thread that follows links, addresses, routes, neighbours and tc filters of the
 * host, so that a port whose interface vanishes is known to be gone, a veth whose end moved is
 * known, tunnel headers stay what the kernel would have written, and filters stay where they are.
 */
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "datapath/ebpf_internal.h"

#define PROBE_EVERY 10000 /* ms: the kernel forgets an unused neighbour after a minute or so */

struct watch {
    struct ebpf_dp *d;
    struct nl_sock *events, *rtnl;
    bool all_dirty, addrs_dirty, filters_dirty;
};

static void on_neighbour(struct watch *w, struct nlmsghdr *h)
{
    struct ndmsg *n = nlmsg_data(h);
    struct nlattr *at[NDA_MAX + 1];
    struct ip ip = ip_none;
    uint32_t v4;

    if (!nlmsg_valid_hdr(h, sizeof *n) || nlmsg_parse(h, sizeof *n, at, NDA_MAX, NULL) ||
        !at[NDA_DST] || w->all_dirty)
        return;
    if (n->ndm_family == AF_INET && nla_len(at[NDA_DST]) == 4) {
        memcpy(&v4, nla_data(at[NDA_DST]), 4);
        ip = ip_from4(v4);
    } else if (n->ndm_family == AF_INET6 && nla_len(at[NDA_DST]) == 16) {
        memcpy(ip.b, nla_data(at[NDA_DST]), 16);
    } else {
        return;
    }
    ebpf_tunnels_resolve(w->d, w->rtnl, n->ndm_ifindex, &ip);
}

static void on_filter(struct watch *w, struct nlmsghdr *h)
{
    struct tcmsg *t = nlmsg_data(h);

    if (!nlmsg_valid_hdr(h, sizeof *t))
        return;
    ebpf_mend_filter(w->d, t->tcm_ifindex);
    w->addrs_dirty = true; /* an underlay's, or a device's, perhaps */
}

static int on_event(struct nl_msg *msg, void *aux)
{
    struct nlmsghdr *h = nlmsg_hdr(msg);
    struct watch *w = aux;
    struct rtnl_link link;

    switch (h->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
        if (ebpf_rtnl_parse_link(h, &link))
            ebpf_port_link(w->d, &link, h->nlmsg_type == RTM_DELLINK);
        w->all_dirty = true; /* an underlay's MAC or MTU, perhaps */
        break;
    case RTM_NEWADDR:
    case RTM_DELADDR:
        w->addrs_dirty = true;
        break;
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
        w->all_dirty = true;
        break;
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
        on_neighbour(w, h);
        break;
    case RTM_DELTFILTER:
    case RTM_DELQDISC:
        on_filter(w, h);
        break;
    }
    return NL_OK;
}

static void settle(struct watch *w)
{
    bool had_any = w->all_dirty || w->addrs_dirty;

    if (w->all_dirty)
        ebpf_tunnels_resolve(w->d, w->rtnl, 0, NULL);
    if (w->filters_dirty)
        ebpf_mend_filters(w->d);
    if (had_any) {
        ebpf_underlays_sync(w->d, w->rtnl);
        ebpf_mend_devices(w->d, w->rtnl);
    }
    w->all_dirty = w->addrs_dirty = w->filters_dirty = false;
}

static void free_watch(struct watch *w)
{
    nl_socket_free(w->events);
    nl_socket_free(w->rtnl);
    free(w);
}

static void *watch_thread(void *arg)
{
    struct watch *w = arg;
    struct pollfd fds[2] = {{.fd = nl_socket_get_fd(w->events), .events = POLLIN},
                            {.fd = w->d->wake_watcher, .events = POLLIN}};
    uint64_t word;

    w->all_dirty = true;
    while (!atomic_load(&w->d->stop)) {
        settle(w);
        int n = poll(fds, 2, PROBE_EVERY);

        if (!n)
            ebpf_tunnels_probe(w->d, w->rtnl);
        if (n > 0 && fds[1].revents) {
            (void)!read(w->d->wake_watcher, &word, sizeof word);
            w->all_dirty = true;
        }
        /* Events were lost when the socket overran: look at everything. */
        if (n > 0 && fds[0].revents && nl_recvmsgs_default(w->events) < 0)
            w->all_dirty = w->addrs_dirty = w->filters_dirty = true;
    }
    free_watch(w);
    return NULL;
}

static struct nl_sock *open_events(struct watch *w)
{
    struct nl_sock *sk = nl_socket_alloc();

    if (!sk)
        return NULL;
    nl_socket_disable_seq_check(sk);
    if (nl_connect(sk, NETLINK_ROUTE) ||
        nl_socket_add_memberships(sk, RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR,
                                  RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
                                  RTNLGRP_TC, 0) ||
        nl_socket_modify_cb(sk, NL_CB_VALID, NL_CB_CUSTOM, on_event, w)) {
        nl_socket_free(sk);
        return NULL;
    }
    nl_socket_set_buffer_size(sk, 1 << 20, 0);
    return sk;
}

int ebpf_watch_start(struct ebpf_dp *d)
{
    struct watch *w = NEW(struct watch);

    w->d = d;
    w->events = open_events(w);
    w->rtnl = ebpf_rtnl_open();
    int rc = w->events && w->rtnl ? 0 : -EIO;

    if (!rc)
        rc = -pthread_create(&d->watcher, NULL, watch_thread, w);
    if (rc) {
        free_watch(w);
        return rc;
    }
    d->watching = true;
    return 0;
}

void ebpf_watch_wake(struct ebpf_dp *d)
{
    (void)!write(d->wake_watcher, &(uint64_t){1}, 8);
}

void ebpf_watch_stop(struct ebpf_dp *d)
{
    if (!d->watching)
        return;
    atomic_store(&d->stop, true);
    ebpf_watch_wake(d);
    pthread_join(d->watcher, NULL);
    d->watching = false;
}
