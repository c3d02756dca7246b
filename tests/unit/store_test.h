/* What the tests of the store share: shorthands, waiting, other processes, and a reader that
 * follows a busy writer by events alone. */
#ifndef MN_TEST_STORE_TEST_H
#define MN_TEST_STORE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/store.h"

/* Given by the including file. */
static void fresh_url(char *url, size_t size);
static const bool other_processes; /* can other processes see the tree? */

#define ok(call)                                                                                   \
    do {                                                                                           \
        struct error e_ = {0}, *e = &e_;                                                           \
        int rc_ = (call);                                                                          \
        if (rc_)                                                                                   \
            fail_msg("%s: %d %s: %s", #call, rc_, e->object, e->message);                          \
    } while (0)

#define DEADLINE_NS (60 * NSEC_PER_SEC)

#define await(condition)                                                                           \
    for (uint64_t end_ = clock_ns() + DEADLINE_NS; !(condition); usleep(2000))                     \
        if (clock_ns() > end_)                                                                     \
    fail_msg("waited in vain for: %s", #condition)

static inline struct store *open_store(const char *url)
{
    struct store_options opts = {.session_timeout_ms = 4000};
    struct store *s = NULL;

    ok(store_open(url, &opts, &s, e));
    return s;
}

static inline struct store *open_fresh(char *url, size_t size)
{
    fresh_url(url, size);
    return open_store(url);
}

/* The text of a node, "" when absent; the last four results are valid. */
static inline const char *text(struct store *s, const char *path)
{
    static _Thread_local char buf[4][64];
    static _Thread_local unsigned turn;
    char *out = buf[turn++ % 4];
    struct store_value v;

    out[0] = '\0';
    if (!store_get(s, path, &v, NULL)) {
        snprintf(out, sizeof buf[0], "%s", v.data);
        store_value_free(&v);
    }
    return out;
}

static inline int64_t version(struct store *s, const char *path)
{
    struct store_value v;

    if (store_get(s, path, &v, NULL))
        return -1;
    free(v.data);
    return v.version;
}

static inline int create(struct store *s, const char *path, const char *data, unsigned flags)
{
    return store_create(s, path, data, strlen(data), flags, NULL);
}

static inline int set(struct store *s, const char *path, const char *data, int64_t v)
{
    return store_set(s, path, data, strlen(data), v, NULL);
}

/* Events */

static inline struct store_event next_event(struct store *s)
{
    struct store_event ev = {.tag = UINT64_MAX};
    struct pollfd p = {.fd = store_event_fd(s), .events = POLLIN};

    for (uint64_t end = clock_ns() + DEADLINE_NS; clock_ns() < end; poll(&p, 1, 60000))
        if (store_next_event(s, &ev))
            return ev;
    fail_msg("no event");
    return ev;
}

/* Waits for an event of that kind on that path; others may come before it. */
static inline struct store_event expect_event(struct store *s, const char *path, unsigned kind)
{
    struct store_event ev;

    do
        ev = next_event(s);
    while (ev.type != STORE_EV_CHANGED || strcmp(ev.path, path) || ev.kind != kind);
    return ev;
}

/* Waits for children of 'parent' and data of 'child' to be reported, in any order. */
static inline void expect_both(struct store *s, const char *parent, uint64_t parent_tag,
                               const char *child, uint64_t child_tag)
{
    for (unsigned seen = 0; seen != 3;) {
        struct store_event ev = next_event(s);
        if (ev.kind == STORE_WATCH_CHILDREN && !strcmp(ev.path, parent)) {
            assert_int_equal(ev.tag, parent_tag);
            seen |= 1;
        } else if (ev.kind == STORE_WATCH_DATA && !strcmp(ev.path, child)) {
            assert_int_equal(ev.tag, child_tag);
            seen |= 2;
        }
    }
}

static inline void expect_connection(struct store *s, enum store_event_type type)
{
    while (next_event(s).type != type)
        ;
}

static inline void drain_events(struct store *s)
{
    struct store_event ev;

    while (store_next_event(s, &ev))
        ;
}

/* Other processes: this program again. */

struct role {
    const char *name;
    int (*run)(struct store *s, const char *arg);
};

/* Runs the role that argv[1] names on the store argv[2]; -1 when it names none. */
static inline int run_role(const struct role *roles, int argc, char **argv)
{
    struct store_options opts = {.session_timeout_ms = 4000};
    struct store *s;

    for (; argc > 3 && roles->name; roles++)
        if (!strcmp(argv[1], roles->name)) {
            if (store_open(argv[2], &opts, &s, NULL))
                return 3;
            int rc = roles->run(s, argv[3]);
            store_close(s);
            return rc;
        }
    return -1;
}

/* What the process prints can be read from *output. */
static inline pid_t start(const char *role, const char *url, const char *arg, int *output)
{
    char *argv[] = {"test", (char *)role, (char *)url, (char *)arg, NULL};
    posix_spawn_file_actions_t actions;
    int fds[2];
    pid_t pid;

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
    assert_int_equal(posix_spawn(&pid, "/proc/self/exe", &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    *output = fds[0];
    return pid;
}

static inline int finish(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static inline void kill_hard(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(finish(pid), 128 + SIGKILL);
}

/* A writer changes, deletes and remakes the nodes /hot/0../hot/19; a reader watches them and reads
 * one only when an event names it.  When the writer is done the reader must know what is there. */

#define HOT_NODES 20

struct hot {
    const char *url;
    struct store *reader, *check; /* of hot_follower() */
    int changes;
    atomic_bool keep_on; /* after that many changes */
    atomic_bool done;
    char seen[HOT_NODES][64]; /* the reader's: texts and names as of the last event */
    char names[HOT_NODES * 4];
};

/* The store may be away for a while: what fails is tried again. */
static inline void *hot_writer(void *arg)
{
    struct hot *hot = arg;
    struct store *s;
    unsigned seed = 1;

    await(!store_open(hot->url, NULL, &s, NULL));
    for (int i = 1; i <= hot->changes || hot->keep_on; i++) {
        char path[32], data[32];
        snprintf(path, sizeof path, "/hot/%d", rand_r(&seed) % HOT_NODES);
        snprintf(data, sizeof data, "%d", i);
        struct store_op op = {.type = STORE_PUT, .path = path, .data = data, .size = strlen(data)};
        if (rand_r(&seed) % 8 == 0)
            store_delete(s, path, STORE_ANY, NULL);
        await(!store_commit(s, &op, 1, NULL, NULL));
    }
    store_close(s);
    hot->done = true;
    return NULL;
}

static inline void hot_watch(struct store *s)
{
    for (int i = 0; i < HOT_NODES; i++) {
        char path[32];
        snprintf(path, sizeof path, "/hot/%d", i);
        ok(store_watch(s, path, STORE_WATCH_DATA, (uint64_t)i, e));
    }
    ok(store_watch(s, "/hot", STORE_WATCH_CHILDREN, HOT_NODES, e));
}

static inline int hot_list(struct store *s, char *out)
{
    struct store_names names;
    int rc = store_children(s, "/hot", &names, NULL);

    if (rc)
        return rc;
    out[0] = '\0';
    for (size_t i = 0; i < names.n; i++)
        strcat(strcat(out, names.names[i]), " ");
    store_names_free(&names);
    return 0;
}

static inline bool hot_same(struct store *check, struct hot *hot)
{
    char path[32], names[sizeof hot->names];

    for (int i = 0; i < HOT_NODES; i++) {
        snprintf(path, sizeof path, "/hot/%d", i);
        if (strcmp(hot->seen[i], text(check, path)))
            return false;
    }
    return !hot_list(check, names) && !strcmp(names, hot->names);
}

/* Reads what the event names until that works: the store may be away. */
static inline void hot_read(struct store *s, struct hot *hot, const struct store_event *ev)
{
    struct store_value v;
    int rc;

    if (ev->type != STORE_EV_CHANGED)
        return;
    if (ev->tag == HOT_NODES) {
        await(!hot_list(s, hot->names));
        return;
    }
    await((rc = store_get(s, ev->path, &v, NULL)) == 0 || rc == -ENOENT);
    snprintf(hot->seen[ev->tag], sizeof hot->seen[0], "%s", rc ? "" : v.data);
    if (!rc)
        store_value_free(&v);
}

static inline void *hot_follower(void *arg)
{
    struct hot *hot = arg;
    struct store *s = hot->reader;
    struct pollfd p = {.fd = store_event_fd(s), .events = POLLIN};
    struct store_event ev;

    for (uint64_t end = clock_ns() + 4 * DEADLINE_NS;;) {
        bool done = hot->done;
        while (store_next_event(s, &ev))
            hot_read(s, hot, &ev);
        if (done && hot_same(hot->check, hot))
            return NULL;
        if (clock_ns() > end)
            fail_msg("events were missed");
        poll(&p, 1, 5);
    }
}

#endif
