/* The switchboard: an underlay of cables without length between datapaths of one process.
 *
 * Lock order: board, then one datapath.  A datapath never calls in here with its own lock held. */
#include <errno.h>
#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

#include "base/hash.h"
#include "base/mem.h"
#include "datapath/memory_internal.h"

struct station {
    struct ip addr;
    struct memory_dp *dp; /* null: cut before anybody claimed it */
    bool cut;
    UT_hash_handle hh;
};

struct memory_board {
    pthread_rwlock_t lock;
    struct station *stations;
    unsigned lose_in_8; /* so many datagrams of eight get lost; atomic, as 'dice' */
    uint64_t dice;
};

struct memory_board *memory_board_new(void)
{
    struct memory_board *b = NEW(struct memory_board);

    pthread_rwlock_init(&b->lock, NULL);
    return b;
}

void memory_board_free(struct memory_board *b)
{
    struct station *s, *next;

    if (!b)
        return;
    HASH_ITER (hh, b->stations, s, next) {
        HASH_DEL(b->stations, s);
        free(s);
    }
    pthread_rwlock_destroy(&b->lock);
    free(b);
}

static struct station *find(struct memory_board *b, const struct ip *addr)
{
    struct station *s;

    HASH_FIND(hh, b->stations, addr, sizeof *addr, s);
    return s;
}

static struct station *need(struct memory_board *b, const struct ip *addr)
{
    struct station *s = find(b, addr);

    if (!s) {
        s = NEW(struct station);
        s->addr = *addr;
        HASH_ADD(hh, b->stations, addr, sizeof s->addr, s);
    }
    return s;
}

void memory_board_cut(struct memory_board *b, const struct ip *local, bool cut)
{
    pthread_rwlock_wrlock(&b->lock);
    need(b, local)->cut = cut;
    pthread_rwlock_unlock(&b->lock);
}

int memory_board_claim(struct memory_dp *dp, const struct ip *local)
{
    struct memory_board *b = dp->board;

    if (!b)
        return 0;
    pthread_rwlock_wrlock(&b->lock);
    struct station *s = need(b, local);
    int rc = s->dp && s->dp != dp ? -EEXIST : 0;

    if (!rc)
        s->dp = dp;
    pthread_rwlock_unlock(&b->lock);
    return rc;
}

void memory_board_leave(struct memory_dp *dp)
{
    struct memory_board *b = dp->board;

    if (!b)
        return;
    pthread_rwlock_wrlock(&b->lock);
    for (struct memory_local *l = dp->locals; l; l = l->next) {
        struct station *s = find(b, &l->addr);

        if (s && s->dp == dp)
            s->dp = NULL;
    }
    pthread_rwlock_unlock(&b->lock);
    dp->board = NULL;
}

void memory_board_lose_mail(struct memory_board *b, unsigned in_8)
{
    __atomic_store_n(&b->lose_in_8, in_8, __ATOMIC_RELAXED);
}

void memory_board_box(struct memory_dp *dp, struct memory_mail *box)
{
    if (dp->board)
        pthread_rwlock_wrlock(&dp->board->lock);
    dp->box = box;
    if (dp->board)
        pthread_rwlock_unlock(&dp->board->lock);
}

int memory_board_mail(struct memory_dp *dp, const struct ip *local, const struct ip *remote,
                      const void *buf, size_t size)
{
    struct memory_board *b = dp->board;
    int rc = -EHOSTUNREACH;

    if (!b)
        return rc;
    pthread_rwlock_rdlock(&b->lock);
    uint64_t dice = hash_u64(__atomic_add_fetch(&b->dice, 1, __ATOMIC_RELAXED));
    struct station *from = find(b, local), *to = find(b, remote);
    if (from && from->dp == dp && !from->cut && to && to->dp && !to->cut && to->dp->box) {
        if (dice % 8 >= __atomic_load_n(&b->lose_in_8, __ATOMIC_RELAXED))
            memory_mail_arrived(to->dp->box, local, buf, size);
        rc = 0;
    }
    pthread_rwlock_unlock(&b->lock);
    return rc;
}

static bool deliver(struct memory_board *b, struct memory_transit *t)
{
    struct station *from = b ? find(b, &t->local) : NULL, *to = b ? find(b, &t->remote) : NULL;

    if (!from || !from->dp || from->cut || !to || !to->dp || to->cut)
        return false;
    memory_tunnel_receive(to->dp, t->tun_id, t->frame);
    return true;
}

void memory_board_deliver(struct memory_dp *from, struct memory_transit *transit)
{
    struct memory_board *b = from->board;
    struct memory_transit *t, *next;
    unsigned lost = 0;

    if (b)
        pthread_rwlock_rdlock(&b->lock);
    DL_FOREACH_SAFE(transit, t, next)
    {
        if (!deliver(b, t)) {
            lost++;
            memory_frame_free(t->frame);
        }
        free(t);
    }
    if (b)
        pthread_rwlock_unlock(&b->lock);
    if (!lost)
        return;
    pthread_mutex_lock(&from->lock);
    from->counters.no_tunnel += lost;
    pthread_mutex_unlock(&from->lock);
}
