/* The virtual topology in memory, as the simulator reads it.
 *
 * Every object has a slot; a slot number (topo_ref) is a stable name for it within the process, so
 * that objects refer to each other by number and one of them can be replaced without touching the
 * others.  What hangs in a slot is immutable once published: a change builds a new object and
 * topo_publish() swaps the pointer; the old one is freed after an RCU grace period.  An empty slot
 * with a known uuid is an object that isn't loaded: the simulator returns it as a need.
 *
 * The exceptions are the learned tables (MAC and neighbour entries), which change with traffic:
 * tables.h.
 *
 * Threads: one writer (the thread that owns the 'struct topo').  Readers are registered
 * liburcu-qsbr threads and keep pointers only until their next quiescent state.  A reader may see
 * object A before and object B after one commit: whoever caches results drops them when their tags
 * are invalidated (tags.h), which the writer announces after publishing. */
#ifndef MN_TOPOLOGY_TOPOLOGY_H
#define MN_TOPOLOGY_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <urcu-qsbr.h>

#include "base/types.h"

typedef uint32_t topo_ref; /* 0: none */

/* A list of objects, in the object that has it. */
struct topo_refs {
    uint32_t n;
    topo_ref *v;
};

enum topo_kind {
    TOPO_NONE,
    TOPO_PORT,
    TOPO_BRIDGE,
    TOPO_ROUTER,
    TOPO_CHAIN,
    TOPO_HOST,
    TOPO_PORT_GROUP,
    TOPO_IP_GROUP,
    TOPO_LOAD_BALANCER,
    TOPO_MIRROR,
    TOPO_ROUTE, /* named by uuid in trails and tags; lives inside its router */
    TOPO_RULE,  /* likewise, inside its chain */
    TOPO_N_KINDS
};
const char *topo_kind_name(enum topo_kind k); /* "port", "bridge", ... as the CLI says it */

/* First member of every object. */
struct topo_obj {
    struct uuid id;
    topo_ref self;
    uint8_t kind;  /* enum topo_kind */
    bool missing;  /* the store has no such object (any more): known to be absent */
    uint64_t rev;  /* of the load that made it, grows */
    char name[40]; /* operator's name, cut to fit; "" when it has none */
    struct rcu_head rcu;
};

/* Arrays that the next version of an object most likely has too: it takes them over instead of
 * copying them, and they are freed with the last version that has them.  Immutable. */
struct topo_shared {
    uint32_t refs; /* atomic: the last reference goes after a grace period, in another thread */
    size_t size;
    _Alignas(16) char data[];
};
struct topo_shared *topo_shared_new(size_t size); /* zeroed */
struct topo_shared *topo_shared_ref(struct topo_shared *p);

/* Where a port has its mirrors (behaviour.md section 2); devices have the first two. */
enum topo_hook {
    TOPO_HOOK_IN,  /* as it enters */
    TOPO_HOOK_OUT, /* as it leaves */
    TOPO_HOOK_POST_IN_FILTER,
    TOPO_HOOK_PRE_OUT_FILTER,
    TOPO_PORT_HOOKS,
    TOPO_DEVICE_HOOKS = TOPO_HOOK_OUT + 1
};

