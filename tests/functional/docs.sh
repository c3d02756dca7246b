#!/bin/bash
# What README.md and docs/ name is there: files of the tree in backquotes, and what links point to.
. "$(dirname "$0")/lib.sh"
cd "$ROOT" || exit 1

for page in README.md docs/*.md; do
    missing=
    while read -r name; do
        compgen -G "${name%.}*" >/dev/null || missing+=" $name"
    done < <(grep -ohE '`(core|tests|docs|mn-[a-z]+)/[A-Za-z0-9_./*-]+`' "$page" | tr -d '`')
    while read -r link; do
        [ -e "$(dirname "$page")/$link" ] || missing+=" $link"
    done < <(grep -ohE '\]\([A-Za-z0-9_./-]+' "$page" | cut -c3-)
    check_same "$page names what exists" "" "$missing"
done
done_testing
