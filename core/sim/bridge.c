/* A bridge: learning, forwarding, flooding; VLAN-aware when some port of it has a VLAN. */
#include "sim/filter.h"
#include "sim/mask.h"

/* The VLAN whose addresses the frame belongs to. */
static uint16_t frame_vlan(struct run *r, const struct topo_bridge *b, const struct topo_port *in)
{
    if (!b->has_vlan_ports)
        return 0;
    return in->vlan ? in->vlan : H(r, vlan_tci) & FLOW_VLAN_VID;
}

/* The router port linked to this bridge that has the MAC; links are sorted by MAC. */
static const struct topo_link *link_of_mac(const struct topo_bridge *b, const struct mac *mac)
{
    uint32_t lo = 0, hi = b->n_links;

    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        int c = memcmp(&b->links[mid].mac, mac, sizeof *mac);
        if (!c)
            return b->links[mid].peer_kind == TOPO_ROUTER ? &b->links[mid] : NULL;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static void bridge_learn(struct run *r, const struct topo_bridge *b, const struct topo_port *in,
                         uint16_t vlan)
{
    const struct mac *src = HP(r, eth_src);

    if (unlikely(mac_is_zero(src)) || link_of_mac(b, src))
        return;
    learn(r, &(struct sim_learn){.kind = SIM_LEARN_MAC,
                                 .vlan = vlan,
                                 .device = b->obj.self,
                                 .port = in->obj.self,
                                 .mac = *src});
    add_tag(r, tag_bridge_mac(b->obj.self, vlan, src));
}

/* Where the MAC was last seen: by this very run (an answer goes back to who asked), or by any. */
static topo_ref port_of_mac(struct run *r, const struct topo_bridge *b, uint16_t vlan,
                            const struct mac *mac)
{
    const struct sim_result *res = r->res;

    for (uint32_t i = res->n_learns; i-- > 0;) {
        const struct sim_learn *l = &res->learns[i];
        if (l->kind == SIM_LEARN_MAC && l->device == b->obj.self && l->vlan == vlan &&
            mac_equal(&l->mac, mac))
            return l->port;
    }
    return topo_mac_lookup(b->macs, vlan, mac);
}

/* One branch to one port: tags are put on and taken off as the two ports' VLANs want it. */
static void to_port(struct run *r, const struct topo_bridge *b, const struct topo_port *in,
                    const struct topo_port *out)
{
    if (!b->has_vlan_ports) {
        port_egress_loaded(r, out);
        return;
    }
    if (in && in->vlan && !push_vlan(r, &in->obj, in->vlan))
        return;
    uint16_t tci = H(r, vlan_tci);
    if (out->vlan && (!tci || (tci & FLOW_VLAN_VID) != out->vlan)) {
        drop(r, SIM_VLAN_MISMATCH, &out->obj);
        return;
    }
    port_egress_loaded(r, out);
}

/* Post-bridging chain; false: the branch has ended.  'out' 0: many. */
static bool post_bridging(struct run *r, const struct topo_bridge *b, topo_ref out)
{
    r->at.out_port = out;
    if (unlikely(b->outfilter) && !H(r, vlan_tci)) {
        enum filter_verdict v = filter(r, b->outfilter);
        if (v != FILTER_ACCEPT) {
            filter_end(r, v, false);
            return false;
        }
    }
    mirror(r, &b->mirrors[TOPO_HOOK_OUT]);
    return true;
}

static void unicast(struct run *r, const struct topo_bridge *b, const struct topo_port *in,
                    uint16_t vlan)
{
    const struct mac *dst = HP(r, eth_dst);
    const struct topo_link *link = link_of_mac(b, dst);
    topo_ref to = link ? link->port : 0;

    add_tag(r, tag_bridge_mac(b->obj.self, vlan, dst));
    if (!link) {
        if (unlikely(mac_equal(dst, HP(r, eth_src)))) {
            drop_brief(r, SIM_HAIRPIN, &in->obj);
            return;
        }
        to = port_of_mac(r, b, vlan, dst);
    }
    if (!to) {
        TRAIL_OBJ(r, &b->obj, "destination MAC unknown");
        bridge_flood(r, b, in);
        return;
    }
    if (unlikely(to == in->obj.self)) {
        drop_brief(r, SIM_HAIRPIN, &in->obj);
        return;
    }
    const struct topo_port *out = load_port(r, to);
    if (!out || !post_bridging(r, b, to))
        return;
    TRAIL_OBJ(r, &b->obj, link ? "destination MAC is that of %s" : "destination MAC is behind %s",
              name_of(r, link ? link->peer : to));
    to_port(r, b, in, out);
}

static void branch(struct run *r, const struct topo_bridge *b, const struct topo_port *in,
                   const struct topo_port *out)
{
    struct at here = r->at;

    r->at.depth++;
    to_port(r, b, in, out);
    r->at = here;
}

/* May a flooded frame go out there?  'vid': of its tag, 0 when it has none (only looked at on
 * VLAN-aware bridges). */
static bool flood_reaches(const struct topo_bridge *b, const struct topo_port *in,
                          uint16_t port_vlan, uint16_t vid)
{
    if (!b->has_vlan_ports || !port_vlan)
        return true;
    return !(in && in->vlan) && port_vlan == vid;
}

static void flood_exterior(struct run *r, const struct topo_bridge *b, const struct topo_port *in,
                           uint16_t vid)
{
    for (uint32_t i = 0; i < b->n_exterior && !r->hand.given_up; i++) {
        if (in && b->exterior[i] == in->obj.self)
            continue;
        const struct topo_port *p = peek_port(r, b->exterior[i]);
        if (p && p->admin_up && topo_port_takes(p) && !p->service && flood_reaches(b, in, p->vlan, vid))
            branch(r, b, in, p);
    }
}

/* Router ports have no part in floods: bridge_neigh.c answers for them or hands them what concerns
 * them.  It leaves tagged frames alone; of those a router behind a VLAN port gets ARP and ND. */
static bool flood_to_link(struct run *r, const struct topo_bridge *b, const struct topo_link *l)
{
    if (l->peer_kind != TOPO_ROUTER)
        return true;
    return b->has_vlan_ports && l->vlan && H(r, vlan_tci) && neighbour_message(r);
}

static void flood_links(struct run *r, const struct topo_bridge *b, const struct topo_port *in,
                        uint16_t vid)
{
    for (uint32_t i = 0; i < b->n_links && !r->hand.given_up; i++) {
        const struct topo_link *l = &b->links[i];
        if ((in && l->port == in->obj.self) || !flood_reaches(b, in, l->vlan, vid) ||
            !flood_to_link(r, b, l))
            continue;
        const struct topo_port *p = load_port(r, l->port);
        if (p)
            branch(r, b, in, p);
    }
}

void bridge_flood(struct run *r, const struct topo_bridge *b, const struct topo_port *in)
{
    uint16_t vid = 0;

    add_tag(r, tag_flood(b->obj.self));
    if (!post_bridging(r, b, 0))
        return;
    TRAIL_OBJ(r, &b->obj, "floods");
    if (b->has_vlan_ports && !(in && in->vlan))
        vid = H(r, vlan_tci) & FLOW_VLAN_VID;
    snapshot(r); /* all outputs that change nothing more share it */
    uint32_t ends = r->n_ends;
    flood_exterior(r, b, in, vid);
    flood_links(r, b, in, vid);
    if (r->n_ends == ends)
        drop(r, SIM_FLOOD_EMPTY, &b->obj);
}

void bridge_ingress(struct run *r, const struct topo_port *in)
{
    const struct topo_bridge *b = load_bridge(r, in->device);

    if (!b)
        return;
    if (unlikely(mac_is_multicast(HP(r, eth_src)))) {
        drop(r, SIM_SRC_MULTICAST, &b->obj);
        return;
    }
    if (unlikely(!b->admin_up)) {
        drop(r, SIM_BRIDGE_DOWN, &b->obj);
        return;
    }
    mirror(r, &b->mirrors[TOPO_HOOK_IN]);
    enum filter_verdict v = filter(r, b->trace);
    if (unlikely(b->infilter) && v == FILTER_ACCEPT && !H(r, vlan_tci))
        v = filter(r, b->infilter);
    uint16_t vlan = frame_vlan(r, b, in);
    bridge_learn(r, b, in, vlan); /* also from what the chain drops */
    if (v != FILTER_ACCEPT)
        filter_end(r, v, false);
    else if (!mac_is_multicast(HP(r, eth_dst)))
        unicast(r, b, in, vlan);
    else if (!bridge_neighbour(r, b, in, vlan) && !bridge_solicitation(r, b, in, vlan))
        bridge_flood(r, b, in);
}
