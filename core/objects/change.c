#include "objects/impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { HEAD_ENTRIES = 64, COMMIT_ENTRIES = 256, TAIL_ENTRIES = 2048 };

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

/* The largest that is read as anything: one more can still be counted.  It has as many digits as
 * change_follow.c scans. */
static const int64_t rev_max = 999999999999999999;

static int64_t revision(const json_t *v)
{
    int64_t rev = json_integer_value(v);

    return rev < 0 || rev > rev_max ? 0 : rev;
}

/* As anybody may have left it: "from" is younger than "log", which once was short by nature. */
void change_log_parse(const char *data, size_t size, struct change_log *out)
{
    json_t *doc = json_loadb(data, size, 0, NULL), *log = json_object_get(doc, "log");
    size_t n = json_array_size(log);
    const json_t *from = json_object_get(doc, "from");

    out->rev = revision(json_object_get(doc, "rev"));
    out->from = n ? revision(json_array_get(json_array_get(log, n - 1), 0)) - 1 : out->rev;
    if (from)
        out->from = revision(from);
    out->entries = n ? json_incref(log) : json_array();
    json_decref(doc);
}

static char *format_log(const struct change_log *l)
{
    json_t *doc = json_pack("{s:I,s:I,s:O}", "rev", (json_int_t)l->rev, "from", (json_int_t)l->from,
                            "log", l->entries);
    char *text = json_dumps(doc, JSON_COMPACT);

    json_decref(doc);
    return text;
}

/* What an entry is about, for 'seen'; null: it makes no sense. */
static const char *subject(const json_t *entry, char buf[64], bool *state)
{
    const char *plural = json_string_value(json_array_get(entry, 1));
    const char *id = json_string_value(json_array_get(entry, 2));
    const char *what = json_string_value(json_array_get(entry, 3));
    const json_t *v;
    size_t i;

    if (!json_is_integer(json_array_get(entry, 0)) || !plural || !id || !what ||
        json_array_size(entry) > 7)
        return NULL;
    json_array_foreach (entry, i, v) {
        if (!json_is_integer(v) && (!json_is_string(v) || json_string_length(v) >= UUID_STRLEN))
            return NULL;
    }
    *state = *what == 's';
    snprintf(buf, 64, "%.20s %s", plural, id);
    return buf;
}

/* 'older' behind 'newer', without what 'newer' has made stale: of an object only its last change
 * counts, and of its state the last that was said. */
static void join(struct change_log *newer, const struct change_log *older)
{
    json_t *seen = json_object(), *v;
    char buf[64];
    bool state;
    size_t i;

    newer->from = older->from;
    json_array_foreach (newer->entries, i, v) {
        const char *key = subject(v, buf, &state);
        if (key && !(state && json_object_get(seen, key)))
            json_object_set_new(seen, key, json_boolean(!state));
    }
    json_array_foreach (older->entries, i, v) {
        const char *key = subject(v, buf, &state);
        const json_t *all = key ? json_object_get(seen, key) : NULL;
        if (!key) {
            newer->from = MAX(newer->from, older->rev); /* who knows what it was */
            break;
        }
        if (!all || (!state && json_is_false(all)))
            json_array_append(newer->entries, v);
    }
    json_decref(seen);
}

static int64_t rev_at(const json_t *entries, size_t i)
{
    return json_integer_value(json_array_get(json_array_get(entries, i), 0));
}

/* The newest 'keep' entries, without a part of a commit. */
static void cut(struct change_log *l, size_t keep)
{
    size_t n = json_array_size(l->entries);

    if (keep >= n)
        return;
    l->from = rev_at(l->entries, keep);
    while (n > keep || (n && rev_at(l->entries, n - 1) <= l->from))
        json_array_remove(l->entries, --n);
}

/* For a change node that has become too long: half of what it may hold, but all of this commit
 * unless that alone is too much. */
static void keep_newest(struct change_log *l)
{
    size_t n = 0;

    while (n < json_array_size(l->entries) && rev_at(l->entries, n) == l->rev)
        n++;
    cut(l, n > COMMIT_ENTRIES ? 0 : MAX(n, (size_t)HEAD_ENTRIES / 2));
}

/* The next state of a change node, *head, and with 'old_tail' that of the earlier log. */
static void next_log(const struct change_log *old, const struct store_value *old_tail,
                     const json_t *entries, char **head, char **tail)
{
    struct change_log next = {.rev = old->rev + 1, .entries = json_array()}, t;
    json_t *v;
    size_t i;

    json_array_foreach (entries, i, v) {
        json_t *entry = json_pack("[I]", (json_int_t)next.rev);
        json_array_extend(entry, v);
        json_array_append_new(next.entries, entry);
    }
    join(&next, old);
    if (old_tail) {
        struct change_log all = {next.rev, next.from, json_copy(next.entries)};
        if (!old_tail->rc) {
            change_log_parse(old_tail->data, old_tail->size, &t);
            if (t.rev >= all.from)
                join(&all, &t);
            json_decref(t.entries);
        }
        cut(&all, TAIL_ENTRIES);
        *tail = format_log(&all);
        json_decref(all.entries);
        keep_newest(&next);
    }
    *head = format_log(&next);
    json_decref(next.entries);
}

static bool spills(const struct change_log *old, const json_t *entries)
{
    return json_array_size(old->entries) + json_array_size(entries) > HEAD_ENTRIES;
}

void change_tail_path(enum schema_type_id type, const struct uuid *id, char path[STORE_PATH_MAX])
{
    objects_path(type, id, path);
    strcat(path, "/earlier");
}

int objects_bump_make(struct objects *db, enum schema_type_id type, const struct uuid *id,
                      const struct store_value *now, const json_t *entries,
                      struct objects_bump *out)
{
    struct store_value tail = {0};
    const char *path = out->paths[1];
    struct change_log old;
    int rc = 0;

    *out = (struct objects_bump){0};
    objects_change_path(type, id, out->paths[0]);
    change_tail_path(type, id, out->paths[1]);
    change_log_parse(now->data, now->size, &old);
    bool both = spills(&old, entries);
    if (both) {
        db->stats.reads++;
        db->stats.rounds++;
        rc = store_get_many(db->store, &path, 1, &tail, NULL);
    }
    if (!rc)
        next_log(&old, both ? &tail : NULL, entries, &out->texts[0], &out->texts[1]);
    for (size_t i = 0; !rc && i < 2 && out->texts[i]; i++)
        out->ops[out->n++] = (struct store_op){.type = i && tail.rc ? STORE_CREATE : STORE_SET,
                                               .path = out->paths[i],
                                               .data = out->texts[i],
                                               .size = strlen(out->texts[i]),
                                               .version = i ? tail.version : now->version};
    json_decref(old.entries);
    store_value_free(&tail);
    return rc;
}

void objects_bump_free(struct objects_bump *b)
{
    free(b->texts[0]);
    free(b->texts[1]);
}

/* A commit that is large already doesn't take the earlier log along: who is behind by more than the
 * node itself says reads the device again. */
static bool room_for(struct plan *p, size_t size)
{
    const struct node *n, *next;

    HASH_ITER (hh, p->view.nodes, n, next)
        size += strlen(n->path) + n->written_size + 64;
    return size <= STORE_COMMIT_MAX / 2;
}

static int write_next(struct plan *p, const struct bump *b, const struct change_log *old,
                      const char *path)
{
    enum schema_type_id type = (enum schema_type_id)b->device.type;
    char earlier[STORE_PATH_MAX], *head, *tail = NULL;
    struct store_value v = {0};
    bool both = spills(old, b->entries);
    struct node *n;

    if (both) {
        change_tail_path(type, &b->device.id, earlier);
        int rc = view_load(&p->view, earlier, &n, p->e);
        if (rc)
            return rc;
        v = (struct store_value){
            .data = n->data, .size = n->size, .rc = n->base == BASE_PRESENT ? 0 : -ENOENT};
    }
    next_log(old, both ? &v : NULL, b->entries, &head, &tail);
    view_put_text(&p->view, path, head);
    if (tail && room_for(p, strlen(tail)))
        view_put_text(&p->view, earlier, tail);
    else
        free(tail);
    return 0;
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
    struct change_log old = {0};
    if (!fresh && n->base == BASE_PRESENT)
        change_log_parse(n->data, n->size, &old);
    else if (!o || o->before) {
        /* Never made below a device that isn't there. */
        objects_path(type, &b->device.id, device);
        rc = view_load(&p->view, device, &n, p->e);
        if (rc || n->base == BASE_ABSENT)
            return rc;
        view_require(&p->view, device);
    }
    rc = write_next(p, b, &old, path);
    json_decref(old.entries);
    return rc;
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
