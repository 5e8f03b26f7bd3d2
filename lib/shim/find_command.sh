# Part of the scripts that start a command. IFS must be a newline or the default; globbing is off afterwards.

can_run() { # FILE; when not, $problem says why
  [ -e "$1" ] || return
  if [ -d "$1" ]; then problem=folder; elif [ -x "$1" ]; then return; else problem=not-executable; fi
  return 1
}

find_command() { # NAME PATH, looked for as execvp(3) does: $found; when it cannot be run, $problem says why
  problem=not-found
  case $1 in */*)
    found=$1
    can_run "$1"
    return
    ;;
  esac
  name=$1
  # A separator at the end would not count, and an empty entry is the working directory.
  entries=$2:
  separators=$IFS
  IFS=:
  set -f
  set -- $entries
  IFS=$separators
  for entry; do
    found=${entry:-.}/$name
    can_run "$found" && return
  done
  return 1
}
