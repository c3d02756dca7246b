#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/hashing.h"
#include "store/zk_internal.h"

#define RETRY_NS (500 * NSEC_PER_MSEC) /* between attempts that fail at once */

/* What a new session makes again.  The data is what this handle last wrote. */
struct zk_ephemeral {
    UT_hash_handle hh;
    char *data;
    size_t size;
    char path[];
};

/* State, all with the lock held */

uint64_t zk_deadline(const struct zk_store *zk)
{
    return clock_ns() + zk->base.timeout_ms * NSEC_PER_MSEC;
}

void zk_wait_changed(struct zk_store *zk, uint64_t until_ns)
{
    struct timespec until = {.tv_sec = (time_t)(until_ns / NSEC_PER_SEC),
                             .tv_nsec = (long)(until_ns % NSEC_PER_SEC)};

    pthread_cond_timedwait(&zk->changed, &zk->lock, &until);
}

/* The one door for 'ready', so that the reader of events hears of each change. */
static void set_ready(struct zk_store *zk, bool ready)
{
    if (zk->ready == ready)
        return;
    zk->ready = ready;
    if (!ready)
        zk->down_since_ns = clock_ns();
    if (zk->announced != ready)
        watches_connection(&zk->base.watches, ready ? STORE_EV_RECONNECTED : STORE_EV_DISCONNECTED);
    zk->announced = ready;
    pthread_cond_broadcast(&zk->changed);
}

/* A short outage is waited for; in a long one every call fails at once. */
int zk_lock_ready(struct zk_store *zk, unsigned flags, uint64_t deadline_ns)
{
    pthread_mutex_lock(&zk->lock);
    for (;;) {
        if (flags & ZK_SETTLING ? zk->zh && zk->link_up && !zk->dead && !zk->stop : zk->ready)
            return 0;
        uint64_t give_up =
            MIN(deadline_ns, zk->down_since_ns + zk->base.timeout_ms * NSEC_PER_MSEC);
        if (flags & ZK_SETTLING || zk->stop || zk->hurry || zk->refused || clock_ns() >= give_up) {
            int rc = zk->refused ? zk->refused : -ENOTCONN;
            pthread_mutex_unlock(&zk->lock);
            return rc;
        }
        zk_wait_changed(zk, give_up);
    }
}

int zk_fail(struct zk_store *zk, int rc, struct error *e)
{
    error_set(e, rc, NULL, NULL, "ZooKeeper at %s %s", zk->hosts,
              rc == -ETIMEDOUT  ? "does not answer"
              : rc == -ENOTCONN ? "can't be reached"
              : rc == -EACCES   ? "denies access"
                                : strerror(-rc));
    return rc;
}

/* From the library: the state of the connection, and watches.  Completion thread. */
static void on_state(struct zk_store *zk, int state)
{
    pthread_mutex_lock(&zk->lock);
    zk->link_up = state == ZOO_CONNECTED_STATE;
    if (state == ZOO_EXPIRED_SESSION_STATE || state == ZOO_AUTH_FAILED_STATE) {
        log_warn("store", "ZooKeeper session %s",
                 state == ZOO_AUTH_FAILED_STATE ? "refused: wrong secret" : "expired");
        zk->dead = true;
    }
    if (state == ZOO_AUTH_FAILED_STATE)
        zk->refused = -EACCES;
    if (!zk->link_up)
        set_ready(zk, false);
    pthread_cond_broadcast(&zk->changed);
    pthread_mutex_unlock(&zk->lock);
}

void zk_on_event(zhandle_t *zh, int type, int state, const char *path, void *aux)
{
    (void)zh;
    if (type == ZOO_SESSION_EVENT)
        on_state(aux, state);
    else
        zk_watch_fired(aux, type, path);
}

static void on_log(const char *message)
{
    log_debug("zookeeper", "%s", message);
}

/* Own ephemeral nodes */

static void drop_ephemeral(struct zk_store *zk, struct zk_ephemeral *i)
{
    HASH_DEL(zk->ephemerals, i);
    zk->memory -= sizeof *i + strlen(i->path) + i->size;
    free(i->data);
    free(i);
}

void zk_ephemerals_free(struct zk_store *zk)
{
    struct zk_ephemeral *i, *next;

    HASH_ITER (hh, zk->ephemerals, i, next)
        drop_ephemeral(zk, i);
    sb_free(&zk->given_up);
}

void zk_ephemeral_note(struct zk_store *zk, const struct store_op *op, unsigned generation)
{
    struct zk_ephemeral *i;
    bool created = op->type == STORE_CREATE && op->flags & STORE_EPHEMERAL;

    HASH_FIND_STR(zk->ephemerals, op->path, i);
    if (op->type == STORE_CHECK || (!i && !created))
        return;
    if (i)
        drop_ephemeral(zk, i);
    if (op->type == STORE_DELETE || (op->type == STORE_CREATE && !created))
        return;
    i = mem_zalloc(sizeof *i + strlen(op->path) + 1);
    strcpy(i->path, op->path);
    i->data = store_copy_data(op->data, op->size);
    i->size = op->size;
    HASH_ADD_STR(zk->ephemerals, path, i);
    zk->memory += sizeof *i + strlen(i->path) + i->size;
    if (generation != zk->generation) {
        zk->ephemerals_late = true;
        pthread_cond_broadcast(&zk->changed);
    }
}

/* The manager works on a copy: the lock can't be held while it waits for replies.  The newest comes
 * first: who made a node to say that others are there (a host's "alive") makes it before these, and
 * whoever sees it come back finds them. */
struct remake {
    struct zk_ephemeral **nodes;
    size_t n;
};

static struct remake copy_ephemerals(struct zk_store *zk)
{
    struct remake m = {NEW_ARRAY(HASH_COUNT(zk->ephemerals), struct zk_ephemeral *), 0};

    struct zk_ephemeral *i =
        zk->ephemerals ? ELMT_FROM_HH(zk->ephemerals->hh.tbl, zk->ephemerals->hh.tbl->tail) : NULL;

    for (; i; i = i->hh.prev) {
        struct zk_ephemeral *copy = mem_zalloc(sizeof *copy + strlen(i->path) + 1);
        strcpy(copy->path, i->path);
        copy->data = store_copy_data(i->data, i->size);
        copy->size = i->size;
        m.nodes[m.n++] = copy;
    }
    return m;
}

static void free_copy(struct remake *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->nodes[i]->data);
        free(m->nodes[i]);
    }
    free(m->nodes);
}

static void call_create(size_t i, void *aux, struct zk_call *call)
{
    struct remake *m = aux;

    *call = (struct zk_call){.type = ZK_CREATE,
                             .path = m->nodes[i]->path,
                             .data = m->nodes[i]->data,
                             .size = (int)m->nodes[i]->size,
                             .flags = ZOO_EPHEMERAL};
}

static void call_exists(size_t i, void *aux, struct zk_call *call)
{
    struct remake *m = aux;

    *call = (struct zk_call){.type = ZK_EXISTS, .path = m->nodes[i]->path};
}

/* Another owner has it, or its parent is gone: it is ours no longer, and the reader hears of it. */
static void give_up_ephemeral(struct zk_store *zk, const char *path)
{
    struct zk_ephemeral *i;

    log_info("store", "%s is not ours any more", path);
    pthread_mutex_lock(&zk->lock);
    HASH_FIND_STR(zk->ephemerals, path, i);
    if (i)
        drop_ephemeral(zk, i);
    sb_add_bytes(&zk->given_up, path, strlen(path) + 1);
    pthread_mutex_unlock(&zk->lock);
}

/* Not before the reader hears that the store is back: it will read. */
static void report_given_up(struct zk_store *zk)
{
    for (const char *p = zk->given_up.data; p && p < zk->given_up.data + zk->given_up.size;
         p += strlen(p) + 1)
        watches_report(&zk->base.watches, p, STORE_WATCH_DATA);
    sb_free(&zk->given_up);
}

