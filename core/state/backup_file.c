#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "state/backup.h"

enum { SEGMENTS = 8, PATH_SIZE = 300, WRITE_AT = 65536, WAIT_MS = 50 };

struct segment {
    uint64_t number; /* of the file's name */
    uint64_t size, expires_ms;
};

struct file_backup {
    struct state_backup base;
    char folder[256];
    uint64_t segment_max;
    uint32_t life_ms, queue_max;
    pthread_t thread;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t work, idle;
    uint8_t *queue; /* frames, whole but for the last, which is being filled */
    size_t n_queue, open_at;
    bool open, busy, stop, asked; /* 'asked': write at once */
    struct wire_writer w;         /* of the frame being filled */
    uint64_t open_ms;
    struct state_backup_status status;

    pthread_mutex_t files; /* guards segments; the thread writes, reads look */
    struct segment segments[SEGMENTS + 1];
    unsigned n_segments;
    int fd; /* of the last segment; -1 */
    uint64_t newest_ms;
};

static void path_of(const struct file_backup *f, uint64_t number, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "%s/%016" PRIx64 ".log", f->folder, number);
}

/* The queue */

static void close_frame(struct file_backup *f)
{
    if (!f->open)
        return;
    backup_frame(f->queue + f->open_at, f->w.size, f->open_ms, f->life_ms);
    f->n_queue = f->open_at + BACKUP_FRAME + f->w.size;
    f->open = false;
}

static bool open_frame(struct file_backup *f, uint64_t wall_ms)
{
    const struct wire_header h = {.type = WIRE_RECORDS};

    close_frame(f);
    if (f->n_queue + BACKUP_FRAME + BACKUP_MESSAGE_MAX > f->queue_max)
        return false;
    f->open = true;
    f->open_at = f->n_queue;
    f->open_ms = wall_ms;
    wire_begin(&f->w, f->queue + f->open_at + BACKUP_FRAME, BACKUP_MESSAGE_MAX, &h);
    return true;
}

static void file_write(struct state_backup *b, const struct wire_record *recs, uint32_t n,
                       uint64_t wall_ms)
{
    struct file_backup *f = (struct file_backup *)b;

    pthread_mutex_lock(&f->lock);
    bool first = !f->n_queue && !f->open;
    for (uint32_t i = 0; i < n; i++) {
        bool done = f->open && wire_add(&f->w, &recs[i]);
        if (!done && open_frame(f, wall_ms))
            done = wire_add(&f->w, &recs[i]);
        f->status.written += done;
        f->status.dropped += !done;
    }
    if (first || f->n_queue > WRITE_AT)
        pthread_cond_signal(&f->work);
    pthread_mutex_unlock(&f->lock);
}

/* Segments: by the thread, under 'files' */

static void remove_oldest(struct file_backup *f)
{
    char path[PATH_SIZE];

    path_of(f, f->segments[0].number, path);
    unlink(path);
    f->n_segments--;
    memmove(f->segments, f->segments + 1, f->n_segments * sizeof f->segments[0]);
}

static int begin_segment(struct file_backup *f)
{
    uint64_t number = f->n_segments ? f->segments[f->n_segments - 1].number + 1 : 1;
    char path[PATH_SIZE];

    if (f->fd >= 0)
        close(f->fd);
    path_of(f, number, path);
    f->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (f->fd < 0)
        return -errno;
    f->segments[f->n_segments++] = (struct segment){.number = number};
    while (f->n_segments > SEGMENTS ||
           (f->n_segments > 1 && f->segments[0].expires_ms <= f->newest_ms))
        remove_oldest(f);
    return 0;
}

static int write_all(int fd, const uint8_t *p, size_t size)
{
    while (size) {
        ssize_t n = write(fd, p, size);
        if (n < 0 && errno != EINTR)
            return -errno;
        p += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* A segment takes whole frames only, and one at least. */
static size_t as_many_as_fit(const uint8_t *queue, size_t size, uint64_t room)
{
    size_t at = 0, fits = 0, message_size;
    uint64_t written, damaged = 0;
    uint32_t life;

    while (backup_next(queue, size, &at, &message_size, &written, &life, &damaged)) {
        if (fits && at > room)
            break;
        fits = at;
    }
    return fits;
}

static int store_frames(struct file_backup *f, const uint8_t *p, size_t size, uint64_t newest_ms)
{
    int rc = 0;

    f->newest_ms = MAX(f->newest_ms, newest_ms);
    while (size && !rc) {
        struct segment *s = f->n_segments ? &f->segments[f->n_segments - 1] : NULL;
        if (f->fd < 0 || s->size >= f->segment_max) {
            rc = begin_segment(f);
            continue;
        }
        size_t n = as_many_as_fit(p, size, f->segment_max - s->size);
        if (n > f->segment_max - s->size && s->size) {
            rc = begin_segment(f);
            continue;
        }
        rc = write_all(f->fd, p, n);
        if (rc) { /* what was cut is taken back, or else skipped by readers */
            if (ftruncate(f->fd, (off_t)s->size))
                s->size = f->segment_max;
            break;
        }
        s->size += n;
        s->expires_ms = newest_ms + f->life_ms;
        p += n;
        size -= n;
    }
    return rc;
}

static uint64_t bytes_held(const struct file_backup *f)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < f->n_segments; i++)
        bytes += f->segments[i].size;
    return bytes;
}

