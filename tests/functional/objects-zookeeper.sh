#!/bin/bash
# The unit tests of core/objects once more, over a real server: creation, deletion, constraints,
# change nodes, foreign contents, races, export and import, each test below a root of its own.
#
#   build/unit/objects_*_test ---- zk://127.0.0.1:PORT/PID-N ---- [ZooKeeper]
. "$(dirname "$0")/lib.sh"
JAR=/usr/share/java/zookeeper.jar SLF4J=/usr/share/java/slf4j-simple.jar
[ -r $JAR ] && [ -r $SLF4J ] && command -v java >/dev/null || skip "needs Debian's zookeeper"
[ -x "$BUILD/unit/objects_crud_test" ] || skip "needs \"make unit\""

DIR=$(mktemp -d /tmp/mn-objects-zk.XXXXXX)
SERVER=
trap '[ -z "$SERVER" ] || { kill -KILL "$SERVER"; wait "$SERVER"; } 2>/dev/null; rm -rf "$DIR"' EXIT
# Not a port that a client may be given: whoever knocks too early could be talking to himself.
PORT=$(python3 - <<'END'
import random, socket
while True:
    port = random.randint(20000, 32000)
    try:
        socket.socket().bind(("127.0.0.1", port))
        print(port)
        break
    except OSError:
        pass
END
)
mkdir "$DIR/data"
cat >"$DIR/zoo.cfg" <<END
tickTime=1000
dataDir=$DIR/data
clientPort=$PORT
clientPortAddress=127.0.0.1
4lw.commands.whitelist=*
admin.enableServer=false
maxClientCnxns=0
END
java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dzookeeper.forceSync=no -cp $JAR:$SLF4J \
    org.apache.zookeeper.server.quorum.QuorumPeerMain "$DIR/zoo.cfg" >"$DIR/zk.log" 2>&1 &
SERVER=$!
serves() { timeout 10 bash -c "exec 3<>/dev/tcp/127.0.0.1/$PORT && echo srvr >&3 && grep -q Mode <&3"; }
await 60 serves

for t in crud types constraints delete change store race transfer; do
    check "$t over ZooKeeper" env MN_OBJECTS_STORE="zk://127.0.0.1:$PORT" "$BUILD/unit/objects_${t}_test"
done
done_testing
