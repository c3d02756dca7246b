/* Objects of the store, made and changed (their attributes: json_words.h). */
#ifndef MN_TESTS_OBJECTS_FIXTURE_H
#define MN_TESTS_OBJECTS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "json_words.h"
#include "objects/objects.h"

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

#endif
