/* Where filter chains have their say.
 *
 * A stage is one place on the way (port in and out, before and after a device) with its list of
 * chains; the first that doesn't accept ends it.  What follows from the verdict is up to the stage,
 * which has things to do of its own (a bridge learns also from what its chain drops); then it calls
 * filter_end().
 *
 * A chain is walked rule by rule (chain.c): jumps go down a stack of ours, not of the processor's.
 * A jump to a chain that is being walked already does nothing, as one to a chain that doesn't
 * exist.
 *
 *   mirror.c    copies for mirrors        redirect.c    packets sent elsewhere by a rule */
#ifndef MN_SIM_FILTER_H
#define MN_SIM_FILTER_H

#include "sim/run.h"
#include "topology/policy.h"

enum filter_verdict {
    FILTER_ACCEPT,
    FILTER_DROP,     /* run.decided: the rule */
    FILTER_REJECT,   /* likewise */
    FILTER_REDIRECT, /* likewise */
    FILTER_ENDED,    /* the branch has: a need or a drop is recorded */
};

enum filter_verdict filter_chain(struct run *r, topo_ref chain);
/* From the rule behind 'rule' on. */
enum filter_verdict filter_chain_behind(struct run *r, topo_ref chain, const struct uuid *rule);

static inline enum filter_verdict filter(struct run *r, topo_ref chain)
{
    return unlikely(chain) ? filter_chain(r, chain) : FILTER_ACCEPT;
}

static inline enum filter_verdict filter2(struct run *r, topo_ref first, topo_ref second)
{
    enum filter_verdict v = filter(r, first);

    return unlikely(v) ? v : filter(r, second);
}

/* Carries out any verdict but ACCEPT: the branch has ended then.  'tell': who sent a rejected
 * packet gets an ICMP error. */
void filter_end(struct run *r, enum filter_verdict v, bool tell);

/* redirect.c: the packet goes where the rule says. */
void redirect(struct run *r, const struct topo_rule *rule);

/* mirror.c: copies for those of the list whose conditions hold. */
void mirror_all(struct run *r, const struct topo_refs *mirrors);

static inline void mirror(struct run *r, const struct topo_refs *mirrors)
{
    if (unlikely(mirrors->n))
        mirror_all(r, mirrors);
}

#endif
