#include "cli/edit.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
    (void)sig;
    interrupted = 1;
}

#ifdef MN_EDITOR_READLINE
/* readline's own reader goes on after a signal; libedit's returns. */
static int read_byte(FILE *f)
{
    unsigned char c;

    for (;;) {
        ssize_t n = read(fileno(f), &c, 1);

        if (n == 1)
            return c;
        if (n == 0 || errno != EINTR)
            return EOF;
        if (interrupted) {
            rl_replace_line("", 0);
            return '\n';
        }
    }
}
#endif

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
#ifdef MN_EDITOR_READLINE
    rl_catch_signals = 0;
    rl_getc_function = read_byte;
#endif
    rl_attempted_completion_function = complete;
    rl_completer_word_break_characters = (char *)" \t\n";
    rl_completion_append_character = ' ';
}

/* Ctrl-C gives up the line, not the session; while a command runs it ends both, as everywhere. */
char *edit_line(const char *prompt)
{
    struct sigaction own = {.sa_handler = on_interrupt}, old;
    char *line;

    sigaction(SIGINT, &own, &old);
    do {
        interrupted = 0;
        line = readline(prompt);
        if (interrupted) {
            free(line);
            fputs("\n", stdout);
        }
    } while (interrupted);
    sigaction(SIGINT, &old, NULL);
    return line;
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
