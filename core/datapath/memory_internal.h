/* The memory datapath's own structures, shared by its files only. */
#ifndef MN_DATAPATH_MEMORY_INTERNAL_H
#define MN_DATAPATH_MEMORY_INTERNAL_H

#include <pthread.h>
#include <uthash.h>

#include "datapath/fillings.h"
#include "datapath/memory.h"
#include "datapath/memory_table.h"
#include "datapath/upcall.h"

#define MEMORY_MAX_PORTS 65536u
#define MEMORY_TAKE_MAX  1024u

struct memory_frame {
    struct memory_frame *prev, *next;
    uint32_t size;
    uint8_t *start; /* in data[]: a tag pushed or popped moves it */
    uint8_t data[];
};

struct memory_port {
    uint32_t port_no;
    char ifname[16];
    struct memory_if *iface; /* null when it vanished */
    struct dp_port stats;
    struct upcall_port waiting;
    uint64_t tokens_ns; /* token bucket: time that is paid for */
    struct dp_bucket limit;
    uint64_t limit_ns; /* likewise, of that */
};

struct memory_if {
    char name[16];
    struct memory_port *port;
    struct memory_frame *out;
    unsigned n_out;
    UT_hash_handle hh;
};

struct memory_bind {
    uint32_t tun_id, port_no;
    UT_hash_handle hh;
};

struct memory_local {
    struct memory_local *next;
    struct ip addr;
};

/* A frame on its way to another datapath: delivered when no lock is held. */
struct memory_transit {
    struct memory_transit *prev, *next;
    struct ip local, remote;
    uint32_t tun_id;
    struct memory_frame *frame;
};

#define MEMORY_COUNTERS(X)                                                                         \
    X(malformed)                                                                                   \
    X(no_port)                                                                                     \
    X(no_tunnel)                                                                                   \
    X(queue_full)                                                                                  \
    X(table_full)                                                                                  \
    X(ttl)                                                                                         \
    X(unknown_tunnel_key)                                                                          \
    X(upcall_lost)

struct memory_dp {
    struct dp dp;
    char *name;
    struct dp_options opts; /* opts.name is 'name' */
    pthread_mutex_t lock;   /* all below but 'board' and 'locals' */
    struct memory_if *ifs;
    struct memory_port **ports; /* by number */
    uint32_t n_ports;           /* size of ports[]; numbers start at 1 */
    struct memory_bind *binds;
    struct memory_table table;
    struct upcall_turns turns[DP_MAX_QUEUES];
    int fds[DP_MAX_QUEUES]; /* eventfd once asked for, or -1 */
    struct memory_transit *transit;
    uint64_t (*now)(void *aux);
    void *now_aux;
    struct {
#define X(name) uint64_t name;
        MEMORY_COUNTERS(X)
#undef X
    } counters;
    struct memory_board *board;  /* set by memory_dp_join, before traffic */
    struct memory_local *locals; /* the board's lock, or the control thread without one */
    struct memory_mail *box;     /* the board's lock */
    struct memory_dp *next_kept;
};

static inline struct memory_dp *memory_of(struct dp *dp)
{
    return (struct memory_dp *)dp;
}

void memory_frame_free(struct memory_frame *f);
/* Unlocks, then lets frames for other datapaths go: never two datapaths' locks at once. */
void memory_unlock_and_send(struct memory_dp *d);

/* memory_ports.c */
void memory_if_clear(struct memory_if *iface);
struct upcall_turns *memory_turns_of(struct memory_dp *d, const struct memory_port *port);
int memory_port_add(struct dp *dp, const char *ifname, uint32_t *port_no, struct error *e);
int memory_port_del(struct dp *dp, uint32_t port_no, struct error *e);
int memory_port_limit(struct dp *dp, uint32_t port_no, uint32_t kbps, uint32_t burst_kb);
int memory_port_each(struct dp *dp, dp_port_fn *fn, void *aux);
int memory_tunnel_local(struct dp *dp, const struct ip *local, enum flow_tunnel type,
                        struct error *e);
int memory_tunnel_bind(struct dp *dp, uint32_t tun_id, uint32_t port_no, struct error *e);
int memory_tunnel_unbind(struct dp *dp, uint32_t tun_id);

/* Board: who answers for an address.  Frames in 'transit' are consumed. */
int memory_board_claim(struct memory_dp *dp, const struct ip *local);
void memory_board_leave(struct memory_dp *dp);
void memory_board_deliver(struct memory_dp *from, struct memory_transit *transit);
/* Datagrams: who takes those for 'dp' (null: nobody any more); one to whoever has 'remote'. */
void memory_board_box(struct memory_dp *dp, struct memory_mail *box);
int memory_board_mail(struct memory_dp *from, const struct ip *local, const struct ip *remote,
                      const void *buf, size_t size);
void memory_mail_arrived(struct memory_mail *box, const struct ip *from, const void *buf,
                         size_t size);
/* The receiving end; takes the frame. */
void memory_tunnel_receive(struct memory_dp *dp, uint32_t tun_id, struct memory_frame *f);

/* Packets' way (memory_path.c); the lock is held. */
void memory_path_from_port(struct memory_dp *dp, struct memory_port *port, const uint8_t *frame,
                           size_t size);
void memory_path_outputs(struct memory_dp *dp, const uint8_t *frame, size_t size,
                         const struct flow_out *outs, unsigned n);
void memory_path_to_port(struct memory_dp *dp, uint32_t port_no, struct memory_frame *f);
struct memory_frame *memory_path_copy(const uint8_t *frame, size_t size);

#endif
