/* What a flow carries for the next process: an action that is never taken (a sample of probability
 * zero) whose user data is the flow as the agent gave it.  The kernel keeps it beside the flow,
 * gives it back in dumps, and steps over it for each packet. */
#include <netlink/attr.h>

#include "base/mem.h"
#include "datapath/ovs_internal.h"

static void *put_note(struct ovs_buf *b, size_t size)
{
    uint32_t sample = ovs_nest(b, OVS_ACTION_ATTR_SAMPLE);

    ovs_put_u32(b, OVS_SAMPLE_ATTR_PROBABILITY, 0);
    uint32_t actions = ovs_nest(b, OVS_SAMPLE_ATTR_ACTIONS);
    uint32_t up = ovs_nest(b, OVS_ACTION_ATTR_USERSPACE);

    ovs_put_u32(b, OVS_USERSPACE_ATTR_PID, 1);
    uint32_t at = b->size + NLA_HDRLEN;

    ovs_put(b, OVS_USERSPACE_ATTR_USERDATA, NULL, size);
    ovs_nest_end(b, up);
    ovs_nest_end(b, actions);
    ovs_nest_end(b, sample);
    return b->failed ? NULL : b->data + at;
}

void ovs_note_put_flow(struct ovs_buf *b, const struct ovs_dp *d, const struct dp_flow *f)
{
    struct ovs_note note = {.magic = OVS_NOTE_MAGIC,
                            .kind = OVS_NOTE_FLOW,
                            .n_outs = f->n_outs,
                            .pid_base = d->pid_base,
                            .cookie = f->cookie};
    size_t outs = f->n_outs * sizeof *f->outs;
    uint8_t *p = put_note(b, sizeof note + outs);

    if (!p)
        return;
    dp_flow_name(f, &note.key, &note.mask);
    memcpy(p, &note, sizeof note);
    if (outs)
        memcpy(p + sizeof note, f->outs, outs);
}

void ovs_note_put_bind(struct ovs_buf *b, uint32_t tun_id, uint32_t port_no)
{
    struct ovs_note note = {
        .magic = OVS_NOTE_MAGIC, .kind = OVS_NOTE_BIND, .tun_id = tun_id, .port_no = port_no};
    uint8_t *p = put_note(b, sizeof note);

    if (p)
        memcpy(p, &note, sizeof note);
}

static const struct nlattr *inside(const struct nlattr *nest, int type)
{
    return nest ? nla_find(nla_data(nest), nla_len(nest), type) : NULL;
}

size_t ovs_note_read(const struct nlattr *actions, struct ovs_note *note)
{
    const struct nlattr *sample = inside(actions, OVS_ACTION_ATTR_SAMPLE);
    const struct nlattr *up =
        inside(inside(sample, OVS_SAMPLE_ATTR_ACTIONS), OVS_ACTION_ATTR_USERSPACE);
    const struct nlattr *data = inside(up, OVS_USERSPACE_ATTR_USERDATA);
    size_t size = data ? (size_t)nla_len(data) : 0;

    if (size < sizeof *note)
        return 0;
    memcpy(note, nla_data(data), size); /* there it is aligned to 4 bytes only */
    bool ours = note->magic == OVS_NOTE_MAGIC &&
                size == sizeof *note + note->n_outs * sizeof(struct flow_out);

    return ours ? size : 0;
}
