#!/bin/bash
# The same commands and sessions over ZooKeeper; and what a user sees when it goes away.
#
#   [cli-oneshot.sh, cli-transcripts.sh] ---- mn-cli ---- zk://127.0.0.1:PORT ---- [ZooKeeper]
. "$(dirname "$0")/cli-lib.sh"
JAR=/usr/share/java/zookeeper.jar SLF4J=/usr/share/java/slf4j-simple.jar
[ -r $JAR ] && [ -r $SLF4J ] && command -v java >/dev/null || skip "needs Debian's zookeeper"

DIR=$(mktemp -d /tmp/mn-cli-zk.XXXXXX)
SERVER=
trap '[ -z "$SERVER" ] || { kill -KILL "$SERVER"; wait "$SERVER"; } 2>/dev/null; rm -rf "$DIR"' EXIT
PORT=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
mkdir "$DIR/data" "$DIR/home"
cat >"$DIR/zoo.cfg" <<END
tickTime=1000
dataDir=$DIR/data
clientPort=$PORT
clientPortAddress=127.0.0.1
4lw.commands.whitelist=*
admin.enableServer=false
END
java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dzookeeper.forceSync=no -cp $JAR:$SLF4J \
    org.apache.zookeeper.server.quorum.QuorumPeerMain "$DIR/zoo.cfg" >"$DIR/zk.log" 2>&1 &
SERVER=$!
serves() { exec 3<>"/dev/tcp/127.0.0.1/$PORT" && echo srvr >&3 && grep -q Mode <&3; }
await 60 serves

# both tests bring their own folders, and put their topology below a root of their own
check "one-shot commands over ZooKeeper" env MN_LAB_STORE="zk://127.0.0.1:$PORT/oneshot" "$LIB/cli-oneshot.sh"
check "sessions over ZooKeeper" env MN_LAB_STORE="zk://127.0.0.1:$PORT/sessions" "$LIB/cli-transcripts.sh"
check_same "roots are apart" "" "$(mn-cli --store "zk://127.0.0.1:$PORT/other" list bridge)"

kill -KILL "$SERVER" && wait "$SERVER" 2>/dev/null
SERVER=
gives 5 mn-cli --timeout 0.5 --store "zk://127.0.0.1:$PORT/oneshot" list bridge
check_same "nothing on stdout" "" "$OUT"
gives 5 mn-cli --timeout 0.5 -j --store "zk://127.0.0.1:$PORT/oneshot" list bridge
check "and in JSON" grep -q '"code":"unreachable"' <<<"$ERR"
done_testing
