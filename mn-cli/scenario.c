#include "scenario.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "objects/objects.h"

/* Runs one mn-cli command given as words: its exit status, with what it complained of in 'e'.  What
 * it prints goes to *said, the caller's; null: nowhere. */
static int cli_status(struct scenario *s, const char *const *w, size_t n, char **said,
                      struct error *e)
{
    char *printed = NULL, *complaint = NULL;
    size_t printed_size = 0, size = 0;

    s->cli.out.out = open_memstream(&printed, &printed_size);
    s->cli.out.err = open_memstream(&complaint, &size);
    if (!s->cli.out.out || !s->cli.out.err)
        return error_set(e, -errno, NULL, NULL, "%s", strerror(errno));
    int status = cli_words(&s->cli, (int)n, (char **)w);
    fclose(s->cli.out.out);
    fclose(s->cli.out.err);
    complaint[strcspn(complaint, "\n")] = '\0';
    if (status)
        error_set(e, -EPROTO, NULL, NULL, "exit status %d: %s", status, complaint);
    free(complaint);
    if (said)
        *said = printed;
    else
        free(printed);
    return status;
}

static int run_cli(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    return cli_status(s, w, n, NULL, e) ? -EPROTO : 0;
}

int scenario_cli(struct scenario *s, struct error *e, ...)
{
    const char *w[16];
    size_t n = 0;
    va_list ap;

    va_start(ap, e);
    while (n < ARRAY_SIZE(w) && (w[n] = va_arg(ap, const char *)))
        n++;
    va_end(ap);
    return run_cli(s, w, n, e);
}

static int st_mn(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    return run_cli(s, w, n, e);
}

bool scenario_number(const char *text, long min, long max, long *out)
{
    char *end;

    errno = 0;
    *out = strtol(text, &end, 10);
    return !errno && end != text && !*end && *out >= min && *out <= max;
}

static int st_refuse(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    struct error refused = {0};
    long wanted;

    if (n < 2 || !scenario_number(w[0], 1, 255, &wanted))
        return error_set(e, -EINVAL, NULL, NULL, "refuse STATUS COMMAND... (1 to 255)");
    int status = cli_status(s, w + 1, n - 1, NULL, &refused);
    if (status == wanted)
        return 0;
    return error_set(e, -EPROTO, NULL, NULL, "not status %s but %s", w[0],
                     status ? refused.message : "success");
}

/* What agents tell of themselves comes in its time. */
static int st_says(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    if (n < 2)
        return error_set(e, -EINVAL, NULL, NULL, "says TEXT COMMAND...");
    for (unsigned waited = 0;;) {
        char *said = NULL;
        int rc = s->lab->ops->settle(s->lab, e);
        if (!rc)
            rc = cli_status(s, w + 1, n - 1, &said, e) ? -EPROTO : 0;
        bool there = !rc && strstr(said, w[0]);
        if (!rc && !there && waited >= s->lab->ops->patience_ms) {
            said[strcspn(said, "\n")] = '\0';
            rc = error_set(e, -EPROTO, NULL, NULL, "\"%s\" isn't in \"%s\"", w[0], said);
        }
        free(said);
        if (rc || there)
            return rc;
        waited += s->lab->ops->wait(s->lab, 20);
    }
}

int scenario_let(struct scenario *s, const char *name, const char *value, struct error *e)
{
    unsigned i = 0;

    while (i < s->n_vars && strcmp(s->vars[i].name, name))
        i++;
    if (i == SCENARIO_VARS)
        return error_set(e, -EINVAL, name, NULL, "more than %d names", SCENARIO_VARS);
    char *copy = mem_strdup(value);
    if (i == s->n_vars)
        s->vars[s->n_vars++].name = mem_strdup(name);
    else
        free(s->vars[i].value);
    s->vars[i].value = copy;
    return 0;
}

static void forget_name(struct scenario *s, const char *name)
{
    for (unsigned i = 0; i < s->n_vars; i++) {
        if (strcmp(s->vars[i].name, name))
            continue;
        free(s->vars[i].name);
        free(s->vars[i].value);
        s->vars[i] = s->vars[--s->n_vars];
        return;
    }
}

static int st_let(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    if (n != 2)
        return error_set(e, -EINVAL, NULL, NULL, "let NAME VALUE");
    return scenario_let(s, w[0], w[1], e);
}

static int st_section(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    (void)e;
    if (!s->verbose)
        return 0;
    fprintf(stderr, "  --");
    for (size_t i = 0; i < n; i++)
        fprintf(stderr, " %s", w[i]);
    fprintf(stderr, "\n");
    return 0;
}

bool scenario_datapath(const char *name)
{
    return !strcmp(name, "memory") || !strcmp(name, "ebpf") || !strcmp(name, "ovs");
}

