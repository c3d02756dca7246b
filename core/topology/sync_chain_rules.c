/* Rules of a chain: reading those that have changed, and putting them among the others.
 *
 * A rule names its chain, not its place: that is the order's to say.  The two are read one after
 * the other, so either may be newer than the other; sync_rules_in_order() says when that shows. */
#include <stdlib.h>

#include "base/hash.h"
#include "topology/sync_chain.h"

void sync_rules_free(struct rules_read *r)
{
    free(r->rules.v);
    free(r->gone.v);
    arena_free(&r->arena);
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct uuid));
}

int sync_rules_read(struct sync *s, const struct uuid *ids, size_t n, struct rules_read *out)
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
    if (out->gone.n)
        qsort(out->gone.v, out->gone.n, sizeof *out->gone.v, compare_ids);
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

static bool is_gone(const struct rules_read *r, const struct uuid *id)
{
    return r->gone.n && bsearch(id, r->gone.v, r->gone.n, sizeof *id, compare_ids);
}

bool sync_rules_in_order(const struct chain_item *c, const struct topo_chain *old,
                         const struct rules_read *r, struct topo_rule **out, size_t *n_out)
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
