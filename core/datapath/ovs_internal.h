/* The Open vSwitch datapath's own structures, shared by its files only.
 *
 *   ovs.c          open, close, adopt; counters, memory
 *   ovs_check.c    the same again, when others took it away
 *   ovs_nl.c       generic netlink: sockets, messages in batches, dumps
 *   ovs_port.c     ports
 *   ovs_limit.c    what they may send
 *   ovs_key.c      flow keys and masks as the kernel wants them
 *   ovs_action.c   outputs as the kernel's actions
 *   ovs_note.c     what a flow carries for the next process
 *   ovs_flow.c     the flow table
 *   ovs_tunnel.c   VXLAN and GRE ports, keys
 *   ovs_recv.c     upcalls
 *   ovs_exec.c     packets the agent sends
 *
 * All state that must outlive the process is the kernel's own: the datapath, its ports, its flows.
 * Each flow carries a note (an action that never runs) with the agent's key, mask, cookie and
 * outputs, so what a dump gives is exactly what was put.  Everything else is derived: a flow's
 * unique id from its name, a port's netlink address from its number.
 *
 * Sources: Documentation/networking/openvswitch.rst, include/uapi/linux/openvswitch.h.
 *
 * Threads and locks:
 *   port_lock   ports[]: control thread; workers only ask whether a number is taken
 *   queue.lock  the ports of a queue while upcalls are read
 * A queue's request socket and buffers belong to its worker, 'control' to the control thread. */
#ifndef MN_DATAPATH_OVS_INTERNAL_H
#define MN_DATAPATH_OVS_INTERNAL_H

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/openvswitch.h>
#include <pthread.h>
#include <stdatomic.h>
#include <uthash.h>

#include "datapath/fillings.h"

#define OVS_MAX_PORT     65000u /* ours; tunnel ports are above */
#define OVS_TUNNEL_PORT  65001u /* + enum flow_tunnel */
#define OVS_UNKNOWN_PORT 65535u /* the netlink address of packets nobody wants */
#define OVS_BATCH        64u    /* messages sent at once */
#define OVS_BATCH_BYTES  65536u
#define OVS_MAX_OUTS     256u /* of one flow */
#define OVS_RECV_MAX     64u  /* upcalls of one call */
#define OVS_MSG_MAX      (PACKET_MAX + 2048u)

enum ovs_family { OVS_DATAPATH, OVS_VPORT, OVS_FLOW, OVS_PACKET, OVS_N_FAMILIES };

/* A socket for requests and their answers. */
struct ovs_sock {
    struct nl_sock *sk;
    int fd;
    uint32_t seq;
};

/* Messages under construction.  Too large for netlink: 'failed', and the message is void. */
struct ovs_buf {
    uint8_t *data;
    uint32_t size, room;
    uint32_t msg;   /* where the current message begins */
    uint32_t n;     /* messages */
    uint32_t first; /* sequence number of the first */
    bool failed;
};

struct ovs_port {
    uint32_t port_no;
    char ifname[16];
    int ifindex;
    struct nl_sock *sk; /* its upcalls */
    int fd;
    uint64_t upcalls, upcalls_lost; /* lost here; the socket counts its own */
    uint64_t paid_ns;               /* rate of upcalls: time that is used up */
    struct dp_port base;            /* the interface's counters when it was taken over */
    int limited_if;                 /* the interface whose limit is in the map, 0 none */
    uint64_t limited;               /* dropped by limits before that one */
};

struct ovs_queue {
    pthread_mutex_t lock;
    int epoll;
    struct ovs_sock sock;
    struct ovs_buf buf;
    uint8_t *frames; /* OVS_RECV_MAX of OVS_MSG_MAX, touched as needed */
    uint8_t *frame;  /* for a packet that is rewritten before it is sent */
};

/* Tunnels by what a received packet's key says of them. */
enum ovs_endpoint { OVS_VXLAN4, OVS_VXLAN6, OVS_GRE4, OVS_N_ENDPOINTS };

struct ovs_bind {
    uint32_t tun_id, port_no;
    UT_hash_handle hh;
};

struct bpf_object;

struct ovs_dp {
    struct dp dp;
    struct dp_options opts; /* opts.name is 'name' */
    char name[64];
    char ifname[16];    /* the datapath's, and its local port's */
    atomic_int ifindex; /* it and families change when the kernel's has to be made again */
    atomic_int families[OVS_N_FAMILIES];
    uint32_t pid_base; /* netlink address of port n: pid_base + n */
    struct ovs_sock control;
    struct ovs_buf buf;

    pthread_mutex_t port_lock;
    struct ovs_port *ports[OVS_MAX_PORT + 1];
    uint32_t last_port;        /* number given away */
    uint32_t top_port;         /* the highest of ports[] */
    struct bpf_object *limits; /* null until one is asked for */

    struct nl_sock *unknown; /* packets out of tunnels with keys nobody has */
    bool tunnels[2];         /* by enum flow_tunnel: the port is there */
    bool endpoints[OVS_N_ENDPOINTS];
    struct ovs_bind *binds;

    struct ovs_queue queues[DP_MAX_QUEUES];
    atomic_int n_flows; /* about: what others remove isn't known at once */
    atomic_ulong table_full, overlap, exec_failed, exec_ttl, made_again;
    uint64_t unknown_keys;
    unsigned checks;
    unsigned n_taken; /* ports whose interface another program has, by the last look at them */
    bool lost;        /* and it was said */
};

static inline struct ovs_dp *ovs_of(struct dp *dp)
{
    return (struct ovs_dp *)dp;
}

static inline unsigned ovs_n_flows(struct ovs_dp *d)
{
    int n = atomic_load(&d->n_flows);

    return n > 0 ? (unsigned)n : 0;
}

/* ovs_nl.c */
int ovs_families(int families[OVS_N_FAMILIES], struct error *e);
int ovs_families_find(struct ovs_dp *d, struct error *e); /* into d->families */
int ovs_sock_open(struct ovs_sock *s);
void ovs_sock_close(struct ovs_sock *s);
/* A socket that only receives, at a fixed address; -EADDRINUSE when somebody has it. */
int ovs_upcall_sock(uint32_t pid, uint32_t bytes, struct nl_sock **out);
uint32_t ovs_sock_drops(int fd);

void ovs_buf_reset(struct ovs_buf *b, struct ovs_sock *s);
void ovs_buf_free(struct ovs_buf *b);
void ovs_begin(struct ovs_buf *b, int family, uint8_t cmd, uint16_t flags, int dp_ifindex);
int ovs_end(struct ovs_buf *b); /* -EMSGSIZE: the message is taken out again */
void *ovs_put(struct ovs_buf *b, int type, const void *data, size_t size);
uint32_t ovs_nest(struct ovs_buf *b, int type);
void ovs_nest_end(struct ovs_buf *b, uint32_t at);
static inline void ovs_put_u32(struct ovs_buf *b, int type, uint32_t v)
{
    ovs_put(b, type, &v, sizeof v);
}
static inline void ovs_put_u16(struct ovs_buf *b, int type, uint16_t v)
{
    ovs_put(b, type, &v, sizeof v);
}
static inline void ovs_put_u8(struct ovs_buf *b, int type, uint8_t v)
{
    ovs_put(b, type, &v, sizeof v);
}

/* An answer to message 'index' of a batch, or one of a dump; attributes behind the OVS header. */
typedef int ovs_reply_fn(unsigned index, const struct nlmsghdr *h, void *aux);
/* Sends all messages of 'b'.  rcs[index], unless null, is 0 or what the kernel said.  The kernel
 * has dealt with them when this returns. */
int ovs_talk(struct ovs_sock *s, struct ovs_buf *b, int *rcs, ovs_reply_fn *fn, void *aux);
/* Any number of messages without answers, whatever the kernel says of them. */
void ovs_talk_many(struct ovs_sock *s, struct ovs_buf *b);
int ovs_talk_one(struct ovs_sock *s, struct ovs_buf *b, ovs_reply_fn *fn, void *aux);
/* The message is a dump.  fn ends it by a non-zero return, which is given back. */
int ovs_dump(struct ovs_sock *s, struct ovs_buf *b, ovs_reply_fn *fn, void *aux);
/* Attributes of an answer of any of the four families; -EBADMSG. */
struct nlattr;
int ovs_attrs(const struct nlmsghdr *h, struct nlattr **attrs, int max);

/* ovs.c: the kernel's datapath of our name, with its number; -ENODEV: there is none. */
int ovs_find(struct ovs_dp *d, int *ifindex);
/* Makes it. */
int ovs_make(struct ovs_dp *d, struct error *e);
void ovs_remove(struct ovs_dp *d);

/* ovs_check.c */
int ovs_check(struct dp *dp);

/* ovs_key.c.  A flow is one or several of the kernel's, which always looks at tags: variants. */
enum ovs_variant { OVS_UNTAGGED, OVS_TAGGED, OVS_TAGGED_TWICE, OVS_N_VARIANTS };
unsigned ovs_key_variants(const struct flow_key *key, const struct flow_key *mask); /* bits */
int ovs_key_put(struct ovs_buf *b, const struct flow_key *key, const struct flow_key *mask,
                enum ovs_variant variant, int ttl);
