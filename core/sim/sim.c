#include "sim/sim.h"

#include "sim/mask.h"

const char *sim_reason_name(enum sim_reason r)
{
    static const char *const names[] = {
#define X(id, name) [SIM_##id] = name,
        SIM_REASONS(X)
#undef X
    };

    return r < SIM_N_REASONS ? names[r] : "unknown";
}

static void begin(struct run *r, const struct sim_input *in, struct arena *arena,
                  struct sim_result *res)
{
    *r = (struct run){.in = in, .topo = in->topo, .arena = arena, .res = res};
    *res = (struct sim_result){.mask = {.in_port = ~0u}};
    r->room_tags = SIM_FEW_TAGS;
    res->tags = arena_alloc(arena, r->room_tags * sizeof *res->tags);
    if (!in->key)
        return;
    r->hand = (struct hand){.packet = in->packet, .size = in->size, .key = in->key};
    r->at.raw = *in->key;
    r->at.hidden = FIELDS_UNMATCHABLE;
}

/* 128 bits of ones, 'bits' of them. */
static struct ip prefix_mask(unsigned bits)
{
    struct ip m = ip_none;

    for (unsigned i = 0; i<2; i++, bits = bits> 64 ? bits - 64 : 0) {
        uint64_t w = bits >= 64 ? ~0ull : bits ? ~0ull << (64 - bits) : 0;
        m.q[i] = __builtin_bswap64(w);
    }
    return m;
}

static void fill_mask(const struct run *r, struct flow_key *m)
{
    uint32_t seen = r->seen;
    struct mac all = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

    if (seen & FIELD(eth_src))
        m->eth_src = all;
    if (seen & FIELD(eth_dst))
        m->eth_dst = all;
    m->vlan_tci = seen & FIELD(vlan_tci) ? 0xffff : 0;
    m->eth_type = seen & FIELD(eth_type) ? 0xffff : 0;
    m->ip_src = prefix_mask(seen & FIELD(ip_src) ? 128 : r->src_bits);
    m->ip_dst = prefix_mask(seen & FIELD(ip_dst) ? 128 : r->dst_bits);
    m->ip_proto = seen & FIELD(ip_proto) ? 0xff : 0;
    m->ip_tos = seen & FIELD(ip_tos) ? 0xff : 0;
    m->ip_frag = seen & FIELD(ip_frag) ? 0xff : 0;
    m->tp_src = seen & FIELD(tp_src) ? 0xffff : 0;
    m->tp_dst = seen & FIELD(tp_dst) ? 0xffff : 0;
    m->tcp_flags = seen & FIELD(tcp_flags) ? 0xffff : r->tcp_bits;
}

/* Answers of a run that will be repeated would be sent twice. */
static void keep_solicitations(struct sim_result *res)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < res->n_emits; i++)
        if (res->emits[i].kind == SIM_EMIT_SOLICIT)
            res->emits[kept++] = res->emits[i];
    res->n_emits = kept;
}

static void finish(struct run *r)
{
    struct sim_result *res = r->res;

    fill_mask(r, &res->mask);
    res->no_flow |= r->hidden_seen != 0;
    res->outs = r->hand.outs;
    res->n_outs = r->hand.given_up ? 0 : r->hand.n_outs;
    if (res->n_needs) {
        res->verdict = SIM_NEED;
        res->reason = SIM_NONE;
        res->n_logs = 0; /* nothing is decided yet */
        keep_solicitations(res);
    } else if (res->n_outs) {
        res->verdict = SIM_FORWARD;
        res->reason = SIM_DELIVERED;
    } else if (r->consumer && !r->hand.given_up) {
        res->verdict = SIM_ANSWERED;
        res->reason = SIM_CONSUMED;
        res->reason_kind = r->consumer->kind;
        res->reason_id = r->consumer->id;
    } else {
        res->verdict = SIM_DROP;
    }
    if (res->verdict != SIM_FORWARD)
        res->n_states = 0; /* only what gets through opens a connection or keeps it */
}

/* May a packet come in there at all? */
static bool ingress_possible(struct run *r)
{
    const struct topo_port *p = load_port(r, r->in->port);

    if (!p)
        return false;
    if (r->in->any_ingress || topo_port_exterior(p))
        return true;
    drop_brief(r, SIM_PORT_UNPLUGGED, &p->obj);
    return false;
}

void sim_run(const struct sim_input *in, struct arena *arena, struct sim_result *res)
{
    struct run r;

    begin(&r, in, arena, res);
    if (unlikely(in->key->malformed)) {
        res->no_flow = true;
        drop_by(&r, SIM_MALFORMED, TOPO_PORT, topo_id(in->topo, in->port), false);
    } else if (ingress_possible(&r) && !dhcp_ingress(&r)) {
        port_ingress(&r, in->port);
    }
    finish(&r);
}

void sim_solicit(const struct topo *topo, uint64_t now_ns, topo_ref port, const struct ip *ip,
                 struct arena *arena, struct sim_emit *out)
{
    struct sim_input in = {.topo = topo, .now_ns = now_ns};
    struct sim_result res;
    struct run r;

    *out = (struct sim_emit){.kind = SIM_EMIT_SOLICIT, .port = port, .ip = *ip};
    begin(&r, &in, arena, &res);
    const struct topo_port *p = load_port(&r, port);
    if (p && p->device_kind == TOPO_ROUTER)
        neigh_solicit(&r, p, ip);
    for (uint32_t i = 0; i < res.n_emits; i++)
        if (res.emits[i].kind == SIM_EMIT_SOLICIT && res.emits[i].port == port)
            *out = res.emits[i];
}

uint32_t sim_advertise(const struct topo *topo, uint64_t now_ns, topo_ref port,
                       uint16_t overlay_mtu, struct arena *arena, struct sim_emit **out)
{
    struct sim_input in = {.topo = topo, .now_ns = now_ns, .overlay_mtu = overlay_mtu};
    struct sim_result res;
    struct run r;

    begin(&r, &in, arena, &res);
    const struct topo_port *p = load_port(&r, port);
    const struct topo_bridge *b =
        p && p->device_kind == TOPO_BRIDGE ? load_bridge(&r, p->device) : NULL;
    if (b && b->admin_up && p->admin_up && topo_port_exterior(p))
        bridge_advertise(&r, b, p);
    *out = res.emits;
    return res.n_needs ? 0 : res.n_emits;
}
