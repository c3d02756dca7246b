#include "cli/element.h"

#include <stdlib.h>

#include "cli/ref.h"

void element_free(struct element *el)
{
    json_decref(el->obj);
    json_decref(el->holder);
    el->obj = el->holder = NULL;
}

void element_copy(struct element *to, const struct element *from)
{
    *to = *from;
    json_incref(to->obj);
    json_incref(to->holder);
}

char *element_name(const struct element *el, char *buf, size_t size)
{
    char text[UUID_STRLEN];
    const char *name = json_string_value(json_object_get(el->obj, "name"));

    snprintf(buf, size, "%s %s", el->coll.word, name && *name ? name : uuid_format(&el->id, text));
    return buf;
}

static bool id_of(const json_t *obj, struct uuid *id)
{
    const char *text = json_string_value(json_object_get(obj, "id"));

    return text && !uuid_parse(text, id);
}

struct walk {
    struct cli *cli;
    const struct coll *coll;
    element_fn *fn;
    void *aux;
    struct value *filter;
    size_t n_filter;
};

static int with_object(json_t *obj, void *aux)
{
    struct walk *w = aux;
    struct element el = {.coll = *w->coll, .obj = obj};

    return id_of(obj, &el.id) ? w->fn(&el, w->aux) : 0;
}

static int each_embedded(const struct coll *c, const struct element *parent, struct walk *w)
{
    json_t *item;
    size_t i;

    json_array_foreach (json_object_get(parent->obj, c->list->json), i, item) {
        struct element el = {
            .coll = *c, .obj = item, .id = parent->id, .holder = parent->obj, .index = i};
        int rc = w->fn(&el, w->aux);
        if (rc)
            return rc;
    }
    return 0;
}

/* What a host's binding looks like, from the port that has it. */
static json_t *binding_of(const json_t *port)
{
    json_t *b = json_object();

    json_object_set(b, "hostId", json_object_get(port, "hostId"));
    json_object_set(b, "interfaceName", json_object_get(port, "interfaceName"));
    json_object_set(b, "portId", json_object_get(port, "id"));
    return b;
}

/* Objects of the collection's type whose attribute 'json' names the parent. */
static int each_referrer(struct cli *cli, const char *json, const struct element *parent,
                         struct walk *w, struct error *e)
{
    struct uuid *ids = NULL;
    size_t n = 0;
    int rc = objects_referrers(cli->db, w->coll->type->id, json, &parent->id, &ids, &n, e);

    for (size_t i = 0; i < n && !rc; i++) {
        struct element el = {.coll = *w->coll, .id = ids[i]};

        rc = objects_get(cli->db, w->coll->type->id, &ids[i], &el.obj, e);
        if (rc == -ENOENT) { /* deleted since */
            rc = 0;
            continue;
        }
        if (!rc && w->coll->kind == COLL_BINDING) {
            json_t *binding = binding_of(el.obj);
            json_decref(el.obj);
            el.obj = binding;
        }
        if (!rc)
            rc = w->fn(&el, w->aux);
        json_decref(el.obj);
    }
    free(ids);
    return rc;
}

/* True when an earlier reference of the object names 'id' too: it has been seen then. */
static bool seen_before(const struct schema_attr *rows, const struct schema_attr *a,
                        const json_t *obj, const struct uuid *id)
{
    char text[UUID_STRLEN];
    json_t *wanted = json_string(uuid_format(id, text)), *item;
    bool seen = false;
    size_t i;

    for (const struct schema_attr *b = rows; b != a && !seen; b++) {
        json_t *v = json_object_get(obj, b->json);
        seen = b->value == SV_REF && b->ref == a->ref && json_equal(v, wanted);
        json_array_foreach (v, i, item)
            seen = seen || (b->value == SV_REF && json_equal(item, wanted));
    }
    json_decref(wanted);
    return seen;
}

struct unseen {
    struct walk *walk;
    const struct schema_attr *attr;
    const struct uuid *target;
};

static int if_unseen(const struct element *el, void *aux)
{
    struct unseen *u = aux;

    if (seen_before(el->coll.rows, u->attr, el->obj, u->target))
        return 0;
    return u->walk->fn(el, u->walk->aux);
}

static int each_related(struct cli *cli, const struct coll *c, const struct element *parent,
                        struct walk *w, struct error *e)
{
    for (const struct schema_attr *a = c->rows; a->name; a++) {
        if (a->value != SV_REF || a->ref != parent->coll.type->id)
            continue;
        struct unseen u = {w, a, &parent->id};
        struct walk once = {.cli = cli, .coll = c, .fn = if_unseen, .aux = &u};
        int rc = each_referrer(cli, a->json, parent, &once, e);
        if (rc)
            return rc;
    }
    return 0;
}

int element_each(struct cli *cli, const struct coll *c, const struct element *parent,
                 element_fn *fn, void *aux, struct error *e)
{
    struct walk w = {.cli = cli, .coll = c, .fn = fn, .aux = aux};

    switch (c->kind) {
    case COLL_TOP:
        return objects_each(cli->db, c->type->id, NULL, with_object, &w, e);
    case COLL_CHILD:
        return objects_each(cli->db, c->type->id, &parent->id, with_object, &w, e);
    case COLL_LIST:
        return each_embedded(c, parent, &w);
    case COLL_BINDING:
        return each_referrer(cli, "hostId", parent, &w, e);
    case COLL_RELATED:
        return each_related(cli, c, parent, &w, e);
    }
    return 0;
}

static int if_matching(const struct element *el, void *aux)
{
    struct walk *w = aux;

    for (size_t i = 0; i < w->n_filter; i++)
        if (!value_matches(&w->filter[i], el->obj))
            return 0;
    return w->fn(el, w->aux);
}

int element_each_matching(struct cli *cli, const struct command *c, const struct cmd_step *s,
                          const struct element *parent, element_fn *fn, void *aux, struct error *e)
{
    struct walk w = {.fn = fn, .aux = aux, .n_filter = s->n_filter};
    int rc = value_filter(cli, c, s, &w.filter, e);

    if (rc)
        return rc;
    rc = element_each(cli, &s->coll, parent, if_matching, &w, e);
    value_filter_free(w.filter, w.n_filter);
    return rc;
}

int element_derived(struct cli *cli, const struct coll *c, const struct element *parent,
                    const json_t *attrs, struct element *out, struct error *e)
{
    char text[UUID_STRLEN];

    if (c->kind != COLL_CHILD || !c->type->id_from)
        return -EAGAIN;
    *out = (struct element){.coll = *c};
    json_t *key = json_copy((json_t *)attrs);
    json_object_set_new(key, c->parent->json, json_string(uuid_format(&parent->id, text)));
    for (const struct schema_attr *a = c->rows; a->name; a++)
        if (a->def && !json_object_get(key, a->json))
            json_object_set_new(key, a->json, json_loads(a->def, JSON_DECODE_ANY, NULL));
    int rc = schema_derived_id(c->type, key, &out->id);
    json_decref(key);
    if (rc)
        return -EAGAIN;
    return objects_get(cli->db, c->type->id, &out->id, &out->obj, e);
}
