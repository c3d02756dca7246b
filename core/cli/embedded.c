/* Collections that have no objects of their own: embedded lists and bindings. */
#include "cli/commands.h"

#define TRIES 10

int embedded_edit(struct cli *cli, const struct coll *c, const struct uuid *holder,
                  list_edit_fn *edit, void *aux, bool check, struct error *e)
{
    int rc = -ESTALE;

    for (int i = 0; i < TRIES && rc == -ESTALE; i++) {
        json_t *obj = NULL, *attrs = NULL;

        rc = objects_get(cli->db, c->type->id, holder, &obj, e);
        if (rc)
            return rc;
        json_t *list = json_deep_copy(json_object_get(obj, c->list->json));
        if (!json_is_array(list)) {
            json_decref(list);
            list = json_array();
        }
        rc = edit(list, aux, e);
        attrs = json_pack("{s:o}", c->list->json, list);
        if (!rc) {
            struct objects_txn *t = objects_begin(cli->db);
            rc = objects_update(t, c->type->id, holder, attrs,
                                json_integer_value(json_object_get(obj, "rev")), e);
            rc = finish_change(t, rc, check, e);
        }
        json_decref(attrs);
        json_decref(obj);
    }
    return rc;
}

struct edit {
    const json_t *old, *attrs;
};

static int append(json_t *list, void *aux, struct error *e)
{
    struct edit *edit = aux;

    (void)e;
    return json_array_append_new(list, json_deep_copy(edit->attrs)) ? -ENOMEM : 0;
}

int embedded_add(struct cli *cli, const struct coll *c, const struct element *parent,
                 const json_t *attrs, bool check, struct error *e)
{
    struct edit edit = {NULL, attrs};

    return embedded_edit(cli, c, &parent->id, append, &edit, check, e);
}

/* The place of the element that was selected, in the list as it is now. */
static int find(const json_t *list, const json_t *old, size_t *place, struct error *e)
{
    for (*place = 0; *place < json_array_size(list); ++*place)
        if (json_equal(json_array_get(list, *place), old))
            return 0;
    return error_set(e, -ENOENT, NULL, NULL, "somebody else removed it meanwhile");
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

int embedded_change(struct cli *cli, const struct element *el, const json_t *attrs, bool check,
                    struct error *e)
{
    struct edit edit = {el->obj, attrs};

    return embedded_edit(cli, &el->coll, &el->id, replace, &edit, check, e);
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

int embedded_remove(struct cli *cli, const struct element *el, bool check, struct error *e)
{
    struct edit edit = {el->obj, NULL};

    return embedded_edit(cli, &el->coll, &el->id, take_out, &edit, check, e);
}

int binding_set(struct cli *cli, const struct uuid *port, const json_t *host,
                const json_t *interface, int64_t rev, bool check, struct error *e)
{
    json_t *attrs = json_pack("{s:O,s:O}", "hostId", host, "interfaceName", interface);
    struct objects_txn *t = objects_begin(cli->db);
    int rc = objects_update(t, ST_PORT, port, attrs, rev, e);

    rc = finish_change(t, rc, check, e);
    json_decref(attrs);
    return rc;
}
