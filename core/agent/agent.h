/* The agent: one host's part of the virtual network.
 *
 * It joins the pieces: the loader (topology/sync.h) keeps the topology as the store says, workers
 * (worker.h) turn first packets into flows, bindings (binding.h) join virtual ports to interfaces,
 * the datapath forwards.  Four kinds of thread, each with things of its own:
 *
 *     topology   store and loader; may block on the store
 *     control    interfaces, bindings, ports of the datapath, statistics, what people ask; ends
 *                connections nobody uses
 *     workers    flows; one per queue of the datapath
 *     log        writes rule logs, and waits for disks
 *
 * They talk through inboxes (inbox.h); what a change makes untrue goes from the topology thread to
 * every worker.  Nothing here starts a thread: agent_run_*() does one turn of a kind's work at a
 * time the caller names, so that a test steps an agent, or a thousand of them, in one thread with a
 * clock of its own; threads.h puts real threads on top.
 *
 * Without the store an agent goes on with what it knows. */
#ifndef MN_AGENT_AGENT_H
#define MN_AGENT_AGENT_H

#include "agent/rulelog.h"
#include "agent/worker.h"
#include "net/watch.h"
#include "state/backup.h"
#include "store/store.h"
#include "topology/sync.h"

struct agent;

struct agent_options {
    struct uuid host;     /* id of this host */
    const char *name;     /* of this host, for people */
    const char *instance; /* of this agent, where several run; null: "mn" */
    struct store *store;  /* borrowed; its events are the agent's */
    struct dp *dp;        /* borrowed; flows and ports found in it are taken over */
    struct mail *mail;    /* borrowed; to other agents, of connections; null: none are told */
    unsigned n_workers;   /* queues of the datapath; 0: 1 */
    bool keep_mtu;     /* leave the MTU of bound interfaces alone (interfaces that aren't real) */
    uint16_t dhcp_mtu; /* the most that machines are told to send at once, bytes; 0: 1500 */
    struct ft_limits flows;    /* max_flows: of all workers together */
    struct state_limits state; /* .gone and .aux are set here */
    struct asking_limits asking;
    uint64_t park_ns;         /* 0: 5 s */
    uint64_t stats_ns;        /* between two readings of the datapath's statistics; 0: 5 s */
    struct sync_options sync; /* .host is set here */
    struct rulelog_options rulelog;
    /* Where connections are written down, and found again; borrowed, null: nowhere. */
    struct state_backup *backup;
    uint64_t now_ns; /* the agent's clock as it opens; 0: CLOCK_MONOTONIC */
};

int agent_open(const struct agent_options *opts, struct agent **out, struct error *e);
/* keep: the datapath will be kept (dp_close), so interfaces stay as they are.  The caller closes
 * datapath and store afterwards.  Null is fine. */
void agent_close(struct agent *a, bool keep);

/* Any state of an interface of this host; control. */
void agent_iface(struct agent *a, const struct net_iface *iface, bool gone);

/* A turn.  Each returns when it wants the next ('now': at once) unless its inbox or descriptor says
 * so before.  The calling thread is a registered RCU reader; it is quiescent in between. */
uint64_t agent_run_control(struct agent *a, uint64_t now);
uint64_t agent_run_topology(struct agent *a, uint64_t now);
uint64_t agent_run_worker(struct agent *a, unsigned worker, uint64_t now);
uint64_t agent_run_mail(struct agent *a, uint64_t now); /* what is told and heard of connections */
void agent_run_log(struct agent *a);
/* A turn of everything, in one thread; true while something wants another one at once. */
bool agent_run(struct agent *a, uint64_t now);

struct inbox *agent_control_inbox(struct agent *a);
struct inbox *agent_topology_inbox(struct agent *a);
struct inbox *agent_log_inbox(struct agent *a);
struct inbox *agent_mail_inbox(struct agent *a);
int agent_mail_fd(struct agent *a); /* -1: no mail */
int agent_topology_fd(struct agent *a);
struct inbox *agent_worker_inbox(struct agent *a, unsigned worker);
int agent_worker_fd(struct agent *a, unsigned worker); /* upcalls wait */
unsigned agent_n_workers(const struct agent *a);

/* Reads the datapath's statistics now and moves the agent's clock ahead of the datapath's by 'ns'
 * more; control.  For tests on datapaths that live in real time. */
void agent_advance(struct agent *a, uint64_t now, uint64_t ns);
/* The agent's clock on a real datapath: CLOCK_MONOTONIC and what it was advanced by; any thread. */
uint64_t agent_now(const struct agent *a);

/* For reports; control thread unless said otherwise. */
struct topo *agent_topo(struct agent *a);
struct state *agent_state(struct agent *a);
struct worker *agent_worker(struct agent *a, unsigned worker);
const struct agent_options *agent_options(const struct agent *a);
bool agent_connected(const struct agent *a); /* any thread */
/* The loader's status, not older than a second while it runs; any thread. */
void agent_sync_status(struct agent *a, struct sync_status *out);
/* True once the store was read and every port that can be served is. */
bool agent_ready(const struct agent *a);
/* False while the kernel's datapath is gone (dp_check). */
bool agent_forwards(const struct agent *a);

/* What was told to and heard from other agents; zeroes when there is no mail.  Any thread. */
void agent_exchange(struct agent *a, struct exchange_counters *out);

struct agent_port {
    struct uuid id;
    topo_ref port;
    const char *ifname;
    uint32_t port_no; /* 0: not served */
    uint32_t tunnel_key;
    const char *state; /* "active", "moving" (to another host), "no interface", "interface down",
                          "no link", ... */
};
typedef int agent_port_fn(const struct agent_port *p, void *aux);
/* Every port bound to this host, by id; stops when fn returns non-zero and returns that. */
int agent_each_port(struct agent *a, agent_port_fn *fn, void *aux);

#endif
