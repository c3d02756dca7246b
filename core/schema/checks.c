#include "schema/rows.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "packet/dhcp6.h"

int schema_refuse(enum schema_type_id type, const char *json, struct error *e, const char *fmt, ...)
{
    const struct schema_type *t = &schema_types[type];
    const struct schema_attr *a = json ? schema_attr_by_json(t->attrs, json) : NULL;
    va_list ap;

    va_start(ap, fmt);
    error_setv(e, -EINVAL, t->name, a ? a->name : NULL, fmt, ap);
    va_end(ap);
    return -EINVAL;
}

const char *schema_str(const json_t *obj, const char *json)
{
    return json_string_value(json_object_get(obj, json));
}

bool schema_true(const json_t *obj, const char *json)
{
    return json_is_true(json_object_get(obj, json));
}

static bool get_cidr(const json_t *obj, const char *json, struct cidr *c)
{
    const char *s = schema_str(obj, json);

    return s && !cidr_parse(s, c);
}

static bool get_ip(const json_t *obj, const char *json, struct ip *ip)
{
    const char *s = schema_str(obj, json);

    return s && !ip_parse(s, ip);
}

/* Ports */

static int check_device_rows(const json_t *port, struct error *e)
{
    static const char *const of_router[] = {"portMac",  "portSubnet",   "rtrPortVni",
                                            "tunnelIp", "offRampVxlan", NULL};
    static const char *const of_bridge[] = {"vlanId",       "vtepId",           "qosPolicyId",
                                            "portSecurity", "allowedAddresses", NULL};
    bool bridge = json_object_get(port, "bridgeId"), router = json_object_get(port, "routerId");

    if (bridge == router)
        return schema_refuse(ST_PORT, "bridgeId", e, "%s",
                             bridge ? "a port belongs to a bridge or to a router, not to both"
                                    : "is required: a bridge or a router");
    for (const char *const *j = bridge ? of_router : of_bridge; *j; j++)
        if (json_object_get(port, *j))
            return schema_refuse(ST_PORT, *j, e, "is not for ports of a %s",
                                 bridge ? "bridge" : "router");
    return 0;
}

static int check_allowed(const json_t *port, struct error *e)
{
    size_t i;
    json_t *v;

    json_array_foreach (json_object_get(port, "allowedAddresses"), i, v) {
        const char *text = schema_str(v, "mac");
        struct mac mac;
        if (!text && !schema_str(v, "address"))
            return schema_refuse(ST_PORT, "allowedAddresses", e,
                                 "an entry has a MAC, an address, or both");
        if (text && !mac_parse(text, &mac) && (mac_is_multicast(&mac) || mac_is_zero(&mac)))
            return schema_refuse(ST_PORT, "allowedAddresses", e,
                                 "%s is not the address of one station", text);
    }
    return 0;
}

static int check_port_values(const json_t *port, struct error *e)
{
    const char *ifname = schema_str(port, "interfaceName"), *text = schema_str(port, "portMac");
    struct mac mac;
    size_t i;
    json_t *v;

    if (ifname && (strpbrk(ifname, "/ \t\n") || !strcmp(ifname, ".") || !strcmp(ifname, "..")))
        return schema_refuse(ST_PORT, "interfaceName", e, "\"%s\" is not an interface name",
                             ifname);
    if (text && !mac_parse(text, &mac) && (mac_is_multicast(&mac) || mac_is_zero(&mac)))
        return schema_refuse(ST_PORT, "portMac", e, "%s is not the address of one station", text);
    json_array_foreach (json_object_get(port, "portSubnet"), i, v) {
        struct cidr c;
        if (cidr_parse(json_string_value(v), &c))
            continue;
        if (ip_is_multicast(&c.addr) || ip_is_broadcast(&c.addr) || ip_is_none(&c.addr) ||
            (ip_is4(&c.addr) && !ip_to4(&c.addr)))
            return schema_refuse(ST_PORT, "portSubnet", e, "%s is not the address of one host",
                                 json_string_value(v));
    }
    return check_allowed(port, e);
}

void schema_port_fill(json_t *port)
{
    if (json_integer_value(json_object_get(port, "vlanId")) == 0)
        json_object_del(port, "vlanId");
}

