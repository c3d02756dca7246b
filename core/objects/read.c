#include "objects/impl.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

enum { BATCH = 256 }; /* objects in one round */

void values_free(struct store_value *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        store_value_free(&v[i]);
    free(v);
}

void names_free(struct store_names *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        store_names_free(&v[i]);
    free(v);
}

int read_many(struct objects *db, char (*paths)[STORE_PATH_MAX], size_t n, struct store_value *out,
              struct error *e)
{
    const char **list = NEW_ARRAY(n, const char *);

    for (size_t i = 0; i < n; i++)
        list[i] = paths[i];
    db->stats.reads += n;
    db->stats.rounds += n > 0;
    int rc = n ? store_get_many(db->store, list, n, out, e) : 0;
    free(list);
    return rc;
}

int list_many(struct objects *db, char (*paths)[STORE_PATH_MAX], size_t n, struct store_names *out,
              struct error *e)
{
    const char **list = NEW_ARRAY(n, const char *);
    int *rcs = NEW_ARRAY(n, int);

    for (size_t i = 0; i < n; i++)
        list[i] = paths[i];
    db->stats.reads += n;
    db->stats.rounds += n > 0;
    int rc = n ? store_children_many(db->store, list, n, out, rcs, e) : 0;
    free(rcs);
    free(list);
    return rc;
}

int body_parse(struct objects *db, enum schema_type_id type, const struct uuid *id,
               const struct store_value *v, json_t **out, struct error *e)
{
    char path[STORE_PATH_MAX];
    json_error_t je;
    struct error why = {0};
    int rc = -EBADMSG;

    *out = json_loadb(v->data, v->size, JSON_REJECT_DUPLICATES, &je);
    if (!*out)
        snprintf(why.message, sizeof why.message, "%.128s", je.text);
    else
        rc = schema_validate(&schema_types[type], *out, false, true, &why);
    if (!rc)
        return 0;
    json_decref(*out);
    *out = NULL;
    db->stats.broken++;
    objects_path(type, id, path);
    char label[96];
    return error_set(e, -EBADMSG, object_label(type, id, label), why.field[0] ? why.field : NULL,
                     "the store has a broken object at %s: %.128s", path, why.message);
}

static int missing(enum schema_type_id type, const struct uuid *id, struct error *e)
{
    char text[UUID_STRLEN], label[96];

    return error_set(e, -ENOENT, object_label(type, id, label), NULL, "There is no %s with ID %s",
                     schema_types[type].name, uuid_format(id, text));
}

static void add_id(json_t *obj, const struct uuid *id, int64_t rev)
{
    char text[UUID_STRLEN];

    json_object_set_new(obj, "id", json_string(uuid_format(id, text)));
    json_object_set_new(obj, "rev", json_integer(rev));
}

static const struct schema_attr *order_attr(enum schema_type_id type)
{
    for (const struct schema_attr *a = schema_types[type].attrs; a->name; a++)
        if (a->flags & SA_ORDER)
            return a;
    return NULL;
}

int objects_get(struct objects *db, enum schema_type_id type, const struct uuid *id, json_t **out,
                struct error *e)
{
    char paths[1 + STATE_KEYS][STORE_PATH_MAX];
    struct store_value *values = NEW_ARRAY(1 + STATE_KEYS, struct store_value);
    const struct schema_attr *order = order_attr(type);

    *out = NULL;
    objects_path(type, id, paths[0]);
    unsigned n = 1 + state_paths(type, id, paths + 1);
    int rc = read_many(db, paths, n, values, e);
    if (!rc && values[0].rc)
        rc = missing(type, id, e);
    if (!rc)
        rc = body_parse(db, type, id, &values[0], out, e);
    if (!rc) {
        add_id(*out, id, values[0].version);
        state_fill(type, *out, values + 1);
    }
    values_free(values, n);
    struct uuid parent;
    int64_t position;
    if (!rc && order && json_uuid(*out, schema_types[type].parent_attr, &parent)) {
        rc = order_position(db, &parent, id, &position, e);
        if (!rc)
            json_object_set_new(*out, order->json, json_integer(position));
        else if (rc == -ENOENT)
            rc = 0; /* between two commits of somebody else */
    }
    if (rc) {
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}

void ids_add(struct uuid **ids, size_t *n, const struct uuid *id)
{
    if (!(*n & (*n - 1))) /* grows at powers of two */
        *ids = mem_resize(*ids, (*n ? *n * 2 : 1) * sizeof **ids);
    (*ids)[(*n)++] = *id;
}

static void ids_from_names(const struct store_names *names, struct uuid **ids, size_t *n)
{
    struct uuid id;

    for (size_t i = 0; i < names->n; i++)
        if (!uuid_parse(names->names[i], &id))
            ids_add(ids, n, &id);
}

int refs_list(struct objects *db, enum schema_type_id target, const struct uuid *id,
              enum schema_type_id from, const char *attr, struct uuid **ids, size_t *n,
              struct error *e)
{
    char(*paths)[STORE_PATH_MAX] = mem_array(SHARDS, STORE_PATH_MAX);
    struct store_names *names = NEW_ARRAY(SHARDS, struct store_names);

