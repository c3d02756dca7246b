/* A store handle that counts what goes through it and can be made to fail: in front of a real one
 * of the memory store.  Its wire can be cut, and its session can expire meanwhile: then, as
 * ZooKeeper and its client do it, the ephemeral nodes go, and come again when the wire is mended,
 * the oldest last. */
#ifndef FLAKY_STORE_H
#define FLAKY_STORE_H

#include "store/filling.h"
#include "store/hashing.h"
#include "topo_util.h"

struct flaky_node {
    UT_hash_handle hh;
    char *data;
    size_t size;
    unsigned kinds; /* watched */
    char path[];
};

struct flaky {
    struct store base;
    struct store *inner; /* null: its session has expired */
    char url[128];
    bool away;          /* every call fails, no event arrives */
    bool deaf;          /* events are lost */
    uint64_t fail_in_8; /* so many calls of eight fail */
    struct random r;
    void (*before_commit)(void *aux); /* once */
    void *aux;
    uint64_t gets, lists, commits, bytes;
    struct flaky_node *ephemerals, *watched; /* by path, oldest first */
};

static inline bool flaky_fails(struct flaky *f)
{
    return f->away || (f->fail_in_8 && rnd(&f->r) % 8 < f->fail_in_8);
}

static inline int flaky_get_many(struct store *s, const char *const *paths, size_t n,
                                 struct store_value *out, struct error *e)
{
    struct flaky *f = (struct flaky *)s;

    if (flaky_fails(f))
        return error_set(e, -ENOTCONN, NULL, NULL, "away");
    f->gets += n;
    int rc = store_get_many(f->inner, paths, n, out, e);
    for (size_t i = 0; i < n && !rc; i++)
        f->bytes += out[i].size;
    return rc;
}

static inline int flaky_children_many(struct store *s, const char *const *paths, size_t n,
                                      struct store_names *out, int *rcs, struct error *e)
{
    struct flaky *f = (struct flaky *)s;

    if (flaky_fails(f))
        return error_set(e, -ENOTCONN, NULL, NULL, "away");
    f->lists += n;
    return store_children_many(f->inner, paths, n, out, rcs, e);
}

static inline int flaky_exists(struct store *s, const char *path)
{
    struct flaky *f = (struct flaky *)s;

    return flaky_fails(f) ? -ENOTCONN : store_exists(f->inner, path);
}

static inline struct flaky_node *flaky_node(struct flaky_node **all, const char *path, bool make)
{
    struct flaky_node *n;

    HASH_FIND_STR(*all, path, n);
    if (n || !make)
        return n;
    n = mem_zalloc(sizeof *n + strlen(path) + 1);
    strcpy(n->path, path);
    HASH_ADD_STR(*all, path, n);
    return n;
}

static inline void flaky_drop(struct flaky_node **all, struct flaky_node *n)
{
    HASH_DEL(*all, n);
    free(n->data);
    free(n);
}

static inline void flaky_note(struct flaky *f, const struct store_op *op)
{
    bool created = op->type == STORE_CREATE && op->flags & STORE_EPHEMERAL;
    struct flaky_node *n = flaky_node(&f->ephemerals, op->path, created);

    if (!n || op->type == STORE_CHECK)
        return;
    if (op->type == STORE_DELETE) {
        flaky_drop(&f->ephemerals, n);
        return;
    }
    free(n->data);
    n->data = store_copy_data(op->data, op->size);
    n->size = op->size;
}

static inline int flaky_commit(struct store *s, const struct store_op *ops, size_t n, int *failed,
                               struct error *e)
{
    struct flaky *f = (struct flaky *)s;

    if (f->before_commit) {
        void (*hook)(void *) = f->before_commit;
        f->before_commit = NULL;
        hook(f->aux);
    }
    if (flaky_fails(f))
        return error_set(e, -ENOTCONN, NULL, NULL, "away");
    f->commits++;
    int rc = store_commit(f->inner, ops, n, failed, e);
    for (size_t i = 0; i < n && !rc; i++)
        flaky_note(f, &ops[i]);
    if (!rc && flaky_fails(f)) /* done, but who asked doesn't hear of it */
        return error_set(e, -ETIMEDOUT, NULL, NULL, "away");
    return rc;
}

static inline int flaky_watch(struct store *s, const char *path, unsigned kinds, bool wait,
                              struct error *e)
{
    struct flaky *f = (struct flaky *)s;

    if (flaky_fails(f))
        return error_set(e, -ENOTCONN, NULL, NULL, "away");
    flaky_node(&f->watched, path, true)->kinds |= kinds;
    return wait ? store_watch(f->inner, path, kinds, 0, e)
                : store_watch_read(f->inner, path, kinds, 0, e);
}

static inline void flaky_unwatch(struct store *s, const char *path, unsigned kinds)
{
    struct flaky *f = (struct flaky *)s;
    struct flaky_node *n = flaky_node(&f->watched, path, false);

    if (n && !(n->kinds &= ~kinds))
        flaky_drop(&f->watched, n);
    if (f->inner)
        store_unwatch(f->inner, path, kinds);
}

static inline int flaky_next_event(struct store *s, struct store_event *ev)
{
    struct flaky *f = (struct flaky *)s;
    struct store_event inner;

    while (!f->away && store_next_event(f->inner, &inner) > 0) {
        if (!f->deaf)
            watches_fire(&s->watches, inner.path, inner.kind);
    }
    return watches_next(&s->watches, ev);
}

static inline bool flaky_connected(struct store *s)
{
    return !((struct flaky *)s)->away;
}

static inline void flaky_close(struct store *s)
{
    struct flaky *f = (struct flaky *)s;

    while (f->ephemerals)
        flaky_drop(&f->ephemerals, f->ephemerals);
    while (f->watched)
        flaky_drop(&f->watched, f->watched);
    store_close(f->inner);
    store_teardown(s);
}

static inline struct flaky *flaky_open_at(const char *url)
{
    static const struct store_ops ops = {.scheme = "flaky:",
                                         .close = flaky_close,
                                         .get_many = flaky_get_many,
                                         .children_many = flaky_children_many,
                                         .exists = flaky_exists,
                                         .commit = flaky_commit,
                                         .watch = flaky_watch,
                                         .unwatch = flaky_unwatch,
                                         .next_event = flaky_next_event,
                                         .connected = flaky_connected};
    struct flaky *f = NEW(struct flaky);
    struct error e;

    assert_int_equal(store_setup(&f->base, &ops, NULL, &e), 0);
    assert_int_equal(store_open(url, NULL, &f->inner, &e), 0);
    snprintf(f->url, sizeof f->url, "%s", url);
    f->r.x = 99;
    return f;
}

/* The connection is lost, and comes back. */
static inline void flaky_lose(struct flaky *f)
{
    f->away = true;
    watches_connection(&f->base.watches, STORE_EV_DISCONNECTED);
}

/* While it is away: the servers give its session up. */
static inline void flaky_expire(struct flaky *f)
{
    store_close(f->inner);
    f->inner = NULL;
}

static inline void flaky_new_session(struct flaky *f)
{
    struct flaky_node *n, *before;
    struct error e = {0};

    assert_int_equal(store_open(f->url, NULL, &f->inner, &e), 0);
    for (n = f->watched; n; n = n->hh.next)
        assert_int_equal(store_watch(f->inner, n->path, n->kinds, 0, &e), 0);
    n = f->ephemerals ? ELMT_FROM_HH(f->ephemerals->hh.tbl, f->ephemerals->hh.tbl->tail) : NULL;
    for (; n; n = before) {
        before = n->hh.prev;
        int rc = store_create(f->inner, n->path, n->data, n->size, STORE_EPHEMERAL, &e);
        if (rc)
            flaky_drop(&f->ephemerals, n); /* another's by now, or below nothing */
    }
    watches_fire_all(&f->base.watches);
}

static inline void flaky_return(struct flaky *f)
{
    struct store_event ev;

    if (!f->inner)
        flaky_new_session(f);
    while (store_next_event(f->inner, &ev) > 0)
        ;
    f->away = false;
    watches_connection(&f->base.watches, STORE_EV_RECONNECTED);
}

#endif
