# Part of the scripts that run on a cluster's node: the job's own control groups inside its step, for its
# limits and counters. Only root can make groups. With cgroup v1 there is one in each hierarchy; with v2
# the limits are set on the step's own group, since the engine looks for processes in no other.

# Sets $groups, those that a job's process has to enter, a line each, and $counters, a line NAME FILE each.
make_groups() {
  groups='' counters=''
  find_places
  for place in $places; do
    set_group
    [ "$controller" = v2 ] || [ -z "$is_root" ] || add_group
  done
  # One process makes all of them.
  [ -z "$groups" ] || mkdir -- $groups 2>/dev/null || refuse_group
  for place in $places; do
    set_group
    count_group
    limit_group
  done
  [ -z "$cpu_quota" ] || refuse controller cpu
  [ -z "$memory_bytes$memory_high" ] || refuse controller memory
  [ -z "$read_rate$write_rate$read_operations$write_operations" ] || refuse controller io
  [ -z "$processes" ] || refuse controller pids
}

# Sets the same to what the launcher has made.
find_groups() {
  groups='' counters=''
  find_places
  for place in $places; do
    set_group
    [ "$controller" = v2 ] || [ ! -d "$group" ] || groups=$groups$group$newline
    count_group
  done
}

# Sets $controller and $group of a place.
set_group() {
  controller=${place%% *} group=${place#* }
  [ "$controller" = v2 ] || [ -z "$is_root" ] || group=$group/$group_name
}

# Sets $places, a line CONTROLLER FOLDER each, the folder being this process's group.
find_places() {
  places=''
  while IFS=' ' read -r device mount type options rest; do
    case $type in cgroup | cgroup2) find_places_in_mount ;; esac
  done </proc/self/mounts
}

find_places_in_mount() {
  while IFS=: read -r number names path; do
    if [ "$type$names" = cgroup2 ]; then
      case $path/ in */job_"$SLURM_JOB_ID"/*) places=${places}v2\ $mount${path%/}$newline ;; esac
    elif [ "$type" = cgroup ]; then
      for controller in cpu cpuacct memory blkio pids; do
        case ",$options, ,$names," in
          *,"$controller",*\ *,"$controller",*) places=$places$controller\ $mount${path%/}$newline ;;
        esac
      done
    fi
  done </proc/self/cgroup
}

add_group() {
  case $newline$groups in *"$newline$group$newline"*) return ;; esac
  sweep_groups "${group%/*}"
  groups=$groups$group$newline
}

refuse_group() {
  for group in $groups; do [ -d "$group" ] || break; done
  refuse limit "$group/cgroup.procs" 0 "the group cannot be made"
}

# Removes what launchers have left that were killed: the engine has no such job on this host any more.
sweep_groups() { # FOLDER
  set +f
  for left in "$1"/job-worker-*-*-*-*-*-*; do
    [ -d "$left" ] && [ -n "$step" ] || continue
    number=${left##*/job-worker-}
    is_known_job "${number%%-*}" || rmdir -- "$left"
  done 2>/dev/null
  set -f
}

is_known_job() { # NUMBER
  for known in "${step%/slurm*}"/slurm*/uid_*/job_"$1"; do
    [ ! -d "$known" ] || return 0
  done
  return 1
}

add_counters() { # GROUP NAME...
  folder_of_counters=$1
  shift
  for name; do
    [ ! -r "$folder_of_counters/$name" ] || counters=$counters$name\ $folder_of_counters/$name$newline
  done
}

# Without a group of its own, only what the engine counts for the step alone.
count_group() {
  case $controller:$group/ in
    v2:*) add_counters "$group" cpu.stat memory.current memory.peak memory.events io.stat ;;
    *:*/job_"$SLURM_JOB_ID"/* | *:*/"$group_name"/) add_v1_counters ;;
  esac
}

