# Part of the scripts that send signals: to a job's main process, which may have left the job's groups, as
# `su -l` and `sudo -i` do through PAM. Globbing must be on, and IFS contain a space.

# At most so many processes below a main process are killed with it.
max_tree=4096

is_running() { # PID START_TIME
  read -r stat <"/proc/$1/stat" || return
  parse_stat "$stat"
  [ "$start_time" = "$2" ] && [ "$state" != Z ]
}

is_outside() { # PID NAME, of the job's groups
  while read -r line; do
    case $line/ in */"$2"/*) return 1 ;; esac
  done <"/proc/$1/cgroup"
}

set_children() { # PID
  children=
  for list in "/proc/$1/task"/*/children; do
    line=
    read -r line <"$list"
    children="$children $line"
  done
}

# Nothing else would find its children. A stopped process cannot make others, and keeps the ids of its
# dead children from being used again: so each is stopped, then those below it are killed, then itself.
kill_tree() { # PID
  [ "$max_tree" -gt 0 ] || return
  max_tree=$((max_tree - 1))
  kill -s STOP "$1" || return
  # The signal takes a moment to stop it.
  for round in first second; do
    set_children "$1"
    for child in $children; do kill_tree "$child"; done
  done
  kill -s KILL "$1"
}

# Sends the signals $3 to nobody but the process $4 levels below the main process, each the first child.
signal_command() { # PID START_TIME SIGNALS LEVELS
  is_running "$1" "$2" || return
  target=$1 levels=$4
  while [ "$levels" -gt 0 ]; do
    levels=$((levels - 1))
    set_children "$target"
    target=${children# }
    target=${target%% *}
    [ -n "$target" ] || return
  done
  for signal in $3; do kill -s "$signal" "$target" && reached=1; done
}

# After the groups' processes have had their signals: to a main process that was not $met among them.
signal_outside() { # PID START_TIME SIGNALS NAME
  [ -z "$met" ] && is_running "$1" "$2" || return
  if [ "$3" = KILL ]; then
    # cgroup.kill does not tell whom it has met; and who is dying of it may still be there.
    is_outside "$1" "$4" && kill_tree "$1" && reached=1
  else
    for signal in $3; do kill -s "$signal" "$1" && reached=1; done
  fi
}
