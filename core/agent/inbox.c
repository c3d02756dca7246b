#include "agent/inbox.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"

int inbox_init(struct inbox *in)
{
    *in = (struct inbox){.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    in->last_call = &in->calls;
    pthread_mutex_init(&in->lock, NULL);
    return in->fd < 0 ? -errno : 0;
}

void inbox_free(struct inbox *in)
{
    if (in->fd >= 0)
        close(in->fd);
    pthread_mutex_destroy(&in->lock);
    free(in->changes);
}

void inbox_wake(struct inbox *in)
{
    uint64_t one = 1;

    __atomic_store_n(&in->posted, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&in->sleeping, __ATOMIC_SEQ_CST))
        (void)!write(in->fd, &one, sizeof one); /* full means awake already */
}

void inbox_changes(struct inbox *in, const struct tag_change *changes, size_t n)
{
    pthread_mutex_lock(&in->lock);
    if (in->n + n > INBOX_CHANGES) {
        in->all = true;
        in->n = 0;
        n = 0;
    }
    if (in->n + n > in->room) {
        in->room = MAX(2 * in->room, MAX(in->n + n, (size_t)64));
        in->changes = mem_resize(in->changes, in->room * sizeof *in->changes);
    }
    if (n && !in->all) {
        memcpy(in->changes + in->n, changes, n * sizeof *changes);
        in->n += n;
    }
    pthread_mutex_unlock(&in->lock);
    inbox_wake(in);
}

void inbox_all(struct inbox *in)
{
    pthread_mutex_lock(&in->lock);
    in->all = true;
    in->n = 0;
    pthread_mutex_unlock(&in->lock);
    inbox_wake(in);
}

void inbox_call(struct inbox *in, struct inbox_call *call)
{
    call->next = NULL;
    pthread_mutex_lock(&in->lock);
    *in->last_call = call;
    in->last_call = &call->next;
    pthread_mutex_unlock(&in->lock);
    inbox_wake(in);
}

bool inbox_any(const struct inbox *in)
{
    return __atomic_load_n(&in->posted, __ATOMIC_SEQ_CST);
}

size_t inbox_take(struct inbox *in, struct tag_change **changes, size_t *room, bool *all,
                  struct inbox_call **calls)
{
    struct tag_change *spare = *changes;
    size_t spare_room = *room, n;

    __atomic_store_n(&in->posted, 0, __ATOMIC_SEQ_CST); /* before taking: a later post sets it */
    pthread_mutex_lock(&in->lock);
    *changes = in->changes;
    *room = in->room;
    *all = in->all;
    *calls = in->calls;
    n = in->n;
    in->changes = spare;
    in->room = spare_room;
    in->n = 0;
    in->all = false;
    in->calls = NULL;
    in->last_call = &in->calls;
    pthread_mutex_unlock(&in->lock);
    return n;
}

bool inbox_sleep(struct inbox *in)
{
    __atomic_store_n(&in->sleeping, 1, __ATOMIC_SEQ_CST);
    if (!inbox_any(in))
        return true;
    __atomic_store_n(&in->sleeping, 0, __ATOMIC_SEQ_CST);
    return false;
}

void inbox_awake(struct inbox *in, bool called)
{
    uint64_t n;

    __atomic_store_n(&in->sleeping, 0, __ATOMIC_SEQ_CST);
    if (called)
        (void)!read(in->fd, &n, sizeof n);
}
