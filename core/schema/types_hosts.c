#include "schema/rows.h"

static const struct schema_attr interface_rows[] = {
    STRING("iface", "name", 0, 1, 15, "Interface name in the kernel"),
    INT("status", "status", 0, 0, 3, "Bit 0: up, bit 1: has a link"),
    IP("addresses", "addresses", SA_LIST, "Addresses it has"),
    MAC("mac", "mac", 0, "Hardware address"),
    INT("mtu", "mtu", 0, 0, INT32_TOP, "Largest packet, bytes"),
    STRING("type", "type", 0, 0, 32, "Physical, Virtual, Tunnel or Unknown"),
    STRING("endpoint", "endpoint", 0, 0, 32, "What is behind it, as far as the agent can tell"),
    STRING("port-type", "portType", SA_HIDDEN, 0, 32, "Kind of datapath port, when it is one"),
    INT("ifindex", "ifindex", SA_HIDDEN, 0, INT32_TOP, "Index in the kernel"),
    BOOL("up", "up", SA_HIDDEN, "Administratively up"),
    BOOL("link", "link", SA_HIDDEN, "Has a carrier"),
    END,
};

static const char *const no_limit[] = {"no-limit=-1", NULL};

const struct schema_attr schema_host_attrs[] = {
    STRING("name", "name", SA_READONLY | SA_REQUIRED, 1, 255, "Host name, as its agent reports it"),
    BOOL("alive", "alive", STATE, "Its agent is running", .state = "alive"),
    IP("addresses", "addresses", STATE | SA_LIST, "Addresses of its interfaces",
       .state = "interfaces.addresses"),
    INT("flooding-proxy-weight", "floodingProxyWeight", 0, 0, 65535,
        "Share of VTEP flooding duty it may be elected for; 0: never", .def = "1"),
    INT("container-weight", "containerWeight", 0, 0, INT32_TOP,
        "Share of service containers placed on it; 0: none", .def = "1"),
    INT("container-limit", "containerLimit", 0, -1, INT32_TOP, "Most service containers it may run",
        .def = "-1", .words = no_limit, .cli_words = no_limit),
    BOOL("enforce-container-limit", "enforceContainerLimit", 0,
         "Containers above the limit are stopped", .def = "false"),
    ROW("interface", "hostInterfaces", SV_OBJECT, STATE | SA_LIST | SA_HIDDEN,
        "Network interfaces, as its agent reports them", .sub = interface_rows,
        .collection = "interface", .state = "interfaces"),
    END,
};

const struct schema_attr schema_host_group_attrs[] = {
    NAME,
    REFS("hosts", "hostIds", ST_HOST, SD_CLEAR, OPTIONAL, "Hosts in the group"),
    END,
};

static const char *const zone_types[] = {"gre", "vxlan", "vtep", NULL};

const struct schema_attr schema_tunnel_zone_attrs[] = {
    STRING("name", "name", SA_REQUIRED, 1, 255, "Name, unique among zones of the same type"),
    ENUM("type", "type", FIXED, zone_types,
         "Encapsulation between its members; vtep: towards hardware VTEPs", .example = "vxlan"),
    END,
};

const struct schema_attr schema_tunnel_zone_host_attrs[] = {
    REF("zone", "tunnelZoneId", ST_TUNNEL_ZONE, SD_CASCADE, PARENT, "The zone"),
    REF("host", "hostId", ST_HOST, SD_CASCADE, FIXED, "The member"),
    IP("address", "ipAddress", SA_REQUIRED, "Its underlay address in this zone",
       .example = "192.0.2.10"),
    END,
};
