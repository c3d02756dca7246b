/* Inside the bindings (binding.h): what their files share.
 *
 *   binding.c        which ports are served: legs, one step of one binding, a turn of all
 *   binding_iface.c  what is done to the interface: MTU, limit
 *   binding_key.c    tunnel keys, and what the store is told
 *   binding_leave.c  giving a port up, in order */
#ifndef MN_AGENT_BINDING_IMPL_H
#define MN_AGENT_BINDING_IMPL_H

#include <uthash.h>

#include "agent/agent_impl.h"

enum binding_state { IDLE, SERVED, LEAVING };

struct removal;

struct binding {
    topo_ref port; /* key of 'all' */
    struct uuid id;
    char ifname[16], wanted_ifname[16];
    bool wanted;
    topo_ref previous; /* the host that served it before us, 0 none */
    enum { NOT_FETCHED, FETCHING, FETCHED } connections;
    enum binding_state state;
    const char *why;
    bool unheard; /* served, but its machine is perhaps still where it was */
    uint32_t port_no, tunnel_key;
    unsigned old_mtu; /* 0: not changed by us */
    bool mtu_seen_to;
    uint32_t kbps, burst_kb;  /* limit told to the datapath */
    int n_leaving;            /* atomic: workers that still have flows */
    struct removal *removals; /* one a worker */
    UT_hash_handle hh, hh_key;
};

struct bindings {
    struct agent *agent;
    struct binding *all;    /* by port */
    struct binding *by_key; /* by tunnel key, of those served */
    bool known;             /* the store has been read */
    bool dirty;             /* something to do */
    bool failed;            /* something to try again */
    uint64_t now, retry_ns;
};

/* binding_iface.c */
void binding_set_mtu(struct bindings *bs, struct binding *b); /* once its port is loaded */
void binding_restore_mtu(struct bindings *bs, struct binding *b);
void binding_set_limit(struct bindings *bs, struct binding *b); /* if it has changed */

/* binding_key.c */
void binding_take_key(struct bindings *bs, struct binding *b); /* for a port that is served now */
void binding_drop_key(struct bindings *bs, struct binding *b);
/* Has the store told that the port is served, 0: not any more. */
void binding_declare(struct agent *a, topo_ref port, uint32_t key, bool moving);

/* binding_leave.c */
/* The port map loses it next. */
void binding_leave(struct bindings *bs, struct binding *b);
/* Once it has: workers are asked to remove its flows. */
void binding_remove_flows(struct bindings *bs, struct binding *b);
bool binding_has_left(const struct binding *b); /* they have */
void binding_left(struct bindings *bs, struct binding *b);

#endif
