# A million connections in one agent (million_bench), sourced by tests/bench/run.
#
#   MILLION=1000000       so many
MILLION=${MILLION:-1000000}

measure_million() {
    local out
    out=$("$G/million_bench" "$MILLION" "$DIR/million" 2>"$DIR/error") ||
        { failed=1 && echo "bench: million: $(tail -n 1 "$DIR/error")" >&2 && return; }
    rm -rf "$DIR/million"
    jq -r 'to_entries[] | "\(.key) mn 1 \(.value)"' <<<"$out" >>"$SAMPLES"
}
report_million() {
    [ -n "$(value million_stall_ms mn)" ] || return 0
    echo
    line "A connection of $MILLION, its records" "$(value million_state_bytes mn)" bytes
    line '... its flows, in the agent' "$(value million_flow_bytes mn)" bytes
    line 'So many, all in use, take of a core' "$(awk -v v="$(value million_live_cpu mn)" 'BEGIN { print 100 * v }')" %
    line 'Longest turn of the worker meanwhile' "$(awk -v v="$(value million_stall_ms mn)" 'BEGIN { print 1000 * v }')" us
}
million_keys() {
    local k
    for k in million_state_bytes million_flow_bytes million_live_cpu million_stall_ms million_setup_per_s; do
        echo $k "$(value $k mn)"
    done
}
