/* What the kernel has of Open vSwitch datapaths, whoever made them: read, never changed.
 *
 * For "mn-agent dp": no instance is opened, no agent needs to run.  What a datapath can hold and we
 * have no word for is shown by its number.  Thread: any; in the namespace of the datapaths. */
#ifndef MN_DATAPATH_OVS_VIEW_H
#define MN_DATAPATH_OVS_VIEW_H

#include "base/error.h"
#include "packet/flow.h"

struct ovs_view_dp {
    char name[16];
    int ifindex;
    uint64_t hit, missed, lost, n_flows;
    uint32_t n_masks;
};
typedef int ovs_view_dp_fn(const struct ovs_view_dp *d, void *aux);
/* None where the module isn't loaded. */
int ovs_view_each(ovs_view_dp_fn *fn, void *aux, struct error *e);

struct ovs_view_port {
    uint32_t port_no;
    char name[16];
    const char *type; /* "netdev", "internal", "vxlan", "gre", ... */
    uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, rx_dropped, tx_dropped;
};
typedef int ovs_view_port_fn(const struct ovs_view_port *p, void *aux);
int ovs_view_ports(const char *name, ovs_view_port_fn *fn, void *aux, struct error *e);

struct ovs_view_flow {
    struct flow_key key, mask;
    const char *actions;
    uint64_t packets, bytes, used_ns; /* CLOCK_MONOTONIC, 0 never */
};
typedef int ovs_view_flow_fn(const struct ovs_view_flow *f, void *aux);
int ovs_view_flows(const char *name, ovs_view_flow_fn *fn, void *aux, struct error *e);

/* Parts of it: the kernel's attributes in our words. */
struct nlattr;
struct strbuf;
void ovs_view_key(const struct nlattr *nest, struct flow_key *key);
void ovs_view_mask(const struct nlattr *nest, struct flow_key *mask);
void ovs_view_actions(const struct nlattr *nest, struct strbuf *sb);

#endif
