#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/hashing.h"
#include "store/zk_internal.h"

bool zk_is_lost(int zrc)
{
    switch (zrc) {
    case ZCONNECTIONLOSS:
    case ZOPERATIONTIMEOUT:
    case ZSESSIONEXPIRED:
    case ZSESSIONMOVED:
    case ZINVALIDSTATE:
    case ZCLOSING:
    case ZTHROTTLEDOP:
        return true;
    default:
        return false;
    }
}

int zk_errno(int zrc)
{
    if (zk_is_lost(zrc))
        return -ENOTCONN;
    switch (zrc) {
    case ZOK:
        return 0;
    case ZNONODE:
        return -ENOENT;
    case ZNODEEXISTS:
        return -EEXIST;
    case ZBADVERSION:
        return -ESTALE;
    case ZNOTEMPTY:
        return -ENOTEMPTY;
    case ZNOCHILDRENFOREPHEMERALS:
        return -EINVAL;
    case ZNOAUTH:
    case ZAUTHFAILED:
        return -EACCES;
    default:
        return -EIO;
    }
}

const char *zk_path(const struct zk_store *zk, const char *path, char buf[ZK_PATH_MAX])
{
    size_t prefix = strlen(zk->prefix);

    if (!prefix || !path[1]) /* the root: the prefix itself, or "/" */
        return prefix ? zk->prefix : path;
    memcpy(buf, zk->prefix, prefix);
    strcpy(buf + prefix, path);
    return buf;
}

/* One request */

static void finish(const void *data, const struct zk_reply *reply)
{
    struct zk_request *r = (void *)data;

    pthread_mutex_lock(&r->zk->requests_lock);
    DL_DELETE(r->zk->requests, r);
    pthread_mutex_unlock(&r->zk->requests_lock);
    r->done(r, reply);
}

static void on_data(int rc, const char *value, int size, const struct Stat *stat, const void *data)
{
    /* A node made by others may have null data, of size -1. */
    finish(data, &(struct zk_reply){
                     .rc = rc, .data = size > 0 ? value : "", .size = MAX(size, 0), .stat = stat});
}

static void on_names(int rc, const struct String_vector *names, const struct Stat *stat,
                     const void *data)
{
    finish(data, &(struct zk_reply){.rc = rc, .names = names, .stat = stat});
}

static void on_stat(int rc, const struct Stat *stat, const void *data)
{
    finish(data, &(struct zk_reply){.rc = rc, .stat = stat});
}

static void on_string(int rc, const char *value, const void *data)
{
    (void)value;
    finish(data, &(struct zk_reply){.rc = rc});
}

static void on_void(int rc, const void *data)
{
    finish(data, &(struct zk_reply){.rc = rc});
}

static int call_library(struct zk_store *zk, struct zk_request *r, const struct zk_call *c)
{
    char buf[ZK_PATH_MAX];
    const char *path = c->path && !c->absolute ? zk_path(zk, c->path, buf) : c->path;
    watcher_fn watcher = c->watch ? zk_on_event : NULL;

    switch (c->type) {
    case ZK_GET:
        return zoo_awget(zk->zh, path, watcher, zk, on_data, r);
    case ZK_NAMES:
        return zoo_awget_children2(zk->zh, path, watcher, zk, on_names, r);
    case ZK_EXISTS:
        return zoo_awexists(zk->zh, path, watcher, zk, on_stat, r);
    case ZK_CREATE:
        return zoo_acreate(zk->zh, path, c->data, c->size, zk->acl, c->flags, on_string, r);
    case ZK_MULTI:
        return zoo_amulti(zk->zh, c->n_ops, c->ops, c->results, on_void, r);
    case ZK_UNWATCH: /* the header's pointer to a function pointer is called as a function */
        return zoo_aremove_all_watches(zk->zh, path,
                                       c->of_names ? ZWATCHTYPE_CHILD : ZWATCHTYPE_DATA, 0,
                                       (void_completion_t *)(void *)on_void, r);
    }
    return ZBADARGUMENTS;
}

int zk_send(struct zk_store *zk, struct zk_request *r, const struct zk_call *call)
{
    r->zk = zk;
    pthread_mutex_lock(&zk->requests_lock);
    DL_APPEND(zk->requests, r);
    pthread_mutex_unlock(&zk->requests_lock);
    int rc = call_library(zk, r, call);
    if (rc != ZOK) {
        pthread_mutex_lock(&zk->requests_lock);
        DL_DELETE(zk->requests, r);
        pthread_mutex_unlock(&zk->requests_lock);
    }
    return rc;
}

bool zk_requests_pending(struct zk_store *zk)
{
    pthread_mutex_lock(&zk->requests_lock);
    bool pending = zk->requests;
    pthread_mutex_unlock(&zk->requests_lock);
    return pending;
}

void zk_fail_requests(struct zk_store *zk)
{
    for (;;) {
        pthread_mutex_lock(&zk->requests_lock);
        struct zk_request *r = zk->requests;
        pthread_mutex_unlock(&zk->requests_lock);
        if (!r)
            return;
        finish(r, &(struct zk_reply){.rc = ZCLOSING});
    }
}

/* Batches */

struct zk_batch *zk_batch_new(struct zk_store *zk, size_t n)
{
    struct zk_batch *b = mem_zalloc(sizeof *b + n * sizeof b->items[0]);
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->answered, &attr);
    pthread_condattr_destroy(&attr);
    b->zk = zk;
    b->n = n;
    b->refs = 1;
    for (size_t i = 0; i < n; i++)
        b->items[i].batch = b;
    return b;
}

/* With the batch's lock held, which it releases. */
static void unref(struct zk_batch *b)
{
    bool last = !--b->refs;

    pthread_mutex_unlock(&b->lock);
    if (!last)
        return;
    for (size_t i = 0; i < b->n; i++) {
        store_value_free(&b->items[i].value);
        store_names_free(&b->items[i].names);
    }
    pthread_cond_destroy(&b->answered);
    pthread_mutex_destroy(&b->lock);
    free(b->extra);
    free(b);
}

/* Replies still under way find the batch abandoned; the last one frees it. */
void zk_batch_free(struct zk_batch *b)
{
    pthread_mutex_lock(&b->lock);
    b->abandoned = true;
    unref(b);
}

static void copy_names(const struct String_vector *from, struct store_names *to)
{
    struct strbuf zs = {0};

    for (int i = 0; i < from->count; i++)
        sb_add_bytes(&zs, from->data[i], strlen(from->data[i]) + 1);
    store_names_build(&zs, (size_t)from->count, to);
    sb_free(&zs);
}

struct store_value zk_value(const struct zk_reply *reply)
{
    return (struct store_value){
        .data = store_copy_data(reply->data, (size_t)reply->size),
        .size = (size_t)reply->size,
        .version = reply->stat->version,
        .ephemeral = reply->stat->ephemeralOwner != 0,
    };
}

static void take_reply(struct zk_item *item, const struct zk_reply *reply)
{
    item->rc = reply->rc;
    if (reply->rc)
        return;
    if (reply->stat)
        item->stat = *reply->stat;
    if (reply->names)
        copy_names(reply->names, &item->names);
    if (reply->data)
        item->value = zk_value(reply);
}

static void item_done(struct zk_request *r, const struct zk_reply *reply)
{
    struct zk_item *item = (struct zk_item *)r;
    struct zk_batch *b = item->batch;

    pthread_mutex_lock(&b->lock);
    if (!b->abandoned) {
        take_reply(item, reply);
        item->state = ZK_DONE;
        if (!--b->n_sent)
            pthread_cond_signal(&b->answered);
    }
    unref(b);
}

static void send_item(struct zk_batch *b, struct zk_item *item, const struct zk_call *call)
{
    pthread_mutex_lock(&b->lock);
    b->refs++;
    b->n_sent++;
    item->state = ZK_SENT;
    pthread_mutex_unlock(&b->lock);
    item->request.done = item_done;
    int rc = zk_send(b->zk, &item->request, call);
    if (rc != ZOK)
        item_done(&item->request, &(struct zk_reply){.rc = rc});
}

/* True when all have come. */
static bool wait_for_replies(struct zk_batch *b, uint64_t deadline_ns)
{
    struct timespec until = {.tv_sec = (time_t)(deadline_ns / NSEC_PER_SEC),
                             .tv_nsec = (long)(deadline_ns % NSEC_PER_SEC)};
    int rc = 0;

    pthread_mutex_lock(&b->lock);
    while (b->n_sent && !rc)
        rc = pthread_cond_timedwait(&b->answered, &b->lock, &until);
    bool all = !b->n_sent;
    pthread_mutex_unlock(&b->lock);
    return all;
}

/* Makes what was lost a thing to do again; true when there is something to do. */
static bool again(struct zk_batch *b)
{
    bool any = false;

    for (size_t i = 0; i < b->n; i++) {
        struct zk_item *item = &b->items[i];
        if (item->state == ZK_DONE && zk_is_lost(item->rc))
            item->state = ZK_UNSENT;
        any = any || item->state == ZK_UNSENT;
    }
    return any;
}

static bool all_sent(const struct zk_batch *b)
{
    for (size_t i = 0; i < b->n; i++)
        if (b->items[i].state == ZK_UNSENT)
            return false;
    return true;
}

int zk_batch_run(struct zk_batch *b, zk_call_fn *fn, void *aux, unsigned flags,
                 uint64_t deadline_ns)
{
    for (bool first = true;; first = false) {
        int rc = zk_lock_ready(b->zk, flags, deadline_ns);

        if (rc)
            return rc;
        /* A session may be over before its end has been reported: don't spin meanwhile. */
        if (!first)
            zk_wait_changed(b->zk, MIN(deadline_ns, clock_ns() + 5 * NSEC_PER_MSEC));
        for (size_t i = 0; b->zk->zh && i < b->n; i++)
            if (b->items[i].state == ZK_UNSENT) {
                struct zk_call call = {0};
                fn(i, aux, &call);
                send_item(b, &b->items[i], &call);
            }
        pthread_mutex_unlock(&b->zk->lock);
        if (!wait_for_replies(b, deadline_ns))
            return -ETIMEDOUT;
        if (all_sent(b) && (flags & ZK_ONCE || !again(b)))
            return 0;
    }
}