static void wait_for_work(struct file_backup *f)
{
    struct timespec until;

    while (!f->stop && !f->asked && !f->n_queue && !f->open)
        pthread_cond_wait(&f->work, &f->lock);
    if (f->stop || f->asked || f->n_queue > WRITE_AT)
        return;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += WAIT_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&f->work, &f->lock, &until);
}

static void *run(void *arg)
{
    struct file_backup *f = arg;
    uint8_t *mine = mem_alloc(f->queue_max), *full;

    pthread_mutex_lock(&f->lock);
    for (;;) {
        wait_for_work(f);
        close_frame(f);
        size_t n = f->n_queue;
        uint64_t newest_ms = f->open_ms;
        full = f->queue;
        f->queue = mine;
        f->n_queue = 0;
        f->asked = false;
        f->busy = true;
        pthread_mutex_unlock(&f->lock);
        pthread_mutex_lock(&f->files);
        int rc = n ? store_frames(f, full, n, newest_ms) : 0;
        uint64_t bytes = bytes_held(f);
        pthread_mutex_unlock(&f->files);
        if (rc)
            log_limited(LOG_LVL_WARN, "backup", "connections can't be written to %s: %s", f->folder,
                        strerror(-rc));
        pthread_mutex_lock(&f->lock);
        mine = full;
        f->busy = false;
        f->status.error = rc;
        f->status.bytes = bytes;
        if (!f->n_queue && !f->open) {
            pthread_cond_broadcast(&f->idle);
            if (f->stop)
                break;
        }
    }
    pthread_mutex_unlock(&f->lock);
    free(mine);
    return NULL;
}

static void file_flush(struct state_backup *b)
{
    struct file_backup *f = (struct file_backup *)b;

    pthread_mutex_lock(&f->lock);
    while (f->n_queue || f->open || f->busy) {
        f->asked = true;
        pthread_cond_signal(&f->work);
        pthread_cond_wait(&f->idle, &f->lock);
    }
    pthread_mutex_unlock(&f->lock);
}

/* Reading */

static void *read_segment(const struct file_backup *f, uint64_t number, size_t *size)
{
    char path[PATH_SIZE];
    struct stat st;
    uint8_t *buf = NULL;

    path_of(f, number, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    *size = 0;
    if (fd < 0)
        return NULL;
    if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size > 0 &&
        (uint64_t)st.st_size <= 2 * f->segment_max + BACKUP_MESSAGE_MAX) {
        buf = mem_alloc((size_t)st.st_size);
        for (ssize_t n; *size < (size_t)st.st_size; *size += (size_t)n) {
            n = read(fd, buf + *size, (size_t)st.st_size - *size);
            if (n <= 0)
                break;
        }
    }
    close(fd);
    return buf;
}

static int file_read(struct state_backup *b, const struct uuid *ids, uint32_t n_ids,
                     uint64_t wall_ms, unsigned timeout_ms, state_backup_fn *fn, void *aux)
{
    struct file_backup *f = (struct file_backup *)b;
    uint64_t numbers[SEGMENTS + 1], damaged = 0;
    uint64_t end = clock_ns() + timeout_ms * NSEC_PER_MSEC;
    unsigned n;
    int rc = 0;

    file_flush(b);
    pthread_mutex_lock(&f->files);
    n = f->n_segments;
    for (unsigned i = 0; i < n; i++)
        numbers[i] = f->segments[i].number;
    pthread_mutex_unlock(&f->files);
    while (n-- > 0 && !rc) {
        size_t size;
        void *log = read_segment(f, numbers[n], &size);
        rc = backup_each(log, size, ids, n_ids, wall_ms, &damaged, fn, aux);
        free(log);
        if (!rc && n && timeout_ms && clock_ns() > end)
            rc = -ETIMEDOUT;
    }
    pthread_mutex_lock(&f->lock);
    f->status.damaged = damaged;
    pthread_mutex_unlock(&f->lock);
    return rc;
}

