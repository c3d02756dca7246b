#!/bin/bash
# The manual pages are well formed and say all that the tools say of themselves.
. "$(dirname "$0")/lib.sh"
command -v mandoc >/dev/null || skip "needs mandoc"

for page in "$ROOT"/docs/man/*.[1-8]; do
    # pages not installed yet can't be found: no fault of this one
    out=$(mandoc -T lint -W style "$page" 2>&1 | grep -v -e 'referenced manual not found' -e 'outdated mandoc.db')
    check_same "$(basename "$page")" "" "$out"
done

# says PAGE WORD...: the formatted page has each word.
says() {
    local text page=$1 word
    text=$(mandoc -T ascii "$ROOT/docs/man/$page" 2>/dev/null | sed 's/.\x08//g')
    shift
    for word in "$@"; do grep -qF -- "$word" <<<"$text" || fail "$page lacks $word"; done
    echo "ok: $page has $*"
    n_checks=$((n_checks + 1))
}
says mn-cli.1 $(mn-cli help | awk '/^  / { print $1 }')
says mn-cli.1 $(mn-cli --help | grep -oE -- '--[a-z-]+')
says mn-tunnelzone.1 $(mn-tunnelzone --help | grep -oE -- '--[a-z-]+')
says mn-tunnelzone.1 $(mn-tunnelzone --help | awk '/^  [a-z]/ { print $1 }')
done_testing
