#!/bin/bash
# Agents are replaced under a thousand TCP connections whose source is translated: all go on, the flows
# of none are made again, and what is opened meanwhile waits for the new agent.
#
#   h1 [agent, stopped, upgraded, killed]
#   vm1 -- left -- edge (192.0.2.1, for all of left) -- world, 192.0.2.2: echoes
. "$(dirname "$0")/lib.sh"
N=${N:-1000}

tool() { echo "$ROOT/tests/functional/many-connections.py"; }
tell() { echo "$*" >&"${CLIENT[1]}"; }
heard() { # the client's next line
    local line
    read -r -t 60 line <&"${CLIENT[0]}" || fail "the client is silent"
    echo "$line"
}
counter() { agent h1 counters --json | jq ".agent.$1"; }
translated() { agent h1 connections --json 10.0.1.10 | jq '[.items[] | select(.kind == "snat")] | length'; }
served() { port_active vm1 && port_active world; }
settled() { # the new agent has judged all flows that it found
    agent h1 status --json | jq -e ".ready and .flows_due == 0 and .flows >= $((2 * N))" &&
        [ "$(counter resimulated)" -ge $((2 * N)) ]
}
untouched() { # WHO: nothing was done to flows that were there
    await 60 settled
    local n # of ARP and the like, which a flow's key doesn't decide about
    n=$(counter flows_removed)
    check "$1: no flow was removed ($n of others)" [ "$n" -le 5 ]
    check_same "$1: none was replaced" 0 "$(counter flows_replaced)"
}

lab_start rc
host_add h1
vm_add h1 vm1 10.0.1.10/24 10.0.1.1
vm_add h1 world 192.0.2.2/24
agent_start h1
cli <<END2 >/dev/null || fail "topology"
bridge create name left
router create name edge
bridge left port create name vm1
bridge left port create name up
router edge port create name down addresses 10.0.1.1/24
router edge port create name world addresses 192.0.2.1/24
port down set peer up
router edge add route dst 10.0.1.0/24 src 0.0.0.0/0 type normal port down
router edge add route dst 192.0.2.0/24 src 0.0.0.0/0 type normal port world
chain create name pre
chain create name post
chain pre add rule type rev_snat in-ports world
chain post add rule type snat out-ports world target 192.0.2.1:20000-40000
router edge set infilter pre
router edge set outfilter post
tunnel-zone create name lab type vxlan
tunnel-zone lab add member host h1 address ${HOST_IP[h1]}
host h1 add binding port vm1 interface vm1
host h1 add binding port world interface world
END2
await 15 served
spawn world python3 "$(tool)" serve 7000 >"$DIR/server.out"
await 10 grep -q listening "$DIR/server.out"
coproc CLIENT { on vm1 python3 "$(tool)" hold 192.0.2.2 7000 "$N"; }
check_same "connections" "$N opened" "$(heard)"
check "each is translated" [ "$(translated)" -ge "$N" ]
check "to an address of the router's" bash -c \
    "mn-agent --control $DIR/h1.sock connections | grep -q 'translated 192.0.2.1:'"

say "stopped and started"
agent h1 stop --keep-flows || fail "stop"
wait "${AGENT_PID[h1]}"
tell check
check_same "without an agent" "$N answered" "$(heard)"
tell open 5 # what nobody answers yet
agent_start h1
check_same "opened while there was no agent" "5 opened" "$(heard)"
untouched "restart"
tell check
check_same "with a new agent" "$((N + 5)) answered" "$(heard)"
check "it knows them" [ "$(translated)" -ge "$N" ]

say "upgraded"
mkdir "$DIR/bin"
head -c 20 /dev/urandom >"$DIR/id"
objcopy -O binary --only-section=.note.gnu.build-id "$BUILD/mn" "$DIR/note" &&
    { head -c 16 "$DIR/note"; cat "$DIR/id"; } >"$DIR/note2" &&
    objcopy --update-section .note.gnu.build-id="$DIR/note2" "$BUILD/mn" "$DIR/bin/mn" || fail "another build"
ln -s mn "$DIR/bin/mn-agent"
agent h1 stop --keep-flows || fail "stop"
wait "${AGENT_PID[h1]}"
PATH=$DIR/bin:$PATH agent_start h1
untouched "upgrade"
tell check
check_same "with another build" "$((N + 5)) answered" "$(heard)"

say "killed"
agent_stop h1 KILL
tell check
check_same "without an agent" "$((N + 5)) answered" "$(heard)"
agent_start h1
untouched "after a crash"
tell check
check_same "all the time" "$((N + 5)) answered" "$(heard)"
tell open 20
check_same "and new ones" "20 opened" "$(heard)"
done_testing
