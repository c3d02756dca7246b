/* Bindings: virtual ports meet interfaces.
 *
 * A port is served while three things hold: the store binds it to an interface of this host, the
 * interface is there, and it is up with a link.  Then it becomes a port of the datapath, gets a
 * tunnel key, and is declared active.  When one leg is lost all of that is undone, in this order:
 *
 *     the port map loses it        workers treat its packets as nobody's from here on
 *     each worker removes          every flow that enters or leaves by it, and says so
 *     the datapath loses it        only now may its number be used again
 *
 * A port that moves to another host, whose machine perhaps runs on meanwhile (a live migration
 * binds the port first and moves the machine when all is ready), is served by both for a while:
 * here until the store says that the new host does so alone, or until its interface goes; there
 * from the start, and alone as soon as the machine has been heard there.  Packets to it go to both,
 * so that none is lost whenever the moment comes.
 *
 * Thread: control. */
#ifndef MN_AGENT_BINDING_H
#define MN_AGENT_BINDING_H

#include "agent/agent.h"

struct bindings;

/* The connections of the port that moved here are there, or won't come. */
void bindings_fetched(struct bindings *b, topo_ref port);

struct bindings *bindings_new(struct agent *a);
/* keep: interfaces stay as they are. */
void bindings_free(struct bindings *b, bool keep);

/* What the store wants; copied. */
void bindings_want(struct bindings *b, const struct sync_binding *list, size_t n);
void bindings_iface(struct bindings *b, const struct net_iface *iface, bool gone);
/* The datapath has lost interfaces to other programs (dp_check): such a port is down, and is taken
 * over again as soon as that works. */
void bindings_taken(struct bindings *b);
/* The machine of the port that moved here runs here: its first packet has come. */
void bindings_heard(struct bindings *b, topo_ref port);
/* The loader gave a port another key than asked for. */
void bindings_key(struct bindings *b, topo_ref port, uint32_t key);

/* Serves and gives up what is due; returns when to try again something that failed. */
uint64_t bindings_run(struct bindings *b, uint64_t now);
/* The store's wishes are known and acted upon. */
bool bindings_settled(const struct bindings *b);
int bindings_each(struct bindings *b, agent_port_fn *fn, void *aux);
/* Gives back ports of the datapath that an earlier process left and nobody wants. */
void bindings_sweep(struct bindings *b);

#endif
