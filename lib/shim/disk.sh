# Looks up disks: the arguments are paths below /dev, or numbers MAJOR:MINOR. Prints a line for each: `disk
# MAJOR:MINOR`; `partition NAME`, the name of its disk; `unheld` where limits for each disk are not set either
# (see set_limits.sh); `absent`.
look_up() { # PATH or NUMBER
  number=$1
  case $1 in /*)
    [ -b "$1" ] && type=$(stat -L -c '%t %T' -- "$1") || return
    number=$((0x${type% *})):$((0x${type#* }))
    ;;
  esac
  found=$(readlink -f "/sys/dev/block/$number") && [ -d "$found" ] || return
  if [ -e "$found/partition" ]; then
    found=${found%/*}
    result="partition ${found##*/}"
    return
  fi
  result=unheld
  case ${found##*/} in ram* | zram*) return ;; esac
  read -r sectors <"$found/size" && [ "$sectors" != 0 ] || return
  read -r number <"$found/dev" && result="disk $number"
}

for name; do
  result=absent
  look_up "$name"
  echo "$result"
done 2>/dev/null
:
