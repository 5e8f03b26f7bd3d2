# Sends the signals $1, one after the other, to every process of the groups that follow, and of the
# groups that jobs have made in theirs. Prints `reached` where there was a process.
# SIGKILL goes by cgroup.kill (Linux 5.14), or by freezing first where there is only cgroup v1, so
# that no process can fork its way out in between.
signals=$1
shift
reached=
for group; do
  if [ "$signals" = KILL ] && [ -e "$group/cgroup.kill" ]; then
    while IFS=' ' read -r key value; do
      [ "$key $value" != "populated 1" ] || reached=1
    done <"$group/cgroup.events"
    echo 1 >"$group/cgroup.kill"
  elif [ "$signals" = KILL ] && [ -e "$group/freezer.state" ]; then
    echo FROZEN >"$group/freezer.state"
    signal_all KILL "$group"
    echo THAWED >"$group/freezer.state"
  else
    for signal in $signals; do signal_all "$signal" "$group"; done
  fi
done 2>/dev/null
[ -z "$reached" ] || echo reached
:
