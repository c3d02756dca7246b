/* The one table of object types and attributes.
 *
 * Every type of the model is a row, every attribute of it a row below; from them come validation
 * and its messages, JSON, the CLI's grammar, completion and help, REST resources, JSON Schema and
 * the reference pages.  Adding an attribute is one row, plus the code that gives it meaning.
 *
 * Objects on the wire and in the store are JSON objects with the 'json' names; people type and see
 * the 'name's.  Absent, null and the empty list mean the same: not set.
 *
 * What can be many is an object of its own, so that adding one is one small write whatever is there
 * already: members of tunnel zones, port groups and address groups, DHCP hosts, VTEP bindings,
 * seeded MACs.  Such a type has 'id_from': its uuid follows from parent and key, so the store
 * itself refuses a second one, and one is found without a search (schema_derived_id).
 * Short lists (NAT targets, opt-121 routes, mirror conditions) are embedded: lists of small objects
 * with attributes of their own ('sub'); to the CLI some look like child collections ('collection').
 *
 * A prefix is one value, "10.0.0.0/8"; REST splits it into the members 'json' and 'json_len'.
 *
 * Two rows of a type may share a CLI name when they are alternatives: a port's "device" is a bridge
 * or a router, "flow" is fwd-flow or return-flow.  schema_attr_by_name() gives the first,
 * schema_attr_next() the others; take the one that accepts the value.
 *
 * All of it is constant data.  Thread: any. */
#ifndef MN_SCHEMA_SCHEMA_H
#define MN_SCHEMA_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/types.h"

enum schema_type_id {
    ST_HOST,
    ST_TUNNEL_ZONE,
    ST_BRIDGE,
    ST_ROUTER,
    ST_PORT, /* of a bridge or of a router: exactly one of bridgeId and routerId is set */
    ST_ROUTE,
    ST_PORT_GROUP,
    ST_IP_ADDR_GROUP,
    ST_CHAIN,
    ST_RULE,
    ST_LOAD_BALANCER,
    ST_POOL,
    ST_POOL_MEMBER,
    ST_VIP,
    ST_HEALTH_MONITOR,
    ST_BGP_PEER,
    ST_BGP_NETWORK,
    ST_DHCP,
    ST_DHCPV6,
    ST_VTEP,
    ST_L2INSERTION,
    ST_MIRROR,
    ST_QOS_POLICY,
    ST_QOS_BW_RULE,
    ST_QOS_DSCP_RULE,
    ST_SERVICE_CONTAINER,
    ST_SERVICE_CONTAINER_GROUP,
    ST_HOST_GROUP,
    ST_TRACE_REQUEST,
    ST_LOGGING_RESOURCE,
    ST_RULE_LOGGER,
    ST_VPN_SERVICE,
    ST_IPSEC_CONNECTION,
    ST_TUNNEL_ZONE_HOST, /* a host's membership in a tunnel zone, with its address there */
    ST_PORT_GROUP_PORT,  /* a port's membership in a port group */
    ST_IP_ADDR,          /* an address in an address group */
    ST_DHCP_HOST,
    ST_DHCPV6_HOST,
    ST_VTEP_BINDING,
    ST_MAC_PORT,    /* bridge: where a MAC is, seeded by the operator */
    ST_IP_MAC,      /* bridge: the MAC of an IP address, for ARP and ND suppression */
    ST_REMOTE_PEER, /* router port with a VNI: remote VTEP of a MAC */
    ST_N_TYPES,
    ST_NONE = ST_N_TYPES,
};

enum schema_value {
    SV_STRING,
    SV_BOOL,
    SV_INT,  /* 'words', if any, are "name=number": names accepted in CLI text */
    SV_ENUM, /* one of 'words' (JSON spelling; CLI spelling in 'cli_words' when it differs) */
    SV_IP,   /* either family unless SA_V4 or SA_V6 */
    SV_CIDR, /* host bits kept */
    SV_MAC,
    SV_MAC_MASK, /* JSON and CLI "hhhh.hhhh.hhhh" */
    SV_UUID,     /* not checked against anything */
    SV_REF,      /* uuid of an object of type 'ref' (CLI: name or uuid) */
    SV_RANGE,    /* {"start":N,"end":N}, either may be absent; CLI "a-b" or "a" */
    SV_OBJECT,   /* {...} by 'sub'; CLI text is JSON */
    SV_NAT,      /* SV_OBJECT whose CLI text is "ip[-ip][:port[-port]]", IPv6 in [] before ports */
};

enum {
    SA_REQUIRED = 1 << 0,
    SA_READONLY = 1 << 1,  /* set by the system only */
    SA_CREATE = 1 << 2,    /* may be given at creation, never changed after */
    SA_LIST = 1 << 3,      /* JSON array of the value type; order is kept */
    SA_SET = 1 << 4,       /* with SA_LIST: no element twice */
    SA_HIDDEN = 1 << 5,    /* not in list output; can be shown by name */
    SA_CLEARABLE = 1 << 6, /* CLI "clear" may unset it */
    SA_V4 = 1 << 7,
    SA_V6 = 1 << 8,
    SA_STATE = 1 << 9,    /* run-time state: not stored in the object, filled in when read */
    SA_SECRET = 1 << 10,  /* printed as "****" */
    SA_INVERT = 1 << 11,  /* CLI accepts "!value": sets 'invert_json' to true */
    SA_UPDOWN = 1 << 12,  /* SV_BOOL printed up/down */
    SA_YESNO = 1 << 13,   /* SV_BOOL printed yes/no */
    SA_NETWORK = 1 << 14, /* SV_CIDR: host bits are cleared */
    SA_ORDER = 1 << 15,   /* place among its siblings, from 1; kept beside the object, not in it */
    SA_MATCH = 1 << 16,   /* part of a match condition (rule, mirror, trace request) */
    SA_PIN = 1 << 17,     /* the object can't be deleted while this is set */
    SA_BITS = 1 << 18,    /* SV_INT: 'words' name bits of it; CLI text "syn,ack", "none" for 0 */
};

