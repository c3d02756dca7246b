#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "topology/sync_impl.h"

/* Telling a device's log who serves its ports, when many have something to tell.
 *
 *     /state/PLURAL/xx/UUID/told/PORT     ["ports","PORT","s","HOST",KEY,"INC"]
 *
 * The log is one node, written by compare-and-set: of a thousand agents that start at once, each
 * that succeeds would cost all others a try, and all who use the device a look.  So an agent that
 * meets others there leaves its entry, in one commit with the port's "active" node, in a folder
 * where nobody is in its way; and one takes the entries of all from there into the log.  An entry
 * is always what the port's node says: who writes that node later replaces it or takes it away.
 *
 * Who?  The owner of the first name, at once.  The others come back later, the further behind the
 * later; whoever finds his own still there then does it himself, so that it gets done whoever dies.
 */

enum { PER_COMMIT = 256 };
#define STEP_NS (20 * NSEC_PER_MSEC)
#define LONGEST 100 /* steps */

static void folder_path(struct sync *s, const struct item *device, char path[STORE_PATH_MAX])
{
    objects_state_path(sync_type(device), topo_id(s->topo, device->ref), "told", path);
}

void sync_tell_path(struct sync *s, const struct item *device, const struct uuid *port,
                    char path[STORE_PATH_MAX])
{
    char id[UUID_STRLEN];

    folder_path(s, device, path);
    size_t n = strlen(path);
    snprintf(path + n, STORE_PATH_MAX - n, "/%s", uuid_format(port, id));
}

static int list(struct sync *s, const struct item *device, struct store_names *out)
{
    char path[STORE_PATH_MAX];
    const char *p = path;
    int missing;

    folder_path(s, device, path);
    s->st.reads++;
    return store_children_many(s->store, &p, 1, out, &missing, NULL);
}

int sync_tell_crowded(struct sync *s, const struct item *device)
{
    struct store_names names;
    int rc = list(s, device, &names);

    if (rc)
        return rc;
    rc = names.n > 0;
    store_names_free(&names);
    return rc;
}

void sync_tell_later(struct sync *s, topo_ref device, topo_ref port)
{
    struct telling *t = NULL;

    for (size_t i = 0; i < s->telling.n && !t; i++)
        t = s->telling.v[i].device == device ? &s->telling.v[i] : NULL;
    if (!t) {
        vec_add(&s->telling, (struct telling){.device = device});
        t = &s->telling.v[s->telling.n - 1];
    }
    for (size_t i = 0; i < t->ports.n; i++) {
        if (t->ports.v[i] == port)
            return;
    }
    vec_add(&t->ports, port);
    t->at = s->now;
    t->looked = 0;
}

static int by_name(const void *id, const void *name)
{
    return strcmp(id, *(char *const *)name);
}

/* The place of the first of ours among the names; -1: none is there. */
static ssize_t place_of(struct sync *s, const struct telling *t, const struct store_names *names)
{
    char id[UUID_STRLEN];
    ssize_t first = -1;

    for (size_t i = 0; i < t->ports.n && names->n; i++) {
        uuid_format(topo_id(s->topo, t->ports.v[i]), id);
        char **name = bsearch(id, names->names, names->n, sizeof *names->names, by_name);
        if (name && (first < 0 || name - names->names < first))
            first = name - names->names;
    }
    return first;
}

/* What was left at the name, as far as it makes sense: else whoever reads the log has to read the
 * port's node. */
static json_t *entry_of(struct sync *s, const struct uuid *port, const struct store_value *v)
{
    json_t *j = sync_json(s, "what is told of a port", v);
    const char *host = json_string_value(json_array_get(j, 3));
    const char *inc = json_string_value(json_array_get(j, 5));
    int64_t key = json_integer_value(json_array_get(j, 4));
    struct objects_active a = {.told = host};
    char id[UUID_STRLEN];

    if (host && *host) {
        a.there = true;
        a.key = (uint32_t)key;
        a.inc = inc ? sync_parse_hex(inc) : 0;
        a.told = !uuid_parse(host, &a.host) && a.inc && key > 0 && key <= 0xffffff;
    }
    json_decref(j);
    if (a.told)
        return objects_active_entry(port, &a);
    return json_pack("[s,s,s]", schema_types[ST_PORT].plural, uuid_format(port, id), "s");
}

struct combining {
    struct batch b;
    json_t *entries;
    struct store_op ops[PER_COMMIT + 2];
    size_t n_ops;
};

static void add(struct sync *s, struct combining *c, const char *name, size_t at)
{
    const struct store_value *v = &c->b.values[at];
    struct uuid port;

    if (v->rc)
        return;
    if (!uuid_parse(name, &port))
        json_array_append_new(c->entries, entry_of(s, &port, v));
    c->ops[c->n_ops++] =
        (struct store_op){.type = STORE_DELETE, .path = c->b.paths.v[at], .version = v->version};
}

/* Takes up to PER_COMMIT of the entries, from place 'first' on and around, into the log. */
static int combine(struct sync *s, const struct item *device, const struct store_names *names,
                   size_t first)
{
    struct combining *c = NEW(struct combining);
    size_t n = MIN(names->n, (size_t)PER_COMMIT);
    char path[STORE_PATH_MAX], folder[STORE_PATH_MAX];
    struct objects_bump bump = {0};

    sync_batch_init(&c->b, s);
    objects_change_path(sync_type(device), topo_id(s->topo, device->ref), path);
    sync_batch_add(&c->b, path);
    folder_path(s, device, folder);
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%.200s/%.300s", folder, names->names[(first + i) % names->n]);
        sync_batch_add(&c->b, path);
    }
    int rc = sync_batch_run(&c->b);
    c->entries = json_array();
    for (size_t i = 0; i < n && !rc; i++)
        add(s, c, names->names[(first + i) % names->n], 1 + i);
    bool there = !rc && !c->b.values[0].rc;
    if (there && json_array_size(c->entries))
        rc = objects_bump_make(s->db, sync_type(device), topo_id(s->topo, device->ref),
                               &c->b.values[0], c->entries, &bump);
    for (size_t i = 0; i < bump.n; i++)
        c->ops[c->n_ops++] = bump.ops[i];
    if (!rc && c->n_ops)
        rc = sync_commit(s, c->ops, c->n_ops);
    objects_bump_free(&bump);
    json_decref(c->entries);
    sync_batch_free(&c->b);
    free(c);
    return rc;
}

/* 1: nothing of ours is left. */
static int look(struct sync *s, struct telling *t)
{
    const struct device_item *d = sync_device(s, t->device);
    struct store_names names;

    if (!d)
        return 1;
    int rc = list(s, &d->item, &names);
    if (rc)
        return rc;
    ssize_t at = place_of(s, t, &names);
    if (at > 0 && !t->looked) {
        t->at = s->now + (uint64_t)MIN(at, LONGEST) * STEP_NS + sync_by_chance(s, 0, STEP_NS);
    } else if (at >= 0) {
        rc = combine(s, &d->item, &names, (size_t)at);
        if (sync_forestalled(rc)) { /* somebody else is at it */
            s->st.conflicts++;
            t->at = s->now + STEP_NS + sync_by_chance(s, 0, STEP_NS << MIN(t->looked, 6u));
            rc = 0;
        }
    }
    t->looked++;
    store_names_free(&names);
    return rc ? rc : at < 0;
}

int sync_tell_flush(struct sync *s)
{
    int rc = 0;

    for (size_t i = 0; i < s->telling.n && !rc; i++) {
        struct telling *t = &s->telling.v[i];
        if (t->at <= s->now && (rc = look(s, t)) == 1) {
            free(t->ports.v);
            s->telling.v[i--] = s->telling.v[--s->telling.n];
            rc = 0;
            continue;
        }
        if (rc && !sync_store_away(rc)) { /* refused: what else there is to do is done */
            t->at = s->now + NSEC_PER_SEC;
            rc = 0;
        }
        sync_wants_run(s, t->at);
    }
    return rc;
}

void sync_tell_free(struct sync *s)
{
    for (size_t i = 0; i < s->telling.n; i++)
        free(s->telling.v[i].ports.v);
    free(s->telling.v);
}
