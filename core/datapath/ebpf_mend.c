/* What other programs take away is put back: our filter off an interface ("tc qdisc del dev X
 * clsact" takes everybody's), the VXLAN device, the tap.
 *
 * A filter of somebody else's in our place is left alone: two that each take back the place would
 * do nothing else. */
#include <net/if.h>

#include "base/log.h"
#include "datapath/ebpf_internal.h"

static bool put_back(int ifindex, const char *ifname, int prog, bool *made_clsact)
{
    if (ebpf_tc_program(ifindex))
        return false;
    int rc = ebpf_tc_attach(ifindex, prog, made_clsact);

    if (rc)
        log_warn("datapath", "another program took the filter off interface=%s: %s", ifname,
                 strerror(-rc));
    else
        log_warn("datapath", "another program took the filter off interface=%s: put back", ifname);
    return !rc;
}

static void mend_port(struct ebpf_dp *d, struct fp_port *port)
{
    bool made = false;

    if (!port->in_use || !port->ifindex)
        return;
    put_back((int)port->ifindex, port->ifname, d->progs[PROG_PORT], &made);
    if (made)
        port->flags |= FP_PORT_CLSACT;
}

void ebpf_mend_filter(struct ebpf_dp *d, int ifindex)
{
    pthread_mutex_lock(&d->port_lock);
    for (uint32_t i = 0; i < FP_IF_PROBES; i++) {
        uint32_t no = d->shared->port_of[((uint32_t)ifindex + i) % FP_IFS] % FP_MAX_PORTS;

        if (no && d->ports[no].ifindex == (uint32_t)ifindex)
            mend_port(d, &d->ports[no]);
    }
    pthread_mutex_unlock(&d->port_lock);
}

void ebpf_mend_filters(struct ebpf_dp *d)
{
    pthread_mutex_lock(&d->port_lock);
    for (uint32_t no = 1; no < FP_MAX_PORTS; no++)
        mend_port(d, &d->ports[no]);
    pthread_mutex_unlock(&d->port_lock);
}

void ebpf_mend_devices(struct ebpf_dp *d, struct nl_sock *sk)
{
    char name[16];
    bool made;

    ebpf_device_name(d, "inj", name);
    pthread_mutex_lock(&d->tap_lock);
    int tap = (int)if_nametoindex(name);

    if (tap) /* if not, the next packet to be sent makes one */
        put_back(tap, name, d->progs[PROG_INJECT], &made);
    pthread_mutex_unlock(&d->tap_lock);
    ebpf_device_name(d, "vx", name);
    int vxlan = (int)if_nametoindex(name);
    struct error e = {0};

    if (vxlan && d->shared->vxlan_ifindex)
        put_back(vxlan, name, d->progs[PROG_VXLAN], &made);
    else if (d->shared->vxlan_ifindex && !ebpf_tunnel_device(d, sk, &e))
        log_warn("datapath", "another program deleted interface=%s: made again", name);
    else if (d->shared->vxlan_ifindex)
        log_limited(LOG_LVL_WARN, "datapath", "another program deleted interface=%s: %s", name,
                    e.message);
}
