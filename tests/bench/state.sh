# What established connections lose while an agent restarts, a VM moves, the store is away (packets of 20
# translated and tracked connections, 1,000 a second in all; an answer that doesn't come counts), and
# translations given twice by 50 agents at one address.  Sourced by tests/bench/run.
OUTAGE_S=${OUTAGE_S:-5}

measure_state() {
    state_lab && state_rounds || { failed=1; echo "bench: state: $(tail -n 1 "$DIR/error")" >&2; }
    exec 7>&-
    if (cd "$ROOT" && "$BUILD/unit/state_ports_test" >"$DIR/leases" 2>&1) &&
        grep -q 'OK.*fifty_hosts_never_share_a_translation' "$DIR/leases"; then
        echo "duplicate_translations mn 1 0" >>"$SAMPLES"
    else
        failed=1
        echo "bench: agents share a translation, see tests/unit/state_ports_test.c" >&2
    fi
}
state_lab() {
    local h
    zk_start || return
    for h in h1 h2 h3; do host_add "$h" && agent_start "$h" || return; done
    vm_roaming vm1 10.0.1.10/24 10.0.1.1 h1 h3
    state_site && stream 20
}
state_rounds() {
    local r at=h1 to=h3 swap
    for r in $(seq "$ROUNDS"); do
        stream_lost >/dev/null || return
        agent $at stop --keep-flows && wait "${AGENT_PID[$at]}" && agent_start $at || return
        sample restart_lost mn "$r" stream_lost
        vm_move vm1 vm1 $at $to || return
        sample migration_lost mn "$r" stream_lost
        swap=$at at=$to to=$swap
        zk_kill
        sleep "$OUTAGE_S"
        zk_start
        await 60 state_store_back $at || return
        sample outage_lost mn "$r" stream_lost
    done
}
state_store_back() { agent "$1" status --json | jq -e .store.connected; }
report_state() {
    [ -n "$(value restart_lost mn)" ] || return 0
    echo
    line 'Packets lost of 1,000 a second: an agent restarts' "$(value restart_lost mn)" packets
    line '... a VM moves' "$(value migration_lost mn)" packets
    line "... the store is away for $OUTAGE_S s" "$(value outage_lost mn)" packets
    line 'Translations given twice, 50 agents at one address' "$(value duplicate_translations mn)" ''
}
