#!/bin/bash
# Open vSwitch's datapath is removed under the agent, by another program and then with the module: the
# agent says so and makes it again, and machines find each other as before.
#
#   h1 [agent]:  vm1 -- net -- vm2       h2 [agent]:  vm3 -- net
. "$(dirname "$0")/lib.sh"

[ -e /sys/module/openvswitch ] || skip "the kernel has no openvswitch (tests/run vm has)"
LAB_DATAPATH=ovs

remove() { on "$1" "$BUILD/unit/dp_ovs_test" remove "mn-$LAB-$1-ovs"; }
counter() { agent "$1" counters --json | jq ".datapath.made_again"; }
forwards() { agent "$1" status --json | jq .forwards; }
reaches() { on "$1" ping -c 1 -W 1 "$2"; }
says() { grep -q "$2" "$DIR/$1.log"; }

lab_start or
host_add h1
host_add h2
agent_start h1
agent_start h2
vm_add h1 vm1 10.0.1.10/24
vm_add h1 vm2 10.0.1.11/24
vm_add h2 vm3 10.0.1.12/24
cli <<END2 >/dev/null || fail "topology"
bridge create name net
bridge net port create name vm1
bridge net port create name vm2
bridge net port create name vm3
tunnel-zone create name lab type gre
tunnel-zone lab add member host h1 address ${HOST_IP[h1]}
tunnel-zone lab add member host h2 address ${HOST_IP[h2]}
host h1 add binding port vm1 interface vm1
host h1 add binding port vm2 interface vm2
host h2 add binding port vm3 interface vm3
END2
for v in vm1 vm2 vm3; do await 30 port_active $v; done
await 30 reaches vm1 10.0.1.11
await 30 reaches vm1 10.0.1.12

check "removed by another program" remove h1
await 30 says h1 'removed under us and is made again'
await 30 reaches vm1 10.0.1.11
await 30 reaches vm1 10.0.1.12
check "and counted" [ "$(counter h1)" = 1 ]

[ -n "${MN_VM:-}" ] || done_testing # the module is this machine's only there
kill -STOP "${AGENT_PID[h1]}" "${AGENT_PID[h2]}" # they would be faster
remove h1
remove h2
check "the module is unloaded" rmmod vport_vxlan vport_gre openvswitch
kill -CONT "${AGENT_PID[h1]}" "${AGENT_PID[h2]}"
await 30 says h1 'is gone, nothing is forwarded until it can be made again'
await 30 says h2 'is gone, nothing is forwarded until it can be made again'
check "agents answer without it" agent h1 ports
check_same "and say that nothing is forwarded" false "$(forwards h1)"
kill -STOP "${AGENT_PID[h1]}" "${AGENT_PID[h2]}"
for m in openvswitch vport-vxlan vport-gre; do check "$m is back" insmod "/modules/$m.ko"; done
kill -CONT "${AGENT_PID[h1]}" "${AGENT_PID[h2]}"
await 30 reaches vm1 10.0.1.11
await 30 reaches vm3 10.0.1.10
check_same "all is said to be well" true "$(forwards h1)"
done_testing
