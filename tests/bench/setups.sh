# What is measured: one function a setup, sourced by tests/bench/run.  Each makes two VMs called
# SETUP-a and SETUP-b and what joins them, and sets IP_A and IP_B.  "VM" = a namespace behind a veth.
#
#   one host     a == host == b        two hosts     a == host 1 ==[underlay veth]== host 2 == b

declare -A IP_A IP_B
VM_MTU=1450 # everywhere the same, the overlay's: what is compared is the path

same_subnet() { IP_A[$1]=10.1.0.1 IP_B[$1]=10.1.0.2; }
two_subnets() { IP_A[$1]=10.1.1.2 IP_B[$1]=10.1.2.2; }
routed_vms() { # SETUP HOST_A HOST_B: with the gateway .1 of their subnets
    two_subnets "$1"
    vm_add "$2" "$1-a" 10.1.1.2/24 10.1.1.1
    vm_add "$3" "$1-b" 10.1.2.2/24 10.1.2.1
}
bridged_vms() {
    same_subnet "$1"
    vm_add "$2" "$1-a" 10.1.0.1/24
    vm_add "$3" "$1-b" 10.1.0.2/24
}
# Two hosts, joined by nothing but a veth: what a host pays is seen, not a switch between them.
two_hosts() { # SETUP
    ns_new "$1-1"
    ns_new "$1-2"
    ip link add wire0 netns "$LAB-$1-1" type veth peer name wire0 netns "$LAB-$1-2"
    for n in 1 2; do
        on "$1-$n" ip link set wire0 up
        on "$1-$n" ip addr add "10.2.0.$n/24" dev wire0
        cat /proc/sys/kernel/random/uuid >"$DIR/$1-$n.id"
    done
}

setup_veth() {
    same_subnet veth
    ns_new veth-a && ns_new veth-b
    ip link add eth0 netns "$LAB-veth-a" mtu $VM_MTU type veth peer name eth0 netns "$LAB-veth-b" mtu $VM_MTU
    on veth-a ip addr add 10.1.0.1/24 dev eth0
    on veth-b ip addr add 10.1.0.2/24 dev eth0
    on veth-a ip link set eth0 up
    on veth-b ip link set eth0 up
}

setup_bridge() {
    ns_new bridge
    bridged_vms bridge bridge bridge
    on bridge ip link add br0 mtu $VM_MTU type bridge
    on bridge ip link set br0 up
    on bridge ip link set bridge-a master br0
    on bridge ip link set bridge-b master br0
}

# Linux routing with 50 rules that each packet is held against and that none of them matches.
setup_nft() {
    local i rules=
    ns_new nft
    routed_vms nft nft nft
    on nft ip addr add 10.1.1.1/24 dev nft-a
    on nft ip addr add 10.1.2.1/24 dev nft-b
    on nft sysctl -q -w net.ipv4.ip_forward=1
    for i in $(seq 50); do rules+="ip saddr 10.9.$i.0/24 udp dport $((20000 + i)) drop;"; done
    on nft nft "table ip t { chain forward { type filter hook forward priority 0; $rules }; }"
}

# Open vSwitch's user-space datapath: a private database and daemon, nothing of the system's.
setup_ovs() {
    local d=$DIR/ovs
    mkdir -p "$d"
    ns_new ovs
    bridged_vms ovs ovs ovs
    # it takes packets without their offload state: VMs must finish checksums themselves
    for v in ovs-a ovs-b; do on $v ethtool -K eth0 tx off >/dev/null; done
    (
        export OVS_RUNDIR=$d OVS_LOGDIR=$d OVS_DBDIR=$d OVS_SYSCONFDIR=$d
        ovsdb-tool create "$d/conf.db" /usr/share/openvswitch/vswitch.ovsschema
        nsenter --net="/run/netns/$LAB-ovs" -- ovsdb-server "$d/conf.db" --remote="punix:$d/db.sock" --unixctl="$d/db.ctl" \
            --log-file="$d/db.log" >/dev/null 2>&1 &
        echo $! >"$d/db.pid"
        nsenter --net="/run/netns/$LAB-ovs" -- ovs-vswitchd "unix:$d/db.sock" --unixctl="$d/vs.ctl" \
            --log-file="$d/vs.log" >/dev/null 2>&1 &
        echo $! >"$d/vs.pid"
    )
    await 10 ovs_vsctl --no-wait init
    ovs_vsctl --timeout=10 add-br br0 -- set bridge br0 datapath_type=netdev -- \
        add-port br0 ovs-a -- add-port br0 ovs-b
}
ovs_vsctl() { ovs-vsctl --db="unix:$DIR/ovs/db.sock" "$@"; }
# L4 ports made part of every flow, as a filter on ports does; and back to plain switching.
ovs_flows() { # ports|plain
    local first=
    [ "$1" = ports ] && first='multipath(symmetric_l3l4+udp,0,hrw,2,0,NXM_NX_REG0[]),'
    OVS_RUNDIR=$DIR/ovs on ovs ovs-ofctl --strict mod-flows "unix:$DIR/ovs/br0.mgmt" "priority=0,actions=${first}normal"
}
ovs_pid() { cat "$DIR/ovs/vs.pid"; }

setup_routing() {
    two_hosts routing
    routed_vms routing routing-1 routing-2
    for n in 1 2; do on routing-$n sysctl -q -w net.ipv4.ip_forward=1; done
    on routing-1 ip addr add 10.1.1.1/24 dev routing-a
    on routing-2 ip addr add 10.1.2.1/24 dev routing-b
    on routing-1 ip route add 10.1.2.0/24 via 10.2.0.2
    on routing-2 ip route add 10.1.1.0/24 via 10.2.0.1
}

