#include "schema/rows.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { TARGETS_MAX = 64 /* addresses in a row are one */ };

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

static bool is_stateful(const json_t *rule)
{
    const json_t *targets = json_object_get(rule, "natTargets");

    return json_object_get(rule, "natPool") || json_array_size(targets) > 1 ||
           !is_static(json_array_get(targets, 0));
}

static void complete_target(json_t *t)
{
    if (!json_object_get(t, "addressTo"))
        json_object_set(t, "addressTo", json_object_get(t, "addressFrom"));
    if (!json_object_get(t, "portTo"))
        json_object_set(t, "portTo", json_object_get(t, "portFrom"));
}

void schema_rule_fill(json_t *rule)
{
    const char *type = schema_str(rule, "type");
    json_t *targets = json_object_get(rule, "natTargets"), *t;
    size_t i;

    json_array_foreach (targets, i, t)
        complete_target(t);
    json_array_foreach (json_object_get(rule, "natPool"), i, t)
        complete_target(t);
    bool nat = is_nat(type), reverse = !strncmp(type, "rev_", 4);
    if ((nat || reverse || !strcmp(type, "l2_transform")) && !json_object_get(rule, "flowAction"))
        json_object_set_new(rule, "flowAction", json_string("accept"));
    if (!json_object_get(rule, "fragmentPolicy")) {
        const char *policy = "any";
        if (nat && (schema_cond_ports(rule) || is_stateful(rule)))
            policy = "unfragmented";
        else if (schema_cond_ports(rule))
            policy = "header";
        json_object_set_new(rule, "fragmentPolicy", json_string(policy));
    }
}

/* Of attribute 'json'; 'family': 4 or 6 when it must be that. */
static int check_target(const json_t *target, const char *json, int family, struct error *e)
{
    const char *from_text = schema_str(target, "addressFrom");
    const char *to_text = schema_str(target, "addressTo");
    int64_t port_from = json_integer_value(json_object_get(target, "portFrom"));
    int64_t port_to = json_integer_value(json_object_get(target, "portTo"));
    struct ip from, to;

    if (ip_parse(from_text, &from) || ip_parse(to_text, &to))
        return -EINVAL;
    if (ip_is4(&from) != ip_is4(&to))
        return schema_refuse(ST_RULE, json, e, "%s and %s are of different IP versions", from_text,
                             to_text);
    if (memcmp(&from, &to, sizeof from) > 0)
        return schema_refuse(ST_RULE, json, e, "%s-%s ends before it starts", from_text, to_text);
    if (port_from > port_to)
        return schema_refuse(ST_RULE, json, e, "ports %lld-%lld end before they start",
                             (long long)port_from, (long long)port_to);
    if (!port_from && port_to)
        return schema_refuse(ST_RULE, json, e, "port 0 is not a port (1..65535)");
    if (family && family != (ip_is4(&from) ? 4 : 6))
        return schema_refuse(ST_RULE, json, e,
                             "%s is of another IP version than the packets that match", from_text);
    return 0;
}

static int check_targets(const json_t *rule, const json_t *targets, struct error *e)
{
    struct ip first = ip_none, ip = ip_none;
    int family = json_object_get(rule, "natPool") ? 0 : schema_cond_family(rule);
    size_t i;
    json_t *t;

    if (json_array_size(targets) > TARGETS_MAX)
        return schema_refuse(ST_RULE, "natTargets", e, "are %zu, %d are the most",
                             json_array_size(targets), TARGETS_MAX);
    if (!json_array_size(targets))
        return schema_refuse(ST_RULE, "natTargets", e, "is required: at least one target");
    json_array_foreach (targets, i, t) {
        int rc = check_target(t, "natTargets", family, e);
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

/* From IPv6 to IPv4: sources of IPv4, told apart by ports. */
static int check_pool(const json_t *rule, const json_t *targets, struct error *e)
{
    const json_t *pool = json_object_get(rule, "natPool");
    struct ip ip = ip_none;
    size_t i;
    json_t *t;

    if (!json_array_size(pool))
        return 0;
    if (json_array_size(pool) > TARGETS_MAX)
        return schema_refuse(ST_RULE, "natPool", e, "are %zu, %d are the most",
                             json_array_size(pool), TARGETS_MAX);
    ip_parse(schema_str(json_array_get(targets, 0), "addressFrom"), &ip);
    if (!ip_is4(&ip) || schema_cond_family(rule) == 4)
        return schema_refuse(ST_RULE, "natPool", e, "is for IPv6 packets that get an IPv4 target");
    json_array_foreach (pool, i, t) {
        int rc = check_target(t, "natPool", 0, e);
        if (rc)
            return rc;
        ip_parse(schema_str(t, "addressFrom"), &ip);
        if (!ip_is4(&ip) || !json_integer_value(json_object_get(t, "portFrom")))
            return schema_refuse(ST_RULE, "natPool", e, "needs IPv4 addresses with ports");
    }
    return 0;
}

static int check_nat(const json_t *rule, struct error *e)
{
    const json_t *targets = json_object_get(rule, "natTargets");
    int rc = check_targets(rule, targets, e);

    if (!rc)
        rc = check_pool(rule, targets, e);
    if (rc)
        return rc;
    if ((schema_cond_ports(rule) || is_stateful(rule)) &&
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
    {"log", "", "", "", "", "", "", "", ""},
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
        {shapes[i].action, "flowAction"},
        {shapes[i].jump, "jumpChainId"},
        {shapes[i].port, "targetPortId"},
        {shapes[i].ingress, "ingress"},
        {shapes[i].ingress, "failOpen"},
        {shapes[i].tags, "popVlan"},
        {shapes[i].tags, "pushVlan"},
        {shapes[i].target, "natTargets"},
        {strcmp(type, "dnat") ? "" : "m", "natPool"},
        {shapes[i].trace, "requestId"},
        {shapes[i].trace[0] ? "m" : "", "limit"},
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

static int check_tags(const json_t *rule, struct error *e)
{
    const char *action = schema_str(rule, "flowAction");
    bool redirect = action && !strcmp(action, "redirect");

    if (redirect && !json_object_get(rule, "targetPortId"))
        return schema_refuse(ST_RULE, "targetPortId", e, "is required by action redirect");
    if (strcmp(schema_str(rule, "type"), "l2_transform") || redirect)
        return 0;
    if (json_object_get(rule, "targetPortId"))
        return schema_refuse(ST_RULE, "targetPortId", e, "is for action redirect only");
    if (!schema_true(rule, "popVlan") && !json_object_get(rule, "pushVlan"))
        return schema_refuse(ST_RULE, "type", e,
                             "l2_transform changes nothing without pop-vlan, push-vlan or action "
                             "redirect");
    return 0;
}

int schema_rule_check(const json_t *rule, struct error *e)
{
    const char *type = schema_str(rule, "type");
    int rc = check_shape(rule, e);

    if (!rc && is_nat(type))
        rc = check_nat(rule, e);
    if (!rc)
        rc = schema_cond_check(ST_RULE, rule, e);
    return rc ? rc : check_tags(rule, e);
}
