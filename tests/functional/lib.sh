# The laboratory of the functional tests: hosts, VMs, agents, waiting, cleaning up.  Source it:
#
#   #!/bin/bash
#   # h1 [agent] ---- underlay ---- h2 [agent]        <- every test opens with its drawing
#   . "$(dirname "$0")/lib.sh"
#   lab_start th                   # namespaces are called th-*; all is swept when the test ends
#   host_add h1; host_add h2       # namespaces joined by an underlay: 10.255.0.1, 10.255.0.2
#   vm_add h1 vm1 10.0.1.10/24 10.0.1.1 fd00:1::10/64 fd00:1::1
#   agent_start h1; agent_start h2
#   cli router create name r1
#   await 10 port_active h1 vm1
#   check "vm1 reaches vm2" on vm1 ping -c 1 -W 10 10.0.2.10
#   done_testing
#
# A host is a network namespace with interface "wire0" on the underlay, and the host end of each of
# its VMs, named as the VM.  A VM is a namespace with "eth0".  Nothing is slept for: conditions are
# awaited with a deadline.  The first failed check ends the test, shows the agents' logs and cleans up.

LAB='' DIR='' STORE='' ZK_PID='' ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${BUILD:-$ROOT/build}
case $BUILD in /*) ;; *) BUILD=$ROOT/$BUILD ;; esac
PATH=$BUILD:$PATH
declare -A AGENT_PID HOST_IP VM_HOST
n_hosts=0 n_checks=0

skip() { echo "$*"; exit 77; }
say() { echo "== $*"; }
fail() { echo "not ok: $*"; exit 1; }
now_ms() { local t=${EPOCHREALTIME/[.,]/}; echo $((t / 1000)); }

# await SECONDS COMMAND...: until it succeeds; past the deadline the test fails.  It is given a minute
# at least: a machine that is slow today is no failure.  LAB_SLOW=8: it takes so many times as long.
await() {
    local limit=$(($1 * ${LAB_SLOW:-1})) end
    [ $limit -ge 60 ] || limit=60
    shift
    end=$(($(now_ms) + limit * 1000))
    until "$@" >/dev/null 2>&1; do
        [ "$(now_ms)" -lt "$end" ] || { fail "not within $limit s: $*"; return 1; }
        sleep 0.05
    done
}

# check WHAT COMMAND...: succeeds, or the test fails and shows what the command said.
check() {
    local what=$1 out
    shift
    out=$("$@" 2>&1) || fail "$what: exit $?: $*"$'\n'"$out"
    n_checks=$((n_checks + 1))
    echo "ok: $what"
}
# check_fails WHAT COMMAND...: the command does not succeed.
check_fails() {
    local what=$1 out
    shift
    out=$("$@" 2>&1) && fail "$what: should have failed: $*"$'\n'"$out"
    n_checks=$((n_checks + 1))
    echo "ok: $what"
}
# check_same WHAT WANTED GOT
check_same() {
    [ "$2" = "$3" ] || fail "$1: wanted \"$2\", got \"$3\""
    n_checks=$((n_checks + 1))
    echo "ok: $1"
}

# on NAMESPACE COMMAND...: NAMESPACE is a host or a VM.  (nsenter, not "ip netns exec": the mount
# namespace stays the same, and with it the pinned eBPF maps under /sys/fs/bpf.)
on() {
    local ns=$1
    shift
    nsenter --net="/run/netns/$LAB-$ns" -- "$@"
}

# spawn NAMESPACE COMMAND...: in the background; $! is the command itself, for kill and wait.
spawn() {
    local ns=$1
    shift
    nsenter --net="/run/netns/$LAB-$ns" -- "$@" &
}

lab_start() { # NAME, up to 4 letters
    LAB=$1
    [ "$(id -u)" = 0 ] || skip "needs root: network namespaces"
    lab_sweep
    DIR=${LAB_DIR:-$(mktemp -d "/tmp/mn-$LAB.XXXXXX")}
    mkdir -p "$DIR"
    STORE=${MN_LAB_STORE:-file:$DIR/store.db}
    export MN_STORE=$STORE
    trap lab_end EXIT
    trap 'exit 130' INT TERM HUP
    mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf || skip "cannot mount a bpf file system"
    ns_new wire || skip "cannot create network namespaces"
    on wire ip link add br0 type bridge mcast_snooping 0
    on wire ip link set br0 mtu "${WIRE_MTU:-1500}" up
}

ns_new() {
    ip netns add "$LAB-$1" || return
    on "$1" ip link set lo up
    on "$1" sysctl -q -w net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 \
        net.ipv6.conf.default.accept_ra=0 net.ipv6.conf.all.router_solicitations=0 \
        net.ipv6.conf.default.router_solicitations=0
}

host_add() { # HOST [UNDERLAY_IP/LEN]
    local h=$1
    n_hosts=$((n_hosts + 1))
    local ip=${2:-10.255.0.$n_hosts/24}
    HOST_IP[$h]=${ip%/*}
    ns_new "$h"
    ip link add wire0 netns "$LAB-$h" type veth peer name "$h" netns "$LAB-wire"
    on "$h" ip link set wire0 mtu "${WIRE_MTU:-1500}" up
    on wire ip link set "$h" mtu "${WIRE_MTU:-1500}" master br0 up
    on "$h" ip addr add "$ip" dev wire0
    on "$h" ip addr add "fd00:255::$n_hosts/64" dev wire0 nodad
    cat /proc/sys/kernel/random/uuid >"$DIR/$h.id"
}
host_id() { cat "$DIR/$1.id"; }

# vm_add HOST VM [ADDRESS/LEN [GATEWAY]]...: IPv4 and IPv6 alike; "-" for no gateway.
# MTU: the underlay's less VXLAN's 50 bytes.  VM_MAC=... chooses the MAC.
vm_add() {
    local h=$1 v=$2
    shift 2
    VM_HOST[$v]=$h
    ns_new "$v"
    ip link add eth0 netns "$LAB-$v" ${VM_MAC:+address "$VM_MAC"} type veth peer name "$v" netns "$LAB-$h"
    on "$v" ip link set eth0 mtu "${VM_MTU:-$((${WIRE_MTU:-1500} - 50))}" up
    on "$h" sysctl -q -w "net.ipv6.conf.$v.disable_ipv6=1"
    on "$h" ip link set "$v" mtu "${VM_MTU:-$((${WIRE_MTU:-1500} - 50))}" up
    while [ $# -gt 0 ]; do
        case $1 in *:*) on "$v" ip addr add "$1" dev eth0 nodad ;; *) on "$v" ip addr add "$1" dev eth0 ;; esac
        shift
        [ $# -gt 0 ] || break
        case $1 in */*) continue ;; -) ;; *) on "$v" ip route add default via "$1" dev eth0 ;; esac
        shift
    done
}
vm_mac() { on "$1" ip -o link show eth0 | sed 's/.*link\/ether \([^ ]*\).*/\1/'; }

# agent_start HOST [OPTIONS...]: returns when the agent serves, and the store knows the host.
agent_start() {
    local h=$1
    shift
    spawn "$h" mn-agent --store "$STORE" --host-id "$(host_id "$h")" \
        --host-name "$h" --datapath "${LAB_DATAPATH:-ebpf}" \
        --name "$LAB-$h" --control "$DIR/$h.sock" \
        --backup "$DIR/$h.backup" --rule-log "$DIR/$h.rules" "$@" >>"$DIR/$h.log" 2>&1
    AGENT_PID[$h]=$!
    echo $! >"$DIR/$h.pid"
    await 15 agent_ready "$h"
}
agent_ready() {
    agent "$1" status --json | jq -e .ready && [ "$(cli host "$1" show alive)" = true ]
}
# agent HOST SUBCOMMAND...: asks the host's running agent.
agent() {
    local h=$1
    shift
    mn-agent --control "$DIR/$h.sock" "$@"
}
# agent_stop HOST [SIGNAL]: waits for its end; status is the agent's.
agent_stop() {
    local pid=${AGENT_PID[$1]}
    unset "AGENT_PID[$1]"
    kill "-${2:-TERM}" "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
}

# mn-cli where the store can be reached: on the underlay when that is a ZooKeeper.
cli() {
    case $STORE in zk:*) on wire mn-cli "$@" ;; *) mn-cli "$@" ;; esac
}

# zk_start: one real ZooKeeper server on the underlay, the store of this laboratory from now on.
# zk_kill and zk_start again: it is gone, it comes back with its data.
zk_start() {
    [ -e /usr/share/java/zookeeper.jar ] || skip "no zookeeper"
    mkdir -p "$DIR/zk"
    on wire ip addr replace 10.255.0.250/24 dev br0
    cat >"$DIR/zk/zoo.cfg" <<CFG
tickTime=500
dataDir=$DIR/zk/data
clientPort=2181
clientPortAddress=10.255.0.250
admin.enableServer=false
maxClientCnxns=0
CFG
    spawn wire java "-Xmx${ZK_HEAP:-256m}" -cp /usr/share/java/zookeeper.jar \
        org.apache.zookeeper.server.quorum.QuorumPeerMain "$DIR/zk/zoo.cfg" >>"$DIR/zk.log" 2>&1
    ZK_PID=$!
    STORE=zk://10.255.0.250:2181/mn
    export MN_STORE=$STORE
    await 30 on wire bash -c 'exec 3<>/dev/tcp/10.255.0.250/2181'
}
zk_kill() {
    kill -KILL "$ZK_PID"
    wait "$ZK_PID" 2>/dev/null
    ZK_PID=
}

# The network most tests want, on two hosts whose agents run already:
#
#   vm1 -- bridge left -- router edge -- bridge right -- vm2       vm1 on h1, vm2 on h2
#   10.0.1.10, fd00:1::10                    10.0.2.10, fd00:2::10
routed_pair() {
    vm_add h1 vm1 10.0.1.10/24 10.0.1.1 fd00:1::10/64 fd00:1::1
    vm_add h2 vm2 10.0.2.10/24 10.0.2.1 fd00:2::10/64 fd00:2::1
    cli <<END >/dev/null || fail "topology"
bridge create name left
bridge create name right
router create name edge
bridge left port create name vm1
bridge left port create name left-up
bridge right port create name vm2
bridge right port create name right-up
router edge port create name edge-left addresses 10.0.1.1/24,fd00:1::1/64
router edge port create name edge-right addresses 10.0.2.1/24,fd00:2::1/64
port edge-left set peer left-up
port edge-right set peer right-up
router edge add route dst 10.0.1.0/24 src 0.0.0.0/0 type normal port edge-left
router edge add route dst 10.0.2.0/24 src 0.0.0.0/0 type normal port edge-right
router edge add route dst fd00:1::/64 src ::/0 type normal port edge-left
router edge add route dst fd00:2::/64 src ::/0 type normal port edge-right
tunnel-zone create name lab type vxlan
tunnel-zone lab add member host h1 address ${HOST_IP[h1]}
tunnel-zone lab add member host h2 address ${HOST_IP[h2]}
host h1 add binding port vm1 interface vm1
host h2 add binding port vm2 interface vm2
END
    await 15 port_active vm1
    await 15 port_active vm2
}
# A network whose router translates sources, on host h1 whose agent runs already:
#
#   vm1 -- left -- edge (192.0.2.1, for all of left) -- world, 192.0.2.2: echoes on TCP port 7000
many_connections_site() {
    vm_add h1 vm1 10.0.1.10/24 10.0.1.1
    vm_add h1 world 192.0.2.2/24
    cli <<END >/dev/null || fail "topology"
bridge create name left
router create name edge
bridge left port create name vm1
bridge left port create name up
router edge port create name down addresses 10.0.1.1/24
router edge port create name world addresses 192.0.2.1/24
port down set peer up
router edge add route dst 10.0.1.0/24 src 0.0.0.0/0 type normal port down
router edge add route dst 192.0.2.0/24 src 0.0.0.0/0 type normal port world
chain create name pre
chain create name post
chain pre add rule type rev_snat in-ports world
chain post add rule type snat out-ports world target 192.0.2.1:20000-40000
router edge set infilter pre
router edge set outfilter post
tunnel-zone create name lab type vxlan
tunnel-zone lab add member host h1 address ${HOST_IP[h1]}
host h1 add binding port vm1 interface vm1
host h1 add binding port world interface world
END
    await 15 port_active vm1
    await 15 port_active world
    spawn world python3 "$ROOT/tests/functional/many-connections.py" serve 7000 >"$DIR/server.out"
    await 10 grep -q listening "$DIR/server.out"
}
# many_connections N: vm1 opens and holds them.  tell WORDS: what it shall do (many-connections.py);
# heard: what it says.
many_connections() {
    coproc CLIENT { on vm1 python3 "$ROOT/tests/functional/many-connections.py" hold 192.0.2.2 7000 "$1"; }
}
tell() { echo "$*" >&"${CLIENT[1]}"; }
heard() {
    local line
    read -r -t 150 line <&"${CLIENT[0]}" || fail "the client is silent"
    echo "$line"
}
# A network whose state two hosts need, on hosts h1 and h2 whose agents run already; vm1 is on h1:
#
#   h1                                                       h2
#   vm1 -- left -- edge (192.0.2.1, for all of left) ------- world, 192.0.2.2: echoes on port 7000
#            +---------------------------------------------- peer, 10.0.1.20
#
# vm1 is reached by answers only, and on TCP port 7000, which is 192.0.2.1:80 to the world.
state_site() {
    local h
    vm_add h2 world 192.0.2.2/24
    vm_add h2 peer 10.0.1.20/24 10.0.1.1
    on world ip route add 10.0.1.0/24 via 192.0.2.1
    cli <<END >/dev/null || fail "topology"
bridge create name left
router create name edge
bridge left port create name vm1
bridge left port create name peer
bridge left port create name up
router edge port create name down addresses 10.0.1.1/24
router edge port create name world addresses 192.0.2.1/24
port down set peer up
router edge add route dst 10.0.1.0/24 src 0.0.0.0/0 type normal port down
router edge add route dst 192.0.2.0/24 src 0.0.0.0/0 type normal port world
chain create name pre
chain create name post
chain pre add rule pos 1 type dnat in-ports world dst 192.0.2.1 proto 6 dst-port 80 target 10.0.1.10:7000-7000
chain pre add rule pos 2 type rev_snat in-ports world
chain post add rule pos 1 type rev_dnat out-ports world
chain post add rule pos 2 type snat out-ports world target 192.0.2.1:20000-40000
router edge set infilter pre outfilter post
chain create name from-vm1
chain create name to-vm1
chain from-vm1 add rule flow fwd-flow type accept
chain to-vm1 add rule pos 1 ethertype 2054 type accept
chain to-vm1 add rule pos 2 flow return-flow type accept
chain to-vm1 add rule pos 3 proto 6 dst-port 7000 type accept
chain to-vm1 add rule pos 4 type drop
port vm1 set infilter from-vm1 outfilter to-vm1
tunnel-zone create name lab type vxlan
END
    for h in "${!HOST_IP[@]}"; do echo "tunnel-zone lab add member host $h address ${HOST_IP[$h]}"; done | cli >/dev/null
    cli <<END >/dev/null || fail "bindings"
host h1 add binding port vm1 interface vm1
host h2 add binding port peer interface peer
host h2 add binding port world interface world
END
    for h in vm1 peer world; do await 15 port_active "$h"; done
    spawn world python3 "$ROOT/tests/functional/many-connections.py" serve 7000 >"$DIR/server.out"
    disown # its end, with the namespace, is no news
    spawn world python3 "$ROOT/tests/functional/stream.py" serve 7000 >"$DIR/echo.out"
    disown
    await 10 grep -q listening "$DIR/server.out"
    await 10 grep -q listening "$DIR/echo.out"
}
# stream N: vm1 sends the world's echo 1,000 packets a second over N connections.  stream_count: "S sent,
# L lost", of those since the last count.  stream_lost: how many, until there is a count without loss.
stream() {
    mkfifo "$DIR/stream.in"
    on vm1 python3 "$ROOT/tests/functional/stream.py" send 192.0.2.2 7000 "$1" <"$DIR/stream.in" >"$DIR/stream.out" &
    disown
    exec 7>"$DIR/stream.in"
    await 20 grep -q answered "$DIR/stream.out"
}
stream_count() {
    local n
    n=$(wc -l <"$DIR/stream.out")
    echo count >&7
    await 30 stream_said "$n"
    tail -n 1 "$DIR/stream.out"
}
stream_lost() {
    local sum=0 lost=1 end=$(($(now_ms) + 30000)) _
    while [ "$lost" -gt 0 ]; do
        [ "$(now_ms)" -lt $end ] || { fail "packets go on getting lost"; return 1; }
        read -r _ _ lost _ <<<"$(stream_count)"
        sum=$((sum + lost))
    done
    echo $sum
}
stream_said() { [ "$(wc -l <"$DIR/stream.out")" -gt "$1" ]; }

