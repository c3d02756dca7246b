/* Persistent watches out of ZooKeeper's one-shot ones.
 *
 * A watch is armed by a read: getData() for data, getChildren() for children, exists() for either
 * while there is no node.  When it fires it is armed again at once and the reader gets the event
 * when that is done: whatever changes after a reader was told gives another event.  If it fires
 * while the event still waits for a slow reader it is left alone until the reader comes; then it is
 * armed first.  So one event costs one round to the server, and a slow reader costs nothing.
 *
 * The data that came with it is kept for the reader's next read, which the event is the reason for:
 * it is what that read would have brought, as long as the watch hasn't fired.
 *
 * The order breaks when the connection does.  Within a session the library sends its watches again
 * and the server fires those that missed something; we don't rely on that but read each node's
 * change numbers (czxid, mzxid, pzxid) and compare.  A new session arms everything anew and
 * compares too.  What was being armed when the connection went counts as changed. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/hashing.h"
#include "store/zk_internal.h"

enum watch_state {
    OFF,    /* nobody wants it */
    FIRED,  /* while an event waits for the reader: to be armed when that is taken */
    ARMING, /* asked for, no reply yet */
    ARMED,
    LOST, /* to be armed at the next reconnect */
};

/* What the server said when the watch was armed.  The transaction numbers never repeat. */
struct seen {
    bool valid, exists;
    int64_t created, changed; /* czxid; mzxid or pzxid by kind */
};

struct watched {
    enum watch_state state;
    bool tell; /* an event is due as soon as it is armed */
    struct seen seen;
    struct store_value gift; /* what armed it read; data null: nothing, or taken */
};

struct zk_watch {
    UT_hash_handle hh;
    struct watched kinds[2]; /* data, children */
    char path[];
};

struct arm {
    struct zk_request request;
    unsigned kind;
    bool by_exists; /* the reply is that of exists(), else of getData() or getChildren() */
    bool compare;   /* order was broken: tell the reader if anything differs from 'seen' */
    bool only_look; /* the server has the watch, we compare */
    char path[];
};

static const unsigned all_kinds[2] = {STORE_WATCH_DATA, STORE_WATCH_CHILDREN};

static unsigned slot(unsigned kind)
{
    return kind == STORE_WATCH_CHILDREN;
}

static struct zk_watch *find(struct zk_store *zk, const char *path)
{
    struct zk_watch *w;

    HASH_FIND_STR(zk->watches, path, w);
    return w;
}

/* Arming.  All with the lock held. */

static void on_armed(struct zk_request *r, const struct zk_reply *reply);

static void send_arm(struct zk_store *zk, struct zk_watch *w, struct arm *a)
{
    struct zk_call call = {.type = a->by_exists                      ? ZK_EXISTS
                                   : a->kind == STORE_WATCH_CHILDREN ? ZK_NAMES
                                                                     : ZK_GET,
                           .path = w->path,
                           .watch = !a->only_look};

    store_value_free(&w->kinds[slot(a->kind)].gift);
    if (!a->only_look)
        w->kinds[slot(a->kind)].state = ARMING;
    a->request.done = on_armed;
    if (zk->zh && zk_send(zk, &a->request, &call) == ZOK)
        return;
    w->kinds[slot(a->kind)].state = LOST;
    w->kinds[slot(a->kind)].seen.valid = false;
    free(a);
}

static void arm(struct zk_store *zk, struct zk_watch *w, unsigned kind, bool compare)
{
    struct arm *a = mem_zalloc(sizeof *a + strlen(w->path) + 1);

    strcpy(a->path, w->path);
    a->kind = kind;
    a->compare = compare;
    send_arm(zk, w, a);
}

static void look(struct zk_store *zk, struct zk_watch *w, unsigned kind)
{
    struct arm *a = mem_zalloc(sizeof *a + strlen(w->path) + 1);

    strcpy(a->path, w->path);
    a->kind = kind;
    a->compare = a->by_exists = a->only_look = true;
    send_arm(zk, w, a);
}

static bool same(const struct seen *a, const struct seen *b)
{
    return a->valid && b->valid && a->exists == b->exists &&
           (!a->exists || (a->created == b->created && a->changed == b->changed));
}

static struct seen seen_of(unsigned kind, const struct zk_reply *reply)
{
    if (reply->rc)
        return (struct seen){.valid = true};
    return (struct seen){.valid = true,
                         .exists = true,
                         .created = reply->stat->czxid,
                         .changed =
                             kind == STORE_WATCH_DATA ? reply->stat->mzxid : reply->stat->pzxid};
}

/* The reply of a read that armed a watch (or only looked).  True when 'a' was sent once more. */
static bool armed(struct zk_store *zk, struct zk_watch *w, struct arm *a,
                  const struct zk_reply *reply)
{
    struct watched *k = &w->kinds[slot(a->kind)];
    bool exists = reply->rc == ZOK;

    if (k->state != (a->only_look ? ARMED : ARMING))
        return false; /* removed, or it has fired meanwhile */
    if (a->only_look && zk_is_lost(reply->rc))
        return false; /* the next reconnect looks again */
    if (!exists && reply->rc != ZNONODE) {
        if (!zk_is_lost(reply->rc))
            log_warn("store", "%s can't be watched: %s", w->path, zerror(reply->rc));
        k->state = LOST;
        k->seen.valid = false;
        return false;
    }
    struct seen now = seen_of(a->kind, reply);
    if (a->compare && !same(&k->seen, &now))
        k->tell = true;
    k->seen = now;
    /* No node to read: wait for it.  Or it came just then: that is news, of its children. */
    if (!a->only_look && exists == a->by_exists && (!exists || a->kind == STORE_WATCH_CHILDREN)) {
        k->tell = k->tell || exists;
        a->by_exists = !exists;
        send_arm(zk, w, a);
        return true;
    }
    k->state = ARMED;
    if (exists && !a->by_exists && a->kind == STORE_WATCH_DATA)
        k->gift = zk_value(reply);
    if (k->tell)
        watches_fire(&zk->base.watches, w->path, a->kind);
    k->tell = false;
    return false;
}

static void on_armed(struct zk_request *r, const struct zk_reply *reply)
{
    struct arm *a = (struct arm *)r;
    struct zk_store *zk = r->zk;

    pthread_mutex_lock(&zk->lock);
    struct zk_watch *w = find(zk, a->path);
    bool sent_again = w && armed(zk, w, a, reply);
    pthread_cond_broadcast(&zk->armed);
    pthread_mutex_unlock(&zk->lock);
    if (!sent_again)
        free(a);
}

/* Events */

static void fire(struct zk_store *zk, struct zk_watch *w, unsigned kind)
{
    struct watched *k = &w->kinds[slot(kind)];

    if (k->state == OFF)
        return;
    k->tell = true;
    store_value_free(&k->gift);
    if (watches_pending(&zk->base.watches, w->path) & kind)
        k->state = FIRED;
    else if (k->state != ARMING) /* else that was a watch from before, and ours is still to come */
        arm(zk, w, kind, false);
}

void zk_watch_fired(struct zk_store *zk, int type, const char *server_path)
{
    const char *path = server_path + strlen(zk->prefix);

    if (type != ZOO_CREATED_EVENT && type != ZOO_DELETED_EVENT && type != ZOO_CHANGED_EVENT &&
        type != ZOO_CHILD_EVENT)
        return;
    pthread_mutex_lock(&zk->lock);
    struct zk_watch *w = find(zk, path[0] ? path : "/");
    if (w && type != ZOO_CHILD_EVENT)
        fire(zk, w, STORE_WATCH_DATA);
    if (w && type != ZOO_CHANGED_EVENT)
        fire(zk, w, STORE_WATCH_CHILDREN);
    pthread_mutex_unlock(&zk->lock);
}

/* True when the event must wait until its watch is armed. */
static bool too_early(struct zk_store *zk, const struct store_event *ev)
{
    struct zk_watch *w = ev->type == STORE_EV_CHANGED ? find(zk, ev->path) : NULL;
    struct watched *k = w ? &w->kinds[slot(ev->kind)] : NULL;

    if (!k || k->state == ARMED || k->state == LOST || k->state == OFF)
        return false;
    k->tell = true;
    if (k->state == FIRED)
        arm(zk, w, ev->kind, false);
    return true;
}

int zk_watch_next_event(struct store *s, struct store_event *ev)
{
    struct zk_store *zk = (struct zk_store *)s;
    int found;

    pthread_mutex_lock(&zk->lock);
    do
        found = watches_next(&s->watches, ev);
    while (found && too_early(zk, ev));
    pthread_mutex_unlock(&zk->lock);
    return found;
}

bool zk_watch_take_gift(struct zk_store *zk, const char *path, struct store_value *out)
{
    struct zk_watch *w = find(zk, path);
    struct watched *k = w ? &w->kinds[slot(STORE_WATCH_DATA)] : NULL;

    if (!k || k->state != ARMED || !k->gift.data)
        return false;
    *out = k->gift;
    k->gift = (struct store_value){0};
    return true;
}

