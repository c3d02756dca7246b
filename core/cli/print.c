#include "cli/print.h"

#include <stdlib.h>
#include <string.h>

#include "cli/lex.h"

static const char *const format_names[] = {"text", "json", "jsonl", "tsv", "name"};

void print_init(struct print *p, FILE *out, FILE *err, const char *program)
{
    *p = (struct print){.out = out, .err = err, .program = program};
}

void print_free(struct print *p)
{
    sb_free(&p->text);
    json_decref(p->row);
    free(p->name);
    p->row = NULL;
    p->name = NULL;
}

int print_set_format(struct print *p, const char *name, struct error *e)
{
    for (unsigned i = 0; i < ARRAY_SIZE(format_names); i++)
        if (!strcmp(name, format_names[i])) {
            p->format = (enum print_format)i;
            return 0;
        }
    error_set(e, -EINVAL, NULL, "-o", "no output format '%s'", name);
    error_hint(e, "text, json, jsonl, tsv or name");
    return -EINVAL;
}

static void dump(FILE *f, const json_t *value)
{
    json_dumpf(value, f, JSON_COMPACT | JSON_ENCODE_ANY);
}

static void dump_string(FILE *f, const char *s)
{
    json_t *value = s ? json_string(s) : json_null();

    dump(f, value ? value : json_null()); /* null from jansson: not UTF-8 */
    json_decref(value);
}

static void envelope(struct print *p, const char *type)
{
    fprintf(p->out, "{\"schema_version\":%d,\"type\":", PRINT_SCHEMA_VERSION);
    dump_string(p->out, type);
}

void print_list(struct print *p, const char *type)
{
    p->n_rows = 0;
    if (p->format == PRINT_JSON) {
        envelope(p, type);
        fputs(",\"items\":[", p->out);
    }
}

void print_list_end(struct print *p)
{
    if (p->format == PRINT_JSON)
        fputs(p->n_rows ? "\n]}\n" : "]}\n", p->out);
}

void print_one(struct print *p, const char *type)
{
    p->n_rows = 0;
    if (p->format == PRINT_JSON) {
        envelope(p, type);
        fputs(",\"item\":", p->out);
    }
}

void print_one_end(struct print *p)
{
    if (p->format == PRINT_JSON)
        fputs(p->n_rows ? "}\n" : "null}\n", p->out);
}

void print_row(struct print *p, const char *head, const char *id)
{
    if (p->n_rows++ && p->format == PRINT_JSON)
        fputs(",", p->out);
    p->text.size = 0;
    p->n_fields = 0;
    free(p->name);
    p->name = id ? mem_strdup(id) : NULL;
    json_decref(p->row);
    p->row = print_is_json(p) ? json_object() : NULL;
    if (print_is_json(p) && id)
        json_object_set_new(p->row, "id", json_string(id));
    if (p->format == PRINT_TSV)
        sb_add(&p->text, id ? id : "");
    if (p->format == PRINT_TEXT && head && *head) {
        sb_add(&p->text, head);
        p->n_fields++;
    }
}

/* A tab or newline in a value would be a column or row that isn't there. */
static void add_tsv(struct print *p, const char *text)
{
    char *clean = lex_clean(text ? text : "");

    sb_printf(&p->text, "\t%s", clean);
    free(clean);
}

void print_field(struct print *p, const char *name, const char *text, const char *json,
                 json_t *value, bool hidden)
{
    if (print_is_json(p)) {
        if (json)
            json_object_set(p->row, json, value ? value : json_null());
    } else if (p->format == PRINT_TSV) {
        if (!hidden)
            add_tsv(p, text);
    } else if (p->format == PRINT_NAME) {
        if (text && *text && !strcmp(name, "name")) {
            free(p->name);
            p->name = mem_strdup(text);
        }
    } else if (text && !hidden) {
        char *quoted = lex_quote(text);
        sb_printf(&p->text, "%s%s %s", p->n_fields++ ? " " : "", name, quoted);
        free(quoted);
    }
}

