/* Conditions that can never hold, told to whoever writes them.
 *
 * A field that is inverted, or a whole condition that is, may hold for packets that lack what the
 * field is about; of those only the spelling is checked. */
#include "schema/rows.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { ICMP = 1, TCP = 6, UDP = 17, DCCP = 33, ICMPV6 = 58, SCTP = 132, UDPLITE = 136 };

/* Fails with the condition field 'json' of 'type'. */
static int condition_error(enum schema_type_id type, const char *json, struct error *e,
                           const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static int condition_error(enum schema_type_id type, const char *json, struct error *e,
                           const char *fmt, ...)
{
    const struct schema_attr *a = schema_attr_by_json(schema_types[ST_RULE].attrs, json);
    va_list ap;

    va_start(ap, fmt);
    int rc = error_setv(e, -EINVAL, schema_types[type].name, a->name, fmt, ap);
    va_end(ap);
    return rc;
}

bool schema_cond_ports(const json_t *cond)
{
    return json_object_get(cond, "tpSrc") || json_object_get(cond, "tpDst");
}

/* The number that the packet must have, or -1. */
static json_int_t wanted(const json_t *cond, const char *json, const char *inverted)
{
    const json_t *v = json_object_get(cond, json);

    return v && !schema_true(cond, inverted) ? json_integer_value(v) : -1;
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
    json_int_t type = wanted(cond, "dlType", "invDlType");

    return type == 0x86dd ? 6 : type == 0x0800 || type == 0x0806 ? 4 : 0;
}

int schema_cond_family(const json_t *cond)
{
    int src = wanted_family(cond, "nwSrcAddress", "invNwSrc");
    int dst = wanted_family(cond, "nwDstAddress", "invNwDst");

    return src ? src : dst ? dst : ethertype_family(cond);
}

static int check_families(enum schema_type_id type, const json_t *cond, struct error *e)
{
    int src = wanted_family(cond, "nwSrcAddress", "invNwSrc");
    int dst = wanted_family(cond, "nwDstAddress", "invNwDst");
    int ether = ethertype_family(cond), family = schema_cond_family(cond);
    json_int_t proto = wanted(cond, "nwProto", "invNwProto");

    if (src && dst && src != dst)
        return condition_error(type, "nwDstAddress", e,
                               "source and destination are of different IP versions");
    if (ether && ((src && src != ether) || (dst && dst != ether)))
        return condition_error(type, "dlType", e, "is of another IP version than the addresses");
    if ((proto == ICMP && family == 6) || (proto == ICMPV6 && family == 4))
        return condition_error(type, "nwProto", e, "%d is %s, and the packets are IPv%d",
                               (int)proto, proto == ICMP ? "ICMP of IPv4" : "ICMPv6", family);
    return 0;
}

/* Fields of the IP header with an Ethernet type that has none. */
static int check_layers(enum schema_type_id type, const json_t *cond, struct error *e)
{
    static const char *const ip_fields[] = {"nwTos",
                                            "tpSrc",
                                            "tpDst",
                                            "tcpFlags",
                                            "icmpId",
                                            "icmpDataSrcIpAddress",
                                            "icmpDataDstIpAddress"};
    static const char *const address_fields[] = {"nwProto", "nwSrcAddress", "nwDstAddress"};
    json_int_t ether = wanted(cond, "dlType", "invDlType");

    if (ether < 0 || ether == 0x0800 || ether == 0x86dd)
        return 0;
    for (unsigned i = 0; i < ARRAY_SIZE(ip_fields); i++) {
        if (json_object_get(cond, ip_fields[i]))
            return condition_error(type, ip_fields[i], e, "frames of ethertype %d have none",
                                   (int)ether);
    }
    for (unsigned i = 0; ether != 0x0806 && i < ARRAY_SIZE(address_fields); i++) {
        if (json_object_get(cond, address_fields[i]))
            return condition_error(type, address_fields[i], e, "frames of ethertype %d have none",
                                   (int)ether);
    }
    return 0;
}

static int check_range(enum schema_type_id type, const json_t *cond, const char *json, bool icmp,
                       struct error *e)
{
    const json_t *range = json_object_get(cond, json), *start = json_object_get(range, "start");

    if (icmp && json_integer_value(start) > 255)
        return condition_error(type, json, e, "%lld is no ICMP %s (0..255)",
                               (long long)json_integer_value(start),
                               strcmp(json, "tpSrc") ? "code" : "type");
    return 0;
}

static int check_transport(enum schema_type_id type, const json_t *cond, struct error *e)
{
    json_int_t proto = wanted(cond, "nwProto", "invNwProto");
    bool icmp = proto == ICMP || proto == ICMPV6;
    const char *ports = json_object_get(cond, "tpSrc") ? "tpSrc" : "tpDst";

    if (schema_cond_ports(cond) && proto >= 0 && !icmp && proto != TCP && proto != UDP &&
        proto != SCTP && proto != DCCP && proto != UDPLITE)
        return condition_error(type, ports, e, "protocol %d has no ports", (int)proto);
    int rc = check_range(type, cond, "tpSrc", icmp, e);
    if (!rc)
        rc = check_range(type, cond, "tpDst", icmp, e);
    if (rc)
        return rc;
    if (json_object_get(cond, "tcpFlagsMask") && !json_object_get(cond, "tcpFlags"))
        return condition_error(type, "tcpFlagsMask", e, "needs tcp-flags");
    if (json_object_get(cond, "tcpFlags") && proto != TCP)
        return condition_error(type, "tcpFlags", e, "needs proto tcp");
    json_int_t flags = json_integer_value(json_object_get(cond, "tcpFlags"));
    const json_t *mask = json_object_get(cond, "tcpFlagsMask");
    if (mask && flags & ~json_integer_value(mask))
        return condition_error(type, "tcpFlags", e, "has flags that tcp-flags-mask lacks");
    if (json_object_get(cond, "tcpFlags") && !flags && !mask)
        return condition_error(type, "tcpFlags", e, "none needs tcp-flags-mask");
    if (json_object_get(cond, "icmpId") && !icmp)
        return condition_error(type, "icmpId", e, "needs proto icmp or icmpv6");
    return 0;
}

int schema_cond_check(enum schema_type_id type, const json_t *cond, struct error *e)
{
    const char *policy = schema_str(cond, "fragmentPolicy");

    if (json_object_get(cond, "dlSrcMask") && !json_object_get(cond, "dlSrc"))
        return condition_error(type, "dlSrcMask", e, "needs hw-src");
    if (json_object_get(cond, "dlDstMask") && !json_object_get(cond, "dlDst"))
        return condition_error(type, "dlDstMask", e, "needs hw-dst");
    if (schema_true(cond, "noVlan") && json_object_get(cond, "vlan"))
        return condition_error(type, "vlan", e, "a frame without a tag has no VLAN");
    if (schema_true(cond, "matchForwardFlow") && schema_true(cond, "matchReturnFlow"))
        return condition_error(type, "matchReturnFlow", e,
                               "no packet goes in both directions: fwd-flow or return-flow");
    if (schema_cond_ports(cond) && policy && strcmp(policy, "header") &&
        strcmp(policy, "unfragmented"))
        return condition_error(type, "fragmentPolicy", e,
                               "For a rule with tpDst or tpSrc constraints, the fragmentPolicy "
                               "must be 'header' or 'unfragmented'");
    int rc = check_families(type, cond, e);
    if (!rc)
        rc = check_layers(type, cond, e);
    return rc ? rc : check_transport(type, cond, e);
}

int schema_mirror_check(const json_t *mirror, struct error *e)
{
    size_t i;
    json_t *cond;
    int rc = 0;

    json_array_foreach (json_object_get(mirror, "conditions"), i, cond)
        if (!rc)
            rc = schema_cond_check(ST_MIRROR, cond, e);
    return rc;
}

int schema_trace_check(const json_t *request, struct error *e)
{
    int n = !!json_object_get(request, "portId") + !!json_object_get(request, "routerId") +
            !!json_object_get(request, "bridgeId");

    if (n != 1)
        return schema_refuse(ST_TRACE_REQUEST, "portId", e,
                             "exactly one of port, router and bridge is required");
    return schema_cond_check(ST_TRACE_REQUEST, request, e);
}
