/* The datapath in memory: what tests and simulations of many hosts hold instead of a kernel.
 *
 * It has virtual interfaces, made and removed here like cables by a person: memory_inject() is a
 * frame sent by the machine behind an interface, memory_take() one that arrived there.  A
 * switchboard joins the datapaths of one process by their tunnel addresses; a tunnelled frame is
 * with its receiver when the call that sent it returns, so a test needs no waiting and no threads.
 *
 * Nothing is imitated that matters to the agent: flows really match under their masks and really
 * rewrite, a TTL that doesn't last goes up, the table fills, interfaces vanish, upcalls wait per
 * port and get lost when too many.  There are no offloads (csum_partial, gso_size stay 0) and no
 * MTU.
 *
 * A 'struct dp' closed with keep stays alive under its name and goes on forwarding; these calls may
 * still be used on it, and the next dp_open() of the name gives the same one.
 *
 * Threads: any; each datapath has a lock.  A board outlives the datapaths that joined it. */
#ifndef MN_DATAPATH_MEMORY_H
#define MN_DATAPATH_MEMORY_H

#include "datapath/datapath.h"
#include "net/mail.h"

int memory_if_add(struct dp *dp, const char *ifname); /* -EEXIST */
int memory_if_del(struct dp *dp, const char *ifname); /* -ENOENT; its port stays, gone */

/* -ENOENT: no such interface; dropped silently when no port took it over. */
int memory_inject(struct dp *dp, const char *ifname, const void *frame, size_t size);
/* Oldest frame that left by the interface into 'buf' (cut to 'room'): its size, 0 when there is
 * none, -ENOENT.  The last 1024 are kept. */
int memory_take(struct dp *dp, const char *ifname, void *buf, size_t room);
/* A frame out of a tunnel that ends here, from nowhere in particular. */
void memory_inject_tunnel(struct dp *dp, uint32_t tun_id, const void *frame, size_t size);

/* Time for statistics, upcall stamps and rates; without: CLOCK_MONOTONIC. */
void memory_dp_set_clock(struct dp *dp, uint64_t (*now)(void *aux), void *aux);

struct memory_board;
struct memory_board *memory_board_new(void);
void memory_board_free(struct memory_board *board);
void memory_dp_join(struct dp *dp, struct memory_board *board);
/* Cuts the underlay cable of an address, or mends it. */
void memory_board_cut(struct memory_board *board, const struct ip *local, bool cut);

/* Mail between the agents on a board, from and to the addresses their datapaths have as tunnel
 * addresses.  To be closed before the datapath. */
struct mail *memory_mail_open(struct dp *dp);
/* So many datagrams of eight get lost from now on. */
void memory_board_lose_mail(struct memory_board *board, unsigned in_8);

#endif
