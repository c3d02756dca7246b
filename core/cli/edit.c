#include "cli/edit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#ifdef MN_EDITOR_READLINE
#include <readline/history.h>
#include <readline/readline.h>
#else
#include <editline/readline.h>
#endif

#define HISTORY_LINES 1000

static struct {
    struct cli *cli;
    char *history_file;
    struct candidates found; /* answers for the word at the cursor */
    size_t next;
} editor;

/* The library's generator: one candidate a call, malloc'd, null after the last. */
static char *next_candidate(const char *text, int state)
{
    (void)text;
    if (!state)
        editor.next = 0;
    return editor.next < editor.found.n ? lex_quote(editor.found.words[editor.next++]) : NULL;
}

static char **complete(const char *text, int start, int end)
{
    char *before = mem_printf("%.*s", end, rl_line_buffer);
    struct lex l;

    (void)start;
    rl_attempted_completion_over = 1; /* never file names */
    candidates_free(&editor.found);
    editor.found = (struct candidates){0};
    if (!lex_line(before, true, &l, NULL))
        cli_complete(editor.cli, &l, &editor.found);
    lex_free(&l);
    free(before);
    return rl_completion_matches(text, next_candidate);
}

void edit_open(struct cli *cli, const char *history_file)
{
    editor.cli = cli;
    editor.history_file = history_file ? mem_strdup(history_file) : NULL;
    rl_readline_name = (char *)"mn-cli";
    rl_initialize();
    using_history();
    stifle_history(HISTORY_LINES);
    if (history_file)
        read_history(history_file);
    rl_attempted_completion_function = complete;
    rl_completer_word_break_characters = (char *)" \t\n";
    rl_completion_append_character = ' ';
}

char *edit_line(const char *prompt)
{
    return readline(prompt);
}

void edit_remember(const char *line)
{
    add_history(line);
}

void edit_close(void)
{
    mode_t mask = umask(077);

    if (editor.history_file)
        write_history(editor.history_file);
    umask(mask);
    free(editor.history_file);
    candidates_free(&editor.found);
    clear_history();
    memset(&editor, 0, sizeof editor);
}
