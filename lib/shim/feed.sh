# Part of the launcher: feeds a job's standard input, where clients send it while the job runs, from files
# into a pipe, in a process of its own. The server is not in the way of the bytes: where it ends, nothing is
# closed, and the next one goes on.
#
# In the folder `stdin` of the job's folder:
#   segments, each named by the offset of its first byte. The server appends to the last one, and makes the
#     next one when it has done with that: so a segment is whole when there is one with the name of its end.
#     One that is fed is emptied here, which is news for the server.
#   end.OFFSET: the input ends there
#   unread: made here when the job reads no more
#   over: the job has ended
#   bell: a named pipe, into which a byte is written after each change, and once by the job's first process

# Starts the feeder. Descriptor 8 keeps the bell open. The launcher keeps no end of the pipe: else the feeder
# would not notice that the job has closed its own.
open_input() { # FOLDER
  reason=$(mkfifo -m 600 "$1/bell" 2>&1) || refuse input "$reason"
  exec 8<>"$1/bell"
  open_pipe "$1"
  # Whoever opens /dev/stdin needs the permissions of the pipe.
  [ -z "${job_worker_user-}" ] || chown -- "$job_worker_user" /proc/self/fd/6
  feed_input "$1" &
  feeder=$!
  exec 6<&- 7>&-
}

# Makes the pipe this process's standard input: the feeder holds its other end until then.
enter_input() {
  exec <"/proc/$feeder/fd/6"
  echo >&8
}

# The same for a job with processes of its own, whose first ones wait for it: with the pipe they would hide
# from the feeder that the job has closed it. What enter.sh takes it by works there, where no path leads to
# the feeder: a folder with its descriptors 6 and 8.
offer_input() {
  exec 5<"/proc/$feeder/fd"
}

feed_input() { # FOLDER
  unset IFS
  # Who looks for a job's processes by this must not find the feeder.
  unset JOB_ID
  exec >&7 7>&- 9>&-
  trap 'kill -s KILL "$!"; exit' USR1
  await_bell
  exec 6<&-
  begin=0
  exec 3<"$1/0"
  while :; do
    cat <&3 &
    wait "$!" || break
    read -r key position </proc/self/fdinfo/3
    next=$((begin + position))
    if [ "$next" != "$begin" ] && [ -e "$1/$next" ]; then
      exec 3<"$1/$next"
      : >"$1/$begin"
      begin=$next
    elif [ -e "$1/end.$next" ] || [ -e "$1/over" ]; then
      exit
    else
      await_bell
    fi
  done
  : >"$1/unread"
}

# Takes all that is in the bell, so that what is rung while the feeder is busy makes it look only once more.
await_bell() {
  dd bs=65536 count=1 <&8 >/dev/null &
  wait "$!"
}

# A process outside of the job's groups may still have the pipe: nothing is fed to that any more.
end_feeding() {
  kill -s USR1 "$feeder"
  exec 8>&-
}
