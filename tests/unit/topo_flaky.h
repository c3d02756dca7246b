/* An agent (as the loader's tests have them) whose store can be made to fail. */
#ifndef TOPO_FLAKY_H
#define TOPO_FLAKY_H

#include "flaky_store.h"
#include "topo_cloud.h"

static inline struct flaky *flaky_open(struct cloud *c)
{
    return flaky_open_at(c->url);
}

static inline struct agent *agent_flaky(struct cloud *c, struct flaky *f, const char *name)
{
    struct agent *a = NEW(struct agent);
    struct uuid host;

    uuid_random(&host);
    agent_on(a, c, &f->base, &host);
    agent_register(a, name);
    return a;
}

/* An agent that serves a port of a bridge others have, too. */
struct server {
    struct flaky *store;
    struct agent *a;
    struct uuid port;
    uint32_t key;
};

static inline struct server server_up(struct cloud *c, const struct uuid *zone,
                                      const struct uuid *bridge)
{
    struct server s = {.store = flaky_open(c)};

    s.a = agent_flaky(c, s.store, "server");
    settle(s.a);
    join(c, zone, s.a, "192.0.2.222");
    s.port = bound_port(c, bridge, &s.a->host, "t");
    settle(s.a);
    s.key = sync_port_up(s.a->sync, s.a->bindings[0].port, 0);
    settle(s.a);
    return s;
}

/* A node as somebody else may have left it. */
static inline void put(struct cloud *c, const char *path, const char *text)
{
    struct store_op op = {.type = STORE_PUT,
                          .flags = STORE_PARENTS,
                          .path = path,
                          .data = text,
                          .size = strlen(text)};
    struct error e = {0};

    if (store_commit(c->store, &op, 1, NULL, &e))
        fail_msg("%s: %s", path, e.message);
}

#endif
