/* A frame's way through the memory datapath: match, rewrite, leave, or go up. */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/mem.h"
#include "datapath/memory_internal.h"
#include "packet/packet.h"

#define HEADROOM 8u /* packet_rewrite() pushes a tag in front */

struct memory_frame *memory_path_copy(const uint8_t *frame, size_t size)
{
    struct memory_frame *f = mem_alloc(sizeof *f + HEADROOM + size);

    f->prev = f->next = NULL;
    f->start = f->data + HEADROOM;
    f->size = (uint32_t)size;
    memcpy(f->start, frame, size);
    return f;
}

void memory_frame_free(struct memory_frame *f)
{
    free(f);
}

void memory_path_to_port(struct memory_dp *dp, uint32_t port_no, struct memory_frame *f)
{
    struct memory_port *port = port_no < dp->n_ports ? dp->ports[port_no] : NULL;
    struct memory_if *iface = port ? port->iface : NULL;

    if (!iface) {
        dp->counters.no_port++;
        memory_frame_free(f);
        return;
    }
    port->stats.tx_packets++;
    port->stats.tx_bytes += f->size;
    DL_APPEND(iface->out, f);
    if (++iface->n_out <= MEMORY_TAKE_MAX)
        return;
    f = iface->out;
    DL_DELETE(iface->out, f);
    iface->n_out--;
    dp->counters.queue_full++;
    memory_frame_free(f);
}

static void to_tunnel(struct memory_dp *dp, const struct flow_out *out, struct memory_frame *f)
{
    struct memory_transit *t = NEW(struct memory_transit);

    t->local = out->tun_local;
    t->remote = out->tun_remote;
    t->tun_id = out->tun_id;
    t->frame = f;
    DL_APPEND(dp->transit, t);
}

void memory_path_outputs(struct memory_dp *dp, const uint8_t *frame, size_t size,
                         const struct flow_out *outs, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct memory_frame *f = memory_path_copy(frame, size);
        size_t new_size = size;

        f->start = packet_rewrite(f->start, &new_size, &outs[i]);
        f->size = (uint32_t)new_size;
        if (outs[i].kind == FLOW_OUT_TUNNEL)
            to_tunnel(dp, &outs[i], f);
        else
            memory_path_to_port(dp, outs[i].port, f);
    }
}

/* The bucket holds upcall_rate tokens; 'tokens_ns' is the time until which they are spent. */
static bool rate_allows(struct memory_dp *dp, struct memory_port *port, uint64_t now)
{
    if (!dp->opts.upcall_rate)
        return true;
    uint64_t one = NSEC_PER_SEC / dp->opts.upcall_rate;
    uint64_t oldest = now > NSEC_PER_SEC ? now - NSEC_PER_SEC : 0;

    if (port->tokens_ns < oldest)
        port->tokens_ns = oldest;
    if (port->tokens_ns + one > now)
        return false;
    port->tokens_ns += one;
    return true;
}

static bool limit_allows(struct memory_dp *dp, struct memory_port *port, size_t size)
{
    const struct dp_bucket *b = &port->limit;

    if (!b->cost)
        return true;
    uint64_t now = dp->now(dp->now_aux) + DP_LIMIT_EPOCH;

    port->limit_ns = MAX(port->limit_ns, now - b->depth_ns);
    if (port->limit_ns >= now)
        return false;
    port->limit_ns += size * b->cost >> DP_COST_SHIFT;
    return true;
}

static void up(struct memory_dp *dp, struct memory_port *port, enum dp_reason reason,
               const uint8_t *frame, size_t size)
{
    unsigned queue = port->port_no % dp->opts.n_queues;
    struct upcall_turns *t = &dp->turns[queue];
    uint64_t now = dp->now(dp->now_aux);

    if (port->waiting.n >= dp->opts.upcalls_per_port || !rate_allows(dp, port, now)) {
        port->stats.upcalls_lost++;
        dp->counters.upcall_lost++;
        return;
    }
    struct upcall *u = upcall_new(t, (uint32_t)size);

    memcpy(u->data, frame, size);
    u->up.port_no = port->port_no;
    u->up.reason = (uint8_t)reason;
    u->up.time_ns = now;
    port->stats.upcalls++;
    upcall_push(t, &port->waiting, u);
    if (t->n_waiting == 1 && dp->fds[queue] >= 0)
        (void)!write(dp->fds[queue], &(uint64_t){1}, 8);
}

void memory_path_from_port(struct memory_dp *dp, struct memory_port *port, const uint8_t *frame,
                           size_t size)
{
    struct flow_key key;
    struct packet_layers layers;

    port->stats.rx_packets++;
    port->stats.rx_bytes += size;
    if (!limit_allows(dp, port, size)) {
        port->stats.limited++;
        return;
    }
    memset(&key, 0, sizeof key);
    packet_parse(frame, size, &key, &layers);
    key.in_port = port->port_no;
    if (key.malformed) {
        dp->counters.malformed++;
        up(dp, port, DP_MISS, frame, size);
        return;
    }
    struct memory_flow *flow = memory_table_match(&dp->table, &key);

    if (!flow) {
        up(dp, port, DP_MISS, frame, size);
        return;
    }
    if (flow->ttl_needed && key.ip_ttl <= flow->ttl_needed) {
        up(dp, port, DP_TTL, frame, size);
        return;
    }
    flow->stats.packets++;
    flow->stats.bytes += size;
    flow->stats.used_ns = dp->now(dp->now_aux);
    memory_path_outputs(dp, frame, size, flow->outs, flow->n_outs);
}
