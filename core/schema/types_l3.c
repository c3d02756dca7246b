#include "schema/rows.h"

const struct schema_attr schema_router_attrs[] = {
    TENANT,
    NAME,
    ADMIN_STATE("Down: refuses everything, saying so to the sender"),
    FILTER("infilter", "inboundFilterId", "Chain run before routing"),
    FILTER("outfilter", "outboundFilterId", "Chain run after routing"),
    REF("load-balancer", "loadBalancerId", ST_LOAD_BALANCER, SD_CLEAR, OPTIONAL | SA_PIN,
        "Load balancer that works on this router", .peer_json = "routerId"),
    INT("asn", "asNumber", OPTIONAL, -1, UINT32_MAX, "BGP: own AS number; 0 or -1: no BGP",
        .example = "64512"),
    MIRRORS("in-mirrors", "inboundMirrorIds", "Copies of packets that enter"),
    MIRRORS("out-mirrors", "outboundMirrorIds", "Copies of packets that leave"),
    REFS("tracerequests", "traceRequestIds", ST_TRACE_REQUEST, SD_CLEAR, SA_READONLY | SA_HIDDEN,
         "Trace requests for it"),
    FILTER("local-redirect-chain", "localRedirectChainId", "Chain run before infilter"),
    FILTER("forward-chain", "forwardChainId", "Chain run before outfilter"),
    END,
};

static const char *const hops[] = {"Normal", "BlackHole", "Reject", "Local", "Fip64", NULL};
static const char *const hop_words[] = {"normal", "blackhole", "reject", "local", "fip64", NULL};

const struct schema_attr schema_route_attrs[] = {
    REF("router", "routerId", ST_ROUTER, SD_CASCADE, PARENT | SA_HIDDEN, "The router"),
    ENUM("type", "type", SA_REQUIRED, hops,
         "normal: to a port; blackhole: dropped; reject: refused, saying so; local: the router's "
         "own address, made with its port",
         .cli_words = hop_words),
    CIDR("src", "srcNetworkAddr", "srcNetworkLength", SA_NETWORK,
         "Sources it is for; all when not given"),
    CIDR("dst", "dstNetworkAddr", "dstNetworkLength", SA_NETWORK,
         "Destinations it is for; all when not given", .example = "10.0.0.0/8"),
    IP("gw", "nextHopGateway", OPTIONAL,
       "Next router; the destination itself is on the link when "
       "not set"),
    REF("port", "nextHopPort", ST_PORT, SD_CASCADE, 0, "Port it leaves by", .example = "uplink"),
    INT("weight", "weight", 0, 0, INT32_TOP, "Lower is preferred among equal prefixes", .def = "0"),
    BOOL("learned", "learned", STATE, "Told by a BGP peer"),
    STRING("attributes", "attributes", OPTIONAL | SA_HIDDEN, 0, 255, "Free text"),
    REF("dhcp", "gatewayDhcpId", ST_DHCP, SD_CASCADE, SA_READONLY | SA_HIDDEN,
        "DHCP subnet it was made for"),
    REF("ipsec-connection", "ipsecSiteConnectionId", ST_IPSEC_CONNECTION, SD_CASCADE,
        SA_READONLY | SA_HIDDEN, "IPsec connection it was made for"),
    END,
};

const struct schema_attr schema_bgp_network_attrs[] = {
    REF("router", "routerId", ST_ROUTER, SD_CASCADE, PARENT | SA_HIDDEN, "The router"),
    CIDR("net", "subnetAddress", "subnetLength", SA_REQUIRED | SA_NETWORK, "Prefix announced",
         .example = "192.0.2.0/24"),
    END,
};

const struct schema_attr schema_bgp_peer_attrs[] = {
    REF("router", "routerId", ST_ROUTER, SD_CASCADE, PARENT | SA_HIDDEN, "The router"),
    INT("asn", "asNumber", SA_REQUIRED, 1, UINT32_MAX, "The peer's AS number", .example = "64513"),
    IP("address", "address", SA_REQUIRED, "The peer's address, in the subnet of a port"),
    INT("keep-alive", "keepAlive", OPTIONAL, 5, 3600,
        "Seconds between keepalives; 60 when not set"),
    INT("hold-time", "holdTime", OPTIONAL, 5, 7200,
        "Seconds of silence that end the session; 180 when not set"),
    INT("connect-retry", "connectRetry", OPTIONAL, 5, 3600,
        "Seconds between attempts to connect; 120 when not set"),
    STRING("password", "password", OPTIONAL | SA_SECRET, 1, 80, "TCP MD5 key"),
    END,
};

