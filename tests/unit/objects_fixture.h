/* Objects of the store, made and changed by a line of JSON in which ' stands for ". */
#ifndef MN_TESTS_OBJECTS_FIXTURE_H
#define MN_TESTS_OBJECTS_FIXTURE_H

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "objects/objects.h"

static inline json_t *attrs_of(const char *fmt, va_list ap)
{
    char text[512];

    vsnprintf(text, sizeof text, fmt, ap);
    for (char *p = text; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    json_t *j = json_loads(text, 0, NULL);
    assert_non_null(j);
    return j;
}

__attribute__((format(printf, 1, 2))) static inline json_t *attrs(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    json_t *j = attrs_of(fmt, ap);
    va_end(ap);
    return j;
}

static inline struct uuid make_object(struct objects *db, enum schema_type_id type, json_t *j)
{
    struct error e = {0};
    struct uuid id;

    if (objects_create1(db, type, j, &id, &e))
        fail_msg("%s: %s %s", schema_types[type].name, e.field, e.message);
    json_decref(j);
    return id;
}

static inline void change_object(struct objects *db, enum schema_type_id type,
                                 const struct uuid *id, json_t *j)
{
    struct error e = {0};

    if (objects_update1(db, type, id, j, STORE_ANY, &e))
        fail_msg("%s: %s %s", schema_types[type].name, e.field, e.message);
    json_decref(j);
}

/* Good until the fourth call from now. */
static inline const char *text_of(const struct uuid *id)
{
    static char bufs[4][UUID_STRLEN];
    static unsigned n;

    return uuid_format(id, bufs[n++ % 4]);
}

#endif
