/* A command line into words, by the rules of the POSIX shell.
 *
 * 'single' and "double" quotes, backslash, words split at blanks; an unquoted '#' where a word
 * could begin starts a comment.  A word remembers whether any of it was quoted: a quoted word is
 * never a verb, a field or an option, so an object may bear any name ("list", "--json").
 *
 * Completion lexes what stands before the cursor, where the last word may be unfinished: see
 * 'partial'.  Thread: pure functions. */
#ifndef MN_CLI_LEX_H
#define MN_CLI_LEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define LEX_LINE_MAX  (1u << 20) /* bytes in a line */
#define LEX_WORDS_MAX 4096

struct lex_word {
    char *text;   /* without its quotes */
    size_t start; /* offset of its first byte in the line */
    bool quoted;
};

struct lex {
    struct lex_word *words;
    size_t n;
};

/* -EINVAL on unbalanced quotes, a backslash at the end, and on lines over the limits.  With
 * 'partial', open quotes are closed at the end, and a line that ends in a blank (or is empty) gets
 * an empty last word: the one being completed.  Free with lex_free(), also after an error. */
int lex_line(const char *line, bool partial, struct lex *out, struct error *e);
/* The same from an argument vector: every argument is one unquoted word. */
void lex_argv(int argc, char *const *argv, struct lex *out);
void lex_free(struct lex *l);

/* 'text' so that lex_line() reads it back as one word: as it is if it can be, else quoted; and made
 * clean by lex_clean().  Malloc'd. */
char *lex_quote(const char *text);
/* Control bytes and bytes that aren't UTF-8 become '?': names are written by others, and a terminal
 * obeys escape sequences.  Malloc'd. */
char *lex_clean(const char *text);

#endif
