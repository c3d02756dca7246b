#include <stdlib.h>

#include "base/log.h"
#include "topology/sync_impl.h"

enum { PER_ROUND = 512 };

void sync_batch_init(struct batch *b, struct sync *s)
{
    *b = (struct batch){.s = s};
    arena_init(&b->arena, 960); /* most batches are of a few paths */
}

void sync_batch_free(struct batch *b)
{
    for (size_t i = 0; b->values && i < b->paths.n; i++)
        store_value_free(&b->values[i]);
    free(b->values);
    free(b->paths.v);
    arena_free(&b->arena);
}

size_t sync_batch_add(struct batch *b, const char *path)
{
    size_t size = strlen(path) + 1;
    char *copy = arena_alloc(&b->arena, size);

    memcpy(copy, path, size);
    vec_add(&b->paths, copy);
    return b->paths.n - 1;
}

int sync_batch_run(struct batch *b)
{
    b->values = NEW_ARRAY(b->paths.n, struct store_value);
    for (size_t at = 0; at < b->paths.n; at += PER_ROUND) {
        size_t n = MIN((size_t)PER_ROUND, b->paths.n - at);
        int rc = store_get_many(b->s->store, b->paths.v + at, n, b->values + at, NULL);
        if (rc)
            return rc;
        b->s->st.reads += n;
    }
    return 0;
}

int sync_get(struct sync *s, const char *path, struct store_value *v)
{
    s->st.reads++;
    return store_get_many(s->store, &path, 1, v, NULL);
}

json_t *sync_json(struct sync *s, const char *what, const struct store_value *v)
{
    json_error_t je;

    if (v->rc)
        return NULL;
    json_t *j = json_loadb(v->data, v->size, 0, &je);
    if (!j) {
        s->st.broken++;
        log_limited(LOG_LVL_WARN, "topology", "%s is no JSON: %s", what, je.text);
    }
    return j;
}

json_t *sync_valid(struct sync *s, enum schema_type_id type, const struct uuid *id, json_t *body)
{
    char text[UUID_STRLEN];
    struct error e = {0};

    if (!body || !schema_validate(&schema_types[type], body, false, true, &e))
        return body;
    s->st.broken++;
    log_limited(LOG_LVL_WARN, "topology", "%s %s makes no sense: field %s: %s",
                schema_types[type].name, uuid_format(id, text), e.field, e.message);
    return NULL;
}

json_t *sync_body(struct sync *s, enum schema_type_id type, const struct uuid *id,
                  const struct store_value *v)
{
    char text[UUID_STRLEN], what[96];

    snprintf(what, sizeof what, "%s %s", schema_types[type].name, uuid_format(id, text));
    json_t *body = sync_json(s, what, v);
    if (body && !sync_valid(s, type, id, body)) { /* treated as missing */
        json_decref(body);
        return NULL;
    }
    return body;
}

int sync_bodies(struct sync *s, enum schema_type_id type, const struct uuid *ids, size_t n,
                json_t **bodies)
{
    char path[STORE_PATH_MAX];
    struct batch b;

    sync_batch_init(&b, s);
    for (size_t i = 0; i < n; i++) {
        objects_path(type, &ids[i], path);
        sync_batch_add(&b, path);
    }
    int rc = sync_batch_run(&b);
    for (size_t i = 0; i < n; i++)
        bodies[i] = rc ? NULL : sync_body(s, type, &ids[i], &b.values[i]);
    sync_batch_free(&b);
    return rc;
}

int sync_read_rev(struct sync *s, const struct item *it, int64_t *rev, int64_t *from)
{
    struct store_value v;
    char path[STORE_PATH_MAX];

    objects_change_path(sync_type(it), topo_id(s->topo, it->ref), path);
    int rc = sync_get(s, path, &v);
    if (rc)
        return rc;
    json_t *j = sync_json(s, path, &v);
    *rev = sync_body_int(j, "rev", 0, 0, INT64_MAX);
    if (from)
        *from = sync_body_int(j, "from", 0, 0, INT64_MAX);
    json_decref(j);
    store_value_free(&v);
    return 0;
}
