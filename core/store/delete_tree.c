/* store_delete_tree: a tree of any size, in commits of bounded size.
 *
 * Not atomic: another writer may add to the tree or delete from it meanwhile.  Then a commit is
 * refused and the tree is listed again. */
#include <stdlib.h>

#include "store/filling.h"

#define TRIES 20
#define BATCH 1000 /* nodes in a listing or a commit */

/* Paths in the order of discovery: a parent comes before its children. */
struct paths {
    char **v;
    size_t n, capacity;
};

static void add(struct paths *p, char *path)
{
    if (p->n == p->capacity) {
        p->capacity = MAX(p->capacity * 2, (size_t)64);
        p->v = mem_resize(p->v, p->capacity * sizeof *p->v);
    }
    p->v[p->n++] = path;
}

static void clear(struct paths *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->v[i]);
    free(p->v);
    *p = (struct paths){0};
}

/* Adds the children of p->v[from..from+n). */
static int list_some(struct store *s, struct paths *p, size_t from, size_t n, struct error *e)
{
    struct store_names *names = NEW_ARRAY(n, struct store_names);
    int *rcs = NEW_ARRAY(n, int);
    int rc = store_children_many(s, (const char *const *)p->v + from, n, names, rcs, e);

    for (size_t i = 0; !rc && i < n; i++)
        for (size_t j = 0; j < names[i].n; j++)
            add(p, mem_printf("%s/%s", p->v[from + i], names[i].names[j]));
    for (size_t i = 0; i < n; i++)
        store_names_free(&names[i]);
    free(names);
    free(rcs);
    return rc;
}

static int list_tree(struct store *s, const char *path, struct paths *p, struct error *e)
{
    int rc = store_exists(s, path);

    if (rc < 0)
        return error_set(e, rc, path, NULL, "can't be read: %s", strerror(-rc));
    if (!rc)
        return 0;
    add(p, mem_strdup(path));
    for (size_t done = 0, n; done < p->n; done += n) {
        n = MIN(p->n - done, (size_t)BATCH);
        rc = list_some(s, p, done, n, e);
        if (rc)
            return rc;
    }
    return 0;
}

static int delete_all(struct store *s, const struct paths *p, struct error *e)
{
    struct store_op ops[BATCH];
    int rc = 0;

    for (size_t left = p->n; !rc && left;) {
        size_t n = 0;
        for (; n < BATCH && left; n++)
            ops[n] =
                (struct store_op){.type = STORE_DELETE, .path = p->v[--left], .version = STORE_ANY};
        rc = store_commit(s, ops, n, NULL, e);
    }
    return rc;
}

int store_delete_tree(struct store *s, const char *path, struct error *e)
{
    int rc = -ENOTEMPTY;

    for (int i = 0; i < TRIES && (rc == -ENOTEMPTY || rc == -ENOENT); i++) {
        struct paths p = {0};

        rc = list_tree(s, path, &p, e);
        if (!rc)
            rc = delete_all(s, &p, e);
        clear(&p);
    }
    return rc;
}
