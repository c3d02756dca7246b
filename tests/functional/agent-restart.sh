#!/bin/bash
# An agent is replaced under traffic: flows stay in the kernel, the new agent finds them, nothing is lost.
#
#   h1 [agent, restarted] ---- underlay ---- h2 [agent]
#   vm1 -- left -- edge -- right -- vm2
. "$(dirname "$0")/lib.sh"

lab_start ar
host_add h1
host_add h2
agent_start h1
agent_start h2
routed_pair
check "ping" on vm1 ping -c 2 -i 0.1 -W 2 10.0.2.10
done_testing