void print_row_end(struct print *p)
{
    if (print_is_json(p)) {
        if (p->format == PRINT_JSON)
            fputs("\n", p->out);
        dump(p->out, p->row);
        if (p->format == PRINT_JSONL)
            fputs("\n", p->out);
    } else if (p->format == PRINT_NAME) {
        char *quoted = p->name ? lex_quote(p->name) : NULL;
        if (quoted)
            fprintf(p->out, "%s\n", quoted);
        free(quoted);
    } else {
        fprintf(p->out, "%s\n", sb_str(&p->text));
    }
}

void print_value(struct print *p, const char *type, const char *id, const char *field,
                 const char *text, json_t *value)
{
    if (!print_is_json(p)) {
        char *clean = text ? lex_clean(text) : NULL;
        if (clean)
            fprintf(p->out, "%s\n", clean);
        free(clean);
        return;
    }
    envelope(p, type);
    fputs(",\"id\":", p->out);
    dump_string(p->out, id);
    fputs(",\"field\":", p->out);
    dump_string(p->out, field);
    fputs(",\"value\":", p->out);
    dump(p->out, value ? value : json_null());
    fputs("}\n", p->out);
}

void print_change(struct print *p, const struct print_change *c)
{
    if (!print_is_json(p)) {
        if (c->label)
            fprintf(p->out, "%s\n", c->label);
        return;
    }
    envelope(p, c->type);
    fprintf(p->out, ",\"op\":\"%s\",\"changed\":%s,\"check\":%s,\"id\":", c->op,
            c->changed ? "true" : "false", c->check ? "true" : "false");
    dump_string(p->out, c->id);
    fputs(",\"diff\":{\"before\":", p->out);
    dump(p->out, c->before ? c->before : json_null());
    fputs(",\"after\":", p->out);
    dump(p->out, c->after ? c->after : json_null());
    fputs("}}\n", p->out);
}

void print_document(struct print *p, const json_t *doc)
{
    json_t *all = json_pack("{s:i}", "schema_version", PRINT_SCHEMA_VERSION);

    json_object_update_missing(all, (json_t *)doc);
    json_dumpf(all, p->out, p->format == PRINT_JSONL ? JSON_COMPACT : JSON_INDENT(2));
    fputs("\n", p->out);
    json_decref(all);
}

void print_line(struct print *p, const char *fmt, ...)
{
    va_list ap;

    if (print_is_json(p))
        return;
    va_start(ap, fmt);
    vfprintf(p->out, fmt, ap);
    va_end(ap);
    fputs("\n", p->out);
}

void print_note(struct print *p, const char *fmt, ...)
{
    va_list ap;

    fflush(p->out);
    fprintf(p->err, "%s: ", p->program);
    va_start(ap, fmt);
    vfprintf(p->err, fmt, ap);
    va_end(ap);
    fputs("\n", p->err);
}

/* Messages quote what people and other tools wrote, cut where room ends.  JSON escapes controls by
 * itself, but takes UTF-8 only. */
static json_t *text_or_null(const char *s)
{
    json_t *value = *s ? json_string(s) : json_null();

    if (value)
        return value;
    char *clean = lex_clean(s);
    value = json_string(clean);
    free(clean);
    return value;
}

int print_failure(struct print *p, const struct error *e)
{
    char text[sizeof *e + 32];

    fflush(p->out);
    if (print_is_json(p)) {
        json_t *doc = json_pack("{s:i,s:{s:s,s:o,s:o,s:o,s:o}}", "schema_version",
                                PRINT_SCHEMA_VERSION, "error", "code", error_word(e->code),
                                "object", text_or_null(e->object), "field", text_or_null(e->field),
                                "message", text_or_null(e->message), "hint", text_or_null(e->hint));
        if (p->source)
            json_object_set_new(json_object_get(doc, "error"), "line", json_integer(p->line));
        dump(p->err, doc);
        fputs("\n", p->err);
        json_decref(doc);
    } else {
        char *clean = lex_clean(error_format(e, text, sizeof text));
        fprintf(p->err, "%s: ", p->program);
        if (p->source)
            fprintf(p->err, "%s:%u: ", p->source, p->line);
        fprintf(p->err, "%s\n", clean);
        free(clean);
    }
    return error_exit_status(e->code);
}
