/* Rules and conditions: JSON to values.  A rule that can't be understood, or says more than this
 * version knows, drops what reaches it: what it would have refused must not pass. */
#include <stdlib.h>

#include "base/log.h"
#include "packet/flow.h"
#include "topology/sync_impl.h"
#include "topology/sync_policy.h"

static void has(struct topo_cond *c, enum cond_field f, const json_t *body, const char *inverted)
{
    c->has |= 1u << f;
    if (inverted && sync_body_bool(body, inverted, false))
        c->inv |= 1u << f;
}

static bool number(const json_t *body, const char *key, int64_t max, uint16_t *out)
{
    int64_t n = sync_body_int(body, key, -1, 0, max);

    *out = (uint16_t)MAX(n, 0);
    return n >= 0;
}

static bool prefix(const json_t *body, const char *key, struct cidr *out)
{
    if (cidr_parse(sync_body_string(body, key), out))
        return false;
    out->addr = cidr_network(out);
    return true;
}

/* "ffff.ff00.0000"; all ones when there is none. */
static struct mac mac_mask(const json_t *body, const char *key)
{
    const char *text = sync_body_string(body, key);
    unsigned a, b, c;

    if (sscanf(text, "%4x.%4x.%4x", &a, &b, &c) != 3)
        a = b = c = 0xffff;
    return (struct mac){{(uint8_t)(a >> 8), (uint8_t)a, (uint8_t)(b >> 8), (uint8_t)b,
                         (uint8_t)(c >> 8), (uint8_t)c}};
}

static bool range(const json_t *body, const char *key, uint16_t out[2])
{
    const json_t *v = json_object_get(body, key);

    if (!json_is_object(v))
        return false;
    out[0] = (uint16_t)sync_body_int(v, "start", 0, 0, UINT16_MAX);
    out[1] = (uint16_t)sync_body_int(v, "end", UINT16_MAX, 0, UINT16_MAX);
    return true;
}

static int compare_refs(const void *pa, const void *pb)
{
    const topo_ref *a = pa, *b = pb;

    return (*a > *b) - (*a < *b);
}

static struct topo_refs list_of(struct sync *s, const json_t *body, const char *key,
                                struct arena *arena)
{
    const json_t *list = json_object_get(body, key), *v;
    struct topo_refs out = {0};
    struct uuid id;
    size_t i;

    if (!json_array_size(list))
        return out;
    out.v = arena_alloc(arena, json_array_size(list) * sizeof *out.v);
    json_array_foreach (list, i, v) {
        const char *text = json_string_value(v);
        if (text && !uuid_parse(text, &id))
            out.v[out.n++] = topo_intern(s->topo, TOPO_PORT, &id);
    }
    return out;
}

static bool port_list(struct sync *s, const json_t *body, const char *key, struct arena *arena,
                      topo_ref **out, uint16_t *n)
{
    struct topo_refs r = list_of(s, body, key, arena);

    if (r.n)
        qsort(r.v, r.n, sizeof *r.v, compare_refs);
    *out = r.v;
    *n = (uint16_t)MIN(r.n, (uint32_t)UINT16_MAX);
    return r.n > 0;
}

static void parse_ports(struct sync *s, const json_t *body, struct arena *arena,
                        struct topo_cond *c)
{
    if (port_list(s, body, "inPorts", arena, &c->in_ports, &c->n_in_ports))
        has(c, COND_IN_PORTS, body, "invInPorts");
    if (port_list(s, body, "outPorts", arena, &c->out_ports, &c->n_out_ports))
        has(c, COND_OUT_PORTS, body, "invOutPorts");
    if ((c->port_group = sync_body_ref(s, body, "portGroup", TOPO_PORT_GROUP)))
        has(c, COND_PORT_GROUP, body, "invPortGroup");
    if ((c->in_port_group = sync_body_ref(s, body, "inPortGroup", TOPO_PORT_GROUP)))
        has(c, COND_IN_PORT_GROUP, body, "invInPortGroup");
    if ((c->out_port_group = sync_body_ref(s, body, "outPortGroup", TOPO_PORT_GROUP)))
        has(c, COND_OUT_PORT_GROUP, body, "invOutPortGroup");
    if ((c->traversed = sync_body_ref(s, body, "traversedDevice", TOPO_NONE)))
        has(c, COND_TRAVERSED, body, "invTraversedDevice");
}

