/* The order of a chain, kept by who follows it. */
#include "objects/impl.h"

#include <stdlib.h>

enum { READ_TRIES = 100 }; /* each meets another writer's commit */

struct objects_order {
    struct order *order;
};

static const struct order_chunk *find(const struct order *o, const char *name)
{
    for (size_t i = 0; o && i < o->n_chunks; i++)
        if (!strcmp(o->chunks[i].name, name))
            return &o->chunks[i];
    return NULL;
}

static void list_chunks(struct order *o, char (*touched)[16], size_t n_touched,
                        const struct order *old)
{
    for (size_t i = 0; i < o->n_chunks; i++) {
        struct order_chunk *c = &o->chunks[i];
        const struct order_chunk *same = find(old, c->name);
        bool again = !same || same->n != c->n;
        for (size_t k = 0; k < n_touched && !again; k++)
            again = !strcmp(touched[k], c->name);
        if (again)
            continue;
        c->ids = NEW_ARRAY(ORDER_CHUNK_MAX, struct uuid);
        memcpy(c->ids, same->ids, c->n * sizeof *c->ids);
        c->loaded = true;
    }
}

static int read_chunks(struct objects *db, struct order *o, int64_t version, struct error *e)
{
    char(*paths)[STORE_PATH_MAX] = mem_array(o->n_chunks, STORE_PATH_MAX);
    struct store_value *values = NEW_ARRAY(o->n_chunks, struct store_value);
    size_t n = 0, at = 0;

    for (size_t i = 0; i < o->n_chunks; i++)
        if (!o->chunks[i].loaded)
            path_order(&o->chain, o->chunks[i].name, paths[n++]);
    int rc = n ? read_many(db, paths, n, values, e) : 0;
    for (size_t i = 0; !rc && i < o->n_chunks; i++) {
        if (o->chunks[i].loaded)
            continue;
        const struct store_value *v = &values[at++];
        if (v->rc || !order_parse_chunk(&o->chunks[i], v->data, v->size))
            rc = order_mismatch(db, &o->chain, version, e);
    }
    values_free(values, n);
    free(paths);
    return rc;
}

/* One try: the list of chunks and, by the back references of the rules touched, their chunks. */
static int follow(struct objects *db, struct order *o, const struct uuid *touched, size_t n,
                  const struct order *old, struct error *e)
{
    char(*paths)[STORE_PATH_MAX] = mem_array(n + 1, STORE_PATH_MAX);
    struct store_value *values = NEW_ARRAY(n + 1, struct store_value);
    char(*names)[16] = mem_array(n + 1, 16);

    path_order(&o->chain, NULL, paths[0]);
    for (size_t i = 0; i < n; i++)
        path_ref(ST_CHAIN, &o->chain, ST_RULE, "chainId", &touched[i], paths[i + 1]);
    int rc = read_many(db, paths, n + 1, values, e);
    int64_t version = values->version;
    for (size_t i = 0; !rc && i < n; i++)
        snprintf(names[i], sizeof names[i], "%s", values[i + 1].rc ? "" : values[i + 1].data);
    if (!rc && !values->rc)
        rc = order_parse(o, values->data, values->size, e);
    values_free(values, n + 1);
    if (!rc) {
        list_chunks(o, names, n, old);
        rc = read_chunks(db, o, version, e);
    }
    free(names);
    free(paths);
    return rc;
}

int objects_order_follow(struct objects *db, const struct uuid *chain, const struct uuid *touched,
                         size_t n_touched, struct objects_order **o, struct error *e)
{
    int rc = -EAGAIN;

    for (unsigned attempt = 0; rc == -EAGAIN && attempt < READ_TRIES; attempt++) {
        struct order *fresh = order_new(chain);
        rc = follow(db, fresh, touched, n_touched, *o ? (*o)->order : NULL, e);
        if (rc) {
            order_free(fresh);
            continue;
        }
        if (*o)
            order_free((*o)->order);
        else
            *o = NEW(struct objects_order);
        (*o)->order = fresh;
    }
    return rc == -EAGAIN ? -EBUSY : rc;
}

size_t objects_order_size(const struct objects_order *o)
{
    size_t n = 0;

    for (size_t i = 0; o && i < o->order->n_chunks; i++)
        n += o->order->chunks[i].n;
    return n;
}

void objects_order_ids(const struct objects_order *o, struct uuid *ids)
{
    for (size_t i = 0; o && i < o->order->n_chunks; i++) {
        const struct order_chunk *c = &o->order->chunks[i];
        if (c->n)
            memcpy(ids, c->ids, c->n * sizeof *ids);
        ids += c->n;
    }
}

void objects_order_free(struct objects_order *o)
{
    if (!o)
        return;
    order_free(o->order);
    free(o);
}
