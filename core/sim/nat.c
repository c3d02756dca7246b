/* Rules that translate addresses and ports.
 *
 * A static rule (one address, ports kept) is a rewrite.  A dynamic one makes a record of what it
 * chose for a connection, or follows the record that is there; reverse rules only follow.  Records
 * are proposals until the caller commits them.
 *
 * What a forward rule matches but can't translate is dropped, never let through as it is: fragments
 * (their ports are in the first one only), ICMP errors and echo replies that belong to no known
 * connection.  Protocols that have no ports are not for dynamic rules, as in the original, nor
 * packets of another IP version than the targets': the next rule looks at them. */
#include "sim/nat.h"

#include <errno.h>

#include "packet/wire.h"

enum { DNAT_TRIES = 16 };

enum nat nat_skip(struct run *r, const struct topo_rule *rule, const char *why)
{
    TRAIL(r, TOPO_RULE, &rule->id, "not translated: %s", why);
    return NAT_NOT_APPLIED;
}

enum nat nat_drop(struct run *r, const struct topo_rule *rule, enum sim_reason reason)
{
    bool passes = reason != SIM_FRAGMENT; /* without a tag that tells */

    drop_by(r, reason, TOPO_RULE, &rule->id, passes);
    return NAT_ENDED;
}

static const char *end_text(struct run *r, const struct ip *ip, uint16_t port)
{
    return print(r, ip_is4(ip) ? "%s:%u" : "[%s]:%u", ip_text(r, ip), port);
}

void nat_say(struct run *r, const struct topo_rule *rule, const struct state_tuple *before,
             const struct state_tuple *after, const char *how)
{
    bool src = !ip_equal(&before->src, &after->src) || before->sport != after->sport;
    bool dst = !ip_equal(&before->dst, &after->dst) || before->dport != after->dport;

    if (!r->in->want_trail)
        return;
    if (src)
        TRAIL(r, TOPO_RULE, &rule->id, "source %s becomes %s, %s",
              end_text(r, &before->src, before->sport), end_text(r, &after->src, after->sport),
              how);
    if (dst)
        TRAIL(r, TOPO_RULE, &rule->id, "destination %s becomes %s, %s",
              end_text(r, &before->dst, before->dport), end_text(r, &after->dst, after->dport),
              how);
    if (!src && !dst)
        TRAIL(r, TOPO_RULE, &rule->id, "stays as it is, %s", how);
}

/* The targets of the packet's IP version. */
static uint32_t targets_for(struct run *r, const struct topo_rule *rule, bool ip6,
                            struct topo_nat_target **out)
{
    uint32_t n = 0;

    *out = arena_alloc(r->arena, rule->n_targets * sizeof **out);
    for (uint32_t i = 0; i < rule->n_targets; i++)
        if (ip_is4(&rule->targets[i].from) != ip6)
            (*out)[n++] = rule->targets[i];
    return n;
}

static bool is_ip6(struct run *r)
{
    return H(r, eth_type) == ETH_TYPE_IP6;
}

static void set_addresses(struct run *r, const struct ip *src, const struct ip *dst)
{
    if (!ip_equal(HP(r, ip_src), src))
        SET(r, ip_src, *src);
    if (!ip_equal(HP(r, ip_dst), dst))
        SET(r, ip_dst, *dst);
}

static enum nat static_nat(struct run *r, const struct topo_rule *rule)
{
    const struct ip *to = rule->n_targets ? &rule->targets[0].from : NULL;
    struct state_tuple before = {.src = *PEEK(r, ip_src), .dst = *PEEK(r, ip_dst)}, after = before;

    if (!to || ip_is4(to) == is_ip6(r))
        return nat_skip(r, rule, "the target is of another IP version");
    if (nat_is_error(r))
        return nat_error_static(r, rule);
    if (rule->type == RULE_SNAT) {
        after.src = *to;
        SEE(r, ip_src);
        SET(r, ip_src, *to);
    } else {
        after.dst = *to;
        SEE(r, ip_dst);
        SET(r, ip_dst, *to);
        r->at.dst_rewritten = true;
    }
    nat_say(r, rule, &before, &after, "always");
    return NAT_DONE;
}

/* Choosing for a connection that has no translation yet. */

static void need_ports(struct run *r, const struct ip *ip, uint16_t port, uint16_t port_to)
{
    need_this(r, &(struct sim_need){.kind = SIM_NEED_PORTS,
                                    .ref = r->at.device,
                                    .ip = *ip,
                                    .tp_port = port,
                                    .tp_to = port_to});
}

