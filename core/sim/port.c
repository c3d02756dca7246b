/* The port pipeline: ingress, egress, output, and the VLAN tag operations on the way. */
#include "sim/filter.h"
#include "sim/mask.h"

/* Administratively down: router ports tell the sender, bridge ports don't. */
static bool port_up(struct run *r, const struct topo_port *p)
{
    if (likely(p->admin_up))
        return true;
    if (p->device_kind == TOPO_ROUTER)
        icmp_error(r, ICMP_PROHIBITED);
    drop(r, SIM_PORT_DOWN, &p->obj);
    return false;
}

/* False: the branch has ended. */
static bool port_filter(struct run *r, const struct topo_port *p, enum filter_verdict v)
{
    if (likely(v == FILTER_ACCEPT))
        return true;
    filter_end(r, v, p->device_kind == TOPO_ROUTER);
    return false;
}

static bool filter_in(struct run *r, const struct topo_port *p)
{
    enum filter_verdict v = filter2(r, p->trace, p->insert_in);

    return port_filter(r, p, v ? v : filter(r, p->infilter));
}

bool too_many_devices(const struct run *r)
{
    unsigned max = r->in->max_devices ? r->in->max_devices : SIM_MAX_DEVICES;

    return r->at.n_devices >= max || r->n_visits >= SIM_MAX_VISITS;
}

static void came_in(struct run *r, const struct topo_port *p)
{
    struct at *at = &r->at;

    at->n_devices++;
    r->n_visits++;
    at->left_by = at->out_port;
    at->in_port = p->obj.self;
    at->out_port = 0;
    at->device = p->device;
    at->dst_rewritten = false;
    at->router_hdr = NULL;
    if (topo_port_exterior(p) || !at->entry)
        at->entry = p->obj.self;
}

static void note_hop(struct run *r)
{
    struct hop *h = arena_alloc(r->arena, sizeof *h);

    *h = (struct hop){r->at.left_by, r->at.in_port, r->at.device, r->at.hops};
    r->at.hops = h;
}

/* The class of service that a policy gives to what enters here. */
static void mark(struct run *r, const struct topo_port *p)
{
    uint16_t type = H(r, eth_type);

    if (type != ETH_TYPE_IP && type != ETH_TYPE_IP6)
        return;
    SET(r, ip_tos, (uint8_t)(p->dscp << 2 | (H(r, ip_tos) & 3)));
    TRAIL_OBJ(r, &p->obj, "marked with DSCP %u", p->dscp);
}

/* What the inbound filters let pass. */
static void enter(struct run *r, const struct topo_port *p)
{
    mirror(r, &p->mirrors[TOPO_HOOK_POST_IN_FILTER]);
    note_hop(r);
    if (p->device_kind == TOPO_BRIDGE) {
        if (unlikely(p->mark))
            mark(r, p);
        bridge_ingress(r, p);
    } else if (p->device_kind == TOPO_ROUTER) {
        router_ingress(r, p);
    } else {
        drop_brief(r, SIM_MISSING_OBJECT, &p->obj);
    }
}

static void ingress(struct run *r, const struct topo_port *p, bool anyway)
{
    if (unlikely(too_many_devices(r))) {
        drop_all(r, SIM_LOOP, &p->obj);
        return;
    }
    came_in(r, p);
    TRAIL_OBJ(r, &p->obj, "enters %s by %s", name_of(r, p->device), name_of(r, p->obj.self));
    mirror(r, &p->mirrors[TOPO_HOOK_IN]);
    if (!anyway && !port_up(r, p))
        return;
    if (unlikely(p->secure) && p->obj.self == r->in->port && !port_security(r, p))
        return;
    if (filter_in(r, p))
        enter(r, p);
}

void port_ingress_resumed(struct run *r, const struct topo_port *p, const struct uuid *behind)
{
    if (unlikely(too_many_devices(r))) {
        drop_all(r, SIM_LOOP, &p->obj);
        return;
    }
    came_in(r, p);
    TRAIL_OBJ(r, &p->obj, "back from a service at %s", name_of(r, p->obj.self));
    enum filter_verdict v =
        p->insert_in ? filter_chain_behind(r, p->insert_in, behind) : FILTER_ACCEPT;
    if (port_filter(r, p, v ? v : filter(r, p->infilter)))
        enter(r, p);
}

void port_ingress(struct run *r, topo_ref ref)
{
    const struct topo_port *p = load_port(r, ref);

    if (p)
        ingress(r, p, false);
}

void port_ingress_anyway(struct run *r, const struct topo_port *p)
{
    ingress(r, p, true);
}

static void emit(struct run *r, const struct topo_port *p)
{
    if (topo_port_exterior(p)) {
        if (!topo_port_takes(p)) {
            drop(r, SIM_PORT_INACTIVE, &p->obj);
            return;
        }
        if (unlikely(p->silent))
            TRAIL_OBJ(r, &p->obj, "its host is silent, and is sent what is for the port");
        if (unlikely(r->at.tracked))
            conn_emitted(r, p);
        out_port(r, p);
    } else if (p->peer) {
        port_ingress(r, p->peer);
    } else {
        drop_brief(r, SIM_PORT_UNPLUGGED, &p->obj);
    }
}

