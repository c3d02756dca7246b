/* mn-cli's own commands, beside the grammar.  argv[0] is the command's name; each returns an exit
 * status and has printed its error.  A new one is a row of the table in main.c. */
#ifndef MN_CLI_COMMANDS_TABLE_H
#define MN_CLI_COMMANDS_TABLE_H

#include "cli/cli.h"

int cmd_export(struct cli *cli, int argc, char **argv);
int cmd_import(struct cli *cli, int argc, char **argv);
int cmd_test(struct cli *cli, int argc, char **argv);
int cmd_trace(struct cli *cli, int argc, char **argv);
int cmd_why(struct cli *cli, int argc, char **argv);
int cmd_schema(struct cli *cli, int argc, char **argv);

/* What "help trace" and "help test" say below their line. */
extern const char trace_help[], test_help[], why_help[];

#endif
