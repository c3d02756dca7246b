/* The laboratory in memory: see lab.h.  Every host is an agent on a memory datapath, all of them
 * stepped by this thread; time is a number. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/clock.h"
#include "base/mem.h"
#include "datapath/memory.h"
#include "lab.h"

#define SETTLE_TURNS 100000 /* of all agents; more is a loop */

struct memory_host {
    char name[32], dp_name[64];
    struct uuid id;
    struct store *store;
    struct dp *dp; /* of a host stopped with its flows kept too, though closed */
    struct mail *mail;
    struct agent *agent;
    uint64_t drops_seen[DROPS_MAX + 1];
};

struct lab_in_memory {
    struct lab lab;
    char url[48];
    uint64_t now;
    struct store *store;
    struct memory_board *board;
    unsigned n_hosts, n_ifaces;
    struct memory_host hosts[LAB_HOSTS];
    struct memory_iface {
        unsigned host;
        struct net_iface iface;
    } ifaces[LAB_IFACES];
};

static struct lab_in_memory *self(struct lab *lab)
{
    return (struct lab_in_memory *)lab;
}

static uint64_t now_of(void *aux)
{
    return ((struct lab_in_memory *)aux)->now;
}

static void stop(struct memory_host *h, bool keep)
{
    struct dp_options kept = {.name = h->dp_name};

    if (h->dp && !h->agent && dp_open("memory", &kept, &h->dp, NULL)) /* closed, it lives on */
        h->dp = NULL;
    agent_close(h->agent, keep);
    mail_close(h->mail);
    h->mail = NULL;
    h->agent = NULL;
    if (h->dp)
        dp_close(h->dp, keep);
    if (!keep)
        h->dp = NULL;
    store_close(h->store);
    h->store = NULL;
}

static void memory_close(struct lab *base)
{
    struct lab_in_memory *lab = self(base);

    for (unsigned i = 0; i < lab->n_hosts; i++)
        stop(&lab->hosts[i], false);
    memory_board_free(lab->board);
    store_close(lab->store);
    rcu_unregister_thread();
    free(lab);
}

static int memory_open(const char *datapath, struct lab **out, struct error *e)
{
    static unsigned count;
    struct lab_in_memory *lab = NEW(struct lab_in_memory);
    int rc;

    (void)datapath;
    lab->lab.ops = &lab_memory;
    lab->now = clock_ns();
    snprintf(lab->url, sizeof lab->url, "memory:lab%u", count++);
    rc = store_open(lab->url, NULL, &lab->store, e);
    if (rc) {
        free(lab);
        return rc;
    }
    lab->board = memory_board_new();
    rcu_register_thread();
    *out = &lab->lab;
    return 0;
}

static int start(struct lab_in_memory *lab, struct memory_host *h, struct error *e)
{
    struct dp_options dpo = {.name = h->dp_name};
    struct agent_options opts = {.host = h->id, .name = h->name, .keep_mtu = true};
    int rc = store_open(lab->url, NULL, &h->store, e);

    if (!rc)
        rc = dp_open("memory", &dpo, &h->dp, e);
    if (rc)
        return rc;
    memory_dp_join(h->dp, lab->board);
    memory_dp_set_clock(h->dp, now_of, lab);
    opts.store = h->store;
    opts.dp = h->dp;
    opts.mail = h->mail = memory_mail_open(h->dp);
    memset(h->drops_seen, 0, sizeof h->drops_seen);
    for (unsigned i = 0; i < lab->n_ifaces; i++) /* a datapath that wasn't kept lost its cables */
        if (&lab->hosts[lab->ifaces[i].host] == h && lab->ifaces[i].iface.index)
            memory_if_add(h->dp, lab->ifaces[i].iface.name);
    if ((rc = agent_open(&opts, &h->agent, e)))
        return rc;
    for (unsigned i = 0; i < lab->n_ifaces; i++)
        if (&lab->hosts[lab->ifaces[i].host] == h && lab->ifaces[i].iface.index)
            agent_iface(h->agent, &lab->ifaces[i].iface, false);
    return 0;
}

/* Until no agent has anything left to do now. */
static int memory_settle(struct lab *base, struct error *e)
{
    struct lab_in_memory *lab = self(base);

    for (unsigned turn = 0; turn < SETTLE_TURNS; turn++) {
        bool busy = false;
        for (unsigned i = 0; i < lab->n_hosts; i++)
            if (lab->hosts[i].agent)
                busy |= agent_run(lab->hosts[i].agent, lab->now);
        if (!busy)
            return 0;
    }
    return error_set(e, -ELOOP, NULL, NULL, "the agents never come to rest");
}

