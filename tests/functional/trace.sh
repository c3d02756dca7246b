#!/bin/bash
# mn-cli trace: what it prints, word for word, for each end that a packet can come to; JSON; exit
# status; the same from an export on a machine without the store; errors.
#
#   a, c (compute-1)          b (compute-2)
#   lone (unbound) - left - edge - right        10.0.1.0/24, fd01::/64 | 10.0.2.0/24, fd02::/64
#                           |
#                           uplink (compute-2)  192.0.2.0/30
#
# "$ WORDS" is traced; the lines up to the next one, with <uuid> for any, are what must come back,
# the last of them the exit status.
. "$(dirname "$0")/cli-lib.sh"
cli_start

mn-cli >/dev/null <<'END' || fail "the topology"
create bridge name left
create bridge name right
create router name edge
bridge left add port name a
bridge left add port name c
bridge left add port name lone
bridge left add port name left-up
bridge right add port name b
bridge right add port name right-up
router edge add port name r1 mac 02:00:00:00:01:fe addresses 10.0.1.254/24,fd01::fe/64
router edge add port name r2 mac 02:00:00:00:02:fe addresses 10.0.2.254/24,fd02::fe/64
router edge add port name uplink mac 02:00:00:00:03:fe addresses 192.0.2.2/30,fd03::2/64
port r1 set peer left-up
port r2 set peer right-up
router edge add route dst 10.0.1.0/24 src 0.0.0.0/0 type normal port r1
router edge add route dst 10.0.2.0/24 src 0.0.0.0/0 type normal port r2
router edge add route dst 192.0.2.0/30 src 0.0.0.0/0 type normal port uplink
router edge add route dst 8.0.0.0/8 src 0.0.0.0/0 type normal port uplink gw 192.0.2.1 weight 5
router edge add route dst fd01::/64 src ::/0 type normal port r1
router edge add route dst fd02::/64 src ::/0 type normal port r2
router edge add route dst 10.9.0.0/16 src 0.0.0.0/0 type blackhole
router edge add route dst fd09::/16 src ::/0 type blackhole
router edge add route dst 10.8.0.0/16 src 0.0.0.0/0 type reject
router edge add route dst fd08::/16 src ::/0 type reject
create tunnel-zone name z type vxlan
tunnel-zone z add member host compute-1 address 198.51.100.1
tunnel-zone z add member host compute-2 address 198.51.100.2
host compute-1 add binding port a interface tap-a
host compute-1 add binding port c interface tap-c
host compute-2 add binding port b interface tap-b
host compute-2 add binding port uplink interface eth1
bridge right add arp ip 10.0.2.1 mac 02:00:00:00:00:0b
bridge right add arp ip fd02::1 mac 02:00:00:00:00:0b
bridge right add mac mac 02:00:00:00:00:0b port b
bridge left add arp ip 10.0.1.1 mac 02:00:00:00:00:0a
bridge left add arp ip fd01::1 mac 02:00:00:00:00:0a
bridge left add mac mac 02:00:00:00:00:0a port a
bridge left add port name down state down
bridge left add mac mac 02:00:00:00:00:0d port down
bridge left add mac mac 02:00:00:00:00:1e port lone
END
mn-cli export "$DIR/export.json" || fail "export"

traced() { # OPTIONS...: what the words of stdin give, each with its exit status
    while read -r dollar line; do
        eval "set -- $line"
        echo "$dollar $line"
        mn-cli trace "${options[@]}" "$@" >"$DIR/traced" 2>&1
        local rc=$?
        sed -E 's/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/<uuid>/g' "$DIR/traced"
        echo "= $rc"
    done
}

golden() { # WHAT: stdin is words and what they must give
    cat >"$DIR/wanted"
    grep '^\$' "$DIR/wanted" | traced >"$DIR/got"
    diff -u "$DIR/wanted" "$DIR/got" || fail "$1"
    n_checks=$((n_checks + 1))
    echo "ok: $1"
}

options=(--file "$DIR/export.json")
golden "delivered" <<'WANTED'
$ a tcp 10.0.1.1:1 10.0.2.1:80 flags S
tcp 10.0.1.1:1 > 10.0.2.1:80 from 02:00:00:00:00:0a to 02:00:00:00:01:fe ttl 64
enters at port a
  bridge left              enters bridge left by port a
  bridge left              destination MAC is that of port r1
  router edge              enters router edge by port r1
  router edge              route 10.0.2.0/24 through port r2, weight 0
  router edge              next hop 10.0.2.1 is at 02:00:00:00:00:0b
  bridge right             enters bridge right by port right-up
  bridge right             destination MAC is behind port b
  bridge right             leaves by port b
delivered
  out of port b, interface tap-b of host compute-2, now from 02:00:00:00:02:fe to 02:00:00:00:00:0b ttl 63
= 0
$ a tcp '[fd01::1]:1' '[fd02::1]:80'
tcp [fd01::1]:1 > [fd02::1]:80 from 02:00:00:00:00:0a to 02:00:00:00:01:fe ttl 64
enters at port a
  bridge left              enters bridge left by port a
  bridge left              destination MAC is that of port r1
  router edge              enters router edge by port r1
  router edge              route fd02::/64 through port r2, weight 0
  router edge              next hop fd02::1 is at 02:00:00:00:00:0b
  bridge right             enters bridge right by port right-up
  bridge right             destination MAC is behind port b
  bridge right             leaves by port b
delivered
  out of port b, interface tap-b of host compute-2, now from 02:00:00:00:02:fe to 02:00:00:00:00:0b ttl 63
= 0
$ a udp 10.0.1.1:1 10.0.1.3:2
udp 10.0.1.1:1 > 10.0.1.3:2 from 02:00:00:00:00:0a to ff:ff:ff:ff:ff:ff ttl 64
enters at port a
  bridge left              enters bridge left by port a
  bridge left              floods
    bridge left              leaves by port c
delivered
  out of port c, interface tap-c of host compute-1
= 0
$ a eth 0x88b5 vlan 7
eth 0x88b5 from 02:00:00:00:00:01 to ff:ff:ff:ff:ff:ff vlan 7
enters at port a
  bridge left              enters bridge left by port a
  bridge left              floods
    bridge left              leaves by port c
delivered
  out of port c, interface tap-c of host compute-1
= 0
WANTED

golden "waiting for a neighbour" <<'WANTED'
$ a udp 10.0.1.1:1 10.0.2.9:2
udp 10.0.1.1:1 > 10.0.2.9:2 from 02:00:00:00:00:0a to 02:00:00:00:01:fe ttl 64
enters at port a
  bridge left              enters bridge left by port a
  bridge left              destination MAC is that of port r1
  router edge              enters router edge by port r1
  router edge              route 10.0.2.0/24 through port r2, weight 0
  router edge              asks for the MAC of 10.0.2.9
    bridge right             enters bridge right by port right-up
    bridge right             floods
      bridge right             leaves by port b
  router edge              waits for the neighbour's answer
asked by port r2: arp who-has 10.0.2.9 tell 10.0.2.254 from 02:00:00:00:02:fe to ff:ff:ff:ff:ff:ff
  out of port b, interface tap-b of host compute-2
waiting: nobody has told port r2 the MAC of 10.0.2.9 yet
= 0
$ a udp '[fd01::1]:1' '[fd02::9]:2'
udp [fd01::1]:1 > [fd02::9]:2 from 02:00:00:00:00:0a to 02:00:00:00:01:fe ttl 64
enters at port a
  bridge left              enters bridge left by port a
  bridge left              destination MAC is that of port r1
  router edge              enters router edge by port r1
  router edge              route fd02::/64 through port r2, weight 0
  router edge              asks for the MAC of fd02::9
    bridge right             enters bridge right by port right-up
    bridge right             floods
      bridge right             leaves by port b
  router edge              waits for the neighbour's answer
asked by port r2: nd who-has fd02::9 tell fd02::fe from 02:00:00:00:02:fe to 33:33:ff:00:00:09 ttl 255
  out of port b, interface tap-b of host compute-2
waiting: nobody has told port r2 the MAC of fd02::9 yet
= 0
$ a udp 10.0.1.1:1 8.8.8.8:53
udp 10.0.1.1:1 > 8.8.8.8:53 from 02:00:00:00:00:0a to 02:00:00:00:01:fe ttl 64
enters at port a
  bridge left              enters bridge left by port a
  bridge left              destination MAC is that of port r1
  router edge              enters router edge by port r1
  router edge              route 8.0.0.0/8 via 192.0.2.1 through port uplink, weight 5
  router edge              asks for the MAC of 192.0.2.1
    router edge              leaves by port uplink
  router edge              waits for the neighbour's answer
asked by port uplink: arp who-has 192.0.2.1 tell 192.0.2.2 from 02:00:00:00:03:fe to ff:ff:ff:ff:ff:ff
  out of port uplink, interface eth1 of host compute-2
waiting: nobody has told port uplink the MAC of 192.0.2.1 yet
= 0
WANTED

golden "answered" <<'WANTED'
$ a icmp echo 10.0.1.1 10.0.2.254
icmp echo code 0 10.0.1.1 > 10.0.2.254 from 02:00:00:00:00:0a to 02:00:00:00:01:fe ttl 64
enters at port a
  bridge left              enters bridge left by port a
  bridge left              destination MAC is that of port r1
  router edge              enters router edge by port r1
  router edge              route 10.0.2.254/32 local
    router edge              route 10.0.1.0/24 through port r1, weight 0
    router edge              next hop 10.0.1.1 is at 02:00:00:00:00:0a
    bridge left              enters bridge left by port left-up
    bridge left              destination MAC is behind port a
    bridge left              leaves by port a
  router edge              echo request answered
sent by port r1: icmp reply code 0 10.0.2.254 > 10.0.1.1 from 02:00:00:00:01:fe to 02:00:00:00:00:0a ttl 64
  out of port a, interface tap-a of host compute-1
answered by router edge
= 0
$ a icmp echo fd01::1 fd01::fe
icmp echo code 0 fd01::1 > fd01::fe from 02:00:00:00:00:0a to 02:00:00:00:01:fe ttl 64
enters at port a
  bridge left              enters bridge left by port a
  bridge left              destination MAC is that of port r1
  router edge              enters router edge by port r1
  router edge              route fd01::fe/128 local
    router edge              route fd01::/64 through port r1, weight 0
    router edge              next hop fd01::1 is at 02:00:00:00:00:0a
    bridge left              enters bridge left by port left-up
    bridge left              destination MAC is behind port a
    bridge left              leaves by port a
  router edge              echo request answered
sent by port r1: icmp reply code 0 fd01::fe > fd01::1 from 02:00:00:00:01:fe to 02:00:00:00:00:0a ttl 64
  out of port a, interface tap-a of host compute-1
answered by router edge
= 0
$ a arp who-has 10.0.1.254 tell 10.0.1.1
arp who-has 10.0.1.254 tell 10.0.1.1 from 02:00:00:00:00:0a to ff:ff:ff:ff:ff:ff
enters at port a
  bridge left              enters bridge left by port a
  bridge left              answers: 10.0.1.254 is at 02:00:00:00:01:fe
    bridge left              leaves by port a
  bridge left              answered by the bridge
sent by port a: arp 10.0.1.254 is-at 02:00:00:00:01:fe tell 10.0.1.1 from 02:00:00:00:01:fe to 02:00:00:00:00:0a
  out of port a, interface tap-a of host compute-1
answered by bridge left
= 0
$ a nd who-has fd01::fe tell fd01::1
nd who-has fd01::fe tell fd01::1 from 02:00:00:00:00:0a to 33:33:ff:00:00:fe ttl 255
enters at port a
  bridge left              enters bridge left by port a
  bridge left              answers: fd01::fe is at 02:00:00:00:01:fe
    bridge left              leaves by port a
  bridge left              answered by the bridge
sent by port a: nd fd01::fe is-at 02:00:00:00:01:fe tell fd01::1 from 02:00:00:00:01:fe to 02:00:00:00:00:0a ttl 255
  out of port a, interface tap-a of host compute-1
answered by bridge left
= 0
WANTED

golden "dropped by a router" <<'WANTED'
$ a udp 10.0.1.1:1 172.16.0.1:2
udp 10.0.1.1:1 > 172.16.0.1:2 from 02:00:00:00:00:0a to 02:00:00:00:01:fe ttl 64
enters at port a
  bridge left              enters bridge left by port a
  bridge left              destination MAC is that of port r1
  router edge              enters router edge by port r1
  router edge              tells the sender: ICMP type 3 code 0
    bridge left              enters bridge left by port left-up
    bridge left              destination MAC is behind port a
    bridge left              leaves by port a
  router edge              dropped by router edge: no-route
sent by port r1: icmp unreachable code 0 10.0.1.254 > 10.0.1.1 from 02:00:00:00:01:fe to 02:00:00:00:00:0a ttl 64 about udp 10.0.1.1:1 > 172.16.0.1:2
  out of port a, interface tap-a of host compute-1
dropped: no-route, router edge
= 10
$ a udp '[fd01::1]:1' '[2001:db8::1]:2'
udp [fd01::1]:1 > [2001:db8::1]:2 from 02:00:00:00:00:0a to 02:00:00:00:01:fe ttl 64
enters at port a
  bridge left              enters bridge left by port a
  bridge left              destination MAC is that of port r1
  router edge              enters router edge by port r1
  router edge              tells the sender: ICMPv6 type 1 code 0
    bridge left              enters bridge left by port left-up
    bridge left              destination MAC is behind port a
    bridge left              leaves by port a
  router edge              dropped by router edge: no-route
sent by port r1: icmp unreachable code 0 fd01::fe > fd01::1 from 02:00:00:00:01:fe to 02:00:00:00:00:0a ttl 64 about udp [fd01::1]:1 > [2001:db8::1]:2
  out of port a, interface tap-a of host compute-1
dropped: no-route, router edge
= 10
$ a udp 10.0.1.1:1 10.9.0.1:2
udp 10.0.1.1:1 > 10.9.0.1:2 from 02:00:00:00:00:0a to 02:00:00:00:01:fe ttl 64
enters at port a
  bridge left              enters bridge left by port a
  bridge left              destination MAC is that of port r1
  router edge              enters router edge by port r1
  router edge              route 10.9.0.0/16 blackhole
  router edge              dropped by this route: blackhole-route
dropped: blackhole-route, route 10.9.0.0/16 blackhole of router edge (<uuid>)
= 10
$ a udp '[fd01::1]:1' '[fd09::1]:2'
udp [fd01::1]:1 > [fd09::1]:2 from 02:00:00:00:00:0a to 02:00:00:00:01:fe ttl 64
enters at port a
  bridge left              enters bridge left by port a
  bridge left              destination MAC is that of port r1
  router edge              enters router edge by port r1
  router edge              route fd09::/16 blackhole
  router edge              dropped by this route: blackhole-route
dropped: blackhole-route, route fd09::/16 blackhole of router edge (<uuid>)
= 10
$ a udp 10.0.1.1:1 10.8.0.1:2
udp 10.0.1.1:1 > 10.8.0.1:2 from 02:00:00:00:00:0a to 02:00:00:00:01:fe ttl 64
enters at port a
  bridge left              enters bridge left by port a
  bridge left              destination MAC is that of port r1
  router edge              enters router edge by port r1
  router edge              route 10.8.0.0/16 reject
  router edge              tells the sender: ICMP type 3 code 13
    bridge left              enters bridge left by port left-up
    bridge left              destination MAC is behind port a
    bridge left              leaves by port a
  router edge              dropped by this route: reject-route
sent by port r1: icmp unreachable code 13 10.0.1.254 > 10.0.1.1 from 02:00:00:00:01:fe to 02:00:00:00:00:0a ttl 64 about udp 10.0.1.1:1 > 10.8.0.1:2
  out of port a, interface tap-a of host compute-1
dropped: reject-route, route 10.8.0.0/16 reject of router edge (<uuid>)
= 10
$ a udp '[fd01::1]:1' '[fd08::1]:2'
udp [fd01::1]:1 > [fd08::1]:2 from 02:00:00:00:00:0a to 02:00:00:00:01:fe ttl 64
enters at port a
  bridge left              enters bridge left by port a
  bridge left              destination MAC is that of port r1
  router edge              enters router edge by port r1
  router edge              route fd08::/16 reject
  router edge              tells the sender: ICMPv6 type 1 code 6
    bridge left              enters bridge left by port left-up
    bridge left              destination MAC is behind port a
    bridge left              leaves by port a
  router edge              dropped by this route: reject-route
sent by port r1: icmp unreachable code 6 fd01::fe > fd01::1 from 02:00:00:00:01:fe to 02:00:00:00:00:0a ttl 64 about udp [fd01::1]:1 > [fd08::1]:2
  out of port a, interface tap-a of host compute-1
dropped: reject-route, route fd08::/16 reject of router edge (<uuid>)
= 10
$ a udp 10.0.1.1:1 10.0.2.1:2 ttl 1
udp 10.0.1.1:1 > 10.0.2.1:2 from 02:00:00:00:00:0a to 02:00:00:00:01:fe ttl 1
enters at port a
  bridge left              enters bridge left by port a
  bridge left              destination MAC is that of port r1
  router edge              enters router edge by port r1
  router edge              route 10.0.2.0/24 through port r2, weight 0
  router edge              tells the sender: ICMP type 11 code 0
    bridge left              enters bridge left by port left-up
    bridge left              destination MAC is behind port a
    bridge left              leaves by port a
  router edge              dropped by router edge: ttl-exceeded
sent by port r1: icmp time-exceeded code 0 10.0.1.254 > 10.0.1.1 from 02:00:00:00:01:fe to 02:00:00:00:00:0a ttl 64 about udp 10.0.1.1:1 > 10.0.2.1:2
  out of port a, interface tap-a of host compute-1
dropped: ttl-exceeded, router edge
= 10
$ a udp '[fd01::1]:1' '[fd02::1]:2' ttl 1
udp [fd01::1]:1 > [fd02::1]:2 from 02:00:00:00:00:0a to 02:00:00:00:01:fe ttl 1
enters at port a
  bridge left              enters bridge left by port a
  bridge left              destination MAC is that of port r1
  router edge              enters router edge by port r1
  router edge              route fd02::/64 through port r2, weight 0
  router edge              tells the sender: ICMPv6 type 3 code 0
    bridge left              enters bridge left by port left-up
    bridge left              destination MAC is behind port a
    bridge left              leaves by port a
  router edge              dropped by router edge: ttl-exceeded
sent by port r1: icmp time-exceeded code 0 fd01::fe > fd01::1 from 02:00:00:00:01:fe to 02:00:00:00:00:0a ttl 64 about udp [fd01::1]:1 > [fd02::1]:2
  out of port a, interface tap-a of host compute-1
dropped: ttl-exceeded, router edge
= 10
$ uplink udp 8.8.8.8:1 10.0.2.1:2 vlan 7
udp 8.8.8.8:1 > 10.0.2.1:2 from 02:00:00:00:00:01 to 02:00:00:00:03:fe vlan 7 ttl 64
enters at port uplink
  router edge              enters router edge by port uplink
  router edge              dropped by router edge: vlan-tagged-at-router
dropped: vlan-tagged-at-router, router edge
= 10
WANTED

golden "dropped at a port" <<'WANTED'
$ a udp 10.0.1.1:1 10.0.1.7:2 to 02:00:00:00:00:0d
udp 10.0.1.1:1 > 10.0.1.7:2 from 02:00:00:00:00:0a to 02:00:00:00:00:0d ttl 64
enters at port a
  bridge left              enters bridge left by port a
  bridge left              destination MAC is behind port down
  bridge left              dropped by port down: port-admin-down
dropped: port-admin-down, port down
= 10
$ a udp 10.0.1.1:1 10.0.1.7:2 to 02:00:00:00:00:1e
udp 10.0.1.1:1 > 10.0.1.7:2 from 02:00:00:00:00:0a to 02:00:00:00:00:1e ttl 64
enters at port a
  bridge left              enters bridge left by port a
  bridge left              destination MAC is behind port lone
  bridge left              dropped by port lone: port-unplugged
dropped: port-unplugged, port lone
= 10
$ a udp '[fd01::1]:1' '[fd01::7]:2' to 02:00:00:00:00:0d
udp [fd01::1]:1 > [fd01::7]:2 from 02:00:00:00:00:0a to 02:00:00:00:00:0d ttl 64
enters at port a
  bridge left              enters bridge left by port a
  bridge left              destination MAC is behind port down
  bridge left              dropped by port down: port-admin-down
dropped: port-admin-down, port down
= 10
$ down udp 10.0.1.7:1 10.0.1.1:2
udp 10.0.1.7:1 > 10.0.1.1:2 from 02:00:00:00:00:01 to 02:00:00:00:00:0a ttl 64
enters at port down
  bridge left              enters bridge left by port down
  bridge left              dropped by port down: port-admin-down
dropped: port-admin-down, port down
= 10
WANTED

golden "errors" <<'WANTED'
$ nowhere udp 10.0.1.1:1 10.0.2.1:2
mn-cli: port: no port is called "nowhere"
= 3
$ 00000000-0000-4000-8000-000000000000 udp 10.0.1.1:1 10.0.2.1:2
mn-cli: port <uuid>: There is no port with ID <uuid>
= 3
$ a quic
mn-cli: packet: "quic" where tcp, udp, icmp, arp, nd, dhcp, dhcp6, rs, ra, ip or eth should stand ("help trace" has the language of packets; a shell wants ">" quoted)
= 2
$ a udp 10.0.1.1:1
mn-cli: packet: ends where ADDRESS or ADDRESS:PORT should follow ("help trace" has the language of packets; a shell wants ">" quoted)
= 2
$ a udp 10.0.1.1:1 fd02::1
mn-cli: packet: mixes IPv4 and IPv6 addresses ("help trace" has the language of packets; a shell wants ">" quoted)
= 2
$ a udp 10.0.1.1:1 10.0.2.1:99999
mn-cli: packet: "10.0.2.1:99999" where ADDRESS or ADDRESS:PORT should stand ("help trace" has the language of packets; a shell wants ">" quoted)
= 2
$ a
mn-cli: trace [--file EXPORT | --live [--control SOCKET]] [--json] PORT PACKET... (for example: trace web-1 tcp 10.0.0.1:1234 10.0.1.2:80)
= 2
WANTED

options=()
golden "no agent serves the ports: the live topology says so" <<'WANTED'
$ a udp 10.0.1.1:1 8.8.8.8:53
udp 10.0.1.1:1 > 8.8.8.8:53 from 02:00:00:00:00:0a to 02:00:00:00:01:fe ttl 64
enters at port a
  bridge left              enters bridge left by port a
  bridge left              destination MAC is that of port r1
  router edge              enters router edge by port r1
  router edge              route 8.0.0.0/8 passed over: port uplink isn't served by its host
  router edge              tells the sender: ICMP type 3 code 0
    bridge left              enters bridge left by port left-up
    bridge left              destination MAC is behind port a
    bridge left              dropped by port a: port-not-active
  router edge              dropped by router edge: no-route
dropped: no-route, router edge
= 10
$ a udp 10.0.1.1:1 10.0.2.1:2
udp 10.0.1.1:1 > 10.0.2.1:2 from 02:00:00:00:00:0a to 02:00:00:00:01:fe ttl 64
enters at port a
  bridge left              enters bridge left by port a
  bridge left              destination MAC is that of port r1
  router edge              enters router edge by port r1
  router edge              route 10.0.2.0/24 through port r2, weight 0
  router edge              next hop 10.0.2.1 is at 02:00:00:00:00:0b
  bridge right             enters bridge right by port right-up
  bridge right             destination MAC is behind port b
  bridge right             dropped by port b: port-not-active
dropped: port-not-active, port b
= 10
WANTED

# JSON: the same for machines
options=(--file "$DIR/export.json" --json)
jq_is() { # WHAT FILTER WANTED
    check_same "$1" "$3" "$(jq -c "$2" "$DIR/out")"
}
gives 0 mn-cli trace "${options[@]}" a tcp 10.0.1.1:1 10.0.2.1:80
jq_is "verdict" .verdict '"delivered"'
jq_is "all keys" '[keys[]]' \
    '["generated","object","outputs","packet","port","reason","schema_version","steps","type","verdict"]'
jq_is "where it leaves" '[.outputs[] | .port.name, .host.name, .interface]' '["b","compute-2","tap-b"]'
jq_is "what changes" '.outputs[0].changes' '"from 02:00:00:00:02:fe to 02:00:00:00:00:0b ttl 63"'
jq_is "the route on the way" '[.steps[] | select(.object.type == "route") | .text]' \
    '["route 10.0.2.0/24 through port r2, weight 0"]'
