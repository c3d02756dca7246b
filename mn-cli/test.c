/* "mn-cli test": runs scenario files (docs/scenarios.md). */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "commands.h"
#include "scenario.h"

static void report_text(const struct scenario *s, int rc, const struct error *e, uint64_t ms)
{
    char text[700];

    if (rc > 0)
        printf("skipped %s [%s]: %s\n", s->file, s->datapath, s->skipped);
    else if (!rc)
        printf("ok      %s [%s] %u statements, %llu ms\n", s->file, s->datapath, s->n_statements,
               (unsigned long long)ms);
    else
        printf("FAILED  %s:%u [%s] %s\n", s->file, s->line, s->datapath,
               error_format(e, text, sizeof text));
    fflush(stdout);
}

static void report_json(const struct scenario *s, int rc, const struct error *e, uint64_t ms)
{
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:i, s:I}", "file", s->file, "datapath", s->datapath, "result",
                  rc > 0 ? "skipped"
                  : rc   ? "failed"
                         : "passed",
                  "statements", s->n_statements, "ms", (json_int_t)ms);

    if (rc > 0)
        json_object_set_new(o, "reason", json_string(s->skipped));
    if (rc < 0) {
        char text[700];
        json_object_set_new(o, "line", json_integer(s->line));
        json_object_set_new(o, "error", json_string(error_format(e, text, sizeof text)));
    }
    json_dumpf(o, stdout, JSON_COMPACT);
    putchar('\n');
    fflush(stdout);
    json_decref(o);
}

/* The worst of all files counts: one that failed before one that can't be read. */
static int exit_status(const struct scenario *s, int rc)
{
    bool unreadable = rc == -EINVAL || !s->line;

    return unreadable ? 2 : 1;
}

int cmd_test(struct cli *cli, int argc, char **argv)
{
    static const struct option options[] = {{"datapath", required_argument, NULL, 'd'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {"json", no_argument, NULL, 'j'},
                                            {0}};
    const char *datapath = "memory";
    bool verbose = false, json = cli->format == PRINT_JSON || cli->format == PRINT_JSONL;
    int c, status = 0;

    optind = 0;
    while ((c = getopt_long(argc, argv, "d:vj", options, NULL)) >= 0) {
        if (c == 'd')
            datapath = optarg;
        else if (c == 'v')
            verbose = true;
        else if (c == 'j')
            json = true;
        else
            return 2;
    }
    if (optind == argc) {
        fprintf(stderr, "usage: mn-cli test [--datapath memory|ebpf|ovs] [-v] [--json] FILE...\n");
        return 2;
    }
    if (!scenario_datapath(datapath)) {
        struct error e = {0};
        error_set(&e, -EINVAL, NULL, "--datapath", "no datapath '%s'", datapath);
        error_hint(&e, "memory, ebpf or ovs");
        return print_failure(&cli->out, &e);
    }
    for (int i = optind; i < argc; i++) {
        static struct scenario s; /* large: frames */
        struct error e = {0};
        uint64_t start = clock_ns();
        int rc = scenario_run(&s, argv[i], datapath, verbose, &e);
        (json ? report_json : report_text)(&s, rc, &e, (clock_ns() - start) / NSEC_PER_MSEC);
        if (rc > 0 && argc - optind == 1)
            status = 77; /* alone and skipped: automake's convention, which test drivers know */
        if (rc < 0 && status != 1)
            status = exit_status(&s, rc);
    }
    return status;
}
