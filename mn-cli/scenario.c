#include "scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "objects/objects.h"

/* Runs one mn-cli command given as words: its exit status, with what it complained of in 'e'.  What
 * it prints is thrown away. */
static int cli_status(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    char *complaint = NULL;
    size_t size = 0;
    FILE *null = fopen("/dev/null", "w"), *err = open_memstream(&complaint, &size);

    if (!null || !err)
        return error_set(e, -errno, NULL, NULL, "%s", strerror(errno));
    s->cli.out.out = null;
    s->cli.out.err = err;
    int status = cli_words(&s->cli, (int)n, (char **)w);
    fclose(null);
    fclose(err);
    complaint[strcspn(complaint, "\n")] = '\0';
    if (status)
        error_set(e, -EPROTO, NULL, NULL, "exit status %d: %s", status, complaint);
    free(complaint);
    return status;
}

static int run_cli(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    return cli_status(s, w, n, e) ? -EPROTO : 0;
}

static int run_cli_words(struct scenario *s, struct error *e, ...)
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

static int find_host(struct scenario *s, const char *name, struct error *e)
{
    for (unsigned i = 0; name && i < s->n_hosts; i++)
        if (!strcmp(s->hosts[i].name, name))
            return (int)i;
    return error_set(e, -ENOENT, name, NULL, "no host of this name is in the scenario");
}

static int st_mn(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    return run_cli(s, w, n, e);
}

