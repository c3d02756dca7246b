/* One rig for the conformance tests of all datapaths (dp_rig_make.h has its drawing): what machines
 * send and get, flows, upcalls, counters, and a main that runs the tests on each datapath.
 *
 * "Nothing comes" is tested by a fence: a packet the agent sends to the same machine; all that
 * arrived before it was there earlier. */
#ifndef MN_TESTS_DP_RIG_H
#define MN_TESTS_DP_RIG_H

#include "dp_rig_make.h"

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

struct rig_port_stats {
    uint32_t port_no;
    struct dp_port p;
};

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

static inline bool rig_have_ovs(void)
{
    return !access("/sys/module/openvswitch", F_OK);
}

static inline void rig_need_ovs(void)
{
    if (!rig_have_ovs())
        skip();
}

/* Every test runs once for each datapath that can run here; the state is its name.  MN_FILTER picks
 * tests by pattern, MN_DATAPATH one datapath. */
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
