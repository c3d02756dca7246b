/* One rig for the conformance tests of all datapaths.
 *
 *      rig "a"                                     rig "b"
 *   port 1..n -- machines "m1..mn"   underlay   port 1..n -- machines
 *
 * On the memory datapath machines are its virtual interfaces.  On a kernel datapath a rig is a
 * network namespace for the host and one for its machines; each machine is the end of a veth and an
 * AF_PACKET socket there.  The underlay is a switchboard, or a veth between the hosts.
 *
 * "Nothing comes" is tested by a fence: a packet the agent sends to the same machine; all that
 * arrived before it was there earlier. */
#ifndef MN_TESTS_DP_RIG_H
#define MN_TESTS_DP_RIG_H

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

/* Frames. */

static inline void rig_send_offload(struct rig *r, unsigned i, const uint8_t *p, size_t size,
                                    const struct virtio_net_hdr *vh)
{
    static const struct virtio_net_hdr plain;
    char ifname[16];

    rig_ifname(i, ifname);
    if (!rig_kernel(r)) {
        assert_int_equal(memory_inject(r->dp, ifname, p, size), 0);
        return;
    }
    struct iovec iov[2] = {{(void *)(vh ? vh : &plain), sizeof plain}, {(void *)p, size}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

    assert_int_equal(sendmsg(r->sock[i], &msg, 0), (ssize_t)(size + sizeof plain));
}

static inline void rig_send(struct rig *r, unsigned i, const struct frame *f)
{
    rig_send_offload(r, i, f->b, f->size, NULL);
}

static inline void rig_put_tag_back(uint8_t *p, size_t *size, struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        struct tpacket_auxdata *a = (void *)CMSG_DATA(c);

        if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA ||
            !(a->tp_status & TP_STATUS_VLAN_VALID))
            continue;
        memmove(p + 16, p + 12, *size - 12);
        put16(p + 12, a->tp_status & TP_STATUS_VLAN_TPID_VALID ? a->tp_vlan_tpid : ETH_P_8021Q);
        put16(p + 14, a->tp_vlan_tci);
        *size += 4;
    }
}

