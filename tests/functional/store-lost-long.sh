#!/bin/bash
# The store is away for ten minutes of the agents' clocks, which are wound on between pings: neighbours and
# learned addresses that the other host has to confirm grow old and stay, connections go on, new ones begin.
#
#   h1 [agent] ---- underlay ---- h2 [agent]
#   vm1 -- left -- edge -- right -- vm2         10.255.0.250: ZooKeeper, killed
. "$(dirname "$0")/lib.sh"

connected() { agent "$1" status --json | jq -e ".store.connected == $2"; }
wind_on() { # SECONDS: the clocks of both agents
    python3 - "$1" "$DIR/h1.sock" "$DIR/h2.sock" <<'END'
import socket, sys
for path in sys.argv[2:]:
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    s.sendall(b"clock %d000000000\n" % int(sys.argv[1]))
    s.recv(4096)
END
}
pings() { # N: of so many steps of 20 s, in how many vm1 and vm2 reach each other
    local n=0
    for _ in $(seq "$1"); do
        wind_on 20
        on vm1 ping -c 1 -W 10 10.0.2.10 >/dev/null && on vm2 ping -c 1 -W 10 10.0.1.10 >/dev/null && n=$((n + 1))
    done
    echo "$n"
}

lab_start sl
host_add h1
host_add h2
zk_start
agent_start h1 --test-clock
agent_start h2 --test-clock
routed_pair
check "ping" on vm1 ping -c 2 -i 0.1 -W 10 10.0.2.10
check_same "with the store" 3 "$(pings 3)"
zk_kill
await 30 connected h1 false
await 30 connected h2 false
check_same "ten minutes without" 30 "$(pings 30)"
zk_start
await 60 connected h1 true
await 60 connected h2 true
check_same "and with it again" 2 "$(pings 2)"
check "its ports are still active" port_active vm2
done_testing
