#include "objects/impl.h"

#include <stdio.h>
#include <stdlib.h>

int ref_compare(const void *a, const void *b)
{
    const struct ref *x = a, *y = b;
    int c = strcmp(x->path, y->path);

    return c ? c : memcmp(&x->target, &y->target, sizeof x->target);
}

static void add(struct refs *out, const struct schema_attr *a, const char *path, const json_t *v)
{
    struct uuid id;

    if (!json_is_string(v) || uuid_parse(json_string_value(v), &id))
        return;
    if (out->n == out->capacity) {
        out->capacity = out->capacity ? out->capacity * 2 : 8;
        out->v = mem_resize(out->v, out->capacity * sizeof *out->v);
    }
    struct ref *r = &out->v[out->n++];
    r->attr = a;
    r->target = id;
    snprintf(r->path, sizeof r->path, "%s", path);
}

static void collect(const struct schema_attr *rows, const json_t *obj, const char *prefix,
                    struct refs *out)
{
    char path[64];
    size_t i;
    json_t *element;

    for (const struct schema_attr *a = rows; a->name; a++) {
        if (a->value != SV_REF && !a->sub)
            continue;
        const json_t *v = json_object_get(obj, a->json);
        if (!v)
            continue;
        snprintf(path, sizeof path, "%s%s%s", prefix, prefix[0] ? "." : "", a->json);
        if (a->value == SV_REF && !json_is_array(v))
            add(out, a, path, v);
        else if (!json_is_array(v))
            collect(a->sub, v, path, out);
        json_array_foreach (v, i, element) {
            if (a->value == SV_REF)
                add(out, a, path, element);
            else
                collect(a->sub, element, path, out);
        }
    }
}

void refs_collect(enum schema_type_id type, const json_t *obj, struct refs *out)
{
    size_t kept = 0;

    *out = (struct refs){0};
    if (!obj)
        return;
    collect(schema_types[type].attrs, obj, "", out);
    if (!out->n)
        return;
    qsort(out->v, out->n, sizeof *out->v, ref_compare);
    for (size_t i = 1; i < out->n; i++) /* two conditions may name the same port */
        if (ref_compare(&out->v[kept], &out->v[i]))
            out->v[++kept] = out->v[i];
    out->n = kept + 1;
}

const struct schema_attr *attr_by_path(enum schema_type_id type, const char *path)
{
    const struct schema_attr *rows = schema_types[type].attrs, *a = NULL;
    char word[64];

    while (rows && *path) {
        size_t size = strcspn(path, ".");
        snprintf(word, sizeof word, "%.*s", (int)size, path);
        a = schema_attr_by_json(rows, word);
        rows = a ? a->sub : NULL;
        path += size + (path[size] == '.');
    }
    return a && a->value == SV_REF && !*path ? a : NULL;
}

void refs_free(struct refs *r)
{
    free(r->v);
    *r = (struct refs){0};
}

static void remove_from(const struct schema_attr *rows, json_t *obj, const char *path,
                        const char *target)
{
    size_t head = strcspn(path, ".");

    for (const struct schema_attr *a = rows; a->name; a++) {
        if (strncmp(a->json, path, head) || a->json[head])
            continue;
        json_t *v = json_object_get(obj, a->json);
        if (a->value != SV_REF) {
            for (size_t i = 0; i < json_array_size(v); i++)
                remove_from(a->sub, json_array_get(v, i), path + head + 1, target);
            if (json_is_object(v))
                remove_from(a->sub, v, path + head + 1, target);
        } else if (json_is_string(v) && !strcmp(json_string_value(v), target)) {
            json_object_del(obj, a->json);
        } else {
            for (size_t i = json_array_size(v); i-- > 0;)
                if (!strcmp(json_string_value(json_array_get(v, i)), target))
                    json_array_remove(v, i);
            if (json_is_array(v) && !json_array_size(v))
                json_object_del(obj, a->json);
        }
    }
}

void refs_remove(enum schema_type_id type, json_t *obj, const char *path, const struct uuid *target)
{
    char text[UUID_STRLEN];

    remove_from(schema_types[type].attrs, obj, path, uuid_format(target, text));
}

bool json_uuid(const json_t *obj, const char *key, struct uuid *id)
{
    const char *s = json_string_value(json_object_get(obj, key));

    return s && !uuid_parse(s, id);
}
