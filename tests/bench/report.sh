# From samples ("METRIC SETUP ROUND VALUE" lines) to a table and bench.json, sourced by tests/bench/run.

declare -A TITLE=(
    [veth]='bare veth pair' [bridge]='Linux bridge' [nft]='Linux routing + 50 nftables rules'
    [ovs]='OVS user space' [mn1]='mn: bridge' [mn2]='mn: bridge-router-bridge' [mn10]='mn: 10 virtual hops'
    [routing]='plain routing, no tunnel' [vxlan]='kernel vxlan + bridge' [mnvx]='mn: routed, by VXLAN'
    [mnflows]='mn: bridge-router-bridge' [alone]='... its datapath alone' [machine]='this machine')

median() { sort -g | awk '{ a[NR] = $1 } END { if (NR) print NR % 2 ? a[(NR + 1) / 2] : (a[NR / 2] + a[NR / 2 + 1]) / 2 }'; }
value() { awk -v m="$1" -v s="$2" '$1 == m && $2 == s { print $4 }' "$SAMPLES" | median; }
ratio() { # METRIC SETUP OTHER: within each round
    awk -v m="$1" -v s="$2" -v o="$3" '$1 != m { next } $2 == o { d[$3] = $4 } $2 == s { v[$3] = $4 }
        END { for (r in v) if (d[r] > 0) print v[r] / d[r] }' "$SAMPLES" | median
}
cell() { # WIDTH FORMAT VALUE: "-" for a figure there is none of
    if [ -n "$3" ]; then printf "%$1s" "$(printf "$2" "$3")"; else printf "%$1s" -; fi
}
row() { # SETUP REFERENCE [seg]
    printf '%-34s' "${TITLE[$1]}"
    cell 7 %.0f "$(value kpps "$1")"; cell 6 %.2f "$(ratio kpps "$1" "$2")"
    cell 10 %.1f "$(value tcp "$1")"; cell 6 %.2f "$(ratio tcp "$1" "$2")"
    cell 9 %.1f "$(value off "$1")"; cell 6 %.2f "$(ratio off "$1" "$2")"
    [ -z "${3:-}" ] || { cell 9 %.1f "$(value seg "$1")"; cell 6 %.2f "$(ratio seg "$1" "$2")"; }
    cell 9 %.1f "$(value rtt "$1")"
    echo
}
report() {
    local s
    echo
    printf '%-34s%13s%16s%15s%9s\n' 'One host' 'kpps    of' 'TCP Gb/s    of' 'no offl.   of' 'rtt us'
    for s in $LOCAL; do row "$s" veth; done
    echo
    printf '%-34s%13s%16s%15s%15s%9s\n' 'Two hosts' 'kpps    of' 'TCP Gb/s    of' 'no offl.   of' 'segm.   of' 'rtt us'
    for s in $OVERLAY; do row "$s" routing seg; done
    echo
    printf '%-34s%25s%25s%12s\n' 'New flows, daemon on one core' '1st us asleep, p90, later' 'awake, p90, later' 'set-ups/s'
    for s in $(slow_paths) alone; do
        printf '%-34s' "${TITLE[$s]}"
        for w in asleep awake; do
            cell 12 %.1f "$(value first_$w "$s")"; cell 7 %.0f "$(value first90_$w "$s")"; cell 6 %.1f "$(value later_$w "$s")"
        done
        cell 12 %.0f "$(value setups "$s")"
        echo
    done
    line '(a sleeping thread woken on another core, no network)' "$(value wake machine)" us
    echo
    line 'Simulating a packet, bridge-router-bridge' "$(value sim mn)" ns
    line '... each in another of 600 networks' "$(value sim_cold mn)" ns
    line 'a connection: tracked and translated, of the table' "$(value conn_bytes mn)" bytes
    report_rules
    line 'Agent, resident, idle' "$(value idle_kib mn)" KiB
    line "... with $(value flows_n mn) flows" "$(value flows_kib mn)" KiB
    line '... with 5,000 ports in use' "$(value ports_kib mn)" KiB
    line 'A flow, in the agent and in the kernel' "$(value flow_bytes mn)" bytes
    line 'In a virtual machine: set-ups/s on ebpf' "$(value vm_setups ebpf)" /s
    line '... on ovs' "$(value vm_setups ovs)" /s
    line '... first packet on ebpf' "$(value vm_first ebpf)" us
    line '... on ovs' "$(value vm_first ovs)" us
    report_cluster
    report_state
    report_million
}
report_rules() {
    [ -s "$DIR/rules" ] || return 0
    line '... with 20 rules in each of four chains' "$(jq .sim_ns_20_rules "$DIR/rules")" ns
    line '... with 50,000, and a group of 100,000 addresses' "$(jq .sim_ns_50k_rules "$DIR/rules")" ns
    printf '%-34s%8s%8s%8s%8s%8s%8s\n' '... ns with so many rules of a kind' 0 1 10 100 1000 10000
    jq -r '.first_packet_by_feature | to_entries[] | ["  " + .key] + (.value | [.[]]) | @tsv' "$DIR/rules" |
        while IFS=$'\t' read -r kind ns; do printf '%-34s%8s%8s%8s%8s%8s%8s\n' "$kind" $ns; done
}
rules_json() { [ -s "$DIR/rules" ] && cat "$DIR/rules" || echo '{}'; }
line() { [ -z "$2" ] || printf '%-58s%10.0f %s\n' "$@"; }

