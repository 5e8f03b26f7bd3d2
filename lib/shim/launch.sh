# The launcher: the parent of a job's main process, outside the job's groups. A shell reads this from
# its standard input, and then one job after another: the variables that the job's environment has
# beyond the launcher's, and a call of `launch`. At the end of its input it exits; if a job is running
# then, it first waits for the job's end.
#
# $1 a label for process lists    $2 the launchers' control group
# then the command, where it is too long for the input.
# In the environment, for a job that is not run plainly, what enter.sh takes, and
#   job_worker_priority (of nice(1)), job_worker_open_files; empty: as they are
#   job_worker_umask    job_worker_input (`file`: the job reads the folder's file `input`; `stream`: what
#   comes while it runs, see feed.sh)
#
# The file `launch` in the job's folder is the launch record. Creating it (O_EXCL) decides whether
# this launcher runs the job or a server has withdrawn the start. It is filled with blanks at once and
# then written in place, so that an exit status can be written even when the disk is full:
#   launcher PID START_TIME BOOT_ID
#   job PID START_TIME
#   (the shell's message about the signal that ended the job; it prints nothing in other cases)
#   unwritten BYTES, of the end of the output where the disk refused them; unwritten-errors BYTES the same
#   exit STATUS, counter NAME and its lines, end
#
# On stdout, for each job: `started PID`, or `refused KIND` and details, a line each; then
# `ended` when nothing of the job is left but its groups, which the server removes. A launcher that
# refuses exits. stderr is /dev/null, except while a job runs: then it is the launch record.
#
# The work done here for each job limits how many short jobs run a second, and most of its cost is
# system calls: a redirection takes six, and reading a line takes one for each byte.
set -uf
umask 022
# A host that shuts down sends SIGTERM to every process: the launcher stays, to record the job's end.
trap '' HUP INT TERM PIPE
launchers=$2
shift 2
newline='
'
IFS=$newline

refuse() { # KIND DETAIL...
  printf 'refused %s\n' "$@"
  rmdir -- $groups
  exit 0
}

# Finds out what enter.sh needs to know, and whether it can do its work.
prepare_entry() {
  namespaces=
  case $job_worker_isolation in ?*) namespaces=--mount ;; esac
  case $job_worker_isolation in *network*) namespaces=$namespaces$newline--net ;; esac
  [ -z "$namespaces" ] || reason=$(unshare $namespaces -- true 2>&1) || refuse isolation "$reason"
  if [ -n "$job_worker_open_files" ]; then
    # The kernel would let root go beyond.
    most=$(ulimit -Hn)
    [ "$most" = unlimited ] || [ "$job_worker_open_files" -le "$most" ] ||
      refuse open-files "$job_worker_open_files" "$most"
  fi
  if [ -n "$job_worker_user" ]; then
    command -v timeout >/dev/null || refuse missing timeout
    for entry in setpriv getent; do own_program "$entry" || refuse missing "$problem"; done
    case $job_worker_user in
      # A uid of --owner-uids, which no user has.
      [0-9]*) entry="$job_worker_user::$job_worker_user:$job_worker_user::/:" job_worker_groups=--clear-groups ;;
      *)
        entry=$("$program" passwd -- "$job_worker_user") || refuse user "$job_worker_user"
        job_worker_groups=--init-groups
        ;;
    esac
    set_user "$entry"
    [ -z "$job_worker_primary_group" ] || set_group
  fi
}

set_user() { # LINE of passwd(5)
  USER=$job_worker_user LOGNAME=$job_worker_user
  IFS=:
  set -- $1
  IFS=$newline
  # By number from here on, so that the name is looked up only once.
  job_worker_user=$3 HOME=$6
  export job_worker_user job_worker_group="$4" job_worker_groups
}

# All the user's groups stay. With own_program getent before.
set_group() {
  entry=$("$program" group -- "$job_worker_primary_group") || refuse group "$job_worker_primary_group"
  entry=${entry#*:*:}
  job_worker_group=${entry%%:*}
}

# In the job's groups. On cgroup v1, whose files do not tell, also in those that the job has made.
has_processes() {
  case $populated_file in
    */cgroup.events)
      ! is_populated "$populated_file" || return 0
      for group in $groups; do
        [ "$group/cgroup.events" = "$populated_file" ] && continue
        read -r process <"$group/cgroup.procs" && [ "$process" != 0 ] && return 0
      done
      return 1
      ;;
  esac
  set +f
  for group in $groups; do
    holds_process "$group" && break
  done
  found=$?
  set -f
  return "$found"
}

