# Prints those of the given processes that live, each given as PID:START_TIME. The start time tells
# a process from a later one with the same id.
set -f
for process; do
  read -r stat <"/proc/${process%%:*}/stat" || continue
  set_aside=${stat##*) }
  field=2
  for start_time in $set_aside; do
    field=$((field + 1))
    [ "$field" -lt 22 ] || break
  done
  case $set_aside in Z*) continue ;; esac
  [ "$start_time" != "${process#*:}" ] || echo "$process"
done 2>/dev/null
:
