/* Inside the loader (sync.h): one 'struct sync' and the files that work on it.
 *
 *   sync.c          open, close, the run loop
 *   sync_compare.c  reconnects: what was missed
 *   sync_item.c     what is known of each object, what is due, watches, placeholders
 *   sync_read.c     batches of reads; bodies of objects
 *   sync_parse.c    JSON to values
 *   sync_port.c     ports and whether they are active
 *   sync_ports.c    all ports of a device
 *   sync_snapshot.c what was copied of a device, for those who come after
 *   sync_device.c   bridges and routers: load, follow the change log, tell ports and routes apart
 *   sync_build.c    bridges and routers: the published object, and what differs from the one before
 *   sync_seeds.c    seeded MACs and addresses of bridges
 *   sync_dhcp.h     DHCP subnets and hosts of bridges: files of their own
 *   sync_policy.h   chains, groups, mirrors, QoS, insertions: files of their own
 *   sync_host.c     hosts
 *   sync_zone.c     tunnel zones
 *   sync_own.c      this host: the zones it is in, the ports bound to it
 *   sync_alive.c    which hosts are there
 *   sync_table.h    learned tables:
 *   sync_claim.c    ... who claims what
 *   sync_table.c    ... reading other hosts' chunks
 *   sync_share.c    ... own chunks, written and expired
 *   sync_learn.c    what other threads say: needs, learned entries
 *   sync_state.h    what this host says:
 *   sync_state.c    ... about itself
 *   sync_serve.c    ... about the ports it serves
 *   sync_tell.c     ... when many have something to say at once
 *
 * Every object of interest has an item, found by its slot number.  An item that has something due
 * is in the work queue; work that fails because the store does stays due.  All functions that call
 * the store return 0 or a negative error, which ends the run; everything else can't fail. */
#ifndef MN_TOPOLOGY_SYNC_IMPL_H
#define MN_TOPOLOGY_SYNC_IMPL_H

#include <pthread.h>
#include <uthash.h>
#include <utlist.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/search.h"
#include "objects/objects.h"
#include "topology/lpm.h"
#include "topology/sync.h"
#include "topology/tables.h"

/* A growing vector of plain values. */
#define VEC(type)                                                                                  \
    struct {                                                                                       \
        type *v;                                                                                   \
        size_t n, room;                                                                            \
    }
#define vec_add(vec, ...)                                                                          \
    do {                                                                                           \
        if ((vec)->n == (vec)->room) {                                                             \
            (vec)->room = MAX((size_t)16, (vec)->room * 2);                                        \
            (vec)->v = mem_resize((vec)->v, (vec)->room * sizeof *(vec)->v);                       \
        }                                                                                          \
        (vec)->v[(vec)->n++] = (__VA_ARGS__);                                                      \
    } while (0)

typedef VEC(topo_ref) refs;
typedef VEC(struct uuid) uuids;

/* Kinds of items beside those of objects in memory. */
enum { ITEM_ZONE = TOPO_N_KINDS, ITEM_QOS, ITEM_LOGGING, ITEM_N_KINDS };

enum {
    DUE_LOAD = 1,   /* read it whole */
    DUE_CHANGE = 2, /* its change node has moved (or may have) */
    DUE_ALIVE = 4,
    DUE_TABLE = 8,
    DUE_BUILD = 16, /* a device whose ports have changed: publish it again */
};

struct item {
    topo_ref ref;
    uint8_t kind; /* enum topo_kind or ITEM_* */
    uint8_t due;
    bool queued;
    bool loaded;   /* what is published follows the store */
    bool watched;  /* its change node; a missing port's own node */
    bool needed;   /* somebody waits for it */
    bool listed;   /* in a list that is being made */
    bool used;     /* found by the sweep */
    uint8_t idle;  /* sweeps that haven't */
    uint8_t warm;  /* somebody waits for it and what it leads to in 'warm' - 1 steps; 0: not */
    uint16_t size; /* of the structure that begins with it */
    int64_t rev;   /* of its change node, as far as read */
};

/* A life of a host that says it serves a port. */
struct port_server {
    topo_ref host; /* 0: none */
    uint32_t key;
    uint64_t inc;
};

