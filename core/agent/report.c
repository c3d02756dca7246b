#include "agent/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent_impl.h"
#include "agent/words.h"
#include "base/clock.h"

static json_t *text(const char *s)
{
    return json_string(s ? s : "");
}

static json_t *uuid_text(const struct uuid *id)
{
    char buf[UUID_STRLEN];

    return json_string(uuid_format(id, buf));
}

static json_t *seconds(uint64_t ns)
{
    return json_real((double)(ns / NSEC_PER_MSEC) / 1000);
}

static uint64_t since(uint64_t now, uint64_t then)
{
    return now > then ? now - then : 0;
}

/* status */

struct work {
    uint64_t flows, due, deferred, masks, by_class[FT_N_CLASSES];
    uint64_t parked, asking;
};

static void add_work(void *worker, void *aux)
{
    const struct worker *w = worker;
    const struct flowtable *ft = worker_flows(w);
    struct work *sum = aux;

    sum->flows += ft_n_flows(ft);
    sum->due += ft_n_due(ft);
    sum->masks += ft_n_masks(ft);
    for (unsigned c = 0; c < FT_N_CLASSES; c++)
        sum->by_class[c] += ft_n_class(ft, c);
    sum->parked += worker_n_parked(w);
    sum->asking += worker_n_asking(w);
}

static json_t *store_status(struct agent *a)
{
    struct sync_status s;
    json_t *o = json_object();
    uint64_t objects = 0;

    agent_sync_status(a, &s);
    for (unsigned k = 0; k < TOPO_N_KINDS; k++)
        objects += s.n_objects[k];
    json_object_set_new(o, "connected", json_boolean(s.connected));
    json_object_set_new(o, "objects", report_number(objects));
    json_object_set_new(o, "missing", report_number(s.n_missing));
    json_object_set_new(o, "broken", report_number(s.broken));
    json_object_set_new(o, "watches", report_number(s.n_watches));
    json_object_set_new(o, "needs", report_number(s.n_needs));
    json_object_set_new(o, "macs", report_number(s.n_macs));
    json_object_set_new(o, "neighbours", report_number(s.n_neighs));
    json_object_set_new(o, "unshared", report_number(s.n_unshared));
    return o;
}

static int count_port(const struct agent_port *p, void *aux)
{
    unsigned *n = aux;

    n[0]++;
    n[1] += p->port_no != 0;
    return 0;
}

json_t *report_status(struct agent *a, uint64_t now)
{
    json_t *o = json_object(), *classes = json_object();
    struct work work = {0};
    unsigned ports[2] = {0};

    for (unsigned i = 0; i < agent_n_workers(a); i++)
        agent_ask_worker(a, i, add_work, &work);
    agent_each_port(a, count_port, ports);
    for (unsigned c = 0; c < FT_N_CLASSES; c++)
        json_object_set_new(classes, ft_class_name(c), report_number(work.by_class[c]));
    json_object_set_new(o, "host", uuid_text(&a->opts.host));
    json_object_set_new(o, "name", text(a->opts.name));
    json_object_set_new(o, "instance", text(a->opts.instance));
    json_object_set_new(o, "version", text(MN_VERSION));
    json_object_set_new(o, "uptime", seconds(since(now, a->opened_ns)));
    json_object_set_new(o, "ready", json_boolean(agent_ready(a)));
    json_object_set_new(o, "store", store_status(a));
    json_object_set_new(o, "datapath", text(dp_type(a->opts.dp)));
    json_object_set_new(o, "forwards", json_boolean(agent_forwards(a)));
    json_object_set_new(o, "workers", report_number(agent_n_workers(a)));
    json_object_set_new(o, "bound", report_number(ports[0]));
    json_object_set_new(o, "active", report_number(ports[1]));
    json_object_set_new(o, "flows", report_number(work.flows));
    json_object_set_new(o, "flows_by_class", classes);
    json_object_set_new(o, "flows_due", report_number(work.due));
    json_object_set_new(o, "masks", report_number(work.masks));
    json_object_set_new(o, "connections", report_number(state_size(a->state)));
    json_object_set_new(o, "parked", report_number(work.parked));
    json_object_set_new(o, "asking", report_number(work.asking));
    return o;
}

/* ports */

struct port_list {
    struct agent *agent;
    json_t *rows;
    struct dp_port *dp_ports;
    size_t n;
};

static int keep_dp_port(const struct dp_port *p, void *aux)
{
    struct port_list *l = aux;

    if (!(l->n & (l->n - 1)))
        l->dp_ports = mem_resize(l->dp_ports, MAX(1u, 2 * l->n) * sizeof *l->dp_ports);
    l->dp_ports[l->n++] = *p;
    return 0;
}

static void add_traffic(json_t *row, const struct port_list *l, uint32_t port_no)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct dp_port *p = &l->dp_ports[i];
        if (p->port_no != port_no)
            continue;
        json_object_set_new(row, "rx_packets", report_number(p->rx_packets));
        json_object_set_new(row, "rx_bytes", report_number(p->rx_bytes));
        json_object_set_new(row, "tx_packets", report_number(p->tx_packets));
        json_object_set_new(row, "tx_bytes", report_number(p->tx_bytes));
        json_object_set_new(row, "upcalls", report_number(p->upcalls));
        json_object_set_new(row, "upcalls_lost", report_number(p->upcalls_lost));
        json_object_set_new(row, "limited", report_number(p->limited));
        return;
    }
}

static int add_port(const struct agent_port *p, void *aux)
{
    struct port_list *l = aux;
    const struct topo_port *port = topo_port(l->agent->topo, p->port);
    json_t *row = json_object();
    char buf[WORDS_SIZE];

    json_object_set_new(row, "id", uuid_text(&p->id));
    json_object_set_new(row, "port", text(port ? port->obj.name : ""));
    json_object_set_new(row, "interface", text(p->ifname));
    json_object_set_new(row, "state", text(p->state));
    json_object_set_new(row, "device",
                        text(port ? words_ref(l->agent->topo, port->device, buf) : ""));
    if (p->port_no) {
        json_object_set_new(row, "number", report_number(p->port_no));
        json_object_set_new(row, "key", report_number(p->tunnel_key));
        add_traffic(row, l, p->port_no);
    }
    json_array_append_new(l->rows, row);
    return 0;
}

json_t *report_ports(struct agent *a)
{
    struct port_list l = {.agent = a, .rows = json_array()};

    dp_port_each(a->opts.dp, keep_dp_port, &l);
    agent_each_port(a, add_port, &l);
    free(l.dp_ports);
    return json_pack("{s:o}", "ports", l.rows);
}

/* drops */

struct drop_list {
    const struct topo *topo;
    uint64_t now;
    unsigned worker;
    json_t *causes, *recent;
};

static void add_cause(json_t *row, const struct topo *t, const struct drop_cause *c)
{
    char buf[WORDS_SIZE];

    json_object_set_new(row, "reason", text(sim_reason_name((enum sim_reason)c->reason)));
    json_object_set_new(row, "object", text(words_object(t, c->kind, &c->object, buf)));
    if (c->kind)
        json_object_set_new(row, "object_id", uuid_text(&c->object));
}

static void add_drops(void *worker, void *aux)
{
    const struct drops *d = worker_drops(worker);
    struct drop_list *l = aux;
    const struct drop_count *c;
    const struct drop_event *e;
    char buf[256], name[WORDS_SIZE];

    for (uint32_t i = 1; (c = drops_at(d, i)); i++) {
        json_t *row = json_object();
        add_cause(row, l->topo, &c->cause);
        json_object_set_new(row, "packets", report_number(c->packets));
        json_object_set_new(row, "flows", report_number(c->n_flows));
        json_object_set_new(row, "ago", seconds(since(l->now, c->last_ns)));
        json_array_append_new(l->causes, row);
    }
    for (uint32_t i = 0; (e = drops_recent(d, i)); i++) {
        struct flow_key all;
        json_t *row = json_object();
        memset(&all, 0xff, sizeof all);
        all.in_port = all.tun_id = 0;
        all.tun_src = ip_none;
        json_object_set_new(row, "seq", report_number(drops_n_events(d) - i));
        json_object_set_new(row, "ago", seconds(since(l->now, e->time_ns)));
        json_object_set_new(row, "port", text(words_ref(l->topo, e->port, name)));
        add_cause(row, l->topo, &e->cause);
        json_object_set_new(row, "packet", text(flow_key_format(&e->key, &all, buf, sizeof buf)));
        json_array_append_new(l->recent, row);
    }
}

json_t *report_drops(struct agent *a, uint64_t now)
{
    struct drop_list l = {
        .topo = a->topo, .now = now, .causes = json_array(), .recent = json_array()};

    agent_read_stats(a, now); /* drops in the datapath count too */
    for (unsigned i = 0; i < agent_n_workers(a); i++)
        agent_ask_worker(a, i, add_drops, &l);
    return json_pack("{s:o,s:o}", "drops", l.causes, "recent", l.recent);
}

/* memory */

static void add_memory(void *worker, void *aux)
{
    struct worker_memory m, *sum = aux;

    worker_memory(worker, &m);
    sum->flows += m.flows;
    sum->drops += m.drops;
    sum->parked += m.parked;
    sum->asking += m.asking;
    sum->batch += m.batch;
}

