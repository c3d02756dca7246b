/* A cloud of agents in one process, for measuring how changes reach them.
 *
 * N agents on memory datapaths share a store (memory: or a real ZooKeeper); each serves two ports
 * of bridge "all", the first three one more of bridge "few".  A few driver threads run the agents
 * as their own threads would: when one of their descriptors says so, or a timer is due.  The
 * measuring thread makes a change and waits until every agent shows what it waits for.
 *
 * Anything wrong ends the program with a message. */
#ifndef MN_BENCH_CLUSTER_H
#define MN_BENCH_CLUSTER_H

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../unit/json_words.h"
#include "agent/agent_impl.h"
#include "base/clock.h"
#include "base/mem.h"
#include "datapath/memory.h"
#include "objects/objects.h"
#include "topology/tables.h"

struct node;
typedef bool shown_fn(struct node *n, void *aux);

struct cluster {
    const char *url;
    struct store *store;
    struct objects *db;
    struct memory_board *board;
    uint32_t n_nodes, n_drivers;
    struct node *nodes;
    struct driver *drivers;
    struct uuid all, few;
    /* What is waited for; written before the change is made. */
    shown_fn *shown;
    void *aux;
    uint32_t n_waiting; /* atomic */
    uint64_t done_ns;   /* when it became 0 */
};

struct node {
    struct cluster *cluster;
    char name[16];
    struct uuid id;
    struct store *store;
    struct dp *dp;
    struct agent *agent;
    uint64_t next_ns; /* its timers */
    uint64_t turns;   /* times an event of the store woke it */
    bool waits;       /* atomic: hasn't shown yet what the cluster waits for */
};

struct driver {
    struct cluster *cluster;
    pthread_t thread;
    int epoll, wake;
    uint32_t first, n; /* its nodes */
    bool stop;         /* atomic */
};

__attribute__((format(printf, 1, 2), noreturn)) static inline void give_up(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

/* Drivers. */

static inline void node_show(struct node *n)
{
    struct cluster *c = n->cluster;

    if (!__atomic_load_n(&n->waits, __ATOMIC_ACQUIRE) || !c->shown(n, c->aux))
        return;
    __atomic_store_n(&n->waits, false, __ATOMIC_RELEASE);
    if (__atomic_sub_fetch(&c->n_waiting, 1, __ATOMIC_ACQ_REL) == 0)
        __atomic_store_n(&c->done_ns, clock_ns(), __ATOMIC_RELEASE);
}

static inline void node_run(struct node *n)
{
    uint64_t now, next;

    do {
        now = clock_ns();
        next = agent_run_topology(n->agent, now);
        next = MIN(next, agent_run_control(n->agent, now));
        next = MIN(next, agent_run_worker(n->agent, 0, now));
    } while (next <= now || inbox_any(agent_topology_inbox(n->agent)) ||
             inbox_any(agent_control_inbox(n->agent)));
    n->next_ns = next;
    node_show(n);
}

static inline uint64_t driver_timers(struct driver *d)
{
    uint64_t now = clock_ns(), next = now + NSEC_PER_SEC;

    for (uint32_t i = d->first; i < d->first + d->n; i++) {
        struct node *n = &d->cluster->nodes[i];
        if (n->next_ns <= now)
            node_run(n);
        next = MIN(next, n->next_ns);
    }
    return next;
}

static inline void *driver_main(void *arg)
{
    struct driver *d = arg;
    struct epoll_event ev[64];

    rcu_register_thread();
    while (!__atomic_load_n(&d->stop, __ATOMIC_ACQUIRE)) {
        uint64_t next = driver_timers(d), now = clock_ns();
        rcu_thread_offline();
        int ms = next > now ? (int)((next - now) / NSEC_PER_MSEC) + 1 : 0;
        int n = epoll_wait(d->epoll, ev, 64, ms);
        rcu_thread_online();
        for (int i = 0; i < n; i++) {
            struct node *node = ev[i].data.ptr;
            if (!node)
                continue;
            node->turns++;
            node_run(node);
        }
    }
    rcu_unregister_thread();
    return NULL;
}

static inline void watch_fd(struct driver *d, int fd, void *node)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = node};

    if (fd >= 0 && epoll_ctl(d->epoll, EPOLL_CTL_ADD, fd, &ev))
        give_up("epoll: %s", strerror(errno));
}

static inline void cluster_run(struct cluster *c)
{
    for (uint32_t i = 0; i < c->n_drivers; i++) {
        struct driver *d = &c->drivers[i];
        d->stop = false;
        if (pthread_create(&d->thread, NULL, driver_main, d))
            give_up("no thread");
    }
}

static inline void cluster_pause(struct cluster *c)
{
    uint64_t one = 1;

    for (uint32_t i = 0; i < c->n_drivers; i++)
        __atomic_store_n(&c->drivers[i].stop, true, __ATOMIC_RELEASE);
    for (uint32_t i = 0; i < c->n_drivers; i++) {
        struct driver *d = &c->drivers[i];
        if (write(d->wake, &one, sizeof one) < 0)
            give_up("eventfd");
        pthread_join(d->thread, NULL);
        if (read(d->wake, &one, sizeof one) < 0)
            give_up("eventfd");
    }
}

