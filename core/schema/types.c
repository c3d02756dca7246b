#include "schema/rows.h"

#include <string.h>

#include "base/hash.h"

/* Order of the rows is that of enum schema_type_id. */
const struct schema_type schema_types[ST_N_TYPES] = {
#define TYPE(i, n, p, a, at, h, ...)                                                               \
    [i] = {.id = (i),                                                                              \
           .name = (n),                                                                            \
           .plural = (p),                                                                          \
           .alias = (a),                                                                           \
           .attrs = (at),                                                                          \
           .help = (h),                                                                            \
           ##__VA_ARGS__}
    TYPE(ST_HOST, "host", "hosts", "host", schema_host_attrs, "Machine that runs an agent",
         .device = true, .read_only = true),
    TYPE(ST_TUNNEL_ZONE, "tunnel-zone", "tunnel_zones", "tzone", schema_tunnel_zone_attrs,
         "Hosts that reach each other by tunnels of one kind", .device = true,
         .unique = "name,type"),
    TYPE(ST_BRIDGE, "bridge", "bridges", "bridge", schema_bridge_attrs, "Virtual Ethernet switch",
         .device = true, .unique = "vni"),
    TYPE(ST_ROUTER, "router", "routers", "router", schema_router_attrs, "Virtual IP router",
         .device = true),
    TYPE(ST_PORT, "port", "ports", "port", schema_port_attrs,
         "Port of a bridge or router: bound to an interface, linked to a peer, or unplugged",
         .parent_attr = "bridgeId", .parent_attr2 = "routerId",
         .owners = "bridgeId,routerId,hostId,peerId",
         .unique = "tunnelKey;hostId,interfaceName;bridgeId,vlanId", .fill = schema_port_fill,
         .check = schema_port_check),
    TYPE(ST_ROUTE, "route", "routes", "route", schema_route_attrs, "Route of a router",
         .parent_attr = "routerId", .parent_attr2 = "nextHopPort", .owners = "routerId",
         .fill = schema_route_fill, .check = schema_route_check),
    TYPE(ST_PORT_GROUP, "port-group", "port_groups", "pgroup", schema_port_group_attrs,
         "Ports that rules can name together, or that share connections", .device = true),
    TYPE(ST_IP_ADDR_GROUP, "ip-address-group", "ip_addr_groups", "ipg", schema_ip_addr_group_attrs,
         "Addresses that rules can name together", .device = true),
    TYPE(ST_CHAIN, "chain", "chains", "chain", schema_chain_attrs, "List of rules", .device = true),
    TYPE(ST_RULE, "rule", "rules", "rule", schema_rule_attrs, "Condition and what follows from it",
         .parent_attr = "chainId", .owners = "chainId", .fill = schema_rule_fill,
         .check = schema_rule_check),
    TYPE(ST_LOAD_BALANCER, "load-balancer", "load_balancers", "lb", schema_load_balancer_attrs,
         "Addresses served by pools of members", .device = true),
    TYPE(ST_POOL, "pool", "pools", "pool", schema_pool_attrs, "Members that serve the same",
         .parent_attr = "loadBalancerId", .parent_attr2 = "healthMonitorId",
         .owners = "loadBalancerId,healthMonitorId"),
    TYPE(ST_POOL_MEMBER, "member", "pool_members", "pm", schema_pool_member_attrs,
         "Server of a pool", .parent_attr = "poolId", .owners = "poolId"),
    TYPE(ST_VIP, "vip", "vips", "vip", schema_vip_attrs, "Address and port that clients use",
         .parent_attr = "poolId", .parent_attr2 = "loadBalancerId", .owners = "loadBalancerId"),
    TYPE(ST_HEALTH_MONITOR, "health-monitor", "health_monitors", "hm", schema_health_monitor_attrs,
         "How members are checked", .device = true),
    TYPE(ST_BGP_PEER, "bgp-peer", "bgp_peers", "peer", schema_bgp_peer_attrs,
         "Neighbour that a router exchanges routes with", .parent_attr = "routerId",
         .owners = "routerId", .unique = "routerId,address,asNumber"),
    TYPE(ST_BGP_NETWORK, "bgp-network", "bgp_networks", "net", schema_bgp_network_attrs,
         "Prefix that a router announces", .parent_attr = "routerId", .owners = "routerId"),
    TYPE(ST_DHCP, "dhcp", "dhcp", NULL, schema_dhcp_attrs, "DHCP service of a subnet on a bridge",
         .parent_attr = "bridgeId", .owners = "bridgeId", .id_from = "bridgeId,subnetPrefix"),
    TYPE(ST_DHCPV6, "dhcpv6", "dhcpV6", NULL, schema_dhcpv6_attrs,
         "DHCPv6 service of a prefix on a bridge", .parent_attr = "bridgeId", .owners = "bridgeId",
         .id_from = "bridgeId,prefix"),
    TYPE(ST_VTEP, "vtep", "vteps", "vtep", schema_vtep_attrs, "Hardware VXLAN gateway",
         .device = true, .unique = "managementIp"),
    TYPE(ST_L2INSERTION, "l2insertion", "l2insertions", "l2insertion", schema_l2insertion_attrs,
         "Traffic of a station passed through a service", .owners = "portId,srvPortId"),
    TYPE(ST_MIRROR, "mirror", "mirrors", "mirror", schema_mirror_attrs, "Copies of traffic",
         .device = true, .owners = "toPortId", .check = schema_mirror_check),
    TYPE(ST_QOS_POLICY, "qos-policy", "qos_policies", "qos-policy", schema_qos_policy_attrs,
         "Rates and marks of ports", .device = true),
    TYPE(ST_QOS_BW_RULE, "bw-limit-rule", "qos_bw_limit_rules", "qos-bw-limit-rule",
         schema_qos_bw_rule_attrs, "Rate limit", .parent_attr = "policyId", .owners = "policyId"),
    TYPE(ST_QOS_DSCP_RULE, "dscp-rule", "qos_dscp_rules", "qos-dscp-rule",
         schema_qos_dscp_rule_attrs, "Code point mark", .parent_attr = "policyId",
         .owners = "policyId"),
    TYPE(ST_SERVICE_CONTAINER, "container", "service_containers", "container",
         schema_service_container_attrs, "Service run for the virtual network on some host",
         .parent_attr = "serviceGroupId", .device = true, .owners = "hostId,portId"),
    TYPE(ST_SERVICE_CONTAINER_GROUP, "container-group", "service_container_groups", "cgroup",
         schema_service_container_group_attrs, "How containers are placed", .device = true),
    TYPE(ST_HOST_GROUP, "host-group", "host_groups", "hgroup", schema_host_group_attrs,
         "Hosts that may run a container", .device = true),
    TYPE(ST_TRACE_REQUEST, "tracerequest", "traces", "tr", schema_trace_request_attrs,
         "Packets whose way is recorded", .owners = "portId,routerId,bridgeId",
         .check = schema_trace_check),
    TYPE(ST_LOGGING_RESOURCE, "logging-resource", "logging_resources", "logres",
         schema_logging_resource_attrs, "Where rule loggers write", .device = true),
    TYPE(ST_RULE_LOGGER, "logger", "rule_loggers", "logger", schema_rule_logger_attrs,
         "Record of a chain's verdicts", .parent_attr = "chainId",
         .parent_attr2 = "loggingResourceId", .owners = "chainId,loggingResourceId"),
    TYPE(ST_VPN_SERVICE, "vpn-service", "vpn_services", "vpn", schema_vpn_service_attrs,
         "IPsec end point of a router", .parent_attr = "routerId", .device = true,
         .owners = "routerId"),
    TYPE(ST_IPSEC_CONNECTION, "ipsec-connection", "ipsec_site_connections", "ipsec",
         schema_ipsec_connection_attrs, "IPsec tunnel to another site",
         .parent_attr = "vpnServiceId", .owners = "vpnServiceId"),
    TYPE(ST_TUNNEL_ZONE_HOST, "member", "tunnel_zone_hosts", NULL, schema_tunnel_zone_host_attrs,
         "Host in a tunnel zone", .parent_attr = "tunnelZoneId", .parent_attr2 = "hostId",
         .owners = "tunnelZoneId,hostId", .id_from = "tunnelZoneId,hostId",
         .check = schema_host_check),
    TYPE(ST_PORT_GROUP_PORT, "member", "port_group_ports", NULL, schema_port_group_port_attrs,
         "Port in a port group", .parent_attr = "portGroupId", .parent_attr2 = "portId",
         .owners = "portGroupId,portId", .id_from = "portGroupId,portId"),
    TYPE(ST_IP_ADDR, "ip", "ip_addrs", NULL, schema_ip_addr_attrs, "Address in an address group",
         .parent_attr = "ipAddrGroupId", .owners = "ipAddrGroupId",
         .id_from = "ipAddrGroupId,addr"),
    TYPE(ST_DHCP_HOST, "host", "dhcp_hosts", NULL, schema_dhcp_host_attrs,
         "Client with an address of its own", .parent_attr = "dhcpId", .owners = "dhcpId",
         .id_from = "dhcpId,macAddr"),
    TYPE(ST_DHCPV6_HOST, "host", "dhcpV6_hosts", NULL, schema_dhcpv6_host_attrs,
         "Client with an address of its own", .parent_attr = "dhcpV6Id", .owners = "dhcpV6Id",
         .id_from = "dhcpV6Id,clientId", .fill = schema_dhcpv6_host_fill,
         .check = schema_dhcpv6_host_check),
    TYPE(ST_VTEP_BINDING, "binding", "vtep_bindings", NULL, schema_vtep_binding_attrs,
         "Port and VLAN of a VTEP joined to a bridge", .parent_attr = "vtepId",
         .owners = "vtepId,networkId", .id_from = "vtepId,portName,vlanId"),
    TYPE(ST_MAC_PORT, "mac", "mac_ports", NULL, schema_mac_port_attrs, "Where a station is, seeded",
         .parent_attr = "bridgeId", .owners = "bridgeId", .id_from = "bridgeId,vlanId,macAddr"),
    TYPE(ST_IP_MAC, "arp", "ip_macs", NULL, schema_ip_mac_attrs,
         "Station address of an IP address, seeded", .parent_attr = "bridgeId",
         .owners = "bridgeId", .id_from = "bridgeId,ip"),
    TYPE(ST_REMOTE_PEER, "remote-peers", "remote_peers", NULL, schema_remote_peer_attrs,
         "Remote station and the VTEP it is behind", .parent_attr = "portId", .owners = "portId",
         .id_from = "portId,mac"),
};

const struct schema_type *schema_type_by_name(const char *name)
{
    for (unsigned i = 0; i < ST_N_TYPES; i++)
        if (!strcmp(schema_types[i].name, name) || !strcmp(schema_types[i].plural, name))
            return &schema_types[i];
    return NULL;
}

const struct schema_attr *schema_parent_attr(const struct schema_type *t,
                                             enum schema_type_id parent)
{
    const char *const names[] = {t->parent_attr, t->parent_attr2};

    for (unsigned i = 0; i < 2; i++) {
        const struct schema_attr *a = names[i] ? schema_attr_by_json(t->attrs, names[i]) : NULL;
        if (a && a->ref == parent)
            return a;
    }
    return NULL;
}

const struct schema_type *schema_child_by_name(const struct schema_type *parent, const char *name)
{
    for (unsigned i = 0; i < ST_N_TYPES; i++) {
        const struct schema_type *t = &schema_types[i];
        if ((!strcmp(t->name, name) || !strcmp(t->plural, name)) &&
            schema_parent_attr(t, parent->id))
            return t;
    }
    return NULL;
}

const struct schema_attr *schema_attr_by_name(const struct schema_type *t, const char *name)
{
    for (const struct schema_attr *a = t->attrs; a->name; a++)
        if (!strcmp(a->name, name))
            return a;
    return NULL;
}

const struct schema_attr *schema_attr_by_json(const struct schema_attr *rows, const char *json)
{
    for (const struct schema_attr *a = rows; a->name; a++)
        if (!strcmp(a->json, json))
            return a;
    return NULL;
}

const struct schema_attr *schema_attr_next(const struct schema_attr *a)
{
    for (const struct schema_attr *b = a + 1; b->name; b++)
        if (!strcmp(a->name, b->name))
            return b;
    return NULL;
}

int schema_derived_id(const struct schema_type *t, const json_t *obj, struct uuid *id)
{
    XXH3_state_t h;
    char word[64];

    if (!t->id_from)
        return -EINVAL;
    XXH3_128bits_reset(&h);
    XXH3_128bits_update(&h, t->plural, strlen(t->plural) + 1);
    for (const char *p = t->id_from; *p;) {
        size_t size = strcspn(p, ",");
        if (size >= sizeof word)
            return -EINVAL;
        memcpy(word, p, size);
        word[size] = '\0';
        const json_t *v = json_object_get(obj, word);
        if (json_is_string(v))
            XXH3_128bits_update(&h, json_string_value(v), json_string_length(v) + 1);
        else if (json_is_integer(v)) {
            char digits[24];
            int n = snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(v));
            XXH3_128bits_update(&h, digits, (size_t)n + 1);
        } else
            return -EINVAL;
        p += size + (p[size] == ',');
    }
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits_digest(&h));
    memcpy(id->b, c.digest, sizeof id->b);
    id->b[6] = (id->b[6] & 0x0f) | 0x80; /* version 8: vendor-specific (RFC 9562) */
    id->b[8] = (id->b[8] & 0x3f) | 0x80;
    return 0;
}
