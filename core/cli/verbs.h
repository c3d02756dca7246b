/* Verbs and command options: the words of the grammar that aren't the schema's. */
#ifndef MN_CLI_VERBS_H
#define MN_CLI_VERBS_H

#include "cli/parse.h"

struct verb_row {
    const char *word;
    unsigned min; /* shortest abbreviation */
    enum verb verb;
    const char *help;
};

extern const struct verb_row verb_rows[]; /* ends with a null word */

/* VERB_NONE unless 'w' is the whole word, or ('abbreviated') a proper abbreviation of one. */
enum verb verb_match(const struct lex_word *w, bool abbreviated);

struct option_row {
    const char *word, *argument, *help;
};

extern const struct option_row option_rows[]; /* ends with a null word */

/* Takes the options out of 'l' (up to an unquoted "--") into 'c'; the other words become
 * c->words.  With 'partial' the last word stays whatever it is. */
int options_take(const struct lex *l, bool partial, struct command *c, struct error *e);

/* -EINVAL when one of them says nothing with the verb: who asks for a guard must not go without. */
int options_fit(const struct command *c, struct error *e);

#endif
