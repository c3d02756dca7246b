/* Waiting room: packets whose simulation lacks something (an object being loaded, a neighbour being
 * asked, ports being leased).
 *
 * Each waits for tags: the loaded object's, the neighbour entry's, the lease's.  When one of them
 * is announced, the packet is ready to be simulated again from the start; when its time is over, it
 * is ready too, with its needs given up.  Bounded in packets, and in packets for one need: then the
 * oldest that waits for the same goes.  Thread: one owner. */
#ifndef MN_AGENT_PARKED_H
#define MN_AGENT_PARKED_H

#include "datapath/datapath.h"
#include "sim/sim.h"

#define PARKED_MAX    1024
#define PARKED_NEEDS  8   /* of one packet; more are taken up when it is simulated again */
#define PARKED_SAME   16  /* packets that wait for the same neighbour or lease */
#define PARKED_OBJECT 256 /* ... for the same object: few are loaded at a time, and not for long   \
                           */

struct parked_packet {
    struct dp_upcall up; /* packet: a copy */
    uint64_t until_ns;
    bool timed_out;
    uint32_t n_needs;
    struct sim_need needs[PARKED_NEEDS];
};

/* The tag that is announced when it is met. */
static inline tag_t parked_tag(const struct sim_need *need)
{
    switch ((enum sim_need_kind)need->kind) {
    case SIM_NEED_NEIGH:
        return tag_neigh(need->ref, &need->ip);
    case SIM_NEED_PORTS:
        return tag_ports(need->ref, &need->ip);
    default:
        return tag_object(need->ref);
    }
}

struct parked;

struct parked *parked_new(void);
void parked_free(struct parked *p);

/* Takes a copy of the packet.  When another had to go for it, *gone is that one (the caller counts
 * it and calls parked_done), else null. */
void parked_add(struct parked *p, const struct dp_upcall *up, const struct sim_need *needs,
                uint32_t n_needs, uint64_t until_ns, struct parked_packet **gone);
/* Those that wait for this tag become ready. */
void parked_wake(struct parked *p, tag_t tag);
void parked_wake_all(struct parked *p);
/* Those whose time is over become ready. */
void parked_expire(struct parked *p, uint64_t now);
/* A packet that is ready, taken out of the room, or null; give it back by parked_done(). */
struct parked_packet *parked_ready(struct parked *p);
void parked_done(struct parked *p, struct parked_packet *packet);

uint32_t parked_size(const struct parked *p);
bool parked_any_ready(const struct parked *p);
/* When the next one's time is over; UINT64_MAX when the room is empty. */
uint64_t parked_next_ns(const struct parked *p);
size_t parked_memory(const struct parked *p);

#endif
