#include "objects/impl.h"

#include <stdlib.h>

static void node_free(struct node *n)
{
    free(n->data);
    free(n->written);
    free(n);
}

void view_free(struct view *v)
{
    struct node *n, *next;

    HASH_ITER (hh, v->nodes, n, next) {
        HASH_DEL(v->nodes, n);
        node_free(n);
    }
}

struct node *view_node(struct view *v, const char *path)
{
    size_t size = strlen(path);
    struct node *n;

    HASH_FIND(hh, v->nodes, path, size, n);
    if (n)
        return n;
    n = mem_zalloc(sizeof *n + size + 1);
    memcpy(n->path, path, size + 1);
    HASH_ADD_KEYPTR(hh, v->nodes, n->path, size, n);
    return n;
}

static void take_value(struct node *n, struct store_value *value)
{
    n->base = value->rc ? BASE_ABSENT : BASE_PRESENT;
    n->data = value->data;
    n->size = value->size;
    n->version = value->version;
    *value = (struct store_value){0};
}

int view_load(struct view *v, const char *path, struct node **out, struct error *e)
{
    *out = view_node(v, path);
    return (*out)->base == BASE_UNREAD ? view_load_many(v, &path, 1, e) : 0;
}

int view_get(struct view *v, const char *path, const char **data, size_t *size, struct error *e)
{
    struct node *n = view_node(v, path);

    if (n->write == WRITE_NONE) {
        int rc = view_load(v, path, &n, e);
        if (rc)
            return rc;
    }
    if (n->write == WRITE_DELETE || (n->write == WRITE_NONE && n->base == BASE_ABSENT))
        return -ENOENT;
    *data = n->write == WRITE_PUT ? n->written : n->data;
    *size = n->write == WRITE_PUT ? n->written_size : n->size;
    return 0;
}

static void put(struct node *n, char *data, size_t size)
{
    if (n->write == WRITE_DELETE && n->base == BASE_UNREAD)
        n->any = true; /* what was to be deleted is there */
    free(n->written);
    n->written = data;
    n->written_size = size;
    n->write = WRITE_PUT;
}

void view_put(struct view *v, const char *path, const char *data, size_t size)
{
    char *copy = mem_alloc(size + 1);

    memcpy(copy, data, size);
    copy[size] = '\0';
    put(view_node(v, path), copy, size);
}

void view_put_text(struct view *v, const char *path, char *text)
{
    put(view_node(v, path), text, strlen(text));
}

void view_delete(struct view *v, const char *path)
{
    struct node *n = view_node(v, path);

    /* What this plan itself was going to make need not be deleted. */
    bool own = n->write == WRITE_PUT && n->base != BASE_PRESENT && !n->any;
    free(n->written);
    n->written = NULL;
    n->write = own ? WRITE_NONE : WRITE_DELETE;
    if (own)
        n->base = BASE_ABSENT;
}

void view_require(struct view *v, const char *path)
{
    view_node(v, path)->require = true;
}

int view_load_many(struct view *v, const char *const *paths, size_t n, struct error *e)
{
    struct node **nodes = NEW_ARRAY(n, struct node *);
    const char **unread = NEW_ARRAY(n, const char *);
    struct store_value *values = NEW_ARRAY(n, struct store_value);
    size_t count = 0;
    int rc = 0;

    for (size_t i = 0; i < n; i++) {
        struct node *node = view_node(v, paths[i]);
        if (node->base != BASE_UNREAD)
            continue;
        unread[count] = node->path;
        nodes[count++] = node;
    }
    v->db->stats.reads += count;
    v->db->stats.rounds += count > 0;
    if (count)
        rc = store_get_many(v->db->store, unread, count, values, e);
    for (size_t i = 0; !rc && i < count; i++)
        if (nodes[i]->base == BASE_UNREAD) /* may be there twice */
            take_value(nodes[i], &values[i]);
    values_free(values, count);
    free(unread);
    free(nodes);
    return rc;
}

int view_load_all(struct view *v, struct error *e)
{
    const char **paths = NEW_ARRAY(HASH_COUNT(v->nodes), const char *);
    struct node *node, *next;
    size_t n = 0;

    HASH_ITER (hh, v->nodes, node, next)
        if (node->write != WRITE_NONE || node->require)
            paths[n++] = node->path;
    int rc = view_load_many(v, paths, n, e);
    free(paths);
    return rc;
}

/* Checks first, then creations from the top down, then deletions from the bottom up. */
static int op_compare(const void *a, const void *b)
{
    static const int rank[] = {
        [STORE_CHECK] = 0, [STORE_CREATE] = 1, [STORE_SET] = 2, [STORE_DELETE] = 3};
    const struct store_op *x = a, *y = b;

    if (x->type != y->type)
        return rank[x->type] - rank[y->type];
    return x->type == STORE_DELETE ? strcmp(y->path, x->path) : strcmp(x->path, y->path);
}

/* The store operation for a node; false when there is nothing to do. */
static bool node_op(const struct node *n, struct store_op *op)
{
    bool present = n->base == BASE_PRESENT || (n->base == BASE_UNREAD && n->any);
    int64_t version = n->base == BASE_PRESENT && !n->any ? n->version : STORE_ANY;

    *op = (struct store_op){.path = n->path, .version = version};
    switch (n->write) {
    case WRITE_PUT:
        op->type = present ? STORE_SET : STORE_CREATE;
        op->flags = present ? 0 : STORE_PARENTS;
        op->data = n->written;
        op->size = n->written_size;
        return !(present && n->base == BASE_PRESENT && n->size == n->written_size &&
                 !memcmp(n->data, n->written, n->size));
    case WRITE_DELETE:
        op->type = STORE_DELETE;
        return n->base != BASE_ABSENT;
    case WRITE_NONE:
        op->type = STORE_CHECK;
        op->version = STORE_ANY;
        return n->require;
    }
    return false;
}

int view_commit(struct view *v, struct error *e)
{
    struct store_op *ops = NEW_ARRAY(HASH_COUNT(v->nodes), struct store_op);
    struct node *n, *next;
    size_t n_ops = 0, bytes = 0;
    int rc = 0, failed;

    HASH_ITER (hh, v->nodes, n, next)
        if (node_op(n, &ops[n_ops])) {
            bytes += strlen(n->path) + ops[n_ops].size;
            n_ops++;
        }
    if (n_ops) {
        qsort(ops, n_ops, sizeof *ops, op_compare);
        rc = store_commit(v->db->store, ops, n_ops, &failed, e);
    }
    if (!rc && n_ops) {
        v->db->stats.commits++;
        v->db->stats.ops += n_ops;
        v->db->stats.bytes += bytes;
    }
    free(ops);
    return rc;
}
