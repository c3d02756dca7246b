#include "cli/parse.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/verbs.h"

/* Alternatives tried before a line is given up: far above any command, far below a second. */
#define BUDGET 20000

struct parser {
    struct command *c;
    size_t far; /* the furthest word that no alternative could take */
    unsigned budget;
    cmd_expect_fn *expect; /* completing: the last word is where the cursor stands */
    void *aux;
    unsigned n_expected;
    size_t verb_at;
};

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

static void expect(struct parser *p, struct expect x)
{
    p->n_expected++;
    p->expect(&x, p->c, p->aux);
}

static struct cmd_step *last_step(struct parser *p)
{
    return p->c->n_steps ? &p->c->steps[p->c->n_steps - 1] : NULL;
}

static bool is_selected(const struct cmd_step *s)
{
    return s && (s->id || s->n_filter);
}

static bool writes(enum verb v)
{
    return v == VERB_CREATE || v == VERB_ENSURE || v == VERB_SET;
}

/* What an element of the last step offers below itself: null rows at the top. */
static const struct schema_type *context(struct parser *p)
{
    struct cmd_step *s = last_step(p);

    return s ? s->coll.type : NULL;
}

static bool has_children(struct parser *p)
{
    struct cmd_step *s = last_step(p);

    return !s || (s->coll.kind != COLL_LIST && s->coll.kind != COLL_BINDING);
}

/* A line is complete when the verb has what it works on. */
static bool complete(struct parser *p, size_t i)
{
    struct cmd_step *s = last_step(p);
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

static void expect_fields(struct parser *p, const struct schema_attr *rows, bool settable)
{
    for (const struct schema_attr *a = rows; a->name; a++)
        if (!a->collection && !(settable && a->flags & SA_READONLY))
            expect(p, (struct expect){.kind = EXPECT_FIELD, .word = a->name, .attr = a});
}

static void expect_verbs(struct parser *p, unsigned verbs)
{
    for (const struct verb_row *v = verb_rows; v->word; v++)
        if (verbs & 1u << v->verb)
            expect(p, (struct expect){.kind = EXPECT_VERB, .word = v->word});
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
        expect(p, (struct expect){.kind = EXPECT_VALUE, .attr = a});
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
    const struct schema_attr *rows = last_step(p)->coll.rows;

    if (at_end(p, i))
        return complete(p, i);
    if (at_cursor(p, i)) {
        expect_fields(p, rows, true);
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

/* Field names to the end of the line, or ('to_verb') to a final "show". */
static bool parse_fields(struct parser *p, size_t i, bool to_verb)
{
    struct command *c = p->c;
    const struct schema_attr *rows = last_step(p)->coll.rows, *a;

    for (c->n_fields = 0; (a = field_at(p, i, rows)) && !at_cursor(p, i); i++) {
        if (c->n_fields % 16 == 0)
            c->fields = mem_resize(c->fields, (c->n_fields + 16) * sizeof *c->fields);
        c->fields[c->n_fields++] = a;
    }
    if (at_cursor(p, i)) {
        expect_fields(p, rows, c->verb == VERB_CLEAR);
        if (to_verb && c->n_fields)
            expect_verbs(p, 1u << VERB_SHOW);
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
    struct cmd_step *s = last_step(p);
    const struct schema_attr *a;

    s->n_filter = p->c->n_pairs - s->filter;
    if (at_end(p, i))
        return complete(p, i);
    if (at_cursor(p, i))
        expect_fields(p, s->coll.rows, false);
    else if ((a = field_at(p, i, s->coll.rows)) && parse_pair(p, i, a, parse_filter))
        return true;
    s->n_filter = p->c->n_pairs - s->filter;
    return parse_object(p, i);
}

static bool parse_id(struct parser *p, size_t i)
{
    struct cmd_step *s = last_step(p);

    s->id = word(p, i);
    if (parse_object(p, i + 1))
        return true;
    s->id = NULL;
    return false;
}

static void expect_in_coll(struct parser *p)
{
    struct cmd_step *s = last_step(p);
    bool creating = p->c->verb == VERB_CREATE || p->c->verb == VERB_ENSURE;
    unsigned create = coll_creatable(&s->coll) ? 1u << VERB_CREATE | 1u << VERB_ENSURE : 0;

    if (!p->c->verb)
        expect_verbs(p, create | 1u << VERB_LIST | 1u << VERB_DESCRIBE);
    if (p->c->verb != VERB_LIST && (!creating || has_children(p)))
        expect(p, (struct expect){.kind = EXPECT_ID, .coll = &s->coll});
    expect_fields(p, s->coll.rows, creating);
}

/* After a collection's name. */
static bool parse_coll(struct parser *p, size_t i)
{
    struct cmd_step *s = last_step(p);
    bool creating = p->c->verb == VERB_CREATE || p->c->verb == VERB_ENSURE;
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
    if (a && creating && parse_set(p, i))
        return true;
    if (a && !p->n_expected && parse_pair(p, i, a, parse_filter))
        return true;
    s->n_filter = 0;
    /* What completion can offer after a keyword isn't mixed with what could follow a name. */
    if (p->n_expected)
        return false;
    return parse_id(p, i) || parse_verb(p, i, true, parse_coll);
}

static bool expect_coll(const struct coll *c, void *aux)
{
    struct parser *p = aux;
    bool creating = p->c->verb == VERB_CREATE || p->c->verb == VERB_ENSURE;

    if (!creating || coll_creatable(c) || c->kind == COLL_TOP)
        expect(p, (struct expect){.kind = EXPECT_COLL, .word = c->word, .coll = c});
    return true;
}

static void expect_in_object(struct parser *p)
{
    struct cmd_step *s = last_step(p);
    enum verb v = p->c->verb;
    unsigned on_object = 1u << VERB_SHOW | 1u << VERB_SET | 1u << VERB_CLEAR | 1u << VERB_DELETE;
    unsigned on_coll = 1u << VERB_LIST | 1u << VERB_CREATE | 1u << VERB_ENSURE;

    if (!v)
        expect_verbs(p, 1u << VERB_DESCRIBE | (has_children(p) ? on_coll : 0) |
                            (s ? on_object : on_object | on_coll));
    /* "bridge B set" is at its object; "set bridge B" may go on to a port of B. */
    if (has_children(p) && !((v == VERB_SET || v == VERB_CLEAR) && p->verb_at))
        coll_each(context(p), expect_coll, p);
    if (s && (!v || v == VERB_SHOW || v == VERB_SET || v == VERB_CLEAR))
        expect_fields(p, s->coll.rows, v == VERB_SET || v == VERB_CLEAR);
}

static bool parse_step(struct parser *p, size_t i)
{
    struct command *c = p->c;
    struct cmd_step s = {.filter = c->n_pairs};

    if (word(p, i)->quoted || !has_children(p) || c->n_steps == CMD_DEPTH_MAX ||
        !coll_find(context(p), word(p, i)->text, &s.coll))
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
    struct cmd_step *s = last_step(p);

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

static bool parse_all(struct parser *p, struct command *c)
{
    c->verb = VERB_NONE;
    c->set = SIZE_MAX;
    p->c = c;
    p->budget = BUDGET;
    return parse_object(p, 0);
}

static bool same_expectation(const char *list, const char *word)
{
    size_t size = strlen(word);

    for (const char *s = list; (s = strstr(s, word)); s += size)
        if ((s == list || s[-1] == ' ') && (s[size] == ',' || !s[size]))
            return true;
    return false;
}

static void add_to_hint(const struct expect *x, const struct command *c, void *aux)
{
    struct strbuf *sb = aux;
    const char *word = x->word;

    (void)c;
    if (x->kind == EXPECT_ID)
        word = "a name or uuid";
    else if (x->kind == EXPECT_VALUE)
        word = "a value";
    if (sb->size + strlen(word) < 150 && !same_expectation(sb_str(sb), word))
        sb_printf(sb, "%s%s", sb->size ? ", " : "", word);
}

static void syntax_error(struct parser *p, const struct command *c, struct error *e)
{
    struct strbuf rest = {0}, hint = {0};
    struct command again = *c;
    struct parser look = {.expect = add_to_hint, .aux = &hint};
    static const struct lex_word nothing = {.text = ""};

    for (size_t i = p->far; i < c->n_words; i++)
        sb_printf(&rest, "%s%s", i > p->far ? " " : "", c->words[i]->text);
    if (p->far < c->n_words)
        error_set(e, -EINVAL, NULL, NULL, "Syntax error at: ...%.200s", sb_str(&rest));
    else
        error_set(e, -EINVAL, NULL, NULL, "Missing arguments, incomplete command");

    again.n_words = p->far + 1;
    again.words = NEW_ARRAY(again.n_words, const struct lex_word *);
    memcpy(again.words, c->words, p->far * sizeof *c->words);
    again.words[p->far] = &nothing;
    again.n_steps = again.n_pairs = again.n_fields = 0;
    again.pairs = NULL;
    again.fields = NULL;
    parse_all(&look, &again);
    if (hint.size)
        error_hint(e, "expected: %s", sb_str(&hint));
    cmd_free(&again);
    sb_free(&rest);
    sb_free(&hint);
}

int cmd_parse(const struct lex *l, struct command *c, struct error *e)
{
    struct parser p = {0};

    *c = (struct command){0};
    int rc = options_take(l, false, c, e);
    if (rc)
        return rc;
    if (parse_all(&p, c))
        return 0;
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

void cmd_expect(const struct lex *l, cmd_expect_fn *fn, void *aux)
{
    struct command c = {0};
    struct parser p = {.expect = fn, .aux = aux};

    if (!options_take(l, true, &c, NULL) && c.n_words) {
        p.c = &c;
        parse_all(&p, &c);
        for (const struct option_row *o = option_rows; o->word; o++)
            expect(&p, (struct expect){.kind = EXPECT_OPTION, .word = o->word});
    }
    cmd_free(&c);
}
