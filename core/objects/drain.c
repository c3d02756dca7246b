/* Deletions that don't fit one commit. */
#include "objects/impl.h"

#include <stdio.h>
#include <stdlib.h>

struct id_list {
    struct object_key *v;
    size_t n, capacity;
};

static void id_list_add(struct id_list *l, enum schema_type_id type, const char *text)
{
    struct object_key key = {.type = type};

    if (uuid_parse(text, &key.id))
        return;
    if (l->n == l->capacity) {
        l->capacity = l->capacity ? l->capacity * 2 : 64;
        l->v = mem_resize(l->v, l->capacity * sizeof *l->v);
    }
    l->v[l->n++] = key;
}

/* Whether something may refuse the deletion of objects of a type, or of what goes with them. */
static bool refusable(enum schema_type_id type, unsigned depth)
{
    for (unsigned i = 0; i < ST_N_TYPES && depth < 8; i++)
        for (const struct schema_attr *a = schema_types[i].attrs; a->name; a++)
            if (a->value == SV_REF && a->ref == type &&
                (a->on_delete == SD_REFUSE ||
                 (a->on_delete == SD_CASCADE && refusable((enum schema_type_id)i, depth + 1))))
                return true;
    return false;
}

struct folder { /* of back references that matter */
    const struct schema_attr *attr;
    enum schema_type_id from;
    struct object_key target;
};

struct scan {
    struct objects *db;
    bool refusable[ST_N_TYPES];
    struct id_list todo;
    struct error *e;
};

static int scan_folders(struct scan *s, const struct folder *folders, char (*paths)[STORE_PATH_MAX],
                        size_t n)
{
    struct store_names *names = NEW_ARRAY(n, struct store_names);
    int rc = list_many(s->db, paths, n, names, s->e);

    for (size_t i = 0; !rc && i < n; i++) {
        const struct folder *f = &folders[i];
        if (!names[i].n)
            continue;
        if (!f->attr)
            rc = in_use((enum schema_type_id)f->target.type, &f->target.id,
                        "something this version doesn't know", "", s->e);
        else if (f->attr->on_delete == SD_REFUSE)
            rc = in_use((enum schema_type_id)f->target.type, &f->target.id,
                        schema_types[f->from].name, names[i].names[0], s->e);
        for (size_t k = 0; !rc && k < names[i].n; k++)
            id_list_add(&s->todo, f->from, names[i].names[k]);
    }
    names_free(names, n);
    return rc;
}

/* One round over objects [at, at + n) of the list. */
static int scan_batch(struct scan *s, size_t at, size_t n)
{
    char(*paths)[STORE_PATH_MAX] = mem_array(n, STORE_PATH_MAX);
    struct store_names *names = NEW_ARRAY(n, struct store_names);
    struct folder *folders = NULL;
    char(*folder_paths)[STORE_PATH_MAX] = NULL, attr[64];
    size_t n_folders = 0;

    for (size_t i = 0; i < n; i++)
        objects_path((enum schema_type_id)s->todo.v[at + i].type, &s->todo.v[at + i].id, paths[i]);
    int rc = list_many(s->db, paths, n, names, s->e);
    for (size_t i = 0; !rc && i < n; i++)
        for (size_t k = 0; k < names[i].n; k++) {
            struct folder f = {.target = s->todo.v[at + i]};
            if (path_parse_refs(names[i].names[k], &f.from, attr))
                f.attr = attr_by_path(f.from, attr);
            else if (!strchr(names[i].names[k], '.'))
                continue;
            if (f.attr && f.attr->on_delete != SD_REFUSE &&
                !(f.attr->on_delete == SD_CASCADE && s->refusable[f.from]))
                continue;
            folders = mem_resize(folders, (n_folders + 1) * sizeof *folders);
            folder_paths = mem_resize(folder_paths, (n_folders + 1) * sizeof *folder_paths);
            path_child(paths[i], names[i].names[k], folder_paths[n_folders]);
            folders[n_folders++] = f;
        }
    names_free(names, n);
    free(paths);
    if (!rc && n_folders)
        rc = scan_folders(s, folders, folder_paths, n_folders);
    free(folders);
    free(folder_paths);
    return rc;
}

