# What is measured of the slow path and of the agent, sourced by tests/bench/run: the first packet of a
# flow, flows set up a second, memory.

ovs_exact() { [ -e "$DIR/ovs/vs.pid" ] && ovs_flows "$1"; }
slow_paths() { # setups whose first packets go through a daemon, each UDP connection a flow of its own
    case " $LOCAL " in *" ovs "*) echo ovs ;; esac
    case " $LOCAL " in *" mn"*) echo mnflows ;; esac
}
daemon_of() {
    case $1 in ovs) cat "$DIR/ovs/vs.pid" ;; alone) cat "$DIR/alone/pid" ;; *) cat "$DIR/mn.pid" ;; esac
}
# With the daemon on one core, the traffic's other end spinning on core 0.
on_one_core() { taskset -acp 1 "$1" >/dev/null; }

measure_first() {
    local s r
    case " $LOCAL " in *" mn"*) make_setup mnflows || return ;; esac
    make_setup alone
    ovs_exact ports
    for r in $(seq "$ROUNDS"); do
        sample wake machine "$r" "$G/rtt_bench" wake 100 3000
        for s in $(slow_paths) alone; do
            on_one_core "$(daemon_of "$s")"
            first "$s" "$r" asleep 3000 100
            first "$s" "$r" awake 0 500
        done
    done
    ovs_exact plain
    exec 9>&- # ends the datapath that is alone
}
FIRST_PORT=20000 # no flow twice
first() { # SETUP ROUND NAME SILENCE_US N
    local out
    if ! out=$("$G/rtt_bench" first $(ends "$1") "$5" "$4" "$FIRST_PORT" 2>"$DIR/error"); then
        echo "bench: first packets of ${TITLE[$1]}: $(tail -n 1 "$DIR/error")" >&2
        failed=1
        return
    fi
    FIRST_PORT=$((FIRST_PORT + $5))
    set -- "$1" "$2" "$3" $out
    echo "first_$3 $1 $2 $4
first90_$3 $1 $2 $5
later_$3 $1 $2 $7
trip_$3 $1 $2 $8" >>"$SAMPLES"
}

# An empty table for each round: what a full one costs (another flow to give up for each) is another
# measurement.
measure_setups() {
    local s r out
    case " $LOCAL " in *" mn"*) [ -n "${IP_A[mnflows]:-}" ] || make_setup mnflows || return ;; esac
    ovs_exact ports
    for r in $(seq "$ROUNDS"); do
        for s in $(slow_paths); do
            [ "$s" = ovs ] || fresh_agent "$s"
            on_one_core "$(daemon_of "$s")"
            quiet_receiver "$s"
            out=$("$G/setup_bench" ports $(ends "$s") eth0 "$(next_hop_mac "$s")" 500 200000 2>"$DIR/error") ||
                { failed=1; echo "bench: set-ups of ${TITLE[$s]}: $(tail -n 1 "$DIR/error")" >&2; continue; }
            set -- $out
            echo "setups $s $r $3" >>"$SAMPLES"
        done
    done
    ovs_exact plain
}
fresh_agent() { # SETUP
    agent_stop mn
    agent_start mn
    await 15 on "$1-a" ping -c 1 -W 1 "${IP_B[$1]}"
}
# On openvswitch.ko, beside eBPF on the same kernel, in a virtual machine.
measure_vm() {
    local key n
    "$ROOT/tests/vm/run" tests/bench/vm >"$DIR/vm.out" 2>&1 || { echo "bench: no virtual machine: $(tail -n 1 "$DIR/vm.out")" >&2; return; }
    grep '^no figures' -A 5 "$DIR/vm.out" >&2 && failed=1
    while read -r key n; do
        case $key in
        *_setup_per_s) echo "vm_setups ${key%%_*} 1 $n" ;;
        *_first_packet_us_p50) echo "vm_first ${key%%_*} 1 $n" ;;
        esac
    done <"$DIR/vm.out" >>"$SAMPLES"
}
# Nobody listens on the ports of the new flows: b must not answer each with an ICMP error.
quiet_receiver() {
    on "$1-b" nft "table ip quiet { chain in { type filter hook prerouting priority -300; udp dport >= 10000 drop; }; }"
}
# The MAC a packet from a to b carries on a's wire.
next_hop_mac() {
    local hop
    hop=$(on "$1-a" ip route get "${IP_B[$1]}" | awk '{ for (i = 1; i < NF; i++) if ($i == "via") print $(i + 1) }')
    on "$1-a" ping -c 1 -W 1 "${IP_B[$1]}" >/dev/null
    on "$1-a" ip neigh show "${hop:-${IP_B[$1]}}" | awk '{ for (i = 1; i < NF; i++) if ($i == "lladdr") print $(i + 1) }'
}

# An agent of its own, on a store of its own: resident memory, and with it what the kernel holds for it.
measure_memory() {
    local old=$STORE idle ports before after n
    STORE=file:$DIR/memory.db
    export MN_STORE=$STORE
    ns_new mem
    cat /proc/sys/kernel/random/uuid >"$DIR/mem.id"
    on mem ip addr add 10.2.0.9/32 dev lo
    agent_start mem
    idle=$(resident mem)
    echo "idle_kib mn 1 $idle" >>"$SAMPLES"
    mn_zone mem >/dev/null

    vm_add mem mnmem-a 10.1.1.2/24 10.1.1.1
    vm_add mem mnmem-b 10.1.2.2/24 10.1.2.1
    IP_A[mnmem]=10.1.1.2 IP_B[mnmem]=10.1.2.2
    { mn_topology mnmem 1; mn_route mnmem-r1 10.1.2.0/24 mnmem-g1; mn_bind mnmem mem mem; } | mn-cli >/dev/null
    await 15 on mnmem-a ping -c 1 -W 1 10.1.2.2
    quiet_receiver mnmem
    before=$(held mem) n=$(flows mem)
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        [ "$(flows mem)" -lt $((n + 100000)) ] || break
        "$G/setup_bench" ports $(ends mnmem) eth0 "$(next_hop_mac mnmem)" 5000 120000 >/dev/null
    done
    after=$(held mem) n=$(($(flows mem) - n))
    echo "flow_bytes mn 1 $(((after - before) / n))" >>"$SAMPLES"
    echo "flows_kib mn 1 $(resident mem)" >>"$SAMPLES"
    echo "flows_n mn 1 $n" >>"$SAMPLES"
    agent_stop mem

    agent_start mem
    mn_5000_ports | mn-cli >/dev/null
    await 15 on mnmem-a ping -c 1 -W 1 10.1.2.2
    # into every bridge: ARP for an address nobody has floods it, all its ports are looked at
    local pings=()
    for n in $(seq 50); do
        on mnmem-a ping -c 1 -W 1 "10.7.$n.99" >/dev/null &
        pings+=($!)
    done
    wait "${pings[@]}"
    ports=$(resident mem)
    echo "ports_kib mn 1 $ports" >>"$SAMPLES"
    agent_stop mem
    STORE=$old
    export MN_STORE=$STORE
}
resident() { awk '$1 == "VmRSS:" { print $2 }' "/proc/$(cat "$DIR/$1.pid")/status"; }
flows() { agent "$1" status --json | jq .flows; }
held() { # bytes, the agent's own and its maps' in the kernel
    echo $(($(resident "$1") * 1024 + $(agent "$1" memory --json | jq .kernel)))
}
# 50 bridges of 100 ports behind the router that is there.
mn_5000_ports() {
    local b p
    for b in $(seq 50); do
        echo "bridge create name big$b"
        for p in $(seq 100); do echo "bridge big$b port create name big$b-$p"; done
        echo "router mnmem-r1 port create name big$b-r addresses 10.7.$b.1/24"
        echo "bridge big$b port create name big$b-up"
        echo "port big$b-r set peer big$b-up"
        mn_route mnmem-r1 "10.7.$b.0/24" "big$b-r"
    done
}

# User space only: nanoseconds a simulated packet, in the cache and in another network each time.
measure_sim() {
    local out
    out=$("$G/sim_bench") || { failed=1; return; }
    echo "$out" | jq -r '"sim mn 1 \(.sim_ns)\nsim_cold mn 1 \(.sim_cold_ns)"' >>"$SAMPLES"
    out=$("$G/state_bench") || { failed=1; return; }
    echo "$out" | jq -r '"conn_bytes mn 1 \(.bytes_per_conn)"' >>"$SAMPLES"
    "$G/rules_bench" >"$DIR/rules" || { rm -f "$DIR/rules"; failed=1; }
    out=$("$G/nat_bench") || { failed=1; return; }
    echo "$out" | jq -r '"nat mn 1 \(.nat_conn_per_s)"' >>"$SAMPLES"
}
