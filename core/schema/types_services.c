#include "schema/rows.h"

const struct schema_attr schema_load_balancer_attrs[] = {
    TENANT,
    REF("router", "routerId", ST_ROUTER, SD_CLEAR, SA_READONLY,
        "Router it works on; set by the router's load-balancer", .peer_json = "loadBalancerId"),
    ADMIN_STATE("Down: its addresses are not served"),
    REF("container", "serviceContainerId", ST_SERVICE_CONTAINER, SD_CLEAR, OPTIONAL | SA_HIDDEN,
        "Container that checks its members' health"),
    END,
};

static const char *const tcp[] = {"TCP", NULL};
static const char *const lb_methods[] = {"ROUND_ROBIN", NULL};
static const char *const persistence[] = {"SOURCE_IP", NULL};

const struct schema_attr schema_pool_attrs[] = {
    REF("load-balancer", "loadBalancerId", ST_LOAD_BALANCER, SD_CASCADE, PARENT,
        "The load balancer"),
    REF("health-monitor", "healthMonitorId", ST_HEALTH_MONITOR, SD_CLEAR, OPTIONAL,
        "How its members are checked; not at all when not set"),
    ENUM("lb-method", "lbMethod", SA_REQUIRED, lb_methods, "How a member is chosen"),
    ENUM("protocol", "protocol", SA_READONLY, tcp, "Protocol served", .def = "\"TCP\""),
    ADMIN_STATE("Down: new connections are dropped"),
    ENUM("persistence", "sessionPersistence", OPTIONAL | SA_HIDDEN, persistence,
         "SOURCE_IP: a client keeps its member"),
    STRING("status", "status", STATE | SA_HIDDEN, 0, 32, "ACTIVE or INACTIVE",
           .state = "status.status"),
    STRING("mapping-status", "mappingStatus", STATE | SA_HIDDEN, 0, 32,
           "State of its health checks' configuration", .state = "status.mapping"),
    END,
};

const struct schema_attr schema_pool_member_attrs[] = {
    REF("pool", "poolId", ST_POOL, SD_CASCADE, PARENT | SA_HIDDEN, "The pool"),
    IP("address", "address", SA_REQUIRED, "Address of the server"),
    INT("protocol-port", "protocolPort", SA_REQUIRED, 0, 65535, "Its port", .example = "80"),
    INT("weight", "weight", 0, 0, INT32_TOP, "Share of new connections; 0: none", .def = "1"),
    ADMIN_STATE("Down: gets no connections"),
    STRING("status", "status", STATE, 0, 32, "ACTIVE, INACTIVE or MONITORED",
           .state = "status.status"),
    END,
};

const struct schema_attr schema_vip_attrs[] = {
    REF("pool", "poolId", ST_POOL, SD_CASCADE, PARENT | SA_HIDDEN, "The pool"),
    REF("load-balancer", "loadBalancerId", ST_LOAD_BALANCER, SD_CASCADE, SA_READONLY,
        "Load balancer of its pool"),
    IP("address", "address", SA_REQUIRED, "Address clients use"),
    INT("protocol-port", "protocolPort", SA_REQUIRED, 0, 65535, "Port clients use",
        .example = "80"),
    ENUM("persistence", "sessionPersistence", OPTIONAL, persistence,
         "SOURCE_IP: a client keeps its member"),
    ADMIN_STATE("Down: not served"),
    REF("gateway-port", "gatewayPortId", ST_PORT, SD_REFUSE, OPTIONAL | SA_HIDDEN,
        "Router port it is reached by"),
    END,
};

const struct schema_attr schema_health_monitor_attrs[] = {
    INT("delay", "delay", 0, 0, INT32_TOP, "Seconds between checks"),
    INT("timeout", "timeout", 0, 0, INT32_TOP, "Seconds a check may take"),
    INT("max-retries", "maxRetries", 0, 0, INT32_TOP, "Failed checks that make a member inactive"),
    ADMIN_STATE("Down: nothing is checked"),
    STRING("status", "status", STATE, 0, 32, "ACTIVE or INACTIVE", .state = "status.status"),
    ENUM("type", "type", SA_REQUIRED, tcp, "How members are checked"),
    END,
};

