/* "mn-cli why PORT": what the store knows of a port's state, then what the agent of its host has
 * counted, if that agent runs on this machine; else where to ask. */
#include <getopt.h>
#include <string.h>

#include "agent/control.h"
#include "cli/ref.h"
#include "cli/why.h"
#include "commands.h"

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));

    return s ? s : "";
}

/* What follows from the configuration alone; null: the agent knows more. */
static const char *plain_answer(const json_t *port)
{
    if (json_is_false(json_object_get(port, "adminStateUp")))
        return "administratively down: everything is dropped";
    if (*text(port, "peerId"))
        return "linked to another device's port: ask about the ports machines are behind";
    if (!*text(port, "hostId"))
        return "neither bound to an interface nor linked: nothing gets here";
    return NULL;
}

static int say(struct cli *cli, const char *id, const char *name, const char *state)
{
    if (print_is_json(&cli->out)) {
        json_t *doc = json_pack("{s:s,s:s,s:s}", "id", id, "port", name, "state", state);
        print_document(&cli->out, doc);
        json_decref(doc);
    } else {
        print_line(&cli->out, "port %s: %s", *name ? name : id, state);
    }
    return 0;
}

/* The agent there is this host's; its answer (new reference), or null. */
static json_t *ask_agent(const char *path, const char *host, const char *port)
{
    json_t *status = NULL, *answer = NULL;
    char request[64];

    if (control_ask(path, "status", &status, NULL))
        return NULL;
    snprintf(request, sizeof request, "why %s", port);
    if (!strcmp(text(status, "host"), host))
        control_ask(path, request, &answer, NULL);
    json_decref(status);
    return answer;
}

static int elsewhere(struct cli *cli, const json_t *port, const char *id)
{
    json_t *host = NULL;
    struct uuid uuid;
    char state[256];

    if (!uuid_parse(text(port, "hostId"), &uuid))
        objects_get(cli->db, ST_HOST, &uuid, &host, NULL);
    bool alive = json_is_true(json_object_get(host, "alive"));
    bool active = json_is_true(json_object_get(port, "active"));
    snprintf(state, sizeof state,
             "%s on host %.100s, whose agent is %s; ask there: mn-agent why %s",
             active ? "active" : "not active", host ? text(host, "name") : text(port, "hostId"),
             alive ? "alive" : "not running", id);
    json_decref(host);
    return say(cli, id, text(port, "name"), state);
}

static int why(struct cli *cli, const char *name, const char *control, struct error *e)
{
    char id[UUID_STRLEN];
    struct uuid uuid;
    json_t *port;
    int rc = cli_connect(cli, e);

    if (!rc)
        rc = ref_resolve(cli, ST_PORT, name, &uuid, e);
    if (!rc)
        rc = objects_get(cli->db, ST_PORT, &uuid, &port, e);
    if (rc)
        return rc;
    uuid_format(&uuid, id);
    const char *plain = plain_answer(port);
    json_t *answer = plain ? NULL : ask_agent(control, text(port, "hostId"), id);
    if (plain)
        say(cli, id, text(port, "name"), plain);
    else if (answer)
        why_print(&cli->out, answer);
    else
        elsewhere(cli, port, id);
    json_decref(answer);
    json_decref(port);
    return 0;
}

int cmd_why(struct cli *cli, int argc, char **argv)
{
    static const struct option options[] = {
        {"control", required_argument, NULL, 'c'}, {"json", no_argument, NULL, 'j'}, {0}};
    char path[CONTROL_PATH_MAX];
    const char *control = path;
    struct error e = {0};
    int c;

    control_default_path(NULL, path);
    optind = 0;
    while ((c = getopt_long(argc, argv, "+c:j", options, NULL)) >= 0) {
        if (c == 'c')
            control = optarg;
        else if (c == 'j')
            cli->out.format = PRINT_JSON;
        else
            return 2;
    }
    if (argc - optind != 1) {
        error_set(&e, -EINVAL, NULL, NULL, "why [--control SOCKET] [--json] PORT");
        return print_failure(&cli->out, &e);
    }
    return why(cli, argv[optind], control, &e) ? print_failure(&cli->out, &e) : 0;
}
