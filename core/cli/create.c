/* create, add, ensure. */
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/ref.h"

bool has_all(const json_t *all, const json_t *some)
{
    const char *key;
    json_t *value;

    json_object_foreach ((json_t *)some, key, value) {
        const json_t *have = json_object_get(all, key);
        bool unset = !have || json_is_null(have);
        if (unset ? !json_is_null(value) && !json_is_false(value) : !json_equal(have, value))
            return false;
    }
    return true;
}

/* Members of one of the sets in 'unique' ("a,b;c") are all given, and agree with the object. */
static bool agrees(const char *unique, const json_t *attrs, const json_t *obj)
{
    bool all = true, any = false;

    for (const char *p = unique; p && *p;) {
        size_t size = strcspn(p, ",;");
        char word[64];
        snprintf(word, sizeof word, "%.*s", (int)size, p);
        const json_t *given = json_object_get(attrs, word);
        all = all && given && !json_is_null(given) && json_equal(given, json_object_get(obj, word));
        any = true;
        if (p[size] != ',') {
            if (all && any)
                return true;
            all = true;
        }
        p += size + (p[size] != '\0');
    }
    return false;
}

struct looking {
    const json_t *attrs;
    struct element *out;
    bool found;
};

static int if_same(const struct element *el, void *aux)
{
    struct looking *l = aux;
    bool by_unique = el->coll.kind != COLL_LIST && el->coll.kind != COLL_BINDING;

    if (!(by_unique && agrees(el->coll.type->unique, l->attrs, el->obj)) &&
        !has_all(el->obj, l->attrs))
        return 0;
    element_copy(l->out, el);
    l->found = true;
    return 1;
}

static int search(struct cli *cli, const struct coll *c, const struct element *parent,
                  const json_t *attrs, struct element *out, struct error *e)
{
    struct looking l = {attrs, out, false};
    int rc = element_each(cli, c, parent, if_same, &l, e);

    return rc < 0 ? rc : l.found ? 0 : -ENOENT;
}

/* A port has one binding, whatever its interface. */
static int existing_binding(struct cli *cli, const struct coll *c, const struct element *parent,
                            const json_t *attrs, struct element *out, struct error *e)
{
    json_t *port = json_object_get(attrs, "portId");
    json_t *key = json_pack("{s:O?}", "portId", port);
    int rc = port ? search(cli, c, parent, key, out, e) : -ENOENT;

    json_decref(key);
    return rc;
}

/* The name the object is known by, unless names of the type are unique only with something else. */
static const char *known_name(const struct coll *c, const json_t *attrs)
{
    const struct schema_attr *a = coll_field(c->rows, "name");
    const char *name = a ? json_string_value(json_object_get(attrs, a->json)) : NULL;

    return name && *name && !(c->type->unique && strstr(c->type->unique, "name,")) ? name : NULL;
}

int find_existing(struct cli *cli, const struct coll *c, const struct element *parent,
                  const json_t *attrs, struct element *out, struct error *e)
{
    const char *name;
    int rc;

    *out = (struct element){.coll = *c};
    if (c->kind == COLL_LIST)
        return search(cli, c, parent, attrs, out, e);
    if (c->kind == COLL_BINDING)
        return existing_binding(cli, c, parent, attrs, out, e);
    if (c->kind == COLL_CHILD && c->type->id_from) {
        rc = element_derived(cli, c, parent, attrs, out, e);
        return rc == -EAGAIN ? -ENOENT : rc;
    }
    name = known_name(c, attrs);
    if (!name)
        return search(cli, c, parent, attrs, out, e);
    rc = objects_resolve(cli->db, c->type->id, parent ? &parent->id : NULL, name, &out->id, e);
    return rc ? rc : objects_get(cli->db, c->type->id, &out->id, &out->obj, e);
}

/* What the command gives, and what follows from where it stands. */
static int wanted(struct cli *cli, const struct command *c, const struct coll *coll,
                  const struct element *parent, json_t **attrs, struct error *e)
{
    char text[UUID_STRLEN];
    size_t n = c->set == SIZE_MAX ? 0 : c->n_pairs - c->set;
    int rc = value_object(cli, c, n ? c->set : 0, n, true, attrs, e);

    if (rc)
        return rc;
    if (coll->kind == COLL_CHILD)
        json_object_set_new(*attrs, coll->parent->json,
                            json_string(uuid_format(&parent->id, text)));
    if (coll->kind == COLL_TOP || coll->kind == COLL_CHILD) {
        const struct schema_attr *tenant = coll_field(coll->rows, "tenant");
        if (cli->tenant && tenant && !json_object_get(*attrs, tenant->json))
            json_object_set_new(*attrs, tenant->json, json_string(cli->tenant));
    }
    return 0;
}

static int create_object(struct cli *cli, const struct command *c, const struct coll *coll,
                         const json_t *attrs, struct element *out, struct error *e)
{
    struct objects_txn *t = objects_begin(cli->db);
    int rc = objects_create(t, coll->type->id, attrs, &out->id, e);

    rc = finish_change(t, rc, c->check, e);
    if (rc || c->check)
        return rc;
    return objects_get(cli->db, coll->type->id, &out->id, &out->obj, e);
}

/* A port that is bound is not bound elsewhere by mistake: "ensure" does that. */
static int create_binding(struct cli *cli, const struct command *c, const struct uuid *port,
                          const json_t *attrs, struct error *e)
{
    struct command at_rev = *c;
    char object[sizeof e->object], text[UUID_STRLEN];
    json_t *obj;
    int rc = objects_get(cli->db, ST_PORT, port, &obj, e);

    if (rc)
        return rc;
    if (c->verb == VERB_CREATE && json_is_string(json_object_get(obj, "hostId"))) {
        snprintf(object, sizeof object, "port %s", uuid_format(port, text));
        rc = error_set(e, -EEXIST, object, NULL, "is bound already");
        error_hint(e, "delete that binding, or say \"ensure\"");
    }
    if (at_rev.if_rev < 0)
        at_rev.if_rev = json_integer_value(json_object_get(obj, "rev"));
    if (!rc)
        rc = binding_set(cli, &at_rev, port, json_object_get(attrs, "hostId"),
                         json_object_get(attrs, "interfaceName"), e);
    json_decref(obj);
    return rc;
}

static int create_element(struct cli *cli, const struct command *c, const struct coll *coll,
                          const struct element *parent, json_t *attrs, struct element *out,
                          struct error *e)
{
    const char *port = json_string_value(json_object_get(attrs, "portId"));
    char text[UUID_STRLEN];

    *out = (struct element){.coll = *coll};
    switch (coll->kind) {
    case COLL_LIST:
        out->id = parent->id;
        out->obj = json_incref(attrs);
        return embedded_add(cli, c, coll, parent, attrs, e);
    case COLL_BINDING:
        if (!port || uuid_parse(port, &out->id) || !json_object_get(attrs, "interfaceName"))
            return error_set(e, -EINVAL, "binding", NULL, "port and interface are required");
        json_object_set_new(attrs, "hostId", json_string(uuid_format(&parent->id, text)));
        out->obj = json_incref(attrs);
        return create_binding(cli, c, &out->id, attrs, e);
    default:
        return create_object(cli, c, coll, attrs, out, e);
    }
}

static json_t *without_secrets(const struct schema_attr *rows, const json_t *attrs)
{
    json_t *shown = json_copy((json_t *)attrs);

    for (const struct schema_attr *a = rows; a->name; a++)
        if (a->flags & SA_SECRET && json_object_get(shown, a->json))
            json_object_set_new(shown, a->json, json_string("****"));
    return shown;
}

/* What create says: the alias or uuid; elements without an id show themselves. */
static void say_created(struct cli *cli, const struct element *el, struct print_change *change)
{
    char id[UUID_STRLEN], *label = el->obj ? view_label(cli, el) : NULL;

    change->type = view_type(&el->coll);
    change->id = uuid_is_zero(&el->id) ? NULL : uuid_format(&el->id, id);
    if (!label && el->obj && cli->out.format == PRINT_TEXT)
        view_element(cli, el, true);
    change->label = label;
    print_change(&cli->out, change);
    free(label);
}

static int already_there(struct cli *cli, const struct command *c, struct element *el,
                         json_t *attrs, struct error *e)
{
    char object[sizeof e->object];
    struct print_change change = {.op = "create", .check = c->check};
    const char *key;
    json_t *value;
    int rc = 0;

    if (c->verb == VERB_ENSURE) {
        rc = change_element(cli, c, el, attrs, &change, e);
    } else {
        json_object_foreach (attrs, key, value) {
            json_t *one = json_pack("{s:O}", key, value);
            bool same = has_all(el->obj, one);
            const struct schema_attr *a = schema_attr_by_json(el->coll.rows, key);
            json_decref(one);
            if (same || rc)
                continue;
            rc = error_set(e, -EEXIST, element_name(el, object, sizeof object), a ? a->name : key,
                           "is there with another value");
            error_hint(e, "\"ensure\" instead of \"create\" changes it");
        }
    }
    if (rc >= 0)
        say_created(cli, el, &change);
    json_decref((json_t *)change.before);
    json_decref((json_t *)change.after);
    return rc;
}

int cmd_create(struct cli *cli, const struct command *c, struct error *e)
{
    const struct coll *coll = &c->steps[c->n_steps - 1].coll;
    struct element parent = {0}, el = {0};
    bool below = c->n_steps > 1;
    json_t *attrs = NULL;

    if (!coll_creatable(coll))
        return error_set(e, -EINVAL, coll->word, NULL,
                         "Creating elements of this type is not possible");
    int rc = below ? element_path(cli, c, c->n_steps - 1, &parent, e) : 0;
    if (!rc)
        rc = wanted(cli, c, coll, below ? &parent : NULL, &attrs, e);
    if (rc)
        goto out;
    if (c->may_exist || c->verb == VERB_ENSURE) {
        rc = find_existing(cli, coll, below ? &parent : NULL, attrs, &el, e);
        if (!rc)
            rc = already_there(cli, c, &el, attrs, e);
        if (rc != -ENOENT || el.obj)
            goto out;
    }
    rc = create_element(cli, c, coll, &parent, attrs, &el, e);
    if (!rc) {
        json_t *shown = without_secrets(coll->rows, attrs);
        struct print_change change = {
            .op = "create", .changed = true, .check = c->check, .after = shown};
        if (c->check)
            el.id = uuid_zero;
        say_created(cli, &el, &change);
        json_decref(shown);
        rc = c->check ? EXIT_WOULD_CHANGE : 0;
    }
out:
    json_decref(attrs);
    element_free(&el);
    element_free(&parent);
    return rc;
}
