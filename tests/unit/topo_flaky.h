/* A store handle that counts what goes through it and can be made to fail: in front of a real one.
 */
#ifndef TOPO_FLAKY_H
#define TOPO_FLAKY_H

#include "store/filling.h"
#include "topo_cloud.h"

struct flaky {
    struct store base;
    struct store *inner;
    bool away;          /* every call fails, no event arrives */
    bool deaf;          /* events are lost */
    uint64_t fail_in_8; /* so many calls of eight fail */
    struct random r;
    void (*before_commit)(void *aux); /* once */
    void *aux;
    uint64_t gets, lists, commits, bytes;
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
    if (!rc && flaky_fails(f)) /* done, but who asked doesn't hear of it */
        return error_set(e, -ETIMEDOUT, NULL, NULL, "away");
    return rc;
}

static inline int flaky_watch(struct store *s, const char *path, unsigned kinds, struct error *e)
{
    struct flaky *f = (struct flaky *)s;

    if (flaky_fails(f))
        return error_set(e, -ENOTCONN, NULL, NULL, "away");
    return store_watch(f->inner, path, kinds, 0, e);
}

static inline void flaky_unwatch(struct store *s, const char *path, unsigned kinds)
{
    store_unwatch(((struct flaky *)s)->inner, path, kinds);
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

static inline void flaky_close(struct store *s)
{
    store_close(((struct flaky *)s)->inner);
    store_teardown(s);
}

static inline struct flaky *flaky_open(struct cloud *c)
{
    static const struct store_ops ops = {.scheme = "flaky:",
                                         .close = flaky_close,
                                         .get_many = flaky_get_many,
                                         .children_many = flaky_children_many,
                                         .exists = flaky_exists,
                                         .commit = flaky_commit,
                                         .watch = flaky_watch,
                                         .unwatch = flaky_unwatch,
                                         .next_event = flaky_next_event};
    struct flaky *f = NEW(struct flaky);
    struct error e;

    assert_int_equal(store_setup(&f->base, &ops, NULL, &e), 0);
    assert_int_equal(store_open(c->url, NULL, &f->inner, &e), 0);
    f->r.x = 99;
    return f;
}

/* The connection is lost, and comes back. */
static inline void flaky_lose(struct flaky *f)
{
    f->away = true;
    watches_connection(&f->base.watches, STORE_EV_DISCONNECTED);
}

static inline void flaky_return(struct flaky *f)
{
    struct store_event ev;

    while (store_next_event(f->inner, &ev) > 0)
        ;
    f->away = false;
    watches_connection(&f->base.watches, STORE_EV_RECONNECTED);
}

static inline struct agent *agent_flaky(struct cloud *c, struct flaky *f, const char *name)
{
    struct agent *a = NEW(struct agent);
    struct uuid host;

    uuid_random(&host);
    agent_on(a, c, &f->base, &host);
    json_t *none = json_array();
    sync_host(a->sync, name, none);
    json_decref(none);
    return a;
}

#endif
