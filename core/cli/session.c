#include <stdlib.h>
#include <string.h>

#include "cli/builtin.h"
#include "cli/commands.h"
#include "cli/conf.h"

/* Long enough for an election of the store's servers, short for somebody who waits. */
#define STORE_TIMEOUT_MS 10000

void cli_init(struct cli *cli, const char *program, const char *url, bool interactive)
{
    *cli = (struct cli){.url = url, .timeout_ms = STORE_TIMEOUT_MS};
    print_init(&cli->out, stdout, stderr, program);
    if (interactive)
        cli->aliases = aliases_new();
}

void cli_free(struct cli *cli)
{
    if (cli->db)
        objects_close(cli->db);
    store_close(cli->store);
    aliases_free(cli->aliases);
    free(cli->tenant);
    print_free(&cli->out);
    *cli = (struct cli){0};
}

int cli_connect(struct cli *cli, struct error *e)
{
    struct store_options opts = {.timeout_ms = cli->timeout_ms};
    char *url;

    if (cli->db)
        return 0;
    int rc = conf_store_url(cli->url, &url, e);
    if (rc)
        return rc;
    rc = store_open(url, &opts, &cli->store, e);
    free(url);
    if (rc)
        return rc;
    cli->db = objects_open(cli->store);
    return 0;
}

static int run_verb(struct cli *cli, const struct command *c, struct error *e)
{
    switch (c->verb) {
    case VERB_LIST:
        return cmd_list(cli, c, e);
    case VERB_SHOW:
        return cmd_show(cli, c, e);
    case VERB_CREATE:
    case VERB_ENSURE:
        return cmd_create(cli, c, e);
    case VERB_SET:
        return cmd_set(cli, c, e);
    case VERB_CLEAR:
        return cmd_clear(cli, c, e);
    case VERB_DELETE:
        return cmd_delete(cli, c, e);
    case VERB_DESCRIBE:
        return cmd_describe(cli, c, e);
    case VERB_NONE:
        break;
    }
    return error_set(e, -EINVAL, NULL, NULL, "Missing arguments, incomplete command");
}

/* A value is judged without knowing whose it will be: "bridge web", "port". */
static void name_subject(const struct command *c, struct error *e)
{
    const struct cmd_step *s = c->n_steps ? &c->steps[c->n_steps - 1] : NULL;

    if (s && e->field[0] && !e->object[0])
        snprintf(e->object, sizeof e->object, "%s%s%.60s", s->coll.word, s->id ? " " : "",
                 s->id ? s->id->text : "");
}

static int dispatch(struct cli *cli, const struct command *c, struct error *e)
{
    int rc = c->verb == VERB_DESCRIBE ? 0 : cli_connect(cli, e);

    if (rc)
        return rc;
    rc = run_verb(cli, c, e);
    if (rc < 0)
        name_subject(c, e);
    return rc;
}

static int run_grammar(struct cli *cli, const struct lex *l)
{
    struct error e = {0};
    struct command c;
    int rc = cmd_parse(l, &c, &e);

    if (c.format) {
        int bad = print_set_format(&cli->out, c.format, rc ? NULL : &e);
        rc = rc ? rc : bad;
    }
    if (!rc)
        rc = dispatch(cli, &c, &e);
    cmd_free(&c);
    if (rc < 0 && !e.code)
        error_set(&e, rc, NULL, NULL, "%s", strerror(-rc));
    return rc < 0 ? print_failure(&cli->out, &e) : rc;
}

static int run_builtin(struct cli *cli, const struct subcommand *sub, const struct lex *l)
{
    struct error e = {0};
    char **argv;
    int rc = sub->offline ? 0 : cli_connect(cli, &e);

    if (rc)
        return print_failure(&cli->out, &e);
    argv = NEW_ARRAY(l->n + 1, char *);
    for (size_t i = 0; i < l->n; i++)
        argv[i] = l->words[i].text;
    argv[l->n] = NULL;
    rc = sub->run(cli, (int)l->n, argv);
    free(argv);
    return rc;
}

int cli_run(struct cli *cli, const struct lex *l)
{
    const struct subcommand *sub = l->n ? builtin_find(cli, &l->words[0]) : NULL;

    cli->out.format = cli->format;
    int status = !l->n ? 0 : sub ? run_builtin(cli, sub, l) : run_grammar(cli, l);
    if (fflush(cli->out.out) || ferror(cli->out.out)) {
        struct error e = {0};
        error_set(&e, -EIO, NULL, NULL, "can't write the output: %s", strerror(errno));
        clearerr(cli->out.out);
        return print_failure(&cli->out, &e);
    }
    return status;
}

int cli_line(struct cli *cli, const char *line)
{
    struct error e = {0};
    struct lex l;
    int rc = lex_line(line, false, &l, &e);
    int status = rc ? print_failure(&cli->out, &e) : cli_run(cli, &l);

    lex_free(&l);
    return status;
}

int cli_words(struct cli *cli, int argc, char **argv)
{
    struct lex l;

    lex_argv(argc, argv, &l);
    int status = cli_run(cli, &l);
    lex_free(&l);
    return status;
}

int cli_script(struct cli *cli, FILE *f, const char *name, bool keep_going)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    int status = 0;

    cli->out.source = name;
    cli->out.line = 0;
    while (!cli->quit && (size = getline(&line, &capacity, f)) >= 0) {
        struct error e = {0};
        int rc;

        cli->out.line++;
        if (strlen(line) != (size_t)size) {
            error_set(&e, -EINVAL, NULL, NULL, "the line has a zero byte");
            rc = print_failure(&cli->out, &e);
        } else {
            /* The line's end is no part of it: a backslash before would quote it. */
            while (size && (line[size - 1] == '\n' || line[size - 1] == '\r'))
                line[--size] = '\0';
            rc = cli_line(cli, line);
        }
        status = rc ? rc : status;
        if (rc && !keep_going)
            break;
    }
    free(line);
    cli->out.source = NULL;
    return status;
}