/* What a port's "active" node says. */
struct port_state {
    struct port_server now;
    struct port_server former; /* serves beside it while the machine moves */
};

struct port_item {
    struct item item;
    topo_ref device; /* 0 while unknown */
    topo_ref qos;    /* its own policy */
    bool lists;      /* service insertions or trace requests, as its body does */
    struct port_state state;
};

/* A seeded MAC (port set) or address (ip set) of a bridge. */
struct seed {
    struct uuid id; /* of the object */
    struct ip ip;
    struct mac mac;
    uint16_t vlan;
    topo_ref port;
};

/* Somebody else is making a snapshot that we wait for. */
struct snapshot_wait {
    uint64_t since, who; /* 0: nobody */
};

struct device_item {
    struct item item;
    struct snapshot_wait wait;
    topo_ref *ports; /* sorted */
    uint32_t n_ports, room;
    bool flood;              /* DUE_BUILD: what a flood reaches has changed */
    refs touched;            /* ports that what is published may say something untrue of */
    bool touched_all;        /* ... of any of its ports */
    bool seeds_changed;      /* ... of its seeds */
    topo_ref qos;            /* policy of its ports that have none */
    topo_ref trace;          /* chain made of its trace requests */
    VEC(struct seed) seeds;  /* sorted by id */
    struct dhcp_state *dhcp; /* null: never had a subnet */
    struct table *table;
    uint64_t heard_run; /* its log has been read in this run because of a host that came back */
};

struct host_item {
    struct item item;
    bool alive;
    bool stale; /* what hangs on it has not yet followed */
    uint64_t inc;
};

struct zone_member {
    struct uuid id; /* of the membership object */
    topo_ref host;
    struct ip ip;
};

struct zone_item {
    struct item item;
    struct snapshot_wait wait;
    bool overlay;
    uint8_t type; /* enum flow_tunnel */
    struct zone_member *members;
    size_t n, room;
};

enum said_kind { SAID_MAC, SAID_NEIGH, SAID_ADDR, SAID_FORGET_MAC, SAID_FORGET_NEIGH };

/* What another thread has to say about a learned table. */
struct said {
    uint8_t kind;
    bool news; /* the table has been changed by it: tags are to be announced */
    uint16_t vlan;
    struct mac mac;
    topo_ref device, port;
    uint64_t at;
    struct ip ip;
};

enum { SAID_MAX = 65536 };

/* Filled by any thread, emptied by sync_run(). */
struct inbox {
    pthread_mutex_t lock; /* guards all below */
    refs needs;
    VEC(struct said) said;
    uint64_t dropped;
};

/* A port that this host serves, or has to stop saying so. */
struct own_port {
    topo_ref port; /* key of the hash */
    uint32_t key;
    bool up;
    bool moving; /* its machine is perhaps still at the former host, which serves beside us */
    bool due;    /* the store doesn't say so yet */
    UT_hash_handle hh;
};

struct binding {
    struct uuid id;
    char ifname[16];
    topo_ref previous; /* host, 0 none */
};

/* Ports of a device of which something is to be taken into its log, by us or another. */
struct telling {
    topo_ref device;
    uint64_t at;
    unsigned looked;
    refs ports;
};

/* An item that becomes due again later. */
struct waiting {
    topo_ref ref;
    uint64_t at;
};

/* Hosts whose ids begin alike, and which of them are there. */
enum { ALIVE_GROUPS = OBJECTS_ALIVE_GROUPS };
struct alive_group {
    bool watched, listed, due;
    struct store_names names; /* "UUID.INC", sorted */
};

struct sync {
    struct store *store;
    struct objects *db;
    struct topo *topo;
    struct sync_options opt;
    struct sync_callbacks cb;
    uint64_t inc;    /* of this life of this host's agent */
    uint64_t secret; /* nobody names what we make */
    uint64_t now, next;
    uint64_t n_runs;
    int64_t wall_offset; /* wall clock minus 'now', ns */
    int fd, wake;

