#include "client.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/control.h"
#include "cli/why.h"

/* A field of a row: its member in the answer, its name in text. */
struct column {
    const char *json, *name;
};

static void value_text(const json_t *v, struct strbuf *sb)
{
    size_t i;
    json_t *item;

    if (json_is_string(v))
        sb_add(sb, json_string_value(v));
    else if (json_is_integer(v))
        sb_printf(sb, "%" PRId64, (int64_t)json_integer_value(v));
    else if (json_is_real(v))
        sb_printf(sb, "%.3f", json_real_value(v));
    else if (json_is_boolean(v))
        sb_add(sb, json_is_true(v) ? "yes" : "no");
    json_array_foreach (v, i, item) {
        sb_add(sb, i ? "; " : "");
        value_text(item, sb);
    }
}

static void print_column(struct print *p, const struct column *c, const json_t *row)
{
    json_t *v = json_object_get(row, c->json);
    struct strbuf sb = {0};

    value_text(v, &sb);
    bool shown = v && !json_is_null(v) && sb.size;
    print_field(p, c->name, shown ? sb_str(&sb) : NULL, c->json, v, false);
    sb_free(&sb);
}

static void print_rows(struct print *p, const char *head, const struct column *columns,
                       const json_t *rows)
{
    json_t *row;
    size_t i;

    json_array_foreach (rows, i, row) {
        print_row(p, head, json_string_value(json_object_get(row, "id")));
        for (const struct column *c = columns; c->json; c++)
            print_column(p, c, row);
        print_row_end(p);
    }
}

/* Members of an object as lines "name value", those of objects in it with both names. */
static void print_members(struct print *p, const char *prefix, const json_t *doc)
{
    const char *key;
    json_t *v;

    json_object_foreach ((json_t *)doc, key, v) {
        struct strbuf sb = {0};
        char *name = mem_printf("%s%s%s", prefix, *prefix ? "-" : "", key);
        if (json_is_object(v)) {
            print_members(p, name, v);
        } else {
            value_text(v, &sb);
            print_line(p, "%-32s %s", name, sb_str(&sb));
        }
        free(name);
        sb_free(&sb);
    }
}

static int ask(const struct client_command *c, const struct client_options *o, struct print *p,
               json_t **reply)
{
    struct error e = {0};

    return control_ask(o->path, c->name, reply, &e) ? print_failure(p, &e) : 0;
}

/* status, memory, counters */
static int run_members(const struct client_command *c, const struct client_options *o,
                       struct print *p)
{
    json_t *reply;
    int status = ask(c, o, p, &reply);

    if (status)
        return status;
    if (print_is_json(p))
        print_document(p, reply);
    else
        print_members(p, "", reply);
    json_decref(reply);
    return 0;
}

static const struct column port_columns[] = {
    {"id", "id"},
    {"port", "name"},
    {"interface", "interface"},
    {"state", "state"},
    {"device", "device"},
    {"number", "number"},
    {"key", "key"},
    {"rx_packets", "rx-packets"},
    {"rx_bytes", "rx-bytes"},
    {"tx_packets", "tx-packets"},
    {"tx_bytes", "tx-bytes"},
    {"upcalls", "upcalls"},
    {"upcalls_lost", "upcalls-lost"},
    {"limited", "limited"},
    {NULL, NULL},
};

static int run_ports(const struct client_command *c, const struct client_options *o,
                     struct print *p)
{
    json_t *reply;
    int status = ask(c, o, p, &reply);

    if (status)
        return status;
    print_list(p, "agent-port");
    print_rows(p, "port", port_columns + 1, json_object_get(reply, "ports"));
    print_list_end(p);
    json_decref(reply);
    return 0;
}

static const struct column drop_columns[] = {
    {"reason", "reason"}, {"object", "object"}, {"packets", "packets"},
    {"flows", "flows"},   {"ago", "ago"},       {NULL, NULL},
};

static const struct column recent_columns[] = {
    {"ago", "ago"},       {"port", "port"},     {"reason", "reason"},
    {"object", "object"}, {"packet", "packet"}, {NULL, NULL},
};

static int run_drops(const struct client_command *c, const struct client_options *o,
                     struct print *p)
{
    json_t *reply;
    int status = ask(c, o, p, &reply);

    if (status)
        return status;
    if (p->format == PRINT_JSON) {
        print_document(p, reply);
    } else {
        print_list(p, "drop");
        print_rows(p, "drop", drop_columns, json_object_get(reply, "drops"));
        if (p->format == PRINT_TEXT)
            print_rows(p, "recent", recent_columns, json_object_get(reply, "recent"));
        print_list_end(p);
    }
    json_decref(reply);
    return 0;
}

