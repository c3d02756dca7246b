#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/mail.h"

/* A burst of new connections' records while the agent is busy. */
#define RECEIVE_BUFFER (4 << 20)

struct udp {
    struct mail mail;
    int fd;
    uint16_t port;
};

/* 'struct ip' is what a socket of both families calls an address. */
static struct sockaddr_in6 address(const struct ip *ip, uint16_t port)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    memcpy(&a.sin6_addr, ip, sizeof a.sin6_addr);
    return a;
}

static int udp_send(struct mail *m, const struct ip *local, const struct ip *remote,
                    const void *buf, size_t size)
{
    struct udp *u = (struct udp *)m;
    struct sockaddr_in6 to = address(remote, u->port);
    struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = size};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(struct in6_pktinfo))];
    } control = {0};
    struct in6_pktinfo info = {0};
    struct msghdr msg = {.msg_name = &to,
                         .msg_namelen = sizeof to,
                         .msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof control};

    memcpy(&info.ipi6_addr, local, sizeof info.ipi6_addr);
    control.head = (struct cmsghdr){
        .cmsg_level = IPPROTO_IPV6, .cmsg_type = IPV6_PKTINFO, .cmsg_len = CMSG_LEN(sizeof info)};
    memcpy(CMSG_DATA(&control.head), &info, sizeof info);
    return sendmsg(u->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int udp_recv(struct mail *m, struct ip *remote, void *buf, size_t room)
{
    struct udp *u = (struct udp *)m;
    struct sockaddr_in6 from;
    ssize_t n;

    do { /* an ICMP error about one sent: the next */
        socklen_t len = sizeof from;
        n = recvfrom(u->fd, buf, room, MSG_DONTWAIT, (struct sockaddr *)&from, &len);
    } while (n < 0 && (errno == EINTR || errno == ECONNREFUSED || errno == EHOSTUNREACH ||
                       errno == ENETUNREACH));
    if (n < 0)
        return -EAGAIN;
    memcpy(remote, &from.sin6_addr, sizeof *remote);
    return (int)n;
}

static int udp_fd(struct mail *m)
{
    return ((struct udp *)m)->fd;
}

static void udp_close(struct mail *m)
{
    struct udp *u = (struct udp *)m;

    close(u->fd);
    free(u);
}

static const struct mail_ops udp_ops = {
    .send = udp_send, .recv = udp_recv, .fd = udp_fd, .close = udp_close};

int mail_udp_open(uint16_t port, struct mail **out, struct error *e)
{
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int off = 0, size = RECEIVE_BUFFER;
    struct ip any = ip_none;

    port = port ? port : MAIL_PORT;
    struct sockaddr_in6 a = address(&any, port);
    if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) ||
        bind(fd, (struct sockaddr *)&a, sizeof a)) {
        int rc = -errno;
        if (fd >= 0)
            close(fd);
        return error_set(e, rc, "agent", NULL, "UDP port %u, for other agents: %s", port,
                         strerror(-rc));
    }
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    struct udp *u = NEW(struct udp);
    *u = (struct udp){.mail.ops = &udp_ops, .fd = fd, .port = port};
    *out = &u->mail;
    return 0;
}
