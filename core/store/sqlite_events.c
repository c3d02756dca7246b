#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/sqlite_internal.h"

#define LOG_BYTES                                                                                  \
    (8 << 20) /* kept for readers that sleep; those further behind read everything                 \
               */

/* Writing */

static void note(struct change_log *log, unsigned kinds, const char *path, size_t size)
{
    char prefix = (char)('0' + kinds);

    sb_add_bytes(&log->paths, &prefix, 1);
    sb_add_bytes(&log->paths, path, size);
    sb_add_bytes(&log->paths, "", 1);
}

void file_log_note(struct change_log *log, const char *path, size_t size, bool parent_too)
{
    size_t parent_size = store_parent_size(path);

    note(log, STORE_WATCH_DATA, path, size);
    if (!parent_too)
        return;
    /* Thousands of creates in one folder are the rule: note that folder once. */
    const char *last = log->last_parent ? log->paths.data + log->last_parent : "";
    if (strlen(last) == parent_size && !memcmp(last, path, parent_size))
        return;
    note(log, STORE_WATCH_CHILDREN, path, parent_size);
    log->last_parent = log->paths.size - parent_size - 1;
}

static int log_end(struct file_store *h, int64_t *pos)
{
    sqlite3_stmt *s = file_sql(h, SQL_LOG_END);
    int rc = s ? sqlite3_step(s) : sqlite3_errcode(h->db);

    if (rc == SQLITE_ROW) {
        *pos = sqlite3_column_int64(s, 0);
        rc = SQLITE_OK;
    }
    sqlite3_reset(s);
    return rc;
}

int file_log_write(struct file_store *h, const struct change_log *log)
{
    sqlite3_stmt *add = file_sql(h, SQL_LOG_ADD), *prune = file_sql(h, SQL_LOG_PRUNE);
    int64_t end = 0;

    if (!log->paths.size)
        return SQLITE_OK;
    if (!add || !prune)
        return sqlite3_errcode(h->db);
    int rc = log_end(h, &end);
    if (rc)
        return rc;
    end += (int64_t)log->paths.size;
    sqlite3_bind_int64(add, 1, end);
    sqlite3_bind_blob(add, 2, log->paths.data, (int)log->paths.size, SQLITE_STATIC);
    rc = sqlite3_step(add);
    sqlite3_reset(add);
    if (rc != SQLITE_DONE)
        return rc;
    sqlite3_bind_int64(prune, 1, end - LOG_BYTES);
    rc = sqlite3_step(prune);
    sqlite3_reset(prune);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

void file_notify(struct file_store *h)
{
    if (pwrite(h->lock_fd, "", 1, 0) != 1)
        log_limited(LOG_LVL_WARN, "store", "%s can't be written: %s", h->lock_path,
                    strerror(errno));
}

/* Reading */

static void fire_paths(struct file_store *h, const char *p, size_t size)
{
    const char *end = p + size;

    while (p < end) {
        size_t n = strnlen(p, (size_t)(end - p));
        if (n == (size_t)(end - p))
            return; /* not written by us: no terminating zero */
        watches_fire(&h->base.watches, p + 1, (unsigned)(p[0] - '0'));
        p += n + 1;
    }
}

static void read_log(struct file_store *h)
{
    sqlite3_stmt *s = file_sql(h, SQL_LOG_READ);
    int rc = s ? SQLITE_ROW : sqlite3_errcode(h->db);

    if (s)
        sqlite3_bind_int64(s, 1, h->log_pos);
    while (s && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        int64_t pos = sqlite3_column_int64(s, 0);
        const char *paths = sqlite3_column_blob(s, 1);
        int size = sqlite3_column_bytes(s, 1);

        if (pos - size == h->log_pos)
            fire_paths(h, paths, (size_t)size);
        else
            watches_fire_all(&h->base.watches);
        h->log_pos = pos;
    }
    sqlite3_reset(s);
    h->behind = rc != SQLITE_DONE;
}

static void set_timer(struct file_store *h, uint64_t ms)
{
    struct itimerspec t = {
        .it_value = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000 * NSEC_PER_MSEC)}};

    timerfd_settime(h->timer_fd, 0, &t, NULL);
}

/* Takes all that inotify has; the union of the masks. */
static uint32_t read_inotify(struct file_store *h)
{
    _Alignas(struct inotify_event) char buf[4096];
    uint32_t mask = 0;
    ssize_t size;

    while ((size = read(h->inotify_fd, buf, sizeof buf)) > 0)
        for (char *p = buf; p < buf + size;) {
            const struct inotify_event *ev = (void *)p;
            mask |= ev->mask;
            p += sizeof *ev + ev->len;
        }
    return mask;
}

/* The kernel reports a file closed just before it drops the locks, so a session that ended may
 * still look alive: look again a little later, a few times. */
static const unsigned recheck_ms[] = {1, 10, 100};

void file_events_read(struct file_store *h)
{
    uint64_t expirations;

    if (h->epoll_fd < 0)
        return;
    uint32_t mask = read_inotify(h);
    bool timer = read(h->timer_fd, &expirations, sizeof expirations) > 0;
    if (!mask && !timer)
        return;
    if (mask & (IN_CLOSE_WRITE | IN_Q_OVERFLOW))
        h->rechecks = ARRAY_SIZE(recheck_ms) + 1;
    if (h->rechecks) {
        bool others = file_sweep(h, true);
        h->rechecks = others ? h->rechecks - 1 : 0;
    }
    read_log(h);
    if (h->rechecks)
        set_timer(h, recheck_ms[ARRAY_SIZE(recheck_ms) - h->rechecks]);
    else if (h->behind)
        set_timer(h, 50);
}

static int add_to_epoll(struct file_store *h, int fd)
{
    struct epoll_event ev = {.events = EPOLLIN};

    return epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

int file_events_open(struct file_store *h, struct error *e)
{
    if (h->epoll_fd >= 0)
        return 0;
    h->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    h->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    h->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (h->epoll_fd < 0 || h->inotify_fd < 0 || h->timer_fd < 0 ||
        inotify_add_watch(h->inotify_fd, h->lock_path, IN_MODIFY | IN_CLOSE_WRITE) < 0 ||
        add_to_epoll(h, h->inotify_fd) || add_to_epoll(h, h->timer_fd) ||
        add_to_epoll(h, h->base.watches.fd)) {
        int rc = -errno;
        file_events_close(h);
        error_set(e, rc, h->path, NULL, "can't be watched: %s", strerror(-rc));
        if (rc == -EMFILE || rc == -ENOSPC)
            error_hint(e, "see sysctl fs.inotify.max_user_instances and max_user_watches");
        return rc;
    }
    /* Whoever watches reads afterwards: what is in the log by now needs no event. */
    int rc = log_end(h, &h->log_pos);
    if (rc)
        file_events_close(h);
    return rc ? file_error(h, rc, e) : 0;
}

void file_events_close(struct file_store *h)
{
    int *fds[] = {&h->timer_fd, &h->inotify_fd, &h->epoll_fd};

    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}
