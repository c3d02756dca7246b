/* The state of one walk through the grammar.  Internal: parse.c walks, expect.c tells what could
 * stand at the cursor. */
#ifndef MN_CLI_PARSER_H
#define MN_CLI_PARSER_H

#include "cli/parse.h"

struct parser {
    struct command *c;
    size_t far; /* the furthest word that no alternative could take */
    /* Where an object is created, the word before 'far' was taken for the name of one of 'named'
     * that it would be below; it may be a mistyped field. */
    size_t named_at;
    struct coll named;
    unsigned budget;
    size_t verb_at;
    cmd_expect_fn *expect; /* completing: the last word is where the cursor stands */
    void *aux;
    unsigned n_expected;
};

/* Words of 'c' from the first to the last; true if they are a whole command. */
bool parser_run(struct parser *p, struct command *c);

static inline struct cmd_step *parser_step(struct parser *p)
{
    return p->c->n_steps ? &p->c->steps[p->c->n_steps - 1] : NULL;
}

/* What the element selected last has below itself: null at the top. */
static inline const struct schema_type *parser_context(struct parser *p)
{
    struct cmd_step *s = parser_step(p);

    return s ? s->coll.type : NULL;
}

static inline bool parser_has_children(struct parser *p)
{
    struct cmd_step *s = parser_step(p);

    return !s || (s->coll.kind != COLL_LIST && s->coll.kind != COLL_BINDING);
}

static inline bool parser_creates(const struct parser *p)
{
    return p->c->verb == VERB_CREATE || p->c->verb == VERB_ENSURE;
}

/* The cursor stands ... */
void expect_in_object(struct parser *p);                          /* after an object */
void expect_in_coll(struct parser *p);                            /* after a collection */
void expect_in_filter(struct parser *p);                          /* after a filter's pair */
void expect_to_set(struct parser *p);                             /* where fields are set */
void expect_to_name(struct parser *p, bool verb_too);             /* ... shown or cleared */
void expect_value(struct parser *p, const struct schema_attr *a); /* where a value is due */

/* "expected: ..." for the word where 'p' got stuck. */
void expect_hint(const struct parser *p, const struct command *c, struct error *e);

#endif
