#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/control.h"
#include "base/clock.h"
#include "base/mem.h"
#include "lab_netns.h"
#include "net/netns.h"
#include "objects/objects.h"

#define START_MS      120000 /* emulated machines take their time */
#define CLOCK_STEP_NS (5 * NSEC_PER_SEC)

/* One request to the host's agent; the reply, or null. */
static json_t *ask(struct lab_in_netns *lab, unsigned host, const char *request, struct error *e)
{
    json_t *reply = NULL;

    return control_ask(lab->hosts[host].socket, request, &reply, e) ? NULL : reply;
}

static int tell(struct lab_in_netns *lab, unsigned host, const char *request, struct error *e)
{
    json_t *reply = ask(lab, host, request, e);

    if (!reply)
        return -EIO;
    json_decref(reply);
    return 0;
}

static void agent_child(struct lab_in_netns *lab, struct netns_host *h)
{
    char id[UUID_STRLEN], log[128], name[64], backup[128], rules[128];
    int fd;

    netns_catch_signals(NULL);
    snprintf(log, sizeof log, "%s/%s.log", lab->dir, h->name);
    snprintf(name, sizeof name, "%s-%s", lab->prefix, h->name);
    snprintf(backup, sizeof backup, "%s/%s.backup", lab->dir, h->name);
    snprintf(rules, sizeof rules, "%s/%s.rules", lab->dir, h->name);
    fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0 ||
        netns_enter(h->ns, NULL) < 0)
        _exit(1);
    execl("/proc/self/exe", "mn-agent", "--store", lab->url, "--host-id", uuid_format(&h->id, id),
          "--host-name", h->name, "--datapath", lab->datapath, "--name", name, "--control",
          h->socket, "--backup", backup, "--rule-log", rules, "--test-clock", NULL);
    _exit(1);
}

int netns_start(struct lab *base, unsigned host, struct error *e)
{
    struct lab_in_netns *lab = netns_lab(base);
    struct netns_host *h = &lab->hosts[host];
    uint64_t deadline = clock_ns() + START_MS * NSEC_PER_MSEC;
    char path[STORE_PATH_MAX];

    json_decref(h->drops_seen);
    h->drops_seen = json_object();
    h->agent = fork();
    if (h->agent < 0)
        return error_set(e, -errno, h->name, NULL, "fork: %s", strerror(errno));
    if (!h->agent)
        agent_child(lab, h);
    objects_path(ST_HOST, &h->id, path);
    while (tell(lab, host, "status", e) || store_exists(lab->store, path) <= 0) {
        int status;
        if (waitpid(h->agent, &status, WNOHANG) == h->agent) {
            h->agent = 0;
            return error_set(e, -ECHILD, h->name, NULL, "the agent ended, with status %d",
                             WEXITSTATUS(status));
        }
        if (clock_ns() > deadline)
            return error_set(e, -ETIMEDOUT, h->name, NULL, "the agent does not register its host");
        poll(NULL, 0, 10);
    }
    return tell(lab, host, "sync", e);
}

/* Twice: what the first round made one agent write, the second makes the others read. */
int netns_settle(struct lab *base, struct error *e)
{
    struct lab_in_netns *lab = netns_lab(base);

    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < lab->n_hosts; i++)
            if (lab->hosts[i].agent > 0 && tell(lab, i, "sync", e))
                return -EIO;
    return 0;
}

/* The host's clock moves on to 'goal' since the beginning.  Real time that went by meanwhile, with
 * the other hosts, counts. */
static int clock_to(struct lab_in_netns *lab, unsigned host, uint64_t goal, struct error *e)
{
    struct netns_host *h = &lab->hosts[host];
    uint64_t now = clock_ns(), passed = h->clock_passed_ns + (now - h->clock_at_ns);
    char request[64];
    int rc = 0;

    snprintf(request, sizeof request, "clock %llu", (unsigned long long)(goal - passed));
    if (h->agent > 0 && passed < goal)
        rc = tell(lab, host, request, e);
    h->clock_passed_ns = MAX(passed, goal);
    h->clock_at_ns = passed < goal ? clock_ns() : now;
    return rc;
}

