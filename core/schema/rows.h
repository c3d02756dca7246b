/* How rows are written: one macro a value type, flags and what is special after it.
 * Internal to core/schema. */
#ifndef MN_SCHEMA_ROWS_H
#define MN_SCHEMA_ROWS_H

#include "schema/schema.h"

#define ROW(n, j, v, f, h, ...)                                                                    \
    {                                                                                              \
        .name = (n), .json = (j), .value = (v), .flags = (f), .help = (h), ##__VA_ARGS__           \
    }
#define STRING(n, j, f, lo, hi, h, ...)                                                            \
    ROW(n, j, SV_STRING, f, h, .min = (lo), .max = (hi), ##__VA_ARGS__)
#define BOOL(n, j, f, h, ...) ROW(n, j, SV_BOOL, f, h, ##__VA_ARGS__)
#define INT(n, j, f, lo, hi, h, ...)                                                               \
    ROW(n, j, SV_INT, f, h, .min = (lo), .max = (hi), ##__VA_ARGS__)
#define ENUM(n, j, f, w, h, ...)  ROW(n, j, SV_ENUM, f, h, .words = (w), ##__VA_ARGS__)
#define IP(n, j, f, h, ...)       ROW(n, j, SV_IP, f, h, ##__VA_ARGS__)
#define CIDR(n, j, jl, f, h, ...) ROW(n, j, SV_CIDR, f, h, .json_len = (jl), ##__VA_ARGS__)
#define MAC(n, j, f, h, ...)      ROW(n, j, SV_MAC, f, h, ##__VA_ARGS__)
#define UUID(n, j, f, h, ...)     ROW(n, j, SV_UUID, f, h, ##__VA_ARGS__)
#define REF(n, j, t, d, f, h, ...)                                                                 \
    ROW(n, j, SV_REF, f, h, .ref = (t), .on_delete = (d), ##__VA_ARGS__)
#define REFS(n, j, t, d, f, h, ...)                                                                \
    ROW(n, j, SV_REF, (f) | SA_LIST | SA_SET, h, .ref = (t), .on_delete = (d), ##__VA_ARGS__)
#define END                                                                                        \
    {                                                                                              \
        .name = NULL                                                                               \
    }

#define OPTIONAL  SA_CLEARABLE
#define PARENT    (SA_REQUIRED | SA_CREATE)
#define FIXED     (SA_REQUIRED | SA_CREATE)
#define STATE     (SA_READONLY | SA_STATE)
#define INT32_TOP INT32_MAX

/* What many types begin with. */
#define TENANT           STRING("tenant", "tenantId", SA_HIDDEN | SA_CREATE, 0, 255, "Project that owns it")
#define NAME             STRING("name", "name", OPTIONAL, 0, 255, "Name, need not be unique")
#define ADMIN_STATE(h)   BOOL("state", "adminStateUp", SA_UPDOWN, h, .def = "true", .example = "up")
#define FILTER(n, j, h)  REF(n, j, ST_CHAIN, SD_CLEAR, OPTIONAL, h)
#define MIRRORS(n, j, h) REFS(n, j, ST_MIRROR, SD_CLEAR, OPTIONAL, h)

extern const struct schema_attr schema_host_attrs[];
extern const struct schema_attr schema_host_group_attrs[];
extern const struct schema_attr schema_tunnel_zone_attrs[];
extern const struct schema_attr schema_tunnel_zone_host_attrs[];
extern const struct schema_attr schema_bridge_attrs[];
extern const struct schema_attr schema_mac_port_attrs[];
extern const struct schema_attr schema_ip_mac_attrs[];
extern const struct schema_attr schema_router_attrs[];
extern const struct schema_attr schema_port_attrs[];
extern const struct schema_attr schema_remote_peer_attrs[];
extern const struct schema_attr schema_route_attrs[];
extern const struct schema_attr schema_port_group_attrs[];
extern const struct schema_attr schema_port_group_port_attrs[];
extern const struct schema_attr schema_ip_addr_group_attrs[];
extern const struct schema_attr schema_ip_addr_attrs[];
extern const struct schema_attr schema_chain_attrs[];
extern const struct schema_attr schema_rule_attrs[];
extern const struct schema_attr schema_mirror_attrs[];
extern const struct schema_attr schema_trace_request_attrs[];
extern const struct schema_attr schema_load_balancer_attrs[];
extern const struct schema_attr schema_pool_attrs[];
extern const struct schema_attr schema_pool_member_attrs[];
extern const struct schema_attr schema_vip_attrs[];
extern const struct schema_attr schema_health_monitor_attrs[];
extern const struct schema_attr schema_bgp_peer_attrs[];
extern const struct schema_attr schema_bgp_network_attrs[];
extern const struct schema_attr schema_dhcp_attrs[];
extern const struct schema_attr schema_dhcp_host_attrs[];
extern const struct schema_attr schema_dhcpv6_attrs[];
extern const struct schema_attr schema_dhcpv6_host_attrs[];
extern const struct schema_attr schema_vtep_attrs[];
extern const struct schema_attr schema_vtep_binding_attrs[];
extern const struct schema_attr schema_l2insertion_attrs[];
extern const struct schema_attr schema_qos_policy_attrs[];
extern const struct schema_attr schema_qos_bw_rule_attrs[];
extern const struct schema_attr schema_qos_dscp_rule_attrs[];
extern const struct schema_attr schema_service_container_attrs[];
extern const struct schema_attr schema_service_container_group_attrs[];
extern const struct schema_attr schema_logging_resource_attrs[];
extern const struct schema_attr schema_rule_logger_attrs[];
extern const struct schema_attr schema_vpn_service_attrs[];
extern const struct schema_attr schema_ipsec_connection_attrs[];

/* Dependent defaults and checks, by type (schema.h, 'fill' and 'check'). */
void schema_port_fill(json_t *port);
int schema_port_check(const json_t *port, struct error *e);
void schema_route_fill(json_t *route);
int schema_route_check(const json_t *route, struct error *e);
void schema_rule_fill(json_t *rule);
int schema_rule_check(const json_t *rule, struct error *e);
int schema_mirror_check(const json_t *mirror, struct error *e);
int schema_trace_check(const json_t *request, struct error *e);
void schema_dhcpv6_host_fill(json_t *host);
int schema_dhcpv6_host_check(const json_t *host, struct error *e);
int schema_host_check(const json_t *member, struct error *e);

/* Of a condition (check_cond.c). */
int schema_cond_check(enum schema_type_id type, const json_t *cond, struct error *e);
bool schema_cond_ports(const json_t *cond); /* it asks for ports */
int schema_cond_family(const json_t *cond); /* 4 or 6 when packets that match have that, else 0 */

/* One error of a check: names the type and the field as people type it. */
int schema_refuse(enum schema_type_id type, const char *json, struct error *e, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Members of an object: null when absent. */
const char *schema_str(const json_t *obj, const char *json);
bool schema_true(const json_t *obj, const char *json);

/* JSON text of 'v' cut to fit a message; "..." when it was longer. */
const char *schema_show(const json_t *v, char *buf, size_t size);

#endif
