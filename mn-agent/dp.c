#include "dp.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/control.h"
#include "base/clock.h"
#include "base/types.h"
#include "datapath/ovs_view.h"

struct query {
    const char *name; /* of a datapath; null: the agent's */
    char **words;     /* flows: what they must hold */
    int n_words;
    struct print *p;
    const struct client_options *o;
};

static void text_field(struct print *p, const char *name, const char *text)
{
    json_t *v = json_string(text);

    print_field(p, name, text, name, v, false);
    json_decref(v);
}

static void number_field(struct print *p, const char *name, const char *json, uint64_t n)
{
    json_t *v = json_integer((json_int_t)n);
    char text[32];

    snprintf(text, sizeof text, "%" PRIu64, n);
    print_field(p, name, text, json, v, false);
    json_decref(v);
}

/* Filters: "FIELD=VALUE" or a word, one of those the match or the actions are made of; an address
 * also when it lies in the prefix asked for. */

static bool in_prefix(const char *token, const char *word)
{
    const char *value = strchr(word, '='), *have = strchr(token, '=');
    struct cidr want, is;

    if (!value || !have || value - word != have - token ||
        strncmp(word, token, (size_t)(value - word)))
        return false;
    return !cidr_parse(value + 1, &want) && !cidr_parse(have + 1, &is) &&
           cidr_contains(&want, &is.addr);
}

static bool holds_word(const char *text, const char *word)
{
    char *copy = mem_strdup(text), *save;
    bool found = false;

    for (char *t = strtok_r(copy, ",() ;", &save); t && !found; t = strtok_r(NULL, ",() ;", &save))
        found = !strcmp(t, word) || in_prefix(t, word);
    free(copy);
    return found;
}

static bool wanted(const struct query *q, const char *match, const char *actions)
{
    for (int i = 0; i < q->n_words; i++)
        if (!holds_word(match, q->words[i]) && !holds_word(actions, q->words[i]))
            return false;
    return true;
}

/* list */

static int list_dp(const struct ovs_view_dp *d, void *aux)
{
    struct print *p = ((struct query *)aux)->p;

    print_row(p, "datapath", NULL);
    text_field(p, "name", d->name);
    text_field(p, "type", "ovs");
    number_field(p, "flows", "flows", d->n_flows);
    number_field(p, "masks", "masks", d->n_masks);
    number_field(p, "hit", "hit", d->hit);
    number_field(p, "missed", "missed", d->missed);
    number_field(p, "lost", "lost", d->lost);
    print_row_end(p);
    return 0;
}

/* The agent's own, when there is one and the kernel's list doesn't have it. */
static void list_own(struct query *q)
{
    struct error e = {0};
    json_t *reply = NULL;

    if (control_ask(q->o->path, "status", &reply, &e))
        return;
    const char *type = json_string_value(json_object_get(reply, "datapath"));
    const char *name = json_string_value(json_object_get(reply, "instance"));

    if (type && strcmp(type, "ovs")) {
        print_row(q->p, "datapath", NULL);
        text_field(q->p, "name", name ? name : "mn"); /* an older agent doesn't say */
        text_field(q->p, "type", type);
        print_row_end(q->p);
    }
    json_decref(reply);
}

static int run_list(struct query *q)
{
    struct error e = {0};

    print_list(q->p, "datapath");
    list_own(q);
    int rc = ovs_view_each(list_dp, q, &e);

    print_list_end(q->p);
    return rc ? print_failure(q->p, &e) : 0;
}

/* show */

static int show_dp(const struct ovs_view_dp *d, void *aux)
{
    struct query *q = aux;

    if (strcmp(d->name, q->name))
        return 0;
    list_dp(d, q);
    return 1;
}

static int run_show(struct query *q)
{
    struct error e = {0};

    if (!q->name)
        return client_run("counters", q->o, q->p);
    print_one(q->p, "datapath");
    int rc = ovs_view_each(show_dp, q, &e);

    print_one_end(q->p);
    if (!rc)
        rc = error_set(&e, -ENOENT, NULL, NULL, "no datapath '%s'", q->name);
    return rc < 0 ? print_failure(q->p, &e) : 0;
}

/* ports */

static int list_port(const struct ovs_view_port *port, void *aux)
{
    struct print *p = ((struct query *)aux)->p;

    print_row(p, "port", NULL);
    number_field(p, "number", "number", port->port_no);
    text_field(p, "interface", port->name);
    text_field(p, "type", port->type);
    number_field(p, "rx-packets", "rx_packets", port->rx_packets);
    number_field(p, "rx-bytes", "rx_bytes", port->rx_bytes);
    number_field(p, "tx-packets", "tx_packets", port->tx_packets);
    number_field(p, "tx-bytes", "tx_bytes", port->tx_bytes);
    number_field(p, "rx-dropped", "rx_dropped", port->rx_dropped);
    number_field(p, "tx-dropped", "tx_dropped", port->tx_dropped);
    print_row_end(p);
    return 0;
}

static int run_ports(struct query *q)
{
    struct error e = {0};

    if (!q->name)
        return client_run("ports", q->o, q->p);
    print_list(q->p, "datapath-port");
    int rc = ovs_view_ports(q->name, list_port, q, &e);

    print_list_end(q->p);
    return rc ? print_failure(q->p, &e) : 0;
}

/* flows */

static void print_flow(struct print *p, const char *match, const char *actions, uint64_t packets,
                       uint64_t bytes)
{
    print_row(p, "flow", NULL);
    text_field(p, "match", match);
    text_field(p, "actions", actions);
    number_field(p, "packets", "packets", packets);
    number_field(p, "bytes", "bytes", bytes);
}

static int list_flow(const struct ovs_view_flow *f, void *aux)
{
    struct query *q = aux;
    char match[512];

    flow_key_format(&f->key, &f->mask, match, sizeof match);
    if (!wanted(q, match, f->actions))
        return 0;
    print_flow(q->p, match, f->actions, f->packets, f->bytes);
    if (f->used_ns)
        number_field(q->p, "idle", "idle", (clock_ns() - f->used_ns) / NSEC_PER_SEC);
    print_row_end(q->p);
    return 0;
}

static uint64_t member(const json_t *row, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(row, name));
}

static int list_agent_flows(json_t *page, void *aux)
{
    struct query *q = aux;
    json_t *row, *action;
    size_t i, j;

    json_array_foreach (json_object_get(page, "flows"), i, row) {
        const char *match = json_string_value(json_object_get(row, "match"));
        struct strbuf actions = {0};

        json_array_foreach (json_object_get(row, "actions"), j, action)
            sb_printf(&actions, "%s%s", j ? "; " : "", json_string_value(action));
        if (!actions.size)
            sb_add(&actions, "drop");
        if (match && wanted(q, match, sb_str(&actions))) {
            print_flow(q->p, match, sb_str(&actions), member(row, "packets"), member(row, "bytes"));
            print_row_end(q->p);
        }
        sb_free(&actions);
    }
    return 0;
}

static int run_flows(struct query *q)
{
    struct error e = {0};
    int rc;

    print_list(q->p, "datapath-flow");
    if (q->name)
        rc = ovs_view_flows(q->name, list_flow, q, &e);
    else
        rc = control_each(q->o->path, "flows", list_agent_flows, q, &e);
    print_list_end(q->p);
    return rc ? print_failure(q->p, &e) : 0;
}

static const struct {
    const char *name;
    int (*run)(struct query *q);
    bool filters;
} commands[] = {
    {"list", run_list, false},
    {"show", run_show, false},
    {"ports", run_ports, false},
    {"flows", run_flows, true},
};

static int is_name(const struct ovs_view_dp *d, void *aux)
{
    return !strcmp(d->name, aux);
}

int dp_run(int argc, char **argv, const struct client_options *o, struct print *p)
{
    const struct client_options plain = {.path = o->path};
    struct query q = {.p = p, .o = &plain, .words = argv + 1, .n_words = argc - 1};
    const char *command = argc ? argv[0] : "list";
    struct error e = {0};

    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (strcmp(command, commands[i].name))
            continue;
        /* A name, unless it could be a filter and no datapath is called so. */
        if (q.n_words > 0 && !strchr(q.words[0], '=') &&
            (!commands[i].filters || ovs_view_each(is_name, q.words[0], NULL) == 1)) {
            q.name = *q.words++;
            q.n_words--;
        }
        if (q.n_words > 0 && !commands[i].filters) {
            error_set(&e, -EINVAL, NULL, NULL, "unexpected word '%s'", q.words[0]);
            return print_failure(p, &e);
        }
        return commands[i].run(&q);
    }
    error_set(&e, -EINVAL, NULL, NULL, "no command 'dp %s'", command);
    error_hint(&e, "dp list, dp show [NAME], dp ports [NAME], dp flows [NAME] [FIELD=VALUE...]");
    return print_failure(p, &e);
}
