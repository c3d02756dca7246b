/* The rules of a chain that hold for the packet in hand, in their order.
 *
 * Chains of few rules are tried in turn, others by their index (topology/rule_index.h).  Tuples are
 * asked in the order of their first rules and candidates tested in the order of theirs, whichever
 * comes first: nothing behind the rule that is found has been looked at.
 *
 * When the headers change on the way (a translation that goes on) the search begins anew behind the
 * rule that did it: rule_find_again(). */
#ifndef MN_SIM_RULE_FIND_H
#define MN_SIM_RULE_FIND_H

#include "sim/run.h"
#include "topology/rule_index.h"

struct candidate {
    uint32_t position, class;
    uint32_t end; /* not 0: stands for the entries from 'class' up to there, none of them before */
    bool holds;   /* is known to */
};

struct rule_find {
    const struct topo_chain *chain;
    uint32_t next; /* position from which on rules are wanted */
    /* with an index */
    uint32_t tuple; /* next to be asked */
    uint32_t n, room;
    struct candidate *heap; /* the smallest position first */
    bool key_made, src_known, dst_known;
    struct rule_key key;               /* the packet's */
    uint64_t src_lens[3], dst_lens[3]; /* prefix lengths that can match, as bits */
    uint32_t *excluded;                /* by field, for the trail; null: none wanted */
};

static inline void rule_find_begin(struct rule_find *f, const struct topo_chain *chain)
{
    f->chain = chain;
    f->next = f->tuple = f->n = f->room = 0;
    f->key_made = false;
    f->excluded = NULL;
}

static inline void rule_find_again(struct rule_find *f)
{
    f->tuple = f->n = 0;
    f->key_made = false;
}

/* Null: there are no more, or the branch has ended. */
const struct topo_rule *rule_find_next(struct run *r, struct rule_find *f, bool *ended);

/* "rule 3 of chain web" */
const char *rule_name(struct run *r, const struct topo_chain *c, const struct topo_rule *rule);

#endif
