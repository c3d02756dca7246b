#include "objects/impl.h"

#include <stdio.h>
#include <stdlib.h>

int plan_error(struct plan *p, int code, const struct object *o, const char *json, const char *fmt,
               ...)
{
    const struct schema_attr *a =
        json ? schema_attr_by_json(schema_types[o->key.type].attrs, json) : NULL;
    char label[96];
    va_list ap;

    va_start(ap, fmt);
    error_setv(p->e, code, object_label(object_type(o), &o->key.id, label), a ? a->name : json, fmt,
               ap);
    va_end(ap);
    return code;
}

static struct object *find_object(struct plan *p, enum schema_type_id type, const struct uuid *id)
{
    struct object_key key = {.type = type, .id = *id};
    struct object *o;

    HASH_FIND(hh, p->objects, &key, sizeof key, o);
    return o;
}

static struct object *add_object(struct plan *p, enum schema_type_id type, const struct uuid *id)
{
    struct object *o = NEW(struct object);

    o->key.type = type;
    o->key.id = *id;
    HASH_ADD(hh, p->objects, key, sizeof o->key, o);
    p->n_objects++;
    return o;
}

static int no_such(struct plan *p, enum schema_type_id type, const struct uuid *id)
{
    char text[UUID_STRLEN], label[96];

    return error_set(p->e, -ENOENT, object_label(type, id, label), NULL,
                     "There is no %s with ID %s", schema_types[type].name, uuid_format(id, text));
}

int plan_load(struct plan *p, enum schema_type_id type, const struct uuid *id, struct object **out)
{
    struct object *o = find_object(p, type, id);
    char path[STORE_PATH_MAX];
    struct node *n;
    json_t *body;

    if (o) {
        *out = o;
        return o->after ? 0 : no_such(p, type, id);
    }
    objects_path(type, id, path);
    int rc = view_load(&p->view, path, &n, p->e);
    if (rc)
        return rc;
    if (n->base == BASE_ABSENT)
        return no_such(p, type, id);
    const struct store_value v = {.data = n->data, .size = n->size, .version = n->version};
    rc = body_parse(p->db, type, id, &v, &body, p->e);
    if (rc)
        return rc;
    o = add_object(p, type, id);
    o->rev = n->version;
    o->before = body;
    o->after = json_deep_copy(body);
    *out = o;
    return 0;
}

/* A body that can't be understood must not keep the object from being deleted: it counts as
 * empty.  Back references it leaves behind are passed over, names and claims of the dead likewise.
 */
int plan_load_broken(struct plan *p, enum schema_type_id type, const struct uuid *id,
                     struct object **out)
{
    char path[STORE_PATH_MAX];

    objects_path(type, id, path);
    *out = add_object(p, type, id);
    (*out)->rev = view_node(&p->view, path)->version;
    (*out)->before = json_object();
    (*out)->after = json_object();
    return 0;
}

int plan_recheck(struct plan *p, struct object *o)
{
    char label[96];
    int rc = schema_validate(&schema_types[o->key.type], o->after, false, true, p->e);

    if (rc && p->e)
        snprintf(p->e->object, sizeof p->e->object, "%s",
                 object_label(object_type(o), &o->key.id, label));
    return rc;
}

static bool ordered(enum schema_type_id type)
{
    for (const struct schema_attr *a = schema_types[type].attrs; a->name; a++)
        if (a->flags & SA_ORDER)
            return true;
    return false;
}

static int insert_in_order(struct plan *p, struct object *o, int64_t position)
{
    struct uuid chain;
    struct object *parent;

    if (!ordered(object_type(o)) ||
        !json_uuid(o->after, schema_types[o->key.type].parent_attr, &chain))
        return 0;
    parent = find_object(p, ST_CHAIN, &chain);
    if (parent && !parent->after)
        return plan_error(p, -ENOENT, o, "chainId", "the chain is being deleted");
    o->moved = true;
    return plan_order_insert(p, &chain, &o->key.id, position ? position : 1);
}

