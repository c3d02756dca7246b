#!/bin/bash
# An agent's life: started, restarted with and without its flows, killed, ended without a trace.
#
#      h1 [mn-agent]
#       |        |
#      a1       b1        10.0.1.10, .20 on bridge "left", 10.0.2.10 on "right", router between
#       `-- c1
. "$(dirname "$0")/lib.sh"
lab_start al

host_add h1
vm_add h1 a1 10.0.1.10/24 10.0.1.1
vm_add h1 c1 10.0.1.20/24 10.0.1.1
vm_add h1 b1 10.0.2.10/24 10.0.2.1

# What of ours is in the kernel: devices, filters, programs, maps.
traces() {
    on h1 ip -o link show | awk -F': ' '{ print $2 }' | grep -v -E '^(lo|wire0|a1|b1|c1)' || true
    for i in a1 b1 c1 wire0; do
        on h1 tc filter show dev $i ingress
        on h1 tc filter show dev $i egress
    done
    bpf_of_mn
}
bpf_of_mn() { ls /sys/fs/bpf/mn 2>/dev/null | grep "^$LAB-" || true; }
mtu_of() { on h1 ip -o link show "$1" | grep -o 'mtu [0-9]*' | cut -d' ' -f2; }
has_flows() { [ "$(agent h1 status -j | jq .flows)" -ge "$1" ]; }
kept_flows() { [ "$(agent h1 counters -j | jq .agent.flows_kept)" -ge "$1" ]; }
pinged_by() { [ "$(agent h1 flows -j | jq '[.items[] | select(.packets > 500)] | length')" = "$1" ]; }
active_ports() { [ "$(agent h1 status -j | jq .active)" = "$1" ]; }
port_state() { agent h1 ports -j | jq -r ".items[] | select(.interface == \"$1\") | .state"; }
state_is() { [ "$(port_state "$1")" = "$2" ]; }

say "A virtual network on one host"
agent_start h1
cli bridge create name left >/dev/null
cli bridge create name right >/dev/null
cli router create name r >/dev/null
for p in a1 c1 left-up; do cli bridge left port create name $p >/dev/null; done
for p in b1 right-up; do cli bridge right port create name $p >/dev/null; done
cli router r port create name r-left addresses 10.0.1.1/24 >/dev/null
cli router r port create name r-right addresses 10.0.2.1/24 >/dev/null
cli port r-left set peer left-up
cli port r-right set peer right-up
cli router r add route dst 10.0.1.0/24 src 0.0.0.0/0 type normal port r-left >/dev/null
cli router r add route dst 10.0.2.0/24 src 0.0.0.0/0 type normal port r-right >/dev/null
cli tunnel-zone create name z type vxlan >/dev/null
cli tunnel-zone z add member host h1 address "${HOST_IP[h1]}" >/dev/null
for v in a1 b1 c1; do cli host h1 add binding port $v interface $v >/dev/null; done
await 10 active_ports 3
check "bridged" on a1 ping -c 2 -i 0.1 -W 10 10.0.1.20
check "routed" on a1 ping -c 2 -i 0.1 -W 10 10.0.2.10
check_same "the host tells its interfaces" a1 \
    "$(cli -e "host h1 list interface" | grep -o 'iface a1' | cut -d' ' -f2)"
check_same "the port says that it is active" yes "$(cli port a1 show plugged)"
check_same "the datapath has the name of its agent" "$LAB-h1" "$(agent h1 dp list -j | jq -r '.items[0].name')"
check_same "an interface bound to a bridge takes any packet" 65000 \
    "$(mtu_of a1)"

