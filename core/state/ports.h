/* Ports of addresses that translate sources, divided among hosts.
 *
 * An address of a device (a router, a bridge) has 1024 blocks of 64 ports.  A host leases whole
 * blocks through the store and then picks ports of its own (state_pick_source()), asking nobody:
 *
 *     /nat/xx/DEVICE/IP/taken/BLOCK   ephemeral: {"host","inc"} of the lessee
 *     /nat/xx/DEVICE/IP/used/BLOCK    persistent: {"host","inc","state","at"}, "state" is
 *                                     "held", "released" or "lost", "at" Unix milliseconds
 *
 * Which block.  By chance one that nobody ever used; when there is none, of the free ones the one
 * released or lost longest ago.  Two hosts after one: the store lets one create the node, the other
 * looks again.  Who asks for one address again and again within a second gets 2, 4, 8 at a time.
 *
 * Never two hosts with one block.  A lease that ends in order was without connections for a whole
 * round of the sweep after no packet could take a port of it any more, and is free at once.  One
 * whose node vanishes without that, because its host died or lost its session, may still be in use:
 * an agent goes on without the store.  Whoever finds such a block marks it "lost", and from then on
 * it rests for the quarantine (15 minutes).  An agent cut off from the store stops opening
 * connections in its blocks well before (12 minutes; clocks may differ by the rest).  When it is
 * back it looks at each of its nodes: what another host has taken is lost, and the connections in
 * it are ended, not shared.  The same host in a new life (another "inc") takes its earlier blocks
 * over at once, if it still has connections in them: ports_adopt().
 *
 * A connection that moved to another host with its port still uses a port of the old host's block:
 * that host must go on hearing of it (docs/state.md).
 *
 * Without the store nothing changes but that: needs wait.
 *
 * Threads: one, the topology thread, calls everything and gets the callbacks; except
 * ports_need().  Store calls are made from ports_run() and block it.  That thread is a registered
 * RCU reader. */
#ifndef MN_STATE_PORTS_H
#define MN_STATE_PORTS_H

#include "state/state.h"
#include "store/store.h"

struct ports;

/* Zero means the default, in brackets. */
struct ports_options {
    struct uuid host;       /* this host */
    uint64_t unused_ns;     /* a block without connections so long is returned [5 min] */
    uint64_t sweep_ns;      /* how often that is looked at [1 min] */
    uint64_t retry_ns;      /* what was exhausted is asked for again after [5 s] */
    uint64_t cut_ns;        /* without the store so long: no new connections [12 min] */
    uint64_t quarantine_ns; /* [15 min] */
    uint64_t recycle_ns;    /* nodes that say nothing any more are looked for [5 h; the first
                             * time after 1 to 5 h] */
};

struct ports_callbacks {
    void *aux;
    /* Needs of (device, ip) within these ports are met, or can't be: run the packets again. */
    void (*granted)(void *aux, topo_ref device, const struct ip *ip, uint16_t port,
                    uint16_t port_to);
    void (*exhausted)(void *aux, topo_ref device, const struct ip *ip, uint16_t port,
                      uint16_t port_to);
    /* A record of a lost block was removed: its tags are untrue. */
    void (*lost)(void *aux, const struct state_rec *r);
    /* Any thread: ports_run() has something to do. */
    void (*wake)(void *aux);
};

/* Borrows 'store', 's' (whose blocks it alone writes from now on) and 't'.  Callbacks may be null.
 */
struct ports *ports_open(struct store *store, struct state *s, const struct topo *t,
                         const struct ports_options *opts, const struct ports_callbacks *cb);
/* Leases stay until the store handle is closed, and then count as lost: kernels go on translating.
 * Null is fine. */
void ports_close(struct ports *p);

/* Any thread.  Asks for a block with ports of port..port_to; asking twice is asking once. */
void ports_need(struct ports *p, topo_ref device, const struct ip *ip, uint16_t port,
                uint16_t port_to);

/* Does a bounded amount of work; returns when it wants to be called again ('now_ns' itself: at
 * once).  'wall_ms' is Unix time. */
uint64_t ports_run(struct ports *p, uint64_t now_ns, uint64_t wall_ms);

/* What the store's events say (sync_callbacks.connection). */
void ports_connection(struct ports *p, uint64_t now_ns, bool connected);

/* After a restart, once records are loaded and devices interned: takes back the blocks in which
 * this host has records and which it had leased before; when the store is away, as soon as it is
 * back.  Others' are left alone. */
void ports_adopt(struct ports *p, uint64_t now_ns, uint64_t wall_ms);

struct ports_status {
    uint32_t n_addresses, n_leases, n_needs;
    uint64_t leased, returned, races, exhausted, lost;
    bool cut; /* no new connections, for want of the store */
};
void ports_status(const struct ports *p, struct ports_status *out);

#endif
