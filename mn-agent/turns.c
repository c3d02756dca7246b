#include "turns.h"

#include "agent/inbox.h"
#include "base/clock.h"
#include "topology/topology.h"

#define WAIT_MAX_MS 60000u

static void on_wake(uv_poll_t *h, int status, int events)
{
    (void)h; /* on_turn() takes what is there */
    (void)status;
    (void)events;
}

static void on_timer(uv_timer_t *h)
{
    ((struct turns *)h->data)->again = true; /* needed when this comes before the wait */
}

static void on_turn(uv_check_t *h)
{
    struct turns *t = h->data;

    inbox_awake(t->inbox, true);
    rcu_thread_online();
    uint64_t ns = t->fn(t->aux), ms = ns ? ns / NSEC_PER_MSEC + 1 : 0;

    if (uv_is_closing((uv_handle_t *)h))
        return;
    t->again = !ns;
    uv_timer_start(&t->timer, on_timer, MIN(ms, WAIT_MAX_MS), 0);
}

static void on_wait(uv_prepare_t *h)
{
    struct turns *t = h->data;

    if (t->again || !inbox_sleep(t->inbox))
        uv_timer_start(&t->timer, on_timer, 0, 0); /* set here, it falls due behind the poll */
    rcu_thread_offline();
}

int turns_start(struct turns *t, uv_loop_t *loop, struct inbox *in, turn_fn *fn, void *aux)
{
    *t = (struct turns){.inbox = in, .fn = fn, .aux = aux, .again = true};
    int rc = uv_poll_init(loop, &t->poll, in->fd);

    if (rc)
        return rc;
    uv_timer_init(loop, &t->timer);
    uv_prepare_init(loop, &t->before);
    uv_check_init(loop, &t->after);
    t->poll.data = t->timer.data = t->before.data = t->after.data = t;
    uv_prepare_start(&t->before, on_wait);
    uv_check_start(&t->after, on_turn);
    return uv_poll_start(&t->poll, UV_READABLE, on_wake);
}

void turns_stop(struct turns *t)
{
    uv_close((uv_handle_t *)&t->poll, NULL);
    uv_close((uv_handle_t *)&t->timer, NULL);
    uv_close((uv_handle_t *)&t->before, NULL);
    uv_close((uv_handle_t *)&t->after, NULL);
}
