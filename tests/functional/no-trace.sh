#!/bin/bash
# An agent that is asked to end leaves nothing behind: no interface, no program, no map, no pin.
#
#   h1 [agent] ---- underlay ---- h2 [agent]
#   vm1 -- left -- edge -- right -- vm2
. "$(dirname "$0")/lib.sh"

# What of ours is in the kernel: interfaces and what hangs on them, and pinned objects.
kernel_state() {
    local h
    for h in h1 h2; do
        on $h ip -o link show | sed 's/^[0-9]*: //; s/ .*//'
        on $h tc qdisc show
        for i in wire0 vm1 vm2; do
            on $h tc filter show dev $i ingress 2>/dev/null
            on $h tc filter show dev $i egress 2>/dev/null
        done
        on $h sysctl -a -r '^net\.(ipv[46]|core)' 2>/dev/null | grep -v -E 'random|uuid|stable_secret|_time|fib_multipath_hash_seed'
    done
    ls -R /sys/fs/bpf
}
bpf_objects() { bpftool -j prog list | jq length; bpftool -j map list | jq length; }

lab_start nt
command -v bpftool >/dev/null || skip "no bpftool"
host_add h1
host_add h2
# Everything an agent could add to is there before the first look.
ip link add vm1 netns nt-h1 type veth peer name x netns nt-wire
ip link add vm2 netns nt-h2 type veth peer name y netns nt-wire
on h1 ip link del vm1
on h2 ip link del vm2
vm_probe() { kernel_state >"$DIR/state.$1"; }
vm_probe 0

agent_start h1
agent_start h2
routed_pair
check "ping" on vm1 ping -c 2 -i 0.1 -W 10 10.0.2.10
check_fails "the agents are in the kernel" bash -c "tc -n nt-h1 filter show dev vm1 ingress | grep -q . && exit 1"
agent_stop h1; check_same "h1's agent ends well" 0 $?
agent_stop h2; check_same "h2's agent ends well" 0 $?
ip -n nt-h1 link del vm1
ip -n nt-h2 link del vm2
vm_probe 1
check "nothing is left" diff "$DIR/state.0" "$DIR/state.1"
done_testing
