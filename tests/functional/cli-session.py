"""Types the commands of a session file at mn-cli on a terminal and compares what comes back."""
import os
import re
import sys

try:
    import pexpect
except ImportError:
    print("needs python3-pexpect")
    sys.exit(77)

PROMPT = "mn> "
PLACES = {
    "<mac>": "(?:[0-9a-f]{2}:){5}[0-9a-f]{2}",
    "<uuid>": "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "<any>": ".*",
}


def steps(path):
    """(command, wanted lines) in order."""
    found = []
    for line in open(path, encoding="utf-8"):
        line = line.rstrip("\n")
        if line.startswith(PROMPT):
            found.append((line[len(PROMPT):], []))
        elif found:
            found[-1][1].append(line)
    return found


def matches(wanted, got):
    pattern = re.escape(wanted)
    for place, regex in PLACES.items():
        pattern = pattern.replace(re.escape(place), regex)
    return re.fullmatch(pattern, got) is not None


def main():
    # One line of terminal is longer than any command, so the editor never wraps its echo.
    env = dict(os.environ, TERM="dumb")
    shell = pexpect.spawn("mn-cli", env=env, dimensions=(50, 2000), encoding="utf-8", timeout=60)
    shell.expect_exact(PROMPT)
    shell.delaybeforesend = None  # the prompt has come: the editor listens
    failed = False
    for command, wanted in steps(sys.argv[1]):
        shell.sendline(command)
        shell.expect_exact(PROMPT)
        got = shell.before.replace("\r", "").rstrip("\n").split("\n")[1:]
        while got and got[0] == command:  # typed before the editor took the terminal: echoed twice
            got.pop(0)
        if len(got) != len(wanted) or not all(map(matches, wanted, got)):
            print("mn> %s\nwanted:\n  %s\ngot:\n  %s" % (command, "\n  ".join(wanted), "\n  ".join(got)))
            failed = True
    shell.sendline("exit")
    shell.expect(pexpect.EOF)
    shell.close()
    if shell.exitstatus != 0:
        print("exit status %s, signal %s\n%s" % (shell.exitstatus, shell.signalstatus, shell.before))
        failed = True
    sys.exit(1 if failed else 0)


main()
