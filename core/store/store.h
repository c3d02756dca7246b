/* The store: a small tree of versioned nodes, replicated or not.
 *
 * What is kept here is the whole configuration and shared run-time state of a cloud.  The semantics
 * are those ZooKeeper has proved (zookeeper.apache.org, "ZooKeeper Programmer's Guide"): a node has
 * data and a version and may have children; several changes commit together or not at all;
 * ephemeral nodes live as long as their owner; a watch says that something changed, never what.
 *
 *   zk://h1:2181,h2:2181/root    ZooKeeper ensemble, all paths below /root
 *   zk://user:secret@h1:2181/    the same with a digest ACL on every node
 *   file:/var/lib/mn/mn.db       SQLite (WAL); several processes at once
 *   memory:NAME                  in this process; the same NAME opens the same tree ("memory:" is
 *                                a fresh anonymous one, gone at its last close)
 *
 * Paths are "/a/b/c": UTF-8, no empty, "." or ".." parts, no control characters, shorter than
 * STORE_PATH_MAX bytes.  "/" can be read and watched, not written.  A parent must exist, except
 * under STORE_PARENTS, and can't be ephemeral (-EINVAL).  Data is at most STORE_VALUE_MAX bytes:
 * more is refused with -E2BIG before anything is sent.  A commit of more than STORE_COMMIT_MAX
 * bytes (store_op_cost() added up) or STORE_COMMIT_OPS operations likewise.
 *
 * Watches are persistent and coalesced.  Watch first, then read: from then on every change gives at
 * least one event after it, also across reconnects, server loss and session expiry (the client
 * compares and synthesises what it missed), and also when this handle made the change.  Read after
 * the event.  Changes between two store_next_event() calls may share an event, and an event is a
 * hint: it may come without a change.
 *
 * Ephemeral nodes belong to the handle: if its session expires while the process lives, the handle
 * opens a new session and makes its ephemeral nodes again, as it last wrote them, before it says
 * STORE_EV_RECONNECTED; a node that another owner has taken meanwhile is left to it and reported as
 * changed (with tag 0 unless it is watched).
 *
 * Calls block, at most store_options.timeout_ms; -ETIMEDOUT or -ENOTCONN then, and for commits
 * *unknown outcome*: read before retrying.  A short outage is waited for; once it has lasted that
 * long every call fails at once.  (The memory store answers at once; the file store waits only for
 * another writer.)
 * Thread: one handle may be used from several threads; events are read by one. */
#ifndef MN_STORE_STORE_H
#define MN_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "base/types.h"

#define STORE_PATH_MAX    512
#define STORE_VALUE_MAX   (900 * 1000)
#define STORE_COMMIT_MAX  (960 * 1000)
#define STORE_COMMIT_OPS  4000
#define STORE_WATCHES_MAX 10000
#define STORE_ANY         (-1) /* any version */

struct store;

struct store_options {
    unsigned timeout_ms;         /* of one call; 0: 10,000 */
    unsigned session_timeout_ms; /* after this, a silent client's ephemerals go; 0: 10,000 */
    bool no_wait;                /* open succeeds although the servers can't be reached yet */
};

/* Opens 'url' ('opts' may be null).  The root is made if it isn't there. */
int store_open(const char *url, const struct store_options *opts, struct store **out,
               struct error *e);
void store_close(struct store *s); /* ephemeral nodes of the handle go; null is fine */
/* From now on nobody waits for servers that can't be reached, who waits now either: -ENOTCONN at
 * once.  Any thread; for who has to end. */
void store_hurry(struct store *s);

/* A value read.  'data' has a terminating zero behind 'size' bytes; free with store_value_free().
 */
struct store_value {
    char *data;
    size_t size;
    int64_t version; /* for compare-and-set; counts the node's changes, from 0 */
    int rc;          /* store_get_many only: 0 or -ENOENT */
    bool ephemeral;  /* dies with its owner */
};
void store_value_free(struct store_value *v);

int store_get(struct store *s, const char *path, struct store_value *out, struct error *e);
int store_exists(struct store *s, const char *path); /* 1, 0 or a negative error */

/* Reads 'n' nodes in one pipelined round; out[i].rc says which exist.  0 unless the store fails. */
int store_get_many(struct store *s, const char *const *paths, size_t n, struct store_value *out,
                   struct error *e);

