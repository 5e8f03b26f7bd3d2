# Prints those of the given processes that are alive, each given as PID:START_TIME.
set -f
for process; do
  read -r stat <"/proc/${process%%:*}/stat" || continue
  parse_stat "$stat"
  [ "$state" = Z ] || [ "$start_time" != "${process#*:}" ] || echo "$process"
done 2>/dev/null
:
