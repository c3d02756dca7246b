/* Named network namespaces, as "ip netns" keeps them: bind mounts under /run/netns.
 * Threads: setns(2) is per thread, so netns_enter() moves the calling thread only. */
#ifndef MN_NET_NETNS_H
#define MN_NET_NETNS_H

#include "base/error.h"

/* Makes a namespace with its loopback up.  -EEXIST, -EPERM. */
int netns_add(const char *name, struct error *e);
/* Takes the name away; the namespace ends with its last process.  0 if there is none. */
int netns_del(const char *name);

/* A file descriptor of a named namespace (null: the thread's own), close-on-exec. */
int netns_open(const char *name, struct error *e);
/* Moves the thread into the namespace; returns a descriptor of the one it came from, to go back
 * with netns_leave(). */
int netns_enter(const char *name, struct error *e);
void netns_leave(int back);

#endif
