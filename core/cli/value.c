#include "cli/value.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/element.h"
#include "cli/ref.h"

/* "@FILE": a secret's text is the first line of a file, so that it is in no process list. */
static int read_secret(const struct schema_attr *a, const char *path, char *buf, size_t size,
                       struct error *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);
    int failed = n < 0 ? errno : 0;

    if (fd >= 0)
        close(fd);
    if (failed)
        return error_set(e, -failed, NULL, a->name, "%s: %s", path, strerror(failed));
    buf[n] = '\0';
    buf[strcspn(buf, "\r\n")] = '\0';
    return 0;
}

/* Names in 'value' (a string, or a list of them) become uuids. */
static int resolve_names(struct cli *cli, const struct schema_attr *a, json_t **value,
                         struct error *e)
{
    struct uuid id;
    char text[UUID_STRLEN];
    json_t *item;
    size_t i;

    if (json_is_string(*value)) {
        int rc = ref_resolve(cli, a->ref, json_string_value(*value), &id, e);
        if (rc)
            return rc;
        json_decref(*value);
        *value = json_string(uuid_format(&id, text));
        return 0;
    }
    json_array_foreach (*value, i, item) {
        int rc = ref_resolve(cli, a->ref, json_string_value(item), &id, e);
        if (rc)
            return rc;
        json_array_set_new(*value, i, json_string(uuid_format(&id, text)));
    }
    return 0;
}

static void name_field(struct error *e, const struct schema_attr *a)
{
    if (e && !e->field[0])
        snprintf(e->field, sizeof e->field, "%s", a->name);
}

static int parse_long(struct cli *cli, const struct cmd_pair *pair, struct value *out,
                      struct error *e)
{
    struct command path = {0};
    struct element el;
    char text[UUID_STRLEN];
    int rc = 0;

    for (size_t i = 0; i < pair->n_words && !rc; i += 2) {
        struct cmd_step *s = &path.steps[path.n_steps];
        const struct schema_type *ctx = i ? s[-1].coll.type : NULL;
        if (path.n_steps++ == CMD_DEPTH_MAX || !coll_find(ctx, pair->words[i]->text, &s->coll))
            return error_set(e, -EINVAL, NULL, pair->attr->name, "reference too deep");
        s->id = pair->words[i + 1];
    }
    rc = element_path(cli, &path, path.n_steps, &el, e);
    if (rc)
        return rc;
    *out = (struct value){pair->attr, json_string(uuid_format(&el.id, text)), false};
    element_free(&el);
    return 0;
}

static int parse_one(struct cli *cli, const struct schema_attr *a, const char *text,
                     struct value *out, struct error *e)
{
    char secret[1024];

    if (a->flags & SA_SECRET && *text == '@') {
        int rc = read_secret(a, text + 1, secret, sizeof secret, e);
        if (rc)
            return rc;
        text = secret;
    }
    *out = (struct value){.attr = a};
    int rc = schema_from_text(a, text, &out->json, &out->inverted, e);
    if (!rc && a->value == SV_REF)
        rc = resolve_names(cli, a, &out->json, e);
    if (rc)
        value_free(out);
    name_field(e, a);
    return rc;
}

/* Of words that are each a row of the same name ("flow"), any would have been right. */
static int bad_word(const struct cmd_pair *pair, struct error *e)
{
    struct strbuf words = {0};

    for (const struct schema_attr *a = pair->attr; a; a = schema_attr_next(a))
        sb_printf(&words, "%s%s", a == pair->attr ? "" : " or ", a->cli_words[0]);
    error_set(e, -EINVAL, NULL, pair->attr->name, "\"%.64s\" is not %s", pair->words[0]->text,
              sb_str(&words));
    sb_free(&words);
    return -EINVAL;
}

int value_parse(struct cli *cli, const struct cmd_pair *pair, struct value *out, struct error *e)
{
    int rc = -EINVAL;

    if (pair->n_words > 1) {
        rc = parse_long(cli, pair, out, e);
        name_field(e, pair->attr);
        return rc;
    }
    for (const struct schema_attr *a = pair->attr; a && rc; a = schema_attr_next(a))
        rc = parse_one(cli, a, pair->words[0]->text, out, e);
    return rc && pair->attr->value == SV_BOOL && pair->attr->cli_words ? bad_word(pair, e) : rc;
}

static bool contains(const json_t *list, const json_t *value)
{
    const json_t *item;
    size_t i;

    json_array_foreach (list, i, item)
        if (json_equal(item, value))
            return true;
    return false;
}

