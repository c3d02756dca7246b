/* The durable copy of connection state: for an agent that starts again, and for the host to which
 * a port moves.
 *
 * It is a backup, nothing else: no packet waits for it, what it lost is learned anew from the peers
 * or by the connection being opened again.  So writing never blocks, is done in batches by a thread
 * of its own, and drops (and counts) what the medium can't take.  An entry lives for a time after
 * it was written last (120 s, twice what an unused record lives), because records in use are
 * written again as they are told to the peers again.
 *
 * An interface with fillings, as store and datapath: a file of the host (below), later a database
 * that several hosts share.  Entries are the records of wire.h, named by uuids, so that they mean
 * the same in another life and on another host.
 *
 * The file: a folder of at most eight segments, each a log of frames
 *
 *     "MNSB"  size  hash  written  life  message
 *        4      4     8      8       4     size
 *
 * A segment that is full is followed by a new one; the oldest is removed when there are too many,
 * or when all in it has expired.  Nothing is rewritten, so a crash at any moment can only cut the
 * last frame; a frame whose hash is wrong is skipped up to the next that is whole.
 *
 * Threads: state_backup_write() any; the others one at a time. */
#ifndef MN_STATE_BACKUP_H
#define MN_STATE_BACKUP_H

#include "base/error.h"
#include "state/wire.h"

struct state_backup_status {
    uint64_t written, dropped; /* records */
    uint64_t damaged;          /* frames, or what was one, skipped by the last read */
    uint64_t bytes;            /* held by the medium */
    int error;                 /* of the last write; 0 */
};

/* Return 0 to go on. 'r' is the caller's until it returns; idle_ms counts the time since. */
typedef int state_backup_fn(const struct wire_record *r, void *aux);

struct state_backup {
    const struct state_backup_ops *ops;
};

struct state_backup_ops {
    /* Enters records, to live from 'wall_ms' (Unix time).  Never blocks. */
    void (*write)(struct state_backup *b, const struct wire_record *recs, uint32_t n,
                  uint64_t wall_ms);
    /* All live records that concern one of these ports or devices (n_ids 0: all), the latest of
     * one connection first.  Blocks, by no more than timeout_ms where that can be said. */
    int (*read)(struct state_backup *b, const struct uuid *ids, uint32_t n_ids, uint64_t wall_ms,
                unsigned timeout_ms, state_backup_fn *fn, void *aux);
    void (*flush)(struct state_backup *b); /* waits until all that was written can be read */
    void (*status)(struct state_backup *b, struct state_backup_status *out);
    void (*close)(struct state_backup *b); /* flushes */
};

struct state_backup_file_options {
    uint64_t max_bytes;  /* of all segments; 0: 64 MiB */
    uint32_t life_ms;    /* 0: 120,000 */
    uint32_t queue_size; /* bytes that may wait; 0: 4 MiB */
};

/* Makes the folder if need be; what it holds of earlier lives is kept until it expires. */
int state_backup_file(const char *folder, const struct state_backup_file_options *opts,
                      struct state_backup **out, struct error *e);

/* Between the files of the backup: frames in memory (backup_log.c). */
enum { BACKUP_FRAME = 28, BACKUP_MESSAGE_MAX = 8192 };
/* Writes the header of a frame whose message stands behind it. */
void backup_frame(void *frame, size_t size, uint64_t written_ms, uint32_t life_ms);
/* Finds the next whole frame at or after *at: its message, or null at the end.  *damaged counts
 * what was skipped. */
const void *backup_next(const void *log, size_t size, size_t *at, size_t *message_size,
                        uint64_t *written_ms, uint32_t *life_ms, uint64_t *damaged);
/* The live records of a log that concern 'ids', latest first. */
int backup_each(const void *log, size_t size, const struct uuid *ids, uint32_t n_ids,
                uint64_t wall_ms, uint64_t *damaged, state_backup_fn *fn, void *aux);

#endif
