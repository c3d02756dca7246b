/* memory: a tree in this process.
 *
 * A commit applies its operations one by one and notes how to undo each; a refused operation rolls
 * the notes back, a complete commit turns them into events.  Who watches a path is indexed by path
 * for the whole tree, so that a commit costs what it changes and who cares, however many handles
 * (a thousand agents in one test) are open. */
#include <pthread.h>
#include <stdlib.h>

#include "store/filling.h"
#include "store/hashing.h"

struct handle;

struct node {
    UT_hash_handle hh;
    struct node *parent, *children;
    struct node *prev, *next; /* among its parent's children */
    struct handle *owner;     /* ephemeral: whose */
    struct node *owned_prev, *owned_next;
    char *data;
    size_t size;
    int64_t version;
    char path[];
};

/* Who watches a path. */
struct interest {
    UT_hash_handle hh;
    struct handle **handles;
    size_t n, capacity;
    char path[];
};

struct tree {
    pthread_mutex_t lock; /* all of the tree, and 'owned' of its handles */
    struct node *nodes;   /* uthash by path */
    struct interest *interests;
    struct tree *prev, *next; /* in 'trees', under trees_lock, as 'refs' */
    unsigned refs;
    char *name; /* empty: anonymous */
};

struct handle {
    struct store base;
    struct tree *tree;
    struct node *owned; /* ephemeral nodes */
};

static pthread_mutex_t trees_lock = PTHREAD_MUTEX_INITIALIZER;
static struct tree *trees;

static struct handle *handle(struct store *s)
{
    return (struct handle *)s;
}

/* Nodes */

static struct node *find_sized(struct tree *t, const char *path, size_t size)
{
    struct node *n;

    HASH_FIND(hh, t->nodes, path, size, n);
    return n;
}

static struct node *find(struct tree *t, const char *path)
{
    return find_sized(t, path, strlen(path));
}

static void link_node(struct tree *t, struct node *n)
{
    HASH_ADD_KEYPTR(hh, t->nodes, n->path, strlen(n->path), n);
    if (n->parent)
        DL_APPEND(n->parent->children, n);
    if (n->owner)
        DL_APPEND2(n->owner->owned, n, owned_prev, owned_next);
}

static void unlink_node(struct tree *t, struct node *n)
{
    HASH_DEL(t->nodes, n);
    if (n->parent)
        DL_DELETE(n->parent->children, n);
    if (n->owner)
        DL_DELETE2(n->owner->owned, n, owned_prev, owned_next);
}

static struct node *new_node(const char *path, size_t path_size, struct node *parent)
{
    struct node *n = mem_zalloc(sizeof *n + path_size + 1);

    memcpy(n->path, path, path_size);
    n->parent = parent;
    return n;
}

static void free_node(struct node *n)
{
    free(n->data);
    free(n);
}

/* Opening and closing */

static struct tree *find_tree(const char *name)
{
    struct tree *t;

    DL_FOREACH (trees, t)
        if (name[0] && !strcmp(t->name, name))
            return t;
    t = NEW(struct tree);
    pthread_mutex_init(&t->lock, NULL);
    t->name = mem_strdup(name);
    struct node *root = new_node("/", 1, NULL);
    root->data = store_copy_data(NULL, 0);
    link_node(t, root);
    DL_APPEND(trees, t);
    return t;
}

static void free_tree(struct tree *t)
{
    struct node *n, *next;

    HASH_ITER (hh, t->nodes, n, next) {
        HASH_DEL(t->nodes, n);
        free_node(n);
    }
    pthread_mutex_destroy(&t->lock);
    free(t->name);
    free(t);
}

static int memory_open(const char *url, const struct store_options *opts, struct store **out,
                       struct error *e)
{
    struct handle *h = NEW(struct handle);
    int rc = store_setup(&h->base, &store_memory_ops, opts, e);

    if (rc) {
        free(h);
        return rc;
    }
    pthread_mutex_lock(&trees_lock);
    h->tree = find_tree(url);
    h->tree->refs++;
    pthread_mutex_unlock(&trees_lock);
    *out = &h->base;
    return 0;
}

/* Watches */

static void notify(struct tree *t, const char *path, size_t size, unsigned kinds)
{
    struct interest *i;

    HASH_FIND(hh, t->interests, path, size, i);
    for (size_t k = 0; i && k < i->n; k++)
        watches_fire(&i->handles[k]->base.watches, path, kinds);
}

static void drop_interest(struct tree *t, struct interest *i, struct handle *h)
{
    for (size_t k = 0; k < i->n; k++)
        if (i->handles[k] == h)
            i->handles[k--] = i->handles[--i->n];
    if (i->n)
        return;
    HASH_DEL(t->interests, i);
    free(i->handles);
    free(i);
}

static int memory_watch(struct store *s, const char *path, unsigned kinds, bool wait,
                        struct error *e)
{
    struct tree *t = handle(s)->tree;
    size_t size = strlen(path);
    struct interest *i;

    (void)kinds;
    (void)wait;
    (void)e;
    pthread_mutex_lock(&t->lock);
    HASH_FIND(hh, t->interests, path, size, i);
    if (!i) {
        i = mem_zalloc(sizeof *i + size + 1);
        memcpy(i->path, path, size);
        HASH_ADD_KEYPTR(hh, t->interests, i->path, size, i);
    }
    bool known = false;
    for (size_t k = 0; k < i->n; k++)
        known = known || i->handles[k] == handle(s);
    if (!known) {
        if (i->n == i->capacity) {
            i->capacity = i->capacity * 2 + 1;
            i->handles = mem_resize(i->handles, i->capacity * sizeof(struct handle *));
        }
        i->handles[i->n++] = handle(s);
    }
    pthread_mutex_unlock(&t->lock);
    return 0;
}

static void memory_unwatch(struct store *s, const char *path, unsigned kinds)
{
    struct tree *t = handle(s)->tree;
    struct interest *i;

    (void)kinds;
    pthread_mutex_lock(&t->lock);
    HASH_FIND(hh, t->interests, path, strlen(path), i);
    if (i && !watches_kinds(&s->watches, path))
        drop_interest(t, i, handle(s));
    pthread_mutex_unlock(&t->lock);
}

/* Reading */

static int memory_get_many(struct store *s, const char *const *paths, size_t n,
                           struct store_value *out, struct error *e)
{
    struct tree *t = handle(s)->tree;

    (void)e;
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < n; i++) {
        struct node *node = find(t, paths[i]);

        if (!node)
            out[i].rc = -ENOENT;
        else
            out[i] = (struct store_value){.data = store_copy_data(node->data, node->size),
                                          .size = node->size,
                                          .version = node->version,
                                          .ephemeral = node->owner};
    }
    pthread_mutex_unlock(&t->lock);
    return 0;
}

static int memory_exists(struct store *s, const char *path)
{
    struct tree *t = handle(s)->tree;

    pthread_mutex_lock(&t->lock);
    bool found = find(t, path);
    pthread_mutex_unlock(&t->lock);
    return found;
}

static int memory_children_many(struct store *s, const char *const *paths, size_t n,
                                struct store_names *out, int *rcs, struct error *e)
{
    struct tree *t = handle(s)->tree;

    (void)e;
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < n; i++) {
        struct node *node = find(t, paths[i]), *child;
        struct strbuf names = {0};
        size_t count = 0;

        rcs[i] = node ? 0 : -ENOENT;
        if (node)
            DL_FOREACH (node->children, child) {
                const char *name = store_base_name(child->path);
                sb_add_bytes(&names, name, strlen(name) + 1);
                count++;
            }
        store_names_build(&names, count, &out[i]);
        sb_free(&names);
    }
    pthread_mutex_unlock(&t->lock);
    return 0;
}

/* Writing */

struct undo {
    enum store_op_type type; /* CREATE, SET or DELETE: what was done */
    struct node *node;
    char *data; /* SET: what was there */
    size_t size;
};

struct txn {
    struct handle *h;
    struct tree *tree;
    struct undo *undo;
    size_t n, capacity;
};

static struct undo *note(struct txn *x, enum store_op_type type, struct node *n)
{
    if (x->n == x->capacity) {
        x->capacity = x->capacity * 2 + 8;
        x->undo = mem_resize(x->undo, x->capacity * sizeof *x->undo);
    }
    x->undo[x->n] = (struct undo){.type = type, .node = n};
    return &x->undo[x->n++];
}

