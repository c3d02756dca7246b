#!/bin/bash
# The shell, on a terminal of its own: worked sessions with what they print, word for word, in both
# word orders; then history.
#
#   [pexpect] ---- pty ---- [mn-cli] ---- file: store in a temporary folder
#
# "mn> COMMAND" is typed; the lines up to the next one are what must come back.  <mac> and <uuid>
# stand for any.
. "$(dirname "$0")/cli-lib.sh"
cli_start

cat >"$DIR/session.txt" <<'SESSION'
mn> bridge create name test-bridge
bridge0
mn> bridge bridge0 add port
bridge0:port0
mn> bridge bridge0 list port
port port0 device bridge0 state up plugged no
mn> list router
mn> router create name test-router
router0
mn> router router0 add port addresses 10.100.1.1/24
router0:port0
mn> router router0 list port
port port0 device router0 state up plugged no mac <mac> addresses 10.100.1.1/24
mn> router router0 port port0 set peer bridge0:port0
mn> list router router0 port
port port0 device router0 state up plugged no mac <mac> peer bridge0:port0 addresses 10.100.1.1/24
mn> bridge test-bridge port list
port port0 device bridge0 state up plugged no peer router0:port0
mn> show port bridge0:port0 peer
router0:port0
mn> port bridge0:port0 peer show
port router0:port0 device router0 state up plugged no mac <mac> peer bridge0:port0 addresses 10.100.1.1/24
mn> list host
host host0 name compute-1 alive false flooding-proxy-weight 1 container-weight 1 container-limit no-limit enforce-container-limit false
host host1 name compute-2 alive false flooding-proxy-weight 1 container-weight 1 container-limit no-limit enforce-container-limit false
mn> create tunnel-zone name new-tz type vxlan
tzone0
mn> tunnel-zone tzone0 add member host host0 address 10.1.2.200
zone tzone0 host host0 address 10.1.2.200
mn> tunnel-zone tzone0 list member
zone tzone0 host host0 address 10.1.2.200
mn> bridge bridge0 add port name vm
bridge0:port1
mn> host host0 add binding port bridge0:port1 interface eth1
host host0 interface eth1 port bridge0:port1
mn> host host0 list binding
host host0 interface eth1 port bridge0:port1
mn> host host0 port list
port bridge0:port1 device bridge0 name vm state up plugged no
mn> host host0 binding port bridge0:port1 delete
mn> tunnel-zone tzone0 member host host0 delete
mn> delete tunnel-zone tzone0
mn> tunnel-zone list
mn> router router0 add port addresses 172.19.0.2/30
router0:port1
mn> router router0 add route src 0.0.0.0/0 dst 0.0.0.0/0 type normal port router router0 port port1 gw 172.19.0.1
router0:route0
mn> router router0 route route0 show
route route0 type normal src 0.0.0.0/0 dst 0.0.0.0/0 gw 172.19.0.1 port router0:port1 weight 0
mn> router router0 delete route route0
mn> router router0 route type normal list
mn> router router0 set asn 64512
mn> router router0 add bgp-peer asn 64513 address 198.51.100.1
router0:peer0
mn> router router0 bgp-peer peer0 set password SECRET
mn> router router0 bgp-peer peer0 set connect-retry 10 hold-time 5 keep-alive 5
mn> router router0 list bgp-peer
peer peer0 asn 64513 address 198.51.100.1 keep-alive 5 hold-time 5 connect-retry 10 password ****
mn> router router0 add bgp-network net 192.0.2.0/24
router0:net0
mn> router router0 list bgp-network
net net0 net 192.0.2.0/24
mn> sett 7a4937fa604a425e867f085427cc351e
tenant_id: 7a4937fa604a425e867f085427cc351e
mn> port-group create name SPG stateful true
pgroup0
mn> port-group pgroup0 add member port router0:port0
port-group pgroup0 port router0:port0
mn> list bridge
mn> cleart
tenant_id: None
mn> list bridge
bridge bridge0 name test-bridge state up
mn> chain create name "drop_not_src_mynetwork_INBOUND"
chain0
mn> chain chain0 add rule ethertype 2048 src !10.0.0.0/16 type drop
chain0:rule0
mn> chain chain0 add rule ethertype 2048 dst 10.0.5.0/24 pos 2 type accept
chain0:rule1
mn> chain chain0 list rule
rule rule0 ethertype 2048 src !10.0.0.0/16 fragment-policy any pos 1 type drop
rule rule1 ethertype 2048 dst 10.0.5.0/24 fragment-policy any pos 2 type accept
mn> chain chain0 create rule hw-src !12:34:56:78:90:ab hw-src-mask ffff.ff00.0000 type drop
chain0:rule2
mn> chain chain0 add rule dst 192.168.79.119 in-ports router0:port1 pos 1 type dnat action accept target 192.168.77.119:10000-60000
chain0:rule3
mn> chain chain0 rule list type drop
rule rule2 hw-src !12:34:56:78:90:ab hw-src-mask ffff.ff00.0000 fragment-policy any pos 2 type drop
rule rule0 ethertype 2048 src !10.0.0.0/16 fragment-policy any pos 3 type drop
mn> chain chain0 rule list flow return-flow
mn> chain chain0 rule add flow return-flow type accept
chain0:rule4
mn> chain chain0 rule list flow return-flow
rule rule4 flow return-flow fragment-policy any pos 1 type accept
mn> chain chain0 add rule dst 192.168.79.119 in-ports router0:port1 pos 2 type rev_snat action accept
chain0:rule5
mn> chain chain0 add rule hw-dst 01:00:00:00:00:00 hw-dst-mask 0100.0000.0000 pos 2 type drop
chain0:rule6
mn> chain chain0 add rule ethertype 2048 src 0.0.0.0/0 in-ports router0:port0 fragment-policy header pos 2 type drop
chain0:rule7
mn> chain create name sg
chain1
mn> chain chain1 add rule src 172.16.3.3 out-ports router0:port0 type snat action accept target 198.51.100.3
chain1:rule0
mn> chain chain1 add rule ethertype !2054 pos 2 type drop
chain1:rule1
mn> chain chain1 add rule type jump jump-to chain0 pos 2
chain1:rule2
mn> chain chain1 add rule proto tcp tcp-flags syn tcp-flags-mask syn,ack pos 3 type log
chain1:rule3
mn> chain chain1 add rule tcp-flags syn type drop
mn-cli: rule: field tcp-flags: needs proto tcp
mn> chain chain1 list rule
rule rule0 src 172.16.3.3 out-ports router0:port0 fragment-policy any pos 1 type snat action accept target 198.51.100.3
rule rule2 fragment-policy any pos 2 type jump jump-to chain0
rule rule3 proto 6 tcp-flags syn tcp-flags-mask syn,ack fragment-policy any pos 3 type log
rule rule1 ethertype !2054 fragment-policy any pos 4 type drop
mn> bridge bridge0 port port0 set infilter chain0
mn> bridge bridge0 port infilter chain0 show infilter
chain0
mn> bridge bridge0 port port0 clear infilter
mn> load-balancer create
lb0
mn> router router0 set load-balancer lb0
mn> load-balancer lb0 create pool lb-method ROUND_ROBIN
lb0:pool0
mn> load-balancer lb0 pool pool0 create member address 192.168.100.100 protocol-port 80
lb0:pool0:pm0
mn> load-balancer lb0 pool pool0 create vip address 203.0.113.2 persistence SOURCE_IP protocol-port 8080
lb0:pool0:vip0
mn> load-balancer lb0 pool pool0 vip vip0 show
vip vip0 load-balancer lb0 address 203.0.113.2 protocol-port 8080 persistence SOURCE_IP state up
mn> load-balancer lb0 pool pool0 vip vip0 set persistence NONE
mn> show vip lb0:pool0:vip0
vip lb0:pool0:vip0 load-balancer lb0 address 203.0.113.2 protocol-port 8080 state up
mn> health-monitor create type TCP delay 100 max-retries 50 timeout 500
hm0
mn> load-balancer lb0 pool pool0 set health-monitor hm0
mn> load-balancer lb0 pool pool0 health-monitor show
hm hm0 delay 100 timeout 500 max-retries 50 state up type TCP
mn> health-monitor hm0 pool list
pool lb0:pool0 load-balancer lb0 health-monitor hm0 lb-method ROUND_ROBIN protocol TCP state up
mn> bridge bridge0 port add vlan 8
bridge0:port2
mn> bridge add name vub-8
bridge1
mn> bridge bridge1 port add
bridge1:port0
mn> bridge bridge0 port port2 set peer bridge1:port0
mn> create mirror to-port bridge1:port0
mirror0
mn> mirror mirror0 matches add dst 192.168.0.0/24 src 192.168.0.0/24
src 192.168.0.0/24 dst 192.168.0.0/24
mn> mirror mirror0 list matches
src 192.168.0.0/24 dst 192.168.0.0/24
mn> mirror mirror0 matches src 192.168.0.0/24 delete
mn> mirror mirror0 list matches
mn> bridge bridge0 set in-mirrors mirror0
mn> bridge bridge0 show
bridge bridge0 name test-bridge state up in-mirrors mirror0
mn> bridge bridge0 clear in-mirrors
mn> qos-policy create name gold description d shared false
qos-policy0
mn> qos-policy qos-policy0 add bw-limit-rule max-kbps 500 max-burst-kb 10
qos-policy0:qos-bw-limit-rule0
mn> qos-policy gold add dscp-rule dscp-mark 22
qos-policy0:qos-dscp-rule0
mn> bridge bridge0 set qos-policy gold
mn> bridge bridge0 show qos-policy
qos-policy0
mn> l2insertion add fail-open true mac fa:16:3e:a4:dd:58 port bridge0:port0 pos 0 srv-port bridge1:port0 vlan 10
l2insertion0
mn> l2insertion list
l2insertion l2insertion0 port bridge0:port0 srv-port bridge1:port0 vlan 10 pos 0 fail-open true mac fa:16:3e:a4:dd:58
mn> l2insertion l2insertion0 delete
mn> ip-address-group create name ipa
ipg0
mn> ip-address-group ipg0 add ip address 192.168.1.100
address 192.168.1.100
mn> ip-address-group ipg0 delete ip address 192.168.1.100
mn> ip-address-group ipg0 ip list
mn> bridge bridge0 dhcp add subnet 10.1.0.0/24 gw 10.1.0.1 server 10.1.0.2 dns-servers 8.8.8.8,8.8.4.4
gw 10.1.0.1 server 10.1.0.2 dns-servers 8.8.8.8,8.8.4.4 subnet 10.1.0.0/24
mn> bridge bridge0 dhcp 10.1.0.0/24 host add name vm1 address 10.1.0.9 mac 2:0:0:0:0:9
name vm1 address 10.1.0.9 mac 02:00:00:00:00:09
mn> bridge bridge0 dhcp subnet 10.1.0.0/24 host vm1 show address
10.1.0.9
mn> bridge bridge0 dhcp 10.1.0.0/24 opt121-routes add destination 10.9.0.0/16 gateway 10.1.0.3
destination 10.9.0.0/16 gateway 10.1.0.3
mn> bridge bridge0 dhcp 10.1.0.0/24 opt121-routes 10.9.0.0/16 set gateway 10.1.0.4
mn> bridge bridge0 dhcp 10.1.0.0/24 list opt121-routes
destination 10.9.0.0/16 gateway 10.1.0.4
mn> bridge name vub-8 show name
vub-8
mn> bridge name nothing show
mn-cli: bridge: no such bridge here
mn> show bridge0:port0
mn-cli: Syntax error at: ...bridge0:port0 (expected: <any>)
mn> bridge bridge0 set plugged
mn-cli: Syntax error at: ...plugged (expected: <any>)
mn> bridge bridge0 port port0 set plugged yes
mn-cli: port port0: field plugged: 'plugged' is a read-only attribute
mn> bridge bridge0 clear state
mn-cli: bridge bridge0: field state: Field state cannot be cleared.
mn> host create name x
mn-cli: host: Creating elements of this type is not possible
mn> create bridge name "x
mn-cli: Syntax error: unmatched quote
mn> bridge create name router7
bridge2
mn> bridge create name bridge4
bridge3
mn> bridge create name other
bridge5
mn> bridge bridge4 show
bridge bridge3 name bridge4 state up
mn> router add name second
router1
mn> bridge bridge0 delete
mn> bridge bridge0 show
mn-cli: bridge <uuid>: <any>
SESSION

check "worked sessions print what they should" python3 "$LIB/cli-session.py" "$DIR/session.txt"

history=$(cat "$DIR/home/.mn_history")
check "the history has the commands" grep -q 'bridge bridge0 add port' <<<"${history//\\040/ }"
check_fails "and no secrets" grep -q SECRET <<<"$history"
check_same "only the owner reads it" 600 "$(stat -c %a "$DIR/home/.mn_history")"
done_testing
