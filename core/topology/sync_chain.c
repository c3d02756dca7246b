/* Chains: their rules in order, their loggers.
 *
 * The change log names the rules of a commit; they and the part of the order that has changed are
 * read, a handful of nodes however long the chain, and the published chain is made anew from the
 * old one and them. */
#include <stdlib.h>

#include "base/hash.h"
#include "base/log.h"
#include "topology/sync_policy.h"

/* Rules just read, found by id; the arrays of their values are in the arena. */
struct reading {
    struct arena arena;
    VEC(struct topo_rule) rules;
    uuids gone; /* asked for and not there */
};

static void reading_free(struct reading *r)
{
    free(r->rules.v);
    free(r->gone.v);
    arena_free(&r->arena);
}

static int read_rules(struct sync *s, const struct uuid *ids, size_t n, struct reading *out)
{
    char path[STORE_PATH_MAX];
    struct batch b;

    arena_init(&out->arena, 4096);
    sync_batch_init(&b, s);
    for (size_t i = 0; i < n; i++) {
        objects_path(ST_RULE, &ids[i], path);
        sync_batch_add(&b, path);
    }
    int rc = sync_batch_run(&b);
    for (size_t i = 0; i < n && !rc; i++) {
        struct topo_rule r;
        if (b.values[i].rc) {
            vec_add(&out->gone, ids[i]);
            continue;
        }
        json_t *body = sync_body(s, ST_RULE, &ids[i], &b.values[i]);
        sync_parse_rule(s, &ids[i], body, &out->arena, &r);
        json_decref(body);
        vec_add(&out->rules, r);
    }
    sync_batch_free(&b);
    return rc;
}

/* Where the rules of a list are, by id: open addressing. */
struct places {
    uint32_t *at; /* index + 1 */
    size_t mask;
    const struct topo_rule *rules;
};

static uint32_t *place(const struct places *p, const struct uuid *id)
{
    size_t i = hash_bytes(id, sizeof *id, 0) & p->mask;

    while (p->at[i] && !uuid_equal(&p->rules[p->at[i] - 1].id, id))
        i = (i + 1) & p->mask;
    return &p->at[i];
}

static struct places places_of(const struct topo_rule *rules, size_t n)
{
    struct places p = {.mask = 15, .rules = rules};

    while (p.mask < 2 * n)
        p.mask = p.mask * 2 + 1;
    p.at = NEW_ARRAY(p.mask + 1, uint32_t);
    for (size_t i = 0; i < n; i++)
        *place(&p, &rules[i].id) = (uint32_t)i + 1;
    return p;
}

static const struct topo_rule *rule_of(const struct places *p, const struct uuid *id)
{
    uint32_t at = *place(p, id);

    return at ? &p->rules[at - 1] : NULL;
}

static bool is_gone(const struct reading *r, const struct uuid *id)
{
    for (size_t i = 0; i < r->gone.n; i++) {
        if (uuid_equal(&r->gone.v[i], id))
            return true;
    }
    return false;
}

/* The rules in order: those just read, else as they were.  False when there is one that is neither:
 * the order is newer, or older, than the change log. */
static bool in_order(const struct chain_item *c, const struct topo_chain *old,
                     const struct reading *r, struct topo_rule **out, size_t *n_out)
{
    size_t n = objects_order_size(c->order), n_rules = 0;
    struct uuid *ids = NEW_ARRAY(n, struct uuid);
    struct topo_rule *rules = NEW_ARRAY(n, struct topo_rule);
    struct places was = places_of(old ? old->rules : NULL, old ? old->n_rules : 0);
    struct places is = places_of(r->rules.v, r->rules.n);
    bool known = true;

    objects_order_ids(c->order, ids);
    for (size_t i = 0; i < n && known; i++) {
        const struct topo_rule *rule = rule_of(&is, &ids[i]);
        if (!rule && is_gone(r, &ids[i]))
            continue; /* deleted meanwhile: the log will say so too */
        rule = rule ? rule : rule_of(&was, &ids[i]);
        known = rule != NULL;
        if (known)
            rules[n_rules++] = *rule;
    }
    free(was.at);
    free(is.at);
    free(ids);
    if (!known) {
        free(rules);
        return false;
    }
    *out = rules;
    *n_out = n_rules;
    return true;
}

/* Loggers */

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

/* A chain's loggers are few: all of them again. */
static int read_loggers(struct sync *s, struct chain_item *c)
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

/* Publishing */

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

/* Null body: name and labels stay. */
static void publish(struct sync *s, struct chain_item *c, const struct topo_rule *rules, size_t n,
                    const json_t *body)
{
    const struct topo_chain *old = topo_chain(s->topo, c->item.ref);
    struct topo_logger *loggers = NEW_ARRAY(c->loggers.n, struct topo_logger);
    uint32_t n_loggers = 0;
    char *labels = body ? labels_of(body) : old->labels;

    for (size_t i = 0; i < c->loggers.n; i++) {
        const struct logging_item *l = logging(s, c->loggers.v[i].resource);
        if (l && l->enabled)
            loggers[n_loggers++] = (struct topo_logger){c->loggers.v[i].id, c->loggers.v[i].events,
                                                        *topo_id(s->topo, l->item.ref)};
    }
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
    struct reading r = {0};
    struct topo_rule *rules;
    struct uuid *ids = NULL;
    size_t n;

    drop_order(s, c);
    int rc = order(s, c, NULL, 0);
    if (!rc) {
        n = objects_order_size(c->order);
        ids = NEW_ARRAY(n, struct uuid);
        objects_order_ids(c->order, ids);
        rc = read_rules(s, ids, n, &r);
    }
    if (!rc)
        rc = read_loggers(s, c);
    if (!rc && in_order(c, NULL, &r, &rules, &n)) {
        publish(s, c, rules, n, body);
        free(rules);
    }
    free(ids);
    reading_free(&r);
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
    publish(s, c, &drop, 1, empty);
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
    struct reading r = {0};
    struct topo_rule *rules;
    json_t *body = NULL;
    size_t n;
    bool there;
    int rc = read_rules(s, w->rules.v, w->rules.n, &r);

    if (!rc && w->body)
        rc = read_body(s, c, &body, &there);
    if (!rc && w->body && !body) {
        reading_free(&r);
        return 1;
    }
    if (!rc && w->rules.n)
        rc = order(s, c, w->rules.v, w->rules.n);
    if (!rc && w->loggers)
        rc = read_loggers(s, c);
    if (!rc && in_order(c, old, &r, &rules, &n)) {
        publish(s, c, rules, n, body);
        free(rules);
    } else if (!rc)
        rc = 1;
    json_decref(body);
    reading_free(&r);
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
            publish(s, c, old->rules, old->n_rules, NULL);
    }
    (void)due;
    return rc;
}
