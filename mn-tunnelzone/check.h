/* check: does every member of a zone reach every other, with packets as large as the overlay
 * makes them?
 *
 * A host can measure its own paths only.  Each publishes what it measured in the store (a node of
 * run-time state beside the zone), and "--all" reads what all have published into one table.  Pairs
 * that nobody measured lately count as failed: not knowing isn't working. */
#ifndef MN_TUNNELZONE_CHECK_H
#define MN_TUNNELZONE_CHECK_H

#include "zone.h"

struct check_options {
    const char *from;    /* member that is this host; null: found by address */
    unsigned inner_mtu;  /* bytes of an inner IP packet that must pass */
    unsigned timeout_ms; /* wait for one echo */
    unsigned max_age;    /* seconds a published result counts */
    bool publish, all;
};

/* Exit status; has printed its table and any error. */
int check_zone(struct cli *cli, const char *zone, const struct check_options *o);

#endif
