/* "Why doesn't it work?", asked of one port.
 *
 * Packets that came in by it are counted with it (drops.h).  Of those towards it, this host knows
 * what it dropped itself: by the port, or by a rule of the chains on its way out. */
#include <stdlib.h>
#include <string.h>

#include "agent/agent_impl.h"
#include "agent/report.h"
#include "agent/words.h"
#include "base/clock.h"

#define CAUSES_MAX 256
#define CHAINS_MAX 64 /* looked through for jumps */

struct cause {
    struct drop_cause cause;
    bool towards;
    uint64_t packets, minute, last_ns;
    uint64_t event_ns; /* of 'key'; 0: no packet is known */
    struct flow_key key;
};

struct inquiry {
    struct agent *agent;
    uint64_t now;
    const char *name;
    bool found;
    struct agent_port port;
    char ifname[16];
    uint32_t n_chains;
    topo_ref chains[CHAINS_MAX]; /* of its outbound filter, and where they jump */
    size_t n;
    struct cause causes[CAUSES_MAX];
};

static int find_port(const struct agent_port *p, void *aux)
{
    struct inquiry *q = aux;
    const struct topo_port *port = topo_port(q->agent->topo, p->port);
    char id[UUID_STRLEN];

    if (strcmp(uuid_format(&p->id, id), q->name) && strcmp(p->ifname, q->name) &&
        (!port || strcmp(port->obj.name, q->name)))
        return 0;
    q->found = true;
    q->port = *p;
    snprintf(q->ifname, sizeof q->ifname, "%s", p->ifname);
    return 1;
}

static void add_chain(struct inquiry *q, topo_ref chain)
{
    for (uint32_t i = 0; i < q->n_chains; i++)
        if (q->chains[i] == chain)
            return;
    if (chain && q->n_chains < CHAINS_MAX)
        q->chains[q->n_chains++] = chain;
}

static void find_chains(struct inquiry *q)
{
    const struct topo_port *p = topo_port(q->agent->topo, q->port.port);

    add_chain(q, p ? p->outfilter : 0);
    for (uint32_t i = 0; i < q->n_chains; i++) {
        const struct topo_chain *c = topo_chain(q->agent->topo, q->chains[i]);
        for (uint32_t k = 0; c && !c->obj.missing && k < c->n_rules; k++)
            if (c->rules[k].type == RULE_JUMP)
                add_chain(q, c->rules[k].jump);
    }
}

static bool its_own(const struct inquiry *q, const struct drop_cause *c)
{
    const struct topo_chain *chain;
    uint32_t place;

    if (c->kind == TOPO_PORT)
        return uuid_equal(&c->object, &q->port.id);
    if (c->kind != TOPO_RULE || !q->n_chains ||
        !words_find_rule(q->agent->topo, &c->object, &chain, &place))
        return false;
    for (uint32_t i = 0; i < q->n_chains; i++)
        if (q->chains[i] == chain->obj.self)
            return true;
    return false;
}

static struct cause *cause_of(struct inquiry *q, const struct drop_cause *c, bool towards)
{
    for (size_t i = 0; i < q->n; i++) {
        struct cause *have = &q->causes[i];
        if (have->towards == towards && have->cause.reason == c->reason &&
            uuid_equal(&have->cause.object, &c->object))
            return have;
    }
    if (q->n == CAUSES_MAX)
        return NULL;
    q->causes[q->n] = (struct cause){.cause = *c, .towards = towards};
    return &q->causes[q->n++];
}

static void add_counts(struct inquiry *q, const struct drops *d)
{
    for (uint32_t i = 0; i < DROPS_PORTS; i++) {
        const struct drop_at_port *p = drops_at_port(d, i);
        bool from = p && p->port_no == q->port.port_no;
        if (!p || (!from && !its_own(q, &p->cause)))
            continue;
        struct cause *c = cause_of(q, &p->cause, !from);
        if (!c)
            continue;
        c->packets += p->packets;
        c->minute += drops_last_minute(p, q->now);
        c->last_ns = MAX(c->last_ns, p->last_ns);
    }
}

