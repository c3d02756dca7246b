/* file: an SQLite database in WAL mode, used by any number of processes of one machine. Opening and
 * reading. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/sqlite_internal.h"

#define SCHEMA_VERSION "1"
#define APPLICATION_ID "1835955060" /* "mnst", for file(1) */

static const char schema[] =
    "CREATE TABLE node(parent TEXT NOT NULL, name TEXT NOT NULL, data BLOB NOT NULL,"
    " version INTEGER NOT NULL, owner INTEGER, PRIMARY KEY(parent, name)) WITHOUT ROWID;"
    "CREATE INDEX node_owner ON node(owner) WHERE owner IS NOT NULL;"
    "CREATE TABLE session(id INTEGER PRIMARY KEY AUTOINCREMENT);"
    "CREATE TABLE change(pos INTEGER PRIMARY KEY, paths BLOB NOT NULL);"
    "INSERT INTO node VALUES('', '', x'', 0, NULL);"
    "PRAGMA application_id=" APPLICATION_ID ";"
    "PRAGMA user_version=" SCHEMA_VERSION ";";

static const char *const sql_text[N_SQL] = {
    [SQL_BEGIN_READ] = "BEGIN",
    [SQL_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_GET] = "SELECT version, owner, data FROM node WHERE parent=?1 AND name=?2",
    [SQL_STAT] = "SELECT version, owner FROM node WHERE parent=?1 AND name=?2",
    [SQL_CHILDREN] = "SELECT name FROM node WHERE parent=?1 ORDER BY name",
    [SQL_HAS_CHILD] = "SELECT 1 FROM node WHERE parent=?1 LIMIT 1",
    [SQL_INSERT] = "INSERT INTO node VALUES(?1, ?2, ?3, 0, ?4)",
    [SQL_UPDATE] = "UPDATE node SET data=?3, version=version+1 WHERE parent=?1 AND name=?2",
    [SQL_DELETE] = "DELETE FROM node WHERE parent=?1 AND name=?2",
    [SQL_LOG_END] = "SELECT max(pos) FROM change",
    [SQL_LOG_ADD] = "INSERT INTO change VALUES(?1, ?2)",
    [SQL_LOG_PRUNE] = "DELETE FROM change WHERE pos < ?1",
    [SQL_LOG_READ] = "SELECT pos, paths FROM change WHERE pos > ?1 ORDER BY pos",
    [SQL_SESSIONS] = "SELECT id FROM session",
    [SQL_SESSION_ADD] = "INSERT INTO session DEFAULT VALUES",
    [SQL_SESSION_DELETE] = "DELETE FROM session WHERE id=?1",
    [SQL_OWNED] = "SELECT parent, name FROM node WHERE owner=?1",
    [SQL_DISOWN] = "DELETE FROM node WHERE owner=?1",
};

static struct file_store *file(struct store *s)
{
    return (struct file_store *)s;
}

/* Statements and errors */

sqlite3_stmt *file_sql(struct file_store *h, enum statement which)
{
    sqlite3_stmt **s = &h->statements[which];

    if (!*s)
        sqlite3_prepare_v3(h->db, sql_text[which], -1, SQLITE_PREPARE_PERSISTENT, s, NULL);
    return *s;
}

int file_run(struct file_store *h, enum statement which)
{
    sqlite3_stmt *s = file_sql(h, which);
    int rc = s ? sqlite3_step(s) : sqlite3_errcode(h->db);

    sqlite3_reset(s);
    return rc;
}

int file_errno(int sqlite_rc)
{
    switch (sqlite_rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -ETIMEDOUT;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return -EACCES;
    case SQLITE_CANTOPEN:
        return -ENOENT;
    case SQLITE_NOTADB:
        return -EINVAL;
    default:
        return -EIO;
    }
}

int file_error(struct file_store *h, int sqlite_rc, struct error *e)
{
    int rc = file_errno(sqlite_rc);

    return error_set(e, rc, h->path, NULL, "%s", sqlite3_errstr(sqlite_rc));
}

/* Called by SQLite while another process writes. */
static int on_busy(void *aux, int count)
{
    struct file_store *h = aux;
    uint64_t now = clock_ns();

    if (!count)
        h->busy_since_ns = now;
    if (now - h->busy_since_ns >= h->base.timeout_ms * NSEC_PER_MSEC)
        return 0;
    usleep(MIN(200u << MIN(count, 5), 5000u));
    return 1;
}

/* Opening and closing */

static int integer(struct file_store *h, const char *text, int *out)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(h->db, text, -1, &s, NULL);

    if (!rc && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        *out = sqlite3_column_int(s, 0);
        rc = SQLITE_OK;
    }
    sqlite3_finalize(s);
    return rc;
}

/* Several processes may do this at once; the write lock decides who makes the tables.  The change
 * to WAL can fail with SQLITE_BUSY without asking the busy handler, hence the loop. */
