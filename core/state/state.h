/* State of connections: what earlier packets decided that later ones must follow.
 *
 * A record stands for one connection at one device:
 *
 *   CONN   the connection was opened, and packets of the other direction, as they will enter the
 *          network at 'device', are return packets ("to" is unused)
 *   SNAT   'device' translates the connection's source: (src, sport) becomes 'to'
 *   DNAT   'device' translates its destination: (dst, dport) becomes 'to'
 *
 * 'fwd' are the headers before the translation, in the direction the connection was opened.  A
 * translation is found by either direction: from the packet that goes forth by 'fwd', from the one
 * that comes back by the reverse tuple, which the record implies.  ICMP echo has its request type
 * (8, 128) as the port of who answers and its id, where that counts, as the port of who asks.  A
 * CONN record has one direction, 'fwd': the return packet itself.
 *
 * One table serves all workers of an agent.  Records die when nothing has used them for a while; a
 * full table gives up the one longest unused of eight.  That two packets can't take the same
 * translated tuple is decided here, by state_commit(): the simulator only proposes.
 *
 * Who translates a source needs a free port.  Ports of an address are divided among hosts in blocks
 * of 64 (ports.h), so nobody asks anybody per connection.
 *
 * Times are nanoseconds of the agent's clock.  Threads: lookups by any registered RCU reader,
 * without locks; writers exclude each other by the table's own locks. */
#ifndef MN_STATE_STATE_H
#define MN_STATE_STATE_H

#include "base/types.h"
#include "topology/tags.h"
#include "topology/topology.h"

enum state_kind { STATE_NONE, STATE_CONN, STATE_SNAT, STATE_DNAT, STATE_N_KINDS };
const char *state_kind_name(enum state_kind k);

enum state_way { STATE_FORTH, STATE_BACK };

struct state_tuple {
    struct ip src, dst;
    uint16_t sport, dport;
    uint8_t proto;
    uint8_t pad[3]; /* zero */
};

struct state_rec {
    struct state_tuple fwd;
    struct ip to;
    uint16_t to_port;
    uint8_t kind; /* enum state_kind */
    uint8_t pad;  /* zero */
    topo_ref device;
};

/* The headers of the packet that comes back through a translation. */
static inline struct state_tuple state_back(const struct state_rec *r)
{
    const struct state_tuple *f = &r->fwd;

    if (r->kind == STATE_SNAT)
        return (struct state_tuple){f->dst, r->to, f->dport, r->to_port, f->proto, {0}};
    return (struct state_tuple){r->to, f->src, r->to_port, f->sport, f->proto, {0}};
}

/* Whether there is such a record was asked: found or not, the answer may change. */
static inline tag_t tag_state(enum state_kind kind, enum state_way way, topo_ref device,
                              const struct state_tuple *t)
{
    return tag_make(TAG_STATE_KEY,
                    hash_bytes(t, sizeof *t, (uint64_t)device << 8 | (unsigned)kind << 1 | way));
}

/* Which ports of 'ip' this host may use at 'device' was asked: a block has been leased. */
static inline tag_t tag_ports(topo_ref device, const struct ip *ip)
{
    return tag_make(TAG_STATE_KEY, hash_bytes(ip, sizeof *ip, (uint64_t)device << 8 | 0xff));
}

struct state;

/* A record that went otherwise than by state_remove(): its tags are untrue now. */
typedef void state_gone_fn(const struct state_rec *r, void *aux);

struct state_limits {
    uint32_t max_records; /* 0: 1,000,000 */
    uint64_t idle_ns;     /* a record unused so long dies; 0: 60 s */
    /* What a full table gave up, or a peer's newer record displaced: called by the thread that
     * commits, without locks, before state_commit() returns.  May be null. */
    state_gone_fn *gone;
    void *aux;
};

int state_new(const struct state_limits *limits, struct state **out);
void state_free(struct state *s); /* null is fine */

/* A copy of the record, or false.  's' may be null: nothing is known. */
bool state_find(const struct state *s, enum state_kind kind, enum state_way way, topo_ref device,
                const struct state_tuple *t, struct state_rec *out);

/* A free translated source for 'fwd' at 'device': an address and port of the targets that this host
 * may use and that no live record has taken towards fwd's destination.  Where the search begins
 * follows from 'fwd', so that a connection whose record was lost is likely to get the same again.
 *   0         *ip, *port
 *   -EAGAIN   no block that this host has is good; another one of *ip's could be leased, of ports
 *             *port to *port_to (the need to return)
 *   -ENOSPC   there is none, and none to lease
 * Of a target that keeps ports (0..0) the address is chosen; it needs the block of that port like
 * any other, for only so can no other host choose the same.  Costs a look at each block that is
 * full towards this destination, not at each port.  Reads only.  's' null: every port is free. */
