/* Inside the "zk:" store, on top of libzookeeper_mt.
 *
 *   zookeeper.c   URL, opening and closing, reads
 *   zk_session.c  the manager thread: (re)connecting, new sessions, own ephemeral nodes
 *   zk_request.c  one request to the library and its reply; batches of them that a caller waits for
 *   zk_commit.c   commits, with what ZooKeeper lacks (PUT, PARENTS)
 *   zk_watch.c    persistent watches out of one-shot ones
 *
 * Threads.  The library has two a session, and calls us from its completion thread only, where we
 * never wait.  A manager thread of ours replaces a session that expired, which can't be done in a
 * callback.  'lock' guards everything but requests; it is held while requests are handed to the
 * library (which queues them), so requests of one caller reach the server in order, and never while
 * a session is closed.  'requests_lock' and a batch's lock are taken inside it, never around it.
 *
 * The library drops what it has not delivered when a session is closed, so all requests are listed
 * here and the rest is failed by us. */
#ifndef MN_STORE_ZK_INTERNAL_H
#define MN_STORE_ZK_INTERNAL_H

#include <pthread.h>
#include <zookeeper/zookeeper.h>

#include "store/filling.h"

#define ZK_PREFIX_MAX 64
#define ZK_PATH_MAX   (ZK_PREFIX_MAX + STORE_PATH_MAX)

struct zk_watch;
struct zk_ephemeral;
struct zk_request;

struct zk_store {
    struct store base;
    char *hosts;  /* "h1:2181,h2:2181" */
    char *prefix; /* "" or "/mn": goes before every path */
    char *auth;   /* "user:secret" or null */
    const struct ACL_vector *acl;

    pthread_t manager;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* CLOCK_MONOTONIC; any of the following changed */
    pthread_cond_t armed;   /* the same clock; a watch was armed, or failed to be */
    zhandle_t *zh;          /* null between two sessions */
    unsigned generation;    /* of the session */
    bool link_up;           /* connected to a server, with a session */
    bool dead;              /* the session is over: a new one is needed */
    bool settled;           /* root and ephemerals were made in this session */
    bool ready;             /* link_up and settled: callers may use it */
    bool announced;         /* ready is what the reader of events last heard */
    bool ephemerals_late;   /* one was made while the session changed */
    bool stop;
    bool hurry;  /* nobody waits for 'ready' */
    int refused; /* -EACCES: the servers don't let us */
    int64_t last_session;
    uint64_t down_since_ns;
    struct zk_watch *watches;        /* uthash by path */
    struct zk_ephemeral *ephemerals; /* uthash by path */
    struct strbuf given_up;          /* ephemerals others have taken: paths, each with its zero */
    size_t memory;                   /* of the two tables */

    pthread_mutex_t requests_lock;
    struct zk_request *requests; /* on their way */
};

/* zk_request.c */

enum zk_call_type { ZK_GET, ZK_NAMES, ZK_EXISTS, ZK_CREATE, ZK_MULTI, ZK_UNWATCH };

struct zk_call {
    enum zk_call_type type;
    const char *path; /* without prefix, unless 'absolute' */
    bool absolute;
    bool watch;       /* GET, NAMES, EXISTS */
    bool of_names;    /* UNWATCH: the watch of NAMES, not that of the others */
    const void *data; /* CREATE */
    int size, flags;
    const zoo_op_t *ops; /* MULTI; 'results' must live until the reply */
    int n_ops;
    zoo_op_result_t *results;
};

struct zk_reply {
    int rc; /* the library's code */
    const char *data;
    int size;
    const struct Stat *stat;
    const struct String_vector *names;
};

/* Embedded in what 'done' needs.  'done' is called once, from a callback or after a session was
 * closed, never from zk_send(). */
struct zk_request {
    struct zk_request *prev, *next;
    struct zk_store *zk;
    void (*done)(struct zk_request *r, const struct zk_reply *reply);
};

