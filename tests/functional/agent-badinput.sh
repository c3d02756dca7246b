#!/bin/bash
# What an agent must stand: damaged and newer objects in the store, a store that is taken away, hostile
# frames, tunnel packets nobody asked for, an interface that vanishes. Each is counted, nothing else
# suffers.
#
#   h1 [agent] ---- underlay ---- h2 [agent]
#   vm1 -- left -- edge -- right -- vm2
. "$(dirname "$0")/lib.sh"

lab_start bi
case $STORE in file:*) ;; *) skip "damages the file of a file: store" ;; esac

counter() { agent h1 counters -j | jq ".$1 // 0"; }
broken() { agent h1 status -j | jq .store.broken; }
grown() { [ "$("$2" ${3:+"$3"})" -gt "$1" ]; } # BEFORE FUNCTION [ARGUMENT]
pings() { on vm1 ping -c 1 -W 5 10.0.2.10; }
alive() { kill -0 "${AGENT_PID[h1]}" && kill -0 "${AGENT_PID[h2]}"; }

# store_edit UUID PYTHON: 'body', the bytes of that object, becomes what the expression says.
store_edit() {
    python3 - "${STORE#file:}" "$@" <<'END'
import json, sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=60)
rows = [r for r in db.execute("SELECT parent, name, data FROM node WHERE name = ?", (sys.argv[2],))
        if bytes(r[2]).startswith(b"{")]
assert rows, "no such object in the store"
for parent, name, body in rows:
    body = eval(sys.argv[3], {"json": json, "body": bytes(body)})
    db.execute("UPDATE node SET data = ?, version = version + 1 WHERE parent = ? AND name = ?",
               (sqlite3.Binary(body), parent, name))
db.commit()
END
}

host_add h1
host_add h2
agent_start h1
agent_start h2
routed_pair
await 15 pings

say "Objects of the store that are damaged, or newer than we"
R=$(cli router edge add route dst 172.16.0.0/12 src 0.0.0.0/0 type blackhole) || fail "route"
P=$(cli bridge left add port name newer) || fail "port"
check "a route is cut off in the middle" store_edit "$R" 'body[:len(body) // 2]'
check "a port has an attribute that we don't know" store_edit "$P" \
    'json.dumps({**json.loads(body), "fromTheFuture": {"a": [1, 2]}}).encode()'
agent_stop h1 || fail "the agent's end"
agent_start h1
await 15 pings
await 15 grown 0 broken
check "the damage is counted, once" test "$(broken)" = 1
check "traffic goes on" pings
check_fails "the damaged route is named" cli route "$R" show
check_same "and left out of lists" 0 "$(cli router edge list route 2>/dev/null | grep -c "$R")"

say "The store is taken away"
mv "$DIR/store.db" "$DIR/away.db"
check "running flows go on" on vm1 ping -c 3 -i 0.1 -W 10 10.0.2.10
check "new flows are made" on vm1 ping -c 1 -W 10 10.0.2.1
check "the agents live" alive
mv "$DIR/away.db" "$DIR/store.db"
B=$(cli router edge add route dst 10.0.2.10/32 src 0.0.0.0/0 type blackhole) || fail "route"
await 30 eval '! pings'
cli route "$B" delete || fail "route"
await 30 pings
check "changes after that arrive" true

say "Hostile frames"
malformed() { agent h1 drops -j | jq '[.drops[] | select(.reason == "malformed-packet") | .packets] | add // 0'; }
before=$(malformed)
on vm1 python3 - <<'END'
import random, socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0))
random.seed(7)
eth = bytes.fromhex("ffffffffffff") + bytes.fromhex("02000000000a")
for kind in (0x0800, 0x86dd, 0x0806, 0x8100, 0x88a8):
    for n in range(60):
        s.send(eth + kind.to_bytes(2, "big") + random.randbytes(random.randrange(1, 120)))
END
await 15 grown "$before" malformed
check "they are counted" true
check "traffic goes on" pings

say "A tunnel packet with an unknown key"
before=$(counter datapath.unknown_tunnel_key)
on h2 python3 - "${HOST_IP[h1]}" <<'END'
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
frame = bytes.fromhex("ffffffffffff02000000000b88b5") + bytes(46)
for vni in (0xabcde, 0, 0xffffff):
    s.sendto(b"\x08\0\0\0" + vni.to_bytes(3, "big") + b"\0" + frame, (sys.argv[1], 4789))
s.sendto(b"\x08\0\0\0\0", (sys.argv[1], 4789))
END
await 15 grown "$before" counter datapath.unknown_tunnel_key
check "it is counted" true
check "traffic goes on" pings

say "An interface deleted under a bound port"
on h1 ip link del vm1
state_is() { [ "$(agent h1 ports -j | jq -r ".items[] | select(.interface == \"$1\") | .state")" = "$2" ]; }
await 15 state_is vm1 "no interface"
inactive() { [ "$(cli port vm1 show plugged)" = no ]; }
await 15 inactive
check "the agents live" alive
done_testing
