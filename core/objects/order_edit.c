/* Orders of chains within a plan. */
#include "objects/impl.h"

#include <stdio.h>
#include <stdlib.h>

static int get_order(struct plan *p, const struct uuid *chain, struct order **out)
{
    char path[STORE_PATH_MAX];
    const char *data;
    size_t size;

    for (struct order *o = p->orders; o; o = o->next_order)
        if (uuid_equal(&o->chain, chain)) {
            *out = o;
            return 0;
        }
    struct order *o = order_new(chain);
    o->next_order = p->orders;
    p->orders = o;
    *out = o;
    path_order(chain, NULL, path);
    int rc = view_get(&p->view, path, &data, &size, p->e);
    if (rc == -ENOENT)
        return 0;
    return rc ? rc : order_parse(o, data, size, p->e);
}

static int load_chunk(struct plan *p, struct order *o, struct order_chunk *c)
{
    char path[STORE_PATH_MAX];
    const char *data;
    size_t size;

    if (c->loaded)
        return 0;
    path_order(&o->chain, c->name, path);
    int rc = view_get(&p->view, path, &data, &size, p->e);
    if (!rc && order_parse_chunk(c, data, size))
        return 0;
    if (rc && rc != -ENOENT)
        return rc;
    path_order(&o->chain, NULL, path);
    return order_mismatch(p->db, &o->chain, view_node(&p->view, path)->version, p->e);
}

static void place(struct order *o, const struct uuid *rule)
{
    ids_add(&o->placed, &o->n_placed, rule);
}

static struct order_chunk *new_chunk(struct order *o, size_t at)
{
    char name[12];

    snprintf(name, sizeof name, "%lld", (long long)o->next++ % 10000000000);
    struct order_chunk *c = order_add_chunk(o, at, name);
    c->ids = NEW_ARRAY(ORDER_CHUNK_MAX, struct uuid);
    c->dirty = true;
    return c;
}

/* The second half moves to a chunk of its own. */
static void split(struct order *o, size_t at)
{
    struct order_chunk *high = new_chunk(o, at + 1), *low = &o->chunks[at];
    size_t half = low->n / 2;

    high->n = low->n - half;
    memcpy(high->ids, low->ids + half, high->n * sizeof *high->ids);
    low->n = half;
    low->dirty = true;
    for (size_t i = 0; i < high->n; i++)
        place(o, &high->ids[i]);
}

/* The chunk for a new id that has 'before' ids in front of it; *offset is its place there.  Runs
 * of insertions at either end fill fresh chunks, so that nothing moves. */
static int make_room(struct plan *p, struct order *o, size_t before, struct order_chunk **chunk,
                     size_t *offset)
{
    size_t at = 0;

    while (at < o->n_chunks && before > o->chunks[at].n)
        before -= o->chunks[at++].n;
    if (at < o->n_chunks && before == o->chunks[at].n && o->chunks[at].n == ORDER_CHUNK_MAX) {
        before = 0;
        at++;
    }
    bool end = at == o->n_chunks || (before == 0 && o->chunks[at].n == ORDER_CHUNK_MAX);
    if (end) {
        *chunk = new_chunk(o, at);
        *offset = 0;
        return 0;
    }
    int rc = load_chunk(p, o, &o->chunks[at]);
    if (rc)
        return rc;
    if (o->chunks[at].n == ORDER_CHUNK_MAX) {
        split(o, at);
        if (before > o->chunks[at].n)
            before -= o->chunks[at++].n;
    }
    *chunk = &o->chunks[at];
    *offset = before;
    return 0;
}

int plan_order_insert(struct plan *p, const struct uuid *chain, const struct uuid *rule,
                      int64_t position)
{
    struct order_chunk *c;
    struct order *o;
    size_t total = 0, offset;
    int rc = get_order(p, chain, &o);

    if (rc)
        return rc;
    for (size_t i = 0; i < o->n_chunks; i++)
        total += o->chunks[i].n;
    if (position > (int64_t)total + 1) {
        char label[96];
        return error_set(p->e, -EINVAL, object_label(ST_RULE, rule, label), "pos",
                         "Position exceeds number of rules in chain: %lld of %zu",
                         (long long)position, total);
    }
    rc = make_room(p, o, (size_t)position - 1, &c, &offset);
    if (rc)
        return rc;
    memmove(&c->ids[offset + 1], &c->ids[offset], (c->n - offset) * sizeof *c->ids);
    c->ids[offset] = *rule;
    c->n++;
    c->dirty = o->dirty = true;
    place(o, rule);
    return 0;
}

static bool find_in(const struct order_chunk *c, const struct uuid *rule, size_t *offset)
{
    if (c->loaded)
        for (size_t i = 0; i < c->n; i++)
            if (uuid_equal(&c->ids[i], rule)) {
                *offset = i;
                return true;
            }
    return false;
}

/* Looks where its back reference points, then everywhere. */
static int find(struct plan *p, struct order *o, const struct uuid *rule,
                struct order_chunk **chunk, size_t *offset)
{
    char path[STORE_PATH_MAX];
    const char *data = "";
    size_t size;

    for (size_t i = 0; i < o->n_chunks; i++)
        if (find_in(&o->chunks[i], rule, offset)) {
            *chunk = &o->chunks[i];
            return 0;
        }
    path_ref(ST_CHAIN, &o->chain, ST_RULE, "chainId", rule, path);
    int rc = view_get(&p->view, path, &data, &size, p->e);
    for (unsigned pass = 0; pass < 2 && (!rc || rc == -ENOENT); pass++)
        for (size_t i = 0; i < o->n_chunks; i++) {
            struct order_chunk *c = &o->chunks[i];
            if (c->loaded || (!pass && (rc || strcmp(c->name, data))))
                continue;
            int loaded = load_chunk(p, o, c);
            if (loaded)
                return loaded;
            if (find_in(c, rule, offset)) {
                *chunk = c;
                return 0;
            }
        }
    return rc ? rc : -ENOENT;
}

int plan_order_remove(struct plan *p, const struct uuid *chain, const struct uuid *rule)
{
    struct order_chunk *c;
    struct order *o;
    size_t offset;
    int rc = get_order(p, chain, &o);

    if (!rc)
        rc = find(p, o, rule, &c, &offset);
    if (rc)
        return rc == -ENOENT ? 0 : rc; /* not in the list: then it needn't be taken out */
    memmove(&c->ids[offset], &c->ids[offset + 1], (c->n - offset - 1) * sizeof *c->ids);
    c->n--;
    c->dirty = o->dirty = true;
    return 0;
}

static void put_chunk(struct plan *p, const struct order *o, const struct order_chunk *c)
{
    char path[STORE_PATH_MAX], text[UUID_STRLEN];
    struct strbuf sb = {0};

    path_order(&o->chain, c->name, path);
    if (!c->n) {
        view_delete(&p->view, path);
        return;
    }
    for (size_t i = 0; i < c->n; i++)
        sb_printf(&sb, "%s\"%s\"", i ? "," : "[", uuid_format(&c->ids[i], text));
    sb_add(&sb, "]");
    view_put_text(&p->view, path, sb_steal(&sb));
}

/* The back reference of a rule that was put into a chunk says which. */
static void put_place(struct plan *p, struct order *o, const struct uuid *rule)
{
    char path[STORE_PATH_MAX];
    struct object_key key = {.type = ST_RULE, .id = *rule};
    struct object *obj;
    size_t offset;

    for (size_t i = 0; i < o->n_chunks; i++)
        if (find_in(&o->chunks[i], rule, &offset)) {
            path_ref(ST_CHAIN, &o->chain, ST_RULE, "chainId", rule, path);
            view_put(&p->view, path, o->chunks[i].name, strlen(o->chunks[i].name));
            HASH_FIND(hh, p->objects, &key, sizeof key, obj);
            view_node(&p->view, path)->any = !obj || obj->before;
            return;
        }
}

static void flush(struct plan *p, struct order *o)
{
    char path[STORE_PATH_MAX];
    struct strbuf sb = {0};
    bool first = true;

    for (size_t i = 0; i < o->n_chunks; i++)
        if (o->chunks[i].dirty)
            put_chunk(p, o, &o->chunks[i]);
    sb_printf(&sb, "{\"next\":%lld,\"chunks\":[", (long long)o->next);
    for (size_t i = 0; i < o->n_chunks; i++)
        if (o->chunks[i].n) {
            sb_printf(&sb, "%s[\"%s\",%zu]", first ? "" : ",", o->chunks[i].name, o->chunks[i].n);
            first = false;
        }
    sb_add(&sb, "]}");
    path_order(&o->chain, NULL, path);
    view_put_text(&p->view, path, sb_steal(&sb));
    for (size_t i = 0; i < o->n_placed; i++)
        put_place(p, o, &o->placed[i]);
}

void plan_order_flush(struct plan *p)
{
    for (struct order *o = p->orders; o; o = o->next_order) {
        struct object_key key = {.type = ST_CHAIN, .id = o->chain};
        struct object *chain;
        HASH_FIND(hh, p->objects, &key, sizeof key, chain);
        if (o->dirty && !(chain && !chain->after))
            flush(p, o);
    }
}

void plan_order_free(struct plan *p)
{
    while (p->orders) {
        struct order *o = p->orders;
        p->orders = o->next_order;
        order_free(o);
    }
}
