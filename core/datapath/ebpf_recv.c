/* Upcalls: out of the queue's ring buffer, by turns of its ports, to the agent.
 *
 * Records are copied out at once and the ring is free again; what bounds a port is its credit
 * (fp_port.sent - done), given back when the agent is finished with the packet.  While the worker
 * finds something, 'awake' spares the senders the wake-up; it is taken back before an empty answer,
 * so a worker that then sleeps on the ring's descriptor misses nothing. */
#include <sys/mman.h>
#include <unistd.h>
#include <utlist.h>

#include "base/log.h"
#include "base/mem.h"
#include "datapath/ebpf_internal.h"
#include "packet/checksum.h"
#include "packet/packet.h"

#define PAGE ((size_t)sysconf(_SC_PAGESIZE))

static int ring_fd(struct ebpf_dp *d, uint32_t queue)
{
    uint32_t id;

    if (!bpf_map_lookup_elem(d->maps[EM_RINGS], &queue, &id)) {
        int fd = bpf_map_get_fd_by_id(id);

        if (fd >= 0)
            return fd;
    }
    int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "mn_ring", 0, 0, FP_RING_SIZE, NULL);

    if (fd >= 0 && bpf_map_update_elem(d->maps[EM_RINGS], &queue, &fd, BPF_ANY)) {
        int rc = -errno;

        close(fd);
        return rc;
    }
    return fd;
}

static uint32_t load_header(const uint8_t *record)
{
    return __atomic_load_n((const uint32_t *)record, __ATOMIC_ACQUIRE);
}

static unsigned long produced(const struct ebpf_ring *r)
{
    return __atomic_load_n(r->producer, __ATOMIC_ACQUIRE);
}

static unsigned long record_size(uint32_t header)
{
    uint32_t size = header & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);

    return (size + BPF_RINGBUF_HDR_SZ + 7ul) / 8 * 8;
}

/* The next finished record at *at, null when there is none; *at moves behind it. */
static const struct fp_upcall *next_record(const struct ebpf_ring *r, unsigned long *at)
{
    while (*at < produced(r)) {
        const uint8_t *record = r->data + (*at & (FP_RING_SIZE - 1));
        uint32_t header = load_header(record);

        if (header & BPF_RINGBUF_BUSY_BIT)
            return NULL;
        *at += record_size(header);
        if (!(header & BPF_RINGBUF_DISCARD_BIT))
            return (const struct fp_upcall *)(record + BPF_RINGBUF_HDR_SZ);
    }
    return NULL;
}

/* What waits in a ring taken over from a process before us is still owed to the ports' credit. */
static void owe_waiting(struct ebpf_dp *d, const struct ebpf_ring *r)
{
    unsigned long at = *r->consumer;
    const struct fp_upcall *u;

    while ((u = next_record(r, &at)))
        if (u->port_no < FP_MAX_PORTS)
            __atomic_fetch_sub(&d->ports[u->port_no].done, 1, __ATOMIC_RELAXED);
}

int ebpf_recv_open(struct ebpf_dp *d, unsigned queue)
{
    struct ebpf_ring *r = &d->queues[queue].ring;

    r->fd = ring_fd(d, queue);
    if (r->fd < 0)
        return r->fd;
    void *consumer = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
    void *producer =
        mmap(NULL, PAGE + 2ul * FP_RING_SIZE, PROT_READ, MAP_SHARED, r->fd, (off_t)PAGE);

    r->consumer = consumer == MAP_FAILED ? NULL : consumer;
    r->producer = producer == MAP_FAILED ? NULL : producer;
    if (!r->consumer || !r->producer)
        return -errno;
    r->data = (const uint8_t *)producer + PAGE;
    r->read = r->last = *r->consumer;
    d->shared->awake[queue] = 0;
    owe_waiting(d, r);
    return 0;
}

void ebpf_recv_close(struct ebpf_dp *d, unsigned queue)
{
    struct ebpf_queue *q = &d->queues[queue];
    struct ebpf_ring *r = &q->ring;

    if (d->shared)
        d->shared->awake[queue] = 0;
    if (r->consumer)
        munmap(r->consumer, PAGE);
    if (r->producer)
        munmap((void *)r->producer, PAGE + 2ul * FP_RING_SIZE);
    if (r->fd >= 0)
        close(r->fd);
    *r = (struct ebpf_ring){.fd = -1};
    upcall_free(&q->turns);
}

static void give_back(struct ebpf_dp *d, uint32_t port_no, uint8_t life)
{
    struct fp_port *port = &d->ports[port_no];

    if (port->life == life)
        __atomic_fetch_add(&port->done, 1, __ATOMIC_RELAXED);
}

static uint8_t *put_tag(uint8_t *to, const struct fp_upcall *u)
{
    uint16_t tag[2] = {__builtin_bswap16(u->vlan_proto), __builtin_bswap16(u->vlan_tci)};

    memcpy(to, u->packet, 12);
    memcpy(to + 12, tag, 4);
    return to + 16;
}

/* A checksum left to offload holds the sum of the pseudo header alone.  A finished one that happens
 * to be that number comes out of finishing unchanged, so a mistake does no harm. */
static bool is_partial(const uint8_t *p, size_t size, bool *finishable)
{
    struct packet_layers l;
    struct flow_key key;

    packet_parse(p, size, &key, &l);
    *finishable = false;
    if (key.malformed || !l.l4 || key.ip_frag != FLOW_FRAG_NONE)
        return false;
    bool ip6 = key.eth_type == ETH_TYPE_IP6;
    struct csum_place place = csum_place(key.ip_proto, ip6);
    uint32_t l4_size = l.l4_end - l.l4;

    if (!place.offset || l4_size < place.offset + 2u)
        return false;
    uint8_t tail[8] = {0, 0, (uint8_t)(l4_size >> 8), (uint8_t)l4_size, 0, 0, 0, key.ip_proto};
    const uint8_t *field = p + l.l4 + place.offset;
    uint16_t sum =
        place.pseudo ? csum_add(0, ip6 ? key.ip_src.b : key.ip_src.b + 12, ip6 ? 16 : 4) : 0;

    if (place.pseudo) {
        sum = csum_add(sum, ip6 ? key.ip_dst.b : key.ip_dst.b + 12, ip6 ? 16 : 4);
        sum = csum_add(sum, tail, sizeof tail);
    }
    *finishable = true;
    return (uint16_t)(field[0] << 8 | field[1]) == sum;
}

static void fill(struct upcall *up, const struct fp_upcall *u)
{
    uint8_t *to = up->data;
    uint32_t skip = 0;
    bool finishable;

    if (u->vlan_proto) {
        to = put_tag(to, u);
        skip = 12;
    }
    memcpy(to, u->packet + skip, u->size - skip);
    up->up.port_no = u->port_no;
    up->up.reason = u->reason;
    up->up.gso_size = u->gso_size;
    up->up.time_ns = u->time_ns;
    up->up.handle = u->life;
    up->up.csum_partial = is_partial(up->data, up->up.size, &finishable) || u->gso_size;
    if (up->up.csum_partial && finishable)
        packet_finish_checksums(up->data, up->up.size);
}

static bool sound(const struct fp_upcall *u)
{
    return u->port_no && u->port_no < FP_MAX_PORTS && u->size <= FP_UPCALL_MERGED &&
           u->size >= (u->vlan_proto ? 12u : 0u);
}

/* Empties the ring into the ports' queues; q->lock is held. */
static void drain(struct ebpf_dp *d, struct ebpf_queue *q)
{
    struct ebpf_ring *r = &q->ring;
    unsigned long at = r->read;
    const struct fp_upcall *u;

    for (; (u = next_record(r, &at)); r->last = r->read, r->read = at) {
        struct ebpf_port *port = sound(u) ? d->port[u->port_no] : NULL;

        if (!port) {
            log_limited(LOG_LVL_DEBUG, "datapath", "an upcall of a port that is gone");
        } else if (d->ports[u->port_no].life == u->life) {
            struct upcall *up = upcall_new(&q->turns, u->size + (u->vlan_proto ? 4 : 0));

            fill(up, u);
            upcall_push(&q->turns, &port->waiting, up);
        }
    }
    r->read = at;
}

/* While upcalls wait here, the last record stays in the ring: its descriptor must be readable. */
static void publish(struct ebpf_queue *q)
{
    unsigned long to = q->turns.n_waiting ? q->ring.last : q->ring.read;

    __atomic_store_n(q->ring.consumer, to, __ATOMIC_RELEASE);
}

static bool ring_is_empty(const struct ebpf_ring *r)
{
    return *r->consumer == produced(r);
}

int ebpf_recv(struct dp *dp, unsigned queue, struct dp_upcall *ups, size_t max)
{
    struct ebpf_dp *d = ebpf_of(dp);
    struct ebpf_queue *q = &d->queues[queue];
    uint32_t *awake = &d->shared->awake[queue];
    struct upcall *u;
    size_t n = 0;

    pthread_mutex_lock(&q->lock);
    DL_FOREACH (q->turns.taken, u) {
        give_back(d, u->up.port_no, (uint8_t)u->up.handle);
    }
    upcall_release(&q->turns);
    drain(d, q);
    while (n < max && (u = upcall_take(&q->turns)))
        ups[n++] = u->up;
    publish(q);
    pthread_mutex_unlock(&q->lock);
    if (n) {
        __atomic_store_n(awake, 1, __ATOMIC_RELAXED);
    } else if (__atomic_load_n(awake, __ATOMIC_RELAXED)) {
        __atomic_store_n(awake, 0, __ATOMIC_SEQ_CST);
        if (!ring_is_empty(&q->ring)) /* its sender may have seen us awake */
            return ebpf_recv(dp, queue, ups, max);
    }
    return (int)n;
}

int ebpf_recv_fd(struct dp *dp, unsigned queue)
{
    return ebpf_of(dp)->queues[queue].ring.fd;
}