struct topo_port {
    struct topo_obj obj;
    topo_ref device; /* bridge or router */
    uint8_t device_kind;
    bool admin_up;
    bool active;   /* exterior: some host serves it now */
    bool silent;   /* exterior: one did when it was last heard of */
    topo_ref peer; /* interior: the port at the other end */
    topo_ref host; /* exterior: bound there */
    /* Exterior: the host that was its before and serves it too (or alone: tunnel_key is 0), because
     * its machine is on its way from there; 0 none. */
    topo_ref former;
    uint32_t former_key;
    char ifname[16];
    uint32_t tunnel_key; /* where 'host' takes packets for it; 0 unknown */
    topo_ref infilter, outfilter;
    /* bridge ports */
    uint16_t vlan; /* 0 none */
    bool secure;   /* what enters is to come from addresses known to be its own */
    uint16_t n_allowed;
    struct topo_allowed {
        struct mac mac;  /* zero: any that is the port's own */
        struct cidr net; /* of none: any address known of the MAC */
    } * allowed;         /* besides those that the bridge knows by itself */
    /* router ports */
    struct mac mac;
    uint16_t n_addrs;
    struct cidr *addrs;      /* own addresses with their subnets, as configured, both families */
    struct ip link_local;    /* fe80:: of 'mac' */
    struct topo_refs groups; /* port groups it belongs to; sorted */
    struct topo_refs mirrors[TOPO_PORT_HOOKS];
    /* Chains made by the loader, 0 when there is nothing for them.  Inbound they come before the
     * filter in this order, outbound insert_out comes after it. */
    topo_ref trace;                 /* its enabled trace requests, as RULE_TRACE */
    topo_ref insert_in, insert_out; /* its service insertions, in their order, as RULE_REDIRECT;
                                     * of a service port: what comes back, and nothing else */
    bool service;                   /* services are behind it: takes only what is redirected */
    bool mark;                      /* what enters here gets dscp (0..63) */
    uint8_t dscp;
    uint32_t max_kbps;     /* limit of what enters here; 0: none */
    uint32_t max_burst_kb; /* never 0 beside a limit */
};

static inline bool topo_port_exterior(const struct topo_port *p)
{
    return p->host != 0;
}

/* What is for it may be sent there: its host serves it, or may well do so, cut off from the store.
 * Routes through the port count only when it is active. */
static inline bool topo_port_takes(const struct topo_port *p)
{
    return p->active || p->silent;
}

/* A router port (or another bridge's port) linked to a bridge port, seen from the bridge. */
struct topo_link {
    topo_ref port; /* ours */
    topo_ref peer; /* theirs */
    topo_ref peer_device;
    uint8_t peer_kind; /* TOPO_ROUTER or TOPO_BRIDGE */
    uint16_t vlan;     /* of our port */
    struct mac mac;    /* peer router port */
    uint16_t n_addrs;
    struct cidr *addrs; /* peer router port; its link-local is derived from mac */
};

/* An address whose MAC is configured (Neutron seeds; model.md ip4_mac_table), for ARP/ND
 * suppression; port zero when only the address is seeded.  Where a seeded MAC is, 'macs' says too.
 */
struct topo_seed {
    struct ip ip; /* ip_none: only MAC -> port */
    struct mac mac;
    topo_ref port;
};

struct topo_bridge {
    struct topo_obj obj;
    bool admin_up;
    bool has_vlan_ports; /* VLAN-aware: some interior port has a VLAN */
    topo_ref infilter, outfilter;
    uint32_t n_exterior;
    topo_ref *exterior; /* sorted; flood goes here */
    uint32_t n_links;
    struct topo_link *links; /* sorted by mac (zero for peer bridges), then port */
    uint32_t n_seeds;
    struct topo_seed *seeds;                    /* sorted by ip */
    struct topo_shared *port_lists, *seed_list; /* of 'exterior' and 'links' (with their addresses),
                                                 * of 'seeds'; null: in the object's own block */
    struct topo_mac_table *macs;                /* tables.h; shared by all versions of the object */
    struct topo_refs mirrors[TOPO_DEVICE_HOOKS];
    topo_ref trace; /* as of a port */
    uint32_t n_subnets;
    struct topo_dhcp_subnet *subnets;   /* dhcp.h; sorted by prefix, IPv4 first */
    struct topo_dhcp_hosts *dhcp_hosts; /* likewise shared; null: never had a subnet */
};

enum topo_next_hop { TOPO_HOP_PORT, TOPO_HOP_LOCAL, TOPO_HOP_BLACKHOLE, TOPO_HOP_REJECT };

struct topo_route {
    struct uuid id;
    struct cidr dst, src; /* networks; src len 0: any */
    uint8_t hop;          /* enum topo_next_hop */
    bool learned;
    uint32_t weight;   /* lower wins */
    topo_ref port;     /* PORT and LOCAL */
    struct ip gateway; /* ip_none: on-link */
};

struct topo_lpm; /* lpm.h */