/* Names (not paths) of the children, sorted.  Free with store_names_free(). */
struct store_names {
    char **names;
    size_t n;
};
void store_names_free(struct store_names *names);
int store_children(struct store *s, const char *path, struct store_names *out, struct error *e);
/* Same for 'n' paths in one round; a missing path gives an empty list and rcs[i] = -ENOENT. */
int store_children_many(struct store *s, const char *const *paths, size_t n,
                        struct store_names *out, int *rcs, struct error *e);

enum store_op_type {
    STORE_CREATE, /* -EEXIST; -ENOENT without its parent */
    STORE_SET,    /* -ENOENT; -ESTALE when version is not STORE_ANY and differs */
    STORE_DELETE, /* likewise; -ENOTEMPTY while it has children */
    STORE_CHECK,  /* exists with this version (STORE_ANY: exists) */
    STORE_PUT,    /* create or set, whatever is there; not with STORE_EPHEMERAL */
};

enum { STORE_EPHEMERAL = 1, STORE_PARENTS = 2 /* make missing parents, persistent and empty */ };

struct store_op {
    enum store_op_type type;
    unsigned flags;   /* CREATE and PUT */
    const char *path; /* borrowed for the call */
    const void *data; /* CREATE, SET, PUT */
    size_t size;
    int64_t version; /* SET, DELETE, CHECK: STORE_ANY or the version expected */
};

/* What an operation counts against STORE_COMMIT_MAX: its bytes and a share of the protocol's. */
static inline size_t store_op_cost(const struct store_op *op)
{
    return strlen(op->path) + op->size + 64;
}

/* All or nothing; in order, each operation sees those before it.  On failure *failed (unless null)
 * is the index of the operation that refused (or -1 when the store itself failed), and nothing has
 * changed. */
int store_commit(struct store *s, const struct store_op *ops, size_t n, int *failed,
                 struct error *e);

/* One-operation shorthands. */
int store_create(struct store *s, const char *path, const void *data, size_t size, unsigned flags,
                 struct error *e);
int store_set(struct store *s, const char *path, const void *data, size_t size, int64_t version,
              struct error *e);
int store_delete(struct store *s, const char *path, int64_t version, struct error *e);
/* The node and everything below it, in commits of bounded size, deepest first; 0 if absent. */
int store_delete_tree(struct store *s, const char *path, struct error *e);

enum store_watch_kind {
    STORE_WATCH_DATA = 1,     /* data set, node created or deleted */
    STORE_WATCH_CHILDREN = 2, /* a child came or went; the node need not exist yet */
};

/* Adds or removes interest.  'tag' comes back in the event; a path and kind has one tag, the
 * latest. Repeating is harmless.  -ENOSPC beyond STORE_WATCHES_MAX paths and kinds of one handle,
 * or when the paths add up to more than STORE_VALUE_MAX bytes: a client re-sends all its watches in
 * one packet when it reconnects, and the servers take no larger one. */
int store_watch(struct store *s, const char *path, unsigned kinds, uint64_t tag, struct error *e);
/* The same, for who reads the node through this handle next and watches many: doesn't wait until
 * the servers have the watch.  Events are certain for what changes after that read. */
int store_watch_read(struct store *s, const char *path, unsigned kinds, uint64_t tag,
                     struct error *e);
void store_unwatch(struct store *s, const char *path, unsigned kinds);

enum store_event_type {
    STORE_EV_CHANGED,      /* path, kind and tag say which watch */
    STORE_EV_DISCONNECTED, /* reads and writes will fail for now */
    STORE_EV_RECONNECTED,  /* back; ephemerals are in place, CHANGED events follow for the rest */
};

struct store_event {
    enum store_event_type type;
    enum store_watch_kind kind;
    uint64_t tag;
    char path[STORE_PATH_MAX];
};

/* Readable (poll) while events wait. */
int store_event_fd(struct store *s);
/* 1 and the next event, or 0 when there is none.  Never blocks. */
int store_next_event(struct store *s, struct store_event *ev);

bool store_connected(struct store *s);

/* Bytes this handle holds: buffers, watches, caches. */
size_t store_memory(struct store *s);

#endif