static void file_status(struct state_backup *b, struct state_backup_status *out)
{
    struct file_backup *f = (struct file_backup *)b;

    pthread_mutex_lock(&f->lock);
    *out = f->status;
    pthread_mutex_unlock(&f->lock);
}

static void file_close(struct state_backup *b)
{
    struct file_backup *f = (struct file_backup *)b;

    pthread_mutex_lock(&f->lock);
    f->stop = true;
    pthread_cond_signal(&f->work);
    pthread_mutex_unlock(&f->lock);
    pthread_join(f->thread, NULL);
    if (f->fd >= 0)
        close(f->fd);
    pthread_mutex_destroy(&f->lock);
    pthread_mutex_destroy(&f->files);
    pthread_cond_destroy(&f->work);
    pthread_cond_destroy(&f->idle);
    free(f->queue);
    free(f);
}

/* Opening */

static int by_number(const void *pa, const void *pb)
{
    const struct segment *a = pa, *b = pb;

    return a->number < b->number ? -1 : a->number > b->number;
}

static void look_at(struct file_backup *f, struct segment *s)
{
    size_t size, at = 0, message_size;
    uint64_t written, damaged = 0;
    uint32_t life;
    void *log = read_segment(f, s->number, &size);

    s->size = size;
    while (log && backup_next(log, size, &at, &message_size, &written, &life, &damaged))
        s->expires_ms = MAX(s->expires_ms, written + life);
    free(log);
}

/* The latest segments of earlier lives; the others are removed. */
static int find_segments(struct file_backup *f)
{
    struct segment *all = NULL;
    size_t n = 0, room = 0;
    struct dirent *d;
    char path[PATH_SIZE], *end;
    DIR *dir = opendir(f->folder);

    if (!dir)
        return -errno;
    while ((d = readdir(dir))) {
        uint64_t number = strtoull(d->d_name, &end, 16);
        if (end != d->d_name + 16 || strcmp(end, ".log") != 0)
            continue;
        if (n == room) {
            room = MAX((size_t)16, room * 2);
            all = mem_resize(all, room * sizeof *all);
        }
        all[n++] = (struct segment){.number = number};
    }
    closedir(dir);
    if (n)
        qsort(all, n, sizeof *all, by_number);
    for (size_t i = 0; i < n; i++) {
        path_of(f, all[i].number, path);
        if (n - i > SEGMENTS) {
            unlink(path);
            continue;
        }
        f->segments[f->n_segments++] = all[i];
        look_at(f, &f->segments[f->n_segments - 1]);
    }
    free(all);
    return 0;
}

static const struct state_backup_ops file_ops = {file_write, file_read, file_flush, file_status,
                                                 file_close};

int state_backup_file(const char *folder, const struct state_backup_file_options *opts,
                      struct state_backup **out, struct error *e)
{
    const struct state_backup_file_options o = opts ? *opts : (struct state_backup_file_options){0};
    struct file_backup *f = NEW(struct file_backup);
    int rc = 0;

    f->base.ops = &file_ops;
    snprintf(f->folder, sizeof f->folder, "%s", folder);
    f->segment_max = (o.max_bytes ? o.max_bytes : 64u << 20) / SEGMENTS;
    f->life_ms = o.life_ms ? o.life_ms : 120000;
    f->queue_max = MAX(o.queue_size ? o.queue_size : 4u << 20, 2u * BACKUP_MESSAGE_MAX);
    f->fd = -1;
    if (strlen(folder) >= sizeof f->folder)
        rc = -ENAMETOOLONG;
    else if (mkdir(folder, 0700) && errno != EEXIST)
        rc = -errno;
    if (!rc)
        rc = find_segments(f);
    if (rc) {
        free(f);
        return error_set(e, rc, NULL, NULL, "the backup of connections in %s can't be used: %s",
                         folder, strerror(-rc));
    }
    f->queue = mem_alloc(f->queue_max);
    f->status.bytes = bytes_held(f);
    pthread_mutex_init(&f->lock, NULL);
    pthread_mutex_init(&f->files, NULL);
    pthread_cond_init(&f->work, NULL);
    pthread_cond_init(&f->idle, NULL);
    rc = -pthread_create(&f->thread, NULL, run, f);
    if (rc) {
        free(f->queue);
        free(f);
        return error_set(e, rc, NULL, NULL, "no thread for the backup: %s", strerror(-rc));
    }
    *out = &f->base;
    return 0;
}
