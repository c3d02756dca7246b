#include "objects/impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { HEAD_ENTRIES = 64, TAIL_ENTRIES = 2048 };

/* A change node, or the one with the earlier part of its log: after 'from' nothing is missing. */
struct log {
    int64_t rev, from;
    json_t *entries; /* newest first; [REV,"ports","UUID","c"] */
};

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

/* As anybody may have left it: "from" is younger than "log", which once was short by nature. */
static void parse_whole(const char *data, size_t size, struct log *out)
{
    json_t *doc = json_loadb(data, size, 0, NULL), *log = json_object_get(doc, "log");
    size_t n = json_array_size(log);
    const json_t *from = json_object_get(doc, "from");

    out->rev = json_integer_value(json_object_get(doc, "rev"));
    out->rev = MAX(out->rev, 0);
    out->from =
        n ? json_integer_value(json_array_get(json_array_get(log, n - 1), 0)) - 1 : out->rev;
    if (from)
        out->from = json_integer_value(from);
    out->entries = n ? json_incref(log) : json_array();
    json_decref(doc);
}

/* Entries newer than 'since', and perhaps more.  All who use a device read its node at each change,
 * and know all but the newest entries: the others aren't parsed. */
static void parse_log(const char *data, size_t size, int64_t since, struct log *out)
{
    const char *end = data + size, *at;
    json_error_t je;
    int used = 0;

    *out = (struct log){.entries = json_array()};
    if (sscanf(data, "{\"rev\":%" SCNd64 ",\"from\":%" SCNd64 ",\"log\":[%n", &out->rev, &out->from,
               &used) != 2 ||
        !used)
        goto other;
    for (at = data + used; at < end && *at != ']'; at += *at == ',') {
        json_t *entry = json_loadb(at, (size_t)(end - at), JSON_DISABLE_EOF_CHECK, &je);
        if (!entry)
            goto other;
        at += je.position;
        json_array_append_new(out->entries, entry);
        if (json_integer_value(json_array_get(entry, 0)) <= since)
            break;
    }
    return;
other:
    json_decref(out->entries);
    parse_whole(data, size, out);
}

static char *format_log(const struct log *l)
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
static void join(struct log *newer, const struct log *older)
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
static void cut(struct log *l, size_t keep)
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
static void keep_newest(struct log *l)
{
    size_t n = 0;

    while (n < json_array_size(l->entries) && rev_at(l->entries, n) == l->rev)
        n++;
    cut(l, n > HEAD_ENTRIES ? 0 : MAX(n, (size_t)HEAD_ENTRIES / 2));
}

/* The next state of a change node, *head, and with 'old_tail' that of the earlier log. */
static void next_log(const struct log *old, const struct store_value *old_tail,
                     const json_t *entries, char **head, char **tail)
{
    struct log next = {.rev = old->rev + 1, .entries = json_array()}, t;
    json_t *v;
    size_t i;

    json_array_foreach (entries, i, v) {
        json_t *entry = json_pack("[I]", (json_int_t)next.rev);
        json_array_extend(entry, v);
        json_array_append_new(next.entries, entry);
    }
    join(&next, old);
    if (old_tail) {
        struct log all = {next.rev, next.from, json_copy(next.entries)};
        if (!old_tail->rc) {
            parse_log(old_tail->data, old_tail->size, INT64_MIN, &t);
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

static bool spills(const struct log *old, const json_t *entries)
{
    return json_array_size(old->entries) + json_array_size(entries) > HEAD_ENTRIES;
}

static void tail_path(enum schema_type_id type, const struct uuid *id, char path[STORE_PATH_MAX])
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
    struct log old;
    int rc = 0;

    *out = (struct objects_bump){0};
    objects_change_path(type, id, out->paths[0]);
    tail_path(type, id, out->paths[1]);
    parse_log(now->data, now->size, INT64_MIN, &old);
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

static int write_next(struct plan *p, const struct bump *b, const struct log *old, const char *path)
{
    enum schema_type_id type = (enum schema_type_id)b->device.type;
    char earlier[STORE_PATH_MAX], *head, *tail = NULL;
    struct store_value v = {0};
    bool both = spills(old, b->entries);
    struct node *n;

    if (both) {
        tail_path(type, &b->device.id, earlier);
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
    struct log old = {0};
    if (!fresh && n->base == BASE_PRESENT)
        parse_log(n->data, n->size, INT64_MIN, &old);
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

static size_t count_newer(const struct log *l, int64_t since)
{
    size_t used = 0;

    while (used < json_array_size(l->entries) && rev_at(l->entries, used) > since)
        used++;
    return used;
}

/* The entries newer than 'since', oldest first; of the tail those that the head has left out. */
static int list_changes(const struct log *head, const struct log *tail, int64_t since,
                        struct objects_change **out)
{
    size_t n_head = count_newer(head, since), n_tail = tail ? count_newer(tail, since) : 0;
    size_t both = tail ? count_newer(tail, head->from) : 0;
    struct objects_change *to = NEW_ARRAY(n_head + n_tail, struct objects_change);

    *out = to;
    while (n_tail > both)
        parse_entry(json_array_get(tail->entries, --n_tail), to++);
    while (n_head)
        parse_entry(json_array_get(head->entries, --n_head), to++);
    return (int)(to - *out);
}

/* What the change node has left out. */
static int read_tail(struct objects *db, enum schema_type_id type, const struct uuid *id,
                     const struct log *head, int64_t since, struct objects_change **out,
                     struct error *e)
{
    char path[STORE_PATH_MAX];
    const char *p = path;
    struct store_value v;
    struct log tail;

    tail_path(type, id, path);
    db->stats.reads++;
    db->stats.rounds++;
    int rc = store_get_many(db->store, &p, 1, &v, e);
    if (rc || v.rc)
        return rc ? rc : -EOVERFLOW;
    parse_log(v.data, v.size, since, &tail);
    rc = tail.rev < head->from || since < tail.from ? -EOVERFLOW
                                                    : list_changes(head, &tail, since, out);
    json_decref(tail.entries);
    store_value_free(&v);
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
    struct log head;
    parse_log(v.data, v.size, since, &head);
    store_value_free(&v);
    *rev = head.rev;
    if (since < 0 || since > head.rev)
        rc = -EOVERFLOW;
    else if (since >= head.from)
        rc = list_changes(&head, NULL, since, out);
    else
        rc = read_tail(db, type, id, &head, since, out, e);
    json_decref(head.entries);
    return rc;
}
