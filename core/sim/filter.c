#include "sim/filter.h"

enum filter_verdict filter_chain(struct run *r, topo_ref chain)
{
    TRAIL(r, TOPO_CHAIN, topo_id(r->topo, chain), "rules of %s are not evaluated by this version",
          name_of(r, chain));
    return FILTER_ACCEPT;
}
