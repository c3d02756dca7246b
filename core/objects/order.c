#include "objects/impl.h"

#include <stdio.h>
#include <stdlib.h>

/* "order":  {"next":N,"chunks":[["NAME",SIZE],...]}     N: number of the next chunk's name
 * a chunk:  ["UUID",...] */

enum { READ_TRIES = 100 }; /* each meets another writer's commit */

static void chunk_free(struct order_chunk *c)
{
    free(c->ids);
}

void order_free(struct order *o)
{
    for (size_t i = 0; i < o->n_chunks; i++)
        chunk_free(&o->chunks[i]);
    free(o->chunks);
    free(o->placed);
    free(o);
}

struct order_chunk *order_add_chunk(struct order *o, size_t at, const char *name)
{
    o->chunks = mem_resize(o->chunks, (o->n_chunks + 1) * sizeof *o->chunks);
    memmove(&o->chunks[at + 1], &o->chunks[at], (o->n_chunks - at) * sizeof *o->chunks);
    o->n_chunks++;
    struct order_chunk *c = &o->chunks[at];
    *c = (struct order_chunk){.loaded = true};
    snprintf(c->name, sizeof c->name, "%s", name);
    return c;
}

static int broken(const struct uuid *chain, struct error *e)
{
    char label[96];

    return error_set(e, -EBADMSG, object_label(ST_CHAIN, chain, label), NULL,
                     "the store has a broken list of its rules");
}

int order_parse(struct order *o, const char *data, size_t size, struct error *e)
{
    json_t *root = json_loadb(data, size, 0, NULL), *pair;
    const json_t *chunks = json_object_get(root, "chunks");
    size_t i;
    int rc = json_is_array(chunks) ? 0 : broken(&o->chain, e);

    o->next = json_integer_value(json_object_get(root, "next"));
    json_array_foreach (chunks, i, pair) {
        const char *name = json_string_value(json_array_get(pair, 0));
        json_int_t n = json_integer_value(json_array_get(pair, 1));
        if (!name || !name[0] || strlen(name) >= sizeof o->chunks->name || strchr(name, '/') ||
            n < 1 || n > ORDER_CHUNK_MAX) {
            rc = broken(&o->chain, e);
            break;
        }
        struct order_chunk *c = order_add_chunk(o, o->n_chunks, name);
        c->n = (size_t)n;
        c->loaded = false;
    }
    json_decref(root);
    return rc;
}

/* False when it doesn't have the size that the list says: written since that was read. */
bool order_parse_chunk(struct order_chunk *c, const char *data, size_t size)
{
    json_t *list = json_loadb(data, size, 0, NULL), *v;
    size_t i;
    bool ok = json_array_size(list) == c->n;

    c->ids = NEW_ARRAY(ORDER_CHUNK_MAX, struct uuid);
    json_array_foreach (list, i, v)
        ok = ok && json_is_string(v) && !uuid_parse(json_string_value(v), &c->ids[i]);
    json_decref(list);
    c->loaded = ok;
    if (!ok) {
        free(c->ids);
        c->ids = NULL;
    }
    return ok;
}

struct order *order_new(const struct uuid *chain)
{
    struct order *o = NEW(struct order);

    o->chain = *chain;
    return o;
}

/* A chunk doesn't fit the list.  List and chunks are written together: if the list is still as it
 * was read before the chunk, at 'version', it is broken; else another writer was in between. */
int order_mismatch(struct objects *db, const struct uuid *chain, int64_t version, struct error *e)
{
    char root[1][STORE_PATH_MAX];
    struct store_value *v = NEW(struct store_value);

    path_order(chain, NULL, root[0]);
    int rc = read_many(db, root, 1, v, e);
    if (!rc)
        rc = v->rc || v->version != version ? -EAGAIN : broken(chain, e);
    values_free(v, 1);
    return rc;
}

/* One try to read all of it; -EAGAIN when it was being written meanwhile. */
static int read_order(struct objects *db, struct order *o, struct error *e)
{
    char root[1][STORE_PATH_MAX];
    struct store_value *values = NEW(struct store_value);

    path_order(&o->chain, NULL, root[0]);
    int rc = read_many(db, root, 1, values, e);
    int64_t version = values->version;
    if (!rc && !values->rc)
        rc = order_parse(o, values->data, values->size, e);
    values_free(values, 1);
    if (rc || !o->n_chunks)
        return rc;
    char(*paths)[STORE_PATH_MAX] = mem_array(o->n_chunks, STORE_PATH_MAX);
    values = NEW_ARRAY(o->n_chunks, struct store_value);
    for (size_t i = 0; i < o->n_chunks; i++)
        path_order(&o->chain, o->chunks[i].name, paths[i]);
    rc = read_many(db, paths, o->n_chunks, values, e);
    for (size_t i = 0; !rc && i < o->n_chunks; i++)
        if (values[i].rc || !order_parse_chunk(&o->chunks[i], values[i].data, values[i].size))
            rc = order_mismatch(db, &o->chain, version, e);
    values_free(values, o->n_chunks);
    free(paths);
    return rc;
}

int order_ids(struct objects *db, const struct uuid *chain, struct uuid **ids, size_t *n,
              struct error *e)
{
    int rc = -EAGAIN;

    *ids = NULL;
    *n = 0;
    for (unsigned attempt = 0; rc == -EAGAIN && attempt < READ_TRIES; attempt++) {
        struct order *o = order_new(chain);
        rc = read_order(db, o, e);
        for (size_t i = 0; !rc && i < o->n_chunks; i++) {
            *ids = mem_resize(*ids, (*n + o->chunks[i].n) * sizeof **ids);
            memcpy(*ids + *n, o->chunks[i].ids, o->chunks[i].n * sizeof **ids);
            *n += o->chunks[i].n;
        }
        order_free(o);
    }
    return rc == -EAGAIN ? -EBUSY : rc;
}

/* By the back reference, which names the chunk: three reads however long the chain. */
static int quick_position(struct objects *db, const struct uuid *chain, const struct uuid *rule,
                          int64_t *position, struct error *e)
{
    char paths[2][STORE_PATH_MAX], chunk[1][STORE_PATH_MAX];
    struct store_value *values = NEW_ARRAY(3, struct store_value);
    struct order *o = order_new(chain);
    int64_t before = 0;
    size_t at = 0;

    path_order(chain, NULL, paths[0]);
    path_ref(ST_CHAIN, chain, ST_RULE, "chainId", rule, paths[1]);
    int rc = read_many(db, paths, 2, values, e);
    if (!rc && (values[0].rc || values[1].rc))
        rc = -ENOENT;
    if (!rc)
        rc = order_parse(o, values[0].data, values[0].size, e);
    while (!rc && at < o->n_chunks && strcmp(o->chunks[at].name, values[1].data))
        before += (int64_t)o->chunks[at++].n;
    if (!rc && at == o->n_chunks)
        rc = -EAGAIN;
    if (!rc) {
        path_order(chain, o->chunks[at].name, chunk[0]);
        rc = read_many(db, chunk, 1, values + 2, e);
    }
    if (!rc && (values[2].rc || !order_parse_chunk(&o->chunks[at], values[2].data, values[2].size)))
        rc = -EAGAIN;
    if (!rc) {
        rc = -EAGAIN;
        for (size_t i = 0; i < o->chunks[at].n; i++)
            if (uuid_equal(&o->chunks[at].ids[i], rule)) {
                *position = before + (int64_t)i + 1;
                rc = 0;
            }
    }
    order_free(o);
    values_free(values, 3);
    return rc;
}

int order_position(struct objects *db, const struct uuid *chain, const struct uuid *rule,
                   int64_t *position, struct error *e)
{
    int rc = -EAGAIN;

    for (unsigned attempt = 0; rc == -EAGAIN && attempt < READ_TRIES; attempt++)
        rc = quick_position(db, chain, rule, position, e);
    return rc == -EAGAIN ? -ENOENT : rc;
}
