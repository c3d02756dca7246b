/* Inside the "file:" store: one SQLite connection a handle, shared by sqlite.c (nodes),
 * sqlite_session.c (who lives) and sqlite_events.c (what changed).
 *
 * Beside DB (SQLite's own DB-wal and DB-shm go with it) lies DB-lock.  It holds no data:
 *
 *   - byte N of it is locked (open file description lock) while session N lives, so that a session
 *     dies with its process, whatever kills that;
 *   - everybody who watches has an inotify watch on it.  A writer writes a byte to it after each
 *     commit; one that is killed in between has it closed by the kernel, which wakes the others
 *     just as well.  So no wake-up is lost and nobody polls.
 *
 * What changed is in table 'change': one row a commit, with the paths.  'pos' counts the bytes of
 * all rows ever, so a reader sees from the first row's pos whether rows it has not read are gone,
 * and then takes everything for changed. */
#ifndef MN_STORE_SQLITE_INTERNAL_H
#define MN_STORE_SQLITE_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>

#include "store/filling.h"

enum statement {
    SQL_BEGIN_READ,
    SQL_BEGIN_WRITE,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_GET,
    SQL_STAT,
    SQL_CHILDREN,
    SQL_HAS_CHILD,
    SQL_INSERT,
    SQL_UPDATE,
    SQL_DELETE,
    SQL_LOG_END,
    SQL_LOG_ADD,
    SQL_LOG_PRUNE,
    SQL_LOG_READ,
    SQL_SESSIONS,
    SQL_SESSION_ADD,
    SQL_SESSION_DELETE,
    SQL_OWNED,
    SQL_DISOWN,
    N_SQL,
};

struct file_store {
    struct store base;
    pthread_mutex_t lock; /* everything below */
    sqlite3 *db;
    sqlite3_stmt *statements[N_SQL]; /* prepared at first use */
    char *path, *lock_path;
    uint64_t busy_since_ns;

    int lock_fd;
    int64_t session; /* 0: none, nothing ephemeral made yet */
    uint64_t next_sweep_ns;

    int epoll_fd, inotify_fd, timer_fd; /* -1 until somebody watches */
    int64_t log_pos;                    /* read up to here */
    bool behind;                        /* the log could not be read when it should have been */
    unsigned rechecks;                  /* of the sessions still to do after a process ended */
};

/* The paths a transaction changed, as they go to the log: kinds + '0', path, zero. */
struct change_log {
    struct strbuf paths;
    size_t last_parent; /* offset in 'paths' of the parent noted last */
};

/* sqlite.c: statements.  A statement is used as sql(), bind, step, sqlite3_reset(). */
sqlite3_stmt *file_sql(struct file_store *h, enum statement which);
int file_run(struct file_store *h, enum statement which); /* no arguments, no rows; SQLite's code */
int file_errno(int sqlite_rc);
int file_error(struct file_store *h, int sqlite_rc, struct error *e); /* returns -errno */

/* "/a/b" is name "b" of parent "/a"; the root is name "" of parent "". */
sqlite3_stmt *file_bind_path(struct file_store *h, enum statement which, const char *path);
/* 0, -ENOENT or another -errno. */
int file_stat(struct file_store *h, const char *path, int64_t *version, bool *ephemeral);

/* sqlite_commit.c */
int file_commit(struct store *s, const struct store_op *ops, size_t n, int *failed,
                struct error *e);

/* sqlite_session.c.  All with the lock held. */
int file_session_open(struct file_store *h);    /* in a write transaction; 0 or SQLite's code */
void file_session_forget(struct file_store *h); /* before that transaction is rolled back */
void file_session_close(struct file_store *h);
/* Removes what sessions that ended left, at most every 100 ms unless 'now'.  True when other
 * sessions live. */
bool file_sweep(struct file_store *h, bool now);

/* sqlite_events.c.  All with the lock held, file_notify() without. */
void file_log_note(struct change_log *log, const char *path, size_t size, bool parent_too);
int file_log_write(struct file_store *h, const struct change_log *log); /* SQLite's code */
void file_notify(struct file_store *h);
int file_events_open(struct file_store *h, struct error *e);
void file_events_close(struct file_store *h);
void file_events_read(struct file_store *h);

#endif
