#include "net/watch.h"

#include <linux/if_arp.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <uthash.h>

#include "base/log.h"
#include "base/mem.h"

#define RCVBUF     (1024 * 1024)
#define LOSSES_MAX 1000 /* in one run, against a socket that is broken for good */

struct entry {
    struct net_iface iface;
    bool marked;  /* seen by the dump under way */
    bool changed; /* not reported yet */
    UT_hash_handle hh;
};

struct net_watch {
    struct nl_sock *events, *queries;
    struct entry *entries;
    net_watch_fn *fn;
    void *aux;
};

static int nl_failed(struct error *e, int rc, const char *what)
{
    return error_set(e, -EIO, "rtnetlink", NULL, "%s: %s", what, nl_geterror(rc));
}

static void report(struct net_watch *w, struct entry *e)
{
    e->changed = false;
    w->fn(&e->iface, false, w->aux);
}

static void forget(struct net_watch *w, struct entry *e)
{
    HASH_DEL(w->entries, e);
    w->fn(&e->iface, true, w->aux);
    free(e);
}

static void read_kind(struct nlattr *info, char kind[16])
{
    struct nlattr *tb[IFLA_INFO_MAX + 1];

    if (info && !nla_parse_nested(tb, IFLA_INFO_MAX, info, NULL) && tb[IFLA_INFO_KIND])
        nla_strlcpy(kind, tb[IFLA_INFO_KIND], 16);
}

static bool parse_link(struct nlmsghdr *h, struct net_iface *out)
{
    struct nlattr *tb[IFLA_MAX + 1];
    const struct ifinfomsg *m = nlmsg_data(h);

    if (nlmsg_parse(h, sizeof *m, tb, IFLA_MAX, NULL) || !tb[IFLA_IFNAME])
        return false;
    *out = (struct net_iface){.index = m->ifi_index,
                              .up = m->ifi_flags & IFF_UP,
                              .carrier = m->ifi_flags & IFF_LOWER_UP,
                              .loopback = m->ifi_flags & IFF_LOOPBACK};
    nla_strlcpy(out->name, tb[IFLA_IFNAME], sizeof out->name);
    if (tb[IFLA_ADDRESS] && nla_len(tb[IFLA_ADDRESS]) == 6 && m->ifi_type == ARPHRD_ETHER)
        memcpy(&out->mac, nla_data(tb[IFLA_ADDRESS]), 6);
    if (tb[IFLA_MTU] && nla_len(tb[IFLA_MTU]) >= 4)
        out->mtu = nla_get_u32(tb[IFLA_MTU]);
    if (tb[IFLA_IFALIAS])
        nla_strlcpy(out->alias, tb[IFLA_IFALIAS], sizeof out->alias);
    read_kind(tb[IFLA_LINKINFO], out->kind);
    return true;
}

static void link_message(struct net_watch *w, struct nlmsghdr *h)
{
    struct net_iface iface;
    struct entry *e;

    /* bridges announce their ports' state under a family of their own */
    if (!nlmsg_valid_hdr(h, sizeof(struct ifinfomsg)) ||
        ((struct ifinfomsg *)nlmsg_data(h))->ifi_family != AF_UNSPEC || !parse_link(h, &iface))
        return;
    HASH_FIND_INT(w->entries, &iface.index, e);
    if (h->nlmsg_type == RTM_DELLINK) {
        if (e)
            forget(w, e);
        return;
    }
    if (e && strcmp(e->iface.name, iface.name)) {
        w->fn(&e->iface, true, w->aux);
        e->changed = true;
    }
    if (!e) {
        e = NEW(struct entry);
        e->iface.index = iface.index;
        HASH_ADD_INT(w->entries, iface.index, e);
        e->changed = true;
    }
    iface.n_addrs = e->iface.n_addrs;
    memcpy(iface.addrs, e->iface.addrs, sizeof iface.addrs);
    e->marked = true;
    e->changed |= memcmp(&e->iface, &iface, sizeof iface) != 0;
    e->iface = iface;
}

static bool same_addr(const struct cidr *a, const struct cidr *b)
{
    return ip_equal(&a->addr, &b->addr) && a->len == b->len;
}

static bool parse_addr(struct nlmsghdr *h, int *index, struct cidr *out)
{
    struct nlattr *tb[IFA_MAX + 1], *a;
    const struct ifaddrmsg *m = nlmsg_data(h);

    if (nlmsg_parse(h, sizeof *m, tb, IFA_MAX, NULL))
        return false;
    a = tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS];
    *index = (int)m->ifa_index;
    memset(out, 0, sizeof *out);
    out->len = m->ifa_prefixlen;
    if (!a || nla_len(a) != (m->ifa_family == AF_INET ? 4 : 16))
        return false;
    if (m->ifa_family == AF_INET)
        out->addr = ip_from4(nla_get_u32(a));
    else
        memcpy(&out->addr, nla_data(a), 16);
    return true;
}

static void addr_message(struct net_watch *w, struct nlmsghdr *h)
{
    struct cidr addr;
    struct entry *e;
    unsigned i = 0;
    int index;

    if (!nlmsg_valid_hdr(h, sizeof(struct ifaddrmsg)) || !parse_addr(h, &index, &addr))
        return;
    HASH_FIND_INT(w->entries, &index, e);
    if (!e)
        return;
    struct net_iface *f = &e->iface;
    while (i < f->n_addrs && !same_addr(&f->addrs[i], &addr))
        i++;
    bool have = i < f->n_addrs, del = h->nlmsg_type == RTM_DELADDR;
    if (have == !del || (!have && f->n_addrs == NET_IFACE_ADDRS))
        return;
    e->changed = true;
    if (del) {
        f->addrs[i] = f->addrs[--f->n_addrs];
        memset(&f->addrs[f->n_addrs], 0, sizeof addr);
    } else {
        f->addrs[f->n_addrs++] = addr;
    }
}

