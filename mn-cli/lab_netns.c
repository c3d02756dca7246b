/* The laboratory of namespaces: see lab.h.
 *
 *   LAB-h1 [mn-agent]         LAB-h2 [mn-agent]        one namespace a host
 *     wire0  if0  if1           wire0  if2
 *       |     |    |              |     |
 *   LAB-wire: br0 ----------------+     |              the underlay
 *             |    |                    |
 *   LAB-vms: v0   v1                   v2              we, with a packet socket on each
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "lab_netns.h"
#include "net/link.h"
#include "net/netns.h"

/* A run that is told to end leaves nothing behind: system calls only, then rm takes our place. */
static struct lab_in_netns *interrupted;

static void on_signal(int signum)
{
    struct lab_in_netns *lab = interrupted;

    (void)signum;
    for (unsigned i = 0; i < lab->n_hosts; i++) {
        if (lab->hosts[i].agent > 0)
            kill(lab->hosts[i].agent, SIGTERM);
        netns_del(lab->hosts[i].ns);
    }
    netns_del(lab->wire);
    netns_del(lab->vms);
    execl("/bin/rm", "rm", "-rf", lab->dir, NULL);
    _exit(1);
}

void netns_catch_signals(struct lab_in_netns *lab)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

    interrupted = lab;
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        signal(signals[i], lab ? on_signal : SIG_DFL);
}

/* Runs 'fn' inside a namespace. */
static int inside(const char *ns, int (*fn)(void *aux, struct error *e), void *aux, struct error *e)
{
    int back = netns_enter(ns, e);

    if (back < 0)
        return back;
    int rc = fn(aux, e);
    netns_leave(back);
    return rc;
}

/* A kernel that speaks IPv6 by itself would be heard in the scenario. */
static void silence_ipv6(const char *ifname)
{
    char path[96];

    snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/disable_ipv6", ifname);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return; /* a kernel without IPv6 */
    if (write(fd, "1", 1) != 1) {
        /* then it is heard, and the scenario says so */
    }
    close(fd);
}

static int make_wire(void *aux, struct error *e)
{
    (void)aux;
    int rc = net_bridge_add("br0", e);

    return rc ? rc : net_link_up("br0", true, e);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void netns_close(struct lab *base)
{
    struct lab_in_netns *lab = netns_lab(base);

    netns_catch_signals(NULL);
    for (unsigned i = 0; i < lab->n_hosts; i++) {
        struct netns_host *h = &lab->hosts[i];
        if (h->agent > 0) {
            kill(h->agent, SIGTERM);
            while (waitpid(h->agent, NULL, 0) < 0 && errno == EINTR)
                continue;
        }
        json_decref(h->drops_seen);
        netns_del(h->ns);
    }
    for (unsigned i = 0; i < lab->n_ifaces; i++)
        if (lab->ifaces[i].fd >= 0)
            close(lab->ifaces[i].fd);
    netns_del(lab->wire);
    netns_del(lab->vms);
    store_close(lab->store);
    nftw(lab->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(lab);
}

static int netns_open_lab(const char *datapath, struct lab **out, struct error *e)
{
    struct lab_in_netns *lab = NEW(struct lab_in_netns);
    int rc;

    lab->lab.ops = &lab_netns;
    snprintf(lab->datapath, sizeof lab->datapath, "%s", datapath);
    snprintf(lab->prefix, sizeof lab->prefix, "lab%d", (int)getpid());
    snprintf(lab->wire, sizeof lab->wire, "%s-wire", lab->prefix);
    snprintf(lab->vms, sizeof lab->vms, "%s-vms", lab->prefix);
    strcpy(lab->dir, "/tmp/mn-lab.XXXXXX");
    if (!mkdtemp(lab->dir)) {
        free(lab);
        return error_set(e, -errno, "/tmp", NULL, "%s", strerror(errno));
    }
    netns_catch_signals(lab);
    snprintf(lab->url, sizeof lab->url, "file:%s/store.db", lab->dir);
    rc = store_open(lab->url, NULL, &lab->store, e);
    if (!rc)
        rc = netns_add(lab->wire, e);
    if (!rc)
        rc = inside(lab->wire, make_wire, NULL, e);
    if (!rc)
        rc = netns_add(lab->vms, e);
    if (rc)
        netns_close(&lab->lab);
    else
        *out = &lab->lab;
    return rc;
}

struct wire_end {
    struct netns_host *host;
    const char *name;
    int wire_ns;
};

static int plug_host(void *aux, struct error *e)
{
    struct wire_end *w = aux;
    int rc = net_veth_add("wire0", w->name, w->wire_ns, e);

    if (!rc)
        rc = net_addr_add("wire0", &w->host->underlay, e);
    return rc ? rc : net_link_up("wire0", true, e);
}

static int plug_wire(void *aux, struct error *e)
{
    struct wire_end *w = aux;
    int rc = net_link_master(w->name, "br0", e);

    return rc ? rc : net_link_up(w->name, true, e);
}

static int netns_host_add(struct lab *base, const char *name, const struct uuid *id,
                          const struct ip *underlay, struct error *e)
{
    struct lab_in_netns *lab = netns_lab(base);
    struct netns_host *h = &lab->hosts[lab->n_hosts];
    char end[16];
    struct wire_end w = {h, end, -1};
    int rc;

    snprintf(h->name, sizeof h->name, "%s", name);
    snprintf(h->ns, sizeof h->ns, "%s-h%u", lab->prefix, lab->n_hosts);
    snprintf(h->socket, sizeof h->socket, "%s/%s.sock", lab->dir, name);
    snprintf(end, sizeof end, "h%u", lab->n_hosts);
    h->id = *id;
    h->underlay = (struct cidr){*underlay, 24};
    if ((rc = netns_add(h->ns, e)))
        return rc;
    lab->n_hosts++;
    if ((w.wire_ns = netns_open(lab->wire, e)) < 0)
        return w.wire_ns;
    rc = inside(h->ns, plug_host, &w, e);
    close(w.wire_ns);
    if (!rc)
        rc = inside(lab->wire, plug_wire, &w, e);
    return rc ? rc : netns_start(&lab->lab, lab->n_hosts - 1, e);
}

struct iface_end {
    struct netns_iface *iface;
    int vms_ns;
};

static int plug_iface(void *aux, struct error *e)
{
    struct iface_end *w = aux;
    int rc = net_veth_add(w->iface->ifname, w->iface->vm, w->vms_ns, e);

    if (rc)
        return rc;
    silence_ipv6(w->iface->ifname);
    return net_link_up(w->iface->ifname, true, e);
}

/* A socket that sees what the machine would see, and nothing of what it sends. */
static int open_machine(void *aux, struct error *e)
{
    struct netns_iface *f = ((struct iface_end *)aux)->iface;
    struct sockaddr_ll ll = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    int one = 1, rc;

    silence_ipv6(f->vm);
    if ((rc = net_link_up(f->vm, true, e)))
        return rc;
    ll.sll_ifindex = (int)if_nametoindex(f->vm);
    f->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (f->fd < 0 || setsockopt(f->fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof one) ||
        setsockopt(f->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) ||
        bind(f->fd, (struct sockaddr *)&ll, sizeof ll))
        return error_set(e, -errno, f->vm, NULL, "packet socket: %s", strerror(errno));
    return 0;
}

static int netns_iface_add(struct lab *base, unsigned host, const char *ifname, struct error *e)
{
    struct lab_in_netns *lab = netns_lab(base);
    unsigned n = lab->n_ifaces;
    struct iface_end w = {&lab->ifaces[n], -1};
    int rc;

    if (n == LAB_IFACES)
        return error_set(e, -ENOSPC, ifname, NULL, "more than %d interfaces", LAB_IFACES);
    *w.iface = (struct netns_iface){.host = host, .fd = -1, .present = true};
    snprintf(w.iface->ifname, sizeof w.iface->ifname, "%s", ifname);
    snprintf(w.iface->vm, sizeof w.iface->vm, "v%u", n);
    lab->n_ifaces++;
    if ((w.vms_ns = netns_open(lab->vms, e)) < 0)
        return w.vms_ns;
    rc = inside(lab->hosts[host].ns, plug_iface, &w, e);
    close(w.vms_ns);
    if (!rc)
        rc = inside(lab->vms, open_machine, &w, e);
    return rc ? rc : (int)n;
}

static int delete_iface(void *aux, struct error *e)
{
    struct netns_iface *f = aux;

    (void)e;
    return net_link_del(f->ifname);
}

static int netns_iface_del(struct lab *base, unsigned iface, struct error *e)
{
    struct lab_in_netns *lab = netns_lab(base);
    struct netns_iface *f = &lab->ifaces[iface];

    f->present = false;
    return inside(lab->hosts[f->host].ns, delete_iface, f, e);
}

static int link_up(void *aux, struct error *e)
{
    return net_link_up(((struct netns_iface *)aux)->vm, true, e);
}

static int link_down(void *aux, struct error *e)
{
    return net_link_up(((struct netns_iface *)aux)->vm, false, e);
}

static int netns_link(struct lab *base, unsigned iface, bool up, struct error *e)
{
    struct lab_in_netns *lab = netns_lab(base);

    return inside(lab->vms, up ? link_up : link_down, &lab->ifaces[iface], e);
}

static int netns_send(struct lab *base, unsigned iface, const uint8_t *frame, size_t size,
                      struct error *e)
{
    struct netns_iface *f = &netns_lab(base)->ifaces[iface];

    if (send(f->fd, frame, size, 0) == (ssize_t)size)
        return 0;
    return error_set(e, -errno, f->vm, NULL, "send: %s", strerror(errno));
}

/* Puts a tag that the kernel took out of the frame back in. */
static size_t retag(struct msghdr *m, uint8_t *buf, size_t size, size_t room)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        struct tpacket_auxdata aux;
        if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA)
            continue;
        memcpy(&aux, CMSG_DATA(c), sizeof aux);
        if (!(aux.tp_status & TP_STATUS_VLAN_VALID) || size + 4 > room || size < 12)
            return size;
        uint16_t tpid = aux.tp_status & TP_STATUS_VLAN_TPID_VALID ? aux.tp_vlan_tpid : 0x8100;
        memmove(buf + 16, buf + 12, size - 12);
        buf[12] = (uint8_t)(tpid >> 8);
        buf[13] = (uint8_t)tpid;
        buf[14] = (uint8_t)(aux.tp_vlan_tci >> 8);
        buf[15] = (uint8_t)aux.tp_vlan_tci;
        return size + 4;
    }
    return size;
}

static size_t netns_recv(struct lab *base, unsigned iface, uint8_t *buf, size_t room)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
    } control;
    struct iovec iov = {buf, room};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control};
    ssize_t size = recvmsg(netns_lab(base)->ifaces[iface].fd, &m, MSG_DONTWAIT);

    return size <= 0 ? 0 : retag(&m, buf, (size_t)size, room);
}

static unsigned netns_wait(struct lab *base, unsigned ms)
{
    struct lab_in_netns *lab = netns_lab(base);
    uint64_t start = clock_ns();
    struct pollfd fds[LAB_IFACES];

    for (unsigned i = 0; i < lab->n_ifaces; i++)
        fds[i] = (struct pollfd){.fd = lab->ifaces[i].present ? lab->ifaces[i].fd : -1,
                                 .events = POLLIN};
    poll(fds, lab->n_ifaces, (int)ms);
    return (unsigned)((clock_ns() - start) / NSEC_PER_MSEC) + 1;
}

static struct store *netns_store(struct lab *base)
{
    return netns_lab(base)->store;
}

const struct lab_ops lab_netns = {
    .name = "netns",
    .patience_ms = 30000,
    .real_time = true,
    .open = netns_open_lab,
    .close = netns_close,
    .host_add = netns_host_add,
    .iface_add = netns_iface_add,
    .iface_del = netns_iface_del,
    .link = netns_link,
    .send = netns_send,
    .recv = netns_recv,
    .settle = netns_settle,
    .clock = netns_clock,
    .stop = netns_stop,
    .start = netns_start,
    .last_drop = netns_last_drop,
    .upcalls = netns_upcalls,
    .n_flows = netns_n_flows,
    .wait = netns_wait,
    .store = netns_store,
};
