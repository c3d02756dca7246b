/* What a plan is going to read, read in few rounds.  A plan would find it all by itself, node by
 * node; against a server each of those is a round trip. */
#include "objects/impl.h"

#include <stdio.h>
#include <stdlib.h>

/* Listings of folders, kept for the plan's life */

struct listing {
    UT_hash_handle hh;
    struct store_names names;
    char path[];
};

struct paths {
    char (*v)[STORE_PATH_MAX];
    size_t n, capacity;
};

static char *paths_add(struct paths *p)
{
    if (p->n == p->capacity) {
        p->capacity = p->capacity ? p->capacity * 2 : 32;
        p->v = mem_resize(p->v, p->capacity * sizeof *p->v);
    }
    return p->v[p->n++];
}

static struct listing *find_listing(struct plan *p, const char *path)
{
    struct listing *l;

    HASH_FIND_STR(p->listings, path, l);
    return l;
}

static int load_listings(struct plan *p, struct paths *paths)
{
    size_t n = 0;

    for (size_t i = 0; i < paths->n; i++)
        if (!find_listing(p, paths->v[i]))
            memmove(paths->v[n++], paths->v[i], STORE_PATH_MAX);
    struct store_names *names = NEW_ARRAY(n, struct store_names);
    int rc = list_many(p->db, paths->v, n, names, p->e);
    for (size_t i = 0; !rc && i < n; i++) {
        if (find_listing(p, paths->v[i])) /* asked for twice */
            continue;
        size_t size = strlen(paths->v[i]);
        struct listing *l = mem_zalloc(sizeof *l + size + 1);
        memcpy(l->path, paths->v[i], size);
        l->names = names[i];
        names[i] = (struct store_names){0};
        HASH_ADD_KEYPTR(hh, p->listings, l->path, size, l);
    }
    names_free(names, n);
    return rc;
}

int listing_get(struct plan *p, const char *path, const struct store_names **out)
{
    struct listing *l = find_listing(p, path);
    struct paths one = {0};
    int rc = 0;

    if (!l) {
        snprintf(paths_add(&one), STORE_PATH_MAX, "%s", path);
        rc = load_listings(p, &one);
        l = find_listing(p, path);
        free(one.v);
    }
    *out = l ? &l->names : NULL;
    return rc;
}

int listings_get(struct plan *p, char *const *paths, size_t n)
{
    struct paths all = {0};

    for (size_t i = 0; i < n; i++)
        snprintf(paths_add(&all), STORE_PATH_MAX, "%s", paths[i]);
    int rc = n ? load_listings(p, &all) : 0;
    free(all.v);
    return rc;
}

void listings_free(struct plan *p)
{
    struct listing *l, *next;

    HASH_ITER (hh, p->listings, l, next) {
        HASH_DEL(p->listings, l);
        store_names_free(&l->names);
        free(l);
    }
}

/* Deletions, with all that goes with them */

struct wanted {
    struct object_key *v;
    size_t n, capacity;
};

static void want(struct wanted *w, enum schema_type_id type, const struct uuid *id)
{
    if (w->n == w->capacity) {
        w->capacity = w->capacity ? w->capacity * 2 : 32;
        w->v = mem_resize(w->v, w->capacity * sizeof *w->v);
    }
    memset(&w->v[w->n], 0, sizeof w->v[w->n]);
    w->v[w->n].type = type;
    w->v[w->n++].id = *id;
}

static int load_bodies(struct plan *p, const struct wanted *w)
{
    const char **paths = NEW_ARRAY(w->n, const char *);
    char path[STORE_PATH_MAX];

    for (size_t i = 0; i < w->n; i++) {
        objects_path((enum schema_type_id)w->v[i].type, &w->v[i].id, path);
        paths[i] = view_node(&p->view, path)->path;
    }
    int rc = view_load_many(&p->view, paths, w->n, p->e);
    free(paths);
    return rc;
}