static int make_schema(struct file_store *h)
{
    int version = 0, rc, count = 0;

    do
        rc = sqlite3_exec(h->db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL);
    while (rc == SQLITE_BUSY && on_busy(h, count++));
    if (rc || (rc = file_run(h, SQL_BEGIN_WRITE)) != SQLITE_DONE)
        return rc;
    rc = integer(h, "PRAGMA user_version", &version);
    if (!rc && !version)
        rc = sqlite3_exec(h->db, schema, NULL, NULL, NULL);
    int end = file_run(h, rc ? SQL_ROLLBACK : SQL_COMMIT);
    return rc ? rc : end == SQLITE_DONE ? SQLITE_OK : end;
}

static int check_schema(struct file_store *h, struct error *e)
{
    int version = 0, id = 0, tables = 0;
    int rc = integer(h, "PRAGMA user_version", &version);

    if (!rc && !version) {
        rc = integer(h, "SELECT count(*) FROM sqlite_master", &tables);
        if (!rc && !tables)
            rc = make_schema(h);
        if (!rc)
            rc = integer(h, "PRAGMA user_version", &version);
    }
    if (!rc)
        rc = integer(h, "PRAGMA application_id", &id);
    if (rc)
        return file_error(h, rc, e);
    if (id != atoi(APPLICATION_ID) || version != atoi(SCHEMA_VERSION))
        return error_set(e, -EINVAL, h->path, NULL,
                         "a database of another program, or of a newer version of this one");
    return 0;
}

static int open_lock(struct file_store *h, struct error *e)
{
    struct stat st;

    if (stat(h->path, &st))
        st.st_mode = 0600;
    h->lock_fd = open(h->lock_path, O_RDWR | O_CREAT | O_CLOEXEC, st.st_mode & 0666);
    if (h->lock_fd < 0)
        return error_set(e, -errno, h->lock_path, NULL, "can't be opened: %s", strerror(errno));
    return 0;
}

static int open_database(struct file_store *h, struct error *e)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int rc = sqlite3_open_v2(h->path, &h->db, flags, NULL);

    if (rc) {
        int system = h->db ? sqlite3_system_errno(h->db) : 0;
        return error_set(e, system ? -system : file_errno(rc), h->path, NULL, "can't be opened: %s",
                         system ? strerror(system) : sqlite3_errstr(rc));
    }
    sqlite3_busy_handler(h->db, on_busy, h);
    /* The log file stays behind the last user: a start costs less than a checkpoint at each end. */
    sqlite3_db_config(h->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_exec(h->db, "PRAGMA synchronous=NORMAL", NULL, NULL, NULL);
    rc = check_schema(h, e);
    return rc ? rc : open_lock(h, e);
}

static void file_close(struct store *s)
{
    struct file_store *h = file(s);

    pthread_mutex_lock(&h->lock);
    file_events_close(h);
    if (h->lock_fd >= 0)
        file_session_close(h);
    for (size_t i = 0; i < N_SQL; i++)
        sqlite3_finalize(h->statements[i]);
    sqlite3_close(h->db);
    if (h->lock_fd >= 0)
        close(h->lock_fd);
    pthread_mutex_unlock(&h->lock);
    pthread_mutex_destroy(&h->lock);
    free(h->path);
    free(h->lock_path);
    store_teardown(s);
}

static int file_open(const char *url, const struct store_options *opts, struct store **out,
                     struct error *e)
{
    if (!url[0])
        return error_set(e, -EINVAL, NULL, "store", "a path must follow file:");
    struct file_store *h = NEW(struct file_store);
    int rc = store_setup(&h->base, &store_sqlite_ops, opts, e);
    if (rc) {
        free(h);
        return rc;
    }
    pthread_mutex_init(&h->lock, NULL);
    h->path = mem_strdup(url);
    h->lock_path = mem_printf("%s-lock", url);
    h->lock_fd = h->epoll_fd = h->inotify_fd = h->timer_fd = -1;
    rc = open_database(h, e);
    if (rc) {
        file_close(&h->base);
        return rc;
    }
    file_sweep(h, true);
    *out = &h->base;
    return 0;
}

/* Reading */

sqlite3_stmt *file_bind_path(struct file_store *h, enum statement which, const char *path)
{
    sqlite3_stmt *s = file_sql(h, which);
    const char *name = store_base_name(path);

    if (!s)
        return NULL;
    sqlite3_bind_text(s, 1, path, (int)store_parent_size(path), SQLITE_STATIC);
    sqlite3_bind_text(s, 2, name, -1, SQLITE_STATIC);
    return s;
}

