#!/bin/bash
# Completion: what TAB offers in the shell, and what bash is offered for a command line.
#
#   [pexpect] ---- pty ---- [mn-cli]       [bash] ---- completions/mn-cli.bash ---- mn-cli --complete
. "$(dirname "$0")/cli-lib.sh"
cli_start
mn-cli <<'END' >/dev/null || fail "set-up"
create bridge name web
create bridge name "two words"
create router name edge
bridge web add port name vm-1
router edge add port name up addresses 10.0.0.1/24
create chain name policy
END

# --- bash
# offers WORDS...: what bash gets for "mn-cli WORDS", the last one unfinished; one line, sorted.
offers() {
    bash -c '
        [ -r /usr/share/bash-completion/bash_completion ] && . /usr/share/bash-completion/bash_completion
        . "$0"
        COMP_WORDS=(mn-cli "$@") COMP_CWORD=$# COMP_LINE="mn-cli $*" COMP_POINT=${#COMP_LINE}
        _mn_cli
        echo "${COMPREPLY[*]}"' "$ROOT/completions/mn-cli.bash" "$@"
}
check_same "verbs and collections" "l2insertion list load-balancer logger logging-resource" "$(offers l)"
check_same "collections after a verb" "bridge" "$(offers list bri)"
check_same "elements by name" "web" "$(offers bridge w)"
check_same "blanks are quoted for the shell" 'two\ words' "$(offers bridge two)"
check_same "children" "port" "$(offers bridge web po)"
check_same "fields to set" "state" "$(offers bridge web set st)"
check_same "words of a value" "down up" "$(offers bridge web set state "")"
check_same "objects a field can refer to" "policy" "$(offers bridge web set infilter "")"
check_same "a host's name" "compute-1 compute-2" "$(offers tunnel-zone x add member host comp)"
check_same "options" "--may-exist" "$(offers create bridge name x --m)"
check_same "enumerations" "gre vtep vxlan" "$(offers create tunnel-zone name x type "")"
check_same "nothing after a command that takes no more" "" "$(offers exit x)"
check_same "the tool's options before it" "bridge" "$(offers --store "$MN_STORE" list bri)"
check_same "its own commands" "export" "$(offers exp)"
check_same "help" "describe" "$(offers help desc)"
check_same "no store, still keywords" "bridge" "$(MN_STORE=nonsense: offers list bri)"
check_same "nonsense offers nothing" "" "$(offers frob nicate x)"

# --- the shell
check "TAB on a terminal" python3 - <<'END'
import os, sys
try:
    import pexpect
except ImportError:
    sys.exit(77)

shell = pexpect.spawn("mn-cli", env=dict(os.environ, TERM="dumb"), dimensions=(50, 500), encoding="utf-8", timeout=60)

def tab(typed, *wanted):
    """After TABs (the first completes what is common) each of 'wanted' is shown, in any order."""
    shell.send(typed + "\t\t\t")
    seen = ""
    for text in wanted:
        if text not in seen:
            shell.expect_exact(text)
            seen += shell.before + shell.after
    shell.sendcontrol("u")
    shell.sendline("debug off")
    shell.expect_exact("turned off debug mode")
    shell.expect_exact("mn> ")

shell.expect_exact("mn> ")
tab("bri", "bridge ")                                   # one candidate: appended with a blank
tab("bridge web set state ", "down", "up", "mn> bridge web set state ")  # several: in columns, then redrawn
tab("bridge web set in", "infilter", "in-mirrors")
shell.sendline("list bridge")                           # gives aliases
shell.expect_exact("mn> ")
tab("bridge bri", "bridge0", "bridge1")
tab("bridge bridge0 ", "port", "show", "dhcp")
tab("host ", "compute-1", "compute-2")
shell.send("bridge half a li")                        # Ctrl-C: another line, not the end
shell.expect_exact("half a li")
shell.sendintr()
shell.expect_exact("mn> ")
shell.sendline("debug on")
shell.expect_exact("turned on debug mode")
shell.expect_exact("mn> ")
shell.sendline("exit")
shell.expect(pexpect.EOF)
shell.close()
sys.exit(shell.exitstatus or 0)
END
done_testing
