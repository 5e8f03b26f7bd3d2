# Prints the processes of a job that are left, at most ten, as `PID STATE`, a letter of proc(5): of the
# groups given, of those that the job has made in them, and its main process.
#
# $1, where that is known: the main process as PID:START_TIME.
IFS=' '
left=10

print_state() { # PID
  read -r stat <"/proc/$1/stat" || return
  parse_stat "$stat"
  # Who has ended waits only for its parent.
  [ "$state" != Z ] || return
  left=$((left - 1))
  echo "$1 $state"
}

print_states() { # GROUP
  while [ "$left" -gt 0 ] && read -r process; do
    print_state "$process"
  done <"$1/cgroup.procs"
  for inner in "$1"/*/; do [ ! -d "$inner" ] || print_states "$inner"; done
}

{
  case ${1-} in [0-9]*)
    ! is_running "${1%%:*}" "${1#*:}" || print_state "${1%%:*}"
    shift
    ;;
  esac
  for group; do print_states "$group"; done
} 2>/dev/null
:
