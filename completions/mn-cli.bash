# bash completion for mn-cli: the answers come from its own grammar and store.

_mn_cli() {
    local word cur words cword IFS=$'\n'
    if declare -F _get_comp_words_by_ref >/dev/null; then
        _get_comp_words_by_ref -n : cur words cword # "web:port-1" is one word
    else
        words=("${COMP_WORDS[@]}") cword=$COMP_CWORD cur=${COMP_WORDS[COMP_CWORD]}
    fi
    COMPREPLY=()
    for word in $("${words[0]}" --complete "${words[@]:1:cword}" 2>/dev/null); do
        COMPREPLY+=("$(printf %q "$word")")
    done
    if declare -F __ltrim_colon_completions >/dev/null; then
        __ltrim_colon_completions "$cur"
    fi
}

complete -F _mn_cli mn-cli
