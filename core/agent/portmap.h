/* Which virtual port is behind which port of the datapath, and the other way round.
 *
 * A map is immutable (but for 'unheard'); the control thread builds the next one and swaps it in
 * under RCU, workers read the one that hangs there.  It has what is bound and taken over on this
 * host now, nothing else.  Threads: one writer; any registered reader. */
#ifndef MN_AGENT_PORTMAP_H
#define MN_AGENT_PORTMAP_H

#include <stddef.h>

#include "topology/topology.h"

struct portmap;

struct portmap_entry {
    topo_ref port;
    uint32_t port_no;
    int unheard; /* atomic: it moved here, and nothing has come in by it yet */
};

struct portmap *portmap_new(const struct portmap_entry *entries, size_t n);
void portmap_free(struct portmap *m);       /* no reader may be left; null is fine */
void portmap_free_later(struct portmap *m); /* after a grace period; null is fine */

topo_ref portmap_port(const struct portmap *m, uint32_t port_no); /* 0: none */
uint32_t portmap_no(const struct portmap *m, topo_ref port);      /* 0: none */
/* Something came in by it: true for the first time, if it is news. */
bool portmap_heard(struct portmap *m, uint32_t port_no);
void portmap_each(const struct portmap *m, void (*fn)(topo_ref port, void *aux), void *aux);
size_t portmap_size(const struct portmap *m);

#endif