static int get(struct file_store *h, const char *path, struct store_value *v)
{
    sqlite3_stmt *s = file_bind_path(h, SQL_GET, path);
    int rc = s ? sqlite3_step(s) : sqlite3_errcode(h->db);

    if (rc == SQLITE_ROW) {
        v->version = sqlite3_column_int64(s, 0);
        v->ephemeral = sqlite3_column_type(s, 1) != SQLITE_NULL;
        v->size = (size_t)sqlite3_column_bytes(s, 2);
        v->data = store_copy_data(sqlite3_column_blob(s, 2), v->size);
        rc = SQLITE_OK;
    } else if (rc == SQLITE_DONE) {
        v->rc = -ENOENT;
        rc = SQLITE_OK;
    }
    sqlite3_reset(s);
    return rc;
}

int file_stat(struct file_store *h, const char *path, int64_t *version, bool *ephemeral)
{
    sqlite3_stmt *s = file_bind_path(h, SQL_STAT, path);
    int rc = s ? sqlite3_step(s) : sqlite3_errcode(h->db);

    if (rc == SQLITE_ROW) {
        *version = sqlite3_column_int64(s, 0);
        *ephemeral = sqlite3_column_type(s, 1) != SQLITE_NULL;
    }
    sqlite3_reset(s);
    return rc == SQLITE_ROW ? 0 : rc == SQLITE_DONE ? -ENOENT : file_errno(rc);
}

static int children(struct file_store *h, const char *path, struct store_names *out, int *node_rc)
{
    sqlite3_stmt *s = file_sql(h, SQL_CHILDREN);
    struct strbuf names = {0};
    int64_t version;
    bool ephemeral;
    size_t n = 0;
    int rc;

    if (!s)
        return sqlite3_errcode(h->db);
    sqlite3_bind_text(s, 1, path, -1, SQLITE_STATIC);
    for (; (rc = sqlite3_step(s)) == SQLITE_ROW; n++)
        sb_add_bytes(&names, sqlite3_column_text(s, 0), (size_t)sqlite3_column_bytes(s, 0) + 1);
    sqlite3_reset(s);
    *node_rc = n ? 0 : file_stat(h, path, &version, &ephemeral);
    store_names_build(&names, n, out);
    sb_free(&names);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Several reads see one state. */
static void begin_read(struct file_store *h, size_t n)
{
    pthread_mutex_lock(&h->lock);
    file_sweep(h, false);
    if (n > 1)
        file_run(h, SQL_BEGIN_READ);
}

static int end_read(struct file_store *h, size_t n, int rc, struct error *e)
{
    if (n > 1)
        file_run(h, SQL_COMMIT);
    rc = rc ? file_error(h, rc, e) : 0;
    pthread_mutex_unlock(&h->lock);
    return rc;
}

static int file_get_many(struct store *s, const char *const *paths, size_t n,
                         struct store_value *out, struct error *e)
{
    int rc = 0;

    begin_read(file(s), n);
    for (size_t i = 0; !rc && i < n; i++)
        rc = get(file(s), paths[i], &out[i]);
    return end_read(file(s), n, rc, e);
}

static int file_children_many(struct store *s, const char *const *paths, size_t n,
                              struct store_names *out, int *rcs, struct error *e)
{
    int rc = 0;

    begin_read(file(s), n);
    for (size_t i = 0; !rc && i < n; i++)
        rc = children(file(s), paths[i], &out[i], &rcs[i]);
    return end_read(file(s), n, rc, e);
}

static int file_exists(struct store *s, const char *path)
{
    int64_t version;
    bool ephemeral;

    begin_read(file(s), 1);
    int rc = file_stat(file(s), path, &version, &ephemeral);
    end_read(file(s), 1, 0, NULL);
    return rc == -ENOENT ? 0 : rc ? rc : 1;
}

/* Events */

static int file_watch(struct store *s, const char *path, unsigned kinds, bool wait, struct error *e)
{
    (void)path;
    (void)kinds;
    (void)wait;
    pthread_mutex_lock(&file(s)->lock);
    int rc = file_events_open(file(s), e);
    pthread_mutex_unlock(&file(s)->lock);
    return rc;
}

static int file_event_fd(struct store *s)
{
    int rc = file_watch(s, NULL, 0, true, NULL);

    return rc ? rc : file(s)->epoll_fd;
}

static int file_next_event(struct store *s, struct store_event *ev)
{
    pthread_mutex_lock(&file(s)->lock);
    file_events_read(file(s));
    pthread_mutex_unlock(&file(s)->lock);
    return watches_next(&s->watches, ev);
}

static size_t file_memory(struct store *s)
{
    int used = 0, peak;

    pthread_mutex_lock(&file(s)->lock);
    sqlite3_db_status(file(s)->db, SQLITE_DBSTATUS_CACHE_USED, &used, &peak, 0);
    pthread_mutex_unlock(&file(s)->lock);
    return (size_t)used;
}

const struct store_ops store_sqlite_ops = {
    .scheme = "file:",
    .open = file_open,
    .close = file_close,
    .get_many = file_get_many,
    .children_many = file_children_many,
    .exists = file_exists,
    .commit = file_commit,
    .watch = file_watch,
    .event_fd = file_event_fd,
    .next_event = file_next_event,
    .memory = file_memory,
};
