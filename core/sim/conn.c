/* Connection tracking.
 *
 * A connection is opened by the packet that first leaves the network, tracked, by some port; from
 * then on what enters at that port's device with the headers swapped is its return flow.  So the
 * lookup takes the packet as it entered the network and the device it entered at, whatever has
 * happened to it since.  Only packets whose direction a rule asks for are tracked. */
#include "sim/nat.h"

#include "packet/wire.h"

enum { UNKNOWN, OPENS, RETURNS }; /* run.direction */

static bool is_ip(const struct flow_key *h)
{
    return h->eth_type == ETH_TYPE_IP || h->eth_type == ETH_TYPE_IP6;
}

static uint8_t echo_request(const struct flow_key *h)
{
    return h->eth_type == ETH_TYPE_IP6 ? 128 : 8;
}

static bool has_port_fields(const struct flow_key *h)
{
    return h->ip_proto == WIRE_PROTO_TCP || h->ip_proto == WIRE_PROTO_UDP ||
           h->ip_proto == WIRE_PROTO_SCTP;
}

bool tuple_has_ports(const struct flow_key *h)
{
    return h->ip_frag != FLOW_FRAG_LATER && (has_port_fields(h) || packet_is_echo(h));
}

struct state_tuple tuple_of(const struct flow_key *h, enum tuple_kind kind)
{
    struct state_tuple t = {.src = h->ip_src, .dst = h->ip_dst, .proto = h->ip_proto};
    uint16_t id = kind == TUPLE_WITH_ID ? h->icmp_id : 0;

    if (!tuple_has_ports(h))
        return t;
    if (has_port_fields(h)) {
        t.sport = h->tp_src;
        t.dport = h->tp_dst;
    } else {
        bool asks = h->tp_src == echo_request(h);
        t.sport = asks ? id : echo_request(h);
        t.dport = asks ? echo_request(h) : id;
    }
    return t;
}

struct flow_key header_of(const struct flow_key *h, const struct state_tuple *t,
                          enum tuple_kind kind)
{
    struct flow_key k = *h;

    k.ip_src = t->src;
    k.ip_dst = t->dst;
    if (has_port_fields(h)) {
        k.tp_src = t->sport;
        k.tp_dst = t->dport;
    } else if (kind == TUPLE_WITH_ID) {
        k.icmp_id = h->tp_src == echo_request(h) ? t->sport : t->dport;
    }
    return k;
}

/* Records. */

static bool record_matches(const struct state_rec *rec, enum state_kind kind, enum state_way way,
                           topo_ref device, const struct state_tuple *t)
{
    if (rec->kind != kind || rec->device != device)
        return false;
    struct state_tuple own = way == STATE_FORTH ? rec->fwd : state_back(rec);
    return !memcmp(&own, t, sizeof own);
}

bool record_find(struct run *r, enum state_kind kind, enum state_way way, topo_ref device,
                 const struct state_tuple *t, struct state_rec *rec)
{
    add_tag(r, tag_state(kind, way, device, t));
    for (uint32_t i = 0; i < r->res->n_states; i++) {
        if (!record_matches(&r->res->states[i], kind, way, device, t))
            continue;
        *rec = r->res->states[i];
        return true;
    }
    return state_find(r->in->state, kind, way, device, t, rec);
}

void record_use(struct run *r, const struct state_rec *rec)
{
    struct sim_result *res = r->res;

    if (r->hand.nested)
        return;
    for (uint32_t i = 0; i < res->n_states; i++)
        if (!memcmp(&res->states[i], rec, sizeof *rec))
            return;
    res->states = grow_list(r, res->states, res->n_states, &r->room_states, sizeof *res->states);
    res->states[res->n_states++] = *rec;
}

struct state_tuple record_apply(const struct state_rec *rec, enum state_way way,
                                const struct state_tuple *t)
{
    struct state_tuple to = *t;
    bool forth = way == STATE_FORTH;

    if (rec->kind == STATE_SNAT && forth) {
        to.src = rec->to;
        to.sport = rec->to_port;
    } else if (rec->kind == STATE_SNAT) {
        to.dst = rec->fwd.src;
        to.dport = rec->fwd.sport;
    } else if (forth) {
        to.dst = rec->to;
        to.dport = rec->to_port;
    } else {
        to.src = rec->fwd.dst;
        to.sport = rec->fwd.dport;
    }
    return to;
}

