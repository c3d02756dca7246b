/* Datapath: where packets really flow.  The agent knows nothing below this.
 *
 * A datapath has ports (interfaces it took over, named by small numbers), a table of wildcarded
 * flows, tunnels, and upcalls: packets that no flow wants, handed to the agent in fair turns among
 * ports.  The agent answers with flows and with packets to execute.
 *
 *   ebpf     tc programs on each port, BPF maps (kernel 5.15 and later)
 *   ovs      openvswitch.ko through generic netlink
 *   memory   a table in the process and a switchboard between such datapaths: tests, scale
 *
 * Tunnels: a packet that comes out of a tunnel is delivered by its key alone (dp_tunnel_bind), no
 * upcall needed; an unknown key is dropped and counted.  Ports of a datapath and everything
 * installed survive its dp_close(keep) and are found again by the next dp_open().
 *
 * Threads: port, tunnel and flow-dump calls come from one control thread; dp_recv, dp_flow_* and
 * dp_execute from the worker that owns 'queue' (0..n_queues-1); different queues run in parallel.
 * Packets of one port always come on one queue: port_no % n_queues.  All threads are in the network
 * namespace that the datapath was opened in. */
#ifndef MN_DATAPATH_DATAPATH_H
#define MN_DATAPATH_DATAPATH_H

#include "base/error.h"
#include "base/types.h"
#include "packet/flow.h"

struct dp;

struct dp_options {
    const char *name;          /* of this instance: several may live on one machine; "mn" default */
    unsigned n_queues;         /* 0: 1 */
    unsigned max_flows;        /* 0: 200,000 */
    unsigned upcalls_per_port; /* waiting at once, more are lost and counted; 0: 256 */
    unsigned upcall_rate;      /* a second and port, burst of the same; 0: unlimited */
    uint16_t vxlan_port;       /* UDP; 0: 4789 */
};

/* 'type': "ebpf", "ovs" or "memory"; several with commas between: the first that can be opened, the
 * log says which and why; "auto" is "ebpf,ovs".  -ENOTSUP with the reason where it can't run. */
int dp_open(const char *type, const struct dp_options *opts, struct dp **out, struct error *e);
/* keep: flows, ports and programs stay in the kernel, else no trace of the datapath remains. */
void dp_close(struct dp *dp, bool keep);
const char *dp_type(const struct dp *dp);
/* Puts into the kernel again what others took out of it: the datapath, ports, tunnels.  Flows come
 * back as packets miss them.  For the control thread, about once a second.  0: all is there, or is
 * again; 1: but for ports whose interface another program has now, dp_port_each() gives them
 * without one; -ENOTSUP: nothing to look after (all but ovs); -ENODEV: not to be had now (log). */
int dp_check(struct dp *dp);

/* Ports.  Taking over an interface that is already a port gives its old number. */
int dp_port_add(struct dp *dp, const char *ifname, uint32_t *port_no, struct error *e);
int dp_port_del(struct dp *dp, uint32_t port_no, struct error *e); /* gone interfaces too */

/* Limits what comes from the port, upcalls included: a bucket of 'burst_kb' kilobits that fills at
 * 'kbps' kilobits a second; while there is anything in it a packet passes, whatever its size (a
 * merged one may leave it in debt), else it is dropped and counted.  kbps 0: no limit.
 * -ENOTSUP: it can't here (the log says why); -EBUSY: another program sits in that place. */
int dp_port_limit(struct dp *dp, uint32_t port_no, uint32_t kbps, uint32_t burst_kb);

struct dp_port {
    uint32_t port_no;
    int ifindex; /* 0 when the interface is gone */
    char ifname[16];
    uint64_t rx_packets, rx_bytes; /* from the port */
    uint64_t tx_packets, tx_bytes; /* to the port */
    uint64_t upcalls, upcalls_lost;
    uint64_t limited; /* dropped by dp_port_limit() */
};
typedef int dp_port_fn(const struct dp_port *p, void *aux);
int dp_port_each(struct dp *dp, dp_port_fn *fn, void *aux);

/* Tunnels: 'local' is this host's address in a tunnel zone (an interface of this host has it);
 * packets that arrive there with key 'tun_id' go out of port 'port_no', unchanged. */
int dp_tunnel_local(struct dp *dp, const struct ip *local, enum flow_tunnel type, struct error *e);
int dp_tunnel_bind(struct dp *dp, uint32_t tun_id, uint32_t port_no, struct error *e);
int dp_tunnel_unbind(struct dp *dp, uint32_t tun_id);

/* Flows.  A flow is named by (key & mask, mask).  'cookie' is the agent's. */
struct dp_flow {
    struct flow_key key, mask;
    uint64_t cookie;
    const struct flow_out *outs; /* n_outs 0: drop */
    uint16_t n_outs;
};
struct dp_flow_stats {
    uint64_t packets, bytes;
    uint64_t used_ns; /* CLOCK_MONOTONIC of the last packet, 0 never; coarse (10 ms) */
};

/* Installs or replaces flows[0..n-1] in one go.  rcs[i] is 0 or why not: -ENOSPC table full,
 * -ENOTSUP (the datapath can't do it: treat each packet in the agent).  Returns how many failed. */
int dp_flow_put(struct dp *dp, unsigned queue, const struct dp_flow *flows, size_t n, int *rcs);
/* Removes them; the last statistics go to stats[] unless null. */
int dp_flow_del(struct dp *dp, unsigned queue, const struct dp_flow *flows, size_t n,
                struct dp_flow_stats *stats);
/* Every flow with its statistics, also while traffic runs; outs are borrowed during the call. */
/* Ends at the first return that is not 0, which it gives back; fn does not call the datapath. */
typedef int dp_flow_fn(const struct dp_flow *f, const struct dp_flow_stats *stats, void *aux);
int dp_flow_each(struct dp *dp, dp_flow_fn *fn, void *aux);

/* Upcalls. */
enum dp_reason { DP_MISS, DP_TTL /* a flow matched, its TTL doesn't last */ };

struct dp_upcall {
    uint32_t port_no;
    uint8_t reason;    /* enum dp_reason */
    bool csum_partial; /* L4 checksum is not made yet (offload); 'packet' has it finished */
    uint16_t gso_size; /* not 0: a merged packet, larger than the wire's */
    uint32_t size;
    const uint8_t *packet; /* from the Ethernet header, VLAN tags in place; valid until the next
                            * dp_recv of this queue or its dp_execute */
    uint64_t time_ns;      /* CLOCK_MONOTONIC of capture, 0 unknown */
    uint64_t handle;       /* the datapath's own; goes back unchanged in dp_exec */
};
/* Up to 'max' upcalls, taken in turns over the ports that have some.  Never blocks. */
int dp_recv(struct dp *dp, unsigned queue, struct dp_upcall *ups, size_t max);
/* Readable while upcalls wait; and how long a busy worker should poll before it sleeps on it. */
int dp_recv_fd(struct dp *dp, unsigned queue);

/* Sends packets[i] by its outs, applying rewrites, as a flow would have. */
struct dp_exec {
    const uint8_t *packet;
    uint32_t size;
    uint32_t in_port; /* 0: made by the agent */
    uint16_t gso_size;
    bool csum_partial;
    uint64_t handle; /* 0: made by the agent */
    const struct flow_out *outs;
    uint16_t n_outs;
};
int dp_execute(struct dp *dp, unsigned queue, const struct dp_exec *execs, size_t n);

/* Counters of the datapath itself, by name: "unknown_tunnel_key", "table_full", "malformed",
 * "no_port", ...; stable names, documented in docs/counters.md. */
typedef int dp_counter_fn(const char *name, uint64_t value, void *aux);
int dp_counters(struct dp *dp, dp_counter_fn *fn, void *aux);
/* Bytes in kernel and in process. */
void dp_memory(struct dp *dp, uint64_t *kernel, uint64_t *process);

/* A filling. */
struct dp_ops {
    const char *type;
    int (*open)(const struct dp_options *opts, struct dp **out, struct error *e);
    void (*close)(struct dp *dp, bool keep);
    int (*check)(struct dp *dp); /* or null */
    int (*port_add)(struct dp *dp, const char *ifname, uint32_t *port_no, struct error *e);
    int (*port_del)(struct dp *dp, uint32_t port_no, struct error *e);
    int (*port_each)(struct dp *dp, dp_port_fn *fn, void *aux);
    int (*port_limit)(struct dp *dp, uint32_t port_no, uint32_t kbps,
                      uint32_t burst_kb); /* or null */
    int (*tunnel_local)(struct dp *dp, const struct ip *local, enum flow_tunnel type,
                        struct error *e);
    int (*tunnel_bind)(struct dp *dp, uint32_t tun_id, uint32_t port_no, struct error *e);
    int (*tunnel_unbind)(struct dp *dp, uint32_t tun_id);
    int (*flow_put)(struct dp *dp, unsigned queue, const struct dp_flow *flows, size_t n, int *rcs);
    int (*flow_del)(struct dp *dp, unsigned queue, const struct dp_flow *flows, size_t n,
                    struct dp_flow_stats *stats);
    int (*flow_each)(struct dp *dp, dp_flow_fn *fn, void *aux);
    int (*recv)(struct dp *dp, unsigned queue, struct dp_upcall *ups, size_t max);
    int (*recv_fd)(struct dp *dp, unsigned queue);
    int (*execute)(struct dp *dp, unsigned queue, const struct dp_exec *execs, size_t n);
    int (*counters)(struct dp *dp, dp_counter_fn *fn, void *aux);
    void (*memory)(struct dp *dp, uint64_t *kernel, uint64_t *process);
};

/* First member of every filling's own struct. */
struct dp {
    const struct dp_ops *ops;
};

#endif
