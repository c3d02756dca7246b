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
    json_t *none = json_array();
    sync_host(a->sync, name, none);
    json_decref(none);
    return a;
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
