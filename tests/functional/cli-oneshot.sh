#!/bin/bash
# One-shot commands and scripts: both word orders, names and uuids, -e, stdin, JSON, exit codes one
# by one, idempotence, --check, export and import.
#
#   [sh] ---- mn-cli ---- file: store in a temporary folder
. "$(dirname "$0")/cli-lib.sh"
cli_start
json() { python3 -c 'import json,sys; d=json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"; }

# words in any order; a uuid and nothing else comes back
B=$(mn-cli create bridge name web) || fail "create"
check "create prints a bare uuid" grep -qE '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' <<<"$B"
check_same "-e joins its words" "bridge $B name web state up" "$(mn-cli -e list bridge)"
check_same "-e of one word" "web" "$(mn-cli -e "bridge $B show name")"
check_same "show by name" "bridge $B name web state up" "$(mn-cli bridge web show)"
check_same "show by uuid" "bridge $B name web state up" "$(mn-cli show bridge "$B")"
P=$(mn-cli bridge web add port name vm-1) || fail "add port"
check_same "no aliases in one-shot output" "port $P device $B name vm-1 state up plugged no" \
    "$(mn-cli bridge web port list)"
R=$(mn-cli router create name edge)
UP=$(mn-cli router edge port add name up addresses 10.0.0.1/24)
check "a child through its parent's name" mn-cli port web:vm-1 set peer edge:up
check_same "the link has two ends" "$P" "$(mn-cli port edge:up show peer)"
check_same "long form of a reference" "$UP" "$(mn-cli port web:vm-1 show peer)"
check "operands may look like options" mn-cli create bridge -- name --json
check "or like verbs" mn-cli -e "create bridge name 'list'"
check_same "quoted, a verb is a name" "list" "$(mn-cli -e "bridge 'list' show name")"
check_same "a name with a blank" "two words" \
    "$(mn-cli create bridge name 'two words' >/dev/null; mn-cli bridge 'two words' show name)"
mn-cli delete bridge name "two words" && mn-cli -e "delete bridge 'list'" && mn-cli delete bridge -- --json

# exit codes, one by one
gives 0 mn-cli list bridge
gives 1 sh -c 'mn-cli list bridge >/dev/full'
gives 2 mn-cli frobnicate
check_same "syntax errors show the rest" "mn-cli: Syntax error at: ...frobnicate" "${ERR%% (*}"
gives 2 mn-cli list
check_same "input that ends early" "mn-cli: Missing arguments, incomplete command" "${ERR%% (*}"
gives 2 mn-cli --nonsense
gives 2 mn-cli bridge web set state sideways
gives 2 mn-cli bridge web set colour red
gives 2 mn-cli -o xml list bridge
gives 3 mn-cli bridge nothing show
check_same "nothing on stdout" "" "$OUT"
gives 3 mn-cli bridge 00000000-0000-4000-8000-000000000000 delete
gives 3 mn-cli bridge web set infilter nothing
mn-cli -o name create tunnel-zone name z type vxlan >/dev/null
gives 4 mn-cli create tunnel-zone name z type vxlan
mn-cli load-balancer create >"$DIR/lb" && mn-cli router edge set load-balancer "$(cat "$DIR/lb")"
gives 4 mn-cli router edge delete
gives 4 mn-cli bridge web set name w2 --if-rev 99999
gives 5 mn-cli --timeout 0.5 --store zk://127.0.0.1:1/mn list bridge
if [ "$(id -u)" != 0 ]; then
    mkdir "$DIR/locked" && chmod 000 "$DIR/locked"
    gives 6 mn-cli --store "file:$DIR/locked/mn.db" list bridge
else
    gives 6 setpriv --reuid 65534 --regid 65534 --clear-groups "$(command -v mn-cli)" \
        --store "file:/root/mn-cli-test.db" list bridge
fi
gives 10 mn-cli bridge web set state down --check
check_same "--check writes nothing" "up" "$(mn-cli bridge web show state)"
gives 10 mn-cli create bridge name unborn --check
gives 10 mn-cli bridge web delete --check
gives 3 mn-cli bridge unborn show
gives 0 mn-cli bridge web set state up --check
mn-cli create mirror to-port web:vm-1 >"$DIR/mirror" && M=$(cat "$DIR/mirror")
gives 10 mn-cli mirror "$M" matches add src 10.0.0.0/8 --check
gives 4 mn-cli mirror "$M" matches add src 10.0.0.0/8 --if-rev 77
check_same "neither wrote" "" "$(mn-cli mirror "$M" matches list)"
gives 2 mn-cli create port name orphan
gives 2 mn-cli -o json list bridge state sideways
check_same "a refused list prints nothing" "" "$OUT"
gives 4 mn-cli router edge delete --check

# idempotence
gives 0 mn-cli create bridge name web --may-exist
check_same "--may-exist gives the one that is there" "$B" "$OUT"
gives 4 mn-cli create bridge name web state down --may-exist
gives 0 mn-cli ensure bridge name web state down
check_same "ensure changes it" "down" "$(mn-cli bridge web show state)"
gives 0 mn-cli -j ensure bridge name web state down
check_same "and the second time doesn't" False "$(json 'd["changed"]' <<<"$OUT")"
gives 0 mn-cli -j bridge web set state up
check_same "set says what changed" "{'adminStateUp': False} {'adminStateUp': True} True" \
    "$(json 'str(d["diff"]["before"]) + " " + str(d["diff"]["after"]) + " " + str(d["changed"])' <<<"$OUT")"
gives 0 mn-cli -j bridge web set state up
check_same "setting it again changes nothing" False "$(json 'd["changed"]' <<<"$OUT")"
gives 0 mn-cli delete bridge nothing --if-exists
gives 0 mn-cli -j delete bridge nothing --if-exists
check_same "deleting what isn't there" False "$(json 'd["changed"]' <<<"$OUT")"
gives 0 mn-cli ensure tunnel-zone name z type vtep
gives 0 mn-cli ensure tunnel-zone name z type vtep
check_same "zones are known by name and type" 2 "$(mn-cli list tunnel-zone | wc -l)"
mn-cli tunnel-zone type vtep delete
gives 0 mn-cli tunnel-zone z add member host compute-1 address 192.0.2.1
gives 4 mn-cli tunnel-zone z add member host compute-1 address 192.0.2.1
gives 0 mn-cli ensure tunnel-zone name z type vtep
gives 0 mn-cli ensure tunnel-zone name z type vtep
check_same "zones are known by name and type" 2 "$(mn-cli list tunnel-zone | wc -l)"
mn-cli tunnel-zone type vtep delete
gives 0 mn-cli tunnel-zone z add member host compute-1 address 192.0.2.1 --may-exist
gives 0 mn-cli tunnel-zone z ensure member host compute-1 address 192.0.2.9
check_same "ensure of a member" "192.0.2.9" "$(mn-cli tunnel-zone z member compute-1 show address)"
VM2=$(mn-cli bridge web port add name vm-2)
gives 0 mn-cli host compute-1 ensure binding port web:vm-2 interface tap0
gives 0 mn-cli host compute-1 ensure binding port web:vm-2 interface tap1
check_same "one binding" "host $HOST1 interface tap1 port $VM2" "$(mn-cli host compute-1 binding list)"
gives 4 mn-cli host compute-2 add binding port web:vm-2 interface tap1
check "a bound port stays where it is" grep -q "is bound already" <<<"$ERR"
gives 0 mn-cli host compute-1 binding tap1 delete
check_same "and none" "" "$(mn-cli host compute-1 binding list)"
for i in 1 2; do gives 0 mn-cli router edge ensure route dst 10.9.0.0/16 type blackhole; done
check_same "ensure without a name" 1 "$(mn-cli router edge route list type blackhole | wc -l)"

# JSON
gives 0 mn-cli -j bridge web show
check_same "numbers, booleans and nulls are such" "1 bridge web True None" \
    "$(json '" ".join(map(str,(d["schema_version"],d["type"],d["item"]["name"],d["item"]["adminStateUp"],d["item"]["inboundFilterId"])))' <<<"$OUT")"
gives 0 mn-cli list port --json
check_same "lists" 3 "$(json 'len(d["items"])' <<<"$OUT")"
gives 0 mn-cli -o jsonl list port
check_same "jsonl: a line an object" "3" "$(wc -l <<<"$OUT")"
gives 0 mn-cli -o name list port
check_same "names" "$(printf 'up\nvm-1\nvm-2')" "$(sort <<<"$OUT")"
gives 0 mn-cli -o tsv list bridge
check_same "tsv" "$(printf '%s\tweb\tup' "$B")" "$(cut -f1-3 <<<"$OUT")"
gives 3 mn-cli -j bridge nothing show
check_same "errors are JSON, on stderr" "not-found" "$(json 'd["error"]["code"]' <<<"$ERR")"
check_same "and name the object" "True" "$(json '"nothing" in d["error"]["message"] or "nothing" in d["error"]["object"]' <<<"$ERR")"
gives 2 mn-cli -j bridge web set state sideways
check_same "and the field" "state" "$(json 'd["error"]["field"]' <<<"$ERR")"

# scripts
printf 'create chain name c1\n# a comment\n\nchain c1 add rule type drop\nchain c1 rule list\n' >"$DIR/script"
gives 0 mn-cli <"$DIR/script"
check_same "a script's last line" "fragment-policy any pos 1 type drop" "${OUT##*rule ????????-????-????-????-???????????? }"
printf 'create chain name c2\nfrob\ncreate chain name c3\n' >"$DIR/script"
gives 2 mn-cli <"$DIR/script"
check_same "errors name the line" "mn-cli: stdin:2: Syntax error at: ...frob" "${ERR%% (*}"
gives 3 mn-cli chain c3 show
printf 'frob\ncreate chain name c3\n' >"$DIR/script"
gives 2 mn-cli --keep-going <"$DIR/script"
gives 0 mn-cli chain c3 show
printf 'create chain name c4\r\nchain c4 show\r\n' >"$DIR/script"
gives 0 mn-cli <"$DIR/script"
printf 'create chain name c5\\\n' >"$DIR/script"
gives 2 mn-cli <"$DIR/script"
check_same "a newline is never part of a name" "" "$(mn-cli list chain | grep "name c5")"
printf 'list bridge\0 frob\n' >"$DIR/script"
gives 2 mn-cli <"$DIR/script"
head -c 2000000 /dev/zero | tr '\0' x >"$DIR/script"
gives 2 mn-cli <"$DIR/script"

# secrets
mn-cli router edge set asn 64512
echo hunter2 >"$DIR/secret"
gives 0 mn-cli router edge add bgp-peer asn 64513 address 10.0.0.2 password "@$DIR/secret"
gives 0 mn-cli router edge list bgp-peer
check "passwords are masked" grep -q 'password \*\*\*\*' <<<"$OUT"
gives 0 mn-cli -j router edge list bgp-peer
check_fails "in JSON too" grep -q hunter2 <<<"$OUT"
gives 0 mn-cli -j router edge add bgp-peer asn 64514 address 10.0.0.3 password sesame
check_fails "nor said when it is set" grep -q sesame <<<"$OUT$ERR"
gives 0 mn-cli -j router edge bgp-peer address 10.0.0.3 set password opensesame
check_fails "or changed" grep -q sesame <<<"$OUT$ERR"
check "but stored" grep -q hunter2 <(mn-cli export)

# names that attack the terminal
gives 2 mn-cli create bridge name $'evil\e[2Jname'
check_fails "no escape sequence reaches the terminal" grep -q $'\e' <<<"$ERR"
gives 2 mn-cli $'evil\e[2Jname'
check_fails "nor back from a mistyped command" grep -q $'\e' <<<"$ERR"

# the whole topology, out and in again
mn-cli export "$DIR/all.json" || fail "export"
mn-cli --store "file:$DIR/copy.db" import "$DIR/all.json" || fail "import"
mn-cli --store "file:$DIR/copy.db" export "$DIR/again.json" || fail "export of the copy"
check "export, import, export: the same" cmp "$DIR/all.json" "$DIR/again.json"
gives 2 mn-cli import "$DIR/script"
check_same "an export has secrets: it is its owner's" 600 "$(stat -c %a "$DIR/all.json")"
gives 1 mn-cli export /dev/full
check "says why" grep -q 'No space left' <<<"$ERR"
check_same "nothing is left over" "" "$(ls "$DIR" | grep 'json\.')"
if command -v sqlite3 >/dev/null; then
    BAD=$(mn-cli --store "file:$DIR/copy.db" create bridge name bad)
    sqlite3 "$DIR/copy.db" "update node set data = 'garbage{' where name = '$BAD'"
    gives 1 mn-cli --store "file:$DIR/copy.db" export "$DIR/again.json"
    check "an export that lacks an object says so" grep -q 'left out: 1' <<<"$ERR"
    gives 0 mn-cli --store "file:$DIR/copy.db" delete bridge "$BAD"
    gives 0 mn-cli --store "file:$DIR/copy.db" export "$DIR/again.json"
fi
gives 0 mn-cli schema
check "the schema is a JSON Schema" grep -q '2020-12' <<<"$OUT"

# configuration: option over environment over file
printf 'other = 1\n store = file:%s/conf.db # here\n' "$DIR" >"$DIR/mn.conf"
gives 0 env -u MN_STORE mn-cli create bridge name from-conf
gives 0 mn-cli --store "file:$DIR/conf.db" bridge from-conf show
printf 'no equals sign\n' >"$DIR/mn.conf"
gives 2 env -u MN_STORE mn-cli list bridge
check "names file and line" grep -q 'mn.conf: line 1' <<<"$ERR"

# help comes without a store
gives 0 env MN_STORE=nonsense: mn-cli help
gives 0 env MN_STORE=nonsense: mn-cli help router
gives 0 env MN_STORE=nonsense: mn-cli describe bridge
check "describe has both blocks" grep -q '^Fields:' <<<"$OUT"
gives 0 mn-cli describe bridge web port
gives 0 mn-cli -j describe chain c rule
check_same "describe in JSON" "True" "$(json 'any(f["name"] == "hw-src" for f in d["fields"])' <<<"$OUT")"
gives 0 mn-cli --version
gives 0 mn-cli --help
gives 3 mn-cli help frob
done_testing
