/* Reports: what an agent can say about itself, as JSON.
 *
 * What belongs to a worker is read in the worker, a page at a time, so that no listing keeps
 * packets waiting.  Each function returns a new reference.  Thread: control. */
#ifndef MN_AGENT_REPORT_H
#define MN_AGENT_REPORT_H

#include <jansson.h>

#include "agent/agent.h"

json_t *report_status(struct agent *a, uint64_t now);
json_t *report_ports(struct agent *a);
json_t *report_drops(struct agent *a, uint64_t now);
json_t *report_memory(struct agent *a);
json_t *report_counters(struct agent *a);

/* The flows of the datapath when the listing was begun, in pages. */
struct flow_listing;
struct flow_listing *flow_listing_new(struct agent *a, bool why);
void flow_listing_free(struct flow_listing *l); /* null is fine */
/* {"flows":[...],"more":BOOL} */
json_t *flow_listing_page(struct flow_listing *l, uint64_t now);

#endif