/* Learned entries are gathered a moment before they are shared: let that moment pass. */
#define MOMENT_NS (25 * NSEC_PER_MSEC)

static int settle_shared(struct lab *base, struct error *e)
{
    int rc = memory_settle(base, e);

    self(base)->now += MOMENT_NS;
    return rc ? rc : memory_settle(base, e);
}

/* In steps, so that timers in between fall due in their order. */
static int memory_clock(struct lab *base, uint64_t ns, struct error *e)
{
    struct lab_in_memory *lab = self(base);
    uint64_t end = lab->now + ns;
    int rc = 0;

    while (!rc && lab->now < end) {
        lab->now += MIN(end - lab->now, NSEC_PER_SEC / 4);
        rc = memory_settle(base, e);
    }
    return rc;
}

static int memory_host_add(struct lab *base, const char *name, const struct uuid *id,
                           const struct ip *underlay, struct error *e)
{
    struct lab_in_memory *lab = self(base);
    struct memory_host *h = &lab->hosts[lab->n_hosts];

    struct net_iface wire = {.name = "wire0",
                             .index = LAB_IFACES + 1,
                             .mtu = 1500,
                             .up = true,
                             .carrier = true,
                             .n_addrs = 1,
                             .addrs = {{*underlay, 24}}};

    snprintf(h->name, sizeof h->name, "%s", name);
    snprintf(h->dp_name, sizeof h->dp_name, "%s-%s", lab->url, name);
    h->id = *id;
    lab->n_hosts++;
    int rc = start(lab, h, e);
    if (rc)
        return rc;
    agent_iface(h->agent, &wire, false);
    /* an agent gathers news of its interfaces before it registers them */
    return memory_clock(base, NSEC_PER_SEC / 2, e);
}

static int memory_iface_add(struct lab *base, unsigned host, const char *ifname, struct error *e)
{
    struct lab_in_memory *lab = self(base);
    struct memory_iface *f = &lab->ifaces[lab->n_ifaces];
    int rc;

    if (lab->n_ifaces == LAB_IFACES)
        return error_set(e, -ENOSPC, ifname, NULL, "more than %d interfaces", LAB_IFACES);
    struct memory_host *h = &lab->hosts[host];
    if (h->agent && (rc = memory_if_add(h->dp, ifname)))
        return error_set(e, rc, ifname, NULL, "%s", strerror(-rc));
    f->host = host;
    f->iface = (struct net_iface){.index = (int)lab->n_ifaces + 1,
                                  .mtu = 1500,
                                  .up = true,
                                  .carrier = true,
                                  .mac = {{2, 0, 0, 0, 0xff, (uint8_t)lab->n_ifaces}}};
    snprintf(f->iface.name, sizeof f->iface.name, "%s", ifname);
    if (h->agent)
        agent_iface(h->agent, &f->iface, false);
    return (int)lab->n_ifaces++;
}

static int memory_iface_del(struct lab *base, unsigned iface, struct error *e)
{
    struct lab_in_memory *lab = self(base);
    struct memory_iface *f = &lab->ifaces[iface];
    struct memory_host *h = &lab->hosts[f->host];

    (void)e;
    if (h->dp)
        memory_if_del(h->dp, f->iface.name);
    if (h->agent)
        agent_iface(h->agent, &f->iface, true);
    f->iface.index = 0;
    return 0;
}

static int memory_link(struct lab *base, unsigned iface, bool up, struct error *e)
{
    struct lab_in_memory *lab = self(base);
    struct memory_iface *f = &lab->ifaces[iface];

    (void)e;
    f->iface.carrier = up;
    if (lab->hosts[f->host].agent)
        agent_iface(lab->hosts[f->host].agent, &f->iface, false);
    return 0;
}

static int memory_send(struct lab *base, unsigned iface, const uint8_t *frame, size_t size,
                       struct error *e)
{
    struct lab_in_memory *lab = self(base);
    struct memory_iface *f = &lab->ifaces[iface];

    if (!f->iface.carrier || !f->iface.index || !lab->hosts[f->host].dp)
        return 0; /* as a machine with its cable out */
    int rc = memory_inject(lab->hosts[f->host].dp, f->iface.name, frame, size);
    return rc ? error_set(e, rc, f->iface.name, NULL, "%s", strerror(-rc)) : 0;
}

