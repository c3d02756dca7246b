#include <limits.h>
#include <stdlib.h>

#include "store/filling.h"

static const struct store_ops *const fillings[] = {&store_zookeeper_ops, &store_sqlite_ops,
                                                   &store_memory_ops};

int store_setup(struct store *s, const struct store_ops *ops, const struct store_options *opts,
                struct error *e)
{
    s->ops = ops;
    s->timeout_ms = opts && opts->timeout_ms ? opts->timeout_ms : 10000;
    s->session_timeout_ms = opts && opts->session_timeout_ms ? opts->session_timeout_ms : 10000;
    s->no_wait = opts && opts->no_wait;
    int rc = watches_init(&s->watches);
    return rc ? error_set(e, rc, NULL, NULL, "no event descriptor: %s", strerror(-rc)) : 0;
}

void store_teardown(struct store *s)
{
    watches_free(&s->watches);
    free(s);
}

int store_open(const char *url, const struct store_options *opts, struct store **out,
               struct error *e)
{
    *out = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(fillings); i++) {
        size_t size = strlen(fillings[i]->scheme);

        if (!strncmp(url, fillings[i]->scheme, size))
            return fillings[i]->open(url + size, opts, out, e);
    }
    error_set(e, -EINVAL, NULL, "store", "\"%.40s\" is not the URL of a store", url);
    error_hint(e, "file:/PATH, zk://HOST:PORT,.../ROOT or memory:NAME");
    return -EINVAL;
}

void store_close(struct store *s)
{
    if (s)
        s->ops->close(s);
}

void store_hurry(struct store *s)
{
    if (s->ops->hurry)
        s->ops->hurry(s);
}

/* Paths */

size_t store_parent_size(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == path)
        return path[1] ? 1 : 0;
    return (size_t)(slash - path);
}

const char *store_base_name(const char *path)
{
    return strrchr(path, '/') + 1;
}

/* Bytes of the UTF-8 character at 's' when a path may hold it, else 0.  The bounds are ZooKeeper's,
 * whose paths are UTF-16 inside: no controls, surrogates or private use, nothing above U+FFEF. */
static unsigned character_size(const unsigned char *s)
{
    uint32_t c;

    if (s[0] < 0x80)
        return s[0] >= 0x20 && s[0] != 0x7f;
    if (s[0] >= 0xc2 && s[0] < 0xe0 && (s[1] & 0xc0) == 0x80) {
        c = (s[0] & 0x1fu) << 6 | (s[1] & 0x3f);
        return c >= 0xa0 ? 2 : 0;
    }
    if ((s[0] & 0xf0) == 0xe0 && (s[1] & 0xc0) == 0x80 && (s[2] & 0xc0) == 0x80) {
        c = (s[0] & 0x0fu) << 12 | (s[1] & 0x3fu) << 6 | (s[2] & 0x3f);
        return (c >= 0x800 && c < 0xd800) || (c >= 0xf900 && c <= 0xffef) ? 3 : 0;
    }
    return 0;
}

static bool is_dots(const char *part, size_t size)
{
    return (size == 1 && part[0] == '.') || (size == 2 && part[0] == '.' && part[1] == '.');
}

int store_check_path(const char *path, struct error *e)
{
    const char *part = path + 1;

    if (path[0] != '/')
        return error_set(e, -EINVAL, NULL, "path", "\"%.100s\" does not begin with /", path);
    if (strnlen(path, STORE_PATH_MAX) == STORE_PATH_MAX)
        return error_set(e, -EINVAL, NULL, "path", "\"%.40s...\" has more than %d bytes", path,
                         STORE_PATH_MAX - 1);
    if (!path[1])
        return 0;
    for (const char *p = path + 1;;) {
        if (*p && *p != '/') {
            unsigned size = character_size((const unsigned char *)p);
            if (!size)
                return error_set(e, -EINVAL, NULL, "path",
                                 "\"%.100s\" has a character that no path may have at byte %zu",
                                 path, (size_t)(p - path));
            p += size;
            continue;
        }
        if (p == part || is_dots(part, (size_t)(p - part)))
            return error_set(e, -EINVAL, NULL, "path", "\"%.100s\" has an empty, . or .. part",
                             path);
        if (!*p++)
            return 0;
        part = p;
    }
}

