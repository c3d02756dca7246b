#include "schema/rows.h"

static const char *const fwd_flow[] = {"fwd-flow", NULL};
static const char *const return_flow[] = {"return-flow", NULL};
static const char *const fragment_policies[] = {"any", "header", "nonheader", "unfragmented", NULL};
static const char *const ethertypes[] = {"ipv4=2048", "arp=2054", "ipv6=34525", NULL};
static const char *const tcp_flags[] = {"fin=1",  "syn=2",  "rst=4",   "psh=8",  "ack=16",
                                        "urg=32", "ece=64", "cwr=128", "ae=256", NULL};
static const char *const protocols[] = {"icmp=1", "tcp=6", "udp=17", "icmpv6=58", "sctp=132", NULL};

#define M      (SA_MATCH | OPTIONAL)
#define M_INV  (SA_MATCH | OPTIONAL | SA_INVERT)
#define INV(j) .invert_json = (j)

/* A match condition: all that is set must hold.  One list for rules, mirrors and trace requests. */
#define CONDITION                                                                                  \
    BOOL("inverted", "condInvert", M | SA_YESNO, "The condition as a whole must not hold"),        \
        MAC("hw-src", "dlSrc", M_INV, "Source MAC", INV("invDlSrc"),                               \
            .example = "02:00:00:00:00:0a"),                                                       \
        ROW("hw-src-mask", "dlSrcMask", SV_MAC_MASK, M, "Bits of hw-src that count",               \
            .example = "ffff.ff00.0000"),                                                          \
        MAC("hw-dst", "dlDst", M_INV, "Destination MAC", INV("invDlDst")),                         \
        ROW("hw-dst-mask", "dlDstMask", SV_MAC_MASK, M, "Bits of hw-dst that count",               \
            .example = "0100.0000.0000"),                                                          \
        INT("ethertype", "dlType", M_INV, 0x600, 0xffff, "Ethernet type", INV("invDlType"),        \
            .words = ethertypes, .example = "2048"),                                               \
        CIDR("src", "nwSrcAddress", "nwSrcLength", M_INV, "Source address; of ARP its sender",     \
             INV("invNwSrc"), .example = "10.0.0.0/8"),                                            \
        CIDR("dst", "nwDstAddress", "nwDstLength", M_INV,                                          \
             "Destination address; of ARP its target", INV("invNwDst"),                            \
             .example = "2001:db8::/32"),                                                          \
        INT("proto", "nwProto", M_INV, 0, 255, "IP protocol", INV("invNwProto"),                   \
            .words = protocols, .example = "6"),                                                   \
        INT("tos", "nwTos", M_INV, 0, 255, "Traffic class byte", INV("invNwTos")),                 \
        ROW("src-port", "tpSrc", SV_RANGE, M_INV, "Source port; of ICMP its type", .min = 0,       \
            .max = 65535, INV("invTpSrc"), .example = "1024-65535"),                               \
        ROW("dst-port", "tpDst", SV_RANGE, M_INV, "Destination port; of ICMP its code", .min = 0,  \
            .max = 65535, INV("invTpDst"), .example = "80"),                                       \
        INT("tcp-flags", "tcpFlags", M_INV | SA_BITS, 0, 0x1ff,                                    \
            "TCP: flags that are set; those of the mask that aren't named here are clear",         \
            INV("invTcpFlags"), .words = tcp_flags, .example = "syn"),                             \
        INT("tcp-flags-mask", "tcpFlagsMask", M | SA_BITS, 1, 0x1ff,                               \
            "TCP flags that count; those of tcp-flags when not set", .words = tcp_flags,           \
            .example = "syn,ack"),                                                                 \
        INT("icmp-id", "icmpId", M_INV, 0, 65535, "ICMP, ICMPv6: identifier of an echo",           \
            INV("invIcmpId")),                                                                     \
        BOOL("flow", "matchForwardFlow", M, "Packets in the direction the connection was opened",  \
             .cli_words = fwd_flow),                                                               \
        BOOL("flow", "matchReturnFlow", M, "Packets in the other direction",                       \
             .cli_words = return_flow),                                                            \
        REF("port-group", "portGroup", ST_PORT_GROUP, SD_KEEP, M_INV,                              \
            "Group of the port where the packet entered the virtual network",                      \
            INV("invPortGroup")),                                                                  \
        REF("in-port-group", "inPortGroup", ST_PORT_GROUP, SD_KEEP, M_INV,                         \
            "Group of the port where it entered this device", INV("invInPortGroup")),              \
        REF("out-port-group", "outPortGroup", ST_PORT_GROUP, SD_KEEP, M_INV,                       \
            "Group of the port where it leaves this device", INV("invOutPortGroup")),              \
        REF("ip-address-group-src", "ipAddrGroupSrc", ST_IP_ADDR_GROUP, SD_KEEP, M_INV,            \
            "Group that has the source address", INV("invIpAddrGroupSrc")),                        \
        REF("ip-address-group-dst", "ipAddrGroupDst", ST_IP_ADDR_GROUP, SD_KEEP, M_INV,            \
            "Group that has the destination address", INV("invIpAddrGroupDst")),                   \
        REFS("in-ports", "inPorts", ST_PORT, SD_KEEP, M_INV, "Ports where it entered this device", \
             INV("invInPorts")),                                                                   \
        REFS("out-ports", "outPorts", ST_PORT, SD_KEEP, M_INV,                                     \
             "Ports where it leaves this device", INV("invOutPorts")),                             \
        ENUM("fragment-policy", "fragmentPolicy", M, fragment_policies,                            \
             "header: whole packets and first fragments; nonheader: later fragments"),             \
        BOOL("no-vlan", "noVlan", M, "Frames without a VLAN tag"),                                 \
        INT("vlan", "vlan", M, 0, 4095, "Outermost VLAN tag"),                                     \
        CIDR("icmp-data-src", "icmpDataSrcIpAddress", "icmpDataSrcIpLength", M_INV,                \
             "Source address of the packet that an ICMP error quotes", INV("invIcmpDataSrcIp")),   \
        CIDR("icmp-data-dst", "icmpDataDstIpAddress", "icmpDataDstIpLength", M_INV,                \
             "Destination address of the packet that an ICMP error quotes",                        \
             INV("invIcmpDataDstIp")),                                                             \
        BOOL("match-nw-dst-rewritten", "matchNwDstRewritten", M,                                   \
             "Packets whose destination this device has translated"),                              \
        UUID("traversed-device", "traversedDevice", M_INV | SA_HIDDEN,                             \
             "Device the packet came through", INV("invTraversedDevice"))

static const struct schema_attr metadata_rows[] = {
    STRING("key", "key", SA_REQUIRED, 1, 255, "Name"),
    STRING("value", "value", SA_REQUIRED, 0, 1024, "Value"),
    END,
};
#define METADATA                                                                                   \
    ROW("metadata", "metadata", SV_OBJECT, OPTIONAL | SA_LIST | SA_HIDDEN, "Labels, for logs",     \
        .sub = metadata_rows)

const struct schema_attr schema_chain_attrs[] = {
    TENANT,
    NAME,
    METADATA,
    END,
};

static const struct schema_attr nat_target_rows[] = {
    IP("from", "addressFrom", SA_REQUIRED, "First address"),
    IP("to", "addressTo", 0, "Last address; the first when not given"),
    INT("port-from", "portFrom", 0, 0, 65535, "First port; 0: ports are not translated",
        .def = "0"),
    INT("port-to", "portTo", 0, 0, 65535, "Last port; the first when not given"),
    END,
};

static const char *const rule_types[] = {
    "accept", "continue", "drop", "jump", "l2_transform", "log",      "redirect", "reject",
    "return", "trace",    "dnat", "snat", "rev_dnat",     "rev_snat", NULL};
static const char *const rule_type_words[] = {
    "accept", "continue", "drop", "jump", "l2-transform", "log",      "redirect", "reject",
    "return", "trace",    "dnat", "snat", "rev_dnat",     "rev_snat", NULL};
static const char *const flow_actions[] = {"accept", "continue", "redirect", "return", NULL};

