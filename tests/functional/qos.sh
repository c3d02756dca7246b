#!/bin/bash
# What a machine sends is limited by its port's QoS policy: a short burst passes, what is beyond falls
# and is told; rules edited and cleared take effect at once.  (Scenarios 92 and 93: in counts, for a
# rate would be one of this machine too.)
#
#   h1 [agent]:  vm1 -- net -- vm2
. "$(dirname "$0")/lib.sh"

limited() { agent h1 ports --json | jq '.items[] | select(.port == "vm1" or .name == "vm1") | .limited'; }
received() { # of 20 packets of 8 kb at once
    agent h1 sync
    on vm1 ping -c 20 -s 1000 -i 0.01 -W 5 10.0.1.11 | sed -n 's/.* \([0-9]*\) received.*/\1/p'
}
between() { [ "$2" -ge "$1" ] && [ "$2" -le "$3" ]; }

lab_start qs
host_add h1
agent_start h1
vm_add h1 vm1 10.0.1.10/24
vm_add h1 vm2 10.0.1.11/24
cli <<END2 >/dev/null || fail "topology"
bridge create name net
bridge net port create name vm1
bridge net port create name vm2
tunnel-zone create name lab type vxlan
tunnel-zone lab add member host h1 address ${HOST_IP[h1]}
host h1 add binding port vm1 interface vm1
host h1 add binding port vm2 interface vm2
qos-policy create name slow
END2
await 15 port_active vm1
await 15 port_active vm2
check "ping" on vm1 ping -c 1 -W 10 10.0.1.11
check_same "no limit" 20 "$(received)"

rule=$(cli qos-policy slow add bw-limit-rule max-kbps 1 max-burst-kb 80) || fail "rule"
cli port vm1 set qos-policy slow || fail "policy"
n=$(received)
check "a burst of 80 kb passes, no more ($n packets)" between 5 "$n" 10
check "the rest is counted" [ "$(limited)" -ge 10 ]
check "and told" bash -c "mn-cli why --control $DIR/h1.sock vm1 | grep -q 'beyond its limit of 1 kb/s'"

cli bw-limit-rule "$rule" set max-burst-kb 4000 || cli qos-policy slow bw-limit-rule "$rule" set max-burst-kb 4000 || fail "edit"
check_same "an edited rule takes effect" 20 "$(received)"
cli port vm1 clear qos-policy || fail "clear"
cli bridge net set qos-policy slow || fail "bridge policy"
check_same "a bridge's policy is its ports'" 20 "$(received)"
check "limit of the bridge" bash -c "mn-agent --control $DIR/h1.sock why vm2 --json | jq -e '.limit_kbps == 1'"
cli bridge net clear qos-policy || fail "clear"
check_same "no policy, no limit" 20 "$(received)"
done_testing
