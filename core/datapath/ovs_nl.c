/* Generic netlink to openvswitch.ko: sockets and attributes by libnl, messages in batches by hand.
 *
 * The kernel deals with a message while it is being sent, so when a batch has been sent all answers
 * are there to read: only errors, unless an answer was asked for.  That saves an acknowledgement
 * for each flow.  Answers that the socket's buffer can't take are lost, and the kernel tells of the
 * first only (ENOBUFS): then nothing is known of the batch or the dump, which the caller is told,
 * and the socket, which may stay deaf or in the middle of a dump, is given up for a new one. */
#include <netlink/attr.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <linux/sock_diag.h>

#include "base/log.h"
#include "base/mem.h"
#include "datapath/ovs_internal.h"

#define ANSWERS   (4 << 20) /* bytes of answers that may wait */
#define DUMP_ROOM 65536u

int ovs_families(int families[OVS_N_FAMILIES], struct error *e)
{
    static const char *const names[OVS_N_FAMILIES] = {OVS_DATAPATH_FAMILY, OVS_VPORT_FAMILY,
                                                      OVS_FLOW_FAMILY, OVS_PACKET_FAMILY};
    struct nl_sock *sk = nl_socket_alloc();
    int rc = sk && !genl_connect(sk) ? 0 : -EIO;

    for (unsigned i = 0; i < OVS_N_FAMILIES && !rc; i++) {
        families[i] = genl_ctrl_resolve(sk, names[i]);
        if (families[i] < 0)
            rc = -ENOTSUP;
    }
    nl_socket_free(sk);
    if (!rc)
        return 0;
    error_set(e, rc, NULL, "datapath", "the kernel has no Open vSwitch");
    error_hint(e, "modprobe openvswitch says why it doesn't load");
    return rc;
}

int ovs_families_find(struct ovs_dp *d, struct error *e)
{
    int families[OVS_N_FAMILIES], rc = ovs_families(families, e);

    for (unsigned i = 0; i < OVS_N_FAMILIES && !rc; i++)
        d->families[i] = families[i];
    return rc;
}

int ovs_sock_open(struct ovs_sock *s)
{
    int size = ANSWERS, one = 1;

    *s = (struct ovs_sock){.sk = nl_socket_alloc(), .fd = -1, .seq = 1};
    if (!s->sk || genl_connect(s->sk))
        return -EIO;
    s->fd = nl_socket_get_fd(s->sk);
    if (setsockopt(s->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size))
        setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (setsockopt(s->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size))
        setsockopt(s->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    setsockopt(s->fd, SOL_NETLINK, NETLINK_CAP_ACK, &one,
               sizeof one); /* errors without the cause */
    return 0;
}

void ovs_sock_close(struct ovs_sock *s)
{
    nl_socket_free(s->sk);
    *s = (struct ovs_sock){.fd = -1};
}

/* A full socket drops what comes and counts it; it never turns deaf until it is empty. */
int ovs_upcall_sock(uint32_t pid, uint32_t bytes, struct nl_sock **out)
{
    struct nl_sock *sk = nl_socket_alloc();
    int one = 1, size = (int)bytes;

    if (!sk)
        return -ENOMEM;
    nl_socket_set_local_port(sk, pid);
    int rc = genl_connect(sk);

    if (rc) {
        nl_socket_free(sk);
        return rc == -NLE_EXIST || rc == -NLE_BUSY ? -EADDRINUSE : -EIO;
    }
    int fd = nl_socket_get_fd(sk);

    nl_socket_set_nonblocking(sk);
    setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &one, sizeof one);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    *out = sk;
    return 0;
}

uint32_t ovs_sock_drops(int fd)
{
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t size = sizeof info;

    if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size))
        return 0;
    return info[SK_MEMINFO_DROPS];
}

/* Messages. */

void ovs_buf_reset(struct ovs_buf *b, struct ovs_sock *s)
{
    b->size = b->n = b->msg = 0;
    b->failed = false;
    b->first = s->seq;
}

void ovs_buf_free(struct ovs_buf *b)
{
    free(b->data);
    *b = (struct ovs_buf){0};
}

static void *more(struct ovs_buf *b, size_t size)
{
    size_t aligned = NLMSG_ALIGN(size);

    if (b->size + aligned > b->room) {
        b->room = (uint32_t)MAX(2ul * b->room, b->size + aligned + 4096);
        b->data = mem_resize(b->data, b->room);
    }
    void *p = b->data + b->size;

    memset((uint8_t *)p + size, 0, aligned - size);
    b->size += (uint32_t)aligned;
    return p;
}

void ovs_begin(struct ovs_buf *b, int family, uint8_t cmd, uint16_t flags, int dp_ifindex)
{
    b->msg = b->size;
    struct nlmsghdr *h = more(b, sizeof *h);

    *h = (struct nlmsghdr){.nlmsg_type = (uint16_t)family,
                           .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
                           .nlmsg_seq = b->first + b->n};
    *(struct genlmsghdr *)more(b, sizeof(struct genlmsghdr)) =
        (struct genlmsghdr){.cmd = cmd, .version = 1};
    *(struct ovs_header *)more(b, sizeof(struct ovs_header)) =
        (struct ovs_header){.dp_ifindex = dp_ifindex};
}

int ovs_end(struct ovs_buf *b)
{
    if (b->failed) {
        b->size = b->msg;
        b->failed = false;
        return -EMSGSIZE;
    }
    ((struct nlmsghdr *)(b->data + b->msg))->nlmsg_len = b->size - b->msg;
    b->n++;
    return 0;
}

void *ovs_put(struct ovs_buf *b, int type, const void *data, size_t size)
{
    if (size + NLA_HDRLEN > UINT16_MAX) {
        b->failed = true;
        size = 0;
    }
    struct nlattr *a = more(b, NLA_HDRLEN + size);

    a->nla_type = (uint16_t)type;
    a->nla_len = (uint16_t)(NLA_HDRLEN + size);
    if (data)
        memcpy(a + 1, data, size);
    else
        memset(a + 1, 0, size);
    return a + 1;
}

uint32_t ovs_nest(struct ovs_buf *b, int type)
{
    uint32_t at = b->size;

    ovs_put(b, type, NULL, 0);
    return at;
}

void ovs_nest_end(struct ovs_buf *b, uint32_t at)
{
    if (b->size - at > UINT16_MAX)
        b->failed = true;
    else
        ((struct nlattr *)(b->data + at))->nla_len = (uint16_t)(b->size - at);
}

/* Conversations. */

static void start_over(struct ovs_sock *s)
{
    ovs_sock_close(s);
    ovs_sock_open(s);
}

static int send_all(struct ovs_sock *s, const struct ovs_buf *b)
{
    if (s->fd < 0)
        start_over(s);
    s->seq = b->first + MAX(b->n, 1u);
    while (send(s->fd, b->data, b->size, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

/* Why nothing could be read. */
static int recv_failed(struct ovs_sock *s)
{
    int rc = -errno;

    if (rc == -ENOBUFS) {
        log_limited(LOG_LVL_WARN, "datapath", "answers of the kernel were lost");
        start_over(s);
    }
    return rc;
}

/* Messages of one datagram, those of this conversation; *done when the last of a dump was there. */
static int take_answers(const struct ovs_buf *b, uint8_t *data, size_t size, int *rcs,
                        ovs_reply_fn *fn, void *aux, bool *done)
{
    int left = (int)size, result = 0;

    for (struct nlmsghdr *h = (struct nlmsghdr *)data; nlmsg_ok(h, left);
         h = nlmsg_next(h, &left)) {
        unsigned index = h->nlmsg_seq - b->first;
        int rc = 0;

        if (index >= b->n)
            continue;
        if (h->nlmsg_type == NLMSG_DONE) {
            *done = true;
        } else if (h->nlmsg_type == NLMSG_ERROR) {
            *done = true;
            if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct nlmsgerr)))
                rc = ((struct nlmsgerr *)NLMSG_DATA(h))->error;
            if (rcs)
                rcs[index] = rc;
        } else if (fn && !result) {
            rc = fn(index, h, aux);
        }
        result = result ? result : rc;
    }
    return result;
}

int ovs_talk(struct ovs_sock *s, struct ovs_buf *b, int *rcs, ovs_reply_fn *fn, void *aux)
{
    uint8_t data[DUMP_ROOM] __attribute__((aligned(8)));
    int rc = 0;
    bool done;

    if (rcs)
        memset(rcs, 0, b->n * sizeof *rcs);
    if (!b->n)
        return 0;
    rc = send_all(s, b);
    while (!rc) {
        ssize_t n = recv(s->fd, data, sizeof data, MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (n < 0)
            rc = recv_failed(s);
        else
            take_answers(b, data, (size_t)n, rcs, fn, aux, &done);
    }
    for (unsigned i = 0; rc && rcs && i < b->n; i++)
        rcs[i] = rc;
    ovs_buf_reset(b, s);
    return rc;
}

void ovs_talk_many(struct ovs_sock *s, struct ovs_buf *b)
{
    uint32_t at = 0;

    while (at < b->size) { /* a part that the socket takes at once, from one message to another */
        struct ovs_buf part = {.data = b->data + at, .first = s->seq};

        while (at < b->size && part.n < OVS_BATCH) {
            struct nlmsghdr *h = (struct nlmsghdr *)(b->data + at);

            h->nlmsg_seq = part.first + part.n++;
            part.size += h->nlmsg_len;
            at += h->nlmsg_len;
        }
        ovs_talk(s, &part, NULL, NULL, NULL);
    }
}

int ovs_talk_one(struct ovs_sock *s, struct ovs_buf *b, ovs_reply_fn *fn, void *aux)
{
    int code = 0;
    int rc = b->n == 1 ? ovs_talk(s, b, &code, fn, aux) : -EINVAL;

    return rc ? rc : code;
}

int ovs_dump(struct ovs_sock *s, struct ovs_buf *b, ovs_reply_fn *fn, void *aux)
{
    uint8_t *data = mem_alloc(DUMP_ROOM);
    int result = send_all(s, b);
    bool done = result != 0;

    while (!done) {
        ssize_t n = recv(s->fd, data, DUMP_ROOM, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int rc = recv_failed(s);

            result = result ? result : rc;
            break;
        }
        int rc = take_answers(b, data, (size_t)n, NULL, result ? NULL : fn, aux, &done);
        result = result ? result : rc;
    }
    free(data);
    ovs_buf_reset(b, s);
    return result;
}

int ovs_attrs(const struct nlmsghdr *h, struct nlattr **attrs, int max)
{
    const int head = (int)(GENL_HDRLEN + NLMSG_ALIGN(sizeof(struct ovs_header)));
    int size = (int)h->nlmsg_len - (int)NLMSG_HDRLEN - head;

    memset(attrs, 0, ((size_t)max + 1) * sizeof *attrs);
    if (size < 0)
        return -EBADMSG;
    return nla_parse(attrs, max, (struct nlattr *)((uint8_t *)NLMSG_DATA(h) + head), size, NULL)
               ? -EBADMSG
               : 0;
}
