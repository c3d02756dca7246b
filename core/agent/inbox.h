/* Inbox: what other threads have for a worker.
 *
 * Changes that made tags untrue, and calls: functions to run in the worker between two batches, so
 * that what a worker owns needs no lock.  A worker that sleeps is woken by an eventfd; one that
 * runs finds the inbox by itself.  More than INBOX_CHANGES waiting become "all": bounded, and
 * sooner done.  Threads: anybody posts, the worker takes. */
#ifndef MN_AGENT_INBOX_H
#define MN_AGENT_INBOX_H

#include <pthread.h>

#include "topology/tags.h"

#define INBOX_CHANGES 65536

struct inbox_call {
    void (*fn)(void *worker, void *aux);
    void *aux;
    struct inbox_call *next; /* the inbox's */
};

struct inbox {
    pthread_mutex_t lock; /* guards changes, n, room, all, calls */
    struct tag_change *changes;
    size_t n, room;
    bool all;
    struct inbox_call *calls, **last_call;
    int sleeping; /* atomic: the worker wants to be woken */
    int posted;   /* atomic: something is there */
    int fd;       /* eventfd */
};

int inbox_init(struct inbox *in);  /* 0 or a negative errno */
void inbox_free(struct inbox *in); /* calls left are forgotten */

void inbox_changes(struct inbox *in, const struct tag_change *changes, size_t n);
void inbox_all(struct inbox *in);
/* 'call' is the poster's memory until its fn is called. */
void inbox_call(struct inbox *in, struct inbox_call *call);
void inbox_wake(struct inbox *in);

/* The worker's side.  inbox_take() swaps the waiting changes with (*changes, *room), the worker's
 * spare vector; *all says that everything is meant. */
bool inbox_any(const struct inbox *in);
size_t inbox_take(struct inbox *in, struct tag_change **changes, size_t *room, bool *all,
                  struct inbox_call **calls);
/* Going to sleep: true when there is nothing to do; then poll inbox.fd, then inbox_awake(), with
 * whether that was readable: a packet that wakes the worker needn't wait for a look into it. */
bool inbox_sleep(struct inbox *in);
void inbox_awake(struct inbox *in, bool called);

#endif
