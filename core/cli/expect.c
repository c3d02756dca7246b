#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/parser.h"
#include "cli/verbs.h"

#define BIT(verb) (1u << (verb))

static void expect(struct parser *p, struct expect x)
{
    p->n_expected++;
    p->expect(&x, p->c, p->aux);
}

/* Rows that have all flags of 'with' and none of 'without'. */
static void expect_fields(struct parser *p, unsigned with, unsigned without)
{
    for (const struct schema_attr *a = parser_step(p)->coll.rows; a->name; a++)
        if (!a->collection && (a->flags & with) == with && !(a->flags & without))
            expect(p, (struct expect){.kind = EXPECT_FIELD, .word = a->name, .attr = a});
}

static void expect_verbs(struct parser *p, unsigned verbs)
{
    for (const struct verb_row *v = verb_rows; v->word; v++)
        if (verbs & BIT(v->verb))
            expect(p, (struct expect){.kind = EXPECT_VERB, .word = v->word});
}

void expect_value(struct parser *p, const struct schema_attr *a)
{
    expect(p, (struct expect){.kind = EXPECT_VALUE, .attr = a});
}

void expect_to_set(struct parser *p)
{
    expect_fields(p, 0, SA_READONLY | (p->c->verb == VERB_SET ? SA_CREATE : 0));
}

void expect_to_name(struct parser *p, bool verb_too)
{
    expect_fields(p, p->c->verb == VERB_CLEAR ? SA_CLEARABLE : 0, 0);
    if (verb_too)
        expect_verbs(p, BIT(VERB_SHOW));
}

void expect_in_filter(struct parser *p)
{
    expect_fields(p, 0, SA_HIDDEN);
}

void expect_in_coll(struct parser *p)
{
    struct cmd_step *s = parser_step(p);
    bool creates = parser_creates(p);
    unsigned create = coll_creatable(&s->coll) ? BIT(VERB_CREATE) | BIT(VERB_ENSURE) : 0;

    if (!p->c->verb)
        expect_verbs(p, create | BIT(VERB_LIST) | BIT(VERB_DESCRIBE));
    if (p->c->verb != VERB_LIST && (!creates || parser_has_children(p)))
        expect(p, (struct expect){.kind = EXPECT_ID, .coll = &s->coll});
    expect_fields(p, 0, creates ? SA_READONLY : SA_HIDDEN);
}

static bool expect_coll(const struct coll *c, void *aux)
{
    struct parser *p = aux;

    if (!parser_creates(p) || coll_creatable(c) || c->kind == COLL_TOP)
        expect(p, (struct expect){.kind = EXPECT_COLL, .word = c->word, .coll = c});
    return true;
}

void expect_in_object(struct parser *p)
{
    enum verb v = p->c->verb;
    bool selected = parser_step(p), changes = v == VERB_SET || v == VERB_CLEAR;
    unsigned on_object = BIT(VERB_SHOW) | BIT(VERB_SET) | BIT(VERB_CLEAR) | BIT(VERB_DELETE);
    unsigned on_coll = BIT(VERB_LIST) | BIT(VERB_CREATE) | BIT(VERB_ENSURE);

    if (!v)
        expect_verbs(p, BIT(VERB_DESCRIBE) | on_object | (parser_has_children(p) ? on_coll : 0));
    /* "bridge B set" is at its object; "set bridge B" may go on to a port of B. */
    if (parser_has_children(p) && !(changes && p->verb_at))
        coll_each(parser_context(p), expect_coll, p);
    if (!selected)
        return;
    if (v == VERB_SET)
        expect_to_set(p);
    else if (!v || v == VERB_SHOW || v == VERB_CLEAR)
        expect_to_name(p, false);
}

void cmd_expect(const struct lex *l, cmd_expect_fn *fn, void *aux)
{
    struct command c = {0};
    struct parser p = {.expect = fn, .aux = aux};

    if (!options_take(l, true, &c, NULL) && c.n_words) {
        parser_run(&p, &c);
        for (const struct option_row *o = option_rows; o->word; o++)
            expect(&p, (struct expect){.kind = EXPECT_OPTION, .word = o->word});
    }
    cmd_free(&c);
}

static bool is_listed(const char *list, const char *word)
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
    const char *word = x->kind == EXPECT_ID      ? "a name or uuid"
                       : x->kind == EXPECT_VALUE ? "a value"
                                                 : x->word;

    (void)c;
    if (is_listed(sb_str(sb), word) || is_listed(sb_str(sb), "..."))
        return;
    if (sb->size + strlen(word) >= 150)
        word = "...";
    sb_printf(sb, "%s%s", sb->size ? ", " : "", word);
}

void expect_hint(const struct parser *p, const struct command *c, struct error *e)
{
    static const struct lex_word nothing = {.text = ""};
    struct strbuf hint = {0};
    struct command before = {.words = NEW_ARRAY(p->far + 1, const struct lex_word *),
                             .n_words = p->far + 1};
    struct parser look = {.expect = add_to_hint, .aux = &hint};

    memcpy(before.words, c->words, p->far * sizeof *c->words);
    before.words[p->far] = &nothing;
    parser_run(&look, &before);
    if (hint.size)
        error_hint(e, "expected: %s", sb_str(&hint));
    cmd_free(&before);
    sb_free(&hint);
}
