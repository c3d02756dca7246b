/* "mn-agent dp": datapaths, from below.  With a name it reads the kernel's Open vSwitch datapaths,
 * whoever made them, without an agent; without one it asks the running agent, whatever its
 * datapath. Thread: any. */
#ifndef MN_AGENT_DP_H
#define MN_AGENT_DP_H

#include "client.h"

/* The words behind "dp".  The exit status. */
int dp_run(int argc, char **argv, const struct client_options *o, struct print *p);

#endif
