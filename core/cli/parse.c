#include "cli/parse.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/parser.h"
#include "cli/verbs.h"

/* Alternatives tried before a line is given up: far above any command, far below a second. */
#define BUDGET 20000

static bool parse_object(struct parser *p, size_t i);
static bool parse_coll(struct parser *p, size_t i);

static const struct lex_word *word(const struct parser *p, size_t i)
{
    return p->c->words[i];
}

static bool at_end(const struct parser *p, size_t i)
{
    return i == p->c->n_words;
}

static bool at_cursor(const struct parser *p, size_t i)
{
    return p->expect && i + 1 == p->c->n_words;
}

static bool stuck(struct parser *p, size_t i)
{
    p->far = MAX(p->far, i);
    return false;
}

static bool spent(struct parser *p)
{
    if (p->budget)
        p->budget--;
    return !p->budget;
}

static bool is_selected(const struct cmd_step *s)
{
    return s && (s->id || s->n_filter);
}

static bool writes(enum verb v)
{
    return v == VERB_CREATE || v == VERB_ENSURE || v == VERB_SET;
}

/* A line is complete when the verb has what it works on. */
static bool complete(struct parser *p, size_t i)
{
    struct cmd_step *s = parser_step(p);
    struct command *c = p->c;
    bool ok = false;

    switch (c->verb) {
    case VERB_NONE:
        break;
    case VERB_LIST:
        ok = s && !s->id;
        break;
    case VERB_CREATE:
    case VERB_ENSURE:
        ok = s && !is_selected(s);
        break;
    case VERB_SHOW:
    case VERB_DELETE:
        ok = is_selected(s);
        break;
    case VERB_SET:
        ok = is_selected(s) && c->n_pairs > c->set;
        break;
    case VERB_CLEAR:
        ok = is_selected(s) && c->n_fields;
        break;
    case VERB_DESCRIBE:
        ok = true;
        break;
    }
    return ok || stuck(p, i);
}

/* The row named by word 'i', or null; a quoted word names none. */
static const struct schema_attr *field_at(struct parser *p, size_t i,
                                          const struct schema_attr *rows)
{
    if (at_end(p, i) || word(p, i)->quoted)
        return NULL;
    return coll_field(rows, word(p, i)->text);
}

/* Words that the long form "COLL ID [COLL ID]..." of a reference to 'a' takes at 'i', or 0. */
static size_t long_reference(struct parser *p, size_t i, const struct schema_attr *a)
{
    const struct schema_type *ctx = NULL;
    size_t n = 0;
    struct coll c;

    if (a->value != SV_REF)
        return 0;
    for (; i + n + 1 < p->c->n_words; n += 2) {
        if (word(p, i + n)->quoted || !coll_find(ctx, word(p, i + n)->text, &c) ||
            c.kind == COLL_LIST || c.kind == COLL_BINDING)
            return 0;
        ctx = c.type;
        if (ctx->id == a->ref)
            return n + 2;
    }
    return 0;
}

typedef bool after_fn(struct parser *, size_t);

/* FIELD VALUE at 'i', then what 'after' accepts. */
static bool parse_pair(struct parser *p, size_t i, const struct schema_attr *a, after_fn *after)
{
    struct command *c = p->c;
    size_t n = c->n_pairs;

    if (at_end(p, i + 1))
        return stuck(p, i + 1);
    if (at_cursor(p, i + 1)) {
        expect_value(p, a);
        return stuck(p, i + 1);
    }
    size_t sizes[] = {long_reference(p, i + 1, a), 1};
    for (unsigned k = sizes[0] ? 0 : 1; k < 2; k++) {
        if (n % 16 == 0)
            c->pairs = mem_resize(c->pairs, (n + 16) * sizeof *c->pairs);
        c->pairs[n] = (struct cmd_pair){a, &c->words[i + 1], sizes[k]};
        c->n_pairs = n + 1;
        if (after(p, i + 1 + sizes[k]))
            return true;
        c->n_pairs = n;
    }
    return false;
}