    struct item **items; /* by slot */
    size_t n_items;
    size_t items_memory; /* they and their lists, but for what sync_status() finds itself */
    refs work;           /* FIFO from work_at */
    size_t work_at;
    refs stuck; /* refused by the store; queued again at stuck_at */
    uint64_t stuck_at;
    VEC(struct waiting) waiting;
    refs built;   /* devices whose "building" node is to be taken away */
    bool polling; /* not all that should be is watched */
    uint64_t poll_at;
    refs builds;        /* devices with DUE_BUILD */
    unsigned n_warming; /* items with 'warm' */
    refs missing;       /* ring of the placeholders that are watched */
    size_t missing_at;
    uint64_t retry_at;
    unsigned failures; /* in a row */
    bool connected;
    uint64_t compare_from;                  /* 0: no comparison under way */
    size_t compare_at, compared, compare_n; /* next item; so many of so many */
    uint64_t doubt_until; /* hosts that aren't alive may not be back yet, as we are */
    bool doubts;          /* there was such a one */
    struct alive_group alive[ALIVE_GROUPS];
    bool alive_due;    /* one of them is */
    uint64_t alive_at; /* not listed before */

    struct inbox inbox;
    VEC(struct tag_change) changes;
    refs loaded;

    topo_ref host;
    bool own_watched; /* its change node */
    char *host_name;
    json_t *interfaces;
    unsigned host_due; /* STATE_*: not yet in the store */
    struct own_port *own_ports;
    unsigned n_own_due;
    uint64_t own_at;        /* no port is written before */
    bool ports_told;        /* sync_ports_told() */
    uint64_t alone_at;      /* that the host is alive is said without its ports */
    unsigned own_conflicts; /* with other agents, in a row */
    VEC(struct telling) telling;
    VEC(struct binding) bindings;
    bool bindings_changed;
    refs zones;
    bool zones_known; /* a mere reader has listed them all */

    refs tables;         /* devices with a learned table */
    unsigned next_chunk; /* names of own chunks are never used twice */
    uint64_t addr_at;    /* no seed is rewritten before */
    uint64_t sweep_at;
    uint64_t unload_at;
    struct sync_status st;
};

/* sync.c */
bool sync_store_away(int rc);  /* it doesn't answer, rather than refuses */
bool sync_forestalled(int rc); /* it refuses because somebody else was faster */
int sync_commit(struct sync *s, const struct store_op *ops, size_t n);

/* sync_compare.c */
void sync_connection(struct sync *s, bool connected); /* tells of it, if that is news */
void sync_reconnected(struct sync *s);
void sync_compare(struct sync *s);
void sync_resolve_doubts(struct sync *s);

/* sync_item.c */
struct item *sync_item(struct sync *s, topo_ref ref); /* null: none */
/* Made if there is none; 'size' of the whole structure that begins with it.  Null when the store
 * uses the same id for something of another kind already: then it is nothing to us. */
void *sync_item_new(struct sync *s, topo_ref ref, uint8_t kind, size_t size);
void sync_due(struct sync *s, struct item *it, unsigned due);
void sync_due_first(struct sync *s, struct item *it, unsigned due); /* before what is due already */
void sync_item_free(struct sync *s, struct item *it);
void sync_wants_run(struct sync *s, uint64_t at);
void sync_changed(struct sync *s, tag_t tag);
void sync_changed_route(struct sync *s, topo_ref router, const struct cidr *prefix);
void sync_is_loaded(struct sync *s, struct item *it);
/* Hangs a placeholder into the slot and has the store tell when the object appears. */
int sync_is_missing(struct sync *s, struct item *it);
enum watch { WATCH_CHANGE, WATCH_OBJECT, WATCH_ALIVE, WATCH_TABLE, WATCH_GROUP /* number */ };
/* WATCH_ALIVE and WATCH_GROUP: to be followed by a read of the node. */
int sync_watch(struct sync *s, const char *path, enum watch what, topo_ref ref);
void sync_unwatch(struct sync *s, const char *path);
int sync_watch_change(struct sync *s, struct item *it);
enum schema_type_id sync_type(const struct item *it);
#define POLL_NS (10 * NSEC_PER_SEC) /* when not all can be watched */
/* Of a kind that has no content here: all there is to know is whether it exists. */
int sync_load_other(struct sync *s, struct item *it);

