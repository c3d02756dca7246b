/* The simulator: one packet in, what becomes of it and why out.
 *
 * sim_run() walks a packet through the virtual network from the port where it entered, exactly in
 * the order of steps that reference behaviour fixes, and says what a datapath shall do with this
 * packet and with all like it.  It is a pure function of (topology, tables, connections, packet,
 * ingress port, time): no I/O, no clock, no blocking, no state of its own, no allocation outside
 * the arena.  What it lacks it returns as needs (an object that isn't loaded, a neighbour not
 * resolved, ports not leased): the caller obtains them and runs the packet again from the start.
 *
 * The same function is the agent's slow path, "mn-cli trace", the scenario runner's oracle and a
 * fuzz target.
 *
 * Everything in a result lives in the arena handed in, or in the topology (valid until the
 * reader's next quiescent state).  Thread: any registered topology reader. */
#ifndef MN_SIM_SIM_H
#define MN_SIM_SIM_H

#include "base/mem.h"
#include "packet/flow.h"
#include "state/state.h"
#include "topology/tags.h"
#include "topology/topology.h"

/* Stable names, in logs, counters, trace and API: sim_reason_name().  (Numbers never leave the
 * process.) */
#define SIM_REASONS(X)                                                                             \
    X(NONE, "none")                                                                                \
    X(DELIVERED, "delivered")                                                                      \
    X(CONSUMED, "consumed") /* answered by a device itself */                                      \
    X(MALFORMED, "malformed-packet")                                                               \
    X(PORT_DOWN, "port-admin-down")                                                                \
    X(BRIDGE_DOWN, "bridge-admin-down")                                                            \
    X(ROUTER_DOWN, "router-admin-down")                                                            \
    X(PORT_UNPLUGGED, "port-unplugged") /* neither bound nor linked */                             \
    X(PORT_INACTIVE, "port-not-active") /* bound, but its host doesn't serve it */                 \
    X(NO_TUNNEL, "no-tunnel-to-host")   /* no shared tunnel zone */                                \
    X(SRC_MULTICAST, "source-mac-multicast")                                                       \
    X(HAIRPIN, "would-leave-where-it-entered")                                                     \
    X(VLAN_MISMATCH, "vlan-mismatch")                                                              \
    X(NOT_FOR_ROUTER, "destination-mac-not-routers")                                               \
    X(ROUTER_VLAN, "vlan-tagged-at-router")                                                        \
    X(ROUTER_BROADCAST, "broadcast-at-router")                                                     \
    X(NOT_IP, "ethertype-not-routed")                                                              \
    X(NO_ROUTE, "no-route")                                                                        \
    X(BLACKHOLE, "blackhole-route")                                                                \
    X(REJECT_ROUTE, "reject-route")                                                                \
    X(TTL, "ttl-exceeded")                                                                         \
    X(TO_ROUTER, "addressed-to-router") /* LOCAL, and no service there */                          \
    X(NEIGH_TIMEOUT, "neighbour-unresolved")                                                       \
    X(ARP_INVALID, "arp-not-acceptable")                                                           \
    X(ND_INVALID, "nd-not-acceptable")                                                             \
    X(LOOP, "topology-loop")                                                                       \
    X(CHAIN_DROP, "rule-drop")                                                                     \
    X(CHAIN_REJECT, "rule-reject")                                                                 \
    X(MISSING_OBJECT, "object-does-not-exist") /* the store has no such object */                  \
    X(TOPOLOGY_TIMEOUT, "topology-not-loaded") /* parked too long for an object */                 \
    X(NO_MEMORY, "too-many-outputs")                                                               \
    X(FRAGMENT, "fragment-not-translatable")                                                       \
    X(LINK_LOCAL, "link-local-not-routed")                                                         \
    X(FLOOD_EMPTY, "no-port-to-flood-to")                                                          \
    X(MARTIAN, "martian-address") /* RFC 1812 5.3.7, RFC 4291 2.5: never routed */                 \
    X(MULTICAST, "multicast-not-routed")                                                           \
    X(NO_ADDRESS, "port-has-no-address")                                                           \
    X(NAT_EXHAUSTED, "no-free-address-or-port") /* of those a rule may translate to */             \
    X(NAT_TIMEOUT, "no-ports-leased")           /* parked too long for a block of ports */         \
    X(NAT_NO_STATE, "translation-unknown")      /* an ICMP error or fragment that needs one */     \
    X(STATE_FULL, "connection-table-full")                                                         \
    X(STATE_CONFLICT, "translation-contended") /* others took what it chose, again and again */    \
    X(REDIRECT_GONE, "redirect-target-gone")                                                       \
    X(SERVICE_DOWN, "service-port-down") /* redirect, and not fail-open */                         \
    X(DHCP_INVALID, "dhcp-not-acceptable")                                                         \
    X(SPOOFED_MAC, "source-mac-not-allowed") /* these: by port security */                         \
    X(SPOOFED_ADDRESS, "source-address-not-allowed")                                               \
    X(SPOOFED_NEIGH, "neighbour-claim-not-allowed")                                                \
    X(ROGUE_ROUTER, "router-advertisement-not-allowed")                                            \
    X(ROGUE_DHCP, "dhcp-server-not-allowed")                                                       \
    X(UNINSPECTABLE, "addresses-not-inspectable")                                                  \
    X(SERVICE_PORT, "service-port-takes-redirected-only")                                          \
    X(NO_COUNTERPART, "no-counterpart-in-other-ip-version")