static const struct column flow_columns[] = {
    {"match", "match"},   {"actions", "actions"}, {"class", "class"}, {"reason", "reason"},
    {"object", "object"}, {"packets", "packets"}, {"bytes", "bytes"}, {"age", "age"},
    {"used", "used"},     {NULL, NULL},
};
static const struct column why_columns[] = {
    {"match", "match"},   {"actions", "actions"}, {"class", "class"}, {"reason", "reason"},
    {"object", "object"}, {"packets", "packets"}, {"bytes", "bytes"}, {"age", "age"},
    {"used", "used"},     {"why", "why"},         {NULL, NULL},
};

struct lister {
    struct print *p;
    const char *head, *member;
    const struct column *columns;
};

static int print_page(json_t *line, void *aux)
{
    struct lister *l = aux;

    print_rows(l->p, l->head, l->columns, json_object_get(line, l->member));
    return 0;
}

static int run_listing(const char *request, const struct client_options *o, struct lister *l)
{
    struct error e = {0};

    print_list(l->p, l->head);
    int rc = control_each(o->path, request, print_page, l, &e);
    print_list_end(l->p);
    return rc ? print_failure(l->p, &e) : 0;
}

static int run_flows(const struct client_command *c, const struct client_options *o,
                     struct print *p)
{
    struct lister l = {p, "flow", "flows", o->why ? why_columns : flow_columns};

    (void)c;
    return run_listing(o->why ? "flows why" : "flows", o, &l);
}

static const struct column connection_columns[] = {
    {"kind", "kind"},
    {"protocol", "protocol"},
    {"source", "source"},
    {"destination", "destination"},
    {"translated", "translated"},
    {"device", "device"},
    {"origin", "origin"},
    {"age", "age"},
    {"idle", "idle"},
    {NULL, NULL},
};

static int run_connections(const struct client_command *c, const struct client_options *o,
                           struct print *p)
{
    struct lister l = {p, "connection", "connections", connection_columns};
    char request[128];

    (void)c;
    snprintf(request, sizeof request, "connections %.100s", o->argument ? o->argument : "");
    return run_listing(request, o, &l);
}

static int run_why(const struct client_command *c, const struct client_options *o, struct print *p)
{
    struct error e = {0};
    char request[256];
    json_t *reply;

    (void)c;
    snprintf(request, sizeof request, "why %.200s", o->argument ? o->argument : "");
    if (control_ask(o->path, request, &reply, &e))
        return print_failure(p, &e);
    why_print(p, reply);
    json_decref(reply);
    return 0;
}

static int run_stop(const struct client_command *c, const struct client_options *o, struct print *p)
{
    struct error e = {0};
    json_t *reply;

    (void)c;
    if (control_ask(o->path, o->keep_flows ? "stop keep-flows" : "stop", &reply, &e))
        return print_failure(p, &e);
    json_decref(reply);
    return 0;
}

static int run_sync(const struct client_command *c, const struct client_options *o, struct print *p)
{
    json_t *reply;
    int status = ask(c, o, p, &reply);

    if (status)
        return status;
    bool settled = json_is_true(json_object_get(reply, "settled"));
    json_decref(reply);
    if (!settled)
        print_note(p, "the agent did not come to rest");
    return settled ? 0 : 7;
}

const struct client_command client_commands[] = {
    {"status", "is it ready, what does it serve, is the store there", run_members, NULL},
    {"ports", "virtual ports bound to this host, and their interfaces", run_ports, NULL},
    {"flows", "what is installed in the datapath; --why: what each depends on", run_flows, NULL},
    {"connections", "what is remembered of connections: tracked, translated; of one ADDRESS",
     run_connections, "[ADDRESS]"},
    {"drops", "packets dropped, why, and because of which object; the last ones", run_drops, NULL},
    {"why", "what becomes of a port's packets: drops, by whom; PORT: name, id or interface",
     run_why, "PORT"},
    {"memory", "bytes held, by subsystem", run_members, NULL},
    {"counters", "everything that is counted, by name", run_members, NULL},
    {"sync", "waits until what has been committed is applied here", run_sync, NULL},
    {"stop", "ends the agent; --keep-flows: what is installed goes on forwarding", run_stop, NULL},
    {NULL, NULL, NULL, NULL},
};

int client_run(const char *command, const struct client_options *o, struct print *p)
{
    const struct client_command *c = client_commands;
    struct error e = {0};

    while (c->name && strcmp(c->name, command))
        c++;
    if (c->name && (!o->argument || c->argument))
        return c->run(c, o, p);
    if (c->name)
        error_set(&e, -EINVAL, NULL, NULL, "unexpected word '%s'", o->argument);
    else
        error_set(&e, -EINVAL, NULL, NULL, "no command '%s'", command);
    error_hint(&e, "try mn-agent --help");
    return print_failure(p, &e);
}