/* Any frame out of a tunnel with that key.  'tags': 0..OVS_N_TAGGINGS-1. */
#define OVS_N_TAGGINGS 7u
void ovs_key_put_tunnel(struct ovs_buf *b, enum ovs_endpoint endpoint, uint32_t tun_id,
                        unsigned tags);

/* ovs_action.c */
/* -ENOTSUP: the kernel can't do that to packets of that key and mask.  ttl: known, or -1. */
int ovs_actions_put(struct ovs_buf *b, const struct ovs_dp *d, const struct dp_flow *f, int ttl);
int ovs_output_put(struct ovs_buf *b, const struct flow_out *out);
/* The TTL of all of a flow's packets must be known: its outputs differ in what they take off. */
bool ovs_actions_need_ttl(const struct dp_flow *f);

/* ovs_note.c */
#define OVS_NOTE_MAGIC 0x316e6d6fu /* also the version of the layout */
enum ovs_note_kind { OVS_NOTE_FLOW, OVS_NOTE_BIND };
struct ovs_note {
    uint32_t magic;
    uint16_t kind, n_outs;
    uint32_t pid_base;
    uint32_t tun_id, port_no; /* OVS_NOTE_BIND */
    uint32_t zero;
    uint64_t cookie;
    struct flow_key key, mask;
    struct flow_out outs[];
};
void ovs_note_put_flow(struct ovs_buf *b, const struct ovs_dp *d, const struct dp_flow *f);
void ovs_note_put_bind(struct ovs_buf *b, uint32_t tun_id, uint32_t port_no);
#define OVS_NOTE_ROOM UINT16_MAX
/* Into OVS_NOTE_ROOM bytes; its size, 0 when the flow has none of ours. */
size_t ovs_note_read(const struct nlattr *actions, struct ovs_note *note);

/* ovs_flow.c */
int ovs_flow_put(struct dp *dp, unsigned queue, const struct dp_flow *flows, size_t n, int *rcs);
int ovs_flow_del(struct dp *dp, unsigned queue, const struct dp_flow *flows, size_t n,
                 struct dp_flow_stats *stats);
int ovs_flow_each(struct dp *dp, dp_flow_fn *fn, void *aux);
int ovs_flows_adopt(struct ovs_dp *d);

/* ovs_port.c */
int ovs_port_add(struct dp *dp, const char *ifname, uint32_t *port_no, struct error *e);
int ovs_port_del(struct dp *dp, uint32_t port_no, struct error *e);
int ovs_port_each(struct dp *dp, dp_port_fn *fn, void *aux);
bool ovs_port_exists(struct ovs_dp *d, uint32_t port_no);
int ovs_ports_adopt(struct ovs_dp *d, struct error *e);
void ovs_ports_close(struct ovs_dp *d, bool keep);
/* Ports, and tunnels' ports, that the kernel's datapath doesn't have and could: puts them back and
 * returns how many, or an error. */
int ovs_ports_mend(struct ovs_dp *d);
uint64_t ovs_ports_lost(struct ovs_dp *d);
void ovs_port_seen(struct ovs_dp *d,
                   uint32_t port_no); /* some flow leads there: not to be reused */

/* ovs_limit.c; the control thread. */
int ovs_port_limit(struct dp *dp, uint32_t port_no, uint32_t kbps, uint32_t burst_kb);
void ovs_limit_lift(struct ovs_dp *d, struct ovs_port *p); /* also one that was left there */
uint64_t ovs_limit_dropped(struct ovs_dp *d, const struct ovs_port *p);
void ovs_limits_close(struct ovs_dp *d); /* they stay in the kernel */

/* ovs_tunnel.c */
int ovs_tunnel_local(struct dp *dp, const struct ip *local, enum flow_tunnel type, struct error *e);
int ovs_tunnel_bind(struct dp *dp, uint32_t tun_id, uint32_t port_no, struct error *e);
int ovs_tunnel_unbind(struct dp *dp, uint32_t tun_id);
void ovs_tunnel_adopt_bind(struct ovs_dp *d, uint32_t tun_id, uint32_t port_no);
void ovs_tunnels_count(struct ovs_dp *d); /* unknown keys that came since */
int ovs_tunnel_make_port(struct ovs_dp *d, enum flow_tunnel type);
int ovs_tunnels_mend(struct ovs_dp *d); /* all keys anew */
void ovs_tunnels_close(struct ovs_dp *d);

/* ovs_recv.c */
int ovs_recv_open(struct ovs_dp *d, unsigned queue);
void ovs_recv_close(struct ovs_dp *d, unsigned queue);
int ovs_recv(struct dp *dp, unsigned queue, struct dp_upcall *ups, size_t max);
int ovs_recv_fd(struct dp *dp, unsigned queue);

/* ovs_exec.c */
int ovs_execute(struct dp *dp, unsigned queue, const struct dp_exec *execs, size_t n);

#endif
