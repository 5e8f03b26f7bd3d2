# Sends the signals $1, one after the other, to every process of the groups that follow, of the groups that
# jobs have made in theirs, and to the job's main process where it has left them. SIGKILL goes by
# kill_groups. Prints `reached` where there was a process.
#
# $2, where that is known: the main process as PID:START_TIME, of the job whose groups follow; or as
# PID:START_TIME:LEVELS without groups: nobody but the process so many levels below it is sent signals.
signals=$1
shift
reached=
{
  levels=
  case ${1-} in [0-9]*)
    main=${1%%:*} main_start=${1#*:}
    case $main_start in *:*) levels=${main_start#*:} main_start=${main_start%:*} ;; esac
    shift
    ;;
  esac
  if [ -n "$levels" ]; then
    signal_command "$main" "$main_start" "$signals" "$levels"
    main=0
  elif [ "$signals" = KILL ]; then
    kill_groups "$@"
  else
    for signal in $signals; do
      for group; do signal_all "$signal" "$group"; done
    done
  fi
  [ "$main" = 0 ] || signal_outside "$main" "$main_start" "$signals" "${1##*/}"
} 2>/dev/null
[ -z "$reached" ] || echo reached
:
