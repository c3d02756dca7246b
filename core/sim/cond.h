/* Conditions of rules and mirrors against the packet in hand.
 *
 * Fields are tested one by one in the order of enum cond_field, what costs nothing and leaves the
 * mask wide first, up to the first that decides.  So a packet that fails by its protocol isn't
 * looked at any deeper, and its flow fits all others that fail so.
 *
 * A field that the packet doesn't have (ports of a later fragment, the id of what isn't an echo)
 * fails, and so does its inversion: what isn't there is neither. */
#ifndef MN_SIM_COND_H
#define MN_SIM_COND_H

#include "sim/run.h"
#include "topology/policy.h"

/* Or the field that failed. */
enum cond_outcome {
    COND_HOLDS = COND_N_FIELDS,
    COND_ALL_HOLD, /* and it is inverted */
    COND_ENDED,    /* a need or a drop is recorded */
};

unsigned cond_test(struct run *r, const struct topo_cond *c);

/* "dst-port 80 is not 443": why it doesn't hold; in the arena. */
const char *cond_text(struct run *r, const struct topo_cond *c, unsigned outcome);

/* Addresses of the packet that the ICMP error in hand quotes; false when it is none. */
bool cond_quoted(struct run *r, struct ip *src, struct ip *dst);

#endif
