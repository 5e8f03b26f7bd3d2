# Part of the launcher: copies a job's output from a pipe to its file, in a process of its own. The
# job can therefore neither cut off nor grow the file, nor is it held up for good by a disk that
# refuses to take more: what is written meanwhile is thrown away, counted, and told as a gap.
#
# cat(1) copies. How much it had read when the disk refused, no program tells; the kernel does: `rchar`
# of /proc/PID/io counts the bytes that a process and those of its children that were waited for have
# read. What each program reads for itself at its start is measured, and subtracted.
#
# Where the beginning of a file cannot be freed, the output goes on in another file after $segment_bytes or up to
# twice as many: in the folder $segments, its name is the offset of its first byte, and the server removes old ones.
# There dd(1) copies, which ends by itself after so many reads.

# Makes a pipe: descriptor 6 reads, 7 writes. A shell keeps a short here-document in a pipe, of which
# the other end can then be opened: no program is needed, unlike for a named pipe.
open_pipe() { # FOLDER
  exec 6<<END

END
  if [ -p /proc/self/fd/6 ]; then
    read -r line <&6
    exec 7>/proc/self/fd/6
  else
    mkfifo -m 600 "$1/pipe"
    exec 5<>"$1/pipe"
    exec 6<"$1/pipe" 7>"$1/pipe" 5>&-
    rm -f "$1/pipe"
  fi
}

# Copies from descriptor 6 to the output file until no process can write to the pipe any more, or,
# after SIGUSR1, until it is empty. Records each gap in a file, a line each: OFFSET BYTES, before there
# is anything behind it in the output. A gap at the very end goes to the launch record, descriptor 9, in
# which there is always room: `KEY BYTES`.
copy_output() { # OUTPUT GAPS KEY
  unset IFS
  # Who looks for a job's processes by this must not find the copier.
  unset JOB_ID
  # By exec, which, unlike a function's redirections, keeps no copies: of the pipe's other end, say.
  exec 7>&- 8<>"$1" >/dev/null
  is_over= is_drained= own_reads=0 file=$1 file_begin=0
  trap 'is_over=yes; stop_if_drained' USR1
  if [ -n "${segment_bytes-}" ]; then
    position=0
    measure_costs
    copy_on && return
  else
    copy && return
    read -r key consumed </proc/self/io
    measure_costs
    read -r key position </proc/self/fdinfo/8
    lost=$((consumed - own_reads - read_cost - position))
  fi
  until [ -n "$is_drained" ]; do
    drop_for_a_moment && break
    make_room "$file" && printf '%s %s\n' "$((file_begin + position))" "$lost" >>"$2" || continue
    begin_segment "$lost" || skip_gap "$file"
    copy_on && return
  done
  printf '%s %s\n' "$3" "$lost" >&9
}

# Gives the job a second pipe, descriptor 4, and copies from that as well.
copy_errors() { # FILE
  exec 4>&7
  open_pipe "$folder"
  [ -z "${job_worker_user-}" ] || chown -- "$job_worker_user" /proc/self/fd/7
  {
    # Of the output, the job alone is to have the other end.
    exec 4>&-
    copy_output "$1" "$folder/error-gaps" unwritten-errors
  } &
  error_copier=$! errors=4
  exec 6<&- 5>&7 7>&4 4>&5 5>&-
}

measure_costs() {
  if [ -n "${segment_bytes-}" ]; then
    read_cost=$(LC_ALL=C dd bs=4096 count=1 status=none </dev/null && print_consumed)
  else
    read_cost=$(LC_ALL=C cat </dev/null && print_consumed)
  fi
  drop_cost=$(drop </dev/null && print_consumed)
}

# Copies from one file to the next. Fails when the disk refuses; $lost then says how much was read in vain.
copy_on() {
  while copy_and_count; do
    [ -n "${segment_bytes-}" ] && [ -z "$is_drained" ] || return 0
    begin=$position
    read -r key position </proc/self/fdinfo/8
    # Nothing more came.
    [ "$position" != "$begin" ] || return 0
    # Where another file cannot be begun, this one takes more.
    [ "$position" -lt "$segment_bytes" ] || begin_segment 0
  done
  return 1
}

