# Tells what control groups this host has, a line each: `boot ID`, `mount TYPE FOLDER OPTIONS`,
# `controllers FOLDER NAME...` (of a cgroup v2 mount), `missing PROGRAM`, and `descriptor NUMBER` of
# what the server has inherited itself and jobs would inherit too: the shell can close the first ten.
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
for program in setsid sleep rmdir env fallocate; do
  command -v "$program" >/dev/null || echo "missing $program"
done
set +f
for descriptor in /proc/$$/fd/*; do
  number=${descriptor##*/}
  # The glob's own descriptor is gone again.
  [ "$number" -lt 10 ] || [ ! -e "$descriptor" ] || echo "descriptor $number"
done
