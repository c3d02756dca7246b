#!/bin/bash
# mn-tunnelzone: zones and members; and check, on an underlay with every kind of fault.
#
#                        br0, MTU 9000
#       +----------+----------+----------+----------+
#       |          |          |          |          |
#   h1 9000    h2 9000    h3 1400    h4 (down)   rt ---- link MTU 1400 ---- h5
#                         (silent)              (says "too big")
. "$(dirname "$0")/lib.sh"
WIRE_MTU=9000
lab_start tz

for h in h1 h2 h3 h4; do host_add $h; done
on h3 ip link set wire0 mtu 1400
on wire ip link set h3 mtu 1400
on h4 ip link set wire0 down
host_add rt
ns_new h5
ip link add wire0 netns "$LAB-h5" type veth peer name lan netns "$LAB-rt"
on h5 ip link set wire0 up
on rt ip link set lan mtu 1400 up
on rt sysctl -q -w net.ipv4.ip_forward=1
on h5 ip addr add 10.254.0.2/24 dev wire0
on rt ip addr add 10.254.0.1/24 dev lan
on h5 ip link set wire0 mtu 9000
on h5 ip route add default via 10.254.0.1
for h in h1 h2 h3; do on $h ip route add 10.254.0.0/24 via "${HOST_IP[rt]}"; done
cat /proc/sys/kernel/random/uuid >"$DIR/h5.id"

{
    echo '{"version": 1, "objects": {"hosts": ['
    for h in h1 h2 h3 h4 h5; do echo "{\"id\": \"$(host_id $h)\", \"name\": \"$h\"}$([ $h = h5 ] || echo ,)"; done
    echo ']}}'
} | mn-cli import - || fail "hosts"
field() { python3 -c 'import json,sys; d=json.load(sys.stdin); print(" ".join(str(next(i for i in d["items"] if (i["from"],i["to"]) == (sys.argv[1],sys.argv[2]))[f]) for f in sys.argv[3:]))' "$@"; }

# --- zones and members
check "create" mn-tunnelzone create core
check_fails "twice" mn-tunnelzone create core
check "twice, if that is fine" mn-tunnelzone create core --may-exist
check "another type" mn-tunnelzone create old --type gre
check_same "list" 2 "$(mn-tunnelzone list | wc -l)"
check "delete" mn-tunnelzone delete old
check "delete what is gone" mn-tunnelzone delete old --if-exists
rc=0; mn-tunnelzone delete old 2>/dev/null || rc=$?
check_same "not found is 3" 3 $rc
rc=0; mn-tunnelzone frob 2>/dev/null || rc=$?
check_same "usage is 2" 2 $rc
for h in h1 h2; do check "add $h" mn-tunnelzone add-host core $h "${HOST_IP[$h]}"; done
check "add it again" mn-tunnelzone add-host core h1 "${HOST_IP[h1]}" --may-exist
check_same "members" 2 "$(mn-cli tunnel-zone core member list | wc -l)"
check_same "show in JSON is one document" "core 2" "$(mn-tunnelzone -j show core |
    python3 -c 'import json, sys; d = json.load(sys.stdin); print(d["item"]["name"], len(d["members"]))')"
for wrong in "create x --if-exists" "list --publish" "check core --all --from h1" "check core --max-age 5"; do
    rc=0; mn-tunnelzone $wrong 2>"$DIR/err" || rc=$?
    check_same "an option of another command: $wrong" 2 $rc
done
check "usage is one line" test "$(wc -l <"$DIR/err")" = 1
check "show has both" grep -q "address ${HOST_IP[h2]}" <(mn-tunnelzone show core)

