# Part of the scripts that run on a cluster's node: the processes of a batch step, by the control group in
# which the engine keeps them (proctrack/cgroup). The listener and the launcher are in it too, and are told
# from the job by their sessions, which no process of the job can join.

# Sets $step, the group with all processes of this step. Fails where the engine has made none: the group is
# then the node's, with processes of others.
find_step() {
  step='' v1='' v2=''
  while IFS=' ' read -r device mount type options rest; do
    case "$type ,$options," in
      cgroup\ *,freezer,*) v1=$mount ;;
      cgroup2\ *) v2=$mount ;;
    esac
  done </proc/self/mounts
  while IFS=: read -r number names path; do
    case "$path/" in */job_"$SLURM_JOB_ID"/step_batch/*) ;; *) continue ;; esac
    path=${path%%/step_batch*}/step_batch
    case $names in
      freezer) step=$v1$path ;;
      # The engine's own process is beside the group of the user's.
      '') [ -n "$step" ] || step=$v2$path/user ;;
    esac
  done </proc/self/cgroup
  [ -n "$step" ] && [ -e "$step/cgroup.procs" ]
}

# Sets the sessions of these two. The engine may have given the listener none of its own.
find_sessions() { # PID of the listener, PID of the launcher
  launcher_session=$2
  read -r stat <"/proc/$1/stat"
  IFS=' '
  parse_stat "$stat"
  IFS=$newline
  listener_session=$session
}

# Whether a process is the listener's, the launcher's or the engine's; also where it has ended. The main
# process is the job's also in the moment before it has a session of its own.
is_ours() { # PID
  case $1 in 0 | "$PPID") return ;; "$main") return 1 ;; esac
  read -r stat <"/proc/$1/stat" || return 0
  IFS=' '
  parse_stat "$stat"
  IFS=$newline
  case $session in "$listener_session" | "$launcher_session") return ;; esac
  return 1
}

# Sends the job's processes a signal. Sets $reached where there was one, adds up their ids in $passed, and counts
# them in $met.
signal_step() { # SIGNAL [GROUP]
  set +f
  signal_group "$1" "$step"
  set -f
} 2>/dev/null

signal_group() { # SIGNAL GROUP, with the groups that the job has made in it
  while read -r process; do
    is_ours "$process" && continue
    kill -s "$1" "$process" && reached=yes passed=$((passed + process)) met=$((met + 1))
  done <"$2/cgroup.procs"
  for inner in "$2"/*/; do [ ! -d "$inner" ] || signal_group "$1" "$inner"; done
}

has_processes() {
  reached=''
  signal_step 0
  [ -n "$reached" ]
}

# Kills the job's processes, until the same ones are met twice: these end, and cannot fork any more.
kill_step() {
  for group in $groups; do [ ! -e "$group/pids.max" ] || echo 0 >"$group/pids.max"; done
  rounds=0 before='' passed=0
  until [ "$before" = "$passed" ] || [ "$rounds" = 100 ]; do
    rounds=$((rounds + 1)) before=$passed passed=0
    signal_step KILL
  done
} 2>/dev/null

# Sets $main and $main_start by the launch record, once the command runs.
find_main() {
  while IFS=' ' read -r word first second rest; do
    case $word in job) main=$first main_start=$second ;; '') break ;; esac
  done <"$folder/launch"
} 2>/dev/null