gives 10 mn-cli trace "${options[@]}" a udp 10.0.1.1:1 10.9.0.1:2
jq_is "a drop has its reason and object" '[.verdict, .reason, .object.type, .outputs]' \
    '["dropped","blackhole-route","route",[]]'
check_same "the object is the route" "10.9.0.0/16" "$(mn-cli route "$(jq -r .object.id "$DIR/out")" show dst)"
gives 0 mn-cli trace "${options[@]}" a arp who-has 10.0.1.254 tell 10.0.1.1
jq_is "an answer has who and what" '[.verdict, .object.name, .generated[0].kind, .generated[0].outputs[0].port.name]' \
    '["answered","left","answer","a"]'
gives 0 mn-cli trace "${options[@]}" a udp 10.0.1.1:1 10.0.2.9:2
jq_is "a question has what is asked" '[.verdict, .generated[0].kind]' '["waiting","solicit"]'
gives 0 mn-cli --json trace --file "$DIR/export.json" a tcp 10.0.1.1:1 10.0.2.1:80
jq_is "mn-cli --json is the same" .verdict '"delivered"'
gives 3 mn-cli trace "${options[@]}" nowhere udp 10.0.1.1:1 10.0.2.1:2
check_same "errors are JSON too" '"not-found"' "$(jq -c .error.code <<<"$ERR")"

# policy is in the export
mn-cli <<'END' || fail "policy"
ip-address-group create name bad
ip-address-group bad add ip address 10.0.1.9
chain create name guard
chain guard add rule ip-address-group-src bad type drop
chain guard add rule type jump jump-to guard
port c set infilter guard
END
mn-cli export "$DIR/policy.json" || fail "export"
gives 10 mn-cli trace --file "$DIR/policy.json" --json c udp 10.0.1.9:1 10.0.2.1:2
jq_is "a rule drops" '[.verdict, .reason, .object.type]' '["dropped","rule-drop","rule"]'
gives 0 mn-cli trace --file "$DIR/policy.json" --json c udp 10.0.1.8:1 10.0.2.1:2
jq_is "another passes" .verdict '"delivered"'

# elsewhere: only the export is there, and no store is touched
mkdir "$DIR/elsewhere" && cp "$DIR/export.json" "$DIR/elsewhere"
gives 0 env -C "$DIR/elsewhere" MN_STORE=zk://127.0.0.1:1/mn mn-cli trace --file export.json a tcp 10.0.1.1:1 10.0.2.1:80
echo "$OUT" >"$DIR/there"
gives 0 mn-cli trace --file "$DIR/export.json" a tcp 10.0.1.1:1 10.0.2.1:80
check_same "the same answer" "$(cat "$DIR/there")" "$OUT"
gives 3 mn-cli trace --file "$DIR/missing.json" a tcp 10.0.1.1:1 10.0.2.1:80
head -c 300 "$DIR/export.json" >"$DIR/half.json"
gives 2 mn-cli trace --file "$DIR/half.json" a tcp 10.0.1.1:1 10.0.2.1:80
gives 2 mn-cli trace --nonsense a tcp 10.0.1.1:1 10.0.2.1:80
gives 5 mn-cli --timeout 0.5 --store zk://127.0.0.1:1/mn trace a tcp 10.0.1.1:1 10.0.2.1:80

# what the help says: names through the parent, options behind the packet, a broadcast goes to all
gives 0 mn-cli trace --file "$DIR/export.json" left:a tcp 10.0.1.1:1 10.0.2.1:80
gives 3 mn-cli trace --file "$DIR/export.json" right:a tcp 10.0.1.1:1 10.0.2.1:80
gives 0 mn-cli trace --file "$DIR/export.json" a tcp 10.0.1.1:1 10.0.2.1:80 --json
check_same "--json behind the packet" delivered \
    "$(python3 -c 'import json, sys; print(json.load(sys.stdin)["verdict"])' <<<"$OUT")"
gives 0 mn-cli trace --file "$DIR/export.json" a udp 10.0.1.1:68 255.255.255.255:67
check "a limited broadcast isn't the gateway's" grep -q 'to ff:ff:ff:ff:ff:ff' <<<"$OUT"
done_testing
