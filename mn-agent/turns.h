/* Turns of the control thread: whatever wakes its event loop (a timer, the inbox, a socket of
 * somebody's), one turn follows in which everything that is due is done.
 *
 * A turn says when the next is due at the latest.  libuv looks at its timers before each wait, so
 * a time that has passed by then, because the turn itself took longer, would be looked at, ticked
 * off and followed by a wait without end; such a wait is made none here.  Thread: the loop's. */
#ifndef MN_AGENT_TURNS_H
#define MN_AGENT_TURNS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct inbox;

/* Returns in how many nanoseconds the next is due; 0: at once. */
typedef uint64_t turn_fn(void *aux);

struct turns {
    struct inbox *inbox;
    turn_fn *fn;
    void *aux;
    bool again; /* the next wait shall not be one */
    uv_poll_t poll;
    uv_timer_t timer;
    uv_prepare_t before;
    uv_check_t after;
};

/* 'in' wakes the loop.  0 or libuv's error. */
int turns_start(struct turns *t, uv_loop_t *loop, struct inbox *in, turn_fn *fn, void *aux);
/* None follows; from within one, too.  What the loop still needs of 't' it needs until it ends. */
void turns_stop(struct turns *t);

#endif