/* Values to set, to the end of the line. */
static bool parse_values(struct parser *p, size_t i)
{
    const struct schema_attr *rows = parser_step(p)->coll.rows;

    if (at_end(p, i))
        return complete(p, i);
    if (at_cursor(p, i)) {
        expect_to_set(p);
        return stuck(p, i);
    }
    const struct schema_attr *a = field_at(p, i, rows);
    if (!a || spent(p))
        return stuck(p, i);
    return parse_pair(p, i, a, parse_values);
}

static bool parse_set(struct parser *p, size_t i)
{
    p->c->set = p->c->n_pairs;
    if (parse_values(p, i))
        return true;
    p->c->set = SIZE_MAX;
    return false;
}

/* The row to show or clear that word 'i' names, or null. */
static const struct schema_attr *named_field(struct parser *p, size_t i)
{
    const struct coll *coll = &parser_step(p)->coll;
    const struct schema_attr *a = field_at(p, i, coll->rows);

    return a || coll->kind == COLL_LIST || coll->kind == COLL_BINDING ? a
                                                                      : field_at(p, i, coll_id_row);
}

/* Field names to the end of the line, or ('to_verb') to a final "show". */
static bool parse_fields(struct parser *p, size_t i, bool to_verb)
{
    struct command *c = p->c;
    const struct schema_attr *a;

    for (c->n_fields = 0; (a = named_field(p, i)) && !at_cursor(p, i); i++) {
        if (c->n_fields % 16 == 0)
            c->fields = mem_resize(c->fields, (c->n_fields + 16) * sizeof *c->fields);
        c->fields[c->n_fields++] = a;
    }
    if (at_cursor(p, i)) {
        expect_to_name(p, to_verb && c->n_fields);
    } else if (c->n_fields && to_verb && !at_end(p, i) && at_end(p, i + 1) &&
               (verb_match(word(p, i), false) == VERB_SHOW ||
                verb_match(word(p, i), true) == VERB_SHOW)) {
        c->verb = VERB_SHOW;
        c->follow = c->n_fields == 1 && c->fields[0]->value == SV_REF;
        return true;
    } else if (c->n_fields && !to_verb && at_end(p, i)) {
        return complete(p, i);
    }
    c->n_fields = 0;
    return stuck(p, i);
}

/* The verb at 'i', spelled out or abbreviated, then what 'after' accepts. */
static bool parse_verb(struct parser *p, size_t i, bool abbreviated, after_fn *after)
{
    enum verb v = p->c->verb ? VERB_NONE : verb_match(word(p, i), abbreviated);

    if (!v)
        return stuck(p, i);
    p->c->verb = v;
    p->verb_at = i;
    if (after(p, i + 1))
        return true;
    p->c->verb = VERB_NONE;
    return false;
}

/* FIELD VALUE pairs that pick elements of the last step. */
static bool parse_filter(struct parser *p, size_t i)
{
    struct cmd_step *s = parser_step(p);
    const struct schema_attr *a;

    s->n_filter = p->c->n_pairs - s->filter;
    if (at_end(p, i))
        return complete(p, i);
    if (at_cursor(p, i))
        expect_in_filter(p);
    else if ((a = field_at(p, i, s->coll.rows)) && parse_pair(p, i, a, parse_filter))
        return true;
    s->n_filter = p->c->n_pairs - s->filter;
    return parse_object(p, i);
}

static bool parse_id(struct parser *p, size_t i)
{
    struct cmd_step *s = parser_step(p);

    if (parser_creates(p) && !parser_has_children(p))
        return stuck(p, i);
    s->id = word(p, i);
    if (parse_object(p, i + 1))
        return true;
    s->id = NULL;
    if (parser_creates(p) && p->far == i + 1) {
        p->named_at = i;
        p->named = s->coll;
    }
    return false;
}

