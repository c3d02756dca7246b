/* FIELD VALUE pairs of a command, into JSON. */
#ifndef MN_CLI_VALUE_H
#define MN_CLI_VALUE_H

#include "cli/cli.h"

struct value {
    const struct schema_attr *attr; /* of rows with the same name, the one that took the text */
    json_t *json;                   /* owned; JSON null: unset */
    bool inverted;
};

/* Checks the text by its row, resolves names, reads "@FILE" for a secret.  The error names
 * the field. */
int value_parse(struct cli *cli, const struct cmd_pair *pair, struct value *out, struct error *e);
static inline void value_free(struct value *v)
{
    json_decref(v->json);
    v->json = NULL;
}

/* Does the object have it?  A list has it when all elements given are among its own. */
bool value_matches(const struct value *v, const json_t *obj);

/* Pairs [first, first + n) of the command as an object of JSON names (new reference), companions
 * of inverted values included.  'writing': read-only fields are refused. */
int value_object(struct cli *cli, const struct command *c, size_t first, size_t n, bool writing,
                 json_t **out, struct error *e);
int value_filter(struct cli *cli, const struct command *c, const struct cmd_step *s,
                 struct value **out, struct error *e);
void value_filter_free(struct value *values, size_t n);

/* What a field looks like in text: null when it is unset.  References by ref_text().  Malloc'd. */
char *value_text(struct cli *cli, const struct schema_attr *a, const json_t *obj);
/* ... and in JSON (new reference): secrets masked. */
json_t *value_json(const struct schema_attr *a, const json_t *obj);

#endif