static uint64_t resident(void)
{
    unsigned long size, rss = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (f && fscanf(f, "%lu %lu", &size, &rss) != 2)
        rss = 0;
    if (f)
        fclose(f);
    return (uint64_t)rss * (uint64_t)sysconf(_SC_PAGESIZE);
}

json_t *report_memory(struct agent *a)
{
    struct worker_memory sum = {0};
    struct sync_status s;
    uint64_t kernel, process;
    json_t *o = json_object();
    struct work work = {0};

    agent_sync_status(a, &s);
    dp_memory(a->opts.dp, &kernel, &process);
    for (unsigned i = 0; i < agent_n_workers(a); i++) {
        agent_ask_worker(a, i, add_memory, &sum);
        agent_ask_worker(a, i, add_work, &work);
    }
    json_object_set_new(o, "resident", report_number(resident()));
    json_object_set_new(o, "topology", report_number(topo_memory(a->topo)));
    json_object_set_new(o, "loader", report_number(s.memory));
    json_object_set_new(o, "store", report_number(store_memory(a->opts.store)));
    json_object_set_new(o, "flows", report_number(sum.flows));
    json_object_set_new(o, "connections", report_number(state_memory(a->state)));
    json_object_set_new(o, "rule_log", report_number(rulelog_memory(a->rulelog)));
    json_object_set_new(o, "drops", report_number(sum.drops));
    json_object_set_new(o, "waiting_packets", report_number(sum.parked));
    json_object_set_new(o, "neighbour_requests", report_number(sum.asking));
    json_object_set_new(o, "work_areas", report_number(sum.batch));
    json_object_set_new(o, "datapath", report_number(process));
    json_object_set_new(o, "kernel", report_number(kernel));
    json_object_set_new(o, "n_flows", report_number(work.flows));
    json_object_set_new(o, "n_connections", report_number(state_size(a->state)));
    return o;
}

/* counters */

static void add_counters(void *worker, void *aux)
{
    const struct worker_counters *c = worker_counters(worker);
    struct worker_counters *sum = aux;

#define X(name) sum->name += c->name;
    WORKER_COUNTERS(X)
#undef X
}

static int add_dp_counter(const char *name, uint64_t value, void *aux)
{
    json_object_set_new(aux, name, report_number(value));
    return 0;
}

/* The member of that name, of a structure of numbers. */
#define put(o, numbers, name) json_object_set_new(o, #name, report_number((numbers).name))

static json_t *sync_counters(struct agent *a)
{
    struct sync_status s;
    json_t *o = json_object();

    agent_sync_status(a, &s);
    put(o, s, changes);
    put(o, s, reloads);
    put(o, s, reads);
    put(o, s, writes);
    put(o, s, conflicts);
    put(o, s, broken);
    put(o, s, ignored);
    put(o, s, learns_dropped);
    return o;
}

static json_t *connection_counters(struct agent *a)
{
    struct state_counters c;
    json_t *o = json_object();

    state_counters(a->state, &c);
    put(o, c, made);
    put(o, c, refreshed);
    put(o, c, received);
    put(o, c, expired);
    put(o, c, evicted);
    put(o, c, conflicts);
    put(o, c, refused);
    return o;
}

static json_t *exchange_counts(struct agent *a)
{
    struct exchange_counters c;
    json_t *o = json_object();

    agent_exchange(a, &c);
    put(o, c, told);
    put(o, c, sent);
    put(o, c, resent);
    put(o, c, heard);
    put(o, c, contested);
    put(o, c, strangers);
    put(o, c, malformed);
    put(o, c, lost);
    put(o, c, no_way);
    put(o, c, fetched);
    put(o, c, fetch_timeouts);
    return o;
}

static json_t *log_counters(struct agent *a)
{
    struct rulelog_counters c;
    json_t *o = json_object();

    rulelog_counters(a->rulelog, &c);
    put(o, c, written);
    put(o, c, suppressed);
    put(o, c, lost);
    put(o, c, failed);
    return o;
}

json_t *report_counters(struct agent *a)
{
    struct worker_counters sum = {0};
    json_t *agent = json_object(), *dp = json_object();

    for (unsigned i = 0; i < agent_n_workers(a); i++)
        agent_ask_worker(a, i, add_counters, &sum);
#define X(name) json_object_set_new(agent, #name, report_number(sum.name));
    WORKER_COUNTERS(X)
#undef X
    dp_counters(a->opts.dp, add_dp_counter, dp);
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "agent", agent, "connections",
                     connection_counters(a), "exchange", exchange_counts(a), "rule_log",
                     log_counters(a), "store", sync_counters(a), "datapath", dp);
}
