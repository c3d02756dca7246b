/* export, import, schema: the topology and its description as files. */
#include <string.h>
#include <unistd.h>

#include "commands.h"

static int usage(struct cli *cli, const char *text)
{
    struct error e = {0};

    error_set(&e, -EINVAL, NULL, NULL, "usage: %s", text);
    return print_failure(&cli->out, &e);
}

static int fail(struct cli *cli, const char *path, int code)
{
    struct error e = {0};

    error_set(&e, -code, path, NULL, "%s", strerror(code));
    return print_failure(&cli->out, &e);
}

static int write_json(struct cli *cli, const json_t *doc, const char *path)
{
    bool to_stdout = !strcmp(path, "-");
    FILE *f = to_stdout ? cli->out.out : fopen(path, "we");

    if (!f)
        return fail(cli, path, errno);
    int bad = json_dumpf(doc, f, JSON_INDENT(1)) || fputs("\n", f) < 0;
    bad |= to_stdout ? fflush(f) : fclose(f);
    return bad ? fail(cli, path, EIO) : 0;
}

int cmd_export(struct cli *cli, int argc, char **argv)
{
    struct error e = {0};
    json_t *doc;

    if (argc > 2)
        return usage(cli, "export [FILE]");
    if (objects_export(cli->db, &doc, &e))
        return print_failure(&cli->out, &e);
    int status = write_json(cli, doc, argc > 1 ? argv[1] : "-");
    json_decref(doc);
    return status;
}

static int read_json(struct cli *cli, const char *path, json_t **doc)
{
    bool from_stdin = !strcmp(path, "-");
    struct error e = {0};
    json_error_t bad;
    FILE *f = from_stdin ? stdin : fopen(path, "re");

    if (!f)
        return fail(cli, path, errno);
    *doc = json_loadf(f, JSON_REJECT_DUPLICATES, &bad);
    if (!from_stdin)
        fclose(f);
    if (*doc)
        return 0;
    error_set(&e, -EINVAL, path, NULL, "line %d: %s", bad.line, bad.text);
    return print_failure(&cli->out, &e);
}

int cmd_import(struct cli *cli, int argc, char **argv)
{
    struct error e = {0};
    json_t *doc;

    if (argc != 2)
        return usage(cli, "import FILE|-");
    int status = read_json(cli, argv[1], &doc);
    if (status)
        return status;
    if (objects_import(cli->db, doc, &e))
        status = print_failure(&cli->out, &e);
    json_decref(doc);
    return status;
}

int cmd_schema(struct cli *cli, int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return usage(cli, "schema");
    json_t *doc = schema_describe();
    int status = write_json(cli, doc, "-");
    json_decref(doc);
    return status;
}
