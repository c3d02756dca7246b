#include "schema/rows.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

/* Values are turned into JSON here; whether they are in bounds is for schema_validate() to say.
 * Only what has no JSON form (a word that isn't a number) fails here. */

static int bad_text(const struct schema_attr *a, const char *text, const char *what,
                    struct error *e)
{
    return error_set(e, -EINVAL, NULL, a->name, "\"%.64s\" is not %s", text, what);
}

static bool text_to_int(const char *s, int64_t *n)
{
    char *end;
    bool hex = !strncasecmp(s, "0x", 2);

    if (!isdigit((unsigned char)s[0]) && !(s[0] == '-' && isdigit((unsigned char)s[1])))
        return false;
    errno = 0;
    *n = strtoll(s, &end, hex ? 16 : 10);
    return !errno && !*end && end != s;
}

/* The number of "name=number" words, by name. */
static bool word_to_int(const char *const *words, const char *s, int64_t *n)
{
    size_t size = strlen(s);

    for (; words && *words; words++)
        if (!strncasecmp(*words, s, size) && (*words)[size] == '=')
            return text_to_int(*words + size + 1, n);
    return false;
}

/* "syn,ack": the bits of several words. */
static bool bits_to_int(const char *const *words, const char *s, int64_t *n)
{
    char *copy = mem_strdup(s), *next = copy, *word;
    bool known = *s != '\0';
    int64_t bit;

    *n = 0;
    while (known && strcmp(s, "none") && (word = strsep(&next, ","))) {
        known = word_to_int(words, word, &bit);
        *n |= known ? bit : 0;
    }
    free(copy);
    return known;
}

static int int_from_text(const struct schema_attr *a, const char *text, json_t **out,
                         struct error *e)
{
    int64_t n;

    if (a->flags & SA_BITS && bits_to_int(a->words, text, &n)) {
        *out = json_integer(n);
        return 0;
    }
    if (!word_to_int(a->words, text, &n) && !text_to_int(text, &n))
        return bad_text(a, text, "a number", e);
    *out = json_integer(n);
    return 0;
}

static int bool_from_text(const struct schema_attr *a, const char *text, json_t **out,
                          struct error *e)
{
    static const char *const on[] = {"true", "up", "yes", "on", "1", NULL};
    static const char *const off[] = {"false", "down", "no", "off", "0", NULL};

    if (a->cli_words && !strcasecmp(text, a->cli_words[0])) {
        *out = json_true();
        return 0;
    }
    for (unsigned i = 0; on[i]; i++)
        if (!strcasecmp(text, on[i]) || !strcasecmp(text, off[i])) {
            if (a->cli_words)
                break; /* "flow true" says nothing */
            *out = json_boolean(!strcasecmp(text, on[i]));
            return 0;
        }
    return bad_text(a, text,
                    a->cli_words           ? a->cli_words[0]
                    : a->flags & SA_UPDOWN ? "up or down"
                    : a->flags & SA_YESNO  ? "yes or no"
                                           : "true or false",
                    e);
}

static int enum_from_text(const struct schema_attr *a, const char *text, json_t **out,
                          struct error *e)
{
    char what[256] = "one of ";
    size_t size = strlen(what);

    for (unsigned i = 0; a->words[i]; i++)
        if (!strcasecmp(text, a->words[i]) ||
            (a->cli_words && !strcasecmp(text, a->cli_words[i]))) {
            *out = json_string(a->words[i]);
            return 0;
        }
    if ((a->flags & SA_CLEARABLE) && !strcasecmp(text, "none")) {
        *out = json_null();
        return 0;
    }
    for (unsigned i = 0; a->words[i] && size < sizeof what - 1; i++)
        size += (size_t)snprintf(what + size, sizeof what - size, "%s%s", i ? ", " : "",
                                 a->cli_words ? a->cli_words[i] : a->words[i]);
    return bad_text(a, text, what, e);
}

static int range_from_text(const struct schema_attr *a, const char *text, json_t **out,
                           struct error *e)
{
    const char *dash = strchr(text, '-');
    char part[2][24];
    int64_t n[2];
    json_t *range = json_object();

    snprintf(part[0], sizeof part[0], "%.*s", dash ? (int)MIN(dash - text, 23) : 23, text);
    snprintf(part[1], sizeof part[1], "%.23s", dash ? dash + 1 : text);
    for (unsigned i = 0; i < 2; i++) {
        if (!part[i][0])
            continue;
        if (!text_to_int(part[i], &n[i]) || n[i] < a->min || n[i] > a->max) {
            char what[64];
            json_decref(range);
            snprintf(what, sizeof what, "a port range (%lld..%lld)", (long long)a->min,
                     (long long)a->max);
            return bad_text(a, text, what, e);
        }
        json_object_set_new(range, i ? "end" : "start", json_integer(n[i]));
    }
    *out = range;
    return 0;
}

/* "ip" or "[ip]" at *p, up to '-', ':' (IPv4 or bracketed) or the end. */
static bool take_ip(const char **p, struct ip *ip)
{
    char text[IP_STRLEN];
    const char *s = *p;
    size_t size;

    if (*s == '[') {
        size = strcspn(++s, "]");
        if (s[size] != ']')
            return false;
        *p = s + size + 1;
    } else {
        size = strcspn(s, "-");
        const char *colon = memchr(s, ':', size);
        if (colon && memchr(s, '.', (size_t)(colon - s)))
            size = (size_t)(colon - s);
        *p = s + size;
    }
    if (size >= sizeof text)
        return false;
    memcpy(text, s, size);
    text[size] = '\0';
    return !ip_parse(text, ip);
}

static int nat_from_text(const struct schema_attr *a, const char *text, json_t **out,
                         struct error *e)
{
    static const char what[] = "a NAT target (ip[-ip][:port[-port]])";
    char from_text[IP_STRLEN], to_text[IP_STRLEN];
    struct ip from, to;
    const char *p = text;
    int64_t ports[2] = {0, 0};

    if (!take_ip(&p, &from))
        return bad_text(a, text, what, e);
    to = from;
    if (*p == '-') {
        p++;
        if (!take_ip(&p, &to))
            return bad_text(a, text, what, e);
    }
    if (*p == ':') {
        const char *dash = strchr(++p, '-');
        char first[16];
        snprintf(first, sizeof first, "%.*s", dash ? (int)MIN(dash - p, 15) : 15, p);
        if (!text_to_int(first, &ports[0]) || !text_to_int(dash ? dash + 1 : p, &ports[1]))
            return bad_text(a, text, what, e);
    } else if (*p)
        return bad_text(a, text, what, e);
    *out = json_pack("{s:s,s:s,s:I,s:I}", "addressFrom", ip_format(&from, from_text), "addressTo",
                     ip_format(&to, to_text), "portFrom", (json_int_t)ports[0], "portTo",
                     (json_int_t)ports[1]);
    return 0;
}

static int json_from_text(const struct schema_attr *a, const char *text, json_t **out,
                          struct error *e)
{
    *out = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(*out))
        return 0;
    json_decref(*out);
    *out = NULL;
    return bad_text(a, text, "a JSON object", e);
}

static int string_from_text(const struct schema_attr *a, const char *text, json_t **out,
                            struct error *e)
{
    *out = json_string(text);
    return *out ? 0 : bad_text(a, text, "UTF-8 text", e);
}

static int one_from_text(const struct schema_attr *a, const char *text, json_t **out,
                         struct error *e)
{
    switch (a->value) {
    case SV_BOOL:
        return bool_from_text(a, text, out, e);
    case SV_INT:
        return int_from_text(a, text, out, e);
    case SV_ENUM:
        return enum_from_text(a, text, out, e);
    case SV_RANGE:
        return range_from_text(a, text, out, e);
    case SV_NAT:
        return nat_from_text(a, text, out, e);
    case SV_OBJECT:
        return json_from_text(a, text, out, e);
    default:
        return string_from_text(a, text, out, e);
    }
}

static int list_from_text(const struct schema_attr *a, const char *text, json_t **out,
                          struct error *e)
{
    json_t *list = a->value == SV_OBJECT ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    char *copy, *next;
    int rc = 0;

    if (json_is_array(list)) {
        *out = list;
        return 0;
    }
    json_decref(list);
    if (a->value == SV_OBJECT)
        return bad_text(a, text, "a JSON list", e);
    list = json_array();
    copy = next = mem_strdup(text);
    for (char *item; !rc && (item = strsep(&next, ","));) {
        json_t *v = NULL;
        if (!*item)
            continue;
        rc = one_from_text(a, item, &v, e);
        if (!rc)
            json_array_append_new(list, v);
    }
    free(copy);
    if (rc) {
        json_decref(list);
        return rc;
    }
    *out = list;
    return 0;
}

/* Rows know bounds and spelling: a value is run through them as the one member of an object. */
static int check_one(const struct schema_attr *a, json_t **value, struct error *e)
{
    const struct schema_attr rows[] = {*a, END};
    const struct schema_type alone = {.name = "", .attrs = rows};
    json_t *obj = json_object();
    int rc;

    json_object_set_new(obj, a->json, *value);
    rc = schema_validate(&alone, obj, true, false, e);
    *value = rc ? NULL : json_incref(json_object_get(obj, a->json));
    json_decref(obj);
    return rc;
}

int schema_from_text(const struct schema_attr *a, const char *text, json_t **value, bool *inverted,
                     struct error *e)
{
    bool inv = text[0] == '!' && (a->flags & SA_INVERT);
    int rc;

    *value = NULL;
    if (inverted)
        *inverted = inv;
    text += inv;
    rc = a->flags & SA_LIST ? list_from_text(a, text, value, e) : one_from_text(a, text, value, e);
    if (rc || a->value == SV_REF)
        return rc;
    return check_one(a, value, e);
}

/* Back to text */

static void bits_to_text(const struct schema_attr *a, json_int_t n, struct strbuf *sb)
{
    const char *gap = "";
    int64_t bit;

    for (const char *const *w = a->words; *w; w++) {
        const char *eq = strchr(*w, '=');
        if (!text_to_int(eq + 1, &bit) || !(n & bit))
            continue;
        sb_add(sb, gap);
        sb_add_bytes(sb, *w, (size_t)(eq - *w));
        gap = ",";
    }
    if (!*gap)
        sb_add(sb, "none");
}

static void int_to_text(const struct schema_attr *a, json_int_t n, struct strbuf *sb)
{
    int64_t word;

    if (a->flags & SA_BITS) {
        bits_to_text(a, n, sb);
        return;
    }
    for (const char *const *w = a->cli_words; w && *w; w++) {
        const char *eq = strchr(*w, '=');
        if (eq && text_to_int(eq + 1, &word) && word == n) {
            sb_add_bytes(sb, *w, (size_t)(eq - *w));
            return;
        }
    }
    sb_printf(sb, "%lld", (long long)n);
}

static void bool_to_text(const struct schema_attr *a, bool v, struct strbuf *sb)
{
    if (a->cli_words)
        sb_add(sb, v ? a->cli_words[0] : "");
    else if (a->flags & SA_UPDOWN)
        sb_add(sb, v ? "up" : "down");
    else if (a->flags & SA_YESNO)
        sb_add(sb, v ? "yes" : "no");
    else
        sb_add(sb, v ? "true" : "false");
}

static void enum_to_text(const struct schema_attr *a, const char *s, struct strbuf *sb)
{
    for (unsigned i = 0; a->cli_words && a->words[i]; i++)
        if (!strcmp(a->words[i], s))
            s = a->cli_words[i];
    sb_add(sb, s);
}

static void cidr_to_text(const char *s, struct strbuf *sb)
{
    const char *slash = strchr(s, '/');
    bool whole = slash && !strcmp(slash, strchr(s, ':') ? "/128" : "/32");

    sb_add_bytes(sb, s, whole ? (size_t)(slash - s) : strlen(s));
}

static void range_to_text(const json_t *v, struct strbuf *sb)
{
    const json_t *from = json_object_get(v, "start"), *to = json_object_get(v, "end");

    if (from)
        sb_printf(sb, "%lld", (long long)json_integer_value(from));
    sb_add(sb, "-");
    if (to)
        sb_printf(sb, "%lld", (long long)json_integer_value(to));
}

static void nat_to_text(const json_t *v, struct strbuf *sb)
{
    const char *from = schema_str(v, "addressFrom"), *to = schema_str(v, "addressTo");
    long long port_from = json_integer_value(json_object_get(v, "portFrom"));
    long long port_to = json_integer_value(json_object_get(v, "portTo"));
    bool brackets = from && strchr(from, ':') && port_from;

    if (!from)
        return;
    sb_printf(sb, brackets ? "[%s]" : "%s", from);
    if (to && strcmp(from, to)) {
        sb_add(sb, "-");
        sb_printf(sb, brackets ? "[%s]" : "%s", to);
    }
    if (port_from)
        sb_printf(sb, ":%lld", port_from);
    if (port_from && port_to != port_from)
        sb_printf(sb, "-%lld", port_to);
}

static void one_to_text(const struct schema_attr *a, const json_t *v, struct strbuf *sb)
{
    if (json_is_integer(v))
        int_to_text(a, json_integer_value(v), sb);
    else if (json_is_boolean(v))
        bool_to_text(a, json_is_true(v), sb);
    else if (a->value == SV_ENUM && json_is_string(v))
        enum_to_text(a, json_string_value(v), sb);
    else if (a->value == SV_CIDR && json_is_string(v))
        cidr_to_text(json_string_value(v), sb);
    else if (json_is_string(v))
        sb_add(sb, json_string_value(v));
    else if (a->value == SV_RANGE)
        range_to_text(v, sb);
    else if (a->value == SV_NAT)
        nat_to_text(v, sb);
    else if (!json_is_null(v)) {
        char *text = json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
        sb_add(sb, text ? text : "");
        free(text);
    }
}

char *schema_to_text(const struct schema_attr *a, const json_t *value, bool inverted)
{
    struct strbuf sb = {0};
    size_t i;
    json_t *v;

    if (inverted)
        sb_add(&sb, "!");
    if (json_is_array(value) && a->value != SV_OBJECT) {
        json_array_foreach (value, i, v) {
            if (i)
                sb_add(&sb, ",");
            one_to_text(a, v, &sb);
        }
    } else if (value)
        one_to_text(a, value, &sb);
    return sb_steal(&sb);
}
