/* How agents tell each other of connections, and how the backup writes them down.
 *
 * A message is a header and items, each with its type and length, all in network order:
 *
 *     "MNS1"  version 1  type  stream   sender   life   number         header, 40 bytes
 *        4        1        1      2       16       8       8
 *     type size value...                                                item
 *       2    2
 *
 * A reader skips items it doesn't know and what an item has behind what it knows, so that newer
 * agents may say more; the version changes only when an old reader would misunderstand.  Records
 * name their device by its place among the message's DEVICE items, because slots (topo_ref) are
 * local; and the exterior ports they concern likewise.  A record of IPv4 takes 32 bytes, so that
 * one connection (CONN and SNAT) is a datagram of 150.
 *
 * Decoding is of a whole message or of nothing; no length is believed before it was checked.
 * Thread: pure. */
#ifndef MN_STATE_WIRE_H
#define MN_STATE_WIRE_H

#include "state/state.h"

enum {
    WIRE_MAX = 1400, /* of a datagram: fits beneath a tunnel of an MTU of 1500 */
    WIRE_HEADER = 40,
    WIRE_RECORDS_MAX = 64, /* of a message: one commit */
    WIRE_PORTS_MAX = 4,    /* of a record */
    WIRE_IDS_MAX = 64,     /* devices and ports of a message */
    WIRE_MISSING_MAX = 32,
};

/* Numbers of messages are below: none was ever counted that far, and a sum with one can't wrap. */
#define WIRE_NUMBER_END (1ull << 62)

enum wire_type {
    WIRE_RECORDS = 1, /* records; numbered: 1, 2, ... of a life */
    WIRE_PROBE = 2,   /* 'number' was the last: what of it is there? */
    WIRE_REPORT = 3,  /* what is there and what is missing of your messages */
    WIRE_GONE = 4,    /* numbers that can't be sent again */
    WIRE_ASK = 5,     /* tell me the records of this port; 'number' is the question's */
    WIRE_ANSWER =
        6, /* to question 'number': that was all, up to the message of the number within */
};

struct wire_header {
    uint8_t type;    /* enum wire_type */
    uint16_t stream; /* of the sender: each of its threads has one */
    struct uuid sender;
    uint64_t life; /* of the sender, grows */
    uint64_t number;
};

struct wire_record {
    struct state_rec rec; /* 'device' is for the caller's map */
    struct uuid device;
    uint32_t idle_ms; /* when it was sent */
    uint8_t n_ports;
    struct uuid ports[WIRE_PORTS_MAX]; /* exterior ports it concerns; may be none */
};

struct wire_range {
    uint64_t first, last;
};

/* Of WIRE_REPORT: of the messages of (life, stream) all up to 'all' are there, but for missing[].
 * Of WIRE_GONE: missing[] only. */
struct wire_report {
    uint64_t life;
    uint64_t all;
    uint16_t stream;
    uint8_t n_missing;
    struct wire_range missing[WIRE_MISSING_MAX];
};

/* Writing: into the caller's buffer, of at least WIRE_HEADER bytes. */
struct wire_writer {
    uint8_t *buf;
    size_t size, room;
    unsigned n_records, n_ids;
    struct uuid ids[WIRE_IDS_MAX];
};

void wire_begin(struct wire_writer *w, void *buf, size_t room, const struct wire_header *h);
/* False: it doesn't fit any more (nothing of it was written). */
bool wire_add(struct wire_writer *w, const struct wire_record *r);
/* Without the copies of a wire_record: ports may be null if there are none. */
bool wire_add_rec(struct wire_writer *w, const struct state_rec *rec, const struct uuid *device,
                  uint32_t idle_ms, const struct uuid *ports, unsigned n_ports);
bool wire_add_id(struct wire_writer *w, const struct uuid *id);
bool wire_add_number(struct wire_writer *w, uint64_t number);
bool wire_add_report(struct wire_writer *w, const struct wire_report *r);

/* Reading.  0; -EINVAL: malformed; -EPROTONOSUPPORT: of another version. */
int wire_header(const void *buf, size_t size, struct wire_header *out);
/* The records of a message, at most WIRE_RECORDS_MAX: how many, or an error. */
int wire_records(const void *buf, size_t size, struct wire_record *out);
int wire_report(const void *buf, size_t size, struct wire_report *out);
int wire_ask(const void *buf, size_t size, struct uuid *port);
int wire_answer(const void *buf, size_t size, uint64_t *last);

#endif