/* After a collection's name. */
static bool parse_coll(struct parser *p, size_t i)
{
    struct cmd_step *s = parser_step(p);
    const struct schema_attr *a;

    if (at_cursor(p, i)) {
        expect_in_coll(p);
        return stuck(p, i);
    }
    if (at_end(p, i))
        return complete(p, i);
    if (spent(p))
        return stuck(p, i);
    s->filter = p->c->n_pairs;
    s->n_filter = 0;
    if (parse_verb(p, i, false, parse_coll))
        return true;
    a = field_at(p, i, s->coll.rows);
    if (a && parser_creates(p) && parse_set(p, i))
        return true;
    if (a && !p->n_expected && parse_pair(p, i, a, parse_filter))
        return true;
    s->n_filter = 0;
    /* What completion can offer after a keyword isn't mixed with what could follow a name. */
    if (p->n_expected)
        return false;
    return parse_id(p, i) || parse_verb(p, i, true, parse_coll);
}

static bool parse_step(struct parser *p, size_t i)
{
    struct command *c = p->c;
    struct cmd_step s = {.filter = c->n_pairs};

    if (word(p, i)->quoted || !parser_has_children(p) || c->n_steps == CMD_DEPTH_MAX ||
        !coll_find(parser_context(p), word(p, i)->text, &s.coll))
        return stuck(p, i);
    c->steps[c->n_steps++] = s;
    if (parse_coll(p, i + 1))
        return true;
    c->n_steps--;
    return false;
}

/* Fields of the object before, as the verb (or its absence) wants them. */
static bool parse_object_fields(struct parser *p, size_t i)
{
    switch (p->c->verb) {
    case VERB_SET:
        return parse_set(p, i);
    case VERB_SHOW:
    case VERB_CLEAR:
        return parse_fields(p, i, false);
    case VERB_NONE:
        return parse_fields(p, i, true);
    default:
        return stuck(p, i);
    }
}

/* At the top, or after a selected object. */
static bool parse_object(struct parser *p, size_t i)
{
    struct cmd_step *s = parser_step(p);

    if (at_cursor(p, i)) {
        expect_in_object(p);
        return stuck(p, i);
    }
    if (at_end(p, i))
        return complete(p, i);
    if (spent(p))
        return stuck(p, i);
    if (parse_verb(p, i, false, parse_object))
        return true;
    if (s && writes(p->c->verb) && parse_object_fields(p, i))
        return true;
    if (parse_step(p, i))
        return true;
    if (s && !p->n_expected && !writes(p->c->verb) && parse_object_fields(p, i))
        return true;
    return !p->n_expected && parse_verb(p, i, true, parse_object);
}

bool parser_run(struct parser *p, struct command *c)
{
    c->verb = VERB_NONE;
    c->set = SIZE_MAX;
    p->c = c;
    p->budget = BUDGET;
    return parse_object(p, 0);
}

static void syntax_error(const struct parser *p, const struct command *c, struct error *e)
{
    struct strbuf rest = {0};

    for (size_t i = p->far; i < c->n_words; i++)
        sb_printf(&rest, "%s%s", i > p->far ? " " : "", c->words[i]->text);
    if (p->far < c->n_words)
        error_set(e, -EINVAL, NULL, NULL, "Syntax error at: ...%.200s", sb_str(&rest));
    else
        error_set(e, -EINVAL, NULL, NULL, "Missing arguments, incomplete command");
    expect_hint(p, c, e);
    if (e && p->named.word && p->far == p->named_at + 1) {
        char *expected = mem_strdup(e->hint);
        error_hint(e, "\"%.24s\" is no field of %s; after a name, %s", c->words[p->named_at]->text,
                   p->named.word, expected);
        free(expected);
    }
    sb_free(&rest);
}

int cmd_parse(const struct lex *l, struct command *c, struct error *e)
{
    struct parser p = {0};

    *c = (struct command){0};
    int rc = options_take(l, false, c, e);
    if (rc)
        return rc;
    if (parser_run(&p, c))
        return options_fit(c, e);
    syntax_error(&p, c, e);
    return -EINVAL;
}

void cmd_free(struct command *c)
{
    free(c->words);
    free(c->pairs);
    free(c->fields);
    *c = (struct command){0};
}