static int make(struct txn *x, const char *path, size_t path_size, const struct store_op *op)
{
    char parent_path[STORE_PATH_MAX];
    size_t parent_size;

    memcpy(parent_path, path, path_size);
    parent_path[path_size] = '\0';
    parent_size = store_parent_size(parent_path);
    struct node *parent = find_sized(x->tree, path, parent_size);
    if (!parent && op->flags & STORE_PARENTS) {
        struct store_op empty = {.type = STORE_CREATE, .flags = STORE_PARENTS};
        int rc = make(x, path, parent_size, &empty);
        if (rc)
            return rc;
        parent = find_sized(x->tree, path, parent_size);
    }
    if (!parent)
        return -ENOENT;
    if (parent->owner)
        return -EINVAL;
    struct node *n = new_node(path, path_size, parent);
    n->data = store_copy_data(op->data, op->size);
    n->size = op->size;
    n->owner = op->flags & STORE_EPHEMERAL ? x->h : NULL;
    link_node(x->tree, n);
    note(x, STORE_CREATE, n);
    return 0;
}

static void change(struct txn *x, struct node *n, const struct store_op *op)
{
    struct undo *u = note(x, STORE_SET, n);

    u->data = n->data;
    u->size = n->size;
    n->data = store_copy_data(op->data, op->size);
    n->size = op->size;
    n->version++;
}

static int apply(struct txn *x, const struct store_op *op)
{
    struct node *n = find(x->tree, op->path);

    if (op->type == STORE_CREATE && n)
        return -EEXIST;
    if (op->type == STORE_CREATE || (op->type == STORE_PUT && !n))
        return make(x, op->path, strlen(op->path), op);
    if (!n)
        return -ENOENT;
    if (op->type != STORE_PUT && op->version != STORE_ANY && op->version != n->version)
        return -ESTALE;
    if (op->type == STORE_SET || op->type == STORE_PUT) {
        change(x, n, op);
    } else if (op->type == STORE_DELETE) {
        if (n->children)
            return -ENOTEMPTY;
        unlink_node(x->tree, n);
        note(x, STORE_DELETE, n);
    }
    return 0;
}

static void roll_back(struct txn *x)
{
    while (x->n) {
        struct undo *u = &x->undo[--x->n];

        if (u->type == STORE_CREATE) {
            unlink_node(x->tree, u->node);
            free_node(u->node);
        } else if (u->type == STORE_DELETE) {
            link_node(x->tree, u->node);
        } else {
            free(u->node->data);
            u->node->data = u->data;
            u->node->size = u->size;
            u->node->version--;
        }
    }
}

/* Tells the watchers, then frees what the transaction replaced (nodes last: others' paths name
 * them). */
static void finish(struct txn *x)
{
    for (size_t i = 0; i < x->n; i++) {
        struct undo *u = &x->undo[i];
        const char *path = u->node->path;

        notify(x->tree, path, strlen(path), STORE_WATCH_DATA);
        if (u->type != STORE_SET)
            notify(x->tree, u->node->parent->path, store_parent_size(path), STORE_WATCH_CHILDREN);
        free(u->data);
    }
    for (size_t i = 0; i < x->n; i++)
        if (x->undo[i].type == STORE_DELETE)
            free_node(x->undo[i].node);
}

static int memory_commit(struct store *s, const struct store_op *ops, size_t n, int *failed,
                         struct error *e)
{
    struct txn x = {.h = handle(s), .tree = handle(s)->tree};
    int rc = 0;

    (void)e;
    pthread_mutex_lock(&x.tree->lock);
    for (size_t i = 0; !rc && i < n; i++) {
        rc = apply(&x, &ops[i]);
        if (rc)
            *failed = (int)i;
    }
    if (rc)
        roll_back(&x);
    else
        finish(&x);
    pthread_mutex_unlock(&x.tree->lock);
    free(x.undo);
    return rc;
}

static void memory_close(struct store *s)
{
    struct tree *t = handle(s)->tree;
    struct txn x = {.h = handle(s), .tree = t};
    struct interest *i, *next;

    pthread_mutex_lock(&t->lock);
    while (x.h->owned) {
        struct node *n = x.h->owned;
        unlink_node(t, n);
        note(&x, STORE_DELETE, n);
    }
    HASH_ITER (hh, t->interests, i, next)
        drop_interest(t, i, x.h);
    finish(&x);
    pthread_mutex_unlock(&t->lock);
    free(x.undo);

    pthread_mutex_lock(&trees_lock);
    bool last = !--t->refs;
    if (last)
        DL_DELETE(trees, t);
    pthread_mutex_unlock(&trees_lock);
    if (last)
        free_tree(t);
    store_teardown(s);
}

const struct store_ops store_memory_ops = {
    .scheme = "memory:",
    .open = memory_open,
    .close = memory_close,
    .get_many = memory_get_many,
    .children_many = memory_children_many,
    .exists = memory_exists,
    .commit = memory_commit,
    .watch = memory_watch,
    .unwatch = memory_unwatch,
};
