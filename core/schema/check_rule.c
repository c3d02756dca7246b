#include "schema/rows.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

/* Fails with the condition field 'json' of 'type'. */
static int condition_error(enum schema_type_id type, const char *json, struct error *e,
                           const char *what)
{
    const struct schema_attr *a = schema_attr_by_json(schema_types[ST_RULE].attrs, json);

    return error_set(e, -EINVAL, schema_types[type].name, a->name, "%s", what);
}

static bool has_ports(const json_t *cond)
{
    return json_object_get(cond, "tpSrc") || json_object_get(cond, "tpDst");
}

/* 4 or 6 for a prefix that the packet must have, 0 when any does. */
static int wanted_family(const json_t *cond, const char *json, const char *inverted)
{
    const char *s = schema_str(cond, json);
    struct cidr c;

    if (!s || cidr_parse(s, &c) || schema_true(cond, inverted))
        return 0;
    return ip_is4(&c.addr) ? 4 : 6;
}

static int ethertype_family(const json_t *cond)
{
    json_int_t type = json_integer_value(json_object_get(cond, "dlType"));

    if (schema_true(cond, "invDlType"))
        return 0;
    return type == 0x86dd ? 6 : type == 0x0800 || type == 0x0806 ? 4 : 0;
}

static int check_families(enum schema_type_id type, const json_t *cond, struct error *e)
{
    int src = wanted_family(cond, "nwSrcAddress", "invNwSrc");
    int dst = wanted_family(cond, "nwDstAddress", "invNwDst");
    int ether = ethertype_family(cond);

    if (src && dst && src != dst)
        return condition_error(type, "nwDstAddress", e,
                               "source and destination are of different IP versions");
    if (ether && ((src && src != ether) || (dst && dst != ether)))
        return condition_error(type, "dlType", e, "is of another IP version than the addresses");
    return 0;
}

static int check_condition(enum schema_type_id type, const json_t *cond, struct error *e)
{
    const char *policy = schema_str(cond, "fragmentPolicy");

    if (json_object_get(cond, "dlSrcMask") && !json_object_get(cond, "dlSrc"))
        return condition_error(type, "dlSrcMask", e, "needs hw-src");
    if (json_object_get(cond, "dlDstMask") && !json_object_get(cond, "dlDst"))
        return condition_error(type, "dlDstMask", e, "needs hw-dst");
    if (schema_true(cond, "noVlan") && json_object_get(cond, "vlan"))
        return condition_error(type, "vlan", e, "a frame without a tag has no VLAN");
    if (has_ports(cond) && policy && strcmp(policy, "header") && strcmp(policy, "unfragmented"))
        return condition_error(type, "fragmentPolicy", e,
                               "For a rule with tpDst or tpSrc constraints, the fragmentPolicy "
                               "must be 'header' or 'unfragmented'");
    return check_families(type, cond, e);
}

int schema_mirror_check(const json_t *mirror, struct error *e)
{
    size_t i;
    json_t *cond;
    int rc = 0;

    json_array_foreach (json_object_get(mirror, "conditions"), i, cond)
        if (!rc)
            rc = check_condition(ST_MIRROR, cond, e);
    return rc;
}

int schema_trace_check(const json_t *request, struct error *e)
{
    int n = !!json_object_get(request, "portId") + !!json_object_get(request, "routerId") +
            !!json_object_get(request, "bridgeId");

    if (n != 1)
        return schema_refuse(ST_TRACE_REQUEST, "portId", e,
                             "exactly one of port, router and bridge is required");
    return check_condition(ST_TRACE_REQUEST, request, e);
}

/* Rules */

static bool is_nat(const char *type)
{
    return !strcmp(type, "dnat") || !strcmp(type, "snat");
}

/* One address, ports left alone: translated without state. */
static bool is_static(const json_t *target)
{
    const char *from = schema_str(target, "addressFrom"), *to = schema_str(target, "addressTo");

    return !json_integer_value(json_object_get(target, "portFrom")) && from && to &&
           !strcmp(from, to);
}