struct topo_router {
    struct topo_obj obj;
    bool admin_up;
    topo_ref infilter, outfilter;
    topo_ref local_redirect, forward;
    topo_ref load_balancer;
    int64_t as_number;
    uint32_t n_ports;
    topo_ref *ports;
    struct topo_lpm *routes;
    struct topo_neigh_table *neighs; /* tables.h; shared by all versions */
    struct topo_refs mirrors[TOPO_DEVICE_HOOKS];
    topo_ref trace; /* as of a port */
};

struct topo_host {
    struct topo_obj obj;
    bool alive;
    uint16_t n_zones;
    struct topo_zone_addr {
        struct uuid zone;
        struct ip ip;
        uint8_t type; /* enum flow_tunnel */
    } * zones;        /* overlay zones it is a member of, with its address there */
};

struct topo;

struct topo *topo_new(void);
/* No reader may be left; returns when everything retired before is freed too.  Null is fine. */
void topo_free(struct topo *t);

/* The slot of an object, made empty if there is none yet; a slot stays for the life of 't' (some
 * 40 bytes for each uuid ever met).  Writer only. */
topo_ref topo_intern(struct topo *t, enum topo_kind kind, const struct uuid *id);
/* The slot if there is one, else 0.  Any reader. */
topo_ref topo_find(const struct topo *t, const struct uuid *id);

/* Known even when the slot is empty; zero and TOPO_NONE for 0.  Any reader. */
const struct uuid *topo_id(const struct topo *t, topo_ref ref);
enum topo_kind topo_kind_of(const struct topo *t, topo_ref ref);

/* The array of slots, replaced by a larger one as it fills; here only for topo_get() to inline. */
struct topo_slots {
    uint32_t n;
    uint32_t index_mask;
    struct topo_name *names;
    uint32_t *index;
    struct rcu_head rcu;
    struct topo_obj *objs[];
};

/* The object, or null when it isn't loaded.  Any reader; one dependent load. */
static inline const struct topo_obj *topo_get(const struct topo *t, topo_ref ref)
{
    /* the array pointer is the first member of 'struct topo' */
    const struct topo_slots *s =
        __atomic_load_n((struct topo_slots *const *)(const void *)t, __ATOMIC_ACQUIRE);

    return ref < s->n ? __atomic_load_n(&s->objs[ref], __ATOMIC_ACQUIRE) : NULL;
}

static inline const struct topo_port *topo_port(const struct topo *t, topo_ref r)
{
    return (const struct topo_port *)topo_get(t, r);
}

static inline const struct topo_bridge *topo_bridge(const struct topo *t, topo_ref r)
{
    return (const struct topo_bridge *)topo_get(t, r);
}

static inline const struct topo_router *topo_router(const struct topo *t, topo_ref r)
{
    return (const struct topo_router *)topo_get(t, r);
}

static inline const struct topo_host *topo_host(const struct topo *t, topo_ref r)
{
    return (const struct topo_host *)topo_get(t, r);
}

/* Allocates a zeroed object whose arrays live in the same block: 'extra' bytes behind it (16 more
 * for each array, for alignment) are handed out by topo_extra(), zeroed and 16-byte aligned.  An
 * object that was never published is freed by topo_discard(). */
void *topo_object(enum topo_kind kind, size_t size, size_t extra, const struct uuid *id,
                  const char *name);
void *topo_extra(void *obj, size_t size); /* null for size 0 */
void topo_discard(struct topo_obj *obj);

/* Hangs 'obj' (ownership passes) into its slot and retires what was there.  A learned table, route
 * table or set of members that the new version shares with the old lives on; otherwise it goes
 * with the old.
 * Sets obj->self and obj->rev.  Writer only. */
topo_ref topo_publish(struct topo *t, struct topo_obj *obj);
/* Empties the slot: not needed by anybody here any more (the next use is a need again). */
void topo_unload(struct topo *t, topo_ref ref);

/* Objects of a kind that hang there, placeholders apart.  Writer only. */
uint32_t topo_count(const struct topo *t, enum topo_kind kind);
/* Bytes held: slots, objects, indexes, learned tables.  Any reader; walks everything. */
size_t topo_memory(const struct topo *t);

#endif
