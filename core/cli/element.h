/* Elements of collections: reading, walking and selecting them. */
#ifndef MN_CLI_ELEMENT_H
#define MN_CLI_ELEMENT_H

#include "cli/cli.h"
#include "cli/value.h"

struct element {
    struct coll coll;
    json_t *obj;    /* owned; of an embedded list the small object, of a binding a made-up one */
    struct uuid id; /* of the object; of an embedded list's element, of the object around it */
    json_t *holder; /* COLL_LIST: the object around it (owned) */
    size_t index;   /* COLL_LIST: place in its list */
};

void element_free(struct element *el);
void element_copy(struct element *to, const struct element *from);

/* Calls 'fn' with each element of the collection below 'parent' (null at the top) until it returns
 * non-zero, which is returned.  The element is borrowed: element_copy() to keep it. */
typedef int element_fn(const struct element *el, void *aux);
int element_each(struct cli *cli, const struct coll *c, const struct element *parent,
                 element_fn *fn, void *aux, struct error *e);
/* ... those that match the step's filter. */
int element_each_matching(struct cli *cli, const struct command *c, const struct cmd_step *s,
                          const struct element *parent, element_fn *fn, void *aux, struct error *e);

/* The one element the step selects.  -ENOENT; -EINVAL when its filter matches several. */
int element_select(struct cli *cli, const struct command *c, const struct cmd_step *s,
                   const struct element *parent, struct element *out, struct error *e);
/* The element that the first 'n' steps lead to (n > 0).  Free with element_free(). */
int element_path(struct cli *cli, const struct command *c, size_t n, struct element *out,
                 struct error *e);

/* The object of an element of a type with 'id_from' whose members in 'attrs' give its uuid, below
 * 'parent' (null at the top): found without a search.  -ENOENT, or -EAGAIN when 'attrs' lacks some.
 */
int element_derived(struct cli *cli, const struct coll *c, const struct element *parent,
                    const json_t *attrs, struct element *out, struct error *e);

/* "port 5b1c...", for messages. */
char *element_name(const struct element *el, char *buf, size_t size);

#endif
