/* Objects that a target's world is made of, and their ids as texts. */
#ifndef MN_TESTS_FUZZ_OBJECTS_H
#define MN_TESTS_FUZZ_OBJECTS_H

#include "fuzz_life.h"
#include "objects/objects.h"

/* Takes 'attrs'. */
static inline struct uuid make_object(struct objects *db, enum schema_type_id type, json_t *attrs)
{
    struct objects_txn *t = objects_begin(db);
    struct uuid id;

    objects_system(t);
    CHECK(!objects_create(t, type, attrs, &id, NULL) && !objects_commit(t, NULL));
    objects_abort(t);
    json_decref(attrs);
    return id;
}

/* Good until the fourth call from now. */
static inline const char *text(const struct uuid *id)
{
    static char bufs[4][UUID_STRLEN];
    static unsigned n;

    return uuid_format(id, bufs[n++ % 4]);
}

#endif
