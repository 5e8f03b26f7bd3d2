# Part of the scripts that tell a process from a later one with the same id.
#
# Sets $state, $session, $nice and $start_time from a line of /proc/PID/stat (fields 3, 6, 19 and 22 of proc(5)). Field 2, the
# process's name in brackets, may contain spaces and brackets: fields are counted after the last one.
# IFS must contain a space, and globbing be off.
parse_stat() { # LINE
  set -- ${1##*) }
  state=${1-} session=${4-} nice=${17-} start_time=${20-}
}
