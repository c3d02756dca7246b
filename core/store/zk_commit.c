/* Commits are ZooKeeper's multi.  It has no "create or set" and makes no parents, so for operations
 * that ask for these we look what exists, put in what is needed (in the same multi: a refused
 * commit leaves nothing behind), and look again when somebody was quicker. */
#include <stdlib.h>

#include "base/clock.h"
#include "store/hashing.h"
#include "store/zk_internal.h"

#define MULTI_MAX (1020 * 1024) /* bytes the servers take, with a margin */

/* Whether a node exists: as the server said, then as the operations so far have made it. */
struct known {
    UT_hash_handle hh;
    bool exists;
    char path[];
};

enum { GUESSED_ABSENT = 1, GUESSED_PRESENT = 2 /* it or its parent */ };

/* A multi under construction. */
struct plan {
    struct zk_store *zk;
    const struct store_op *ops;
    size_t n_ops;
    struct arena arena; /* paths and 'known' */
    struct known *known;
    zoo_op_t *z;
    int *origin;     /* by z: index in 'ops' */
    unsigned *guess; /* by z: refusals that only say that what we saw has changed */
    size_t n, capacity, bytes;
};

static void plan_free(struct plan *p)
{
    HASH_CLEAR(hh, p->known);
    arena_free(&p->arena);
    free(p->z);
    free(p->origin);
    free(p->guess);
}

/* What exists */

static struct known *find(struct plan *p, const char *path)
{
    struct known *k;

    HASH_FIND_STR(p->known, path, k);
    return k;
}

static struct known *note(struct plan *p, const char *path, bool exists)
{
    struct known *k = find(p, path);

    if (!k) {
        k = arena_alloc(&p->arena, sizeof *k + strlen(path) + 1);
        strcpy(k->path, path);
        HASH_ADD_STR(p->known, path, k);
    }
    k->exists = exists;
    return k;
}

static const char *parent_of(struct plan *p, const char *path)
{
    size_t size = store_parent_size(path);
    char *parent = arena_alloc(&p->arena, size + 1);

    memcpy(parent, path, size);
    parent[size] = '\0';
    return parent;
}

struct question {
    struct known **nodes;
    size_t n, capacity, asked; /* the first 'asked' have answers */
};

static void ask(struct plan *p, struct question *q, const char *path)
{
    if (!path[1] || find(p, path))
        return; /* the root is there */
    if (q->n == q->capacity) {
        q->capacity = q->capacity * 2 + 16;
        q->nodes = mem_resize(q->nodes, q->capacity * sizeof *q->nodes);
    }
    q->nodes[q->n++] = note(p, path, true);
}

static void call_exists(size_t i, void *aux, struct zk_call *call)
{
    struct question *q = aux;

    *call = (struct zk_call){.type = ZK_EXISTS, .path = q->nodes[q->asked + i]->path};
}

static int ask_some(struct zk_store *zk, struct question *q, uint64_t deadline_ns)
{
    size_t n = MIN(q->n - q->asked, (size_t)ZK_BATCH_MAX);
    struct zk_batch *b = zk_batch_new(zk, n);
    int rc = zk_batch_run(b, call_exists, q, 0, deadline_ns);

    for (size_t i = 0; !rc && i < n; i++) {
        if (b->items[i].rc != ZOK && b->items[i].rc != ZNONODE)
            rc = zk_errno(b->items[i].rc);
        q->nodes[q->asked + i]->exists = b->items[i].rc == ZOK;
    }
    q->asked += n;
    zk_batch_free(b);
    return rc;
}

/* Asks for the nodes of PUT and the parents of PARENTS, then for the parents of those that are
 * missing, up to one that exists. */
static int find_out(struct plan *p, uint64_t deadline_ns)
{
    struct question q = {0};
    int rc = 0;

    for (size_t i = 0; i < p->n_ops; i++) {
        if (p->ops[i].type == STORE_PUT)
            ask(p, &q, p->ops[i].path);
        if (p->ops[i].flags & STORE_PARENTS)
            ask(p, &q, parent_of(p, p->ops[i].path));
    }
    size_t checked = 0;
    while (!rc && q.asked < q.n) {
        rc = ask_some(p->zk, &q, deadline_ns);
        for (; !rc && checked < q.asked; checked++)
            if (!q.nodes[checked]->exists)
                ask(p, &q, parent_of(p, q.nodes[checked]->path));
    }
    free(q.nodes);
    return rc;
}

/* The multi */

static zoo_op_t *emit(struct plan *p, size_t origin, unsigned guess, const char *path, size_t size)
{
    if (p->n == p->capacity) {
        p->capacity = p->capacity * 2 + 8;
        p->z = mem_resize(p->z, p->capacity * sizeof *p->z);
        p->origin = mem_resize(p->origin, p->capacity * sizeof *p->origin);
        p->guess = mem_resize(p->guess, p->capacity * sizeof *p->guess);
    }
    p->origin[p->n] = (int)origin;
    p->guess[p->n] = guess;
    /* Header 9, path and its size, data and its size, a create's ACL and flags: at most 62. */
    p->bytes += strlen(path) + size + 62;
    return &p->z[p->n++];
}

static const char *full_path(struct plan *p, const char *path)
{
    char buf[ZK_PATH_MAX];
    const char *full = zk_path(p->zk, path, buf);

    return strcpy(arena_alloc(&p->arena, strlen(full) + 1), full);
}

