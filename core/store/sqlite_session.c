#include <fcntl.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/sqlite_internal.h"

#define SWEEP_NS (100 * NSEC_PER_MSEC)

static struct flock session_lock(int64_t id, short type)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = id, .l_len = 1};
}

static bool session_lives(struct file_store *h, int64_t id)
{
    struct flock l = session_lock(id, F_WRLCK);

    return id == h->session || fcntl(h->lock_fd, F_OFD_GETLK, &l) || l.l_type != F_UNLCK;
}

/* The lock is taken before the session can be seen: nobody finds it dead while it is being born. */
int file_session_open(struct file_store *h)
{
    int rc = file_run(h, SQL_SESSION_ADD);

    if (rc != SQLITE_DONE)
        return rc;
    int64_t id = sqlite3_last_insert_rowid(h->db);
    struct flock l = session_lock(id, F_WRLCK);
    if (fcntl(h->lock_fd, F_OFD_SETLK, &l))
        return SQLITE_IOERR_LOCK;
    h->session = id;
    return SQLITE_OK;
}

void file_session_forget(struct file_store *h)
{
    struct flock l = session_lock(h->session, F_UNLCK);

    fcntl(h->lock_fd, F_OFD_SETLK, &l);
    h->session = 0;
}

/* In a write transaction: the session's nodes go, with their changes noted. */
static int bury(struct file_store *h, int64_t id, struct change_log *log)
{
    sqlite3_stmt *owned = file_sql(h, SQL_OWNED);
    char path[2 * STORE_PATH_MAX];
    int rc;

    if (!owned)
        return sqlite3_errcode(h->db);
    sqlite3_bind_int64(owned, 1, id);
    while ((rc = sqlite3_step(owned)) == SQLITE_ROW) {
        const char *parent = (const char *)sqlite3_column_text(owned, 0);
        const char *name = (const char *)sqlite3_column_text(owned, 1);
        int size = snprintf(path, sizeof path, "%s/%s", parent[1] ? parent : "", name);
        file_log_note(log, path, (size_t)size, true);
    }
    sqlite3_reset(owned);
    const enum statement deletes[] = {SQL_DISOWN, SQL_SESSION_DELETE};
    for (size_t i = 0; rc == SQLITE_DONE && i < ARRAY_SIZE(deletes); i++) {
        sqlite3_stmt *s = file_sql(h, deletes[i]);
        if (!s)
            return sqlite3_errcode(h->db);
        sqlite3_bind_int64(s, 1, id);
        rc = sqlite3_step(s);
        sqlite3_reset(s);
    }
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* One transaction of its own.  Another process may do the same: the second finds nothing left. */
static void bury_session(struct file_store *h, int64_t id)
{
    struct change_log log = {0};
    int rc = file_run(h, SQL_BEGIN_WRITE);

    if (rc == SQLITE_DONE) {
        rc = bury(h, id, &log);
        if (!rc)
            rc = file_log_write(h, &log);
        if (file_run(h, rc ? SQL_ROLLBACK : SQL_COMMIT) != SQLITE_DONE && !rc)
            file_run(h, SQL_ROLLBACK);
        file_notify(h);
    }
    if (rc && rc != SQLITE_DONE)
        log_debug("store", "session %lld not swept: %s", (long long)id, sqlite3_errstr(rc));
    sb_free(&log.paths);
}

void file_session_close(struct file_store *h)
{
    if (h->session)
        bury_session(h, h->session);
}

bool file_sweep(struct file_store *h, bool now)
{
    int64_t dead[64];
    size_t n = 0, others = 0;
    uint64_t time = clock_ns();

    if (!now && time < h->next_sweep_ns)
        return false;
    h->next_sweep_ns = time + SWEEP_NS;
    sqlite3_stmt *s = file_sql(h, SQL_SESSIONS);
    if (!s)
        return false;
    while (n < ARRAY_SIZE(dead) && sqlite3_step(s) == SQLITE_ROW) {
        int64_t id = sqlite3_column_int64(s, 0);

        if (!session_lives(h, id))
            dead[n++] = id;
        else if (id != h->session)
            others++;
    }
    sqlite3_reset(s);
    for (size_t i = 0; i < n; i++)
        bury_session(h, dead[i]);
    return others || n == ARRAY_SIZE(dead);
}