/* What deleting the *referenced* object does to the object that holds the reference.  A match
 * condition keeps the name of what is gone, and so matches nothing: cleared, it would match
 * everything. */
enum schema_on_delete { SD_CLEAR, SD_CASCADE, SD_REFUSE, SD_KEEP };

struct schema_attr {
    const char *name; /* CLI: "admin-state" style, as in reference/cli.md section 6 */
    const char *json;
    enum schema_value value;
    unsigned flags;                  /* SA_* */
    enum schema_type_id ref;         /* SV_REF */
    enum schema_on_delete on_delete; /* SV_REF */
    const char *const *words;        /* SV_ENUM, null-terminated */
    const char *const *cli_words;    /* SV_ENUM, parallel to words, or null; SV_BOOL: one word, the
                                        text of true; SV_INT: printed by them too */
    int64_t min, max;                /* SV_INT, SV_RANGE value, SV_STRING size in bytes; max 0:
                                        unbounded */
    const char *def;                 /* default as JSON text ("true", "1", "\"any\"") or null */
    const struct schema_attr *sub;   /* SV_OBJECT: ends with a row whose name is null */
    const char *collection;          /* SV_OBJECT|SA_LIST shown as child collection, or null */
    const char *alias;               /* collection element's alias prefix, or null */
    const char *invert_json;         /* SA_INVERT: companion boolean */
    const char *peer_json;           /* mutual reference: its counterpart on the other side */
    const char *json_len;            /* SV_CIDR: REST member with the prefix length, or null */
    const char *state; /* SA_STATE: "KEY" node of objects_state_path (SV_BOOL: is there), or
                          "KEY.MEMBER" of its JSON */
    const char *help;  /* one sentence; unit, meaning of absence */
    const char *example;
};

struct schema_type {
    enum schema_type_id id;
    const char *name;         /* CLI singular collection word: "bridge", "tunnel-zone" */
    const char *plural;       /* store folder and REST collection: "bridges", "tunnel_zones" */
    const char *alias;        /* CLI alias prefix: "bridge", "tzone"; null: listed without one */
    const char *parent_attr;  /* JSON name of the SV_REF to the parent, or null (top level) */
    const char *parent_attr2; /* a second possible parent (port: routerId; route: nextHopPort) */
    const struct schema_attr *attrs; /* order = print order; ends with a null name */
    /* Who has to hear of a change: a device has a change node of its own (objects_change_path), and
     * the change also counts for the devices that 'owners' (JSON names of references, comma
     * separated) lead to, directly or through other owners. */
    bool device;
    const char *owners;
    /* Sets of JSON names, comma separated, sets separated by ';': no two objects of the type agree
     * in all members of a set (those that lack one don't count).  Or null. */
    const char *unique;
    const char *id_from; /* JSON names, comma separated, that the uuid follows from; or null */
    bool read_only;      /* never created by users (host) */
    /* Defaults that depend on other members; called before 'check'.  May be null. */
    void (*fill)(json_t *obj);
    /* Checks that the rows can't say; 'obj' is complete and row-valid.  May be null. */
    int (*check)(const json_t *obj, struct error *e);
    const char *help;
};

extern const struct schema_type schema_types[ST_N_TYPES];

/* By CLI name or plural, or null.  Some children share a name ("member", "host"): the first type in
 * enum order is found; below a parent ask schema_child_by_name. */
const struct schema_type *schema_type_by_name(const char *name);
const struct schema_type *schema_child_by_name(const struct schema_type *parent, const char *name);
const struct schema_attr *schema_attr_by_name(const struct schema_type *t, const char *name);
const struct schema_attr *schema_attr_by_json(const struct schema_attr *rows, const char *json);
const struct schema_attr *schema_attr_next(const struct schema_attr *a); /* same name, or null */
/* The reference by which objects of type 't' belong to one of type 'parent', or null. */
const struct schema_attr *schema_parent_attr(const struct schema_type *t,
                                             enum schema_type_id parent);
/* The uuid of an object whose type has 'id_from'; -EINVAL when a member it needs is missing. */
int schema_derived_id(const struct schema_type *t, const json_t *obj, struct uuid *id);

/* Validates 'obj' (every member known, well typed, within bounds; required ones there unless
 * 'partial'), and rewrites values to their canonical form (IPv6 spelling, MAC and uuid case,
 * defaults filled in unless 'partial').  An unknown member is an error naming it unless
 * 'tolerant' (store contents from a newer version), which keeps it untouched. */
int schema_validate(const struct schema_type *t, json_t *obj, bool partial, bool tolerant,
                    struct error *e);

/* One attribute from CLI text to JSON (new reference; references stay text: the caller resolves
 * names; "none" for a clearable enumeration is JSON null) and back to CLI text (malloc'd; lists
 * joined by commas). */
int schema_from_text(const struct schema_attr *a, const char *text, json_t **value, bool *inverted,
                     struct error *e);
char *schema_to_text(const struct schema_attr *a, const json_t *value, bool inverted);

/* JSON Schema (draft 2020-12) of all types; new reference. */
json_t *schema_describe(void);
/* The reference page of all types, docs/objects.md (free()). */
char *schema_reference(void);

#endif
