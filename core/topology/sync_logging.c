/* Loggers of chains.
 *
 * A logger belongs to a chain and logs to a resource that may be turned off; several chains may log
 * to the same.  The resource is watched like any policy object, and when it is switched, those
 * chains are published again, with their loggers or without. */
#include <stdlib.h>

#include "topology/sync_chain.h"

static struct logging_item *logging(struct sync *s, topo_ref ref)
{
    struct item *it = sync_item(s, ref);

    return it && it->kind == ITEM_LOGGING ? (struct logging_item *)it : NULL;
}

static int load_logging(struct sync *s, struct logging_item *l)
{
    int64_t rev;
    json_t *body;
    int rc = sync_watch_change(s, &l->item);

    if (!rc)
        rc = sync_read_rev(s, &l->item, &rev, NULL);
    if (!rc)
        rc = sync_bodies(s, ST_LOGGING_RESOURCE, topo_id(s->topo, l->item.ref), 1, &body);
    if (rc)
        return rc;
    l->enabled = sync_body_bool(body, "enabled", false);
    l->item.rev = rev;
    l->item.loaded = true;
    json_decref(body);
    return 0;
}

static int know_logging(struct sync *s, const json_t *body, topo_ref *out)
{
    struct logging_item *l = NULL;

    *out = sync_body_ref(s, body, "loggingResourceId", TOPO_NONE);
    if (*out)
        l = sync_item_new(s, *out, ITEM_LOGGING, sizeof *l);
    return l && !l->item.loaded ? load_logging(s, l) : 0;
}

static uint8_t events_of(const json_t *body)
{
    const char *word = sync_body_string(body, "event");

    return !strcmp(word, "ACCEPT") ? TOPO_LOG_ACCEPT
           : !strcmp(word, "DROP") ? TOPO_LOG_DROP
                                   : TOPO_LOG_ACCEPT | TOPO_LOG_DROP;
}

int sync_loggers_read(struct sync *s, struct chain_item *c)
{
    struct uuid *ids;
    size_t n;
    int rc = sync_referrers(s, ST_RULE_LOGGER, "chainId", &c->item, &ids, &n);
    json_t **bodies = NEW_ARRAY(n, json_t *);

    if (!rc)
        rc = sync_bodies(s, ST_RULE_LOGGER, ids, n, bodies);
    if (!rc)
        c->loggers.n = 0;
    for (size_t i = 0; i < n; i++) {
        struct chain_logger l = {.id = ids[i], .events = events_of(bodies[i])};
        if (!rc && bodies[i] && !(rc = know_logging(s, bodies[i], &l.resource)))
            vec_add(&c->loggers, l);
        json_decref(bodies[i]);
    }
    free(bodies);
    free(ids);
    return rc;
}

uint32_t sync_loggers_active(struct sync *s, const struct chain_item *c, struct topo_logger *out)
{
    uint32_t n = 0;

    for (size_t i = 0; i < c->loggers.n; i++) {
        const struct logging_item *l = logging(s, c->loggers.v[i].resource);
        if (l && l->enabled)
            out[n++] = (struct topo_logger){c->loggers.v[i].id, c->loggers.v[i].events,
                                            *topo_id(s->topo, l->item.ref)};
    }
    return n;
}

/* It is turned on or off: the chains that log to it say so. */
int sync_work_logging(struct sync *s, struct logging_item *l, unsigned due)
{
    bool was = l->enabled;
    int rc = load_logging(s, l);

    for (topo_ref r = 1; r < s->n_items && !rc && was != l->enabled; r++) {
        struct item *it = sync_item(s, r);
        const struct topo_chain *old = it && it->kind == TOPO_CHAIN ? topo_chain(s->topo, r) : NULL;
        if (!old || old->obj.missing)
            continue;
        struct chain_item *c = (struct chain_item *)it;
        bool logs = false;
        for (size_t i = 0; i < c->loggers.n; i++)
            logs |= c->loggers.v[i].resource == l->item.ref;
        if (logs)
            sync_chain_publish(s, c, old->rules, old->n_rules, NULL);
    }
    (void)due;
    return rc;
}
