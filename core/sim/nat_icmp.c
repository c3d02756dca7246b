/* ICMP errors through translations.
 *
 * An error goes against the direction of the packet it quotes, so the quoted headers, turned round,
 * are those of a packet that goes the error's way: what a rule would do to that packet tells what
 * to do to the quoted one (turned round again) and to the error itself.  Who made the error need
 * not be an end of the connection (a router on the way); where the source is translated it takes
 * the connection's address all the same, as in Linux (nf_nat_icmp_reply_translation), so that no
 * address from behind the translation shows (RFC 5508 section 4.2).
 *
 * No datapath sees what is quoted: such packets have no flow.  They keep no record alive. */
#include "sim/nat.h"

#include "packet/wire.h"

bool nat_is_error(struct run *r)
{
    uint8_t proto = H(r, ip_proto);

    if (proto != (H(r, eth_type) == ETH_TYPE_IP6 ? WIRE_PROTO_ICMP6 : WIRE_PROTO_ICMP))
        return false;
    SEE(r, ip_frag);
    SEE(r, tp_src);
    return packet_is_icmp_error(&r->at.raw);
}

static enum nat unknown(struct run *r, const struct topo_rule *rule, enum state_way way)
{
    if (way == STATE_BACK)
        return nat_skip(r, rule, "an ICMP error about no connection that is known");
    return nat_drop(r, rule, SIM_NAT_NO_STATE);
}

/* The error's own addresses: it must go to who sent what it quotes. */
static void set_outer(struct run *r, const struct state_tuple *to, bool source)
{
    if (source) {
        SEE(r, ip_src);
        SET(r, ip_src, to->src);
    } else {
        SEE(r, ip_dst);
        SET(r, ip_dst, to->dst);
        r->at.dst_rewritten = true;
    }
}

enum nat nat_error(struct run *r, const struct topo_rule *rule, enum state_kind kind,
                   enum state_way way)
{
    enum tuple_kind with = kind == STATE_SNAT ? TUPLE_WITH_ID : TUPLE_PLAIN;
    struct packet_quote q;
    struct state_rec rec;
    size_t size;
    uint8_t *packet = rebase(r, &size);

    if (!packet_quote(packet, size, &q) || !q.ports || !tuple_has_ports(&q.key))
        return unknown(r, rule, way);
    struct state_tuple t = tuple_of(&q.key, with);
    t = tuple_swap(&t);
    if (!ip_equal(&t.dst, PEEK(r, ip_dst)) || !record_find(r, kind, way, r->at.device, &t, &rec))
        return unknown(r, rule, way);
    if (way == STATE_BACK && kind == STATE_SNAT && nat64_is_way_back(r, &rec))
        return nat64_back(r, rule, &rec);
    struct state_tuple to = record_apply(&rec, way, &t), inner = tuple_swap(&to);
    struct flow_key key = header_of(&q.key, &inner, with);
    packet_quote_rewrite(packet, &q, &key);
    set_outer(r, &to, changes_source(kind, way));
    nat_say(r, rule, &t, &to, "for the ICMP error and, turned round, in what it quotes");
    return NAT_DONE;
}

/* With a condition on the quoted addresses the error's own are left alone (behaviour.md 8.2). */
enum nat nat_error_static(struct run *r, const struct topo_rule *rule)
{
    bool source = rule->type == RULE_SNAT;
    bool inner_only = rule->cond.has & (COND_BIT(ICMP_DATA_SRC) | COND_BIT(ICMP_DATA_DST));
    const struct ip *new = &rule->targets[0].from;
    struct ip old = source ? *PEEK(r, ip_src) : *PEEK(r, ip_dst);
    struct packet_quote q;
    size_t size;
    uint8_t *packet = rebase(r, &size);

    if (packet_quote(packet, size, &q)) {
        struct flow_key key = q.key;
        struct ip *inner = source ? &key.ip_dst : &key.ip_src;
        if (inner_only || ip_equal(inner, &old)) {
            TRAIL(r, TOPO_RULE, &rule->id, "quoted %s %s becomes %s",
                  source ? "destination" : "source", ip_text(r, inner), ip_text(r, new));
            *inner = *new;
            packet_quote_rewrite(packet, &q, &key);
        }
    }
    if (!inner_only) {
        TRAIL(r, TOPO_RULE, &rule->id, "%s %s becomes %s, always",
              source ? "source" : "destination", ip_text(r, &old), ip_text(r, new));
        set_outer(r, &(struct state_tuple){.src = *new, .dst = *new}, source);
    }
    return NAT_DONE;
}