static enum nat choose_source(struct run *r, const struct topo_rule *rule, struct state_rec *rec,
                              const struct topo_nat_target *targets, uint32_t n)
{
    uint16_t port_to;
    int rc = state_pick_source(r->in->state, rec->device, &rec->fwd, targets, n, &rec->to,
                               &rec->to_port, &port_to);

    if (!rc)
        return NAT_DONE;
    if (rc != -EAGAIN)
        return nat_drop(r, rule, SIM_NAT_EXHAUSTED);
    if (gave_up(r, SIM_NEED_PORTS, rec->device, &rec->to))
        return nat_drop(r, rule, SIM_NAT_TIMEOUT);
    need_ports(r, &rec->to, rec->to_port, port_to);
    return NAT_ENDED;
}

static struct ip ip_add(const struct ip *ip, uint64_t n)
{
    struct ip sum = *ip;
    uint64_t low = __builtin_bswap64(ip->q[1]) + n;

    sum.q[1] = __builtin_bswap64(low);
    if (low < n)
        sum.q[0] = __builtin_bswap64(__builtin_bswap64(ip->q[0]) + 1);
    return sum;
}

/* Of how many addresses a target is; the first 2^32 when there are more. */
static uint64_t target_size(const struct topo_nat_target *t)
{
    uint64_t n = __builtin_bswap64(t->to.q[1]) - __builtin_bswap64(t->from.q[1]);

    return t->to.q[0] != t->from.q[0] || n > UINT32_MAX ? 1ull << 32 : n + 1;
}

/* The hash decides, so that all hosts choose the same, and a lost record is made again. */
static void nth_destination(const struct topo_nat_target *targets, uint32_t n, uint64_t hash,
                            bool echo, struct state_rec *rec)
{
    const struct topo_nat_target *t = &targets[hash % n];

    hash = hash_u64(hash);
    rec->to = ip_add(&t->from, hash % target_size(t));
    rec->to_port = rec->fwd.dport;
    if (t->port_from && !echo)
        rec->to_port =
            (uint16_t)(t->port_from + (hash >> 32) % ((unsigned)t->port_to - t->port_from + 1));
}

/* Another connection may have become this one's twin behind the translation: its packets that come
 * back couldn't be told apart. */
static enum nat choose_destination(struct run *r, const struct topo_rule *rule,
                                   struct state_rec *rec, const struct topo_nat_target *targets,
                                   uint32_t n)
{
    uint64_t hash = hash_stable(&rec->fwd, sizeof rec->fwd, 0);
    bool echo = packet_is_echo(&r->at.raw);

    for (unsigned i = 0; i < DNAT_TRIES; i++, hash = hash_u64(hash + 1)) {
        struct state_rec other;
        nth_destination(targets, n, hash, echo, rec);
        struct state_tuple back = state_back(rec);
        if (!state_find(r->in->state, STATE_DNAT, STATE_BACK, rec->device, &back, &other) ||
            !memcmp(&other.fwd, &rec->fwd, sizeof other.fwd))
            return NAT_DONE;
    }
    return nat_drop(r, rule, SIM_STATE_CONFLICT);
}

static enum nat choose(struct run *r, const struct topo_rule *rule, struct state_rec *rec)
{
    struct topo_nat_target *targets;
    uint32_t n = targets_for(r, rule, is_ip6(r), &targets);

    if (!n)
        return nat_skip(r, rule, "no target of this IP version");
    if (packet_is_echo(&r->at.raw) && tuple_of(&r->at.raw, TUPLE_PLAIN).sport)
        return nat_drop(r, rule, SIM_NAT_NO_STATE); /* an answer opens no connection */
    return rec->kind == STATE_SNAT ? choose_source(r, rule, rec, targets, n)
                                   : choose_destination(r, rule, rec, targets, n);
}

enum nat nat_choose64(struct run *r, const struct topo_rule *rule, struct state_rec *rec)
{
    if (packet_is_echo(&r->at.raw) && tuple_of(&r->at.raw, TUPLE_PLAIN).sport)
        return nat_drop(r, rule, SIM_NAT_NO_STATE);
    return rec->kind == STATE_SNAT
               ? choose_source(r, rule, rec, rule->targets + rule->n_targets, rule->n_pool)
               : choose_destination(r, rule, rec, rule->targets, rule->n_targets);
}

