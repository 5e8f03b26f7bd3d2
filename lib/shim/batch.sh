# Runs a job on a cluster's node. The engine starts this text as a job's batch script; it is the listener
# (listen.sh), which starts it again as the launcher. lib/executor/slurm/batch.ts puts before it, each NAME=VALUE:
#   mode (launch, or empty), script (this file), group_name, folder (where this creates its files), and the files
#   output, gaps (what is missing in it), orders and watch (the server's)
#   segments, segment_bytes (see copy.sh): empty where the output has one file
#   is_root (whether the job has groups of its own), has_secrets, has_input: yes or empty
#   cpu_quota (microseconds of each cpu_period), memory_bytes, read_rate, write_rate (bytes a second),
#   memory_high, read_operations, write_operations (a second), processes: empty for no limit
#   timeout_ms (0: none), grace_ms, stop_signal
#   main_levels (how far below the main process the command is), enter (the text of enter.sh)
#   and what enter.sh takes as job_worker_...; the command is in the positional parameters.
#
# The launch record is that of launch.sh, with lines of its own; what a record says about a job's beginning
# and end is all that counts:
#   launcher PID START_TIME BOOT_ID
#   node NAME
#   job PID START_TIME (the command runs), or refused KIND, details a line each, and end
#   (the shell's message about the signal that ended the job)
#   unwritten BYTES
#   timed-out, where the job was stopped since its timeout was over
#   output BYTES, the size of the output
#   exit STATUS, counter NAME and its lines, end

# What a launcher's own failure looks like for the engine: jobs that come after this one must not run.
failed_status=1
# How often, every 0.2 s, is looked for the files that came with the job.
file_looks=25

refuse() { # KIND DETAIL...
  {
    printf 'refused %s\n' "$@"
    echo end
  } >&9
  finish "$failed_status"
}

finish() { # STATUS
  rm -f "$folder/secrets" "$folder/input"
  remove_job_groups
  sync "$folder/launch"
  exit "$1"
}

# Creating it (O_EXCL) decides whether the job runs here, has run before, or was withdrawn.
begin_launch_record() {
  set -C
  printf '' >"$folder/launch" || exit "$failed_status"
  set +C
  # A full disk takes an empty file: where there is none, it is certain that nothing has run.
  printf '%4096s' '' >"$folder/launch" || {
    rm -f "$folder/launch"
    exit "$failed_status"
  }
  exec 9<>"$folder/launch"
  printf 'launcher %s\nnode %s\n' "$$ $start_time $boot_id" "${SLURMD_NODENAME:-$(uname -n)}" >&9
  sync "$folder/launch"
}

# The variables that the job is given, and by whose absence it must not run.
read_secrets() {
  [ -z "$has_input" ] || wait_for_file input
  [ -z "$has_secrets" ] || {
    wait_for_file secrets
    set -a
    . "$folder/secrets"
    set +a
    rm -f "$folder/secrets"
  }
}

wait_for_file() { # NAME
  looks=0
  until [ -r "$folder/$1" ]; do
    looks=$((looks + 1))
    [ "$looks" -lt "$file_looks" ] || refuse file "$1"
    sleep 0.2
  done
}

# As on a host without a cluster, for the user that the engine runs this as.
set_environment() {
  export LANG=C.UTF-8 SHELL=/bin/sh
  set_user_id
  entry=$(getent passwd -- "$user_id") || entry="$user_id:::::/:"
  IFS=:
  set -- $entry
  IFS=$newline
  export USER="$1" LOGNAME="$1" HOME="${6-/}"
}

set_user_id() {
  while read -r line; do
    case $line in Uid:*) break ;; esac
  done </proc/self/status
  # The real one, of four between which there are tabs.
  line=${line#Uid:?}
  user_id=${line%%[!0-9]*}
}

prepare_entry() {
  namespaces=''
  case $job_worker_isolation in ?*) namespaces=--mount ;; esac
  case $job_worker_isolation in *network*) namespaces=$namespaces$newline--net ;; esac
  [ -z "$namespaces" ] || reason=$(unshare $namespaces -- true 2>&1) || refuse isolation "$reason"
  export job_worker_enter="$enter" job_worker_names job_worker_others job_worker_isolation \
    job_worker_folder job_worker_user='' job_worker_group='' job_worker_groups=''
}

