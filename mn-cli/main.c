/* mn-cli: look at and change the virtual topology. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "applets.h"
#include "base/log.h"
#include "cli/cli.h"
#include "commands.h"

static const struct subcommand commands[] = {
    {"export", cmd_export, false, "[FILE]", "write the whole topology as JSON", NULL},
    {"import", cmd_import, false, "FILE|-", "load what export wrote into an empty store", NULL},
    {"schema", cmd_schema, true, "", "JSON Schema of all objects", NULL},
    {"trace", cmd_trace, true, "[--file EXPORT | --live] [--json] PORT PACKET...",
     "where a packet would go, and why", trace_help},
    {"why", cmd_why, false, "[--control SOCKET] [--json] PORT",
     "what becomes of a port's packets: drops, by whom", why_help},
    {"test", cmd_test, true, "[--datapath memory|ebpf|ovs] [-v] [--json] FILE...",
     "run scenario files", test_help},
    {NULL, NULL, false, NULL, NULL, NULL},
};

/* Somebody has pressed TAB: keywords now are better than names late. */
#define COMPLETE_TIMEOUT_MS 1000

struct options {
    const char *store, *format;
    unsigned timeout_ms;
    bool eval, keep_going, complete;
};

static const char usage_text[] =
    "usage: mn-cli [OPTION]... [COMMAND...]\n"
    "       mn-cli [OPTION]... -e COMMAND-LINE...\n"
    "       mn-cli [OPTION]... < SCRIPT\n"
    "\n"
    "Without a command: a shell on a terminal, else commands line by line from stdin.\n"
    "\n"
    "  -s, --store URL     zk://HOST:PORT,.../ROOT or file:PATH; else $MN_STORE, else\n"
    "                      \"store = URL\" in /etc/mn/mn.conf, else file:/var/lib/mn/mn.db\n"
    "  -e, --eval          join the words that follow and read them as one command line\n"
    "  -o, --output FMT    text, json, jsonl, tsv or name;  -j, --json is -o json\n"
    "  -k, --keep-going    scripts: go on after a command that failed\n"
    "  -t, --timeout SEC   wait this long for the store; 10\n"
    "  -d, --debug         log what happens\n"
    "  -h, --help          this text; \"mn-cli help\" lists the commands\n"
    "  -V, --version\n"
    "\n"
    "exit status: 0 done or nothing to do, 1 failed, 2 usage, 3 not found, 4 conflict,\n"
    "             5 store unreachable, 6 denied, 10 would change (--check)\n";

enum { OPT_COMPLETE = 256 };

static const struct option long_options[] = {
    {"store", required_argument, NULL, 's'},
    {"eval", no_argument, NULL, 'e'},
    {"output", required_argument, NULL, 'o'},
    {"json", no_argument, NULL, 'j'},
    {"keep-going", no_argument, NULL, 'k'},
    {"timeout", required_argument, NULL, 't'},
    {"debug", no_argument, NULL, 'd'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {"complete", no_argument, NULL, OPT_COMPLETE},
    {NULL, 0, NULL, 0},
};

static bool parse_seconds(const char *text, unsigned *ms)
{
    char *end;
    double seconds = strtod(text, &end);

    if (end == text || *end || !(seconds >= 0.001 && seconds <= 86400)) {
        fprintf(stderr, "mn-cli: --timeout: no number of seconds: '%s'\n", text);
        return false;
    }
    *ms = (unsigned)(seconds * 1000);
    return true;
}

/* The index of the first word of the command, or -1 - EXIT_STATUS. */
static int parse_options(int argc, char **argv, struct options *o)
{
    int opt;

    optind = 0;
    while ((opt = getopt_long(argc, argv, "+s:eo:jkt:dhV", long_options, NULL)) != -1) {
        switch (opt) {
        case 's':
            o->store = optarg;
            break;
        case 'e':
            o->eval = true;
            return optind;
        case 'o':
            o->format = optarg;
            break;
        case 'j':
            o->format = "json";
            break;
        case 'k':
            o->keep_going = true;
            break;
        case 't':
            if (!parse_seconds(optarg, &o->timeout_ms))
                return -1 - 2;
            break;
        case 'd':
            log_set_level("debug");
            break;
        case 'h':
            fputs(usage_text, stdout);
            return -1;
        case 'V':
            printf("mn-cli %s\n", MN_VERSION);
            return -1;
        case OPT_COMPLETE:
            o->complete = true;
            return optind;
        default:
            return -1 - 2;
        }
    }
    return optind;
}

/* Candidates for the last of the words of a mn-cli command line, one a line.  The shell gives us
 * the tool's own options too. */
static int complete(struct cli *cli, int argc, char **argv)
{
    struct candidates found;
    struct lex l;
    int first = 0;

    for (; first + 1 < argc && argv[first][0] == '-'; first++) {
        bool store = !strcmp(argv[first], "-s") || !strcmp(argv[first], "--store");
        if (store && first + 2 < argc)
            cli->url = argv[++first];
        else if (!strcmp(argv[first], "-o") || !strcmp(argv[first], "--output"))
            first++;
    }
    if (first >= argc)
        return 0;
    cli->timeout_ms = COMPLETE_TIMEOUT_MS;
    lex_argv(argc - first, argv + first, &l);
    cli_complete(cli, &l, &found);
    for (size_t i = 0; i < found.n; i++)
        printf("%s\n", found.words[i]);
    candidates_free(&found);
    lex_free(&l);
    return 0;
}

static int eval(struct cli *cli, int argc, char **argv)
{
    struct strbuf line = {0};

    for (int i = 0; i < argc; i++)
        sb_printf(&line, "%s%s", i ? " " : "", argv[i]);
    int status = cli_line(cli, sb_str(&line));
    sb_free(&line);
    return status;
}

static int run(struct cli *cli, const struct options *o, int argc, char **argv)
{
    if (o->complete)
        return complete(cli, argc, argv);
    if (o->eval)
        return eval(cli, argc, argv);
    if (argc)
        return cli_words(cli, argc, argv);
    if (cli->aliases)
        return cli_interact(cli);
    return cli_script(cli, stdin, "stdin", o->keep_going);
}

int mn_cli_main(int argc, char **argv)
{
    struct options o = {0};
    struct error e = {0};
    struct cli cli;
    int first, status;

    log_set_level("warn");
    first = parse_options(argc, argv, &o);
    if (first < 0)
        return -1 - first;
    cli_init(&cli, "mn-cli", o.store,
             !o.complete && !o.eval && first == argc && isatty(STDIN_FILENO));
    cli.subcommands = commands;
    if (o.timeout_ms)
        cli.timeout_ms = o.timeout_ms;
    if (o.format && print_set_format(&cli.out, o.format, &e))
        status = print_failure(&cli.out, &e);
    else {
        cli.format = cli.out.format;
        status = run(&cli, &o, argc - first, argv + first);
    }
    cli_free(&cli);
    return status;
}
