# Sends the signals $1, one after the other, to every process of the groups that follow, and of the
# groups that jobs have made in theirs. SIGKILL goes by kill_groups. Prints `reached` where there was a
# process.
signals=$1
shift
reached=
if [ "$signals" = KILL ]; then
  kill_groups "$@"
else
  for signal in $signals; do
    for group; do signal_all "$signal" "$group"; done
  done
fi 2>/dev/null
[ -z "$reached" ] || echo reached
:
