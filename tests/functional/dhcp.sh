#!/bin/bash
# Real clients get their addresses: busybox's udhcpc and ISC's dhclient by DHCP, dhclient by DHCPv6,
# rdisc6 and the kernel by router advertisements.
#
#   h1 [agent] ------ underlay, MTU 1500 ------ h2 [agent]
#    |     |                                     |
#   vm1   vm2 ------ bridge web ---------------- vm3
#                        |
#                   router edge: 10.0.1.1, fd00:1::1
. "$(dirname "$0")/lib.sh"
for tool in udhcpc dhclient rdisc6; do
    command -v $tool >/dev/null || skip "no $tool"
done

lab_start dh
host_add h1
host_add h2
agent_start h1
agent_start h2
VM_MAC=02:00:00:00:00:01 vm_add h1 vm1
VM_MAC=02:00:00:00:00:02 vm_add h1 vm2
VM_MAC=02:00:00:00:00:03 vm_add h2 vm3
cli <<END >/dev/null || fail "topology"
bridge create name web
router create name edge
bridge web port create name vm1
bridge web port create name vm2
bridge web port create name vm3
bridge web port create name up
router edge port create name r addresses 10.0.1.1/24,fd00:1::1/64
port r set peer up
router edge add route dst 10.0.1.0/24 src 0.0.0.0/0 type normal port r
router edge add route dst fd00:1::/64 src ::/0 type normal port r
tunnel-zone create name lab type vxlan
tunnel-zone lab add member host h1 address ${HOST_IP[h1]}
tunnel-zone lab add member host h2 address ${HOST_IP[h2]}
host h1 add binding port vm1 interface vm1
host h1 add binding port vm2 interface vm2
host h2 add binding port vm3 interface vm3
bridge web dhcp add subnet 10.0.1.0/24 gw 10.0.1.1 server 10.0.1.2 dns-servers 10.0.1.53
bridge web dhcp 10.0.1.0/24 opt121-routes add destination 10.9.0.0/16 gateway 10.0.1.9
bridge web dhcp 10.0.1.0/24 add host name vm1 mac 02:00:00:00:00:01 address 10.0.1.11
bridge web dhcp 10.0.1.0/24 add host name vm3 mac 02:00:00:00:00:03 address 10.0.1.13
END
for v in vm1 vm2 vm3; do await 15 port_active $v; done

# What a client is told is written down, and its interface set up, by a script of ours.
cat >"$DIR/bound" <<'SCRIPT'
#!/bin/bash
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
env | grep -E '^(ip|mask|mtu|router|dns|serverid|lease|staticroutes|hostname|broadcast)=' | sort >"$TOLD"
ip addr replace "$ip/$mask" dev "$interface"
ip link set "$interface" mtu "$mtu"
set -- $staticroutes
while [ $# -gt 1 ]; do ip route replace "$1" via "$2" dev "$interface" onlink; shift 2; done
SCRIPT
chmod +x "$DIR/bound"
udhcpc_in() { # VM [OPTIONS...]: gets a lease and ends
    local v=$1
    shift
    TOLD="$DIR/$v.told" on "$v" timeout 90 udhcpc -i eth0 -f -q -n -t "${TRIES:-60}" -T 1 -s "$DIR/bound" \
        -O mtu -O staticroutes -O broadcast "$@"
}
told() { sed -n "s/^$2=//p" "$DIR/$1.told"; }

check "udhcpc gets a lease" udhcpc_in vm1
check_same "its address" 10.0.1.11 "$(told vm1 ip)"
check_same "the server" 10.0.1.2 "$(told vm1 serverid)"
check_same "the lease" 86400 "$(told vm1 lease)"
check_same "the overlay's MTU" 1450 "$(told vm1 mtu)"
check "a trace tells the same" bash -o pipefail -c "mn-cli trace vm1 dhcp discover from $(vm_mac vm1) | grep 'option mtu 1450'"
check_same "the name server" 10.0.1.53 "$(told vm1 dns)"
check_same "the routes, the default one among them" "10.9.0.0/16 10.0.1.9 0.0.0.0/0 10.0.1.1" \
    "$(told vm1 staticroutes)"
check "and the gateway is reached by it" on vm1 ping -c 1 -W 10 10.0.1.1
TRIES=5 check_fails "who has no entry gets nothing" udhcpc_in vm2
check "the same on another host" udhcpc_in vm3
check_same "its address" 10.0.1.13 "$(told vm3 ip)"
check "the two reach each other" on vm1 ping -c 1 -W 10 10.0.1.13

# A renewal goes to the server's address, for which the bridge answers ARP.
renews() {
    rm -f "$DIR/vm1.told"
    TOLD="$DIR/vm1.told" spawn vm1 udhcpc -i eth0 -f -t 5 -T 1 -s "$DIR/bound" -O mtu >/dev/null 2>&1
    local pid=$!
    await 10 test -s "$DIR/vm1.told"
    rm -f "$DIR/vm1.told"
    kill -USR1 $pid
    await 10 test -s "$DIR/vm1.told"
    kill $pid
    wait $pid 2>/dev/null
    [ "$(told vm1 ip)" = 10.0.1.11 ]
}
check "udhcpc renews" renews

dhclient_in() { # VM FAMILY [OPTIONS]: its own files, in its own place
    local v=$1 family=$2
    shift 2
    on "$v" timeout 90 dhclient "$family" -1 -v -sf "$DIR/isc" -lf "$DIR/$v.leases" -pf "$DIR/$v.pid" \
        -cf "$DIR/isc.conf" "$@" eth0
}
cat >"$DIR/isc" <<SCRIPT
#!/bin/bash
case \$reason in
BOUND | REBOOT | RENEW | BOUND6 | REBIND6 | RENEW6) env | grep -E '^new_' >"$DIR/vm1.isc" ;;
esac
exit 0
SCRIPT
chmod +x "$DIR/isc"
echo "timeout 60; retry 1; initial-interval 1;" >"$DIR/isc.conf"
dhclient_ends() { kill "$(cat "$DIR/$1.pid")" 2>/dev/null; }
isc_told() { sed -n "s/^new_$2=//p" "$DIR/$1.isc"; }
check "dhclient gets a lease" dhclient_in vm1 -4
dhclient_ends vm1
check_same "its address" 10.0.1.11 "$(isc_told vm1 ip_address)"
check_same "its MTU" 1450 "$(isc_told vm1 interface_mtu)"

cli bridge web dhcpv6 add prefix fd00:1::/64 dns-servers fd00:1::53 >/dev/null
cli bridge web dhcpv6 fd00:1::/64 add host client-id 02:00:00:00:00:01 address fd00:1::11 >/dev/null
rm -f "$DIR/vm1.leases"
check "dhclient gets an IPv6 lease" dhclient_in vm1 -6 -D LL
dhclient_ends vm1
check_same "its IPv6 address" fd00:1::11 "$(isc_told vm1 ip6_address)"
check_same "its IPv6 name server" fd00:1::53 "$(isc_told vm1 dhcp6_name_servers)"

discovered() { on vm1 rdisc6 -1 -w 10000 eth0 | tee "$DIR/ra"; }
check "rdisc6 finds the router" discovered
check "addresses come from DHCPv6" grep -Eq "Stateful address conf. +: +Yes" "$DIR/ra"
check "the prefix" grep -q "Prefix .*: fd00:1::/64" "$DIR/ra"
check "the name server" grep -q "fd00:1::53" "$DIR/ra"
check "the MTU" grep -Eq "MTU +: +1450" "$DIR/ra"

# Without DHCPv6 the kernel makes an address of the prefix.
cli bridge web dhcpv6 fd00:1::/64 delete >/dev/null
kernel_configures() {
    on vm2 sysctl -q -w net.ipv6.conf.eth0.accept_ra=2 net.ipv6.conf.eth0.router_solicitations=5
    on vm2 ip link set eth0 down
    on vm2 ip link set eth0 up
    await 15 bash -c "nsenter --net=/run/netns/$LAB-vm2 ip -6 addr show dev eth0 | grep -q 'fd00:1::ff:fe00:2/64'"
    on vm2 ping -c 1 -W 10 fd00:1::1 && on vm2 ip -6 route show default | grep -q "proto ra"
}
check "the kernel configures itself" kernel_configures

# A machine with an address that isn't its own, before and after somebody minds.
on vm2 ip addr add 10.0.1.12/24 dev eth0
on vm2 ip addr add 10.0.1.66/24 dev eth0
check "any address passes" on vm2 ping -c 1 -W 10 -I 10.0.1.66 10.0.1.11
cli bridge web mac add mac 02:00:00:00:00:02 port vm2 >/dev/null
cli bridge web arp add ip 10.0.1.12 mac 02:00:00:00:00:02 >/dev/null
cli port vm2 set port-security yes
check "its own address passes" on vm2 ping -c 1 -W 10 -I 10.0.1.12 10.0.1.11
check_fails "another doesn't" on vm2 ping -c 1 -W 1 -I 10.0.1.66 10.0.1.11
check "and the agent says why" bash -c "mn-agent --control $DIR/h1.sock drops | grep -q 'neighbour-claim-not-allowed\|source-address-not-allowed'"
done_testing