int schema_port_check(const json_t *port, struct error *e)
{
    bool host = json_object_get(port, "hostId"), ifname = json_object_get(port, "interfaceName");
    int rc = check_device_rows(port, e);

    if (!rc)
        rc = check_port_values(port, e);
    if (rc)
        return rc;
    if (host != ifname)
        return schema_refuse(ST_PORT, host ? "interfaceName" : "hostId", e,
                             "is required: a port is bound to an interface of a host");
    if (host && json_object_get(port, "peerId"))
        return schema_refuse(ST_PORT, "peerId", e,
                             "a port is bound to an interface or linked to a peer, not both");
    return 0;
}

/* Routes */

static bool on_link(const struct ip *gw)
{
    return ip_is_none(gw) || ip_is_broadcast(gw) || (ip_is4(gw) && !ip_to4(gw));
}

void schema_route_fill(json_t *route)
{
    struct cidr src, dst;
    struct ip gw;
    bool has_src = get_cidr(route, "srcNetworkAddr", &src);
    bool has_dst = get_cidr(route, "dstNetworkAddr", &dst);
    bool has_gw = get_ip(route, "nextHopGateway", &gw);

    if (has_gw && on_link(&gw)) {
        json_object_del(route, "nextHopGateway");
        has_gw = false;
    }
    bool six = has_dst ? !ip_is4(&dst.addr) : has_src ? !ip_is4(&src.addr) : has_gw && !ip_is4(&gw);
    const char *all = six ? "::/0" : "0.0.0.0/0";
    if (!has_src)
        json_object_set_new(route, "srcNetworkAddr", json_string(all));
    if (!has_dst)
        json_object_set_new(route, "dstNetworkAddr", json_string(all));
}

int schema_route_check(const json_t *route, struct error *e)
{
    const char *type = schema_str(route, "type");
    bool to_port = !strcmp(type, "Normal") || !strcmp(type, "Local") || !strcmp(type, "Fip64");
    struct cidr src = {0}, dst = {0};
    struct ip gw;

    get_cidr(route, "srcNetworkAddr", &src);
    get_cidr(route, "dstNetworkAddr", &dst);
    if (ip_is4(&src.addr) != ip_is4(&dst.addr))
        return schema_refuse(ST_ROUTE, "srcNetworkAddr", e,
                             "source and destination are of different IP versions");
    if (get_ip(route, "nextHopGateway", &gw)) {
        if (strcmp(type, "Normal"))
            return schema_refuse(ST_ROUTE, "nextHopGateway", e, "is for normal routes only");
        if (ip_is4(&gw) != ip_is4(&dst.addr))
            return schema_refuse(ST_ROUTE, "nextHopGateway", e,
                                 "gateway and destination are of different IP versions");
    }
    if (to_port && !json_object_get(route, "nextHopPort"))
        return schema_refuse(ST_ROUTE, "nextHopPort", e,
                             "This type of route requires a next hop port that is a port on the "
                             "same router");
    if (!to_port && json_object_get(route, "nextHopPort"))
        return schema_refuse(ST_ROUTE, "nextHopPort", e, "is for normal routes only");
    return 0;
}

/* Others */

/* One spelling of a DUID, so that there is one entry of each client. */
void schema_dhcpv6_host_fill(json_t *host)
{
    const char *text = schema_str(host, "clientId");
    uint8_t duid[DHCP6_MAX_DUID];
    char canonical[3 * DHCP6_MAX_DUID + 1];
    int n = text ? dhcp6_duid_parse(text, duid) : -1;

    if (n > 0)
        json_object_set_new(
            host, "clientId",
            json_string(dhcp6_duid_format(duid, (size_t)n, canonical, sizeof canonical)));
}

int schema_dhcpv6_host_check(const json_t *host, struct error *e)
{
    const char *text = schema_str(host, "clientId");
    uint8_t duid[DHCP6_MAX_DUID];

    if (dhcp6_duid_parse(text, duid) < 0)
        return schema_refuse(ST_DHCPV6_HOST, "clientId", e,
                             "\"%s\" is no DUID: 1 to 130 bytes in hex", text);
    return 0;
}

int schema_host_check(const json_t *member, struct error *e)
{
    struct ip ip;

    if (get_ip(member, "ipAddress", &ip) && (ip_is_multicast(&ip) || ip_is_broadcast(&ip) ||
                                             ip_is_none(&ip) || (ip_is4(&ip) && !ip_to4(&ip))))
        return schema_refuse(ST_TUNNEL_ZONE_HOST, "ipAddress", e,
                             "%s is not the address of one host", schema_str(member, "ipAddress"));
    return 0;
}
