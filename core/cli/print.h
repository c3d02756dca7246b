/* The one way out: every tool's text and JSON leave through here.
 *
 * A caller says each thing once (a field has a CLI name with its text, and a JSON name with its
 * value), and the format chosen by -o decides what is written, so a field can't exist in one format
 * only.  Data goes to 'out', words and errors to 'err'; nothing depends on being a terminal.
 *
 *   text    bridge 5b1c... name web state up
 *   json    one document a command: {"schema_version":1,"type":"bridge","items":[...]}
 *   jsonl   one object a line, no envelope
 *   tsv     the text of each field, tab-separated, in schema order, absent ones empty
 *   name    the name of each object, or its uuid if it has none
 *
 * Rows are written as they come, so a list of any length needs the memory of one row.
 * Within a schema_version members are only ever added.
 * Thread: a 'struct print' belongs to one. */
#ifndef MN_CLI_PRINT_H
#define MN_CLI_PRINT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"
#include "base/mem.h"

#define PRINT_SCHEMA_VERSION 1

enum print_format { PRINT_TEXT, PRINT_JSON, PRINT_JSONL, PRINT_TSV, PRINT_NAME };

struct print {
    FILE *out, *err;
    enum print_format format;
    const char *program; /* before every message */
    const char *source;  /* script's name for messages, or null */
    unsigned line;       /* of the script */
    /* the rest is private */
    struct strbuf text;
    json_t *row;
    char *name;
    size_t n_rows;
    unsigned n_fields;
};

void print_init(struct print *p, FILE *out, FILE *err, const char *program);
void print_free(struct print *p);
/* "text", "json", "jsonl", "tsv", "name"; -EINVAL. */
int print_set_format(struct print *p, const char *name, struct error *e);
static inline bool print_is_json(const struct print *p)
{
    return p->format == PRINT_JSON || p->format == PRINT_JSONL;
}

/* A list, or (print_one) a single object, of rows of fields:
 *   begin, {row, field..., row_end}..., end
 * 'type' is the JSON "type" (schema_type.name).  'head' is the text before the fields ("bridge
 * bridge0"), empty or null for none; 'id' is the JSON "id", null for none. */
void print_list(struct print *p, const char *type);
void print_list_end(struct print *p);
void print_one(struct print *p, const char *type);
void print_one_end(struct print *p);
void print_row(struct print *p, const char *head, const char *id);
/* 'text' null: not shown in text (unset or hidden).  'value' is borrowed; null is JSON null.
 * 'hidden': has no tsv column.  A field whose 'json' is null exists in the name of another's. */
void print_field(struct print *p, const char *name, const char *text, const char *json,
                 json_t *value, bool hidden);
void print_row_end(struct print *p);

/* The bare value of one field of one object: the text alone, or a document around it. */
void print_value(struct print *p, const char *type, const char *id, const char *field,
                 const char *text, json_t *value);

/* What a change did.  'label' is the text for it (alias chain or uuid of what was created), null
 * for silence.  'before' and 'after' (borrowed, may be null) hold the members that differ. */
struct print_change {
    const char *op; /* "create", "set", "clear", "delete" */
    bool changed;
    bool check; /* nothing was written: --check */
    const char *type, *id, *label;
    const json_t *before, *after;
};
void print_change(struct print *p, const struct print_change *c);

/* A whole document under the envelope (members of 'doc' are merged into it; borrowed). */
void print_document(struct print *p, const json_t *doc);
/* Text only a person reads, part of the data: nothing under the JSON formats. */
void print_line(struct print *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Words beside the data: to 'err', in text as in JSON. */
void print_note(struct print *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* One line in text, {"error":{...}} under the JSON formats, on 'err'.  Returns the exit status. */
int print_failure(struct print *p, const struct error *e);

#endif
