#include "objects/impl.h"

#include <stdio.h>
#include <stdlib.h>

/* Who refers to an object, by the folders below it. */
struct below {
    const struct store_names *folders;
    const struct store_names **referrers; /* by folder */
};

static int below_load(struct plan *p, enum schema_type_id type, const struct uuid *id,
                      struct below *b)
{
    char path[STORE_PATH_MAX], folder[STORE_PATH_MAX];

    objects_path(type, id, path);
    int rc = listing_get(p, path, &b->folders);
    if (rc)
        return rc;
    b->referrers = NEW_ARRAY(b->folders->n, const struct store_names *);
    for (size_t i = 0; !rc && i < b->folders->n; i++) {
        path_child(path, b->folders->names[i], folder);
        rc = listing_get(p, folder, &b->referrers[i]);
    }
    if (rc)
        free(b->referrers);
    return rc;
}

int in_use(enum schema_type_id type, const struct uuid *id, const char *what, const char *referrer,
           struct error *e)
{
    char label[96];

    return error_set(e, -EBUSY, object_label(type, id, label), NULL, "is in use by %s%s%s", what,
                     referrer[0] ? " " : "", referrer);
}

static bool folder_of(const char *name, enum schema_type_id *from, char path[64],
                      const struct schema_attr **a)
{
    if (!path_parse_refs(name, from, path))
        return false;
    *a = attr_by_path(*from, path);
    return *a != NULL;
}

/* A folder with dots that this version can't read belongs to a newer one's references. */
static int unknown_folder(enum schema_type_id type, const struct uuid *id, const char *folder,
                          const struct store_names *referrers, struct error *e)
{
    if (!strchr(folder, '.') || !referrers->n)
        return 0;
    return in_use(type, id, "something this version doesn't know", "", e);
}

static int one_referrer(struct plan *p, struct object *o, enum schema_type_id from,
                        const struct schema_attr *a, const char *name)
{
    struct uuid id;

    if (uuid_parse(name, &id))
        return 0;
    struct object_key key = {.type = from, .id = id};
    struct object *referrer;
    HASH_FIND(hh, p->objects, &key, sizeof key, referrer);
    if (referrer && !referrer->after)
        return 0;
    switch (a->on_delete) {
    case SD_REFUSE:
        return in_use(object_type(o), &o->key.id, schema_types[from].name, name, p->e);
    case SD_CASCADE: {
        int rc = plan_delete(p, from, &id);
        return rc == -ENOENT ? 0 : rc;
    }
    case SD_CLEAR: {
        const struct op unref = {
            .type = from, .id = id, .target_type = object_type(o), .target = o->key.id};
        return plan_unref(p, &unref);
    }
    case SD_KEEP:
        return 0;
    }
    return 0;
}

/* Whatever becomes of the referrer, its back reference goes with us. */
static void forget_leaf(struct plan *p, const struct object *o, enum schema_type_id from,
                        const char *path, const char *name)
{
    char leaf[STORE_PATH_MAX];
    struct uuid id;

    if (uuid_parse(name, &id))
        return;
    path_ref(object_type(o), &o->key.id, from, path, &id, leaf);
    view_delete(&p->view, leaf);
}

static int referrers_in_store(struct plan *p, struct object *o, const struct below *b)
{
    const struct schema_attr *a;
    enum schema_type_id from;
    char path[64];
    size_t total = 0;
    int rc = 0;

    if (!b->folders)
        return 0;
    for (size_t i = 0; i < b->folders->n; i++)
        total += b->referrers[i]->n;
    if (total + p->n_objects > PLAN_OBJECTS_MAX && total > 1)
        return -EFBIG;
    /* Refusals first, so that what they say is not hidden by the size of the rest. */
    for (int refusing = 1; refusing >= 0; refusing--)
        for (size_t i = 0; !rc && i < b->folders->n; i++) {
            if (!folder_of(b->folders->names[i], &from, path, &a)) {
                rc = unknown_folder(object_type(o), &o->key.id, b->folders->names[i],
                                    b->referrers[i], p->e);
                continue;
            }
            for (size_t j = 0;
                 (a->on_delete == SD_REFUSE) == refusing && !rc && j < b->referrers[i]->n; j++) {
                forget_leaf(p, o, from, path, b->referrers[i]->names[j]);
                rc = one_referrer(p, o, from, a, b->referrers[i]->names[j]);
            }
        }
    return rc;
}

