/* Exchange: what an agent knows of connections, told to the agents that need it, and heard of them.
 *
 * Who needs it: the host where the connection leaves the virtual network, which will see it come
 * back; and where a port on its way belongs to a stateful group, the hosts of the group's other
 * ports, which may.  They are told when a connection is made, before its first packet is sent (so
 * the record is there before any answer can be, net/mail.h), and again while it is used.  What gets
 * lost on the way is noticed and said again (state/peer.h).
 *
 * What is heard is committed to the table at once, as received, and the tags of new records are
 * announced: a return packet that was there too early is simulated again.  A record of a device
 * that nobody here has met waits a moment in the topology thread, which interns it.
 *
 * A port that moved here from another host brings its connections: its former host is asked for
 * them before the port is served, and says when that was all.  From then on that host is told of
 * them like a peer, because the ports they are translated to are of blocks that it has leased.
 *
 * Only agents are believed whose address, in a tunnel zone they share with us, is where the
 * datagram comes from.
 *
 * Threads: any; one lock, held for encoding and decoding, never while waiting.  A worker calls
 * exchange_hear() before it looks at packets: what came before them, whoever took it in, is known
 * when it returns.  Callers of exchange_tell() and exchange_hear() are registered RCU readers. */
#ifndef MN_AGENT_EXCHANGE_H
#define MN_AGENT_EXCHANGE_H

#include "net/mail.h"
#include "sim/sim.h"
#include "state/wire.h"

struct exchange;

struct exchange_options {
    struct uuid host;
    topo_ref local_host;
    uint64_t life; /* grows with each start: wall clock will do */
    struct mail *mail;
    const struct topo *topo;
    struct state *state;
};

struct exchange_callbacks {
    void *aux;
    /* These became untrue by what was heard. */
    void (*changed)(void *aux, const struct tag_change *changes, size_t n);
    /* Load this object. */
    void (*need)(void *aux, topo_ref ref);
    /* Intern this device, or host; then call exchange_met(). */
    void (*meet)(void *aux, enum topo_kind kind, const struct uuid *id);
    /* exchange_run() has something to do now: another thread than its own has heard mail. */
    void (*due)(void *aux);
    /* All connections of the port that moved here are there (or its former host is silent). */
    void (*fetched)(void *aux, topo_ref port);
};

struct exchange *exchange_new(const struct exchange_options *opts,
                              const struct exchange_callbacks *cb);
void exchange_free(struct exchange *x); /* null is fine; the mail is the caller's */

#define EXCHANGE_PEERS 64 /* hosts told of one connection */

/* Hosts that must know of connections from port 'in' to the ports of outs[], this one left out.
 * Sorted.  A group or port that isn't loaded is in *lacking (0: none): load it and ask again. */
unsigned exchange_peers(const struct topo *t, topo_ref local_host, topo_ref in,
                        const struct sim_out *outs, uint32_t n_outs, topo_ref hosts[EXCHANGE_PEERS],
                        topo_ref *lacking);

/* Tells these hosts; sent at once, or by exchange_flush() at the latest.  recs are committed. */
void exchange_tell(struct exchange *x, const topo_ref *hosts, unsigned n_hosts,
                   const struct state_rec *recs, uint32_t n, const struct state_via *via,
                   uint64_t now);
void exchange_flush(struct exchange *x, uint64_t now);

/* Takes in all mail that is there. */
void exchange_hear(struct exchange *x, uint64_t now);
/* Says again, acknowledges, asks again; returns when it wants to be called next. */
uint64_t exchange_run(struct exchange *x, uint64_t now);

/* The slot of what exchange_callbacks.meet named; topology thread. */
void exchange_met(struct exchange *x, topo_ref ref, uint64_t now);

/* The host is loaded: what it has said meanwhile is heard now.  Topology thread. */
void exchange_known(struct exchange *x, topo_ref host, uint64_t now);

/* Asks 'host' for the connections through 'port', which moved here: exchange_callbacks.fetched
 * follows, after 'limit_ns' at the latest.  Once more for the same port: nothing. */
void exchange_fetch(struct exchange *x, topo_ref port, topo_ref host, uint64_t limit_ns,
                    uint64_t now);

struct exchange_counters {
    uint64_t told;      /* records, counted for each host */
    uint64_t sent;      /* datagrams */
    uint64_t resent;    /* of them, repeated */
    uint64_t heard;     /* records */
    uint64_t contested; /* of them, contradicted what is known here */
    uint64_t strangers; /* datagrams of senders that aren't believed, or not known in time */
    uint64_t malformed;
    uint64_t lost;    /* messages that will never come */
    uint64_t no_way;  /* no tunnel zone shared with a host that should be told */
    uint64_t fetched; /* ports whose connections were asked for */
    uint64_t fetch_timeouts;
};
void exchange_counters(struct exchange *x, struct exchange_counters *out);
size_t exchange_memory(struct exchange *x);

#endif