enum sim_reason {
#define X(id, name) SIM_##id,
    SIM_REASONS(X)
#undef X
        SIM_N_REASONS
};
const char *sim_reason_name(enum sim_reason r);

enum sim_verdict {
    SIM_FORWARD,  /* outs[] */
    SIM_DROP,     /* reason and object */
    SIM_ANSWERED, /* consumed: emits[] carries the answer, nothing to install */
    SIM_NEED,     /* needs[]; emits[] may carry requests to send meanwhile */
};

/* A copy of the packet leaving the virtual network by an exterior port. */
struct sim_out {
    topo_ref port;
    const struct flow_key *hdr; /* the headers it leaves with; floods share one */
    /* Null: the packet that came in, once its headers are these.  Else the bytes as they leave,
     * because more than headers was translated: an ICMP id, what an ICMP error quotes, the IP
     * version.  There is no flow then. */
    const uint8_t *packet;
    uint32_t size;
};

enum sim_emit_kind {
    SIM_EMIT_ANSWER,  /* ARP/ND reply, echo reply, ICMP error: send it */
    SIM_EMIT_SOLICIT, /* ARP/ND request: send it unless one for the same neighbour is under way */
};

/* A packet the virtual network itself made: sent once, no flow. */
struct sim_emit {
    uint8_t kind;
    const uint8_t *packet;
    uint32_t size;
    uint32_t n_outs; /* at least 1 */
    const struct sim_out *outs;
    struct flow_key key; /* of 'packet': outs' rewrites are differences to it */
    topo_ref port;       /* the virtual port that sent it */
    struct ip ip;        /* SIM_EMIT_SOLICIT: the neighbour asked for */
};

enum sim_need_kind {
    SIM_NEED_OBJECT, /* load 'ref' */
    SIM_NEED_NEIGH,  /* resolve 'ip' on router port 'ref'; the request is in emits[] */
    SIM_NEED_PORTS,  /* lease a block with ports of tp_port..tp_to, of 'ip' at device 'ref' */
};

struct sim_need {
    uint8_t kind;
    uint16_t tp_port, tp_to;
    topo_ref ref;
    struct ip ip;
};

enum sim_learn_kind {
    SIM_LEARN_MAC,   /* (bridge, vlan, mac) is behind 'port' */
    SIM_LEARN_NEIGH, /* (router, port, ip) has 'mac' */
    SIM_LEARN_ADDR,  /* gratuitous ARP/ND replaces the MAC a bridge is seeded with for 'ip' */
};

/* What the packet taught: applied by the caller, locally at once and to the store behind.  MAC
 * entries are reported by every packet, known or not, so that the caller can tie their life to the
 * flows that came of them; the others only when they'd change or refresh something. */
struct sim_learn {
    uint8_t kind;
    uint16_t vlan;
    topo_ref device; /* bridge, or router */
    topo_ref port;   /* 0 for SIM_LEARN_ADDR */
    struct mac mac;
    struct ip ip; /* not for SIM_LEARN_MAC */
};

/* A record a rule or a chain's logger asked for: once a connection, because once a simulation of a
 * packet nobody decided about yet. */
