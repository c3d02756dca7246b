/* Chains: loaded, followed, published.
 *
 * The change log names the rules of a commit; they and the part of the order that has changed are
 * read, a handful of nodes however long the chain, and the published chain is made anew from the
 * old one and them. */
#include <stdlib.h>

#include "base/log.h"
#include "topology/sync_chain.h"

static char *labels_of(const json_t *body)
{
    const json_t *list = json_object_get(body, "metadata"), *v;
    struct strbuf sb = {0};
    size_t i;

    json_array_foreach (list, i, v)
        sb_printf(&sb, "%s%s=%s", i ? " " : "", sync_body_string(v, "key"),
                  sync_body_string(v, "value"));
    return json_array_size(list) ? sb_steal(&sb) : NULL;
}

enum { PREFETCH = 256 };

/* What the first rules lead to: a packet would ask for one after the other. */
static void prefetch(struct sync *s, const struct topo_chain *c)
{
    for (uint32_t i = 0; i < MIN(c->n_rules, (uint32_t)PREFETCH); i++) {
        sync_prefetch(s, c->rules[i].jump);
        sync_prefetch(s, c->rules[i].cond.src_group);
        sync_prefetch(s, c->rules[i].cond.dst_group);
    }
}

void sync_chain_publish(struct sync *s, struct chain_item *c, const struct topo_rule *rules,
                        size_t n, const json_t *body)
{
    const struct topo_chain *old = topo_chain(s->topo, c->item.ref);
    struct topo_logger *loggers = NEW_ARRAY(c->loggers.n, struct topo_logger);
    uint32_t n_loggers = sync_loggers_active(s, c, loggers);
    char *labels = body ? labels_of(body) : old->labels;
    struct topo_chain *made = topo_chain_make(topo_id(s->topo, c->item.ref),
                                              body ? sync_body_string(body, "name") : old->obj.name,
                                              rules, (uint32_t)n, loggers, n_loggers, labels);
    if (old && old->obj.missing)
        s->st.n_missing--;
    if (old)
        sync_changed(s, tag_object(c->item.ref));
    topo_publish(s->topo, &made->obj);
    prefetch(s, made);
    if (body)
        free(labels);
    free(loggers);
}

static size_t order_memory(const struct chain_item *c)
{
    return objects_order_size(c->order) * sizeof(struct uuid);
}

static void drop_order(struct sync *s, struct chain_item *c)
{
    s->items_memory -= order_memory(c);
    objects_order_free(c->order);
    c->order = NULL;
}

void sync_chain_free(struct sync *s, struct chain_item *c)
{
    drop_order(s, c);
    free(c->loggers.v);
    memset(&c->loggers, 0, sizeof c->loggers);
}

static int gone(struct sync *s, struct chain_item *c)
{
    sync_chain_free(s, c);
    c->item.rev = -1;
    return sync_is_missing(s, &c->item);
}

static int order(struct sync *s, struct chain_item *c, const struct uuid *touched, size_t n)
{
    struct error e = {0};
    size_t before = order_memory(c);
    int rc = objects_order_follow(s->db, topo_id(s->topo, c->item.ref), touched, n, &c->order, &e);

    s->items_memory += order_memory(c) - before;
    if (rc == -EBADMSG) /* not to be taken for empty: what the rules refuse would pass */
        log_limited(LOG_LVL_WARN, "topology", "%s: %s", e.object, e.message);
    return rc;
}

/* All rules, and what is left of the chain. */
static int load_parts(struct sync *s, struct chain_item *c, const json_t *body)
{
    struct rules_read r = {0};
    struct topo_rule *rules;
    struct uuid *ids = NULL;
    size_t n;

    drop_order(s, c);
    int rc = order(s, c, NULL, 0);
    if (!rc) {
        n = objects_order_size(c->order);
        ids = NEW_ARRAY(n, struct uuid);
        objects_order_ids(c->order, ids);
        rc = sync_rules_read(s, ids, n, &r);
    }
    if (!rc)
        rc = sync_loggers_read(s, c);
    if (!rc && sync_rules_in_order(c, NULL, &r, &rules, &n)) {
        sync_chain_publish(s, c, rules, n, body);
        free(rules);
    }
    free(ids);
    sync_rules_free(&r);
    return rc;
}

static int read_body(struct sync *s, const struct chain_item *c, json_t **body, bool *there)
{
    const struct uuid *id = topo_id(s->topo, c->item.ref);
    char path[STORE_PATH_MAX];
    struct store_value v;

    objects_path(ST_CHAIN, id, path);
    int rc = sync_get(s, path, &v);
    if (rc)
        return rc;
    *there = !v.rc;
    *body = sync_body(s, ST_CHAIN, id, &v);
    store_value_free(&v);
    return 0;
}

/* A chain that can't be understood must not be taken for one that isn't there: that lets all pass.
 */
static void closed(struct sync *s, struct chain_item *c)
{
    const struct topo_rule drop = {.id = *topo_id(s->topo, c->item.ref), .type = RULE_BROKEN};
    json_t *empty = json_object();

    sync_chain_free(s, c);
    sync_chain_publish(s, c, &drop, 1, empty);
    json_decref(empty);
}

static int load(struct sync *s, struct chain_item *c)
{
    int64_t rev;
    json_t *body;
    bool there;
    int rc = sync_watch_change(s, &c->item);

    /* The revision first: what is read after it is at least as new. */
    if (!rc)
        rc = sync_read_rev(s, &c->item, &rev, NULL);
    if (!rc)
        rc = read_body(s, c, &body, &there);
    if (rc)
        return rc;
    if (!there)
        return gone(s, c);
    s->st.reloads++;
    if (body)
        rc = load_parts(s, c, body);
    else
        closed(s, c);
    json_decref(body);
    if (!rc) {
        c->item.rev = rev;
        sync_is_loaded(s, &c->item);
    }
    return rc;
}

struct work {
    bool body, loggers;
    uuids rules;
};

static void sort_out(const struct objects_change *changes, int n, struct work *w)
{
    for (int i = 0; i < n; i++) {
        const struct objects_change *ch = &changes[i];
        bool twice = false;
        for (int j = 0; j < i && !twice; j++)
            twice = changes[j].type == ch->type && uuid_equal(&changes[j].id, &ch->id);
        w->loggers |= ch->type == ST_RULE_LOGGER;
        w->body |= ch->type == ST_CHAIN;
        if (ch->type == ST_RULE && !twice)
            vec_add(&w->rules, ch->id);
    }
}

/* 1: this way doesn't lead there, all must be read. */
static int do_work(struct sync *s, struct chain_item *c, const struct work *w)
{
    const struct topo_chain *old = topo_chain(s->topo, c->item.ref);
    struct rules_read r = {0};
    struct topo_rule *rules;
    json_t *body = NULL;
    size_t n;
    bool there;
    int rc = sync_rules_read(s, w->rules.v, w->rules.n, &r);

    if (!rc && w->body)
        rc = read_body(s, c, &body, &there);
    if (!rc && w->body && !body) {
        sync_rules_free(&r);
        return 1;
    }
    if (!rc && w->rules.n)
        rc = order(s, c, w->rules.v, w->rules.n);
    if (!rc && w->loggers)
        rc = sync_loggers_read(s, c);
    if (!rc && sync_rules_in_order(c, old, &r, &rules, &n)) {
        sync_chain_publish(s, c, rules, n, body);
        free(rules);
    } else if (!rc)
        rc = 1;
    json_decref(body);
    sync_rules_free(&r);
    return rc;
}

static int change(struct sync *s, struct chain_item *c)
{
    const struct topo_obj *o = topo_get(s->topo, c->item.ref);
    struct objects_change *changes = NULL;
    struct work w = {0};
    struct error e;
    int64_t rev = 0;

    if (!o || o->missing || !c->order)
        return load(s, c);
    int n = objects_changes(s->db, ST_CHAIN, topo_id(s->topo, c->item.ref), c->item.rev, &rev,
                            &changes, &e);
    if (n == -ENOENT)
        return gone(s, c);
    if (n == -EOVERFLOW || n == -EINVAL)
        return load(s, c);
    if (n < 0)
        return n;
    sort_out(changes, n, &w);
    int rc = n ? do_work(s, c, &w) : 0;
    if (rc == 1)
        rc = load(s, c);
    else if (!rc && c->item.rev >= 0) {
        s->st.changes += rev != c->item.rev;
        c->item.rev = rev;
    }
    free(changes);
    free(w.rules.v);
    return rc;
}

int sync_work_chain(struct sync *s, struct chain_item *c, unsigned due)
{
    return due & DUE_LOAD || !c->item.loaded ? load(s, c) : change(s, c);
}
