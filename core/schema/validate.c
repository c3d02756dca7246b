#include "schema/rows.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct checker {
    const struct schema_type *type;
    bool partial, tolerant;
    struct error *e;
};

/* JSON of a hostile size is cut here, so that no later loop is longer than the store allows. */
#define LIST_MAX 4096

const char *schema_show(const json_t *v, char *buf, size_t size)
{
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);

    if (!text)
        snprintf(buf, size, "(not UTF-8)");
    else if (snprintf(buf, size, "%s", text) >= (int)size)
        memcpy(buf + size - 4, "...", 4);
    free(text);
    return buf;
}

static int bad_value(const struct checker *c, const struct schema_attr *a, const json_t *v,
                     const char *what)
{
    char shown[64];

    return error_set(c->e, -EINVAL, c->type->name, a->name, "%s is not %s",
                     schema_show(v, shown, sizeof shown), what);
}

/* C0 but tab and newline; what is in the store already may have DEL and C1 (U+0080 to U+009F),
 * which a terminal obeys as well. */
static bool is_control(const struct checker *c, const char *s)
{
    unsigned char b = (unsigned char)*s, next = b ? (unsigned char)s[1] : 0;

    if (b < 0x20)
        return b != '\n' && b != '\t';
    return !c->tolerant && (b == 0x7f || (b == 0xc2 && next < 0xa0));
}

static int check_string(const struct checker *c, const struct schema_attr *a, const json_t *v)
{
    char what[96];

    if (!json_is_string(v))
        return bad_value(c, a, v, "a string");
    const char *s = json_string_value(v);
    int64_t size = (int64_t)json_string_length(v);
    if ((int64_t)strlen(s) != size)
        return bad_value(c, a, v, "text");
    for (int64_t i = 0; i < size; i++)
        if (is_control(c, s + i))
            return bad_value(c, a, v, "text without control characters");
    if (size >= a->min && (!a->max || size <= a->max))
        return 0;
    snprintf(what, sizeof what, "text of %lld to %lld bytes", (long long)a->min, (long long)a->max);
    return bad_value(c, a, v, what);
}

static int check_int(const struct checker *c, const struct schema_attr *a, const json_t *v)
{
    char what[96];

    if (!json_is_integer(v))
        return bad_value(c, a, v, "a number without fraction");
    int64_t n = json_integer_value(v);
    if (n >= a->min && n <= a->max)
        return 0;
    if (n < a->min && a->max >= INT32_MAX && a->max != UINT32_MAX)
        snprintf(what, sizeof what, "%lld or more", (long long)a->min);
    else
        snprintf(what, sizeof what, "within %lld..%lld", (long long)a->min, (long long)a->max);
    return bad_value(c, a, v, what);
}

static int check_enum(const struct checker *c, const struct schema_attr *a, const json_t *v)
{
    char what[256] = "one of ";
    size_t size = strlen(what);

    if (json_is_string(v))
        for (unsigned i = 0; a->words[i]; i++)
            if (!strcmp(a->words[i], json_string_value(v)))
                return 0;
    for (unsigned i = 0; a->words[i] && size < sizeof what - 1; i++)
        size += (size_t)snprintf(what + size, sizeof what - size, "%s%s", i ? ", " : "",
                                 a->cli_words ? a->cli_words[i] : a->words[i]);
    return bad_value(c, a, v, what);
}

static const char *family_words(const struct schema_attr *a, const char *noun, char *buf,
                                size_t size)
{
    const char *family = a->flags & SA_V4 ? "IPv4 " : a->flags & SA_V6 ? "IPv6 " : "IP ";

    snprintf(buf, size, "an %s%s", family, noun);
    return buf;
}

static bool family_fits(const struct schema_attr *a, const struct ip *ip)
{
    return a->flags & SA_V4 ? ip_is4(ip) : a->flags & SA_V6 ? !ip_is4(ip) : true;
}

static int canon_ip(const struct checker *c, const struct schema_attr *a, const json_t *v,
                    json_t **out)
{
    char what[32], text[IP_STRLEN];
    struct ip ip;

    if (!json_is_string(v) || ip_parse(json_string_value(v), &ip) || !family_fits(a, &ip))
        return bad_value(c, a, v, family_words(a, "address", what, sizeof what));
    *out = json_string(ip_format(&ip, text));
    return 0;
}

