#!/bin/bash
# A statement of a scenario that can't be understood is refused: a test that holds whatever happens is
# none.  Needs neither root nor network.
. "$(dirname "$0")/cli-lib.sh"
cli_start

file() { # STATUS STATEMENT...: a file with these statements, one a line
    local wanted=$1
    shift
    printf '%s\n' "$@" >"$DIR/x.mn"
    gives "$wanted" mn-cli test "$DIR/x.mn"
}
on_a_bridge() { # STATUS STATEMENT...
    local wanted=$1
    shift
    file "$wanted" 'host h' 'mn bridge create name b' 'mn bridge b add port name a' 'bind a h' "$@"
}
file 0 '# nothing' '' 'section of nothing'
file 2 'refuse sideways bridge list'
file 2 'refuse 0 bridge list'
file 1 'refuse 3 bridge list'
file 0 'refuse 3 bridge nothing show'
file 2 'for i x y mn bridge create name $i'
file 2 'for i 2 1 mn bridge create name $i'
file 0 'for i 1 2 mn bridge create name b$i' 'says b2 list bridge'
file 2 'only memroy because it is mistyped'
file 2 'only because of nothing'
file 77 'only ovs because of that'
file 2 'clock nan'
file 2 'fast'
file 2 'slow'
file 2 'drop no-route'
file 2 'host h' 'host h'
file 2 'host h' 'flows h many'
file 0 'host h' 'flows h 0'
on_a_bridge 2 'vm a 02:00:00:00:00:01 10.0.0.1/24 10.0.0.2/24 10.0.0.3/24 10.0.0.4/24 10.0.0.5/24 10.0.0.6/24 10.0.0.7/24 10.0.0.8/24 10.0.0.9/24'
check "too many addresses are no gateways" grep -q 'more than 8 addresses' <<<"$OUT"
printf 'mn bridge create name a\0b\n' >"$DIR/x.mn"
gives 2 mn-cli test "$DIR/x.mn"
gives 2 mn-cli test "$DIR"
gives 2 mn-cli test --datapath nonsense "$DIR/x.mn"
file 0 'section'
gives 0 mn-cli test "$DIR/x.mn" -v
done_testing
