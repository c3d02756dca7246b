/* Showing: list, show, and how an element looks. */
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/ref.h"

static bool has_id(const struct coll *c)
{
    return c->kind != COLL_LIST && c->kind != COLL_BINDING;
}

const char *view_type(const struct coll *c)
{
    return has_id(c) ? c->type->name : c->word;
}

char *view_label(struct cli *cli, const struct element *el)
{
    if (!has_id(&el->coll) || !el->coll.type->alias)
        return NULL;
    return ref_text(cli, el->coll.type->id, &el->id, el->obj);
}

static void view_fields(struct cli *cli, const struct element *el)
{
    for (const struct schema_attr *a = el->coll.rows; a->name; a++) {
        char *text = a->collection ? NULL : value_text(cli, a, el->obj);
        json_t *value = value_json(a, el->obj);

        print_field(&cli->out, a->name, text, a->json, value, a->flags & SA_HIDDEN);
        if (a->invert_json)
            print_field(&cli->out, a->name, NULL, a->invert_json,
                        json_object_get(el->obj, a->invert_json), true);
        json_decref(value);
        free(text);
    }
}

void view_element(struct cli *cli, const struct element *el, bool chain)
{
    const struct schema_type *t = el->coll.type;
    char id[UUID_STRLEN], *head = NULL;

    uuid_format(&el->id, id);
    if (has_id(&el->coll) && t->alias) {
        char *name = chain ? ref_text(cli, t->id, &el->id, el->obj)
                           : ref_short(cli, t->id, &el->id, el->obj);
        head = mem_printf("%s %s", t->alias, name);
        free(name);
    }
    print_row(&cli->out, head, has_id(&el->coll) ? id : NULL);
    free(head);
    view_fields(cli, el);
    if (has_id(&el->coll))
        print_field(&cli->out, "rev", NULL, "rev", json_object_get(el->obj, "rev"), true);
    print_row_end(&cli->out);
}

struct listing {
    struct cli *cli;
    const struct element *parent;
    bool begun; /* the first row begins the list: a refused filter prints nothing */
};

static void begin(struct listing *l, const struct coll *c)
{
    if (!l->begun)
        print_list(&l->cli->out, view_type(c));
    l->begun = true;
}

static int list_one(const struct element *el, void *aux)
{
    struct listing *l = aux;
    enum schema_type_id type;
    struct uuid home;
    bool at_home = l->parent && ref_home(el->coll.type->id, el->obj, &type, &home) &&
                   uuid_equal(&home, &l->parent->id);

    begin(l, &el->coll);
    view_element(l->cli, el, !at_home);
    return 0;
}

static bool belongs_to_tenant(struct cli *cli, const struct element *el)
{
    const struct schema_attr *a = coll_field(el->coll.rows, "tenant");
    const char *tenant = a ? json_string_value(json_object_get(el->obj, a->json)) : NULL;

    return !cli->tenant || !a || (tenant && !strcmp(tenant, cli->tenant));
}

static int list_tenants(const struct element *el, void *aux)
{
    struct listing *l = aux;

    return belongs_to_tenant(l->cli, el) ? list_one(el, aux) : 0;
}

/* Rules come in their order, everything else by uuid: what the store gives. */
int cmd_list(struct cli *cli, const struct command *c, struct error *e)
{
    const struct cmd_step *last = &c->steps[c->n_steps - 1];
    struct element parent = {0};
    bool below = c->n_steps > 1;
    struct listing l = {.cli = cli, .parent = below ? &parent : NULL};
    int rc = below ? element_path(cli, c, c->n_steps - 1, &parent, e) : 0;

    if (rc)
        return rc;
    rc = element_each_matching(cli, c, last, l.parent, below ? list_one : list_tenants, &l, e);
    if (!rc) {
        begin(&l, &last->coll);
        print_list_end(&cli->out);
    }
    element_free(&parent);
    return rc;
}

static void show_field(struct cli *cli, const struct element *el, const struct schema_attr *first)
{
    const struct schema_attr *a = first;
    char id[UUID_STRLEN];

    /* Of rows that share the name, the one that is set. */
    for (const struct schema_attr *b = first; b; b = schema_attr_next(b))
        if (json_object_get(el->obj, b->json) && !json_is_false(json_object_get(el->obj, b->json)))
            a = b;
    char *text = value_text(cli, a, el->obj);
    json_t *value = value_json(a, el->obj);
    print_value(&cli->out, view_type(&el->coll), uuid_format(&el->id, id), a->name, text, value);
    json_decref(value);
    free(text);
}

/* "OBJ FIELD show" of a reference: the object it leads to. */
static int show_referred(struct cli *cli, const struct element *el, const struct schema_attr *a,
                         struct error *e)
{
    struct element to = {0};
    char object[sizeof e->object];
    const char *text = NULL, *field = a->name;

    for (; a && !text; a = text ? a : schema_attr_next(a)) {
        text = json_string_value(json_object_get(el->obj, a->json));
        if (text)
            break;
    }
    if (!text)
        return error_set(e, -ENOENT, element_name(el, object, sizeof object), field,
                         "refers to nothing");
    const struct schema_type *t = &schema_types[a->ref];
    to.coll = (struct coll){t->name, COLL_TOP, t, t->attrs};
    int rc = uuid_parse(text, &to.id);
    if (!rc)
        rc = objects_get(cli->db, t->id, &to.id, &to.obj, e);
    if (rc)
        return rc;
    print_one(&cli->out, t->name);
    view_element(cli, &to, true);
    print_one_end(&cli->out);
    element_free(&to);
    return 0;
}

int cmd_show(struct cli *cli, const struct command *c, struct error *e)
{
    struct element el;
    int rc = element_path(cli, c, c->n_steps, &el, e);

    if (rc)
        return rc;
    if (c->follow) {
        rc = show_referred(cli, &el, c->fields[0], e);
    } else if (c->n_fields) {
        for (size_t i = 0; i < c->n_fields; i++)
            show_field(cli, &el, c->fields[i]);
    } else {
        print_one(&cli->out, view_type(&el.coll));
        view_element(cli, &el, c->n_steps == 1);
        print_one_end(&cli->out);
    }
    element_free(&el);
    return rc;
}
