/* Selecting one element: by identifier or by content. */
#include <stdlib.h>
#include <string.h>

#include "cli/element.h"
#include "cli/ref.h"

static int no_such(const struct coll *c, const char *text, struct error *e)
{
    char object[sizeof e->object];

    snprintf(object, sizeof object, "%s%s%.60s", c->word, *text ? " " : "", text);
    return error_set(e, -ENOENT, object, NULL, "no such %s here", c->word);
}

struct search {
    struct cli *cli;
    const char *text;
    struct element *out;
    size_t n;
};

static int keep_first(const struct element *el, void *aux)
{
    struct search *s = aux;

    if (!s->n++)
        element_copy(s->out, el);
    return s->n > 1; /* two are too many already */
}

static int if_reads_so(const struct element *el, void *aux)
{
    struct search *s = aux;
    bool same = false;

    for (const struct schema_attr *a = el->coll.rows; a->name && !same; a++) {
        char *text = value_text(s->cli, a, el->obj);
        same = text && !strcmp(text, s->text);
        free(text);
    }
    return same ? keep_first(el, s) : 0;
}

static int settle(const struct coll *c, struct search *s, int rc, struct error *e)
{
    if (rc >= 0 && s->n == 1)
        return 0;
    if (s->n)
        element_free(s->out);
    if (rc < 0)
        return rc;
    if (!s->n)
        return no_such(c, s->text, e);
    error_set(e, -EINVAL, c->word, NULL, "several match");
    error_hint(e, "give more fields, or a uuid");
    return -EINVAL;
}

/* Is the object read below the parent that the command names? */
static bool belongs(const struct coll *c, const struct element *parent, const struct element *el)
{
    char text[UUID_STRLEN];
    const json_t *item, *v;
    bool found = c->kind == COLL_TOP;
    size_t i;

    if (found)
        return true;
    uuid_format(&parent->id, text);
    for (const struct schema_attr *a = c->rows; a->name && !found; a++) {
        if (a->value != SV_REF || a->ref != parent->coll.type->id ||
            (c->kind == COLL_CHILD && a != c->parent))
            continue;
        v = json_object_get(el->obj, a->json);
        found = json_is_string(v) && !strcmp(json_string_value(v), text);
        json_array_foreach (v, i, item)
            found = found || !strcmp(json_string_value(item), text);
    }
    return found;
}

static int get_object(struct cli *cli, const struct coll *c, const struct element *parent,
                      const char *text, struct element *out, struct error *e)
{
    int rc = objects_get(cli->db, c->type->id, &out->id, &out->obj, e);

    if (rc || belongs(c, parent, out))
        return rc;
    element_free(out);
    return no_such(c, text, e);
}

/* The one member of 'id_from', besides the parent and what has a default, that tells elements
 * apart: "ip 192.0.2.1", "member HOST".  Null if there are several. */
static const struct schema_attr *key_of(const struct coll *c)
{
    const struct schema_attr *key = NULL;

    if (c->kind != COLL_CHILD || !c->type->id_from)
        return NULL;
    for (const char *p = c->type->id_from; *p; p += strcspn(p, ","), p += *p == ',') {
        char word[64];
        snprintf(word, sizeof word, "%.*s", (int)strcspn(p, ","), p);
        const struct schema_attr *a = schema_attr_by_json(c->rows, word);
        if (!a || a == c->parent || a->def)
            continue;
        if (key)
            return NULL;
        key = a;
    }
    return key;
}

static int by_key(struct cli *cli, const struct coll *c, const struct element *parent,
                  const struct lex_word *const *word, struct element *out)
{
    const struct schema_attr *key = key_of(c);
    struct cmd_pair pair = {key, word, 1};
    struct value v;

    if (!key || value_parse(cli, &pair, &v, NULL))
        return -EAGAIN;
    json_t *attrs = json_object();
    json_object_set_new(attrs, v.attr->json, v.json);
    int rc = element_derived(cli, c, parent, attrs, out, NULL);
    json_decref(attrs);
    return rc;
}

static bool has_names(const struct coll *c)
{
    return c->kind != COLL_LIST && c->kind != COLL_BINDING && c->type->alias;
}

static int by_id(struct cli *cli, const struct cmd_step *s, const struct element *parent,
                 struct element *out, struct error *e)
{
    const struct coll *c = &s->coll;
    const char *text = s->id->text;
    bool typed = c->kind != COLL_LIST && c->kind != COLL_BINDING;
    int rc;

    if (has_names(c)) {
        rc = c->kind == COLL_CHILD
                 ? ref_resolve_below(cli, c->type->id, &parent->id, text, &out->id, e)
                 : -ENOENT;
        if (rc == -ENOENT && (c->kind != COLL_CHILD || strchr(text, ':')))
            rc = ref_resolve(cli, c->type->id, text, &out->id, e);
        return rc ? rc : get_object(cli, c, parent, text, out, e);
    }
    if (typed && !uuid_parse(text, &out->id))
        return get_object(cli, c, parent, text, out, e);
    rc = by_key(cli, c, parent, &s->id, out);
    if (rc != -EAGAIN && rc != -ENOENT)
        return rc;
    struct search search = {cli, text, out, 0};
    rc = element_each(cli, c, parent, if_reads_so, &search, e);
    return settle(c, &search, rc, e);
}

static int by_content(struct cli *cli, const struct command *c, const struct cmd_step *s,
                      const struct element *parent, struct element *out, struct error *e)
{
    struct search search = {cli, "", out, 0};
    json_t *attrs;
    int rc = value_object(cli, c, s->filter, s->n_filter, false, &attrs, e);

    if (rc)
        return rc;
    rc = element_derived(cli, &s->coll, parent, attrs, out, NULL);
    json_decref(attrs);
    if (!rc) {
        struct value *filter;
        bool same = true;
        rc = value_filter(cli, c, s, &filter, e);
        for (size_t i = 0; i < s->n_filter && !rc; i++)
            same = same && value_matches(&filter[i], out->obj);
        if (!rc)
            value_filter_free(filter, s->n_filter);
        if (!rc && same)
            return 0;
        element_free(out);
        return rc ? rc : no_such(&s->coll, "", e);
    }
    rc = element_each_matching(cli, c, s, parent, keep_first, &search, e);
    return settle(&s->coll, &search, rc, e);
}

int element_select(struct cli *cli, const struct command *c, const struct cmd_step *s,
                   const struct element *parent, struct element *out, struct error *e)
{
    *out = (struct element){.coll = s->coll};
    return s->id ? by_id(cli, s, parent, out, e) : by_content(cli, c, s, parent, out, e);
}

int element_path(struct cli *cli, const struct command *c, size_t n, struct element *out,
                 struct error *e)
{
    struct element parent = {0};
    int rc = -EINVAL;

    for (size_t i = 0; i < n; i++) {
        rc = element_select(cli, c, &c->steps[i], i ? &parent : NULL, out, e);
        element_free(&parent);
        if (rc)
            return rc;
        parent = *out;
    }
    return rc;
}