say "Legs of a binding"
on h1 ip link set c1 down
await 5 state_is c1 "interface down"
check_same "inactive in the store" no "$(cli port c1 show plugged)"
check_fails "nothing reaches it" on a1 ping -c 1 -W 1 10.0.1.20
on h1 ip link set c1 up
await 5 state_is c1 active
check "it is back" on a1 ping -c 1 -W 10 10.0.1.20
on c1 ip link set eth0 down
await 5 state_is c1 "no link"
on c1 ip link set eth0 up
await 5 state_is c1 active
on h1 ip link del c1
await 5 state_is c1 "no interface"
check "the others go on" on a1 ping -c 1 -W 10 10.0.2.10
ip link add eth0 netns "$LAB-c1" type veth peer name c1 netns "$LAB-h1"
on c1 ip link set eth0 up
on c1 ip addr add 10.0.1.20/24 dev eth0
on h1 ip link set c1 up
await 5 state_is c1 active
on a1 ip neigh flush dev eth0 # the machine behind it has another address
check "a new interface of the old name" on a1 ping -c 1 -W 10 10.0.1.20

say "Restart, flows kept"
on a1 ping -c 2 -i 0.1 10.0.2.10 >/dev/null
on a1 ping -i 0.005 -c 800 -W 10 10.0.2.10 >"$DIR/ping.out" 2>&1 &
ping_pid=$!
await 5 has_flows 2
check "told to end and keep them" agent h1 stop --keep-flows
wait "${AGENT_PID[h1]}"
unset "AGENT_PID[h1]"
agent_start h1
await 10 active_ports 3
wait $ping_pid
check_same "no packet was lost" "0%" "$(grep -o '[0-9]*% packet loss' "$DIR/ping.out" | cut -d' ' -f1)"
await 5 kept_flows 2
await 5 pinged_by 2
check "the pings kept their flows" pinged_by 2

say "Killed"
on a1 ping -i 0.005 -c 800 -W 10 10.0.2.10 >"$DIR/ping.out" 2>&1 &
ping_pid=$!
agent_stop h1 KILL
agent_start h1
await 10 active_ports 3
wait $ping_pid
check_same "no packet was lost" "0%" "$(grep -o '[0-9]*% packet loss' "$DIR/ping.out" | cut -d' ' -f1)"

say "Changed while it was away"
agent h1 stop --keep-flows
wait "${AGENT_PID[h1]}"
unset "AGENT_PID[h1]"
cli port b1 set state down
check "goes on as before meanwhile" on a1 ping -c 1 -W 10 10.0.2.10
agent_start h1
await 10 active_ports 3
check "settled" agent h1 sync
check_fails "then obeys" on a1 ping -c 1 -W 1 10.0.2.10
cli port b1 set state up
check "settled" agent h1 sync
check "and obeys again" on a1 ping -c 1 -W 10 10.0.2.10

say "A second agent of the same name"
rc=0
timeout 60 nsenter --net="/run/netns/$LAB-h1" mn-agent --store "$STORE" --host-id "$(host_id h1)" \
    --datapath ebpf --name "$LAB-h1" --control "$DIR/h1.sock" >"$DIR/second.out" 2>&1 || rc=$?
check_same "is refused" 4 $rc
check "and did no harm" on a1 ping -c 1 -W 10 10.0.2.10

say "Ended"
agent_stop h1
check_same "with status" 0 $?
check_same "no trace of it is left" "" "$(traces)"
check_same "its interfaces are what they were" 1450 "$(mtu_of a1)"
check_fails "nothing forwards" on a1 ping -c 1 -W 1 10.0.2.10
check_same "the host is not alive" false "$(cli host h1 show alive)"

say "Readiness"
python3 - "$DIR/notify" >"$DIR/notified" <<'PY' &
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
s.settimeout(120)
print(s.recv(1000).decode(), flush=True)
PY
await 5 test -S "$DIR/notify"
NOTIFY_SOCKET=$DIR/notify agent_start h1
await 15 grep -q READY=1 "$DIR/notified"
check_same "privileges are given up" "CapEff:	0000008000201000" "$(grep CapEff /proc/"${AGENT_PID[h1]}"/status)"
done_testing
