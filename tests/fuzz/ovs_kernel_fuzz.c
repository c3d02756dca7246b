/* A kernel that answers whatever it likes: flows, ports, acknowledgements and upcalls of any size
 * and nesting, through the functions that take them in.
 *
 * A socket pair stands for netlink.  The input is cut into datagrams (a byte each says how much of
 * the rest); the messages in them get sequence numbers that belong to the conversation, for others
 * are passed over at once, and types that somebody looks at.  An end of the dump comes last. */
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "datapath/ovs_internal.h"
#include "packet/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FAMILY 20
#define SEQ    7

enum { DATAGRAMS = 64 /* there is room for the end behind them, which the reader waits for */ };

static void adopt(uint8_t *p, size_t size)
{
    int left = (int)size;

    for (struct nlmsghdr *h = (struct nlmsghdr *)p; nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
        h->nlmsg_seq = SEQ + (h->nlmsg_seq & 3);
        if (h->nlmsg_type & 3)
            h->nlmsg_type = FAMILY;
        else
            h->nlmsg_type = h->nlmsg_type & 4 ? NLMSG_ERROR : NLMSG_DONE;
    }
}

static void feed(int fd, const uint8_t *data, size_t size, bool upcalls)
{
    struct nlmsghdr end = {.nlmsg_len = sizeof end, .nlmsg_type = NLMSG_DONE, .nlmsg_seq = SEQ};

    for (unsigned i = 0; size > 1 && i < DATAGRAMS; i++) {
        size_t n = MIN((size_t)data[0] * 8 + 1, size - 1);
        uint8_t *copy = mem_alloc(n); /* so that what is read beyond it is noticed */

        memcpy(copy, data + 1, n);
        adopt(copy, n);
        if (upcalls && n >= sizeof end)
            ((struct nlmsghdr *)copy)->nlmsg_type = FAMILY;
        if (send(fd, copy, n, MSG_DONTWAIT) < 0)
            size = 0;
        else
            size -= n + 1;
        data += n + 1;
        free(copy);
    }
    send(fd, &end, sizeof end, 0);
}

/* Flows with notes, as ours are, of anything: what chance would take long to make. */
static void feed_notes(struct ovs_dp *d, int fd, const uint8_t *data, size_t size)
{
    struct nlmsghdr end = {.nlmsg_len = sizeof end, .nlmsg_type = NLMSG_DONE, .nlmsg_seq = SEQ};
    struct dp_flow f = {0};
    struct ovs_buf b = {0};
    uint8_t id[16] = {0}, n_flows = size ? *data : 0;

    ovs_buf_reset(&b, &d->control);
    for (unsigned i = 0; i < n_flows % 8u; i++) {
        size_t n = MIN(size, sizeof f.key + sizeof f.mask);
        struct flow_out outs[4] = {0};

        memcpy(&f, data, n); /* key, mask */
        data += n;
        size -= n;
        n = MIN(size, sizeof outs);
        memcpy(outs, data, n);
        data += n;
        size -= n;
        f.outs = outs;
        f.n_outs = n % 5;
        id[0] = size ? *data & 0x1f : 0;
        ovs_begin(&b, FAMILY, OVS_FLOW_CMD_NEW, 0, 1);
        ovs_put(&b, OVS_FLOW_ATTR_UFID, id, sizeof id);
        uint32_t nest = ovs_nest(&b, OVS_FLOW_ATTR_ACTIONS);

        ovs_note_put_flow(&b, d, &f);
        ovs_nest_end(&b, nest);
        ovs_end(&b);
        ((struct nlmsghdr *)(b.data + b.msg))->nlmsg_seq = SEQ;
    }
    if (b.size)
        send(fd, b.data, b.size, MSG_DONTWAIT);
    ovs_buf_free(&b);
    send(fd, &end, sizeof end, 0);
}

static int on_port(const struct dp_port *p, void *aux)
{
    (void)p;
    (void)aux;
    return 0;
}

static int on_flow(const struct dp_flow *f, const struct dp_flow_stats *s, void *aux)
{
    uint64_t *sum = aux;

    for (unsigned i = 0; i < f->n_outs; i++)
        *sum += f->outs[i].set;
    *sum += s->packets;
    return 0;
}

static struct ovs_dp *new_dp(int fd)
{
    static struct ovs_dp d;

    d = (struct ovs_dp){.dp.ops = &dp_ovs_ops, .opts = {.n_queues = 1, .max_flows = 9}};
    d.ifindex = 1;
    for (unsigned i = 0; i < OVS_N_FAMILIES; i++)
        d.families[i] = FAMILY;
    pthread_mutex_init(&d.port_lock, NULL);
    pthread_mutex_init(&d.queues[0].lock, NULL);
    d.control = d.queues[0].sock = (struct ovs_sock){.fd = fd, .seq = SEQ};
    d.queues[0].epoll = -1;
    return &d;
}

static void upcalls(struct ovs_dp *d, int fd)
{
    struct ovs_port port = {.port_no = 1, .fd = fd};
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &port};
    struct dp_upcall ups[4];

    d->queues[0].epoll = epoll_create1(EPOLL_CLOEXEC);
    d->queues[0].frames = malloc((size_t)OVS_RECV_MAX * OVS_MSG_MAX);
    epoll_ctl(d->queues[0].epoll, EPOLL_CTL_ADD, fd, &ev);
    while (ovs_recv(&d->dp, 0, ups, ARRAY_SIZE(ups)) > 0)
        ;
    close(d->queues[0].epoll);
    free(d->queues[0].frames);
}

static void flows(struct ovs_dp *d)
{
    struct dp_flow f[2] = {{.key.in_port = 1, .mask.in_port = ~0u},
                           {.key.in_port = 2, .mask.in_port = ~0u}};
    struct dp_flow_stats stats[2];
    int rcs[2];

    ovs_flow_put(&d->dp, 0, f, 2, rcs);
    ovs_flow_del(&d->dp, 0, f, 2, stats);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t sum = 0;
    int sv[2];

    if (size < 2 || size > 4096 || socketpair(AF_UNIX, SOCK_DGRAM, 0, sv))
        return 0;
    struct ovs_dp *d = new_dp(sv[0]);

    if (data[0] % 5 == 4)
        feed_notes(d, sv[1], data + 1, size - 1);
    else
        feed(sv[1], data + 1, size - 1, data[0] % 5 == 2);
    switch (data[0] % 5) {
    case 0:
    case 4:
        ovs_flow_each(&d->dp, on_flow, &sum);
        break;
    case 1:
        ovs_port_each(&d->dp, on_port, NULL);
        break;
    case 2:
        upcalls(d, sv[0]);
        break;
    case 3:
        flows(d);
        break;
    }
    ovs_buf_free(&d->buf);
    ovs_buf_free(&d->queues[0].buf);
    close(sv[0]);
    close(sv[1]);
    return 0;
}