static int st_only(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    bool here = false;
    size_t i = 0;

    for (; i < n && strcmp(w[i], "because"); i++) {
        if (!scenario_datapath(w[i]))
            return error_set(e, -EINVAL, NULL, NULL, "\"%s\" is no datapath", w[i]);
        here |= !strcmp(w[i], s->datapath);
    }
    if (!i || i == n || i + 1 == n)
        return error_set(e, -EINVAL, NULL, NULL, "only DATAPATH... because REASON");
    if (here)
        return 0;
    size_t at = 0;
    for (i++; i < n && at < sizeof s->skipped; i++)
        at +=
            (size_t)snprintf(s->skipped + at, sizeof s->skipped - at, "%s%s", at ? " " : "", w[i]);
    return 1;
}

static int st_vm(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    int port = scenario_find_port(s, n >= 3 ? w[0] : NULL, e);
    struct vm vm = {.present = true};
    size_t i = 2;

    if (port < 0)
        return port;
    if (mac_parse(w[1], &vm.mac))
        return error_set(e, -EINVAL, w[0], NULL, "\"%s\" is not a MAC address", w[1]);
    for (; i < n && strcmp(w[i], "gw") && vm.n_addrs < VM_ADDRS; i++)
        if (cidr_parse(w[i], &vm.addrs[vm.n_addrs++]))
            return error_set(e, -EINVAL, w[0], NULL, "\"%s\" is not ADDRESS/LENGTH", w[i]);
    if (i < n && strcmp(w[i], "gw"))
        return error_set(e, -EINVAL, w[0], NULL, "more than %d addresses", VM_ADDRS);
    for (i += i < n; i < n && vm.n_gateways < VM_ADDRS; i++)
        if (ip_parse(w[i], &vm.gateways[vm.n_gateways++]))
            return error_set(e, -EINVAL, w[0], NULL, "\"%s\" is not an address", w[i]);
    if (i < n)
        return error_set(e, -EINVAL, w[0], NULL, "more than %d gateways", VM_ADDRS);
    s->ports[port].vm = vm;
    return 0;
}

static int st_forget(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    int port = scenario_find_port(s, n == 1 ? w[0] : NULL, e);

    if (port < 0)
        return port;
    vm_forget(&s->ports[port].vm);
    return 0;
}

static int st_for(struct scenario *s, const char *const *w, size_t n, struct error *e);

/* A statement that changes the topology is followed by settling; returns 1 to skip the file. */
static const struct statement {
    const char *verb;
    int (*run)(struct scenario *s, const char *const *w, size_t n, struct error *e);
    bool settle;
} statements[] = {
    {"only", st_only, false},
    {"let", st_let, false},
    {"section", st_section, false},
    {"host", scenario_host, true},
    {"mn", st_mn, true},
    {"refuse", st_refuse, false},
    {"says", st_says, false},
    {"for", st_for, true},
    {"bind", scenario_bind, false},
    {"rebind", scenario_rebind, false},
    {"unplug", scenario_unplug, false},
    {"link", scenario_link, false},
    {"vm", st_vm, false},
    {"forget", st_forget, false},
    {"clock", scenario_clock, false},
    {"stop", scenario_stop, true},
    {"start", scenario_start, false},
    {"restart", scenario_restart, false},
    {"flows", scenario_flows, false},
    {"send", scenario_send, false},
    {"sendraw", scenario_sendraw, false},
    {"again", scenario_again, false},
    {"expect", scenario_expect, false},
    {"drop", scenario_drop, false},
    {"nothing", scenario_nothing, false},
    {"ping", scenario_ping, false},
    {"fast", scenario_fast, false},
    {"slow", scenario_slow, false},
};

