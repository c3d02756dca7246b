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
moved() { # HOW FROM TO [which time there]
    local how=$1
    shift
    check "vm1 moves from $1 to $2 ($how)" "$how" vm1 vm1 "$1" "$2"
    await 20 served "$2" active
    await 20 given_up "$1"
    local lost
    lost=$(stream_lost) || exit 1
    echo "while it moved, of 1,000 packets a second $lost were lost"
    tell check
    check_same "its connections go on" "100 answered" "$(heard)"
    check "$2 knows them" [ "$(translated "$2")" -ge 120 ]
    check_same "it asked for them" "${3:-1}" "$(exchange "$2" fetched)"
    check_same "... and was answered" 0 "$(exchange "$2" fetch_timeouts)"
    check "the filter is the same" on vm1 ping -c 5 -i 0.3 -W 10 192.0.2.2
    check_fails "... to the world, too" on world ping -c 1 -W 1 10.0.1.10
}
served() { agent "$1" ports --json | jq -e --arg s "$2" '.items[] | select(.interface == "vm1" and .state == $s)'; }
given_up() { agent "$1" ports --json | jq -e '[.items[] | select(.interface == "vm1")] == []'; }
both_serve() { served h1 moving && served h3 active && port_active vm1; }

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

say "bound to h3, vm1 stays a while: both hosts serve it, and its packets go on being answered"
check "bound to h3" vm_bind vm1 vm1 h1 h3
await 20 both_serve
lost=$(stream_lost) || exit 1
echo "while it was bound there $lost packets were lost"
check "both still serve it" both_serve
check "the world is reached" on vm1 ping -c 5 -i 0.3 -W 10 192.0.2.2

moved vm_move h1 h3
moved vm_jump h3 h1

say "its former host has been restarted: what that one knew of connections and neighbours is there all the same"
check "h1 ends, its flows stay" agent h1 stop --keep-flows
wait "${AGENT_PID[h1]}"
agent_start h1
await 20 served h1 active
lost=$(stream_lost) || exit 1
echo "while h1 was restarted $lost packets were lost"
tell check
check_same "the connections go on" "100 answered" "$(heard)"
moved vm_move h1 h3 2
done_testing
