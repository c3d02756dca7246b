/* What a handle wants to hear of, and what it has not yet heard: the watch table and the event
 * queue of one store handle, the same for all fillings.
 *
 * An event is a pending bit on its watch, so the queue can't grow beyond the number of watches
 * however fast the store changes or slow the reader is.  'fd' is an eventfd, readable while events
 * wait.  Any thread: all functions take the lock, which is a leaf (nothing else is locked under
 * it). */
#ifndef MN_STORE_WATCHES_H
#define MN_STORE_WATCHES_H

#include <pthread.h>

#include "store/store.h"

struct watch;

struct watches {
    pthread_mutex_t lock;
    int fd;
    struct watch *by_path; /* uthash */
    struct watch *queue;   /* pending, oldest first (utlist) */
    /* Up to two changes of connection wait, ahead of all else: the last state and that it changed.
     */
    enum store_event_type connection[2];
    unsigned n_connection;
    unsigned n;        /* paths and kinds watched */
    size_t path_bytes; /* of them */
    size_t memory;
    bool ready; /* what 'fd' says */
};

int watches_init(struct watches *w); /* 0 or -errno */
void watches_free(struct watches *w);

/* Returns the kinds that are new, or -ENOSPC. */
int watches_add(struct watches *w, const char *path, unsigned kinds, uint64_t tag);
/* Returns the kinds that were watched and no longer are. */
unsigned watches_remove(struct watches *w, const char *path, unsigned kinds);

/* The node changed: an event for each of 'kinds' that is watched. */
void watches_fire(struct watches *w, const char *path, unsigned kinds);
/* Anything may have changed: an event for every watch. */
void watches_fire_all(struct watches *w);
/* An event with tag 0 even if nobody watches the path. */
void watches_report(struct watches *w, const char *path, enum store_watch_kind kind);
void watches_connection(struct watches *w, enum store_event_type type);

/* 1 and the oldest event, or 0. */
int watches_next(struct watches *w, struct store_event *ev);
/* What is watched at 'path' (0: nothing). */
unsigned watches_kinds(struct watches *w, const char *path);
unsigned watches_pending(struct watches *w, const char *path); /* kinds whose event waits */
size_t watches_memory(struct watches *w);

#endif
