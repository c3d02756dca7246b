#!/bin/bash
# Agents are replaced under traffic: flows stay in the kernel, the new agent finds them, nothing is lost.
#
#   h1 [agent, restarted, killed] ---- underlay ---- h2 [agent, restarted]
#   vm1 -- left -- edge -- right -- vm2
. "$(dirname "$0")/lib.sh"

neighbour() { on vm1 ip -j neigh show 10.0.1.1 | jq -r ".[0].$1 | if type == \"array\" then .[0] else . end"; }
flows() { agent "$1" status --json | jq .flows; }
# Each 10 ms, until there is a file "enough": what is on its way then is awaited, not called lost.
pinging() {
    until [ -e "$DIR/enough" ]; do on vm1 ping -q -i 0.01 -c 100 -W 10 10.0.2.10; done >"$DIR/ping.out" 2>&1
}
no_loss() { grep -q ' 0% packet loss' "$DIR/ping.out" && ! grep 'packet loss' "$DIR/ping.out" | grep -v ' 0% packet loss'; }
transferred() {
    on vm2 socat -u TCP-LISTEN:7000,reuseaddr "CREATE:$DIR/got" & local in=$!
    await 5 bash -c "nsenter --net=/run/netns/$LAB-vm2 ss -Hltn 'sport = :7000' | grep -q ."
    # slow enough to last over what happens meanwhile
    (for _ in $(seq 40); do cat "$DIR/sent"; sleep 0.05; done) |
        on vm1 timeout 60 socat -u - TCP:10.0.2.10:7000 &
    TRANSFER="$in $!"
}

lab_start ar
host_add h1
host_add h2
agent_start h1
agent_start h2
routed_pair
head -c 250000 /dev/urandom >"$DIR/sent"
check "ping" on vm1 ping -c 2 -i 0.1 -W 10 10.0.2.10

transferred
pinging & ping=$!
before=$(flows h1)
for h in h1 h2; do
    agent $h stop --keep-flows || fail "stop"
    wait "${AGENT_PID[$h]}"; check_same "$h's agent ends well, leaving its flows" 0 $?
    agent_start $h
done
[ "$(flows h1)" -ge 1 ] || fail "h1's new agent holds $(flows h1) flows, the old one held $before"
check "the new agent found its flows" true
agent_stop h1 KILL
check "flows of a killed agent forward" on vm1 ping -c 3 -i 0.1 -W 10 10.0.2.10
agent_start h1
wait $TRANSFER
touch "$DIR/enough"
wait $ping || true
check "a ping each 10 ms, all the time, lost nothing" no_loss
for _ in $(seq 40); do cat "$DIR/sent"; done >"$DIR/wanted"
check "TCP, all the time, lost nothing" cmp "$DIR/wanted" "$DIR/got"

on vm1 ip neigh change 10.0.1.1 lladdr "$(neighbour lladdr)" dev eth0 nud stale # nobody asks, as there is no traffic
agent h1 stop --keep-flows
wait "${AGENT_PID[h1]}"
check_same "an agent that ends tells machines their router's MAC" REACHABLE "$(neighbour state)"
agent_start h1
agent_stop h1; check_same "h1's agent ends well" 0 $?
check_fails "without an agent that was told to end nothing passes" on vm1 ping -c 1 -W 1 10.0.2.10
agent_start h1
await 30 on vm1 ping -c 1 -W 2 10.0.2.10 # what the old agent had learned has to be asked for again
check "and a new one starts from nothing" on vm1 ping -c 2 -i 0.1 -W 10 10.0.2.10
done_testing
