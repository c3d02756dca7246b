/* Packets the agent sends: rewritten here, where every rewrite can be done, and handed to the
 * kernel with an output alone, many in one system call.  Copies without changes share one message.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "datapath/ovs_internal.h"
#include "packet/packet.h"

#define HEADROOM 8u

static void flush(struct ovs_dp *d, struct ovs_queue *q)
{
    int rcs[OVS_BATCH];
    unsigned n = q->buf.n;

    ovs_talk(&q->sock, &q->buf, rcs, NULL, NULL);
    for (unsigned i = 0; i < n; i++) {
        if (!rcs[i])
            continue;
        atomic_fetch_add(&d->exec_failed, 1);
        log_limited(LOG_LVL_WARN, "datapath", "a packet couldn't be sent: %s", strerror(-rcs[i]));
    }
}

/* The port it came in by, for the kernel's statistics of it; the datapath's own when made here. */
static uint32_t in_port(struct ovs_dp *d, const struct dp_exec *x)
{
    return ovs_port_exists(d, x->in_port) ? x->in_port : 0;
}

static int send_copy(struct ovs_dp *d, struct ovs_queue *q, const struct dp_exec *x,
                     const uint8_t *p, size_t size, const struct flow_out *outs, unsigned n)
{
    struct ovs_buf *b = &q->buf;
    int rc = 0;

    if (b->n == OVS_BATCH || b->size > OVS_BATCH_BYTES)
        flush(d, q);
    ovs_begin(b, d->families[OVS_PACKET], OVS_PACKET_CMD_EXECUTE, 0, d->ifindex);
    ovs_put(b, OVS_PACKET_ATTR_PACKET, p, size);
    uint32_t nest = ovs_nest(b, OVS_PACKET_ATTR_KEY);

    ovs_put_u32(b, OVS_KEY_ATTR_IN_PORT, in_port(d, x));
    ovs_nest_end(b, nest);
    nest = ovs_nest(b, OVS_PACKET_ATTR_ACTIONS);
    for (unsigned i = 0; i < n && !rc; i++)
        if (n == 1 || !outs[i].set)
            rc = ovs_output_put(b, &outs[i]);
    ovs_nest_end(b, nest);
    if (rc)
        b->failed = true;
    return ovs_end(b) ? -ENOTSUP : 0;
}

static int send_rewritten(struct ovs_dp *d, struct ovs_queue *q, const struct dp_exec *x,
                          const struct flow_out *out)
{
    size_t size = x->size;

    if (!q->frame)
        q->frame = mem_alloc(HEADROOM + PACKET_MAX);
    memcpy(q->frame + HEADROOM, x->packet, size);
    uint8_t *p = packet_rewrite(q->frame + HEADROOM, &size, out);

    return send_copy(d, q, x, p, size, out, 1);
}

static int execute(struct ovs_dp *d, struct ovs_queue *q, const struct dp_exec *x)
{
    unsigned needed = dp_ttl_needed(x->outs, x->n_outs), n_plain = 0;
    struct packet_layers l;
    struct flow_key key;
    int rc = 0, failed = 0;

    if (!x->n_outs)
        return 0;
    if (x->size > PACKET_MAX || x->size < 14)
        return -EINVAL;
    packet_parse(x->packet, x->size, &key, &l);
    if (needed && key.ip_ttl <= needed) {
        atomic_fetch_add(&d->exec_ttl, 1);
        return 0;
    }
    for (unsigned i = 0; i < x->n_outs; i++)
        n_plain += !x->outs[i].set;
    if (n_plain > 1)
        failed = send_copy(d, q, x, x->packet, x->size, x->outs, x->n_outs);
    for (unsigned i = 0; i < x->n_outs; i++) {
        if (x->outs[i].set)
            rc = send_rewritten(d, q, x, &x->outs[i]);
        else if (n_plain == 1)
            rc = send_copy(d, q, x, x->packet, x->size, &x->outs[i], 1);
        failed = rc ? rc : failed;
    }
    return failed;
}

int ovs_execute(struct dp *dp, unsigned queue, const struct dp_exec *execs, size_t n)
{
    struct ovs_dp *d = ovs_of(dp);
    struct ovs_queue *q = &d->queues[queue];
    int failed = 0;

    ovs_buf_reset(&q->buf, &q->sock);
    for (size_t i = 0; i < n; i++) {
        int rc = execute(d, q, &execs[i]);

        if (!rc)
            continue;
        failed = rc;
        atomic_fetch_add(&d->exec_failed, 1);
    }
    flush(d, q);
    return failed;
}
