# Removes control groups, with the groups that a job has made in them, and whatever is still in those:
# the job has ended.
remove_groups() { # GROUP...
  rmdir -- "$@" && return
  left=
  for group; do [ ! -d "$group" ] || left=1; done
  [ -n "$left" ] || return 0
  # A process that has just ended may still be in the group for a moment.
  sleep 0.05
  set +f
  for group; do remove_group "$group"; done
  for group; do
    [ -d "$group" ] || continue
    kill_groups "$group"
    sleep 0.05
    remove_group "$group"
  done
  set -f
} 2>/dev/null

remove_group() { # GROUP
  for inner in "$1"/*/; do [ ! -d "$inner" ] || remove_group "$inner"; done
  rmdir -- "$1"
}
