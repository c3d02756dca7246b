/* Peer: the conversation with one other agent about connections.
 *
 * What is said is numbered; the other acknowledges what it has (up to a number, and a bit for each
 * of the 64 behind it), and what isn't acknowledged soon is said again, a few times.  So a lost
 * datagram costs a moment, not the connection: nobody waits for it, since records are used as they
 * come, in any order, and twice does no harm.  What can't be delivered is given up, told as such by
 * the header's "first", and healed by the refresh of what is still in use.
 *
 * An agent that starts again has a new incarnation: both sides notice, numbers begin anew.
 *
 * Pure of I/O and clock.  Thread: the owner's. */
#ifndef MN_STATE_PEER_H
#define MN_STATE_PEER_H

#include "state/message.h"

#define PEER_WINDOW   1024              /* datagrams not yet acknowledged; the oldest goes */
#define PEER_TRIES    8                 /* of a datagram: over 5 s */
#define PEER_RETRY_NS (20 * 1000000ull) /* doubles with each */
#define PEER_ACK_NS   (5 * 1000000ull)  /* an acknowledgement waits so long for company */

struct peer;

struct peer *peer_new(const struct uuid *self, uint64_t inc);
void peer_free(struct peer *p); /* null is fine */

/* Numbers a message, puts the header on and keeps a copy; the caller sends m->data. */
void peer_say(struct peer *p, struct message *m, uint64_t now);

enum peer_heard {
    PEER_NEW,   /* use it */
    PEER_AGAIN, /* it was here already */
    PEER_OLD,   /* of an earlier life of the sender: not to be used */
};
/* A datagram whose header 'h' is. */
enum peer_heard peer_hear(struct peer *p, const struct message_head *h, uint64_t now);

/* Says again what is due, and acknowledges: at most one datagram a call, in m; false when there is
 * nothing to send now. */
bool peer_due(struct peer *p, uint64_t now, struct message *m);
/* When peer_due() has something next; UINT64_MAX: not before something is said or heard. */
uint64_t peer_next_ns(const struct peer *p);

/* All numbers up to the highest heard are there, or given up by the sender. */
bool peer_is_whole(const struct peer *p);

struct peer_counters {
    uint64_t said, again, given_up, heard, duplicates, gaps;
};
const struct peer_counters *peer_counters(const struct peer *p);
uint32_t peer_unacknowledged(const struct peer *p);
size_t peer_memory(const struct peer *p);

#endif
