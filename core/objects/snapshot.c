#include "objects/impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

enum {
    FORMAT = 1,
    PARTS_MAX = 16,
    PART_SIZE = 600 * 1000, /* beyond, there are more parts */
};

static void part_path(enum schema_type_id type, const struct uuid *id, unsigned part,
                      char path[STORE_PATH_MAX])
{
    size_t n;

    objects_path(type, id, path);
    n = strlen(path);
    snprintf(path + n, STORE_PATH_MAX - n, "/snapshot.%u", part);
}

/* Of so many parts, the one where the object is. */
static unsigned part_of(const struct uuid *id, unsigned parts)
{
    return (id->b[0] >> 4) * parts / PARTS_MAX;
}

static bool parse_head(const char *data, int64_t *rev, unsigned *parts)
{
    unsigned format = 0;

    return sscanf(data, "{\"format\":%u,\"rev\":%" SCNd64 ",\"parts\":%u,", &format, rev, parts) ==
               3 &&
           format == FORMAT && *rev >= 0 && *parts && *parts <= PARTS_MAX &&
           !(*parts & (*parts - 1));
}

/* Reading */

void objects_snapshot_add(struct objects_snapshot *s, const struct objects_copy *copy)
{
    if (s->n == s->room) {
        s->room = MAX((size_t)256, s->room * 2);
        s->copies = mem_resize(s->copies, s->room * sizeof *s->copies);
    }
    s->copies[s->n++] = *copy;
    json_incref(copy->body);
}

static bool parse_state(const json_t *state, struct objects_active *a)
{
    const char *host = json_string_value(json_array_get(state, 0));
    const json_t *key = json_array_get(state, 1);
    const char *inc = json_string_value(json_array_get(state, 2));

    a->told = true;
    if (json_is_array(state) && !json_array_size(state))
        return true;
    if (!host || !inc || !json_is_integer(key) || json_integer_value(key) < 0 ||
        json_integer_value(key) > 0xffffff || strlen(inc) != 16 ||
        strspn(inc, "0123456789abcdef") != 16)
        return false;
    a->there = true;
    a->key = (uint32_t)json_integer_value(key);
    a->inc = strtoull(inc, NULL, 16);
    return !uuid_parse(host, &a->host);
}

/* ["UUID",{BODY}], and of a port a third member that says who serves it: ["HOST",KEY,"INC"], or []
 * for nobody. */
static bool parse_copy(const json_t *entry, struct objects_copy *out)
{
    const char *id = json_string_value(json_array_get(entry, 0));
    json_t *body = json_array_get(entry, 1);
    const json_t *state = json_array_get(entry, 2);

    *out = (struct objects_copy){.body = body};
    if (!id || !json_is_object(body) || uuid_parse(id, &out->id))
        return false;
    return !state || parse_state(state, &out->active);
}

static bool parse_part(const struct store_value *v, unsigned part, unsigned parts,
                       struct objects_snapshot *out)
{
    struct objects_copy copy;
    json_t *doc, *entry;
    unsigned says;
    bool good = true;
    int64_t rev;
    size_t i;

    if (v->rc || !parse_head(v->data, &rev, &says) || says != parts)
        return false;
    doc = json_loadb(v->data, v->size, 0, NULL);
    json_array_foreach (json_object_get(doc, "objects"), i, entry) {
        good = parse_copy(entry, &copy) && part_of(&copy.id, parts) == part;
        if (!good)
            break;
        objects_snapshot_add(out, &copy);
    }
    if (!part)
        out->names = json_incref(json_object_get(doc, "names"));
    out->rev = part ? MIN(out->rev, rev) : rev;
    good &= json_is_array(json_object_get(doc, "objects"));
    json_decref(doc);
    return good;
}

static int compare_copies(const void *a, const void *b)
{
    return memcmp(&((const struct objects_copy *)a)->id, &((const struct objects_copy *)b)->id,
                  sizeof(struct uuid));
}

static bool all_different(struct objects_snapshot *out)
{
    if (out->n)
        qsort(out->copies, out->n, sizeof *out->copies, compare_copies);
    for (size_t i = 1; i < out->n; i++)
        if (!compare_copies(&out->copies[i - 1], &out->copies[i]))
            return false;
    return true;
}

static int read_parts(struct objects *db, enum schema_type_id type, const struct uuid *id,
                      unsigned from, unsigned n, struct store_value *values, struct error *e)
{
    char(*paths)[STORE_PATH_MAX] = mem_array(n, STORE_PATH_MAX);

    for (unsigned i = 0; i < n; i++)
        part_path(type, id, from + i, paths[i]);
    int rc = read_many(db, paths, n, values, e);
    free(paths);
    return rc;
}

int objects_snapshot_read(struct objects *db, enum schema_type_id type, const struct uuid *id,
                          struct objects_snapshot *out, struct error *e)
{
    struct store_value *values = NEW_ARRAY(PARTS_MAX, struct store_value);
    unsigned parts = 1;
    char label[96];
    bool good;

    *out = (struct objects_snapshot){.rev = -1};
    int rc = read_parts(db, type, id, 0, 1, values, e);
    if (rc || values[0].rc) { /* fails, or there is none */
        values_free(values, PARTS_MAX);
        return rc;
    }
    good = parse_head(values[0].data, &out->rev, &parts);
    if (good && parts > 1)
        rc = read_parts(db, type, id, 1, parts - 1, values + 1, e);
    for (unsigned i = 0; !rc && good && i < parts; i++)
        good = parse_part(&values[i], i, parts, out);
    if (!rc && !(good && all_different(out))) {
        db->stats.broken++;
        log_limited(LOG_LVL_WARN, "objects", "the snapshot of %s makes no sense",
                    object_label(type, id, label));
        objects_snapshot_free(out);
        out->rev = -1;
    }
    if (rc)
        objects_snapshot_free(out);
    values_free(values, PARTS_MAX);
    return rc;
}

void objects_snapshot_free(struct objects_snapshot *s)
{
    for (size_t i = 0; i < s->n; i++)
        json_decref(s->copies[i].body);
    json_decref(s->names);
    free(s->copies);
    *s = (struct objects_snapshot){0};
}

/* Writing */

static void add_copy(struct strbuf *sb, const struct objects_copy *c)
{
    char *body = json_dumps(c->body, JSON_COMPACT | JSON_SORT_KEYS);
    char id[UUID_STRLEN], host[UUID_STRLEN];

    sb_printf(sb, "%s[\"%s\",%s", sb->size ? "," : "", uuid_format(&c->id, id), body);
    if (c->active.told && c->active.there)
        sb_printf(sb, ",[\"%s\",%u,\"%016" PRIx64 "\"]", uuid_format(&c->active.host, host),
                  c->active.key, c->active.inc);
    else if (c->active.told)
        sb_printf(sb, ",[]");
    sb_printf(sb, "]");
    free(body);
}

/* The fewest parts of which none is too large; 0: there can't be enough. */
static unsigned count_parts(const struct strbuf digits[PARTS_MAX])
{
    for (unsigned parts = 1; parts <= PARTS_MAX; parts *= 2) {
        size_t most = 0, size = 0;
        for (unsigned i = 0; i < PARTS_MAX; i++) {
            size = i % (PARTS_MAX / parts) ? size + digits[i].size + 1 : digits[i].size;
            most = MAX(most, size);
        }
        if (most <= PART_SIZE)
            return parts;
    }
    return 0;
}

static char *format_part(const struct objects_snapshot *s, const struct strbuf digits[PARTS_MAX],
                         unsigned part, unsigned parts)
{
    char *names = part || !s->names ? NULL : json_dumps(s->names, JSON_COMPACT);
    struct strbuf sb = {0};
    bool first = true;

    sb_printf(&sb, "{\"format\":%d,\"rev\":%" PRId64 ",\"parts\":%u,\"objects\":[", FORMAT, s->rev,
              parts);
    for (unsigned i = part * (PARTS_MAX / parts); i < (part + 1) * (PARTS_MAX / parts); i++) {
        if (!digits[i].size)
            continue;
        sb_printf(&sb, "%s", first ? "" : ",");
        sb_add_bytes(&sb, digits[i].data, digits[i].size);
        first = false;
    }
    sb_printf(&sb, "]%s%s}", names ? ",\"names\":" : "", names ? names : "");
    free(names);
    return sb_steal(&sb);
}

/* In place of what is there.  Nothing is made below a device that is gone. */
static int write_part(struct objects *db, enum schema_type_id type, const struct uuid *id,
                      unsigned part, const char *text, const struct store_value *there,
                      struct error *e)
{
    char path[STORE_PATH_MAX];

    part_path(type, id, part, path);
    struct store_op op = {.type = there->rc ? STORE_CREATE : STORE_SET,
                          .path = path,
                          .data = text,
                          .size = strlen(text),
                          .version = there->version};
    return store_commit(db->store, &op, 1, NULL, e);
}

int objects_snapshot_write(struct objects *db, enum schema_type_id type, const struct uuid *id,
                           const struct objects_snapshot *s, struct error *e)
{
    struct store_value *values = NEW_ARRAY(PARTS_MAX, struct store_value);
    struct strbuf digits[PARTS_MAX] = {0};
    int rc = 0;

    for (size_t i = 0; i < s->n; i++)
        add_copy(&digits[s->copies[i].id.b[0] >> 4], &s->copies[i]);
    unsigned parts = count_parts(digits);
    if (parts)
        rc = read_parts(db, type, id, 0, parts, values, e);
    else
        rc = error_set(e, -E2BIG, NULL, NULL, "more than fits in a snapshot");
    for (unsigned i = parts; !rc && i-- > 0;) { /* the first last: it says how many there are */
        char *text = format_part(s, digits, i, parts);
        rc = write_part(db, type, id, i, text, &values[i], e);
        free(text);
    }
    values_free(values, PARTS_MAX);
    for (unsigned i = 0; i < PARTS_MAX; i++)
        sb_free(&digits[i]);
    return rc;
}
