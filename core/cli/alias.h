/* Session aliases: router0, port3, "bridge0:port1".
 *
 * In an interactive session every object that is shown gets a short name: its type's prefix and a
 * number, counted from 0 within its parent ("namespace"; objects without a parent share the
 * root's). Once given, an alias stays for the session.  Scripts and one-shot commands have none.
 *
 * An alias never shadows a name that an operator gave: the caller is asked ('taken') before a
 * number is used.  Thread: one. */
#ifndef MN_CLI_ALIAS_H
#define MN_CLI_ALIAS_H

#include <stdbool.h>

#include "schema/schema.h"

struct aliases;

struct aliases *aliases_new(void);
void aliases_free(struct aliases *as);

/* The alias that an object has, and the parent it has it below; null if it has none yet. */
const char *alias_of(const struct aliases *as, const struct uuid *id, struct uuid *parent);
/* The alias of an object below 'parent' (uuid_zero: the root), made if it has none.  Belongs to
 * 'as'.  Null when the type has no aliases. */
typedef bool alias_taken_fn(const char *name, void *aux);
const char *alias_give(struct aliases *as, const struct uuid *parent, enum schema_type_id type,
                       const struct uuid *id, alias_taken_fn *taken, void *aux);
/* What 'name' stands for below 'parent'; false if nothing. */
bool alias_find(const struct aliases *as, const struct uuid *parent, const char *name,
                enum schema_type_id *type, struct uuid *id);
/* Calls 'fn' with each alias of objects of the type below 'parent', in the order given. */
void alias_each(const struct aliases *as, const struct uuid *parent, enum schema_type_id type,
                void (*fn)(const char *name, void *aux), void *aux);

#endif
