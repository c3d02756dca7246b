/* A log of the backup, damaged: the first bytes say where, the rest with what.  Of the frames that
 * are left whole everything is read, in the right order; whatever else is there, nothing more
 * than what its hash vouches for. */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "state/backup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FRAMES = 8, PER_FRAME = 3 };

static size_t write_log(uint8_t *log)
{
    const struct wire_header h = {.type = WIRE_RECORDS};
    size_t size = 0;

    for (unsigned f = 0; f < FRAMES; f++) {
        struct wire_writer w;
        wire_begin(&w, log + size + BACKUP_FRAME, BACKUP_MESSAGE_MAX, &h);
        for (unsigned i = 0; i < PER_FRAME; i++) {
            const struct wire_record r = {
                .rec = {.kind = STATE_CONN, .fwd = {.sport = (uint16_t)(f * PER_FRAME + i)}}};
            wire_add(&w, &r);
        }
        backup_frame(log + size, w.size, 1000, 1000);
        size += BACKUP_FRAME + w.size;
    }
    return size;
}

static int falling(const struct wire_record *r, void *aux)
{
    unsigned *last = aux;

    if (r->rec.fwd.sport >= *last)
        abort();
    *last = r->rec.fwd.sport;
    return 0;
}

static int ignore(const struct wire_record *r, void *aux)
{
    (void)r;
    (void)aux;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t log[FRAMES * (BACKUP_FRAME + 512)];
    unsigned last = FRAMES * PER_FRAME;
    uint64_t damaged = 0;

    backup_each(data, size, NULL, 0, 1500, &damaged, ignore, NULL);
    if (size < 2)
        return 0;
    size_t n = write_log(log), at = (data[0] | (size_t)data[1] << 8) % n;
    memcpy(log + at, data + 2, MIN(size - 2, n - at));
    backup_each(log, n, NULL, 0, 1500, &damaged, falling, &last);
    return 0;
}
