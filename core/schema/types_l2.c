#include "schema/rows.h"

const struct schema_attr schema_bridge_attrs[] = {
    TENANT,
    NAME,
    ADMIN_STATE("Down: drops everything"),
    FILTER("infilter", "inboundFilterId", "Chain run on frames that enter the bridge"),
    FILTER("outfilter", "outboundFilterId", "Chain run on frames that leave the bridge"),
    REF("qos-policy", "qosPolicyId", ST_QOS_POLICY, SD_CLEAR, OPTIONAL,
        "Default policy of its ports"),
    MIRRORS("in-mirrors", "inboundMirrorIds", "Copies of frames that enter"),
    MIRRORS("out-mirrors", "outboundMirrorIds", "Copies of frames that leave"),
    REFS("tracerequests", "traceRequestIds", ST_TRACE_REQUEST, SD_CLEAR, SA_READONLY | SA_HIDDEN,
         "Trace requests for it"),
    INT("tunnel-key", "tunnelKey", SA_READONLY | SA_HIDDEN, 1, 0xfffff,
        "Key of flooded frames in 1.x clouds"),
    INT("vni", "vni", SA_READONLY | SA_HIDDEN, 1, 0xffffff,
        "VXLAN network towards hardware VTEPs, allocated with the first binding"),
    END,
};

const struct schema_attr schema_mac_port_attrs[] = {
    REF("bridge", "bridgeId", ST_BRIDGE, SD_CASCADE, PARENT | SA_HIDDEN, "The bridge"),
    MAC("mac", "macAddr", FIXED, "Station address"),
    INT("vlan", "vlanId", SA_CREATE, 0, 4094, "VLAN it is in; 0: none", .def = "0"),
    REF("port", "portId", ST_PORT, SD_CASCADE, SA_REQUIRED, "Port of this bridge it is behind"),
    END,
};

const struct schema_attr schema_ip_mac_attrs[] = {
    REF("bridge", "bridgeId", ST_BRIDGE, SD_CASCADE, PARENT | SA_HIDDEN, "The bridge"),
    IP("ip", "ip", FIXED, "Address whose ARP or ND requests the bridge answers"),
    MAC("mac", "mac", SA_REQUIRED, "Its station address"),
    END,
};

const struct schema_attr schema_vtep_attrs[] = {
    STRING("name", "name", STATE, 0, 255, "Name, as the switch reports it", .state = "config.name"),
    STRING("description", "description", STATE, 0, 1024, "Description, as the switch reports it",
           .state = "config.description"),
    IP("management-ip", "managementIp", FIXED, "Address of its OVSDB server"),
    INT("management-port", "managementPort", FIXED, 1, 65535, "TCP port of its OVSDB server",
        .example = "6632"),
    REF("tunnel-zone", "tunnelZoneId", ST_TUNNEL_ZONE, SD_REFUSE, FIXED,
        "Zone of type vtep with the hosts that exchange traffic with it"),
    STRING("connection-state", "connectionState", STATE, 0, 64, "Connection to its OVSDB server",
           .state = "connection_state"),
    IP("tunnel-addresses", "tunnelIpAddrs", STATE | SA_LIST | SA_HIDDEN,
       "Its tunnel endpoints, as the switch reports them", .state = "config.tunnelIpAddrs"),
    END,
};

const struct schema_attr schema_vtep_binding_attrs[] = {
    REF("vtep", "vtepId", ST_VTEP, SD_REFUSE, PARENT | SA_HIDDEN, "The VTEP"),
    STRING("physical-port", "portName", FIXED, 1, 255, "Port of the switch", .example = "swp1"),
    INT("vlan", "vlanId", FIXED, 0, 4095, "VLAN on that port; 0: untagged", .example = "10"),
    REF("network-id", "networkId", ST_BRIDGE, SD_REFUSE, FIXED, "Bridge that it extends"),
    END,
};

const struct schema_attr schema_l2insertion_attrs[] = {
    NAME,
    REF("port", "portId", ST_PORT, SD_CASCADE, FIXED, "Inspected port"),
    REF("srv-port", "srvPortId", ST_PORT, SD_CASCADE, FIXED, "Port of the inspecting service",
        .example = "firewall"),
    INT("vlan", "vlan", 0, 0, 4094, "Tag put on redirected frames; 0: none", .def = "0"),
    INT("pos", "position", 0, 0, INT32_TOP, "Order among the insertions of a port", .def = "0"),
    BOOL("fail-open", "failOpen", 0, "Traffic passes while the service is down", .def = "false"),
    MAC("mac", "mac", FIXED, "Station whose traffic is inspected"),
    END,
};

const struct schema_attr schema_qos_policy_attrs[] = {
    STRING("tenant", "tenant_id", SA_HIDDEN | SA_CREATE, 0, 255, "Project that owns it"),
    NAME,
    STRING("description", "description", OPTIONAL, 0, 1024, "What it is for"),
    BOOL("shared", "shared", 0, "Other projects may use it", .def = "false"),
    END,
};

const struct schema_attr schema_qos_bw_rule_attrs[] = {
    REF("policy", "policyId", ST_QOS_POLICY, SD_CASCADE, PARENT | SA_HIDDEN, "The policy"),
    INT("max-kbps", "maxKbps", SA_REQUIRED, 0, INT32_TOP, "Rate, kilobits a second",
        .example = "10000"),
    INT("max-burst-kb", "maxBurstKb", OPTIONAL, 0, INT32_TOP,
        "Burst, kilobits; 80 % of a second's worth when not set"),
    END,
};

const struct schema_attr schema_qos_dscp_rule_attrs[] = {
    REF("policy", "policyId", ST_QOS_POLICY, SD_CASCADE, PARENT | SA_HIDDEN, "The policy"),
    INT("dscp-mark", "dscpMark", SA_REQUIRED, 0, 63, "Code point put on packets", .example = "46"),
    END,
};