static int canon_cidr(const struct checker *c, const struct schema_attr *a, const json_t *v,
                      json_t **out)
{
    char what[32], text[CIDR_STRLEN];
    struct cidr cidr;

    if (!json_is_string(v) || cidr_parse(json_string_value(v), &cidr) ||
        !family_fits(a, &cidr.addr))
        return bad_value(c, a, v, family_words(a, "prefix", what, sizeof what));
    if (a->flags & SA_NETWORK)
        cidr.addr = cidr_network(&cidr);
    *out = json_string(cidr_format(&cidr, text));
    return 0;
}

static int canon_mac(const struct checker *c, const struct schema_attr *a, const json_t *v,
                     json_t **out)
{
    char text[MAC_STRLEN];
    struct mac mac;

    if (!json_is_string(v) || mac_parse(json_string_value(v), &mac))
        return bad_value(c, a, v, "a MAC address");
    *out = json_string(mac_format(&mac, text));
    return 0;
}

static int canon_mac_mask(const struct checker *c, const struct schema_attr *a, const json_t *v,
                          json_t **out)
{
    const char *s = json_is_string(v) ? json_string_value(v) : "";
    bool ok = strlen(s) == 14;
    char text[16];

    for (unsigned i = 0; ok && i < 14; i++) {
        if (i == 4 || i == 9)
            ok = s[i] == '.';
        else
            ok = strchr("0123456789abcdefABCDEF", s[i]) != NULL;
        text[i] = (char)(s[i] >= 'A' && s[i] <= 'F' ? s[i] - 'A' + 'a' : s[i]);
    }
    if (!ok)
        return bad_value(c, a, v, "a MAC mask (ffff.ff00.0000)");
    text[14] = '\0';
    *out = json_string(text);
    return 0;
}

static int canon_uuid(const struct checker *c, const struct schema_attr *a, const json_t *v,
                      json_t **out)
{
    char text[UUID_STRLEN];
    struct uuid id;

    if (!json_is_string(v) || uuid_parse(json_string_value(v), &id))
        return bad_value(c, a, v, "a uuid");
    *out = json_string(uuid_format(&id, text));
    return 0;
}

static int check_range(const struct checker *c, const struct schema_attr *a, json_t *v)
{
    char what[64];
    const char *key;
    json_t *end;
    void *next;

    snprintf(what, sizeof what, "a port range (%lld..%lld)", (long long)a->min, (long long)a->max);
    if (!json_is_object(v))
        return bad_value(c, a, v, what);
    json_object_foreach_safe(v, next, key, end)
    {
        if (json_is_null(end))
            json_object_del(v, key);
        else if ((strcmp(key, "start") && strcmp(key, "end")) || !json_is_integer(end) ||
                 json_integer_value(end) < a->min || json_integer_value(end) > a->max)
            return bad_value(c, a, v, what);
    }
    const json_t *from = json_object_get(v, "start"), *to = json_object_get(v, "end");
    if (!from && !to)
        return bad_value(c, a, v, what);
    if (from && to && json_integer_value(from) > json_integer_value(to))
        return error_set(c->e, -EINVAL, c->type->name, a->name, "%lld-%lld ends before it starts",
                         (long long)json_integer_value(from), (long long)json_integer_value(to));
    return 0;
}

static int check_rows(const struct checker *c, const struct schema_attr *rows, json_t *obj,
                      bool partial);

/* An embedded object; what is wrong in it is named with the attribute that holds it. */
static int check_embedded(const struct checker *c, const struct schema_attr *a, json_t *v)
{
    char inner[64];

    if (!json_is_object(v))
        return bad_value(c, a, v, "an object");
    int rc = check_rows(c, a->sub, v, false);
    if (rc && c->e) {
        memcpy(inner, c->e->field, sizeof inner);
        snprintf(c->e->field, sizeof c->e->field, "%.20s.%.40s", a->name, inner);
    }
    return rc;
}

/* One element.  '*out' is the canonical value, or stays null when 'v' is it already. */
static int check_value(const struct checker *c, const struct schema_attr *a, json_t *v,
                       json_t **out)
{
    switch (a->value) {
    case SV_STRING:
        return check_string(c, a, v);
    case SV_BOOL:
        return json_is_boolean(v) ? 0 : bad_value(c, a, v, "true or false");
    case SV_INT:
        return check_int(c, a, v);
    case SV_ENUM:
        return check_enum(c, a, v);
    case SV_IP:
        return canon_ip(c, a, v, out);
    case SV_CIDR:
        return canon_cidr(c, a, v, out);
    case SV_MAC:
        return canon_mac(c, a, v, out);
    case SV_MAC_MASK:
        return canon_mac_mask(c, a, v, out);
    case SV_UUID:
    case SV_REF:
        return canon_uuid(c, a, v, out);
    case SV_RANGE:
        return check_range(c, a, v);
    case SV_OBJECT:
    case SV_NAT:
        return check_embedded(c, a, v);
    }
    return -EINVAL;
}

/* Sets are short or of strings that are canonical by now: compared pairwise up to LIST_MAX. */
static int check_no_twin(const struct checker *c, const struct schema_attr *a, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        for (size_t j = 0; j < i; j++)
            if (json_equal(json_array_get(list, i), json_array_get(list, j))) {
                char shown[64];
                return error_set(c->e, -EINVAL, c->type->name, a->name, "%s is there twice",
                                 schema_show(json_array_get(list, i), shown, sizeof shown));
            }
    return 0;
}

static int check_list(const struct checker *c, const struct schema_attr *a, json_t *list)
{
    if (!json_is_array(list))
        return bad_value(c, a, list, "a list");
    if (json_array_size(list) > LIST_MAX)
        return error_set(c->e, -EINVAL, c->type->name, a->name, "more than %d elements", LIST_MAX);
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *out = NULL;
        int rc = check_value(c, a, json_array_get(list, i), &out);
        if (rc)
            return rc;
        if (out)
            json_array_set_new(list, i, out);
    }
    return a->flags & SA_SET ? check_no_twin(c, a, list) : 0;
}

static const struct schema_attr *inverted_by(const struct schema_attr *rows, const char *json)
{
    for (const struct schema_attr *a = rows; a->name; a++)
        if (a->invert_json && !strcmp(a->invert_json, json))
            return a;
    return NULL;
}

static int unknown_member(const struct checker *c, const struct schema_attr *rows, const char *key,
                          const json_t *v)
{
    const struct schema_attr *inverted = inverted_by(rows, key);

    if (inverted) {
        if (json_is_boolean(v) || json_is_null(v))
            return 0;
        return bad_value(c, inverted, v, "true or false (inversion)");
    }
    if (c->tolerant)
        return 0;
    if (rows == c->type->attrs && !strcmp(key, "id")) {
        struct uuid id;
        if (json_is_string(v) && !uuid_parse(json_string_value(v), &id))
            return 0;
        return error_set(c->e, -EINVAL, c->type->name, key, "not a uuid");
    }
    if (rows == c->type->attrs && !strcmp(key, "rev"))
        return 0;
    char field[64];
    snprintf(field, sizeof field, "%s", key);
    return error_set(c->e, -EINVAL, c->type->name, field, "no such attribute");
}

static int fill_rows(const struct checker *c, const struct schema_attr *rows, json_t *obj)
{
    for (const struct schema_attr *a = rows; a->name; a++) {
        bool there = json_object_get(obj, a->json) != NULL;
        if (!there && a->def && !(a->flags & SA_STATE)) {
            json_object_set_new(obj, a->json, json_loads(a->def, JSON_DECODE_ANY, NULL));
            there = true;
        }
        if (!there && (a->flags & SA_REQUIRED))
            return error_set(c->e, -EINVAL, c->type->name, a->name, "is required");
        if (a->invert_json && (!there || !json_is_true(json_object_get(obj, a->invert_json))))
            json_object_del(obj, a->invert_json);
    }
    return 0;
}

static int check_rows(const struct checker *c, const struct schema_attr *rows, json_t *obj,
                      bool partial)
{
    const char *key;
    json_t *v;
    void *next;

    json_object_foreach_safe(obj, next, key, v)
    {
        const struct schema_attr *a = schema_attr_by_json(rows, key);
        json_t *out = NULL;
        int rc = 0;
        if (!a)
            rc = unknown_member(c, rows, key, v);
        else if (json_is_null(v))
            rc = 0;
        else if (a->flags & SA_LIST)
            rc = check_list(c, a, v);
        else
            rc = check_value(c, a, v, &out);
        if (rc)
            return rc;
        if (out)
            json_object_set_new(obj, key, out);
        else if (!partial && a && (json_is_null(v) || (json_is_array(v) && !json_array_size(v))))
            json_object_del(obj, key);
    }
    return partial ? 0 : fill_rows(c, rows, obj);
}

int schema_validate(const struct schema_type *t, json_t *obj, bool partial, bool tolerant,
                    struct error *e)
{
    const struct checker c = {t, partial, tolerant, e};

    if (!json_is_object(obj))
        return error_set(e, -EINVAL, t->name, NULL, "not a JSON object");
    int rc = check_rows(&c, t->attrs, obj, partial);
    if (rc || partial)
        return rc;
    if (t->fill)
        t->fill(obj);
    return t->check ? t->check(obj, e) : 0;
}
