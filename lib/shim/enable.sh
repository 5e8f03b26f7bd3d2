# Enables controllers for the children of cgroup v2 groups: $1 the controllers, then the groups from
# the mount's root down. One controller at a time, since the kernel takes all of a line or none. Prints
# the last group's list, which tells which ones are enabled. That of CPUs goes no further up than it is:
# before Linux 6.2 it takes the processor affinities (taskset(1)) of every process in the groups below.
set -f
controllers=$1
shift
for last; do :; done
for group; do
  for controller in $controllers; do
    [ "$controller" != cpuset ] || [ "$group" = "$last" ] || continue
    echo "+$controller" >"$group/cgroup.subtree_control"
  done 2>/dev/null
done
read -r enabled <"$group/cgroup.subtree_control" && echo "$enabled"
