#!/bin/bash
# Real traffic between two hosts, through a router, over VXLAN.
#
#   h1 [agent] ---------- underlay, MTU 1500 ---------- h2 [agent]
#    |                                                   |
#   vm1 -- bridge left -- router edge -- bridge right -- vm2
#   10.0.1.10, fd00:1::10                   10.0.2.10, fd00:2::10
. "$(dirname "$0")/lib.sh"

# The same bytes arrive, by TCP from vm1 to vm2 and back, and no checksum is found wrong.
transfer() { # ADDRESS
    local a=$1 sum
    case $a in *:*) a="[$a]" ;; esac
    rm -f "$DIR/got" "$DIR/back"
    on vm2 socat -u "TCP6-LISTEN:7000,ipv6only=0,reuseaddr" "CREATE:$DIR/got" & local in=$!
    on vm2 socat -u "OPEN:$DIR/sent" "TCP6-LISTEN:7001,ipv6only=0,reuseaddr" & local out=$!
    await 5 listening vm2 7000
    await 5 listening vm2 7001
    on vm1 timeout 120 socat -u "OPEN:$DIR/sent" "TCP:$a:7000" || return
    on vm1 timeout 120 socat -u "TCP:$a:7001" "CREATE:$DIR/back" || return
    wait $in $out
    sum=$(sha256sum <"$DIR/sent")
    [ "$sum" = "$(sha256sum <"$DIR/got")" ] && [ "$sum" = "$(sha256sum <"$DIR/back")" ] && checksums_good
}
listening() { on "$1" ss -Hltn "sport = :$2" | grep -q .; }
checksums_good() {
    local v
    for v in vm1 vm2; do
        [ "$(on $v nstat -asz TcpInCsumErrors UdpInCsumErrors Udp6InCsumErrors IcmpInCsumErrors Icmp6InCsumErrors |
            awk 'NR > 1 { n += $2 } END { print n + 0 }')" = 0 ] || return
    done
}
udp_arrives() { # SIZE: one datagram, in fragments when it is larger than the MTU
    rm -f "$DIR/datagram"
    on vm2 timeout 60 socat -u -b 65536 UDP-RECVFROM:7002 "CREATE:$DIR/datagram" & local in=$!
    await 5 bash -c "nsenter --net=/run/netns/$LAB-vm2 ss -Hlun 'sport = :7002' | grep -q ."
    head -c "$1" "$DIR/sent" | on vm1 socat -u -b 65536 - UDP:10.0.2.10:7002
    wait $in
    cmp -s "$DIR/datagram" <(head -c "$1" "$DIR/sent")
}
wire() { # on|off: offloads of the underlay; off: checksums are made, and then verified, for real
    local h
    for h in h1 h2; do on $h ethtool -K wire0 tx "$1" tso "$1" gso "$1" >/dev/null 2>&1; done
}

lab_start th
host_add h1
host_add h2
agent_start h1
agent_start h2
routed_pair
head -c 30000000 /dev/urandom >"$DIR/sent"

check "ping" on vm1 ping -c 3 -i 0.1 -W 10 10.0.2.10
check "ping over IPv6" on vm1 ping -c 3 -i 0.1 -W 10 fd00:2::10
check "ping back" on vm2 ping -c 1 -W 10 10.0.1.10
check "the router answers for its addresses" on vm1 ping -c 1 -W 10 10.0.2.1
check "the router answers for its addresses, IPv6" on vm1 ping -c 1 -W 10 fd00:2::1
check "a ping of three fragments" on vm1 ping -c 1 -W 10 -s 4000 10.0.2.10
check "the path is three hops: edge, then vm2" bash -c \
    "nsenter --net=/run/netns/th-vm1 ping -c 1 -t 1 -W 10 10.0.2.10 | grep -q 'From 10.0.1.1 .*Time to live exceeded'"
check "TCP both ways, 30 MB" transfer 10.0.2.10
check "TCP both ways over IPv6" transfer fd00:2::10
check "UDP" udp_arrives 1000
check "UDP in fragments" udp_arrives 9000

wire off
check "TCP over an underlay without offloads" transfer 10.0.2.10
check "TCP over an underlay without offloads, IPv6" transfer fd00:2::10
for h in h1 h2; do on $h ethtool -K wire0 gro on >/dev/null; done
check "TCP over an underlay that only the receiver merges" transfer 10.0.2.10
wire on
for v in vm1 vm2; do on $v ethtool -K eth0 tx off tso off gso off >/dev/null; done
check "TCP of VMs without offloads" transfer 10.0.2.10
check "UDP of VMs without offloads" udp_arrives 9000

check_fails "an address nobody has" on vm1 ping -c 1 -W 1 10.0.2.99
check "the agents know why" bash -c "mn-agent --control $DIR/h1.sock drops | grep -q ."
done_testing