    for (unsigned s = 0; s < SHARDS; s++)
        path_refs(target, id, from, attr, s, paths[s]);
    int rc = list_many(db, paths, SHARDS, names, e);
    for (unsigned s = 0; !rc && s < SHARDS; s++)
        ids_from_names(&names[s], ids, n);
    names_free(names, SHARDS);
    free(paths);
    return rc;
}

int ids_of_type(struct objects *db, enum schema_type_id type, struct uuid **ids, size_t *n,
                struct error *e)
{
    char path[STORE_PATH_MAX];
    struct store_names top = {0};

    snprintf(path, sizeof path, "/%s", schema_types[type].plural);
    db->stats.reads++;
    db->stats.rounds++;
    int rc = store_children(db->store, path, &top, e);
    if (rc == -ENOENT)
        return 0;
    if (rc)
        return rc;
    char(*paths)[STORE_PATH_MAX] = mem_array(top.n, STORE_PATH_MAX);
    struct store_names *names = NEW_ARRAY(top.n, struct store_names);
    for (size_t i = 0; i < top.n; i++)
        path_child(path, top.names[i], paths[i]);
    rc = list_many(db, paths, top.n, names, e);
    for (size_t i = 0; !rc && i < top.n; i++)
        ids_from_names(&names[i], ids, n);
    names_free(names, top.n);
    free(paths);
    store_names_free(&top);
    return rc;
}

/* The orders of chains met while rules of all chains are listed. */
struct positions {
    UT_hash_handle hh;
    struct uuid rule;
    int64_t position;
};

struct each {
    struct objects *db;
    enum schema_type_id type;
    objects_fn *fn;
    void *aux;
    struct error *e;
    bool bare;    /* body and id only */
    bool counted; /* objects come in the order of their positions, from 1 */
    int64_t position;
    struct positions *positions; /* of all chains met so far */
    struct uuid *chains;
    size_t n_chains;
};

static int load_positions(struct each *x, const struct uuid *chain)
{
    struct uuid *ids = NULL;
    size_t n = 0;

    for (size_t i = x->n_chains; i-- > 0;)
        if (uuid_equal(&x->chains[i], chain))
            return 0;
    int rc = order_ids(x->db, chain, &ids, &n, x->e);
    for (size_t i = 0; !rc && i < n; i++) {
        struct positions *p = NEW(struct positions), *old;
        p->rule = ids[i];
        p->position = (int64_t)i + 1;
        HASH_REPLACE(hh, x->positions, rule, sizeof p->rule, p, old);
        free(old);
    }
    free(ids);
    if (!rc)
        ids_add(&x->chains, &x->n_chains, chain);
    return rc;
}

static int add_position(struct each *x, const struct schema_attr *order, const struct uuid *id,
                        json_t *obj)
{
    struct uuid chain;
    struct positions *p;

    x->position++;
    if (x->counted) {
        json_object_set_new(obj, order->json, json_integer(x->position));
        return 0;
    }
    if (!json_uuid(obj, schema_types[x->type].parent_attr, &chain))
        return 0;
    int rc = load_positions(x, &chain);
    if (rc)
        return rc;
    HASH_FIND(hh, x->positions, id, sizeof *id, p);
    if (p)
        json_object_set_new(obj, order->json, json_integer(p->position));
    return 0;
}

static int each_value(struct each *x, const struct uuid *id, const struct store_value *values)
{
    const struct schema_attr *order = order_attr(x->type);
    json_t *obj;

    if (values[0].rc) /* deleted since it was listed */
        return 0;
    struct error why = {0};
    if (body_parse(x->db, x->type, id, &values[0], &obj, &why)) {
        log_limited(LOG_LVL_WARN, "objects", "%s: %s", why.object, why.message);
        x->position++;
        return 0;
    }
    int rc = order ? add_position(x, order, id, obj) : 0;
    if (!rc) {
        add_id(obj, id, values[0].version);
        if (x->bare)
            json_object_del(obj, "rev");
        else
            state_fill(x->type, obj, values + 1);
        rc = x->fn(obj, x->aux);
    }
    json_decref(obj);
    return rc;
}

static int each_id(struct each *x, const struct uuid *ids, size_t n)
{
    size_t most = MIN(n, (size_t)BATCH);
    char(*paths)[STORE_PATH_MAX] = mem_array(most * (1 + STATE_KEYS), STORE_PATH_MAX);
    int rc = 0;

    for (size_t at = 0; !rc && at < n; at += BATCH) {
        size_t batch = MIN(n - at, (size_t)BATCH), total = 0, stride = 1;
        for (size_t i = 0; i < batch; i++) {
            objects_path(x->type, &ids[at + i], paths[total]);
            stride = 1 + (x->bare ? 0 : state_paths(x->type, &ids[at + i], paths + total + 1));
            total += stride;
        }
        struct store_value *values = NEW_ARRAY(total, struct store_value);
        rc = read_many(x->db, paths, total, values, x->e);
        for (size_t i = 0; !rc && i < batch; i++)
            rc = each_value(x, &ids[at + i], values + i * stride);
        values_free(values, total);
    }
    free(paths);
    struct positions *p, *next;
    HASH_ITER (hh, x->positions, p, next) {
        HASH_DEL(x->positions, p);
        free(p);
    }
    free(x->chains);
    return rc;
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct uuid));
}