static bool is_stateful(const json_t *targets)
{
    return json_array_size(targets) > 1 || !is_static(json_array_get(targets, 0));
}

void schema_rule_fill(json_t *rule)
{
    const char *type = schema_str(rule, "type");
    json_t *targets = json_object_get(rule, "natTargets"), *t;
    size_t i;

    json_array_foreach (targets, i, t) {
        if (!json_object_get(t, "addressTo"))
            json_object_set(t, "addressTo", json_object_get(t, "addressFrom"));
        if (!json_object_get(t, "portTo"))
            json_object_set(t, "portTo", json_object_get(t, "portFrom"));
    }
    bool nat = is_nat(type), reverse = !strncmp(type, "rev_", 4);
    if ((nat || reverse || !strcmp(type, "l2_transform")) && !json_object_get(rule, "flowAction"))
        json_object_set_new(rule, "flowAction", json_string("accept"));
    if (!json_object_get(rule, "fragmentPolicy")) {
        const char *policy = "any";
        if (nat && (has_ports(rule) || is_stateful(targets)))
            policy = "unfragmented";
        else if (has_ports(rule))
            policy = "header";
        json_object_set_new(rule, "fragmentPolicy", json_string(policy));
    }
}

static int check_target(const json_t *rule, const json_t *target, struct error *e)
{
    const char *from_text = schema_str(target, "addressFrom");
    const char *to_text = schema_str(target, "addressTo");
    int64_t port_from = json_integer_value(json_object_get(target, "portFrom"));
    int64_t port_to = json_integer_value(json_object_get(target, "portTo"));
    struct ip from, to;
    int family = wanted_family(rule, "nwSrcAddress", "invNwSrc");

    if (ip_parse(from_text, &from) || ip_parse(to_text, &to))
        return -EINVAL;
    if (ip_is4(&from) != ip_is4(&to))
        return schema_refuse(ST_RULE, "natTargets", e, "%s and %s are of different IP versions",
                             from_text, to_text);
    if (memcmp(&from, &to, sizeof from) > 0)
        return schema_refuse(ST_RULE, "natTargets", e, "%s-%s ends before it starts", from_text,
                             to_text);
    if (port_from > port_to)
        return schema_refuse(ST_RULE, "natTargets", e, "ports %lld-%lld end before they start",
                             (long long)port_from, (long long)port_to);
    if (!port_from && port_to)
        return schema_refuse(ST_RULE, "natTargets", e, "port 0 is not a port (1..65535)");
    if (!family)
        family = wanted_family(rule, "nwDstAddress", "invNwDst");
    if (!family)
        family = ethertype_family(rule);
    if (family && family != (ip_is4(&from) ? 4 : 6))
        return schema_refuse(ST_RULE, "natTargets", e,
                             "%s is of another IP version than the packets that match", from_text);
    return 0;
}

static int check_targets(const json_t *rule, const json_t *targets, struct error *e)
{
    struct ip first = ip_none, ip = ip_none;
    size_t i;
    json_t *t;

    if (!json_array_size(targets))
        return schema_refuse(ST_RULE, "natTargets", e, "is required: at least one target");
    json_array_foreach (targets, i, t) {
        int rc = check_target(rule, t, e);
        if (rc)
            return rc;
        if (is_static(t) && json_array_size(targets) > 1) {
            schema_refuse(ST_RULE, "natTargets", e,
                          "%s without ports is a static translation and must be the only target",
                          schema_str(t, "addressFrom"));
            error_hint(e, "give it ports: %s:1024-65535", schema_str(t, "addressFrom"));
            return -EINVAL;
        }
        ip_parse(schema_str(t, "addressFrom"), &ip);
        if (!i)
            first = ip;
        else if (ip_is4(&ip) != ip_is4(&first))
            return schema_refuse(ST_RULE, "natTargets", e, "are of different IP versions");
    }
    return 0;
}