/* $NAME in 'word' replaced; the result is the caller's. */
static char *substitute(const struct scenario *s, const char *word)
{
    struct strbuf sb = {0};

    while (*word) {
        const char *dollar = strchrnul(word, '$');
        sb_add_bytes(&sb, word, (size_t)(dollar - word));
        if (!*dollar)
            break;
        size_t len =
            strspn(dollar + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
        unsigned i = s->n_vars;
        while (i-- > 0)
            if (strlen(s->vars[i].name) == len && !strncmp(s->vars[i].name, dollar + 1, len))
                break;
        if (i < s->n_vars)
            sb_add(&sb, s->vars[i].value);
        else
            sb_add_bytes(&sb, dollar, len + 1);
        word = dollar + 1 + len;
    }
    return sb_steal(&sb);
}

static int run_words(struct scenario *s, const char *const *w, size_t n, bool settle,
                     struct error *e)
{
    for (size_t i = 0; i < ARRAY_SIZE(statements); i++) {
        const struct statement *st = &statements[i];
        if (strcmp(st->verb, w[0]))
            continue;
        int rc = st->run(s, w + 1, n - 1, e);
        if (!rc && settle && st->settle)
            rc = s->lab->ops->settle(s->lab, e);
        return rc;
    }
    return error_set(e, -EINVAL, NULL, NULL, "\"%s\" is no statement", w[0]);
}

/* One turn, its names put in. */
static int run_turn(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    char *given[SCENARIO_WORDS] = {NULL};

    for (size_t i = 0; i < n; i++)
        given[i] = substitute(s, w[i]);
    int rc = run_words(s, (const char *const *)given, n, false, e);
    while (n--)
        free(given[n]);
    return rc;
}

/* The names stand for nothing outside, or they'd be put in before the first turn. */
static int st_for(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    char next[64], number[24];
    long from, to;
    int rc = 0;

    if (n < 4 || !scenario_number(w[1], INT32_MIN, INT32_MAX, &from) ||
        !scenario_number(w[2], from, MIN(from + 10000, INT32_MAX), &to) ||
        strlen(w[0]) > sizeof next - 8)
        return error_set(e, -EINVAL, NULL, NULL, "for NAME FROM TO STATEMENT... (at most 10000)");
    snprintf(next, sizeof next, "%s_next", w[0]);
    for (long i = from; !rc && i <= to; i++) {
        snprintf(number, sizeof number, "%ld", i);
        rc = scenario_let(s, w[0], number, e);
        snprintf(number, sizeof number, "%ld", i + 1);
        if (!rc)
            rc = scenario_let(s, next, number, e);
        if (!rc)
            rc = run_turn(s, w + 3, n - 3, e);
    }
    forget_name(s, next);
    forget_name(s, w[0]);
    return rc;
}

static int run_line(struct scenario *s, const char *line, struct error *e)
{
    struct lex words;
    char *given[SCENARIO_WORDS];
    int rc = lex_line(line, false, &words, e);
    size_t n = 0;

    if (!rc && words.n > SCENARIO_WORDS)
        rc = error_set(e, -EINVAL, NULL, NULL, "more than %d words", SCENARIO_WORDS);
    for (; !rc && n < words.n; n++)
        given[n] = substitute(s, words.words[n].text);
    if (!rc && n) {
        s->n_statements++;
        rc = run_words(s, (const char *const *)given, n, true, e);
    }
    while (n--)
        free(given[n]);
    lex_free(&words);
    return rc;
}

/* One statement, continued lines joined: 1, or 0 at the end of the file. */
static int read_statement(FILE *f, struct strbuf *out, unsigned *line, struct error *e)
{
    char *text = NULL;
    size_t room = 0;
    ssize_t size;
    bool any = false, more = true;

    sb_free(out);
    while (more && (size = getline(&text, &room, f)) >= 0) {
        any = true;
        ++*line;
        if (memchr(text, '\0', (size_t)size)) {
            free(text);
            return error_set(e, -EINVAL, NULL, NULL, "the line has a zero byte");
        }
        while (size && (text[size - 1] == '\n' || text[size - 1] == '\r'))
            size--;
        more = size && text[size - 1] == '\\';
        sb_add_bytes(out, text, (size_t)size - more);
    }
    int failed = ferror(f) ? errno : 0;
    free(text);
    return failed ? error_set(e, -failed, NULL, NULL, "%s", strerror(failed)) : any;
}

static int run_file(struct scenario *s, FILE *f, struct error *e)
{
    struct strbuf text = {0};
    int rc;

    while ((rc = read_statement(f, &text, &s->line, e)) > 0) {
        const char *start = sb_str(&text) + strspn(sb_str(&text), " \t");
        if (*start && *start != '#' && (rc = run_line(s, start, e)))
            break;
    }
    sb_free(&text);
    return rc ? rc : scenario_nothing(s, NULL, 0, e);
}

static int open_lab(struct scenario *s, const char *datapath, struct error *e)
{
    const struct lab_ops *ops = strcmp(datapath, "memory") ? &lab_netns : &lab_memory;
    int rc = ops->open(datapath, &s->lab, e);

    if (rc)
        return rc;
    cli_init(&s->cli, "mn-cli", NULL, false);
    s->cli.store = s->lab->ops->store(s->lab);
    s->cli.db = objects_open(s->cli.store);
    return 0;
}

int scenario_run(struct scenario *s, const char *path, const char *datapath, bool verbose,
                 struct error *e)
{
    FILE *f = fopen(path, "r");
    int rc;

    *s = (struct scenario){.file = path, .datapath = datapath, .verbose = verbose};
    if (!f)
        return error_set(e, -errno, path, NULL, "%s", strerror(errno));
    rc = open_lab(s, datapath, e);
    if (!rc) {
        rc = run_file(s, f, e);
        scenario_flush(s);
        objects_close(s->cli.db);
        s->cli.db = NULL;
        s->cli.store = NULL; /* the laboratory's */
        cli_free(&s->cli);
        s->lab->ops->close(s->lab);
    }
    fclose(f);
    while (s->n_vars--) {
        free(s->vars[s->n_vars].name);
        free(s->vars[s->n_vars].value);
    }
    return rc;
}