/* Of a type whose uuid follows from its members, these are what people know: "host X". */
static int already_exists(struct plan *p, enum schema_type_id type, const struct uuid *id,
                          const json_t *attrs)
{
    const struct schema_type *t = &schema_types[type];
    char label[96], text[UUID_STRLEN];
    const char *field = NULL;
    struct strbuf with = {0};

    for (const char *w = t->id_from; w && *w; w += strcspn(w, ","), w += *w == ',') {
        char json[64];
        snprintf(json, sizeof json, "%.*s", (int)strcspn(w, ","), w);
        const struct schema_attr *a = schema_attr_by_json(t->attrs, json);
        if (!a || !strcmp(json, t->parent_attr))
            continue;
        char *value = schema_to_text(a, json_object_get(attrs, json), false);
        sb_printf(&with, "%s%s %s", with.size ? ", " : "", a->name, value);
        free(value);
        field = field ? field : a->name;
    }
    const char *article = strchr("aeiou", t->name[0]) ? "An" : "A";
    if (with.size)
        error_set(p->e, -EEXIST, t->name, field, "%s %s with %s already exists", article, t->name,
                  sb_str(&with));
    else
        error_set(p->e, -EEXIST, object_label(type, id, label), NULL,
                  "%s %s with ID %s already exists", article, t->name, uuid_format(id, text));
    sb_free(&with);
    return -EEXIST;
}

int plan_create(struct plan *p, enum schema_type_id type, const struct uuid *id, json_t *attrs,
                int64_t position, struct object **out)
{
    struct object *o = find_object(p, type, id);
    char path[STORE_PATH_MAX];
    struct node *n = NULL;
    int rc = 0;

    objects_path(type, id, path);
    if (p->view.careful)
        rc = view_load(&p->view, path, &n, p->e);
    if (!rc && ((o && o->after) || (!o && n && n->base == BASE_PRESENT)))
        rc = already_exists(p, type, id, attrs);
    if (rc) {
        json_decref(attrs);
        return rc;
    }
    if (!o)
        o = add_object(p, type, id);
    o->after = attrs;
    if (out)
        *out = o;
    rc = insert_in_order(p, o, position);
    return rc ? rc : hook_changed(p, o, NULL);
}

/* Read-only and fixed members may be repeated, not changed. */
static int check_writable(struct plan *p, const struct object *o, const json_t *attrs)
{
    const struct schema_type *t = &schema_types[o->key.type];
    const char *key;
    json_t *v;

    json_object_foreach ((json_t *)attrs, key, v) {
        const struct schema_attr *a = schema_attr_by_json(t->attrs, key);
        const json_t *now = json_object_get(o->after, key);
        if (!a || p->system || (json_is_null(v) && !now) || json_equal(v, now))
            continue;
        if ((a->flags & SA_READONLY) && !t->read_only)
            return plan_error(p, -EINVAL, o, key, "is a read-only attribute");
        if (a->flags & SA_CREATE)
            return plan_error(p, -EINVAL, o, key, "can't be changed once the %s exists", t->name);
    }
    return 0;
}

/* Members that are only what 'fill' makes of the others follow the others. */
static void drop_derived(const struct schema_type *t, json_t *obj, const json_t *before,
                         const json_t *attrs)
{
    const char *key;
    json_t *v;

    if (!t->fill)
        return;
    json_object_foreach ((json_t *)before, key, v) {
        if (json_object_get(attrs, key) || !schema_attr_by_json(t->attrs, key) ||
            (schema_attr_by_json(t->attrs, key)->flags & SA_REQUIRED))
            continue;
        json_t *without = json_deep_copy(before);
        json_object_del(without, key);
        t->fill(without);
        if (json_equal(json_object_get(without, key), v))
            json_object_del(obj, key);
        json_decref(without);
    }
}

static int check_local_route(struct plan *p, const struct object *o, const char *verb)
{
    if (o->key.type != ST_ROUTE || p->system)
        return 0;
    const char *type = json_string_value(json_object_get(o->after, "type"));
    if (!type || strcmp(type, "Local"))
        return 0;
    plan_error(p, -EBUSY, o, NULL, "a local route can't be %s: it follows its port's addresses",
               verb);
    error_hint(p->e, "change the addresses of the port");
    return -EBUSY;
}

static int move(struct plan *p, struct object *o, int64_t position)
{
    struct uuid chain;

    if (!position || !ordered(object_type(o)) ||
        !json_uuid(o->after, schema_types[o->key.type].parent_attr, &chain))
        return 0;
    int rc = plan_order_remove(p, &chain, &o->key.id);
    return rc ? rc : insert_in_order(p, o, position);
}

int plan_update(struct plan *p, const struct op *op)
{
    struct object *o;
    int rc = plan_load(p, op->type, &op->id, &o);

    if (rc)
        return rc;
    if (op->rev != STORE_ANY && op->rev != o->rev)
        return plan_error(p, -ESTALE, o, NULL, "has been changed: it is at revision %lld, not %lld",
                          (long long)o->rev, (long long)op->rev);
    rc = check_writable(p, o, op->attrs);
    if (!rc)
        rc = check_local_route(p, o, "changed");
    if (rc)
        return rc;
    json_t *before = o->after;
    o->after = json_deep_copy(before);
    drop_derived(&schema_types[op->type], o->after, before, op->attrs);
    json_object_update(o->after, op->attrs);
    rc = plan_recheck(p, o);
    if (!rc)
        rc = move(p, o, op->position);
    if (!rc && !json_equal(before, o->after))
        rc = hook_changed(p, o, before);
    json_decref(before);
    return rc;
}

/* Adds what this plan has changed itself to what the store says. */
int plan_referrers(struct plan *p, enum schema_type_id target, const struct uuid *id,
                   enum schema_type_id from, const char *attr, struct uuid **ids, size_t *n)
{
    struct uuid *stored = NULL;
    size_t n_stored = 0;
    struct object *o, *next;

    *ids = NULL;
    *n = 0;
    int rc = refs_list(p->db, target, id, from, attr, &stored, &n_stored, p->e);
    for (size_t i = 0; !rc && i < n_stored; i++)
        if (!find_object(p, from, &stored[i]))
            ids_add(ids, n, &stored[i]);
    free(stored);
    HASH_ITER (hh, p->objects, o, next) {
        struct refs refs;
        if (object_type(o) != from || !o->after)
            continue;
        refs_collect(from, o->after, &refs);
        for (size_t i = 0; i < refs.n; i++)
            if (!strcmp(refs.v[i].path, attr) && uuid_equal(&refs.v[i].target, id))
                ids_add(ids, n, &o->key.id);
        refs_free(&refs);
    }
    return rc;
}

int plan_unref(struct plan *p, const struct op *op)
{
    struct object *o;
    struct refs refs;
    int rc = plan_load(p, op->type, &op->id, &o);

    if (rc == -ENOENT)
        return 0;
    if (rc)
        return rc;
    refs_collect(op->type, o->after, &refs);
    json_t *before = json_deep_copy(o->after);
    for (size_t i = 0; i < refs.n; i++) {
        const struct ref *r = &refs.v[i];
        if (r->attr->ref != op->target_type || !uuid_equal(&r->target, &op->target))
            continue;
        if (r->attr->on_delete == SD_CLEAR)
            refs_remove(op->type, o->after, r->path, &op->target);
        else if (r->attr->on_delete == SD_KEEP) {
            char path[STORE_PATH_MAX];
            path_ref(op->target_type, &op->target, op->type, r->path, &op->id, path);
            view_delete(&p->view, path);
        }
    }
    refs_free(&refs);
    if (!json_equal(before, o->after)) {
        rc = plan_recheck(p, o);
        if (!rc)
            rc = hook_changed(p, o, before);
    }
    json_decref(before);
    return rc;
}

void plan_free(struct plan *p)
{
    struct object *o, *next;

    HASH_ITER (hh, p->objects, o, next) {
        HASH_DEL(p->objects, o);
        json_decref(o->before);
        json_decref(o->after);
        for (size_t i = 0; i < o->n_folders; i++)
            free(o->folders[i]);
        free(o->folders);
        free(o);
    }
    for (size_t i = 0; i < p->n_emptied; i++)
        free(p->emptied[i]);
    free(p->emptied);
    listings_free(p);
    free(p->tunnel_keys);
    plan_order_free(p);
    view_free(&p->view);
}