bool value_matches(const struct value *v, const json_t *obj)
{
    const json_t *have = json_object_get(obj, v->attr->json), *item;
    const char *invert = v->attr->invert_json;
    size_t i;

    if (invert && json_is_true(json_object_get(obj, invert)) != v->inverted)
        return false;
    if (!have || json_is_null(have))
        return json_is_null(v->json) || json_is_false(v->json) ||
               (json_is_array(v->json) && !json_array_size(v->json));
    if (!json_is_array(v->json))
        return json_equal(have, v->json);
    json_array_foreach (v->json, i, item)
        if (!contains(have, item))
            return false;
    return true;
}

/* One word of a row's namesakes replaces another: "flow return-flow" after "flow fwd-flow". */
static void unset_words(const struct schema_attr *first, json_t *obj)
{
    for (const struct schema_attr *a = first; a; a = schema_attr_next(a))
        json_object_set_new(obj, a->json, json_null());
}

int value_object(struct cli *cli, const struct command *c, size_t first, size_t n, bool writing,
                 json_t **out, struct error *e)
{
    json_t *obj = json_object();

    for (size_t i = first; i < first + n; i++) {
        struct value v;
        const struct schema_attr *a = c->pairs[i].attr;
        int rc = 0;

        if (writing && a->flags & SA_READONLY)
            rc = error_set(e, -EINVAL, NULL, a->name, "'%s' is a read-only attribute", a->name);
        for (size_t k = first; writing && !rc && k < i; k++)
            if (c->pairs[k].attr == a)
                rc = error_set(e, -EINVAL, NULL, a->name, "is given twice");
        if (!rc)
            rc = value_parse(cli, &c->pairs[i], &v, e);
        if (rc) {
            json_decref(obj);
            return rc;
        }
        if (v.attr->invert_json)
            json_object_set_new(obj, v.attr->invert_json, json_boolean(v.inverted));
        if (writing && v.attr->cli_words && v.attr->value == SV_BOOL)
            unset_words(a, obj);
        json_object_set_new(obj, v.attr->json, v.json);
    }
    *out = obj;
    return 0;
}

int value_filter(struct cli *cli, const struct command *c, const struct cmd_step *s,
                 struct value **out, struct error *e)
{
    struct value *values = NEW_ARRAY(s->n_filter + 1, struct value);

    for (size_t i = 0; i < s->n_filter; i++) {
        int rc = value_parse(cli, &c->pairs[s->filter + i], &values[i], e);
        if (rc) {
            value_filter_free(values, i);
            return rc;
        }
    }
    *out = values;
    return 0;
}

void value_filter_free(struct value *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        value_free(&values[i]);
    free(values);
}

/* A uuid in 'v' as ref_text() has it; anything else as it is. */
static json_t *named(struct cli *cli, const struct schema_attr *a, json_t *v)
{
    const char *text = json_string_value(v);
    struct uuid id;

    if (!text || uuid_parse(text, &id))
        return json_incref(v);
    char *name = ref_text(cli, a->ref, &id, NULL);
    json_t *out = json_string(name);
    free(name);
    return out;
}

static char *reference_text(struct cli *cli, const struct schema_attr *a, json_t *v, bool inverted)
{
    json_t *names, *item;
    size_t i;

    if (!json_is_array(v)) {
        names = named(cli, a, v);
    } else {
        names = json_array();
        json_array_foreach (v, i, item)
            json_array_append_new(names, named(cli, a, item));
    }
    char *text = schema_to_text(a, names, inverted);
    json_decref(names);
    return text;
}

char *value_text(struct cli *cli, const struct schema_attr *a, const json_t *obj)
{
    json_t *v = json_object_get(obj, a->json);
    bool inverted = a->invert_json && json_is_true(json_object_get(obj, a->invert_json));

    if (!v || json_is_null(v) || (json_is_array(v) && !json_array_size(v)))
        return NULL;
    if (a->flags & SA_SECRET)
        return mem_strdup("****");
    if (a->value == SV_REF && cli->aliases)
        return reference_text(cli, a, v, inverted);
    return schema_to_text(a, v, inverted);
}

json_t *value_json(const struct schema_attr *a, const json_t *obj)
{
    json_t *v = json_object_get(obj, a->json);

    if (!v || json_is_null(v))
        return json_null();
    return a->flags & SA_SECRET ? json_string("****") : json_incref(v);
}
