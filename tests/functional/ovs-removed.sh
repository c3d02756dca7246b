#!/bin/bash
# Open vSwitch's datapath is removed under the agent by another program: the agent says so and makes it
# again, and machines find each other as before.  (The module unloaded: dp_ovs_test.)
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
check_same "all is said to be well" true "$(forwards h1)"
done_testing
