# Prints the names of jobs' control groups in the group $1 that have a process in them, a line each.
[ -d "$1" ] || exit 0
cd -- "$1" || exit
for group in *-*-*-*-*; do
  if [ -e "$group/cgroup.events" ]; then
    while IFS=' ' read -r key value; do
      [ "$key $value" != 'populated 1' ] || printf '%s\n' "$group"
    done <"$group/cgroup.events"
  else
    ! read -r process <"$group/cgroup.procs" || printf '%s\n' "$group"
  fi
done 2>/dev/null
:
