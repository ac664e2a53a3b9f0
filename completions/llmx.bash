# Completion of llmx for bash. llmx itself says what may stand there: `llmx completions bash` prints this file.

_llmx() {
    local program=${COMP_WORDS[0]} kind line
    case $program in '~/'*) program=$HOME/${program:2} ;; esac
    type -P -- "$program" > /dev/null || program=llmx
    COMPREPLY=()
    # The line and not the words: bash has taken those apart at `:`, `@` and `=`.
    {
        IFS= read -r kind
        while IFS= read -r line; do COMPREPLY+=("$line"); done
    } < <("$program" __complete bash -- "${COMP_LINE:0:COMP_POINT}" "$2" 2> /dev/null)
    # Bash before 4 has no compopt: no file names there, and a space after every word.
    case $kind in
        files*@)
            # By itself bash takes what stands after `@` for a host.
            while IFS= read -r line; do
                if [[ -d $line ]]; then line+=/; fi
                printf -v line %q "$line"
                COMPREPLY+=("${2%"${2#@}"}$line")
            done < <(compgen -f -- "${2#@}")
            ;;
        files*) compopt -o default ;;
        folders*) compopt -o dirnames ;;
    esac 2> /dev/null
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=:/@,] ]]; then compopt -o nospace 2> /dev/null; fi
}

complete -o nosort -F _llmx llmx 2> /dev/null || complete -F _llmx llmx