/* One frame if there is one; checksums left to offload are finished.  gso_size unless null. */
static inline size_t rig_take(struct rig *r, unsigned i, uint8_t *buf, size_t room,
                              unsigned *gso_size)
{
    char ifname[16], control[128];
    struct sockaddr_ll from;
    struct virtio_net_hdr vh;

    rig_ifname(i, ifname);
    if (gso_size)
        *gso_size = 0;
    if (!rig_kernel(r)) {
        int n = memory_take(r->dp, ifname, buf, room);

        return n > 0 ? (size_t)n : 0;
    }
    for (;;) {
        struct iovec iov[2] = {{&vh, sizeof vh}, {buf, room}};
        struct msghdr msg = {.msg_name = &from,
                             .msg_namelen = sizeof from,
                             .msg_iov = iov,
                             .msg_iovlen = 2,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
        ssize_t n = recvmsg(r->sock[i], &msg, 0);

        if (n <= (ssize_t)sizeof vh)
            return 0;
        if (from.sll_pkttype == PACKET_OUTGOING)
            continue;
        size_t size = (size_t)n - sizeof vh;

        if (vh.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
            packet_finish_checksums(buf, size);
        rig_put_tag_back(buf, &size, &msg);
        if (gso_size)
            *gso_size = vh.gso_type ? vh.gso_size : 0;
        return size;
    }
}

static inline size_t rig_await(struct rig *r, unsigned i, uint8_t *buf, size_t room,
                               unsigned *gso_size)
{
    uint64_t deadline = clock_ns() + RIG_PATIENCE;
    size_t size = 0;

    while (!(size = rig_take(r, i, buf, room, gso_size)) && clock_ns() < deadline)
        if (rig_kernel(r))
            poll(&(struct pollfd){.fd = r->sock[i], .events = POLLIN}, 1, 50);
        else
            break;
    return size;
}

static inline void rig_dump(const char *what, const uint8_t *p, size_t size)
{
    printf("%s (%zu):", what, size);
    for (size_t i = 0; i < size && i < 160; i++)
        printf("%s%02x", i % 16 ? " " : "\n  ", p[i]);
    printf("\n");
}

static inline void rig_expect_bytes(struct rig *r, unsigned i, const uint8_t *p, size_t size)
{
    uint8_t buf[70000];
    size_t n = rig_await(r, i, buf, sizeof buf, NULL);

    if (n != size || memcmp(buf, p, size)) {
        rig_dump("expected", p, size);
        rig_dump("came", buf, n);
        fail_msg("machine %u: %s", i, n ? "another frame came" : "no frame came");
    }
}

static inline void rig_expect(struct rig *r, unsigned i, const struct frame *f)
{
    rig_expect_bytes(r, i, f->b, f->size);
}

static inline struct flow_out rig_out(const struct rig *r, unsigned i)
{
    return (struct flow_out){.kind = FLOW_OUT_PORT,
                             .port = __atomic_load_n(&r->port[i], __ATOMIC_RELAXED)};
}

static inline void rig_expect_nothing(struct rig *r, unsigned i)
{
    struct flow_out out = rig_out(r, i);
    uint8_t fence[64] = {0x02, 0, 0, 0, 0,    0xfe,           0x02,
                         0,    0, 0, 0, 0xff, RIG_FENCE >> 8, RIG_FENCE & 0xff};
    uint8_t buf[70000];

    fence[14] = (uint8_t)++r->n_fences;
    struct dp_exec x = {.packet = fence, .size = sizeof fence, .outs = &out, .n_outs = 1};

    assert_int_equal(dp_execute(r->dp, 0, &x, 1), 0);
    size_t n = rig_await(r, i, buf, sizeof buf, NULL);

    if (n != sizeof fence || memcmp(buf, fence, n)) {
        rig_dump("came", buf, n);
        fail_msg("machine %u got something", i);
    }
}

/* Flows and upcalls. */

static inline void rig_flow_rc(struct rig *r, const struct flow_key *key,
                               const struct flow_key *mask, const struct flow_out *outs, unsigned n,
                               int want)
{
    struct dp_flow f = {
        .key = *key, .mask = *mask, .cookie = 42, .outs = outs, .n_outs = (uint16_t)n};
    int rc = 1;

    assert_int_equal(dp_flow_put(r->dp, 0, &f, 1, &rc), want != 0);
    assert_int_equal(rc, want);
}

static inline void rig_flow(struct rig *r, const struct flow_key *key, const struct flow_key *mask,
                            const struct flow_out *outs, unsigned n)
{
    rig_flow_rc(r, key, mask, outs, n, 0);
}

static inline int rig_flow_del(struct rig *r, const struct flow_key *key,
                               const struct flow_key *mask, struct dp_flow_stats *stats)
{
    struct dp_flow f = {.key = *key, .mask = *mask};

    return dp_flow_del(r->dp, 0, &f, 1, stats);
}

/* The next upcall; null when none comes. */
static inline const struct dp_upcall *rig_upcall(struct rig *r)
{
    static struct dp_upcall up;
    uint64_t deadline = clock_ns() + RIG_PATIENCE;

    while (!dp_recv(r->dp, 0, &up, 1)) {
        if (!rig_kernel(r) || clock_ns() > deadline)
            return NULL;
        poll(&(struct pollfd){.fd = dp_recv_fd(r->dp, 0), .events = POLLIN}, 1, 50);
    }
    return &up;
}

static inline void rig_expect_upcall(struct rig *r, unsigned i, const struct frame *f,
                                     enum dp_reason reason)
{
    const struct dp_upcall *up = rig_upcall(r);

    assert_non_null(up);
    if (up->size != f->size || memcmp(up->packet, f->b, f->size)) {
        rig_dump("expected", f->b, f->size);
        rig_dump("came up", up->packet, up->size);
        fail();
    }
    assert_int_equal(up->port_no, r->port[i]);
    assert_int_equal(up->reason, reason);
}

/* A port's packets and upcalls come in order: what is sent last comes last. */
static inline void rig_expect_no_upcall(struct rig *r, unsigned i)
{
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.99.0.1", "10.99.0.2", 1, 2);
    struct frame f = frame_of(&k);

    rig_send(r, i, &f);
    rig_expect_upcall(r, i, &f, DP_MISS);
}

struct rig_counter {
    const char *name;
    uint64_t value;
    bool found;
};

static inline int rig_counter_fn(const char *name, uint64_t value, void *aux)
{
    struct rig_counter *c = aux;

    if (!strcmp(name, c->name)) {
        c->value = value;
        c->found = true;
    }
    return 0;
}

static inline bool rig_counts(struct rig *r, const char *name)
{
    struct rig_counter c = {.name = name};

    dp_counters(r->dp, rig_counter_fn, &c);
    return c.found;
}

static inline uint64_t rig_counter(struct rig *r, const char *name)
{
    struct rig_counter c = {.name = name};

    dp_counters(r->dp, rig_counter_fn, &c);
    if (!c.found)
        fail_msg("no counter %s", name);
    return c.value;
}

struct rig_port_stats {
    uint32_t port_no;
    struct dp_port p;
};

static inline int rig_count_flow(const struct dp_flow *f, const struct dp_flow_stats *s, void *aux)
{
    (void)f;
    (void)s;
    ++*(uint64_t *)aux;
    return 0;
}

/* Flows of ours in the datapath. */
static inline uint64_t rig_n_flows(struct rig *r)
{
    uint64_t n = 0;

    assert_int_equal(dp_flow_each(r->dp, rig_count_flow, &n), 0);
    return n;
}

static inline int rig_port_fn(const struct dp_port *p, void *aux)
{
    struct rig_port_stats *s = aux;

    if (p->port_no == s->port_no)
        s->p = *p;
    return 0;
}

static inline struct dp_port rig_port(struct rig *r, unsigned i)
{
    struct rig_port_stats s = {.port_no = r->port[i]};

    dp_port_each(r->dp, rig_port_fn, &s);
    return s.p;
}

/* Masks. */

static inline struct flow_key mask_port(void)
{
    return (struct flow_key){.in_port = ~0u};
}

static inline struct flow_key mask_all(void)
{
    struct flow_key m;

    memset(&m, 0xff, sizeof m);
    m.tun_id = 0;
    m.tun_src = ip_none;
    memset(m.pad, 0, sizeof m.pad);
    return m;
}

static inline struct flow_key rig_key(const struct rig *r, unsigned i, const struct frame *f)
{
    struct packet_layers l;
    struct flow_key k = {0};

    packet_parse(f->b, f->size, &k, &l);
    k.in_port = r->port[i];
    return k;
}

/* Every test runs once for each datapath that can run here; the state is its name.  MN_FILTER picks
 * tests by pattern, MN_DATAPATH one datapath. */
static inline bool rig_have_ovs(void)
{
    return !access("/sys/module/openvswitch", F_OK);
}

static inline void rig_need_ovs(void)
{
    if (!rig_have_ovs())
        skip();
}

static inline int rig_main(const char *group, const struct CMUnitTest *tests, size_t n)
{
    const char *types[] = {"memory", "ebpf", "ovs"};
    const char *filter = getenv("MN_FILTER"), *only = getenv("MN_DATAPATH");
    int failed = 0;

    cmocka_set_test_filter(filter);
    for (unsigned t = 0; t < ARRAY_SIZE(types); t++) {
        struct CMUnitTest *copy = NEW_ARRAY(n, struct CMUnitTest);
        char name[64];

        if (only && strcmp(only, types[t])) {
            free(copy);
            continue;
        }
        if (strcmp(types[t], "memory") && geteuid()) {
            printf("%s skipped: needs root\n", types[t]);
            free(copy);
            continue;
        }
        if (!strcmp(types[t], "ovs") && !rig_have_ovs()) {
            printf("ovs skipped: the kernel has no openvswitch (tests/run vm has)\n");
            free(copy);
            continue;
        }
        for (size_t i = 0; i < n; i++) {
            copy[i] = tests[i];
            copy[i].initial_state = (void *)types[t];
            copy[i].teardown_func = rig_teardown;
        }
        snprintf(name, sizeof name, "%s on %s", group, types[t]);
        failed += _cmocka_run_group_tests(name, copy, n, NULL, NULL);
        free(copy);
    }
    return failed;
}

#endif
