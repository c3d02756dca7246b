/* The interactive shell. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/edit.h"

#define PROMPT "mn> "

/* Does the line give a value to a secret field?  Such lines stay out of the history. */
static bool has_secret(const char *line)
{
    struct command c;
    struct lex l;
    bool found = false;

    if (lex_line(line, false, &l, NULL)) {
        lex_free(&l);
        return true;
    }
    if (!cmd_parse(&l, &c, NULL))
        for (size_t i = 0; i < c.n_pairs; i++)
            found = found || c.pairs[i].attr->flags & SA_SECRET;
    else /* mistyped, so nobody knows what it holds: a secret's field name is enough */
        for (size_t i = 0; i < l.n; i++)
            found =
                found || !strcmp(l.words[i].text, "password") || !strcmp(l.words[i].text, "psk");
    cmd_free(&c);
    lex_free(&l);
    return found;
}

int cli_interact(struct cli *cli)
{
    const char *home = getenv("HOME");
    char *history = home && *home ? mem_printf("%s/.mn_history", home) : NULL, *line;
    int status = 0;

    edit_open(cli, history);
    while (!cli->quit && (line = edit_line(PROMPT))) {
        if (line[strspn(line, " \t")]) {
            if (!has_secret(line))
                edit_remember(line);
            status = cli_line(cli, line);
        }
        free(line);
    }
    if (!cli->quit)
        print_line(&cli->out, "%s", "");
    edit_close();
    free(history);
    return status;
}
