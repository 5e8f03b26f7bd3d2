# Hands controllers down to the children of cgroup v2 groups: $1 the controllers, then the groups
# from the mount's root down. One controller at a time, since the kernel refuses all or none; what
# could not be had shows in the last group's own list, which is printed.
set -f
controllers=$1
shift
for group; do
  for controller in $controllers; do
    echo "+$controller" >"$group/cgroup.subtree_control"
  done 2>/dev/null
done
read -r enabled <"$group/cgroup.subtree_control" && echo "$enabled"
