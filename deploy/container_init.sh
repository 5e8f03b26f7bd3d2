#!/bin/sh
# Process 1 of a container that has no other init: runs worker-server, passes signals on to it, starts it
# again when its memory has grown (exit status 75), and waits for the processes that jobs leave behind.
# In the image: ENTRYPOINT ["/usr/local/bin/container_init.sh", "/usr/local/bin/worker-server"]
set -u
[ $# -gt 0 ] || { echo "usage: container_init.sh worker-server [OPTION...]" >&2; exit 2; }

# A shell has what it starts beside itself ignore these, and jobs would inherit that.
reset=
env --default-signal=INT,QUIT true 2>/dev/null && reset="env --default-signal=INT,QUIT"

server=
for signal in HUP INT QUIT TERM USR1 USR2; do
  trap "[ -z \"\$server\" ] || kill -s $signal \"\$server\"" "$signal"
done

run() { # COMMAND...
  $reset "$@" &
  server=$!
  while :; do
    # Meanwhile the shell also waits for every other process that has become its child.
    wait "$server"
    status=$?
    kill -0 "$server" 2>/dev/null || break
    # A signal has ended the wait, not the server.
  done
  # The signal may have come together with the end.
  wait "$server" 2>/dev/null
  again=$?
  [ "$again" = 127 ] || status=$again
}

status=75
while [ "$status" = 75 ]; do run "$@"; done
exit "$status"