/* Objects that refer to 'o' by what this plan has done to them. */
static int referrers_in_plan(struct plan *p, struct object *o)
{
    struct object *r, *next;
    char text[UUID_STRLEN];
    int rc = 0;

    uuid_format(&o->key.id, text);
    HASH_ITER (hh, p->objects, r, next) {
        struct refs refs;
        if (rc || !r->after || r == o)
            continue;
        refs_collect(object_type(r), r->after, &refs);
        for (size_t i = 0; !rc && i < refs.n && r->after; i++) {
            const struct ref *ref = &refs.v[i];
            if (ref->attr->ref == object_type(o) && uuid_equal(&ref->target, &o->key.id)) {
                char id[UUID_STRLEN];
                rc = one_referrer(p, o, object_type(r), ref->attr, uuid_format(&r->key.id, id));
            }
        }
        refs_free(&refs);
    }
    return rc;
}

static int check_pins(struct plan *p, const struct object *o)
{
    for (const struct schema_attr *a = schema_types[o->key.type].attrs; a->name; a++)
        if ((a->flags & SA_PIN) && json_object_get(o->after, a->json))
            return plan_error(p, -EBUSY, o, a->json, "has to be cleared first");
    return 0;
}

static int check_alive(struct plan *p, const struct object *o)
{
    char path[STORE_PATH_MAX];
    const char *name = json_string_value(json_object_get(o->after, "name"));

    if (o->key.type != ST_HOST)
        return 0;
    objects_state_path(ST_HOST, &o->key.id, "alive", path);
    int rc = store_exists(p->db->store, path);
    if (rc <= 0)
        return rc;
    return plan_error(p, -EBUSY, o, NULL, "Cannot delete host %s because it is active",
                      name ? name : "");
}

static void remember_folders(struct object *o, const struct below *b)
{
    if (!b->folders)
        return;
    o->folders = NEW_ARRAY(b->folders->n, char *);
    for (size_t i = 0; i < b->folders->n; i++)
        o->folders[o->n_folders++] = mem_strdup(b->folders->names[i]);
}

static int leave_order(struct plan *p, const struct object *o)
{
    struct object_key key = {.type = ST_CHAIN};
    struct object *chain;

    if (o->key.type != ST_RULE || !json_uuid(o->after, "chainId", &key.id))
        return 0;
    HASH_FIND(hh, p->objects, &key, sizeof key, chain);
    return chain && !chain->after ? 0 : plan_order_remove(p, &key.id, &o->key.id);
}

int plan_delete(struct plan *p, enum schema_type_id type, const struct uuid *id)
{
    struct object *o;
    struct below b = {0};
    int rc = plan_load(p, type, id, &o);

    if (rc == -EBADMSG)
        rc = plan_load_broken(p, type, id, &o);
    if (!rc)
        rc = check_pins(p, o);
    if (!rc)
        rc = check_alive(p, o);
    if (!rc && o->before)
        rc = below_load(p, type, id, &b);
    if (!rc)
        rc = leave_order(p, o);
    if (rc) {
        free(b.referrers);
        return rc;
    }
    json_t *last = o->after;
    o->after = NULL;
    remember_folders(o, &b);
    rc = referrers_in_store(p, o, &b);
    if (!rc)
        rc = referrers_in_plan(p, o);
    if (!rc)
        rc = hook_changed(p, o, last);
    json_decref(last);
    free(b.referrers);
    return rc;
}
