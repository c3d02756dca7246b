#include "echo.h"

#include <errno.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/errqueue.h> /* wants struct timespec */

#include "base/mem.h"

#define ICMP_SIZE 8 /* header of an echo, both families */

static unsigned ip_header_size(const struct echo *s)
{
    return s->v6 ? 40 : 20;
}

static socklen_t address(const struct ip *ip, struct sockaddr_storage *ss)
{
    memset(ss, 0, sizeof *ss);
    if (ip_is4(ip)) {
        struct sockaddr_in *sin = (struct sockaddr_in *)ss;
        sin->sin_family = AF_INET;
        sin->sin_addr.s_addr = ip_to4(ip);
        return sizeof *sin;
    }
    struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)ss;
    sin6->sin6_family = AF_INET6;
    memcpy(&sin6->sin6_addr, ip->b, 16);
    return sizeof *sin6;
}

/* An unprivileged "ping socket" where the system allows them, else a raw one. */
static int open_socket(struct echo *s)
{
    int family = s->v6 ? AF_INET6 : AF_INET;
    int protocol = s->v6 ? (int)IPPROTO_ICMPV6 : (int)IPPROTO_ICMP;

    s->raw = false;
    s->fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    if (s->fd >= 0)
        return 0;
    s->raw = true;
    s->fd = socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    return s->fd < 0 ? -errno : 0;
}

