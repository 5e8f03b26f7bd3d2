# Part of the scripts that use programs of which busybox has one of the same name that can do less.
# IFS must be a newline or the default.

own_program() { # NAME; $program is the first in the PATH that is not busybox's; fails where there is none
  problem=$1
  separators=${IFS-unset}
  IFS=:
  set -f
  set -- "$1" $PATH
  case $separators in unset) unset IFS ;; *) IFS=$separators ;; esac
  name=$1
  shift
  for place; do
    [ -x "$place/$name" ] || continue
    problem="$name (busybox's cannot do what the one of util-linux or libc-bin can)"
    for busybox in /bin/busybox /usr/bin/busybox /sbin/busybox; do
      [ ! "$place/$name" -ef "$busybox" ] || continue 2
    done
    program=$place/$name
    return
  done
  return 1
}
