/* The port pipeline: ingress, egress, output, and the VLAN tag operations on the way. */
#include "sim/filter.h"
#include "sim/mask.h"

/* Administratively down, or refused by a filter: router ports tell the sender, bridge ports don't.
 */
static void refuse(struct run *r, const struct topo_port *p, enum sim_reason reason, bool tell)
{
    if (tell && p->device_kind == TOPO_ROUTER)
        icmp_error(r, ICMP_PROHIBITED);
    drop(r, reason, &p->obj);
}

/* False: the branch has ended. */
static bool port_filter(struct run *r, const struct topo_port *p, topo_ref chain)
{
    if (unlikely(!p->admin_up)) {
        refuse(r, p, SIM_PORT_DOWN, true);
        return false;
    }
    switch (filter(r, chain)) {
    case FILTER_ACCEPT:
        return true;
    case FILTER_REJECT:
        refuse(r, p, SIM_CHAIN_REJECT, true);
        return false;
    default:
        refuse(r, p, SIM_CHAIN_DROP, false);
        return false;
    }
}

static bool too_many_devices(const struct run *r)
{
    unsigned max = r->in->max_devices ? r->in->max_devices : SIM_MAX_DEVICES;

    return r->at.n_devices >= max || r->n_visits >= SIM_MAX_VISITS;
}

void port_ingress(struct run *r, topo_ref ref)
{
    const struct topo_port *p = load_port(r, ref);

    if (!p)
        return;
    if (unlikely(too_many_devices(r))) {
        drop_all(r, SIM_LOOP, &p->obj);
        return;
    }
    r->at.n_devices++;
    r->n_visits++;
    r->at.in_port = ref;
    r->at.device = p->device;
    r->at.router_hdr = NULL;
    TRAIL_OBJ(r, &p->obj, "enters %s by %s", name_of(r, p->device), name_of(r, ref));
    if (unlikely(p->secure) && p->admin_up && topo_port_exterior(p) && !port_security(r, p))
        return;
    if (!port_filter(r, p, p->infilter))
        return;
    if (p->device_kind == TOPO_BRIDGE)
        bridge_ingress(r, p);
    else if (p->device_kind == TOPO_ROUTER)
        router_ingress(r, p);
    else
        drop_brief(r, SIM_MISSING_OBJECT, &p->obj);
}

static void emit(struct run *r, const struct topo_port *p)
{
    if (topo_port_exterior(p)) {
        if (p->active)
            out_port(r, p);
        else
            drop(r, SIM_PORT_INACTIVE, &p->obj);
    } else if (p->peer) {
        port_ingress(r, p->peer);
    } else {
        drop_brief(r, SIM_PORT_UNPLUGGED, &p->obj);
    }
}

void port_egress_loaded(struct run *r, const struct topo_port *p)
{
    if (!port_filter(r, p, p->outfilter))
        return;
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
bool push_vlan(struct run *r, const struct topo_obj *by, uint16_t vid)
{
    struct at *at = &r->at;

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
    SET(r, vlan_tci, FLOW_VLAN_PRESENT | vid);
    at->raw.n_vlans++;
    TRAIL_OBJ(r, by, "VLAN tag %u pushed", vid);
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
