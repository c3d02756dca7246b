/* Packets the agent sends: written to a tap whose ingress program applies the outputs.
 *
 * The outputs lie in the queue's slot of a mapped array, not in the packet; a write to a tap runs
 * the program before it returns, so one slot a queue is enough, and where it doesn't (a host that
 * spreads receive work over cores) 'done' tells.  Merged packets and their unfinished checksums go
 * with a virtio-net header, so the kernel cuts and finishes them on the way out.  What the program
 * can't rewrite is rewritten here first.
 *
 * That is for whatever there can be.  Plain small packets, what a burst of new flows is made of,
 * are put off and go together (ebpf_batch.c). */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netlink/socket.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "datapath/ebpf_internal.h"
#include "packet/checksum.h"
#include "packet/packet.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5 /* since Linux 6.2 */
#endif

#define HEADROOM   8u
#define ONE_BY_ONE 2u                  /* so few are quicker through the tap */
#define PATIENCE   (5 * NSEC_PER_MSEC) /* for a write that isn't done when it returns */

static int open_tap(const char *name)
{
    struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", name);
    if (ioctl(fd, TUNSETIFF, &ifr)) {
        int rc = -errno;

        close(fd);
        return rc;
    }
    return fd;
}

int ebpf_exec_open(struct ebpf_dp *d, struct error *e)
{
    char name[16];
    bool made;
    int rc = 0;

    ebpf_device_name(d, "inj", name);
    for (unsigned i = 0; i < d->opts.n_queues; i++) {
        d->queues[i].tap = open_tap(name);
        if (d->queues[i].tap < 0)
            return error_set(e, d->queues[i].tap, NULL, NULL, "can't make the tap %s: %s", name,
                             strerror(-d->queues[i].tap));
    }
    int ifindex = (int)if_nametoindex(name);

    rc = ebpf_rtnl_up(d->rtnl, ifindex);
    if (!rc)
        rc = ebpf_tc_attach(ifindex, d->progs[PROG_INJECT], &made);
    return rc ? error_set(e, rc, NULL, NULL, "can't set up %s: %s", name, strerror(-rc)) : 0;
}

void ebpf_exec_close(struct ebpf_dp *d)
{
    for (unsigned i = 0; i < DP_MAX_QUEUES; i++) {
        if (d->queues[i].tap >= 0)
            close(d->queues[i].tap);
        d->queues[i].tap = -1;
        free(d->queues[i].frame);
        d->queues[i].frame = NULL;
    }
}

/* Makes a packet as merged as it came: header for the kernel, checksum half-made. */
static bool merge_header(uint8_t *p, size_t size, uint16_t gso_size, struct virtio_net_hdr *h)
{
    struct packet_layers l;
    struct flow_key key;

    packet_parse(p, size, &key, &l);
    if (key.malformed || !l.l4 || (key.ip_proto != IPPROTO_TCP && key.ip_proto != IPPROTO_UDP))
        return false;
    bool ip6 = key.eth_type == ETH_TYPE_IP6, tcp = key.ip_proto == IPPROTO_TCP;
    struct csum_place place = csum_place(key.ip_proto, ip6);
    uint32_t l4_size = l.l4_end - l.l4;
    uint8_t tail[8] = {0, 0, (uint8_t)(l4_size >> 8), (uint8_t)l4_size, 0, 0, 0, key.ip_proto};
    uint32_t addr = ip6 ? 16 : 4;
    uint16_t sum = csum_add(0, p + l.l3 + (ip6 ? 8 : 12), 2 * addr);

    sum = csum_add(sum, tail, sizeof tail);
    p[l.l4 + place.offset] = (uint8_t)(sum >> 8);
    p[l.l4 + place.offset + 1] = (uint8_t)sum;
    h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    h->csum_start = (uint16_t)l.l4;
    h->csum_offset = place.offset;
    h->gso_size = gso_size;
    h->gso_type =
        tcp ? ip6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_UDP_L4;
    h->hdr_len = (uint16_t)(l.l4 + (tcp ? (p[l.l4 + 12] >> 4) * 4u : 8u));
    return true;
}

/* Another program deleted the device.  The first to notice makes one; queues join it. */
static int reopen_tap(struct ebpf_dp *d, unsigned queue)
{
    struct ebpf_queue *q = &d->queues[queue];
    char name[16];
    bool made;

    ebpf_device_name(d, "inj", name);
    pthread_mutex_lock(&d->tap_lock);
    int fd = open_tap(name), rc = fd < 0 ? fd : 0;
    struct nl_sock *sk = rc ? NULL : ebpf_rtnl_open();

    if (!rc)
        rc = sk ? ebpf_rtnl_up(sk, (int)if_nametoindex(name)) : -ENOBUFS;
    if (!rc && !ebpf_tc_program((int)if_nametoindex(name)))
        rc = ebpf_tc_attach((int)if_nametoindex(name), d->progs[PROG_INJECT], &made);
    pthread_mutex_unlock(&d->tap_lock);
    nl_socket_free(sk);
    if (rc && fd >= 0)
        close(fd);
    if (rc)
        return rc;
    log_warn("datapath", "another program deleted interface=%s: made again", name);
    close(q->tap);
    q->tap = fd;
    return 0;
}

static void await_done(struct fp_slot *slot)
{
    uint64_t deadline = clock_ns() + PATIENCE;

    while (__atomic_load_n(&slot->done, __ATOMIC_ACQUIRE) != slot->seq) {
        if (clock_ns() > deadline)
            break;
        sched_yield();
    }
    slot->done = slot->seq;
}

/* Writes the packet with the outputs that lie in the slot. */
static int send_slot(struct ebpf_dp *d, unsigned queue, uint8_t *p, size_t size, uint16_t gso_size,
                     unsigned n_outs)
{
    struct fp_slot *slot = &d->slots[queue];
    struct virtio_net_hdr h = {0};

    if (gso_size && !merge_header(p, size, gso_size, &h))
        return -EINVAL;
    slot->n_outs = n_outs;
    __atomic_store_n(&slot->seq, slot->seq + 1, __ATOMIC_RELEASE);
    struct iovec iov[2] = {{&h, sizeof h}, {p, size}};
    ssize_t rc = writev(d->queues[queue].tap, iov, 2);

    if (rc < 0 && errno == EBADFD && !reopen_tap(d, queue))
        rc = writev(d->queues[queue].tap, iov, 2);

    if (rc < 0) {
        slot->done = slot->seq;
        return -errno;
    }
    if (__atomic_load_n(&slot->done, __ATOMIC_ACQUIRE) != slot->seq)
        await_done(slot);
    return 0;
}

/* The packet in memory that may be changed. */
static uint8_t *own_copy(struct ebpf_queue *q, const struct dp_exec *x)
{
    if (!q->frame)
        q->frame = mem_alloc(HEADROOM + PACKET_MAX + HEADROOM);
    memcpy(q->frame + HEADROOM, x->packet, x->size);
    return q->frame + HEADROOM;
}

static int send_rewritten(struct ebpf_dp *d, unsigned queue, const struct dp_exec *x,
                          const struct flow_out *out)
{
    uint8_t *p = own_copy(&d->queues[queue], x);
    const struct flow_key no_mask = {0};
    struct flow_out plain = *out;
    size_t size = x->size;
    int rc;

    p = packet_rewrite(p, &size, out);
    plain.set = 0;
    rc = ebpf_out_from(d, &plain, &no_mask, &no_mask, &d->slots[queue].outs[0]);
    return rc ? rc : send_slot(d, queue, p, size, x->gso_size, 1);
}

/* A packet that isn't merged is written as it is, from where it lies. */
static int send_collected(struct ebpf_dp *d, unsigned queue, const struct dp_exec *x, unsigned n)
{
    uint8_t *p = x->gso_size ? own_copy(&d->queues[queue], x) : (uint8_t *)x->packet;

    if (!n)
        return 0;
    ebpf_outs_sort(d->slots[queue].outs, n);
    return send_slot(d, queue, p, x->size, x->gso_size, n);
}

static int send_all(struct ebpf_dp *d, unsigned queue, const struct dp_exec *x,
                    const struct flow_key *key)
{
    struct fp_out *outs = d->slots[queue].outs;
    struct flow_key mask;
    unsigned n = 0, n_hard = 0;
    int rc = 0, failed = 0;

    memset(&mask, 0xff, sizeof mask);
    for (unsigned i = 0; i < x->n_outs; i++) {
        rc = ebpf_out_from(d, &x->outs[i], key, &mask, &outs[n]);
        n += rc == 0;
        n_hard += rc != 0;
        if (n == FP_MAX_OUTS) {
            rc = send_collected(d, queue, x, n);
            failed = rc ? rc : failed;
            n = 0;
        }
    }
    rc = send_collected(d, queue, x, n);
    failed = rc ? rc : failed;
    for (unsigned i = 0; i < x->n_outs && n_hard; i++) {
        struct fp_out o;

        if (!ebpf_out_from(d, &x->outs[i], key, &mask, &o))
            continue;
        rc = send_rewritten(d, queue, x, &x->outs[i]);
        failed = rc ? rc : failed;
    }
    return failed;
}

/* Sends what was put off. */
static int send_batch(struct ebpf_dp *d, unsigned queue)
{
    struct ebpf_queue *q = &d->queues[queue];
    unsigned n = q->n_sends;

    q->n_sends = 0;
    int rc = n ? ebpf_batch_run(d, queue, FP_SEND, n, q->sends_type) : 0;

    return rc > 0 ? -EIO : rc;
}

/* The usual first packet: small, as it comes from a wire, to one port, or into one tunnel whose
 * outer headers are known.  *type is the Ethernet type that the kernel will see. */
static bool is_plain(struct ebpf_dp *d, const struct dp_exec *x, uint32_t *to, uint16_t *type)
{
    const struct flow_out *out = x->outs;

    if (x->n_outs != 1 || x->size > FP_SEND_SMALL || x->gso_size ||
        out->set & (FLOW_POP_VLAN | FLOW_PUSH_VLAN))
        return false;
    *to = out->port;
    memcpy(type, x->packet + 12, sizeof *type);
    if (out->kind == FLOW_OUT_PORT)
        return true;
    if (out->tun_type != FLOW_TUNNEL_VXLAN ||
        ebpf_tunnel_index(d, &out->tun_local, &out->tun_remote, to))
        return false;
    memcpy(type, d->tunnels[*to].header + 12, sizeof *type);
    return d->tunnels[*to].flags & FP_TUNNEL_READY;
}

/* Rewritten here: the program has only to copy it. */
static int put_off(struct ebpf_dp *d, unsigned queue, const struct dp_exec *x,
                   const struct flow_key *key, uint32_t to, uint16_t type)
{
    struct ebpf_queue *q = &d->queues[queue];
    size_t size = x->size;
    int rc = 0;

    if (q->n_sends == FP_BATCH || (q->n_sends && q->sends_type != type))
        rc = send_batch(d, queue);
    struct fp_send *s = &d->batches[queue].sends[q->n_sends++];

    q->sends_type = type;
    memcpy(s->packet, x->packet, size);
    packet_rewrite(s->packet, &size, x->outs);
    s->size = (uint16_t)size;
    s->kind = x->outs->kind;
    s->to = to;
    if (s->kind == FP_OUT_TUNNEL) {
        s->tun_tos = x->outs->tun_tos;
        s->tun_id = x->outs->tun_id & 0xffffff;
        s->hash = (uint32_t)flow_symmetric_hash(key);
    }
    return rc;
}

static int execute(struct ebpf_dp *d, unsigned queue, const struct dp_exec *x, bool alone)
{
    unsigned needed = dp_ttl_needed(x->outs, x->n_outs);
    struct packet_layers l;
    struct flow_key key;
    uint32_t to;
    uint16_t type;

    if (!x->n_outs)
        return 0;
    if (x->size > PACKET_MAX || x->size < 14)
        return -EINVAL;
    memset(&key, 0, sizeof key);
    packet_parse(x->packet, x->size, &key, &l);
    if (needed && key.ip_ttl <= needed) {
        atomic_fetch_add(&d->exec_ttl, 1);
        return 0;
    }
    if (!alone && is_plain(d, x, &to, &type))
        return put_off(d, queue, x, &key, to, type);
    int rc = send_batch(d, queue), rc2 = send_all(d, queue, x, &key); /* in their order */

    return rc2 ? rc2 : rc;
}

int ebpf_execute(struct dp *dp, unsigned queue, const struct dp_exec *execs, size_t n)
{
    struct ebpf_dp *d = ebpf_of(dp);
    int failed = 0;

    for (size_t i = 0; i <= n; i++) {
        int rc = i < n ? execute(d, queue, &execs[i], n <= ONE_BY_ONE) : send_batch(d, queue);

        if (!rc)
            continue;
        failed = rc;
        atomic_fetch_add(&d->exec_failed, 1);
        log_limited(LOG_LVL_WARN, "datapath", "packets couldn't be sent: %s", strerror(-rc));
    }
    return failed;
}
