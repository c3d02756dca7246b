/* Path MTU between this host and others, measured with ICMP echoes.
 *
 * The kernel of the other host answers, so nothing needs to run there.  Every probe has the
 * Don't-Fragment bit and ignores what the kernel believes about the path (IP_PMTUDISC_PROBE).
 * A small echo tells whether the host is reached at all; then the largest the interface takes, the
 * size asked for, and, only if that is lost, a search in between.  Routers that answer "too big"
 * shorten the search; those that drop silently cost a timeout a step.
 *
 * The answer has the size of the probe, so a path is good when both directions are.
 * Needs CAP_NET_RAW, or a group in net.ipv4.ping_group_range.
 * Thread: one; sockets live during the call only. */
#ifndef MN_TUNNELZONE_PROBE_H
#define MN_TUNNELZONE_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/types.h"

struct probe {
    struct ip from; /* own address; ip_none: the kernel's choice */
    struct ip to;
    unsigned need; /* size of an IP packet, bytes, that must pass */
    /* filled in */
    bool reached;
    unsigned mtu;     /* largest size seen to pass; at least 'need' when that passes */
    uint64_t rtt_us;  /* of the small echo */
    char reason[160]; /* why it isn't good; empty when it is */
};

static inline bool probe_good(const struct probe *p)
{
    return p->reached && p->mtu >= p->need;
}

/* Probes all, some dozens at a time.  'timeout_ms' is the longest wait for one echo.  An error only
 * when probing as such is impossible (-EPERM); unreachable hosts are results. */
int probe_all(struct probe *probes, size_t n, unsigned timeout_ms, struct error *e);

#endif