add_v1_counters() {
  case $controller in
    cpu) add_counters "$group" cpu.stat ;;
    cpuacct) add_counters "$group" cpuacct.usage ;;
    memory) add_counters "$group" memory.usage_in_bytes memory.max_usage_in_bytes memory.oom_control ;;
    blkio) add_counters "$group" blkio.throttle.io_service_bytes_recursive ;;
    pids) add_counters "$group" pids.current ;;
  esac
}

# Sets what this group can hold of the limits, and forgets them then.
limit_group() {
  [ -n "$is_root" ] || return 0
  disk_settings=''
  case $controller in
    cpu)
      [ -z "$cpu_quota" ] || set_file "$group/cpu.cfs_period_us" "$cpu_period"
      [ -z "$cpu_quota" ] || set_file "$group/cpu.cfs_quota_us" "$cpu_quota"
      cpu_quota=''
      ;;
    memory)
      [ -z "$memory_bytes" ] || set_file "$group/memory.limit_in_bytes" "$memory_bytes"
      [ -z "$memory_bytes" ] || set_file "?$group/memory.memsw.limit_in_bytes" "$memory_bytes"
      memory_bytes=''
      ;;
    blkio)
      [ -z "$read_rate" ] || disk_settings="$group/blkio.throttle.read_bps_device $read_rate$newline"
      [ -z "$write_rate" ] ||
        disk_settings="$disk_settings$group/blkio.throttle.write_bps_device $write_rate$newline"
      [ -z "$read_operations" ] ||
        disk_settings="$disk_settings$group/blkio.throttle.read_iops_device $read_operations$newline"
      [ -z "$write_operations" ] ||
        disk_settings="$disk_settings$group/blkio.throttle.write_iops_device $write_operations$newline"
      read_rate='' write_rate='' read_operations='' write_operations=''
      ;;
    pids)
      [ -z "$processes" ] || set_file "$group/pids.max" "$processes"
      processes=''
      ;;
    v2)
      if [ -n "$cpu_quota" ] && [ -e "$group/cpu.max" ]; then
        set_file "$group/cpu.max" "$cpu_quota $cpu_period"
        cpu_quota=''
      fi
      if [ -n "$memory_bytes" ] && [ -e "$group/memory.max" ]; then
        set_file "$group/memory.max" "$memory_bytes"
        set_file "?$group/memory.swap.max" 0
        memory_bytes=''
      fi
      if [ -n "$memory_high" ] && [ -e "$group/memory.high" ]; then
        set_file "$group/memory.high" "$memory_high"
        memory_high=''
      fi
      if [ -n "$read_rate$write_rate$read_operations$write_operations" ] && [ -e "$group/io.max" ]; then
        disk_settings="$group/io.max ${read_rate:+rbps=$read_rate}${write_rate:+ wbps=$write_rate}"
        disk_settings="$disk_settings${read_operations:+ riops=$read_operations}"
        disk_settings="$disk_settings${write_operations:+ wiops=$write_operations}$newline"
        read_rate='' write_rate='' read_operations='' write_operations=''
      fi
      if [ -n "$processes" ] && [ -e "$group/pids.max" ]; then
        set_file "$group/pids.max" "$processes"
        processes=''
      fi
      ;;
  esac
  [ -z "$disk_settings" ] || set_disks
}

# A process that has just ended may still be in its group for a moment.
remove_job_groups() {
  [ -z "$groups" ] || rmdir -- $groups
  for try in 1 2 3 4 5 6 7 8 9 10; do
    [ -n "$groups" ] || return 0
    left=''
    for group in $groups; do
      [ ! -d "$group" ] || remove_group "$group"
      [ ! -d "$group" ] || left=$left$group$newline
    done
    groups=$left
    [ -z "$groups" ] || sleep 0.05
  done
} 2>/dev/null

remove_group() { # GROUP, with those that the job has made in it
  set +f
  for inner in "$1"/*/; do [ ! -d "$inner" ] || remove_group "${inner%/}"; done
  set -f
  rmdir -- "$1"
}
