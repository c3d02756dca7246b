#!/bin/bash
# Rule logs: what a chain's logger records of connections, in the file of its logging resource; what a
# log rule does, in rules.log; nothing while the resource is disabled.  (Reference scenario 212.)
#
#   h1 [agent]:  vm1 -- net [filter "guard", logged] -- vm2
. "$(dirname "$0")/lib.sh"

records() { cat "$DIR/h1.rules/$1.log" 2>/dev/null; }
recorded() { # FILE N RESULT DPORT: so many records
    local n
    n=$(records "$1" | jq -c "select(.result == \"$3\" and .dst_port == $4)" | wc -l)
    [ "$n" -eq "$2" ]
}
udp() { on vm1 bash -c "echo x >/dev/udp/10.0.1.11/$1"; }

lab_start rl
host_add h1
agent_start h1
vm_add h1 vm1 10.0.1.10/24
vm_add h1 vm2 10.0.1.11/24
cli <<END2 >/dev/null || fail "topology"
tunnel-zone create name lab type vxlan
tunnel-zone lab add member host h1 address ${HOST_IP[h1]}
bridge create name net
bridge net port create name vm1
bridge net port create name vm2
host h1 add binding port vm1 interface vm1
host h1 add binding port vm2 interface vm2
chain create name guard
chain guard add rule type accept ethertype 0x806
chain guard add rule type drop proto 17 dst-port 23
chain guard add rule type log proto 17 dst-port 53
bridge net set infilter guard
END2
res=$(cli logging-resource create enabled true) || fail "resource"
res=${res##* }
cli chain guard add logger resource "$res" event ALL >/dev/null || fail "logger"
await 15 port_active vm1
await 15 port_active vm2
agent h1 sync

for _ in 1 2 3; do udp 23; done
await 10 recorded "$res" 1 DROP 23
check "one record for a connection that falls, however often it is tried" recorded "$res" 1 DROP 23
udp 80
await 10 recorded "$res" 1 ACCEPT 80
check "one for a connection that passes" recorded "$res" 1 ACCEPT 80
check_same "with its addresses" "10.0.1.10 10.0.1.11 17" \
    "$(records "$res" | jq -r 'select(.dst_port == 80) | "\(.src) \(.dst) \(.protocol)"')"
check_same "and the chain's name" guard "$(records "$res" | jq -r 'select(.dst_port == 80) | .chain_name')"
udp 53
await 10 recorded rules 1 LOG 53
check "a log rule records, and goes on" recorded "$res" 1 ACCEPT 53

cli logging-resource "$res" set enabled false || fail "disable"
agent h1 sync
udp 81
udp 53
agent h1 sync
check "a disabled resource records nothing" recorded "$res" 0 ACCEPT 81
check "all are counted" [ "$(agent h1 counters --json | jq .rule_log.written)" -ge 4 ] # ARP, ICMP too
done_testing
