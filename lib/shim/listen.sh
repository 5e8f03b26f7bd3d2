# Part of the scripts that run on a cluster's node: the listener, the process that the engine has started. It
# starts the launcher in a session of its own, does what the server orders, and keeps the job's timeout,
# also while no server runs. It ends with the launcher, and with its status: that of the command.
#
# SIGUSR1 says that there is an order in the file $orders, one line:
#   NUMBER stop SIGNAL GRACE_MS main|all    NUMBER kill    NUMBER signal SIGNAL main|all
# What became of it goes to $folder/control.done: NUMBER reached, or NUMBER nobody. Numbers only grow.
# SIGTERM comes from the engine: somebody cancels the job, or its time there is over.
# SIGURG says that somebody looks at what the job uses: that is written to the file `usage` from then on, while
# the server renews the file $watch. It does nothing to a script that has not come so far, or is an older one.

# An order may become visible on this node later than the signal. So often, every 0.1 s, is it looked for.
order_looks=20
# Between two rounds of killing, in milliseconds.
kill_pause=200
# Between two looks at what the job uses, in seconds, and how many of them one renewal lasts.
usage_pause=2
usage_rounds=30

listen() {
  woken='' cancelled='' due='' watched='' timer='' timer_is_for='' stopping='' kill_at='' handled=0
  main=0 main_start=0 counting='' disturbed=''
  trap 'woken=yes' USR1
  trap 'cancelled=yes' TERM
  trap 'due=yes' ALRM
  trap 'watched=yes' URG
  # What an admin may send to the batch shell. What is ignored here, the job could not hear any more.
  trap 'disturbed=yes' HUP INT QUIT PIPE USR2
  listener=$$ groups='' passed=0 met=0
  find_step || step=''
  # A shell makes background processes ignore SIGINT and SIGQUIT; programs before coreutils 8.31 cannot
  # undo it.
  defaults=env${newline}--default-signal
  $defaults true || defaults=''
  $defaults setsid /bin/sh "$script" launch </dev/null >/dev/null 2>&1 &
  launcher=$!
  find_sessions "$listener" "$launcher"
  [ "$timeout_ms" = 0 ] || set_timer timeout "$timeout_ms"
  status=1
  while :; do
    # What has come since the last look does not end the wait.
    [ -n "$woken$cancelled$due$watched$disturbed" ] || {
      wait "$launcher"
      # A shell forgets a child that it has told the end of.
      result=$?
      [ "$result" = 127 ] || status=$result
    }
    [ -n "$woken$cancelled$due$watched$disturbed" ] || break
    obey
  done
  [ -z "$timer" ] || kill -s TERM "$timer"
  [ -z "$counting" ] || kill -s TERM "$counting"
  exit "$status"
} 2>/dev/null

obey() {
  disturbed=''
  if [ -n "$due" ]; then
    due='' timer=''
    case $timer_is_for in
      timeout) check_timeout ;;
      kill) kill_again ;;
    esac
  fi
  if [ -n "$cancelled" ]; then
    cancelled=''
    begin_stop cancelled "$stop_signal" "$grace_ms" all
  fi
  if [ -n "$woken" ]; then
    woken=''
    read_order
  fi
  if [ -n "$watched" ]; then
    watched=''
    start_counting
  fi
}

read_order() {
  looks=0
  until
    order='' verb='' first='' second='' third=''
    IFS=' ' read -r order verb first second third <"$orders"
    case $order in '' | *[!0-9]*) order=0 ;; esac
    [ "$order" -gt "$handled" ]
  do
    looks=$((looks + 1))
    [ "$looks" -lt "$order_looks" ] || return 0
    sleep 0.1
  done
  handled=$order answer=nobody
  case $verb in
    stop | kill) has_processes && answer=reached ;;
    signal) send "$first" "$second" && answer=reached ;;
  esac
  case $verb in
    stop) begin_stop asked "$first" "$second" "$third" ;;
    kill) begin_stop asked KILL 0 all ;;
  esac
  echo "$handled $answer" >"$folder/control.done"
}