/* In steps, so that hosts grow older together. */
int netns_clock(struct lab *base, uint64_t ns, struct error *e)
{
    struct lab_in_netns *lab = netns_lab(base);
    int rc = 0;

    for (unsigned i = 0; i < lab->n_hosts; i++) {
        lab->hosts[i].clock_passed_ns = 0;
        lab->hosts[i].clock_at_ns = clock_ns();
    }
    for (uint64_t goal = 0; !rc && goal < ns;) {
        goal = MIN(ns, goal + CLOCK_STEP_NS);
        for (unsigned i = 0; !rc && i < lab->n_hosts; i++)
            rc = clock_to(lab, i, goal, e);
    }
    return rc;
}

int netns_stop(struct lab *base, unsigned host, bool keep, struct error *e)
{
    struct lab_in_netns *lab = netns_lab(base);
    struct netns_host *h = &lab->hosts[host];
    int rc = tell(lab, host, keep ? "stop keep-flows" : "stop", e);

    if (rc)
        return rc;
    while (waitpid(h->agent, NULL, 0) < 0 && errno == EINTR)
        continue;
    h->agent = 0;
    return 0;
}

static const char *drop_key(const json_t *row, char key[sizeof(struct lab_drop)])
{
    const char *id = json_string_value(json_object_get(row, "object_id"));

    snprintf(key, sizeof(struct lab_drop), "%s %s",
             json_string_value(json_object_get(row, "reason")), id ? id : "");
    return key;
}

/* The cause whose count has changed: drops in the kernel count like those of the agent.  Causes go
 * by ids (a rule is called by its place, where another may be now); workers count each for itself.
 */
int netns_last_drop(struct lab *base, unsigned host, struct lab_drop *out, struct error *e)
{
    struct lab_in_netns *lab = netns_lab(base);
    if (!lab->hosts[host].agent)
        return 0;
    json_t *seen = lab->hosts[host].drops_seen, *reply = ask(lab, host, "drops", e), *row;
    json_t *rows = json_object_get(reply, "drops"), *sums = json_object();
    char key[sizeof *out];
    size_t i;
    int found = 0;

    json_array_foreach (rows, i, row) {
        json_int_t n = json_integer_value(json_object_get(sums, drop_key(row, key)));
        n += json_integer_value(json_object_get(row, "packets"));
        json_object_set_new(sums, key, json_integer(n));
    }
    json_array_foreach (rows, i, row) {
        const char *object = json_string_value(json_object_get(row, "object"));
        if (json_integer_value(json_object_get(sums, drop_key(row, key))) ==
            json_integer_value(json_object_get(seen, key)))
            continue;
        snprintf(out->reason, sizeof out->reason, "%s",
                 json_string_value(json_object_get(row, "reason")));
        snprintf(out->object, sizeof out->object, "%s", object ? object : "");
        found = 1;
    }
    json_object_update(seen, sums);
    json_decref(sums);
    json_decref(reply);
    return reply ? found : -EIO;
}

int netns_upcalls(struct lab *base, unsigned iface, uint64_t *n, struct error *e)
{
    struct lab_in_netns *lab = netns_lab(base);
    struct netns_iface *f = &lab->ifaces[iface];
    json_t *reply, *row;
    size_t i;

    *n = 0;
    if (!lab->hosts[f->host].agent)
        return 0;
    if (!(reply = ask(lab, f->host, "ports", e)))
        return -EIO;
    json_array_foreach (json_object_get(reply, "ports"), i, row) {
        const char *name = json_string_value(json_object_get(row, "interface"));
        if (name && !strcmp(name, f->ifname))
            *n = (uint64_t)json_integer_value(json_object_get(row, "upcalls"));
    }
    json_decref(reply);
    return 0;
}

int netns_n_flows(struct lab *base, unsigned host, uint64_t *n, struct error *e)
{
    json_t *reply = ask(netns_lab(base), host, "status", e);

    if (!reply)
        return -EIO;
    *n = (uint64_t)json_integer_value(json_object_get(reply, "flows"));
    json_decref(reply);
    return 0;
}
