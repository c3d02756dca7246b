#!/bin/bash
# The store goes away: connections through a router that translates go on, and new ones find ports
# among those this host has leased.
#
#   h1 [agent]     10.255.0.250: ZooKeeper, killed
#   vm1 -- left -- edge (192.0.2.1, for all of left) -- world, 192.0.2.2: echoes
. "$(dirname "$0")/lib.sh"

connected() { agent h1 status --json | jq -e ".store.connected == $1"; }

lab_start sc
host_add h1
zk_start
agent_start h1
many_connections_site
many_connections 50
check_same "connections" "50 opened" "$(heard)"
zk_kill
await 30 connected false
tell check
check_same "they go on" "50 answered" "$(heard)"
tell open 10
check_same "new ones" "10 opened" "$(heard)"
agent h1 stop --keep-flows || fail "stop"
wait "${AGENT_PID[h1]}"
tell check
check_same "without an agent" "60 answered" "$(heard)"
zk_start
agent_start h1
await 60 connected true
tell check
check_same "with both back" "60 answered" "$(heard)"
tell open 10
check_same "new ones" "10 opened" "$(heard)"
done_testing