static const char *const container_types[] = {"IPSEC", "QUAGGA", "HAPROXY", NULL};
static const char *const policies[] = {"WEIGHTED_SCHEDULER", "LEAST_SCHEDULER", NULL};
static const char *const policy_words[] = {"weighted", "least", NULL};

const struct schema_attr schema_service_container_attrs[] = {
    REF("container-group", "serviceGroupId", ST_SERVICE_CONTAINER_GROUP, SD_CASCADE, SA_CREATE,
        "Group whose policy places it"),
    UUID("configuration", "configurationId", SA_CREATE,
         "VPN service, router or load balancer that it serves"),
    REF("port", "portId", ST_PORT, SD_CASCADE, SA_CREATE, "Port it is behind",
        .peer_json = "serviceContainerId"),
    ENUM("type", "serviceType", FIXED, container_types, "What runs in it"),
    STRING("status", "statusCode", STATE, 0, 32, "STARTING, RUNNING, STOPPING, STOPPED or ERROR",
           .state = "status.statusCode"),
    REF("host", "hostId", ST_HOST, SD_CLEAR, OPTIONAL, "Host it is placed on"),
    STRING("namespace", "namespaceName", STATE, 0, 255, "Network namespace it runs in",
           .state = "status.namespaceName"),
    STRING("interface", "interfaceName", STATE, 0, 255, "Interface that joins it to its port",
           .state = "status.interfaceName"),
    STRING("status-message", "statusMessage", STATE | SA_HIDDEN, 0, 1024, "Why it has its status",
           .state = "status.statusMessage"),
    END,
};

const struct schema_attr schema_service_container_group_attrs[] = {
    ENUM("policy", "policy", 0, policies,
         "weighted: at random by host weight; least: the host with the fewest containers",
         .cli_words = policy_words, .def = "\"WEIGHTED_SCHEDULER\""),
    REF("port-group", "portGroupId", ST_PORT_GROUP, SD_CLEAR, OPTIONAL,
        "Hosts of these ports only"),
    REF("host-group", "hostGroupId", ST_HOST_GROUP, SD_CLEAR, OPTIONAL | SA_HIDDEN,
        "These hosts only"),
    END,
};

const struct schema_attr schema_vpn_service_attrs[] = {
    TENANT,
    NAME,
    STRING("description", "description", OPTIONAL | SA_HIDDEN, 0, 1024, "What it is for"),
    REF("router", "routerId", ST_ROUTER, SD_CASCADE, PARENT, "Router whose networks it joins"),
    ADMIN_STATE("Down: its connections are closed"),
    IP("external-ip", "externalIp", OPTIONAL, "Address of this end"),
    REF("container", "containerId", ST_SERVICE_CONTAINER, SD_CLEAR, OPTIONAL | SA_HIDDEN,
        "Container that runs it"),
    END,
};

static const char *const initiators[] = {"BI_DIRECTIONAL", "RESPONSE_ONLY", NULL};
static const char *const auth_modes[] = {"PSK", NULL};
static const char *const route_modes[] = {"STATIC", NULL};
static const char *const dpd_actions[] = {"CLEAR",           "HOLD", "RESTART", "DISABLED",
                                          "RESTART_BY_PEER", NULL};
static const char *const auth_algorithms[] = {"SHA1", NULL};
static const char *const ciphers[] = {"DES_3", "AES_128", "AES_192", "AES_256", NULL};
static const char *const ike_modes[] = {"MAIN", NULL};
static const char *const ike_versions[] = {"V1", "V2", NULL};
static const char *const pfs_groups[] = {"GROUP2", "GROUP5", "GROUP14", NULL};
static const char *const transforms[] = {"ESP", "AH", "AH_ESP", NULL};
static const char *const encapsulations[] = {"TUNNEL", "TRANSPORT", NULL};

