# Part of the scripts that send signals, by what the shell does itself: the host may have no room for
# a process. Globbing must be on. Sets $reached where there was a process, and $met where one of them
# was $main.
main=0 met= reached=

signal_all() { # SIGNAL GROUP, with the groups that a job has made in it
  while read -r process; do
    # 0 stands for a process that this one cannot see, and would be this one's own group to kill(1).
    case $process in 0) continue ;; "$main") met=1 ;; esac
    kill -s "$1" "$process" && reached=1
    passed=$((passed + process))
  done <"$2/cgroup.procs"
  for inner in "$2"/*/; do [ ! -d "$inner" ] || signal_all "$1" "$inner"; done
}
passed=0

# Kills every process of groups, so that none can fork its way out meanwhile: by cgroup.kill (Linux
# 5.14), else frozen (cgroup v2 since Linux 5.2, and the freezer of v1), and without a right to fork
# where there is pids.max.
kill_groups() { # GROUP...
  for group; do [ ! -e "$group/pids.max" ] || echo 0 >"$group/pids.max"; done
  frozen= max_rounds=1000
  for group; do
    if [ -e "$group/cgroup.kill" ]; then
      # Who has left that group is in another one; the others are dying, which is not to be watched.
      max_rounds=1
      ! is_populated "$group/cgroup.events" || reached=1
      echo 1 >"$group/cgroup.kill"
    elif [ -e "$group/cgroup.freeze" ]; then
      frozen=1
      echo 1 >"$group/cgroup.freeze"
    elif [ -e "$group/freezer.state" ]; then
      frozen=1
      echo FROZEN >"$group/freezer.state"
    fi
  done
  kill_listed "$@"
  [ -n "$frozen" ] || return 0
  for group; do thaw "$group"; done
  kill_listed "$@"
}

# Goes on until the same processes are found twice: these cannot fork any more, and end.
kill_listed() { # GROUP...
  rounds=0 before=
  until [ "$before" = "$passed" ] || [ "$rounds" = "$max_rounds" ]; do
    rounds=$((rounds + 1)) before=$passed passed=0
    for group; do [ -e "$group/cgroup.kill" ] || signal_all KILL "$group"; done
  done
}

# With the groups in it, which a job may have frozen itself: on cgroup v1 a frozen process does not end.
thaw() { # GROUP
  if [ -e "$1/cgroup.freeze" ]; then
    echo 0 >"$1/cgroup.freeze"
  elif [ -e "$1/freezer.state" ]; then
    echo THAWED >"$1/freezer.state"
  fi
  for inner in "$1"/*/; do [ ! -d "$inner" ] || thaw "$inner"; done
}

is_populated() { # FILE, a cgroup.events
  while IFS=' ' read -r key value; do
    [ "$key $value" != "populated 1" ] || return 0
  done <"$1"
  return 1
}
