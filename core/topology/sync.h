/* The loader: keeps a 'struct topo' equal to what the store says, as far as anybody here uses it.
 *
 * What is loaded.  An object is loaded when it is needed, and from then on kept current.  The unit
 * is the device: a bridge comes with all its ports, the MACs and addresses of the router ports
 * linked to them, and the hosts they are bound to; a router with its ports and routes; a port with
 * its device.  Chains, groups and mirrors come one by one as packets need them, and are unloaded
 * when nothing names them any more.  What the store doesn't have becomes a placeholder ('missing'),
 * and appears by itself when it is created.
 *
 * What is watched.  Per device two nodes: its change node, whose log names what changed, so that
 * one port added to a bridge of 5,000 costs two reads and little more work than one port; and its
 * learned table (below).  For all hosts together 64, on folders where each that is there has a
 * name (sync_alive.c).  Per tunnel zone, chain, group, mirror and policy in use
 * one. Nothing else, so that a session stays far below 10,000 watches.  A port's "active" node is
 * not watched: the agent that writes it bumps the change node of the port's device in the same
 * commit (a log entry with 's', which says the state too), and what it can't announce, its own
 * death, is the host's name going.  Run-time state carries the incarnation of the agent that
 * wrote it and counts only while the host's name says the same: what a killed agent left behind
 * is dead at once, before its session times out.
 *
 * Learned tables (MACs of a bridge, neighbours of a router) are shared through the store, as
 *
 *     /state/bridges/xx/UUID/mac                    {"rev":N,"log":[[N,"CHUNK"],...]}
 *     /state/bridges/xx/UUID/mac/HOST.INC.K         ephemeral; up to 64 entries
 *
 * (routers: "arp").  Each agent keeps what it learned in chunks of its own.  Learning writes one
 * chunk and one log node; every other agent that uses the device is woken once and reads these two,
 * whether the table has a hundred entries or 60,000.  The log node is written by compare-and-set,
 * so its revisions order all writes: of two claims for one key the later wins, on every agent
 * alike, and who made the earlier withdraws it.  An entry ends with the life of the agent that made
 * it (once there is another), when nothing has used it for a while (MAC), or at its time
 * (neighbour).
 *
 * Seldom is a change news to everybody: 'changed' tells which tags (tags.h) it made untrue, after
 * what makes them untrue has been published.
 *
 * Without the store everything stays as it is, and so does what is known of a host that doesn't say
 * any more that it is alive; what is learned is shared later, needs wait.  After a reconnect every
 * device is compared with the store again, spread over a few seconds.  An object that can't be
 * understood is logged, counted and treated as missing (a rule or chain: as refusing all); the
 * others go on.
 *
 * Threads: one, "the topology thread", calls everything here and gets the callbacks, from
 * sync_run(); except the functions marked "any thread".  Store calls are made from sync_run() and
 * block it, nobody else. */
#ifndef MN_TOPOLOGY_SYNC_H
#define MN_TOPOLOGY_SYNC_H

#include <jansson.h>

#include "base/error.h"
#include "store/store.h"
#include "topology/tags.h"
#include "topology/topology.h"

struct sync;

/* Zero means the default, in brackets. */
struct sync_options {
    struct uuid host;         /* this host; zero: a mere reader (trace), which writes nothing */
    uint64_t flush_ns;        /* learned entries are gathered at least so long [20 ms] between
                               * two commits for one device */
    uint64_t mac_idle_ns;     /* a MAC learned here and not seen so long is withdrawn [120 s] */
    uint64_t neigh_stale_ns;  /* [60 s] */
    uint64_t neigh_expire_ns; /* [90 s] */
    uint32_t learned_max;     /* entries of a table beyond which nothing new is learned: whoever
                               * makes up addresses fills no more than this [131,072] */
    uint64_t jitter_ns;       /* comparing after a reconnect takes so long [5 s] */
    uint64_t doubt_ns;        /* a host that isn't alive after a reconnect of ours counts as dead
                               * after so long: it may only come later than we [15 s] */
    uint64_t ports_ns;        /* this host is said to be alive together with its ports, once
                               * sync_ports_told(), or after so long without [0: at once] */
};

/* A virtual port that the store binds to an interface of this host. */
struct sync_binding {
    topo_ref port;
    struct uuid id;
    char ifname[16];
    topo_ref previous; /* host that served it before, 0 none */
};

struct sync_callbacks {
    void *aux;
    /* These became untrue. */
    void (*changed)(void *aux, const struct tag_change *changes, size_t n);
    /* These needs are met: the slots are filled (perhaps with placeholders). */
    void (*loaded)(void *aux, const topo_ref *refs, size_t n);
    /* All bindings of this host, sorted by id, whenever one of them changed and once at first. */
    void (*bound)(void *aux, const struct sync_binding *bindings, size_t n);
    void (*connection)(void *aux, bool connected);
};

