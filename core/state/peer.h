/* One other agent, as far as messages of connections (wire.h) are concerned: what was sent to it
 * and might have to be sent again, what came from it and what is missing.
 *
 * Datagrams get lost, overtake each other, come twice; agents restart.  So:
 *   - who sends numbers its messages and keeps the latest (256 KiB, 60 s) until they are reported;
 *   - who receives sees a gap, waits a moment (5 ms: it may just be order), and reports what is
 *     missing until it came or is said to be gone;
 *   - the loss of the last message shows no gap: who has something unreported probes after
 *     100 ms (at once when much is unreported), then ever more seldom while no answer comes.
 * What can't be sent again is no tragedy: records are told again while they are used.  A receiver
 * that lost something for good, or starts in the middle, says so by peer_news.lost; a sender whose
 * receiver began a new life is told by peer_news.restarted, and tells it everything again.
 *
 * A life is a number that grows (time of start); messages of an earlier one are ignored, unless the
 * later one has been silent for 10 s (a clock may go back).
 *
 * One for each (other agent, stream of ours) to send and (other agent, stream of its) to receive;
 * 'struct peer' is both, of one stream number.  Pure: no I/O, no clock.  Thread: its owner. */
#ifndef MN_STATE_PEER_H
#define MN_STATE_PEER_H

#include "state/wire.h"

struct peer;

struct peer *peer_new(const struct uuid *self, uint64_t life, uint16_t stream);
void peer_free(struct peer *p); /* null is fine */

/* Sending: begin a message with this header, write it, tell that it was sent (a copy is kept; a
 * message without peer_sent() leaves no trace). */
struct wire_header peer_next(const struct peer *p);
void peer_sent(struct peer *p, const struct wire_writer *w, uint64_t now);

enum peer_verdict {
    PEER_TAKE,   /* records to apply */
    PEER_DONE,   /* a message of the machinery: nothing more to do */
    PEER_IGNORE, /* a duplicate, or of an earlier life */
    PEER_BAD,    /* malformed */
};
struct peer_news {
    uint64_t lost;  /* messages that will never come */
    bool restarted; /* the receiver of ours has begun a new life, or lost some of it: tell all */
};
/* Whatever came from it; 'news' is added to. */
enum peer_verdict peer_receive(struct peer *p, const void *buf, size_t size, uint64_t now,
                               struct peer_news *news);

/* It says by other ways, in this life of its, that it has sent messages up to this number: what
 * isn't here is asked for. */
void peer_expect(struct peer *p, uint64_t life, uint64_t number, uint64_t now,
                 struct peer_news *news);
/* All of its messages up to this number are here, or will never come. */
bool peer_has(const struct peer *p, uint64_t number);

/* The next message the machinery wants to send now (probe, report, repetition): its size, or 0.
 * Call until it is 0; buf of WIRE_MAX bytes. */
size_t peer_poll(struct peer *p, uint64_t now, void *buf);
/* When to call peer_poll() again, if nothing comes; UINT64_MAX: no need. */
uint64_t peer_due(const struct peer *p);

struct peer_counters {
    uint64_t sent, resent, probes, reports, received, duplicates, lost, dropped;
};
const struct peer_counters *peer_counters(const struct peer *p);
size_t peer_memory(const struct peer *p);

#endif
