# Gives groups of the cpuset controller of cgroup v1 the CPUs and memory nodes of their parents, and has the
# kernel give the same to groups that are made in them: a new one has neither, and takes no process then.
# Takes the groups, outer ones first.
for group; do
  echo 1 >"$group/cgroup.clone_children"
  for name in cpuset.cpus cpuset.mems; do
    read -r own <"$group/$name"
    [ -n "$own" ] || ! read -r all <"${group%/*}/$name" || echo "$all" >"$group/$name"
  done
done 2>/dev/null
:
