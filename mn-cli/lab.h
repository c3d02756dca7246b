/* A laboratory: a few virtual hosts with agents, one store, and interfaces whose far ends we hold.
 *
 * Scenarios talk to this only, so that the same file runs on every datapath:
 *
 *   memory   agents and store in this process, virtual time; no root
 *   netns    a network namespace and a real mn-agent per host, veth pairs, a file: store; root
 *
 * Interfaces are named by small numbers in order of creation.  Frames go in and come out as the
 * virtual machine behind the interface would send and see them.
 * Thread: one. */
#ifndef MN_CLI_LAB_H
#define MN_CLI_LAB_H

#include <stdint.h>

#include "base/error.h"
#include "base/types.h"
#include "store/store.h"

#define LAB_HOSTS  8
#define LAB_IFACES 64

/* How long a frame that shall not come is waited for. */
#define LAB_UNWANTED_MS 500

struct lab;

/* A drop that an agent recorded. */
struct lab_drop {
    char reason[40]; /* sim_reason_name() */
    char object[96]; /* "route 1d2f...", "port web-1" or "" */
};

struct lab_ops {
    const char *name;
    unsigned patience_ms; /* how long what must come is waited for */
    bool real_time;       /* time passes between statements too */
    int (*open)(const char *datapath, struct lab **out, struct error *e);
    void (*close)(struct lab *lab);
    /* Starts a host with its agent; it has registered itself when this returns. */
    int (*host_add)(struct lab *lab, const char *name, const struct uuid *id,
                    const struct ip *underlay, struct error *e);
    /* Makes an interface on a host; returns its number.  It is up. */
    int (*iface_add)(struct lab *lab, unsigned host, const char *ifname, struct error *e);
    int (*iface_del)(struct lab *lab, unsigned iface, struct error *e);
    int (*link)(struct lab *lab, unsigned iface, bool up, struct error *e);
    int (*send)(struct lab *lab, unsigned iface, const uint8_t *frame, size_t size,
                struct error *e);
    /* Takes the next frame that came out of the interface: its size, 0 when there is none (yet). */
    size_t (*recv)(struct lab *lab, unsigned iface, uint8_t *buf, size_t size);
    /* Everything committed to the store so far is known to and applied by all agents, and no packet
     * is under way inside them (packets parked for a neighbour stay parked). */
    int (*settle)(struct lab *lab, struct error *e);
    int (*clock)(struct lab *lab, uint64_t ns, struct error *e); /* forward */
    /* Ends a host's agent; with 'keep' its flows stay installed meanwhile.  A host without an agent
     * has interfaces that come and go, no upcalls and no drops; n_flows fails. */
    int (*stop)(struct lab *lab, unsigned host, bool keep, struct error *e);
    int (*start)(struct lab *lab, unsigned host, struct error *e);
    /* The newest drop on the host since the last call; 1, or 0 when there was none. */
    int (*last_drop)(struct lab *lab, unsigned host, struct lab_drop *out, struct error *e);
    /* Packets of the interface that went up to the agent, since its creation. */
    int (*upcalls)(struct lab *lab, unsigned iface, uint64_t *n, struct error *e);
    int (*n_flows)(struct lab *lab, unsigned host, uint64_t *n, struct error *e);
    /* Returns when a frame may have come out somewhere, or after 'ms'; how many ms that took. */
    unsigned (*wait)(struct lab *lab, unsigned ms);
    struct store *(*store)(struct lab *lab); /* where the topology goes */
};

struct lab {
    const struct lab_ops *ops;
};

extern const struct lab_ops lab_memory, lab_netns;

#endif