static int check_paths(const char *const *paths, size_t n, struct error *e)
{
    for (size_t i = 0; i < n; i++) {
        int rc = store_check_path(paths[i], e);

        if (rc)
            return rc;
    }
    return 0;
}

/* Reading */

char *store_copy_data(const void *data, size_t size)
{
    char *copy = mem_alloc(size + 1);

    if (size)
        memcpy(copy, data, size);
    copy[size] = '\0';
    return copy;
}

void store_value_free(struct store_value *v)
{
    free(v->data);
    *v = (struct store_value){0};
}

int store_get_many(struct store *s, const char *const *paths, size_t n, struct store_value *out,
                   struct error *e)
{
    memset(out, 0, n * sizeof *out);
    int rc = check_paths(paths, n, e);
    if (!rc && n)
        rc = s->ops->get_many(s, paths, n, out, e);
    for (size_t i = 0; rc && i < n; i++)
        store_value_free(&out[i]);
    return rc;
}

int store_get(struct store *s, const char *path, struct store_value *out, struct error *e)
{
    int rc = store_get_many(s, &path, 1, out, e);

    if (!rc && out->rc)
        rc = error_set(e, out->rc, path, NULL, "no such node");
    return rc;
}

int store_exists(struct store *s, const char *path)
{
    int rc = store_check_path(path, NULL);

    return rc ? rc : s->ops->exists(s, path);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void store_names_build(const struct strbuf *zs, size_t n, struct store_names *out)
{
    *out = (struct store_names){0};
    if (!n)
        return;
    char **names = mem_alloc(n * sizeof *names + zs->size);
    char *name = (char *)(names + n);
    bool sorted = true;

    memcpy(name, zs->data, zs->size);
    for (size_t i = 0; i < n; i++, name += strlen(name) + 1) {
        names[i] = name;
        sorted = sorted && (!i || strcmp(names[i - 1], name) < 0);
    }
    if (!sorted)
        qsort(names, n, sizeof *names, compare_names);
    *out = (struct store_names){names, n};
}

void store_names_free(struct store_names *names)
{
    free(names->names); /* one block with the strings behind it */
    *names = (struct store_names){0};
}

int store_children_many(struct store *s, const char *const *paths, size_t n,
                        struct store_names *out, int *rcs, struct error *e)
{
    memset(out, 0, n * sizeof *out);
    int rc = check_paths(paths, n, e);
    if (!rc && n)
        rc = s->ops->children_many(s, paths, n, out, rcs, e);
    for (size_t i = 0; rc && i < n; i++)
        store_names_free(&out[i]);
    return rc;
}

int store_children(struct store *s, const char *path, struct store_names *out, struct error *e)
{
    int node_rc;
    int rc = store_children_many(s, &path, 1, out, &node_rc, e);

    if (!rc && node_rc)
        rc = error_set(e, node_rc, path, NULL, "no such node");
    return rc;
}

/* Writing */

static int check_op(const struct store_op *op, struct error *e)
{
    unsigned flags = op->type == STORE_CREATE ? STORE_EPHEMERAL | STORE_PARENTS
                     : op->type == STORE_PUT  ? STORE_PARENTS
                                              : 0;
    bool versioned = op->type == STORE_SET || op->type == STORE_DELETE || op->type == STORE_CHECK;
    int rc = store_check_path(op->path, e);

    if (rc)
        return rc;
    if (!op->path[1])
        return error_set(e, -EINVAL, op->path, NULL, "the root can't be written");
    if (op->type < STORE_CREATE || op->type > STORE_PUT || (op->flags & ~flags) ||
        (versioned && (op->version < STORE_ANY || op->version > INT32_MAX)))
        return error_set(e, -EINVAL, op->path, NULL, "malformed operation");
    if (op->size > STORE_VALUE_MAX)
        return error_set(e, -E2BIG, op->path, NULL, "%zu bytes of data, at most %d fit in a node",
                         op->size, STORE_VALUE_MAX);
    return 0;
}

static int check_ops(const struct store_op *ops, size_t n, int *failed, struct error *e)
{
    size_t cost = 0;

    if (n > STORE_COMMIT_OPS)
        return error_set(e, -E2BIG, NULL, NULL, "%zu operations, at most %d fit in a commit", n,
                         STORE_COMMIT_OPS);
    for (size_t i = 0; i < n; i++) {
        int rc = check_op(&ops[i], e);

        if (rc) {
            *failed = (int)i;
            return rc;
        }
        cost += store_op_cost(&ops[i]);
    }
    if (cost > STORE_COMMIT_MAX)
        return error_set(e, -E2BIG, NULL, NULL, "%zu bytes, at most %d fit in a commit", cost,
                         STORE_COMMIT_MAX);
    return 0;
}

static const char *refusal(int rc)
{
    switch (-rc) {
    case ENOENT:
        return "no such node";
    case EEXIST:
        return "the node exists already";
    case ESTALE:
        return "the node was changed by another writer";
    case ENOTEMPTY:
        return "the node has children";
    case EACCES:
        return "access denied";
    case EINVAL:
        return "an ephemeral node can't have children";
    default:
        return strerror(-rc);
    }
}

int store_commit(struct store *s, const struct store_op *ops, size_t n, int *failed,
                 struct error *e)
{
    int ignored;
    int *at = failed ? failed : &ignored;

    *at = -1;
    int rc = check_ops(ops, n, at, e);
    if (rc || !n)
        return rc;
    rc = s->ops->commit(s, ops, n, at, e);
    if (!rc || *at < 0)
        return rc;
    const struct store_op *op = &ops[*at];
    if (rc == -ENOENT && (op->type == STORE_CREATE || op->type == STORE_PUT))
        return error_set(e, rc, op->path, NULL, "no such node above it");
    return error_set(e, rc, op->path, NULL, "%s", refusal(rc));
}

int store_create(struct store *s, const char *path, const void *data, size_t size, unsigned flags,
                 struct error *e)
{
    struct store_op op = {
        .type = STORE_CREATE, .flags = flags, .path = path, .data = data, .size = size};

    return store_commit(s, &op, 1, NULL, e);
}

int store_set(struct store *s, const char *path, const void *data, size_t size, int64_t version,
              struct error *e)
{
    struct store_op op = {
        .type = STORE_SET, .path = path, .data = data, .size = size, .version = version};

    return store_commit(s, &op, 1, NULL, e);
}

int store_delete(struct store *s, const char *path, int64_t version, struct error *e)
{
    struct store_op op = {.type = STORE_DELETE, .path = path, .version = version};

    return store_commit(s, &op, 1, NULL, e);
}

/* Events */

static int watch(struct store *s, const char *path, unsigned kinds, uint64_t tag, bool wait,
                 struct error *e)
{
    int rc = store_check_path(path, e);

    if (rc)
        return rc;
    int added = watches_add(&s->watches, path, kinds, tag);
    if (added < 0)
        return error_set(e, added, path, NULL, "more than %d watches, or their paths too long",
                         STORE_WATCHES_MAX);
    if (!added || !s->ops->watch)
        return 0;
    rc = s->ops->watch(s, path, (unsigned)added, wait, e);
    if (rc)
        watches_remove(&s->watches, path, (unsigned)added);
    return rc;
}

int store_watch(struct store *s, const char *path, unsigned kinds, uint64_t tag, struct error *e)
{
    return watch(s, path, kinds, tag, true, e);
}

int store_watch_read(struct store *s, const char *path, unsigned kinds, uint64_t tag,
                     struct error *e)
{
    return watch(s, path, kinds, tag, false, e);
}

void store_unwatch(struct store *s, const char *path, unsigned kinds)
{
    unsigned gone = watches_remove(&s->watches, path, kinds);

    if (gone && s->ops->unwatch)
        s->ops->unwatch(s, path, gone);
}

int store_event_fd(struct store *s)
{
    return s->ops->event_fd ? s->ops->event_fd(s) : s->watches.fd;
}

int store_next_event(struct store *s, struct store_event *ev)
{
    return s->ops->next_event ? s->ops->next_event(s, ev) : watches_next(&s->watches, ev);
}

bool store_connected(struct store *s)
{
    return s->ops->connected ? s->ops->connected(s) : true;
}

size_t store_memory(struct store *s)
{
    return (s->ops->memory ? s->ops->memory(s) : 0) + watches_memory(&s->watches);
}
