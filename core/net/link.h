/* Interfaces of the calling thread's network namespace, made and changed by rtnetlink (libnl-3).
 * Names are at most 15 bytes.  Thread: each call opens its own socket. */
#ifndef MN_NET_LINK_H
#define MN_NET_LINK_H

#include <stdbool.h>

#include "base/error.h"
#include "base/types.h"

/* A veth pair, the second end in the namespace of 'peer_ns' (netns_open(); -1: here too). */
int net_veth_add(const char *name, const char *peer, int peer_ns, struct error *e);
int net_bridge_add(const char *name, struct error *e);
int net_link_del(const char *name); /* 0 if there is none */
int net_link_up(const char *name, bool up, struct error *e);
int net_link_mtu(const char *name, unsigned mtu, struct error *e);
int net_link_alias(const char *name, const char *text, struct error *e); /* "": none */
int net_link_mac(const char *name, const struct mac *mac, struct error *e);
int net_link_master(const char *name, const char *bridge, struct error *e);
int net_addr_add(const char *name, const struct cidr *addr, struct error *e);

#endif
