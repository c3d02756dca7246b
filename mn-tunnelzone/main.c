/* mn-tunnelzone: tunnel zones for scripts, and whether their members reach each other. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "applets.h"
#include "base/log.h"
#include "check.h"
#include "cli/option.h"
#include "cli/ref.h"

struct args {
    struct cli cli;
    int n;
    char **words; /* positional */
    const char *type;
    bool may_exist, if_exists;
    unsigned given; /* options of commands: bits by OPT_ */
    struct check_options check;
};

/* Runs one line of mn-cli's grammar: words up to a null.  Those that begin with '=' are somebody's
 * values, which are never keywords. */
static int run(struct cli *cli, const char *const *words)
{
    struct lex_word list[16];
    struct lex l = {list, 0};

    for (; words[l.n]; l.n++) {
        bool value = words[l.n][0] == '=';
        list[l.n] = (struct lex_word){(char *)words[l.n] + value, 0, value};
    }
    return cli_run(cli, &l);
}

static char *value(const char *text)
{
    return mem_printf("=%s", text);
}

static int cmd_create(struct args *a)
{
    char *name = value(a->words[0]), *type = value(a->type ? a->type : "vxlan");
    const char *words[] = {
        "create", "tunnel-zone", "name", name, "type", type, a->may_exist ? "--may-exist" : NULL,
        NULL};
    int status = run(&a->cli, words);

    free(name);
    free(type);
    return status;
}

static int cmd_list(struct args *a)
{
    return run(&a->cli, (const char *[]){"list", "tunnel-zone", NULL});
}

static int add_member(json_t *member, void *aux)
{
    return json_array_append(aux, member);
}

/* One document, the members within. */
static int show_json(struct cli *cli, const char *text)
{
    json_t *zone = NULL, *members = json_array();
    struct error e = {0};
    struct uuid id;
    int rc = cli_connect(cli, &e);

    if (!rc)
        rc = ref_resolve(cli, ST_TUNNEL_ZONE, text, &id, &e);
    if (!rc)
        rc = objects_get(cli->db, ST_TUNNEL_ZONE, &id, &zone, &e);
    if (!rc)
        rc = objects_each(cli->db, ST_TUNNEL_ZONE_HOST, &id, add_member, members, &e);
    if (!rc) {
        json_t *doc =
            json_pack("{s:s,s:O,s:O}", "type", "tunnel-zone", "item", zone, "members", members);
        print_document(&cli->out, doc);
        json_decref(doc);
    }
    json_decref(zone);
    json_decref(members);
    return rc ? print_failure(&cli->out, &e) : 0;
}

static int cmd_show(struct args *a)
{
    if (a->cli.out.format == PRINT_JSON)
        return show_json(&a->cli, a->words[0]);
    char *zone = value(a->words[0]);
    int status = run(&a->cli, (const char *[]){"show", "tunnel-zone", zone, NULL});

    if (!status)
        status = run(&a->cli, (const char *[]){"list", "tunnel-zone", zone, "member", NULL});
    free(zone);
    return status;
}

static int cmd_delete(struct args *a)
{
    char *zone = value(a->words[0]);
    const char *words[] = {"delete", "tunnel-zone", zone, a->if_exists ? "--if-exists" : NULL,
                           NULL};
    int status = run(&a->cli, words);

    free(zone);
    return status;
}

static int cmd_add_host(struct args *a)
{
    char *zone = value(a->words[0]), *host = value(a->words[1]), *address = value(a->words[2]);
    const char *words[] = {"tunnel-zone", zone,    "create",
                           "member",      "host",  host,
                           "address",     address, a->may_exist ? "--may-exist" : NULL,
                           NULL};
    int status = run(&a->cli, words);

    free(zone);
    free(host);
    free(address);
    return status;
}

static int cmd_remove_host(struct args *a)
{
    char *zone = value(a->words[0]), *host = value(a->words[1]);
    const char *words[] = {
        "tunnel-zone", zone, "delete", "member", "host", host, a->if_exists ? "--if-exists" : NULL,
        NULL};
    int status = run(&a->cli, words);

    free(zone);
    free(host);
    return status;
}

static int cmd_check(struct args *a)
{
    return check_zone(&a->cli, a->words[0], &a->check);
}

static const struct row {
    const char *name;
    int (*run)(struct args *a);
    int n_words;
    const char *usage, *help;
} rows[] = {
    {"create", cmd_create, 1, "NAME [--type gre|vxlan|vtep] [--may-exist]", "make a zone"},
    {"list", cmd_list, 0, "", "all zones"},
    {"show", cmd_show, 1, "ZONE", "a zone and its members"},
    {"delete", cmd_delete, 1, "ZONE [--if-exists]", "remove a zone"},
    {"add-host", cmd_add_host, 3, "ZONE HOST ADDRESS [--may-exist]",
     "make a host a member, with its underlay address"},
    {"remove-host", cmd_remove_host, 2, "ZONE HOST [--if-exists]", "remove a member"},
    {"check", cmd_check, 1,
     "ZONE [--from HOST] [--mtu BYTES] [--timeout MS] [--publish] | "
     "ZONE --all [--max-age SECONDS]",
     "does this host reach all members, with packets as large as the\n"
     "                 overlay needs?  --publish: for others to read with --all"},
};

static int usage(FILE *f, int status)
{
    fputs("usage: mn-tunnelzone [OPTION]... COMMAND [ARGUMENT]...\n\n", f);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *form = rows[i].usage, *bar = strstr(form, " | ");
        if (bar)
            fprintf(f, "  %-12s %.*s\n", rows[i].name, (int)(bar - form), form);
        fprintf(f, "  %-12s %s\n  %-12s   %s\n", rows[i].name, bar ? bar + 3 : form, "",
                rows[i].help);
    }
    fputs(
        "\n"
        "  -s, --store URL     else $MN_STORE, else \"store\" in /etc/mn/mn.conf\n"
        "  -o, --output FMT    text, json, jsonl, tsv or name;  -j, --json is -o json\n"
        "  -h, --help          this text\n"
        "  -V, --version\n"
        "\n"
        "ZONE and HOST are names or uuids. Exit status: 0 done, or all is well; 1 failed, or the\n"
        "check found a pair that doesn't work; 2 usage; 3 not found; 4 conflict; 5 store\n"
        "unreachable; 6 denied.\n",
        f);
    return status;
}

enum {
    OPT_TYPE = 256,
    OPT_MAY_EXIST,
    OPT_IF_EXISTS,
    OPT_FROM,
    OPT_MTU,
    OPT_TIMEOUT,
    OPT_PUBLISH,
    OPT_ALL,
    OPT_MAX_AGE
};

static const struct option long_options[] = {
    {"store", required_argument, NULL, 's'},
    {"output", required_argument, NULL, 'o'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {"type", required_argument, NULL, OPT_TYPE},
    {"may-exist", no_argument, NULL, OPT_MAY_EXIST},
    {"if-exists", no_argument, NULL, OPT_IF_EXISTS},
    {"from", required_argument, NULL, OPT_FROM},
    {"mtu", required_argument, NULL, OPT_MTU},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"publish", no_argument, NULL, OPT_PUBLISH},
    {"all", no_argument, NULL, OPT_ALL},
    {"max-age", required_argument, NULL, OPT_MAX_AGE},
    {NULL, 0, NULL, 0},
};

/* One option; 1 when the tool is done (help), a negative error, else 0. */
static int take(struct args *a, int opt, struct error *e)
{
    if (opt >= OPT_TYPE)
        a->given |= 1u << (opt - OPT_TYPE);
    switch (opt) {
    case 's':
        a->cli.url = optarg;
        return 0;
    case 'o':
        return print_set_format(&a->cli.out, optarg, e);
    case 'j':
        a->cli.out.format = PRINT_JSON;
        return 0;
    case 'h':
        usage(stdout, 0);
        return 1;
    case 'V':
        printf("mn-tunnelzone %s\n", MN_VERSION);
        return 1;
    case OPT_TYPE:
        a->type = optarg;
        return 0;
    case OPT_MAY_EXIST:
        a->may_exist = true;
        return 0;
    case OPT_IF_EXISTS:
        a->if_exists = true;
        return 0;
    case OPT_FROM:
        a->check.from = optarg;
        return 0;
    case OPT_MTU:
        return option_number("--mtu", optarg, 68, 65000, &a->check.inner_mtu, e);
    case OPT_TIMEOUT:
        return option_number("--timeout", optarg, 1, 60000, &a->check.timeout_ms, e);
    case OPT_PUBLISH:
        a->check.publish = true;
        return 0;
    case OPT_ALL:
        a->check.all = true;
        return 0;
    case OPT_MAX_AGE:
        return option_number("--max-age", optarg, 1, 1u << 30, &a->check.max_age, e);
    default:
        return error_set(e, -EINVAL, NULL, NULL, "try mn-tunnelzone --help");
    }
}

/* An option that the command, in this form of it, doesn't have. */
static const char *stray_option(const struct args *a, const struct row *r)
{
    const char *bar = strstr(r->usage, " | ");
    bool second = bar && a->given & 1u << (OPT_ALL - OPT_TYPE);
    char form[128], word[24];

    snprintf(form, sizeof form, "%.*s ", bar && !second ? (int)(bar - r->usage) : 120,
             second ? bar : r->usage);
    for (const struct option *o = long_options; o->name; o++) {
        snprintf(word, sizeof word, "[--%s", o->name);
        if (o->val >= OPT_TYPE && a->given & 1u << (o->val - OPT_TYPE) && !strstr(form, word) &&
            !(second && o->val == OPT_ALL))
            return o->name;
    }
    return NULL;
}

static int run_row(struct args *a, const struct row *r)
{
    const char *stray = stray_option(a, r);
    struct error e = {0};

    if (a->n == r->n_words && !stray)
        return r->run(a);
    error_set(&e, -EINVAL, NULL, stray, "%susage: mn-tunnelzone %s %s",
              stray ? "not in this command; " : "", r->name, r->usage);
    return print_failure(&a->cli.out, &e);
}

static int dispatch(struct args *a)
{
    struct error e = {0};

    a->cli.format = a->cli.out.format;
    for (unsigned i = 0; a->n && i < ARRAY_SIZE(rows); i++) {
        if (strcmp(rows[i].name, a->words[0]))
            continue;
        a->words++;
        a->n--;
        return run_row(a, &rows[i]);
    }
    if (!a->n)
        return usage(stderr, 2);
    error_set(&e, -EINVAL, NULL, NULL, "no command '%s'", a->words[0]);
    error_hint(&e, "try mn-tunnelzone --help");
    return print_failure(&a->cli.out, &e);
}

int mn_tunnelzone_main(int argc, char **argv)
{
    struct args a = {.check = {.inner_mtu = 1500, .timeout_ms = 1000, .max_age = 3600}};
    struct error e = {0};
    int opt, rc = 0, status;

    log_set_level("warn");
    cli_init(&a.cli, "mn-tunnelzone", NULL, false);
    optind = 0;
    while (!rc && (opt = getopt_long(argc, argv, "s:o:jhV", long_options, NULL)) != -1)
        rc = take(&a, opt, &e);
    a.n = argc - optind;
    a.words = argv + optind;
    status = rc < 0 ? print_failure(&a.cli.out, &e) : rc ? 0 : dispatch(&a);
    cli_free(&a.cli);
    return status;
}
