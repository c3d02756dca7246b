#include "agent/flowname.h"
#include "agent/worker_internal.h"

#include <netinet/in.h>

#include "packet/packet.h"

#define AGAIN_TTL   64
#define AGAIN_FRAME 256

/* Whether the fields of the flow's key are all that deciding about it took.  ARP, neighbour
 * discovery and what else is read beyond its key must come up as real packets. */
static bool key_decides(const struct flow_key *key, const struct flow_key *mask)
{
    if (mask->eth_type && key->eth_type == ETH_TYPE_ARP)
        return false;
    if (!mask->eth_type || !mask->ip_proto)
        return true;
    switch (key->ip_proto) {
    case IPPROTO_TCP:
    case IPPROTO_UDP:
    case IPPROTO_SCTP:
        return true;
    default: /* ICMP and the like: only their type, never looked at */
        return !mask->tp_src;
    }
}

/* A frame that agrees with the key as far as the key goes. */
static size_t make_frame(const struct flow_key *key, const struct flow_key *mask, uint8_t *buf)
{
    struct flow_key k = *key;
    size_t size = 0;

    if (!ip_is_none(&mask->ip_src) && !ip_is_none(&mask->ip_dst) && mask->ip_proto)
        size = packet_from_key(buf, AGAIN_FRAME, &k, NULL, 0);
    if (!size) {
        memset(buf, 0, AGAIN_FRAME);
        memcpy(buf, &k.eth_dst, 6);
        memcpy(buf + 6, &k.eth_src, 6);
        size = 64;
    }
    return size;
}

/* Does the new mask look at bits that the flow left open?  Then the outcome is that of one packet
 * among those the flow stands for. */
static bool looks_at_more(const struct flow_key *now, const struct flow_key *then)
{
    const uint64_t *a = (const uint64_t *)now, *b = (const uint64_t *)then;
    uint64_t more = 0;

    for (unsigned i = 0; i < sizeof *now / 8; i++)
        more |= a[i] & ~b[i];
    return more;
}

static bool same_mask(const struct flow_key *a, const struct flow_key *b)
{
    return !looks_at_more(a, b) && !looks_at_more(b, a);
}

/* As the table names its flows. */
static void clean_mask(struct flow_key *mask)
{
    struct flow_key key = {0};

    flow_name_clean(&key, mask);
}

static bool needs_object(const struct sim_result *r)
{
    for (uint32_t i = 0; i < r->n_needs; i++)
        if (r->needs[i].kind == SIM_NEED_OBJECT)
            return true;
    return false;
}

/* The flow stays as it is until what its simulation lacks is there, if that doesn't take long. */
static void defer(struct worker *w, uint32_t id, const struct sim_result *r)
{
    struct arena *arena = &w->batch.arena;
    struct tagindex *ti = ft_tagindex(w->ft);
    struct ft_info info;

    ft_info(w->ft, id, w->now, &info);
    size_t n = info.set ? ti_tags(ti, info.set, NULL, 0) : 0;
    tag_t *tags = arena_alloc(arena, (n + r->n_tags + r->n_needs) * sizeof *tags);
    if (n)
        ti_tags(ti, info.set, tags, n);
    memcpy(tags + n, r->tags, r->n_tags * sizeof *tags);
    n += r->n_tags;
    for (uint32_t i = 0; i < r->n_needs; i++)
        tags[n++] = parked_tag(&r->needs[i]);
    worker_send_emits(w, r, true);
    worker_need(w, r);
    if (!ft_defer(w->ft, id, tags, n, w->now))
        flow_batch_remove(&w->batch, id);
}

/* Runs the simulator on a flow's own key; false when the key isn't enough. */
static bool simulate_key(struct worker *w, uint32_t id, struct flow_key *key, struct flow_key *mask,
                         struct sim_result *r)
{
    struct sim_input in = {.topo = w->host->topo, .state = w->host->state, .now_ns = w->now};
    uint8_t *frame = arena_alloc(&w->batch.arena, AGAIN_FRAME);

    ft_key(w->ft, id, key, mask);
    in.port = portmap_port(worker_ports(w), key->in_port);
    if (!in.port || !key_decides(key, mask))
        return false;
    key->ip_ttl = AGAIN_TTL;
    key->n_vlans = (key->vlan_tci & FLOW_VLAN_PRESENT) != 0;
    key->n_vlans += key->eth_type == ETH_TYPE_VLAN || key->eth_type == ETH_TYPE_QINQ;
    in.size = (uint32_t)make_frame(key, mask, frame);
    in.packet = frame;
    in.key = key;
    sim_run(&in, &w->batch.arena, r);
    w->counters.simulated++;
    w->counters.resimulated++;
    return true;
}

void worker_flow(struct worker *w, uint32_t id)
{
    struct flow_key key, mask;
    struct judgement j;
    struct sim_result r;

    if (!simulate_key(w, id, &key, &mask, &r)) {
        flow_batch_remove(&w->batch, id);
        return;
    }
    clean_mask(&r.mask);
    if (looks_at_more(&r.mask,
                      &mask)) { /* a real packet must come up; nobody is asked for this one */
        flow_batch_remove(&w->batch, id);
        return;
    }
    if (r.verdict == SIM_NEED) {
        defer(w, id, &r);
        return;
    }
    worker_send_emits(w, &r, true);
    if (!worker_learn(w, &r, WORKER_REFRESH) ||
        !worker_keep_records(w, id, portmap_port(worker_ports(w), key.in_port), &r)) {
        flow_batch_remove(&w->batch, id);
        return;
    }
    worker_judge(w, &key, &r, &j);
    if (!j.install || !same_mask(&r.mask, &mask))
        flow_batch_remove(&w->batch, id);
    if (j.install)
        worker_install(w, &key, &r.mask, &j, false);
}

bool worker_flow_teaches(struct worker *w, uint32_t id)
{
    struct flow_key key, mask;
    struct sim_result r;

    if (!simulate_key(w, id, &key, &mask, &r))
        return true;
    worker_need(w, &r);
    worker_learn(w, &r, WORKER_RELEARN);
    return r.verdict != SIM_NEED || !needs_object(&r);
}
