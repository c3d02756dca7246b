/* Writing to a file: store.
 *
 * A commit survives the death of the process once SQLite has it in the log file.  It survives a
 * loss of power once the log is synced, which is done before store_commit() returns unless all it
 * changed is ephemeral: that is gone after a power loss anyway, and a busy agent makes much of it.
 * The sync is ours, after the commit, and not SQLite's (synchronous=FULL) within it: the next
 * writer need not wait for it. */
#include "store/sqlite_internal.h"

struct txn {
    struct file_store *h;
    struct change_log log;
    bool durable;     /* something changed that outlives its owner */
    bool new_session; /* made in this transaction */
    int sqlite_rc;    /* the database's own failure */
};

/* Runs 's' to its end; sets x->sqlite_rc when that fails. */
static int finish(struct txn *x, sqlite3_stmt *s)
{
    int rc = s ? sqlite3_step(s) : sqlite3_errcode(x->h->db);

    sqlite3_reset(s);
    if (rc == SQLITE_DONE)
        return 0;
    if (rc == SQLITE_CONSTRAINT)
        return -EEXIST;
    x->sqlite_rc = rc;
    return file_errno(rc);
}

static void bind_data(sqlite3_stmt *s, const struct store_op *op)
{
    sqlite3_bind_blob(s, 3, op->size ? op->data : "", (int)op->size, SQLITE_STATIC);
}

static int make(struct txn *x, const char *path, const struct store_op *op);

static int check_parent(struct txn *x, const char *path, bool make_it)
{
    char parent[STORE_PATH_MAX];
    size_t size = store_parent_size(path);
    int64_t version;
    bool ephemeral;

    memcpy(parent, path, size);
    parent[size] = '\0';
    int rc = file_stat(x->h, parent, &version, &ephemeral);
    if (!rc)
        return ephemeral ? -EINVAL : 0;
    struct store_op op = {.type = STORE_CREATE, .flags = STORE_PARENTS, .path = parent};
    return rc == -ENOENT && make_it ? make(x, parent, &op) : rc;
}

static int make(struct txn *x, const char *path, const struct store_op *op)
{
    struct file_store *h = x->h;
    int rc = check_parent(x, path, op->flags & STORE_PARENTS);

    if (rc)
        return rc;
    if (op->flags & STORE_EPHEMERAL && !h->session) {
        x->sqlite_rc = file_session_open(h);
        if (x->sqlite_rc)
            return file_errno(x->sqlite_rc);
        x->new_session = true;
    }
    sqlite3_stmt *s = file_bind_path(h, SQL_INSERT, path);
    if (s) {
        bind_data(s, op);
        if (op->flags & STORE_EPHEMERAL)
            sqlite3_bind_int64(s, 4, h->session);
        else
            sqlite3_bind_null(s, 4);
    }
    rc = finish(x, s);
    if (rc)
        return rc;
    file_log_note(&x->log, path, strlen(path), true);
    x->durable = x->durable || !(op->flags & STORE_EPHEMERAL);
    return 0;
}

static int change(struct txn *x, const struct store_op *op)
{
    sqlite3_stmt *s = file_bind_path(x->h, SQL_UPDATE, op->path);

    if (s)
        bind_data(s, op);
    int rc = finish(x, s);
    if (!rc)
        file_log_note(&x->log, op->path, strlen(op->path), false);
    return rc;
}

static int delete (struct txn *x, const char *path)
{
    sqlite3_stmt *s = file_sql(x->h, SQL_HAS_CHILD);

    if (!s)
        return finish(x, s);
    sqlite3_bind_text(s, 1, path, -1, SQLITE_STATIC);
    int step = sqlite3_step(s);
    sqlite3_reset(s);
    if (step == SQLITE_ROW)
        return -ENOTEMPTY;
    int rc = finish(x, file_bind_path(x->h, SQL_DELETE, path));
    if (!rc)
        file_log_note(&x->log, path, strlen(path), true);
    return rc;
}

static int apply(struct txn *x, const struct store_op *op)
{
    int64_t version;
    bool ephemeral;

    if (op->type == STORE_CREATE)
        return make(x, op->path, op);
    int rc = file_stat(x->h, op->path, &version, &ephemeral);
    if (rc == -ENOENT && op->type == STORE_PUT)
        return make(x, op->path, op);
    if (rc)
        return rc;
    if (op->type != STORE_PUT && op->version != STORE_ANY && op->version != version)
        return -ESTALE;
    if (op->type == STORE_CHECK)
        return 0;
    x->durable = x->durable || !ephemeral;
    return op->type == STORE_DELETE ? delete (x, op->path) : change(x, op);
}

/* The log file to the disk. */
static int sync_wal(struct file_store *h)
{
    sqlite3_file *wal = NULL;
    int rc = sqlite3_file_control(h->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);

    return rc || !wal || !wal->pMethods ? rc : wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL);
}

static int end_commit(struct txn *x, int rc)
{
    if (!rc && !x->sqlite_rc) {
        x->sqlite_rc = file_log_write(x->h, &x->log);
        if (!x->sqlite_rc) {
            int end = file_run(x->h, SQL_COMMIT);
            x->sqlite_rc = end == SQLITE_DONE ? SQLITE_OK : end;
        }
        if (!x->sqlite_rc)
            return x->durable ? sync_wal(x->h) : SQLITE_OK;
    }
    if (x->new_session)
        file_session_forget(x->h);
    file_run(x->h, SQL_ROLLBACK);
    return x->sqlite_rc;
}

int file_commit(struct store *s, const struct store_op *ops, size_t n, int *failed, struct error *e)
{
    struct file_store *h = (struct file_store *)s;
    struct txn x = {.h = h};
    int rc = 0;

    pthread_mutex_lock(&h->lock);
    file_sweep(h, false);
    int sqlite_rc = file_run(h, SQL_BEGIN_WRITE);
    if (sqlite_rc == SQLITE_DONE) {
        for (size_t i = 0; !rc && i < n; i++) {
            rc = apply(&x, &ops[i]);
            if (rc)
                *failed = (int)i;
        }
        sqlite_rc = end_commit(&x, rc);
        file_notify(h);
    }
    if (sqlite_rc) {
        *failed = -1;
        rc = file_error(h, sqlite_rc, e);
    }
    pthread_mutex_unlock(&h->lock);
    sb_free(&x.log.paths);
    return rc;
}
