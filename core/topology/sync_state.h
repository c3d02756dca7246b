/* Inside the loader: what this host says, of itself (sync_state.c) and of the ports it serves
 * (sync_serve.c).  The two meet in the commit by which it comes back. */
#ifndef MN_TOPOLOGY_SYNC_STATE_H
#define MN_TOPOLOGY_SYNC_STATE_H

#include "topology/sync_impl.h"

/* Bits of host_due. */
enum { STATE_HOST = 1, STATE_ALIVE = 2, STATE_INTERFACES = 4 };

enum { ALIVE_OPS = LIVES_MAX + 3 };

/* What says that this host is alive: "alive" and the name beside it (sync_alive.c). */
struct alive_commit {
    struct sync_lives lives;
    char name[STORE_PATH_MAX], path[STORE_PATH_MAX], text[160];
    struct store_op ops[ALIVE_OPS];
    size_t n;
};

/* sync_state.c */
/* The operations that say that this host is alive, as things are now. */
int sync_state_add_alive(struct sync *s, struct alive_commit *a);

/* sync_serve.c */
/* Writes the ports that are due; that the host is alive, with the first of them, if that is due. */
int sync_serve_flush(struct sync *s);
void sync_serve_free(struct sync *s);

#endif