static int st_refuse(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    struct error refused = {0};

    if (n < 2)
        return error_set(e, -EINVAL, NULL, NULL, "refuse STATUS COMMAND...");
    int status = cli_status(s, w + 1, n - 1, &refused);
    if (status == atoi(w[0]))
        return 0;
    return error_set(e, -EPROTO, NULL, NULL, "not status %s but %s", w[0],
                     status ? refused.message : "success");
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

static int st_only(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    bool here = false;
    size_t i = 0;

    for (; i < n && strcmp(w[i], "because"); i++)
        here |= !strcmp(w[i], s->datapath);
    if (i == n || i + 1 == n)
        return error_set(e, -EINVAL, NULL, NULL, "only DATAPATH... because REASON");
    if (here)
        return 0;
    size_t at = 0;
    for (i++; i < n && at < sizeof s->skipped; i++)
        at +=
            (size_t)snprintf(s->skipped + at, sizeof s->skipped - at, "%s%s", at ? " " : "", w[i]);
    return 1;
}

static int st_host(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    struct scenario_host *h = &s->hosts[s->n_hosts];
    char address[24], uuid[UUID_STRLEN];
    struct ip underlay;
    int rc;

    if (n != 1 || strlen(w[0]) >= sizeof h->name || s->n_hosts == LAB_HOSTS)
        return error_set(e, -EINVAL, NULL, NULL, "host NAME (at most %d)", LAB_HOSTS);
    if (!s->n_hosts &&
        (rc = run_cli_words(s, e, "create", "tunnel-zone", "name", "lab", "type", "vxlan", NULL)))
        return rc;
    snprintf(h->name, sizeof h->name, "%s", w[0]);
    uuid_random(&h->id);
    snprintf(address, sizeof address, "192.0.2.%u", s->n_hosts + 1);
    ip_parse(address, &underlay);
    if ((rc = s->lab->ops->host_add(s->lab, h->name, &h->id, &underlay, e)))
        return rc;
    s->n_hosts++;
    return run_cli_words(s, e, "tunnel-zone", "lab", "add", "member", "host",
                         uuid_format(&h->id, uuid), "address", address, NULL);
}

/* Is the port served?  Asked of the store, as other hosts would. */
static int port_active(struct scenario *s, const char *name, struct error *e)
{
    struct objects *db = objects_open(s->lab->ops->store(s->lab));
    struct uuid id;
    json_t *port = NULL;
    int rc = objects_resolve(db, ST_PORT, NULL, name, &id, e);

    if (!rc)
        rc = objects_get(db, ST_PORT, &id, &port, e);
    if (!rc)
        rc = json_is_true(json_object_get(port, "active"));
    json_decref(port);
    objects_close(db);
    return rc;
}

static int await_active(struct scenario *s, const char *name, bool active, struct error *e)
{
    for (unsigned waited = 0;;) {
        int rc = s->lab->ops->settle(s->lab, e);
        if (!rc)
            rc = port_active(s, name, e);
        if (rc < 0)
            return rc;
        if (rc == active)
            return s->lab->ops->settle(s->lab, e);
        if (waited >= 5 * LAB_PATIENCE_MS)
            return error_set(e, -ETIMEDOUT, name, NULL, "the port did not become %s",
                             active ? "active" : "inactive");
        waited += s->lab->ops->wait(s->lab, 20);
    }
}

static int st_bind(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    struct scenario_port *p = &s->ports[s->n_ports];
    char ifname[16], host[UUID_STRLEN];
    int h, rc;

    if (n != 2 || strlen(w[0]) >= sizeof p->name || s->n_ports == LAB_IFACES)
        return error_set(e, -EINVAL, NULL, NULL, "bind PORT HOST (at most %d)", LAB_IFACES);
    if ((h = find_host(s, w[1], e)) < 0)
        return h;
    snprintf(ifname, sizeof ifname, "if%u", s->n_ports);
    if ((rc = s->lab->ops->iface_add(s->lab, (unsigned)h, ifname, e)) < 0)
        return rc;
    *p = (struct scenario_port){.iface = (unsigned)rc, .host = (unsigned)h};
    snprintf(p->name, sizeof p->name, "%s", w[0]);
    s->n_ports++;
    rc = run_cli_words(s, e, "host", uuid_format(&s->hosts[h].id, host), "add", "binding", "port",
                       w[0], "interface", ifname, NULL);
    return rc ? rc : await_active(s, w[0], true, e);
}

static int st_unplug(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    int port = scenario_find_port(s, n == 1 ? w[0] : NULL, e);

    if (port < 0)
        return port;
    int rc = s->lab->ops->iface_del(s->lab, s->ports[port].iface, e);
    return rc ? rc : await_active(s, w[0], false, e);
}

static int st_link(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    int port = scenario_find_port(s, n == 2 ? w[0] : NULL, e);

    if (port < 0)
        return port;
    bool up = !strcmp(w[1], "up");
    if (!up && strcmp(w[1], "down"))
        return error_set(e, -EINVAL, NULL, NULL, "link PORT up|down");
    int rc = s->lab->ops->link(s->lab, s->ports[port].iface, up, e);
    return rc ? rc : await_active(s, w[0], up, e);
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
    for (i++; i < n && vm.n_gateways < VM_ADDRS; i++)
        if (ip_parse(w[i], &vm.gateways[vm.n_gateways++]))
            return error_set(e, -EINVAL, w[0], NULL, "\"%s\" is not an address", w[i]);
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

static int st_clock(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    char *end = NULL;
    double seconds = n == 1 ? strtod(w[0], &end) : -1;

    if (seconds < 0 || seconds > 1e6 || *end)
        return error_set(e, -EINVAL, NULL, NULL, "clock SECONDS");
    int rc = s->lab->ops->clock(s->lab, (uint64_t)(seconds * 1e9), e);
    return rc ? rc : s->lab->ops->settle(s->lab, e);
}

static int st_restart(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    bool keep = n == 2 && !strcmp(w[1], "keep");
    int h = find_host(s, n == 1 || keep ? w[0] : NULL, e), rc;

    if (h < 0)
        return h;
    if ((rc = s->lab->ops->restart(s->lab, (unsigned)h, keep, e)))
        return rc;
    for (unsigned i = 0; i < s->n_ports; i++)
        if (s->ports[i].host == (unsigned)h && (rc = await_active(s, s->ports[i].name, true, e)))
            return rc;
    return 0;
}

static int st_flows(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    int h = find_host(s, n == 2 ? w[0] : NULL, e), rc;
    uint64_t flows;

    if (h < 0)
        return h;
    if ((rc = s->lab->ops->settle(s->lab, e)) ||
        (rc = s->lab->ops->n_flows(s->lab, (unsigned)h, &flows, e)))
        return rc;
    if (flows == strtoull(w[1], NULL, 10))
        return 0;
    return error_set(e, -EPROTO, w[0], NULL, "%llu flows are installed, not %s",
                     (unsigned long long)flows, w[1]);
}

/* A statement that changes the topology is followed by settling; returns 1 to skip the file. */
static const struct statement {
    const char *verb;
    int (*run)(struct scenario *s, const char *const *w, size_t n, struct error *e);
    bool settle;
} statements[] = {
    {"only", st_only, false},
    {"let", st_let, false},
    {"section", st_section, false},
    {"host", st_host, true},
    {"mn", st_mn, true},
    {"refuse", st_refuse, false},
    {"bind", st_bind, false},
    {"unplug", st_unplug, false},
    {"link", st_link, false},
    {"vm", st_vm, false},
    {"forget", st_forget, false},
    {"clock", st_clock, false},
    {"restart", st_restart, false},
    {"flows", st_flows, false},
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

static int run_words(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    for (size_t i = 0; i < ARRAY_SIZE(statements); i++) {
        const struct statement *st = &statements[i];
        if (strcmp(st->verb, w[0]))
            continue;
        int rc = st->run(s, w + 1, n - 1, e);
        if (!rc && st->settle)
            rc = s->lab->ops->settle(s->lab, e);
        return rc;
    }
    return error_set(e, -EINVAL, NULL, NULL, "\"%s\" is no statement", w[0]);
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
        rc = run_words(s, (const char *const *)given, n, e);
    }
    while (n--)
        free(given[n]);
    lex_free(&words);
    return rc;
}

/* One statement, continued lines joined; false at the end of the file. */
static bool read_statement(FILE *f, struct strbuf *out, unsigned *line)
{
    char *text = NULL;
    size_t room = 0;
    ssize_t size;
    bool any = false, more = true;

    sb_free(out);
    while (more && (size = getline(&text, &room, f)) >= 0) {
        any = true;
        ++*line;
        while (size && (text[size - 1] == '\n' || text[size - 1] == '\r'))
            size--;
        more = size && text[size - 1] == '\\';
        sb_add_bytes(out, text, (size_t)size - more);
    }
    free(text);
    return any;
}

static int run_file(struct scenario *s, FILE *f, struct error *e)
{
    struct strbuf text = {0};
    int rc = 0;

    while (!rc && read_statement(f, &text, &s->line)) {
        const char *start = sb_str(&text) + strspn(sb_str(&text), " \t");
        if (*start && *start != '#')
            rc = run_line(s, start, e);
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
