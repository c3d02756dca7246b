#include "objects/impl.h"

#include <stdio.h>
#include <stdlib.h>

bool name_indexed(const struct schema_type *t)
{
    const struct schema_attr *a = schema_attr_by_json(t->attrs, "name");

    return a && a->value == SV_STRING && !(a->flags & SA_STATE) && !t->id_from;
}

static bool is_below(const struct schema_type *t, const json_t *obj, const struct uuid *parent)
{
    const char *const names[] = {t->parent_attr, t->parent_attr2};
    struct uuid id;

    for (unsigned i = 0; i < 2; i++)
        if (names[i] && json_uuid(obj, names[i], &id) && uuid_equal(&id, parent))
            return true;
    return false;
}

/* Keeps the candidates that exist, bear the name and are below 'parent'. */
static int filter(struct objects *db, enum schema_type_id type, const struct uuid *parent,
                  const char *name, struct uuid *ids, size_t *n, struct error *e)
{
    char(*paths)[STORE_PATH_MAX] = mem_array(*n, STORE_PATH_MAX);
    struct store_value *values = NEW_ARRAY(*n, struct store_value);
    size_t kept = 0, total = *n;

    for (size_t i = 0; i < total; i++)
        objects_path(type, &ids[i], paths[i]);
    int rc = read_many(db, paths, total, values, e);
    for (size_t i = 0; !rc && i < total; i++) {
        json_t *obj;
        if (values[i].rc || body_parse(db, type, &ids[i], &values[i], &obj, NULL))
            continue;
        const char *s = json_string_value(json_object_get(obj, "name"));
        if (s && !strcmp(s, name) && (!parent || is_below(&schema_types[type], obj, parent)))
            ids[kept++] = ids[i];
        json_decref(obj);
    }
    *n = kept;
    values_free(values, total);
    free(paths);
    return rc;
}

static int ambiguous(enum schema_type_id type, const char *text, const struct uuid *ids, size_t n,
                     struct error *e)
{
    char hint[sizeof e->hint], id[UUID_STRLEN];
    size_t size = (size_t)snprintf(hint, sizeof hint, "say which:");

    for (size_t i = 0; i < n && size + UUID_STRLEN + 8 < sizeof hint; i++)
        size += (size_t)snprintf(hint + size, sizeof hint - size, " %s%s", uuid_format(&ids[i], id),
                                 i == 2 && n > 3 ? " ..." : "");
    int rc = error_set(e, -EINVAL, schema_types[type].name, NULL, "%zu bear the name \"%.64s\"", n,
                       text);
    error_hint(e, "%s", hint);
    return rc;
}

static int resolve_name(struct objects *db, enum schema_type_id type, const struct uuid *parent,
                        const char *text, struct uuid *id, struct error *e)
{
    char path[STORE_PATH_MAX];
    struct store_names names = {0};
    struct uuid *ids = NULL, one;
    size_t n = 0;

    path_names(type, text, path);
    db->stats.reads++;
    db->stats.rounds++;
    int rc = store_children(db->store, path, &names, e);
    if (rc == -ENOENT)
        rc = 0;
    for (size_t i = 0; !rc && i < names.n; i++)
        if (!uuid_parse(names.names[i], &one))
            ids_add(&ids, &n, &one);
    store_names_free(&names);
    if (!rc && n)
        rc = filter(db, type, parent, text, ids, &n, e);
    if (!rc && n > 1)
        rc = ambiguous(type, text, ids, n, e);
    else if (!rc && !n)
        rc = error_set(e, -ENOENT, schema_types[type].name, NULL, "no %s is called \"%.64s\"",
                       schema_types[type].name, text);
    if (!rc)
        *id = ids[0];
    free(ids);
    return rc;
}

int objects_resolve(struct objects *db, enum schema_type_id type, const struct uuid *parent,
                    const char *text, struct uuid *id, struct error *e)
{
    char path[STORE_PATH_MAX], label[96];
    struct uuid u;

    if (uuid_parse(text, &u))
        return name_indexed(&schema_types[type]) ? resolve_name(db, type, parent, text, id, e)
                                                 : error_set(e, -EINVAL, schema_types[type].name,
                                                             NULL, "\"%.64s\" is not a uuid", text);
    objects_path(type, &u, path);
    db->stats.reads++;
    db->stats.rounds++;
    int rc = store_exists(db->store, path);
    if (rc < 0)
        return error_set(e, rc, object_label(type, &u, label), NULL, "can't be looked up");
    if (!rc)
        return error_set(e, -ENOENT, object_label(type, &u, label), NULL,
                         "There is no %s with ID %s", schema_types[type].name, text);
    *id = u;
    return 0;
}
