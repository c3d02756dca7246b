/* The host's interfaces as told to the store: gathered for a moment, then sent as one list.
 * Thread: control. */
#ifndef MN_AGENT_IFACES_H
#define MN_AGENT_IFACES_H

#include <jansson.h>

#include "net/watch.h"

struct ifaces;

struct ifaces *ifaces_new(void);
void ifaces_free(struct ifaces *f);
void ifaces_set(struct ifaces *f, const struct net_iface *iface, bool gone);
const struct net_iface *ifaces_find(const struct ifaces *f, const char *name);
/* The interface that has this address; null: none. */
const struct net_iface *ifaces_with_address(const struct ifaces *f, const struct ip *ip);

/* The list for the store (new reference) when it changed and has been quiet for a moment, else
 * null; *next is when to ask again. */
json_t *ifaces_report(struct ifaces *f, uint64_t now, uint64_t *next);

#endif
