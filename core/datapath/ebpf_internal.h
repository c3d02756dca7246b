/* The eBPF datapath's own structures, shared by its files only.
 *
 *   ebpf.c          open, close, adopt; counters, memory
 *   ebpf_load.c     the programs and maps of an instance: made, or found through their filters
 *   ebpf_tc.c       filters on interfaces
 *   ebpf_port.c     ports
 *   ebpf_key.c      keys and outputs, ours to the kernel's and back
 *   ebpf_flow.c     the flow tables
 *   ebpf_walk.c     ... walked
 *   ebpf_mask.c     masks and their order
 *   ebpf_group.c    lists of outputs
 *   ebpf_recv.c     upcalls out of the ring buffers
 *   ebpf_exec.c     packets the agent sends
 *   ebpf_batch.c    flows and packets many at a time
 *   ebpf_tunnel.c   VXLAN device, local addresses, keys
 *   ebpf_remote.c   remotes and their outer headers
 *   ebpf_watch.c    the thread that follows links, routes, neighbours and filters
 *   ebpf_mend.c     ... and puts back what others took away
 *   ebpf_rtnl.c     questions to rtnetlink
 *
 * What must outlive the process is in maps, several of them mapped here (shared, ports, tunnels);
 * nothing is pinned: the filters on the ports hold the programs, they hold the maps, and the next
 * process finds all through the filters.  So removing the filters removes everything.
 *
 * Threads and locks, none taken inside another but a queue's:
 *   lock           masks and groups: workers; held over map updates only
 *   tunnel_lock    numbers of remotes, local addresses: workers, control thread, watcher; brief
 *   port_lock      ports: control thread and watcher; held while interfaces are changed
 *   underlay_lock  underlay interfaces: control thread and watcher; the same
 *   tap_lock       the tap made or mended: workers and watcher
 *   queue.lock     upcalls that wait, and who is a port of the queue */
#ifndef MN_DATAPATH_EBPF_INTERNAL_H
#define MN_DATAPATH_EBPF_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <uthash.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "datapath/ebpf_abi.h"
#include "datapath/ebpf_tc.h"
#include "datapath/fillings.h"
#include "datapath/upcall.h"

struct nl_sock;

enum ebpf_map {
    EM_SHARED,
    EM_PORTS,
    EM_PORT_STATS,
    EM_NARROW,
    EM_WIDE,
    EM_MEMBERS,
    EM_TUNNELS,
    EM_BINDS,
    EM_COUNTERS,
    EM_HINTS,
    EM_PENDING,
    EM_SLOTS,
    EM_RINGS,
    EM_SCRATCH,
    EM_BATCHES,
    N_MAPS
};

enum ebpf_prog { PROG_PORT, PROG_UNDERLAY, PROG_VXLAN, PROG_INJECT, PROG_BATCH, N_PROGS };

struct ebpf_ring {
    int fd;
    unsigned long *consumer;       /* one page, ours to write */
    const unsigned long *producer; /* one page, then the data twice */
    const uint8_t *data;
    unsigned long read, last; /* position read up to, and where the last record read began */
};

struct ebpf_queue {
    pthread_mutex_t lock; /* turns, and the waiting queues of its ports */
    struct ebpf_ring ring;
    struct upcall_turns turns;
    int tap;          /* the queue's end of the injecting device */
    uint8_t *frame;   /* for packets that must be rewritten before they are sent */
    unsigned n_sends; /* put off: in the queue's batch */
    uint16_t sends_type;
};

/* What the process keeps beside fp_port. */
struct ebpf_port {
    struct upcall_port waiting;
};

struct ebpf_mask {
    uint32_t n_flows;
    uint64_t freed_ns;
};

struct ebpf_group {
    uint32_t id, n_flows, n;
    struct fp_out *outs;
    UT_hash_handle by_id, by_outs; /* by_outs: key is outs[] */
};

struct ebpf_remote {
    struct {
        struct ip local, remote;
    } pair;
    uint32_t index; /* into tunnels[] */
    int ifindex;    /* where it goes out and who is next: what a neighbour's news is compared to */
    struct ip via;
    uint64_t packets; /* when last probed */
    UT_hash_handle hh;
};

struct ebpf_dp {
    struct dp dp;
    struct dp_options opts; /* opts.name is 'name' */
    char name[32];
    struct bpf_object *obj;
    int maps[N_MAPS], progs[N_PROGS];
    struct fp_shared *shared;
    struct fp_port *ports;
    struct fp_tunnel *tunnels;
    struct fp_slot *slots;
    struct fp_batch *batches;
    int n_cpus;

    pthread_mutex_t port_lock;
    struct ebpf_port *port[FP_MAX_PORTS]; /* also its queue's lock */
    uint32_t last_port;

    pthread_mutex_t lock;
    struct ebpf_mask mask[FP_MAX_MASKS];
    uint32_t next_mask;
    struct ebpf_group *groups_by_id, *groups_by_outs;
    uint32_t last_group, n_members;
    atomic_uint n_flows;
    atomic_ulong table_full, masks_full, exec_ttl, exec_failed;

    struct ebpf_queue queues[DP_MAX_QUEUES];

    pthread_mutex_t tunnel_lock;
    struct nl_sock *rtnl; /* the control thread's */
    struct ebpf_remote *remotes;

    pthread_mutex_t underlay_lock; /* shared->underlays, the VXLAN device */
    pthread_mutex_t tap_lock;

    pthread_t watcher;
    bool watching;
    int wake_watcher; /* eventfd */
    atomic_bool stop;
};

static inline struct ebpf_dp *ebpf_of(struct dp *dp)
{
    return (struct ebpf_dp *)dp;
}

/* ebpf_load.c.  'found': maps of a kept instance, -1 where there is none; consumed. */
int ebpf_find_kept(struct ebpf_dp *d, int found[N_MAPS], struct error *e);
int ebpf_load(struct ebpf_dp *d, int found[N_MAPS], struct error *e);
void ebpf_unload(struct ebpf_dp *d);

/* ebpf_port.c */
int ebpf_port_add(struct dp *dp, const char *ifname, uint32_t *port_no, struct error *e);
int ebpf_port_del(struct dp *dp, uint32_t port_no, struct error *e);
int ebpf_port_limit(struct dp *dp, uint32_t port_no, uint32_t kbps, uint32_t burst_kb);
int ebpf_port_each(struct dp *dp, dp_port_fn *fn, void *aux);
void ebpf_ports_adopt(struct ebpf_dp *d);
void ebpf_ports_close(struct ebpf_dp *d, bool keep);
struct rtnl_link;
void ebpf_port_link(struct ebpf_dp *d, const struct rtnl_link *link, bool gone);

/* ebpf_key.c */
/* -ENOTSUP: the kernel side can't match that. */
int ebpf_key_from(const struct flow_key *key, const struct flow_key *mask, union fp_key *k,
                  union fp_key *m, bool *wide);
void ebpf_key_to(const union fp_key *k, bool wide, const struct flow_key *mask,
                 struct flow_key *key);
/* -ENOTSUP: can't be done on packets of that key and mask. */
int ebpf_out_from(struct ebpf_dp *d, const struct flow_out *out, const struct flow_key *key,
                  const struct flow_key *mask, struct fp_out *o);
void ebpf_out_to(struct ebpf_dp *d, const struct fp_out *o, bool ip6, struct flow_out *out);
void ebpf_outs_sort(struct fp_out *outs, unsigned n); /* tunnels last */

/* ebpf_flow.c */
int ebpf_flow_put(struct dp *dp, unsigned queue, const struct dp_flow *flows, size_t n, int *rcs);
int ebpf_flow_del(struct dp *dp, unsigned queue, const struct dp_flow *flows, size_t n,
                  struct dp_flow_stats *stats);

/* ebpf_walk.c */
static inline int ebpf_table(const struct ebpf_dp *d, bool wide)
{
    return d->maps[wide ? EM_WIDE : EM_NARROW];
}
void ebpf_stats_from(const struct fp_flow *f, uint64_t now, struct dp_flow_stats *s);
int ebpf_flow_each(struct dp *dp, dp_flow_fn *fn, void *aux);
int ebpf_flows_adopt(struct ebpf_dp *d);
/* Marks used[] for every tunnel some flow goes into. */
int ebpf_flows_mark_tunnels(struct ebpf_dp *d, bool *used);

/* ebpf_mask.c; the lock is held.  A mask's number, or -1; -ENOTSUP when there are too many. */
int ebpf_mask_find(struct ebpf_dp *d, const struct flow_key *name, bool wide);
int ebpf_mask_use(struct ebpf_dp *d, const struct flow_key *name, const union fp_key *bits,
                  bool wide);
void ebpf_mask_release(struct ebpf_dp *d, int n);
void ebpf_masks_reorder(struct ebpf_dp *d); /* by what was found lately */

/* ebpf_group.c; the lock is held. */
int ebpf_group_use(struct ebpf_dp *d, struct fp_out *outs, unsigned n, uint32_t *id);
void ebpf_group_release(struct ebpf_dp *d, uint32_t id);
int ebpf_group_adopt(struct ebpf_dp *d, uint32_t id, unsigned n);
const struct ebpf_group *ebpf_group_find(struct ebpf_dp *d, uint32_t id);
void ebpf_groups_free(struct ebpf_dp *d);

/* ebpf_recv.c */
int ebpf_recv_open(struct ebpf_dp *d, unsigned queue);
void ebpf_recv_close(struct ebpf_dp *d, unsigned queue);
int ebpf_recv(struct dp *dp, unsigned queue, struct dp_upcall *ups, size_t max);
int ebpf_recv_fd(struct dp *dp, unsigned queue);