static int check_nat(const json_t *rule, struct error *e)
{
    const json_t *targets = json_object_get(rule, "natTargets");
    int rc = check_targets(rule, targets, e);

    if (rc)
        return rc;
    if ((has_ports(rule) || is_stateful(targets)) &&
        strcmp(schema_str(rule, "fragmentPolicy"), "unfragmented"))
        return schema_refuse(ST_RULE, "fragmentPolicy", e,
                             "For a NAT rule with port constraints or multiple targets, the "
                             "fragmentPolicy must be 'unfragmented'");
    return 0;
}

/* Which of these a rule of a type may have ('m') or must have ('M'); all others not. */
static const struct {
    const char *type;
    const char *action, *jump, *port, *ingress, *tags, *target, *trace;
    const char *actions; /* allowed flow actions */
} shapes[] = {
    {"accept", "", "", "", "", "", "", "", ""},
    {"continue", "", "", "", "", "", "", "", ""},
    {"drop", "", "", "", "", "", "", "", ""},
    {"reject", "", "", "", "", "", "", "", ""},
    {"return", "", "", "", "", "", "", "", ""},
    {"jump", "", "M", "", "", "", "", "", ""},
    {"redirect", "", "", "M", "m", "m", "", "", ""},
    {"l2_transform", "m", "", "m", "m", "m", "", "", " accept redirect "},
    {"trace", "", "", "", "", "", "", "M", ""},
    {"dnat", "m", "", "", "", "", "m", "", " accept continue return "},
    {"snat", "m", "", "", "", "", "m", "", " accept continue return "},
    {"rev_dnat", "m", "", "", "", "", "", "", " accept continue return "},
    {"rev_snat", "m", "", "", "", "", "", "", " accept continue return "},
};

static int check_member(const json_t *rule, const char *may, const char *json, struct error *e)
{
    bool there = json_object_get(rule, json) != NULL;
    const char *type = schema_str(rule, "type");

    if (there && !*may)
        return schema_refuse(ST_RULE, json, e, "is not for rules of type %s", type);
    if (!there && *may == 'M')
        return schema_refuse(ST_RULE, json, e, "is required by rules of type %s", type);
    return 0;
}

static int check_shape(const json_t *rule, struct error *e)
{
    const char *type = schema_str(rule, "type"), *action = schema_str(rule, "flowAction");
    char word[32];
    unsigned i = 0;

    while (i < ARRAY_SIZE(shapes) - 1 && strcmp(shapes[i].type, type))
        i++;
    const struct {
        const char *may, *json;
    } members[] = {
        {shapes[i].action, "flowAction"}, {shapes[i].jump, "jumpChainId"},
        {shapes[i].port, "targetPortId"}, {shapes[i].ingress, "ingress"},
        {shapes[i].ingress, "failOpen"},  {shapes[i].tags, "popVlan"},
        {shapes[i].tags, "pushVlan"},     {shapes[i].target, "natTargets"},
        {shapes[i].trace, "requestId"},   {shapes[i].trace[0] ? "m" : "", "limit"},
    };
    for (unsigned m = 0; m < ARRAY_SIZE(members); m++) {
        int rc = check_member(rule, members[m].may, members[m].json, e);
        if (rc)
            return rc;
    }
    snprintf(word, sizeof word, " %s ", action ? action : "");
    if (action && !strstr(shapes[i].actions, word))
        return schema_refuse(ST_RULE, "flowAction", e, "%s does not go with type %s", action, type);
    return 0;
}

int schema_rule_check(const json_t *rule, struct error *e)
{
    const char *type = schema_str(rule, "type"), *action = schema_str(rule, "flowAction");
    int rc = check_shape(rule, e);

    if (!rc && is_nat(type))
        rc = check_nat(rule, e);
    if (!rc)
        rc = check_condition(ST_RULE, rule, e);
    if (!rc && action && !strcmp(action, "redirect") && !json_object_get(rule, "targetPortId"))
        rc = schema_refuse(ST_RULE, "targetPortId", e, "is required by action redirect");
    return rc;
}