static size_t memory_recv(struct lab *base, unsigned iface, uint8_t *buf, size_t size)
{
    struct lab_in_memory *lab = self(base);
    struct memory_iface *f = &lab->ifaces[iface];
    struct dp *dp = lab->hosts[f->host].dp;
    int n = f->iface.index && dp ? memory_take(dp, f->iface.name, buf, size) : 0;

    return n > 0 && f->iface.carrier ? (size_t)n : 0;
}

static int memory_stop(struct lab *base, unsigned host, bool keep, struct error *e)
{
    stop(&self(base)->hosts[host], keep);
    return settle_shared(base, e);
}

static int memory_start(struct lab *base, unsigned host, struct error *e)
{
    struct lab_in_memory *lab = self(base);
    int rc = start(lab, &lab->hosts[host], e);

    return rc ? rc : settle_shared(base, e);
}

static void describe_object(struct memory_host *h, const struct drop_cause *c, char *buf,
                            size_t size)
{
    topo_ref ref = topo_find(agent_topo(h->agent), &c->object);
    const struct topo_obj *o = ref ? topo_get(agent_topo(h->agent), ref) : NULL;
    char id[UUID_STRLEN];

    if (!c->kind)
        snprintf(buf, size, "%s", "");
    else
        snprintf(buf, size, "%s %s", topo_kind_name(c->kind),
                 o && o->name[0] ? o->name : uuid_format(&c->object, id));
}

static int memory_last_drop(struct lab *base, unsigned host, struct lab_drop *out, struct error *e)
{
    struct lab_in_memory *lab = self(base);
    struct memory_host *h = &lab->hosts[host];
    const struct drop_count *c;
    int found = 0;

    if (!h->agent)
        return 0;
    agent_advance(h->agent, lab->now, 0); /* reads statistics: drops in the datapath count too */
    int rc = memory_settle(base, e);
    if (rc)
        return rc;
    const struct drops *drops = worker_drops(agent_worker(h->agent, 0));
    for (uint32_t n = 1; (c = drops_at(drops, n)); n++) {
        if (c->packets == h->drops_seen[n])
            continue;
        h->drops_seen[n] = c->packets;
        snprintf(out->reason, sizeof out->reason, "%s",
                 sim_reason_name((enum sim_reason)c->cause.reason));
        describe_object(h, &c->cause, out->object, sizeof out->object);
        found = 1;
    }
    return found;
}

struct upcall_query {
    const char *ifname;
    uint64_t n;
};

static int count_upcalls(const struct dp_port *p, void *aux)
{
    struct upcall_query *q = aux;

    if (!strcmp(p->ifname, q->ifname))
        q->n = p->upcalls;
    return 0;
}

static int memory_upcalls(struct lab *base, unsigned iface, uint64_t *n, struct error *e)
{
    struct lab_in_memory *lab = self(base);
    struct memory_iface *f = &lab->ifaces[iface];
    struct upcall_query q = {f->iface.name, 0};

    (void)e;
    if (lab->hosts[f->host].agent)
        dp_port_each(lab->hosts[f->host].dp, count_upcalls, &q);
    *n = q.n;
    return 0;
}

static int memory_n_flows(struct lab *base, unsigned host, uint64_t *n, struct error *e)
{
    (void)e;
    *n = ft_n_flows(worker_flows(agent_worker(self(base)->hosts[host].agent, 0)));
    return 0;
}

static unsigned memory_wait(struct lab *base, unsigned ms)
{
    self(base)->now += ms * NSEC_PER_MSEC;
    return ms;
}

static struct store *memory_store(struct lab *base)
{
    return self(base)->store;
}

const struct lab_ops lab_memory = {
    .name = "memory",
    .patience_ms = 2000, /* virtual ones */
    .open = memory_open,
    .close = memory_close,
    .host_add = memory_host_add,
    .iface_add = memory_iface_add,
    .iface_del = memory_iface_del,
    .link = memory_link,
    .send = memory_send,
    .recv = memory_recv,
    .settle = settle_shared,
    .clock = memory_clock,
    .stop = memory_stop,
    .start = memory_start,
    .last_drop = memory_last_drop,
    .upcalls = memory_upcalls,
    .n_flows = memory_n_flows,
    .wait = memory_wait,
    .store = memory_store,
};
