/* Collections: what may follow what in a command, worked out from the schema table.
 *
 * At the top stand all types that have an alias; below an object stand the types that name it as
 * their parent ("router R port"), its embedded lists ("mirror M matches"), a host's bindings (which
 * are attributes of ports, seen from the host), and last what refers to it in any other way
 * ("health-monitor H pool", "chain C bridge": who uses this?), which is read and never created.
 * Thread: pure functions over constant data. */
#ifndef MN_CLI_COLL_H
#define MN_CLI_COLL_H

#include "schema/schema.h"

enum coll_kind {
    COLL_TOP,     /* all objects of the type */
    COLL_CHILD,   /* those whose parent is the object before */
    COLL_LIST,    /* small objects embedded in the object before */
    COLL_BINDING, /* ports bound to the host before */
    COLL_RELATED, /* those that refer to the object before */
};

struct coll {
    const char *word;
    enum coll_kind kind;
    const struct schema_type *type;   /* of an element; COLL_LIST: of the object before */
    const struct schema_attr *rows;   /* fields of an element */
    const struct schema_attr *list;   /* COLL_LIST: the attribute it is kept in */
    const struct schema_attr *parent; /* COLL_CHILD: the reference to the object before */
};

/* The collection 'word' below an object of type 'ctx' (null: at the top).  False if none. */
bool coll_find(const struct schema_type *ctx, const char *word, struct coll *out);
/* Calls 'fn' for each, in schema order, until it returns false. */
void coll_each(const struct schema_type *ctx, bool (*fn)(const struct coll *, void *), void *aux);

/* May users create elements?  (Not hosts, not what is only seen from here.) */
bool coll_creatable(const struct coll *c);
/* The row of "show id": no attribute, but what every object has. */
extern const struct schema_attr coll_id_row[];
/* The row 'name' of a collection's elements, or null. */
const struct schema_attr *coll_field(const struct schema_attr *rows, const char *name);

#endif
