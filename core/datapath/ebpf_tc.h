/* A program of ours as the filter on an interface's ingress: the whole datapath, or on Open vSwitch
 * what limits a port.  One filter an interface, under a priority and handle of its own; other
 * programs' filters stay where they are.  Thread: any, in the interface's network namespace. */
#ifndef MN_DATAPATH_EBPF_TC_H
#define MN_DATAPATH_EBPF_TC_H

#include <stdbool.h>
#include <stdint.h>

struct nl_sock;

/* Replaces what is there.  *made_clsact: set when there was no clsact qdisc. */
int ebpf_tc_attach(int ifindex, int prog_fd, bool *made_clsact);
/* With the qdisc if we made it and nobody else uses it now. */
void ebpf_tc_detach(struct nl_sock *rtnl, int ifindex, bool made_clsact);
uint32_t ebpf_tc_program(int ifindex); /* id of the program there, 0 none */
bool ebpf_tc_is(int ifindex, int prog_fd);

/* libbpf's own words go to the log, as debugging: what matters comes back as a return code. */
void ebpf_quiet(void);
struct nl_sock *ebpf_rtnl_open(void); /* null: none to be had */

#endif
