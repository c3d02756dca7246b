#include "objects/impl.h"

#include <stdio.h>
#include <stdlib.h>

static bool changed(const struct object *o)
{
    if (o->before && o->after)
        return o->moved || !json_equal(o->before, o->after);
    return o->before || o->after;
}

/* References */

static struct object *in_plan(struct plan *p, enum schema_type_id type, const struct uuid *id)
{
    struct object_key key = {.type = type, .id = *id};
    struct object *o;

    HASH_FIND(hh, p->objects, &key, sizeof key, o);
    return o;
}

/* That the target is there, now (careful) or at commit.  1: it isn't and needn't be. */
static int need_target(struct plan *p, const struct object *o, const struct ref *r)
{
    struct object *target = in_plan(p, r->attr->ref, &r->target);
    char path[STORE_PATH_MAX], text[UUID_STRLEN];
    bool may_dangle = p->dangling && r->attr->on_delete == SD_KEEP;
    bool there = target && target->after;
    struct node *n;
    int rc = 0;

    objects_path(r->attr->ref, &r->target, path);
    if (!target && (p->view.careful || may_dangle)) {
        rc = view_load(&p->view, path, &n, p->e);
        there = !rc && n->base == BASE_PRESENT;
    } else if (!target)
        there = true;
    if (rc)
        return rc;
    if (!there)
        return may_dangle
                   ? 1
                   : plan_error(p, -ENOENT, o, r->attr->json, "There is no %s with ID %s",
                                schema_types[r->attr->ref].name, uuid_format(&r->target, text));
    if (!target || target->before)
        view_require(&p->view, path);
    return 0;
}

static int add_ref(struct plan *p, const struct object *o, const struct ref *r)
{
    char leaf[STORE_PATH_MAX];
    int rc = need_target(p, o, r);

    if (rc)
        return rc < 0 ? rc : 0;
    path_ref(r->attr->ref, &r->target, object_type(o), r->path, &o->key.id, leaf);
    if (view_node(&p->view, leaf)->write != WRITE_PUT)
        view_put(&p->view, leaf, "", 0);
    return 0;
}

static void remove_ref(struct plan *p, const struct object *o, const struct ref *r)
{
    char leaf[STORE_PATH_MAX];

    path_ref(r->attr->ref, &r->target, object_type(o), r->path, &o->key.id, leaf);
    view_delete(&p->view, leaf);
}

static int finish_refs(struct plan *p, const struct object *o)
{
    struct refs before, after;
    size_t i = 0, j = 0;
    int rc = 0;

    refs_collect(object_type(o), o->before, &before);
    refs_collect(object_type(o), o->after, &after);
    while (!rc && (i < before.n || j < after.n)) {
        int c = i == before.n ? 1 : j == after.n ? -1 : ref_compare(&before.v[i], &after.v[j]);
        if (c < 0)
            remove_ref(p, o, &before.v[i++]);
        else if (c > 0)
            rc = add_ref(p, o, &after.v[j++]);
        else
            i++, j++;
    }
    refs_free(&before);
    refs_free(&after);
    return rc;
}

/* Names */

static void name_leaf(const struct object *o, const char *name, char *folder, char *leaf)
{
    char text[UUID_STRLEN];

    path_names(object_type(o), name, folder);
    path_child(folder, uuid_format(&o->key.id, text), leaf);
}

static void finish_name(struct plan *p, const struct object *o)
{
    const char *before = o->before ? json_string_value(json_object_get(o->before, "name")) : NULL;
    const char *after = o->after ? json_string_value(json_object_get(o->after, "name")) : NULL;
    char folder[STORE_PATH_MAX], leaf[STORE_PATH_MAX];

    if (!name_indexed(&schema_types[o->key.type]) || (before && after && !strcmp(before, after)))
        return;
    if (before) {
        name_leaf(o, before, folder, leaf);
        view_delete(&p->view, leaf);
        p->emptied = mem_resize(p->emptied, (p->n_emptied + 1) * sizeof *p->emptied);
        p->emptied[p->n_emptied++] = mem_strdup(folder);
    }
    if (after) {
        name_leaf(o, after, folder, leaf);
        view_put(&p->view, leaf, "", 0);
        view_node(&p->view, folder)->busy = true;
    }
}