static void parse_ethernet(const json_t *body, struct topo_cond *c)
{
    if (sync_body_mac(body, "dlSrc", &c->eth_src)) {
        c->eth_src_mask = mac_mask(body, "dlSrcMask");
        has(c, COND_ETH_SRC, body, "invDlSrc");
    }
    if (sync_body_mac(body, "dlDst", &c->eth_dst)) {
        c->eth_dst_mask = mac_mask(body, "dlDstMask");
        has(c, COND_ETH_DST, body, "invDlDst");
    }
    if (number(body, "dlType", UINT16_MAX, &c->eth_type))
        has(c, COND_ETH_TYPE, body, "invDlType");
    if (sync_body_bool(body, "noVlan", false))
        has(c, COND_NO_VLAN, body, NULL);
    if (number(body, "vlan", FLOW_VLAN_VID, &c->vlan)) {
        c->vlan_mask = FLOW_VLAN_VID;
        has(c, COND_VLAN, body, NULL);
    }
}

static void parse_fragments(const json_t *body, struct topo_cond *c)
{
    const char *policy = sync_body_string(body, "fragmentPolicy");

    if (!strcmp(policy, "header"))
        c->frags = 1 << FLOW_FRAG_NONE | 1 << FLOW_FRAG_FIRST;
    else if (!strcmp(policy, "nonheader"))
        c->frags = 1 << FLOW_FRAG_LATER;
    else if (!strcmp(policy, "unfragmented"))
        c->frags = 1 << FLOW_FRAG_NONE;
    if (c->frags)
        has(c, COND_FRAG, body, NULL);
}

static void parse_ip(struct sync *s, const json_t *body, struct topo_cond *c)
{
    uint16_t n;

    if (number(body, "nwProto", UINT8_MAX, &n)) {
        c->proto = (uint8_t)n;
        has(c, COND_PROTO, body, "invNwProto");
    }
    if (number(body, "nwTos", UINT8_MAX, &n)) {
        c->tos = (uint8_t)n;
        has(c, COND_TOS, body, "invNwTos");
    }
    parse_fragments(body, c);
    if (prefix(body, "nwSrcAddress", &c->src))
        has(c, COND_SRC, body, "invNwSrc");
    if (prefix(body, "nwDstAddress", &c->dst))
        has(c, COND_DST, body, "invNwDst");
    if ((c->src_group = sync_body_ref(s, body, "ipAddrGroupSrc", TOPO_IP_GROUP)))
        has(c, COND_SRC_GROUP, body, "invIpAddrGroupSrc");
    if ((c->dst_group = sync_body_ref(s, body, "ipAddrGroupDst", TOPO_IP_GROUP)))
        has(c, COND_DST_GROUP, body, "invIpAddrGroupDst");
    if (sync_body_bool(body, "matchNwDstRewritten", false))
        has(c, COND_DST_REWRITTEN, body, NULL);
}

static void parse_transport(const json_t *body, struct topo_cond *c)
{
    if (range(body, "tpSrc", c->tp_src))
        has(c, COND_TP_SRC, body, "invTpSrc");
    if (range(body, "tpDst", c->tp_dst))
        has(c, COND_TP_DST, body, "invTpDst");
    if (number(body, "tcpFlags", UINT16_MAX, &c->tcp_flags)) {
        if (!number(body, "tcpFlagsMask", UINT16_MAX, &c->tcp_flags_mask))
            c->tcp_flags_mask = c->tcp_flags;
        has(c, COND_TCP_FLAGS, body, "invTcpFlags");
    }
    if (number(body, "icmpId", UINT16_MAX, &c->icmp_id))
        has(c, COND_ICMP_ID, body, "invIcmpId");
    if (prefix(body, "icmpDataSrcIpAddress", &c->icmp_data_src))
        has(c, COND_ICMP_DATA_SRC, body, "invIcmpDataSrcIp");
    if (prefix(body, "icmpDataDstIpAddress", &c->icmp_data_dst))
        has(c, COND_ICMP_DATA_DST, body, "invIcmpDataDstIp");
    if (sync_body_bool(body, "matchForwardFlow", false))
        has(c, COND_FORWARD, body, NULL);
    if (sync_body_bool(body, "matchReturnFlow", false))
        has(c, COND_RETURN, body, NULL);
}

void sync_parse_cond(struct sync *s, const json_t *body, struct arena *arena, struct topo_cond *c)
{
    *c = (struct topo_cond){.inverted = sync_body_bool(body, "condInvert", false)};
    parse_ports(s, body, arena, c);
    parse_ethernet(body, c);
    parse_ip(s, body, c);
    parse_transport(body, c);
}

static uint16_t targets_of(const json_t *list, struct topo_nat_target *out)
{
    uint16_t n = 0;
    const json_t *v;
    size_t i;

    json_array_foreach (list, i, v) {
        struct topo_nat_target *t = &out[n];
        *t = (struct topo_nat_target){0};
        if (!sync_body_ip(v, "addressFrom", &t->from))
            continue;
        if (!sync_body_ip(v, "addressTo", &t->to))
            t->to = t->from;
        t->port_from = (uint16_t)sync_body_int(v, "portFrom", 0, 0, UINT16_MAX);
        t->port_to = (uint16_t)sync_body_int(v, "portTo", t->port_from, 0, UINT16_MAX);
        n++;
    }
    return n;
}

static void parse_targets(const json_t *body, struct arena *arena, struct topo_rule *r)
{
    const json_t *targets = json_object_get(body, "natTargets");
    const json_t *pool = json_object_get(body, "natPool");

    if (!json_array_size(targets))
        return;
    r->targets =
        arena_alloc(arena, (json_array_size(targets) + json_array_size(pool)) * sizeof *r->targets);
    r->n_targets = targets_of(targets, r->targets);
    r->n_pool = targets_of(pool, r->targets + r->n_targets);
    r->stateless = r->n_targets == 1 && !r->n_pool && !r->targets->port_from &&
                   ip_equal(&r->targets->from, &r->targets->to);
}

/* The only fragment policy a dynamic translation may have is "unfragmented": it says what can be
 * translated.  Fragments must reach the rule all the same, to be dropped by it: let by, they would
 * leave as they are. */
static void meet_fragments(struct topo_rule *r)
{
    const uint32_t ports = COND_BIT(TP_SRC) | COND_BIT(TP_DST);

    if ((r->type != RULE_DNAT && r->type != RULE_SNAT) || r->stateless)
        return;
    r->cond.frags |= 1 << FLOW_FRAG_FIRST;
    if (!(r->cond.has & ports))
        r->cond.has &= ~COND_BIT(FRAG);
}

static bool word_to_type(const char *word, uint8_t *type)
{
    static const struct {
        const char *word;
        enum topo_rule_type type;
    } types[] = {{"accept", RULE_ACCEPT},     {"drop", RULE_DROP},
                 {"reject", RULE_REJECT},     {"return", RULE_RETURN},
                 {"continue", RULE_CONTINUE}, {"jump", RULE_JUMP},
                 {"dnat", RULE_DNAT},         {"snat", RULE_SNAT},
                 {"rev_dnat", RULE_REV_DNAT}, {"rev_snat", RULE_REV_SNAT},
                 {"redirect", RULE_REDIRECT}, {"l2_transform", RULE_L2},
                 {"trace", RULE_TRACE},       {"log", RULE_LOG}};

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        if (!strcmp(types[i].word, word)) {
            *type = (uint8_t)types[i].type;
            return true;
        }
    }
    return false;
}

/* A member that this version doesn't know may be a condition. */
static const char *unknown_member(const json_t *body)
{
    const struct schema_attr *rows = schema_types[ST_RULE].attrs, *a;
    const char *key;
    json_t *v;

    json_object_foreach ((json_t *)body, key, v) {
        if (!strcmp(key, "id") || !strcmp(key, "rev") || schema_attr_by_json(rows, key))
            continue;
        for (a = rows; a->name && !(a->invert_json && !strcmp(a->invert_json, key));)
            a++;
        if (!a->name)
            return key;
    }
    return NULL;
}

static void broken(struct sync *s, const struct uuid *id, const char *what, struct topo_rule *out)
{
    char text[UUID_STRLEN];

    s->st.broken++;
    log_limited(LOG_LVL_WARN, "topology", "rule %s drops all packets that reach it: %s",
                uuid_format(id, text), what);
    *out = (struct topo_rule){.id = *id, .type = RULE_BROKEN};
}

void sync_parse_rule(struct sync *s, const struct uuid *id, const json_t *body, struct arena *arena,
                     struct topo_rule *out)
{
    uint16_t tci;

    *out = (struct topo_rule){.id = *id};
    if (!body) {
        broken(s, id, "its description can't be understood", out);
        return;
    }
    if (unknown_member(body) || !word_to_type(sync_body_string(body, "type"), &out->type)) {
        broken(s, id, "it says what this version doesn't know", out);
        return;
    }
    if (!word_to_type(sync_body_string(body, "flowAction"), &out->action))
        out->action = RULE_ACCEPT;
    out->ingress = sync_body_bool(body, "ingress", false);
    out->fail_open = sync_body_bool(body, "failOpen", false);
    out->pop_vlan = sync_body_bool(body, "popVlan", false);
    if (number(body, "pushVlan", UINT16_MAX, &tci)) {
        out->push = true;
        out->push_tci = tci | FLOW_VLAN_PRESENT;
    }
    out->jump = sync_body_ref(s, body, "jumpChainId", TOPO_CHAIN);
    out->target_port = sync_body_ref(s, body, "targetPortId", TOPO_PORT);
    out->limit = (uint64_t)sync_body_int(body, "limit", 0, 0, INT64_MAX);
    sync_body_uuid(body, "requestId", &out->request);
    parse_targets(body, arena, out);
    sync_parse_cond(s, body, arena, &out->cond);
    meet_fragments(out);
}
