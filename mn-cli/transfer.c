/* export, import, schema: the topology and its description as files. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

/* 0 or a positive errno. */
static int dump(const json_t *doc, FILE *f)
{
    errno = 0;
    int bad = json_dumpf(doc, f, JSON_INDENT(1)) || fputs("\n", f) < 0 || fflush(f);

    return bad ? errno ? errno : EIO : 0;
}

/* A file in the place of 'path' that is there as a whole or not at all: what was there is the last
 * backup perhaps.  Secrets are in it, so a new one is the owner's only. */
static int write_whole(const json_t *doc, const char *path, mode_t mode)
{
    char *fresh = mem_printf("%s.XXXXXX", path);
    int fd = mkstemp(fresh), failed = fd < 0 ? errno : 0;
    FILE *f = failed ? NULL : fdopen(fd, "w");

    if (f) {
        failed = dump(doc, f);
        if (!failed && (fchmod(fd, mode) || fsync(fd)))
            failed = errno;
        if (fclose(f) && !failed)
            failed = errno;
        if (!failed && rename(fresh, path))
            failed = errno;
        if (failed)
            unlink(fresh);
    }
    free(fresh);
    return failed;
}

static int write_json(struct cli *cli, const json_t *doc, const char *path)
{
    struct stat st;
    bool there = !lstat(path, &st);
    int failed;

    if (!strcmp(path, "-")) {
        failed = dump(doc, cli->out.out);
    } else if (there && !S_ISREG(st.st_mode)) { /* a pipe, a device, a link */
        FILE *f = fopen(path, "we");
        failed = f ? dump(doc, f) : errno;
        if (f && fclose(f) && !failed)
            failed = errno;
    } else {
        failed = write_whole(doc, path, there ? st.st_mode & 07777 : 0600);
    }
    return failed ? fail(cli, path, failed) : 0;
}

int cmd_export(struct cli *cli, int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "-";
    uint64_t broken = objects_stats(cli->db)->broken;
    struct error e = {0};
    json_t *doc;

    if (argc > 2)
        return usage(cli, "export [FILE]");
    if (objects_export(cli->db, &doc, &e))
        return print_failure(&cli->out, &e);
    int status = write_json(cli, doc, path);
    json_decref(doc);
    broken = objects_stats(cli->db)->broken - broken;
    if (status || !broken)
        return status;
    error_set(&e, -EBADMSG, path, NULL, "objects of the store that are broken, left out: %llu",
              (unsigned long long)broken);
    error_hint(&e, "the warnings name them; \"delete\" with the uuid removes one");
    return print_failure(&cli->out, &e);
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