/* Borrows 'store' (whose events it takes from now on) and 't', which it alone writes from now on;
 * both must outlive it.  Callbacks may be null. */
int sync_open(struct store *store, struct topo *t, const struct sync_options *opts,
              const struct sync_callbacks *cb, struct sync **out, struct error *e);
/* What this host told the store goes when the store handle is closed.  Null is fine. */
void sync_close(struct sync *s);

/* Does what there is to do, a bounded amount of it, and returns when it wants to be called again
 * (nanoseconds, clock of 'now_ns'; 'now_ns' itself: at once) even if sync_fd() stays quiet. */
uint64_t sync_run(struct sync *s, uint64_t now_ns);
/* Readable (poll) while there is something for sync_run(). */
int sync_fd(struct sync *s);

/* Any thread.  Asks for the object of a slot; sync_callbacks.loaded tells when it is there. */
void sync_need(struct sync *s, topo_ref ref);
/* The slot of an object, asked for at the same time. */
topo_ref sync_load(struct sync *s, enum topo_kind kind, const struct uuid *id);
/* Runs until no need is open, sleeping on sync_fd() in between: for one-shot tools. */
int sync_settle(struct sync *s, unsigned timeout_ms, struct error *e);

/* A worker's way to tell what packets taught.  Entries take effect in the tables at once, in the
 * store a moment later; what is there already, and fresh, costs a look into a small cache.
 * One per worker, used by it only; the worker is a registered reader. */
struct sync_learner;
struct sync_learner *sync_learner_new(struct sync *s);
void sync_learner_free(struct sync_learner *l); /* null is fine; before sync_close() */

/* 'port' is bound to this host. */
void sync_learn_mac(struct sync_learner *l, uint64_t now_ns, topo_ref bridge, uint16_t vlan,
                    const struct mac *mac, topo_ref port);
void sync_learn_neigh(struct sync_learner *l, uint64_t now_ns, topo_ref router, topo_ref port,
                      const struct ip *ip, const struct mac *mac);
/* A seeded address of a bridge has been claimed with another MAC (gratuitous ARP or ND). */
void sync_learn_addr(struct sync_learner *l, uint64_t now_ns, topo_ref bridge, const struct ip *ip,
                     const struct mac *mac);
/* Any thread.  Withdraws it, if it was learned here. */
void sync_forget_mac(struct sync *s, topo_ref bridge, uint16_t vlan, const struct mac *mac);
void sync_forget_neigh(struct sync *s, topo_ref router, topo_ref port, const struct ip *ip);

/* What this host tells the store about itself; kept up by sync_run() until it is true. 'interfaces'
 * is an array as the schema describes (borrowed).  May be called again when they change. */
void sync_host(struct sync *s, const char *name, const json_t *interfaces);

/* This host serves the port from now on: says so in the store, with the key under which tunnel
 * packets for it are taken, unique among this host's ports (behaviour.md section 10: type 1, 20
 * bits). 'preferred' (0: none), from an earlier life, is kept if it is free. */
uint32_t sync_port_up(struct sync *s, topo_ref port, uint32_t preferred);
/* The port moved here from another host, where its machine perhaps still is: the one that serves it
 * there does so too, and packets go to both, until this is called again with false. */
void sync_port_moving(struct sync *s, topo_ref port, bool moving);
/* All ports that this host serves as it starts have been named (sync_port_up()). */
void sync_ports_told(struct sync *s);
/* Not any more; the MACs learned behind it are withdrawn. */
void sync_port_down(struct sync *s, topo_ref port);

struct sync_status {
    bool connected;
    uint32_t n_objects[TOPO_N_KINDS]; /* loaded, or made of what is */
    uint32_t n_missing;
    uint32_t n_watches;
    uint32_t n_needs;          /* open */
    uint32_t n_macs, n_neighs; /* learned here and shared */
    uint32_t n_unshared;       /* learned or told, not yet in the store */
    uint64_t changes;          /* devices brought up to date */
    uint64_t reloads;          /* of them, read as a whole */
    uint64_t snapshots;        /* of what was read so, from a snapshot */
    uint64_t reads, writes;    /* nodes read, commits */
    uint64_t conflicts;        /* commits that another writer forestalled */
    uint64_t broken;           /* objects that couldn't be understood */
    uint64_t ignored;          /* settings that mean nothing: DHCP options nobody knows */
    uint64_t learns_dropped;   /* more than could be queued, or fit in a table */
    size_t memory;             /* the loader's own: topo_memory() is apart */
};
/* The topology thread. */
void sync_status(const struct sync *s, struct sync_status *out);

#endif
