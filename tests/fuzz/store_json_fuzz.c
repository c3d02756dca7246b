/* What a store may hold: any bytes as the body of an object of any type, as the order of a chain,
 * as a change node, as run-time state; and a whole topology document.
 *
 * The first byte chooses the type, the second the place, the rest is the content.  Whatever it is,
 * it must be an error or an object; an object that was accepted must be one that is accepted again
 * once written out. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "objects/objects.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int visit(json_t *obj, void *aux)
{
    (void)obj;
    (void)aux;
    return 0;
}

static void put(struct store *s, const char *path, const void *data, size_t size)
{
    const struct store_op op = {.type = STORE_PUT,
                                .flags = STORE_PARENTS,
                                .path = path,
                                .data = data,
                                .size = size,
                                .version = STORE_ANY};

    if (store_commit(s, &op, 1, NULL, NULL))
        abort();
}

/* Accepted once: accepted again, and unchanged by it. */
static void check_stable(const struct schema_type *t, const uint8_t *data, size_t size)
{
    json_t *v = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);

    if (v && !schema_validate(t, v, false, true, NULL)) {
        json_t *again = json_deep_copy(v);
        if (schema_validate(t, again, false, true, NULL) || !json_equal(v, again))
            abort();
        for (const struct schema_attr *a = t->attrs; a->name; a++)
            free(schema_to_text(a, json_object_get(v, a->json), false));
        json_decref(again);
    }
    json_decref(v);
}

static void check_text(const struct schema_type *t, const uint8_t *data, size_t size)
{
    char text[256];
    unsigned n = 0;

    if (size < 1 || size >= sizeof text)
        return;
    while (t->attrs[n].name)
        n++;
    snprintf(text, sizeof text, "%.*s", (int)size - 1, data + 1);
    const struct schema_attr *a = &t->attrs[data[0] % n];
    bool inverted;
    json_t *v;
    if (!schema_from_text(a, text, &v, &inverted, NULL)) {
        free(schema_to_text(a, v, inverted));
        json_decref(v);
    }
}

static void check_stored(enum schema_type_id type, unsigned place, const uint8_t *data, size_t size)
{
    static const char *const keys[] = {"alive", "interfaces", "active", "status", "config", "bgp"};
    struct store *s;
    struct uuid id, chain;
    char path[STORE_PATH_MAX], child[STORE_PATH_MAX + 16];
    json_t *v = NULL;
    struct error e;

    uuid_parse("10000000-0000-4000-8000-000000000000", &id);
    uuid_parse("20000000-0000-4000-8000-000000000000", &chain);
    if (store_open("memory:", NULL, &s, NULL))
        abort();
    struct objects *db = objects_open(s);
    objects_path(type, &id, path);
    put(s, path, place ? "{}" : (const char *)data, place ? 2 : size);
    objects_path(ST_CHAIN, &chain, path);
    put(s, path, "{}", 2);
    snprintf(child, sizeof child, "%s/order", path);
    put(s, child, data, place == 1 ? size : 0);
    snprintf(child, sizeof child, "%s/change", path);
    put(s, child, data, size);
    objects_state_path(type, &id, keys[place % 6], path);
    put(s, path, data, size);

    struct objects_change *changes;
    int64_t rev;
    if (objects_changes(db, ST_CHAIN, &chain, place, &rev, &changes, &e) >= 0)
        free(changes);
    objects_each(db, ST_RULE, &chain, visit, NULL, &e);
    objects_each(db, type, NULL, visit, NULL, &e);
    if (!objects_get(db, type, &id, &v, &e)) {
        json_t *patch = json_pack("{s:s}", "name", "n");
        objects_update1(db, type, &id, patch, STORE_ANY, &e);
        json_decref(patch);
    }
    json_decref(v);
    if (objects_export(db, &v, &e) == 0)
        json_decref(v);
    objects_delete1(db, type, &id, STORE_ANY, &e);
    objects_delete1(db, ST_CHAIN, &chain, STORE_ANY, &e);
    objects_close(db);
    store_close(s);
}

static void check_import(const uint8_t *data, size_t size)
{
    json_t *doc = json_loadb((const char *)data, size, 0, NULL);
    struct store *s;

    if (!doc)
        return;
    if (store_open("memory:", NULL, &s, NULL))
        abort();
    struct objects *db = objects_open(s);
    objects_import(db, doc, NULL);
    objects_close(db);
    store_close(s);
    json_decref(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    enum schema_type_id type = (enum schema_type_id)(data[0] % ST_N_TYPES);
    unsigned place = data[1];
    data += 2;
    size -= 2;
    check_stable(&schema_types[type], data, size);
    check_text(&schema_types[type], data, size);
    check_stored(type, place % 7, data, size);
    if (place == 255)
        check_import(data, size);
    return 0;
}