static int on_message(struct nl_msg *msg, void *aux)
{
    struct net_watch *w = aux;
    struct nlmsghdr *h = nlmsg_hdr(msg);

    if (h->nlmsg_type == RTM_NEWLINK || h->nlmsg_type == RTM_DELLINK)
        link_message(w, h);
    else if (h->nlmsg_type == RTM_NEWADDR || h->nlmsg_type == RTM_DELADDR)
        addr_message(w, h);
    return NL_OK;
}

static int dump(struct net_watch *w, int type, struct error *e)
{
    struct ifinfomsg m = {.ifi_family = AF_UNSPEC}; /* an ifaddrmsg is shorter and starts alike */
    int rc, tries = 0;

    do { /* again when the list changed under the kernel's hands */
        rc = nl_send_simple(w->queries, type, NLM_F_DUMP, &m, sizeof m);
        if (rc >= 0)
            rc = nl_recvmsgs_default(w->queries);
    } while (rc == -NLE_DUMP_INTR && ++tries < 10);
    return rc < 0 ? nl_failed(e, rc, "reading interfaces") : 0;
}

/* Reads everything and reports what differs from what is known. */
static int read_all(struct net_watch *w, struct error *e)
{
    struct entry *i, *next;
    int rc;

    HASH_ITER (hh, w->entries, i, next)
        i->marked = false;
    rc = dump(w, RTM_GETLINK, e);
    if (rc)
        return rc;
    HASH_ITER (hh, w->entries, i, next)
        if (!i->marked)
            forget(w, i);
    HASH_ITER (hh, w->entries, i, next)
        if (i->iface.n_addrs) { /* taken up again by the dump */
            i->iface.n_addrs = 0;
            memset(i->iface.addrs, 0, sizeof i->iface.addrs);
            i->changed = true;
        }
    return dump(w, RTM_GETADDR, e);
}

static void report_all(struct net_watch *w)
{
    struct entry *i, *next;

    HASH_ITER (hh, w->entries, i, next)
        if (i->changed)
            report(w, i);
}

static struct nl_sock *open_socket(struct net_watch *w)
{
    struct nl_sock *sk = nl_socket_alloc();

    if (!sk)
        return NULL;
    nl_socket_disable_seq_check(sk);
    nl_socket_modify_cb(sk, NL_CB_VALID, NL_CB_CUSTOM, on_message, w);
    if (nl_connect(sk, NETLINK_ROUTE)) {
        nl_socket_free(sk);
        return NULL;
    }
    return sk;
}

int net_watch_open(net_watch_fn *fn, void *aux, struct net_watch **out, struct error *e)
{
    struct net_watch *w = NEW(struct net_watch);
    int rc;

    w->fn = fn;
    w->aux = aux;
    w->events = open_socket(w);
    w->queries = open_socket(w);
    if (!w->events || !w->queries) {
        rc = error_set(e, -EIO, "rtnetlink", NULL, "no socket");
        goto fail;
    }
    nl_socket_set_buffer_size(w->events, RCVBUF, 0);
    rc = nl_socket_add_memberships(w->events, RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR,
                                   RTNLGRP_IPV6_IFADDR, 0);
    if (rc < 0) {
        rc = nl_failed(e, rc, "subscribing");
        goto fail;
    }
    nl_socket_set_nonblocking(w->events);
    rc = read_all(w, e);
    if (rc)
        goto fail;
    report_all(w);
    *out = w;
    return 0;
fail:
    net_watch_close(w);
    return rc;
}

void net_watch_close(struct net_watch *w)
{
    struct entry *i, *next;

    if (!w)
        return;
    HASH_ITER (hh, w->entries, i, next) {
        HASH_DEL(w->entries, i);
        free(i);
    }
    nl_socket_free(w->events);
    nl_socket_free(w->queries);
    free(w);
}

int net_watch_fd(struct net_watch *w)
{
    return nl_socket_get_fd(w->events);
}

void net_watch_run(struct net_watch *w)
{
    unsigned n_lost = 0;
    int rc;

    /* to the end first: what is older than the loss must not be taken for newer than the dump */
    while ((rc = nl_recvmsgs_default(w->events)) != -NLE_AGAIN && n_lost < LOSSES_MAX)
        n_lost += rc != 0; /* NLE_NOMEM stands for ENOBUFS */
    if (n_lost) {
        struct error e = {0};
        if (read_all(w, &e))
            log_warn("net", "%s", e.message);
    }
    report_all(w);
}

const struct net_iface *net_watch_find(struct net_watch *w, const char *name)
{
    struct entry *i, *next;

    HASH_ITER (hh, w->entries, i, next)
        if (!strcmp(i->iface.name, name))
            return &i->iface;
    return NULL;
}

const struct net_iface *net_watch_next(struct net_watch *w, const struct net_iface *prev)
{
    const struct entry *e = (const struct entry *)prev; /* its first member */

    e = e ? e->hh.next : w->entries;
    return e ? &e->iface : NULL;
}
