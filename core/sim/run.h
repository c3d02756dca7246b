/* One run of the simulator, between the files of this folder.
 *
 * A step is a function named after what the reference calls it; it ends by calling the next step,
 * or one of the ways a packet's journey ends: out_port(), drop(), consumed(), a need.  A journey
 * may fork (floods): 'at' is what a branch has of its own, saved and restored around it; the rest
 * of 'struct run' belongs to the whole run.
 *
 *   sim.c           entry, verdict             load.c    objects: tags, needs
 *   port.c          ingress, egress, VLAN      result.c  outputs, tags, learning, drops
 *   bridge.c        learn, forward, flood      emit.c    packets that devices make
 *   bridge_neigh.c  answers to ARP and ND      trail.c   the way in words
 *   router.c        the routing pipeline       route.c   route lookup, ECMP
 *   neigh.c         next hops: resolve, learn  icmp.c    echo replies, errors
 *   neigh_rx.c      ARP and ND to a router     filter.c  where chains have their say
 *   chain.c         chains, rule by rule       cond.c    conditions (cond_text.c: in words)
 *   mirror.c        copies                     redirect.c  rules that send elsewhere
 *   conn.c          directions of connections  nat.c     address translation
 *   nat_icmp.c      ... of ICMP errors         (both: nat.h)
 *   dhcp.c, dhcp6.c answers to clients         security.c  whose addresses a machine may use
 *   bridge_ra.c     router advertisements
 *
 * Headers are read through mask.h only. */
#ifndef MN_SIM_RUN_H
#define MN_SIM_RUN_H

#include "packet/packet.h"
#include "sim/sim.h"
#include "topology/lpm.h"
#include "topology/tables.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

enum {
    SIM_MAX_DEVICES = 32,  /* on one way, unless the caller says otherwise */
    SIM_MAX_VISITS = 4096, /* of devices by all branches together */
    SIM_MAX_OUTS = 65535,  /* a flow's outputs are counted in 16 bits */
    SIM_MAX_NESTED = 3,    /* packets made because of packets made */
    SIM_FEW_TAGS = 48,     /* searched one by one; room for them from the start */
};

/* What changes of headers start from when the packet in hand won't do any more: a device has
 * changed more of it than headers.  Immutable: branches share it. */
struct base {
    const uint8_t *packet;
    uint32_t size;
    const struct flow_key *key; /* its headers */
};

/* The devices a branch came through, the latest first. */
struct hop {
    topo_ref left_by; /* port of the device before */
    topo_ref in_port, device;
    const struct hop *before;
};

/* Mirrors whose copies this branch is a copy of. */
struct copied {
    topo_ref mirror;
    const struct copied *before;
};

/* Where one branch is, and what its packet looks like there. */
struct at {
    struct flow_key raw;             /* for mask.h only */
    uint32_t own;                    /* fields (mask.h) whose value is ours, not the packet's */
    uint32_t hidden;                 /* fields that a datapath can't match: behind a popped tag */
    const struct flow_key *snapshot; /* copy of 'raw' in the arena while it is true */
    const struct base *base;         /* null: the packet in hand */
    topo_ref in_port;                /* where it entered the current device; 0: made by it */
    topo_ref device;
    topo_ref out_port; /* where it is about to leave the current device; 0: not known yet */
    topo_ref entry;    /* exterior port it entered the network by (behaviour.md section 2) */
    topo_ref left_by;  /* where it left the device before */
    const struct hop *hops;
    const struct copied *copied;
    bool dst_rewritten; /* on this device: by DNAT or the reverse of SNAT */
    bool tracked;       /* a rule asked for its direction, and it opens a connection */
    /* As it entered the current router, for ICMP errors. */
    const struct flow_key *router_hdr;
    const struct base *router_base;
    uint32_t router_own;
    uint8_t n_devices;
    uint8_t depth; /* of the trail */
    bool popped;   /* the frame's own outermost tag */
    bool pushed;   /* a tag of ours; beneath it: */
    uint16_t under_tci, under_type;
    uint32_t under_own, under_hidden;
};

/* The packet in hand: the one that came in, or one made by a device on the way. */
struct hand {
    const uint8_t *packet;
    uint32_t size;
    const struct flow_key *key;
    uint8_t nested; /* 0: the one that came in */
    bool given_up;  /* nothing shall come of it, whatever its other branches found */
    struct sim_out *outs;
    uint32_t n_outs, room_outs;
};

struct run {
    const struct sim_input *in;
    const struct topo *topo;
    struct arena *arena;
    struct sim_result *res;
    struct at at;
    struct hand hand;

    uint32_t seen;              /* fields read whose value was the packet's */
    uint32_t hidden_seen;       /* fields read that can't be matched */
    uint8_t src_bits, dst_bits; /* of ip_src and ip_dst seen, when not the whole */
    uint16_t tcp_bits;          /* likewise, of tcp_flags */

    uint8_t direction; /* for conn.c */

    uint32_t n_visits, n_ends;
    const struct topo_obj *consumer; /* of a branch; null: none was consumed */
    const struct topo_rule *decided; /* by it, the last chain that didn't accept */

    uint8_t tag_place[64]; /* by hash: index of a tag, plus 1 */
    uint64_t *tag_set;     /* open addressing, once there are many */
    uint32_t room_tags, room_set, room_dsts, room_learns, room_emits, room_needs, room_steps;
    uint32_t room_states, room_logs, room_traces;
};

/* load.c: the object, tagged; null when the journey can't go on (a need or a drop is recorded). */
const struct topo_port *load_port(struct run *r, topo_ref ref);
const struct topo_bridge *load_bridge(struct run *r, topo_ref ref);
const struct topo_router *load_router(struct run *r, topo_ref ref);
/* What may be missing: null then.  '*ended': it isn't loaded, the journey can't go on. */
const struct topo_obj *find_object(struct run *r, topo_ref ref, enum topo_kind kind, bool *ended);
/* Without a tag and without dropping for a missing object: for what another tag covers. */
const struct topo_port *peek_port(struct run *r, topo_ref ref);
bool gave_up(const struct run *r, enum sim_need_kind kind, topo_ref ref, const struct ip *ip);
void need(struct run *r, enum sim_need_kind kind, topo_ref ref, const struct ip *ip);
void need_this(struct run *r, const struct sim_need *n);

/* result.c */
void *grow_list(struct run *r, void *list, uint32_t n, uint32_t *room, size_t size);
void add_tag_slow(struct run *r, tag_t tag);
void add_dst_tag(struct run *r, topo_ref router, const struct ip *dst, unsigned bits);
void learn(struct run *r, const struct sim_learn *l);
void out_port(struct run *r, const struct topo_port *p);
void consumed(struct run *r, const struct topo_obj *by, const char *what);
/* The branch ends here; 'by' decided.  brief: the flow that comes of it shall live shortly. */
void drop(struct run *r, enum sim_reason reason, const struct topo_obj *by);
void drop_brief(struct run *r, enum sim_reason reason, const struct topo_obj *by);
/* All branches end: a loop would multiply the packet, what is found elsewhere isn't worth that. */
void drop_all(struct run *r, enum sim_reason reason, const struct topo_obj *by);
void drop_by(struct run *r, enum sim_reason reason, enum topo_kind kind, const struct uuid *id,
             bool brief);
const struct flow_key *snapshot(struct run *r);

static inline void add_tag(struct run *r, tag_t tag)
{
    struct sim_result *res = r->res;
    uint8_t *place = &r->tag_place[tag % sizeof r->tag_place];

    /* What a device makes of its own doesn't decide what becomes of packets like this one. */
    if (r->hand.nested)
        return;
    /* A look at one place tells of a tag met again, and of most that are new. */
    if (*place && res->tags[*place - 1] == tag)
        return;
    if (*place || res->n_tags >= SIM_FEW_TAGS) {
        add_tag_slow(r, tag);
        return;
    }
    res->tags[res->n_tags++] = tag;
    *place = (uint8_t)res->n_tags;
}

