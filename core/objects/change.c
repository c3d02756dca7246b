#include "objects/impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { LOG_COMMITS = 32, LOG_ENTRIES = 64 };

/* A device and what of it this plan changes. */
struct bump {
    UT_hash_handle hh;
    struct object_key device;
    json_t *entries; /* ["ports","UUID","c"] */
};

static void add_bump(struct bump **bumps, enum schema_type_id type, const struct uuid *id,
                     const struct object *o, char what)
{
    struct object_key key = {.type = type, .id = *id};
    char text[UUID_STRLEN], letter[2] = {what, 0};
    struct bump *b;

    uuid_format(&o->key.id, text);
    HASH_FIND(hh, *bumps, &key, sizeof key, b);
    if (!b) {
        b = NEW(struct bump);
        b->device = key;
        b->entries = json_array();
        HASH_ADD(hh, *bumps, device, sizeof b->device, b);
    }
    const json_t *last = json_array_get(b->entries, json_array_size(b->entries) - 1);
    if (last && !strcmp(json_string_value(json_array_get(last, 1)), text))
        return; /* both before and after lead here */
    json_array_append_new(b->entries,
                          json_pack("[s,s,s]", schema_types[o->key.type].plural, text, letter));
}

static int bump_owners(struct plan *p, struct bump **bumps, enum schema_type_id type,
                       const json_t *body, const struct object *o, char what, unsigned depth);

static int bump_target(struct plan *p, struct bump **bumps, const struct schema_attr *a,
                       const json_t *v, const struct object *o, char what, unsigned depth)
{
    struct object_key key = {.type = a->ref};
    struct object *target;

    if (!json_is_string(v) || uuid_parse(json_string_value(v), &key.id))
        return 0;
    if (schema_types[a->ref].device) {
        add_bump(bumps, a->ref, &key.id, o, what);
        return 0;
    }
    HASH_FIND(hh, p->objects, &key, sizeof key, target);
    if (!target) {
        int rc = plan_load(p, a->ref, &key.id, &target);
        if (rc)
            return rc == -ENOENT ? 0 : rc;
    }
    const json_t *body = target->after ? target->after : target->before;
    return body ? bump_owners(p, bumps, a->ref, body, o, what, depth + 1) : 0;
}

static int bump_owners(struct plan *p, struct bump **bumps, enum schema_type_id type,
                       const json_t *body, const struct object *o, char what, unsigned depth)
{
    const char *list = schema_types[type].owners;
    char word[64];
    int rc = 0;

    while (!rc && list && *list && depth < 8) {
        size_t n = strcspn(list, ",");
        snprintf(word, sizeof word, "%.*s", (int)n, list);
        const struct schema_attr *a = schema_attr_by_json(schema_types[type].attrs, word);
        /* A linked port is news to the device at the other end; there the way doesn't turn back. */
        if (!depth || !a->peer_json)
            rc = bump_target(p, bumps, a, json_object_get(body, word), o, what, depth);
        list += n + (list[n] == ',');
    }
    return rc;
}

static int collect(struct plan *p, struct bump **bumps)
{
    struct object *o;
    int rc = 0;

    for (o = p->objects; o && !rc; o = o->hh.next) {
        bool same = o->before && o->after && !o->moved && json_equal(o->before, o->after);
        if (same || (!o->before && !o->after))
            continue;
        char what = !o->before ? 'c' : !o->after ? 'd' : 'u';
        if (schema_types[o->key.type].device)
            add_bump(bumps, object_type(o), &o->key.id, o, what);
        if (o->before)
            rc = bump_owners(p, bumps, object_type(o), o->before, o, what, 0);
        if (!rc && o->after)
            rc = bump_owners(p, bumps, object_type(o), o->after, o, what, 0);
    }
    return rc;
}

/* The old log behind the new entries, cut to whole commits. */
static json_t *new_log(int64_t rev, const json_t *entries, const json_t *old)
{
    json_t *log = json_array(), *v;
    size_t i;

    if (json_array_size(entries) > LOG_ENTRIES)
        return log;
    json_array_foreach (entries, i, v) {
        json_t *entry = json_array();
        json_array_append_new(entry, json_integer(rev));
        json_array_extend(entry, v);
        json_array_append_new(log, entry);
    }
    for (i = 0; i < json_array_size(old);) {
        json_int_t n = json_integer_value(json_array_get(json_array_get(old, i), 0));
        size_t end = i;
        while (end < json_array_size(old) &&
               json_integer_value(json_array_get(json_array_get(old, end), 0)) == n)
            end++;
        if (rev - n >= LOG_COMMITS || json_array_size(log) + end - i > LOG_ENTRIES)
            break;
        for (; i < end; i++)
            json_array_append(log, json_array_get(old, i));
    }
    return log;
}

static char *bumped(const json_t *old, const json_t *entries)
{
    int64_t rev = json_integer_value(json_object_get(old, "rev")) + 1;
    json_t *doc = json_pack("{s:I,s:o}", "rev", (json_int_t)rev, "log",
                            new_log(rev, entries, json_object_get(old, "log")));
    char *text = json_dumps(doc, JSON_COMPACT);

    json_decref(doc);
    return text;
}

char *objects_change_bumped(const char *data, size_t size, const json_t *entries)
{
    json_t *old = json_loadb(data, size, 0, NULL);
    char *text = bumped(old, entries);

    json_decref(old);
    return text;
}

static int write_bump(struct plan *p, const struct bump *b)
{
    char path[STORE_PATH_MAX], device[STORE_PATH_MAX];
    enum schema_type_id type = (enum schema_type_id)b->device.type;
    struct object *o;
    struct node *n;

    HASH_FIND(hh, p->objects, &b->device, sizeof b->device, o);
    if (o && !o->after)
        return 0;
    objects_change_path(type, &b->device.id, path);
    bool fresh = o && !o->before && !p->view.careful;
    int rc = fresh ? 0 : view_load(&p->view, path, &n, p->e);
    if (rc)
        return rc;
    json_t *old = NULL;
    if (!fresh && n->base == BASE_PRESENT)
        old = json_loadb(n->data, n->size, 0, NULL);
    else if (!o || o->before) {
        /* Never made below a device that isn't there. */
        objects_path(type, &b->device.id, device);
        rc = view_load(&p->view, device, &n, p->e);
        if (rc || n->base == BASE_ABSENT)
            return rc;
        view_require(&p->view, device);
    }
    view_put_text(&p->view, path, bumped(old, b->entries));
    json_decref(old);
    return 0;
}

int change_bump(struct plan *p)
{
    struct bump *bumps = NULL, *b, *next;
    int rc = collect(p, &bumps);

    HASH_ITER (hh, bumps, b, next) {
        if (!rc)
            rc = write_bump(p, b);
        HASH_DEL(bumps, b);
        json_decref(b->entries);
        free(b);
    }
    return rc;
}

static enum schema_type_id type_of_plural(const char *plural)
{
    for (unsigned i = 0; plural && i < ST_N_TYPES; i++)
        if (!strcmp(schema_types[i].plural, plural))
            return (enum schema_type_id)i;
    return ST_NONE;
}

/* An "active" entry: ["ports","UUID","s","HOST",KEY,"INC"], or "" for HOST when nobody serves it.
 */
json_t *objects_active_entry(const struct uuid *port, const struct objects_active *a)
{
    char id[UUID_STRLEN], host[UUID_STRLEN] = "", inc[17];

    uuid_format(port, id);
    if (!a->there)
        return json_pack("[s,s,s,s]", schema_types[ST_PORT].plural, id, "s", "");
    snprintf(inc, sizeof inc, "%016" PRIx64, a->inc);
    return json_pack("[s,s,s,s,I,s]", schema_types[ST_PORT].plural, id, "s",
                     uuid_format(&a->host, host), (json_int_t)a->key, inc);
}

static void parse_active(const json_t *entry, struct objects_active *a)
{
    const char *host = json_string_value(json_array_get(entry, 4));
    const json_t *key = json_array_get(entry, 5);
    const char *inc = json_string_value(json_array_get(entry, 6));

    if (host && !*host) {
        a->told = true;
    } else if (host && inc && json_is_integer(key) && json_integer_value(key) >= 0 &&
               json_integer_value(key) <= 0xffffff && strlen(inc) == 16 &&
               strspn(inc, "0123456789abcdef") == 16 && !uuid_parse(host, &a->host)) {
        a->told = a->there = true;
        a->key = (uint32_t)json_integer_value(key);
        a->inc = strtoull(inc, NULL, 16);
    }
}

static void parse_entry(const json_t *entry, struct objects_change *out)
{
    const char *id = json_string_value(json_array_get(entry, 2));
    const char *what = json_string_value(json_array_get(entry, 3));

    out->type = type_of_plural(json_string_value(json_array_get(entry, 1)));
    out->what = what ? what[0] : 'u';
    if (!id || uuid_parse(id, &out->id))
        out->type = ST_NONE;
    if (out->what == 's' && out->type == ST_PORT)
        parse_active(entry, &out->active);
}

/* 0 and the entries newer than 'since', oldest first; -EOVERFLOW when some are missing. */
static int newer(const json_t *log, int64_t since, int64_t rev, struct objects_change **out)
{
    size_t n = json_array_size(log), used = 0;
    int64_t reached = rev + 1;

    *out = NEW_ARRAY(n, struct objects_change);
    while (used < n) {
        int64_t at = json_integer_value(json_array_get(json_array_get(log, used), 0));
        if (at <= since)
            break;
        reached = at;
        used++;
    }
    if (since < rev && reached > since + 1) {
        free(*out);
        *out = NULL;
        return -EOVERFLOW;
    }
    for (size_t i = 0; i < used; i++)
        parse_entry(json_array_get(log, used - 1 - i), &(*out)[i]);
    return (int)used;
}

/* The log as far as 'since': all who use the device read it at each change, and know all but the
 * newest entries.  Null when the node isn't spelled as we spell it. */
static json_t *parse_head(const char *data, size_t size, int64_t since, int64_t *rev)
{
    const char *end = data + size, *at;
    json_t *log = json_array(), *entry;
    json_error_t je;
    int used = 0;

    if (sscanf(data, "{\"rev\":%" SCNd64 ",\"log\":[%n", rev, &used) != 1 || !used)
        goto other;
    for (at = data + used; at < end && *at != ']'; at += *at == ',') {
        entry = json_loadb(at, (size_t)(end - at), JSON_DISABLE_EOF_CHECK, &je);
        if (!entry)
            goto other;
        at += je.position;
        json_array_append_new(log, entry);
        if (json_integer_value(json_array_get(entry, 0)) <= since)
            break;
    }
    return log;
other:
    json_decref(log);
    return NULL;
}

static int parse_changes(const struct store_value *v, int64_t since, int64_t *rev,
                         struct objects_change **out)
{
    json_t *log = parse_head(v->data, v->size, since, rev), *doc = NULL;

    if (!log) {
        doc = json_loadb(v->data, v->size, 0, NULL);
        *rev = json_integer_value(json_object_get(doc, "rev"));
        log = json_incref(json_object_get(doc, "log"));
    }
    int rc = since < 0 || since > *rev ? -EOVERFLOW : newer(log, since, *rev, out);
    json_decref(log);
    json_decref(doc);
    return rc;
}

int objects_changes(struct objects *db, enum schema_type_id type, const struct uuid *id,
                    int64_t since, int64_t *rev, struct objects_change **out, struct error *e)
{
    char path[STORE_PATH_MAX];
    struct store_value v;

    *out = NULL;
    objects_change_path(type, id, path);
    db->stats.reads++;
    db->stats.rounds++;
    int rc = store_get(db->store, path, &v, e);
    if (rc)
        return rc;
    rc = parse_changes(&v, since, rev, out);
    store_value_free(&v);
    return rc;
}