/* Waiting. */

static inline void cluster_expect(struct cluster *c, uint32_t n_interested, shown_fn *shown,
                                  void *aux)
{
    c->shown = shown;
    c->aux = aux;
    c->done_ns = 0;
    __atomic_store_n(&c->n_waiting, n_interested, __ATOMIC_RELEASE);
    for (uint32_t i = 0; i < n_interested; i++)
        __atomic_store_n(&c->nodes[i].waits, true, __ATOMIC_RELEASE);
}

/* When the last of them showed it. */
static inline uint64_t cluster_await(struct cluster *c, unsigned seconds, const char *what)
{
    uint64_t end = clock_ns() + seconds * NSEC_PER_SEC, done;

    while (!(done = __atomic_load_n(&c->done_ns, __ATOMIC_ACQUIRE))) {
        if (clock_ns() > end)
            give_up("%s: %u of %u agents don't have it after %u s", what, c->n_waiting, c->n_nodes,
                    seconds);
        poll(NULL, 0, 1); /* doesn't count: the drivers take the time */
    }
    return done;
}

struct cluster_work {
    uint64_t reads, writes, turns;
};

/* Of the loaders of nodes 'from' and up; while paused, or quiet. */
static inline struct cluster_work cluster_work(struct cluster *c, uint32_t from)
{
    struct cluster_work w = {0};

    for (uint32_t i = from; i < c->n_nodes; i++) {
        struct sync_status s;
        sync_status(c->nodes[i].agent->sync, &s);
        w.reads += s.reads;
        w.writes += s.writes;
        w.turns += c->nodes[i].turns;
    }
    return w;
}

/* Objects. */

static inline struct uuid make(struct cluster *c, enum schema_type_id type, json_t *j)
{
    struct error e = {0};
    struct uuid id;

    if (objects_create1(c->db, type, j, &id, &e))
        give_up("%s: %s %s", schema_types[type].name, e.field, e.message);
    json_decref(j);
    return id;
}

static inline void change(struct cluster *c, enum schema_type_id type, const struct uuid *id,
                          json_t *j)
{
    struct error e = {0};

    if (objects_update1(c->db, type, id, j, STORE_ANY, &e))
        give_up("%s: %s %s", schema_types[type].name, e.field, e.message);
    json_decref(j);
}

/* Up and down. */

static inline void node_plug(struct node *n, const char *ifname)
{
    struct net_iface i = {.index = 1, .mtu = 1500, .up = true, .carrier = true};

    snprintf(i.name, sizeof i.name, "%s", ifname);
    if (memory_if_add(n->dp, ifname))
        give_up("interface %s", ifname);
    agent_iface(n->agent, &i, false);
}

static inline void node_open(struct cluster *c, uint32_t i)
{
    struct node *n = &c->nodes[i];
    struct store_options so = {.timeout_ms = 60000, .session_timeout_ms = 30000};
    struct error e = {0};
    char dp_name[32];

    *n = (struct node){.cluster = c};
    snprintf(n->name, sizeof n->name, "h%u", i);
    snprintf(dp_name, sizeof dp_name, "cluster-%u", i);
    uuid_random(&n->id);
    if (store_open(c->url, &so, &n->store, &e))
        give_up("store: %s", e.message);
    struct dp_options dpo = {.name = dp_name, .n_queues = 1};
    if (dp_open("memory", &dpo, &n->dp, &e))
        give_up("datapath: %s", e.message);
    memory_dp_join(n->dp, c->board);
    struct agent_options o = {.host = n->id,
                              .name = n->name,
                              .keep_mtu = true,
                              .n_workers = 1,
                              .store = n->store,
                              .dp = n->dp,
                              .stats_ns = 3600 * NSEC_PER_SEC};
    if (agent_open(&o, &n->agent, &e))
        give_up("agent: %s", e.message);
}

/* Until the store knows every host. */
static inline void await_hosts(struct cluster *c)
{
    uint64_t end = clock_ns() + 120 * NSEC_PER_SEC;

    for (uint32_t i = 0; i < c->n_nodes; i++) {
        struct error e;
        json_t *host;
        while (objects_get(c->db, ST_HOST, &c->nodes[i].id, &host, &e)) {
            if (clock_ns() > end)
                give_up("%s isn't registered: %s", c->nodes[i].name, e.message);
            poll(NULL, 0, 1);
        }
        json_decref(host);
    }
}

static inline void bind_port(struct objects_txn *t, const struct uuid *bridge, struct node *n,
                             const char *ifname)
{
    struct error e = {0};
    struct uuid id;
    json_t *j = json_of("{'bridgeId':'%s','name':'%s-%s','hostId':'%s','interfaceName':'%s'}",
                        text_of(bridge), n->name, ifname, text_of(&n->id), ifname);

    if (objects_create(t, ST_PORT, j, &id, &e))
        give_up("port: %s", e.message);
    json_decref(j);
}