/* Creates what 'm' names, then looks who owns what was there already.  -EAGAIN when the session is
 * lost on the way, or an older session of ours still holds a node. */
static int remake_ephemerals(struct zk_store *zk, struct remake *m, int64_t session,
                             int64_t last_session)
{
    struct zk_batch *made = zk_batch_new(zk, m->n), *there = zk_batch_new(zk, m->n);
    uint64_t deadline = zk_deadline(zk);
    int rc = zk_batch_run(made, call_create, m, ZK_SETTLING | ZK_ONCE, deadline);

    if (!rc)
        rc = zk_batch_run(there, call_exists, m, ZK_SETTLING | ZK_ONCE, deadline);
    for (size_t i = 0; !rc && i < m->n; i++) {
        const struct zk_item *item = &there->items[i];
        if (zk_is_lost(made->items[i].rc) || zk_is_lost(item->rc))
            rc = -EAGAIN;
        else if (!item->rc && item->stat.ephemeralOwner == last_session)
            rc = -EAGAIN;
        else if (item->rc || item->stat.ephemeralOwner != session)
            give_up_ephemeral(zk, m->nodes[i]->path);
    }
    zk_batch_free(made);
    zk_batch_free(there);
    return rc ? -EAGAIN : 0;
}

/* A new session */

static void call_make(size_t i, void *aux, struct zk_call *call)
{
    (void)i;
    *call = (struct zk_call){
        .type = ZK_CREATE, .path = aux, .absolute = true, .data = "", .flags = ZOO_PERSISTENT};
}

static void call_look(size_t i, void *aux, struct zk_call *call)
{
    (void)i;
    *call = (struct zk_call){.type = ZK_EXISTS, .path = aux, .absolute = true};
}

/* 0 and the library's code in *zrc, or no reply. */
static int do_one(struct zk_store *zk, zk_call_fn *fn, char *path, int *zrc)
{
    struct zk_batch *b = zk_batch_new(zk, 1);
    int rc = zk_batch_run(b, fn, path, ZK_SETTLING | ZK_ONCE, zk_deadline(zk));

    *zrc = b->items[0].rc;
    zk_batch_free(b);
    return rc ? rc : zk_is_lost(*zrc) ? -ENOTCONN : 0;
}

/* Makes the prefix, part by part.  It is there already except at the first use of all. */
static int make_root(struct zk_store *zk)
{
    char part[ZK_PREFIX_MAX], *prefix = zk->prefix;
    int zrc = ZOK;
    int rc = prefix[0] ? do_one(zk, call_look, prefix, &zrc) : 0;

    if (rc || zrc == ZOK)
        return rc;
    for (char *end = prefix; !rc && *end;) {
        end += 1 + strcspn(end + 1, "/");
        snprintf(part, sizeof part, "%.*s", (int)(end - prefix), prefix);
        rc = do_one(zk, call_make, part, &zrc);
        if (!rc && zrc != ZOK && zrc != ZNODEEXISTS) {
            log_warn("store", "ZooKeeper: %s can't be made: %s", part, zerror(zrc));
            return zk_errno(zrc);
        }
    }
    return rc;
}

/* With the lock held, which it drops meanwhile. */
static int settle(struct zk_store *zk)
{
    int64_t session = zoo_client_id(zk->zh)->client_id;
    struct remake m = copy_ephemerals(zk);
    int64_t last_session = zk->last_session;
    bool new_session = !zk->settled;
    int rc = 0;

    zk->ephemerals_late = false;
    pthread_mutex_unlock(&zk->lock);
    if (new_session)
        rc = make_root(zk);
    if (!rc && m.n)
        rc = remake_ephemerals(zk, &m, session, last_session);
    free_copy(&m);
    pthread_mutex_lock(&zk->lock);
    zk->refused = rc == -EACCES ? rc : 0;
    if (!rc && !zk->dead)
        zk->settled = true;
    return rc;
}

static void close_session(struct zk_store *zk)
{
    zhandle_t *zh = zk->zh;

    if (zh)
        zk->last_session = zoo_client_id(zh)->client_id;
    zk->zh = NULL;
    zk->generation++;
    pthread_mutex_unlock(&zk->lock);
    if (zh) {
        /* What the library has not delivered when it is closed, it leaks. */
        for (int i = 0; i < 100 && zk_requests_pending(zk); i++)
            usleep(2000);
        zookeeper_close(zh);
        zk_fail_requests(zk);
    }
    pthread_mutex_lock(&zk->lock);
}

/* The names of the servers are looked up here. */
static void open_session(struct zk_store *zk)
{
    zk->dead = zk->link_up = zk->settled = false;
    pthread_mutex_unlock(&zk->lock);
    zhandle_t *zh = zookeeper_init2(zk->hosts, zk_on_event, (int)zk->base.session_timeout_ms, NULL,
                                    zk, ZOO_NO_LOG_CLIENTENV, on_log);
    if (!zh)
        log_limited(LOG_LVL_WARN, "store", "ZooKeeper at %s: %s", zk->hosts, strerror(errno));
    else if (zk->auth)
        zoo_add_auth(zh, "digest", zk->auth, (int)strlen(zk->auth), NULL, NULL);
    pthread_mutex_lock(&zk->lock);
    zk->zh = zh;
    pthread_cond_broadcast(&zk->changed);
}

static void *manage(void *aux)
{
    struct zk_store *zk = aux;
    bool new_session = true;

    pthread_mutex_lock(&zk->lock);
    while (!zk->stop) {
        if (zk->dead && zk->refused) {
            zk_wait_changed(zk, clock_ns() + RETRY_NS);
            zk->refused = 0;
        } else if (zk->dead || !zk->zh) {
            close_session(zk);
            open_session(zk);
            new_session = true;
            if (!zk->zh && !zk->stop)
                zk_wait_changed(zk, clock_ns() + RETRY_NS);
        } else if (zk->link_up && (!zk->settled || zk->ephemerals_late)) {
            if (settle(zk) && zk->link_up && !zk->stop)
                zk_wait_changed(zk, clock_ns() + RETRY_NS);
            if (zk->ready)
                report_given_up(zk);
        } else if (zk->link_up && !zk->ready) {
            set_ready(zk, true);
            report_given_up(zk);
            zk_watch_resume(zk, new_session);
            new_session = false;
        } else {
            pthread_cond_wait(&zk->changed, &zk->lock);
        }
    }
    set_ready(zk, false);
    close_session(zk);
    pthread_mutex_unlock(&zk->lock);
    return NULL;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void set_library_log_level(void)
{
    zoo_set_debug_level(log_level >= LOG_LVL_DEBUG ? ZOO_LOG_LEVEL_INFO : ZOO_LOG_LEVEL_ERROR);
}

int zk_session_start(struct zk_store *zk)
{
    pthread_condattr_t attr;

    pthread_once(&once, set_library_log_level);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&zk->lock, NULL);
    pthread_mutex_init(&zk->requests_lock, NULL);
    pthread_cond_init(&zk->changed, &attr);
    pthread_cond_init(&zk->armed, &attr);
    pthread_condattr_destroy(&attr);
    zk->down_since_ns = clock_ns();
    return -pthread_create(&zk->manager, NULL, manage, zk);
}

void zk_session_hurry(struct zk_store *zk)
{
    pthread_mutex_lock(&zk->lock);
    zk->hurry = true;
    pthread_cond_broadcast(&zk->changed);
    pthread_mutex_unlock(&zk->lock);
}

void zk_session_stop(struct zk_store *zk)
{
    pthread_mutex_lock(&zk->lock);
    zk->stop = true;
    pthread_cond_broadcast(&zk->changed);
    pthread_mutex_unlock(&zk->lock);
    pthread_join(zk->manager, NULL);
    pthread_cond_destroy(&zk->changed);
    pthread_cond_destroy(&zk->armed);
    pthread_mutex_destroy(&zk->requests_lock);
    pthread_mutex_destroy(&zk->lock);
}
