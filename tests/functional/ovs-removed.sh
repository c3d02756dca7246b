#!/bin/bash
# Open vSwitch's datapath is removed under the agent by another program, which perhaps takes an interface
# too, and then with its module: the agents say so and make it again, and machines find each other as
# before.
#
#   h1 [agent]:  vm1 -- net -- vm2       h2 [agent]:  vm3 -- net
. "$(dirname "$0")/lib.sh"

[ -e /sys/module/openvswitch ] || skip "the kernel has no openvswitch (tests/run vm has)"
LAB_DATAPATH=ovs

remove() { on "$1" "$BUILD/unit/dp_ovs_test" remove "mn-$LAB-$1-ovs"; }
counter() { agent "$1" counters --json | jq ".datapath.made_again"; }
made_again() { [ "$(counter "$1")" -ge "$2" ]; }
state_of() { agent "$1" ports --json | jq -r ".items[] | select(.interface == \"$2\").state"; }
is() { local wanted=$1; shift; [ "$("$@")" = "$wanted" ]; }
forwards() { agent "$1" status --json | jq .forwards; }
reaches() { on "$1" ping -c 1 -W 5 "$2"; }
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

kill -STOP "${AGENT_PID[h1]}" # it would be faster
remove h1
on h1 ip link add br9 type bridge
on h1 ip link set vm2 master br9
kill -CONT "${AGENT_PID[h1]}"
await 30 made_again h1 2
await 30 is 'refused by the datapath' state_of h1 vm2
await 30 is no cli port vm2 show plugged # and told to all
await 30 reaches vm1 10.0.1.12
on h1 ip link set vm2 nomaster
await 30 is active state_of h1 vm2
await 30 reaches vm1 10.0.1.11
check "and is one again" port_active vm2

[ -n "${MN_VM:-}" ] || done_testing # the module is this machine's only there

# As often as it takes: an agent stopped within a conversation with the module keeps that loaded.
unload() {
    local m
    kill -STOP "${AGENT_PID[h1]}" "${AGENT_PID[h2]}"
    remove h1
    remove h2
    for m in vport_vxlan vport_gre openvswitch; do [ ! -e /sys/module/$m ] || rmmod $m; done
    kill -CONT "${AGENT_PID[h1]}" "${AGENT_PID[h2]}"
    [ ! -e /sys/module/openvswitch ]
}
load() { insmod "/modules/$1.ko"; }
half_made() { on "$1" mn-agent dp list | grep -q "mn-$LAB-$1-ovs"; }
lost() {
    local h
    await 30 unload
    for h in h1 h2; do await 30 is false forwards $h; done
    check "agents answer without it" agent h1 ports
}
back() { # COUNT OF h1
    local h
    for h in h1 h2; do await 30 is true forwards $h; done
    await 30 reaches vm1 10.0.1.11
    await 30 reaches vm1 10.0.1.12
    check "$2" made_again h1 "$1"
}

lost
for m in openvswitch vport-vxlan vport-gre; do check "$m" load $m; done
back 3 "the module came back at once"
lost
check "the module" load openvswitch
for h in h1 h2; do await 30 half_made $h; done
check_same "half of it isn't taken for all" false "$(forwards h1)"
check "one kind of tunnel" load vport-vxlan
check_same "not the one that is used" false "$(forwards h2)"
check "the other" load vport-gre
back 4 "the module came back in parts"
done_testing
