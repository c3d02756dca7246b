#include "objects/impl.h"

#include <stdio.h>

/* The node of "KEY" or "KEY.MEMBER". */
static void key_of(const char *state, char key[32])
{
    snprintf(key, 32, "%.*s", (int)strcspn(state, "."), state);
}

/* Distinct keys of a type, in the order of its rows; their index in *which. */
static unsigned keys_of(enum schema_type_id type, char (*keys)[32])
{
    unsigned n = 0, i;
    char key[32];

    for (const struct schema_attr *a = schema_types[type].attrs; a->name; a++) {
        if (!a->state)
            continue;
        key_of(a->state, key);
        for (i = 0; i < n && strcmp(keys[i], key); i++)
            ;
        if (i == n && n < STATE_KEYS)
            memcpy(keys[n++], key, sizeof key);
    }
    return n;
}

unsigned state_paths(enum schema_type_id type, const struct uuid *id, char (*paths)[STORE_PATH_MAX])
{
    char keys[STATE_KEYS][32];
    unsigned n = keys_of(type, keys);

    for (unsigned i = 0; i < n; i++)
        objects_state_path(type, id, keys[i], paths[i]);
    return n;
}

/* MEMBER of an object; of a list, the values of all its elements' MEMBERs. */
static json_t *member(json_t *v, const char *name)
{
    size_t i;
    json_t *element;

    if (!json_is_array(v))
        return json_incref(json_object_get(v, name));
    json_t *all = json_array();
    json_array_foreach (v, i, element) {
        json_t *m = json_object_get(element, name);
        if (json_is_array(m))
            json_array_extend(all, m);
        else if (m)
            json_array_append(all, m);
    }
    return all;
}

/* MidoNet's way to say it: bit 0 up, bit 1 has a link. */
static void add_status(json_t *interfaces)
{
    size_t i;
    json_t *o;

    json_array_foreach (interfaces, i, o)
        if (json_is_object(o) && !json_object_get(o, "status"))
            json_object_set_new(o, "status",
                                json_integer(json_is_true(json_object_get(o, "up")) |
                                             json_is_true(json_object_get(o, "link")) << 1));
}

/* The node is there; a port's counts only when it is of the host that the port is bound to, not of
 * the one it was bound to before, which may serve it a while longer. */
static bool is_there(enum schema_type_id type, const json_t *obj, const struct store_value *value)
{
    if (value->rc || type != ST_PORT)
        return !value->rc;
    json_t *node = json_loadb(value->data, value->size, 0, NULL);
    const char *host = json_string_value(json_object_get(node, "host"));
    const char *bound = json_string_value(json_object_get(obj, "hostId"));
    bool there = !host || (bound && !strcmp(host, bound));
    json_decref(node);
    return there;
}

static void fill_one(enum schema_type_id type, const struct schema_attr *a, json_t *obj,
                     const struct store_value *value)
{
    const char *dot = strchr(a->state, '.');

    if (a->value == SV_BOOL && !dot) {
        json_object_set_new(obj, a->json, json_boolean(is_there(type, obj, value)));
        return;
    }
    if (value->rc)
        return;
    json_t *all = json_loadb(value->data, value->size, JSON_DECODE_ANY, NULL);
    json_t *v = dot ? member(all, dot + 1) : json_incref(all);
    if (!all && a->value == SV_STRING) /* plain text of an engine */
        v = json_stringn(value->data, value->size);
    if (type == ST_HOST && a->collection)
        add_status(v);
    /* Other processes wrote this: only what the row allows is shown. */
    json_t *alone = json_object();
    if (v && !json_is_null(v)) {
        json_object_set(alone, a->json, v);
        if (!schema_validate(&schema_types[type], alone, true, true, NULL))
            json_object_update(obj, alone);
    }
    json_decref(alone);
    json_decref(v);
    json_decref(all);
}

void state_fill(enum schema_type_id type, json_t *obj, const struct store_value *values)
{
    char keys[STATE_KEYS][32], key[32];
    unsigned n = keys_of(type, keys);

    for (const struct schema_attr *a = schema_types[type].attrs; a->name; a++) {
        if (!a->state)
            continue;
        key_of(a->state, key);
        for (unsigned i = 0; i < n; i++)
            if (!strcmp(keys[i], key))
                fill_one(type, a, obj, &values[i]);
    }
}
