/* Mail: datagrams between the agents of a cloud, over the underlay.
 *
 * Like UDP, because it is UDP: a datagram arrives whole, or not at all, or twice, in any order. One
 * sent before a tunnelled packet to the same host is there before whatever that packet causes comes
 * up, as long as the underlay keeps the order: so who takes its mail before its upcalls knows what
 * the sender knew.  Who the sender is follows from its address; nothing is encrypted (a site that
 * can't trust its underlay puts the tunnels' addresses behind IPsec or WireGuard).
 *
 *   udp      a socket for both families, on all addresses of the host
 *   memory   of the switchboard of memory datapaths (datapath/memory.h)
 *
 * Threads: any. */
#ifndef MN_NET_MAIL_H
#define MN_NET_MAIL_H

#include "base/error.h"
#include "base/types.h"

#define MAIL_MAX  1400 /* bytes of a datagram: fits an underlay of 1500 with any headers */
#define MAIL_PORT 2925 /* UDP, by default: what MidoNet sent flow state to */

struct mail;

struct mail_ops {
    int (*send)(struct mail *m, const struct ip *local, const struct ip *remote, const void *buf,
                size_t size);
    int (*recv)(struct mail *m, struct ip *remote, void *buf, size_t room);
    int (*fd)(struct mail *m);
    void (*close)(struct mail *m);
};

/* First member of every filling's own struct. */
struct mail {
    const struct mail_ops *ops;
};

/* 'port' 0: MAIL_PORT. */
int mail_udp_open(uint16_t port, struct mail **out, struct error *e);

/* From this host's address 'local' to another host's.  0 or a negative errno: lost, like any. */
static inline int mail_send(struct mail *m, const struct ip *local, const struct ip *remote,
                            const void *buf, size_t size)
{
    return m->ops->send(m, local, remote, buf, size);
}

/* The size of the next datagram (0: it is empty) and where it comes from, or -EAGAIN when there is
 * none.  Never blocks. */
static inline int mail_recv(struct mail *m, struct ip *remote, void *buf, size_t room)
{
    return m->ops->recv(m, remote, buf, room);
}

/* Readable while there is some. */
static inline int mail_fd(struct mail *m)
{
    return m->ops->fd(m);
}

static inline void mail_close(struct mail *m) /* null is fine */
{
    if (m)
        m->ops->close(m);
}

#endif
