/* Fair turns among ports for packets that wait for the agent.
 *
 * Each port has a queue of its own, bounded by the filling; ports with something in it stand in a
 * ring, and upcall_take() serves one packet of the first and puts the port at the end.  So a port
 * that floods waits behind itself only.  Packets taken stay allocated until upcall_release().
 *
 * Thread: one owner, or the filling's lock. */
#ifndef MN_DATAPATH_UPCALL_H
#define MN_DATAPATH_UPCALL_H

#include "datapath/datapath.h"

struct upcall {
    struct upcall *prev, *next; /* in its port's queue, later in 'taken' */
    struct dp_upcall up;        /* up.packet points into data[] */
    uint32_t room;              /* bytes of data[] */
    uint8_t data[];
};

struct upcall_port {
    struct upcall_port *prev, *next; /* in 'turn', while 'head' */
    struct upcall *head;
    unsigned n;
};

struct upcall_turns {
    struct upcall_port *turn;
    struct upcall *taken; /* handed to the agent */
    struct upcall *spare; /* small ones, to be used again; singly linked by 'next' */
    unsigned n_waiting, n_spare;
};

/* A fresh one with 'size' bytes of room; its 'up' is zero. */
struct upcall *upcall_new(struct upcall_turns *t, uint32_t size);
void upcall_push(struct upcall_turns *t, struct upcall_port *port, struct upcall *u);
struct upcall *upcall_take(struct upcall_turns *t); /* null when none waits */
void upcall_release(struct upcall_turns *t);        /* all that were taken */
void upcall_drop_port(struct upcall_turns *t, struct upcall_port *port);
void upcall_free(struct upcall_turns *t); /* taken and spare; ports are dropped before */
uint64_t upcall_bytes(const struct upcall_turns *t);

#endif