/* The newest packet the worker itself dropped for each cause. */
static void add_events(struct inquiry *q, const struct drops *d)
{
    const struct drop_event *e;

    for (uint32_t i = 0; (e = drops_recent(d, i)); i++) {
        bool from = e->port == q->port.port;
        if (!from && !its_own(q, &e->cause))
            continue;
        struct cause *c = cause_of(q, &e->cause, !from);
        if (!c || e->time_ns <= c->event_ns)
            continue;
        c->event_ns = e->time_ns;
        c->key = e->key;
    }
}

static void ask(void *worker, void *aux)
{
    add_counts(aux, worker_drops(worker));
    add_events(aux, worker_drops(worker));
}

static int most_lately(const void *a, const void *b)
{
    const struct cause *x = a, *y = b;

    if (x->minute != y->minute)
        return x->minute > y->minute ? -1 : 1;
    return x->last_ns > y->last_ns ? -1 : x->last_ns < y->last_ns;
}

static json_t *cause_row(const struct inquiry *q, const struct cause *c)
{
    const struct topo *t = q->agent->topo;
    const struct topo_chain *chain;
    const struct topo_rule *rule;
    char buf[256], words[WORDS_SIZE];
    json_t *row = json_object();
    struct flow_key all;
    uint32_t place;

    json_object_set_new(row, "direction", json_string(c->towards ? "to" : "from"));
    json_object_set_new(row, "reason",
                        json_string(sim_reason_name((enum sim_reason)c->cause.reason)));
    json_object_set_new(
        row, "object",
        json_string(words_object(t, (enum topo_kind)c->cause.kind, &c->cause.object, words)));
    if (c->cause.kind == TOPO_RULE && (rule = words_find_rule(t, &c->cause.object, &chain, &place)))
        json_object_set_new(row, "rule", json_string(words_rule(t, rule, words)));
    json_object_set_new(row, "packets", report_number(c->packets));
    json_object_set_new(row, "last_minute", report_number(c->minute));
    json_object_set_new(row, "ago", report_since(q->now, MAX(c->last_ns, c->event_ns)));
    if (c->event_ns) {
        memset(&all, 0xff, sizeof all);
        all.in_port = all.tun_id = 0;
        all.tun_src = ip_none;
        json_object_set_new(row, "packet",
                            json_string(flow_key_format(&c->key, &all, buf, sizeof buf)));
    }
    return row;
}

static int add_traffic(const struct dp_port *p, void *aux)
{
    void **both = aux;
    const struct inquiry *q = both[0];
    json_t *o = both[1];

    if (!q->port.port_no || p->port_no != q->port.port_no)
        return 0;
    json_object_set_new(o, "sent", report_number(p->rx_packets));
    json_object_set_new(o, "received", report_number(p->tx_packets));
    json_object_set_new(o, "over_limit", report_number(p->limited));
    json_object_set_new(o, "first_packets_lost", report_number(p->upcalls_lost));
    return 1;
}

json_t *report_why(struct agent *a, const char *name, uint64_t now)
{
    struct inquiry *q = NEW(struct inquiry);
    json_t *o = NULL, *rows;
    char id[UUID_STRLEN];

    q->agent = a;
    q->now = now;
    q->name = name;
    agent_each_port(a, find_port, q);
    if (q->found) {
        const struct topo_port *p = topo_port(a->topo, q->port.port);
        agent_read_stats(a, now);
        find_chains(q);
        for (unsigned i = 0; i < agent_n_workers(a); i++)
            agent_ask_worker(a, i, ask, q);
        qsort(q->causes, q->n, sizeof *q->causes, most_lately);
        rows = json_array();
        for (size_t i = 0; i < q->n; i++)
            json_array_append_new(rows, cause_row(q, &q->causes[i]));
        o = json_pack("{s:s,s:s,s:s,s:s,s:s,s:o}", "id", uuid_format(&q->port.id, id), "port",
                      p ? p->obj.name : "", "interface", q->ifname, "host", a->opts.name, "state",
                      q->port.state, "drops", rows);
        dp_port_each(a->opts.dp, add_traffic, (void *[]){q, o});
        if (p && p->max_kbps)
            json_object_set_new(o, "limit_kbps", report_number(p->max_kbps));
        if (p && !p->admin_up)
            json_object_set_new(o, "state", json_string("administratively down"));
    }
    free(q);
    return o;
}