/* In one commit for a hundred hosts: nobody is interested yet. */
static inline void bind_all(struct cluster *c, const struct uuid *zone)
{
    struct error e = {0};

    for (uint32_t from = 0; from < c->n_nodes; from += 100) {
        struct objects_txn *t = objects_begin(c->db);
        for (uint32_t i = from; i < MIN(from + 100, c->n_nodes); i++) {
            struct node *n = &c->nodes[i];
            struct uuid id;
            json_t *j = json_of("{'tunnelZoneId':'%s','hostId':'%s','ipAddress':'192.0.%u.%u'}",
                                text_of(zone), text_of(&n->id), i / 250, i % 250 + 1);
            if (objects_create(t, ST_TUNNEL_ZONE_HOST, j, &id, &e))
                give_up("zone: %s", e.message);
            json_decref(j);
            bind_port(t, &c->all, n, "a");
            bind_port(t, &c->all, n, "b");
            if (i < 3)
                bind_port(t, &c->few, n, "c");
        }
        if (objects_commit(t, &e))
            give_up("binding: %s %s", e.field, e.message);
    }
}

static inline bool port_is_active(struct node *n, const struct agent_port *p)
{
    const struct topo_port *port = topo_port(agent_topo(n->agent), p->port);

    return p->port_no && port && port->active;
}

static inline int count_active(const struct agent_port *p, void *aux)
{
    struct node **n = aux;

    return port_is_active(*n, p) ? 0 : 1;
}

/* It serves its ports, and has heard of everybody else's. */
static inline bool knows_all(struct node *n, void *aux)
{
    struct topo *topo = agent_topo(n->agent);
    const struct topo_bridge *b = topo_bridge(topo, topo_find(topo, &n->cluster->all));

    (void)aux;
    if (!b || b->n_exterior != 2 * n->cluster->n_nodes)
        return false;
    for (uint32_t i = 0; i < b->n_exterior; i++) {
        const struct topo_port *p = topo_port(topo, b->exterior[i]);
        if (!p || !p->active || !p->tunnel_key)
            return false;
    }
    return !agent_each_port(n->agent, count_active, &n);
}

static inline void split_nodes(struct cluster *c)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < c->n_drivers; i++) {
        struct driver *d = &c->drivers[i];
        uint32_t end = (uint32_t)((uint64_t)c->n_nodes * (i + 1) / c->n_drivers);
        *d = (struct driver){.cluster = c, .first = at, .n = end - at};
        d->epoll = epoll_create1(EPOLL_CLOEXEC);
        d->wake = eventfd(0, EFD_CLOEXEC);
        watch_fd(d, d->wake, NULL);
        for (; at < end; at++) {
            watch_fd(d, agent_topology_fd(c->nodes[at].agent), &c->nodes[at]);
            watch_fd(d, agent_worker_fd(c->nodes[at].agent, 0), &c->nodes[at]);
        }
    }
}

/* Returns when every agent serves its ports and knows all others'; the time that took is *ms. */
static inline void cluster_up(struct cluster *c, const char *url, uint32_t n_nodes,
                              uint32_t n_drivers, double *ms)
{
    struct error e = {0};

    *c = (struct cluster){.url = url, .n_nodes = n_nodes, .n_drivers = MIN(n_drivers, n_nodes)};
    if (store_open(url, NULL, &c->store, &e))
        give_up("store %s: %s", url, e.message);
    c->db = objects_open(c->store);
    c->board = memory_board_new();
    c->nodes = NEW_ARRAY(n_nodes, struct node);
    c->drivers = NEW_ARRAY(c->n_drivers, struct driver);
    for (uint32_t i = 0; i < n_nodes; i++)
        node_open(c, i);
    split_nodes(c);
    cluster_run(c);
    await_hosts(c);
    cluster_pause(c);
    struct uuid zone = make(c, ST_TUNNEL_ZONE, json_of("{'name':'z','type':'vxlan'}"));
    c->all = make(c, ST_BRIDGE, json_of("{'name':'all'}"));
    c->few = make(c, ST_BRIDGE, json_of("{'name':'few'}"));
    bind_all(c, &zone);
    for (uint32_t i = 0; i < n_nodes; i++) {
        node_plug(&c->nodes[i], "a");
        node_plug(&c->nodes[i], "b");
        if (i < 3)
            node_plug(&c->nodes[i], "c");
        c->nodes[i].next_ns = 0;
    }
    uint64_t start = clock_ns();
    cluster_expect(c, n_nodes, knows_all, NULL);
    cluster_run(c);
    *ms = (double)(cluster_await(c, 300, "binding") - start) / 1e6;
}

static inline void cluster_down(struct cluster *c)
{
    cluster_pause(c);
    for (uint32_t i = 0; i < c->n_nodes; i++) {
        struct node *n = &c->nodes[i];
        agent_close(n->agent, false);
        dp_close(n->dp, false);
        store_close(n->store);
    }
    for (uint32_t i = 0; i < c->n_drivers; i++) {
        close(c->drivers[i].epoll);
        close(c->drivers[i].wake);
    }
    memory_board_free(c->board);
    objects_close(c->db);
    store_close(c->store);
    free(c->nodes);
    free(c->drivers);
}

#endif
