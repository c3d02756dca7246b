/* A cloud in one process for the loader's tests: a memory store, an operator who changes objects,
 * agents (store handle, topology, loader) under one virtual clock. */
#ifndef TOPO_CLOUD_H
#define TOPO_CLOUD_H

#include "topo_util.h"

#include <unistd.h>

#include "base/clock.h"
#include "json_words.h"
#include "objects/objects.h"
#include "topology/lpm.h"
#include "topology/sync.h"
#include "topology/tables.h"

struct cloud {
    char url[128];
    struct store *store;
    struct objects *db;
    uint64_t now;
};

struct agent {
    struct cloud *cloud;
    struct store *store;
    struct topo *topo;
    struct sync *sync;
    struct sync_learner *learner;
    struct uuid host;
    struct tag_change changes[4096];
    size_t n_changes;
    struct sync_binding bindings[16];
    size_t n_bindings, n_bound_calls;
    size_t n_loaded;
    bool connected;
};

static inline void cloud_open_at(struct cloud *c, const char *url)
{
    struct error e = {0};

    *c = (struct cloud){.now = 1000 * NSEC_PER_SEC};
    snprintf(c->url, sizeof c->url, "%s", url);
    if (store_open(c->url, NULL, &c->store, &e))
        fail_msg("%s", e.message);
    c->db = objects_open(c->store);
}

static inline void cloud_open(struct cloud *c)
{
    static unsigned n;
    char url[64];

    snprintf(url, sizeof url, "memory:topo-%d-%u", (int)getpid(), n++);
    cloud_open_at(c, url);
}

static inline void cloud_close(struct cloud *c)
{
    objects_close(c->db);
    store_close(c->store);
}

/* The operator's commands. */
__attribute__((format(printf, 3, 4))) static inline struct uuid
make(struct cloud *c, enum schema_type_id type, const char *fmt, ...)
{
    struct error e = {0};
    struct uuid id;
    va_list ap;

    va_start(ap, fmt);
    json_t *attrs = vjson(fmt, ap);
    va_end(ap);
    struct objects_txn *t = objects_begin(c->db);
    objects_system(t);
    int rc = objects_create(t, type, attrs, &id, &e);
    if (rc || (rc = objects_commit(t, &e)))
        fail_msg("%s: %s: %s", schema_types[type].name, e.field, e.message);
    objects_abort(t);
    json_decref(attrs);
    return id;
}

__attribute__((format(printf, 4, 5))) static inline void
change(struct cloud *c, enum schema_type_id type, const struct uuid *id, const char *fmt, ...)
{
    struct error e = {0};
    va_list ap;

    va_start(ap, fmt);
    json_t *attrs = vjson(fmt, ap);
    va_end(ap);
    if (objects_update1(c->db, type, id, attrs, STORE_ANY, &e))
        fail_msg("%s: %s: %s", schema_types[type].name, e.field, e.message);
    json_decref(attrs);
}

static inline void destroy(struct cloud *c, enum schema_type_id type, const struct uuid *id)
{
    struct error e = {0};

    if (objects_delete1(c->db, type, id, STORE_ANY, &e))
        fail_msg("%s: %s", schema_types[type].name, e.message);
}

/* Agents */

static inline void on_changed(void *aux, const struct tag_change *changes, size_t n)
{
    struct agent *a = aux;

    for (size_t i = 0; i < n && a->n_changes < ARRAY_SIZE(a->changes); i++)
        a->changes[a->n_changes++] = changes[i];
}

static inline void on_loaded(void *aux, const topo_ref *refs, size_t n)
{
    struct agent *a = aux;

    for (size_t i = 0; i < n; i++)
        assert_non_null(topo_get(a->topo, refs[i]));
    a->n_loaded += n;
}

static inline void on_bound(void *aux, const struct sync_binding *b, size_t n)
{
    struct agent *a = aux;

    assert_true(n <= ARRAY_SIZE(a->bindings));
    if (n)
        memcpy(a->bindings, b, n * sizeof *b);
    a->n_bindings = n;
    a->n_bound_calls++;
}

static inline void on_connection(void *aux, bool connected)
{
    ((struct agent *)aux)->connected = connected;
}

/* On a store handle of the test's; opts.host zero: a mere reader. */
static inline void agent_with(struct agent *a, struct cloud *c, struct store *store,
                              const struct sync_options *opts)
{
    struct sync_callbacks cb = {a, on_changed, on_loaded, on_bound, on_connection};
    struct error e;

    memset(a, 0, sizeof *a);
    a->cloud = c;
    a->store = store;
    a->host = opts->host;
    a->connected = true;
    a->topo = topo_new();
    assert_int_equal(sync_open(a->store, a->topo, opts, &cb, &a->sync, &e), 0);
    a->learner = sync_learner_new(a->sync);
}

static inline void agent_on(struct agent *a, struct cloud *c, struct store *store,
                            const struct uuid *host)
{
    struct sync_options o = {.host = *host};

    agent_with(a, c, store, &o);
}

static inline struct agent *agent_open(struct cloud *c, const struct uuid *host)
{
    struct agent *a = NEW(struct agent);
    struct store *store;
    struct error e;

    assert_int_equal(store_open(c->url, NULL, &store, &e), 0);
    agent_on(a, c, store, host);
    return a;
}

/* As a host without interfaces. */
static inline void agent_register(struct agent *a, const char *name)
{
    json_t *none = json_array();

    sync_host(a->sync, name, none);
    json_decref(none);
}

static inline struct agent *agent_start(struct cloud *c, const char *name)
{
    struct uuid host;

    uuid_random(&host);
    struct agent *a = agent_open(c, &host);
    agent_register(a, name);
    return a;
}

static inline void agent_stop(struct agent *a)
{
    sync_learner_free(a->learner);
    sync_close(a->sync);
    store_close(a->store);
    topo_free(a->topo);
    free(a);
}

/* Runs all agents, the clock going on a millisecond at a time, until nobody has anything to do
 * within the next 100 ms. */
#define SETTLE_MAX 12000
static inline void settle_n(struct agent **agents, size_t n)
{
    struct cloud *c = agents[0]->cloud;

    for (int round = 0, quiet = 0; quiet < 3; round++) {
        uint64_t next = UINT64_MAX;
        assert_true(round < SETTLE_MAX);
        for (size_t i = 0; i < n; i++) {
            uint64_t at = sync_run(agents[i]->sync, c->now);
            next = MIN(next, at);
        }
        quiet = next > c->now + 100 * NSEC_PER_MSEC ? quiet + 1 : 0;
        c->now += NSEC_PER_MSEC;
    }
}
#define settle(...)                                                                                \
    settle_n((struct agent *[]){__VA_ARGS__},                                                      \
             sizeof((struct agent *[]){__VA_ARGS__}) / sizeof(struct agent *))

/* Runs all agents for so long, in steps of 10 ms. */
static inline void run_for_n(struct agent **agents, size_t n, uint64_t ns)
{
    struct cloud *c = agents[0]->cloud;

    for (uint64_t until = c->now + ns; c->now < until; c->now += 10 * NSEC_PER_MSEC)
        for (size_t i = 0; i < n; i++)
            sync_run(agents[i]->sync, c->now);
}
#define run_for(ns, ...)                                                                           \
    run_for_n((struct agent *[]){__VA_ARGS__},                                                     \
              sizeof((struct agent *[]){__VA_ARGS__}) / sizeof(struct agent *), ns)

static inline bool was_announced(const struct agent *a, tag_t tag)
{
    for (size_t i = 0; i < a->n_changes; i++) {
        if (a->changes[i].tag == tag)
            return true;
    }
    return false;
}

static inline bool was_rerouted(const struct agent *a, topo_ref router, const char *prefix)
{
    struct cidr c = cidr_of(prefix);

    for (size_t i = 0; i < a->n_changes; i++) {
        const struct tag_change *t = &a->changes[i];
        if (!t->tag && t->router == router && t->prefix.len == c.len &&
            ip_equal(&t->prefix.addr, &c.addr))
            return true;
    }
    return false;
}

static inline topo_ref load(struct agent *a, enum topo_kind kind, const struct uuid *id)
{
    topo_ref ref = sync_load(a->sync, kind, id);

    settle(a);
    assert_non_null(topo_get(a->topo, ref));
    return ref;
}

static inline topo_ref ref_of(const struct agent *a, const struct uuid *id)
{
    return topo_find(a->topo, id);
}

static inline const struct topo_port *port_of(const struct agent *a, const struct uuid *id)
{
    return topo_port(a->topo, ref_of(a, id));
}

static inline struct sync_status status_of(const struct agent *a)
{
    struct sync_status st;

    sync_status(a->sync, &st);
    return st;
}

static inline struct uuid join(struct cloud *c, const struct uuid *zone, const struct agent *a,
                               const char *ip)
{
    return make(c, ST_TUNNEL_ZONE_HOST, "{'tunnelZoneId':'%s','hostId':'%s','ipAddress':'%s'}",
                text_of(zone), text_of(&a->host), ip);
}

/* An overlay of all of them: 192.0.2.1 and up. */
static inline struct uuid zone_of_n(struct agent **agents, size_t n)
{
    struct cloud *c = agents[0]->cloud;
    struct uuid zone = make(c, ST_TUNNEL_ZONE, "{'name':'z','type':'vxlan'}");
    char ip[IP_STRLEN];

    for (unsigned i = 0; i < n; i++) {
        snprintf(ip, sizeof ip, "192.0.2.%u", i + 1);
        join(c, &zone, agents[i], ip);
    }
    return zone;
}
#define zone_of(...)                                                                               \
    zone_of_n((struct agent *[]){__VA_ARGS__},                                                     \
              sizeof((struct agent *[]){__VA_ARGS__}) / sizeof(struct agent *))

/* A port of the bridge, bound to the host's interface of that name. */
__attribute__((format(printf, 4, 5))) static inline struct uuid
bound_port(struct cloud *c, const struct uuid *bridge, const struct uuid *host, const char *fmt,
           ...)
{
    char ifname[16];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(ifname, sizeof ifname, fmt, ap);
    va_end(ap);
    return make(c, ST_PORT, "{'bridgeId':'%s','hostId':'%s','interfaceName':'%s'}", text_of(bridge),
                text_of(host), ifname);
}

#endif