const struct schema_attr schema_rule_attrs[] = {
    CONDITION,
    REF("chain", "chainId", ST_CHAIN, SD_CASCADE, PARENT | SA_HIDDEN, "The chain"),
    INT("pos", "position", SA_ORDER, 1, INT32_TOP, "Place in the chain, from 1; 1 when not given"),
    ENUM("type", "type", SA_REQUIRED, rule_types, "What happens to a packet that matches",
         .cli_words = rule_type_words),
    ENUM("action", "flowAction", OPTIONAL, flow_actions,
         "What follows an address translation or tag change; accept when not given"),
    REF("jump-to", "jumpChainId", ST_CHAIN, SD_KEEP, OPTIONAL,
        "jump: chain evaluated next; once it is gone the rule does nothing"),
    REF("target-port", "targetPortId", ST_PORT, SD_KEEP, OPTIONAL,
        "redirect: port the packet is handed to; once it is gone the rule drops"),
    BOOL("ingress", "ingress", OPTIONAL, "redirect: it enters by that port instead of leaving"),
    BOOL("fail-open", "failOpen", OPTIONAL, "redirect: it goes on while that port is down"),
    BOOL("pop-vlan", "popVlan", OPTIONAL, "l2-transform: the outermost tag is removed"),
    INT("push-vlan", "pushVlan", OPTIONAL, 0, 65535, "l2-transform: tag (16 bits) put on"),
    ROW("target", "natTargets", SV_NAT, OPTIONAL | SA_LIST,
        "dnat, snat: addresses and ports to choose from; one address without ports is static",
        .sub = nat_target_rows, .example = "192.0.2.1:1024-65535"),
    ROW("pool", "natPool", SV_NAT, OPTIONAL | SA_LIST,
        "dnat from IPv6 to IPv4: addresses and ports that senders get there",
        .sub = nat_target_rows, .example = "100.64.0.0-100.64.0.255:1024-65535"),
    REF("traceid", "requestId", ST_TRACE_REQUEST, SD_CASCADE, OPTIONAL,
        "trace: request it was made for"),
    INT("tracelimit", "limit", OPTIONAL, 1, INT64_MAX, "trace: packets traced at most"),
    REF("fip-port", "fipPortId", ST_PORT, SD_CASCADE, OPTIONAL | SA_HIDDEN,
        "Gateway port of the floating address it translates"),
    STRING("meter", "meterName", OPTIONAL | SA_HIDDEN, 0, 255, "Meter that counts what it matches"),
    METADATA,
    END,
};

static const struct schema_attr condition_rows[] = {CONDITION, END};

const struct schema_attr schema_mirror_attrs[] = {
    NAME,
    REF("to-port", "toPortId", ST_PORT, SD_CASCADE, SA_REQUIRED, "Port that gets the copies"),
    ROW("matches", "conditions", SV_OBJECT, OPTIONAL | SA_LIST | SA_HIDDEN,
        "What is copied: one of them must hold; nothing when empty", .sub = condition_rows,
        .collection = "matches"),
    END,
};

const struct schema_attr schema_trace_request_attrs[] = {
    CONDITION,
    TENANT,
    NAME,
    REF("port", "portId", ST_PORT, SD_CASCADE, SA_CREATE, "Port where packets are traced"),
    REF("router", "routerId", ST_ROUTER, SD_CASCADE, SA_CREATE, "Router where packets are traced"),
    REF("bridge", "bridgeId", ST_BRIDGE, SD_CASCADE, SA_CREATE, "Bridge where packets are traced"),
    INT("limit", "limit", OPTIONAL, 1, INT64_MAX, "Packets traced at most; all when not set"),
    BOOL("enabled", "enabled", 0, "Tracing is on", .def = "false"),
    INT("created", "creationTimestampMs", SA_READONLY | SA_HIDDEN, 0, INT64_MAX,
        "When it was made, milliseconds since 1970"),
    END,
};

const struct schema_attr schema_ip_addr_group_attrs[] = {
    STRING("name", "name", SA_REQUIRED, 1, 255, "Name, need not be unique"),
    REF("infilter", "inboundChainId", ST_CHAIN, SD_CLEAR, OPTIONAL | SA_HIDDEN,
        "Inbound chain of the security group it stands for"),
    REF("outfilter", "outboundChainId", ST_CHAIN, SD_CLEAR, OPTIONAL | SA_HIDDEN,
        "Outbound chain of the security group it stands for"),
    END,
};

const struct schema_attr schema_ip_addr_attrs[] = {
    REF("group", "ipAddrGroupId", ST_IP_ADDR_GROUP, SD_CASCADE, PARENT | SA_HIDDEN, "The group"),
    IP("address", "addr", FIXED, "The address"),
    END,
};

static const char *const logging_types[] = {"FILE", NULL};
static const char *const events[] = {"ACCEPT", "DROP", "ALL", NULL};

const struct schema_attr schema_logging_resource_attrs[] = {
    NAME,
    ENUM("type", "type", 0, logging_types, "Where records go", .def = "\"FILE\""),
    BOOL("enabled", "enabled", 0, "Records are written", .def = "false"),
    END,
};

const struct schema_attr schema_rule_logger_attrs[] = {
    REF("chain", "chainId", ST_CHAIN, SD_CASCADE, PARENT, "Chain whose verdicts are recorded"),
    REF("resource", "loggingResourceId", ST_LOGGING_RESOURCE, SD_CASCADE, FIXED,
        "Where the records go"),
    ENUM("event", "event", SA_REQUIRED, events, "Verdicts that are recorded"),
    END,
};
