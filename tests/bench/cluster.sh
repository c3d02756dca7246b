# How changes reach many agents (cluster_bench), sourced by tests/bench/run.  One JSON line a run goes to
# $DIR/cluster, with the store's kind as "store".
#
#   CLUSTER='10 100 1000'       agents on the memory store; the tables are measured at 100
#   CLUSTER_ZK='10 100 1000'    ... on one real ZooKeeper; the tables up to 100 (1000 takes some four minutes)
CLUSTER=${CLUSTER-10 100 1000} CLUSTER_ZK=${CLUSTER_ZK-10 100 1000}

cluster_run() { # KIND URL N [ENTRIES...]
    local kind=$1 out
    shift
    if out=$(on wire timeout 600 "$G/cluster_bench" "$@" 2>"$DIR/error"); then
        jq -c --arg s "$kind" '. + {store: $s}' <<<"$out" >>"$DIR/cluster"
    else
        echo "bench: cluster of $2 agents, $kind: $(tail -n 1 "$DIR/error")" >&2
        failed=1
    fi
}
measure_cluster() {
    local n
    for n in $CLUSTER; do
        case $n in 100) cluster_run memory memory:c 100 100 60000 ;; *) cluster_run memory memory:c "$n" ;; esac
    done
    [ -n "$CLUSTER_ZK" ] || return 0
    ZK_HEAP=1g zk_start
    for n in $CLUSTER_ZK; do cluster_run zookeeper "${STORE%/mn}/bench$n" "$n" $([ "$n" -gt 100 ] || echo 100); done
    zk_kill
}
report_cluster() {
    [ -s "$DIR/cluster" ] || return 0
    echo
    printf '%-34s%7s%20s%12s%12s%9s%10s%9s\n' 'One change, N agents in a process' 'agents' 'applied p50, p99' \
        'changes/s' 'reads each' 'others' 'KiB each' 'start s'
    jq -r '["  on " + .store, .agents, (.object_p50_ms | tostring), (.object_p99_ms | tostring), .changes_per_s,
        .object_reads, .few_others, (.bytes_per_agent / 1024 | floor), (.start_ms / 100 | round / 10)] | @tsv' \
        "$DIR/cluster" |
        while IFS=$'\t' read -r what n p50 p99 rate reads others kib start; do
            printf '%-34s%7s%9s%8s ms%12s%12s%9s%10s%9s\n' "$what" "$n" "$p50" "$p99" "$rate" "$reads" "$others" "$kib" \
                "$start"
        done
    jq -r '. as $c | to_entries[] | select(.key | test("^table_.*_p50_ms$")) |
        [$c.store, $c.agents, (.key | ltrimstr("table_") | rtrimstr("_p50_ms")), .value,
         $c[.key | sub("p50"; "p99")]] | @tsv' "$DIR/cluster" |
        while IFS=$'\t' read -r store n size p50 p99; do
            printf '  %s: an entry learned, table of %s, %s agents: p50 %s ms, p99 %s ms (20 ms of it gathering)\n' \
                "$store" "$size" "$n" "$p50" "$p99"
        done
}
# Keys for bench.json.
cluster_json() {
    [ -s "$DIR/cluster" ] || { echo '{}'; return; }
    jq -s '{
        propagation_p99_ms: (map({(.store): {("agents_\(.agents)"): .object_p99_ms}}) + map(. as $c | to_entries[] |
            select(.key | test("^table_.*_p99_ms$")) | {($c.store): {(.key | rtrimstr("_p99_ms")): .value}}) |
            reduce .[] as $x ({}; . * $x)),
        changes_per_s: (map({(.store): {("agents_\(.agents)"): .changes_per_s}}) | reduce .[] as $x ({}; . * $x)),
        bytes_per_idle_agent: (map(.bytes_per_agent) | min)
    }' "$DIR/cluster"
}