launch() { # COMMAND ARGUMENT...
  trap '' HUP INT TERM PIPE
  umask 077
  ulimit -Sc 0
  groups='' main=0 passed=0 met=0
  find_sessions "$PPID" "$$"
  read -r boot_id </proc/sys/kernel/random/boot_id
  read -r oom_adjustment </proc/self/oom_score_adj
  IFS=' '
  read -r stat </proc/self/stat
  parse_stat "$stat"
  IFS=$newline
  begin_launch_record
  find_step || refuse step
  for program in setsid sleep env getent; do
    command -v "$program" >/dev/null || refuse missing "$program"
  done
  read_secrets
  set_environment
  prepare_entry
  make_groups
  open_pipe "$folder"
  # In its own session, like the launcher: no signal to the engine's process group reaches it.
  copy_output "$output" "$gaps" unwritten &
  copier=$!
  exec 6<&-
  flusher=''
  case $(stat -f -c %T "$folder") in
    nfs* | cifs | smb*)
      keep_flushed &
      flusher=$!
      ;;
  esac
  [ ! -e "$folder/stopping" ] || {
    exec 7>&-
    end_copying "$copier"
    refuse stopped
  }
  run_job "$@"
  record_end
}

# In the foreground: a shell makes background processes ignore SIGINT and SIGQUIT.
run_job() { # COMMAND ARGUMENT...
  exec 5>&2 2>&9
  (
    exec 2>&5 5>&-
    for group in $groups; do
      echo 0 >"$group/cgroup.procs" || {
        printf 'refused %s\n' limit "$group/cgroup.procs" 0 "the group cannot be joined" >&9
        exit 125
      }
    done
    [ "$oom_adjustment" = 0 ] || echo 0 >/proc/self/oom_score_adj
    IFS=' '
    read -r stat </proc/self/stat
    parse_stat "$stat"
    IFS=$newline
    export job_worker_started="job ${stat%% *} $start_time" JOB_ID="$job_id"
    if [ -n "$has_input" ]; then
      exec <"$folder/input"
      rm -f "$folder/input"
    else
      exec </dev/null
    fi
    exec 3>&9 >&7 2>&1 7>&-
    umask "$job_worker_umask"
    trap - HUP INT TERM PIPE
    run='eval "$job_worker_enter"'
    [ -n "$namespaces" ] || set -- /bin/sh -c "$run" job-worker user "$@"
    [ -z "$namespaces" ] ||
      set -- unshare $namespaces -- /bin/sh -c "$run" job-worker namespaces "$@"
    exec setsid -- "$@"
  )
  status=$?
  exec 2>&5 5>&- 7>&-
}

record_end() {
  find_main
  [ "$main" != 0 ] || refuse_late
  main=0
  has_processes && clear_remains
  end_copying "$copier"
  [ -z "$flusher" ] || kill "$flusher"
  # Every byte is there before the end is told.
  find_output_end
  sync "$last_output"
  set_record "exit $status"
  if read -r why <"$folder/stopping" && [ "$why" = timed-out ]; then echo timed-out >&9; fi
  printf 'output %s\n' "$((last_begin + $(stat -c %s "$last_output")))" >&9
  printf '%s\n' "$record" >&9 || finish 74
  finish "$status"
}

# The command has not begun: the reason is in the record already, unless somebody has stopped it before.
refuse_late() {
  kill_step
  end_copying "$copier"
  [ -z "$flusher" ] || kill "$flusher"
  while read -r line; do
    case $line in refused\ *)
      echo end >&9
      finish "$failed_status"
      ;;
    esac
  done <"$folder/launch"
  [ ! -e "$folder/stopping" ] || refuse stopped
  refuse launcher "$status"
}

# Ends the processes that the main process leaves behind: SIGTERM, the grace period, SIGKILL. While the job
# is being stopped, the listener does this and times it.
clear_remains() {
  if [ ! -e "$folder/stopping" ]; then
    signal_step TERM
    signal_step CONT
  fi
  waited=0
  while has_processes; do
    if [ "$waited" -ge "$grace_ms" ] && [ ! -e "$folder/stopping" ]; then kill_step; fi
    sleep 0.05
    waited=$((waited + 50))
  done
}

# A node may keep what it writes to a network file system to itself for half a minute, and longer: those
# who follow the output would wait for it.
keep_flushed() {
  exec 6<&- 7>&- 9>&-
  while sleep 1; do
    find_output_end
    sync "$last_output" "$folder/launch"
  done
}

# Sets $last_output, the file in which the output ends, and $last_begin, the offset of its first byte.
find_output_end() {
  last_output=$output last_begin=0
  [ -n "$segments" ] || return 0
  set +f
  for segment in "$segments"/*; do
    case ${segment##*/} in *[!0-9]* | 0* | ????????????????*) continue ;; esac
    [ "${segment##*/}" -le "$last_begin" ] || last_output=$segment last_begin=${segment##*/}
  done
  set -f
}

set -uf
newline='
'
IFS=$newline
case $mode in launch) launch "$@" ;; *) listen ;; esac