struct sim_log {
    struct uuid chain, rule; /* rule zero: the chain ended without one that decides */
    struct uuid logger;      /* zero: a log rule */
    bool dropped;            /* the chain's verdict; of a log rule false */
    const struct flow_key *hdr;
    topo_ref in_port, out_port; /* of the device whose chain it is; 0 none */
};

/* A trace rule matched: somebody wants to see packets like this one.  Who runs the simulation
 * counts them; while fewer than 'limit' (0: any number) were seen it runs this one again with
 * 'want_trail' and installs no flow, so that the next comes up too. */
struct sim_trace {
    struct uuid request;
    uint64_t limit;
};

/* One step of the way, for people.  Filled only when asked (sim_input.want_trail). */
struct sim_step {
    uint8_t depth; /* of forks: floods and generated packets indent */
    topo_ref device;
    topo_ref port;
    uint8_t object_kind; /* enum topo_kind: what decided (route, rule, chain, port) */
    struct uuid object;
    enum sim_reason reason; /* SIM_NONE unless the way ends here */
    const char *text;       /* "route 10.0.2.0/24 via port r:p1, weight 0" */
    struct flow_key hdr;    /* headers after this step */
};

struct sim_input {
    const struct topo *topo;
    const struct state *state; /* null: no connection is known, every port may be used */
    uint64_t now_ns;
    topo_ref port; /* exterior port it came in by */
    const uint8_t *packet;
    uint32_t size;
    const struct flow_key *key; /* parsed from 'packet' (packet_parse), in_port set */
    bool want_trail;
    bool any_ingress;     /* trace: 'port' need not be exterior or active */
    unsigned max_devices; /* traversed before it is a loop; 0: 32 */
    uint16_t overlay_mtu; /* the largest packet that machines are told to send; 0: unknown */
    /* Needs of an earlier run that won't be met in time: what hangs on them fails now
     * (SIM_TOPOLOGY_TIMEOUT; SIM_NEIGH_TIMEOUT with the ICMP error). */
    const struct sim_need *given_up;
    uint32_t n_given_up;
};

struct sim_result {
    enum sim_verdict verdict;
    enum sim_reason reason;
    uint8_t reason_kind;   /* enum topo_kind */
    struct uuid reason_id; /* the deciding object (SIM_ANSWERED: who consumed it) */
    bool no_flow;          /* every such packet must come up (userspace only) */
    bool brief;            /* the flow shall live 5 s: the cause may pass without a tag telling, or
                            * the sender is to be told again */
    struct flow_key mask;  /* what was looked at */
    uint32_t n_outs, n_tags, n_dsts, n_emits, n_needs, n_learns, n_steps, n_states, n_logs,
        n_traces;
    struct sim_out *outs;
    tag_t *tags;
    struct tag_dst *dsts; /* what its TAG_ROUTE_DST tags were made of, for dst_tags.h */
    struct sim_emit *emits;
    struct sim_need *needs;
    struct sim_learn *learns;
    struct sim_step *steps;
    /* What the outcome stands on: records found, and records to be made.  To be committed (and told
     * to the peers) before anything is sent; when that fails, run again. */
    struct state_rec *states;
    struct sim_log *logs;
    struct sim_trace *traces;
};

/* Runs one packet.  'arena' is the caller's, reset by it between runs.
 *
 * SIM_NEED: obtain needs[], send the SIM_EMIT_SOLICIT packets (no others are there), run again.
 * Otherwise all emits[] are to be sent and learns[] applied whatever the verdict.  Tags don't
 * include the tunnels: who turns an output into a tunnel adds tag_tunnel() of that host. */
void sim_run(const struct sim_input *in, struct arena *arena, struct sim_result *out);

/* The neighbour request a router port would send for 'ip' (ARP or ND), with its outs, simulated as
 * leaving that port: for retries by the caller's timer.  n_outs 0 when it can't be sent now. */
void sim_solicit(const struct topo *topo, uint64_t now_ns, topo_ref port, const struct ip *ip,
                 struct arena *arena, struct sim_emit *out);

/* What the routers linked to the bridge of exterior port 'port' say unasked to the machine behind
 * it (RFC 4861 section 6.2.4); returns how many there are in *out (in the arena). */
uint32_t sim_advertise(const struct topo *topo, uint64_t now_ns, topo_ref port,
                       uint16_t overlay_mtu, struct arena *arena, struct sim_emit **out);

#endif