# The signal, once, and SIGKILL after the grace period; another order can only bring SIGKILL forward.
begin_stop() { # WHY SIGNAL GRACE_MS main|all
  set_now
  if [ -z "$stopping" ]; then
    stopping=$1
    # The launcher looks at it before it starts the command, and leaves what remains at the end to this.
    echo "$1" >"$folder/stopping"
    case $2 in
      KILL) ;;
      *)
        # To ask all of its processes is better than to kill those that nobody has asked.
        send "$2" "$4" || {
          set -- "$1" "$2" "$3" all
          send "$2" all
        }
        case $2 in STOP | CONT) ;; *) send CONT "$4" ;; esac
        ;;
    esac
  fi
  if [ -z "$kill_at" ] || [ "$((now + $3))" -lt "$kill_at" ]; then
    kill_at=$((now + $3))
    if [ "$3" = 0 ]; then kill_again; else set_timer kill "$3"; fi
  fi
}

# The timeout counts from the start of the main process: a busy node may take long to come so far.
check_timeout() {
  find_main
  set_now
  # The kernel counts it in hundredths of a second since the boot.
  left=$((main_start * 10 + timeout_ms - now))
  if [ "$main" = 0 ]; then
    set_timer timeout 200
  elif [ "$left" -gt 0 ]; then
    set_timer timeout "$left"
  else
    begin_stop timed-out "$stop_signal" "$grace_ms" all
  fi
}

kill_again() {
  find_main
  find_groups
  kill_step
  set_timer kill "$kill_pause"
}

send() { # SIGNAL main|all; fails where it has met nobody
  find_main
  reached=''
  case $2 in
    main) [ "$main" = 0 ] || signal_main "$1" ;;
    *) signal_step "$1" ;;
  esac
  [ -n "$reached" ]
}

signal_main() { # SIGNAL
  IFS=' '
  set +f
  signal_command "$main" "$main_start" "$1" "$main_levels"
  set -f
  IFS=$newline
}

set_now() { # in milliseconds since the boot
  IFS=' .' read -r seconds hundredths rest </proc/uptime
  now=$((seconds * 1000 + 1$hundredths * 10 - 1000))
}

# There is one timer: for the timeout, until a stop has begun.
set_timer() { # PURPOSE MILLISECONDS
  [ -z "$timer" ] || kill -s TERM "$timer"
  timer_is_for=$1
  (
    trap 'kill "$sleep"; exit' TERM
    trap '' USR1
    sleep "$(($2 / 1000)).$(printf '%03d' "$(($2 % 1000))")" &
    sleep=$!
    wait "$sleep" && kill -s ALRM "$listener"
  ) &
  timer=$!
}

# Counts anew, where somebody does so already, too: it may have ended since nobody looked any more.
start_counting() {
  [ -z "$counting" ] || kill -s TERM "$counting"
  (
    trap 'kill "$sleep"; exit' TERM
    trap '' USR1 URG
    count_usage
  ) &
  counting=$!
}

# Writes usage MILLISECONDS_SINCE_BOOT, then what is counted as in the launch record, and end.
count_usage() {
  renewal='' rounds=0
  find_groups
  while [ "$rounds" -lt "$usage_rounds" ]; do
    before=$renewal rounds=$((rounds + 1))
    read -r renewal <"$watch"
    [ "$renewal" = "$before" ] || rounds=0
    set_now
    set_record "usage $now"
    count_processes
    echo "$record" >"$folder/usage.new" && mv -f "$folder/usage.new" "$folder/usage"
    sleep "$usage_pause" &
    sleep=$!
    wait "$sleep"
  done
  rm -f "$folder/usage"
}

# In a group that is not the job's alone there are the launcher and its helpers, too.
count_processes() {
  case $counters in *pids.current*) return ;; esac
  find_main
  met=0
  signal_step 0
  record="${record%end}counter pids.current${newline}$met${newline}end"
}