/* ebpf_batch.c: does FP_PUT, FP_DELETE or FP_SEND to the first n of d->batches[queue]; the queue's
 * thread.  Packets are of Ethernet type 'eth_type' (wire order).  Returns how many of them couldn't
 * be sent, or an error when nothing was done. */
int ebpf_batch_run(struct ebpf_dp *d, unsigned queue, unsigned what, unsigned n, uint16_t eth_type);

/* ebpf_exec.c */
int ebpf_exec_open(struct ebpf_dp *d, struct error *e);
void ebpf_exec_close(struct ebpf_dp *d);
int ebpf_execute(struct dp *dp, unsigned queue, const struct dp_exec *execs, size_t n);

/* ebpf_tunnel.c */
int ebpf_tunnel_local(struct dp *dp, const struct ip *local, enum flow_tunnel type,
                      struct error *e);
int ebpf_tunnel_bind(struct dp *dp, uint32_t tun_id, uint32_t port_no, struct error *e);
int ebpf_tunnel_unbind(struct dp *dp, uint32_t tun_id);
int ebpf_tunnels_adopt(struct ebpf_dp *d);
void ebpf_tunnels_close(struct ebpf_dp *d, bool keep);
void ebpf_underlays_sync(struct ebpf_dp *d, struct nl_sock *sk);
bool ebpf_underlay_has(struct ebpf_dp *d, uint32_t ifindex);
void ebpf_tunnels_clean(struct ebpf_dp *d); /* what a process before us left that we can't use */

/* ebpf_remote.c */
struct ebpf_remote *ebpf_remote_add(struct ebpf_dp *d, const struct ip *local,
                                    const struct ip *remote, uint32_t index);
int ebpf_tunnel_index(struct ebpf_dp *d, const struct ip *local, const struct ip *remote,
                      uint32_t *index);
/* Of all remotes, or those whose next hop is (ifindex, via). */
void ebpf_tunnels_resolve(struct ebpf_dp *d, struct nl_sock *sk, int ifindex, const struct ip *via);
/* Has the kernel confirm the next hops that are in use and find those that are missing. */
void ebpf_tunnels_probe(struct ebpf_dp *d, struct nl_sock *sk);

/* The VXLAN device is there; 'sk' the calling thread's. */
int ebpf_tunnel_device(struct ebpf_dp *d, struct nl_sock *sk, struct error *e);

/* ebpf_mend.c */
void ebpf_mend_filter(struct ebpf_dp *d, int ifindex); /* a port's */
void ebpf_mend_filters(struct ebpf_dp *d);             /* all ports' */
void ebpf_mend_devices(struct ebpf_dp *d, struct nl_sock *sk);

/* ebpf_watch.c */
int ebpf_watch_start(struct ebpf_dp *d);
void ebpf_watch_stop(struct ebpf_dp *d);
void ebpf_watch_wake(struct ebpf_dp *d); /* new tunnels wait to be resolved */

/* ebpf_rtnl.c */
struct rtnl_link {
    int ifindex, type /* ARPHRD_* */;
    uint32_t mtu, flags;
    struct mac mac;
    char kind[16], ifname[16];
    bool foreign_peer; /* its other end is in another namespace */
};
struct rtnl_route {
    int ifindex;
    struct ip via; /* the remote itself when it is on the link */
};
struct nlmsghdr;

int ebpf_rtnl_link(struct nl_sock *sk, int ifindex, struct rtnl_link *link);
bool ebpf_rtnl_parse_link(struct nlmsghdr *h, struct rtnl_link *link);
int ebpf_rtnl_route(struct nl_sock *sk, const struct ip *dst, const struct ip *src,
                    struct rtnl_route *route);
/* -EAGAIN: no usable entry. */
int ebpf_rtnl_neigh(struct nl_sock *sk, int ifindex, const struct ip *ip, struct mac *mac);
/* Has the kernel find out, or confirm, who that is. */
void ebpf_rtnl_probe(struct nl_sock *sk, int ifindex, const struct ip *ip);
/* Interfaces that have one of the addresses: fn(ifindex, address). */
typedef void rtnl_addr_fn(int ifindex, const struct ip *addr, void *aux);
int ebpf_rtnl_addrs(struct nl_sock *sk, rtnl_addr_fn *fn, void *aux);
int ebpf_rtnl_vxlan(struct nl_sock *sk, const char *ifname, uint16_t udp_port);
int ebpf_rtnl_up(struct nl_sock *sk, int ifindex); /* without an IPv6 address of its own */
int ebpf_rtnl_promisc(struct nl_sock *sk, int ifindex, bool on);
bool ebpf_rtnl_has_filters(struct nl_sock *sk, int ifindex); /* tc's, in or out */
void ebpf_rtnl_del(struct nl_sock *sk, int ifindex);

/* "mn-NAME-SUFFIX", at most 15 characters. */
void ebpf_device_name(const struct ebpf_dp *d, const char *suffix, char buf[16]);

#endif
