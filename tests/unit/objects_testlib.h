/* What the tests of core/objects share: a fresh memory store, terse creation by JSON text
 * (json_words.h; %s takes u(&id)), and the text of the last error. */
#ifndef MN_TESTS_OBJECTS_TESTLIB_H
#define MN_TESTS_OBJECTS_TESTLIB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "json_words.h"
#include "objects/objects.h"

static struct store *the_store;
static struct objects *db;
static struct error last;
static char last_text[640];

static const char *store_kind = "memory"; /* "file", or the URL of a server's empty root */
static char store_dir[64];

/* A store of its own for each test. */
static inline void store_url(char url[256])
{
    static unsigned serial;

    if (!strcmp(store_kind, "memory")) {
        snprintf(url, 256, "memory:%d-%u", (int)getpid(), ++serial);
    } else if (!strcmp(store_kind, "file")) {
        snprintf(store_dir, sizeof store_dir, "/tmp/objects-test-XXXXXX");
        assert_non_null(mkdtemp(store_dir));
        snprintf(url, 256, "file:%s/mn.db", store_dir);
    } else
        snprintf(url, 256, "%s/%d-%u", store_kind, (int)getpid(), ++serial);
}

static inline void store_gone(void)
{
    if (!strcmp(store_kind, "file")) {
        char *command = mem_printf("rm -rf %s", store_dir);
        assert_int_equal(system(command), 0);
        free(command);
    }
}

static inline int db_setup(void **state)
{
    char url[256];

    (void)state;
    store_url(url);
    assert_int_equal(store_open(url, NULL, &the_store, NULL), 0);
    db = objects_open(the_store);
    return 0;
}

static inline int db_teardown(void **state)
{
    (void)state;
    objects_close(db);
    store_close(the_store);
    store_gone();
    return 0;
}

/* The same tests on each kind of store that needs no server, or on the server that is named. */
#define run_on_stores(tests)                                                                       \
    (getenv("MN_OBJECTS_STORE")                                                                    \
         ? (store_kind = getenv("MN_OBJECTS_STORE"),                                               \
            cmocka_run_group_tests_name("server", tests, NULL, NULL))                              \
         : cmocka_run_group_tests_name("memory", tests, NULL, NULL) +                              \
               (store_kind = "file", cmocka_run_group_tests_name("file", tests, NULL, NULL)))

static inline const char *u(const struct uuid *id)
{
    return text_of(id);
}

static inline const char *why(void)
{
    return error_format(&last, last_text, sizeof last_text);
}

/* Creates, or fails with the code expected; returns the id. */
__attribute__((format(printf, 3, 4))) static inline struct uuid
make_rc(int expected, enum schema_type_id type, const char *fmt, ...)
{
    struct uuid id = {{0}};
    va_list ap;

    va_start(ap, fmt);
    json_t *v = vjson(fmt, ap);
    va_end(ap);
    last = (struct error){0};
    int rc = objects_create1(db, type, v, &id, &last);
    json_decref(v);
    if (rc != expected)
        fail_msg("create %s: %d (%s), expected %d", schema_types[type].name, rc, why(), expected);
    return id;
}
#define make(type, ...) make_rc(0, type, __VA_ARGS__)

__attribute__((format(printf, 4, 5))) static inline void
set_rc(int expected, enum schema_type_id type, const struct uuid *id, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    json_t *v = vjson(fmt, ap);
    va_end(ap);
    last = (struct error){0};
    int rc = objects_update1(db, type, id, v, STORE_ANY, &last);
    json_decref(v);
    if (rc != expected)
        fail_msg("update %s: %d (%s), expected %d", schema_types[type].name, rc, why(), expected);
}
#define set(type, id, ...) set_rc(0, type, id, __VA_ARGS__)

static inline void del_rc(int expected, enum schema_type_id type, const struct uuid *id)
{
    last = (struct error){0};
    int rc = objects_delete1(db, type, id, STORE_ANY, &last);
    if (rc != expected)
        fail_msg("delete %s: %d (%s), expected %d", schema_types[type].name, rc, why(), expected);
}
#define del(type, id) del_rc(0, type, id)

static inline json_t *get(enum schema_type_id type, const struct uuid *id)
{
    json_t *v;

    last = (struct error){0};
    int rc = objects_get(db, type, id, &v, &last);
    if (rc)
        fail_msg("get %s: %d (%s)", schema_types[type].name, rc, why());
    return v;
}

static inline bool there(enum schema_type_id type, const struct uuid *id)
{
    json_t *v = NULL;
    int rc = objects_get(db, type, id, &v, NULL);

    json_decref(v);
    assert_true(rc == 0 || rc == -ENOENT);
    return !rc;
}

/* One member as JSON text, null when absent. */
static inline const char *field(enum schema_type_id type, const struct uuid *id, const char *json)
{
    static char ring[8][1024];
    static unsigned at;
    char *out = ring[at++ % 8];
    json_t *v = get(type, id), *m = json_object_get(v, json);

    if (json_is_string(m))
        snprintf(out, 1024, "%s", json_string_value(m));
    else if (m) {
        char *text = json_dumps(m, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
        snprintf(out, 1024, "%s", text);
        free(text);
    } else
        out = NULL;
    json_decref(v);
    return out;
}

static inline int count_one(json_t *obj, void *aux)
{
    (void)obj;
    ++*(size_t *)aux;
    return 0;
}

static inline size_t count(enum schema_type_id type, const struct uuid *parent)
{
    size_t n = 0;

    assert_int_equal(objects_each(db, type, parent, count_one, &n, NULL), 0);
    return n;
}

/* Nodes of the whole store, by walking it. */
static inline size_t store_nodes(const char *path)
{
    struct store_names names = {0};
    size_t n = 1;

    if (store_children(the_store, path, &names, NULL))
        return 0;
    for (size_t i = 0; i < names.n; i++) {
        char *child = mem_printf("%s/%s", strcmp(path, "/") ? path : "", names.names[i]);
        n += store_nodes(child);
        free(child);
    }
    store_names_free(&names);
    return n;
}

#define assert_field(type, id, json, value) assert_string_equal(field(type, id, json), value)
#define assert_no_field(type, id, json)     assert_null(field(type, id, json))
#define assert_says(text)                                                                          \
    do {                                                                                           \
        if (!strstr(why(), text))                                                                  \
            fail_msg("\"%s\" doesn't say \"%s\"", why(), text);                                    \
    } while (0)

#endif