/* Listings of the objects, then of the folders in them. */
static int load_below(struct plan *p, const struct wanted *w)
{
    struct paths top = {0}, folders = {0};
    const struct store_names *names;
    char path[STORE_PATH_MAX];

    for (size_t i = 0; i < w->n; i++)
        objects_path((enum schema_type_id)w->v[i].type, &w->v[i].id, paths_add(&top));
    int rc = load_listings(p, &top);
    for (size_t i = 0; !rc && i < w->n; i++) {
        objects_path((enum schema_type_id)w->v[i].type, &w->v[i].id, path);
        rc = listing_get(p, path, &names);
        for (size_t k = 0; !rc && k < names->n; k++)
            path_child(path, names->names[k], paths_add(&folders));
    }
    if (!rc)
        rc = load_listings(p, &folders);
    free(folders.v);
    free(top.v);
    return rc;
}

/* Adds the objects that refer to 'key': those that die with it to *dying, others to *others. */
static int add_referrers(struct plan *p, const struct object_key *key, struct wanted *dying,
                         struct wanted *others)
{
    const struct store_names *folders, *names;
    const struct schema_attr *a;
    enum schema_type_id from;
    char path[STORE_PATH_MAX], child[STORE_PATH_MAX], attr[64];
    struct uuid id;

    objects_path((enum schema_type_id)key->type, &key->id, path);
    int rc = listing_get(p, path, &folders);
    for (size_t i = 0; !rc && i < folders->n; i++) {
        if (!path_parse_refs(folders->names[i], &from, attr) || !(a = attr_by_path(from, attr)))
            continue;
        path_child(path, folders->names[i], child);
        rc = listing_get(p, child, &names);
        for (size_t k = 0; !rc && k < names->n && a->on_delete != SD_KEEP; k++)
            if (!uuid_parse(names->names[k], &id))
                want(a->on_delete == SD_CASCADE ? dying : others, from, &id);
    }
    return rc;
}

static int prefetch_deletes(struct plan *p, struct wanted *dying)
{
    int rc = 0;

    for (unsigned depth = 0; !rc && dying->n && depth < 8; depth++) {
        struct wanted deeper = {0}, others = {0};
        rc = load_bodies(p, dying);
        if (!rc)
            rc = load_below(p, dying);
        for (size_t i = 0; !rc && i < dying->n; i++)
            rc = add_referrers(p, &dying->v[i], &deeper, &others);
        /* So many that the plan will be given up: then nothing more is needed. */
        bool much = deeper.n + others.n > 2 * PLAN_OBJECTS_MAX;
        if (!rc && !much)
            rc = load_bodies(p, &others);
        free(others.v);
        free(dying->v);
        *dying = deeper;
        if (much)
            dying->n = 0;
    }
    return rc;
}

/* Creations: what their checks look at */

static void want_targets(const struct op *op, struct wanted *w)
{
    struct uuid id;

    for (const struct schema_attr *a = schema_types[op->type].attrs; a->name; a++)
        if (a->value == SV_REF &&
            (a->ref == ST_PORT || a->ref == ST_POOL || a->peer_json || a->ref == ST_TUNNEL_ZONE ||
             a->ref == ST_DHCP) &&
            json_uuid(op->attrs, a->json, &id))
            want(w, a->ref, &id);
}

static int prefetch_tunnel_keys(struct plan *p, size_t n)
{
    const char **paths = NEW_ARRAY(n, const char *);
    char path[STORE_PATH_MAX];

    p->tunnel_keys = NEW_ARRAY(n, uint32_t);
    for (size_t i = 0; i < n; i++) {
        p->tunnel_keys[i] = tunnel_key_candidate(path);
        paths[i] = view_node(&p->view, path)->path;
    }
    p->n_tunnel_keys = n;
    int rc = view_load_many(&p->view, paths, n, p->e);
    free(paths);
    return rc;
}

int prefetch(struct plan *p, const struct objects_txn *t)
{
    struct wanted dying = {0}, bodies = {0};
    size_t ports = 0;

    for (size_t i = 0; i < t->n_ops; i++) {
        const struct op *op = &t->ops[i];
        if (op->kind == OP_DELETE)
            want(&dying, op->type, &op->id);
        else if (op->kind != OP_CREATE || p->view.careful)
            want(&bodies, op->type, &op->id);
        if (op->attrs)
            want_targets(op, &bodies);
        ports += op->kind == OP_CREATE && op->type == ST_PORT;
    }
    int rc = load_bodies(p, &bodies);
    if (!rc)
        rc = prefetch_deletes(p, &dying);
    if (!rc && ports)
        rc = prefetch_tunnel_keys(p, ports);
    free(bodies.v);
    free(dying.v);
    return rc;
}