/* The decision hangs on what no flow can match. */
static inline void userspace_only(struct run *r)
{
    if (!r->hand.nested)
        r->res->no_flow = true;
}

/* port.c */
bool too_many_devices(const struct run *r); /* one more would be a loop */
void port_ingress(struct run *r, topo_ref ref);
void port_egress(struct run *r, topo_ref ref);
void port_egress_loaded(struct run *r, const struct topo_port *p);
/* For redirected packets: past its outbound filters; in even when it is down. */
void port_egress_unfiltered(struct run *r, const struct topo_port *p);
void port_ingress_anyway(struct run *r, const struct topo_port *p);
/* It comes back from a service: goes on behind that rule of the port's insert_in or insert_out. */
void port_ingress_resumed(struct run *r, const struct topo_port *p, const struct uuid *behind);
void port_egress_resumed(struct run *r, const struct topo_port *p, const struct uuid *behind);
/* What a router port says about the packet it got leaves even when the port is down: its state may
 * be what is being told. */
void port_answer(struct run *r, const struct topo_port *p);
bool push_vlan(struct run *r, const struct topo_obj *by, uint16_t tci);
bool pop_vlan(struct run *r, const struct topo_obj *by);

/* bridge.c */
void bridge_ingress(struct run *r, const struct topo_port *in);
void bridge_flood(struct run *r, const struct topo_bridge *b, const struct topo_port *in);

/* bridge_neigh.c: true when the frame has been dealt with. */
bool bridge_neighbour(struct run *r, const struct topo_bridge *b, const struct topo_port *in,
                      uint16_t vlan);
/* ARP, neighbour solicitation or advertisement? */
bool neighbour_message(struct run *r);
/* The MAC that a bridge knows for an address: a linked router port's, or seeded. */
bool bridge_address(const struct topo_bridge *b, uint16_t vlan, const struct ip *ip,
                    struct mac *mac);
const struct topo_seed *bridge_seed(const struct topo_bridge *b, const struct ip *ip);
/* A port that is down answers nothing. */
bool bridge_link_up(struct run *r, const struct topo_link *l);

/* bridge_ra.c: answers to router solicitations; true when the frame has been dealt with. */
bool bridge_solicitation(struct run *r, const struct topo_bridge *b, const struct topo_port *in,
                         uint16_t vlan);
/* Unasked, out of 'out'. */
void bridge_advertise(struct run *r, const struct topo_bridge *b, const struct topo_port *out);

/* dhcp.c, dhcp6.c: true when the frame has been dealt with.  What is nobody's here goes its way as
 * any other frame. */
bool dhcp_ingress(struct run *r);
bool dhcp6_ingress(struct run *r, const struct topo_bridge *b, const struct topo_port *in);
/* Sends what a bridge itself has made out of the port where the question came in. */
void bridge_answer(struct run *r, const struct topo_port *in, const uint8_t *packet, size_t size);
/* The smaller of the two MTUs that is set. */
static inline uint16_t least_mtu(uint16_t a, uint16_t b)
{
    return !a || (b && b < a) ? b : a;
}

/* security.c: false when the packet must not come from there; the branch has ended. */
bool port_security(struct run *r, const struct topo_port *p);
/* May the machine behind the port use this MAC? */
bool port_mac_allowed(struct run *r, const struct topo_port *p, const struct mac *mac);

/* router.c */
void router_ingress(struct run *r, const struct topo_port *in);
/* A packet of the router's own, in hand: route, resolve, out. */
void router_originate(struct run *r, const struct topo_router *rt, topo_ref in_port);

/* route.c: null when there is none (or a need was recorded). */
const struct topo_route *route_lookup(struct run *r, const struct topo_router *rt);

/* neigh.c */
enum neigh {
    NEIGH_KNOWN,
    NEIGH_FAILED, /* asked in vain */
    NEIGH_ENDED,  /* the branch has: a need or a drop is recorded */
};
/* The next hop's MAC behind 'p'.  'gateway' null: the packet's destination itself. */
enum neigh neigh_resolve(struct run *r, const struct topo_router *rt, const struct topo_port *p,
                         const struct ip *gateway, struct mac *mac);
void neigh_solicit(struct run *r, const struct topo_port *p, const struct ip *ip);
/* 'ip' is a neighbour on router port 'p'; false when it can't be. */
bool neigh_learn(struct run *r, const struct topo_port *p, const struct ip *ip,
                 const struct mac *mac);
/* The port's own address for talking to 'peer': of its family, of the same subnet if it has one
 * there; null when it has none. */
const struct ip *port_address_for(const struct topo_port *p, const struct ip *peer);
bool port_owns(const struct topo_port *p, const struct ip *ip);

/* neigh_rx.c: ARP, and neighbour solicitations and advertisements, at a router. */
void arp_receive(struct run *r, const struct topo_router *rt, const struct topo_port *in);
void nd_receive(struct run *r, const struct topo_router *rt, const struct topo_port *in);

/* icmp.c */
enum icmp_cause {
    ICMP_NO_ROUTE,
    ICMP_HOST_UNREACHABLE,
    ICMP_PROHIBITED, /* by a filter, or by administrative state */
    ICMP_REJECT_ROUTE,
    ICMP_BEYOND_SCOPE,
    ICMP_TTL_EXCEEDED,
    ICMP_FRAGMENTED, /* whole packets might get through */
};
/* Tells the sender of the packet in hand, unless the standards forbid. */
void icmp_error(struct run *r, enum icmp_cause cause);
void icmp_echo_reply(struct run *r, const struct topo_router *rt);

/* conn.c: connection tracking (behaviour.md section 8.1). */
/* Is the packet a return packet of a connection?  Whoever asks makes the connection tracked. */
bool conn_is_return(struct run *r);
/* The packet in hand leaves the network by 'p': if it is tracked, its record is to be made. */
void conn_emitted(struct run *r, const struct topo_port *p);

/* nat.c: what a translating rule does to the packet; its own condition holds already. */
enum nat {
    NAT_NOT_APPLIED, /* not for this packet: the next rule */
    NAT_DONE,        /* translated: the rule's action follows */
    NAT_ENDED,       /* the branch has ended: a need or a drop is recorded */
};
struct topo_rule;
enum nat nat_apply(struct run *r, const struct topo_rule *rule);

/* emit.c */
/* 'base' (null: the packet in hand) with header 'hdr' instead of the one it has, in the arena. */
uint8_t *materialize(struct run *r, const struct base *base, const struct flow_key *hdr,
                     size_t *size);
/* The packet as it is now becomes the base of this branch; returned for the caller to change, now.
 * What comes of it can't be a flow. */
uint8_t *rebase(struct run *r, size_t *size);
/* The packet in hand is set aside, 'packet' taken up as leaving its maker. */
struct aside {
    struct at at;
    struct hand hand;
    uint8_t kind;
    topo_ref port;
    struct ip ip;
};
bool emit_begin(struct run *r, struct aside *a, enum sim_emit_kind kind, topo_ref port,
                const struct ip *ip, const uint8_t *packet, size_t size);
void emit_end(struct run *r, struct aside *a);

/* trail.c */
void trail_add(struct run *r, enum topo_kind kind, const struct uuid *id, enum sim_reason reason,
               const char *fmt, ...) __attribute__((format(printf, 5, 6)));
const char *print(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *name_of(struct run *r, topo_ref ref); /* as the operator calls it */
const char *name_by_id(struct run *r, enum topo_kind kind, const struct uuid *id);
const char *ip_text(struct run *r, const struct ip *ip);
const char *mac_text(struct run *r, const struct mac *mac);
/* Costs one test when no trail is wanted; the arguments aren't evaluated then. */
#define TRAIL(r, kind, id, ...)                                                                    \
    do {                                                                                           \
        if (unlikely((r)->in->want_trail))                                                         \
            trail_add(r, kind, id, SIM_NONE, __VA_ARGS__);                                         \
    } while (0)
#define TRAIL_OBJ(r, obj, ...) TRAIL(r, (enum topo_kind)(obj)->kind, &(obj)->id, __VA_ARGS__)

#endif
