#include "daemon.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/control.h"
#include "base/clock.h"
#include "base/log.h"
#include "cli/conf.h"
#include "server.h"
#include "startup.h"
#include "turns.h"

#define READY_NS                                                                                   \
    (10 * NSEC_PER_SEC) /* without the store we are as ready as we can be after this               \
                         */

struct daemon {
    const struct options *o;
    struct store *store;
    struct dp *dp;
    struct state_backup *backup;
    struct mail *mail;
    struct agent *agent;
    struct agent_threads *threads;
    struct net_watch *watch;
    struct server *server;
    uv_loop_t loop;
    uv_signal_t term, intr;
    uv_poll_t netlink;
    struct turns turns;
    uint64_t started_ns;
    bool netlink_ready, told_ready, stopping, keep;
};

static void stop(void *aux, bool keep)
{
    struct daemon *d = aux;

    d->keep = d->o->keep_flows || keep;
    d->stopping = true;
}

static void on_signal(uv_signal_t *h, int signum)
{
    log_info("agent", "signal %d: ending", signum);
    stop(h->data, false);
}

static void on_netlink(uv_poll_t *h, int status, int events)
{
    (void)status;
    (void)events;
    ((struct daemon *)h->data)->netlink_ready = true;
}

static void on_iface(const struct net_iface *iface, bool gone, void *aux)
{
    agent_iface(((struct daemon *)aux)->agent, iface, gone);
}

static void tell_ready(struct daemon *d, uint64_t now)
{
    if (d->told_ready || (!agent_ready(d->agent) && now - d->started_ns < READY_NS))
        return;
    d->told_ready = true;
    startup_notify(agent_ready(d->agent) ? "READY=1\nSTATUS=serving"
                                         : "READY=1\nSTATUS=waiting for the store");
    log_info("agent", agent_ready(d->agent) ? "ready" : "waiting for the store");
}

static void end(struct daemon *d)
{
    startup_notify("STOPPING=1");
    server_close(d->server);
    uv_close((uv_handle_t *)&d->term, NULL);
    uv_close((uv_handle_t *)&d->intr, NULL);
    uv_close((uv_handle_t *)&d->netlink, NULL);
    turns_stop(&d->turns);
}

static uint64_t run_turn(void *aux)
{
    struct daemon *d = aux;
    uint64_t now = agent_now(d->agent);

    if (d->netlink_ready)
        net_watch_run(d->watch);
    d->netlink_ready = false;
    uint64_t next = agent_run_control(d->agent, now);
    bool more = server_run(d->server, now);
    tell_ready(d, now);
    if (d->stopping)
        end(d);
    if (!d->told_ready)
        clock_sooner(&next, d->started_ns + READY_NS);
    return more || next <= now ? 0 : next - now;
}

static int loop_error(struct error *e, int rc)
{
    return rc ? error_set(e, rc, "event loop", NULL, "%s", uv_strerror(rc)) : 0;
}

static int start_loop(struct daemon *d, struct error *e)
{
    int rc = uv_signal_init(&d->loop, &d->term);

    if (!rc)
        rc = uv_signal_init(&d->loop, &d->intr);
    if (!rc)
        rc = uv_poll_init(&d->loop, &d->netlink, net_watch_fd(d->watch));
    d->term.data = d->intr.data = d->netlink.data = d;
    if (!rc)
        rc = uv_signal_start(&d->term, on_signal, SIGTERM);
    if (!rc)
        rc = uv_signal_start(&d->intr, on_signal, SIGINT);
    if (!rc)
        rc = uv_poll_start(&d->netlink, UV_READABLE, on_netlink);
    if (!rc)
        rc = turns_start(&d->turns, &d->loop, agent_control_inbox(d->agent), run_turn, d);
    return loop_error(e, rc);
}

static int open_store(struct daemon *d, struct error *e)
{
    struct store_options so = {.no_wait = true};
    char *url;
    int rc = conf_store_url(d->o->store, &url, e);

    if (rc)
        return rc;
    if (!strncmp(url, "file:", 5))
        rc = startup_make_dir_of(url + 5, e);
    if (!rc)
        rc = store_open(url, &so, &d->store, e);
    free(url);
    return rc;
}

/* Without it the agent runs, and starts the next time with no connections. */
/* Of records in use each is written again every 20 s, in some 40 bytes. */
static void open_backup(struct daemon *d)
{
    struct state_backup_file_options opts = {.max_bytes =
                                                 MAX(64ull << 20, 64ull * d->o->max_records)};
    struct error e = {0};
    char folder[128];

    snprintf(folder, sizeof folder, "/var/lib/mn/connections-%.60s", d->o->name);
    const char *path = d->o->backup ? d->o->backup : folder;
    if (startup_make_dir_of(path, &e) || state_backup_file(path, &opts, &d->backup, &e))
        log_warn("agent", "no backup of connections: %s: %s", path, e.message);
}

/* Nor without other agents: two on one host, in a laboratory, can't both have the port. */
static void open_mail(struct daemon *d)
{
    struct error e = {0};

    if (mail_udp_open((uint16_t)d->o->mail_port, &d->mail, &e))
        log_warn("agent", "other agents aren't told of connections: %s", e.message);
}

static int open_agent(struct daemon *d, struct error *e)
{
    struct dp_options dpo = {.name = d->o->name,
                             .n_queues = d->o->n_workers,
                             .max_flows = d->o->max_flows,
                             .vxlan_port = (uint16_t)d->o->vxlan_port};
    struct agent_options ao = {.n_workers = d->o->n_workers,
                               .name = d->o->host_name,
                               .instance = d->o->name,
                               .flows = {.max_flows = d->o->max_flows},
                               .state = {.max_records = d->o->max_records},
                               .dhcp_mtu = (uint16_t)d->o->dhcp_mtu};
    char name[256] = "";
    int rc = startup_host_id(d->o->host_id, &ao.host, e);

    if (!rc)
        rc = open_store(d, e);
    if (!rc)
        rc = dp_open(d->o->datapath, &dpo, &d->dp, e);
    if (!rc)
        open_backup(d);
    if (rc)
        return rc;
    open_mail(d);
    gethostname(name, sizeof name - 1);
    if (!ao.name)
        ao.name = *name ? name : "host";
    ao.store = d->store;
    ao.backup = d->backup;
    ao.rulelog = (struct rulelog_options){.dir = d->o->rule_log, .words = d->o->rule_log_words};
    ao.dp = d->dp;
    ao.mail = d->mail;
    rc = agent_open(&ao, &d->agent, e);
    if (!rc)
        rc = net_watch_open(on_iface, d, &d->watch, e);
    return rc;
}

static int serve(struct daemon *d, const char *control, struct error *e)
{
    struct server_host host = {
        .agent = d->agent, .test_clock = d->o->test_clock, .stop = stop, .aux = d};
    int rc = agent_threads_start(d->agent, 0, &d->threads, e);

    if (rc)
        return rc;
    host.threads = d->threads;
    uv_loop_init(&d->loop);
    rc = server_open(&d->loop, control, &host, &d->server, e);
    if (!rc)
        rc = start_loop(d, e);
    if (!rc) {
        d->started_ns = agent_now(d->agent);
        log_info("agent", "started datapath=%s instance=%s", dp_type(d->dp), d->o->name);
        uv_run(&d->loop, UV_RUN_DEFAULT);
    }
    uv_loop_close(&d->loop);
    return rc;
}

int daemon_run(const struct options *o, struct error *e)
{
    struct daemon d = {.o = o};
    char path[CONTROL_PATH_MAX];

    signal(SIGPIPE, SIG_IGN);
    rcu_register_thread();
    control_default_path(o->name, path);
    int rc = open_agent(&d, e);
    if (!rc) {
        startup_drop_privileges();
        rc = serve(&d, o->control ? o->control : path, e);
    }
    if (d.store)
        store_hurry(d.store);
    agent_threads_stop(d.threads);
    net_watch_close(d.watch);
    bool keep = d.keep || rc; /* what failed to start touches nothing that it found */
    agent_close(d.agent, keep);
    mail_close(d.mail);
    if (d.dp)
        dp_close(d.dp, keep);
    if (d.backup)
        d.backup->ops->close(d.backup);
    store_close(d.store);
    rcu_unregister_thread();
    if (!rc)
        log_info("agent", keep ? "ended, flows stay" : "ended");
    return rc;
}
