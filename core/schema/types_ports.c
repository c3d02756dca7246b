#include "schema/rows.h"

static const struct schema_attr allowed_rows[] = {
    MAC("mac", "mac", 0, "Station address; any of the port's own when not set",
        .example = "02:00:00:00:00:0b"),
    CIDR("address", "address", NULL, SA_NETWORK,
         "Address or prefix; those known of the MAC when not set", .example = "10.0.0.20"),
    END,
};

/* The rows of both kinds of port; schema_port_check() says which belong to which. */
const struct schema_attr schema_port_attrs[] = {
    REF("device", "bridgeId", ST_BRIDGE, SD_CASCADE, SA_CREATE, "Bridge it is a port of"),
    REF("device", "routerId", ST_ROUTER, SD_CASCADE, SA_CREATE, "Router it is a port of"),
    NAME,
    ADMIN_STATE("Down: drops what enters or leaves by it"),
    BOOL("plugged", "active", STATE | SA_YESNO, "An agent serves its interface now",
         .state = "active"),
    FILTER("infilter", "inboundFilterId", "Chain run on what enters the device here"),
    FILTER("outfilter", "outboundFilterId", "Chain run on what leaves the device here"),
    INT("vlan", "vlanId", SA_CREATE, 0, 4094, "Bridge port: VLAN it carries; 0: none",
        .example = "8"),
    MAC("mac", "portMac", 0, "Router port: hardware address; made up when not given"),
    REF("peer", "peerId", ST_PORT, SD_CLEAR, OPTIONAL, "Port at the other end of the virtual cable",
        .peer_json = "peerId"),
    REF("vtep", "vtepId", ST_VTEP, SD_CASCADE, SA_READONLY, "Hardware VTEP behind it"),
    REF("qos-policy", "qosPolicyId", ST_QOS_POLICY, SD_CLEAR, OPTIONAL,
        "Overrides the policy of its bridge"),
    MIRRORS("in-mirrors", "inboundMirrorIds", "Copies of what enters, before the filter"),
    MIRRORS("out-mirrors", "outboundMirrorIds", "Copies of what leaves, after the filter"),
    MIRRORS("post-in-filter-mirrors", "postInFilterMirrorIds", "Copies of what infilter let pass"),
    MIRRORS("pre-out-filter-mirrors", "preOutFilterMirrorIds", "Copies of what outfilter will see"),
    INT("vni", "rtrPortVni", OPTIONAL, 0, 0xffffff,
        "Router port: VXLAN network of a tunnel to another cloud; 0: none"),
    IP("tunnel-ip", "tunnelIp", OPTIONAL | SA_HIDDEN,
       "Router port with a VNI: its tunnel endpoint"),
    BOOL("vxlan-off-ramp", "offRampVxlan", OPTIONAL,
         "Router port: its VXLAN leaves through the underlay"),
    CIDR("addresses", "portSubnet", NULL, SA_LIST | SA_SET,
         "Router port: its addresses with their subnets, both families",
         .example = "10.0.0.1/24,2001:db8::1/64"),
    BOOL(
        "port-security", "portSecurity", OPTIONAL | SA_YESNO | SA_HIDDEN,
        "Bridge port: what its machine sends must come from addresses known to be its own; no when "
        "not set"),
    ROW("allowed-addresses", "allowedAddresses", SV_OBJECT, OPTIONAL | SA_LIST | SA_HIDDEN,
        "Bridge port with port-security: addresses it may use besides seeded and DHCP ones",
        .sub = allowed_rows, .collection = "allowed-addresses"),
    REF("host", "hostId", ST_HOST, SD_REFUSE, OPTIONAL | SA_HIDDEN, "Host it is bound to"),
    STRING("interface", "interfaceName", OPTIONAL | SA_HIDDEN, 1, 15,
           "Interface on that host it is bound to", .example = "tap0"),
    UUID("previous-host", "previousHostId", SA_READONLY | SA_HIDDEN,
         "Host it was bound to before: has its flow state"),
    UUID("vif", "vifId", OPTIONAL | SA_HIDDEN, "Virtual interface it was made for"),
    INT("tunnel-key", "tunnelKey", SA_READONLY | SA_HIDDEN, 1, 0xfffff,
        "Key of its packets between hosts, unique in the cloud"),
    REF("container", "serviceContainerId", ST_SERVICE_CONTAINER, SD_CLEAR, SA_READONLY | SA_HIDDEN,
        "Service container behind it", .peer_json = "portId"),
    REFS("port-groups", "portGroupIds", ST_PORT_GROUP, SD_CLEAR, SA_READONLY | SA_HIDDEN,
         "Port groups it is a member of"),
    REFS("insertions", "insertionIds", ST_L2INSERTION, SD_CLEAR, SA_READONLY | SA_HIDDEN,
         "Service insertions of what enters and leaves here"),
    REFS("service-insertions", "srvInsertionIds", ST_L2INSERTION, SD_CLEAR, SA_READONLY | SA_HIDDEN,
         "Service insertions whose service is behind it"),
    REFS("tracerequests", "traceRequestIds", ST_TRACE_REQUEST, SD_CLEAR, SA_READONLY | SA_HIDDEN,
         "Trace requests for it"),
    STRING("bgp-status", "bgpStatus", STATE | SA_HIDDEN, 0, 65535, "State of its BGP sessions",
           .state = "bgp"),
    END,
};

const struct schema_attr schema_remote_peer_attrs[] = {
    REF("port", "portId", ST_PORT, SD_CASCADE, PARENT | SA_HIDDEN, "Router port with a VNI"),
    MAC("mac", "mac", FIXED, "Remote station"),
    IP("ip", "ip", SA_REQUIRED, "VTEP it is behind"),
    END,
};

const struct schema_attr schema_port_group_attrs[] = {
    TENANT,
    NAME,
    BOOL("stateful", "stateful", 0, "Connections entering by one member may return by any other",
         .def = "false"),
    END,
};

const struct schema_attr schema_port_group_port_attrs[] = {
    REF("port-group", "portGroupId", ST_PORT_GROUP, SD_CASCADE, PARENT, "The group"),
    REF("port", "portId", ST_PORT, SD_CASCADE, FIXED, "The member"),
    END,
};