/* With 'lock' held and zk->zh set.  When it returns another code than ZOK, 'done' is not called. */
int zk_send(struct zk_store *zk, struct zk_request *r, const struct zk_call *call);
void zk_fail_requests(struct zk_store *zk); /* after the session was closed */
bool zk_requests_pending(struct zk_store *zk);
bool zk_is_lost(int zrc); /* no reply: the outcome is unknown */
int zk_errno(int zrc);
struct store_value zk_value(const struct zk_reply *reply); /* a copy, of what ZK_GET brought */
/* The server's path of ours, in 'buf'. */
const char *zk_path(const struct zk_store *zk, const char *path, char buf[ZK_PATH_MAX]);

struct zk_item {
    struct zk_request request;
    struct zk_batch *batch;
    enum { ZK_UNSENT, ZK_SENT, ZK_DONE } state;
    int rc; /* the library's code */
    struct store_value value;
    struct store_names names;
    struct Stat stat;
};

struct zk_batch {
    pthread_mutex_t lock;
    pthread_cond_t answered;
    unsigned refs, n_sent;
    bool abandoned;
    struct zk_store *zk;
    void *extra; /* freed with it */
    size_t n;
    struct zk_item items[];
};

enum {
    ZK_ONCE = 1,     /* what is lost stays lost: not to be repeated */
    ZK_SETTLING = 2, /* the manager's own, before callers may use the session */
};

#define ZK_BATCH_MAX 2000

/* Calls for item i: fills *call. */
typedef void zk_call_fn(size_t i, void *aux, struct zk_call *call);

struct zk_batch *zk_batch_new(struct zk_store *zk, size_t n);
/* Sends all, waits for the replies, repeats what was lost until the deadline (unless ZK_ONCE).
 * 0 when every item has a reply (ZK_ONCE: or is lost), -ENOTCONN, -ETIMEDOUT. */
int zk_batch_run(struct zk_batch *b, zk_call_fn *fn, void *aux, unsigned flags,
                 uint64_t deadline_ns);
void zk_batch_free(struct zk_batch *b);

/* zk_session.c */
int zk_session_start(struct zk_store *zk);
void zk_session_stop(struct zk_store *zk);
void zk_session_hurry(struct zk_store *zk);
/* Takes 'lock' and waits until callers may use the session.  On failure the lock is not held. */
int zk_lock_ready(struct zk_store *zk, unsigned flags, uint64_t deadline_ns);
void zk_wait_changed(struct zk_store *zk, uint64_t until_ns); /* lock held */
void zk_on_event(zhandle_t *zh, int type, int state, const char *path, void *aux);
uint64_t zk_deadline(const struct zk_store *zk);
int zk_fail(struct zk_store *zk, int rc, struct error *e); /* fills 'e' for -ENOTCONN etc. */

/* Own ephemeral nodes, as far as a new session must make them again; lock held. */
void zk_ephemeral_note(struct zk_store *zk, const struct store_op *op, unsigned generation);
void zk_ephemerals_free(struct zk_store *zk);

/* zk_commit.c */
int zk_commit(struct store *s, const struct store_op *ops, size_t n, int *failed, struct error *e);

/* zk_watch.c */
int zk_watch_add(struct store *s, const char *path, unsigned kinds, bool wait, struct error *e);
void zk_watch_remove(struct store *s, const char *path, unsigned kinds);
int zk_watch_next_event(struct store *s, struct store_event *ev);
void zk_watch_fired(struct zk_store *zk, int type, const char *path); /* takes the lock */
/* Lock held.  What arming the watch of the path's data has read, if the watch hasn't fired and
 * nobody has taken it. */
bool zk_watch_take_gift(struct zk_store *zk, const char *path, struct store_value *out);
/* Lock held: after a reconnect, finds out what was missed. */
void zk_watch_resume(struct zk_store *zk, bool new_session);
void zk_watch_free(struct zk_store *zk);

#endif
