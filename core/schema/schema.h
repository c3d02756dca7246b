/* The one table of object types and attributes.
 *
 * Every type of the model is a row, every attribute of it a row below; from them come validation
 * and its messages, JSON, the CLI's grammar, completion and help, REST resources, JSON Schema and
 * the reference pages.  Adding an attribute is one row, plus the code that gives it meaning.
 *
 * Objects on the wire and in the store are JSON objects with the 'json' names; people type and see
 * the 'name's.  Absent and null mean the same: not set.
 *
 * Embedded lists (NAT targets, DHCP hosts, opt-121 routes, mirror conditions, tunnel-zone members)
 * are lists of small objects with attributes of their own ('sub'); to the CLI some of them look
 * like child collections ('collection').
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
    ST_N_TYPES,
    ST_NONE = ST_N_TYPES,
};

enum schema_value {
    SV_STRING,
    SV_BOOL,
    SV_INT,
    SV_ENUM, /* one of 'words' (JSON spelling; CLI spelling in 'cli_words' when it differs) */
    SV_IP,   /* either family unless SA_V4 or SA_V6 */
    SV_CIDR, /* host bits kept */
    SV_MAC,
    SV_MAC_MASK, /* JSON and CLI "hhhh.hhhh.hhhh" */
    SV_UUID,     /* not checked against anything */
    SV_REF,      /* uuid of an object of type 'ref' (CLI: name or uuid) */
    SV_RANGE,    /* {"start":N,"end":N}, either may be absent; CLI "a-b" or "a" */
    SV_OBJECT,   /* {...} by 'sub' */
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
    SA_STATE = 1 << 9,   /* run-time state: not stored in the object, filled in when read */
    SA_SECRET = 1 << 10, /* printed as "****" */
    SA_INVERT = 1 << 11, /* CLI accepts "!value": sets 'invert_json' to true */
    SA_UPDOWN = 1 << 12, /* SV_BOOL printed up/down */
    SA_YESNO = 1 << 13,  /* SV_BOOL printed yes/no */
};

/* What deleting the *referenced* object does to the object that holds the reference. */
enum schema_on_delete { SD_CLEAR, SD_CASCADE, SD_REFUSE };

struct schema_attr {
    const char *name; /* CLI: "admin-state" style, as in reference/cli.md section 6 */
    const char *json;
    enum schema_value value;
    unsigned flags;                  /* SA_* */
    enum schema_type_id ref;         /* SV_REF */
    enum schema_on_delete on_delete; /* SV_REF */
    const char *const *words;        /* SV_ENUM, null-terminated */
    const char *const *cli_words;    /* SV_ENUM, parallel to words, or null */
    int64_t min, max;                /* SV_INT value, SV_STRING size in bytes; max 0: unbounded */
    const char *def;                 /* default as JSON text ("true", "1", "\"any\"") or null */
    const struct schema_attr *sub;   /* SV_OBJECT: ends with a row whose name is null */
    const char *collection;          /* SV_OBJECT|SA_LIST shown as child collection, or null */
    const char *alias;               /* collection element's alias prefix, or null */
    const char *invert_json;         /* SA_INVERT: companion boolean */
    const char *peer_json;           /* symmetric reference: the same attribute on the other side */
    const char *help;                /* one sentence; unit, meaning of absence */
    const char *example;
};

struct schema_type {
    enum schema_type_id id;
    const char *name;         /* CLI singular collection word: "bridge", "tunnel-zone" */
    const char *plural;       /* store folder and REST collection: "bridges", "tunnel_zones" */
    const char *alias;        /* CLI alias prefix: "bridge", "tzone" */
    const char *parent_attr;  /* JSON name of the SV_REF to the parent, or null (top level) */
    const char *parent_attr2; /* a second possible parent (port: routerId; route: nextHopPort) */
    const struct schema_attr *attrs; /* order = print order; ends with a null name */
    /* A change of an object of this type is a change of its device: JSON name of the SV_REF chain
     * to follow ("bridgeId"), or null when the object is its own device. */
    const char *unique; /* JSON names, comma separated, unique within the parent; or null */
    bool read_only;     /* never created by users (host) */
    /* Checks that the rows can't say; 'obj' is complete and row-valid.  May be null. */
    int (*check)(const json_t *obj, struct error *e);
    const char *help;
};

extern const struct schema_type schema_types[ST_N_TYPES];

const struct schema_type *schema_type_by_name(const char *name); /* CLI name or plural, or null */
const struct schema_attr *schema_attr_by_name(const struct schema_type *t, const char *name);
const struct schema_attr *schema_attr_by_json(const struct schema_attr *rows, const char *json);

/* Validates 'obj' (every member known, well typed, within bounds; required ones there unless
 * 'partial'), and rewrites values to their canonical form (IPv6 spelling, MAC and uuid case,
 * defaults filled in unless 'partial').  An unknown member is an error naming it unless
 * 'tolerant' (store contents from a newer version), which keeps it untouched. */
int schema_validate(const struct schema_type *t, json_t *obj, bool partial, bool tolerant,
                    struct error *e);

/* One attribute from CLI text to JSON (new reference; references stay text: the caller resolves
 * names) and back to CLI text (malloc'd; lists joined by commas). */
int schema_from_text(const struct schema_attr *a, const char *text, json_t **value, bool *inverted,
                     struct error *e);
char *schema_to_text(const struct schema_attr *a, const json_t *value, bool inverted);

/* JSON Schema (draft 2020-12) of all types; new reference. */
json_t *schema_describe(void);

#endif