holds_process() { # GROUP
  read -r process <"$1/cgroup.procs" && [ "$process" != 0 ] && return
  for inner in "$1"/*/; do
    [ ! -d "$inner" ] || ! holds_process "$inner" || return 0
  done
  return 1
}

# Ends the processes that the main process leaves behind: SIGTERM, the grace period, SIGKILL. While a
# server is stopping the job (the file `stopping` exists), the server does this and times it.
clear_remains() {
  if [ ! -e "$folder/stopping" ]; then
    set +f
    signal_all TERM "${populated_file%/*}"
    # A stopped process (SIGSTOP) hears SIGTERM only when it goes on.
    signal_all CONT "${populated_file%/*}"
    set -f
  fi
  pause=0.005
  waited=0
  while has_processes; do
    if [ "$waited" -ge "$grace" ] && [ ! -e "$folder/stopping" ]; then
      set +f
      kill_groups $groups
      set -f
    fi
    sleep "$pause"
    case $pause in 0.005) pause=0.02 ;; *) pause=0.05 waited=$((waited + 1)) ;; esac
  done
}

launch() { # as named below, then the command. Lists have one entry a line; every path is absolute.
  # the job's folder, the file its output is copied to (two: its standard error to the other), its control groups
  folder=$1 output=$2 groups=$3
  # FILE VALUE, or ?FILE VALUE for a file that not every kernel has
  settings=$4
  # FILE VALUE, made once for each disk, whose number is put before the value
  disk_settings=$5
  # NAME FILE of the counters that are recorded; the file that tells whether a process is left
  counters=$6 populated_file=$7
  # grace period for what the main process leaves behind, in units of 50 ms
  grace=$8
  shift 8
  begin_launch_record
  # What enter.sh runs, it also looks for: in the job's folder, and as the job's user.
  if [ -n "${job_worker_enter-}" ]; then
    prepare_entry
  else
    find_command "$1" "$PATH" || refuse "$problem"
  fi
  # First: limits of named disks go over those for each disk.
  [ -z "$disk_settings" ] || set_disks
  for setting in $settings; do set_file "${setting%% *}" "${setting#* }"; done

  feeder=
  [ "${job_worker_input-}" != stream ] || open_input "$folder/stdin"
  # Descriptors of the job's own: 7 becomes its standard output, $errors its standard error.
  errors=1 error_copier=
  open_pipe "$folder"
  # Whoever opens /dev/stdout or /dev/stderr needs the permissions of the pipe.
  [ -z "${job_worker_user-}" ] || chown -- "$job_worker_user" /proc/self/fd/7
  copy_output "${output%%$newline*}" "$folder/gaps" unwritten &
  copier=$!
  exec 6<&-
  case $output in *$newline*) copy_errors "${output#*$newline}" ;; esac
  # In the foreground: a shell makes background processes ignore SIGINT and SIGQUIT.
  exec 3>&2 2>&9
  (
    exec 2>&3
    for group in $groups; do
      echo 0 >"$group/cgroup.procs" || {
        printf 'refused %s\n' limit "$group/cgroup.procs" 0 "the group cannot be joined"
        exit 125
      }
    done
    [ "$oom_adjustment" = 0 ] || echo 0 >/proc/self/oom_score_adj
    # The only way for a forked shell to learn its own process id without another fork.
    IFS=' '
    read -r stat </proc/self/stat
    parse_stat "$stat"
    IFS=$newline
    pid=${stat%% *}
    printf 'job %s\n' "$pid $start_time" >&9
    if [ -n "${job_worker_enter-}" ]; then
      export job_worker_started="started $pid"
      exec 3>&1 </dev/null >&7 2>&$errors 7>&-
      [ "$errors" = 1 ] || exec 4>&-
      case $job_worker_input in
        file) exec <"$folder/input" ;;
        stream)
          case $job_worker_isolation in
            *processes*) offer_input ;;
            *) enter_input ;;
          esac && exec 8>&-
          ;;
      esac
      umask "$job_worker_umask"
      enter='eval "$job_worker_enter"'
      trap - HUP INT TERM PIPE
      [ -n "$namespaces" ] || set -- /bin/sh -c "$enter" job-worker user "$@"
      [ -z "$namespaces" ] ||
        set -- unshare $namespaces -- /bin/sh -c "$enter" job-worker namespaces "$@"
      [ -z "$job_worker_open_files" ] || ulimit -n "$job_worker_open_files"
      set -- "$setsid" -- "$@"
      [ -z "$job_worker_priority" ] || set -- nice -n "$job_worker_priority" "$@"
      exec "$@"
    fi
    printf 'started %s\n' "$pid"
    trap - HUP INT TERM PIPE
    exec </dev/null >&7 2>&$errors 3>&- 7>&- 9>&-
    [ "$errors" = 1 ] || exec 4>&-
    exec "$setsid" -- "$@"
  )
  status=$?
  # What is run from here on is not the job's.
  unset JOB_ID
  exec 2>&3 3>&- 7>&-
  [ "$errors" = 1 ] || exec 4>&-
  has_processes && clear_remains
  [ -z "$feeder" ] || end_feeding
  set_record "exit $status"
  end_copying "$copier"
  [ -z "$error_copier" ] || end_copying "$error_copier" "$waited"
  # Where it cannot be written, the exit of this process tells that the job has ended, and why.
  printf '%s\n' "$record" >&9 || exit 74
  exec 9>&-
  # The pipe has no reader when the server is gone, or has released the launcher of a long job.
  printf 'ended\n' || remove_groups $groups
}

exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
IFS=:
for entry in $PATH; do [ ! -x "$entry/setsid" ] || break; done
setsid=$entry/setsid
IFS=' '
read -r stat </proc/self/stat
parse_stat "$stat"
IFS=$newline
read -r boot_id </proc/sys/kernel/random/boot_id
read -r oom_adjustment </proc/self/oom_score_adj
[ "$nice" = 0 ] || renice -n 0 -p "$$" >/dev/null
# No core dumps, unless a job raises this itself. The server may have been started with any limit.
ulimit -Sc 0
myself="$$ $start_time $boot_id"
echo 0 >"$launchers/cgroup.procs"
