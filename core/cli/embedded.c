/* Collections that have no objects of their own: embedded lists and bindings. */
#include "cli/commands.h"

#define TRIES 10

/* Changes a copy of the list in place: 0, or an error that ends it. */
typedef int list_edit_fn(json_t *list, void *aux, struct error *e);

/* One reading, editing and writing back; -ESTALE when somebody else wrote in between. */
static int edit_once(struct cli *cli, const struct command *c, const struct coll *coll,
                     const json_t *obj, list_edit_fn *edit, void *aux, struct error *e)
{
    json_int_t rev = json_integer_value(json_object_get(obj, "rev"));
    struct uuid id;

    if (c->if_rev >= 0 && c->if_rev != rev)
        return error_set(e, -EBUSY, coll->type->name, NULL, "has revision %lld, not %lld",
                         (long long)rev, (long long)c->if_rev);
    int rc = uuid_parse(json_string_value(json_object_get(obj, "id")), &id);
    json_t *list = json_deep_copy(json_object_get(obj, coll->list->json));
    if (!json_is_array(list)) {
        json_decref(list);
        list = json_array();
    }
    if (!rc)
        rc = edit(list, aux, e);
    json_t *attrs = json_pack("{s:o}", coll->list->json, list);
    if (!rc) {
        struct objects_txn *t = objects_begin(cli->db);
        rc = objects_update(t, coll->type->id, &id, attrs, rev, e);
        rc = finish_change(t, rc, c->check, e);
    }
    json_decref(attrs);
    return rc;
}

/* Rewrites the list of the object 'holder', again if somebody else changed it meanwhile. */
static int edit_list(struct cli *cli, const struct command *c, const struct coll *coll,
                     const struct uuid *holder, list_edit_fn *edit, void *aux, struct error *e)
{
    int rc = -ESTALE;

    for (int i = 0; i < TRIES && rc == -ESTALE; i++) {
        json_t *obj;

        rc = objects_get(cli->db, coll->type->id, holder, &obj, e);
        if (rc)
            return rc;
        rc = edit_once(cli, c, coll, obj, edit, aux, e);
        json_decref(obj);
    }
    return rc;
}

struct edit {
    const json_t *old, *attrs;
    const char *word; /* what an element is called */
};

/* The place of the element in the list as it is now. */
static int find(const json_t *list, const json_t *old, size_t *place, struct error *e)
{
    for (*place = 0; *place < json_array_size(list); ++*place)
        if (json_equal(json_array_get(list, *place), old))
            return 0;
    return error_set(e, -ENOENT, NULL, NULL, "somebody else removed it meanwhile");
}

static int append(json_t *list, void *aux, struct error *e)
{
    struct edit *edit = aux;
    json_t *item;
    size_t i;

    /* Of two that are the same, neither could be named any more. */
    json_array_foreach (list, i, item)
        if (has_all(item, edit->attrs) && has_all(edit->attrs, item))
            return error_set(e, -EEXIST, edit->word, NULL,
                             "there is one with the same values already");
    return json_array_append_new(list, json_deep_copy(edit->attrs)) ? -ENOMEM : 0;
}

int embedded_add(struct cli *cli, const struct command *c, const struct coll *coll,
                 const struct element *parent, const json_t *attrs, struct error *e)
{
    struct edit edit = {NULL, attrs, coll->word};

    return edit_list(cli, c, coll, &parent->id, append, &edit, e);
}

static int replace(json_t *list, void *aux, struct error *e)
{
    struct edit *edit = aux;
    const char *key;
    json_t *value;
    size_t i;
    int rc = find(list, edit->old, &i, e);

    if (rc)
        return rc;
    json_object_foreach ((json_t *)edit->attrs, key, value) {
        if (json_is_null(value))
            json_object_del(json_array_get(list, i), key);
        else
            json_object_set(json_array_get(list, i), key, value);
    }
    return 0;
}

int embedded_change(struct cli *cli, const struct command *c, const struct element *el,
                    const json_t *attrs, struct error *e)
{
    struct edit edit = {el->obj, attrs, el->coll.word};

    return edit_list(cli, c, &el->coll, &el->id, replace, &edit, e);
}

static int take_out(json_t *list, void *aux, struct error *e)
{
    struct edit *edit = aux;
    size_t i;
    int rc = find(list, edit->old, &i, e);

    if (!rc)
        json_array_remove(list, i);
    return rc;
}

int embedded_remove(struct cli *cli, const struct command *c, const struct element *el,
                    struct error *e)
{
    struct edit edit = {el->obj, NULL, el->coll.word};

    return edit_list(cli, c, &el->coll, &el->id, take_out, &edit, e);
}

int binding_set(struct cli *cli, const struct command *c, const struct uuid *port,
                const json_t *host, const json_t *interface, struct error *e)
{
    json_t *attrs = json_pack("{s:O,s:O}", "hostId", host, "interfaceName", interface);
    struct objects_txn *t = objects_begin(cli->db);
    int rc = objects_update(t, ST_PORT, port, attrs, c->if_rev >= 0 ? c->if_rev : STORE_ANY, e);

    rc = finish_change(t, rc, c->check, e);
    json_decref(attrs);
    return rc;
}
