/* What has changed of a device since a revision, from the log that change.c writes.
 *
 * All who use a device read its change node at each change, a thousand of them at once, and know
 * all but the newest of its entries.  So the text is read as far as it is news, in the form this
 * program gives it; in any other form it is JSON still, and read as such. */
#include "objects/impl.h"

#include <stdlib.h>

enum { WORDS = 7 /* of an entry, at most */, DIGITS = 18 };

/* A member of an entry, as it stands in the text. */
struct word {
    const char *at; /* of a string; null: it is none */
    size_t size;
    bool is_number;
    int64_t number;
};

struct entry {
    int64_t rev;
    struct objects_change change;
};

/* The entries newer than some revision. */
struct news {
    int64_t rev, from; /* after 'from' nothing is missing */
    struct entry *v;   /* newest first */
    size_t n, room;
};

static enum schema_type_id type_of_plural(const struct word *w)
{
    for (unsigned i = 0; w->at && i < ST_N_TYPES; i++) {
        const char *plural = schema_types[i].plural;
        if (!strncmp(plural, w->at, w->size) && !plural[w->size])
            return (enum schema_type_id)i;
    }
    return ST_NONE;
}

static bool word_uuid(const struct word *w, struct uuid *id)
{
    char text[UUID_STRLEN];

    if (!w->at || w->size != UUID_STRLEN - 1)
        return false;
    memcpy(text, w->at, w->size);
    text[w->size] = '\0';
    return !uuid_parse(text, id);
}

static bool word_hex(const struct word *w, uint64_t *v)
{
    char text[17];

    if (!w->at || w->size != 16)
        return false;
    memcpy(text, w->at, 16);
    text[16] = '\0';
    *v = strtoull(text, NULL, 16);
    return strspn(text, "0123456789abcdef") == 16;
}

static void take_active(const struct word *w, struct objects_active *a)
{
    const struct word *host = &w[0], *key = &w[1], *inc = &w[2];

    if (host->at && !host->size) {
        a->told = true;
    } else if (key->is_number && key->number >= 0 && key->number <= 0xffffff &&
               word_hex(inc, &a->inc) && word_uuid(host, &a->host)) {
        a->told = a->there = true;
        a->key = (uint32_t)key->number;
    }
}

/* [REV,"ports","UUID","s","HOST",KEY,"INC"] */
static void take_entry(struct news *news, const struct word *w)
{
    struct entry e = {
        .rev = w[0].number,
        .change = {.type = type_of_plural(&w[1]), .what = w[3].at && w[3].size ? w[3].at[0] : 'u'}};

    if (!word_uuid(&w[2], &e.change.id))
        e.change.type = ST_NONE;
    if (e.change.what == 's' && e.change.type == ST_PORT)
        take_active(w + 4, &e.change.active);
    if (news->n == news->room) {
        news->room = MAX((size_t)4, news->room * 2);
        news->v = mem_resize(news->v, news->room * sizeof *news->v);
    }
    news->v[news->n++] = e;
}

static bool skip(const char **at, const char *text)
{
    size_t size = strlen(text);

    if (strncmp(*at, text, size) != 0)
        return false;
    *at += size;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool read_number(const char **at, int64_t *v)
{
    bool minus = skip(at, "-");
    unsigned n = 0;

    for (*v = 0; n < DIGITS && is_digit(**at); n++)
        *v = *v * 10 + (*(*at)++ - '0');
    *v = minus ? -*v : *v;
    return n && !is_digit(**at);
}

static bool read_word(const char **at, struct word *w)
{
    if (!skip(at, "\"")) {
        w->is_number = true;
        return read_number(at, &w->number);
    }
    for (w->at = *at; **at != '"'; ++*at)
        if ((unsigned char)**at < ' ' || **at == '\\')
            return false;
    w->size = (size_t)((*at)++ - w->at);
    return true;
}

/* From behind its [ to behind its ]. */
static bool read_entry(const char **at, struct word *w)
{
    for (unsigned i = 0; i < WORDS; i++) {
        if (!read_word(at, &w[i]))
            return false;
        if (skip(at, "]"))
            return w[0].is_number;
        if (!skip(at, ","))
            return false;
    }
    return false;
}

/* False when it isn't the form of change.c. */
static bool read_news(const char *at, int64_t since, struct news *out)
{
    if (!skip(&at, "{\"rev\":") || !read_number(&at, &out->rev) || !skip(&at, ",\"from\":") ||
        !read_number(&at, &out->from) || !skip(&at, ",\"log\":["))
        return false;
    while (!skip(&at, "]")) {
        struct word w[WORDS] = {0};
        if (!skip(&at, "[") || !read_entry(&at, w) || (*at != ']' && !skip(&at, ",")))
            return false;
        if (w[0].number <= since)
            break;
        take_entry(out, w);
    }
    return true;
}

static void parse_news(const char *data, size_t size, int64_t since, struct news *out)
{
    const json_t *entry, *v;
    struct change_log log;
    size_t i, k;

    *out = (struct news){0};
    if (read_news(data, since, out))
        return;
    change_log_parse(data, size, &log);
    out->rev = log.rev;
    out->from = log.from;
    out->n = 0;
    json_array_foreach (log.entries, i, entry) {
        struct word w[WORDS] = {0};
        json_array_foreach (entry, k, v) {
            if (k < WORDS)
                w[k] = (struct word){.at = json_string_value(v),
                                     .size = json_string_length(v),
                                     .is_number = json_is_integer(v),
                                     .number = json_integer_value(v)};
        }
        if (w[0].number <= since)
            break;
        take_entry(out, w);
    }
    json_decref(log.entries);
}

/* Oldest first; of the tail what the head has left out. */
static int list_changes(const struct news *head, const struct news *tail,
                        struct objects_change **out)
{
    size_t n_tail = tail ? tail->n : 0, both = 0;

    while (both < n_tail && tail->v[both].rev > head->from)
        both++;
    struct objects_change *to = *out = NEW_ARRAY(head->n + n_tail, struct objects_change);
    for (size_t i = n_tail; i > both; i--)
        *to++ = tail->v[i - 1].change;
    for (size_t i = head->n; i; i--)
        *to++ = head->v[i - 1].change;
    return (int)(to - *out);
}

/* What the change node has left out. */
static int read_tail(struct objects *db, enum schema_type_id type, const struct uuid *id,
                     const struct news *head, int64_t since, struct objects_change **out,
                     struct error *e)
{
    char path[STORE_PATH_MAX];
    const char *p = path;
    struct store_value v;
    struct news tail;

    change_tail_path(type, id, path);
    db->stats.reads++;
    db->stats.rounds++;
    int rc = store_get_many(db->store, &p, 1, &v, e);
    if (rc || v.rc)
        return rc ? rc : -EOVERFLOW;
    parse_news(v.data, v.size, since, &tail);
    rc = tail.rev < head->from || since < tail.from ? -EOVERFLOW : list_changes(head, &tail, out);
    free(tail.v);
    store_value_free(&v);
    return rc;
}

int objects_changes(struct objects *db, enum schema_type_id type, const struct uuid *id,
                    int64_t since, int64_t *rev, struct objects_change **out, struct error *e)
{
    char path[STORE_PATH_MAX];
    struct store_value v;
    struct news head;

    *out = NULL;
    objects_change_path(type, id, path);
    db->stats.reads++;
    db->stats.rounds++;
    int rc = store_get(db->store, path, &v, e);
    if (rc)
        return rc;
    parse_news(v.data, v.size, since, &head);
    store_value_free(&v);
    *rev = head.rev;
    if (since < 0 || since > head.rev)
        rc = -EOVERFLOW;
    else if (since >= head.from)
        rc = list_changes(&head, NULL, out);
    else
        rc = read_tail(db, type, id, &head, since, out, e);
    free(head.v);
    return rc;
}
