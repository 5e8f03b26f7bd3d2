# Runs between the launcher and the command of a job that needs more than the defaults: makes its
# namespaces, drops its privileges, and executes the command. Each stage executes the next.
#
# $1 the stage: namespaces, parent, first, user, check or command; then the command.
# In the environment, and removed from the command's:
#   job_worker_enter (this text)    job_worker_started (the line that tells the launcher of the start)
#   job_worker_isolation (of tmp, network, processes)    job_worker_folder
#   job_worker_user, job_worker_group (numbers), job_worker_groups (setpriv's option); empty: stay root
#   job_worker_primary_group, for the launcher (a name, for job_worker_group); empty: the user's own
#   job_worker_program (a file with which something is wrong, as root sees it; or only if
#   job_worker_interpreter, unless empty, is no program for the user)
#   job_worker_names, and for each of them job_worker_env_NAME
#   job_worker_others: how many variables a shell cannot set; job_worker_other_1 and so on, NAME=VALUE
#
# Descriptor 3 is the launcher's report to the server, 9 the launch record; 5, where the job has processes of
# its own and an input that comes while it runs, what feed.sh offers. A process can take the
# descriptors of every process of its user (pidfd_getfd(2)), and trace it: so no process that is not
# root's ever has these two, is believed more than its exit status, or is outside the job's groups.
job_worker_stage=$1
shift
# Short, since process lists show it. Every name has the prefix, so that none can be the job's variable.
job_worker_line='eval "$job_worker_enter"'
program=setpriv
[ -z "$job_worker_user" ] || [ "$job_worker_stage" = command ] || own_program setpriv
job_worker_setpriv="$program --reuid=$job_worker_user --regid=$job_worker_group $job_worker_groups
  --no-new-privs --bounding-set=-all --inh-caps=-all --ambient-caps=-all"
# Other processes of the user can suspend the check, and file servers can be slow.
job_worker_check_seconds=10

refuse() { # KIND DETAIL...
  printf 'refused %s\n' "$@" >&3 2>/dev/null
  exit 125
}

can_start() { # NAME; when not, $problem says why
  problem=working-directory
  cd -- "$job_worker_folder" 2>/dev/null && find_command "$1" "${job_worker_env_PATH-$PATH}"
}

# Only who can start the program is told what is wrong with it.
is_unsound() { # the program $found
  [ -n "$job_worker_program" ] && [ "$found" -ef "$job_worker_program" ] || return
  [ -z "$job_worker_interpreter" ] ||
    ! find_command "$job_worker_interpreter" "${job_worker_env_PATH-$PATH}"
}

check_as_user() { # NAME
  timeout -s KILL "$job_worker_check_seconds" $job_worker_setpriv \
    -- /bin/sh -c "$job_worker_line" job-worker check "$1" </dev/null >/dev/null 2>&1 3>&- 8>&- 9>&-
  job_worker_status=$?
  case $job_worker_status in
    0) return ;;
    10) refuse working-directory ;;
    11) refuse not-found ;;
    12) refuse not-executable ;;
    13) refuse folder ;;
    14) refuse program ;;
    124 | 137) refuse check-timeout "$job_worker_check_seconds" ;;
    *) refuse check "$job_worker_status" ;;
  esac
}

case $job_worker_stage in
  namespaces)
    case $job_worker_isolation in *tmp*)
      for folder in /tmp /var/tmp; do
        [ ! -d "$folder" ] || [ -L "$folder" ] ||
          job_worker_reason=$(mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$folder" 2>&1) ||
          refuse isolation "$job_worker_reason"
      done
      ;;
    esac
    case $job_worker_isolation in *network*)
      # Without the program the loopback interface exists, but is down.
      ! command -v ip >/dev/null || ip link set lo up 2>/dev/null
      ;;
    esac
    case $job_worker_isolation in
      *processes*) exec unshare --pid -- /bin/sh -c "$job_worker_line" job-worker parent "$@" ;;
    esac
    exec /bin/sh -c "$job_worker_line" job-worker user "$@"
    ;;
  parent)
    # Signals that end the job are for the command, not for this process, which waits for it. A handler
    # is reset by exec, unlike an ignored signal. The shell's message about a signal goes to the launch record.
    trap : HUP INT QUIT USR1 USR2 ALRM TERM CONT WINCH
    exec 8>&2 2>&9
    (exec /bin/sh -c "$job_worker_line" job-worker first "$@" 2>&8)
    exit $?
    ;;
  first)
    # The first process of the namespace: the kernel sends it no signal that it has no handler for, and
    # it is the parent of every orphan.
    job_worker_reason=$(mount -t proc -o nosuid,nodev,noexec proc /proc 2>&1) || refuse isolation "$job_worker_reason"
    exec 8>&2 2>&9
    (exec /bin/sh -c "$job_worker_line" job-worker user "$@" 2>&8 8>&- 9>&-)
    exit $?
    ;;
  check)
    if can_start "$1"; then
      is_unsound && exit 14
      exit 0
    fi
    case $problem in
      working-directory) exit 10 ;;
      not-executable) exit 12 ;;
      folder) exit 13 ;;
      *) exit 11 ;;
    esac
    ;;
  user)
    if [ -n "$job_worker_user" ]; then check_as_user "$1"; else can_start "$1" || refuse "$problem"; fi
    case $job_worker_input,$job_worker_isolation in
      stream,*processes*)
        exec </proc/self/fd/5/6
        echo >/proc/self/fd/5/8
        exec 5<&-
        ;;
    esac
    # The server may have died meanwhile; the job runs all the same.
    trap '' PIPE
    printf '%s\n' "$job_worker_started" >&3 2>/dev/null
    trap - PIPE
    exec 3>&- 8>&- 9>&-
    # Now, since a process of the user would have a pipe for the answer, which others could write into.
    [ "$job_worker_others" = 0 ] ||
      export job_worker_env="$(command -v env)" job_worker_nice="$(command -v nice)"
    [ -z "$job_worker_user" ] ||
      exec $job_worker_setpriv -- /bin/sh -c "$job_worker_line" job-worker command "$@"
    ;;
esac

cd -- "$job_worker_folder" || exit 125
# What a shell cannot set goes by env(1), which takes all words with a = for variables, the command too.
job_worker_words=
job_worker_set=
while [ "$job_worker_others" -gt 0 ]; do
  job_worker_words="$job_worker_words \"\$job_worker_other_$job_worker_others\""
  job_worker_set="$job_worker_set job_worker_other_$job_worker_others"
  job_worker_others=$((job_worker_others - 1))
done
if [ -n "$job_worker_words" ]; then
  case $1 in *=*) set -- "$job_worker_nice" -n 0 -- "$@" ;; esac
  eval "set -- \"\$job_worker_env\" -- $job_worker_words \"\$@\""
  unset $job_worker_set
fi
unset OLDPWD
# A shell may have something to say about the values of LANG and others.
for job_worker_name in $job_worker_names; do
  eval "export $job_worker_name=\"\$job_worker_env_$job_worker_name\""
  unset "job_worker_env_$job_worker_name"
done 2>/dev/null
unset job_worker_line job_worker_stage job_worker_name job_worker_reason job_worker_setpriv \
  job_worker_check_seconds job_worker_status job_worker_words job_worker_set job_worker_env job_worker_nice \
  job_worker_enter job_worker_isolation job_worker_user job_worker_group job_worker_groups \
  job_worker_primary_group \
  job_worker_folder job_worker_names job_worker_others job_worker_started job_worker_input \
  job_worker_umask job_worker_priority job_worker_open_files job_worker_program job_worker_interpreter
exec "$@"
