/* A command-line session over the topology: what mn-cli is made of, and other tools may use.
 *
 * The session opens its store on first use, so that help and completion of keywords work without
 * one.  Commands are lines (cli_line) or argument vectors (cli_words); each returns the exit status
 * of design section 10, its data on out.out and its words on out.err.
 *
 * Names, uuids and (interactive only) aliases are interchangeable wherever an object is meant; a
 * child can be named through its parent: "web:port-1".
 * Thread: one session, one thread. */
#ifndef MN_CLI_CLI_H
#define MN_CLI_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/alias.h"
#include "cli/parse.h"
#include "cli/print.h"
#include "objects/objects.h"

#define EXIT_WOULD_CHANGE 10

struct cli {
    struct print out;
    const char *url; /* of the store; null: from the environment, the configuration, the default */
    unsigned timeout_ms; /* the store's, of one call */
    struct store *store;
    struct objects *db;                   /* null until cli_connect() */
    struct aliases *aliases;              /* null unless interactive */
    char *tenant;                         /* of "sett"; null: all */
    enum print_format format;             /* unless a command has -o */
    const struct subcommand *subcommands; /* the tool's own, ends with a null name; or null */
    bool quit;
};

/* A command of the tool itself, beside the grammar ("export", "trace"). */
struct subcommand {
    const char *name;
    int (*run)(struct cli *cli, int argc, char **argv); /* argv[0] is the name; exit status */
    bool offline;                                       /* works without a store */
    const char *usage;                                  /* its arguments: "[FILE]" */
    const char *help;                                   /* one line */
    const char *more;                                   /* lines below it in "help NAME"; or null */
};

void cli_init(struct cli *cli, const char *program, const char *url, bool interactive);
void cli_free(struct cli *cli);

/* Opens the store if it isn't open.  0 or the error. */
int cli_connect(struct cli *cli, struct error *e);

/* One command; the exit status.  Nothing for an empty line. */
int cli_line(struct cli *cli, const char *line);
int cli_words(struct cli *cli, int argc, char **argv);
int cli_run(struct cli *cli, const struct lex *l);

/* Lines of 'f' until its end: stops at the first that fails unless 'keep_going'.  'name' is for
 * messages.  The status of the last that failed, or 0. */
int cli_script(struct cli *cli, FILE *f, const char *name, bool keep_going);
/* A terminal session, with history and completion. */
int cli_interact(struct cli *cli);

/* What could stand in place of the last word of 'l', that begins with it: sorted, without repeats.
 * Completion never fails; without a store it offers keywords only.  Free with
 * candidates_free(). */
struct candidates {
    char **words;
    size_t n;
};
void cli_complete(struct cli *cli, const struct lex *l, struct candidates *out);
void candidates_free(struct candidates *c);

#endif
