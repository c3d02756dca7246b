/* Line editing with history and completion: libedit, or readline (make EDITOR=readline).  Both
 * keep their state in globals, so there is one editor in a process. */
#ifndef MN_CLI_EDIT_H
#define MN_CLI_EDIT_H

#include "cli/cli.h"

/* History is read from 'history_file' (null: none). */
void edit_open(struct cli *cli, const char *history_file);
/* The next line without its newline (free()), null at the end.  Lines enter the history by
 * edit_remember() only, so that secrets can stay out. */
char *edit_line(const char *prompt);
void edit_remember(const char *line);
void edit_close(void); /* writes the history, readable by its owner only */

#endif
