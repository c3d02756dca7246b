/* help: the verbs, the collections, and examples made from the schema's own. */
#include <stdlib.h>
#include <string.h>

#include "cli/builtin.h"
#include "cli/commands.h"
#include "cli/describe.h"
#include "cli/verbs.h"

static const struct {
    enum verb verb;
    const char *forms[3], *example;
} forms[] = {
    {VERB_LIST,
     {"list [OBJECT] COLLECTION [FIELD VALUE]...", "[OBJECT] COLLECTION list [FIELD VALUE]..."},
     "router edge port list state up"},
    {VERB_SHOW,
     {"show OBJECT [FIELD]...", "OBJECT show [FIELD]...", "OBJECT FIELD show"},
     "bridge web show name"},
    {VERB_CREATE,
     {"create [OBJECT] COLLECTION FIELD VALUE...", "[OBJECT] COLLECTION create FIELD VALUE..."},
     "router edge add port name up addresses 192.0.2.1/30"},
    {VERB_ENSURE,
     {"ensure [OBJECT] COLLECTION FIELD VALUE...", "[OBJECT] COLLECTION ensure FIELD VALUE..."},
     "ensure bridge name web state up"},
    {VERB_SET,
     {"set OBJECT FIELD VALUE...", "OBJECT set FIELD VALUE..."},
     "router edge port up set peer web:uplink"},
    {VERB_CLEAR, {"clear OBJECT FIELD...", "OBJECT clear FIELD..."}, "bridge web clear infilter"},
    {VERB_DELETE,
     {"delete OBJECT", "OBJECT delete", "OBJECT delete COLLECTION ELEMENT"},
     "tunnel-zone core member host compute-1 delete"},
    {VERB_DESCRIBE, {"describe [COLLECTION | OBJECT]..."}, "describe router R port"},
};

static void help_verb(struct cli *cli, enum verb verb)
{
    for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
        if (forms[i].verb != verb)
            continue;
        for (unsigned k = 0; k < ARRAY_SIZE(forms[i].forms) && forms[i].forms[k]; k++)
            print_line(&cli->out, "  %s", forms[i].forms[k]);
        print_line(&cli->out, "Example: %s", forms[i].example);
    }
}

static void help_verbs(struct cli *cli)
{
    print_line(&cli->out, "Verbs:");
    for (const struct verb_row *v = verb_rows; v->word; v++)
        print_line(&cli->out, "  %-28s %s", v->word, v->help);
}

/* A value that shows what is meant, when the schema has no example. */
static const char *placeholder(const struct schema_attr *a)
{
    return a->example                 ? a->example
           : a->words                 ? (a->cli_words ? a->cli_words[0] : a->words[0])
           : !strcmp(a->name, "name") ? "web"
                                      : NULL;
}

/* "create COLL field value..." with what is required, and the first fields that have an example. */
static void example_of(struct cli *cli, const char *path, const struct coll *c)
{
    struct strbuf sb = {0};
    unsigned n = 0;

    sb_printf(&sb, "  create %s%s", path, c->word);
    for (const struct schema_attr *a = c->rows; a->name; a++) {
        bool required = a->flags & SA_REQUIRED && a != c->parent;
        const char *value = placeholder(a);
        char *kind = describe_value(a);

        if (required || (value && !(a->flags & (SA_READONLY | SA_HIDDEN)) && n++ < 2))
            sb_printf(&sb, " %s %s", a->name, value ? value : kind);
        free(kind);
    }
    print_line(&cli->out, "%s", sb_str(&sb));
    sb_free(&sb);
}

static bool example_below(const struct coll *c, void *aux)
{
    if (c->kind == COLL_CHILD && coll_creatable(c))
        example_of(aux, "", c);
    return true;
}

static void help_coll(struct cli *cli, const struct coll *c)
{
    char *path = mem_printf("%s %c ", c->word, c->word[0] - 'a' + 'A');

    print_line(&cli->out, "%s: %s", c->word, c->type->help);
    describe_coll(cli, c);
    print_line(&cli->out, "Examples:");
    if (coll_creatable(c))
        example_of(cli, "", c);
    print_line(&cli->out, "  %s list", c->word);
    print_line(&cli->out, "  %sshow", path);
    print_line(&cli->out, "  %sdelete", path);
    print_line(&cli->out, "below it (after \"%s\"):", path);
    coll_each(c->type, example_below, cli);
    free(path);
}

static void help_all(struct cli *cli)
{
    help_verbs(cli);
    print_line(&cli->out, "Options of a command:");
    for (const struct option_row *o = option_rows; o->word; o++) {
        char *left = mem_printf("%s %s", o->word, o->argument ? o->argument : "");
        print_line(&cli->out, "  %-28s %s", left, o->help);
        free(left);
    }
    print_line(&cli->out, "Other commands:");
    builtin_list(cli);
    print_line(&cli->out, "\"help VERB\", \"help COLLECTION\" say more; \"describe\" lists the "
                          "collections.");
}

static int help_builtin(struct cli *cli, const struct subcommand *sub)
{
    print_line(&cli->out, "  %s %s", sub->name, sub->usage ? sub->usage : "");
    print_line(&cli->out, "%s", sub->help ? sub->help : "the same as exit");
    if (sub->more)
        print_line(&cli->out, "%s", sub->more);
    return 0;
}

int cmd_help(struct cli *cli, int argc, char **argv)
{
    struct lex_word w = {.text = argc > 1 ? argv[1] : NULL};
    const struct subcommand *sub;
    struct error e = {0};
    enum verb verb;
    struct coll c;

    if (argc < 2) {
        help_all(cli);
        return 0;
    }
    verb = verb_match(&w, false);
    if (verb) {
        help_verb(cli, verb);
        return 0;
    }
    sub = builtin_find(cli, &w);
    if (sub)
        return help_builtin(cli, sub);
    if (coll_find(NULL, w.text, &c)) {
        help_coll(cli, &c);
        return 0;
    }
    error_set(&e, -ENOENT, NULL, NULL, "no help on '%s'", w.text);
    error_hint(&e, "\"help\" alone lists what there is");
    return print_failure(&cli->out, &e);
}
