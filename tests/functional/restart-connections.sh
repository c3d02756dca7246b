#!/bin/bash
# Agents are replaced under a thousand TCP connections whose source is translated: all go on, the flows
# of none are made again, and what is opened meanwhile waits for the new agent.
#
#   h1 [agent, stopped, upgraded, killed]
#   vm1 -- left -- edge (192.0.2.1, for all of left) -- world, 192.0.2.2: echoes
. "$(dirname "$0")/lib.sh"
N=${N:-1000}

counter() { agent h1 counters --json | jq ".agent.$1"; }
translated() { agent h1 connections --json 10.0.1.10 | jq '[.items[] | select(.kind == "snat")] | length'; }
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
agent_start h1
many_connections_site
many_connections "$N"
check_same "connections" "$N opened" "$(heard)"
check "each is translated" [ "$(translated)" -ge "$N" ]
check "to an address of the router's" bash -c \
    "mn-agent --control $DIR/h1.sock connections | grep -q 'translated 192.0.2.1:'"

row=$(agent h1 connections --json 10.0.1.10 | jq -c '[.items[] | select(.kind == "snat")][0]')
answer=(tcp 192.0.2.2:7000 "$(jq -r .translated <<<"$row")")
check "a trace that knows them follows an answer home" bash -c \
    "mn-cli trace --live --control $DIR/h1.sock world ${answer[*]} | grep -qF '$(jq -r .source <<<"$row")'"
check_fails "one that doesn't drops it" cli trace world "${answer[@]}"

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