void zk_watch_resume(struct zk_store *zk, bool new_session)
{
    for (struct zk_watch *w = zk->watches; w; w = w->hh.next)
        for (unsigned i = 0; i < 2; i++) {
            enum watch_state state = w->kinds[i].state;

            if (state == LOST || (new_session && (state == ARMED || state == ARMING)))
                arm(zk, w, all_kinds[i], true);
            else if (state == ARMED)
                look(zk, w, all_kinds[i]);
        }
}

/* Interest */

static void free_watch(struct zk_watch *w)
{
    for (unsigned i = 0; i < 2; i++)
        store_value_free(&w->kinds[i].gift);
    free(w);
}

static struct zk_watch *find_or_make(struct zk_store *zk, const char *path)
{
    struct zk_watch *w = find(zk, path);

    if (w)
        return w;
    w = mem_zalloc(sizeof *w + strlen(path) + 1);
    strcpy(w->path, path);
    HASH_ADD_STR(zk->watches, path, w);
    zk->memory += sizeof *w + strlen(path) + 1;
    return w;
}

/* Until the server has the watch: a change right after store_watch() must not go unnoticed.  When
 * the server is away, or that takes too long, an event will come instead. */
static void wait_armed(struct zk_store *zk, const char *path, unsigned kind, uint64_t deadline_ns)
{
    struct timespec until = {.tv_sec = (time_t)(deadline_ns / NSEC_PER_SEC),
                             .tv_nsec = (long)(deadline_ns % NSEC_PER_SEC)};
    struct zk_watch *w;
    int rc = 0;

    while ((w = find(zk, path)) && w->kinds[slot(kind)].state == ARMING) {
        if (rc || !zk->link_up) {
            w->kinds[slot(kind)].tell = true;
            return;
        }
        rc = pthread_cond_timedwait(&zk->armed, &zk->lock, &until);
    }
}

int zk_watch_add(struct store *s, const char *path, unsigned kinds, bool wait, struct error *e)
{
    struct zk_store *zk = (struct zk_store *)s;

    (void)e;
    pthread_mutex_lock(&zk->lock);
    struct zk_watch *w = find_or_make(zk, path);
    for (unsigned i = 0; i < 2; i++)
        if (kinds & all_kinds[i]) {
            store_value_free(&w->kinds[i].gift);
            w->kinds[i] = (struct watched){0};
            arm(zk, w, all_kinds[i], false);
        }
    /* Otherwise the server takes the watch before the read that follows in the same session. */
    for (unsigned i = 0; i < 2 && wait; i++)
        if (kinds & all_kinds[i])
            wait_armed(zk, path, all_kinds[i], zk_deadline(zk));
    pthread_mutex_unlock(&zk->lock);
    return 0;
}

static void on_removed(struct zk_request *r, const struct zk_reply *reply)
{
    (void)reply;
    free(r);
}

/* The server's and the library's watch; without this they would pile up at paths that never change.
 * Whether it worked doesn't matter: what nobody wants is not reported. */
static void disarm(struct zk_store *zk, const char *path, bool of_names)
{
    struct zk_request *r = NEW(struct zk_request);
    struct zk_call call = {.type = ZK_UNWATCH, .path = path, .of_names = of_names};

    r->done = on_removed;
    if (!zk->zh || !zk->link_up || zk_send(zk, r, &call) != ZOK)
        free(r);
}

void zk_watch_remove(struct store *s, const char *path, unsigned kinds)
{
    struct zk_store *zk = (struct zk_store *)s;

    pthread_mutex_lock(&zk->lock);
    struct zk_watch *w = find(zk, path);
    kinds &= ~watches_kinds(&s->watches, path); /* another thread may want it again by now */
    for (unsigned i = 0; w && i < 2; i++)
        if (kinds & all_kinds[i])
            w->kinds[i].state = OFF;
    /* The watch of exists() may serve both kinds: it goes with the last. */
    if (w && w->kinds[0].state == OFF && w->kinds[1].state == OFF) {
        disarm(zk, path, false);
        disarm(zk, path, true);
        HASH_DEL(zk->watches, w);
        zk->memory -= sizeof *w + strlen(path) + 1;
        free_watch(w);
    }
    pthread_mutex_unlock(&zk->lock);
}

void zk_watch_free(struct zk_store *zk)
{
    struct zk_watch *w, *next;

    HASH_ITER (hh, zk->watches, w, next) {
        HASH_DEL(zk->watches, w);
        free_watch(w);
    }
}