/* The folder of a name goes with the last that bears it. */
static int finish_name_folders(struct plan *p)
{
    char leaf[STORE_PATH_MAX];
    const struct store_names *names;
    int rc = listings_get(p, p->emptied, p->n_emptied);

    for (size_t i = 0; !rc && i < p->n_emptied; i++) {
        bool empty = true;
        if (view_node(&p->view, p->emptied[i])->busy)
            continue;
        rc = listing_get(p, p->emptied[i], &names);
        for (size_t k = 0; !rc && empty && k < names->n; k++) {
            path_child(p->emptied[i], names->names[k], leaf);
            empty = view_node(&p->view, leaf)->write == WRITE_DELETE;
        }
        if (!rc && empty && names->n)
            view_delete(&p->view, p->emptied[i]);
    }
    return rc;
}

/* Values that must be unique */

struct keys {
    char **v;
    size_t n;
};

static void keys_add(struct keys *k, char *key)
{
    k->v = mem_resize(k->v, (k->n + 1) * sizeof *k->v);
    k->v[k->n++] = key;
}

static void keys_free(struct keys *k)
{
    for (size_t i = 0; i < k->n; i++)
        free(k->v[i]);
    free(k->v);
}

/* "name,type=\"zone\",\"vxlan\"": null when a member is missing. */
static char *key_of_set(const json_t *obj, const char *set, size_t size)
{
    struct strbuf sb = {0};
    char word[64];

    sb_add_bytes(&sb, set, size);
    for (size_t at = 0; at < size;) {
        size_t n = strcspn(set + at, ",;");
        snprintf(word, sizeof word, "%.*s", (int)n, set + at);
        const json_t *v = json_object_get(obj, word);
        if (!v) {
            sb_free(&sb);
            return NULL;
        }
        char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
        sb_printf(&sb, "%c%s", at ? ',' : '=', text ? text : "");
        free(text);
        at += n + 1;
    }
    return sb_steal(&sb);
}

static int keys_collect(struct plan *p, const struct object *o, const json_t *obj, struct keys *out)
{
    *out = (struct keys){0};
    if (!obj)
        return 0;
    for (const char *set = schema_types[o->key.type].unique; set && *set;) {
        size_t size = strcspn(set, ";");
        char *key = key_of_set(obj, set, size);
        if (key)
            keys_add(out, key);
        set += size + (set[size] == ';');
    }
    char *more = NULL;
    int rc = crosscheck_key(p, o, obj, &more);
    if (more)
        keys_add(out, more);
    return rc;
}

static bool keys_have(const struct keys *k, const char *key)
{
    for (size_t i = 0; i < k->n; i++)
        if (!strcmp(k->v[i], key))
            return true;
    return false;
}

static int taken(struct plan *p, const struct object *o, const char *key, const char *holder)
{
    const struct schema_type *t = &schema_types[o->key.type];
    char first[64], fields[160] = "";
    size_t end = strcspn(key, "=");

    snprintf(first, sizeof first, "%.*s", (int)strcspn(key, ",="), key);
    for (size_t at = 0; at < end;) {
        char word[64];
        size_t n = strcspn(key + at, ",=");
        snprintf(word, sizeof word, "%.*s", (int)n, key + at);
        const struct schema_attr *a = schema_attr_by_json(t->attrs, word);
        size_t used = strlen(fields);
        snprintf(fields + used, sizeof fields - used, "%s%s", at ? " and " : "",
                 a ? a->name : word);
        at += n + 1;
    }
    return plan_error(p, -EEXIST, o, first, "another %s already has the same %s: %.36s", t->name,
                      fields, holder);
}

