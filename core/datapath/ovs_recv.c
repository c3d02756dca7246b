/* Upcalls: a socket for each port, served in turns.  A port that floods fills its own socket, which
 * drops and counts what comes then; nobody else waits longer for it.
 *
 * Packets come with their checksums finished and merged ones cut: the kernel does that before it
 * gives them to a process. */
#include <netlink/attr.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "datapath/ovs_internal.h"
#include "packet/packet.h"

#define TURN 8 /* upcalls of a port that is alone */

int ovs_recv_open(struct ovs_dp *d, unsigned queue)
{
    struct ovs_queue *q = &d->queues[queue];

    q->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (q->epoll < 0)
        return -errno;
    q->frames = malloc((size_t)OVS_RECV_MAX * OVS_MSG_MAX); /* touched as far as it is used */
    return q->frames ? ovs_sock_open(&q->sock) : -ENOMEM;
}

void ovs_recv_close(struct ovs_dp *d, unsigned queue)
{
    struct ovs_queue *q = &d->queues[queue];

    if (q->epoll >= 0)
        close(q->epoll);
    q->epoll = -1;
    ovs_sock_close(&q->sock);
    ovs_buf_free(&q->buf);
    free(q->frames);
    free(q->frame);
    q->frames = q->frame = NULL;
}

/* The hops that were taken off before the packet was sent up. */
static void give_hops_back(uint8_t *p, size_t size, uint8_t hops)
{
    struct packet_layers l;
    struct flow_key key;

    packet_parse(p, size, &key, &l);
    if (!hops || !l.l3)
        return;
    if (key.eth_type == ETH_TYPE_IP6) {
        p[l.l3 + 7] = (uint8_t)(p[l.l3 + 7] + hops);
    } else if (key.eth_type == ETH_TYPE_IP) {
        uint32_t sum = (uint32_t)(p[l.l3 + 10] << 8 | p[l.l3 + 11]);

        p[l.l3 + 8] = (uint8_t)(p[l.l3 + 8] + hops);
        sum += 0xffff - ((uint32_t)hops << 8); /* RFC 1624: the sum goes down as the TTL goes up */
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        p[l.l3 + 10] = (uint8_t)(sum >> 8);
        p[l.l3 + 11] = (uint8_t)sum;
    }
}

static bool rate_allows(const struct ovs_dp *d, struct ovs_port *p)
{
    if (!d->opts.upcall_rate)
        return true;
    uint64_t now = clock_ns(), gap = NSEC_PER_SEC / d->opts.upcall_rate;

    p->paid_ns = MAX(p->paid_ns, now > NSEC_PER_SEC ? now - NSEC_PER_SEC : 0);
    if (p->paid_ns + gap > now)
        return false;
    p->paid_ns += gap;
    return true;
}

/* A message of a port's socket; false when it is none for the agent. */
static bool read_upcall(struct ovs_dp *d, struct ovs_port *port, uint8_t *data, size_t size,
                        struct dp_upcall *up)
{
    const struct nlmsghdr *h = (struct nlmsghdr *)data;
    struct nlattr *a[OVS_PACKET_ATTR_MAX + 1];

    if (!NLMSG_OK(h, (unsigned)size) || h->nlmsg_type != d->families[OVS_PACKET] ||
        ovs_attrs(h, a, OVS_PACKET_ATTR_MAX) || !a[OVS_PACKET_ATTR_PACKET]) {
        log_limited(LOG_LVL_DEBUG, "datapath", "an upcall that can't be read");
        return false;
    }
    const struct genlmsghdr *g = NLMSG_DATA(h);
    uint8_t *packet = nla_data(a[OVS_PACKET_ATTR_PACKET]);
    int packet_size = nla_len(a[OVS_PACKET_ATTR_PACKET]);

    if (packet_size < 14)
        return false;
    *up = (struct dp_upcall){
        .port_no = port->port_no, .size = (uint32_t)packet_size, .packet = packet, .handle = 1};
    if (g->cmd == OVS_PACKET_CMD_ACTION) {
        up->reason = DP_TTL;
        if (a[OVS_PACKET_ATTR_USERDATA] && nla_len(a[OVS_PACKET_ATTR_USERDATA]) >= 4)
            give_hops_back(packet, up->size, (uint8_t)nla_get_u32(a[OVS_PACKET_ATTR_USERDATA]));
    }
    return true;
}

/* Up to 'max' of one port. */
static size_t serve(struct ovs_dp *d, struct ovs_queue *q, struct ovs_port *port,
                    struct dp_upcall *ups, size_t n, size_t max)
{
    while (n < max) {
        uint8_t *data = q->frames + n * OVS_MSG_MAX;
        ssize_t size = recv(port->fd, data, OVS_MSG_MAX, MSG_DONTWAIT);

        if (size < 0)
            break;
        if (!rate_allows(d, port)) {
            port->upcalls_lost++;
            continue;
        }
        if (!read_upcall(d, port, data, (size_t)size, &ups[n]))
            continue;
        port->upcalls++;
        n++;
    }
    return n;
}

int ovs_recv(struct dp *dp, unsigned queue, struct dp_upcall *ups, size_t max)
{
    struct ovs_dp *d = ovs_of(dp);
    struct ovs_queue *q = &d->queues[queue];
    struct epoll_event ready[OVS_RECV_MAX];
    size_t n = 0;

    max = MIN(max, (size_t)OVS_RECV_MAX);
    pthread_mutex_lock(&q->lock);
    while (n < max) {
        int n_ready = epoll_wait(q->epoll, ready, (int)(max - n), 0);
        size_t turn = n_ready == 1 ? TURN : 1;

        if (n_ready <= 0)
            break;
        for (int i = 0; i < n_ready; i++)
            n = serve(d, q, ready[i].data.ptr, ups, n, MIN(n + turn, max));
    }
    pthread_mutex_unlock(&q->lock);
    return (int)n;
}

int ovs_recv_fd(struct dp *dp, unsigned queue)
{
    return ovs_of(dp)->queues[queue].epoll;
}
