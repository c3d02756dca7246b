#include "sim/filter.h"

static void refuse(struct run *r, enum sim_reason reason)
{
    drop_by(r, reason, TOPO_RULE, &r->decided->id, false);
}

void filter_end(struct run *r, enum filter_verdict v, bool tell)
{
    switch (v) {
    case FILTER_DROP:
        refuse(r, SIM_CHAIN_DROP);
        break;
    case FILTER_REJECT:
        if (tell)
            icmp_error(r, ICMP_PROHIBITED);
        refuse(r, SIM_CHAIN_REJECT);
        break;
    case FILTER_REDIRECT:
        redirect(r, r->decided);
        break;
    case FILTER_ACCEPT:
    case FILTER_ENDED:
        break;
    }
}
