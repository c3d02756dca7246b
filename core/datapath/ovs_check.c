/* Somebody removes our datapath, takes a port out of it, or unloads the module.  What the agent
 * knows stays true: its ports have their numbers, its tunnels their keys.  So it is all put into
 * the kernel again.  Flows are not: the packets that miss them come up, and the agent, who sees
 * that a flow it has is missed, installs it again.
 *
 * The kernel would announce such changes, but announcements can be lost; asking can't. */
#include "base/log.h"
#include "datapath/ovs_internal.h"

#define PORTS_EVERY                                                                                \
    5u /* checks; the list of ports is longer than the answer to "are you there?"                  \
        */

/* Families have other numbers once the module has been loaded again; asking for them loads it where
 * the kernel may do that. */
static int make_again(struct ovs_dp *d, struct error *e)
{
    int rc = ovs_families_find(d, e);

    if (rc)
        return rc;
    atomic_store(&d->n_flows, 0);
    rc = ovs_make(d, e);
    if (!rc && (rc = ovs_ports_mend(d)) >= 0)
        rc = ovs_tunnels_mend(d);
    return rc;
}

static int came_back(struct ovs_dp *d)
{
    d->lost = false;
    atomic_fetch_add(&d->made_again, 1);
    log_warn("datapath",
             "Open vSwitch's datapath %s had been removed under us and is made again; flows follow",
             d->ifname);
    return d->n_taken != 0;
}

static int is_lost(struct ovs_dp *d, int rc, const struct error *e)
{
    char text[640];

    d->ifindex = 0; /* half of it may be there: all again the next time */
    if (!d->lost)
        log_error("datapath",
                  "Open vSwitch's datapath %s is gone, nothing is forwarded until it can be made "
                  "again: %s",
                  d->ifname, e->code ? error_format(e, text, sizeof text) : strerror(-rc));
    d->lost = true;
    return -ENODEV;
}

int ovs_check(struct dp *dp)
{
    struct ovs_dp *d = ovs_of(dp);
    struct error e = {0};
    int ifindex = 0, rc = ovs_find(d, &ifindex);

    if (!rc && ifindex != d->ifindex) { /* of our name and not ours, or not whole */
        ovs_remove(d);
        rc = -ENODEV;
    }
    /* no such datapath; no such family; another family has its number */
    if (rc == -ENODEV || rc == -ENOENT || rc == -EOPNOTSUPP) {
        rc = make_again(d, &e);
        return rc ? is_lost(d, rc, &e) : came_back(d);
    }
    if (rc)
        return rc;
    if (!(d->checks++ % PORTS_EVERY))
        rc = ovs_ports_mend(d);
    if (rc > 0)
        log_warn("datapath", "put ports back that had been taken out of %s ports=%d", d->ifname,
                 rc);
    return rc < 0 ? rc : d->n_taken != 0;
}
