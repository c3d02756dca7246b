/* set, clear, delete. */
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"

static int64_t wanted_rev(const struct command *c)
{
    return c->if_rev >= 0 ? c->if_rev : STORE_ANY;
}

/* Null, absent, false and the empty list read the same to people and to the schema. */
static bool same_value(const json_t *a, const json_t *b)
{
    bool no_a =
        !a || json_is_null(a) || json_is_false(a) || (json_is_array(a) && !json_array_size(a));
    bool no_b =
        !b || json_is_null(b) || json_is_false(b) || (json_is_array(b) && !json_array_size(b));

    return no_a || no_b ? no_a == no_b : json_equal(a, b);
}

static bool is_secret(const struct element *el, const char *json)
{
    const struct schema_attr *a = schema_attr_by_json(el->coll.rows, json);

    return a && a->flags & SA_SECRET;
}

/* The members of 'attrs' that differ from what the element has. */
static void differences(const struct element *el, const json_t *attrs, json_t **before,
                        json_t **after)
{
    const char *key;
    json_t *value;

    *before = json_object();
    *after = json_object();
    json_object_foreach ((json_t *)attrs, key, value) {
        json_t *have = json_object_get(el->obj, key);
        if (same_value(have, value))
            continue;
        if (is_secret(el, key)) {
            json_object_set_new(*before, key, json_string("****"));
            json_object_set_new(*after, key, json_string("****"));
        } else {
            json_object_set(*before, key, have ? have : json_null());
            json_object_set(*after, key, value);
        }
    }
}

int finish_change(struct objects_txn *t, int rc, bool check, struct error *e)
{
    if (!rc)
        rc = check ? objects_check(t, e) : objects_commit(t, e);
    objects_abort(t);
    return rc;
}

static int write_change(struct cli *cli, const struct command *c, const struct element *el,
                        const json_t *attrs, struct error *e)
{
    const struct coll *coll = &el->coll;
    struct objects_txn *t;
    int rc;

    if (coll->kind == COLL_LIST)
        return embedded_change(cli, c, el, attrs, e);
    if (coll->kind == COLL_BINDING)
        return binding_set(cli, c, &el->id, json_object_get(el->obj, "hostId"),
                           json_object_get(attrs, "interfaceName"), e);
    t = objects_begin(cli->db);
    rc = objects_update(t, coll->type->id, &el->id, attrs, wanted_rev(c), e);
    return finish_change(t, rc, c->check, e);
}

int change_element(struct cli *cli, const struct command *c, const struct element *el,
                   const json_t *attrs, struct print_change *change, struct error *e)
{
    json_t *before, *after;
    char object[sizeof e->object];
    int64_t rev = json_integer_value(json_object_get(el->obj, "rev"));

    if (c->if_rev >= 0 && c->if_rev != rev && el->coll.kind != COLL_LIST &&
        el->coll.kind != COLL_BINDING)
        return error_set(e, -ESTALE, element_name(el, object, sizeof object), NULL,
                         "has revision %lld, not %lld", (long long)rev, (long long)c->if_rev);
    differences(el, attrs, &before, &after);
    change->before = before;
    change->after = after;
    change->check = c->check;
    change->changed = json_object_size(after) > 0;
    if (!change->changed)
        return 0;
    int rc = write_change(cli, c, el, attrs, e);
    return rc ? rc : c->check ? EXIT_WOULD_CHANGE : 0;
}

/* The element, or with --if-exists success (1) when there is none. */
static int subject(struct cli *cli, const struct command *c, struct element *el, const char *op,
                   struct error *e)
{
    int rc = element_path(cli, c, c->n_steps, el, e);

    if (rc != -ENOENT || !c->if_exists)
        return rc;
    print_change(&cli->out,
                 &(struct print_change){.op = op,
                                        .check = c->check,
                                        .type = view_type(&c->steps[c->n_steps - 1].coll)});
    return 1;
}

static int apply(struct cli *cli, const struct command *c, const struct element *el, const char *op,
                 const json_t *attrs, struct error *e)
{
    char id[UUID_STRLEN];
    struct print_change change = {
        .op = op, .type = view_type(&el->coll), .id = uuid_format(&el->id, id)};
    int rc = change_element(cli, c, el, attrs, &change, e);

    if (rc >= 0)
        print_change(&cli->out, &change);
    json_decref((json_t *)change.before);
    json_decref((json_t *)change.after);
    return rc;
}