# --- check: two good hosts
check "all is well between h1 and h2" on h1 mn-tunnelzone check core
out=$(on h1 mn-tunnelzone check core -j)
check_same "the interface's whole MTU passes" "ok 9000 1550" "$(field h1 h2 status mtu need <<<"$out")"
rc=0; on h4 mn-tunnelzone check core >/dev/null 2>&1 || rc=$?
check_same "a host that is no member can't" 3 $rc
check "a jumbo overlay fits too" on h1 mn-tunnelzone check core --mtu 8950
check_fails "but not a byte more" on h1 mn-tunnelzone check core --mtu 8951
out=$(on h1 mn-tunnelzone check core --mtu 9000 -j)
check_same "it says by how much" "failed 9000 9050" "$(field h1 h2 status mtu need <<<"$out")"
check "and why" grep -q "interface towards it has MTU 9000" <<<"$out"

# --- check: with faults
mn-tunnelzone add-host core h3 "${HOST_IP[h3]}" >/dev/null
mn-tunnelzone add-host core h4 "${HOST_IP[h4]}" >/dev/null
mn-tunnelzone add-host core h5 10.254.0.2 >/dev/null
rc=0
out=$(on h1 mn-tunnelzone check core --timeout 300 -j --publish 2>"$DIR/err") || rc=$?
check_same "a failed pair is exit 1" 1 $rc
check_same "h2 is fine" "ok" "$(field h1 h2 status <<<"$out")"
check_same "h3: silent loss, found by searching" "failed 1400" "$(field h1 h3 status mtu <<<"$out")"
check "said to be silent" grep -q "no router says so" <<<"$(field h1 h3 reason <<<"$out")"
check_same "h4: not reached" "failed None" "$(field h1 h4 status mtu <<<"$out")"
check "with a reason" grep -qE "no answer|no host answers" <<<"$(field h1 h4 reason <<<"$out")"
check_same "h5: a router says too big" "failed 1400" "$(field h1 h5 status mtu <<<"$out")"
check_fails "said by a router" grep -q "no router says so" <<<"$(field h1 h5 reason <<<"$out")"

on h3 nft 'add table ip t; add chain ip t in { type filter hook input priority 0; }; add rule ip t in icmp type echo-request reject with icmp type admin-prohibited'
out=$(on h2 mn-tunnelzone check core --timeout 300 -j --publish 2>/dev/null) || true
check "a firewall that refuses is named" grep -q "firewall" <<<"$(field h2 h3 reason <<<"$out")"
on h3 nft flush ruleset

# --- what all have published
rc=0
out=$(mn-tunnelzone check core --all -j 2>/dev/null) || rc=$?
check_same "not all pairs work" 1 $rc
check_same "as h1 saw it" "ok 9000" "$(field h1 h2 status mtu <<<"$out")"
check_same "as h2 saw it" "ok 9000" "$(field h2 h1 status mtu <<<"$out")"
check_same "h3 has published nothing" "unknown" "$(field h3 h1 status <<<"$out")"
for h in h3 h4 h5; do mn-tunnelzone remove-host core $h; done
check "without the bad ones all is well" mn-tunnelzone check core --all
mn-tunnelzone remove-host core h2 && mn-tunnelzone add-host core h2 10.255.0.77 >/dev/null
check_fails "a result for another address doesn't count" mn-tunnelzone check core --all

# --- IPv6 underlay: 20 bytes more
mn-tunnelzone delete core && mn-tunnelzone create six >/dev/null
mn-tunnelzone add-host six h1 fd00:255::1 >/dev/null && mn-tunnelzone add-host six h2 fd00:255::2 >/dev/null || fail "IPv6 members"
out=$(on h1 mn-tunnelzone check six -j)
check_same "over IPv6" "ok 9000 1570" "$(field h1 h2 status mtu need <<<"$out")"
mn-tunnelzone remove-host six h2 && mn-tunnelzone add-host six h2 "${HOST_IP[h2]}" >/dev/null
out=$(on h1 mn-tunnelzone check six -j 2>/dev/null) || true
check "members of both IP versions are named" grep -q "different IP versions" <<<"$(field h1 h2 reason <<<"$out")"
done_testing
