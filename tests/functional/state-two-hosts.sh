#!/bin/bash
# Two hosts know one connection: where it was opened and where its answers enter, by mail between the
# agents, which gets lost now and then.
#
#   h1 [agent] ------ mail: UDP port 2925 ------ h2 [agent]
#   vm1 -- left -- edge (192.0.2.1, for all of left) -- world, 192.0.2.2
#            +-- peer, 10.0.1.20 (h2)
#   vm1 takes answers only, and TCP to port 7000, which is 192.0.2.1:80 to the world
. "$(dirname "$0")/lib.sh"

records() { # HOST FILTER: how many
    agent "$1" connections --json | jq "[.items[] | select($2)] | length"
}
counter() { agent "$1" counters --json | jq ".$2"; }
at_least() { [ "$(records "$1" "$2")" -ge "$3" ]; }
udp_answered() { # FROM ADDRESS SOURCE_PORT: at the first attempt
    on "$1" python3 - "$2" "$3" <<'END'
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", int(sys.argv[2])))
s.settimeout(30)
s.sendto(b"hello", (sys.argv[1], 7000))
assert s.recv(100) == b"hello"
END
}
tcp_through() { # FROM ADDRESS PORT
    [ "$(echo hello | on "$1" timeout 60 socat -t 30 - "TCP:$2:$3,connect-timeout=30")" = hello ]
}
mail() { # HOST off|on
    if [ "$2" = off ]; then
        on "$1" nft 'table inet cut { chain out { type filter hook output priority 0; udp dport 2925 drop; }; }'
    else
        on "$1" nft delete table inet cut
    fi
}
unanswered() { on world ss -Htn state syn-recv | grep -q .; }

lab_start s2
host_add h1
host_add h2
agent_start h1
agent_start h2
vm_add h1 vm1 10.0.1.10/24 10.0.1.1
state_site
spawn peer python3 "$ROOT/tests/functional/stream.py" serve 7000 >"$DIR/peer.out"
disown
spawn vm1 python3 "$ROOT/tests/functional/many-connections.py" serve 7000 >"$DIR/vm1.out"
disown
await 10 grep -q listening "$DIR/peer.out"
await 10 grep -q listening "$DIR/vm1.out"

say "answers"
check_fails "who wasn't asked isn't heard" on peer ping -c 1 -W 1 10.0.1.10
check "who is asked is" udp_answered vm1 10.0.1.20 5000
check "ping" on vm1 ping -c 3 -i 0.1 -W 10 10.0.1.20
check_fails "that is no permission for others" on peer ping -c 1 -W 1 10.0.1.10

say "translated"
check "vm1 reaches the world by UDP" udp_answered vm1 192.0.2.2 5001
check "... and by TCP" tcp_through vm1 192.0.2.2 7000
check "... and its echo" on vm1 ping -c 3 -i 0.1 -W 10 192.0.2.2
check_fails "the world doesn't reach vm1" on world ping -c 1 -W 1 10.0.1.10
check "but its service" tcp_through world 192.0.2.1 80
many_connections 100
check_same "connections" "100 opened" "$(heard)"
snat='.kind == "snat" and .destination == "192.0.2.2:7000"'
check "h1 knows the translations" at_least h1 "$snat" 100
check "so does h2" at_least h2 "$snat" 100
check "... which was told before the answers" [ "$(counter h2 exchange.heard)" -ge 200 ]
check "both know who opened them" at_least h2 '.kind == "conn" and .source == "192.0.2.2:7000"' 100
check "what the world opened, too" at_least h1 '.kind == "dnat"' 1
check_same "none contradicts another" 0 "$(counter h2 exchange.contested)"

say "mail gets lost"
before=$(records h2 "$snat")
mail h1 off
tell open 5
await 10 unanswered
check_same "h2 isn't told" "$before" "$(records h2 "$snat")"
mail h1 on
check_same "what was opened meanwhile is answered" "5 opened" "$(heard)"
check "h2 is told" at_least h2 "$snat" $((before + 5))
mail h1 off
mail h2 off
tell check
check_same "old ones don't need it" "105 answered" "$(heard)"
mail h1 on
mail h2 on
tell open 20
check_same "new ones" "20 opened" "$(heard)"
done_testing
