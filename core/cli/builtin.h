/* Commands that aren't of the grammar: the session's own (help, exit, sett...) and the tool's. */
#ifndef MN_CLI_BUILTIN_H
#define MN_CLI_BUILTIN_H

#include "cli/cli.h"

/* Null if the word is none (a quoted one is none). */
const struct subcommand *builtin_find(const struct cli *cli, const struct lex_word *w);
void builtin_each(const struct cli *cli, void (*fn)(const char *name, void *aux), void *aux);
/* "  NAME ARGS   help" lines. */
void builtin_list(struct cli *cli);

#endif