setup_vxlan() {
    local n
    two_hosts vxlan
    bridged_vms vxlan vxlan-1 vxlan-2
    for n in 1 2; do
        on vxlan-$n ip link add vx0 mtu $VM_MTU type vxlan id 42 local 10.2.0.$n remote 10.2.0.$((3 - n)) dstport 4789
        on vxlan-$n ip link add br0 mtu $VM_MTU type bridge
        on vxlan-$n ip link set vx0 master br0 up
        on vxlan-$n ip link set br0 up
    done
    on vxlan-1 ip link set vxlan-a master br0
    on vxlan-2 ip link set vxlan-b master br0
}

# Ours.  One agent, on host "mn", serves all setups of one host; mnvx has an agent on each of its two.
mn_host() {
    [ -e "$DIR/mn.id" ] && return
    ns_new mn
    cat /proc/sys/kernel/random/uuid >"$DIR/mn.id"
    on mn ip addr add 10.2.0.9/32 dev lo
    agent_start mn && mn_zone mn
}
# Only a host in a tunnel zone can have ports.
mn_zone() { # HOST
    printf '%s\n' "tunnel-zone create name $1 type vxlan" "tunnel-zone $1 add member host $1 address 10.2.0.9" | mn-cli
}
# Commands for a bridge or, with ROUTERS > 0, bridge - router ... router - bridge: ports SETUP-a, SETUP-b.
# Links between routers are 10.8.N.0/24, .1 on the left.
mn_topology() { # SETUP ROUTERS
    local s=$1 n=$2 i left right=$1-left
    echo "bridge create name $s-left"
    [ "$n" = 0 ] || right=$s-right
    [ "$n" = 0 ] || echo "bridge create name $right"
    echo "bridge $s-left port create name $s-a"
    echo "bridge $right port create name $s-b"
    for i in $(seq "$n"); do
        echo "router create name $s-r$i"
        if [ "$i" = 1 ]; then left=10.1.1.1; else left=10.8.$((i - 1)).2; fi
        if [ "$i" = "$n" ]; then right=10.1.2.1; else right=10.8.$i.1; fi
        echo "router $s-r$i port create name $s-l$i addresses $left/24"
        echo "router $s-r$i port create name $s-g$i addresses $right/24"
        mn_route "$s-r$i" 10.1.1.0/24 "$s-l$i" "$([ "$i" = 1 ] || echo "10.8.$((i - 1)).1")"
        mn_route "$s-r$i" 10.1.2.0/24 "$s-g$i" "$([ "$i" = "$n" ] || echo "10.8.$i.2")"
        [ "$i" = 1 ] || echo "port $s-l$i set peer $s-g$((i - 1))"
    done
    [ "$n" = 0 ] && return
    echo "bridge $s-left port create name $s-up"
    echo "bridge $s-right port create name $s-down"
    echo "port $s-l1 set peer $s-up"
    echo "port $s-g$n set peer $s-down"
}
mn_route() { echo "router $1 add route dst $2 src 0.0.0.0/0 type normal port $3${4:+ gw $4}"; }
mn_bind() { # SETUP HOST_A HOST_B
    echo "host $2 add binding port $1-a interface $1-a"
    echo "host $3 add binding port $1-b interface $1-b"
}
mn_local() { # SETUP ROUTERS
    mn_host
    if [ "$2" = 0 ]; then bridged_vms "$1" mn mn; else routed_vms "$1" mn mn; fi
    { mn_topology "$1" "$2"; mn_bind "$1" mn mn; } | mn-cli
}
setup_mn1() { mn_local mn1 0; }
setup_mn2() { mn_local mn2 1; }
setup_mn10() { mn_local mn10 8; }
# Two equal routes make the router read every port number: each connection is a flow of its own.
setup_mnflows() {
    mn_local mnflows 1
    mn_route mnflows-r1 10.1.2.0/24 mnflows-g1 | mn-cli
}
# Our datapath alone, without agent and simulator: what the way of a first packet takes by itself.
setup_alone() {
    ns_new alone
    bridged_vms alone alone alone
    mkdir -p "$DIR/alone"
    mkfifo "$DIR/alone/end"
    exec 9<>"$DIR/alone/end"
    nsenter --net="/run/netns/$LAB-alone" -- "$G/dp_wire_bench" -x alone alone-a alone-b <"$DIR/alone/end" >"$DIR/alone/out" 2>&1 9>&- &
    echo $! >"$DIR/alone/pid"
}
setup_mnvx() {
    two_hosts mnvx
    routed_vms mnvx mnvx-1 mnvx-2
    agent_start mnvx-1
    agent_start mnvx-2
    {
        echo "tunnel-zone create name mnvx type vxlan"
        echo "tunnel-zone mnvx add member host mnvx-1 address 10.2.0.1"
        echo "tunnel-zone mnvx add member host mnvx-2 address 10.2.0.2"
        mn_topology mnvx 1
        mn_bind mnvx mnvx-1 mnvx-2
    } | mn-cli
}

# Offloads of both VMs of a setup, and of the underlay: what a NIC without them would put on a wire.
vm_offload() { # SETUP on|off
    local v
    [ "$1" = ovs ] && [ "$2" = on ] && return
    for v in a b; do on "$1-$v" ethtool -K eth0 tso "$2" gso "$2" gro off >/dev/null; done
}
wire_segments() { # SETUP on|off: the sender's NIC cuts, the receiver's merges
    local n off=on
    [ "$2" = on ] && off=off
    for n in 1 2; do
        on "$1-$n" ethtool -K wire0 tso $off gso $off tx-udp_tnl-segmentation $off \
            tx-udp_tnl-csum-segmentation $off gro "$2" >/dev/null
    done
}