#define ALGORITHMS                                                                                 \
    ENUM("auth-algorithm", "authAlgorithm", 0, auth_algorithms, "Integrity", .def = "\"SHA1\""),   \
        ENUM("encryption-algorithm", "encryptionAlgorithm", 0, ciphers, "Cipher",                  \
             .def = "\"AES_128\""),                                                                \
        ENUM("pfs", "pfs", 0, pfs_groups, "Diffie-Hellman group", .def = "\"GROUP5\""),            \
        INT("lifetime", "lifetimeValue", 0, 60, INT32_TOP, "Seconds until keys are renewed",       \
            .def = "3600")

static const struct schema_attr ike_rows[] = {
    ALGORITHMS,
    ENUM("mode", "phase1NegotiationMode", 0, ike_modes, "Phase 1 exchange", .def = "\"MAIN\""),
    ENUM("version", "ikeVersion", 0, ike_versions, "IKE version", .def = "\"V1\""),
    END,
};

static const struct schema_attr ipsec_rows[] = {
    ALGORITHMS,
    ENUM("transform", "transformProtocol", 0, transforms, "Protocol", .def = "\"ESP\""),
    ENUM("encapsulation", "encapsulationMode", 0, encapsulations, "What is protected",
         .def = "\"TUNNEL\""),
    END,
};

const struct schema_attr schema_ipsec_connection_attrs[] = {
    TENANT,
    NAME,
    STRING("description", "description", OPTIONAL | SA_HIDDEN, 0, 1024, "What it is for"),
    REF("vpn-service", "vpnServiceId", ST_VPN_SERVICE, SD_CASCADE, PARENT, "The VPN service"),
    ADMIN_STATE("Down: the connection is closed"),
    STRING("peer-address", "peerAddress", SA_REQUIRED, 1, 255, "Address or name of the other end",
           .example = "192.0.2.9"),
    STRING("peer-id", "peerId", SA_REQUIRED, 1, 255, "Identity the other end must prove",
           .example = "192.0.2.9"),
    CIDR("peer-cidrs", "peerCidrs", NULL, SA_LIST | SA_SET | SA_NETWORK | OPTIONAL,
         "Networks behind the other end"),
    CIDR("local-cidrs", "localCidrs", NULL, SA_LIST | SA_SET | SA_NETWORK | OPTIONAL,
         "Networks behind this end"),
    ENUM("route-mode", "routeMode", SA_HIDDEN, route_modes, "How routes are made",
         .def = "\"STATIC\""),
    INT("mtu", "mtu", 0, 68, 65535, "Largest packet in the tunnel, bytes", .def = "1500"),
    ENUM("initiator", "initiator", 0, initiators, "Who may open the connection",
         .def = "\"BI_DIRECTIONAL\""),
    ENUM("auth", "authMode", SA_HIDDEN, auth_modes, "How ends prove who they are",
         .def = "\"PSK\""),
    STRING("psk", "psk", SA_REQUIRED | SA_SECRET, 1, 255, "Shared secret", .example = "@FILE"),
    ENUM("dpd-action", "dpdAction", 0, dpd_actions, "What follows when the peer is silent",
         .def = "\"HOLD\""),
    INT("dpd-interval", "dpdInterval", 0, 1, INT32_TOP, "Seconds between probes", .def = "30"),
    INT("dpd-timeout", "dpdTimeout", 0, 1, INT32_TOP, "Seconds of silence that count as dead",
        .def = "120"),
    ROW("ike-policy", "ikepolicy", SV_OBJECT, OPTIONAL | SA_HIDDEN, "Phase 1 parameters",
        .sub = ike_rows),
    ROW("ipsec-policy", "ipsecpolicy", SV_OBJECT, OPTIONAL | SA_HIDDEN, "Phase 2 parameters",
        .sub = ipsec_rows),
    END,
};
