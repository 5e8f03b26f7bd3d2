# Runs between the launcher and the command of a job that needs more than the defaults: makes its
# namespaces, drops its privileges, and executes the command. Each stage executes the next.
#
# $1 the stage: namespaces, parent, first, user or command; then the command.
# In the environment, and removed from the command's:
#   job_worker_enter (this text)    job_worker_started (PID)
#   job_worker_isolation (of tmp, network, processes)    job_worker_user (empty: stay root)
#   job_worker_folder    job_worker_names, and for each of them job_worker_env_NAME
# Descriptor 3 is the launcher's report to the server, 9 the launch record.
job_worker_stage=$1
shift
# Short, since process lists show it. Every name has the prefix, so that none can be the job's variable.
job_worker_line='eval "$job_worker_enter"'

refuse() { # KIND DETAIL...
  printf 'refused %s\n' "$@" >&3 2>/dev/null
  exit 125
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
  user)
    [ -z "$job_worker_user" ] ||
      exec setpriv --reuid="$job_worker_user" --regid="$job_worker_group" --init-groups \
        --no-new-privs --bounding-set=-all --inh-caps=-all --ambient-caps=-all \
        -- /bin/sh -c "$job_worker_line" job-worker command "$@"
    ;;
esac
cd -- "$job_worker_folder" 2>/dev/null || refuse working-directory
for job_worker_name in $job_worker_names; do
  eval "export $job_worker_name=\"\$job_worker_env_$job_worker_name\""
  unset "job_worker_env_$job_worker_name"
done
# The server may have died meanwhile; the job runs all the same.
trap '' PIPE
printf 'started %s\n' "$job_worker_started" >&3 2>/dev/null
trap - PIPE
unset OLDPWD job_worker_line job_worker_stage job_worker_name job_worker_reason \
  job_worker_enter job_worker_isolation job_worker_user job_worker_group job_worker_folder \
  job_worker_names job_worker_started job_worker_input job_worker_umask
exec "$@" 3>&- 8>&- 9>&-