/* Dynamic translation. */

/* Reads all that tells a connection; false: the packet has no ports to tell it by. */
static bool see_tuple(struct run *r, enum tuple_kind kind, struct state_tuple *t)
{
    SEE(r, ip_src);
    SEE(r, ip_dst);
    SEE(r, ip_proto);
    SEE(r, ip_frag);
    if (!tuple_has_ports(&r->at.raw) && r->at.raw.ip_proto != WIRE_PROTO_ICMP &&
        r->at.raw.ip_proto != WIRE_PROTO_ICMP6)
        return false;
    SEE(r, tp_src);
    if (!packet_is_echo(&r->at.raw))
        SEE(r, tp_dst);
    else if (kind == TUPLE_WITH_ID)
        SEE(r, icmp_id);
    *t = tuple_of(&r->at.raw, kind);
    return tuple_has_ports(&r->at.raw);
}

void nat_set_tuple(struct run *r, const struct state_tuple *t, enum tuple_kind kind)
{
    struct flow_key to = header_of(&r->at.raw, t, kind);
    size_t size;

    set_addresses(r, &to.ip_src, &to.ip_dst);
    if (to.tp_src != r->at.raw.tp_src)
        SET(r, tp_src, to.tp_src);
    if (to.tp_dst != r->at.raw.tp_dst)
        SET(r, tp_dst, to.tp_dst);
    if (to.icmp_id == r->at.raw.icmp_id)
        return;
    SET(r, icmp_id, to.icmp_id);
    uint8_t *packet = rebase(r, &size);
    packet_set_echo_id(packet, size, to.icmp_id);
}

static enum nat dynamic(struct run *r, const struct topo_rule *rule, enum state_kind kind,
                        enum state_way way)
{
    enum tuple_kind with = kind == STATE_SNAT ? TUPLE_WITH_ID : TUPLE_PLAIN;
    struct state_tuple t;
    struct state_rec rec;

    if (unlikely(H(r, ip_frag) != FLOW_FRAG_NONE))
        return way == STATE_FORTH ? nat_drop(r, rule, SIM_FRAGMENT)
                                  : nat_skip(r, rule, "a fragment");
    if (nat_is_error(r))
        return nat_error(r, rule, kind, way);
    if (!see_tuple(r, with, &t))
        return nat_skip(r, rule, "the protocol has no ports");
    bool known = record_find(r, kind, way, r->at.device, &t, &rec);
    if (!known && way == STATE_BACK)
        return nat_skip(r, rule, "no connection is known whose return packet this is");
    if (!known) {
        rec = (struct state_rec){.fwd = t, .kind = (uint8_t)kind, .device = r->at.device};
        enum nat n = choose(r, rule, &rec);
        if (n != NAT_DONE)
            return n;
    }
    if (unlikely(way == STATE_BACK && kind == STATE_SNAT && nat64_is_way_back(r, &rec)))
        return nat64_back(r, rule, &rec);
    struct state_tuple to = record_apply(&rec, way, &t);
    nat_say(r, rule, &t, &to, known ? "as before" : "for a new connection");
    if (!known)
        TRAIL(r, TOPO_RULE, &rule->id, "translation will be known: %s at %s", tuple_text(r, &t),
              name_of(r, r->at.device));
    nat_set_tuple(r, &to, with);
    record_use(r, &rec);
    r->at.dst_rewritten |= !changes_source(kind, way);
    return NAT_DONE;
}

enum nat nat_apply(struct run *r, const struct topo_rule *rule)
{
    uint16_t type = H(r, eth_type);

    if (type != ETH_TYPE_IP && type != ETH_TYPE_IP6)
        return nat_skip(r, rule, "not IP");
    if (unlikely(rule->n_pool))
        return nat64_forth(r, rule);
    if (rule->stateless)
        return static_nat(r, rule);
    switch (rule->type) {
    case RULE_DNAT:
        return dynamic(r, rule, STATE_DNAT, STATE_FORTH);
    case RULE_SNAT:
        return dynamic(r, rule, STATE_SNAT, STATE_FORTH);
    case RULE_REV_DNAT:
        return dynamic(r, rule, STATE_DNAT, STATE_BACK);
    case RULE_REV_SNAT:
        return dynamic(r, rule, STATE_SNAT, STATE_BACK);
    default:
        return NAT_NOT_APPLIED;
    }
}
