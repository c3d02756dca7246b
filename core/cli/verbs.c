#include "cli/verbs.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

const struct verb_row verb_rows[] = {
    {"list", 1, VERB_LIST, "one line for each element of a collection"},
    {"show", 1, VERB_SHOW, "one object, or the bare value of its fields"},
    {"create", 6, VERB_CREATE, "make an object; prints its alias or uuid"},
    {"add", 3, VERB_CREATE, "the same as create"},
    {"ensure", 6, VERB_ENSURE, "make it, or give the one that is there these values"},
    {"set", 3, VERB_SET, "change fields of an object"},
    {"clear", 5, VERB_CLEAR, "unset optional fields of an object"},
    {"delete", 3, VERB_DELETE, "remove an object and what belongs to it"},
    {"describe", 4, VERB_DESCRIBE, "which collections and fields there are"},
    {NULL, 0, VERB_NONE, NULL},
};

const struct option_row option_rows[] = {
    {"--may-exist", NULL, "create: success if it is there with these values"},
    {"--if-exists", NULL, "set, clear, delete: success if it isn't there"},
    {"--check", NULL, "change nothing; exit 10 if the command would"},
    {"--if-rev", "N", "set, clear, delete: only if the object still has this revision"},
    {"--json", NULL, "the same as -o json"},
    {"-j", NULL, "the same as -o json"},
    {"-o", "FORMAT", "text, json, jsonl, tsv or name"},
    {NULL, NULL, NULL},
};

enum verb verb_match(const struct lex_word *w, bool abbreviated)
{
    size_t size = strlen(w->text);

    if (w->quoted)
        return VERB_NONE;
    for (const struct verb_row *v = verb_rows; v->word; v++)
        if (abbreviated
                ? size >= v->min && size < strlen(v->word) && !strncmp(w->text, v->word, size)
                : !strcmp(w->text, v->word))
            return v->verb;
    return VERB_NONE;
}

const char *verb_name(enum verb verb)
{
    for (const struct verb_row *v = verb_rows; v->word; v++)
        if (v->verb == verb)
            return v->word;
    return "";
}

static int take_revision(const char *text, struct command *c, struct error *e)
{
    char *end;

    errno = 0;
    c->if_rev = strtoll(text, &end, 10);
    if (errno || end == text || *end || c->if_rev < 0)
        return error_set(e, -EINVAL, NULL, "--if-rev", "no revision '%s'", text);
    return 0;
}

static int take_one(const char *word, const char *argument, struct command *c, struct error *e)
{
    if (!strcmp(word, "--may-exist"))
        c->may_exist = true;
    else if (!strcmp(word, "--if-exists"))
        c->if_exists = true;
    else if (!strcmp(word, "--check"))
        c->check = true;
    else if (!strcmp(word, "-o"))
        c->format = argument;
    else if (!strcmp(word, "--if-rev"))
        return take_revision(argument, c, e);
    else
        c->format = "json";
    return 0;
}

int options_fit(const struct command *c, struct error *e)
{
    bool creates = c->verb == VERB_CREATE || c->verb == VERB_ENSURE;
    bool edits = c->verb == VERB_SET || c->verb == VERB_CLEAR || c->verb == VERB_DELETE;
    /* An element without an object of its own has its holder's revision. */
    enum coll_kind kind = c->n_steps ? c->steps[c->n_steps - 1].coll.kind : COLL_TOP;
    bool held = creates && (kind == COLL_LIST || kind == COLL_BINDING);
    const struct {
        bool wrong;
        const char *word;
    } rows[] = {
        {c->may_exist && !creates, "--may-exist"},
        {c->if_exists && !edits, "--if-exists"},
        {c->if_rev >= 0 && !edits && !held, "--if-rev"},
        {c->check && !creates && !edits, "--check"},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].wrong)
            return error_set(e, -EINVAL, NULL, rows[i].word, "is not for %s", verb_name(c->verb));
    return 0;
}

static const struct option_row *find_option(const struct lex_word *w)
{
    for (const struct option_row *o = option_rows; !w->quoted && o->word; o++)
        if (!strcmp(w->text, o->word))
            return o;
    return NULL;
}

int options_take(const struct lex *l, bool partial, struct command *c, struct error *e)
{
    bool open = true;

    c->if_rev = -1;
    c->words = NEW_ARRAY(l->n + 1, const struct lex_word *);
    for (size_t i = 0; i < l->n; i++) {
        const struct lex_word *w = &l->words[i];
        const struct option_row *o = open && !(partial && i + 1 == l->n) ? find_option(w) : NULL;

        if (o) {
            const char *argument = o->argument && i + 1 < l->n ? l->words[++i].text : NULL;
            if (o->argument && !argument)
                return error_set(e, -EINVAL, NULL, o->word, "needs a value: %s", o->argument);
            int rc = take_one(o->word, argument, c, e);
            if (rc)
                return rc;
        } else if (open && !w->quoted && !strcmp(w->text, "--")) {
            open = false;
        } else if (open && !w->quoted && !strncmp(w->text, "--", 2) &&
                   !(partial && i + 1 == l->n)) {
            error_set(e, -EINVAL, NULL, w->text, "no such option");
            error_hint(e, "quote it, or put \"--\" before it, if it is a name or a value");
            return -EINVAL;
        } else {
            c->words[c->n_words++] = w;
        }
    }
    return 0;
}
