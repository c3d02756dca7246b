# What is measured of the slow path and of the agent, sourced by tests/bench/run: the first packet of a
# flow, flows set up a second, memory.

ovs_exact() { [ -e "$DIR/ovs/vs.pid" ] && ovs_flows "$1"; }
slow_paths() { # setups whose first packets go through a daemon, each UDP connection a flow of its own
    case " $LOCAL " in *" ovs "*) echo ovs ;; esac
    case " $LOCAL " in *" mn"*) echo mnflows ;; esac
}
daemon_of() {
    case $1 in ovs) cat "$DIR/ovs/vs.pid" ;; *) cat "$DIR/mn.pid" ;; esac
}
# With the daemon on one core, the traffic's other end spinning on core 0.
on_one_core() { taskset -acp 1 "$1" >/dev/null; }

measure_first() {
    local s r
    case " $LOCAL " in *" mn"*) make_setup mnflows || return ;; esac
    ovs_exact ports
    for r in $(seq "$ROUNDS"); do
        for s in $(slow_paths); do
            on_one_core "$(daemon_of "$s")"
            first "$s" "$r" asleep 3000 100
            first "$s" "$r" awake 0 500
        done
    done
    ovs_exact plain
}
first() { # SETUP ROUND NAME SILENCE_US N
    local out
    if ! out=$("$G/rtt_bench" first $(ends "$1") "$5" "$4" 2>"$DIR/error"); then
        echo "bench: first packets of ${TITLE[$1]}: $(tail -n 1 "$DIR/error")" >&2
        failed=1
        return
    fi
    set -- "$1" "$2" "$3" $out
    echo "first_$3 $1 $2 $4
first90_$3 $1 $2 $5
later_$3 $1 $2 $7
trip_$3 $1 $2 $8" >>"$SAMPLES"
}

# Flows are left to age between the rounds: a full table is another measurement.
measure_setups() {
    local s r out
    case " $LOCAL " in *" mn"*) [ -n "${IP_A[mnflows]:-}" ] || make_setup mnflows || return ;; esac
    ovs_exact ports
    for r in $(seq "$ROUNDS"); do
        for s in $(slow_paths); do
            on_one_core "$(daemon_of "$s")"
            out=$("$G/setup_bench" ports $(ends "$s") eth0 "$(next_hop_mac "$s")" 500 200000 2>"$DIR/error") ||
                { failed=1; echo "bench: set-ups of ${TITLE[$s]}: $(tail -n 1 "$DIR/error")" >&2; continue; }
            set -- $out
            echo "setups $s $r $3" >>"$SAMPLES"
        done
    done
    ovs_exact plain
}
# The MAC a packet from a to b carries on a's wire.
next_hop_mac() {
    local hop
    hop=$(on "$1-a" ip route get "${IP_B[$1]}" | awk '{ for (i = 1; i < NF; i++) if ($i == "via") print $(i + 1) }')
    on "$1-a" ping -c 1 -W 1 "${IP_B[$1]}" >/dev/null
    on "$1-a" ip neigh show "${hop:-${IP_B[$1]}}" | awk '{ for (i = 1; i < NF; i++) if ($i == "lladdr") print $(i + 1) }'
}

measure_memory() { :; }
measure_sim() { sample sim mn 1 sh -c "$G/sim_bench | jq .sim_ns"; }
