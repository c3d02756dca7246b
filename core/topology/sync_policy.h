/* Inside the loader: policy objects.
 *
 *   sync_rule.c     rules and conditions: JSON to values
 *   sync_chain.h    chains: rules in order, loggers; files of their own
 *   sync_group.c    groups of addresses
 *   sync_port_group.c   groups of ports
 *   sync_mirror.c   mirrors
 *   sync_qos.c      QoS policies, and what of them reaches a port
 *   sync_insert.c   chains the loader makes itself: service insertions, trace requests
 *   sync_names.c    which of them an object names
 *   sync_warm.c     what a port that moves here will need
 *   sync_sweep.c    what nothing uses any more is unloaded
 *
 * Each is watched by its own change node, as a device is, and only while something here uses it. */
#ifndef MN_TOPOLOGY_SYNC_POLICY_H
#define MN_TOPOLOGY_SYNC_POLICY_H

#include "topology/policy.h"
#include "topology/sync_impl.h"

/* sync_rule.c: arrays come from the arena */
void sync_parse_cond(struct sync *s, const json_t *body, struct arena *arena, struct topo_cond *c);
/* Null body: can't be understood. */
void sync_parse_rule(struct sync *s, const struct uuid *id, const json_t *body, struct arena *arena,
                     struct topo_rule *out);

/* sync_chain.c */
struct chain_logger {
    struct uuid id;
    topo_ref resource;
    uint8_t events;
};

struct chain_item {
    struct item item;
    struct objects_order *order;
    VEC(struct chain_logger) loggers;
};

struct logging_item {
    struct item item;
    bool enabled;
};

int sync_work_chain(struct sync *s, struct chain_item *c, unsigned due);
int sync_work_logging(struct sync *s, struct logging_item *l, unsigned due);
void sync_chain_free(struct sync *s, struct chain_item *c);

/* sync_learn.c: loads an object, unless that has been begun, for who will need it soon. */
void sync_prefetch(struct sync *s, topo_ref ref);

/* sync_group.c */
struct group_member {
    struct uuid id; /* of the object */
    struct ip ip;
};

struct group_item {
    struct item item;
    VEC(struct group_member) members; /* sorted by id */
    struct topo_ip_set *set;          /* the published object owns it */
};

void sync_group_free(struct sync *s, struct group_item *g);
int sync_work_group(struct sync *s, struct group_item *g, unsigned due);

/* sync_port_group.c */
struct group_port {
    struct uuid id; /* of the membership */
    topo_ref port;
};

struct port_group_item {
    struct item item;
    VEC(struct group_port) members;
};

int sync_load_port_group(struct sync *s, struct port_group_item *g);

/* sync_mirror.c */
int sync_load_mirror(struct sync *s, struct item *it);

/* sync_qos.c */
struct qos_item {
    struct item item;
    bool mark;
    uint8_t dscp;
    uint32_t max_kbps, max_burst_kb;
};

int sync_work_qos(struct sync *s, struct qos_item *q, unsigned due);
/* The policy that 'body' (of a port or bridge) names, loaded; *out 0 when it names none. */
int sync_know_qos(struct sync *s, const json_t *body, topo_ref *out);
void sync_apply_qos(struct sync *s, const struct port_item *p, struct topo_port *port);

/* sync_insert.c: a port's chains from what its body lists */
int sync_make_insertions(struct sync *s, struct topo_port *port, const json_t *body);
int sync_make_traces(struct sync *s, const struct uuid *of, const char *name, const json_t *body,
                     topo_ref *chain); /* 0: no request is enabled */

/* Its port or device is gone. */
void sync_drop_made(struct sync *s, topo_ref chain);

/* sync_names.c: each policy object that a port, device, chain or mirror names; loaded or not */
typedef void sync_name_fn(struct sync *s, topo_ref ref, void *aux);
void sync_names(struct sync *s, const struct topo_obj *o, sync_name_fn *fn, void *aux);

/* sync_warm.c: begins to load what the port's packets will need; goes on when 'it' is there */
void sync_warm(struct sync *s, topo_ref port);
void sync_warm_on(struct sync *s, struct item *it);
void sync_warm_end(struct sync *s, struct item *it); /* nobody waits for it any more */

/* sync_sweep.c */
void sync_sweep(struct sync *s);

#endif
