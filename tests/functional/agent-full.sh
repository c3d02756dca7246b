#!/bin/bash
# A flow table much smaller than what goes on: every connection is served, the longest unused flows make
# room.
#
#   h1 [agent, 40 flows] ---- underlay ---- h2 [agent, 40 flows]
#   vm1 -- left -- edge == right -- vm2         two equal routes, so that each connection is a flow
. "$(dirname "$0")/lib.sh"

lab_start fu
host_add h1
host_add h2
agent_start h1 --max-flows 40
agent_start h2 --max-flows 40
routed_pair
cli router edge add route dst 10.0.2.0/24 src 0.0.0.0/0 type normal port edge-right >/dev/null || fail "route"
cli router edge add route dst 10.0.1.0/24 src 0.0.0.0/0 type normal port edge-left >/dev/null || fail "route"
await 15 on vm1 ping -c 1 -W 2 10.0.2.10

counter() { agent "$1" counters -j | jq ".$2 // 0"; }
flows() { agent "$1" status -j | jq .flows; }

spawn vm2 python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.0.2.10", 9000))
while True:
    data, who = s.recvfrom(100)
    s.sendto(data, who)'
echo=$!
listens() { on vm2 ss -Hlun sport = :9000 | grep -q 9000; }
await 10 listens
# connections FROM TO: one after the other, ports FROM to TO; then all of them once more. Prints how many
# answers were missing.
connections() {
    on vm1 python3 - "$@" <<'END'
import socket, sys
socks = []
for port in range(int(sys.argv[1]), int(sys.argv[2])):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("10.0.1.10", port))
    s.settimeout(20)
    socks.append(s)
missing = 0
for turn in range(2):
    for s in socks:
        s.sendto(b"%d" % s.getsockname()[1], ("10.0.2.10", 9000))
        try:
            missing += s.recv(100) != b"%d" % s.getsockname()[1]
        except TimeoutError:
            missing += 1
print(missing)
END
}
check_same "300 connections, twice, are answered" 0 "$(connections 20000 20300)"
for h in h1 h2; do
    check "$h holds no more than it may" test "$(flows "$h")" -le 40
    check "$h made room, time and again" test "$(counter "$h" agent.flows_evicted)" -gt 500
done
check "others pass as well" on vm1 ping -c 3 -i 0.1 -W 10 10.0.2.10
check "IPv6 too" on vm1 ping -6 -c 3 -i 0.1 -W 10 fd00:2::10

say "A restart with room for fewer takes over what fits"
agent h1 stop --keep-flows >/dev/null
wait "${AGENT_PID[h1]}"
agent_start h1 --max-flows 20
fits() { [ "$(flows h1)" -le 20 ]; }
await 15 fits
served() { [ "$(connections 21000 21050)" = 0 ]; }
await 30 served # others may take its ports for gone for a moment
check "with no more flows than may be" fits
check_fails "no table at all is refused" on h1 mn-agent --max-flows 0 status
kill "$echo"
done_testing
