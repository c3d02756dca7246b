# What the cli-*.sh tests share.  No network, no root: a store in a temporary folder.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
LIB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

HOST1=11111111-0000-4000-8000-000000000001 HOST2=22222222-0000-4000-8000-000000000002
HOST3=33333333-0000-4000-8000-000000000003

# A store with two hosts (agents register them; nobody else can make any).
cli_start() {
    DIR=$(mktemp -d /tmp/mn-cli.XXXXXX)
    trap 'rm -rf "$DIR"' EXIT
    mkdir "$DIR/home"
    export MN_STORE=${MN_LAB_STORE:-file:$DIR/mn.db} HOME=$DIR/home MN_CONF=$DIR/mn.conf LC_ALL=C.UTF-8
    unset MN_TENANT
    mn-cli import - <<END || fail "import of the hosts"
{"version": 1, "objects": {"hosts": [
  {"id": "$HOST1", "name": "compute-1"}, {"id": "$HOST2", "name": "compute-2"}]}}
END
}

# gives STATUS COMMAND...: its exit status; what it said is in $OUT and $ERR.
gives() {
    local wanted=$1 rc=0
    shift
    "$@" >"$DIR/out" 2>"$DIR/err" || rc=$?
    OUT=$(cat "$DIR/out") ERR=$(cat "$DIR/err")
    [ "$rc" = "$wanted" ] || fail "exit $rc instead of $wanted: $*"$'\n'"$OUT"$'\n'"$ERR"
    n_checks=$((n_checks + 1))
    echo "ok: exit $wanted: $*"
}