/* Something below 'below' that other agents don't choose, too; differs by the moment and 'salt'. */
static inline uint64_t sync_by_chance(const struct sync *s, uint64_t salt, uint64_t below)
{
    return hash_u64(s->now ^ s->inc ^ salt) % MAX(below, (uint64_t)1);
}

/* For search_place() and bsearch() in what is sorted by the id that each element begins with. */
static inline int sync_by_id(const void *id, const void *element)
{
    return memcmp(id, element, sizeof(struct uuid));
}

static inline struct device_item *sync_device(struct sync *s, topo_ref ref)
{
    struct item *it = sync_item(s, ref);

    return it && (it->kind == TOPO_BRIDGE || it->kind == TOPO_ROUTER) ? (struct device_item *)it
                                                                      : NULL;
}

static inline struct port_item *sync_port(struct sync *s, topo_ref ref)
{
    struct item *it = sync_item(s, ref);

    return it && it->kind == TOPO_PORT ? (struct port_item *)it : NULL;
}

static inline struct host_item *sync_host_item(struct sync *s, topo_ref ref)
{
    struct item *it = sync_item(s, ref);

    return it && it->kind == TOPO_HOST ? (struct host_item *)it : NULL;
}

/* No life of it says that it is there: dead, or without the store. */
static inline bool sync_host_silent(struct sync *s, topo_ref ref)
{
    const struct host_item *h = sync_host_item(s, ref);

    return h && h->item.loaded && !h->alive;
}

/* sync_read.c */
struct batch {
    struct sync *s;
    struct arena arena;
    VEC(const char *) paths;
    struct store_value *values; /* parallel to paths, after sync_batch_run() */
};
void sync_batch_init(struct batch *b, struct sync *s);
void sync_batch_free(struct batch *b);
size_t sync_batch_add(struct batch *b, const char *path); /* its index */
int sync_batch_run(struct batch *b);
/* The validated body, or null: not there, or not to be understood (logged and counted). */
json_t *sync_body(struct sync *s, enum schema_type_id type, const struct uuid *id,
                  const struct store_value *v);
json_t *sync_json(struct sync *s, const char *what, const struct store_value *v);
/* bodies[i] (new references, null as above) of ids[i]. */
int sync_bodies(struct sync *s, enum schema_type_id type, const struct uuid *ids, size_t n,
                json_t **bodies);
int sync_get(struct sync *s, const char *path, struct store_value *v); /* absent: 0, v->rc says */
/* Of its change node; *from (unless null): so far back does that reach. */
int sync_read_rev(struct sync *s, const struct item *it, int64_t *rev, int64_t *from);
/* As sync_body(), of something read already: borrowed, or null. */
json_t *sync_valid(struct sync *s, enum schema_type_id type, const struct uuid *id, json_t *body);

/* sync_parse.c: absent or nonsensical members give the default */
bool sync_body_uuid(const json_t *body, const char *key, struct uuid *id);
bool sync_body_bool(const json_t *body, const char *key, bool def);
int64_t sync_body_int(const json_t *body, const char *key, int64_t def, int64_t min, int64_t max);
bool sync_body_mac(const json_t *body, const char *key, struct mac *mac);
bool sync_body_ip(const json_t *body, const char *key, struct ip *ip);
const char *sync_body_string(const json_t *body, const char *key); /* "" */
topo_ref sync_body_ref(struct sync *s, const json_t *body, const char *key, enum topo_kind kind);
size_t sync_body_count(const json_t *body, const char *key); /* of a list */
/* The list in memory of 'obj' (which has room for it); unknown to the store or not. */
struct topo_refs sync_body_list(struct sync *s, const json_t *body, const char *key,
                                enum topo_kind kind, void *obj);
void sync_copy_list(void *obj, struct topo_refs *to, const struct topo_refs *from);
bool sync_same_lists(const struct topo_refs *a, const struct topo_refs *b, size_t n);
/* The mirrors of the first 'n_hooks' places; 'size' is to be asked for with the object. */
size_t sync_mirrors_size(const json_t *body, unsigned n_hooks);
void sync_parse_mirrors(struct sync *s, const json_t *body, void *obj, struct topo_refs *mirrors,
                        unsigned n_hooks);
struct topo_port *sync_parse_port(struct sync *s, const struct uuid *id, const json_t *body);
bool sync_parse_route(struct sync *s, const struct uuid *id, const json_t *body,
                      struct topo_route *out);
bool sync_same_cidrs(const struct cidr *a, const struct cidr *b, size_t n);
struct port_state sync_parse_port_state(struct sync *s, const json_t *value);
uint64_t sync_parse_hex(const char *s); /* 0 when it isn't */

/* sync_snapshot.c */
enum {
    SNAPSHOT_MIN = 64,    /* devices with fewer objects are read one by one */
    SNAPSHOT_BEHIND = 512 /* so many changes later it is made anew */
};
struct snapshot {
    struct objects_snapshot copy; /* copy.rev -1: none */
    struct objects_change *changes;
    size_t n_changes; /* since then */
    int64_t rev;      /* of the log that says so */
};
/* What there is of a device whose log reaches back to 'from', with what the log says has changed
 * since.  To be freed. */
int sync_snapshot_read(struct sync *s, const struct item *it, int64_t from, struct snapshot *out);
struct objects_copy *sync_snapshot_find(const struct snapshot *sn, const struct uuid *id);
void sync_snapshot_free(struct snapshot *sn);
/* 1: it is up to us to make one, then to be ended; 0: nobody waits for one; -EALREADY: another does
 * it, be back later. */
int sync_snapshot_begin(struct sync *s, const struct item *it, struct snapshot_wait *w);
void sync_snapshot_end(struct sync *s, const struct item *it);
int sync_snapshot_flush(struct sync *s);
void sync_snapshot_write(struct sync *s, const struct item *it,
                         const struct objects_snapshot *copy);
void sync_wait_for_snapshot(struct sync *s, struct item *it);
void sync_look_for_snapshots(struct sync *s);

/* sync_port.c */
/* A port as just read. */
struct draft {
    topo_ref ref;
    json_t *body;
    struct port_state state;
};
typedef VEC(struct draft) drafts;
int sync_read_drafts(struct sync *s, const topo_ref *ports, size_t n, drafts *out);
/* The same with 'states' only: bodies are there. */
int sync_read_states(struct sync *s, struct draft *const *ds, size_t n);
/* Reads what they refer to ('names' of hosts that need not be asked) and publishes those that
 * differ.  Ports of other devices that have been read for it stand behind them from then on. */
int sync_take_drafts(struct sync *s, drafts *ds, const json_t *names);
void sync_free_drafts(drafts *ds);
int sync_load_port(struct sync *s, struct port_item *p);
/* Reads the ports again, with what they refer to, and publishes those that differ. */
int sync_read_ports(struct sync *s, const topo_ref *ports, size_t n);
/* That life of the host is the one that lives. */
bool sync_serves(struct sync *s, const struct port_server *p);
/* Publishes it again with what hosts and policies say now. */
void sync_refresh_port(struct sync *s, topo_ref ref);
/* Its state is now this. */
void sync_port_state(struct sync *s, topo_ref ref, const struct objects_active *a);
void sync_port_gone(struct sync *s, struct port_item *p);
/* The host has come or gone, or come back: every port bound there.  What they say of themselves is
 * known, because the logs of their devices tell what is new of it; except of one that was read just
 * when its host had lost its session: that one is read again. */
int sync_ports_of_host(struct sync *s, const struct host_item *h);

/* sync_ports.c */
/* All ports of a device, from its snapshot or one by one; those that are gone are found out, too.
 * Its change node was at 'rev' and reached back to 'from' before. */
int sync_load_ports(struct sync *s, struct device_item *d, int64_t rev, int64_t from);

/* sync_device.c */
int sync_load_device(struct sync *s, struct device_item *d);
int sync_change_device(struct sync *s, struct device_item *d);
void sync_device_add(struct sync *s, struct device_item *d, topo_ref port);
void sync_device_remove(struct sync *s, struct device_item *d, topo_ref port);
/* Because of 'port', one of its ports. */
void sync_rebuild(struct sync *s, topo_ref device, topo_ref port, bool flood);
/* None when the target isn't there. */
int sync_referrers(struct sync *s, enum schema_type_id type, const char *attr,
                   const struct item *it, struct uuid **ids, size_t *n);

