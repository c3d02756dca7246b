/* The ground of "trace --file": an exported topology in a store of its own.
 *
 * An export has no run-time state, so all hosts are taken to be alive and all bound ports to be
 * served: what is asked is what the configuration does.  Nothing has been learned. */
#include <string.h>

#include "trace.h"

struct presuming {
    struct store *store;
    struct error *e;
};

static int presume_alive(json_t *host, void *aux)
{
    struct presuming *p = aux;
    char path[STORE_PATH_MAX];
    struct uuid id;

    if (uuid_parse(json_string_value(json_object_get(host, "id")), &id))
        return 0;
    objects_alive_path(&id, 0, path);
    return store_create(p->store, path, "", 0, STORE_PARENTS, p->e);
}

static int presume_served(json_t *port, void *aux)
{
    const char *host = json_string_value(json_object_get(port, "hostId"));
    struct presuming *p = aux;
    char text[80], path[STORE_PATH_MAX];
    struct uuid id;

    if (!host || uuid_parse(json_string_value(json_object_get(port, "id")), &id))
        return 0;
    snprintf(text, sizeof text, "{\"host\":\"%.36s\",\"key\":1}", host);
    objects_state_path(ST_PORT, &id, "active", path);
    return store_create(p->store, path, text, strlen(text), STORE_PARENTS, p->e);
}

int trace_open_file(const char *path, struct store **store, struct objects **db, struct error *e)
{
    struct presuming p = {.e = e};
    json_error_t je;
    json_t *doc = json_load_file(path, JSON_REJECT_DUPLICATES, &je);
    int rc;

    if (!doc && je.line < 0)
        return error_set(e, -ENOENT, path, NULL, "%s", je.text);
    if (!doc)
        return error_set(e, -EINVAL, path, NULL, "line %d: %s", je.line, je.text);
    rc = store_open("memory:", NULL, store, e);
    if (!rc) {
        *db = objects_open(*store);
        rc = objects_import(*db, doc, e);
    }
    json_decref(doc);
    p.store = *store;
    if (!rc)
        rc = objects_each(*db, ST_HOST, NULL, presume_alive, &p, e);
    return rc ? rc : objects_each(*db, ST_PORT, NULL, presume_served, &p, e);
}
