/* The interfaces of a network namespace, kept current by rtnetlink.
 *
 * net_watch_open() reads all interfaces and their addresses; from then on net_watch_run() takes in
 * what the kernel announces.  When the kernel had to throw announcements away (a burst larger than
 * the socket's buffer) everything is read again and compared, so nothing is missed, only late.
 * An interface that is renamed is reported gone by its old name and new by the other.
 * Thread: one owner; the namespace is that of the thread that opened it. */
#ifndef MN_NET_WATCH_H
#define MN_NET_WATCH_H

#include <stdbool.h>

#include "base/error.h"
#include "base/types.h"

#define NET_IFACE_ADDRS 16

struct net_iface {
    char name[16];
    int index;
    struct mac mac; /* zero when it has none of Ethernet's kind */
    unsigned mtu;
    bool up;      /* administratively */
    bool carrier; /* link detected */
    bool loopback;
    char alias[32];   /* what somebody wrote there, cut to fit */
    char kind[16];    /* "veth", "tun", "vxlan", ...; "" for hardware */
    unsigned n_addrs; /* more than fit are left out */
    struct cidr addrs[NET_IFACE_ADDRS];
};

struct net_watch;

/* Called from net_watch_open() and net_watch_run().  gone: it no longer exists. */
typedef void net_watch_fn(const struct net_iface *iface, bool gone, void *aux);

int net_watch_open(net_watch_fn *fn, void *aux, struct net_watch **out, struct error *e);
void net_watch_close(struct net_watch *w); /* null is fine */

int net_watch_fd(struct net_watch *w);   /* readable (poll): run it */
void net_watch_run(struct net_watch *w); /* never blocks */

/* Null when there is none of that name. */
const struct net_iface *net_watch_find(struct net_watch *w, const char *name);
const struct net_iface *net_watch_next(struct net_watch *w, const struct net_iface *prev);

#endif
