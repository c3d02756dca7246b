#include "schema/rows.h"

#include <string.h>

#include "base/mem.h"

static json_t *describe_rows(const struct schema_attr *rows, const char *help);

static json_t *string_format(const char *format)
{
    return json_pack("{s:s,s:s}", "type", "string", "format", format);
}

static json_t *string_pattern(const char *pattern)
{
    return json_pack("{s:s,s:s}", "type", "string", "pattern", pattern);
}

static json_t *address(const struct schema_attr *a)
{
    if (a->flags & SA_V4)
        return string_format("ipv4");
    if (a->flags & SA_V6)
        return string_format("ipv6");
    return json_pack("{s:s,s:[o,o]}", "type", "string", "anyOf",
                     json_pack("{s:s}", "format", "ipv4"), json_pack("{s:s}", "format", "ipv6"));
}

static json_t *describe_int(const struct schema_attr *a)
{
    json_t *o = json_pack("{s:s,s:I}", "type", "integer", "minimum", (json_int_t)a->min);

    if (a->max)
        json_object_set_new(o, "maximum", json_integer(a->max));
    return o;
}

static json_t *describe_string(const struct schema_attr *a)
{
    json_t *o = json_pack("{s:s}", "type", "string");

    if (a->min)
        json_object_set_new(o, "minLength", json_integer(a->min));
    if (a->max)
        json_object_set_new(o, "maxLength", json_integer(a->max));
    return o;
}

static json_t *describe_range(const struct schema_attr *a)
{
    return json_pack("{s:s,s:{s:o,s:o},s:b}", "type", "object", "properties", "start",
                     describe_int(a), "end", describe_int(a), "additionalProperties", 0);
}

static json_t *describe_value(const struct schema_attr *a)
{
    json_t *o;

    switch (a->value) {
    case SV_STRING:
        return describe_string(a);
    case SV_BOOL:
        return json_pack("{s:s}", "type", "boolean");
    case SV_INT:
        return describe_int(a);
    case SV_ENUM:
        o = json_array();
        for (const char *const *w = a->words; *w; w++)
            json_array_append_new(o, json_string(*w));
        return json_pack("{s:o}", "enum", o);
    case SV_IP:
        return address(a);
    case SV_CIDR:
        return string_pattern(a->flags & SA_V4   ? "^[0-9.]+(/[0-9]+)?$"
                              : a->flags & SA_V6 ? "^[0-9A-Fa-f:.]+(/[0-9]+)?$"
                                                 : "^[0-9A-Fa-f:.]+(/[0-9]+)?$");
    case SV_MAC:
        return string_pattern("^[0-9A-Fa-f]{1,2}(:[0-9A-Fa-f]{1,2}){5}$");
    case SV_MAC_MASK:
        return string_pattern("^[0-9A-Fa-f]{4}(\\.[0-9A-Fa-f]{4}){2}$");
    case SV_UUID:
        return string_format("uuid");
    case SV_REF:
        o = string_format("uuid");
        json_object_set_new(o, "x-ref", json_string(schema_types[a->ref].name));
        return o;
    case SV_RANGE:
        return describe_range(a);
    case SV_OBJECT:
    case SV_NAT:
        return describe_rows(a->sub, NULL);
    }
    return json_object();
}

static json_t *describe_attr(const struct schema_attr *a)
{
    json_t *o = describe_value(a);

    if (a->flags & SA_LIST) {
        o = json_pack("{s:s,s:o}", "type", "array", "items", o);
        if (a->flags & SA_SET)
            json_object_set_new(o, "uniqueItems", json_true());
    }
    json_object_set_new(o, "description", json_string(a->help));
    if (a->def)
        json_object_set_new(o, "default", json_loads(a->def, JSON_DECODE_ANY, NULL));
    if (a->flags & SA_READONLY)
        json_object_set_new(o, "readOnly", json_true());
    if (a->flags & SA_CREATE)
        json_object_set_new(o, "x-immutable", json_true());
    if (a->flags & SA_SECRET)
        json_object_set_new(o, "writeOnly", json_true());
    if (a->example)
        json_object_set_new(o, "x-example", json_string(a->example));
    json_object_set_new(o, "x-cli", json_string(a->name));
    return o;
}

static json_t *describe_rows(const struct schema_attr *rows, const char *help)
{
    json_t *properties = json_object(), *required = json_array();

    for (const struct schema_attr *a = rows; a->name; a++) {
        json_object_set_new(properties, a->json, describe_attr(a));
        if (a->invert_json)
            json_object_set_new(properties, a->invert_json,
                                json_pack("{s:s,s:s,s:b}", "type", "boolean", "description",
                                          "Inverts the attribute of the same name", "default", 0));
        if ((a->flags & SA_REQUIRED) && !(a->flags & SA_READONLY))
            json_array_append_new(required, json_string(a->json));
    }
    json_t *o = json_pack("{s:s,s:o,s:b}", "type", "object", "properties", properties,
                          "additionalProperties", 0);
    if (json_array_size(required))
        json_object_set(o, "required", required);
    json_decref(required);
    if (help)
        json_object_set_new(o, "description", json_string(help));
    return o;
}

static json_t *describe_type(const struct schema_type *t)
{
    json_t *o = describe_rows(t->attrs, t->help);
    json_t *properties = json_object_get(o, "properties");

    json_object_set_new(properties, "id", string_format("uuid"));
    json_object_set_new(properties, "rev",
                        json_pack("{s:s,s:b,s:s}", "type", "integer", "readOnly", 1, "description",
                                  "Revision, for compare-and-set"));
    json_object_set_new(o, "x-collection", json_string(t->plural));
    return o;
}

json_t *schema_describe(void)
{
    json_t *defs = json_object(), *properties = json_object();
    char ref[64];

    for (unsigned i = 0; i < ST_N_TYPES; i++) {
        const struct schema_type *t = &schema_types[i];
        json_object_set_new(defs, t->plural, describe_type(t));
        snprintf(ref, sizeof ref, "#/$defs/%s", t->plural);
        json_object_set_new(properties, t->plural,
                            json_pack("{s:s,s:{s:s}}", "type", "array", "items", "$ref", ref));
    }
    return json_pack("{s:s,s:s,s:s,s:{s:{s:i},s:{s:s,s:o}},s:[s,s],s:o}", "$schema",
                     "https://json-schema.org/draft/2020-12/schema", "title", "mn topology", "type",
                     "object", "properties", "version", "const", 1, "objects", "type", "object",
                     "properties", properties, "required", "version", "objects", "$defs", defs);
}