/* sync_seeds.c */
int sync_seeds_load(struct sync *s, struct device_item *d);
int sync_seeds_change(struct sync *s, struct device_item *d, enum schema_type_id type,
                      const struct uuid *ids, size_t n);
/* Where the bridge's MAC table falls back to, after a change of the seeds. */
void sync_seeds_apply(struct sync *s, struct device_item *d);
/* What a bridge publishes of them, sorted; n = d->seeds.n. */
void sync_seeds_fill(const struct device_item *d, struct topo_seed *out);

/* sync_dhcp.c */
bool sync_is_dhcp(enum schema_type_id type);
int sync_dhcp_load(struct sync *s, struct device_item *d);
/* Reads these again ('n' of them, of the types above); *subnets: some subnet was among them. */
int sync_dhcp_change(struct sync *s, struct device_item *d, const struct objects_change *changes,
                     size_t n, bool *subnets);
/* What a bridge publishes of it, once its links and seeds are filled in. */
size_t sync_dhcp_room(const struct device_item *d);
void sync_dhcp_fill(const struct device_item *d, struct topo_bridge *b);
bool sync_dhcp_differs(struct sync *s, const struct topo_bridge *a, const struct topo_bridge *b);
void sync_dhcp_free(struct sync *s, struct device_item *d);

/* sync_build.c: publish the device if it differs; null for what stays as it is */
void sync_build_bridge(struct sync *s, struct device_item *d, const json_t *body);
void sync_build_router(struct sync *s, struct device_item *d, const json_t *body,
                       struct topo_lpm *routes);

/* sync_host.c */
/* 'names' (null is fine) has those of hosts that need not be asked for it, by id. */
int sync_load_hosts(struct sync *s, const topo_ref *hosts, size_t n, const json_t *names);
int sync_host_alive(struct sync *s, struct host_item *h);
/* As it is known now, unless that is what hangs there; 'name' null: the one it had. */
void sync_publish_host(struct sync *s, struct host_item *h, const char *name);

/* sync_zone.c */
int sync_load_zone(struct sync *s, struct zone_item *z);
int sync_change_zone(struct sync *s, struct zone_item *z);
/* Follows this zone, or all there are, from now on. */
int sync_know_zone(struct sync *s, const struct uuid *id);
int sync_load_all_zones(struct sync *s);

/* sync_own.c */
int sync_load_own_host(struct sync *s);
int sync_change_own_host(struct sync *s);

/* sync_alive.c */
/* Follows the groups of these hosts from now on; 'again': and lists them now if it does so already.
 */
int sync_alive_know(struct sync *s, const topo_ref *hosts, size_t n, bool again);
int sync_alive_again(struct sync *s, const struct uuid *host); /* lists its group now */
void sync_alive_due(struct sync *s, unsigned group);           /* something in it has changed */
int sync_alive_flush(struct sync *s);
/* What the host's group said when it was last listed. */
int sync_alive_find(struct sync *s, const struct uuid *host, bool *alive, uint64_t *inc);
/* All names under this host's id, whosever. */
enum { LIVES_MAX = 16 };
struct sync_lives {
    char paths[LIVES_MAX][STORE_PATH_MAX];
    size_t n;
};
int sync_alive_lives(struct sync *s, struct sync_lives *out);
/* What its "alive" says. */
int sync_alive_node(struct sync *s, const struct uuid *host, bool *alive, uint64_t *inc);
void sync_alive_free(struct sync *s);

/* sync_tell.c */
void sync_tell_path(struct sync *s, const struct item *device, const struct uuid *port,
                    char path[STORE_PATH_MAX]);
int sync_tell_crowded(struct sync *s, const struct item *device); /* 1, 0 or an error */
/* The port's entry has been left: see to it that it gets into the log. */
void sync_tell_later(struct sync *s, topo_ref device, topo_ref port);
int sync_tell_flush(struct sync *s);
void sync_tell_free(struct sync *s);

/* sync_state.c */
int sync_state_flush(struct sync *s);
void sync_state_free(struct sync *s);
void sync_state_host_seen(struct sync *s, bool alive, uint64_t inc);

/* sync_serve.c */
void sync_serve_again(struct sync *s, topo_ref port);

#endif
