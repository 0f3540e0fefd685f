# Completion of runner for bash.

_runner() {
  local line="${COMP_LINE:0:COMP_POINT}" cur="${COMP_WORDS[COMP_CWORD]}" whole word about
  local -a words
  COMPREPLY=()
  # The words as runner would see them: bash divides them at = and : too.
  read -r -a words <<< "$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  whole="${words[${#words[@]} - 1]}"
  [[ $cur == [=:] ]] && cur=""
  while IFS=$'\t' read -r word about; do
    case "$word" in
      :files) compopt -o filenames 2> /dev/null; while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "$cur") ;;
      :dirs) compopt -o filenames 2> /dev/null; while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -d -- "$cur") ;;
      *)
        [[ $word == *= ]] && compopt -o nospace 2> /dev/null
        # Only what follows the last place where bash divided the word.
        if [[ $whole != [\'\"]* ]]; then
          word="${word:${#whole} - ${#cur}}"
          printf -v word '%q' "$word"
        fi
        COMPREPLY+=("$word")
        ;;
    esac
  done < <("${COMP_WORDS[0]}" __complete -- "${words[@]:1}" 2> /dev/null)
}

complete -F _runner runner
