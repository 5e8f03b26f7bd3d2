# Prints what this host has, a line each: `boot ID`, `mount TYPE FOLDER OPTIONS` of control groups,
# `controllers FOLDER NAME...` (of a cgroup v2 mount), `missing PROGRAM`, and `descriptor NUMBER` for
# each descriptor that the server has inherited and jobs would inherit too: a shell can close only 0 to 9.
# And `processors LIST`, all of the host's, where the server was started with fewer than its cpuset allows
# (sched_setaffinity(2)).
set -f
read -r boot_id </proc/sys/kernel/random/boot_id && echo "boot $boot_id"
while read -r device folder type options rest; do
  case $type in cgroup | cgroup2)
    echo "mount $type $folder $options"
    [ "$type" = cgroup2 ] && read -r controllers <"$folder/cgroup.controllers" &&
      echo "controllers $folder $controllers"
    ;;
  esac
done </proc/self/mounts
for program in setsid sleep rmdir env; do
  command -v "$program" >/dev/null || echo "missing $program"
done
read -r processors </sys/devices/system/cpu/possible &&
  affinity=$(LC_ALL=C taskset -pc "$processors" "$$") && {
  newline='
'
  own=${affinity%%"$newline"*}
  [ "${own##*: }" = "${affinity##*: }" ] || echo "processors $processors"
} 2>/dev/null
own_program fallocate || echo "missing $problem"
set +f
for descriptor in /proc/$$/fd/*; do
  number=${descriptor##*/}
  # The descriptor that the glob itself used is closed by now.
  [ "$number" -lt 10 ] || [ ! -e "$descriptor" ] || echo "descriptor $number"
done