int plan_refuses(struct objects *db, enum schema_type_id type, const struct uuid *id,
                 struct error *e)
{
    enum { BATCH = 512 };
    struct scan s = {.db = db, .e = e};
    char text[UUID_STRLEN];
    int rc = 0;

    for (unsigned i = 0; i < ST_N_TYPES; i++)
        s.refusable[i] = refusable((enum schema_type_id)i, 0);
    id_list_add(&s.todo, type, uuid_format(id, text));
    /* The list grows while it is walked; no type goes with itself, so it ends. */
    for (size_t at = 0; !rc && at < s.todo.n;) {
        size_t n = MIN(s.todo.n - at, (size_t)BATCH);
        rc = scan_batch(&s, at, n);
        at += n;
    }
    free(s.todo.v);
    return rc;
}

/* Who refers to one object, sorted by what its deletion does to them. */
static int sort_referrers(struct objects *db, enum schema_type_id type, const struct uuid *id,
                          struct id_list *cascade, struct id_list *others, struct error *e)
{
    struct plan p = {.db = db, .view = {.db = db}, .e = e};
    const struct store_names *folders, *names;
    const struct schema_attr *a;
    enum schema_type_id from;
    char path[STORE_PATH_MAX], child[STORE_PATH_MAX], attr[64];

    objects_path(type, id, path);
    int rc = listing_get(&p, path, &folders);
    for (size_t i = 0; !rc && i < folders->n; i++) {
        if (!path_parse_refs(folders->names[i], &from, attr) || !(a = attr_by_path(from, attr)))
            continue;
        path_child(path, folders->names[i], child);
        rc = listing_get(&p, child, &names);
        for (size_t k = 0; !rc && k < names->n; k++)
            id_list_add(a->on_delete == SD_CASCADE ? cascade : others, from, names->names[k]);
    }
    plan_free(&p);
    return rc;
}

/* One commit for 'n' of them; halves when that is still too much. */
static int drain_batch(struct objects *db, enum schema_type_id type, const struct uuid *id,
                       const struct object_key *keys, size_t n, bool cascade, struct error *e)
{
    struct objects_txn *t = objects_begin(db);

    objects_system(t);
    for (size_t i = 0; i < n; i++) {
        enum schema_type_id from = (enum schema_type_id)keys[i].type;
        if (!cascade)
            objects_unref(t, from, &keys[i].id, type, id);
        else {
            objects_delete(t, from, &keys[i].id, STORE_ANY, e);
            t->ops[t->n_ops - 1].if_exists = true;
        }
    }
    int rc = objects_commit(t, e);
    objects_abort(t);
    if (rc == -E2BIG && n > 1) {
        rc = drain_batch(db, type, id, keys, n / 2, cascade, e);
        if (!rc)
            rc = drain_batch(db, type, id, keys + n / 2, n - n / 2, cascade, e);
    }
    return rc;
}

/* Rules go in their order: neighbours share a chunk, which is then written once for many. */
static void rules_in_order(struct objects *db, const struct uuid *chain, struct id_list *rules)
{
    struct uuid *ids;
    size_t n, kept = 0;

    if (order_ids(db, chain, &ids, &n, NULL) || !n)
        return; /* what the list doesn't know goes as it comes */
    for (size_t i = 0; i < rules->n; i++)
        if (rules->v[i].type != ST_RULE)
            rules->v[kept++] = rules->v[i];
    rules->n = kept;
    for (size_t i = 0; i < n; i++) {
        char text[UUID_STRLEN];
        id_list_add(rules, ST_RULE, uuid_format(&ids[i], text));
    }
    free(ids);
}

int drain(struct objects *db, enum schema_type_id type, const struct uuid *id, struct error *e)
{
    enum { BATCH = 200 };
    struct id_list cascade = {0}, others = {0};
    int rc = sort_referrers(db, type, id, &cascade, &others, e);

    if (!rc && type == ST_CHAIN)
        rules_in_order(db, id, &cascade);
    for (size_t i = 0; !rc && i < cascade.n; i += BATCH)
        rc = drain_batch(db, type, id, cascade.v + i, MIN((size_t)BATCH, cascade.n - i), true, e);
    for (size_t i = 0; !rc && i < others.n; i += BATCH)
        rc = drain_batch(db, type, id, others.v + i, MIN((size_t)BATCH, others.n - i), false, e);
    free(cascade.v);
    free(others.v);
    return rc;
}
