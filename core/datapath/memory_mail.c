/* Mail over the switchboard: net/mail.h for agents on memory datapaths.
 *
 * A datagram is with its receiver when the call that sent it returns, unless one of the cables is
 * cut or a test lets it get lost.  Lock order: the board's, then the box's. */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utlist.h>

#include "base/mem.h"
#include "datapath/memory_internal.h"

#define BOX_MAX 4096 /* datagrams; more are lost, as in a socket's buffer */

struct letter {
    struct letter *prev, *next;
    struct ip from;
    uint32_t size;
    uint8_t data[];
};

struct memory_mail {
    struct mail mail;
    struct memory_dp *dp;
    pthread_mutex_t lock; /* guards what follows */
    struct letter *letters;
    uint32_t n;
    int fd;
};

static int memory_send(struct mail *m, const struct ip *local, const struct ip *remote,
                       const void *buf, size_t size)
{
    struct memory_mail *box = (struct memory_mail *)m;

    return memory_board_mail(box->dp, local, remote, buf, size);
}

void memory_mail_arrived(struct memory_mail *box, const struct ip *from, const void *buf,
                         size_t size)
{
    struct letter *l = mem_alloc(sizeof *l + size);
    uint64_t one = 1;

    *l = (struct letter){.from = *from, .size = (uint32_t)size};
    memcpy(l->data, buf, size);
    pthread_mutex_lock(&box->lock);
    if (box->n < BOX_MAX) {
        DL_APPEND(box->letters, l);
        box->n++;
        l = NULL;
        if (write(box->fd, &one, sizeof one) < 0)
            abort();
    }
    pthread_mutex_unlock(&box->lock);
    free(l);
}

static int memory_recv(struct mail *m, struct ip *remote, void *buf, size_t room)
{
    struct memory_mail *box = (struct memory_mail *)m;
    uint64_t count;
    int size = -EAGAIN;

    pthread_mutex_lock(&box->lock);
    struct letter *l = box->letters;
    if (l) {
        DL_DELETE(box->letters, l);
        box->n--;
        *remote = l->from;
        size = (int)MIN(room, (size_t)l->size);
        memcpy(buf, l->data, (size_t)size);
    }
    if (!box->letters && read(box->fd, &count, sizeof count) < 0 && errno != EAGAIN)
        abort();
    pthread_mutex_unlock(&box->lock);
    free(l);
    return size;
}

static int memory_fd(struct mail *m)
{
    return ((struct memory_mail *)m)->fd;
}

static void memory_close(struct mail *m)
{
    struct memory_mail *box = (struct memory_mail *)m;
    struct letter *l, *next;

    memory_board_box(box->dp, NULL);
    DL_FOREACH_SAFE(box->letters, l, next)
    free(l);
    close(box->fd);
    pthread_mutex_destroy(&box->lock);
    free(box);
}

struct mail *memory_mail_open(struct dp *dp)
{
    static const struct mail_ops ops = {
        .send = memory_send, .recv = memory_recv, .fd = memory_fd, .close = memory_close};
    struct memory_mail *box = NEW(struct memory_mail);

    *box = (struct memory_mail){
        .mail.ops = &ops, .dp = memory_of(dp), .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    pthread_mutex_init(&box->lock, NULL);
    memory_board_box(box->dp, box);
    return &box->mail;
}
