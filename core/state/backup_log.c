#include <endian.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "state/backup.h"

static const uint8_t magic[4] = {'M', 'N', 'S', 'B'};

enum { AT_SIZE = 4, AT_HASH = 8, AT_WRITTEN = 16, AT_LIFE = 24 };

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
    return be32toh(v);
}

static uint64_t get64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return be64toh(v);
}

/* Of all behind the hash, and the size. */
static uint64_t hash_of(const uint8_t *frame, size_t size)
{
    return hash_stable(frame + AT_WRITTEN, BACKUP_FRAME - AT_WRITTEN + size, size);
}

void backup_frame(void *frame, size_t size, uint64_t written_ms, uint32_t life_ms)
{
    uint8_t *p = frame;
    uint64_t written = htobe64(written_ms);
    uint32_t life = htobe32(life_ms), n = htobe32((uint32_t)size);

    memcpy(p, magic, sizeof magic);
    memcpy(p + AT_SIZE, &n, sizeof n);
    memcpy(p + AT_WRITTEN, &written, sizeof written);
    memcpy(p + AT_LIFE, &life, sizeof life);
    uint64_t hash = htobe64(hash_of(p, size));
    memcpy(p + AT_HASH, &hash, sizeof hash);
}

static bool whole(const uint8_t *p, size_t left)
{
    if (left < BACKUP_FRAME || memcmp(p, magic, sizeof magic) != 0)
        return false;
    size_t size = get32(p + AT_SIZE);
    return size <= BACKUP_MESSAGE_MAX && size <= left - BACKUP_FRAME &&
           get64(p + AT_HASH) == hash_of(p, size);
}

const void *backup_next(const void *log, size_t size, size_t *at, size_t *message_size,
                        uint64_t *written_ms, uint32_t *life_ms, uint64_t *damaged)
{
    const uint8_t *p = log;
    bool skipped = false;

    while (*at < size) {
        const uint8_t *frame = p + *at;
        if (whole(frame, size - *at)) {
            *damaged += skipped;
            *message_size = get32(frame + AT_SIZE);
            *written_ms = get64(frame + AT_WRITTEN);
            *life_ms = get32(frame + AT_LIFE);
            *at += BACKUP_FRAME + *message_size;
            return frame + BACKUP_FRAME;
        }
        skipped = true;
        const uint8_t *next = memchr(frame + 1, magic[0], size - *at - 1);
        *at = next ? (size_t)(next - p) : size;
    }
    *damaged += skipped;
    return NULL;
}

static bool concerns(const struct wire_record *r, const struct uuid *ids, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (uuid_equal(&r->device, &ids[i]))
            return true;
        for (unsigned k = 0; k < r->n_ports; k++) {
            if (uuid_equal(&r->ports[k], &ids[i]))
                return true;
        }
    }
    return !n;
}

static int each_of_message(const void *message, size_t size, uint64_t age_ms,
                           const struct uuid *ids, uint32_t n_ids, uint64_t *damaged,
                           state_backup_fn *fn, void *aux)
{
    struct wire_record recs[WIRE_RECORDS_MAX];
    int n = wire_records(message, size, recs), rc = 0;

    *damaged += n < 0;
    while (n-- > 0 && !rc) {
        if (!concerns(&recs[n], ids, n_ids))
            continue;
        recs[n].idle_ms = (uint32_t)MIN(recs[n].idle_ms + age_ms, (uint64_t)UINT32_MAX);
        rc = fn(&recs[n], aux);
    }
    return rc;
}

int backup_each(const void *log, size_t size, const struct uuid *ids, uint32_t n_ids,
                uint64_t wall_ms, uint64_t *damaged, state_backup_fn *fn, void *aux)
{
    struct frame {
        const void *message;
        size_t size;
        uint64_t age_ms;
    } *frames = NULL;
    size_t n = 0, room = 0, at = 0, message_size;
    uint64_t written_ms;
    const void *m;
    uint32_t life_ms;
    int rc = 0;

    while ((m = backup_next(log, size, &at, &message_size, &written_ms, &life_ms, damaged))) {
        /* A clock that went back doesn't let entries live for ever. */
        uint64_t age_ms = written_ms <= wall_ms ? wall_ms - written_ms : written_ms - wall_ms;
        if (age_ms >= life_ms)
            continue;
        if (n == room) {
            room = MAX((size_t)64, room * 2);
            frames = mem_resize(frames, room * sizeof *frames);
        }
        frames[n++] = (struct frame){m, message_size, age_ms};
    }
    while (n-- > 0 && !rc)
        rc = each_of_message(frames[n].message, frames[n].size, frames[n].age_ms, ids, n_ids,
                             damaged, fn, aux);
    free(frames);
    return rc;
}
