/* From IPv6 to IPv4 and back: floating IPv6 addresses of machines that have IPv4 (RFC 6146).
 *
 * A dnat rule with a pool takes an IPv6 packet to one of its (IPv4) targets, from an address and
 * port of its pool.  That is two translations with two records, each of which knows one end in one
 * version and one in the other:
 *
 *   DNAT   (client, floating)  ->  machine         SNAT   (client, machine)  ->  pool
 *
 * What comes back is found by the second, in IPv4, at a rev_snat rule, and carried on by the first.
 * Only IPv6 opens connections.  No datapath changes versions: each packet is treated by the agent.
 */
#include "sim/nat.h"

#include "packet/wire.h"

enum { ROOM = 80 };

/* The packet in its other version is the branch's from here on: nothing of it is the one's that
 * came in. */
static bool change_version(struct run *r, const uint8_t *packet, size_t size,
                           const struct packet_ends *ends, const struct packet_ends *quoted)
{
    uint8_t *buf = arena_alloc(r->arena, 8 + size + ROOM);
    struct base *base = arena_alloc(r->arena, sizeof *base);
    struct flow_key key = {.in_port = r->at.raw.in_port};
    struct packet_layers l;
    size_t n = packet_change_version(buf + 8, size + ROOM, packet, size, ends, quoted);

    if (!n)
        return false;
    packet_parse(buf + 8, n, &key, &l);
    r->at.raw = key;
    r->at.own = FIELDS_ALL;
    r->at.hidden = 0;
    r->at.snapshot = NULL;
    *base = (struct base){buf + 8, (uint32_t)n, snapshot(r)};
    r->at.base = base;
    return true;
}

/* Echo is another protocol in each version; 'way' tells which side answers. */
static void other_echo(struct state_tuple *t, enum state_way way)
{
    uint16_t *service = way == STATE_FORTH ? &t->dport : &t->sport;

    if (t->proto == WIRE_PROTO_ICMP6) {
        t->proto = WIRE_PROTO_ICMP;
        *service = 8;
    } else if (t->proto == WIRE_PROTO_ICMP) {
        t->proto = WIRE_PROTO_ICMP6;
        *service = 128;
    }
}

/* The packet's tuple, or of an ICMP error that of a packet going its way; false: it has none. */
static bool tuple_in_hand(const uint8_t *packet, size_t size, const struct flow_key *h,
                          struct state_tuple *t)
{
    struct packet_quote q;

    if (!packet_is_icmp_error(h)) {
        *t = tuple_of(h, TUPLE_WITH_ID);
        return tuple_has_ports(h);
    }
    if (!packet_quote(packet, size, &q) || !q.ports || !tuple_has_ports(&q.key))
        return false;
    *t = tuple_of(&q.key, TUPLE_WITH_ID);
    *t = tuple_swap(t);
    return ip_equal(&t->dst, &h->ip_dst);
}

/* Turns the packet into one of tuple 't', ports and ids included. */
static enum nat turn(struct run *r, const struct topo_rule *rule, const uint8_t *packet,
                     size_t size, const struct state_tuple *t)
{
    struct packet_ends ends = {t->src, t->dst}, quoted = {t->dst, t->src};
    struct packet_quote q;

    if (!change_version(r, packet, size, &ends, &quoted))
        return nat_drop(r, rule, SIM_NO_COUNTERPART);
    if (!packet_is_icmp_error(&r->at.raw)) {
        nat_set_tuple(r, t, TUPLE_WITH_ID);
        return NAT_DONE;
    }
    uint8_t *copy = rebase(r, &size);
    if (!packet_quote(copy, size, &q))
        return nat_drop(r, rule, SIM_NO_COUNTERPART);
    struct state_tuple inner = tuple_swap(t);
    struct flow_key key = header_of(&q.key, &inner, TUPLE_WITH_ID);
    packet_quote_rewrite(copy, &q, &key);
    return NAT_DONE;
}

static bool find_or_choose(struct run *r, const struct topo_rule *rule, struct state_rec *rec,
                           const struct state_tuple *t, enum state_kind kind, bool opens,
                           enum nat *end)
{
    if (record_find(r, kind, STATE_FORTH, r->at.device, t, rec))
        return true;
    *rec = (struct state_rec){.fwd = *t, .kind = (uint8_t)kind, .device = r->at.device};
    *end = opens ? nat_choose64(r, rule, rec) : nat_drop(r, rule, SIM_NAT_NO_STATE);
    return *end == NAT_DONE;
}

enum nat nat64_forth(struct run *r, const struct topo_rule *rule)
{
    struct state_rec dnat, snat;
    struct state_tuple t;
    enum nat end;
    size_t size;

    userspace_only(r);
    if (H(r, eth_type) != ETH_TYPE_IP6)
        return nat_skip(r, rule, "not IPv6");
    if (H(r, ip_frag) != FLOW_FRAG_NONE)
        return nat_drop(r, rule, SIM_FRAGMENT);
    const uint8_t *packet = materialize(r, r->at.base, &r->at.raw, &size);
    bool error = packet_is_icmp_error(&r->at.raw);
    if (!tuple_in_hand(packet, size, &r->at.raw, &t))
        return error ? nat_drop(r, rule, SIM_NAT_NO_STATE)
                     : nat_skip(r, rule, "the protocol has no ports");
    struct state_tuple before = t;
    if (!find_or_choose(r, rule, &dnat, &t, STATE_DNAT, !error, &end))
        return end;
    t = record_apply(&dnat, STATE_FORTH, &t);
    other_echo(&t, STATE_FORTH);
    if (!find_or_choose(r, rule, &snat, &t, STATE_SNAT, !error, &end))
        return end;
    t = record_apply(&snat, STATE_FORTH, &t);
    nat_say(r, rule, &before, &t, "in IPv4");
    end = turn(r, rule, packet, size, &t);
    if (end != NAT_DONE)
        return end;
    if (!error) {
        record_use(r, &dnat);
        record_use(r, &snat);
    }
    r->at.dst_rewritten = true;
    return NAT_DONE;
}

bool nat64_is_way_back(const struct run *r, const struct state_rec *snat)
{
    return ip_is4(&snat->fwd.src) != (r->at.raw.eth_type == ETH_TYPE_IP);
}

enum nat nat64_back(struct run *r, const struct topo_rule *rule, const struct state_rec *snat)
{
    struct state_rec dnat;
    struct state_tuple t;
    size_t size;

    userspace_only(r);
    const uint8_t *packet = materialize(r, r->at.base, &r->at.raw, &size);
    bool error = packet_is_icmp_error(&r->at.raw);
    if (!tuple_in_hand(packet, size, &r->at.raw, &t))
        return nat_skip(r, rule, "quotes nothing that is known");
    struct state_tuple before = t;
    t = record_apply(snat, STATE_BACK, &t);
    other_echo(&t, STATE_BACK);
    if (!record_find(r, STATE_DNAT, STATE_BACK, r->at.device, &t, &dnat))
        return nat_drop(r, rule, SIM_NAT_NO_STATE);
    t = record_apply(&dnat, STATE_BACK, &t);
    nat_say(r, rule, &before, &t, "in IPv6");
    enum nat end = turn(r, rule, packet, size, &t);
    if (end != NAT_DONE)
        return end;
    if (!error) {
        record_use(r, &dnat);
        record_use(r, snat);
    }
    r->at.dst_rewritten = true;
    return NAT_DONE;
}