static int ids_below(struct objects *db, enum schema_type_id type, const struct uuid *parent,
                     struct uuid **ids, size_t *n, struct error *e)
{
    const struct schema_type *t = &schema_types[type];
    const char *const names[] = {t->parent_attr, t->parent_attr2};
    size_t first = 0;
    int rc = 0;

    for (unsigned i = 0; !rc && i < 2; i++)
        if (names[i]) {
            const struct schema_attr *a = schema_attr_by_json(t->attrs, names[i]);
            first = i ? *n : 0;
            rc = refs_list(db, a->ref, parent, type, names[i], ids, n, e);
        }
    if (!rc && first && first < *n) /* both attributes had some */
        qsort(*ids, *n, sizeof **ids, compare_ids);
    return rc;
}

int objects_each(struct objects *db, enum schema_type_id type, const struct uuid *parent,
                 objects_fn *fn, void *aux, struct error *e)
{
    struct each x = {.db = db, .type = type, .fn = fn, .aux = aux, .e = e};
    struct uuid *ids = NULL;
    size_t n = 0;
    int rc;

    if (parent && order_attr(type)) {
        x.counted = true;
        rc = order_ids(db, parent, &ids, &n, e);
    } else if (parent)
        rc = ids_below(db, type, parent, &ids, &n, e);
    else
        rc = ids_of_type(db, type, &ids, &n, e);
    if (!rc)
        rc = each_id(&x, ids, n);
    free(ids);
    return rc;
}

int bodies_each(struct objects *db, enum schema_type_id type, objects_fn *fn, void *aux,
                struct error *e)
{
    struct each x = {.db = db, .type = type, .fn = fn, .aux = aux, .e = e, .bare = true};
    struct uuid *ids = NULL;
    size_t n = 0;
    int rc = ids_of_type(db, type, &ids, &n, e);

    if (!rc)
        rc = each_id(&x, ids, n);
    free(ids);
    return rc;
}

int objects_referrers(struct objects *db, enum schema_type_id type, const char *attr_json,
                      const struct uuid *target, struct uuid **ids, size_t *n, struct error *e)
{
    const struct schema_attr *a = attr_by_path(type, attr_json);

    *ids = NULL;
    *n = 0;
    if (!a)
        return error_set(e, -EINVAL, schema_types[type].name, attr_json, "is not a reference");
    int rc = refs_list(db, a->ref, target, type, attr_json, ids, n, e);
    if (rc) {
        free(*ids);
        *ids = NULL;
        *n = 0;
    }
    return rc;
}
