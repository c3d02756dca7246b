/* zk: a ZooKeeper ensemble.  URL, opening, reading; the rest is in zk_*.c (see zk_internal.h). */
#include <ctype.h>
#include <stdlib.h>

#include "store/zk_internal.h"

static struct zk_store *zk(struct store *s)
{
    return (struct zk_store *)s;
}

/* URL: [user:secret@]host[:port],...[/root] */

static int bad_url(struct error *e, const char *what)
{
    error_set(e, -EINVAL, NULL, "store", "zk:// %s", what);
    error_hint(e, "zk://[USER:SECRET@]HOST[:PORT],.../ROOT");
    return -EINVAL;
}

/* Behind the only colon of 'n' bytes; an IPv6 address has more. */
static bool good_port(const char *p, size_t n)
{
    const char *colon = memchr(p, ':', n), *end = p + n;
    long port = 0;

    if (!colon || memchr(colon + 1, ':', (size_t)(end - colon - 1)))
        return true;
    for (const char *c = colon + 1; c < end && port <= 65535; c++)
        port = isdigit((unsigned char)*c) ? port * 10 + *c - '0' : 65536;
    return port > 0 && port <= 65535;
}

/* "h1,h2:2182" -> "h1:2181,h2:2182" */
static int parse_hosts(const char *p, size_t size, char **out, struct error *e)
{
    struct strbuf hosts = {0};
    const char *end = p + size;

    while (p < end) {
        size_t n = 0;
        bool port = false;
        for (; p + n < end && p[n] != ','; n++) {
            if (!isalnum((unsigned char)p[n]) && !strchr(".-_:", p[n])) {
                sb_free(&hosts);
                return bad_url(e, "has a character in its hosts that no host name has");
            }
            port = port || p[n] == ':';
        }
        if (!good_port(p, n)) {
            sb_free(&hosts);
            return bad_url(e, "has a port that isn't one (1 to 65535)");
        }
        if (n)
            sb_printf(&hosts, "%s%.*s%s", hosts.size ? "," : "", (int)n, p, port ? "" : ":2181");
        p += n + 1;
    }
    if (!hosts.size)
        return bad_url(e, "has no hosts");
    *out = sb_steal(&hosts);
    return 0;
}

static int parse_root(const char *p, char **out, struct error *e)
{
    size_t size = strlen(p);

    while (size && p[size - 1] == '/')
        size--;
    if (size >= ZK_PREFIX_MAX)
        return bad_url(e, "has a root that is too long");
    char *root = mem_printf("%.*s", (int)size, p);
    if (size && store_check_path(root, e)) {
        free(root);
        return -EINVAL;
    }
    *out = root;
    return 0;
}

static int parse_url(struct zk_store *h, const char *url, struct error *e)
{
    if (strncmp(url, "//", 2))
        return bad_url(e, "needs two slashes");
    const char *hosts = url + 2, *root = hosts + strcspn(hosts, "/");
    const char *at = memrchr(hosts, '@', (size_t)(root - hosts));
    if (at) {
        const char *colon = memchr(hosts, ':', (size_t)(at - hosts));
        if (!colon || colon == hosts)
            return bad_url(e, "needs USER:SECRET before @");
        h->auth = mem_printf("%.*s", (int)(at - hosts), hosts);
        hosts = at + 1;
    }
    int rc = parse_hosts(hosts, (size_t)(root - hosts), &h->hosts, e);
    return rc ? rc : parse_root(root, &h->prefix, e);
}

static void free_parts(struct zk_store *h)
{
    zk_watch_free(h);
    zk_ephemerals_free(h);
    free(h->hosts);
    free(h->prefix);
    free(h->auth);
    store_teardown(&h->base);
}

static void zk_close(struct store *s)
{
    zk_session_stop(zk(s));
    free_parts(zk(s));
}

static void zk_hurry(struct store *s)
{
    zk_session_hurry(zk(s));
}

static int wait_open(struct zk_store *h, struct error *e)
{
    int rc = zk_lock_ready(h, 0, zk_deadline(h));

    if (rc)
        return zk_fail(h, rc, e);
    pthread_mutex_unlock(&h->lock);
    return 0;
}

static int zk_open(const char *url, const struct store_options *opts, struct store **out,
                   struct error *e)
{
    struct zk_store *h = NEW(struct zk_store);
    int rc = store_setup(&h->base, &store_zookeeper_ops, opts, e);

    if (rc) {
        free(h);
        return rc;
    }
    rc = parse_url(h, url, e);
    if (!rc) {
        h->acl = h->auth ? &ZOO_CREATOR_ALL_ACL : &ZOO_OPEN_ACL_UNSAFE;
        h->announced = !h->base.no_wait;
        rc = zk_session_start(h);
    }
    if (rc) {
        free_parts(h);
        return rc;
    }
    rc = h->base.no_wait ? 0 : wait_open(h, e);
    if (rc) {
        zk_close(&h->base);
        return rc;
    }
    *out = &h->base;
    return 0;
}

/* Reading */

struct reading {
    enum zk_call_type type;
    const char *const *paths;
};

static void call_read(size_t i, void *aux, struct zk_call *call)
{
    struct reading *r = aux;

    *call = (struct zk_call){.type = r->type, .path = r->paths[i]};
}

static int item_errno(const struct zk_item *item)
{
    return item->rc == ZNONODE ? 0 : zk_errno(item->rc);
}

static void take_value(struct zk_item *item, struct store_value *out)
{
    *out = item->value;
    item->value.data = NULL;
    out->rc = item->rc == ZNONODE ? -ENOENT : 0;
}

/* What watches have read already need not be asked for. */
static void take_gifts(struct zk_store *h, struct zk_batch *b, const char *const *paths)
{
    pthread_mutex_lock(&h->lock);
    for (size_t i = 0; h->ready && i < b->n; i++)
        if (zk_watch_take_gift(h, paths[i], &b->items[i].value))
            b->items[i].state = ZK_DONE;
    pthread_mutex_unlock(&h->lock);
}

static int zk_get_many(struct store *s, const char *const *paths, size_t n, struct store_value *out,
                       struct error *e)
{
    uint64_t deadline = zk_deadline(zk(s));
    int rc = 0;

    for (size_t done = 0, some; !rc && done < n; done += some) {
        struct reading r = {ZK_GET, paths + done};
        some = MIN(n - done, (size_t)ZK_BATCH_MAX);
        struct zk_batch *b = zk_batch_new(zk(s), some);
        take_gifts(zk(s), b, paths + done);
        rc = zk_batch_run(b, call_read, &r, 0, deadline);
        for (size_t i = 0; !rc && i < some; i++) {
            rc = item_errno(&b->items[i]);
            take_value(&b->items[i], &out[done + i]);
        }
        zk_batch_free(b);
    }
    return rc ? zk_fail(zk(s), rc, e) : 0;
}

/* ZooKeeper's own node lies at its root. */
static void hide_zookeeper(struct store_names *names)
{
    for (size_t i = 0; i < names->n; i++)
        if (!strcmp(names->names[i], "zookeeper")) {
            names->n--;
            memmove(&names->names[i], &names->names[i + 1],
                    (names->n - i) * sizeof names->names[0]);
        }
}

static int zk_children_many(struct store *s, const char *const *paths, size_t n,
                            struct store_names *out, int *rcs, struct error *e)
{
    uint64_t deadline = zk_deadline(zk(s));
    int rc = 0;

    for (size_t done = 0, some; !rc && done < n; done += some) {
        struct reading r = {ZK_NAMES, paths + done};
        some = MIN(n - done, (size_t)ZK_BATCH_MAX);
        struct zk_batch *b = zk_batch_new(zk(s), some);
        rc = zk_batch_run(b, call_read, &r, 0, deadline);
        for (size_t i = 0; !rc && i < some; i++) {
            rc = item_errno(&b->items[i]);
            rcs[done + i] = b->items[i].rc == ZNONODE ? -ENOENT : 0;
            out[done + i] = b->items[i].names;
            b->items[i].names = (struct store_names){0};
            if (!zk(s)->prefix[0] && !paths[done + i][1])
                hide_zookeeper(&out[done + i]);
        }
        zk_batch_free(b);
    }
    return rc ? zk_fail(zk(s), rc, e) : 0;
}

static int zk_exists(struct store *s, const char *path)
{
    struct reading r = {ZK_EXISTS, &path};
    struct zk_batch *b = zk_batch_new(zk(s), 1);
    int rc = zk_batch_run(b, call_read, &r, 0, zk_deadline(zk(s)));

    if (!rc)
        rc = item_errno(&b->items[0]);
    if (!rc)
        rc = b->items[0].rc == ZOK;
    zk_batch_free(b);
    return rc;
}

static bool zk_connected(struct store *s)
{
    pthread_mutex_lock(&zk(s)->lock);
    bool ready = zk(s)->ready;
    pthread_mutex_unlock(&zk(s)->lock);
    return ready;
}

static size_t zk_memory(struct store *s)
{
    pthread_mutex_lock(&zk(s)->lock);
    size_t size = sizeof(struct zk_store) + zk(s)->memory;
    pthread_mutex_unlock(&zk(s)->lock);
    return size;
}

const struct store_ops store_zookeeper_ops = {
    .scheme = "zk:",
    .open = zk_open,
    .close = zk_close,
    .get_many = zk_get_many,
    .children_many = zk_children_many,
    .exists = zk_exists,
    .commit = zk_commit,
    .watch = zk_watch_add,
    .unwatch = zk_watch_remove,
    .next_event = zk_watch_next_event,
    .connected = zk_connected,
    .hurry = zk_hurry,
    .memory = zk_memory,
};
