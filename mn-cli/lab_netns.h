/* The laboratory of namespaces, inside.
 *
 *   lab_netns.c         namespaces, wires, interfaces, packets
 *   lab_netns_agent.c   the agents: processes, and what is asked of them over their sockets */
#ifndef MN_CLI_LAB_NETNS_H
#define MN_CLI_LAB_NETNS_H

#include <jansson.h>
#include <sys/types.h>

#include "lab.h"

struct netns_host {
    char name[32], ns[48], socket[128];
    struct uuid id;
    struct cidr underlay;
    pid_t agent;
    json_t *drops_seen;                    /* packets by "REASON OBJECT" */
    uint64_t clock_passed_ns, clock_at_ns; /* netns_clock() */
};

struct lab_in_netns {
    struct lab lab;
    char prefix[24], dir[64], url[80], wire[48], vms[48], datapath[16];
    struct store *store;
    unsigned n_hosts, n_ifaces;
    struct netns_host hosts[LAB_HOSTS];
    struct netns_iface {
        unsigned host;
        int fd;
        char ifname[16], vm[16];
        bool present;
    } ifaces[LAB_IFACES];
};

static inline struct lab_in_netns *netns_lab(struct lab *lab)
{
    return (struct lab_in_netns *)lab;
}

/* Null: no longer. */
void netns_catch_signals(struct lab_in_netns *lab);

/* lab_netns_agent.c: operations of the laboratory */
int netns_settle(struct lab *base, struct error *e);
int netns_clock(struct lab *base, uint64_t ns, struct error *e);
int netns_stop(struct lab *base, unsigned host, bool keep, struct error *e);
int netns_start(struct lab *base, unsigned host, struct error *e);
int netns_last_drop(struct lab *base, unsigned host, struct lab_drop *out, struct error *e);
int netns_upcalls(struct lab *base, unsigned iface, uint64_t *n, struct error *e);
int netns_n_flows(struct lab *base, unsigned host, uint64_t *n, struct error *e);

#endif
