#!/bin/bash
# The store goes away and comes back: hosts forward with what they know, say so, and catch up.
#
#   h1 [agent] ---- underlay ---- h2 [agent]
#   vm1 -- left -- edge -- right -- vm2         10.255.0.250: ZooKeeper, killed
. "$(dirname "$0")/lib.sh"

store_lost() { agent "$1" status --json | jq -e '.store.connected == false'; }
store_back() { agent "$1" status --json | jq -e '.store.connected == true'; }

lab_start sl
host_add h1
host_add h2
zk_start
agent_start h1
agent_start h2
routed_pair
check "ping" on vm1 ping -c 2 -i 0.1 -W 10 10.0.2.10
zk_kill
await 30 store_lost h1
await 30 store_lost h2
check "running flows go on" on vm1 ping -c 3 -i 0.1 -W 10 10.0.2.10
check "new flows are made" on vm1 ping -c 1 -W 10 10.0.2.1
check_fails "a change is refused" cli bridge create name late
zk_start
await 60 store_back h1
await 60 store_back h2
check "ping" on vm1 ping -c 2 -i 0.1 -W 10 10.0.2.10
cli router edge add route dst 10.0.2.10/32 src 0.0.0.0/0 type blackhole || fail "route"
check_gone() { ! on vm1 ping -c 1 -W 1 10.0.2.10; }
await 15 check_gone
check "a change after that arrives" true
check "its ports are still active" port_active vm2
done_testing
