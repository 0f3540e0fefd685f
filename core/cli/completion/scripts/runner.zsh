#compdef runner
# Completion of runner for zsh.

_runner() {
  local value about
  local -a found open
  while IFS=$'\t' read -r value about; do
    case $value in
      :files) compset -P '-*='; _files ;;
      :dirs) compset -P '-*='; _files -/ ;;
      *=) open+=("$value") ;;
      *) found+=("${value//:/\\:}${about:+:$about}") ;;
    esac
  done < <("${words[1]}" __complete -- "${(@Q)words[2,CURRENT]}" 2> /dev/null)
  (( $#found )) && _describe runner found
  (( $#open )) && compadd -S '' -a open
}

if [[ $funcstack[1] == _runner ]]; then
  _runner "$@"
else
  compdef _runner runner
fi