/* Directions. */

/* An ICMP error belongs to the connection of the packet it quotes, which went the other way. */
static bool quoted_tuple(struct run *r, struct state_tuple *t)
{
    struct packet_quote q;

    userspace_only(r);
    if (!packet_quote(r->hand.packet, r->hand.size, &q))
        return false;
    *t = tuple_of(&q.key, TUPLE_PLAIN);
    *t = tuple_swap(t);
    return true;
}

/* The packet as it entered the network, marked as seen as far as the tuple goes. */
static bool entry_tuple(struct run *r, struct state_tuple *t)
{
    const struct flow_key *k = r->hand.key;

    r->seen |= FIELD(vlan_tci) | FIELD(eth_type);
    if (!is_ip(k))
        return false;
    r->seen |= FIELD(ip_src) | FIELD(ip_dst) | FIELD(ip_proto) | FIELD(ip_frag);
    if (has_port_fields(k))
        r->seen |= FIELD(tp_src) | FIELD(tp_dst);
    else if (k->ip_proto == WIRE_PROTO_ICMP || k->ip_proto == WIRE_PROTO_ICMP6)
        r->seen |= FIELD(tp_src);
    if (packet_is_icmp_error(k))
        return quoted_tuple(r, t);
    *t = tuple_of(k, TUPLE_PLAIN);
    return true;
}

const char *tuple_text(struct run *r, const struct state_tuple *t)
{
    return print(r, "%s:%u > %s:%u, protocol %u", ip_text(r, &t->src), t->sport,
                 ip_text(r, &t->dst), t->dport, t->proto);
}

/* The first fragment of a return packet vouches for those behind it, which have no ports. */
static void vouch(struct run *r, const struct state_rec *found)
{
    struct state_rec rec = *found;

    rec.fwd.sport = rec.fwd.dport = 0;
    record_use(r, &rec);
}

static bool returns(struct run *r, topo_ref device, const struct state_tuple *t)
{
    struct state_rec rec;

    if (!record_find(r, STATE_CONN, STATE_FORTH, device, t, &rec))
        return false;
    if (!packet_is_icmp_error(r->hand.key)) /* errors keep nothing alive */
        record_use(r, &rec);
    if (r->hand.key->ip_frag == FLOW_FRAG_FIRST)
        vouch(r, &rec);
    return true;
}

static uint8_t find_direction(struct run *r)
{
    const struct topo_port *p = topo_port(r->topo, r->in->port);
    struct state_tuple t;

    if (!p || !entry_tuple(r, &t))
        return OPENS;
    bool back = returns(r, p->device, &t);
    TRAIL_OBJ(r, &p->obj,
              back ? "a return packet: %s is known at %s"
                   : "no return packet: %s isn't known at %s",
              tuple_text(r, &t), name_of(r, p->device));
    return back ? RETURNS : OPENS;
}

bool conn_is_return(struct run *r)
{
    if (r->hand.nested)
        return true;
    if (r->direction == UNKNOWN)
        r->direction = find_direction(r);
    if (r->direction == RETURNS)
        return true;
    r->at.tracked = true;
    return false;
}

/* Can a packet with this header open a connection? */
static bool opens(const struct flow_key *h)
{
    bool icmp = h->ip_proto == WIRE_PROTO_ICMP || h->ip_proto == WIRE_PROTO_ICMP6;

    if (!is_ip(h) || h->ip_frag == FLOW_FRAG_LATER)
        return false;
    return !icmp || (packet_is_echo(h) && h->tp_src == echo_request(h));
}

void conn_emitted(struct run *r, const struct topo_port *p)
{
    if (likely(!r->at.tracked) || r->hand.nested || !opens(&r->at.raw))
        return;
    struct state_tuple t = tuple_of(&r->at.raw, TUPLE_PLAIN);
    struct state_rec rec = {.kind = STATE_CONN, .fwd = tuple_swap(&t), .device = p->device};
    record_use(r, &rec);
    TRAIL_OBJ(r, &p->obj, "return packets will be known: %s at %s", tuple_text(r, &rec.fwd),
              name_of(r, p->device));
}