int cmd_set(struct cli *cli, const struct command *c, struct error *e)
{
    struct element el;
    json_t *attrs;
    int rc = subject(cli, c, &el, "set", e);

    if (rc)
        return rc < 0 ? rc : 0;
    rc = value_object(cli, c, c->set, c->n_pairs - c->set, true, &attrs, e);
    if (!rc) {
        rc = apply(cli, c, &el, "set", attrs, e);
        json_decref(attrs);
    }
    element_free(&el);
    return rc;
}

static int cleared(const struct command *c, json_t **attrs, struct error *e)
{
    *attrs = json_object();
    for (size_t i = 0; i < c->n_fields; i++)
        for (const struct schema_attr *a = c->fields[i]; a; a = schema_attr_next(a)) {
            if (!(a->flags & SA_CLEARABLE)) {
                json_decref(*attrs);
                return error_set(e, -EINVAL, NULL, a->name, "Field %s cannot be cleared.", a->name);
            }
            json_object_set_new(*attrs, a->json, json_null());
            if (a->invert_json)
                json_object_set_new(*attrs, a->invert_json, json_null());
        }
    return 0;
}

int cmd_clear(struct cli *cli, const struct command *c, struct error *e)
{
    struct element el;
    json_t *attrs;
    int rc = subject(cli, c, &el, "clear", e);

    if (rc)
        return rc < 0 ? rc : 0;
    rc = cleared(c, &attrs, e);
    if (!rc) {
        rc = apply(cli, c, &el, "clear", attrs, e);
        json_decref(attrs);
    }
    element_free(&el);
    return rc;
}

static int remove_element(struct cli *cli, const struct command *c, const struct element *el,
                          struct error *e)
{
    json_t *none = json_null();

    if (el->coll.kind == COLL_LIST)
        return embedded_remove(cli, c, el, e);
    if (el->coll.kind == COLL_BINDING)
        return binding_set(cli, c, &el->id, none, none, e);
    struct objects_txn *t = objects_begin(cli->db);
    int rc = objects_delete(t, el->coll.type->id, &el->id, wanted_rev(c), e);
    return finish_change(t, rc, c->check, e);
}

/* Is the object, by the parent's back references, below it? */
static int is_below(struct cli *cli, const struct coll *c, const struct uuid *parent,
                    const struct uuid *id, struct error *e)
{
    struct uuid *ids = NULL;
    size_t n = 0;
    int rc = objects_referrers(cli->db, c->type->id, c->parent->json, parent, &ids, &n, e);
    bool found = false;

    for (size_t i = 0; i < n && !rc; i++)
        found = found || uuid_equal(&ids[i], id);
    free(ids);
    return rc ? rc : found;
}

/* An object that can't be understood (a newer version's, or damaged) has to be named by its uuid,
 * and can be got rid of nevertheless. */
static int broken_subject(struct cli *cli, const struct command *c, struct element *el,
                          struct error *e)
{
    const struct cmd_step *last = &c->steps[c->n_steps - 1];
    struct element parent = {0};
    struct uuid id;

    if (!last->id || uuid_parse(last->id->text, &id) ||
        (last->coll.kind != COLL_TOP && last->coll.kind != COLL_CHILD))
        return -EBADMSG;
    *el = (struct element){.coll = last->coll, .id = id};
    if (last->coll.kind == COLL_TOP)
        return 0;
    if (element_path(cli, c, c->n_steps - 1, &parent, NULL))
        return -EBADMSG;
    int rc = is_below(cli, &last->coll, &parent.id, &id, e);
    element_free(&parent);
    return rc == 1 ? 0 : rc ? rc : -EBADMSG;
}

int cmd_delete(struct cli *cli, const struct command *c, struct error *e)
{
    char id[UUID_STRLEN];
    struct element el;
    int rc = subject(cli, c, &el, "delete", e);

    if (rc == -EBADMSG)
        rc = broken_subject(cli, c, &el, e);
    if (rc)
        return rc < 0 ? rc : 0;
    rc = remove_element(cli, c, &el, e);
    if (!rc) {
        print_change(&cli->out, &(struct print_change){.op = "delete",
                                                       .changed = true,
                                                       .check = c->check,
                                                       .type = view_type(&el.coll),
                                                       .id = uuid_format(&el.id, id)});
        rc = c->check ? EXIT_WOULD_CHANGE : 0;
    }
    element_free(&el);
    return rc;
}