# A VM that can move: its eth0 is plugged into one of several hosts, the first to begin with.
vm_roaming() { # VM ADDRESS/LEN GATEWAY HOST...
    local v=$1 ip=$2 gateway=$3 h
    shift 3
    ns_new "$v"
    on "$v" ip link add eth0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
    on "$v" ip link add spare type veth peer name spare2 # unplugged, eth0 keeps its link by this
    on "$v" ip link set spare2 up
    on "$v" ip link set spare master eth0 up
    on "$v" ip link set eth0 address 02:00:00:00:0a:01 up
    for h in "$@"; do
        ip link add "to-$h" netns "$LAB-$v" type veth peer name "$v" netns "$LAB-$h"
        on "$v" ip link set "to-$h" mtu $((${WIRE_MTU:-1500} - 50)) up
        on "$h" sysctl -q -w "net.ipv6.conf.$v.disable_ipv6=1"
        on "$h" ip link set "$v" mtu $((${WIRE_MTU:-1500} - 50)) up
    done
    on "$v" ip link set "to-$1" master eth0
    on "$v" ip addr add "$ip" dev eth0
    on "$v" ip route add default via "$gateway"
}
vm_plug() { # VM FROM TO
    printf 'link set to-%s nomaster\nlink set to-%s master eth0\n' "$2" "$3" | on "$1" ip -batch -
}
# vm_move VM PORT FROM TO: as a live migration does it: the port is bound to the other host first; when it is
# served there the VM goes.  vm_jump: without waiting.
vm_move() {
    vm_bind "$@" && await 20 port_active "$2" && vm_plug "$1" "$3" "$4"
}
vm_jump() {
    vm_bind "$@" && vm_plug "$1" "$3" "$4"
}
vm_bind() { cli host "$4" ensure binding port "$2" interface "$1" >/dev/null; }
port_active() { [ "$(cli port "$1" show plugged)" = yes ]; }

# Ends every process that lives in one of our namespaces, and the namespaces with it.
lab_sweep() {
    local ns pid
    for ns in $(ip netns list 2>/dev/null | awk -v p="$LAB-" 'index($1, p) == 1 { print $1 }'); do
        for pid in $(ip netns pids "$ns"); do kill -KILL "$pid" 2>/dev/null; done
        ip netns del "$ns"
    done
    rm -rf /sys/fs/bpf/mn/"$LAB"-*
}

lab_end() {
    local rc=$? h pid
    trap - EXIT
    trap '' INT TERM HUP
    if [ $rc != 0 ] && [ $rc != 77 ] && [ $rc != 130 ]; then
        for h in "$DIR"/*.log; do
            [ -s "$h" ] && { echo "--- $(basename "$h")"; tail -n 40 "$h"; }
        done
    fi
    if [ -n "${KEEP:-}" ] && [ $rc = 0 ]; then exit 0; fi
    for pid in "${AGENT_PID[@]}"; do kill -TERM "$pid" 2>/dev/null; done
    for h in "${!AGENT_PID[@]}"; do
        pid=${AGENT_PID[$h]}
        for _ in $(seq 200); do kill -0 "$pid" 2>/dev/null && sleep 0.05 || break; done
        kill -KILL "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
        local end=$?
        if [ $end != 0 ] && [ $rc = 0 ]; then
            echo "not ok: agent of $h ended with status $end"; tail -n 60 "$DIR/$h.log"
            rc=1
        fi
    done
    [ -z "$ZK_PID" ] || zk_kill
    lab_sweep
    rm -rf "$DIR"
    exit $rc
}

done_testing() { echo "$n_checks checks passed"; exit 0; }
