#include "cli/builtin.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/commands.h"

static int usage(struct cli *cli, const char *name, const char *arguments)
{
    struct error e = {0};

    error_set(&e, -EINVAL, NULL, NULL, "usage: %s %s", name, arguments);
    return print_failure(&cli->out, &e);
}

static int run_exit(struct cli *cli, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    cli->quit = true;
    return 0;
}

static void set_tenant(struct cli *cli, const char *tenant)
{
    char *copy = tenant ? mem_strdup(tenant) : NULL;

    free(cli->tenant);
    cli->tenant = copy;
    print_line(&cli->out, "tenant_id: %s", tenant ? tenant : "None");
}

static int run_sett(struct cli *cli, int argc, char **argv)
{
    if (argc != 2)
        return usage(cli, argv[0], "TENANT");
    if (cli->aliases && (strlen(argv[1]) != 32 || strspn(argv[1], "0123456789abcdefABCDEF") != 32))
        print_note(&cli->out, "'%s' doesn't look like a project id (32 hex digits)", argv[1]);
    set_tenant(cli, argv[1]);
    return 0;
}

static int run_cleart(struct cli *cli, int argc, char **argv)
{
    if (argc != 1)
        return usage(cli, argv[0], "");
    set_tenant(cli, NULL);
    return 0;
}

static int run_debug(struct cli *cli, int argc, char **argv)
{
    bool on = argc == 2 && !strcmp(argv[1], "on");

    if (argc != 2 || (!on && strcmp(argv[1], "off")))
        return usage(cli, argv[0], "on|off");
    log_set_level(on ? "debug" : "warn");
    print_line(&cli->out, "turned %s debug mode", argv[1]);
    return 0;
}

static const struct subcommand rows[] = {
    {"help", cmd_help, true, "[WORD]", "this list, or about a verb, a collection or a command",
     NULL},
    {"sett", run_sett, true, "TENANT", "lists show, and creates are for, this project only", NULL},
    {"cleart", run_cleart, true, "", "all projects again", NULL},
    {"debug", run_debug, true, "on|off", "log what happens", NULL},
    {"exit", run_exit, true, "", "leave (also quit, Ctrl-D)", NULL},
    {"quit", run_exit, true, NULL, NULL, NULL},
    {NULL, NULL, false, NULL, NULL, NULL},
};

static const struct subcommand *find_in(const struct subcommand *r, const char *name)
{
    for (; r && r->name; r++)
        if (!strcmp(r->name, name))
            return r;
    return NULL;
}

const struct subcommand *builtin_find(const struct cli *cli, const struct lex_word *w)
{
    const struct subcommand *r = w->quoted ? NULL : find_in(rows, w->text);

    return r || w->quoted ? r : find_in(cli->subcommands, w->text);
}

void builtin_each(const struct cli *cli, void (*fn)(const char *name, void *aux), void *aux)
{
    for (const struct subcommand *r = rows; r->name; r++)
        fn(r->name, aux);
    for (const struct subcommand *r = cli->subcommands; r && r->name; r++)
        fn(r->name, aux);
}

static void list_rows(struct cli *cli, const struct subcommand *r)
{
    for (; r && r->name; r++) {
        char *left = mem_printf("%s %s", r->name, r->usage ? r->usage : "");
        if (r->help)
            print_line(&cli->out, "  %-28s %s", left, r->help);
        free(left);
    }
}

void builtin_list(struct cli *cli)
{
    list_rows(cli, cli->subcommands);
    list_rows(cli, rows);
}
