# Sets limits for disks that have come since: $1 the numbers of those that were there, separated by spaces,
# then FILE VALUE for each setting, as words; a value that begins with a number is for that disk alone. Prints `disks NUMBER...` of all that are there now, and
# `failed FILE NUMBER` where the kernel refuses.
known=" $1 "
shift
disks=
new=
for device in /sys/block/*/dev; do
  case $device in /sys/block/ram* | /sys/block/zram*) continue ;; esac
  read -r sectors <"${device%dev}size" && [ "$sectors" != 0 ] || continue
  read -r number <"$device" || continue
  disks="$disks $number"
  case $known in *" $number "*) ;; *) new="$new $number" ;; esac
done 2>/dev/null
echo "disks$disks"
[ -n "$new" ] || exit 0
while [ $# -gt 1 ]; do
  case $2 in
    *:*) only=${2%% *} value=${2#* } ;;
    *) only= value=$2 ;;
  esac
  for number in $new; do
    [ "${only:-$number}" = "$number" ] || continue
    # The job may have ended meanwhile.
    echo "$number $value" >"$1" || [ ! -e "$1" ] || echo "failed $1 $number"
  done
  shift 2
done 2>/dev/null
:
