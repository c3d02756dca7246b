/* The sub-commands: what a person or a script asks of the running agent, printed.  Thread: any. */
#ifndef MN_AGENT_CLIENT_H
#define MN_AGENT_CLIENT_H

#include <stdbool.h>

#include "cli/print.h"

struct client_options {
    const char *path;     /* of the control socket */
    bool why;             /* flows: with what they depend on */
    bool keep_flows;      /* stop */
    const char *argument; /* the word behind the command; null: none */
};

/* Rows for the usage text: name and help, null behind the last. */
struct client_command {
    const char *name, *help;
    int (*run)(const struct client_command *c, const struct client_options *o, struct print *p);
    const char *argument; /* what may follow it; null: nothing */
};
extern const struct client_command client_commands[];

/* The exit status. */
int client_run(const char *command, const struct client_options *o, struct print *p);

#endif
