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

/* A value that shows what is meant: the schema's own, else one that any such row would take. */
static const char *placeholder(const struct schema_attr *a)
{
    if (a->example || a->words)
        return a->example ? a->example : a->cli_words ? a->cli_words[0] : a->words[0];
    switch (a->value) {
    case SV_MAC:
        return "02:00:00:00:00:0a";
    case SV_IP:
        return a->flags & SA_V6 ? "2001:db8::9" : "10.0.0.9";
    case SV_CIDR:
        return a->flags & SA_V6 ? "2001:db8::/64" : "10.9.0.0/24";
    case SV_REF:
        return schema_types[a->ref].name;
    default:
        return strcmp(a->name, "name") ? NULL : "web";
    }
}

/* Of what one object can be made below, one must be given, though none is required by itself. */
static const struct schema_attr *one_owner(const struct coll *c)
{
    for (const struct schema_attr *a = c->rows; c->kind == COLL_TOP && a->name; a++)
        if (a->value == SV_REF && a->flags & SA_CREATE)
            return a;
    return NULL;
}

/* "create COLL field value..." with what is required, and the first fields that have an example. */
static void example_of(struct cli *cli, const char *path, const struct coll *c)
{
    const struct schema_attr *owner = one_owner(c);
    struct strbuf sb = {0};
    unsigned n = 0;

    sb_printf(&sb, "  create %s%s", path, c->word);
    for (const struct schema_attr *a = c->rows; a->name; a++) {
        const char *value = placeholder(a);
        bool needed = a->flags & SA_REQUIRED || a == owner;
        bool telling = a->example || a->words || !strcmp(a->name, "name");

        if (!value || a->flags & SA_READONLY || a == c->parent)
            continue;
        if (needed || (telling && !(a->flags & SA_HIDDEN) && n++ < 2))
            sb_printf(&sb, " %s %s", a->name, value);
    }
    print_line(&cli->out, "%s", sb_str(&sb));
    sb_free(&sb);
}

static bool example_below(const struct coll *c, void *aux)
{
    if (c->kind != COLL_RELATED && coll_creatable(c))
        example_of(aux, "", c);
    return true;
}

static const char *coll_help(const struct coll *c)
{
    return c->kind == COLL_LIST      ? c->list->help
           : c->kind == COLL_BINDING ? "Port bound to an interface of the host"
                                     : c->type->help;
}

/* "bridge B dhcp D ": an element of it, from the top. */
static char *path_of(const struct schema_type *t)
{
    const struct schema_attr *up =
        t->alias || !t->parent_attr ? NULL : schema_attr_by_json(t->attrs, t->parent_attr);
    char *above = up ? path_of(&schema_types[up->ref]) : mem_strdup("");
    char *path = mem_printf("%s%s %c ", above, t->name, t->name[0] - 'a' + 'A');

    free(above);
    return path;
}

static void help_coll(struct cli *cli, const struct coll *c)
{
    char *path = path_of(c->type);

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

/* The same of a collection that is only found below an object: "interface", "dhcp". */
static void help_below(struct cli *cli, const struct schema_type *parent, const struct coll *c)
{
    char *path = path_of(parent);

    print_line(&cli->out, "%s of a %s: %s", c->word, parent->name, coll_help(c));
    describe_coll(cli, c);
    print_line(&cli->out, "Examples:");
    if (coll_creatable(c))
        example_of(cli, path, c);
    print_line(&cli->out, "  %s%s list", path, c->word);
    free(path);
}

/* All collections of that name; how many. */
static unsigned help_colls(struct cli *cli, const char *word)
{
    unsigned n = 0;
    struct coll c;

    if (coll_find(NULL, word, &c)) {
        help_coll(cli, &c);
        n++;
    }
    for (unsigned i = 0; i < ST_N_TYPES; i++) {
        const struct schema_type *parent = &schema_types[i];
        bool found = coll_find(parent, word, &c);
        /* Found from above already: of a type that is listed at the top, too. */
        if (!found || c.kind == COLL_RELATED || (c.kind == COLL_CHILD && c.type->alias))
            continue;
        help_below(cli, parent, &c);
        n++;
    }
    return n;
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
    if (help_colls(cli, w.text))
        return 0;
    error_set(&e, -ENOENT, NULL, NULL, "no help on '%s'", w.text);
    error_hint(&e, "\"help\" alone lists what there is");
    return print_failure(&cli->out, &e);
}