/* What has passed the filters. */
static void leave(struct run *r, const struct topo_port *p)
{
    mirror(r, &p->mirrors[TOPO_HOOK_OUT]);
    if (p->device_kind == TOPO_BRIDGE) {
        if (p->vlan && H(r, vlan_tci) && !pop_vlan(r, &p->obj))
            return;
    } else if (unlikely(mac_equal(PEEK(r, eth_src), PEEK(r, eth_dst)))) {
        /* A router's packet to itself; both addresses are of its making. */
        port_ingress(r, p->obj.self);
        return;
    }
    emit(r, p);
}

void port_egress_loaded(struct run *r, const struct topo_port *p)
{
    r->at.out_port = p->obj.self;
    if (unlikely(p->service)) {
        drop(r, SIM_SERVICE_PORT, &p->obj);
        return;
    }
    mirror(r, &p->mirrors[TOPO_HOOK_PRE_OUT_FILTER]);
    if (port_up(r, p) && port_filter(r, p, filter2(r, p->outfilter, p->insert_out)))
        leave(r, p);
}

void port_egress_unfiltered(struct run *r, const struct topo_port *p)
{
    r->at.out_port = p->obj.self;
    mirror(r, &p->mirrors[TOPO_HOOK_PRE_OUT_FILTER]);
    leave(r, p);
}

void port_egress_resumed(struct run *r, const struct topo_port *p, const struct uuid *behind)
{
    r->at.out_port = p->obj.self;
    TRAIL_OBJ(r, &p->obj, "back from a service at %s", name_of(r, p->obj.self));
    enum filter_verdict v =
        p->insert_out ? filter_chain_behind(r, p->insert_out, behind) : FILTER_ACCEPT;
    if (port_filter(r, p, v))
        leave(r, p);
}

void port_answer(struct run *r, const struct topo_port *p)
{
    if (p->admin_up)
        port_egress_loaded(r, p);
    else
        emit(r, p);
}

void port_egress(struct run *r, topo_ref ref)
{
    const struct topo_port *p = load_port(r, ref);

    if (p)
        port_egress_loaded(r, p);
}

/* An output can take one tag off and put one on (flow.h). */
bool push_vlan(struct run *r, const struct topo_obj *by, uint16_t tci)
{
    struct at *at = &r->at;

    SEE(r, vlan_tci);
    if (at->pushed || at->raw.n_vlans == UINT8_MAX) {
        drop(r, SIM_VLAN_MISMATCH, by);
        return false;
    }
    at->pushed = true;
    at->under_tci = at->raw.vlan_tci;
    at->under_type = at->raw.eth_type;
    at->under_own = at->own;
    at->under_hidden = at->hidden;
    if (at->raw.vlan_tci)
        SET(r, eth_type, ETH_TYPE_VLAN);
    SET(r, vlan_tci, (uint16_t)(FLOW_VLAN_PRESENT | tci));
    at->raw.n_vlans++;
    TRAIL_OBJ(r, by, "VLAN tag %u pushed", tci & FLOW_VLAN_VID);
    return true;
}

/* What lies behind the outermost of several tags comes to light: nothing a datapath can match. */
static bool uncover(struct run *r, const struct topo_obj *by)
{
    struct flow_key inner, *raw = &r->at.raw;
    struct packet_layers l;
    uint8_t n_vlans = raw->n_vlans;

    packet_parse_behind(r->hand.packet, r->hand.size, 1, &inner, &l);
    r->at.hidden |= FIELDS_INNER;
    if (inner.malformed) {
        userspace_only(r);
        drop(r, SIM_MALFORMED, by);
        return false;
    }
    inner.in_port = raw->in_port;
    inner.tun_id = raw->tun_id;
    inner.tun_src = raw->tun_src;
    inner.eth_src = raw->eth_src;
    inner.eth_dst = raw->eth_dst;
    *raw = inner;
    raw->n_vlans = (uint8_t)(n_vlans - 1);
    r->at.snapshot = NULL;
    return true;
}

bool pop_vlan(struct run *r, const struct topo_obj *by)
{
    struct at *at = &r->at;

    if (at->pushed) {
        at->pushed = false;
        at->raw.vlan_tci = at->under_tci;
        at->raw.eth_type = at->under_type;
        at->own = at->under_own | (at->own & ~(FIELD(vlan_tci) | FIELD(eth_type)));
        at->hidden = at->under_hidden;
        at->raw.n_vlans--;
        at->snapshot = NULL;
    } else if (at->popped) {
        drop(r, SIM_VLAN_MISMATCH, by);
        return false;
    } else if (at->raw.n_vlans > 1) {
        at->popped = true;
        if (!uncover(r, by))
            return false;
    } else {
        at->popped = true;
        SET(r, vlan_tci, 0);
        at->raw.n_vlans = 0;
    }
    TRAIL_OBJ(r, by, "VLAN tag popped");
    return true;
}
