/* Where filter chains have their say.
 *
 * A stage is one place on the way (port in and out, before and after a device) with its list of
 * chains; the first that doesn't accept ends it.  Rules aren't evaluated by this version: a chain
 * is named in the trail and lets everything pass. */
#ifndef MN_SIM_FILTER_H
#define MN_SIM_FILTER_H

#include "sim/run.h"

enum filter_verdict { FILTER_ACCEPT, FILTER_DROP, FILTER_REJECT };

enum filter_verdict filter_chain(struct run *r, topo_ref chain);

static inline enum filter_verdict filter(struct run *r, topo_ref chain)
{
    return unlikely(chain) ? filter_chain(r, chain) : FILTER_ACCEPT;
}

#endif
