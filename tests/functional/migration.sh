#!/bin/bash
# A VM moves to another host under traffic: its connections, tracked and translated, move with its port.
#
#   h1 [agent]   h3 [agent] ------------------- h2 [agent]
#     \           /                               |
#      vm1 (moves) -- left -- edge (192.0.2.1) -- world, 192.0.2.2: echoes
#                                 vm1 takes answers only
. "$(dirname "$0")/lib.sh"

translated() { agent "$1" connections --json | jq '[.items[] | select(.kind == "snat")] | length'; }
exchange() { agent "$1" counters --json | jq ".exchange.$2"; }
move() { # FROM TO
    cli host "$2" ensure binding port vm1 interface vm1 >/dev/null && vm_plug vm1 "$1" "$2"
}
moved() { # FROM TO
    check "vm1 moves from $1 to $2" move "$1" "$2"
    await 20 served "$2"
    local lost
    lost=$(stream_lost) || exit 1
    echo "while it moved, of 1,000 packets a second $lost were lost"
    tell check
    check_same "its connections go on" "100 answered" "$(heard)"
    check "$2 knows them" [ "$(translated "$2")" -ge 120 ]
    check_same "it asked for them" 1 "$(exchange "$2" fetched)"
    check_same "... and was answered" 0 "$(exchange "$2" fetch_timeouts)"
    check "the filter is the same" on vm1 ping -c 1 -W 2 192.0.2.2
    check_fails "... to the world, too" on world ping -c 1 -W 1 10.0.1.10
}
served() { agent "$1" ports --json | jq -e '.items[] | select(.interface == "vm1" and .state == "active")'; }

lab_start mg
host_add h1
host_add h2
host_add h3
for h in h1 h2 h3; do agent_start "$h"; done
vm_roaming vm1 10.0.1.10/24 10.0.1.1 h1 h3
state_site
many_connections 100
check_same "TCP connections" "100 opened" "$(heard)"
stream 20
check_same "before it moves no packet is lost" 0 "$(stream_lost)"
moved h1 h3
moved h3 h1
done_testing
