#!/bin/bash
# "Why doesn't it work?": what mn-cli and mn-agent say of a port whose packets are dropped, and of
# ports they can't tell about.
#
#   h1 [agent] ---- underlay ---- h2 [agent]
#   vm1 -- left -- edge -- right -- vm2         10.9.0.0/16: blackhole
. "$(dirname "$0")/lib.sh"

why() { cli why --control "$DIR/h1.sock" "$@"; }
says() { # WHAT WORDS...: the answer has a line with these words
    local what=$1 answer
    shift
    answer=$(why vm1)
    grep -qF -- "$*" <<<"$answer" || fail "$what: no \"$*\" in"$'\n'"$answer"
    n_checks=$((n_checks + 1))
    echo "ok: $what"
}

lab_start wy
host_add h1
host_add h2
agent_start h1
agent_start h2
routed_pair
cli router edge add route dst 10.9.0.0/16 src 0.0.0.0/0 type blackhole || fail "route"
check "ping" on vm1 ping -c 1 -W 10 10.0.2.10
says "where it is" "port vm1 (interface vm1 of host h1): active"
check "the host's agent is asked by name, id or interface" agent h1 why vm1
agent h1 sync

check_fails "nothing comes back from there" on vm1 ping -c 3 -i 0.1 -W 1 10.9.0.1
says "how many" "dropped in the last minute"
says "by what" "it sent: blackhole-route, route 10.9.0.0/16 of router edge; last"
says "which packet" "icmp"
check_same "as JSON" '"blackhole-route"' \
    "$(why --json vm1 | jq '[.drops[] | select(.reason == "blackhole-route") | .reason][0]')"
check_same "drops names the route too" '"route 10.9.0.0/16 of router edge"' \
    "$(agent h1 drops --json | jq '[.drops[] | select(.reason == "blackhole-route") | .object][0]')"

check "a port elsewhere: where to ask" bash -c \
    "mn-cli why --control $DIR/h1.sock vm2 | grep -q 'active on host h2, whose agent is alive; ask there'"
check "a port between devices" bash -c "mn-cli why left-up | grep -q 'linked to another'"
cli bridge left port create name lone >/dev/null
check "a port that nothing is behind" bash -c "mn-cli why lone | grep -q 'neither bound'"
check_fails "no such port" why nobody
check_fails "not bound here" agent h1 why vm2

done_testing