static int set_options(const struct echo *s)
{
    int on = 1, probe = s->v6 ? IPV6_PMTUDISC_PROBE : IP_PMTUDISC_PROBE, room = 1 << 20;
    int level = s->v6 ? IPPROTO_IPV6 : IPPROTO_IP;
    struct icmp6_filter filter;

    setsockopt(s->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (setsockopt(s->fd, level, s->v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, &probe,
                   sizeof probe) ||
        setsockopt(s->fd, level, s->v6 ? IPV6_RECVERR : IP_RECVERR, &on, sizeof on))
        return -errno;
    if (!s->v6)
        return 0;
    if (setsockopt(s->fd, level, IPV6_DONTFRAG, &on, sizeof on))
        return -errno;
    if (!s->raw)
        return 0;
    ICMP6_FILTER_SETBLOCKALL(&filter);
    ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
    return setsockopt(s->fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter) ? -errno : 0;
}

static int join(struct echo *s, const struct ip *from, const struct ip *to)
{
    struct sockaddr_storage ss;
    socklen_t size;
    int mtu = 0;

    if (!ip_is_none(from)) {
        size = address(from, &ss);
        if (bind(s->fd, (struct sockaddr *)&ss, size))
            return -errno;
    }
    size = address(to, &ss);
    if (connect(s->fd, (struct sockaddr *)&ss, size))
        return -errno;
    /* With PMTUDISC_PROBE this is the interface's, not a learned one. */
    size = sizeof mtu;
    if (getsockopt(s->fd, s->v6 ? IPPROTO_IPV6 : IPPROTO_IP, s->v6 ? IPV6_MTU : IP_MTU, &mtu,
                   &size))
        return -errno;
    s->mtu = mtu < 0 ? 0 : MIN((unsigned)mtu, 65535u);
    return 0;
}

int echo_open(struct echo *s, const struct ip *from, const struct ip *to)
{
    *s = (struct echo){.fd = -1, .v6 = !ip_is4(to)};
    int rc = open_socket(s);

    if (rc)
        return rc;
    if (getrandom(&s->id, sizeof s->id, 0) != sizeof s->id)
        rc = -EIO;
    if (!rc)
        rc = set_options(s);
    if (!rc)
        rc = join(s, from, to);
    if (rc)
        echo_close(s);
    return rc;
}

void echo_close(struct echo *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

static uint16_t checksum(const uint8_t *p, size_t size)
{
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < size; i += 2)
        sum += (uint32_t)p[i] << 8 | p[i + 1];
    if (size & 1)
        sum += (uint32_t)p[size - 1] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

int echo_send(struct echo *s, unsigned size)
{
    static uint8_t packet[65536];
    unsigned n = size - ip_header_size(s);
    int old;
    socklen_t old_size = sizeof old;

    /* An ICMP error that came for an earlier echo would be this one's result. */
    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &old, &old_size);
    memset(packet, 0, ICMP_SIZE);
    packet[0] = s->v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO;
    packet[4] = (uint8_t)(s->id >> 8);
    packet[5] = (uint8_t)s->id;
    packet[6] = (uint8_t)(size >> 8); /* the sequence number tells sizes apart */
    packet[7] = (uint8_t)size;
    if (!s->v6) { /* the kernel makes ICMPv6's, and that of ping sockets */
        uint16_t sum = checksum(packet, n);
        packet[2] = (uint8_t)(sum >> 8);
        packet[3] = (uint8_t)sum;
    }
    return send(s->fd, packet, n, 0) < 0 ? -errno : 0;
}

static const char *unreachable_reason(const struct sock_extended_err *err)
{
    static const char *const v4[] = {
        [ICMP_NET_UNREACH] = "a router has no route to its network",
        [ICMP_HOST_UNREACH] = "no host answers at that address",
        [ICMP_PROT_UNREACH] = "it refuses ICMP",
        [ICMP_NET_ANO] = "a firewall on the way refuses",
        [ICMP_HOST_ANO] = "a firewall on the way refuses",
        [ICMP_PKT_FILTERED] = "a firewall on the way refuses",
    };
    static const char *const v6[] = {
        [ICMP6_DST_UNREACH_NOROUTE] = "a router has no route to its network",
        [ICMP6_DST_UNREACH_ADMIN] = "a firewall on the way refuses",
        [ICMP6_DST_UNREACH_ADDR] = "no host answers at that address",
    };
    const char *const *table = err->ee_origin == SO_EE_ORIGIN_ICMP6 ? v6 : v4;
    size_t n = err->ee_origin == SO_EE_ORIGIN_ICMP6 ? ARRAY_SIZE(v6) : ARRAY_SIZE(v4);
    unsigned unreachable =
        err->ee_origin == SO_EE_ORIGIN_ICMP6 ? ICMP6_DST_UNREACH : ICMP_DEST_UNREACH;

    if (err->ee_errno == EHOSTUNREACH && err->ee_origin == SO_EE_ORIGIN_LOCAL)
        return "no host answers at that address";
    if (err->ee_type == unreachable && err->ee_code < n && table[err->ee_code])
        return table[err->ee_code];
    return strerror((int)err->ee_errno);
}

/* Bytes of the packet that was refused are quoted behind the error: our own header again. */
static bool receive_error(struct echo *s, struct echo_event *ev)
{
    uint8_t quoted[128] = {0}, control[512];
    struct iovec iov = {quoted, sizeof quoted};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(s->fd, &msg, MSG_ERRQUEUE);

    if (n < 0)
        return false;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        struct sock_extended_err err;

        if (!((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
              (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR)) ||
            c->cmsg_len < CMSG_LEN(sizeof err))
            continue;
        memcpy(&err, CMSG_DATA(c), sizeof err);
        *ev =
            (struct echo_event){.type = err.ee_errno == EMSGSIZE ? ECHO_TOO_BIG : ECHO_UNREACHABLE,
                                .size = n >= ICMP_SIZE ? (unsigned)quoted[6] << 8 | quoted[7] : 0,
                                .mtu = err.ee_errno == EMSGSIZE ? err.ee_info : 0};
        snprintf(ev->reason, sizeof ev->reason, "%s", unreachable_reason(&err));
        return true;
    }
    *ev = (struct echo_event){.type = ECHO_TOO_BIG}; /* of no size: says nothing */
    return true;
}

static bool receive_answer(struct echo *s, struct echo_event *ev)
{
    static uint8_t packet[65536];
    uint8_t reply = s->v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY;

    for (;;) {
        ssize_t n = recv(s->fd, packet, sizeof packet, MSG_DONTWAIT);
        size_t skip = 0;

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) /* an error of the peer is in the error queue too */
            return false;
        if (s->raw && !s->v6)
            skip = n > 0 ? (size_t)(packet[0] & 15) * 4 : 0;
        if ((size_t)n < skip + ICMP_SIZE || packet[skip] != reply ||
            (s->raw &&
             (packet[skip + 4] != (uint8_t)(s->id >> 8) || packet[skip + 5] != (uint8_t)s->id)))
            continue;
        *ev = (struct echo_event){.type = ECHO_ANSWER,
                                  .size = (unsigned)((size_t)n - skip) + ip_header_size(s)};
        return true;
    }
}

bool echo_receive(struct echo *s, struct echo_event *ev)
{
    return receive_error(s, ev) || receive_answer(s, ev);
}
