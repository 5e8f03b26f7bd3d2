# Part of the launchers: writes limits into control groups. A launcher has `refuse`, which does not return.

# The shell's echo hides the kernel's reason, so a program repeats the write to get it.
set_file() { # [?]FILE VALUE
  case $1 in \?*)
    [ -e "${1#\?}" ] || return 0
    set -- "${1#\?}" "$2"
    ;;
  esac
  case $1 in */cpuset.cpus)
    set_cpus "$1" "$2"
    return
    ;;
  esac
  echo "$2" >"$1" && return
  reason=$({ env printf '%s' "$2" >"$1"; } 2>&1) && return
  refuse limit "$1" "$2" "${reason##*: }"
}

# cgroup v1 refuses CPUs that the parent does not have, and v2 gives those that both have, or else all. Neither
# takes an empty list from a group with processes in it.
set_cpus() { # FILE LIST, empty: all of the parent's
  group=${1%/*} held=$2
  read -r former <"$1"
  if [ -e "$1.effective" ]; then
    read -r all <"${group%/*}/cpuset.cpus.effective"
  else
    read -r all <"${group%/*}/cpuset.cpus"
    held=${2:-$all}
  fi
  echo "$held" >"$1" || { [ -z "$held" ] && held=$all && echo "$held" >"$1"; } || refuse cpus "$1" "$2" "$all"
  [ -n "$held" ] && [ -e "$1.effective" ] || return 0
  read -r effective <"$1.effective" && [ "$effective" = "$held" ] && return
  echo "$former" >"$1"
  refuse cpus "$1" "$2" "$all"
}

set_disks() {
  each_disk set_disk
}

set_disk() {
  for setting in $disk_settings; do set_file "${setting%% *}" "$number ${setting#* }"; done
}

# Runs a function for each disk, whose number is $number.
each_disk() { # FUNCTION
  set +f
  for device in /sys/block/*/dev; do
    case $device in /sys/block/ram* | /sys/block/zram*) continue ;; esac
    read -r sectors <"${device%dev}size" && [ "$sectors" != 0 ] || continue
    read -r number <"$device" || continue
    "$1"
  done
  set -f
}
