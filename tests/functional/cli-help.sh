#!/bin/bash
# Every example of "help COLLECTION" is a command: tried (--check) on a store whose objects bear the
# names that the examples use.
. "$(dirname "$0")/cli-lib.sh"
cli_start
echo secret >"$DIR/psk"

mn-cli >/dev/null <<'END' || fail "the topology"
create tunnel-zone name tunnel-zone type vtep
create tunnel-zone name other type vxlan
tunnel-zone other add member host compute-1 address 192.0.2.1
create bridge name bridge
bridge bridge add port name port
bridge bridge add port name firewall
create router name router
router router add port name uplink addresses 10.0.0.1/24,2001:db8::1/64
create chain name chain
create port-group name port-group
create ip-address-group name ip-address-group
create qos-policy name qos-policy
create logging-resource name logging-resource
bridge bridge add dhcp subnet 10.77.0.0/24
bridge bridge add dhcpv6 prefix 2001:db8:77::/64
router router add vpn-service name vpn-service
END
export VTEP MIRROR CG POOL LB HM
LB=$(mn-cli create load-balancer) HM=$(mn-cli create health-monitor type TCP)
POOL=$(mn-cli create pool load-balancer "$LB" lb-method ROUND_ROBIN)
MIRROR=$(mn-cli create mirror to-port port) CG=$(mn-cli create container-group)
VTEP=$(mn-cli create vtep management-ip 192.0.2.77 management-port 1 tunnel-zone tunnel-zone)

# The names of the examples, "bridge B", are capital letters: those of objects that are there.
real() {
    sed -E "s/port P create route/port uplink create route/; s/host H/host compute-1/; s/bridge B/bridge bridge/; s/router R/router router/; s/port P/port port/
        s/chain C/chain chain/; s/tunnel-zone T/tunnel-zone tunnel-zone/; s/port-group P/port-group port-group/
        s/ip-address-group I/ip-address-group ip-address-group/; s/qos-policy Q/qos-policy qos-policy/
        s/dhcp D/dhcp 10.77.0.0\/24/; s/dhcpv6 D/dhcpv6 2001:db8:77::\/64/; s/mirror M/mirror $MIRROR/
        s/container-group C/container-group $CG/; s/pool P/pool $POOL/; s/load-balancer L/load-balancer $LB/
        s/vtep V/vtep $VTEP/; s/health-monitor H/health-monitor $HM/; s/vpn-service V/vpn-service vpn-service/
        s/logging-resource L/logging-resource logging-resource/
        s/pool pool /pool $POOL /; s/load-balancer load-balancer /load-balancer $LB /
        s/container-group container-group /container-group $CG /; s/host host /host compute-1 /
        s,@FILE,@$DIR/psk,"
}
examples() { # WORD: the commands that its help shows
    mn-cli help "$1" | awk '/^Examples:/ { on = 1; next } /^below it/ { split($0, q, "\""); below = q[2]; next }
        /^[a-z]/ { on = 0; below = "" } on && /^  (create|.* list$|.* show$)/ { sub(/^ +/, ""); print below $0 }'
}
for word in $(mn-cli describe | awk '/^  [a-z]/ { print $1 }') interface binding dhcp dhcpv6 matches ip mac arp opt121-routes allowed-addresses; do
    n=0
    while read -r example; do
        n=$((n + 1))
        [[ $example =~ remote-peers ]] && continue # of a router port with a VNI
        command=$(real <<<"$example")
        [[ $command =~ \ [A-Z]\  ]] && continue # an object that isn't here
        case $command in *create*) command+=" --check" ;; esac
        rc=0
        mn-cli -e "$command" >"$DIR/out" 2>&1 || rc=$?
        case $command:$rc in *create*:10 | *list:0 | *show:0) ;; *) fail "help $word: $example: $command: exit $rc: $(cat "$DIR/out")" ;; esac
    done < <(examples "$word")
    [ $n -gt 0 ] || fail "help $word has no example"
    n_checks=$((n_checks + 1))
    echo "ok: $n examples of $word"
done
gives 3 mn-cli help frob
done_testing