# KEY VALUE lines to JSON, over what the file holds already.
report_json() { # FILE
    local old={}
    [ -s "$1" ] && old=$(cat "$1")
    {
        echo local_pps_vs_veth "$(ratio kpps mn2 veth)"
        echo local_pps_10_hops_vs_veth "$(ratio kpps mn10 veth)"
        echo local_pps_vs_bridge "$(ratio kpps mn2 bridge)"
        echo local_pps_vs_ovs "$(ratio kpps mn2 ovs)"
        echo local_tcp_vs_veth "$(ratio tcp mn2 veth)"
        echo overlay_pps_vs_routing "$(ratio kpps mnvx routing)"
        echo overlay_tcp_vs_routing "$(ratio tcp mnvx routing)"
        echo overlay_tcp_segmented_vs_kernel_vxlan "$(ratio seg mnvx vxlan)"
        echo first_packet_us_p50 "$(value first_asleep mnflows)"
        echo first_packet_busy_us_p50 "$(value first_awake mnflows)"
        echo first_packet_vs_datapath_alone "$(ratio first_asleep mnflows alone)"
        echo first_packet_busy_vs_datapath_alone "$(ratio first_awake mnflows alone)"
        echo setup_per_s "$(value setups mnflows)"
        echo ovs_setup_vs_ebpf "$(ratio vm_setups ovs ebpf)"
        echo ovs_first_packet_us_p50 "$(value vm_first ovs)"
        echo sim_ns "$(value sim mn)"
        echo nat_conn_per_s "$(value nat mn)"
        echo agent_idle_kib "$(value idle_kib mn)"
        echo agent_5000_ports_kib "$(value ports_kib mn)"
        echo bytes_per_flow "$(value flow_bytes mn)"
        echo bytes_per_conn "$(value conn_bytes mn)"
        echo restart_lost "$(value restart_lost mn)"
        echo migration_lost "$(value migration_lost mn)"
        echo outage_lost "$(value outage_lost mn)"
        echo duplicate_translations "$(value duplicate_translations mn)"
        million_keys
    } | awk 'NF == 2' | jq -Rn --argjson old "$old" --argjson cluster "$(cluster_json)" \
        --argjson rules "$(rules_json)" \
        '$old + ([inputs | split(" ") | {(.[0]): (.[1] | tonumber)}] | add // {}) + $cluster + $rules' >"$1.new" && mv "$1.new" "$1"
}
