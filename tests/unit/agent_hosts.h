/* Whole agents in one process: a memory store, a switchboard of memory datapaths, one clock.
 *
 *     struct hosts all = {.n = 2};        and what else the test wants of them
 *     hosts_open(&all, "NAME");           all agents run
 *     hosts_tunnel(&all);                 they know of each other
 *     host_plug(&all.h[0], "a");          an interface appears
 *     hosts_run(&all);                    until nobody has anything to do at this moment
 *     hosts_close(&all);
 *
 * The test passes time itself ('now').  Thread: the test's. */
#ifndef MN_TESTS_AGENT_HOSTS_H
#define MN_TESTS_AGENT_HOSTS_H

#include <unistd.h>

#include "agent/agent.h"
#include "agent/report.h"
#include "base/clock.h"
#include "base/log.h"
#include "datapath/memory.h"
#include "objects_fixture.h"
#include "packet_fixture.h"
#include "rcu_reader.h"

#define SEC NSEC_PER_SEC
enum { HOSTS_MAX = 5 };

struct hosts;

struct host {
    struct hosts *all;
    char name[16], dp_name[64];
    struct uuid id;
    struct store *store;
    struct dp *dp;
    struct mail *mail;
    struct agent *agent; /* null: it has ended */
};

struct hosts {
    unsigned n;
    unsigned n_workers;                           /* of each; 0: 1 */
    bool mails;                                   /* they tell each other of connections */
    struct store *(*open_store)(const char *url); /* an agent's; null: a plain one */
    char url[48];
    uint64_t now;
    struct store *store; /* the operator's */
    struct objects *db;
    struct memory_board *board;
    struct host h[HOSTS_MAX];
    struct uuid zone;
};

static inline uint64_t hosts_now(void *aux)
{
    return ((struct hosts *)aux)->now;
}

__attribute__((format(printf, 3, 4))) static inline struct uuid
make(struct hosts *all, enum schema_type_id type, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    struct uuid id = make_object(all->db, type, vjson(fmt, ap));
    va_end(ap);
    return id;
}

__attribute__((format(printf, 4, 5))) static inline void
change(struct hosts *all, enum schema_type_id type, const struct uuid *id, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    change_object(all->db, type, id, vjson(fmt, ap));
    va_end(ap);
}

static inline void hosts_run(struct hosts *all)
{
    unsigned turns = 0;

    for (bool busy = true; busy;) {
        busy = false;
        for (unsigned i = 0; i < all->n; i++)
            if (all->h[i].agent)
                busy |= agent_run(all->h[i].agent, all->now);
        assert_true(++turns < 100000);
    }
}

static inline struct store *host_open_store(const char *url)
{
    struct error e = {0};
    struct store *s;

    if (store_open(url, NULL, &s, &e))
        fail_msg("%s", e.message);
    return s;
}

static inline void host_start(struct host *h)
{
    struct hosts *all = h->all;
    unsigned n = MAX(1u, all->n_workers);
    struct agent_options o = {.host = h->id, .name = h->name, .keep_mtu = true, .n_workers = n};
    struct dp_options dpo = {.name = h->dp_name, .n_queues = n};
    struct error e = {0};

    h->store = (all->open_store ? all->open_store : host_open_store)(all->url);
    assert_int_equal(dp_open("memory", &dpo, &h->dp, &e), 0);
    memory_dp_set_clock(h->dp, hosts_now, all);
    memory_dp_join(h->dp, all->board);
    h->mail = all->mails ? memory_mail_open(h->dp) : NULL;
    o.store = h->store;
    o.dp = h->dp;
    o.mail = h->mail;
    if (agent_open(&o, &h->agent, &e))
        fail_msg("%s", e.message);
}

/* keep: its datapath goes on forwarding, and is found by the next start. */
static inline void host_stop(struct host *h, bool keep)
{
    agent_close(h->agent, keep);
    h->agent = NULL;
    if (h->mail)
        mail_close(h->mail);
    dp_close(h->dp, keep);
    if (!keep)
        h->dp = NULL;
    store_close(h->store);
}

static inline void host_iface(struct host *h, const char *name, bool carrier, bool gone)
{
    struct net_iface i = {.index = 1, .mtu = 1500, .up = true, .carrier = carrier};

    snprintf(i.name, sizeof i.name, "%s", name);
    agent_iface(h->agent, &i, gone);
}

static inline void host_plug(struct host *h, const char *name)
{
    assert_int_equal(memory_if_add(h->dp, name), 0);
    host_iface(h, name, true, false);
}

static inline void host_unplug(struct host *h, const char *name)
{
    memory_if_del(h->dp, name);
    host_iface(h, name, false, true);
}

/* How many frames came out, and they are thrown away. */
static inline unsigned host_took(struct host *h, const char *name)
{
    uint8_t buf[2048];
    unsigned n = 0;

    while (memory_take(h->dp, name, buf, sizeof buf) > 0)
        n++;
    return n;
}

static inline void hosts_open(struct hosts *all, const char *name)
{
    static unsigned count;

    log_level = LOG_LVL_ERROR;
    all->now = 1000 * SEC;
    snprintf(all->url, sizeof all->url, "memory:%s-%d-%u", name, (int)getpid(), count++);
    all->store = host_open_store(all->url);
    all->db = objects_open(all->store);
    all->board = memory_board_new();
    for (unsigned i = 0; i < all->n; i++) {
        struct host *h = &all->h[i];
        *h = (struct host){.all = all, .id.b = {0xaa, (uint8_t)i}};
        snprintf(h->name, sizeof h->name, "h%u", i + 1);
        snprintf(h->dp_name, sizeof h->dp_name, "%s-%u-%u", name, count, i);
        host_start(h);
    }
}

/* All in one tunnel zone: host i is 192.0.2.(i + 1).  They have registered by now. */
static inline void hosts_tunnel(struct hosts *all)
{
    all->zone = make(all, ST_TUNNEL_ZONE, "{'name':'z','type':'vxlan'}");
    for (unsigned i = 0; i < all->n; i++)
        make(all, ST_TUNNEL_ZONE_HOST,
             "{'tunnelZoneId':'%s','hostId':'%s','ipAddress':'192.0.2.%u'}", text_of(&all->zone),
             text_of(&all->h[i].id), i + 1);
}

static inline void hosts_close(struct hosts *all)
{
    for (unsigned i = 0; i < all->n; i++)
        if (all->h[i].agent)
            host_stop(&all->h[i], false);
    memory_board_free(all->board);
    objects_close(all->db);
    store_close(all->store);
}

#endif
