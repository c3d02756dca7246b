/* Inside the store: what a filling of store.h must provide and what all fillings share.
 *
 * store.c checks arguments once for all (paths, sizes, counts, flags) and writes the messages of
 * refused operations; a filling sees valid input only.  It allocates a structure that begins with
 * 'struct store' and calls store_setup() first and store_teardown() last. */
#ifndef MN_STORE_FILLING_H
#define MN_STORE_FILLING_H

#include "base/hash.h"
#include "base/mem.h"
#include "store/store.h"
#include "store/watches.h"

struct store_ops {
    const char *scheme; /* with its colon: "file:" */
    /* 'url' is what follows the scheme. */
    int (*open)(const char *url, const struct store_options *opts, struct store **out,
                struct error *e);
    void (*close)(struct store *s);
    /* 'out' is zeroed; on failure the caller frees what is in it. */
    int (*get_many)(struct store *s, const char *const *paths, size_t n, struct store_value *out,
                    struct error *e);
    int (*children_many)(struct store *s, const char *const *paths, size_t n,
                         struct store_names *out, int *rcs, struct error *e);
    int (*exists)(struct store *s, const char *path);
    /* Sets 'e' only when *failed stays -1. */
    int (*commit)(struct store *s, const struct store_op *ops, size_t n, int *failed,
                  struct error *e);
    /* The rest may be null: then 'watches' is all there is to it, and the store is never away. */
    int (*watch)(struct store *s, const char *path, unsigned kinds, bool wait, struct error *e);
    void (*unwatch)(struct store *s, const char *path, unsigned kinds);
    int (*event_fd)(struct store *s);
    int (*next_event)(struct store *s, struct store_event *ev);
    bool (*connected)(struct store *s);
    void (*hurry)(struct store *s);
    size_t (*memory)(struct store *s);
};

extern const struct store_ops store_memory_ops, store_sqlite_ops, store_zookeeper_ops;

struct store {
    const struct store_ops *ops;
    struct watches watches;
    unsigned timeout_ms, session_timeout_ms;
    bool no_wait;
};

int store_setup(struct store *s, const struct store_ops *ops, const struct store_options *opts,
                struct error *e);
void store_teardown(struct store *s); /* frees 's' too */

int store_check_path(const char *path, struct error *e); /* 0 or -EINVAL */

/* "/a/b" -> 2, "/a" -> 1, the size of the parent's path ("/" has no parent: 0). */
size_t store_parent_size(const char *path);
/* The last part of 'path'; empty for "/". */
const char *store_base_name(const char *path);

/* A value of 'size' bytes copied, with the zero behind it. */
char *store_copy_data(const void *data, size_t size);

/* Builds a sorted list from 'n' names in 'zs', each with its terminating zero. */
void store_names_build(const struct strbuf *zs, size_t n, struct store_names *out);

#endif
