#include "store/watches.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "store/filling.h"
#include "store/hashing.h"

#define ALL_KINDS (STORE_WATCH_DATA | STORE_WATCH_CHILDREN)

struct watch {
    UT_hash_handle hh;
    struct watch *prev, *next; /* in the queue, while pending != 0 */
    uint64_t tags[2];          /* by kind: data, children */
    unsigned kinds, pending;
    size_t path_size;
    char path[];
};

int watches_init(struct watches *w)
{
    *w = (struct watches){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (w->fd < 0)
        return -errno;
    pthread_mutex_init(&w->lock, NULL);
    return 0;
}

void watches_free(struct watches *w)
{
    struct watch *i, *next;

    HASH_ITER (hh, w->by_path, i, next) {
        HASH_DEL(w->by_path, i);
        free(i);
    }
    pthread_mutex_destroy(&w->lock);
    close(w->fd);
}

static unsigned n_kinds(unsigned kinds)
{
    return (unsigned)__builtin_popcount(kinds & ALL_KINDS);
}

/* Brings 'fd' in line with the queue. */
static void signal_reader(struct watches *w)
{
    bool ready = w->queue || w->n_connection;
    uint64_t count = 1;
    ssize_t ignored;

    if (ready == w->ready)
        return;
    w->ready = ready;
    /* Neither can fail: the counter goes between 0 and 1. */
    ignored = ready ? write(w->fd, &count, sizeof count) : read(w->fd, &count, sizeof count);
    (void)ignored;
}

static struct watch *find(struct watches *w, const char *path)
{
    struct watch *i;

    HASH_FIND(hh, w->by_path, path, strlen(path), i);
    return i;
}

static struct watch *find_or_make(struct watches *w, const char *path)
{
    struct watch *i = find(w, path);

    if (i)
        return i;
    size_t size = strlen(path);
    i = mem_zalloc(sizeof *i + size + 1);
    memcpy(i->path, path, size + 1);
    i->path_size = size;
    HASH_ADD_KEYPTR(hh, w->by_path, i->path, size, i);
    w->memory += sizeof *i + size + 1;
    return i;
}

static void drop_if_unused(struct watches *w, struct watch *i)
{
    if (i->kinds || i->pending)
        return;
    HASH_DEL(w->by_path, i);
    w->memory -= sizeof *i + i->path_size + 1;
    free(i);
}

static void set_pending(struct watches *w, struct watch *i, unsigned kinds)
{
    if (kinds && !i->pending)
        DL_APPEND(w->queue, i);
    i->pending |= kinds;
}

static void clear_pending(struct watches *w, struct watch *i, unsigned kinds)
{
    if (i->pending && !(i->pending & ~kinds))
        DL_DELETE(w->queue, i);
    i->pending &= ~kinds;
}

int watches_add(struct watches *w, const char *path, unsigned kinds, uint64_t tag)
{
    int rc;

    pthread_mutex_lock(&w->lock);
    struct watch *i = find_or_make(w, path);
    unsigned added = kinds & ~i->kinds;
    if (w->n + n_kinds(added) > STORE_WATCHES_MAX ||
        w->path_bytes + n_kinds(added) * i->path_size > STORE_VALUE_MAX) {
        drop_if_unused(w, i);
        rc = -ENOSPC;
    } else {
        if (kinds & STORE_WATCH_DATA)
            i->tags[0] = tag;
        if (kinds & STORE_WATCH_CHILDREN)
            i->tags[1] = tag;
        i->kinds |= kinds;
        w->n += n_kinds(added);
        w->path_bytes += n_kinds(added) * i->path_size;
        rc = (int)added;
    }
    pthread_mutex_unlock(&w->lock);
    return rc;
}

unsigned watches_remove(struct watches *w, const char *path, unsigned kinds)
{
    unsigned gone = 0;

    pthread_mutex_lock(&w->lock);
    struct watch *i = find(w, path);
    if (i) {
        gone = i->kinds & kinds;
        i->kinds &= ~kinds;
        w->n -= n_kinds(gone);
        w->path_bytes -= n_kinds(gone) * i->path_size;
        clear_pending(w, i, kinds);
        drop_if_unused(w, i);
        signal_reader(w);
    }
    pthread_mutex_unlock(&w->lock);
    return gone;
}

void watches_fire(struct watches *w, const char *path, unsigned kinds)
{
    pthread_mutex_lock(&w->lock);
    struct watch *i = find(w, path);
    if (i) {
        set_pending(w, i, i->kinds & kinds);
        signal_reader(w);
    }
    pthread_mutex_unlock(&w->lock);
}

void watches_fire_all(struct watches *w)
{
    pthread_mutex_lock(&w->lock);
    for (struct watch *i = w->by_path; i; i = i->hh.next)
        set_pending(w, i, i->kinds);
    signal_reader(w);
    pthread_mutex_unlock(&w->lock);
}

void watches_report(struct watches *w, const char *path, enum store_watch_kind kind)
{
    pthread_mutex_lock(&w->lock);
    set_pending(w, find_or_make(w, path), kind);
    signal_reader(w);
    pthread_mutex_unlock(&w->lock);
}

void watches_connection(struct watches *w, enum store_event_type type)
{
    pthread_mutex_lock(&w->lock);
    if (!w->n_connection || w->connection[w->n_connection - 1] != type) {
        if (w->n_connection == 2)
            w->connection[0] = w->connection[1];
        else
            w->n_connection++;
        w->connection[w->n_connection - 1] = type;
    }
    signal_reader(w);
    pthread_mutex_unlock(&w->lock);
}

static void take_connection(struct watches *w, struct store_event *ev)
{
    *ev = (struct store_event){.type = w->connection[0]};
    w->connection[0] = w->connection[1];
    w->n_connection--;
}

static void take_change(struct watches *w, struct store_event *ev)
{
    struct watch *i = w->queue;
    unsigned kind = i->pending & STORE_WATCH_DATA ? STORE_WATCH_DATA : STORE_WATCH_CHILDREN;

    ev->type = STORE_EV_CHANGED;
    ev->kind = kind;
    ev->tag = i->kinds & kind ? i->tags[kind == STORE_WATCH_CHILDREN] : 0;
    memcpy(ev->path, i->path, i->path_size + 1);
    clear_pending(w, i, kind);
    drop_if_unused(w, i);
}

int watches_next(struct watches *w, struct store_event *ev)
{
    int found = 1;

    pthread_mutex_lock(&w->lock);
    if (w->n_connection)
        take_connection(w, ev);
    else if (w->queue)
        take_change(w, ev);
    else
        found = 0;
    signal_reader(w);
    pthread_mutex_unlock(&w->lock);
    return found;
}

unsigned watches_kinds(struct watches *w, const char *path)
{
    pthread_mutex_lock(&w->lock);
    struct watch *i = find(w, path);
    unsigned kinds = i ? i->kinds : 0;
    pthread_mutex_unlock(&w->lock);
    return kinds;
}

unsigned watches_pending(struct watches *w, const char *path)
{
    pthread_mutex_lock(&w->lock);
    struct watch *i = find(w, path);
    unsigned pending = i ? i->pending : 0;
    pthread_mutex_unlock(&w->lock);
    return pending;
}

size_t watches_memory(struct watches *w)
{
    pthread_mutex_lock(&w->lock);
    size_t size = w->memory + (w->by_path ? HASH_OVERHEAD(hh, w->by_path) : 0);
    pthread_mutex_unlock(&w->lock);
    return size;
}