# Goes on in another file, behind a gap of so many bytes. Fails where there is to be none, or the disk refuses.
begin_segment() { # BYTES
  [ -n "${segment_bytes-}" ] || return
  next_begin=$((file_begin + position + $1))
  # Tried by another shell: one that cannot open a file ends. A pipe that somebody has put there takes nothing.
  (exec 8<>"$segments/$next_begin") 2>/dev/null && [ -f "$segments/$next_begin" ] || return
  exec 8<>"$segments/$next_begin"
  # One that has taken nothing would stay for each try.
  [ "$position" != 0 ] || [ "$file_begin" = 0 ] || rm -f "$file"
  file=$segments/$next_begin file_begin=$next_begin position=0 lost=0
}

copy() { # fails when the disk refuses
  if [ -n "${segment_bytes-}" ]; then
    LC_ALL=C dd bs=4096 count="$((segment_bytes / 4096))" status=none <&6 >&8 &
  else
    LC_ALL=C cat <&6 >&8 &
  fi
  reader=$!
  while :; do
    wait "$reader"
    status=$?
    # SIGUSR1 ends a wait early.
    kill -0 "$reader" || break
  done
  [ "$status" = 0 ] || [ -n "$is_drained" ]
}

# When cat waits for more, the pipe is empty: its present system call is then a read of descriptor 0.
stop_if_drained() {
  read -r line <"/proc/$reader/syscall" || line='unknown 0x0'
  own_reads=$((own_reads + ${#line} + 1))
  # Between two segments nobody reads, and the pipe may be full.
  [ -z "${segment_bytes-}" ] || [ -e "/proc/$reader/exe" ] || return 0
  case $line in *' 0x0 '* | 'unknown 0x0') ;; *) return ;; esac
  is_drained=yes
  kill -s KILL "$reader"
}

copy_and_count() { # fails as copy does, and then $lost says how much cat had read in vain
  # To look costs reads, too: as many as between two looks.
  read -r key first </proc/self/io
  read -r key before </proc/self/io
  own_reads=$((before - first))
  copy && return
  read -r key consumed </proc/self/io
  begin=$position
  read -r key position </proc/self/fdinfo/8
  lost=$((consumed - before - own_reads - read_cost - (position - begin)))
  return 1
}

print_consumed() {
  read -r key consumed </proc/self/io
  echo "$consumed"
}

drop() {
  LC_ALL=C timeout --foreground --signal=KILL 1 cat >/dev/null
}

drop_for_a_moment() { # succeeds when nothing more will come
  set -- $(
    drop <&6
    echo "$?"
    print_consumed
  )
  dropped=$(($2 - drop_cost))
  lost=$((lost + dropped))
  [ "$1" = 0 ] || { [ -n "$is_over" ] && [ "$dropped" = 0 ]; }
}

# Whether the disk takes more. Where the filesystem cannot tell, the next copying does.
make_room() { # OUTPUT
  [ -n "${fallocate-}" ] || { own_program fallocate && fallocate=$program; } || fallocate=fallocate
  reason=$(LC_ALL=C "$fallocate" --keep-size --offset "$((position + lost))" --length 262144 "$1" 2>&1) && return
  case $reason in *'not supported'*) ;; *) return 1 ;; esac
}

# Every byte keeps its offset: what comes next is written, and the file ends, behind the gap.
skip_gap() { # OUTPUT
  dd bs=1 count=0 seek="$lost" <&6 >&8
  position=$((position + lost)) lost=0
  truncate --size=">$position" "$1"
}

# Waits until all output is in its file. A process outside of the job's groups may hold the pipe (one
# that PAM has moved, say): what it writes after a second is not the job's any more.
end_copying() { # COPIER [WAITED: so long already, in units of 50 ms]
  pause=0.001
  waited=${2-0}
  while [ -e "/proc/$1/exe" ]; do
    [ "$waited" -lt 20 ] || kill -s USR1 "$1"
    sleep "$pause"
    case $pause in 0.001) pause=0.005 ;; *) pause=0.05 waited=$((waited + 1)) ;; esac
  done
  wait "$1"
}
