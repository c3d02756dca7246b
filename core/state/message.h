/* Messages: connection records on their way between agents.
 *
 * A datagram (net/mail.h) has a header and sections, each with its type and size, so that a reader
 * skips what it doesn't know; numbers are big-endian.
 *
 *   header, 48 bytes
 *      0  "mnst"          4  version (1)   5  zero   6  size of the datagram (2 bytes)
 *      8  sender's host id (16)
 *     24  sender's incarnation (8): grows with each start
 *     32  incarnation of the receiver that 'ack' is about (8), 0: none
 *     40  sequence number (4), 0: unnumbered   44  the first number not yet given up (4)
 *   section: type (1), zero (1), size of its body (2), body
 *      ACK      cumulative (4), then a bit for each of the next 64 numbers that is there (8)
 *      RECORDS  device id (16), kind of device (1), zero (1), ids of the exterior ports the
 *               connections go through, in and out (16 each, zero: unknown), then records
 *      ASK      port id (16), number of the question (4): records that go through this port
 *      END      number of the question (4): that was all
 *   record, 10 bytes and its addresses
 *      kind (1), protocol (1), which of src, dst, to are 4 bytes: bits 0, 1, 2 (1), zero (1),
 *      idle seconds (2), source, destination, translated port (2 each; no translated one for CONN),
 *      then src, dst, to (4 or 16 each; no 'to' for CONN)
 *
 * Devices and ports travel as ids; what they are here is the caller's business.  Reading trusts
 * nothing: lengths are checked, values too, and a datagram that breaks a rule is refused whole
 * before anything of it is used.  Thread: pure functions. */
#ifndef MN_STATE_MESSAGE_H
#define MN_STATE_MESSAGE_H

#include "net/mail.h"
#include "state/state.h"

#define MESSAGE_HEADER 48
#define MESSAGE_GROUP  54 /* a RECORDS section before its records, with its own header */
#define MESSAGE_RECORD 62 /* at most */

struct message_head {
    struct uuid sender;
    uint64_t inc, ack_inc;
    uint32_t seq, first;
    bool has_ack;
    uint32_t ack;
    uint64_t ack_more;
};

/* What all records of a section have in common. */
struct message_group {
    struct uuid device, in, out;
    uint8_t kind; /* enum topo_kind of the device: router or bridge */
};

/* A datagram being written: begin, add, finish. */
struct message {
    uint8_t data[MAIL_MAX];
    size_t size;
    size_t group_at; /* of the open RECORDS section, 0: none */
    struct message_group group;
    uint32_t n_records;
};

void message_begin(struct message *m);
static inline bool message_is_empty(const struct message *m)
{
    return m->size <= MESSAGE_HEADER;
}
/* False when it doesn't fit any more: send this one and begin another. */
bool message_add_record(struct message *m, const struct message_group *g, const struct state_rec *r,
                        uint32_t idle_s);
bool message_add_ask(struct message *m, const struct uuid *port, uint32_t number);
bool message_add_end(struct message *m, uint32_t number);
/* Fills the header in; an ACK section is added when h->has_ack (room for it is always left). */
void message_finish(struct message *m, const struct message_head *h);

/* Called for each part in order; 'device' of 'r' is 0. */
struct message_reader {
    void *aux;
    void (*record)(void *aux, const struct message_group *g, const struct state_rec *r,
                   uint32_t idle_s);
    void (*ask)(void *aux, const struct uuid *port, uint32_t number);
    void (*end)(void *aux, uint32_t number);
};

/* 0, or -EBADMSG: it isn't a message, or one of a version that can't be read. */
int message_head(const uint8_t *data, size_t size, struct message_head *h);
/* Of a datagram that message_head() took. */
void message_read(const uint8_t *data, size_t size, const struct message_reader *r);

#endif