static const struct schema_attr opt121_rows[] = {
    CIDR("destination", "destinationPrefix", "destinationLength", SA_REQUIRED | SA_V4 | SA_NETWORK,
         "Network"),
    IP("gateway", "gatewayAddr", SA_REQUIRED | SA_V4, "Next router to it"),
    END,
};

static const struct schema_attr dhcp_option_rows[] = {
    STRING("name", "optName", SA_REQUIRED, 1, 64, "Option, by name or number"),
    STRING("value", "optValue", SA_REQUIRED, 0, 255, "Its value"),
    END,
};

const struct schema_attr schema_dhcp_attrs[] = {
    REF("bridge", "bridgeId", ST_BRIDGE, SD_CASCADE, PARENT | SA_HIDDEN, "The bridge"),
    IP("gw", "defaultGateway", OPTIONAL | SA_V4, "Default router told to clients"),
    IP("server", "serverAddr", OPTIONAL | SA_V4, "Address the answers come from"),
    IP("dns-servers", "dnsServerAddrs", OPTIONAL | SA_V4 | SA_LIST, "Name servers told to clients"),
    CIDR("subnet", "subnetPrefix", "subnetLength", FIXED | SA_V4 | SA_NETWORK,
         "Subnet, unique on the bridge", .example = "10.0.0.0/24"),
    INT("interface-mtu", "interfaceMTU", OPTIONAL, 0, 65536,
        "MTU told to clients, bytes; what the overlay carries when 0 or not set"),
    BOOL("enabled", "enabled", SA_HIDDEN, "Requests are answered", .def = "true"),
    ROW("opt121-routes", "opt121Routes", SV_OBJECT, OPTIONAL | SA_LIST | SA_HIDDEN,
        "Static routes told to clients", .sub = opt121_rows, .collection = "opt121-routes"),
    REF("router-port", "routerIfPortId", ST_PORT, SD_CLEAR, OPTIONAL | SA_HIDDEN,
        "Router port that serves the subnet"),
    END,
};

const struct schema_attr schema_dhcp_host_attrs[] = {
    REF("dhcp", "dhcpId", ST_DHCP, SD_CASCADE, PARENT | SA_HIDDEN, "The subnet"),
    STRING("name", "name", OPTIONAL, 1, 255, "Host name told to the client"),
    IP("address", "ipAddr", SA_REQUIRED | SA_V4, "Address it gets"),
    MAC("mac", "macAddr", FIXED, "The client"),
    ROW("options", "extraDhcpOpts", SV_OBJECT, OPTIONAL | SA_LIST | SA_HIDDEN,
        "More options for this client", .sub = dhcp_option_rows),
    END,
};

static const char *const ra_modes[] = {"dhcpv6-stateful", "dhcpv6-stateless", "slaac", "none",
                                       NULL};

const struct schema_attr schema_dhcpv6_attrs[] = {
    REF("bridge", "bridgeId", ST_BRIDGE, SD_CASCADE, PARENT | SA_HIDDEN, "The bridge"),
    CIDR("prefix", "prefix", "prefixLength", FIXED | SA_V6 | SA_NETWORK,
         "Prefix, unique on the bridge", .example = "2001:db8::/64"),
    IP("dns-servers", "dnsServerAddrs", OPTIONAL | SA_V6 | SA_LIST, "Name servers told to clients"),
    INT("interface-mtu", "interfaceMTU", OPTIONAL, 0, 65536,
        "MTU that routers advertise, bytes; what the overlay carries when 0 or not set"),
    ENUM(
        "ra-mode", "raMode", 0, ra_modes,
        "How hosts get addresses, as linked routers advertise it: from DHCPv6, or made up by "
        "themselves (with the rest from DHCPv6, or not); none: nothing is advertised of the prefix",
        .def = "\"dhcpv6-stateful\""),
    BOOL("enabled", "enabled", SA_HIDDEN, "Requests are answered", .def = "true"),
    END,
};

const struct schema_attr schema_dhcpv6_host_attrs[] = {
    REF("dhcpv6", "dhcpV6Id", ST_DHCPV6, SD_CASCADE, PARENT | SA_HIDDEN, "The prefix"),
    STRING("client-id", "clientId", FIXED, 1, 400, "The client's DUID in hex, or its MAC",
           .example = "00:03:00:01:02:00:00:00:00:0a"),
    IP("address", "fixedAddress", SA_REQUIRED | SA_V6, "Address it gets"),
    STRING("name", "name", OPTIONAL, 1, 255, "Host name told to the client"),
    END,
};