static void emit_create(struct plan *p, size_t origin, unsigned guess, const char *path,
                        const struct store_op *op)
{
    const char *full = full_path(p, path);
    bool ephemeral = op && op->flags & STORE_EPHEMERAL;
    size_t size = op ? op->size : 0;

    zoo_create_op_init(emit(p, origin, guess, full, size), full, size ? op->data : "", (int)size,
                       p->zk->acl, ephemeral ? ZOO_EPHEMERAL : ZOO_PERSISTENT, NULL, 0);
}

static void emit_parents(struct plan *p, size_t origin, const char *path)
{
    const char *parent = parent_of(p, path);
    struct known *k = find(p, parent);

    /* What was not asked for lies above something that exists. */
    if (!parent[1] || !k || k->exists)
        return;
    emit_parents(p, origin, parent);
    emit_create(p, origin, GUESSED_ABSENT | GUESSED_PRESENT, parent, NULL);
    k->exists = true;
}

static void emit_op(struct plan *p, size_t i)
{
    const struct store_op *op = &p->ops[i];
    struct known *k = find(p, op->path);
    bool put = op->type == STORE_PUT;

    if (op->type == STORE_CREATE || (put && !k->exists)) {
        unsigned guess = put ? GUESSED_ABSENT : 0;
        if (op->flags & STORE_PARENTS) {
            emit_parents(p, i, op->path);
            guess |= GUESSED_PRESENT;
        }
        emit_create(p, i, guess, op->path, op);
    } else {
        const char *full = full_path(p, op->path);
        int version = put ? -1 : (int)op->version;
        bool set = put || op->type == STORE_SET;
        zoo_op_t *z = emit(p, i, put ? GUESSED_PRESENT : 0, full, set ? op->size : 0);
        if (set)
            zoo_set_op_init(z, full, op->size ? op->data : "", (int)op->size, version, NULL);
        else if (op->type == STORE_DELETE)
            zoo_delete_op_init(z, full, version);
        else
            zoo_check_op_init(z, full, version);
    }
    if (k && op->type != STORE_CHECK)
        k->exists = op->type != STORE_DELETE;
    else if (op->type == STORE_CREATE || op->type == STORE_DELETE)
        note(p, op->path, op->type == STORE_CREATE);
}

static int plan_make(struct plan *p, uint64_t deadline_ns)
{
    arena_init(&p->arena, 4096);
    int rc = find_out(p, deadline_ns);
    for (size_t i = 0; !rc && i < p->n_ops; i++)
        emit_op(p, i);
    return !rc && p->bytes > MULTI_MAX ? -E2BIG : rc;
}

struct attempt {
    struct plan *plan;
    zoo_op_result_t *results;
    unsigned generation;
};

static void call_attempt(size_t i, void *aux, struct zk_call *call)
{
    struct attempt *a = aux;

    (void)i;
    *call = (struct zk_call){
        .type = ZK_MULTI, .ops = a->plan->z, .n_ops = (int)a->plan->n, .results = a->results};
    a->generation = a->plan->zk->generation; /* called with the lock held */
}

static bool was_overtaken(const struct plan *p, int at, int zrc)
{
    return (zrc == ZNODEEXISTS && p->guess[at] & GUESSED_ABSENT) ||
           (zrc == ZNONODE && p->guess[at] & GUESSED_PRESENT);
}

static void remember_ephemerals(struct zk_store *zk, const struct store_op *ops, size_t n,
                                unsigned generation)
{
    pthread_mutex_lock(&zk->lock);
    for (size_t i = 0; i < n; i++)
        zk_ephemeral_note(zk, &ops[i], generation);
    pthread_mutex_unlock(&zk->lock);
}

/* One multi.  0 done, -EAGAIN plan again, else the failure. */
static int attempt(struct plan *p, int *failed, uint64_t deadline_ns)
{
    struct zk_batch *b = zk_batch_new(p->zk, 1);
    struct attempt a = {.plan = p, .results = mem_array(p->n, sizeof(zoo_op_result_t))};
    int at = -1;

    b->extra = a.results;
    int rc = zk_batch_run(b, call_attempt, &a, ZK_ONCE, deadline_ns);
    int zrc = b->items[0].rc;
    if (!rc && zrc == ZOK)
        remember_ephemerals(p->zk, p->ops, p->n_ops, a.generation);
    for (size_t i = 0; !rc && zrc && !zk_is_lost(zrc) && at < 0 && i < p->n; i++)
        if (a.results[i].err != ZOK && a.results[i].err != ZRUNTIMEINCONSISTENCY)
            at = (int)i;
    if (!rc && (zrc == ZSESSIONEXPIRED || zrc == ZINVALIDSTATE))
        rc = -EAGAIN; /* not done, that is certain */
    else if (!rc && at >= 0 && was_overtaken(p, at, a.results[at].err))
        rc = -EAGAIN;
    else if (!rc)
        rc = zk_errno(zrc);
    if (at >= 0 && rc != -EAGAIN)
        *failed = p->origin[at];
    zk_batch_free(b);
    return rc;
}

int zk_commit(struct store *s, const struct store_op *ops, size_t n, int *failed, struct error *e)
{
    struct zk_store *zk = (struct zk_store *)s;
    uint64_t deadline = zk_deadline(zk);
    int rc;

    do {
        struct plan p = {.zk = zk, .ops = ops, .n_ops = n};
        rc = plan_make(&p, deadline);
        if (!rc)
            rc = attempt(&p, failed, deadline);
        plan_free(&p);
    } while (rc == -EAGAIN && clock_ns() < deadline);
    if (rc == -EAGAIN)
        rc = -ETIMEDOUT;
    if (!rc || *failed >= 0)
        return rc;
    if (rc == -E2BIG)
        return error_set(e, rc, NULL, NULL, "the commit is too large with the parents it needs");
    return zk_fail(zk, rc, e);
}
