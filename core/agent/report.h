/* Reports: what an agent can say about itself, as JSON.
 *
 * What belongs to a worker is read in the worker, a page at a time, so that no listing keeps
 * packets waiting.  Each function returns a new reference.  Thread: control. */
#ifndef MN_AGENT_REPORT_H
#define MN_AGENT_REPORT_H

#include <jansson.h>

#include "agent/agent.h"
#include "base/clock.h"

json_t *report_status(struct agent *a, uint64_t now);
json_t *report_ports(struct agent *a);
json_t *report_drops(struct agent *a, uint64_t now);
json_t *report_memory(struct agent *a);
json_t *report_counters(struct agent *a);

/* What becomes of a port's packets, in the operator's words: its state, what fell of what it sent
 * and, on this host, of what was sent to it.  Named by id, name or interface; null: not bound here.
 */
json_t *report_why(struct agent *a, const char *port, uint64_t now);

/* Parts of them. */
static inline json_t *report_number(uint64_t n)
{
    return json_integer((json_int_t)n);
}

/* Seconds that have passed since then; 0 when it is still to come. */
static inline json_t *report_since(uint64_t now, uint64_t then)
{
    return report_number(now > then ? (now - then) / NSEC_PER_SEC : 0);
}

/* Long answers, in pages: {NAME:[...],"more":BOOL}. */
struct listing {
    json_t *(*page)(struct listing *l, uint64_t now);
    void (*free)(struct listing *l);
};
static inline json_t *listing_page(struct listing *l, uint64_t now)
{
    return l->page(l, now);
}
static inline void listing_free(struct listing *l) /* null is fine */
{
    if (l)
        l->free(l);
}

/* "flows": those of the datapath when the listing was begun. */
struct listing *report_flows(struct agent *a, bool why);
/* "connections": records as they are while the listing is read; of one address, unless null. */
struct listing *report_connections(struct agent *a, const struct ip *address);

#endif