struct topo_nat_target;
int state_pick_source(const struct state *s, topo_ref device, const struct state_tuple *fwd,
                      const struct topo_nat_target *targets, uint32_t n, struct ip *ip,
                      uint16_t *port, uint16_t *port_to);

enum state_origin {
    STATE_LOCAL,    /* a simulation on this host */
    STATE_RECEIVED, /* told by a peer: what it says wins over nothing, never over a local one */
    STATE_LOADED,   /* from the backup */
};

#define STATE_COMMIT_MAX 64            /* records at once */
#define STATE_EVICT_NS   1000000000ull /* what was used later isn't given up by a full table */

/* Enters records, or refreshes those that are there; all or none.  made[i] (may be null) says
 * whether it is new: its tags are then untrue and must be announced.
 *   0
 *   -EEXIST   another connection has one of the translated tuples, or this one another translation
 *             (simulate again).  A received record displaces received and loaded ones that
 *             contradict it, for it is the newer.
 *   -ENOSPC   no room, and nothing old enough
 *   -E2BIG    more than STATE_COMMIT_MAX
 * What contradicts itself (a bad kind, two translations to one tuple in 'recs') is -EINVAL or
 * -EEXIST. */
struct state_via {
    topo_ref in, out; /* exterior ports the opening direction goes through; 0 unknown */
};
/* 'via' (null: unknown) is kept beside each record: whoever takes over a port asks for the
 * connections that go through it. */
int state_commit_via(struct state *s, const struct state_rec *recs, uint32_t n,
                     const struct state_via *via, uint64_t now, enum state_origin origin,
                     bool *made);
static inline int state_commit(struct state *s, const struct state_rec *recs, uint32_t n,
                               uint64_t now, enum state_origin origin, bool *made)
{
    return state_commit_via(s, recs, n, NULL, now, origin, made);
}
/* The record is in use.  False when it is gone. */
bool state_touch(struct state *s, const struct state_rec *r, uint64_t now);
void state_remove(struct state *s, const struct state_rec *r);

/* Removes what has been idle too long among the next 'budget' records (looked at, not found); fn
 * gets each, without locks.  Returns how many.  One thread at a time. */
uint32_t state_sweep(struct state *s, uint64_t now, uint32_t budget, state_gone_fn *fn, void *aux);

/* In no order, in pieces: *at 0 to begin, 0 again at the end. */
struct state_info {
    struct state_rec rec;
    struct state_via via;
    uint64_t used_ns, made_ns;
    uint8_t origin;
};
uint32_t state_dump(const struct state *s, uint64_t *at, struct state_info *out, uint32_t max);

/* Both tags of a record (one for CONN): returns how many. */
static inline unsigned state_tags(const struct state_rec *r, tag_t tags[2])
{
    tags[0] = tag_state((enum state_kind)r->kind, STATE_FORTH, r->device, &r->fwd);
    if (r->kind == STATE_CONN)
        return 1;
    struct state_tuple back = state_back(r);
    tags[1] = tag_state((enum state_kind)r->kind, STATE_BACK, r->device, &back);
    return 2;
}

struct state_counters {
    uint64_t made, refreshed, received, expired, evicted, conflicts, refused;
};
void state_counters(const struct state *s, struct state_counters *out);
uint32_t state_size(const struct state *s);
size_t state_memory(const struct state *s);

/* Blocks of ports (ports.h tells how they are leased): which this host may use.  Written by one
 * thread, read by all.  Without any call the host may use none; 'all' makes every block its own
 * (one host alone, tests, "what if"). */
void state_ports_all(struct state *s, bool all);
void state_ports_grant(struct state *s, topo_ref device, const struct ip *ip, unsigned block);
void state_ports_revoke(struct state *s, topo_ref device, const struct ip *ip, unsigned block);
bool state_ports_granted(const struct state *s, topo_ref device, const struct ip *ip,
                         unsigned block);
/* Of blocks first..last of (device, ip) none is to be had, until told otherwise: pick says -ENOSPC
 * where it would have asked for them. */
void state_ports_exhausted(struct state *s, topo_ref device, const struct ip *ip, unsigned first,
                           unsigned last, bool yes);
/* Whoever leases ports is told when towards some destination they run low, before they are out:
 * called by the thread that picks, once until the next grant for that address. */
typedef void state_ports_low_fn(void *aux, topo_ref device, const struct ip *ip, uint16_t port,
                                uint16_t port_to);
void state_ports_on_low(struct state *s, state_ports_low_fn *fn, void *aux); /* before any pick */

#define STATE_BLOCK  64   /* ports in a block */
#define STATE_BLOCKS 1024 /* blocks of an address */

#endif
