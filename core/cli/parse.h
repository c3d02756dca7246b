/* The grammar of commands.
 *
 * A command is a path of collections and selections, a verb that stands first, in the middle or
 * last, and fields:
 *
 *   list router name edge           router R list port         router R port list state up
 *   create router R port addresses 10.0.0.1/24                 router R port add addresses ...
 *   router R port P set peer web:p0                            set router R port P peer ...
 *   tunnel-zone Z member host H delete                         router R port P peer show
 *
 * What may follow what is the schema's (coll.h).  Words are ambiguous by nature (a bridge may be
 * called "name" or "list"), so alternatives are tried in order of preference and the first that
 * takes the whole line wins; a quoted word is never a keyword.  The same walk, stopped at the
 * cursor, tells completion and error hints what could stand there.
 *
 * Parsing asks nothing of the store: selections are resolved when the command runs.
 * Thread: pure functions. */
#ifndef MN_CLI_PARSE_H
#define MN_CLI_PARSE_H

#include "cli/coll.h"
#include "cli/lex.h"

#define CMD_DEPTH_MAX 8

enum verb {
    VERB_NONE,
    VERB_LIST,
    VERB_SHOW,
    VERB_CREATE,
    VERB_ENSURE,
    VERB_SET,
    VERB_CLEAR,
    VERB_DELETE,
    VERB_DESCRIBE,
};

/* FIELD VALUE.  A reference may take several words: "port router R port P". */
struct cmd_pair {
    const struct schema_attr *attr; /* first row of that name */
    const struct lex_word *const *words;
    size_t n_words;
};

/* COLLECTION with a selection of one element, by identifier or by content, or with none. */
struct cmd_step {
    struct coll coll;
    const struct lex_word *id; /* or null */
    size_t filter, n_filter;   /* range of command.pairs */
};

struct command {
    enum verb verb;
    struct cmd_step steps[CMD_DEPTH_MAX];
    size_t n_steps;
    struct cmd_pair *pairs;            /* filters of all steps, then values to set */
    size_t n_pairs, set;               /* 'set': index of the first value to set */
    const struct schema_attr **fields; /* to show or clear */
    size_t n_fields;
    bool follow; /* "OBJ FIELD show": show what the field refers to */

    /* options */
    bool may_exist, if_exists, check;
    int64_t if_rev;     /* or -1 */
    const char *format; /* or null */

    const struct lex_word **words; /* the line without its options */
    size_t n_words;
};

/* 'l' must outlive 'out'.  -EINVAL with "Syntax error at: ...REST" or "Missing arguments,
 * incomplete command", and a hint of what was expected.  Free with cmd_free(), also on error. */
int cmd_parse(const struct lex *l, struct command *out, struct error *e);
void cmd_free(struct command *c);

/* What could stand in the place of the last word (its text is not looked at). */
enum expect_kind { EXPECT_VERB, EXPECT_COLL, EXPECT_FIELD, EXPECT_VALUE, EXPECT_ID, EXPECT_OPTION };

struct expect {
    enum expect_kind kind;
    const char *word;               /* VERB, COLL, FIELD, OPTION */
    const struct schema_attr *attr; /* FIELD, VALUE */
    const struct coll *coll;        /* COLL, ID */
};

/* 'so_far' holds the path before the word. */
typedef void cmd_expect_fn(const struct expect *x, const struct command *so_far, void *aux);
void cmd_expect(const struct lex *l, cmd_expect_fn *fn, void *aux);

const char *verb_name(enum verb v);

#endif