static int add_key(struct plan *p, const struct object *o, const char *key)
{
    char path[STORE_PATH_MAX], text[UUID_STRLEN], body[STORE_PATH_MAX];
    struct uuid holder;
    struct node *n, *h;

    path_unique(object_type(o), key, path);
    n = view_node(&p->view, path);
    if (n->write == WRITE_PUT)
        return taken(p, o, key, n->written);
    if (p->view.careful && n->write == WRITE_NONE) {
        int rc = view_load(&p->view, path, &n, p->e);
        if (rc)
            return rc;
        if (n->base == BASE_PRESENT && !uuid_parse(n->data, &holder) &&
            !uuid_equal(&holder, &o->key.id)) {
            objects_path(object_type(o), &holder, body);
            rc = view_load(&p->view, body, &h, p->e);
            if (rc || h->base == BASE_PRESENT)
                return rc ? rc : taken(p, o, key, n->data);
        }
    }
    uuid_format(&o->key.id, text);
    view_put(&p->view, path, text, strlen(text));
    return 0;
}

/* All that is given up in the plan is given up before anything is taken. */
static int finish_keys(struct plan *p, const struct object *o, bool take)
{
    struct keys before, after = {0};
    char path[STORE_PATH_MAX];
    int rc = keys_collect(p, o, o->before, &before);

    if (!rc)
        rc = keys_collect(p, o, o->after, &after);
    for (size_t i = 0; !rc && !take && i < before.n; i++)
        if (!keys_have(&after, before.v[i])) {
            path_unique(object_type(o), before.v[i], path);
            view_delete(&p->view, path);
        }
    for (size_t i = 0; !rc && take && i < after.n; i++)
        if (!keys_have(&before, after.v[i]))
            rc = add_key(p, o, after.v[i]);
    keys_free(&before);
    keys_free(&after);
    return rc;
}

/* Bodies */

/* Everything below a deleted object: folders (emptied by now), change node, order. */
static int delete_below(struct plan *p, const struct object *o)
{
    char path[STORE_PATH_MAX], base[STORE_PATH_MAX], order[1][STORE_PATH_MAX];
    struct store_names chunks = {0};
    int rc = 0;

    objects_path(object_type(o), &o->key.id, base);
    for (size_t i = 0; !rc && i < o->n_folders; i++) {
        path_child(base, o->folders[i], path);
        view_delete(&p->view, path);
        if (strcmp(o->folders[i], "order"))
            continue;
        memcpy(order[0], path, sizeof path);
        rc = list_many(p->db, order, 1, &chunks, p->e);
        for (size_t k = 0; !rc && k < chunks.n; k++) {
            path_child(order[0], chunks.names[k], path);
            view_delete(&p->view, path);
        }
        store_names_free(&chunks);
    }
    return rc;
}

static int finish_body(struct plan *p, const struct object *o)
{
    char path[STORE_PATH_MAX];

    objects_path(object_type(o), &o->key.id, path);
    if (!o->after) {
        view_delete(&p->view, path);
        return delete_below(p, o);
    }
    char *text = json_dumps(o->after, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text)
        return plan_error(p, -EINVAL, o, NULL, "is not UTF-8 text");
    if (strlen(text) > STORE_VALUE_MAX) {
        size_t size = strlen(text);
        free(text);
        return plan_error(p, -E2BIG, o, NULL, "has %zu bytes, %d are the most", size,
                          STORE_VALUE_MAX);
    }
    if (o->before && json_equal(o->before, o->after))
        free(text); /* only moved */
    else
        view_put_text(&p->view, path, text);
    return 0;
}

int plan_finish(struct plan *p)
{
    struct object *o, *next;
    int rc = 0;

    /* Objects that are only looked at join the list meanwhile and are skipped as unchanged. */
    for (o = p->objects; o && !rc; o = o->hh.next)
        if (o->after && changed(o))
            rc = crosscheck(p, o);
    for (unsigned take = 0; take < 2; take++)
        for (o = p->objects; o && !rc; o = o->hh.next)
            if (changed(o))
                rc = finish_keys(p, o, take);
    plan_order_flush(p);
    HASH_ITER (hh, p->objects, o, next)
        if (!rc && changed(o)) {
            rc = finish_refs(p, o);
            finish_name(p, o);
            if (!rc)
                rc = finish_body(p, o);
        }
    if (!rc)
        rc = finish_name_folders(p);
    return rc ? rc : change_bump(p);
}
