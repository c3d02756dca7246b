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
