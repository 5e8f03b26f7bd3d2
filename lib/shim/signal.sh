# Sends signal $1 to every process of the groups that follow, and of the groups that jobs have made
# in theirs.
# SIGKILL goes by cgroup.kill (Linux 5.14), or by freezing first where there is only cgroup v1, so
# that no process can fork its way out in between.
signal=$1
shift
for group; do
  if [ "$signal" = KILL ] && [ -e "$group/cgroup.kill" ]; then
    echo 1 >"$group/cgroup.kill"
  elif [ "$signal" = KILL ] && [ -e "$group/freezer.state" ]; then
    echo FROZEN >"$group/freezer.state"
    signal_all "$signal" "$group"
    echo THAWED >"$group/freezer.state"
  else
    signal_all "$signal" "$group"
  fi
done 2>/dev/null
:
