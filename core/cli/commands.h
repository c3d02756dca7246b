/* The verbs.  Each runs one parsed command, prints its result, and returns 0, EXIT_WOULD_CHANGE or
 * a negative error, which its caller prints.  Internal to core/cli. */
#ifndef MN_CLI_COMMANDS_H
#define MN_CLI_COMMANDS_H

#include "cli/cli.h"
#include "cli/element.h"

int cmd_list(struct cli *cli, const struct command *c, struct error *e);
int cmd_show(struct cli *cli, const struct command *c, struct error *e);
int cmd_create(struct cli *cli, const struct command *c, struct error *e); /* and ensure */
int cmd_set(struct cli *cli, const struct command *c, struct error *e);
int cmd_clear(struct cli *cli, const struct command *c, struct error *e);
int cmd_delete(struct cli *cli, const struct command *c, struct error *e);
int cmd_describe(struct cli *cli, const struct command *c, struct error *e);
int cmd_help(struct cli *cli, int argc, char **argv);

/* One element as a row of the print layer. */
void view_element(struct cli *cli, const struct element *el, bool chain);
/* JSON "type" of a collection's elements. */
const char *view_type(const struct coll *c);
/* The element's place in words: alias chain, or uuid.  Null for those without an id.  Malloc'd. */
char *view_label(struct cli *cli, const struct element *el);

/* Writes 'attrs' (JSON names; null unsets) into an element and tells what differed; nothing is
 * written when nothing differs, or with c->check.  Shared by set, clear and ensure. */
int change_element(struct cli *cli, const struct command *c, const struct element *el,
                   const json_t *attrs, struct print_change *change, struct error *e);
/* All of 'some' is in 'all' with the same values; null, false and absent are the same. */
bool has_all(const json_t *all, const json_t *some);
/* The element that 'attrs' would make a second of: -ENOENT if there is none. */
int find_existing(struct cli *cli, const struct coll *c, const struct element *parent,
                  const json_t *attrs, struct element *out, struct error *e);

/* Ends a transaction whose operations gave 'rc': commits it, or with 'check' only tries; frees t.
 */
int finish_change(struct objects_txn *t, int rc, bool check, struct error *e);

/* Embedded lists and bindings: what create, change and delete come to for them.  'c' has the
 * options --check and --if-rev (a revision of the object around the list, or of the port). */
int embedded_add(struct cli *cli, const struct command *c, const struct coll *coll,
                 const struct element *parent, const json_t *attrs, struct error *e);
int embedded_change(struct cli *cli, const struct command *c, const struct element *el,
                    const json_t *attrs, struct error *e);
int embedded_remove(struct cli *cli, const struct command *c, const struct element *el,
                    struct error *e);
int binding_set(struct cli *cli, const struct command *c, const struct uuid *port,
                const json_t *host, const json_t *interface, struct error *e);

#endif
