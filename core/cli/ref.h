/* References in text: what a word means, and what a uuid is called. */
#ifndef MN_CLI_REF_H
#define MN_CLI_REF_H

#include "cli/cli.h"

/* The object of 'type' that 'text' names, wherever it stands: an alias chain, a uuid (taken as it
 * is: the commit checks it), a name, or "PARENT:NAME".  -ENOENT, or -EINVAL when several bear it.
 */
int ref_resolve(struct cli *cli, enum schema_type_id type, const char *text, struct uuid *id,
                struct error *e);
/* The same below one parent, for a selection: alias, uuid or name; not checked to be below it. */
int ref_resolve_below(struct cli *cli, enum schema_type_id type, const struct uuid *parent,
                      const char *text, struct uuid *id, struct error *e);

/* The object that one of 'type' belongs to; false at the top. */
bool ref_home(enum schema_type_id type, const json_t *obj, enum schema_type_id *parent_type,
              struct uuid *parent);

/* Alias chain ("bridge0:port1") in an interactive session, else the uuid.  'obj' (may be null)
 * saves reading it.  Malloc'd. */
char *ref_text(struct cli *cli, enum schema_type_id type, const struct uuid *id, const json_t *obj);
/* The last component of that chain. */
char *ref_short(struct cli *cli, enum schema_type_id type, const struct uuid *id,
                const json_t *obj);

#endif
