# Changes limits of a job that runs: all, or none. Stdin is not read; the arguments:
#   $1 settings, `FILE VALUE` or `?FILE VALUE` a line (a file that not every kernel has), in their order
#   $2 the same for each disk, whose number is put before the value; before the others
#   $3, if given: a group of cgroup v1 that is made unless it is there, for all processes of the group $4
# Prints `memory BYTES` of a memory limit as the kernel has rounded it; or `refused FILE VALUE REASON` where
# the kernel does not take a value (`used BYTES`: that much memory cannot be freed): what was written before
# is then written back, and `kept FILE VALUE` says where that fails. `gone` where the job's groups are no
# longer there.
#
# cgroup v1 refuses a memory limit below what is used and cannot be freed; cgroup v2 would kill the job.
# memory.high frees what can be freed, kills nobody, and holds the job back while memory.max is set.

old=

refuse() { # limit|cpus FILE VALUE REASON
  why=$4
  [ "$1" = limit ] || why="has $4"
  case $2$4 in */memory.limit_in_bytes*busy)
    ! read -r used <"${2%/*}/memory.usage_in_bytes" || why="used $used"
    ;;
  esac
  if [ -e "$2" ]; then printf 'refused %s\n' "$2 $3 $why"; else echo gone; fi
  restore
  exit 0
}

restore() {
  for entry in $old; do
    [ ! -e "${entry%% *}" ] || echo "${entry#* }" >"${entry%% *}" || printf 'kept %s\n' "$entry"
  done
}

change_file() { # [?]FILE VALUE
  file=${1#\?}
  [ -e "$file" ] || [ "$file" = "$1" ] || return 0
  case $file in */io.max | */blkio.throttle.*)
    number=${2%% *}
    change_for_disk "$file" "${2#* }"
    return
    ;;
  esac
  IFS= read -r before <"$file" || refuse limit "$file" "$2" "it cannot be read"
  case $file in */memory.max) make_room "$file" "$2" ;; esac
  set_file "$file" "$2"
  old=$file\ $before$newline$old
  changed=$changed$file$newline
}

# Processes fork meanwhile: their children are where they are, so nobody is left after a few rounds.
move_processes() { # TO FROM
  [ -d "$1" ] || mkdir -- "$1" || refuse limit "$1" 0 "it cannot be made"
  rounds=0
  set +f
  while
    inside=$newline left=''
    while read -r process; do inside=$inside$process$newline; done <"$1/cgroup.procs"
    move_from "$2" "$1"
    [ -n "$left" ]
  do
    rounds=$((rounds + 1))
    [ "$rounds" -lt "$max_rounds" ] || refuse limit "$1/cgroup.procs" 0 "not all processes can be moved"
  done
  set -f
}
max_rounds=100

move_from() { # FROM TO, also from the groups that the job has made
  while read -r process; do
    case $inside in *"$newline$process$newline"*) continue ;; esac
    left=yes
    echo "$process" >"$2/cgroup.procs"
  done <"$1/cgroup.procs"
  for inner in "$1"/*/; do [ ! -d "$inner" ] || move_from "$inner" "$2"; done
}

# Holds memory.high down; it is put back with the rest, or when memory.max is set.
make_room() { # FILE VALUE
  group=${1%/*}
  [ "$2" != max ] && read -r used <"$group/memory.current" && [ "$used" -gt "$2" ] || return 0
  IFS= read -r high <"$group/memory.high" || refuse limit "$1" "$2" "used $used"
  set_file "$group/memory.high" "$2"
  old=$group/memory.high\ $high$newline$old
  read -r used <"$group/memory.current"
  [ "$used" -le "$2" ] || refuse limit "$1" "$2" "used $used"
  lowered=$lowered$group/memory.high\ $high$newline
}

change_disk() {
  for setting in $disk_settings; do change_for_disk "${setting%% *}" "${setting#* }"; done
}

change_for_disk() { # FILE VALUE, for the disk $number
  before=
  while IFS= read -r line; do
    case $line in "$number "*) before=$line ;; esac
  done <"$1"
  case $1 in
    */io.max) before=${before:-$number rbps=max wbps=max riops=max wiops=max} ;;
    *) before=${before:-$number 0} ;;
  esac
  set_file "$1" "$number $2"
  old=$1\ $before$newline$old
}

set -f
newline='
'
IFS=$newline
disk_settings=$2
changed= lowered=
[ -z "${3-}" ] || move_processes "$3" "$4" 2>/dev/null
# First: limits of named disks go over those for each disk.
[ -z "$disk_settings" ] || each_disk change_disk 2>/dev/null
for setting in $1; do change_file "${setting%% *}" "${setting#* }"; done 2>/dev/null
for entry in $lowered; do echo "${entry#* }" >"${entry%% *}"; done 2>/dev/null
for file in $changed; do
  case $file in */memory.max | */memory.limit_in_bytes)
    read -r line <"$file" && echo "memory $line"
    ;;
  esac
done 2>/dev/null
:
