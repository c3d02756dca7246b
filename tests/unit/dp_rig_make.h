/* Rigs of the datapath suite: how one is made, opened again and taken apart; dp_rig.h is what tests
 * include.
 *
 *      rig "a"                                     rig "b"
 *   port 1..n -- machines "m1..mn"   underlay   port 1..n -- machines
 *
 * On the memory datapath machines are its virtual interfaces.  On a kernel datapath a rig is a
 * network namespace for the host and one for its machines; each machine is the end of a veth and an
 * AF_PACKET socket there.  The underlay is a switchboard, or a veth between the hosts. */
#ifndef MN_TESTS_DP_RIG_MAKE_H
#define MN_TESTS_DP_RIG_MAKE_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netlink/route/link.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "datapath/datapath.h"
#include "datapath/memory.h"
#include "net/link.h"
#include "net/netns.h"
#include "packet_fixture.h"

#ifndef PACKET_VNET_HDR
#define PACKET_VNET_HDR 15
#endif

#define RIG_PORTS    70
#define RIG_FENCE    0x88b5              /* ethertype for local experiments */
#define RIG_PATIENCE (30 * NSEC_PER_SEC) /* with what must come; nothing has a fence behind it */

struct rig {
    const char *type;
    char name[32], host_ns[48], vm_ns[48];
    struct dp *dp;
    struct dp_options opts;
    unsigned n_ports;
    uint32_t port[RIG_PORTS]; /* [1..n_ports] */
    int sock[RIG_PORTS];
    uint32_t n_fences;
};

static struct rig *rigs[2]; /* open ones: a test that fails leaves them to its teardown */

static inline bool rig_kernel(const struct rig *r)
{
    return strcmp(r->type, "memory") != 0;
}

/* What the kernel's own flow table does in another way (docs/datapath.md has the list). */
static inline bool rig_is_ovs(const struct rig *r)
{
    return !strcmp(r->type, "ovs");
}

static inline void rig_enter(const struct rig *r)
{
    struct error e = {0};

    if (rig_kernel(r))
        close(netns_enter(r->host_ns, &e));
}

static inline void rig_shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static inline void rig_shell(const char *fmt, ...)
{
    char cmd[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(cmd, sizeof cmd, fmt, ap);
    va_end(ap);
    if (system(cmd))
        fail_msg("failed: %s", cmd);
}

static inline void rig_ifname(unsigned i, char buf[16])
{
    snprintf(buf, 16, "p%u", i);
}

/* The machine's end of port i, as a socket that tells us of offloads. */
static inline int rig_socket(const struct rig *r, unsigned i)
{
    struct error e = {0};
    int back = netns_enter(r->vm_ns, &e), one = 1;
    char ifname[16];

    rig_ifname(i, ifname);
    ifname[0] = 'm';
    struct sockaddr_ll addr = {.sll_family = AF_PACKET,
                               .sll_protocol = htons(ETH_P_ALL),
                               .sll_ifindex = (int)if_nametoindex(ifname)};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    netns_leave(back);
    assert_true(fd >= 0 && addr.sll_ifindex);
    assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one), 0);
    assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof one), 0);
    int size = 4 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    return fd;
}

/* A new namespace whose kernel says nothing by itself.  (No shell: they are many, and an emulated
 * machine takes a second for a handful of processes.) */
static inline void rig_ns(const char *name)
{
    struct error e = {0};

    if (netns_add(name, &e))
        fail_msg("%s", e.message);
    int back = netns_enter(name, &e);
    int fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);

    assert_int_equal(write(fd, "1", 1), 1);
    close(fd);
    netns_leave(back);
}

/* The end that came up first has its carrier since the other did; but until the kernel has looked
 * into that, some time later, what is sent out of it is lost. */
static inline void rig_await_up(const char *ifname)
{
    const uint8_t up = 6; /* IF_OPER_UP */
    uint64_t deadline = clock_ns() + RIG_PATIENCE;
    struct nl_sock *sk = nl_socket_alloc();
    uint8_t is = 0;

    assert_int_equal(nl_connect(sk, NETLINK_ROUTE), 0);
    while (is != up && clock_ns() < deadline) {
        struct rtnl_link *link;

        assert_int_equal(rtnl_link_get_kernel(sk, 0, ifname, &link), 0);
        is = rtnl_link_get_operstate(link);
        rtnl_link_put(link);
        if (is != up)
            poll(NULL, 0, 1);
    }
    nl_socket_free(sk);
    assert_int_equal(is, up);
}

static inline void rig_cable(struct rig *r, unsigned i)
{
    char host[16], vm[16];

    rig_ifname(i, host);
    rig_ifname(i, vm);
    vm[0] = 'm';
    if (!rig_kernel(r)) {
        assert_int_equal(memory_if_add(r->dp, host), 0);
        return;
    }
    struct mac mac = {{2, 0, 0, 0, 0, (uint8_t)i}};
    struct error e = {0};
    int ns = netns_open(r->vm_ns, &e);

    if (net_veth_add(host, vm, ns, &e) || net_link_up(host, true, &e))
        fail_msg("%s", e.message);
    close(ns);
    int back = netns_enter(r->vm_ns, &e);

    if (net_link_mac(vm, &mac, &e) || net_link_up(vm, true, &e))
        fail_msg("%s", e.message);
    netns_leave(back);
    rig_await_up(host);
    r->sock[i] = rig_socket(r, i);
}

static inline void rig_add_port(struct rig *r)
{
    unsigned i = ++r->n_ports;
    struct error e = {0};
    char ifname[16];

    assert_true(i < RIG_PORTS);
    rig_cable(r, i);
    rig_ifname(i, ifname);
    if (dp_port_add(r->dp, ifname, &r->port[i], &e))
        fail_msg("%s: %s", ifname, e.message);
}

static inline void rig_reopen(struct rig *r)
{
    struct error e = {0};

    r->dp = NULL;
    rig_enter(r);
    if (dp_open(r->type, &r->opts, &r->dp, &e))
        fail_msg("%s (%s)", e.message, e.hint);
}

static inline void rig_shut(struct rig *r, bool keep)
{
    rig_enter(r);
    dp_close(r->dp, keep);
    if (!keep || rig_kernel(r)) /* in memory the kept one is still there */
        r->dp = NULL;
}

static inline struct rig *rig_open_with(const char *type, const char *name, unsigned n_ports,
                                        const struct dp_options *opts)
{
    struct rig *r = NEW(struct rig);

    rigs[rigs[0] != NULL] = r;
    r->type = type;
    snprintf(r->name, sizeof r->name, "%s%d", name, (int)getpid() % 100000);
    if (opts)
        r->opts = *opts;
    r->opts.name = r->name;
    for (unsigned i = 0; i < RIG_PORTS; i++)
        r->sock[i] = -1;
    if (rig_kernel(r)) {
        snprintf(r->host_ns, sizeof r->host_ns, "eb-%s-h", r->name);
        snprintf(r->vm_ns, sizeof r->vm_ns, "eb-%s-v", r->name);
        rig_ns(r->host_ns);
        rig_ns(r->vm_ns);
    }
    rig_reopen(r);
    while (r->n_ports < n_ports)
        rig_add_port(r);
    return r;
}

static inline struct rig *rig_open(const char *type, unsigned n_ports)
{
    return rig_open_with(type, "a", n_ports, NULL);
}

static inline void rig_close(struct rig *r)
{
    if (!r)
        return;
    rigs[r == rigs[1]] = NULL;
    rig_shut(r, false);
    for (unsigned i = 0; i < RIG_PORTS; i++)
        if (r->sock[i] >= 0)
            close(r->sock[i]);
    if (rig_kernel(r)) {
        char far[60]; /* some tests make a third */

        snprintf(far, sizeof far, "%s-f", r->vm_ns);
        netns_del(far);
        netns_del(r->host_ns);
        netns_del(r->vm_ns);
    }
    free(r);
}

static inline int rig_teardown(void **state)
{
    (void)state;
    rig_close(rigs[1]);
    rig_close(rigs[0]);
    return 0;
}

#endif
