/* The grammar in words, for describe, help and manuals. */
#ifndef MN_CLI_DESCRIBE_H
#define MN_CLI_DESCRIBE_H

#include "cli/cli.h"

/* What may be typed for a value: "up|down", "number 0..4094", "chain".  Malloc'd. */
char *describe_value(const struct schema_attr *a);
/* "required", "read-only", "at creation", "clearable" or "". */
const char *describe_access(const struct schema_attr *a);
/* Both blocks of "describe"; null: the top. */
void describe_coll(struct cli *cli, const struct coll *c);

#endif
